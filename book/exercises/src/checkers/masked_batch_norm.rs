//! Checks the exercise `masked_batch_norm`.

use crate::Report;
use crate::engine::shared::{Terms, rstd};
use crate::engine::{Axis, Case, Checker, Order, Part, field};
use crate::harness;
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
}

/// `(batch, dy)` to all stages.
pub type Candidate<'a> = &'a dyn Fn(&Batch, &[f64]) -> Stages;

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(&Batch, &[f64]) -> Stages) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

/// The report on `candidate`, from random sequences of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let all =
        "every stage is right whatever stands in the padding, and finite differences confirm it";
    let run = |p: &Probe, answer: &mut Stages| *answer = candidate(&p.batch, &p.dy);
    part().report(NAME, all, &run, seed)
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::of(part())
}

/// A batch, and what is given backward.
struct Probe {
    batch: Batch,
    dy: Vec<f64>,
    /// What stands in the padding of x.
    padding: f64,
}

impl Case for Probe {
    fn title(&self) -> String {
        format!(
            "{} positions, of which {} count, and {} in the padding",
            self.size("R"),
            self.size("M"),
            self.padding
        )
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        let mask = &self.batch.mask;
        vec![
            ("R", mask.len()),
            ("M", mask.iter().filter(|m| **m).count()),
            ("C", self.batch.channels),
        ]
    }
}

const POSITIONS: &[Axis] = &[Axis("R", "position"), Axis("C", "channel")];
const CHANNELS: &[Axis] = &[Axis("C", "channel")];

