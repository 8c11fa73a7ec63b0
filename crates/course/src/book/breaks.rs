//! Where a displayed formula may be broken, so that it fits a phone.
//!
//! A browser lays out one `<math>` on one line. So a displayed formula is several of them, side by
//! side where there is room: one for each piece that begins with a relation, or with a plus or a
//! minus, outside of all brackets but those whose size is written, such as `\\Bigl(`. A wide space
//! ends a part, between which it is broken first. What stands in an `aligned` of its own keeps its
//! rows and columns.

use std::ops::Range;

/// What stands between two wide spaces: pieces, each a place in the LaTeX.
pub type Part = Vec<Range<usize>>;
/// A formula as rows of cells of parts.
pub type Rows = Vec<Vec<Vec<Part>>>;

/// The rows of a displayed formula. One that is no `aligned` has one row of one cell.
pub fn rows(latex: &str) -> Rows {
    let start = latex.len() - latex.trim_start().len();
    let end = latex.trim_end().len();
    let inner = latex[start..end.max(start)]
        .strip_prefix(r"\begin{aligned}")
        .and_then(|rest| rest.strip_suffix(r"\end{aligned}"))
        .filter(|inner| !inner.contains(r"\begin") && !inner.contains(r"\end"));
    let Some(inner) = inner else {
        return vec![vec![parts(latex, 0..latex.len())]];
    };
    let offset = start + r"\begin{aligned}".len();
    let (mut rows, mut row, mut from) = (Vec::new(), Vec::new(), offset);
    let mut depth = 0_usize;
    for (at, token) in tokens(inner) {
        let at = offset + at;
        match token {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            "&" if depth == 0 => {
                row.push(parts(latex, from..at));
                from = at + 1;
            }
            r"\\" if depth == 0 => {
                row.push(parts(latex, from..at));
                rows.push(std::mem::take(&mut row));
                from = at + 2;
            }
            _ => {}
        }
    }
    row.push(parts(latex, from..offset + inner.len()));
    rows.push(row);
    rows
}

/// What a token is, for what may follow it.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Before {
    /// Nothing to which a sign could belong.
    Nothing,
    /// Something that a plus adds to.
    Operand,
}

/// The parts of what stands in one cell: all of it as one piece where its brackets do not match.
fn parts(latex: &str, range: Range<usize>) -> Vec<Part> {
    let text = &latex[range.clone()];
    let whole = || {
        trimmed(latex, range.clone())
            .map(|all| vec![all])
            .into_iter()
            .collect()
    };
    let (mut parts, mut part, mut from) = (Vec::new(), Part::new(), 0);
    let mut cut = |part: &mut Part, at: usize| {
        part.extend(trimmed(latex, range.start + from..range.start + at));
        from = at;
    };
    let (mut depth, mut bars, mut before, mut script) = (0_i32, false, Before::Nothing, false);
    let mut bracket = false;
    // Whether the part has begun with anything but space.
    let mut seen = false;
    // The depth at which the sign that `\mathrel` names stands: it is no operand.
    let mut named = None;
    for (at, token) in tokens(text) {
        let space = token.trim().is_empty() || [r"\,", r"\;", r"\!", r"\ "].contains(&token);
        if space {
            continue;
        }
        // The bracket of `\left(` is counted with its word, and a script's one token is no place.
        if std::mem::take(&mut bracket) {
            continue;
        }
        let low = std::mem::take(&mut script);
        let begun = std::mem::replace(&mut seen, true);
        match token {
            "_" | "^" => {
                script = true;
                continue;
            }
            r"\left" => {
                depth += 1;
                bracket = true;
            }
            r"\right" => {
                depth -= 1;
                bracket = true;
            }
            _ if sized(token) => bracket = true,
            r"\begin" => depth += 1,
            r"\end" => depth -= 1,
            "{" | "(" | "[" | r"\langle" | r"\lVert" | r"\{" => depth += 1,
            "}" | ")" | "]" | r"\rangle" | r"\rVert" | r"\}" => depth -= 1,
            "|" => {
                depth += if bars { -1 } else { 1 };
                bars = !bars;
            }
            r"\color" if depth == 0 => return whole(),
            _ if depth > 0 || low => {}
            // An indent belongs to what it indents.
            r"\quad" | r"\qquad" => {
                seen = false;
                if !begun {
                    continue;
                }
                cut(&mut part, at + token.len());
                parts.push(std::mem::take(&mut part));
                before = Before::Nothing;
                continue;
            }
            // The terms of a gradient, each in the colour of its path; the sign stands inside.
            r"\direct" | r"\viamean" | r"\viavar" if before == Before::Operand => {
                cut(&mut part, at);
            }
            _ if relation(token) => {
                if before == Before::Operand {
                    cut(&mut part, at);
                }
                before = Before::Nothing;
                named = (token == r"\mathrel").then_some(depth);
                continue;
            }
            "+" | "-" => {
                if before == Before::Operand {
                    cut(&mut part, at);
                }
                before = Before::Nothing;
                continue;
            }
            "," | r"\cdot" | r"\odot" => {
                before = Before::Nothing;
                continue;
            }
            _ => {}
        }
        if depth < 0 {
            return whole();
        }
        let sign = named == Some(depth) && token == "}";
        if sign {
            named = None;
        }
        before = if sign {
            Before::Nothing
        } else {
            Before::Operand
        };
    }
    if depth != 0 {
        return whole();
    }
    cut(&mut part, text.len());
    parts.push(part);
    parts.retain(|part| !part.is_empty());
    parts
}

