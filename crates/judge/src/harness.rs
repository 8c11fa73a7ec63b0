//! Runs a check, catches what the reader's code throws, prints the report.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::process::ExitCode;
use std::sync::Once;
use verdict::{Outcome, Report, channel};

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
    /// File and line, if they are the reader's: what panics in a library, or in a checker,
    /// says where that stands and nothing of what called it.
    place: Option<String>,
}

thread_local! {
    static LAST: RefCell<Option<Thrown>> = const { RefCell::new(None) };
    /// How many calls of [`attempt`] this thread is in.
    static ATTEMPTS: Cell<usize> = const { Cell::new(0) };
}

/// Calls `f`, and returns its panic instead of printing it.
///
/// # Errors
/// When `f` panics.
pub fn attempt<T>(f: impl FnOnce() -> T) -> Result<T, Thrown> {
    // Once for all threads: of two that each put back what they found, one would be without.
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| match ATTEMPTS.get() {
            0 => before(info),
            _ => note(info),
        }));
    });
    ATTEMPTS.set(ATTEMPTS.get() + 1);
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    ATTEMPTS.set(ATTEMPTS.get() - 1);
    result.map_err(|_| {
        LAST.take().unwrap_or_else(|| Thrown {
            message: "it panicked".to_owned(),
            place: None,
        })
    })
}

fn note(info: &PanicHookInfo<'_>) {
    let at = info.location();
    let place = at.and_then(|at| Some(format!("{}, line {}", readers(at.file())?, at.line())));
    let message = info.payload_as_str().unwrap_or("it panicked").to_owned();
    LAST.set(Some(Thrown { message, place }));
}

/// The name of a file, if the reader edits it.
fn readers(path: &str) -> Option<&str> {
    let mut parts = path.rsplit(['/', '\\']);
    let (file, folder) = (parts.next()?, parts.next()?);
    matches!(folder, "exercises" | "solutions").then_some(file)
}

impl Thrown {
    /// Whether this was a `todo!()`.
    #[must_use]
    pub fn is_todo(&self) -> bool {
        self.message.starts_with("not yet implemented")
    }

    /// Where it was, as far as that is the reader's.
    #[must_use]
    pub fn place(&self) -> &str {
        self.place.as_deref().unwrap_or("in code that yours calls")
    }

    /// Where it was and what it said, to stand after "it panicked".
    #[must_use]
    pub fn told(&self) -> String {
        match &self.place {
            Some(place) => format!("in {place}: {}", self.message),
            None => format!("{}: {}", self.place(), self.message),
        }
    }

    /// That it was a `todo!()`, and where.
    pub(crate) fn not_written(&self) -> String {
        format!("not written yet: {}", self.place())
    }

    /// What to tell the reader.
    #[must_use]
    pub fn report(&self, exercise: &str) -> Report {
        if self.is_todo() {
            return Report::new(exercise, Outcome::Unwritten, self.not_written());
        }
        let headline = format!("it panicked {}", self.told());
        Report::new(exercise, Outcome::Panicked, headline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    #[expect(clippy::todo, reason = "an exercise as it is shipped")]
    fn a_todo_is_not_written_yet() {
        let report = catch("a", || todo!());
        assert_eq!(report.outcome, Outcome::Unwritten);
    }

    #[test]
    fn a_panic_is_told() {
        let empty: Vec<f64> = Vec::new();
        let report = catch("a", || {
            Report::new("a", Outcome::Passed, format!("{}", empty[3]))
        });
        assert_eq!(report.outcome, Outcome::Panicked);
        let expected = "it panicked in code that yours calls: index out of bounds: the len is 0 but the index is 3";
        assert_eq!(report.headline, expected);
    }

    /// One begins while another runs, and panics after the other has ended.
    #[test]
    fn attempts_of_two_threads_that_overlap_keep_what_is_said() {
        let [begun, both, ended] = [(); 3].map(|()| Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let inside = || {
                    begun.wait();
                    both.wait();
                };
                attempt(inside).unwrap();
                ended.wait();
            });
            begun.wait();
            let thrown = attempt(|| {
                both.wait();
                ended.wait();
                panic!("late");
            });
            assert_eq!(thrown.unwrap_err().message, "late");
        });
    }

    #[test]
    fn the_place_of_a_panic_is_told_if_the_file_is_the_readers() {
        for (path, file) in [
            ("book/exercises/by_chance.rs", Some("by_chance.rs")),
            (
                "C:\\course\\book\\exercises\\by_chance.rs",
                Some("by_chance.rs"),
            ),
            ("/a b/book/solutions/by_chance.rs", Some("by_chance.rs")),
            ("book/exercises/src/checkers/by_chance.rs", None),
            ("/rustc/1/library/core/src/iter/traits/accum.rs", None),
            ("accum.rs", None),
        ] {
            assert_eq!(readers(path), file, "{path}");
        }
        let thrown = |place: Option<&str>| Thrown {
            message: "no".to_owned(),
            place: place.map(str::to_owned),
        };
        assert_eq!(thrown(Some("a.rs, line 3")).told(), "in a.rs, line 3: no");
        assert_eq!(thrown(None).told(), "in code that yours calls: no");
    }
}
