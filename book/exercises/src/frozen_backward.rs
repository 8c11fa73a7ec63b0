//! Checks the exercise `frozen_backward`.

use crate::compare::{heatmap, line, same, unusable, wrong_at};
use crate::harness;
use crate::known::Known;
use crate::{Outcome, Report};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::process::ExitCode;

pub use crate::gradients::Gradients;

const NAME: &str = "frozen_backward";

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

/// A layer, its input and its upstream gradient.
struct Probe {
    bn: Frozen,
    x: Vec<f64>,
    dy: Vec<f64>,
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
        1.0 / (self.bn.running_var[c] + self.bn.eps).sqrt()
    }

    /// The normalized value `k`, of channel `c`.
    fn x_hat(&self, k: usize, c: usize) -> f64 {
        (self.x[k] - self.bn.running_mean[c]) * self.rstd(c)
    }

    /// Mean and variance of the batch, which a frozen layer does not look at.
    fn batch(&self, c: usize) -> (f64, f64) {
        let mean = self.mean(c, |k| self.x[k]);
        (mean, self.mean(c, |k| (self.x[k] - mean).powi(2)))
    }

    fn elements(&self, f: impl Fn(&Probe, usize, usize) -> f64) -> Vec<f64> {
        let of = |k| f(self, k, k % self.channels());
        (0..self.x.len()).map(of).collect()
    }

    fn per_channel(&self, f: impl Fn(&Probe, usize) -> f64) -> Vec<f64> {
        (0..self.channels()).map(|c| f(self, c)).collect()
    }

    fn right(&self) -> Gradients {
        Gradients {
            dx: self.elements(dx),
            dgamma: self.per_channel(dgamma),
            dbeta: self.per_channel(dbeta),
        }
    }
}

fn dx(p: &Probe, k: usize, c: usize) -> f64 {
    p.bn.gamma[c] * p.rstd(c) * p.dy[k]
}

fn dgamma(p: &Probe, c: usize) -> f64 {
    p.sum(c, |k| p.dy[k] * p.x_hat(k, c))
}

fn dbeta(p: &Probe, c: usize) -> f64 {
    p.sum(c, |k| p.dy[k])
}

/// The training formula, with what it takes for `x_hat`.
fn trained(p: &Probe, k: usize, c: usize, x_hat: impl Fn(usize) -> f64, rstd: f64) -> f64 {
    let direct = p.dy[k] - p.mean(c, |k| p.dy[k]);
    let scaled = p.mean(c, |k| p.dy[k] * x_hat(k));
    p.bn.gamma[c] * rstd * (direct - x_hat(k) * scaled)
}

/// An element of a wrong dx.
type Element = fn(&Probe, usize, usize) -> f64;
/// A wrong gradient of a parameter of a channel.
type Channel = fn(&Probe, usize) -> f64;

/// Wrong `dx`, and what to say.
const DX: &[(&str, &str, Element)] = &[
    (
        "training-formula",
        "this is the gradient of training, with a mean path and a variance path; the \
         statistics of a frozen layer are constants, and nothing flows through them",
        |p, k, c| trained(p, k, c, |k| p.x_hat(k, c), p.rstd(c)),
    ),
    (
        "batch-statistics",
        "this is the gradient of training, by the mean and variance of the batch; a frozen \
         layer has normalized by running_mean and running_var, and they are constants",
        |p, k, c| {
            let (mean, var) = p.batch(c);
            let rstd = 1.0 / (var + p.bn.eps).sqrt();
            trained(p, k, c, |k| (p.x[k] - mean) * rstd, rstd)
        },
    ),
    (
        "mean-subtracted",
        "the mean of dy is subtracted; that is the path through the mean of the batch, and a \
         frozen layer has none",
        |p, k, c| p.bn.gamma[c] * p.rstd(c) * (p.dy[k] - p.mean(c, |k| p.dy[k])),
    ),
    (
        "batch-rstd",
        "the deviation is that of the batch; a frozen layer has divided by that of running_var",
        |p, k, c| p.bn.gamma[c] / (p.batch(c).1 + p.bn.eps).sqrt() * p.dy[k],
    ),
    (
        "eps-missing",
        "eps is left out: the slope is gamma / sqrt(running_var + eps)",
        |p, k, c| p.bn.gamma[c] / p.bn.running_var[c].sqrt() * p.dy[k],
    ),
    (
        "eps-outside",
        "eps is added to the deviation; it belongs under the root, beside the variance",
        |p, k, c| p.bn.gamma[c] / (p.bn.running_var[c].sqrt() + p.bn.eps) * p.dy[k],
    ),
    (
        "gamma-missing",
        "gamma is left out: the slope is gamma / sqrt(running_var + eps)",
        |p, k, c| p.rstd(c) * p.dy[k],
    ),
    (
        "rstd-missing",
        "the deviation is left out: the slope is gamma / sqrt(running_var + eps)",
        |p, k, c| p.bn.gamma[c] * p.dy[k],
    ),
    (
        "root-missing",
        "gamma is divided by the variance; it is the deviation, its root, that divides",
        |p, k, c| p.bn.gamma[c] * p.rstd(c).powi(2) * p.dy[k],
    ),
    (
        "summed",
        "dy is summed over the rows; each x is used by one y only",
        |p, _, c| p.bn.gamma[c] * p.rstd(c) * p.sum(c, |k| p.dy[k]),
    ),
];