/// Whether a piece begins with an operator that has its room on both sides: a relation, or in a
/// piece that continues another one a plus or a minus.
pub fn infix(piece: &str, continues: bool) -> bool {
    let sign = |token| continues && ["+", "-"].contains(&token);
    tokens(piece)
        .next()
        .is_some_and(|(_, token)| relation(token) || sign(token))
}

/// Whether a bracket of a size that is written follows: one that need not be on the line of its
/// other half.
fn sized(token: &str) -> bool {
    let size = token.trim_end_matches(['l', 'r', 'm']);
    [r"\big", r"\Big", r"\bigg", r"\Bigg"].contains(&size)
}

fn relation(token: &str) -> bool {
    let names = [
        "=",
        r"\approx",
        r"\le",
        r"\ge",
        r"\ne",
        r"\neq",
        r"\leq",
        r"\geq",
        r"\propto",
        r"\sim",
        r"\mathrel",
        r"\in",
        r"\to",
        r"\equiv",
        r"\Rightarrow",
    ];
    names.contains(&token)
}

/// The range without the spaces around; nothing when it holds no more.
fn trimmed(latex: &str, range: Range<usize>) -> Option<Range<usize>> {
    let text = &latex[range.clone()];
    let start = range.start + text.len() - text.trim_start().len();
    let end = range.start + text.trim_end().len();
    // A backslash at the end belongs to the space behind it.
    let end = if text.trim_end().ends_with('\\') {
        range.end
    } else {
        end
    };
    (start < end).then_some(start..end)
}

/// The tokens of LaTeX with their places: `\word`, `\,` and every other character by itself.
fn tokens(latex: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &latex[at..];
        let first = rest.chars().next()?;
        let length = if first == '\\' {
            let word = rest[1..].find(|c: char| !c.is_ascii_alphabetic());
            let word = word.unwrap_or(rest.len() - 1);
            1 + word.max(
                rest[1..]
                    .chars()
                    .next()
                    .filter(|_| word == 0)
                    .map_or(0, char::len_utf8),
            )
        } else {
            first.len_utf8()
        };
        let found = (at, &rest[..length]);
        at += length;
        Some(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(latex: &str) -> Vec<Vec<Vec<Vec<&str>>>> {
        let part = |part: Part| part.into_iter().map(|range| &latex[range]).collect();
        let cell = |cell: Vec<Part>| cell.into_iter().map(part).collect();
        let row = |row: Vec<Vec<Part>>| row.into_iter().map(cell).collect();
        rows(latex).into_iter().map(row).collect()
    }

    fn line(latex: &str) -> Vec<Vec<&str>> {
        let mut rows = split(latex);
        assert_eq!((rows.len(), rows[0].len()), (1, 1), "{latex}");
        rows.remove(0).remove(0)
    }

    #[test]
    fn a_formula_breaks_at_relations_and_signs_outside_of_brackets() {
        for (formula, pieces) in [
            ("a = b + c", vec!["a", "= b", "+ c"]),
            (r"a_+ = -b \,+ c^-", vec!["a_+", r"= -b \,", "+ c^-"]),
            (
                r"\sum_{i=1}^{n} x \mathrel{+}= y",
                vec![r"\sum_{i=1}^{n} x", r"\mathrel{+}= y"],
            ),
            (
                r"\frac{a}{b} \left( c - d \right)",
                vec![r"\frac{a}{b} \left( c - d \right)"],
            ),
            (r"|a + b| - |c|", vec!["|a + b|", "- |c|"]),
            (
                r"\lVert a - b \rVert^2 \cdot -1",
                vec![r"\lVert a - b \rVert^2 \cdot -1"],
            ),
            (
                r"x = r \Bigl( a - b \viamean{- c} \Bigr)",
                vec!["x", r"= r \Bigl( a", "- b", r"\viamean{- c} \Bigr)"],
            ),
        ] {
            assert_eq!(line(formula), [pieces], "{formula}");
        }
    }

    #[test]
    fn a_wide_space_ends_a_part() {
        assert_eq!(
            line(r"x = 0, \qquad y \approx f(a + b) ."),
            [vec!["x", r"= 0, \qquad"], vec!["y", r"\approx f(a + b) ."]]
        );
        assert_eq!(line(r"\qquad a"), [[r"\qquad a"]]);
    }

    #[test]
    fn what_cannot_be_cut_stays_whole() {
        for whole in [
            "[a, b[ = c + d",
            r"\left( a + b",
            r"\color{blue} a = b",
            "(a = b",
            r"\begin{cases} a = b \end{cases}",
        ] {
            assert_eq!(line(whole), [vec![whole]]);
        }
        assert!(line(" ").is_empty());
    }

    #[test]
    fn what_is_aligned_keeps_its_rows_and_columns() {
        let found =
            split(r" \begin{aligned} a &= b + c && \text{so} \\ &= {d \\ e} . \end{aligned} ");
        let one = |piece| vec![vec![piece]];
        assert_eq!(
            found[0],
            [
                one("a"),
                vec![vec!["= b", "+ c"]],
                vec![],
                one(r"\text{so}")
            ]
        );
        assert_eq!(found[1], [vec![], one(r"= {d \\ e} .")]);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_sign_at_the_start_of_a_piece_has_room_on_both_sides() {
        for (piece, first, later) in [
            ("= b", true, true),
            ("- c", false, true),
            (r"\mathrel{+}= y", true, true),
            ("b = c", false, false),
            ("", false, false),
        ] {
            assert_eq!(
                (infix(piece, false), infix(piece, true)),
                (first, later),
                "{piece}"
            );
        }
    }
}
