//! Checks the exercise `masked_batch_norm`.

use crate::compare::{compare_all, heatmap, line, unusable, wrong_at};
use crate::engine::Checker;
use crate::gradients;
use crate::harness;
use crate::known::{Known, fill};
use crate::mistake::{self, Mistake, find, listed};
use crate::{Line, Report};
use gradcheck::Check;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::process::ExitCode;

const NAME: &str = "masked_batch_norm";
const EPS: f64 = 1e-5;

/// A padded batch `[R, C]`: R positions, row by row, of which the mask counts some.
#[derive(Clone, Debug)]
pub struct Batch {
    /// C.
    pub channels: usize,
    /// `[R, C]`.
    pub x: Vec<f64>,
    /// `[R]`: whether a position counts.
    pub mask: Vec<bool>,
    /// `[C]`.
    pub gamma: Vec<f64>,
    /// `[C]`.
    pub beta: Vec<f64>,
    /// Under the root.
    pub eps: f64,
}

/// What is to be computed.
#[derive(Clone, Debug)]
pub struct Stages {
    /// `[C]`.
    pub mean: Vec<f64>,
    /// `[C]`, divided by the count.
    pub var: Vec<f64>,
    /// `[R, C]`, 0 at the padding.
    pub y: Vec<f64>,
    /// `[C]`.
    pub dgamma: Vec<f64>,
    /// `[C]`.
    pub dbeta: Vec<f64>,
    /// `[R, C]`.
    pub dx: Vec<f64>,
}

impl Stages {
    /// Zeros of the right lengths.
    #[must_use]
    pub fn zeros(batch: &Batch) -> Self {
        let (channel, value) = (vec![0.0; batch.channels], vec![0.0; batch.x.len()]);
        Stages {
            mean: channel.clone(),
            var: channel.clone(),
            y: value.clone(),
            dgamma: channel.clone(),
            dbeta: channel,
            dx: value,
        }
    }

    fn get(&self, name: &str) -> &[f64] {
        match name {
            "mean" => &self.mean,
            "var" => &self.var,
            "y" => &self.y,
            "dgamma" => &self.dgamma,
            "dbeta" => &self.dbeta,
            _ => &self.dx,
        }
    }
}

/// `(batch, dy)` to all stages.
pub type Candidate<'a> = &'a dyn Fn(&Batch, &[f64]) -> Stages;

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(&Batch, &[f64]) -> Stages) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

#[derive(Clone)]
struct Probe {
    batch: Batch,
    dy: Vec<f64>,
}

/// Values far from zero, so that padding of zeros would be seen; the padding itself is
/// something else in each.
fn probes(seed: u64) -> Vec<Probe> {
    let rng = &mut StdRng::seed_from_u64(seed);
    // The mask of three sequences of 4, 2 and 3 steps, and of four others.
    let masks: [&[usize]; 2] = [&[4, 2, 3], &[1, 5, 3, 2]];
    [(masks[0], 0.0), (masks[1], 7.0), (masks[0], -3.0)]
        .map(|(lengths, padding)| {
            let steps = lengths.iter().max().copied().unwrap_or(0);
            let mask = lengths.iter().flat_map(|&n| (0..steps).map(move |t| t < n));
            let mask: Vec<bool> = mask.collect();
            let channels = 3;
            let mut draw = |count: usize, low: f64, high: f64| -> Vec<f64> {
                (0..count).map(|_| rng.random_range(low..high)).collect()
            };
            let mut x = draw(mask.len() * channels, 1.0, 4.0);
            for (row, counts) in x.chunks_exact_mut(channels).zip(&mask) {
                if !counts {
                    row.fill(padding);
                }
            }
            let dy = draw(mask.len() * channels, -1.0, 1.0);
            let (gamma, beta) = (draw(channels, 0.5, 2.0), draw(channels, 0.5, 1.0));
            let batch = Batch {
                channels,
                x,
                mask,
                gamma,
                beta,
                eps: EPS,
            };
            Probe { batch, dy }
        })
        .into()
}

