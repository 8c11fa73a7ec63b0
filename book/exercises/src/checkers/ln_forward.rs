//! Checks the exercise `ln_forward`.

use crate::Report;
use crate::engine::{Checker, conclude};
use crate::harness;
use crate::norm_forward::{Candidate, far_from_zero, part, run};
use gradcheck::attribution::norm::Kind;
use std::process::ExitCode;

pub use crate::norm_forward::Forward;

const NAME: &str = "ln_forward";

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(&[f64], usize, usize, &[f64], &[f64], f64) -> Forward) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

/// The report on `candidate`, from random batches of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let run = run(candidate);
    let near = part(Kind::Layer).judge(&run, seed);
    let far = far_from_zero(Kind::Layer).judge(&run, seed);
    conclude(NAME, "all four stages are right", vec![near, far])
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Parts(vec![
        Box::new(part(Kind::Layer)),
        Box::new(far_from_zero(Kind::Layer)),
    ])
}
