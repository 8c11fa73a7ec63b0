//! Checks the exercise `rms_backward`.

use crate::Report;
use crate::batch::Batch;
use crate::engine::Checker;
use crate::gradients::{self, part};
use crate::harness;
use gradcheck::attribution::norm::Kind;
use std::process::ExitCode;

const NAME: &str = "rms_backward";

/// What RMS Norm's backward pass returns.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// With respect to the input, `[N, D]`.
    pub dx: Vec<f64>,
    /// With respect to the scale, `[D]`.
    pub dgamma: Vec<f64>,
}

/// `(dy, x, rstd, gamma, n, d)` to the gradients.
pub type Candidate<'a> = &'a dyn Fn(&[f64], &[f64], &[f64], &[f64], usize, usize) -> Gradients;

/// Checks `candidate` and prints the report.
pub fn check(
    candidate: impl Fn(&[f64], &[f64], &[f64], &[f64], usize, usize) -> Gradients,
) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

/// The report on `candidate`, from random batches of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let run = |b: &Batch, out: &mut gradients::Gradients| {
        let probe = &b.probe;
        let found = candidate(
            &probe.dy,
            &probe.x,
            &b.rstd,
            &probe.gamma,
            b.rows(),
            b.columns(),
        );
        (out.dx, out.dgamma) = (found.dx, found.dgamma);
    };
    part(NAME, Kind::Rms).report(NAME, "both gradients are right", &run, seed)
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::of(part(NAME, Kind::Rms))
}
