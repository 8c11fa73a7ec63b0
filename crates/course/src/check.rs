//! Run a compiled exercise, read its report.

use crate::cargo::{Compiled, Work};
use crate::catalogue::Exercise;
use crate::compile::Compiler;
use crate::digest::fingerprint;
use crate::files::Lock;
use crate::process::{self, End};
use crate::progress::Progress;
use crate::workspace::Workspace;
use anstream::eprintln;
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use verdict::channel;
use verdict::{Moment, Outcome, Report, command};

/// How a check of one exercise ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Verdict {
    /// It compiled, ran and was checked.
    Report(Box<Report>),
    /// It does not compile.
    Uncompiled {
        /// The compiler's messages, with ANSI colours.
        messages: String,
        /// How many errors there are.
        errors: usize,
    },
    /// It did not come to an end in time.
    Endless {
        /// How many seconds it had.
        seconds: u64,
    },
    /// It was stopped, for something else was saved meanwhile.
    Stopped,
    /// It was stopped when it had printed more than anyone can read.
    Loud,
    /// It ended without a report: it called `exit`, or ran out of stack or memory.
    Lost {
        /// How it ended.
        message: String,
    },
    /// Its file is gone, or cannot be read.
    Missing {
        /// Which file, and what can be done about it.
        message: String,
    },
}

/// A verdict, and what it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// How the check ended.
    pub verdict: Verdict,
    /// What it printed, on either stream; a part of it when it is long.
    pub printed: String,
    /// The [fingerprint] of the file that was judged; none when there is none to judge.
    pub source: Option<String>,
}

impl Checked {
    /// Records this check of the exercise `name`, unless there was nothing to check.
    pub fn record(&self, name: &str, progress: &mut Progress) {
        if let Some(source) = &self.source {
            let (written, passed) = (self.verdict.written(), self.verdict.passed());
            progress.record(name, written, passed, source);
        }
    }
}

impl Verdict {
    /// Whether the exercise passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        matches!(self, Self::Report(report) if report.passed())
    }

    /// Whether anything was written in it.
    #[must_use]
    pub fn written(&self) -> bool {
        match self {
            Self::Report(report) => report.outcome != Outcome::Unwritten,
            Self::Missing { .. } | Self::Stopped => false,
            Self::Uncompiled { .. } | Self::Endless { .. } | Self::Loud | Self::Lost { .. } => true,
        }
    }
}

/// What a check is at.
#[derive(Clone, Debug)]
pub enum Step {
    /// It waits for another command that checks an exercise.
    Waits,
    /// The exercise is built by cargo, with all that it needs where that is not there yet.
    Builds(Work),
    /// The exercise runs; what it shows, if that is new and it takes its time.
    Runs(Option<Moment>),
}

impl Step {
    /// What a reader is told of the exercise `name` meanwhile: in words, and how many parts of how
    /// many are done. On a phone all of it has one line, or the page would jump with each step.
    #[must_use]
    pub fn told(&self, name: &str) -> (&'static str, Option<[u64; 2]>) {
        match self {
            Self::Waits => ("waiting for another check", None),
            Self::Builds(Work::Waits) => ("waiting for another cargo", None),
            Self::Builds(Work::Fetches) => ("downloading libraries", None),
            // All else is there.
            Self::Builds(Work::Compiles { now, .. }) if *now == format!("{name}(bin)") => {
                ("compiling", None)
            }
            Self::Builds(Work::Compiles { done, of, .. }) => {
                ("compiling what it needs", Some([*done, *of]))
            }
            Self::Runs(_) => ("checking", None),
        }
    }
}

/// Looks at a check: is told each step, and asked now and then, while the exercise runs, whether it
/// may go on.
pub type Follow<'a> = &'a mut dyn FnMut(Step) -> bool;