/// One channel of a probe, and its right statistics.
struct Channel {
    x: Vec<f64>,
    dy: Vec<f64>,
    mask: Vec<bool>,
    gamma: f64,
    beta: f64,
    eps: f64,
    mean: f64,
    var: f64,
}

impl Channel {
    fn new(p: &Probe, c: usize) -> Self {
        let Batch {
            channels,
            mask,
            gamma,
            beta,
            eps,
            x,
        } = &p.batch;
        let column = |v: &[f64]| v.iter().skip(c).step_by(*channels).copied().collect();
        let mut channel = Channel {
            x: column(x),
            dy: column(&p.dy),
            mask: mask.clone(),
            gamma: gamma[c],
            beta: beta[c],
            eps: *eps,
            mean: 0.0,
            var: 0.0,
        };
        channel.mean = channel.sum(|r| channel.x[r]) / channel.count();
        channel.var = channel.sum(|r| (channel.x[r] - channel.mean).powi(2)) / channel.count();
        channel
    }

    /// M.
    fn count(&self) -> f64 {
        self.mask.iter().filter(|m| **m).count() as f64
    }

    /// R.
    fn all(&self) -> f64 {
        self.mask.len() as f64
    }

    /// Over the positions that count.
    fn sum(&self, f: impl Fn(usize) -> f64) -> f64 {
        let counting = (0..self.mask.len()).filter(|&r| self.mask[r]);
        counting.map(f).sum()
    }

    /// Over all positions.
    fn sum_all(&self, f: impl Fn(usize) -> f64) -> f64 {
        (0..self.mask.len()).map(f).sum()
    }

    fn rstd(&self) -> f64 {
        1.0 / (self.var + self.eps).sqrt()
    }

    fn x_hat(&self, r: usize) -> f64 {
        (self.x[r] - self.mean) * self.rstd()
    }

    fn y(&self, r: usize) -> f64 {
        self.gamma * self.x_hat(r) + self.beta
    }

    /// `gamma rstd (dy - a - x_hat b)`.
    fn dx(&self, r: usize, a: f64, b: f64) -> f64 {
        self.gamma * self.rstd() * (self.dy[r] - a - self.x_hat(r) * b)
    }

    fn right_dx(&self, r: usize) -> f64 {
        self.dx(r, self.dbeta() / self.count(), self.dgamma() / self.count())
    }

    fn dbeta(&self) -> f64 {
        self.sum(|r| self.dy[r])
    }

    fn dgamma(&self) -> f64 {
        self.sum(|r| self.dy[r] * self.x_hat(r))
    }
}

/// One number for each channel.
fn per_channel(p: &Probe, f: impl Fn(&Channel) -> f64) -> Vec<f64> {
    (0..p.batch.channels)
        .map(|c| f(&Channel::new(p, c)))
        .collect()
}

/// One number for each position that counts, 0 elsewhere; or for each position.
fn per_value(p: &Probe, padding_too: bool, f: impl Fn(&Channel, usize) -> f64) -> Vec<f64> {
    let channels: Vec<Channel> = (0..p.batch.channels).map(|c| Channel::new(p, c)).collect();
    let mut values = Vec::with_capacity(p.batch.x.len());
    for (r, counts) in p.batch.mask.iter().enumerate() {
        let value = |channel: &Channel| {
            if *counts || padding_too {
                f(channel, r)
            } else {
                0.0
            }
        };
        values.extend(channels.iter().map(value));
    }
    values
}

/// A stage, its shape, and how the right values are computed.
type Target = (&'static str, &'static str, fn(&Probe) -> Vec<f64>);

const TARGETS: [Target; 6] = [
    ("mean", "[C]", |p| per_channel(p, |c| c.mean)),
    ("var", "[C]", |p| per_channel(p, |c| c.var)),
    ("y", "[R, C]", |p| per_value(p, false, Channel::y)),
    ("dgamma", "[C]", |p| per_channel(p, Channel::dgamma)),
    ("dbeta", "[C]", |p| per_channel(p, Channel::dbeta)),
    ("dx", "[R, C]", |p| {
        per_value(p, false, |c, r| c.right_dx(r))
    }),
];

