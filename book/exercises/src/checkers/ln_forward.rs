//! Checks the exercise `ln_forward`.

use crate::engine::Checker;
use crate::harness;
use crate::known::Known;
use crate::norm_forward::{Candidate, Norm};
use crate::sections::layer_section;
use crate::{Outcome, Report};
use std::process::ExitCode;

pub use crate::norm_forward::Forward;

pub(crate) const NORM: Norm = Norm {
    exercise: "ln_forward",
    of_rows: true,
    letters: ["D", "N"],
    names: ["row", "feature"],
    whose: "this row",
    layout: "x is row-major [N, D], so feature i of row r is x[r * d + i]",
    other: ["axes-per-feature", "one for each feature, as in Batch Norm"],
    probes: [(4, 6, 1e-3), (6, 5, 1e-5), (5, 8, 1e-3), (7, 4, 1e-5)],
    section: layer_section,
};

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(&[f64], usize, usize, &[f64], &[f64], f64) -> Forward) -> ExitCode {
    harness::run(NORM.exercise, || report(&candidate, 0))
}

/// The mistakes that this checker knows.
fn known() -> Vec<Known> {
    NORM.known()
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Listed(known())
}

/// The report on `candidate`, from random batches of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    match NORM.judge(candidate, seed) {
        Err(report) => *report,
        Ok(lines) => {
            let headline = "all four stages are right";
            let mut report = Report::new(NORM.exercise, Outcome::Passed, headline);
            report.lines = lines;
            report
        }
    }
}
