//! How a report leaves the program that made it, and how it is read by the one that ran it.
//!
//! It goes into a file that the one who runs the program names. What the program prints is
//! its own affair: the reader's `print!` can neither hide a report nor be taken for one.

use crate::Report;
use std::env;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

/// An exercise that runs longer than this is stopped: every one takes milliseconds.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The environment variable that names the file for the report.
const VARIABLE: &str = "EXERCISE_REPORT";
/// A longer report is none: the longest is some ten thousand characters.
const LONGEST: u64 = 4 << 20;

/// Makes `command`, which runs an exercise, leave its report in `file` for [`read`].
pub fn ask(command: &mut Command, file: &Path) {
    command.env(VARIABLE, file);
}

/// Makes `command`, which runs an exercise, print its report for people, whatever the
/// environment asks for.
pub fn ask_nothing(command: &mut Command) {
    command.env_remove(VARIABLE);
}

/// Called by an exercise before it does anything. One that was asked for a report ends
/// itself some time after the limit: whoever should have stopped it may be gone, by Ctrl-C
/// or in another way, and nobody else would.
pub fn begin() {
    if env::var_os(VARIABLE).is_some() {
        end_after(TIME_LIMIT + Duration::from_secs(5));
    }
}

fn end_after(time: Duration) {
    // Without the thread the exercise can still be stopped from outside.
    let _ = thread::Builder::new().spawn(move || {
        thread::sleep(time);
        std::process::exit(1);
    });
}

/// Leaves `report` where it was asked for, or prints it for people; success when the
/// exercise passes.
#[must_use]
pub fn tell(report: &Report) -> ExitCode {
    match env::var_os(VARIABLE) {
        Some(file) => {
            // A report holds only numbers, texts and lists: it can always be written.
            let text = serde_json::to_string(report).unwrap_or_default();
            if let Err(error) = fs::write(&file, text) {
                eprintln!("cannot write {}: {error}", Path::new(&file).display());
                return ExitCode::FAILURE;
            }
        }
        None => print!("{report}"),
    }
    if report.passed() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The report in `file`, if a program that was [asked](ask) for one has left one there.
///
/// # Errors
/// When the file cannot be read.
pub fn read(file: &Path) -> io::Result<Option<Report>> {
    let mut text = Vec::new();
    File::open(file)?.take(LONGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Ok(None);
    }
    Ok(serde_json::from_slice(&text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Heatmap, Line, Outcome, Weight};

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
            blocks: vec!["all of it".to_owned()],
            expected: vec![0.1, 1.0 / 3.0, 0.0, 0.0],
            found: vec![f64::INFINITY, 1e-300, f64::NEG_INFINITY, f64::NAN],
        });
        report.weights.push(Weight {
            path: "the direct path".to_owned(),
            weight: -0.5,
        });
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report");
        fs::write(&file, serde_json::to_string(&report).unwrap()).unwrap();
        let mut told = read(&file).unwrap().unwrap();
        // NaN equals nothing, so it is looked at by itself.
        for map in [&mut told.heatmap, &mut report.heatmap] {
            let last = map.as_mut().and_then(|map| map.found.pop());
            assert!(last.is_some_and(f64::is_nan));
        }
        assert_eq!(told, report);
    }

    /// This test runs itself as an exercise that never ends, and that nobody stops.
    #[test]
    fn an_exercise_that_nobody_stops_ends_itself() {
        const ROLE: &str = "VERDICT_TEST_ENDLESS";
        if env::var_os(ROLE).is_some() {
            end_after(Duration::from_millis(50));
            loop {
                thread::park();
            }
        }
        let status = Command::new(env::current_exe().unwrap())
            .args(["an_exercise_that_nobody_stops_ends_itself"])
            .env(ROLE, "")
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(1));
    }

    #[test]
    fn what_is_no_report_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report");
        assert!(read(&file).is_err());
        let report = serde_json::to_string(&Report::new("a", Outcome::Passed, "b")).unwrap();
        let longest = usize::try_from(LONGEST).unwrap();
        let padded = |length: usize| format!("{report}{}", " ".repeat(length - report.len()));
        for (text, found) in [
            (String::new(), false),
            (report[1..].to_owned(), false),
            (padded(longest), true),
            (padded(longest + 1), false),
        ] {
            fs::write(&file, &text).unwrap();
            assert_eq!(read(&file).unwrap().is_some(), found, "{}", text.len());
        }
    }
}