const MASKED: &str = "sec:masked";
const THREE_TERMS: &str = "sec:three-terms";

const MISTAKES: &[Mistake<Probe>] = &[
    Mistake {
        targets: &["mean"],
        id: "padding-counted",
        sentence: "it is divided by the number of all positions: only those that count are M",
        section: MASKED,
        wrong: |p, _| per_channel(p, |c| c.sum(|r| c.x[r]) / c.all()),
    },
    Mistake {
        targets: &["mean"],
        id: "padding-included",
        sentence: "the padding is added up too: what stands there means nothing",
        section: MASKED,
        wrong: |p, _| per_channel(p, |c| c.sum_all(|r| c.x[r]) / c.all()),
    },
    Mistake {
        targets: &["mean"],
        id: "padding-added",
        sentence: "it is divided by M, but the padding is added up too: add up what counts only",
        section: MASKED,
        wrong: |p, _| per_channel(p, |c| c.sum_all(|r| c.x[r]) / c.count()),
    },
    Mistake {
        targets: &["var"],
        id: "padding-counted",
        sentence: "it is divided by the number of all positions: only those that count are M",
        section: MASKED,
        wrong: |p, _| per_channel(p, |c| c.sum(|r| (c.x[r] - c.mean).powi(2)) / c.all()),
    },
    Mistake {
        targets: &["var"],
        id: "padding-included",
        sentence: "the squares of the padding are added up too: what stands there means nothing",
        section: MASKED,
        wrong: |p, _| per_channel(p, |c| c.sum_all(|r| (c.x[r] - c.mean).powi(2)) / c.count()),
    },
    Mistake {
        targets: &["var"],
        id: "padding-is-zero",
        sentence: "padding counts as a value of 0, which is far from the mean: it is no value at all",
        section: MASKED,
        wrong: |p, _| {
            per_channel(p, |c| {
                let masked = |r: usize| if c.mask[r] { c.x[r] } else { 0.0 };
                c.sum_all(|r| (masked(r) - c.mean).powi(2)) / c.count()
            })
        },
    },
    Mistake {
        targets: &["var"],
        id: "bessel",
        sentence: "it is divided by M - 1: the variance of a batch is divided by M",
        section: "sec:unbiased",
        wrong: |p, _| per_channel(p, |c| c.var * c.count() / (c.count() - 1.0)),
    },
    Mistake {
        targets: &["y"],
        id: "padding-written",
        sentence: "the padding is normalized too: the output there must be 0",
        section: MASKED,
        wrong: |p, _| per_value(p, true, Channel::y),
    },
    Mistake {
        targets: &["y"],
        id: "padding-is-beta",
        sentence: "at the padding stands beta: the mask comes last, and the output there must be 0",
        section: MASKED,
        wrong: |p, _| per_value(p, true, |c, r| if c.mask[r] { c.y(r) } else { c.beta }),
    },
    Mistake {
        targets: &["y"],
        id: "gamma-forgotten",
        sentence: "gamma is missing",
        section: MASKED,
        wrong: |p, _| per_value(p, false, |c, r| c.x_hat(r) + c.beta),
    },
    Mistake {
        targets: &["y"],
        id: "beta-forgotten",
        sentence: "beta is missing",
        section: MASKED,
        wrong: |p, _| per_value(p, false, |c, r| c.gamma * c.x_hat(r)),
    },
    Mistake {
        targets: &["y"],
        id: "eps-forgotten",
        sentence: "eps is missing under the root",
        section: "sec:eps",
        wrong: |p, _| {
            per_value(p, false, |c, r| {
                c.gamma * (c.x[r] - c.mean) / c.var.sqrt() + c.beta
            })
        },
    },
    Mistake {
        targets: &["dgamma"],
        id: "padding-included",
        sentence: "the padding is added up too: y is 0 there whatever gamma is",
        section: MASKED,
        wrong: |p, _| per_channel(p, |c| c.sum_all(|r| c.dy[r] * c.x_hat(r))),
    },
    Mistake {
        targets: &["dgamma"],
        id: "averaged",
        sentence: "it is divided by M: gamma is used at M positions, so its gradient is a sum",
        section: MASKED,
        wrong: |p, _| per_channel(p, |c| c.dgamma() / c.count()),
    },
    Mistake {
        targets: &["dbeta"],
        id: "padding-included",
        sentence: "the padding is added up too: y is 0 there whatever beta is",
        section: MASKED,
        wrong: |p, _| per_channel(p, |c| c.sum_all(|r| c.dy[r])),
    },
    Mistake {
        targets: &["dbeta"],
        id: "averaged",
        sentence: "it is divided by M: beta is used at M positions, so its gradient is a sum",
        section: MASKED,
        wrong: |p, _| per_channel(p, |c| c.dbeta() / c.count()),
    },
    Mistake {
        targets: &["dx"],
        id: "padding-gets-a-gradient",
        sentence: "the padding receives a gradient: nothing depends on it, so it must be 0 there",
        section: MASKED,
        wrong: |p, _| per_value(p, true, |c, r| c.right_dx(r)),
    },
    Mistake {
        targets: &["dx"],
        id: "padding-counted",
        sentence: "the two sums are divided by the number of all positions: only those that count are M",
        section: MASKED,
        wrong: |p, _| {
            per_value(p, false, |c, r| {
                c.dx(r, c.dbeta() / c.all(), c.dgamma() / c.all())
            })
        },
    },
    Mistake {
        targets: &["dx"],
        id: "padding-in-the-means",
        sentence: "dy of the padding is in the two sums: y is 0 there, so nothing comes back from it",
        section: MASKED,
        wrong: |p, _| {
            per_value(p, false, |c, r| {
                let a = c.sum_all(|r| c.dy[r]) / c.count();
                let b = c.sum_all(|r| c.dy[r] * c.x_hat(r)) / c.count();
                c.dx(r, a, b)
            })
        },
    },
    Mistake {
        targets: &["dx"],
        id: "sums-for-means",
        sentence: "the two sums are not divided by M",
        section: THREE_TERMS,
        wrong: |p, _| per_value(p, false, |c, r| c.dx(r, c.dbeta(), c.dgamma())),
    },
    Mistake {
        targets: &["dx"],
        id: "mean-path-missing",
        sentence: "the path through the mean is missing",
        section: THREE_TERMS,
        wrong: |p, _| per_value(p, false, |c, r| c.dx(r, 0.0, c.dgamma() / c.count())),
    },
    Mistake {
        targets: &["dx"],
        id: "variance-path-missing",
        sentence: "the path through the variance is missing",
        section: THREE_TERMS,
        wrong: |p, _| per_value(p, false, |c, r| c.dx(r, c.dbeta() / c.count(), 0.0)),
    },
    Mistake {
        targets: &["dx"],
        id: "both-paths-missing",
        sentence: "the paths through mean and variance are missing: this is the gradient of a frozen layer",
        section: THREE_TERMS,
        wrong: |p, _| per_value(p, false, |c, r| c.dx(r, 0.0, 0.0)),
    },
    Mistake {
        targets: &["dx"],
        id: "gamma-forgotten",
        sentence: "gamma is missing",
        section: THREE_TERMS,
        wrong: |p, _| per_value(p, false, |c, r| c.right_dx(r) / c.gamma),
    },
    Mistake {
        targets: &["dx"],
        id: "rstd-forgotten",
        sentence: "rstd is missing",
        section: THREE_TERMS,
        wrong: |p, _| per_value(p, false, |c, r| c.right_dx(r) / c.rstd()),
    },
    Mistake {
        targets: &["dx"],
        id: "zero",
        sentence: "it is zero everywhere",
        section: THREE_TERMS,
        wrong: |p, _| vec![0.0; p.batch.x.len()],
    },
];

