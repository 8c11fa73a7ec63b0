//! How a report leaves the program that made it, and how it is read by the one that ran it.
//!
//! It goes into a file that the one who runs the program names. What the program prints is
//! its own affair: the reader's `print!` can neither hide a report nor be taken for one.

use crate::{Moment, Report};
use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

/// An exercise that runs longer than this is stopped: nearly every one takes milliseconds. One
/// that takes its time has a limit of its own.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The environment variable that names the file for the report.
const VARIABLE: &str = "EXERCISE_REPORT";
/// The one that says how many seconds it may take.
const LIMIT: &str = "EXERCISE_SECONDS";
/// How often an exercise looks whether whoever started it is there still.
const LOOK: Duration = Duration::from_millis(200);
/// A longer report is none: the longest is some ten thousand characters.
const LONGEST: u64 = 4 << 20;

/// Makes `command`, which runs an exercise, leave its report in `file` for [`read`], and beside it
/// what it [shows](show) meanwhile, for [`seen`]. It is stopped by whoever runs it when `limit` is
/// over, and ends itself soon after.
pub fn ask(command: &mut Command, file: &Path, limit: Duration) {
    command.env(VARIABLE, file);
    command.env(LIMIT, limit.as_secs().to_string());
}

/// Makes `command`, which runs an exercise, print its report for people, whatever the
/// environment asks for.
pub fn ask_nothing(command: &mut Command) {
    command.env_remove(VARIABLE);
}

/// Called by an exercise before it does anything. One that was asked for a report ends
/// itself when whoever started it is gone, by Ctrl-C or in another way, and some time after the
/// limit in any case: nobody else would.
pub fn begin() {
    if env::var_os(VARIABLE).is_some() {
        let seconds = env::var(LIMIT).ok().and_then(|text| text.parse().ok());
        let limit = seconds.map_or(TIME_LIMIT, Duration::from_secs);
        end_after(limit + Duration::from_secs(5));
        end_with_the_one_who_asked();
    }
}

/// Whoever is gone has left its child to another process.
#[cfg(unix)]
fn end_with_the_one_who_asked() {
    use std::os::unix::process::parent_id;
    let asked = parent_id();
    let _ = thread::Builder::new().spawn(move || {
        while parent_id() == asked {
            thread::sleep(LOOK);
        }
        std::process::exit(1);
    });
}

/// Elsewhere the limit is waited for.
#[cfg(not(unix))]
fn end_with_the_one_who_asked() {
    let _ = LOOK;
}

/// Called by an exercise that takes its time, as often as it likes: only the last moment counts.
/// Where nobody has asked, nothing is shown.
pub fn show(moment: &Moment) {
    let Some(file) = env::var_os(VARIABLE) else {
        return;
    };
    // It takes the place of the one before as a whole. One that cannot be written is not missed.
    let (new, shown) = (beside(&file, ".new"), beside(&file, ".moment"));
    let text = serde_json::to_string(moment).unwrap_or_default();
    let _ = fs::write(&new, text).and_then(|()| fs::rename(&new, &shown));
}

/// Whether anybody would see what is [shown](show).
#[must_use]
pub fn is_watched() -> bool {
    env::var_os(VARIABLE).is_some()
}

/// What the exercise that leaves its report in `file` [shows](show) at present, if it is another
/// moment than `before`.
#[must_use]
pub fn seen(file: &Path, before: Option<&Moment>) -> Option<Moment> {
    let mut text = Vec::new();
    let shown = File::open(beside(file.as_os_str(), ".moment")).ok()?;
    shown.take(LONGEST + 1).read_to_end(&mut text).ok()?;
    let moment: Moment = serde_json::from_slice(&text).ok()?;
    (before != Some(&moment)).then_some(moment)
}

fn beside(file: &std::ffi::OsStr, end: &str) -> PathBuf {
    let mut path = OsString::from(file);
    path.push(end);
    path.into()
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

    /// Each moment takes the place of the one before, and is seen once; what is cut off is none.
    #[test]
    fn what_is_seen_is_the_last_moment_that_was_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report");
        assert_eq!(seen(&file, None), None);
        let shown = beside(file.as_os_str(), ".moment");
        let mut last = None;
        for done in [1, 2] {
            let moment = Moment {
                done,
                of: 2,
                told: "the loss is 0.3".to_owned(),
                drawing: ["<svg/>".to_owned(), String::new()],
            };
            let text = serde_json::to_string(&moment).unwrap();
            fs::write(&shown, &text[1..]).unwrap();
            assert_eq!(seen(&file, last.as_ref()), None);
            fs::write(&shown, text).unwrap();
            assert_eq!(seen(&file, last.as_ref()), Some(moment.clone()));
            assert_eq!(seen(&file, Some(&moment)), None);
            last = Some(moment);
        }
    }

    /// This test runs itself as the one who asks and is gone, and as the exercise, which says so
    /// when it has waited in vain.
    #[cfg(unix)]
    #[test]
    #[expect(
        clippy::zombie_processes,
        reason = "that nobody waits is what is tested"
    )]
    fn an_exercise_ends_with_the_one_who_asked() {
        const ROLE: &str = "VERDICT_TEST_ORPHAN";
        const NAME: &str = "an_exercise_ends_with_the_one_who_asked";
        let again = || {
            let mut command = Command::new(env::current_exe().unwrap());
            command.arg(NAME).stdout(std::process::Stdio::null());
            command
        };
        let place = env::var_os(ROLE).map(PathBuf::from);
        match (place, env::var_os(VARIABLE)) {
            (Some(place), None) => {
                let mut command = again();
                ask(command.env(ROLE, &place), &place.join("report"), TIME_LIMIT);
                command.spawn().unwrap();
                // It is gone when the exercise has begun.
                while !place.join("begun").exists() {
                    thread::sleep(Duration::from_millis(5));
                }
            }
            (Some(place), Some(_)) => {
                begin();
                fs::write(place.join("begun"), "").unwrap();
                for beat in 0..200 {
                    thread::sleep(Duration::from_millis(50));
                    fs::write(place.join("alive"), beat.to_string()).unwrap();
                }
            }
            (None, _) => {
                let folder = tempfile::tempdir().unwrap();
                assert!(again().env(ROLE, folder.path()).status().unwrap().success());
                let alive = || fs::read_to_string(folder.path().join("alive")).unwrap_or_default();
                thread::sleep(4 * LOOK);
                let then = alive();
                thread::sleep(2 * LOOK);
                assert_eq!(alive(), then, "it goes on without anybody");
            }
        }
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
