//! Markdown as a terminal shows it: references by number and title, lines that fit.

use crate::book::labels::{Kind, Labels, placed};
use anstyle::Style;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use std::borrow::Cow;
use std::fmt::Write;
use std::io::{self, IsTerminal};
use textwrap::{WordSeparator, WordSplitter};

/// Lines longer than this are hard to read, however wide the terminal is.
const WIDEST: usize = 100;
/// No terminal is taken to be narrower: words do not get shorter.
const NARROWEST: usize = 30;

/// How text is laid out: what labels stand for, and how wide a line may be.
#[derive(Clone, Copy, Debug)]
pub struct Layout<'a> {
    labels: &'a Labels,
    /// None where the output is no terminal: who reads it wants whole lines.
    width: Option<usize>,
}

impl<'a> Layout<'a> {
    /// The layout for standard output.
    #[must_use]
    pub fn new(labels: &'a Labels) -> Self {
        let terminal = io::stdout().is_terminal();
        Self::of_width(labels, terminal.then(textwrap::termwidth))
    }

    /// The layout for lines of at most `width` columns, or as long as they are.
    #[must_use]
    pub fn of_width(labels: &'a Labels, width: Option<usize>) -> Self {
        let width = width.map(|width| width.clamp(NARROWEST, WIDEST));
        Self { labels, width }
    }

    /// How many columns a line may have.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width.unwrap_or(usize::MAX)
    }

    /// The paragraph `text`, whose first line begins with `first` and all others with
    /// `indent`; the lines that it has already stay.
    #[must_use]
    pub fn wrap(&self, text: &str, first: &str, indent: &str) -> String {
        let Some(width) = self.width else {
            return format!("{first}{}", text.replace('\n', &format!("\n{indent}")));
        };
        let options = textwrap::Options::new(width)
            .initial_indent(first)
            .subsequent_indent(indent)
            .word_separator(WordSeparator::AsciiSpace)
            .word_splitter(WordSplitter::NoHyphenation)
            .break_words(false);
        textwrap::fill(text, options)
    }

    /// Markdown on lines that fit, with a blank one between its paragraphs.
    #[must_use]
    pub fn markdown(&self, markdown: &str) -> String {
        let mut out = String::new();
        for block in self.blocks(markdown) {
            let text = match block {
                Block::Text { text, item: false } => self.wrap(&text, "", ""),
                Block::Text { text, item: true } => self.wrap(&text, "- ", "  "),
                Block::Code(code) => textwrap::indent(code.trim_end(), "    "),
            };
            if !out.is_empty() {
                out.push_str("\n\n");
            }
            out.push_str(&text);
        }
        out
    }

    /// A short text, such as a title, on one line.
    #[must_use]
    pub fn phrase(&self, markdown: &str) -> String {
        let blocks = self.blocks(markdown).into_iter();
        let texts = blocks.map(|block| match block {
            Block::Text { text, .. } | Block::Code(text) => text,
        });
        texts.collect::<Vec<_>>().join(" ")
    }

    fn blocks(&self, markdown: &str) -> Vec<Block> {
        let mut blocks = Vec::new();
        let (mut text, mut item) = (String::new(), false);
        // The link that is open: where its text begins, and where it leads.
        let mut link: Option<(usize, String)> = None;
        let italic = Style::new().italic();
        let mut code = false;
        for event in Parser::new_ext(markdown, Options::ENABLE_MATH) {
            match event {
                Event::Text(part) => text.push_str(&part),
                // A terminal shows no formula; its source is better than nothing.
                Event::Code(part) => {
                    let _ = write!(text, "`{part}`");
                }
                Event::InlineMath(part) | Event::DisplayMath(part) => text.push_str(&part),
                Event::SoftBreak | Event::HardBreak => text.push(' '),
                Event::Start(Tag::Emphasis) => {
                    let _ = write!(text, "{italic}");
                }
                Event::End(TagEnd::Emphasis) => {
                    let _ = write!(text, "{italic:#}");
                }
                Event::Start(Tag::Link { dest_url, .. }) => {
                    link = Some((text.len(), dest_url.into_string()));
                }
                Event::End(TagEnd::Link) => {
                    if let Some((at, target)) = link.take() {
                        let inner = text.split_off(at);
                        let words = self.link(&inner, &target);
                        let begins = inner.is_empty().then(|| placed(&words, &text));
                        text.push_str(&begins.unwrap_or(words));
                    }
                }
                Event::Start(Tag::CodeBlock(_)) => code = true,
                Event::Start(Tag::Item) => item = true,
                Event::End(
                    TagEnd::Paragraph | TagEnd::Item | TagEnd::CodeBlock | TagEnd::Heading(_),
                ) => {
                    let text = std::mem::take(&mut text);
                    match (std::mem::take(&mut code), text.is_empty()) {
                        (_, true) => {}
                        (true, _) => blocks.push(Block::Code(text)),
                        (false, _) => {
                            let item = std::mem::take(&mut item);
                            blocks.push(Block::Text { text, item });
                        }
                    }
                }
                _ => {}
            }
        }
        blocks
    }

    /// A link as it is read: a title in quotation marks, with the number under which the
    /// book has it.
    fn link(&self, text: &str, target: &str) -> String {
        let Some(label) = target.strip_prefix('#') else {
            return text.to_owned();
        };
        if text.is_empty() {
            return self.reference(label);
        }
        let title = text.starts_with(char::is_uppercase);
        let text = if title {
            Cow::Owned(format!("“{text}”"))
        } else {
            Cow::Borrowed(text)
        };
        match self.labels.get(label) {
            Some(target) => format!("{text} ({})", target.text.trim_matches(['(', ')'])),
            None => text.into_owned(),
        }
    }

    /// What a label is called where no link can be followed: its number, and its title if
    /// it has one. No reader has any use for the label itself.
    #[must_use]
    pub fn reference(&self, label: &str) -> String {
        let kind = Kind::of(label);
        match (self.labels.get(label), kind) {
            (Some(target), Ok(Kind::Equation)) => format!("equation {}", target.text),
            (Some(target), _) => match &target.title {
                Some(title) => format!("{}, “{title}”", target.text),
                None => target.text.clone(),
            },
            (None, Ok(Kind::Equation)) => "the equation in the book".to_owned(),
            (None, Ok(Kind::Figure)) => "the figure in the book".to_owned(),
            (None, Ok(Kind::Listing)) => "the listing in the book".to_owned(),
            (None, Ok(Kind::Table)) => "the table in the book".to_owned(),
            (None, Ok(Kind::Section | Kind::Chapter) | Err(_)) => "the chapter".to_owned(),
        }
    }

    /// What an exercise said, with its labels by their numbers.
    #[must_use]
    pub fn said(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(colon) = rest.find(':') {
            let before = &rest[..colon];
            let start = before
                .rfind(|c: char| !c.is_ascii_lowercase())
                .map_or(0, |at| {
                    at + before[at..].chars().next().map_or(1, char::len_utf8)
                });
            let after = &rest[colon + 1..];
            let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            let end = after.find(|c: char| !name(c)).unwrap_or(after.len());
            let label = rest[start..colon + 1 + end].trim_end_matches('-');
            if Kind::of(label).is_ok() {
                out.push_str(&rest[..start]);
                out.push_str(&self.reference(label));
                rest = &rest[start + label.len()..];
            } else {
                out.push_str(&rest[..=colon]);
                rest = after;
            }
        }
        out + rest
    }
}