const MULTIPLIED: (&str, &str) = (
    "padding-multiplied",
    "…: NaN in the padding gets in; NaN times 0 is NaN, so leave the padding out and do not multiply it by 0",
);

/// The mistakes that this checker knows.
fn known() -> Vec<Known> {
    let (id, what) = MULTIPLIED;
    let mut known = listed(NAME, MISTAKES);
    known.push(Known::new(NAME, id, what, MASKED));
    known
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Listed(known())
}

/// The report on `candidate`, from random sequences of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let probes = probes(seed);
    let found: Vec<Stages> = probes.iter().map(|p| candidate(&p.batch, &p.dy)).collect();
    let (lines, first) = compare_all(&TARGETS, probes.len(), |(name, _, right), k| {
        let title = format!("{name}, batch {}", k + 1);
        (title, right(&probes[k]), found[k].get(name))
    });
    let Some(((name, shape, _), k, expected)) = first else {
        return whatever_the_padding(candidate, &probes[0], seed, lines);
    };
    let known = find(
        MISTAKES,
        name,
        probes.iter().zip(found.iter().map(|s| s.get(name))),
    );
    let values = found[k].get(name);
    let unusable = unusable(name, expected.len(), values, shape);
    let otherwise = format!("{name} is wrong");
    let mut report = mistake::report(NAME, name, known, unusable, otherwise);
    report.lines = lines;
    let channels = probes[k].batch.channels;
    let rows = expected.len() / channels;
    report.heatmap = heatmap(name, rows, channels, &expected, values);
    report
}

