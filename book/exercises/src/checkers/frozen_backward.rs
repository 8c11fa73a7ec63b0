//! Checks the exercise `frozen_backward`.

use crate::Report;
use crate::engine::shared::{Terms, rstd};
use crate::engine::{Axis, Case, Checker, Order, Part, field};
use crate::harness;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::process::ExitCode;

pub use crate::gradients::Gradients;

const NAME: &str = "frozen_backward";
const SECTION: &str = "sec:cost-frozen";

/// A Batch Norm whose statistics are fixed, with one number per channel of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Frozen {
    /// `[C]`.
    pub gamma: Vec<f64>,
    /// `[C]`.
    pub beta: Vec<f64>,
    /// `[C]`.
    pub running_mean: Vec<f64>,
    /// `[C]`.
    pub running_var: Vec<f64>,
    /// The constant beside the variance.
    pub eps: f64,
}

/// What the reader writes.
pub type Candidate<'a> = &'a dyn Fn(&Frozen, &[f64], &[f64]) -> Gradients;

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(&Frozen, &[f64], &[f64]) -> Gradients) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

/// The report on `candidate`, from random layers of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let all = "all three gradients of a frozen layer are right, for a batch of one too";
    let run = |p: &Probe, answer: &mut Gradients| *answer = candidate(&p.bn, &p.x, &p.dy);
    part().report(NAME, all, &run, seed)
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::of(part())
}

/// A layer, its input and its upstream gradient.
struct Probe {
    bn: Frozen,
    x: Vec<f64>,
    dy: Vec<f64>,
}

impl Case for Probe {
    fn title(&self) -> String {
        let rows = self.rows();
        let rows = if rows == 1 {
            "one row".to_owned()
        } else {
            format!("{rows} rows")
        };
        format!("{rows} of {} channels", self.channels())
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        vec![("N", self.rows()), ("C", self.channels())]
    }
}

const ROWS: &[Axis] = &[Axis("N", "row"), Axis("C", "channel")];
const CHANNELS: &[Axis] = &[Axis("C", "channel")];

/// A frozen layer takes a batch of one, too.
fn probes(seed: u64) -> Vec<Probe> {
    let rng = &mut StdRng::seed_from_u64(seed);
    [(4, 3), (6, 2), (1, 5)]
        .map(|(n, c)| Probe::new(n, c, rng))
        .into()
}

impl Probe {
    fn new(rows: usize, channels: usize, rng: &mut StdRng) -> Self {
        let mut numbers = |count: usize, low: f64, high: f64| -> Vec<f64> {
            (0..count).map(|_| rng.random_range(low..high)).collect()
        };
        Probe {
            bn: Frozen {
                gamma: numbers(channels, 1.2, 2.0),
                beta: numbers(channels, 0.3, 0.9),
                running_mean: numbers(channels, -2.0, -0.5),
                running_var: numbers(channels, 0.2, 0.8),
                // Large, so that forgetting it shows.
                eps: 0.1,
            },
            x: numbers(rows * channels, -1.0, 3.0),
            dy: numbers(rows * channels, -1.0, 1.5),
        }
    }

    fn channels(&self) -> usize {
        self.bn.gamma.len()
    }

    fn rows(&self) -> usize {
        self.x.len() / self.channels()
    }

    /// The sum over the rows of one channel.
    fn sum(&self, c: usize, f: impl Fn(usize) -> f64) -> f64 {
        (c..self.x.len()).step_by(self.channels()).map(f).sum()
    }

    fn mean(&self, c: usize, f: impl Fn(usize) -> f64) -> f64 {
        self.sum(c, f) / self.rows() as f64
    }

    fn rstd(&self, c: usize) -> f64 {
        rstd(self.bn.running_var[c], self.bn.eps)
    }

    fn centered(&self, k: usize, c: usize) -> f64 {
        self.x[k] - self.bn.running_mean[c]
    }

    /// The normalized value `k`, of channel `c`.
    fn x_hat(&self, k: usize, c: usize) -> f64 {
        self.centered(k, c) * self.rstd(c)
    }

    /// Mean and deviation of the batch, which a frozen layer does not look at: `1/deviation`.
    fn batch(&self, c: usize) -> (f64, f64) {
        let mean = self.mean(c, |k| self.x[k]);
        let var = self.mean(c, |k| (self.x[k] - mean).powi(2));
        (mean, rstd(var, self.bn.eps))
    }

