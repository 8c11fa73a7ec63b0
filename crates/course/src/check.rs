//! Run a compiled exercise, read its report.

use crate::compile::{Compiled, Compiler};
use crate::digest::fingerprint;
use crate::files::Lock;
use crate::progress::Progress;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use verdict::{Outcome, Report, channel};

/// A check that runs longer than this is stopped: every exercise takes milliseconds.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);

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
    Endless,
    /// It ended without a report: it called `exit`, or ran out of stack or memory.
    Lost {
        /// How it ended, and the last it said.
        message: String,
    },
    /// Its file is gone.
    Missing {
        /// Which file, and how to get it back.
        message: String,
    },
}

/// A verdict, and what it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// How the check ended.
    pub verdict: Verdict,
    /// The [fingerprint] of the file that was judged; none when it is gone.
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
            Self::Missing { .. } => false,
            Self::Uncompiled { .. } | Self::Endless | Self::Lost { .. } => true,
        }
    }
}

/// Compiles and checks the exercise `name`, as it is on the disk.
///
/// # Errors
/// When the file cannot be read, and when cargo itself cannot be run, or fails for
/// another reason than the exercise.
pub fn check(compiler: &mut Compiler, workspace: &Workspace, name: &str) -> Result<Checked> {
    // Two commands at once would put their programs in the same place.
    let _turn = Lock::wait(&workspace.lock("judging"))?;
    let Some(mut bytes) = source(workspace, name)? else {
        let file = workspace.relative(&workspace.exercise(name));
        let message = format!("{file} is gone; `reset {name}` brings it back as it was shipped");
        return Ok(Checked {
            verdict: Verdict::Missing { message },
            source: None,
        });
    };
    // A save in the middle may or may not have been compiled. A program that writes the
    // file for ever is not waited for.
    for _ in 0..5 {
        let compiled = compiler.compile(workspace, name)?;
        if let Some(now) = source(workspace, name)?.filter(|now| *now != bytes) {
            bytes = now;
            continue;
        }
        let verdict = match compiled {
            Compiled::Program(program) => run(&program, TIME_LIMIT)?,
            Compiled::Errors { messages, errors } => Verdict::Uncompiled { messages, errors },
        };
        return Ok(Checked {
            verdict,
            source: Some(fingerprint(&bytes)),
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

/// Runs a compiled exercise and reads its report from the last line it prints.
fn run(program: &Path, limit: Duration) -> Result<Verdict> {
    let mut command = Command::new(program);
    channel::ask(&mut command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    // Both pipes are emptied as they fill, or a talkative exercise would block.
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let Some(status) = wait(&mut child, limit)? else {
        return Ok(Verdict::Endless);
    };
    let (stdout, stderr) = (text(stdout), text(stderr));
    Ok(match channel::read(&stdout) {
        Some(report) => Verdict::Report(Box::new(report)),
        None => Verdict::Lost {
            message: format!("{status}\n{}", last_lines(&stderr, 12))
                .trim_end()
                .to_owned(),
        },
    })
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

fn text(reader: JoinHandle<Vec<u8>>) -> String {
    String::from_utf8_lossy(&reader.join().unwrap_or_default()).into_owned()
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Waits for the child, or kills it when the time is up.
fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for the exercise")? {
            return Ok(Some(status));
        }
        if start.elapsed() > limit {
            child.kill().context("cannot stop the exercise")?;
            child.wait().context("cannot wait for the exercise")?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(2));
    }
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

    #[test]
    fn the_last_report_line_counts_whatever_else_is_printed() {
        let (_dir, path) = script(
            r#"echo "dx = [1, 2]"; echo '{"exercise":"a","outcome":"passed","headline":"right"}'; echo"#,
        );
        let verdict = run(&path, TIME_LIMIT).unwrap();
        assert!(verdict.passed(), "{verdict:?}");
    }

    #[test]
    fn an_endless_exercise_is_stopped() {
        let (_dir, path) = script("exec sleep 60");
        let verdict = run(&path, Duration::from_millis(50)).unwrap();
        assert_eq!(verdict, Verdict::Endless);
    }

    #[test]
    fn an_exercise_that_dies_is_told_with_its_last_words() {
        let (_dir, path) = script("echo 'thread main has overflowed its stack' >&2; exit 134");
        let Verdict::Lost { message } = run(&path, TIME_LIMIT).unwrap() else {
            panic!()
        };
        assert!(
            message.contains("134") && message.contains("overflowed"),
            "{message}"
        );
    }

    #[test]
    fn a_talkative_exercise_does_not_block() {
        let (_dir, path) = script("yes | head -c 1000000; yes | head -c 1000000 >&2");
        assert!(matches!(
            run(&path, TIME_LIMIT).unwrap(),
            Verdict::Lost { .. }
        ));
    }
}
