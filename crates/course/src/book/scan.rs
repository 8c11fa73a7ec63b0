//! The first pass over a chapter: what stands on lines of its own.
//!
//! Displayed formulas, directives, headings and predictions are found line by line and
//! taken out before Markdown is parsed, because Markdown would see lists and headings
//! in a formula such as `+ b`. Each leaves a placeholder; the second pass, in
//! [`super::render`], puts the finished HTML in its place.

use super::claim::{self, Claim};
use super::directive::Arguments;
use super::fence::{Fence, split_prefix};
use super::labels::{Counters, Kind};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Something taken out of the text.
#[derive(Clone, Debug)]
pub enum Block {
    /// A displayed formula, with its number when it has a label.
    Equation(String),
    /// `{{#listing}}`
    Listing(Arguments),
    /// `{{#output}}`
    Output(Arguments),
    /// `{{#figure}}`
    Figure(Arguments),
    /// `{{#live}}`
    Live(Arguments),
    /// `{{#table}}` and its lines, each with its line number.
    Table(Arguments, Vec<(usize, String)>),
    /// `{{#exercise}}`
    Exercise(Arguments),
}

/// A block, where it stood, and its label.
#[derive(Clone, Debug)]
pub struct Placed {
    /// What it is.
    pub block: Block,
    /// Its first line in the source, from 1.
    pub line: usize,
    /// Its label and number.
    pub label: Option<(String, String)>,
}

/// A label found in a chapter.
#[derive(Clone, Debug)]
pub struct Found {
    /// The label, such as `eq:bn-closed-form`.
    pub label: String,
    /// What a reference to it prints.
    pub text: String,
    /// The title of a heading that has a number.
    pub title: Option<String>,
    /// Its line in the source, from 1.
    pub line: usize,
}

/// A chapter after the first pass.
#[derive(Clone, Debug, Default)]
pub struct Scanned {
    /// The text with placeholders, each line with its line in the source.
    pub lines: Vec<(usize, String)>,
    /// What the placeholders stand for.
    pub blocks: Vec<Placed>,
    /// All labels of the chapter.
    pub labels: Vec<Found>,
    /// The names of its predictions.
    pub predictions: Vec<(usize, String)>,
    /// The names of its live figures.
    pub live: Vec<(usize, String)>,
    /// The names of its exercises.
    pub exercises: Vec<(usize, String)>,
    /// Its claims.
    pub claims: Vec<Claim>,
    /// What is wrong with it: line and message.
    pub problems: Vec<(usize, String)>,
}

/// A chapter after the first pass.
pub struct ScannedChapter {
    /// Its path as mdBook has it, relative to the chapters' folder.
    pub path: PathBuf,
    /// The same relative to the root of the checkout.
    pub file: String,
    /// Its page.
    pub html: String,
    /// What the first pass made of it.
    pub scanned: Scanned,
}

/// The placeholder of block `index`.
#[must_use]
pub fn placeholder(index: usize) -> String {
    format!("<div data-block=\"{index}\"></div>")
}

/// Scans the chapter numbered `number` (`8`, `A`, or empty for one without a number).
#[must_use]
pub fn scan(text: &str, number: &str) -> Scanned {
    let claim::Taken {
        lines,
        claims,
        problems,
    } = claim::take(text);
    let mut scanner = Scanner {
        source: lines.iter().map(|(_, line)| line.as_str()).collect(),
        numbers: lines.iter().map(|(number, _)| *number).collect(),
        at: 0,
        number,
        counters: Counters::default(),
        slugs: BTreeSet::new(),
        prediction: None,
        out: Scanned {
            claims,
            problems,
            ..Scanned::default()
        },
    };
    scanner.run();
    scanner.out
}

/// The prediction that is open: its name, its line, whether it has choices, and
/// whether its answer has begun.
struct Prediction {
    name: String,
    line: usize,
    choices: usize,
    right: usize,
    revealed: bool,
}

