//! Checks the exercise `bn_forward`.

use crate::compare::{largest, wrong};
use crate::engine::Checker;
use crate::harness::{self, attempt};
use crate::known::Known;
use crate::norm_forward::{Candidate, Norm};
use crate::sections::section;
use crate::{Line, Outcome, Report};
use gradcheck::attribution::norm::{explain_running_mean, explain_running_var};
use std::process::ExitCode;

pub use crate::norm_forward::Forward;

const NAME: &str = NORM.exercise;

/// What Batch Norm keeps for inference, one value per channel.
#[derive(Clone, Debug)]
pub struct Running {
    /// `running_mean`, `[C]`.
    pub mean: Vec<f64>,
    /// `running_var`, `[C]`.
    pub var: Vec<f64>,
}

/// `(running, batch, n, momentum)`, with `running` moved towards `batch`.
pub type Update<'a> = &'a dyn Fn(&mut Running, &Forward, usize, f64);

/// Checks both functions and prints the report.
pub fn check(
    forward: impl Fn(&[f64], usize, usize, &[f64], &[f64], f64) -> Forward,
    update: impl Fn(&mut Running, &Forward, usize, f64),
) -> ExitCode {
    harness::run(NAME, || report(&forward, &update, 0))
}

pub(crate) const NORM: Norm = Norm {
    exercise: "bn_forward",
    of_rows: false,
    letters: ["N", "C"],
    names: ["channel", "example"],
    whose: "this batch",
    layout: "x is row-major [N, C], so channel c of example n is x[n * c_count + c]",
    other: ["axes-per-example", "one for each example, as in Layer Norm"],
    probes: [(6, 4, 1e-3), (5, 3, 1e-5), (7, 5, 1e-3), (4, 6, 1e-5)],
    section: |stage, id| section(stage, id, false),
};

const UNCHANGED: (&str, &str) = (
    "unchanged",
    "update_running changes nothing: it assigns to running.mean and running.var",
);

/// The mistakes that this checker knows.
fn known() -> Vec<Known> {
    let (id, what) = UNCHANGED;
    let unchanged = Known::new(NAME, id, what, section("running_mean", id, false));
    NORM.known().into_iter().chain([unchanged]).collect()
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Listed(known())
}

/// The report on both functions, from random batches of this seed.
#[must_use]
pub fn report(forward: Candidate<'_>, update: Update<'_>, seed: u64) -> Report {
    match NORM.judge(forward, seed) {
        Ok(lines) => running(update, seed, lines),
        Err(report) => *report,
    }
}

/// The report on the running statistics, once the forward pass is right.
fn running(update: Update<'_>, seed: u64, mut lines: Vec<Line>) -> Report {
    for (number, (n, c, eps)) in NORM.probes.into_iter().enumerate() {
        let trial = NORM.trial(n, c, eps, seed * 100 + 50 + number as u64);
        let batch = trial.right();
        let momentum = [0.1, 0.3][number % 2];
        let before = Running {
            // Values of the size of the batch's own, so that neither hides the other.
            mean: batch.mean.iter().map(|m| 0.7 - 1.3 * m).collect(),
            var: batch
                .var
                .iter()
                .rev()
                .map(|v| 0.4 * v + 0.3 * largest(&batch.var))
                .collect(),
        };
        let mut after = before.clone();
        if let Err(thrown) = attempt(|| update(&mut after, &batch, n, momentum)) {
            let mut report = thrown.report(NAME);
            report.headline = format!("bn_forward is right; update_running: {}", report.headline);
            report.lines = lines;
            return report;
        }
        let verdicts = [
            (
                "running_mean",
                explain_running_mean(&trial.probe, &before.mean, momentum, &after.mean),
            ),
            (
                "running_var",
                explain_running_var(&trial.probe, &before.var, momentum, &after.var),
            ),
        ];
        for (name, verdict) in &verdicts {
            if verdict.is_correct() {
                continue;
            }
            let untouched = after.mean == before.mean && after.var == before.var;
            let (id, headline) = if untouched {
                (UNCHANGED.0.to_owned(), UNCHANGED.1.to_owned())
            } else {
                (verdict.id.clone(), verdict.sentence.clone())
            };
            let mut report = wrong(NAME, name, &id, headline, false);
            report.lines = lines;
            report.lines.extend(verdicts.iter().map(|(name, verdict)| {
                Line {
                    name: (*name).to_owned(),
                    right: verdict.is_correct(),
                    detail: if verdict.is_correct() {
                        "right"
                    } else {
                        "wrong"
                    }
                    .to_owned(),
                }
            }));
            report.notes.push(format!(
                "PyTorch's convention: running = (1 - momentum) * running + momentum * batch; here momentum is {momentum}, N is {n}."
            ));
            return report;
        }
    }
    for name in ["running_mean", "running_var"] {
        let detail = "right after one step from random values".to_owned();
        lines.push(Line {
            name: name.to_owned(),
            right: true,
            detail,
        });
    }
    let mut report = Report::new(
        NAME,
        Outcome::Passed,
        "forward and running statistics are right",
    );
    report.lines = lines;
    report
}

#[cfg(test)]
mod tests;