/// Wrong `dgamma`, and what to say.
const DGAMMA: &[(&str, &str, Channel)] = &[
    (
        "dgamma-mean-missing",
        "gamma multiplies x_hat, from which running_mean has been subtracted; here it is not",
        |p, c| p.sum(c, |k| p.dy[k] * p.x[k] * p.rstd(c)),
    ),
    (
        "dgamma-rstd-missing",
        "gamma multiplies x_hat, which is divided by the deviation; here x - running_mean is not",
        |p, c| p.sum(c, |k| p.dy[k] * (p.x[k] - p.bn.running_mean[c])),
    ),
    (
        "dgamma-is-of-x",
        "dy is multiplied with x; gamma multiplies x_hat",
        |p, c| p.sum(c, |k| p.dy[k] * p.x[k]),
    ),
    (
        "dgamma-of-the-batch",
        "x_hat is normalized by the batch; a frozen layer uses running_mean and running_var",
        |p, c| {
            let (mean, var) = p.batch(c);
            let rstd = 1.0 / (var + p.bn.eps).sqrt();
            p.sum(c, |k| p.dy[k] * (p.x[k] - mean) * rstd)
        },
    ),
    ("dgamma-eps-missing", "eps is left out of x_hat", |p, c| {
        let rstd = 1.0 / p.bn.running_var[c].sqrt();
        p.sum(c, |k| p.dy[k] * (p.x[k] - p.bn.running_mean[c]) * rstd)
    }),
    (
        "dgamma-gamma",
        "it has a factor gamma; the derivative of gamma * x_hat by gamma is x_hat",
        |p, c| p.bn.gamma[c] * dgamma(p, c),
    ),
    (
        "dgamma-averaged",
        "it is divided by N; every row uses gamma, so their gradients are added",
        |p, c| dgamma(p, c) / p.rows() as f64,
    ),
    ("dgamma-sign", "its sign is turned", |p, c| -dgamma(p, c)),
    ("dgamma-is-dbeta", "this is the gradient by beta", dbeta),
];

/// Wrong `dbeta`, and what to say.
const DBETA: &[(&str, &str, Channel)] = &[
    (
        "dbeta-averaged",
        "it is divided by N; every row uses beta, so their gradients are added",
        |p, c| dbeta(p, c) / p.rows() as f64,
    ),
    (
        "dbeta-gamma",
        "it has a factor gamma; beta is added after the scaling",
        |p, c| p.bn.gamma[c] * dbeta(p, c),
    ),
    (
        "dbeta-slope",
        "it has the slope gamma / sqrt(running_var + eps) of x; beta is added after it",
        |p, c| p.bn.gamma[c] * p.rstd(c) * dbeta(p, c),
    ),
    ("dbeta-sign", "its sign is turned", |p, c| -dbeta(p, c)),
    ("dbeta-is-dgamma", "this is the gradient by gamma", dgamma),
];

const SECTION: &str = "sec:cost-frozen";

/// The mistakes that this checker knows.
pub(crate) fn known() -> Vec<Known> {
    let known = |target, id, what| {
        let (_, sentence) = named(target, Some((id, what)));
        Known::new(NAME, id, sentence, SECTION)
    };
    let dbeta = DBETA.iter().map(|(id, what, _)| known("dbeta", id, what));
    let dgamma = DGAMMA.iter().map(|(id, what, _)| known("dgamma", id, what));
    let dx = DX.iter().map(|(id, what, _)| known("dx", id, what));
    dbeta.chain(dgamma).chain(dx).collect()
}

/// The report on `candidate`, from random layers of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let rng = &mut StdRng::seed_from_u64(seed);
    let mut lines = Vec::new();
    // A frozen layer takes a batch of one, too.
    for (rows, channels) in [(4, 3), (6, 2), (1, 5)] {
        let p = Probe::new(rows, channels, rng);
        let found = candidate(&p.bn, &p.x, &p.dy);
        let right = p.right();
        lines = vec![
            line("dbeta", &right.dbeta, &found.dbeta),
            line("dgamma", &right.dgamma, &found.dgamma),
            line("dx", &right.dx, &found.dx),
        ];
        if let Some((id, sentence)) = mistake(&p, &right, &found) {
            let mut report = wrong_at(NAME, &id, sentence, SECTION);
            report.lines = lines;
            if !same(&right.dx, &found.dx) {
                report.heatmap = heatmap("dx", rows, channels, &right.dx, &found.dx);
            }
            return report;
        }
    }
    let headline = "all three gradients of a frozen layer are right, for a batch of one too";
    let mut report = Report::new(NAME, Outcome::Passed, headline);
    report.lines = lines;
    report
}

/// What is wrong, by name and in a sentence.
fn mistake(p: &Probe, right: &Gradients, found: &Gradients) -> Option<(String, String)> {
    let parameters = [
        ("dbeta", &right.dbeta, &found.dbeta, DBETA),
        ("dgamma", &right.dgamma, &found.dgamma, DGAMMA),
    ];
    for (name, right, found, known) in parameters {
        if let Some(wrong) = unusable(name, right.len(), found, "one for each channel") {
            return Some(wrong);
        }
        if !same(right, found) {
            let made = known
                .iter()
                .find(|(_, _, f)| same(&p.per_channel(f), found));
            return Some(named(name, made.map(|(id, sentence, _)| (*id, *sentence))));
        }
    }
    let per_element = crate::gradients::PER_ELEMENT;
    if let Some(wrong) = unusable("dx", right.dx.len(), &found.dx, per_element) {
        return Some(wrong);
    }
    if same(&right.dx, &found.dx) {
        return None;
    }
    let made = DX.iter().find(|(_, _, f)| same(&p.elements(f), &found.dx));
    Some(named("dx", made.map(|(id, sentence, _)| (*id, *sentence))))
}

fn named(target: &str, known: Option<(&str, &str)>) -> (String, String) {
    match known {
        Some((id, sentence)) => (id.to_owned(), format!("{target}: {sentence}")),
        None => ("unknown".to_owned(), format!("{target} is wrong")),
    }
}

#[cfg(test)]
mod tests;
