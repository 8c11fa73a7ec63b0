//! Code taken from the crates by anchors.
//!
//! A source file marks a piece with `// ANCHOR: name` and `// ANCHOR_END: name`. Pieces
//! may nest and overlap; the markers themselves are never printed.

use std::collections::BTreeMap;
use std::fmt::Write;

/// A piece of a source file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Piece<'a> {
    /// The lines, each with its number in the file (from 1), without markers.
    pub lines: Vec<(usize, &'a str)>,
}

pub(super) enum Marker<'a> {
    Start(&'a str),
    End(&'a str),
}

/// The marker on this line, if it is one.
pub(super) fn marker(line: &str) -> Option<Marker<'_>> {
    let text = line.trim();
    let text = text.strip_prefix("//").or_else(|| text.strip_prefix('#'))?;
    let text = text.trim_start_matches('/').trim();
    if let Some(name) = text.strip_prefix("ANCHOR_END:") {
        return Some(Marker::End(name.trim()));
    }
    text.strip_prefix("ANCHOR:")
        .map(|name| Marker::Start(name.trim()))
}

/// All pieces of a source file, by name.
///
/// # Errors
/// `(line, message)` when a marker has no partner, or a name is used twice.
pub fn pieces(source: &str) -> Result<BTreeMap<&str, Piece<'_>>, (usize, String)> {
    let mut open: BTreeMap<&str, (usize, Piece<'_>)> = BTreeMap::new();
    let mut done = BTreeMap::new();
    for (index, line) in source.lines().enumerate() {
        let number = index + 1;
        match marker(line) {
            Some(Marker::Start(name)) => {
                if done.contains_key(name)
                    || open
                        .insert(name, (number, Piece { lines: Vec::new() }))
                        .is_some()
                {
                    return Err((number, format!("the anchor `{name}` is set twice")));
                }
            }
            Some(Marker::End(name)) => {
                let Some((_, piece)) = open.remove(name) else {
                    return Err((
                        number,
                        format!("the anchor `{name}` ends here without a start"),
                    ));
                };
                done.insert(name, piece);
            }
            None => {
                for (_, piece) in open.values_mut() {
                    piece.lines.push((number, line));
                }
            }
        }
    }
    match open.into_iter().next() {
        Some((name, (number, _))) => Err((number, format!("the anchor `{name}` has no end"))),
        None => Ok(done),
    }
}

impl Piece<'_> {
    /// A whole file as one piece, without its markers.
    #[must_use]
    pub fn whole(source: &str) -> Piece<'_> {
        let lines = source.lines().enumerate().map(|(i, line)| (i + 1, line));
        Piece {
            lines: lines.filter(|(_, line)| marker(line).is_none()).collect(),
        }
    }

    /// The text, without the indentation common to all lines and without blank lines
    /// at the ends.
    #[must_use]
    pub fn text(&self) -> String {
        let indent = self.indent();
        let mut text = String::new();
        for (_, line) in &self.lines {
            let line = if line.trim().is_empty() {
                ""
            } else {
                &line[indent..]
            };
            let _ = writeln!(text, "{line}");
        }
        text.trim_matches('\n').to_owned()
    }

    /// The numbers of the first and the last line that is not blank.
    #[must_use]
    pub fn span(&self) -> Option<(usize, usize)> {
        let mut full = self
            .lines
            .iter()
            .filter(|(_, line)| !line.trim().is_empty());
        let first = full.next()?.0;
        Some((first, full.next_back().map_or(first, |(number, _)| *number)))
    }

    fn indent(&self) -> usize {
        let full = self
            .lines
            .iter()
            .filter(|(_, line)| !line.trim().is_empty());
        full.map(|(_, line)| depth(line)).min().unwrap_or(0)
    }

    /// Whether a brace is opened in the piece and not closed, or the other way round: a
    /// reader would look for the rest.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        let mut depth = 0_i32;
        for (_, line) in &self.lines {
            let mut characters = line.chars().peekable();
            let mut quoted = false;
            while let Some(c) = characters.next() {
                match c {
                    '\\' if quoted => drop(characters.next()),
                    '"' => quoted = !quoted,
                    _ if quoted => {}
                    // A brace may be a character, as here.
                    '\'' if matches!(characters.peek(), Some('{' | '}' | '"')) => {
                        characters.next();
                    }
                    '/' if characters.peek() == Some(&'/') => break,
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth < 0 {
                    return true;
                }
            }
        }
        depth != 0
    }

    /// What the piece is, for its caption: the items that it defines, or the function
    /// it is a part of, with the `impl` or `trait` around it.
    #[must_use]
    pub fn place(&self, source: &str) -> String {
        let indent = self.indent();
        let own: Vec<String> = self
            .lines
            .iter()
            .filter(|(_, line)| depth(line) == indent)
            .filter_map(|(_, line)| item(line))
            .collect();
        let Some((first, _)) = self.span() else {
            return String::new();
        };
        let above: Vec<&str> = source.lines().take(first - 1).collect();
        let mut around = Vec::new();
        let mut limit = indent;
        for line in above.iter().rev() {
            let depth = depth(line);
            if limit == 0 {
                break;
            }
            if line.trim().is_empty() || depth >= limit {
                continue;
            }
            if let Some(name) = item(line) {
                around.push(name);
                limit = depth;
            } else if line.trim_start().starts_with([')', '}']) {
                // The end of a signature over several lines, or of a block before.
            } else {
                limit = limit.min(depth.max(1));
            }
        }
        let mut parts = Vec::new();
        match own.as_slice() {
            [] => {}
            [one] => parts.push(one.clone()),
            [first, second] => parts.push(format!("{first}, {second}")),
            [first, .., last] => parts.push(format!("{first} … {last}")),
        }
        parts.extend(around.into_iter().filter(|name| !name.starts_with("mod ")));
        parts.truncate(2);
        parts.join(" in ")
    }
}