/// Values far from zero, so that padding of zeros would be seen; the padding itself is
/// something else in each. Last it is NaN, in dy too, which only what leaves it out survives.
fn probes(seed: u64) -> Vec<Probe> {
    let rng = &mut StdRng::seed_from_u64(seed);
    // The mask of three sequences of 4, 2 and 3 steps, and of four others.
    let masks: [&[usize]; 2] = [&[4, 2, 3], &[1, 5, 3, 2]];
    [
        (masks[0], 0.0),
        (masks[1], 7.0),
        (masks[0], -3.0),
        (masks[1], f64::NAN),
    ]
    .map(|(lengths, padding)| {
        let steps = lengths.iter().max().copied().unwrap_or(0);
        let mask = lengths.iter().flat_map(|&n| (0..steps).map(move |t| t < n));
        let mask: Vec<bool> = mask.collect();
        let channels = 3;
        let mut draw = |count: usize, low: f64, high: f64| -> Vec<f64> {
            (0..count).map(|_| rng.random_range(low..high)).collect()
        };
        let mut x = draw(mask.len() * channels, 1.0, 4.0);
        let mut dy = draw(mask.len() * channels, -1.0, 1.0);
        let padded = (0..x.len()).filter(|at| !mask[at / channels]);
        for at in padded {
            x[at] = padding;
            if padding.is_nan() {
                dy[at] = padding;
            }
        }
        let (gamma, beta) = (draw(channels, 0.5, 2.0), draw(channels, 0.5, 1.0));
        let batch = Batch {
            channels,
            x,
            mask,
            gamma,
            beta,
            eps: EPS,
        };
        Probe { batch, dy, padding }
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
        channel.var = channel.sum(|r| channel.square(r)) / channel.count();
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

    /// Over all positions, those of the padding times 0.
    fn sum_masked(&self, f: impl Fn(usize) -> f64) -> f64 {
        self.sum_all(|r| f64::from(u8::from(self.mask[r])) * f(r))
    }

    fn square(&self, r: usize) -> f64 {
        (self.x[r] - self.mean).powi(2)
    }

    fn rstd(&self) -> f64 {
        rstd(self.var, self.eps)
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

/// The terms of a sum over the positions that count, for each channel.
fn terms(p: &Probe, f: fn(&Channel, usize) -> f64) -> Terms {
    let channels = (0..p.batch.channels).map(|c| (c, Channel::new(p, c)));
    let counting = |r: &usize| p.batch.mask[*r];
    let of = |(c, channel): (usize, Channel)| -> Terms {
        let rows = (0..p.batch.mask.len()).filter(counting);
        rows.map(|r| (c, f(&channel, r))).collect()
    };
    channels.flat_map(of).collect()
}

const MASKED: &str = "sec:masked";
const THREE_TERMS: &str = "sec:three-terms";

fn part() -> Part<Probe, Stages> {
    let blank = |p: &Probe| Stages::zeros(&p.batch);
    let part = Part::new("forward_and_backward", Order::FirstWrong, probes, blank);
    with_dx(with_parameters(with_y(with_statistics(part)))).numeric(against_differences)
}

fn with_statistics(part: Part<Probe, Stages>) -> Part<Probe, Stages> {
    const MULTIPLIED: &str = "NaN in the padding gets in; NaN times 0 is NaN, so leave the padding out and do not multiply it by 0";
    part.target(
        "mean",
        MASKED,
        CHANNELS,
        |p| per_channel(p, |c| c.mean),
        field!(mean),
    )
    .sums("every position that counts adds its value", |p| {
        terms(p, |c, r| c.x[r] / c.count())
    })
    .mistake(
        &["mean"],
        "padding-counted",
        "it is divided by the number of all positions: only those that count are M",
        |p, _| per_channel(p, |c| c.sum(|r| c.x[r]) / c.all()),
    )
    .mistake(
        &["mean"],
        "padding-included",
        "the padding is added up too: what stands there means nothing",
        |p, _| per_channel(p, |c| c.sum_all(|r| c.x[r]) / c.all()),
    )
    .mistake(
        &["mean"],
        "padding-added",
        "it is divided by M, but the padding is added up too: add up what counts only",
        |p, _| per_channel(p, |c| c.sum_all(|r| c.x[r]) / c.count()),
    )
    .mistake(&["mean"], "padding-multiplied", MULTIPLIED, |p, _| {
        per_channel(p, |c| c.sum_masked(|r| c.x[r]) / c.count())
    })
    .target(
        "var",
        MASKED,
        CHANNELS,
        |p| per_channel(p, |c| c.var),
        field!(var),
    )
    .sums(
        "every position that counts adds its squared distance from the mean",
        |p| terms(p, |c, r| c.square(r) / c.count()),
    )
    .mistake(
        &["var"],
        "padding-counted",
        "it is divided by the number of all positions: only those that count are M",
        |p, _| per_channel(p, |c| c.sum(|r| c.square(r)) / c.all()),
    )
    .mistake(
        &["var"],
        "padding-included",
        "the squares of the padding are added up too: what stands there means nothing",
        |p, _| per_channel(p, |c| c.sum_all(|r| c.square(r)) / c.count()),
    )
    .mistake(
        &["var"],
        "padding-is-zero",
        "padding counts as a value of 0, which is far from the mean: it is no value at all",
        |p, _| {
            per_channel(p, |c| {
                let masked = |r: usize| if c.mask[r] { c.x[r] } else { 0.0 };
                c.sum_all(|r| (masked(r) - c.mean).powi(2)) / c.count()
            })
        },
    )
    .mistake_in(
        "sec:unbiased",
        &["var"],
        "bessel",
        "it is divided by M - 1: the variance of a batch is divided by M",
        |p, _| per_channel(p, |c| c.var * c.count() / (c.count() - 1.0)),
    )
    .mistake(&["var"], "padding-multiplied", MULTIPLIED, |p, _| {
        per_channel(p, |c| c.sum_masked(|r| c.square(r)) / c.count())
    })
}

fn with_y(part: Part<Probe, Stages>) -> Part<Probe, Stages> {
    part.target(
        "y",
        MASKED,
        POSITIONS,
        |p| per_value(p, false, Channel::y),
        field!(y),
    )
    .deviation(|p, wrong| {
        per_value(p, false, |c, r| {
            c.gamma * (c.x[r] - c.mean) * wrong(c.var, c.eps) + c.beta
        })
    })
    .mistake(
        &["y"],
        "padding-written",
        "the padding is normalized too: the output there must be 0",
        |p, _| per_value(p, true, Channel::y),
    )
    .mistake(
        &["y"],
        "padding-is-beta",
        "at the padding stands beta: the mask comes last, and the output there must be 0",
        |p, _| per_value(p, true, |c, r| if c.mask[r] { c.y(r) } else { c.beta }),
    )
    .mistake(
        &["y"],
        "padding-multiplied",
        "NaN in the padding stays: NaN times 0 is NaN, so write 0 there and do not multiply by 0",
        |p, _| {
            per_value(
                p,
                true,
                |c, r| if c.mask[r] { c.y(r) } else { 0.0 * c.y(r) },
            )
        },
    )
    .mistake(&["y"], "gamma-forgotten", "gamma is missing", |p, _| {
        per_value(p, false, |c, r| c.x_hat(r) + c.beta)
    })
    .mistake(&["y"], "beta-forgotten", "beta is missing", |p, _| {
        per_value(p, false, |c, r| c.gamma * c.x_hat(r))
    })
}

fn with_parameters(part: Part<Probe, Stages>) -> Part<Probe, Stages> {
    const ALL_USE_IT: &str = "every position that counts uses it";
    const PADDING: &str = "the padding is added up too: y is 0 there, whatever the parameter is";
    const AVERAGED: &str =
        "it is divided by M: every position that counts uses it, so its gradient is a sum";
    const MULTIPLIED: &str = "NaN in the padding of dy gets in: NaN times 0 is NaN, so leave the padding out and do not multiply it by 0";
    /// What each position adds to the gradient of a parameter.
    fn term(c: &Channel, target: &str, r: usize) -> f64 {
        c.dy[r] * if target == "dgamma" { c.x_hat(r) } else { 1.0 }
    }
    part.target(
        "dgamma",
        MASKED,
        CHANNELS,
        |p| per_channel(p, Channel::dgamma),
        field!(dgamma),
    )
    .sums(ALL_USE_IT, |p| terms(p, |c, r| term(c, "dgamma", r)))
    .excludes(
        "gamma",
        "the derivative of gamma * x_hat with respect to gamma is x_hat",
        |p| p.batch.gamma.clone(),
    )
    .mistake(
        &["dgamma"],
        "centered-for-x-hat",
        "dy is multiplied by x - mean, and must be multiplied by x_hat",
        |p, _| per_channel(p, |c| c.dgamma() / c.rstd()),
    )
    .target(
        "dbeta",
        MASKED,
        CHANNELS,
        |p| per_channel(p, Channel::dbeta),
        field!(dbeta),
    )
    .sums(ALL_USE_IT, |p| terms(p, |c, r| term(c, "dbeta", r)))
    .excludes("gamma", "beta is added behind gamma", |p| {
        p.batch.gamma.clone()
    })
    .mistake(
        &["dgamma", "dbeta"],
        "padding-included",
        PADDING,
        |p, target| per_channel(p, |c| c.sum_all(|r| term(c, target, r))),
    )
    .mistake(&["dgamma", "dbeta"], "averaged", AVERAGED, |p, target| {
        per_channel(p, |c| c.sum(|r| term(c, target, r)) / c.count())
    })
    .mistake(
        &["dgamma", "dbeta"],
        "padding-multiplied",
        MULTIPLIED,
        |p, target| per_channel(p, |c| c.sum_masked(|r| term(c, target, r))),
    )
}

fn with_dx(part: Part<Probe, Stages>) -> Part<Probe, Stages> {
    /// A wrong gradient of the positions that count: its name, what is said, and what is
    /// subtracted, as in [`Channel::dx`].
    type Means = (&'static str, &'static str, fn(&Channel) -> [f64; 2]);
    const PATHS: [Means; 4] = [
        ("sums-for-means", "the two sums are not divided by M", |c| {
            [c.dbeta(), c.dgamma()]
        }),
        (
            "mean-path-missing",
            "the path through the mean is missing",
            |c| [0.0, c.dgamma() / c.count()],
        ),
        (
            "variance-path-missing",
            "the path through the variance is missing",
            |c| [c.dbeta() / c.count(), 0.0],
        ),
        (
            "both-paths-missing",
            "the paths through mean and variance are missing: this is the gradient of a frozen layer",
            |_| [0.0, 0.0],
        ),
    ];
    const PADDED: [Means; 3] = [
        (
            "padding-counted",
            "the two sums are divided by the number of all positions: only those that count are M",
            |c| [c.dbeta(), c.dgamma()].map(|sum| sum / c.all()),
        ),
        (
            "padding-in-the-means",
            "dy of the padding is in the two sums: y is 0 there, so nothing comes back from it",
            |c| {
                let sums = [c.sum_all(|r| c.dy[r]), c.sum_all(|r| c.dy[r] * c.x_hat(r))];
                sums.map(|sum| sum / c.count())
            },
        ),
        (
            "padding-multiplied",
            "NaN in the padding of dy gets into the two sums: NaN times 0 is NaN, so leave the padding out and do not multiply it by 0",
            |c| {
                let sums = [
                    c.sum_masked(|r| c.dy[r]),
                    c.sum_masked(|r| c.dy[r] * c.x_hat(r)),
                ];
                sums.map(|sum| sum / c.count())
            },
        ),
    ];
    let part = part
        .target("dx", MASKED, POSITIONS, |p| per_value(p, false, Channel::right_dx), field!(dx))
        .mistake(
            &["dx"],
            "padding-gets-a-gradient",
            "the padding receives a gradient: nothing depends on it, so it must be 0 there",
            |p, _| per_value(p, true, Channel::right_dx),
        )
        .mistake(
            &["dx"],
            "padding-multiplied",
            "NaN in the padding stays: NaN times 0 is NaN, so write 0 there and do not multiply by 0",
            |p, _| per_value(p, true, |c, r| if c.mask[r] { 1.0 } else { 0.0 } * c.right_dx(r)),
        )
        .contains("gamma", "y = gamma * x_hat + beta", |p| {
            per_value(p, true, |c, _| c.gamma)
        })
        .mistake(&["dx"], "rstd-forgotten", "rstd is missing: x_hat = (x - mean) * rstd", |p, _| {
            per_value(p, false, |c, r| c.right_dx(r) / c.rstd())
        })
        .deviation(|p, wrong| {
            per_value(p, false, |c, r| c.right_dx(r) / c.rstd() * wrong(c.var, c.eps))
        });
    let sections = [(MASKED, &PADDED[..]), (THREE_TERMS, &PATHS[..])];
    let each = sections
        .into_iter()
        .flat_map(|(section, all)| all.iter().map(move |m| (section, m)));
    each.fold(part, |part, (section, (id, what, means))| {
        part.knows("dx", id, what, section, |p| {
            per_value(p, false, |c, r| {
                let [a, b] = means(c);
                c.dx(r, a, b)
            })
        })
    })
}

fn against_differences(run: &dyn Fn(&Probe, &mut Stages), seed: u64) -> gradcheck::Report {
    let p = &probes(seed)[0];
    let shape = [p.batch.mask.len(), p.batch.channels];
    let with = |v: &[Vec<f64>], dy: &[f64]| Probe {
        batch: Batch {
            x: v[0].clone(),
            gamma: v[1].clone(),
            beta: v[2].clone(),
            ..p.batch.clone()
        },
        dy: dy.to_vec(),
        ..*p
    };
    Check::new("masked Batch Norm")
        .input("x", &shape, p.batch.x.clone())
        .input("gamma", &shape[1..], p.batch.gamma.clone())
        .input("beta", &shape[1..], p.batch.beta.clone())
        .seed(seed)
        .run(
            |v| per_value(&with(v, &p.dy), false, Channel::y),
            |v, dy| {
                let probe = with(v, dy);
                let mut s = Stages::zeros(&probe.batch);
                run(&probe, &mut s);
                vec![s.dx, s.dgamma, s.dbeta]
            },
        )
}

#[cfg(test)]
mod tests;
