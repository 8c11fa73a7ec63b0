//! Predictions held to what happened when it was run.

use crate::{Line, Outcome, Report};
use std::fmt::Debug;

/// One prediction, and what came of it.
pub struct Asked<A> {
    /// The name of the field in the reader's file.
    pub name: &'static str,
    /// What was done, in words.
    pub what: &'static str,
    /// What the reader expects.
    pub predicted: A,
    /// What happened.
    pub found: A,
    /// Why it comes out as it does.
    pub why: &'static str,
    /// The label of the section on it.
    pub section: &'static str,
}

/// The report on all of them. As long as one is `undecided`, nothing is told.
pub fn report<A: Copy + PartialEq + Debug>(
    exercise: &str,
    undecided: A,
    asked: &[Asked<A>],
) -> Report {
    let open = asked.iter().filter(|a| a.predicted == undecided).count();
    if open > 0 {
        let headline = format!("{open} of {} predictions are still open", asked.len());
        return Report::new(exercise, Outcome::Unwritten, headline);
    }
    let mut wrong = asked.iter().filter(|a| a.predicted != a.found);
    let mut report = match wrong.next() {
        None => {
            let headline = format!("all {} predictions came true", asked.len());
            Report::new(exercise, Outcome::Passed, headline)
        }
        Some(first) => {
            let others = match wrong.count() {
                0 => String::new(),
                1 => "; one more was wrong".to_owned(),
                more => format!("; {more} more were wrong"),
            };
            let headline = format!(
                "{}: you said {:?}, and it is {:?}: {}{others}",
                first.what, first.predicted, first.found, first.why
            );
            let mut report = Report::new(exercise, Outcome::Wrong, headline);
            report.mistake = Some(first.name.to_owned());
            report.section = Some(first.section.to_owned());
            report
        }
    };
    let line = |a: &Asked<A>| {
        let right = a.predicted == a.found;
        let detail = if right {
            format!("{:?}, as predicted", a.found)
        } else {
            format!("predicted {:?}, happened otherwise", a.predicted)
        };
        Line {
            name: a.what.to_owned(),
            right,
            detail,
        }
    };
    report.lines = asked.iter().map(line).collect();
    report
}

/// What the tests of every quiz ask of it.
#[cfg(test)]
pub(crate) mod testing {
    use super::Debug;
    use crate::sections::labels;
    use crate::{Outcome, Report};

    const SEEDS: std::ops::Range<u64> = 0..6;

    /// A place of a set of predictions, and its name.
    pub(crate) type Place<P, A> = (&'static str, fn(&mut P) -> &mut A);

    /// A quiz with predictions of type `P`, answers of type `A`.
    pub(crate) struct Quiz<'a, P, A> {
        /// The predictions that come true.
        pub(crate) right: P,
        /// All answers that a prediction may have.
        pub(crate) answers: &'a [A],
        /// The answer of who has not answered yet.
        pub(crate) undecided: A,
        /// All places of a set of predictions.
        pub(crate) places: &'a [Place<P, A>],
        /// The report on predictions, from a seed.
        pub(crate) report: fn(&P, u64) -> Report,
    }

    impl<P: Copy, A: Copy + PartialEq + Debug> Quiz<'_, P, A> {
        pub(crate) fn what_is_right_passes(&self) {
            for seed in SEEDS {
                let report = (self.report)(&self.right, seed);
                assert!(report.passed(), "seed {seed}: {report}");
                assert_eq!(report.lines.len(), self.places.len());
            }
        }

        /// Every other prediction is rejected by its name, and explained somewhere.
        pub(crate) fn what_is_wrong_is_named(&self) {
            for &(name, place) in self.places {
                for &said in self.answers {
                    let mut predictions = self.right;
                    if *place(&mut predictions) == said {
                        continue;
                    }
                    *place(&mut predictions) = said;
                    for seed in SEEDS {
                        let report = (self.report)(&predictions, seed);
                        assert_eq!(report.outcome, Outcome::Wrong);
                        assert_eq!(report.mistake.as_deref(), Some(name), "{report}");
                        assert_eq!(report.lines.iter().filter(|line| !line.right).count(), 1);
                        let section = report.section.expect("a section");
                        assert!(labels().contains(section.as_str()), "{section}");
                    }
                }
            }
        }

        /// While a prediction is open, the others are not judged: there is nothing to copy
        /// from.
        pub(crate) fn what_is_open_is_asked_for(&self) {
            let begins = format!("1 of {}", self.places.len());
            for &(_, place) in self.places {
                let mut predictions = self.right;
                *place(&mut predictions) = self.undecided;
                let report = (self.report)(&predictions, 0);
                assert_eq!(report.outcome, Outcome::Unwritten);
                assert!(report.lines.is_empty() && report.headline.starts_with(&begins));
            }
        }
    }
}