    /// `f(k, c)` of each element.
    fn each(&self, f: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        (0..self.x.len())
            .map(|k| f(k, k % self.channels()))
            .collect()
    }

    /// `f(c)` of each channel.
    fn of_channels(&self, f: impl Fn(usize) -> f64) -> Vec<f64> {
        (0..self.channels()).map(f).collect()
    }

    /// For each channel the sum of `f(k, c)` over the rows.
    fn sums(&self, f: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        self.of_channels(|c| self.sum(c, |k| f(k, c)))
    }

    /// The terms of such a sum.
    fn terms(&self, f: impl Fn(usize, usize) -> f64) -> Terms {
        let c = self.channels();
        (0..self.x.len()).map(|k| (k % c, f(k, k % c))).collect()
    }

    /// The gradient of training, with what it takes for `x_hat` and `1/deviation`.
    fn trained(
        &self,
        x_hat: impl Fn(usize, usize) -> f64,
        rstd: impl Fn(usize) -> f64,
    ) -> Vec<f64> {
        self.each(|k, c| {
            let direct = self.dy[k] - self.mean(c, |k| self.dy[k]);
            let scaled = self.mean(c, |k| self.dy[k] * x_hat(k, c));
            self.bn.gamma[c] * rstd(c) * (direct - x_hat(k, c) * scaled)
        })
    }

    fn dgamma(&self) -> Vec<f64> {
        self.sums(|k, c| self.dy[k] * self.x_hat(k, c))
    }

    fn dbeta(&self) -> Vec<f64> {
        self.sums(|k, _| self.dy[k])
    }

    fn dx(&self) -> Vec<f64> {
        self.each(|k, c| self.bn.gamma[c] * self.rstd(c) * self.dy[k])
    }
}

fn part() -> Part<Probe, Gradients> {
    let blank = |_: &Probe| Gradients {
        dx: vec![],
        dgamma: vec![],
        dbeta: vec![],
    };
    let part = Part::new("backward", Order::Together, probes, blank);
    with_dx(with_dgamma(with_dbeta(part)))
}

fn with_dbeta(part: Part<Probe, Gradients>) -> Part<Probe, Gradients> {
    part.target("dbeta", SECTION, CHANNELS, Probe::dbeta, field!(dbeta))
        .mistake(
            &["dbeta"],
            "dbeta-averaged",
            "it is divided by N; every row uses beta, so their gradients are added",
            |p, _| p.of_channels(|c| p.mean(c, |k| p.dy[k])),
        )
        .mistake(
            &["dbeta"],
            "dbeta-slope",
            "it has the slope gamma / sqrt(running_var + eps) of x; beta is added after it",
            |p, _| p.sums(|k, c| p.bn.gamma[c] * p.rstd(c) * p.dy[k]),
        )
        .mistake(
            &["dbeta"],
            "dbeta-is-dgamma",
            "this is the gradient by gamma",
            |p, _| p.dgamma(),
        )
        .excludes("gamma", "beta is added after the scaling", |p| {
            p.bn.gamma.clone()
        })
        .sums("every row uses beta, so their gradients are added", |p| {
            p.terms(|k, _| p.dy[k])
        })
}

