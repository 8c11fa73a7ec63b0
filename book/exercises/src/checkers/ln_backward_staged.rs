//! Checks the exercise `ln_backward_staged`.

use crate::Report;
use crate::engine::{Axis, Checker, Part};
use crate::harness;
use crate::staged::{self, Given, Words, Written, tell_the_end};
use gradcheck::attribution::norm::Probe;
use std::process::ExitCode;

pub use crate::staged::Stages;

const NAME: &str = "ln_backward_staged";

/// What the forward pass over `[N, D]` has kept.
#[derive(Clone, Debug)]
pub struct Saved {
    /// `x - mean`, `[N, D]`.
    pub centered: Vec<f64>,
    /// `1 / sqrt(var + eps)` of each row, `[N]`.
    pub rstd: Vec<f64>,
    /// `centered * rstd`, `[N, D]`.
    pub x_hat: Vec<f64>,
}

/// `(dy, saved, gamma)` to the stages, written over zeros; N is `saved.rstd.len()`, D is
/// `gamma.len()`.
pub type Candidate<'a> = &'a dyn Fn(&[f64], &Saved, &[f64], &mut Stages);

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(&[f64], &Saved, &[f64], &mut Stages)) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

/// The report on `candidate`, from random batches of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let run = |g: &Given, out: &mut Written| candidate(&g.dy, &saved(g), &g.gamma, &mut out.stages);
    let mut report = part().report(NAME, "all eight lines are right", &run, seed);
    tell_the_end(&mut report, probes(seed), |probe| {
        let g = given(probe);
        let mut out = Stages::zeros(g.rstd.len(), g.size(), g.gamma.len());
        candidate(&g.dy, &saved(&g), &g.gamma, &mut out);
        out.dx
    });
    report
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::of(part())
}

fn saved(given: &Given) -> Saved {
    Saved {
        centered: given.centered.clone(),
        rstd: given.rstd.clone(),
        x_hat: given.x_hat.clone(),
    }
}

/// Shapes `[N, D]`, never square, and `eps` of the probes.
const PROBES: [(usize, usize, f64); 4] = [(4, 6, 1e-3), (6, 5, 1e-5), (5, 8, 1e-3), (7, 4, 1e-5)];

fn probes(seed: u64) -> Vec<Probe> {
    let numbered = PROBES.into_iter().zip(seed * 100..);
    numbered
        .map(|((n, d, eps), seed)| Probe::layer_norm(&[n, d], 1, eps, seed))
        .collect()
}

fn given(probe: &Probe) -> Given {
    let (n, d) = (probe.shape[0], probe.shape[1]);
    let values = [probe.x.clone(), probe.x_hat(), probe.dy.clone()];
    let rstd = probe.rstd().iter().step_by(d).copied().collect();
    let title = format!("{n} rows of {d} features");
    Given::new(title, ["N", "D"], values, rstd, probe.gamma.clone())
}

const ELEMENTS: &[Axis] = &[Axis("N", "row"), Axis("D", "feature")];
const ROWS: &[Axis] = &[Axis("N", "row")];
const FEATURES: &[Axis] = &[Axis("D", "feature")];

fn part() -> Part<Given, Written> {
    let words = Words {
        sections: ["sec:ln-parameters", "sec:ln-staged"],
        axes: [ELEMENTS, ROWS, FEATURES],
        users: "N rows",
        size: "D",
        values: "the D features of its row",
    };
    let cases = |seed| probes(seed).iter().map(given).collect();
    along_the_other_axis(staged::part(NAME, &words, cases, |part| part))
}

/// What is taken over rows where it belongs to features, or the other way round.
fn along_the_other_axis(mut part: Part<Given, Written>) -> Part<Given, Written> {
    type Rows = fn(&Given) -> Vec<f64>;
    let products = |g: &Given| g.groups(|k| g.dy[k] * g.x_hat[k]);
    let sums: [(&str, &str, &str, Rows); 2] = [
        ("dbeta", "beta", "dy", |g| g.groups(|k| g.dy[k])),
        ("dgamma", "gamma", "the product", products),
    ];
    for (target, whose, what, rows) in sums {
        let why = format!(
            "{whose} belongs to a feature and is used by all N rows, so its gradient is a sum down the column"
        );
        let over = format!("{what} is summed over each row: {why}");
        let id = "summed-over-the-row";
        part = part.knows(target, id, &over, "sec:ln-parameters", rows);
        let placed =
            format!("the sum of {what} over each row stands in the place of a feature: {why}");
        // As far as there is a place for each row.
        part = part.knows(target, id, &placed, "sec:ln-parameters", move |g| {
            let mut sums = rows(g);
            if sums.len() <= g.gamma.len() {
                sums.resize(g.gamma.len(), 0.0);
            }
            sums
        });
    }
    part.mistake(&["dx_hat"], "gamma-by-row", "gamma is indexed by the row; it has one number for each feature", |g, _| g.each(|k, row| g.dy[k] * g.gamma[row % g.gamma.len()]))
        .mistake(&["drstd"], "summed-over-the-column", "the products are summed down each column: rstd belongs to a row and is used by its D features", |g, _| g.gammas(|k| g.right.dx_hat[k] * g.centered[k]))
        .mistake(&["dcentered"], "divided-by-n", "the variance of a row is a mean over D features, and is divided by N here", |g, _| {
            let (n, size) = (g.rstd.len() as f64, g.size() as f64);
            g.each(|k, row| g.right.dcentered[k] + 2.0 * g.centered[k] * g.right.dvar[row] * (1.0 / n - 1.0 / size))
        })
        .mistake(&["dmean"], "summed-over-the-column", "dcentered is summed down each column: the mean belongs to a row and is used by its D features", |g, _| g.gammas(|k| -g.right.dcentered[k]))
        .mistake(&["dx"], "divided-by-n", "the mean of a row is a mean over D features, and is divided by N here", |g, _| g.through_mean(g.size() as f64 / g.rstd.len() as f64))
}

#[cfg(test)]
mod tests;
