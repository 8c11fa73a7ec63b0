//! An exercise as it was shipped, made from its solution.
//!
//! A solution marks what the reader writes with `// ANCHOR: solution` (or
//! `solution-…`, where there are several places) and the matching end. The stub is the
//! same file with each such piece replaced by `todo!()`: the two cannot drift apart.
//!
//! An exercise that ships with something to change, such as a bug to find, has it in the
//! marked piece, on lines that begin with `// SHIPPED:`. They take the place of `todo!()`.
//!
//! Lines end as they do in the solution: in a checkout whose lines end with two characters,
//! an exercise that nobody has touched is as it was shipped.

use anyhow::{Result, bail};

const START: &str = "// ANCHOR: solution";
const END: &str = "// ANCHOR_END: solution";
const SHIPPED: &str = "// SHIPPED:";

/// The exercise file that belongs to a solution.
///
/// # Errors
/// When the solution marks nothing, or a mark has no partner.
pub fn from_solution(solution: &str) -> Result<String> {
    let mut stub = String::new();
    let (mut indent, mut shipped, mut places) = (None, String::new(), 0);
    for line in solution.split_inclusive('\n') {
        let (line, end) = line.split_at(line.trim_end_matches(['\r', '\n']).len());
        let text = line.trim_start();
        let space = &line[..line.len() - text.len()];
        if text.starts_with(START) {
            if indent.is_some() {
                bail!("the solution marks one piece inside another");
            }
            indent = Some(space);
            places += 1;
        } else if text.starts_with(END) {
            let Some(space) = indent.take() else {
                bail!("the solution ends a piece that it did not begin");
            };
            if shipped.is_empty() {
                shipped = format!("{space}todo!(){end}");
            }
            stub += &std::mem::take(&mut shipped);
        } else if let Some(code) = text.strip_prefix(SHIPPED) {
            if indent.is_none() {
                bail!("the solution ships a line outside a marked piece");
            }
            shipped += &format!("{space}{}{end}", code.strip_prefix(' ').unwrap_or(code));
        } else if indent.is_none() {
            stub.push_str(line);
            stub.push_str(end);
        }
    }
    if indent.is_some() || places == 0 {
        bail!("the solution marks nothing, or does not end what it marks");
    }
    Ok(stub)
}

/// The solution as a reader wants to see it: without the marks.
#[must_use]
pub fn without_marks(solution: &str) -> String {
    let mark = |line: &&str| {
        let text = line.trim_start();
        ![START, END, SHIPPED]
            .iter()
            .any(|mark| text.starts_with(mark))
    };
    solution.split_inclusive('\n').filter(mark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOLUTION: &str = "fn f(x: f64) -> f64 {\n    // ANCHOR: solution\n    let y = x;\n    y\n    // ANCHOR_END: solution\n}\n";

    #[test]
    fn the_marked_piece_becomes_todo() {
        assert_eq!(
            from_solution(SOLUTION).unwrap(),
            "fn f(x: f64) -> f64 {\n    todo!()\n}\n"
        );
        assert_eq!(
            without_marks(SOLUTION),
            "fn f(x: f64) -> f64 {\n    let y = x;\n    y\n}\n"
        );
    }

    #[test]
    fn lines_end_as_in_the_solution() {
        let shipped = SOLUTION.replace("    // ANCHOR_END", "    // SHIPPED: x\n    // ANCHOR_END");
        for solution in [SOLUTION.to_owned(), shipped] {
            let two = |text: String| text.replace('\n', "\r\n");
            let stub = from_solution(&solution).unwrap();
            assert_eq!(from_solution(&two(solution.clone())).unwrap(), two(stub));
            let plain = without_marks(&solution);
            assert_eq!(without_marks(&two(solution)), two(plain));
        }
    }

    #[test]
    fn shipped_lines_take_the_place_of_todo() {
        let solution = "a\n    // ANCHOR: solution-one\n    // SHIPPED: let y = 2.0;\n    // SHIPPED: y\n    x\n    // ANCHOR_END: solution-one\n// ANCHOR: solution-two\nb\n// ANCHOR_END: solution-two\n";
        assert_eq!(
            from_solution(solution).unwrap(),
            "a\n    let y = 2.0;\n    y\ntodo!()\n"
        );
        assert_eq!(without_marks(solution), "a\n    x\nb\n");
    }

    #[test]
    fn marks_come_in_pairs() {
        for wrong in [
            "fn f() {}\n",
            "// ANCHOR: solution\n",
            "// ANCHOR_END: solution\n",
            "// ANCHOR: solution-a\n// ANCHOR: solution-b\n",
            "// SHIPPED: x\n// ANCHOR: solution\n// ANCHOR_END: solution\n",
        ] {
            assert!(from_solution(wrong).is_err(), "{wrong}");
        }
    }
}
