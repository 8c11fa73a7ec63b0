//! Checks the exercise `ln_backward_closed_form`.

use crate::engine::Checker;
use crate::gradients::{compared, confirmed, first_named, judge, numeric_line};
use crate::harness;
use crate::sections::layer_section;
use crate::{Line, Report};
use gradcheck::attribution::norm::Probe;
use gradcheck::{Check, Groups};
use std::process::ExitCode;

pub use crate::gradients::{ClosedForm as Candidate, Gradients};

const NAME: &str = "ln_backward_closed_form";

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
        let probe = Probe::layer_norm(&[n, d], 1, eps, seed * 100 + number as u64);
        let rstd: Vec<f64> = probe.rstd().iter().step_by(d).copied().collect();
        let found = candidate(&probe.dy, &probe.x_hat(), &rstd, &probe.gamma, n, d);
        let claims = found.claims("one for each feature");
        lines = compared(&probe, &claims);
        judge(NAME, &probe, &claims, &layer_section)
    });
    if let Some(report) = wrong {
        return report;
    }
    let numeric = numeric(candidate, seed);
    confirmed(NAME, lines, numeric, "all three gradients are right")
}

/// The gradients against finite differences of the forward pass, which know their own
/// error: nothing here was derived by hand.
fn numeric(candidate: Candidate<'_>, seed: u64) -> Line {
    let (n, d, eps) = (3, 6, 1e-3);
    let probe = Probe::layer_norm(&[n, d], 1, eps, seed * 100 + 77);
    let forward = |inputs: &[Vec<f64>]| normalize(&inputs[0], &inputs[1], &inputs[2], eps).2;
    let backward = |inputs: &[Vec<f64>], dy: &[f64]| -> Vec<Vec<f64>> {
        let (x_hat, rstd, _) = normalize(&inputs[0], &inputs[1], &inputs[2], eps);
        let gradients = candidate(dy, &x_hat, &rstd, &inputs[1], n, d);
        vec![gradients.dx, gradients.dgamma, gradients.dbeta]
    };
    let report = Check::new(NAME)
        .input("x", &[n, d], probe.x.clone())
        .input("gamma", &[d], probe.gamma.clone())
        .input("beta", &[d], probe.beta.clone())
        .normalizes("x", Groups::over(&[n, d], &[1]))
        .scales_by("gamma")
        .seed(seed)
        .run(forward, backward);
    numeric_line(&report)
}

/// `(x_hat, rstd, y)` of Layer Norm over rows as long as `gamma`.
fn normalize(x: &[f64], gamma: &[f64], beta: &[f64], eps: f64) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let (mut x_hat, mut rstd, mut y) = (Vec::new(), Vec::new(), Vec::new());
    for row in x.chunks_exact(gamma.len()) {
        let count = row.len() as f64;
        let mean = row.iter().sum::<f64>() / count;
        let var = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        let r = 1.0 / (var + eps).sqrt();
        rstd.push(r);
        for ((x, gamma), beta) in row.iter().zip(gamma).zip(beta) {
            x_hat.push((x - mean) * r);
            y.push(gamma * (x - mean) * r + beta);
        }
    }
    (x_hat, rstd, y)
}

#[cfg(test)]
mod tests;
