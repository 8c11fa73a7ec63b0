//! What the tests of a checker ask: that what is right passes, and that what a reader types
//! leads to the mistake that it should.

pub mod exercises;
pub mod quizzes;

use verdict::{Outcome, Report};

/// What is drawn from each of these is tried.
const SEEDS: std::ops::Range<u64> = 0..6;

/// What is right passes, whatever is drawn, and so many lines say so.
///
/// # Panics
/// If it does not.
#[track_caller]
pub fn passes(lines: usize, report: impl Fn(u64) -> Report) {
    for seed in SEEDS {
        let report = report(seed);
        assert!(report.passed(), "seed {seed}: {report}");
        assert_eq!(report.lines.len(), lines, "{report}");
    }
}

/// The report on something wrong names this mistake, or its outcome if it has none, and tells
/// these things in its headline and notes, and no file that is not the reader's.
///
/// # Panics
/// If it does not.
#[track_caller]
pub fn tells(report: &Report, named: &str, things: &[&str]) {
    let outcome = format!("{:?}", report.outcome);
    let found = report.mistake.as_deref().unwrap_or(&outcome);
    assert_eq!(found, named, "{report}");
    let told = format!("{}\n{}", report.headline, report.notes.join("\n"));
    for thing in things {
        assert!(told.contains(thing), "{thing:?} is not told:\n{report}");
    }
    assert!(!told.contains(".rs"), "{report}");
}

/// Each of `typed` leads to the target and the mistake, `target: its-name`, that stand before
/// it, whatever is drawn; or the headline begins with what stands in place of the target.
///
/// # Panics
/// If one does not.
#[track_caller]
pub fn named<T: Copy>(typed: &[(&str, T)], report: impl Fn(T, u64) -> Report) {
    assert!(!typed.is_empty(), "nothing is typed");
    for (wanted, typed) in typed {
        let (target, id) = wanted.rsplit_once(": ").expect("target: its-name");
        for seed in SEEDS {
            let report = report(*typed, seed);
            let found = report.mistake.as_deref();
            assert_eq!(found, Some(id), "{wanted}, seed {seed}: {report}");
            assert_eq!(report.outcome, Outcome::Wrong, "{wanted}: {report}");
            let headline = &report.headline;
            let of_target =
                headline.starts_with(target) || headline.contains(&format!("{target}: "));
            assert!(of_target, "{wanted}, seed {seed}: {report}");
            assert!(report.section.is_some(), "{wanted}: {report}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{exercises, named, quizzes};

    #[test]
    #[should_panic(expected = "the list has no exercise of parts")]
    fn a_list_without_exercises_holds_to_nothing() {
        exercises::right_values_pass(&[]);
    }

    #[test]
    #[should_panic(expected = "the list has no quiz")]
    fn a_list_without_quizzes_holds_to_nothing() {
        quizzes::what_is_wrong_is_named(&[]);
    }

    #[test]
    #[should_panic(expected = "nothing is typed")]
    fn a_reader_who_types_nothing_is_told_nothing() {
        named::<()>(&[], |_, _| unreachable!());
    }
}