struct Scanner<'a> {
    source: Vec<&'a str>,
    /// The number of each line.
    numbers: Vec<usize>,
    at: usize,
    number: &'a str,
    counters: Counters,
    slugs: BTreeSet<String>,
    prediction: Option<Prediction>,
    out: Scanned,
}

impl<'a> Scanner<'a> {
    fn run(&mut self) {
        let mut fence = Fence::default();
        while let Some(&line) = self.source.get(self.at) {
            let (prefix, rest) = split_prefix(line);
            if fence.holds(line) {
                self.keep(line);
            } else if rest.starts_with("<!--") {
                self.comment();
            } else if rest.starts_with("$$") {
                self.equation(prefix);
            } else if rest.starts_with("{{#") && !rest.starts_with("{{#data ") {
                self.directive(prefix, rest);
            } else if rest.trim_end() == "{{reveal}}" {
                self.reveal();
            } else if rest.trim_end() == "{{/predict}}" {
                self.close_prediction();
            } else if prefix.is_empty() && rest.starts_with('#') && heading(rest).is_some() {
                self.heading(rest);
            } else if self.prediction.as_ref().is_some_and(|p| !p.revealed)
                && choice(rest).is_some()
            {
                self.choice(prefix, rest);
            } else {
                self.keep(line);
            }
            self.at += 1;
        }
        if let Some(open) = self.prediction.take() {
            self.problem(
                open.line,
                format!(
                    "the prediction `{}` is not closed by {{{{/predict}}}}",
                    open.name
                ),
            );
        }
    }

    fn line(&self) -> usize {
        self.numbers
            .get(self.at)
            .or(self.numbers.last())
            .copied()
            .unwrap_or(1)
    }

    fn keep(&mut self, text: impl Into<String>) {
        let line = self.line();
        self.out.lines.push((line, text.into()));
    }

    /// HTML on lines of its own, apart from the Markdown before and after it.
    fn keep_apart(&mut self, prefix: &str, html: &str) {
        let blank = prefix.trim_end();
        self.keep(blank);
        self.keep(format!("{prefix}{html}"));
        self.keep(blank);
    }

    fn problem(&mut self, line: usize, message: impl Into<String>) {
        self.out.problems.push((line, message.into()));
    }

    fn comment(&mut self) {
        let start = self.line();
        while let Some(line) = self.source.get(self.at) {
            if let Some((_, after)) = line.split_once("-->") {
                if !after.trim().is_empty() {
                    self.problem(start, "text follows a comment on the same line");
                }
                self.keep("");
                return;
            }
            self.keep("");
            self.at += 1;
        }
        self.problem(start, "the comment is not closed by -->");
    }

    /// Gives the thing at `line` its number and notes its label.
    fn label(&mut self, kind: Kind, label: Option<&str>, line: usize) -> Option<(String, String)> {
        let label = label?;
        match Kind::of(label) {
            Ok(found) if found == kind => {}
            Ok(_) => {
                self.problem(
                    line,
                    format!("the label `{label}` is of another kind than what it names"),
                );
                return None;
            }
            Err(message) => {
                self.problem(line, message);
                return None;
            }
        }
        let number = self.counters.next(kind, self.number);
        self.out.labels.push(Found {
            label: label.to_owned(),
            text: kind.reference(&number),
            title: None,
            line,
        });
        Some((label.to_owned(), number))
    }

    fn place(&mut self, prefix: &str, block: Block, line: usize, label: Option<(String, String)>) {
        let index = self.out.blocks.len();
        self.out.blocks.push(Placed { block, line, label });
        self.keep_apart(prefix, &placeholder(index));
    }

