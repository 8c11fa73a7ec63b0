//! Checks the exercise `bn_backward_staged`.

use crate::batch::BATCH;
use crate::staged::{self, Given, Written, part, with_the_end};
use judge::exercise;

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

exercise! {
    /// `(dy, saved, gamma)` of one channel to the stages.
    check(backward: Fn(&[f64], &Saved, f64) -> Stages),
    right: "all nine lines are right",
    parts: [part(BATCH) => |g, out| *out = written(run(backward, g))],
    then: |report, seed| with_the_end(report, &BATCH.batches(seed), |g| run(backward, g).dx),
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

fn run(backward: Candidate<'_>, channel: &Given) -> Stages {
    let saved = Saved {
        centered: channel.centered.values(),
        rstd: channel.rstd.total(),
        x_hat: channel.x_hat.values(),
    };
    backward(&channel.dy.values(), &saved, channel.gamma.total())
}
