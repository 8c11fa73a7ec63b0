//! Runs a check, catches what the reader's code throws, prints the report.

use crate::{Outcome, Report};
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::process::ExitCode;
use verdict::channel;

/// Runs `check`, leaves its report where it was asked for or prints it for people, and
/// returns success when the exercise passes.
pub fn run(exercise: &str, check: impl FnOnce() -> Report) -> ExitCode {
    channel::begin();
    channel::tell(&catch(exercise, check))
}

/// Runs `check`; a panic in the reader's code becomes a report.
pub fn catch(exercise: &str, check: impl FnOnce() -> Report) -> Report {
    attempt(check).unwrap_or_else(|thrown| thrown.report(exercise))
}

/// A panic that was caught.
#[derive(Clone, Debug)]
pub struct Thrown {
    message: String,
    place: String,
}

thread_local! {
    static LAST: RefCell<Option<Thrown>> = const { RefCell::new(None) };
}

/// Calls `f`, and returns its panic instead of printing it.
///
/// # Errors
/// When `f` panics.
pub fn attempt<T>(f: impl FnOnce() -> T) -> Result<T, Thrown> {
    let before = panic::take_hook();
    panic::set_hook(Box::new(note));
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    panic::set_hook(before);
    result.map_err(|_| {
        LAST.take().unwrap_or_else(|| Thrown {
            message: "it panicked".to_owned(),
            place: String::new(),
        })
    })
}

fn note(info: &PanicHookInfo<'_>) {
    let place = info.location().map_or(String::new(), |at| {
        let file = at.file().rsplit(['/', '\\']).next().unwrap_or_default();
        format!("{file}, line {}", at.line())
    });
    let message = info.payload_as_str().unwrap_or("it panicked").to_owned();
    LAST.set(Some(Thrown { message, place }));
}

impl Thrown {
    /// Whether this was a `todo!()`.
    #[must_use]
    pub fn is_todo(&self) -> bool {
        self.message.starts_with("not yet implemented")
    }

    /// What to tell the reader.
    #[must_use]
    pub fn report(&self, exercise: &str) -> Report {
        if self.is_todo() {
            let place = &self.place;
            return Report::new(
                exercise,
                Outcome::Unwritten,
                format!("not written yet: {place}"),
            );
        }
        let headline = format!("it panicked in {}: {}", self.place, self.message);
        Report::new(exercise, Outcome::Panicked, headline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_todo_is_not_written_yet() {
        let report = catch("a", || todo!());
        assert_eq!(report.outcome, Outcome::Unwritten);
    }

    #[test]
    fn a_panic_is_told_with_its_place() {
        let empty: Vec<f64> = Vec::new();
        let report = catch("a", || {
            Report::new("a", Outcome::Passed, format!("{}", empty[3]))
        });
        assert_eq!(report.outcome, Outcome::Panicked);
        let expected = "index out of bounds: the len is 0 but the index is 3";
        assert!(report.headline.contains(expected), "{}", report.headline);
        assert!(
            report.headline.contains("harness.rs, line "),
            "{}",
            report.headline
        );
    }
}