/// Compiles and checks an exercise, as it is on the disk.
///
/// # Errors
/// When cargo itself cannot be run, or fails for another reason than the exercise.
pub fn check(
    compiler: &mut Compiler,
    workspace: &Workspace,
    exercise: &Exercise,
    follow: Follow<'_>,
) -> Result<Checked> {
    let name = exercise.name.as_str();
    // Two commands at once would put their programs in the same place. The other one may be
    // busy with an endless loop until the limit.
    let lock = workspace.lock("judging");
    let _turn = match Lock::free(&lock)? {
        Some(turn) => turn,
        None => {
            eprintln!("Another command is checking an exercise; {name} is next.");
            follow(Step::Waits);
            Lock::wait(&lock)?
        }
    };
    let missing = |message| Checked {
        verdict: Verdict::Missing { message },
        printed: String::new(),
        source: None,
    };
    let mut bytes = match source(workspace, name) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            let file = workspace.relative(&workspace.exercise(name));
            let reset = command(&format!("reset {name}"));
            return Ok(missing(format!(
                "{file} is gone; `{reset}` brings it back as it was shipped"
            )));
        }
        Err(error) => return Ok(missing(format!("{error:#}"))),
    };
    // A save in the middle may or may not have been compiled. A program that writes the
    // file for ever is not waited for.
    for _ in 0..5 {
        let compiled = compiler.compile(workspace, name, &mut |work| {
            follow(Step::Builds(work));
        })?;
        if let Some(now) = source(workspace, name)?.filter(|now| *now != bytes) {
            bytes = now;
            continue;
        }
        let (verdict, printed) = match compiled {
            Compiled::Program(program) => run(&program, name, exercise.limit(), follow)?,
            Compiled::Errors { messages, errors } => {
                (Verdict::Uncompiled { messages, errors }, String::new())
            }
        };
        // What was stopped proves nothing.
        let judged = verdict != Verdict::Stopped;
        return Ok(Checked {
            verdict,
            printed,
            source: judged.then(|| fingerprint(&bytes)),
        });
    }
    bail!(
        "{} changes all the time",
        workspace.relative(&workspace.exercise(name))
    )
}

/// What the exercise's file holds; none when there is no file.
///
/// # Errors
/// The file-system's error, naming the file.
pub fn source(workspace: &Workspace, name: &str) -> Result<Option<Vec<u8>>> {
    let file = workspace.exercise(name);
    match fs::read(&file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(error).with_context(|| format!("cannot read {}", workspace.relative(&file)))
        }
    }
}

/// Runs the compiled exercise `name`; returns the verdict, and what it printed.
fn run(
    program: &Path,
    name: &str,
    limit: Duration,
    follow: Follow<'_>,
) -> Result<(Verdict, String)> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let file = folder.path().join("report");
    fs::write(&file, "").context("cannot make a temporary file")?;
    let mut command = Command::new(program);
    channel::ask(&mut command, &file, limit);
    let mut last: Option<Moment> = None;
    let (end, printed) = process::run(command, limit, &mut || {
        let new = channel::seen(&file, last.as_ref());
        last = new.clone().or(last.take());
        follow(Step::Runs(new.map(in_sight)))
    })?;
    // The last moment may have come after the last look.
    if let Some(moment) = channel::seen(&file, last.as_ref()) {
        follow(Step::Runs(Some(in_sight(moment))));
    }
    let status = match end {
        End::Of(status) => status,
        End::Late => {
            let seconds = limit.as_secs();
            return Ok((Verdict::Endless { seconds }, printed));
        }
        End::Loud => return Ok((Verdict::Loud, printed)),
        End::Stopped => return Ok((Verdict::Stopped, printed)),
    };
    let report = channel::read(&file).context("cannot read the report")?;
    // One that an exercise left before it ended in another way says nothing.
    let whole = |r: &Report| r.exercise == name && r.passed() == status.success();
    let verdict = match report.filter(whole) {
        Some(report) => Verdict::Report(Box::new(shown(report))),
        None => Verdict::Lost {
            message: status.to_string(),
        },
    };
    Ok((verdict, printed))
}

/// A drawing of more bytes is shown to nobody.
const LARGEST_DRAWING: usize = 1 << 20;

