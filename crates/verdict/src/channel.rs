//! How a report leaves the program that made it, and how it is read by the one that ran it.

use crate::Report;
use std::env;
use std::process::{Command, ExitCode};

/// The environment variable that makes an exercise print its report as one line of JSON,
/// when it is set to [`JSON`].
const VARIABLE: &str = "EXERCISE_REPORT";
const JSON: &str = "json";

/// Makes `command`, which runs an exercise, print its report so that [`read`] can read it.
pub fn ask(command: &mut Command) {
    command.env(VARIABLE, JSON);
}

/// Makes `command`, which runs an exercise, print its report for people, whatever the
/// environment asks for.
pub fn ask_nothing(command: &mut Command) {
    command.env_remove(VARIABLE);
}

/// Prints `report`, for people or, when asked, as a line of JSON; success when the exercise
/// passes.
#[must_use]
pub fn tell(report: &Report) -> ExitCode {
    if env::var(VARIABLE).is_ok_and(|format| format == JSON) {
        // A report holds only numbers, texts and lists: it can always be printed.
        println!("{}", serde_json::to_string(report).unwrap_or_default());
    } else {
        print!("{report}");
    }
    if report.passed() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The report in what a program printed that was [asked](ask) for one: the last line that
/// is one, whatever else the program prints.
#[must_use]
pub fn read(printed: &str) -> Option<Report> {
    let mut lines = printed.lines().rev();
    lines.find_map(|line| serde_json::from_str(line).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Heatmap, Line, Outcome};

    /// All of it, and values that JSON has no numbers for.
    #[test]
    fn what_is_read_is_what_was_told() {
        let mut report = Report::new("a", Outcome::Wrong, "dx[2, 0] is NaN\nand must be 0.1");
        report.mistake = Some("not-finite".to_owned());
        report.section = Some("sec:staged".to_owned());
        report.notes.push("Look there.".to_owned());
        report.lines.push(Line {
            name: "dx".to_owned(),
            right: false,
            detail: "not finite".to_owned(),
        });
        report.heatmap = Some(Heatmap {
            name: "dx".to_owned(),
            rows: 1,
            columns: 2,
            expected: vec![0.1, 1.0 / 3.0],
            found: vec![None, Some(1e-300)],
        });
        let line = serde_json::to_string(&report).unwrap();
        assert_eq!(read(&line), Some(report));
    }

    #[test]
    fn the_last_report_counts_whatever_else_is_printed() {
        let line = |outcome| serde_json::to_string(&Report::new("a", outcome, "b")).unwrap();
        let (wrong, passed) = (line(Outcome::Wrong), line(Outcome::Passed));
        let printed = format!("dx = [1, 2]\n{wrong}\n{passed}\n[3]\n\n");
        assert_eq!(read(&printed).map(|r| r.outcome), Some(Outcome::Passed));
        assert_eq!(read("dx = [1, 2]\n"), None);
    }
}
