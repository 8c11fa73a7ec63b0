//! Checks the exercise `ln_backward_staged`.

use crate::batch::LAYER;
use crate::staged::{Given, part, with_the_end};
use judge::exercise;

pub use crate::staged::Stages;

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

exercise! {
    /// `(dy, saved, gamma)` to the stages, written over zeros; N is `saved.rstd.len()`, D is
    /// `gamma.len()`.
    check(backward: Fn(&[f64], &Saved, &[f64], &mut Stages)),
    right: "all eight lines are right",
    parts: [part(LAYER) => |g, out| run(backward, g, &mut out.stages)],
    then: |report, seed| with_the_end(report, &LAYER.batches(seed), |g| {
        let mut out = Stages::over(g);
        run(backward, g, &mut out);
        out.dx
    }),
}

fn run(backward: Candidate<'_>, given: &Given, out: &mut Stages) {
    let saved = Saved {
        centered: given.centered.values(),
        rstd: given.rstd.values(),
        x_hat: given.x_hat.values(),
    };
    backward(&given.dy.values(), &saved, &given.gamma.values(), out);
}
