//! Code taken from the crates by the names of its items, as a reader would name them.
//!
//! `Tape::sweep` is a method of `Tape`, `NodeId` a type, `impl-Display-for-Report` a block,
//! and `new..grow` is everything from the one item to the other. The sources are in the form
//! that rustfmt gives them, so an item ends at the first line that closes it at its own
//! depth, and no parser is needed.

use std::ops::Range;

use super::listing::{Piece, depth, item, marker};

/// An item of a source file, with the comments and attributes in front of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Item {
    /// Its name, with the type or the module that it belongs to in front.
    pub path: String,
    /// The numbers of its first and its last line, from 1.
    pub lines: [usize; 2],
}

/// All items of a source; those of blocks and modules come after their block.
#[must_use]
pub fn items(source: &str) -> Vec<Item> {
    let lines: Vec<&str> = source.lines().collect();
    let mut found = Vec::new();
    within(&lines, 0..lines.len(), 0, "", &mut found);
    found
}

/// The lines of the item `path` of `source`, or of all in `FIRST..LAST`.
///
/// # Errors
/// One line, when there is no such item, or more than one.
pub fn find<'a>(source: &'a str, path: &str) -> Result<Piece<'a>, String> {
    let all = items(source);
    let one = |path: &str| {
        let mut named = all.iter().filter(|item| is_named(&item.path, path));
        match (named.next(), named.next()) {
            (Some(item), None) => Ok(item.lines),
            (None, _) => Err(format!("has no item and no anchor `{path}`")),
            _ => Err(format!(
                "has more than one `{path}`: write the `impl` it stands in, such as `impl-From<usize>-for-Pair`"
            )),
        }
    };
    let (first, last) = path.split_once("..").unwrap_or((path, path));
    let ([first, _], [_, last]) = (one(first)?, one(last)?);
    if last < first {
        return Err(format!("has the items of `{path}` in the other order"));
    }
    let numbered = source.lines().enumerate().map(|(i, line)| (i + 1, line));
    let shown =
        |(number, line): &(usize, &str)| (first..=last).contains(number) && marker(line).is_none();
    Ok(Piece {
        lines: numbered.filter(shown).collect(),
    })
}

/// Whether `meant` names the item: what a trait is of may be left out.
fn is_named(item: &str, meant: &str) -> bool {
    item == meant || item.starts_with("impl-") && plain(item) == meant
}

/// The items among lines of the same depth, and those inside of them.
fn within(lines: &[&str], range: Range<usize>, indent: usize, prefix: &str, found: &mut Vec<Item>) {
    let mut start = None;
    let mut at = range.start;
    while at < range.end {
        let text = lines[at].trim();
        if text.is_empty() || depth(lines[at]) != indent || text.starts_with("//!") {
            start = None;
        } else if marker(lines[at]).is_some() {
            // It may stand between an item and its comment.
        } else if text.starts_with("//") {
            start.get_or_insert(at);
        } else if text.starts_with('#') {
            start.get_or_insert(at);
            at = end(lines, at, &[']']);
        } else {
            let last = end(lines, at, &['}', ';']);
            let (name, inside) = names(lines[at], prefix);
            let first = start.take().unwrap_or(at);
            found.push(Item {
                path: name,
                lines: [first + 1, last + 1],
            });
            if let Some(inside) = inside {
                // Its head may have lines of its own, as a `where` has.
                let opens = |line: &usize| {
                    depth(lines[*line]) == indent && lines[*line].trim_end().ends_with('{')
                };
                let open = (at..last).find(opens).unwrap_or(at);
                within(lines, open + 1..last, indent + 4, &inside, found);
            }
            at = last;
        }
        at += 1;
    }
}

/// The line that ends what begins `at` this one: the first of the same depth that ends in one
/// of `marks`. It is the first line itself, or begins with a brace that closes.
fn end(lines: &[&str], at: usize, marks: &[char]) -> usize {
    let ends = |line: &usize| {
        let text = lines[*line].trim();
        let whole = match *line == at {
            true => text.matches('{').count() == text.matches('}').count(),
            false => text.starts_with(['}', ')', ']']),
        };
        whole && depth(lines[*line]) == depth(lines[at]) && text.ends_with(marks)
    };
    (at..lines.len()).find(ends).unwrap_or(lines.len() - 1)
}

