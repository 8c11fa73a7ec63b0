//! What the tests of a checker ask: that what is right passes, and that what a reader types
//! leads to the mistake that it should.

pub mod exercises;
pub mod quizzes;

use verdict::{Outcome, Report};

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

/// Each of `typed` leads to the target and the mistake, `target: its-name`, that stand before
/// it, whatever is drawn.
///
/// # Panics
/// If one does not.
#[track_caller]
pub fn named<T: Copy>(typed: &[(&str, T)], report: impl Fn(T, u64) -> Report) {
    for (wanted, typed) in typed {
        let (target, id) = wanted.rsplit_once(": ").expect("target: its-name");
        for seed in SEEDS {
            let report = report(*typed, seed);
            let found = report.mistake.as_deref();
            assert_eq!(found, Some(id), "{wanted}, seed {seed}: {report}");
            assert_eq!(report.outcome, Outcome::Wrong, "{wanted}: {report}");
            let of_target = report.headline.contains(&format!("{target}: "));
            assert!(of_target, "{wanted}, seed {seed}: {report}");
            assert!(report.section.is_some(), "{wanted}: {report}");
        }
    }
}
