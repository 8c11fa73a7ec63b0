//! Checks the exercise `bn_backward_staged`.

use crate::Report;
use crate::engine::{Axis, Checker, Part, field};
use crate::harness;
use crate::staged::{self, Given, Words, Written, scaled, tell_the_end};
use gradcheck::attribution::norm::Probe;
use std::process::ExitCode;

const NAME: &str = "bn_backward_staged";

/// What the forward pass over one channel of `N` values has kept.
#[derive(Clone, Debug)]
pub struct Saved {
    /// `x - mean`, `[N]`.
    pub centered: Vec<f64>,
    /// `1 / sqrt(var + eps)`.
    pub rstd: f64,
    /// `centered * rstd`, `[N]`.
    pub x_hat: Vec<f64>,
}

/// The gradient of the loss with respect to each intermediate of one channel, in the order in
/// which they are computed.
#[derive(Clone, Debug)]
pub struct Stages {
    /// With respect to `beta`.
    pub dbeta: f64,
    /// With respect to `gamma`.
    pub dgamma: f64,
    /// With respect to `x_hat`, `[N]`.
    pub dx_hat: Vec<f64>,
    /// With respect to `rstd`.
    pub drstd: f64,
    /// With respect to `var`.
    pub dvar: f64,
    /// With respect to each square `(x - mean)²`; it is the same for all.
    pub dsquare: f64,
    /// With respect to `x - mean`, both uses together, `[N]`.
    pub dcentered: Vec<f64>,
    /// With respect to `mean`.
    pub dmean: f64,
    /// With respect to `x`, `[N]`.
    pub dx: Vec<f64>,
}

/// `(dy, saved, gamma)` of one channel to the stages.
pub type Candidate<'a> = &'a dyn Fn(&[f64], &Saved, f64) -> Stages;

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(&[f64], &Saved, f64) -> Stages) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

/// The report on `candidate`, from random batches of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let of = |g: &Given| candidate(&g.dy, &saved(g), g.gamma[0]);
    let run = |g: &Given, out: &mut Written| *out = written(of(g));
    let mut report = part().report(NAME, "all nine lines are right", &run, seed);
    tell_the_end(&mut report, probes(seed), |probe| {
        let (n, c) = (probe.shape[0], probe.shape[1]);
        let columns: Vec<Vec<f64>> = channels(probe).iter().map(|g| of(g).dx).collect();
        (0..n * c).map(|k| columns[k % c][k / c]).collect()
    });
    report
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::of(part())
}

fn written(stages: Stages) -> Written {
    Written {
        dsquare: stages.dsquare,
        stages: staged::Stages {
            dbeta: vec![stages.dbeta],
            dgamma: vec![stages.dgamma],
            dx_hat: stages.dx_hat,
            drstd: vec![stages.drstd],
            dvar: vec![stages.dvar],
            dcentered: stages.dcentered,
            dmean: vec![stages.dmean],
            dx: stages.dx,
        },
    }
}

fn saved(channel: &Given) -> Saved {
    Saved {
        centered: channel.centered.clone(),
        rstd: channel.rstd[0],
        x_hat: channel.x_hat.clone(),
    }
}

/// Shapes `[N, C]`, never square, and `eps` of the probes.
const PROBES: [(usize, usize, f64); 4] = [(6, 4, 1e-3), (5, 3, 1e-5), (7, 5, 1e-3), (4, 6, 1e-5)];

fn probes(seed: u64) -> Vec<Probe> {
    let numbered = PROBES.into_iter().zip(seed * 100..);
    numbered
        .map(|((n, c, eps), seed)| Probe::batch_norm(&[n, c], eps, seed))
        .collect()
}

fn channels(probe: &Probe) -> Vec<Given> {
    let (n, c) = (probe.shape[0], probe.shape[1]);
    let (x_hat, rstd) = (probe.x_hat(), probe.rstd());
    let channel = |ch: usize| {
        let pick = |values: &[f64]| values.iter().skip(ch).step_by(c).copied().collect();
        let values = [pick(&probe.x), pick(&x_hat), pick(&probe.dy)];
        let title = format!("channel {ch} of {n} examples");
        Given::new(
            title,
            ["1", "N"],
            values,
            vec![rstd[ch]],
            vec![probe.gamma[ch]],
        )
    };
    (0..c).map(channel).collect()
}

const VALUES: &[Axis] = &[Axis("N", "example")];

fn part() -> Part<Given, Written> {
    let words = Words {
        sections: ["sec:staged"; 2],
        axes: [VALUES, &[], &[]],
        users: "N outputs",
        size: "N",
        values: "the N values of the channel",
    };
    let cases = |seed| probes(seed).iter().flat_map(channels).collect();
    staged::part(NAME, &words, cases, dsquare)
}

/// The gradient of the squares, on the way from the variance to the deviations.
fn dsquare(part: Part<Given, Written>) -> Part<Given, Written> {
    let right = |g: &Given| scaled(&g.right.dvar, 1.0 / g.size() as f64);
    part.target("dsquare", "sec:staged", &[], right, field!(number dsquare))
        .mistake(
            &["dsquare"],
            "summed",
            "the 1/N of the mean is missing: var is the mean of the squares",
            |g, _| g.right.dvar.clone(),
        )
        .mistake(
            &["dsquare"],
            "bessel",
            "it is divided by N - 1, and the variance by N",
            |g, _| scaled(&g.right.dvar, 1.0 / (g.size() as f64 - 1.0)),
        )
}

#[cfg(test)]
mod tests;