enum Block {
    Text { text: String, item: bool },
    Code(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::labels::Target;

    fn labels() -> Labels {
        let target = |text: &str, title: Option<&str>| Target {
            page: "a.html".into(),
            text: text.into(),
            title: title.map(str::to_owned),
        };
        Labels::from([
            ("eq:slope".into(), target("(1.2)", None)),
            ("lst:loop".into(), target("listing 1.3", None)),
            (
                "sec:eps".into(),
                target("section 7.4", Some("Where eps stands")),
            ),
        ])
    }

    fn plain(markdown: &str) -> String {
        let labels = labels();
        let text = Layout::of_width(&labels, None).markdown(markdown);
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn references_are_numbers_and_titles() {
        for (markdown, text) in [
            ("See [](#eq:slope).", "See equation (1.2)."),
            ("See [](#sec:eps).", "See section 7.4, “Where eps stands”."),
            ("As in\n[](#lst:loop).", "As in listing 1.3."),
            (
                "[](#lst:loop) ends. [](#eq:slope) is\nits slope.",
                "Listing 1.3 ends. Equation (1.2) is its slope.",
            ),
            (
                "[Where eps stands](#sec:eps), if you\ncame here first, and [why](#eq:slope).",
                "“Where eps stands” (section 7.4), if you came here first, and why (1.2).",
            ),
            (
                "In x[n], see [the proof](a.md#b).",
                "In x[n], see the proof.",
            ),
            ("`a[i]` is *not* $1/M$.", "`a[i]` is not 1/M."),
            (
                "See [](#sec:none), [](#eq:none).",
                "See the chapter, the equation in the book.",
            ),
        ] {
            assert_eq!(plain(markdown), text);
        }
    }

    #[test]
    fn paragraphs_lists_and_code_keep_their_form() {
        assert_eq!(
            plain("One\nline.\n\nTwo:\n\n- a\n- b\n\n```rust\nlet x =\n    1;\n```\n"),
            "One line.\n\nTwo:\n\n- a\n\n- b\n\n    let x =\n        1;"
        );
    }

    #[test]
    fn lines_that_are_there_stay_and_are_indented() {
        for width in [None, Some(40)] {
            let labels = labels();
            let layout = Layout::of_width(&labels, width);
            let text = layout.wrap("It says:\n  worst 0.1\n  seed 2", "- ", "    ");
            assert_eq!(text, "- It says:\n      worst 0.1\n      seed 2");
        }
    }

    #[test]
    fn lines_fit() {
        let labels = labels();
        let layout = Layout::of_width(&labels, Some(40));
        let text = layout.markdown(&"A word, and `code`, and [](#eq:slope). ".repeat(20));
        assert!(text.lines().count() > 10);
        for line in text.lines() {
            assert!(line.chars().count() <= 40, "{line}");
        }
        assert_eq!(
            layout.wrap("a b c d e f g h i j k l m n o p q r s t u v w", "* ", "  "),
            "* a b c d e f g h i j k l m n o p q r s\n  t u v w"
        );
    }

    #[test]
    fn what_an_exercise_says_holds_no_labels() {
        let labels = labels();
        let layout = Layout::of_width(&labels, None);
        for (said, shown) in [
            (
                "as in eq:slope, or é:sec:eps-",
                "as in equation (1.2), or é:section 7.4, “Where eps stands”-",
            ),
            ("dx: 1 and eq: x, a::b", "dx: 1 and eq: x, a::b"),
        ] {
            assert_eq!(layout.said(said), shown);
        }
    }
}
