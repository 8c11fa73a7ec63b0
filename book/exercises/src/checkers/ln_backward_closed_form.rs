//! Checks the exercise `ln_backward_closed_form`.

use crate::Report;
use crate::engine::Checker;
use crate::gradients::{part, run};
use crate::harness;
use gradcheck::attribution::norm::Kind;
use std::process::ExitCode;

pub use crate::gradients::{ClosedForm as Candidate, Gradients};

const NAME: &str = "ln_backward_closed_form";

/// Checks `candidate` and prints the report.
pub fn check(
    candidate: impl Fn(&[f64], &[f64], &[f64], &[f64], usize, usize) -> Gradients,
) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

/// The report on `candidate`, from random batches of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let part = part(NAME, Kind::Layer);
    part.report(NAME, "all three gradients are right", &run(candidate), seed)
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::of(part(NAME, Kind::Layer))
}
