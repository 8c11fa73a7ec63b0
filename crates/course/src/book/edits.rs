//! What is done to pieces of text on their way into a page.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Tag, TagEnd};

use super::maths::shield;

/// Replaces `range` of a text.
pub type Edit = (Range<usize>, String);

/// Where the directive that `rest` begins with is closed: before the next one begins.
pub fn close(rest: &str) -> Option<usize> {
    let inner = &rest[2..];
    let inner = &inner[..inner.find("{{").unwrap_or(inner.len())];
    inner.find("}}").map(|end| end + 2)
}

/// The inside of a single paragraph.
pub fn unwrapped(html: String) -> String {
    let inner = html
        .strip_prefix("<p>")
        .and_then(|h| h.strip_suffix("</p>"));
    inner.map_or(html.clone(), str::to_owned)
}

/// A formula in the text with what must stay on its line: the punctuation after it.
pub fn hold(text: &str, range: Range<usize>, latex: &str, html: String) -> Edit {
    let after: String = text[range.end..]
        .chars()
        .take_while(|c| ".,;:!?".contains(*c))
        .collect();
    // A long formula may scroll in its own box on a narrow page.
    let class = if latex.len() > 28 { " long" } else { "" };
    let tail = shield(&after);
    let html = format!("<span class=\"formula{class}\">{html}{tail}</span>");
    (range.start..range.end + after.len(), html)
}

/// Code in the text with words such as `--` and `--norm`, behind whose dashes a browser would end a
/// line.
pub fn dashes(code: &str) -> Option<String> {
    let option = |word: &str| word.starts_with('-');
    if !code.split(' ').any(option) {
        return None;
    }
    let words = code.split(' ').map(|word| match option(word) {
        true => format!("<span class=\"dashes\">{}</span>", escape(word)),
        false => escape(word),
    });
    let words: Vec<String> = words.collect();
    Some(shield(&format!("<code>{}</code>", words.join(" "))))
}

/// The same for any code.
pub fn in_code(code: &str) -> String {
    dashes(code).unwrap_or_else(|| shield(&format!("<code>{}</code>", escape(code))))
}

/// A reference in the text. An equation's number has parentheses, so that those around a number
/// that stands alone in them would be the second pair.
pub fn refer(text: &str, range: Range<usize>, html: String) -> Edit {
    let Range { start, end } = range;
    let alone = text[..start].ends_with('(') && text[end..].starts_with(')');
    if alone && html.contains(">(") {
        (start - 1..end + 1, html)
    } else {
        (start..end, html)
    }
}

/// What the paragraph, the item or the cell in which `events` end says so far; of code and
/// formulas, that they are there.
pub fn said(events: &[(Event<'_>, Range<usize>)]) -> String {
    let mut parts = Vec::new();
    for (event, _) in events.iter().rev() {
        parts.push(match event {
            Event::Text(text) => &**text,
            Event::SoftBreak | Event::HardBreak => " ",
            Event::Code(_) | Event::InlineMath(_) | Event::End(TagEnd::Link) => "x",
            Event::Start(Tag::Link { .. } | Tag::Emphasis | Tag::Strong)
            | Event::End(TagEnd::Emphasis | TagEnd::Strong)
            | Event::InlineHtml(_)
            | Event::FootnoteReference(_) => "",
            _ => break,
        });
    }
    parts.reverse();
    parts.concat()
}

pub fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|(range, _)| range.start);
    let mut out = String::with_capacity(text.len() * 2);
    let mut at = 0;
    for (range, new) in edits {
        if range.start < at {
            continue;
        }
        out.push_str(&text[at..range.start]);
        out.push_str(&new);
        at = range.end;
    }
    out.push_str(&text[at..]);
    out
}

/// Why it is not clear of a block of code whether the tests run it, if it is not.
pub fn unclear(kind: &CodeBlockKind<'_>) -> Option<&'static str> {
    let CodeBlockKind::Fenced(info) = kind else {
        return Some("code stands between fences, with its language");
    };
    match info.split([',', ' ']).next().unwrap_or_default() {
        "" => Some("a block of code needs a language: rust, console, text, …"),
        "rust" if !matches!(&**info, "rust" | "rust,ignore" | "rust,should_panic") => Some(
            "a block of Rust is marked `rust`, or `rust,ignore` for a sketch, or `rust,should_panic`",
        ),
        _ => None,
    }
}

/// `text` as HTML text.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// `text` as HTML in which what stands between backquotes is code; one alone stays.
pub fn code_in(text: &str) -> String {
    let text = escape(text);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('`') {
        let Some((code, after)) = after.split_once('`') else {
            break;
        };
        out.push_str(&format!("{before}<code>{code}</code>"));
        rest = after;
    }
    shield(&(out + rest))
}

/// The attribute by which a reference finds what has this label.
pub fn id(label: Option<&(String, String)>) -> String {
    label.map_or(String::new(), |(id, _)| format!(" id=\"{id}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_has_parentheses_is_given_no_others() {
        let text = "so ([](#a)), and ([](#a) too)";
        let written = |html: &str| {
            let places = text.match_indices("[](#a)");
            let edits = places.map(|(at, link)| refer(text, at..at + link.len(), html.to_owned()));
            apply(text, edits.collect())
        };
        assert_eq!(
            written("<a>(1.2)</a>"),
            "so <a>(1.2)</a>, and (<a>(1.2)</a> too)"
        );
        assert_eq!(
            written("<a>section 3</a>"),
            "so (<a>section 3</a>), and (<a>section 3</a> too)"
        );
    }

    #[test]
    fn a_word_that_begins_with_a_dash_stays_together() {
        assert_eq!(dashes("a cross-entropy"), None);
        let html = dashes("run -- <a> --norm").unwrap();
        let whole = |word: &str| format!("<span class=\"dashes\">{word}</span>");
        let (two, norm) = (whole("&#45;&#45;"), whole("&#45;&#45;norm"));
        assert_eq!(html, format!("<code>run {two} &lt;a&gt; {norm}</code>"));
    }

    #[test]
    fn what_stands_between_backquotes_is_code() {
        assert_eq!(
            code_in("of `a<b` and `c`, d"),
            "of <code>a&lt;b</code> and <code>c</code>&#44; d"
        );
    }
}