/// A moment as it can be shown: all of it may come from the reader's code.
fn in_sight(mut moment: Moment) -> Moment {
    moment.told = process::plain(&moment.told);
    for drawing in &mut moment.drawing {
        if drawing.len() > LARGEST_DRAWING {
            drawing.clear();
        }
    }
    moment
}

/// A map of more elements is looked at by nobody.
const LARGEST_MAP: usize = 1 << 14;

/// The report as it can be shown: it may quote what the reader's code says in a panic.
fn shown(mut report: Report) -> Report {
    let texts = [&mut report.headline].into_iter().chain(&mut report.notes);
    let lines = report.lines.iter_mut();
    let lines = lines.flat_map(|line| [&mut line.name, &mut line.detail]);
    let map = report.heatmap.iter_mut();
    let map = map.flat_map(|map| [&mut map.name].into_iter().chain(&mut map.blocks));
    let paths = report.weights.iter_mut().map(|weight| &mut weight.path);
    for text in texts.chain(lines).chain(map).chain(paths) {
        *text = process::plain(text);
    }
    report.heatmap = report.heatmap.filter(|map| {
        let size = map.rows.checked_mul(map.columns);
        size.is_some_and(|size| {
            size <= LARGEST_MAP && map.expected.len() == size && map.found.len() == size
        })
    });
    report
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    fn script(body: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exercise");
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        (dir, path)
    }

    const LIMIT: Duration = channel::TIME_LIMIT;

    fn judge(body: &str) -> (Verdict, String) {
        let (_dir, path) = script(body);
        run(&path, "a", LIMIT, &mut |_| true).unwrap()
    }

    /// What it shows is told once each, the last of it too, and it can be stopped.
    #[test]
    fn an_exercise_that_takes_its_time_is_followed() {
        let shows = |done: u64| {
            let moment = Moment {
                done,
                of: 2,
                told: "so far\u{1b}[2J".to_owned(),
                drawing: ["<svg/>".to_owned(), "x".repeat(LARGEST_DRAWING + 1)],
            };
            let text = serde_json::to_string(&moment).unwrap();
            // More than an argument may hold.
            format!(
                "cat > $EXERCISE_REPORT.new <<'END'\n{text}\nEND\nmv $EXERCISE_REPORT.new $EXERCISE_REPORT.moment"
            )
        };
        let body = format!("{}\nsleep 0.5\n{}\n{}", shows(1), shows(2), left(PASSED));
        let (_dir, path) = script(&body);
        let mut told = Vec::new();
        let (verdict, _) = run(&path, "a", LIMIT, &mut |step| {
            if let Step::Runs(moment) = step {
                told.extend(moment);
            }
            true
        })
        .unwrap();
        assert!(verdict.passed(), "{verdict:?}");
        let done: Vec<u64> = told.iter().map(|moment| moment.done).collect();
        assert_eq!(done, [1, 2]);
        assert_eq!(told[0].told, "so far");
        assert_eq!(told[0].drawing, ["<svg/>", ""]);
        let (verdict, _) = run(&path, "a", LIMIT, &mut |step| {
            matches!(step, Step::Runs(None))
        })
        .unwrap();
        assert_eq!(verdict, Verdict::Stopped);
        assert!(!verdict.written() && !verdict.passed());
    }

    /// What the script leaves as its report.
    fn left(report: &str) -> String {
        format!("echo '{report}' > $EXERCISE_REPORT")
    }

    const PASSED: &str = r#"{"exercise":"a","outcome":"passed","headline":"right"}"#;

    #[test]
    fn whatever_is_printed_is_kept_and_costs_no_verdict() {
        for print in [
            "printf 'n = 3 '",
            "printf 'n = 3 ' >&2",
            "echo; echo '{}'; printf 'n = 3 \\r\\033[2J'",
        ] {
            let (verdict, printed) = judge(&format!("{print}; {}; {print}", left(PASSED)));
            assert!(verdict.passed(), "{verdict:?}");
            assert_eq!(printed.matches("n = 3 ").count(), 2, "{printed:?}");
            assert!(!printed.contains(['\u{1b}', '\r']), "{printed:?}");
        }
    }

    /// A report that is printed, one of another exercise, one that the end of the program
    /// contradicts: none of them is a verdict.
    #[test]
    fn a_report_that_is_none_passes_nothing() {
        for body in [
            format!("echo '{PASSED}'"),
            left(&PASSED.replace("\"a\"", "\"b\"")),
            format!("{}; exit 3", left(PASSED)),
            left(&PASSED.replace("passed", "wrong")),
            left(&PASSED[1..]),
        ] {
            let (verdict, _) = judge(&body);
            assert!(
                matches!(verdict, Verdict::Lost { .. }),
                "{body}: {verdict:?}"
            );
        }
    }

    #[test]
    fn an_endless_exercise_is_stopped() {
        let (_dir, path) = script("exec sleep 600");
        let (verdict, _) = run(&path, "a", Duration::from_millis(50), &mut |_| true).unwrap();
        assert_eq!(verdict, Verdict::Endless { seconds: 0 });
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_exercise_that_is_still_being_written_is_waited_for() {
        let (_dir, path) = script("exec sleep 600");
        let held = fs::OpenOptions::new().append(true).open(&path).unwrap();
        let begun = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            drop(held);
        });
        let (verdict, _) = run(&path, "a", Duration::from_millis(50), &mut |_| true).unwrap();
        assert_eq!(verdict, Verdict::Endless { seconds: 0 });
        begun.join().unwrap();
        let _held = fs::OpenOptions::new().append(true).open(&path).unwrap();
        assert!(run(&path, "a", Duration::from_millis(50), &mut |_| true).is_err());
    }

    #[test]
    fn an_exercise_that_never_stops_printing_is_stopped() {
        let (verdict, printed) = judge("yes");
        assert_eq!(verdict, Verdict::Loud);
        assert!(printed.starts_with("y\ny\n") && printed.len() < 20_000);
    }

    #[test]
    fn an_exercise_that_dies_is_told_with_its_last_words() {
        let (verdict, printed) = judge("echo 'thread main has overflowed its stack' >&2; exit 134");
        let Verdict::Lost { message } = verdict else {
            panic!("{verdict:?}")
        };
        assert!(message.contains("134"), "{message}");
        assert!(printed.contains("overflowed"), "{printed}");
    }

    #[test]
    fn a_report_is_shown_without_escape_sequences_and_impossible_maps() {
        let mut report = Report::new("a", Outcome::Wrong, "a\u{1b}[2Jb");
        report.notes.push("c\u{7}d".to_owned());
        report.lines.push(verdict::Line {
            name: "\u{1b}[31mdx".to_owned(),
            right: false,
            detail: "e\u{8}f".to_owned(),
        });
        report.weights.push(verdict::Weight {
            path: "x\u{1b}[2J".to_owned(),
            weight: 1.0,
        });
        let map = |rows, columns, right: usize, found: usize| verdict::Heatmap {
            name: "\u{9b}dx".to_owned(),
            rows,
            columns,
            blocks: vec!["\u{1b}[2Jb".to_owned()],
            expected: vec![1.0; right],
            found: vec![1.0; found],
        };
        for (heatmap, kept) in [
            (map(2, 3, 6, 6), true),
            (map(2, 3, 5, 6), false),
            (map(2, 3, 6, 7), false),
            (map(usize::MAX, 2, 6, 6), false),
            (map(1 << 10, 1 << 10, 1 << 20, 1 << 20), false),
        ] {
            report.heatmap = Some(heatmap);
            let shown = shown(report.clone());
            assert_eq!(shown.headline, "ab");
            assert_eq!(shown.notes, ["cd"]);
            assert_eq!(shown.weights[0].path, "x");
            assert_eq!(shown.lines[0].name, "dx");
            assert_eq!(shown.lines[0].detail, "ef");
            let names = shown.heatmap.map(|map| (map.name, map.blocks));
            assert_eq!(names, kept.then(|| ("dx".to_owned(), vec!["b".to_owned()])));
        }
    }
}