    fn equation(&mut self, prefix: &'a str) {
        let start = self.line();
        let quoted = prefix.contains('>');
        let mut latex = String::new();
        let mut first = true;
        let tail = loop {
            let Some(&line) = self.source.get(self.at) else {
                self.problem(start, "the formula is not closed by $$");
                return;
            };
            let body = if quoted {
                split_prefix(line).1
            } else {
                line.trim()
            };
            let body = if first { &body[2..] } else { body };
            if !first && body.trim().is_empty() {
                self.problem(start, "the formula is not closed by $$ before a blank line");
                return;
            }
            if let Some((last, tail)) = body.split_once("$$") {
                latex.push_str(last);
                break tail.trim();
            }
            latex.push_str(body);
            latex.push('\n');
            first = false;
            self.at += 1;
        };
        let label = match tail {
            "" => None,
            tail => {
                let inner = tail.strip_prefix("{#").and_then(|t| t.strip_suffix('}'));
                if inner.is_none() {
                    self.problem(
                        self.line(),
                        format!("`{tail}` follows a displayed formula; only a label like {{#eq:name}} may"),
                    );
                }
                inner
            }
        };
        let label = self.label(Kind::Equation, label, start);
        self.place(prefix, Block::Equation(latex), start, label);
    }

    fn directive(&mut self, prefix: &str, rest: &str) {
        let start = self.line();
        // A table has lines of its own up to the closing braces.
        let mut body = Vec::new();
        let mut head = rest.trim_end().to_owned();
        if !head.ends_with("}}") {
            loop {
                self.at += 1;
                let Some(&line) = self.source.get(self.at) else {
                    self.problem(start, "the directive is not closed by }}");
                    return;
                };
                let line_text = split_prefix(line).1.trim_end();
                if line_text == "}}" {
                    head.push_str("}}");
                    break;
                }
                if line_text.is_empty() {
                    self.problem(
                        start,
                        "the directive is not closed by }} before a blank line",
                    );
                    return;
                }
                body.push((self.line(), line_text.to_owned()));
            }
        }
        let inner = &head[3..head.len() - 2];
        let (name, rest) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
        let arguments = match Arguments::read(rest) {
            Ok(arguments) => arguments,
            Err(message) => return self.problem(start, message),
        };
        if !body.is_empty() && name != "table" {
            return self.problem(start, format!("{{{{#{name}}}}} goes on one line"));
        }
        let label = arguments.label.clone();
        let (kind, block) = match name {
            "listing" => (Some(Kind::Listing), Block::Listing(arguments)),
            "output" => (Some(Kind::Listing), Block::Output(arguments)),
            "figure" => (Some(Kind::Figure), Block::Figure(arguments)),
            "live" => {
                if let [name] = arguments.words.as_slice() {
                    self.out.live.push((start, name.clone()));
                }
                (Some(Kind::Figure), Block::Live(arguments))
            }
            "table" => (Some(Kind::Table), Block::Table(arguments, body)),
            "exercise" => {
                if let [name] = arguments.words.as_slice() {
                    self.out.exercises.push((start, name.clone()));
                }
                (None, Block::Exercise(arguments))
            }
            "predict" => return self.open_prediction(&arguments),
            _ => {
                return self.problem(
                    start,
                    format!("{{{{#{name}}}}} is no directive; there are listing, output, figure, live, table, data, claim, predict and exercise"),
                );
            }
        };
        let label = match (kind, label.as_deref()) {
            (Some(kind), label) => self.label(kind, label, start),
            (None, None) => None,
            (None, Some(_)) => {
                return self.problem(start, format!("{{{{#{name}}}}} takes no label"));
            }
        };
        self.place(prefix, block, start, label);
    }

    fn open_prediction(&mut self, arguments: &Arguments) {
        let line = self.line();
        let name = match arguments.exactly::<1>("predict name") {
            Ok([name]) => name.to_owned(),
            Err(message) => return self.problem(line, message),
        };
        if let Some(open) = &self.prediction {
            let message = format!("the prediction `{}` is still open here", open.name);
            return self.problem(line, message);
        }
        self.keep_apart(
            "",
            &format!(
                "<section class=\"predict\" id=\"predict:{name}\" data-predict=\"{name}\"><p class=\"box-title\">Predict</p><div class=\"question\" id=\"question:{name}\">"
            ),
        );
        self.out.predictions.push((line, name.clone()));
        self.prediction = Some(Prediction {
            name,
            line,
            choices: 0,
            right: 0,
            revealed: false,
        });
    }