/// The same batch with NaN in the padding, and finite differences.
fn whatever_the_padding(
    candidate: Candidate<'_>,
    p: &Probe,
    seed: u64,
    mut lines: Vec<Line>,
) -> Report {
    let mut batch = p.batch.clone();
    for (row, counts) in batch.x.chunks_exact_mut(batch.channels).zip(&batch.mask) {
        if !counts {
            row.fill(f64::NAN);
        }
    }
    let mut dy = p.dy.clone();
    for (row, counts) in dy.chunks_exact_mut(batch.channels).zip(&batch.mask) {
        if !counts {
            row.fill(f64::NAN);
        }
    }
    let stages = candidate(&batch, &dy);
    for (name, _, right) in TARGETS {
        let line = line(
            &format!("{name}, NaN in the padding"),
            &right(p),
            stages.get(name),
        );
        let right = line.right;
        lines.push(line);
        if !right {
            let (id, what) = MULTIPLIED;
            let mut report = wrong_at(NAME, id, fill(what, &[&name]), MASKED);
            report.lines = lines;
            return report;
        }
    }
    let rows = p.batch.mask.len();
    let shape = [rows, p.batch.channels];
    let with = |v: &[Vec<f64>]| Probe {
        batch: Batch {
            x: v[0].clone(),
            gamma: v[1].clone(),
            beta: v[2].clone(),
            ..p.batch.clone()
        },
        dy: p.dy.clone(),
    };
    let checked = Check::new("masked Batch Norm")
        .input("x", &shape, p.batch.x.clone())
        .input("gamma", &shape[1..], p.batch.gamma.clone())
        .input("beta", &shape[1..], p.batch.beta.clone())
        .seed(seed)
        .run(
            |v| per_value(&with(v), false, Channel::y),
            |v, dy| {
                let Stages {
                    dx, dgamma, dbeta, ..
                } = candidate(&with(v).batch, dy);
                vec![dx, dgamma, dbeta]
            },
        );
    gradients::settled(
        NAME,
        lines,
        checked.passed(),
        "every stage is right whatever stands in the padding, and finite differences confirm it",
        gradients::APART,
    )
}

#[cfg(test)]
mod tests;