/// How far a line is indented, in bytes. Other white space than blanks and tabs, such as a
/// no-break space, is text: it may be a part of a longer character.
pub(super) fn depth(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '\t']).len()
}

/// The item that starts on this line, as a short name: `fn sweep`, `struct Tape`,
/// `impl Backward for Tanh`.
pub(super) fn item(line: &str) -> Option<String> {
    let mut rest = line.trim_start();
    while let Some(shorter) = [
        "pub(crate) ",
        "pub(super) ",
        "pub ",
        "default ",
        "async ",
        "unsafe ",
        "const fn ",
    ]
    .iter()
    .find_map(|word| {
        rest.strip_prefix(word)
            .map(|r| if *word == "const fn " { &rest[6..] } else { r })
    }) {
        rest = shorter;
    }
    let (keyword, name) = rest.split_once(' ')?;
    let simple = |name: &str| -> String {
        name.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    match keyword {
        "fn" | "struct" | "enum" | "trait" | "mod" | "const" | "static" | "type"
        | "macro_rules!" | "def" | "class" => {
            let name = simple(name);
            (!name.is_empty()).then(|| format!("{keyword} {name}"))
        }
        _ if rest.starts_with("impl") => {
            let head = rest["impl".len()..]
                .split(" where ")
                .next()
                .unwrap_or_default();
            let head = head.trim().trim_end_matches('{').trim();
            let head = skip_generics(head);
            Some(format!("impl {head}"))
        }
        _ => None,
    }
}

/// `<T: Real> Tensor<T>` without the leading `<T: Real>`.
fn skip_generics(head: &str) -> &str {
    if !head.starts_with('<') {
        return head;
    }
    let mut depth = 0_usize;
    for (at, c) in head.char_indices() {
        match c {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return head[at + 1..].trim_start();
        }
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
//! A file.

// ANCHOR: tape
/// The tape.
pub struct Tape<T> {
    nodes: Vec<T>,
}
// ANCHOR_END: tape

impl<T: Real> Tape<T> {
    // ANCHOR: sweep
    /// Backward.
    pub fn sweep(
        &self,
    ) {
        // ANCHOR: loop
        for node in self.nodes.iter().rev() {
            node.run();

        }
        // ANCHOR_END: loop
    }
    // ANCHOR_END: sweep
}
";

    #[test]
    fn a_piece_is_dedented_and_has_no_markers() {
        let pieces = pieces(SOURCE).unwrap();
        assert_eq!(
            pieces.keys().copied().collect::<Vec<_>>(),
            ["loop", "sweep", "tape"]
        );
        assert_eq!(
            pieces["loop"].text(),
            "for node in self.nodes.iter().rev() {\n    node.run();\n\n}"
        );
        assert_eq!(pieces["loop"].span(), Some((17, 20)));
        assert!(
            pieces["sweep"]
                .text()
                .starts_with("/// Backward.\npub fn sweep(")
        );
        assert!(!pieces["sweep"].text().contains("ANCHOR"));
    }

    #[test]
    fn strange_white_space_is_text() {
        let source = "// ANCHOR: a\n  x\n \u{a0}y\n\u{2003}\n// ANCHOR_END: a\n";
        let pieces = pieces(source).unwrap();
        assert_eq!(pieces["a"].text(), " x\n\u{a0}y");
        assert_eq!(pieces["a"].place(source), "");
    }

    #[test]
    fn a_piece_that_is_cut_is_noticed() {
        let cut = |text: &str| Piece::whole(text).is_cut();
        for text in [
            "fn f() {\n    g();\n}\n",
            "let s = \"{ \\\" {\"; // {\n",
            "let c = '{';\nlet q = '\"';\nlet l: &'a T;\n",
        ] {
            assert!(!cut(text), "{text}");
        }
        for text in ["impl A {\n    fn f() {}\n", "    }\n}\n", "} else {\n"] {
            assert!(cut(text), "{text}");
        }
    }

    #[test]
    fn a_piece_knows_what_it_is() {
        let pieces = pieces(SOURCE).unwrap();
        assert_eq!(pieces["tape"].place(SOURCE), "struct Tape");
        assert_eq!(pieces["sweep"].place(SOURCE), "fn sweep in impl Tape<T>");
        assert_eq!(pieces["loop"].place(SOURCE), "fn sweep in impl Tape<T>");
    }

    #[test]
    fn items_are_named_shortly() {
        for (line, name) in [
            ("    pub const fn zero() -> Self {", "fn zero"),
            ("pub(crate) fn sum<T>(x: &[T]) -> T {", "fn sum"),
            (
                "impl<T: Real> Backward<T> for Tanh<T> {",
                "impl Backward<T> for Tanh<T>",
            ),
            ("impl Tape {", "impl Tape"),
            ("def make(x):", "def make"),
        ] {
            assert_eq!(item(line).as_deref(), Some(name), "{line}");
        }
        assert_eq!(item("let x = 1;"), None);
        assert_eq!(item("for x in y {"), None);
    }

    #[test]
    fn markers_come_in_pairs() {
        for (source, line, word) in [
            ("// ANCHOR: a\n", 1, "no end"),
            ("\n// ANCHOR_END: a\n", 2, "without a start"),
            ("// ANCHOR: a\n// ANCHOR_END: a\n# ANCHOR: a\n", 3, "twice"),
        ] {
            let (at, message) = pieces(source).unwrap_err();
            assert_eq!(at, line);
            assert!(message.contains(word), "{message}");
        }
    }
}
