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

/// What is no longer than this stays on its line: it fits beside other words on a phone.
const ON_ITS_LINE: usize = 18;

/// Whether a text is so short that it stays on one line.
pub fn fits(text: &str) -> bool {
    text.chars().count() <= ON_ITS_LINE
}

fn held(html: &str) -> String {
    format!("<span class=\"whole\">{html}</span>")
}

/// Code in the text as HTML: short code stays on its line, as does, of longer code, each short word
/// and what stands between square brackets.
pub fn in_code(code: &str) -> String {
    let html = |code: &str| format!("<code>{}</code>", escape(code));
    shield(&if fits(code) && code.chars().any(may_end) {
        format!("<code class=\"whole\">{}</code>", escape(code))
    } else if fits(code) {
        html(code)
    } else {
        let words: Vec<String> = words_of(code)
            .iter()
            .map(|word| match fits(word) && word.chars().any(may_end) {
                true => held(&escape(word)),
                false => escape(word),
            })
            .collect();
        format!("<code>{}</code>", words.join(" "))
    })
}

/// Whether a browser might end a line at this sign of code.
fn may_end(sign: char) -> bool {
    !(sign.is_alphanumeric() || "_.,:".contains(sign))
}

/// Code between spaces, but for those between square brackets as long as the whole fits.
fn words_of(code: &str) -> Vec<String> {
    let open = |word: &str| word.matches('[').count() > word.matches(']').count();
    let mut words: Vec<String> = Vec::new();
    for word in code.split(' ') {
        let longer = words.last().filter(|last| open(last));
        match longer.map(|last| format!("{last} {word}")) {
            Some(longer) if fits(&longer) => *words.last_mut().expect("there is one") = longer,
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// Whether a line should not end inside of this word of the text: it is a sign such as `->`, or one of its
/// parts says nothing by itself, as in `pre-LN`, `AVX-512` and `35–44`.
fn is_whole(word: &str) -> bool {
    let dashes = ['-', '–'];
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
    let firm = |c: Option<char>| c.is_none_or(|c| c.is_ascii_digit() || c.is_uppercase());
    let mute = |part: &str| {
        part.chars().count() < 3 || firm(part.chars().next()) || firm(part.chars().last())
    };
    fits(word)
        && match bare.is_empty() {
            true => word.contains('-'),
            false => bare.contains(dashes) && bare.split(dashes).any(mute),
        }
}

/// The places of the words of a text that stay on their lines.
fn whole_words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    let places = text.split_inclusive(char::is_whitespace).map(move |piece| {
        let start = at;
        at += piece.len();
        start..start + piece.trim_end().len()
    });
    places.filter(|place| is_whole(&text[place.clone()]))
}

/// What keeps such words together in a part of the Markdown that is plain text, and a number with
/// its per cent.
pub fn hold_words(text: &str, part: &Range<usize>) -> Vec<Edit> {
    let inner = &text[part.clone()];
    let words = whole_words(inner).map(|word| part.start + word.start..part.start + word.end);
    let words = words.map(|word| (word.clone(), held(&text[word])));
    let shares = inner.match_indices(" %").map(|(at, _)| part.start + at);
    let shares =
        shares.filter(|&at| text[..at].ends_with(|c: char| c.is_ascii_digit() || c == '}'));
    words
        .chain(shares.map(|at| (at..at + 1, "\u{202f}".to_owned())))
        .collect()
}

/// A reference in the text. An equation's number has parentheses, so that those around a number
/// that stands alone in them would be the second pair.
pub fn refer(text: &str, range: Range<usize>, html: String) -> Edit {
    let Range { start, end } = range;
    let alone = text[..start].ends_with('(') && text[end..].starts_with(')');
    if alone && html.contains(&format!(">{}", shield("("))) {
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
    let plain = |text: &str| {
        let (mut out, mut at) = (String::new(), 0);
        for word in whole_words(text) {
            out += &escape(&text[at..word.start]);
            out += &held(&escape(&text[word.clone()]));
            at = word.end;
        }
        shield(&(out + &escape(&text[at..])))
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('`') {
        let Some((code, after)) = after.split_once('`') else {
            break;
        };
        out += &plain(before);
        out += &in_code(code);
        rest = after;
    }
    out + &plain(rest)
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
            let html = shield(html);
            let edits = places.map(|(at, link)| refer(text, at..at + link.len(), html.clone()));
            apply(text, edits.collect())
                .replace("&#40;", "(")
                .replace("&#41;", ")")
        };
        assert_eq!(
            written("<a>(12)</a>"),
            "so <a>(12)</a>, and (<a>(12)</a> too)"
        );
        assert_eq!(
            written("<a>section 3</a>"),
            "so (<a>section 3</a>), and (<a>section 3</a> too)"
        );
    }

    #[test]
    fn short_code_stays_on_its_line_and_so_does_each_short_word_of_longer_code() {
        let read = |code: &str| {
            let plain = in_code(code).replace("&#45;", "-").replace("&#91;", "[");
            let plain = plain.replace("&#93;", "]").replace("&#44;", ",");
            let plain = plain.replace("&#61;", "=").replace("&#95;", "_");
            let plain = plain.replace("&#42;", "*").replace("&#58;", ":");
            plain.replace("&#46;", ".").replace("&#47;", "/")
        };
        for code in ["[N, C, H, W]", "x - mean", "-p", "f64 -> f32"] {
            let wanted = format!("<code class=\"whole\">{}</code>", escape(code));
            assert_eq!(read(code), wanted);
        }
        for code in ["dgamma", "bn_forward"] {
            assert_eq!(read(code), format!("<code>{code}</code>"));
        }
        let whole = |word: &str| format!("<span class=\"whole\">{word}</span>");
        let [dashes, norm] = ["--", "--norm"].map(whole);
        assert_eq!(
            read("run -- it by its --norm"),
            format!("<code>run {dashes} it by its {norm}</code>")
        );
        let [shape, times] = ["[N, C, H, W]", "*"].map(whole);
        assert_eq!(
            read("x: [N, C, H, W] times * that"),
            format!("<code>x: {shape} times {times} that</code>")
        );
        // What is too long to stay is broken at its spaces, and its words are not.
        let [long, rest] = ["[running_mean,", "running_var]"].map(whole);
        assert_eq!(
            read("[running_mean, running_var]"),
            format!("<code>{long} {rest}</code>")
        );
        let name = "a_name/of_something-long.rs";
        assert_eq!(read(name), format!("<code>{name}</code>"));
        assert_eq!(
            read("a/b.rs of a directory"),
            format!("<code>{} of a directory</code>", whole("a/b.rs"))
        );
    }

    #[test]
    fn a_word_of_which_a_part_says_nothing_stays_on_its_line() {
        let whole = [
            "->",
            "pre-LN",
            "(AVX-512),",
            "35–44",
            "x-axis",
            "warm-up",
            "784-256-10",
        ];
        let broken = [
            "left-hand",
            "floating-point",
            "2016–2019–2021–2024",
            "–",
            "a",
            "x",
            "Norm",
            "non-zero",
        ];
        for word in whole {
            assert!(is_whole(word), "{word}");
        }
        for word in broken {
            assert!(!is_whole(word), "{word}");
        }
        let text = "**a pre-LN** and\n35–44 %";
        assert_eq!(
            apply(
                text,
                hold_words(text, &(2..10))
                    .into_iter()
                    .chain(hold_words(text, &(12..text.len())))
                    .collect()
            ),
            "**a <span class=\"whole\">pre-LN</span>** and\n<span class=\"whole\">35–44</span>\u{202f}%"
        );
    }

    #[test]
    fn what_stands_between_backquotes_is_code() {
        assert_eq!(
            code_in("of `a<b` and `c`, x -> d, `"),
            "of <code class=\"whole\">a&lt;b</code> and <code>c</code>&#44; x \
             <span class=\"whole\">&#45;&gt;</span> d&#44; &#96;"
        );
    }
}
