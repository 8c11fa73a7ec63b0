//! Checks the exercise `bn_backward_closed_form`.

use crate::engine::Checker;
use crate::gradients::{compared, confirmed, first_named, judge, numeric_line};
use crate::harness;
use crate::sections::section;
use crate::{Line, Report};
use gradcheck::attribution::norm::Probe;
use gradcheck::{Check, Groups};
use std::process::ExitCode;

pub use crate::gradients::{ClosedForm as Candidate, Gradients};

const NAME: &str = "bn_backward_closed_form";

/// Checks `candidate` and prints the report.
pub fn check(
    candidate: impl Fn(&[f64], &[f64], &[f64], &[f64], usize, usize) -> Gradients,
) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

const PROBES: [(usize, usize, f64); 4] = [(6, 4, 1e-3), (5, 3, 1e-5), (7, 5, 1e-3), (4, 6, 1e-5)];

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Nameless("its mistakes are those of a norm")
}

/// The report on `candidate`, from random batches of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let mut lines = Vec::new();
    let wrong = first_named(PROBES.len(), |number| {
        let (n, c, eps) = PROBES[number];
        let probe = Probe::batch_norm(&[n, c], eps, seed * 100 + number as u64);
        let (x_hat, rstd) = (probe.x_hat(), probe.rstd());
        let found = candidate(&probe.dy, &x_hat, &rstd[..c], &probe.gamma, n, c);
        let claims = found.claims("one for each channel");
        lines = compared(&probe, &claims);
        judge(NAME, &probe, &claims, &|target, id| {
            section(target, id, true)
        })
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
    let (n, c, eps) = (6, 3, 1e-3);
    let probe = Probe::batch_norm(&[n, c], eps, seed * 100 + 77);
    let forward = |inputs: &[Vec<f64>]| -> Vec<f64> {
        let (x, gamma, beta) = (&inputs[0], &inputs[1], &inputs[2]);
        let (_, _, y) = normalize(x, gamma, beta, n, c, eps);
        y
    };
    let backward = |inputs: &[Vec<f64>], dy: &[f64]| -> Vec<Vec<f64>> {
        let (x_hat, rstd, _) = normalize(&inputs[0], &inputs[1], &inputs[2], n, c, eps);
        let gradients = candidate(dy, &x_hat, &rstd, &inputs[1], n, c);
        vec![gradients.dx, gradients.dgamma, gradients.dbeta]
    };
    let report = Check::new(NAME)
        .input("x", &[n, c], probe.x.clone())
        .input("gamma", &[c], probe.gamma.clone())
        .input("beta", &[c], probe.beta.clone())
        .normalizes("x", Groups::over(&[n, c], &[0]))
        .scales_by("gamma")
        .seed(seed)
        .run(forward, backward);
    numeric_line(&report)
}

/// `(x_hat, rstd, y)` of Batch Norm in training.
fn normalize(
    x: &[f64],
    gamma: &[f64],
    beta: &[f64],
    n: usize,
    c: usize,
    eps: f64,
) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let (mut x_hat, mut rstd, mut y) = (vec![0.0; n * c], vec![0.0; c], vec![0.0; n * c]);
    for ch in 0..c {
        let channel = || (0..n).map(|i| x[i * c + ch]);
        let mean = channel().sum::<f64>() / n as f64;
        let var = channel().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
        rstd[ch] = 1.0 / (var + eps).sqrt();
        for i in 0..n {
            x_hat[i * c + ch] = (x[i * c + ch] - mean) * rstd[ch];
            y[i * c + ch] = gamma[ch] * x_hat[i * c + ch] + beta[ch];
        }
    }
    (x_hat, rstd, y)
}

#[cfg(test)]
mod tests;
