//! Predictions held to what happened when it was run.

use crate::report::{Line, Outcome, Report};
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