    fn choice(&mut self, prefix: &str, rest: &str) {
        let Some((right, text)) = choice(rest) else {
            return;
        };
        let Some(open) = &mut self.prediction else {
            return;
        };
        let (name, index) = (open.name.clone(), open.choices);
        open.choices += 1;
        open.right += usize::from(right);
        if index == 0 {
            // The choices are one group, and its name is the question.
            let group = format!(
                "</div><div class=\"choices\" role=\"radiogroup\" aria-labelledby=\"question:{name}\">"
            );
            self.keep_apart(prefix, &group);
        }
        let mark = if right { " data-right" } else { "" };
        let mut item = format!(
            "{prefix}- <label class=\"choice\"><input type=\"radio\" name=\"predict-{name}\" value=\"{index}\"{mark}> <span>{text}"
        );
        // The item may go on over indented lines.
        while let Some(&next) = self.source.get(self.at + 1) {
            let (_, next_rest) = split_prefix(next);
            if next_rest.trim().is_empty() || !next.starts_with(' ') || next_rest.starts_with("- (")
            {
                break;
            }
            self.keep(item);
            item = next.to_owned();
            self.at += 1;
        }
        self.keep(format!("{item}</span></label>"));
    }

    fn reveal(&mut self) {
        let line = self.line();
        let Some(open) = &mut self.prediction else {
            return self.problem(line, "{{reveal}} stands outside a prediction");
        };
        if std::mem::replace(&mut open.revealed, true) {
            return self.problem(line, "the prediction is revealed twice");
        }
        let wrong = open.choices > 0 && open.right == 0;
        let own_words = if open.choices == 0 {
            format!(
                "</div><p class=\"own-words\"><input type=\"text\" aria-label=\"Your prediction\" aria-describedby=\"question:{}\" placeholder=\"Your prediction, before you look\"></p>",
                open.name
            )
        } else {
            "</div>".to_owned()
        };
        if wrong {
            self.problem(line, "no choice of the prediction is marked (x)");
        }
        self.keep_apart(
            "",
            &format!("{own_words}<details class=\"reveal\"><summary>Reveal</summary><div class=\"answer\">"),
        );
    }

    fn close_prediction(&mut self) {
        let line = self.line();
        match self.prediction.take() {
            None => self.problem(line, "{{/predict}} closes nothing"),
            Some(open) if !open.revealed => {
                self.problem(
                    line,
                    format!("the prediction `{}` has no {{{{reveal}}}}", open.name),
                );
            }
            Some(_) => self.keep_apart("", "</div></details></section>"),
        }
    }

    fn heading(&mut self, rest: &str) {
        let line = self.line();
        let Some((level, title, id)) = heading(rest) else {
            return;
        };
        let mut id = id.map(str::to_owned);
        if let Some(given) = &id
            && given.contains(':')
        {
            let wanted = if level == 1 {
                Kind::Chapter
            } else {
                Kind::Section
            };
            if !wanted.bears(given) {
                let message = format!("`{given}` is no label for a heading of this level");
                self.problem(line, message);
            }
        }
        let number = match level {
            1 => self.number.to_owned(),
            2 if !self.number.is_empty() => self.counters.next(Kind::Section, self.number),
            3 if !self.number.is_empty() => self.counters.next_subsection(self.number),
            _ => String::new(),
        };
        if let Some(given) = &id
            && let Ok(kind) = Kind::of(given)
        {
            // Where nothing is numbered, a reference prints the title.
            let (text, title) = if number.is_empty() {
                (format!("“{title}”"), None)
            } else {
                (kind.reference(&number), Some(title.to_owned()))
            };
            self.out.labels.push(Found {
                label: given.clone(),
                text,
                title,
                line,
            });
        }
        let id = id.take().unwrap_or_else(|| slug(title));
        let mut unique = id.clone();
        let mut copy = 1;
        while !self.slugs.insert(unique.clone()) {
            copy += 1;
            unique = format!("{id}-{copy}");
        }
        let mark = match (level, number.as_str()) {
            (_, "") => String::new(),
            (1, number) => {
                // A list of contents begins a line with it.
                let word = Kind::Chapter.reference(number);
                let (first, rest) = word.split_at(1);
                let word = first.to_uppercase() + rest;
                format!("<span class=\"chapter-number\">{word}</span> ")
            }
            (_, number) => format!("<span class=\"section-number\">{number}</span> "),
        };
        // The title of an appendix begins with its number, which is the mark here.
        let title = title
            .strip_prefix(&format!("Appendix {number}: "))
            .unwrap_or(title);
        self.keep(format!("{} {mark}{title} {{#{unique}}}", "#".repeat(level)));
    }
}