/// The name of the item that begins on this line, and what stands in front of the names of
/// those inside of it.
fn names(line: &str, prefix: &str) -> (String, Option<String>) {
    let Some(item) = item(line) else {
        // The call of a macro, or a `use`.
        let call = line
            .trim()
            .split(['(', '{', ';'])
            .next()
            .unwrap_or_default();
        return (format!("{prefix}{}", plain(call)), None);
    };
    let (keyword, name) = item.split_once(' ').unwrap_or((&item, ""));
    if keyword != "impl" {
        let path = format!("{prefix}{name}");
        let inside = matches!(keyword, "mod" | "trait").then(|| format!("{path}::"));
        return (path, inside);
    }
    let name = name.trim_end_matches(" {}");
    let (of, owner) = match name.split_once(" for ") {
        Some((of, owner)) => (Some(of.replace(' ', "")), owner),
        None => (None, name),
    };
    let owner = plain(owner);
    let path = match of {
        Some(of) => format!("{prefix}impl-{of}-for-{owner}"),
        None => format!("{prefix}impl-{owner}"),
    };
    (path, Some(format!("{prefix}{owner}::")))
}

/// A name without arguments of types, `&` and blanks.
fn plain(text: &str) -> String {
    let mut open = 0_usize;
    let mut kept = String::new();
    for c in text.chars() {
        match c {
            '<' => open += 1,
            '>' => open = open.saturating_sub(1),
            ' ' | '&' => {}
            c if open == 0 => kept.push(c),
            _ => {}
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
//! A file.

use std::fmt;

/// How many.
const MOST: usize = 3;

/// The tape.
#[derive(
    Clone, Debug,
)]
pub struct Tape<T> {
    nodes: Vec<T>,
}

impl<T: Real> Tape<T> {
    /// Backward.
    pub fn sweep(
        &self,
    ) -> T
    where
        T: Copy,
    {
        for node in self.nodes.iter().rev() {
            node.run();
        }
    }

    // ANCHOR: piece
    fn one(&self) -> usize {
        1
    }
    // ANCHOR_END: piece
}

impl From<[usize; 2]> for Pair {
    fn from(pair: [usize; 2]) -> Self {
        Pair(pair)
    }
}

impl From<usize> for Pair {
    fn from(both: usize) -> Self {
        Pair([both; 2])
    }
}

impl<'a, T> Default for &'a Tape<T> {}

thread_local! {
    static INSIDE: bool = false;
}

impl<T, F> Backward<T> for Record<T, F>
where
    F: Fn() -> T,
{
    fn name(&self) -> T {
        (self.f)()
    }
}

trait Walk {
    fn next(&mut self) -> usize;
}

struct Unit;
";

    fn text(path: &str) -> Result<String, String> {
        find(SOURCE, path).map(|piece| piece.text())
    }

    #[test]
    fn every_item_has_its_name() {
        let all = items(SOURCE);
        let paths: Vec<&str> = all.iter().map(|item| item.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "usestd::fmt",
                "MOST",
                "Tape",
                "impl-Tape",
                "Tape::sweep",
                "Tape::one",
                "impl-From<[usize;2]>-for-Pair",
                "Pair::from",
                "impl-From<usize>-for-Pair",
                "Pair::from",
                "impl-Default-for-'aTape",
                "thread_local!",
                "impl-Backward<T>-for-Record",
                "Record::name",
                "Walk",
                "Walk::next",
                "Unit",
            ]
        );
    }

    #[test]
    fn an_item_comes_with_its_comment_and_to_its_end() {
        assert_eq!(
            text("MOST").unwrap(),
            "/// How many.\nconst MOST: usize = 3;"
        );
        let tape = text("Tape").unwrap();
        assert!(
            tape.starts_with("/// The tape.\n#[derive(\n") && tape.ends_with("nodes: Vec<T>,\n}")
        );
        let sweep = text("Tape::sweep").unwrap();
        assert!(sweep.starts_with("/// Backward.\npub fn sweep(\n") && sweep.ends_with("    }\n}"));
        assert_eq!(
            text("Tape::one").unwrap(),
            "fn one(&self) -> usize {\n    1\n}"
        );
        assert_eq!(text("Unit").unwrap(), "struct Unit;");
        assert_eq!(text("Walk::next").unwrap(), "fn next(&mut self) -> usize;");
    }

    #[test]
    fn a_range_runs_from_item_to_item() {
        let range = text("impl-From<usize>-for-Pair..Walk").unwrap();
        assert!(range.starts_with("impl From<usize>") && range.ends_with("-> usize;\n}"));
        assert!(text("Walk..MOST").unwrap_err().contains("other order"));
    }

    #[test]
    fn a_name_is_one_item() {
        assert!(
            text("Tape::swept")
                .unwrap_err()
                .contains("no item and no anchor `Tape::swept`")
        );
        for twice in ["Pair::from", "impl-From-for-Pair"] {
            assert!(
                text(twice).unwrap_err().contains("more than one"),
                "{twice}"
            );
        }
        assert!(text("impl-From<usize>-for-Pair").is_ok());
        assert!(text("thread_local!").unwrap().ends_with('}'));
    }
}
