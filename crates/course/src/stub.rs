//! An exercise as it was shipped, made from its solution.
//!
//! A solution marks what the reader writes with `// ANCHOR: solution` (or
//! `solution-…`, where there are several places) and the matching end. The stub is the
//! same file with each such piece replaced by `todo!()`: the two cannot drift apart.

use anyhow::{Result, bail};

const START: &str = "// ANCHOR: solution";
const END: &str = "// ANCHOR_END: solution";

/// The exercise file that belongs to a solution.
///
/// # Errors
/// When the solution marks nothing, or a mark has no partner.
pub fn from_solution(solution: &str) -> Result<String> {
    let mut stub = String::new();
    let (mut inside, mut places) = (false, 0);
    for line in solution.lines() {
        let text = line.trim_start();
        if text.starts_with(START) {
            if inside {
                bail!("the solution marks one piece inside another");
            }
            inside = true;
            places += 1;
            stub.push_str(&line[..line.len() - text.len()]);
            stub.push_str("todo!()\n");
        } else if text.starts_with(END) {
            if !inside {
                bail!("the solution ends a piece that it did not begin");
            }
            inside = false;
        } else if !inside {
            stub.push_str(line);
            stub.push('\n');
        }
    }
    if inside || places == 0 {
        bail!("the solution marks nothing, or does not end what it marks");
    }
    Ok(stub)
}

/// The solution as a reader wants to see it: without the marks.
#[must_use]
pub fn without_marks(solution: &str) -> String {
    let mark = |line: &&str| {
        let text = line.trim_start();
        !text.starts_with(START) && !text.starts_with(END)
    };
    solution
        .lines()
        .filter(mark)
        .fold(String::new(), |text, line| text + line + "\n")
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
    fn marks_come_in_pairs() {
        for wrong in [
            "fn f() {}\n",
            "// ANCHOR: solution\n",
            "// ANCHOR_END: solution\n",
            "// ANCHOR: solution-a\n// ANCHOR: solution-b\n",
        ] {
            assert!(from_solution(wrong).is_err(), "{wrong}");
        }
    }
}