/// `(level, title, id)` of a heading line.
fn heading(line: &str) -> Option<(usize, &str, Option<&str>)> {
    let level = line.len() - line.trim_start_matches('#').len();
    let text = line[level..].strip_prefix(' ')?.trim();
    if level == 0 || level > 6 || text.is_empty() {
        return None;
    }
    match text.strip_suffix('}').and_then(|t| t.rsplit_once("{#")) {
        Some((title, id)) if !id.contains(' ') => Some((level, title.trim(), Some(id))),
        _ => Some((level, text, None)),
    }
}

/// `(is it right, text)` of a choice line.
fn choice(rest: &str) -> Option<(bool, &str)> {
    if let Some(text) = rest.strip_prefix("- ( ) ") {
        return Some((false, text));
    }
    rest.strip_prefix("- (x) ").map(|text| (true, text))
}

/// A heading's text as an id: small letters and digits, words joined by hyphens.
fn slug(title: &str) -> String {
    let words: Vec<String> = title
        .split(|c: char| c.is_whitespace() || c == '-')
        .map(|word| {
            word.chars()
                .filter(|c| c.is_alphanumeric())
                .collect::<String>()
                .to_lowercase()
        })
        .filter(|word| !word.is_empty())
        .collect();
    if words.is_empty() {
        "section".to_owned()
    } else {
        words.join("-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(scanned: &Scanned) -> String {
        let lines: Vec<&str> = scanned
            .lines
            .iter()
            .map(|(_, line)| line.as_str())
            .collect();
        lines.join("\n")
    }

    #[test]
    fn a_formula_over_several_lines_becomes_one_block() {
        let scanned = scan("Before\n$$\na\n+ b\n= c\n$$ {#eq:sum}\nafter", "8");
        assert!(scanned.problems.is_empty(), "{:?}", scanned.problems);
        assert_eq!(
            text(&scanned),
            "Before\n\n<div data-block=\"0\"></div>\n\nafter"
        );
        let Block::Equation(latex) = &scanned.blocks[0].block else {
            panic!()
        };
        assert_eq!(latex, "\na\n+ b\n= c\n");
        assert_eq!(scanned.labels[0].text, "(8.1)");
        assert_eq!(scanned.lines.last().unwrap().0, 7);
    }

    #[test]
    fn a_formula_keeps_its_place_in_lists_and_quotations() {
        let scanned = scan("- item\n  $$ a $$\n\n> note\n> $$\n> b\n> $$\n", "");
        assert!(scanned.problems.is_empty(), "{:?}", scanned.problems);
        assert!(text(&scanned).contains("\n  <div data-block=\"0\">"));
        assert!(text(&scanned).contains("\n> <div data-block=\"1\">"));
        let Block::Equation(latex) = &scanned.blocks[1].block else {
            panic!()
        };
        assert_eq!(latex.trim(), "b");
    }

    #[test]
    fn code_blocks_are_left_alone() {
        let source = "```rust\n$$\n{{#listing x}}\n# not a heading\n```\n~~~~\n```\n$$\n~~~~";
        let scanned = scan(source, "1");
        assert_eq!(text(&scanned), source);
        assert!(scanned.problems.is_empty() && scanned.blocks.is_empty());
    }

    #[test]
    fn sections_are_numbered_and_labelled() {
        let scanned = scan(
            "# Backward {#ch:bn-backward}\n## The graph {#sec:graph}\n### Detail\n## Plain words\n## Plain words",
            "8",
        );
        assert!(scanned.problems.is_empty(), "{:?}", scanned.problems);
        let text = text(&scanned);
        assert!(text.contains(
            "<span class=\"chapter-number\">Chapter 8</span> Backward {#ch:bn-backward}"
        ));
        assert!(
            text.contains("## <span class=\"section-number\">8.1</span> The graph {#sec:graph}")
        );
        assert!(text.contains("8.1.1</span> Detail {#detail}"));
        assert!(text.contains("8.2</span> Plain words {#plain-words}"));
        assert!(text.contains("8.3</span> Plain words {#plain-words-2}"));
        let labels: Vec<_> = scanned
            .labels
            .iter()
            .map(|l| (l.label.as_str(), l.text.as_str()))
            .collect();
        assert_eq!(
            labels,
            [
                ("ch:bn-backward", "chapter 8"),
                ("sec:graph", "section 8.1")
            ]
        );
    }

    #[test]
    fn the_number_of_an_appendix_is_printed_once() {
        let scanned = scan("# Appendix E.2: Ops {#ch:ops}\n## Sums {#sec:sums}", "E.2");
        let text = text(&scanned);
        assert!(
            text.starts_with("# <span class=\"chapter-number\">Appendix E.2</span> Ops {#ch:ops}"),
            "{text}"
        );
        let labels: Vec<_> = scanned.labels.iter().map(|l| l.text.as_str()).collect();
        assert_eq!(labels, ["appendix E.2", "section E.2.1"]);
    }

    #[test]
    fn a_prediction_holds_choices_and_an_answer() {
        let scanned = scan(
            "{{#predict two}}\nHow much?\n\n- ( ) half\n  of it\n- (x) none\n{{reveal}}\nNone.\n{{/predict}}\nafter",
            "8",
        );
        assert!(scanned.problems.is_empty(), "{:?}", scanned.problems);
        let text = text(&scanned);
        assert!(text.contains("data-predict=\"two\""));
        assert!(
            text.contains("value=\"0\"> <span>half\n  of it</span></label>"),
            "{text}"
        );
        assert!(text.contains("value=\"1\" data-right> <span>none</span></label>"));
        assert!(!text.contains("own-words"));
        assert!(text.ends_with("after"));
    }

    #[test]
    fn a_prediction_without_choices_asks_for_words() {
        let scanned = scan("{{#predict a}}\nWhy?\n{{reveal}}\nSo.\n{{/predict}}", "8");
        assert!(text(&scanned).contains("own-words"));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (source, line, word) in [
            ("\n$$\na", 2, "not closed"),
            ("$$\na\n\nb$$", 1, "blank line"),
            ("$$ a $$ and", 1, "only a label"),
            ("$$ a $$ {#fig:a}", 1, "another kind"),
            ("$$ a $$ {#eq:A}", 1, "form"),
            ("x\n{{#include a}}", 2, "no directive"),
            ("{{#listing a \"b}}", 1, "quotation mark"),
            ("{{#listing a\nb\n}}", 1, "one line"),
            ("{{#table a b", 1, "not closed"),
            ("{{#exercise a #eq:b}}", 1, "no label"),
            ("{{#predict a}}\nb", 1, "not closed"),
            ("{{#predict a}}\n{{/predict}}", 2, "no {{reveal}}"),
            (
                "{{#predict a}}\n{{#predict b}}\n{{reveal}}\n{{/predict}}",
                2,
                "still open",
            ),
            (
                "{{#predict a}}\n- ( ) b\n{{reveal}}\n{{/predict}}",
                3,
                "marked (x)",
            ),
            ("{{reveal}}", 1, "outside"),
            ("{{/predict}}", 1, "closes nothing"),
            ("## A {#ch:a}", 1, "no label for a heading"),
            ("<!-- a", 1, "not closed"),
        ] {
            let scanned = scan(source, "1");
            assert!(
                scanned
                    .problems
                    .iter()
                    .any(|(at, message)| *at == line && message.contains(word)),
                "{source:?}: {:?}",
                scanned.problems
            );
        }
        assert_eq!(scan("## A {#sec:a}", "").labels[0].text, "“A”");
    }
}