fn with_dgamma(part: Part<Probe, Gradients>) -> Part<Probe, Gradients> {
    part.target("dgamma", SECTION, CHANNELS, Probe::dgamma, field!(dgamma))
        .mistake(
            &["dgamma"],
            "dgamma-mean-missing",
            "gamma multiplies x_hat, from which running_mean has been subtracted; here it is not",
            |p, _| p.sums(|k, c| p.dy[k] * p.x[k] * p.rstd(c)),
        )
        .mistake(
            &["dgamma"],
            "dgamma-rstd-missing",
            "gamma multiplies x_hat, which is divided by the deviation; here x - running_mean is not",
            |p, _| p.sums(|k, c| p.dy[k] * p.centered(k, c)),
        )
        .mistake(
            &["dgamma"],
            "dgamma-is-of-x",
            "dy is multiplied with x; gamma multiplies x_hat",
            |p, _| p.sums(|k, _| p.dy[k] * p.x[k]),
        )
        .mistake(
            &["dgamma"],
            "dgamma-is-of-y",
            "dy is multiplied with y; gamma multiplies x_hat, before beta is added and gamma itself is there",
            |p, _| p.sums(|k, c| p.dy[k] * (p.bn.gamma[c] * p.x_hat(k, c) + p.bn.beta[c])),
        )
        .mistake(
            &["dgamma"],
            "dgamma-of-the-batch",
            "x_hat is normalized by the batch; a frozen layer uses running_mean and running_var",
            |p, _| {
                p.sums(|k, c| {
                    let (mean, rstd) = p.batch(c);
                    p.dy[k] * (p.x[k] - mean) * rstd
                })
            },
        )
        .mistake(
            &["dgamma"],
            "dgamma-averaged",
            "it is divided by N; every row uses gamma, so their gradients are added",
            |p, _| p.of_channels(|c| p.mean(c, |k| p.dy[k] * p.x_hat(k, c))),
        )
        .mistake(&["dgamma"], "dgamma-is-dbeta", "this is the gradient by beta", |p, _| p.dbeta())
        .deviation(|p, wrong| {
            let wrong = |c: usize| wrong(p.bn.running_var[c], p.bn.eps);
            p.sums(|k, c| p.dy[k] * p.centered(k, c) * wrong(c))
        })
        .excludes(
            "gamma",
            "the derivative of gamma * x_hat with respect to gamma is x_hat",
            |p| p.bn.gamma.clone(),
        )
        .sums("every row uses gamma, so their gradients are added", |p| {
            p.terms(|k, c| p.dy[k] * p.x_hat(k, c))
        })
}

fn with_dx(part: Part<Probe, Gradients>) -> Part<Probe, Gradients> {
    const SLOPE: &str = "the slope is gamma / sqrt(running_var + eps)";
    part.target("dx", SECTION, ROWS, Probe::dx, field!(dx))
        .mistake(
            &["dx"],
            "training-formula",
            "this is the gradient of training, with a mean path and a variance path; the \
             statistics of a frozen layer are constants, and nothing flows through them",
            |p, _| p.trained(|k, c| p.x_hat(k, c), |c| p.rstd(c)),
        )
        .mistake(
            &["dx"],
            "batch-statistics",
            "this is the gradient of training, by the mean and variance of the batch; a frozen \
             layer has normalized by running_mean and running_var, and they are constants",
            |p, _| {
                let x_hat = |k: usize, c: usize| (p.x[k] - p.batch(c).0) * p.batch(c).1;
                p.trained(x_hat, |c| p.batch(c).1)
            },
        )
        .mistake(
            &["dx"],
            "mean-subtracted",
            "the mean of dy is subtracted; that is the path through the mean of the batch, and a \
             frozen layer has none",
            |p, _| p.each(|k, c| p.bn.gamma[c] * p.rstd(c) * (p.dy[k] - p.mean(c, |k| p.dy[k]))),
        )
        .mistake(
            &["dx"],
            "batch-rstd",
            "the deviation is that of the batch; a frozen layer has divided by that of running_var",
            |p, _| p.each(|k, c| p.bn.gamma[c] * p.batch(c).1 * p.dy[k]),
        )
        .mistake(
            &["dx"],
            "slope-missing",
            "this is dy as it came: each y grows with its x by gamma / sqrt(running_var + eps)",
            |p, _| p.dy.clone(),
        )
        .mistake(
            &["dx"],
            "rstd-missing",
            "the deviation is left out: the slope is gamma / sqrt(running_var + eps)",
            |p, _| p.each(|k, c| p.bn.gamma[c] * p.dy[k]),
        )
        .mistake(
            &["dx"],
            "summed",
            "dy is summed over the rows; each x is used by one y only",
            |p, _| p.each(|_, c| p.bn.gamma[c] * p.rstd(c) * p.sum(c, |k| p.dy[k])),
        )
        .deviation(|p, wrong| {
            let wrong = |c: usize| wrong(p.bn.running_var[c], p.bn.eps);
            p.each(|k, c| p.bn.gamma[c] * wrong(c) * p.dy[k])
        })
        .contains("gamma", SLOPE, |p| p.each(|_, c| p.bn.gamma[c]))
}

#[cfg(test)]
mod tests;
