//! Checks the exercise `rms_backward`.

use crate::engine::Checker;
use crate::gradients::{Claim, PER_ELEMENT, compared, confirmed, first_named, judge, numeric_line};
use crate::harness;
use crate::sections::rms_section;
use crate::{Line, Report};
use gradcheck::attribution::norm::{Probe, Target};
use gradcheck::{Check, Groups};
use std::process::ExitCode;

const NAME: &str = "rms_backward";

/// What RMS Norm's backward pass returns.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// By the input, `[N, D]`.
    pub dx: Vec<f64>,
    /// By the scale, `[D]`.
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

/// Shapes `[N, D]`, never square, and `eps` of the probes.
const PROBES: [(usize, usize, f64); 4] = [(4, 6, 1e-3), (7, 5, 1e-5), (5, 7, 1e-3), (6, 4, 1e-5)];

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Nameless("its mistakes are those of a norm")
}

/// The report on `candidate`, from random batches of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let mut lines = Vec::new();
    let wrong = first_named(PROBES.len(), |number| {
        let (n, d, eps) = PROBES[number];
        let probe = Probe::rms_norm(&[n, d], 1, eps, seed * 100 + number as u64);
        let rstd: Vec<f64> = probe.rstd().iter().step_by(d).copied().collect();
        let found = candidate(&probe.dy, &probe.x, &rstd, &probe.gamma, n, d);
        let claims = claims(&found);
        lines = compared(&probe, &claims);
        judge(NAME, &probe, &claims, &rms_section)
    });
    if let Some(report) = wrong {
        return report;
    }
    let numeric = numeric(candidate, seed);
    confirmed(NAME, lines, numeric, "both gradients are right")
}

fn claims(found: &Gradients) -> [Claim<'_>; 2] {
    [
        Claim::new(Target::Dgamma, &found.dgamma, "one for each feature"),
        Claim::new(Target::Dx, &found.dx, PER_ELEMENT),
    ]
}

/// The gradients against finite differences of the forward pass.
fn numeric(candidate: Candidate<'_>, seed: u64) -> Line {
    let (n, d, eps) = (3, 6, 1e-3);
    let probe = Probe::rms_norm(&[n, d], 1, eps, seed * 100 + 77);
    let forward = |inputs: &[Vec<f64>]| normalize(&inputs[0], &inputs[1], eps).1;
    let backward = |inputs: &[Vec<f64>], dy: &[f64]| -> Vec<Vec<f64>> {
        let (rstd, _) = normalize(&inputs[0], &inputs[1], eps);
        let gradients = candidate(dy, &inputs[0], &rstd, &inputs[1], n, d);
        vec![gradients.dx, gradients.dgamma]
    };
    let report = Check::new(NAME)
        .input("x", &[n, d], probe.x.clone())
        .input("gamma", &[d], probe.gamma.clone())
        .normalizes("x", Groups::over(&[n, d], &[1]))
        .scales_by("gamma")
        .seed(seed)
        .run(forward, backward);
    numeric_line(&report)
}

/// `(rstd, y)` of RMS Norm over rows as long as `gamma`.
fn normalize(x: &[f64], gamma: &[f64], eps: f64) -> (Vec<f64>, Vec<f64>) {
    let (mut rstd, mut y) = (Vec::new(), Vec::new());
    for row in x.chunks_exact(gamma.len()) {
        let mean_square = row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64;
        let r = 1.0 / (mean_square + eps).sqrt();
        rstd.push(r);
        y.extend(row.iter().zip(gamma).map(|(x, gamma)| gamma * x * r));
    }
    (rstd, y)
}

#[cfg(test)]
mod tests;
