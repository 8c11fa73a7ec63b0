//! Checks the exercise `synchronized_statistics`.

use crate::compare::{compare_all, distance, heatmap, unusable, wrong_at};
use crate::engine::Checker;
use crate::gradients;
use crate::harness;
use crate::known::Known;
use crate::mistake::{self, Mistake, find, listed};
use crate::{Line, Outcome, Report};
use gradcheck::Check;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::process::ExitCode;

const NAME: &str = "synchronized_statistics";
const EPS: f64 = 1e-5;

/// What is known of some rows of a batch.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// How many rows.
    pub count: usize,
    /// `[C]`: the mean of each channel; 0 where there are no rows.
    pub mean: Vec<f64>,
    /// `[C]`: the sum of the squared distances from that mean.
    pub squares: Vec<f64>,
}

/// What one worker holds when the backward pass begins.
#[derive(Clone, Debug)]
pub struct Worker {
    /// `[m, C]`, row by row: its rows, normalized by the statistics of the whole batch.
    pub x_hat: Vec<f64>,
    /// `[m, C]`.
    pub dy: Vec<f64>,
}

/// What the backward pass returns.
#[derive(Clone, Debug, Default)]
pub struct Gradients {
    /// For each worker `[m, C]`.
    pub dx: Vec<Vec<f64>>,
    /// `[C]`, of the whole batch.
    pub dgamma: Vec<f64>,
    /// `[C]`, of the whole batch.
    pub dbeta: Vec<f64>,
}

/// The parts of all workers to what is known of the batch.
pub type Merge<'a> = &'a dyn Fn(&[Part]) -> Part;
/// `(workers, gamma, rstd)` to the gradients.
pub type BackwardPass<'a> = &'a dyn Fn(&[Worker], &[f64], &[f64]) -> Gradients;

/// Checks both functions and prints the report.
pub fn check(
    merge: impl Fn(&[Part]) -> Part,
    backward: impl Fn(&[Worker], &[f64], &[f64]) -> Gradients,
) -> ExitCode {
    harness::run(NAME, || report(&merge, &backward, 0))
}

/// A batch on several workers, with its right statistics.
#[derive(Clone)]
struct Probe {
    channels: usize,
    /// For each worker `[m, C]`.
    x: Vec<Vec<f64>>,
    dy: Vec<Vec<f64>>,
    gamma: Vec<f64>,
    beta: Vec<f64>,
}

/// How many rows each worker has, and channels. In the first and the last some have none:
/// once the first two, so that nothing is joined with nothing.
const SHAPES: [(&[usize], usize); 3] = [(&[5, 2, 4], 3), (&[1, 6], 2), (&[0, 0, 3, 0, 4, 2], 4)];

fn probes(seed: u64) -> Vec<Probe> {
    let rng = &mut StdRng::seed_from_u64(seed);
    let draw = |rng: &mut StdRng, count: usize, low: f64, high: f64| -> Vec<f64> {
        (0..count).map(|_| rng.random_range(low..high)).collect()
    };
    let probe = |(counts, channels): &(&[usize], usize)| {
        // Each worker has data of its own kind, so that the variance between them counts.
        let x = counts.iter().map(|rows| {
            let source = rng.random_range(-2.0..2.0);
            draw(rng, rows * channels, source, source + 3.0)
        });
        let x = x.collect();
        let dy = counts
            .iter()
            .map(|rows| draw(rng, rows * channels, -1.0, 1.0));
        let dy = dy.collect();
        Probe {
            channels: *channels,
            x,
            dy,
            gamma: draw(rng, *channels, 0.5, 2.0),
            beta: draw(rng, *channels, -1.0, 1.0),
        }
    };
    SHAPES.iter().map(probe).collect()
}

/// One channel of a probe, worker by worker, and its right statistics.
struct Channel {
    x: Vec<Vec<f64>>,
    dy: Vec<Vec<f64>>,
    gamma: f64,
    beta: f64,
    mean: f64,
    squares: f64,
}

impl Channel {
    fn new(p: &Probe, c: usize) -> Self {
        let column = |rows: &Vec<f64>| rows.iter().skip(c).step_by(p.channels).copied().collect();
        let mut channel = Channel {
            x: p.x.iter().map(column).collect(),
            dy: p.dy.iter().map(column).collect(),
            gamma: p.gamma[c],
            beta: p.beta[c],
            mean: 0.0,
            squares: 0.0,
        };
        channel.mean = channel.sum(|k, r| channel.x[k][r]) / channel.all();
        channel.squares = channel.sum(|k, r| (channel.x[k][r] - channel.mean).powi(2));
        channel
    }

    fn workers(&self) -> usize {
        self.x.len()
    }

    /// m of a worker.
    fn count(&self, k: usize) -> f64 {
        self.x[k].len() as f64
    }

    /// M.
    fn all(&self) -> f64 {
        (0..self.workers()).map(|k| self.count(k)).sum()
    }

    /// Over the rows of one worker.
    fn own(&self, k: usize, f: impl Fn(usize, usize) -> f64) -> f64 {
        (0..self.x[k].len()).map(|r| f(k, r)).sum()
    }

    /// Over all rows of all workers.
    fn sum(&self, f: impl Fn(usize, usize) -> f64) -> f64 {
        (0..self.workers()).map(|k| self.own(k, &f)).sum()
    }

    /// Over the workers.
    fn over(&self, f: impl Fn(usize) -> f64) -> f64 {
        (0..self.workers()).map(f).sum()
    }

    fn own_mean(&self, k: usize) -> f64 {
        self.own(k, |k, r| self.x[k][r]) / self.count(k).max(1.0)
    }

    fn own_squares(&self, k: usize) -> f64 {
        let mean = self.own_mean(k);
        self.own(k, |k, r| (self.x[k][r] - mean).powi(2))
    }

    fn mean_of_means(&self) -> f64 {
        self.over(|k| self.own_mean(k)) / self.workers() as f64
    }

    fn rstd(&self) -> f64 {
        1.0 / (self.squares / self.all() + EPS).sqrt()
    }

    fn x_hat(&self, k: usize, r: usize) -> f64 {
        (self.x[k][r] - self.mean) * self.rstd()
    }

    fn y(&self, k: usize, r: usize) -> f64 {
        self.gamma * self.x_hat(k, r) + self.beta
    }

    fn own_dy(&self, k: usize) -> f64 {
        self.own(k, |k, r| self.dy[k][r])
    }

    fn own_dy_x_hat(&self, k: usize) -> f64 {
        self.own(k, |k, r| self.dy[k][r] * self.x_hat(k, r))
    }

    fn dbeta(&self) -> f64 {
        self.over(|k| self.own_dy(k))
    }

    fn dgamma(&self) -> f64 {
        self.over(|k| self.own_dy_x_hat(k))
    }

    /// `gamma rstd (dy - a - x_hat b)`.
    fn dx(&self, k: usize, r: usize, a: f64, b: f64) -> f64 {
        self.gamma * self.rstd() * (self.dy[k][r] - a - self.x_hat(k, r) * b)
    }

    fn right_dx(&self, k: usize, r: usize) -> f64 {
        let m = self.all();
        self.dx(k, r, self.dbeta() / m, self.dgamma() / m)
    }
}

/// One number for each channel.
fn per_channel(p: &Probe, f: impl Fn(&Channel) -> f64) -> Vec<f64> {
    (0..p.channels).map(|c| f(&Channel::new(p, c))).collect()
}

/// One number for each value, worker after worker and row by row.
fn per_value(p: &Probe, f: impl Fn(&Channel, usize, usize) -> f64) -> Vec<f64> {
    let channels: Vec<Channel> = (0..p.channels).map(|c| Channel::new(p, c)).collect();
    let mut values = Vec::new();
    for k in 0..p.x.len() {
        for r in 0..p.x[k].len() / p.channels {
            values.extend(channels.iter().map(|channel| f(channel, k, r)));
        }
    }
    values
}

impl Probe {
    fn parts(&self) -> Vec<Part> {
        let part = |(k, rows): (usize, &Vec<f64>)| Part {
            count: rows.len() / self.channels,
            mean: per_channel(self, |c| c.own_mean(k)),
            squares: per_channel(self, |c| c.own_squares(k)),
        };
        self.x.iter().enumerate().map(part).collect()
    }

    /// What the workers hold if these are the statistics.
    fn workers(&self, mean: &[f64], rstd: &[f64]) -> Vec<Worker> {
        let normalized = |rows: &Vec<f64>| {
            let x_hat = |(at, x): (usize, &f64)| {
                let c = at % self.channels;
                (x - mean[c]) * rstd[c]
            };
            rows.iter().enumerate().map(x_hat).collect()
        };
        let worker = |(x, dy): (&Vec<f64>, &Vec<f64>)| Worker {
            x_hat: normalized(x),
            dy: dy.clone(),
        };
        self.x.iter().zip(&self.dy).map(worker).collect()
    }

    /// The rows of all workers in one list, cut as in `self`.
    fn cut(&self, all: &[f64]) -> Vec<Vec<f64>> {
        let mut rest = all;
        let mut parts = Vec::new();
        for rows in &self.x {
            let (part, after) = rest.split_at(rows.len());
            parts.push(part.to_vec());
            rest = after;
        }
        parts
    }
}

fn rstd(squares: &[f64], count: usize) -> Vec<f64> {
    let of = |squares: &f64| 1.0 / (squares / count as f64 + EPS).sqrt();
    squares.iter().map(of).collect()
}

/// What the reader's functions return for one probe, as lists.
#[derive(Clone, Default)]
struct Found {
    count: Vec<f64>,
    mean: Vec<f64>,
    squares: Vec<f64>,
    dbeta: Vec<f64>,
    dgamma: Vec<f64>,
    dx: Vec<f64>,
}

impl Found {
    fn get(&self, name: &str) -> &[f64] {
        match name {
            "count" => &self.count,
            "mean" => &self.mean,
            "squares" => &self.squares,
            "dbeta" => &self.dbeta,
            "dgamma" => &self.dgamma,
            _ => &self.dx,
        }
    }
}

/// What is returned, its shape, and how the right values are computed.
type Target = (&'static str, &'static str, fn(&Probe) -> Vec<f64>);

const FORWARD: usize = 3;
const TARGETS: [Target; 6] = [
    ("count", "one number", |p| {
        vec![p.x.concat().len() as f64 / p.channels as f64]
    }),
    ("mean", "[C]", |p| per_channel(p, |c| c.mean)),
    ("squares", "[C]", |p| per_channel(p, |c| c.squares)),
    ("dbeta", "[C]", |p| per_channel(p, Channel::dbeta)),
    ("dgamma", "[C]", |p| per_channel(p, Channel::dgamma)),
    ("dx", "[m, C] for each worker", |p| {
        per_value(p, Channel::right_dx)
    }),
];

const MERGING: &str = "sec:synchronized";
const BACKWARD: &str = "sec:synchronized-backward";
const THREE_TERMS: &str = "sec:three-terms";

const MISTAKES: &[Mistake<Probe>] = &[
    Mistake {
        targets: &["count"],
        id: "workers-counted",
        sentence: "it is the number of workers: it must be the number of their rows",
        section: MERGING,
        wrong: |p, _| vec![p.x.len() as f64],
    },
    Mistake {
        targets: &["mean"],
        id: "means-unweighted",
        sentence: "the means are averaged as if all workers had equally many rows: weigh each by its count",
        section: MERGING,
        wrong: |p, _| per_channel(p, Channel::mean_of_means),
    },
    Mistake {
        targets: &["mean"],
        id: "means-not-divided",
        sentence: "the weighted means are added up and not divided by the count of all",
        section: MERGING,
        wrong: |p, _| per_channel(p, |c| c.mean * c.all()),
    },
    Mistake {
        targets: &["mean"],
        id: "divided-by-workers",
        sentence: "the weighted means are divided by the number of workers: divide by the count of all rows",
        section: MERGING,
        wrong: |p, _| per_channel(p, |c| c.mean * c.all() / c.workers() as f64),
    },
    Mistake {
        targets: &["squares"],
        id: "between-missing",
        sentence: "the part between the workers is missing: the rows of a worker lie around its own mean, not around that of all",
        section: MERGING,
        wrong: |p, _| per_channel(p, |c| c.over(|k| c.own_squares(k))),
    },
    Mistake {
        targets: &["squares"],
        id: "between-unweighted",
        sentence: "the squared distance between a worker's mean and that of all counts once: it counts for each of its rows",
        section: MERGING,
        wrong: |p, _| {
            per_channel(p, |c| {
                c.over(|k| c.own_squares(k) + (c.own_mean(k) - c.mean).powi(2))
            })
        },
    },
    Mistake {
        targets: &["squares"],
        id: "between-sign",
        sentence: "the part between the workers is subtracted: the rows of all lie wider apart than those of one",
        section: MERGING,
        wrong: |p, _| {
            per_channel(p, |c| {
                c.over(|k| c.own_squares(k) - c.count(k) * (c.own_mean(k) - c.mean).powi(2))
            })
        },
    },
    Mistake {
        targets: &["squares"],
        id: "around-unweighted-mean",
        sentence: "the distances are those from the average of the means: take them from the mean of all rows",
        section: MERGING,
        wrong: |p, _| {
            per_channel(p, |c| {
                let mean = c.mean_of_means();
                c.over(|k| c.own_squares(k) + c.count(k) * (c.own_mean(k) - mean).powi(2))
            })
        },
    },
    Mistake {
        targets: &["squares"],
        id: "divided",
        sentence: "it is divided by the count: this is the variance, and `squares` is the sum",
        section: MERGING,
        wrong: |p, _| per_channel(p, |c| c.squares / c.all()),
    },
    Mistake {
        targets: &["squares"],
        id: "variances-averaged",
        sentence: "it is made of the average of the workers' variances: the part between them is missing, and each counts alike whatever its count",
        section: MERGING,
        wrong: |p, _| {
            per_channel(p, |c| {
                let var = |k: usize| c.own_squares(k) / c.count(k).max(1.0);
                c.over(var) / c.workers() as f64 * c.all()
            })
        },
    },
    Mistake {
        targets: &["dbeta"],
        id: "averaged-over-workers",
        sentence: "it is divided by the number of workers: all of them use the same beta, so its gradient is a sum",
        section: BACKWARD,
        wrong: |p, _| per_channel(p, |c| c.dbeta() / c.workers() as f64),
    },
    Mistake {
        targets: &["dbeta"],
        id: "averaged",
        sentence: "it is divided by the number of rows: beta is used by each of them, so its gradient is a sum",
        section: BACKWARD,
        wrong: |p, _| per_channel(p, |c| c.dbeta() / c.all()),
    },
    Mistake {
        targets: &["dbeta"],
        id: "one-worker",
        sentence: "it is that of the last worker alone: all of them use the same beta",
        section: BACKWARD,
        wrong: |p, _| per_channel(p, |c| c.own_dy(c.workers() - 1)),
    },
    Mistake {
        targets: &["dbeta"],
        id: "counted-by-every-worker",
        sentence: "it is too large by the number of workers: the sum of all was added up once more by each",
        section: BACKWARD,
        wrong: |p, _| per_channel(p, |c| c.dbeta() * c.workers() as f64),
    },
    Mistake {
        targets: &["dgamma"],
        id: "averaged-over-workers",
        sentence: "it is divided by the number of workers: all of them use the same gamma, so its gradient is a sum",
        section: BACKWARD,
        wrong: |p, _| per_channel(p, |c| c.dgamma() / c.workers() as f64),
    },
    Mistake {
        targets: &["dgamma"],
        id: "averaged",
        sentence: "it is divided by the number of rows: gamma is used by each of them, so its gradient is a sum",
        section: BACKWARD,
        wrong: |p, _| per_channel(p, |c| c.dgamma() / c.all()),
    },
    Mistake {
        targets: &["dgamma"],
        id: "one-worker",
        sentence: "it is that of the last worker alone: all of them use the same gamma",
        section: BACKWARD,
        wrong: |p, _| per_channel(p, |c| c.own_dy_x_hat(c.workers() - 1)),
    },
    Mistake {
        targets: &["dgamma"],
        id: "counted-by-every-worker",
        sentence: "it is too large by the number of workers: the sum of all was added up once more by each",
        section: BACKWARD,
        wrong: |p, _| per_channel(p, |c| c.dgamma() * c.workers() as f64),
    },
    Mistake {
        targets: &["dx"],
        id: "own-sums",
        sentence: "the two means are those of the worker's own rows: every row has moved the statistics of all workers, so both sums run over all",
        section: BACKWARD,
        wrong: |p, _| {
            per_value(p, |c, k, r| {
                let m = c.count(k);
                c.dx(k, r, c.own_dy(k) / m, c.own_dy_x_hat(k) / m)
            })
        },
    },
    Mistake {
        targets: &["dx"],
        id: "own-sums-over-all",
        sentence: "the two sums run over the worker's own rows and are divided by the count of all: they must run over all rows",
        section: BACKWARD,
        wrong: |p, _| {
            per_value(p, |c, k, r| {
                let m = c.all();
                c.dx(k, r, c.own_dy(k) / m, c.own_dy_x_hat(k) / m)
            })
        },
    },
    Mistake {
        targets: &["dx"],
        id: "own-count",
        sentence: "the sums of all workers are divided by the count of one: divide by that of all rows",
        section: BACKWARD,
        wrong: |p, _| {
            per_value(p, |c, k, r| {
                let m = c.count(k);
                c.dx(k, r, c.dbeta() / m, c.dgamma() / m)
            })
        },
    },
    Mistake {
        targets: &["dx"],
        id: "means-unweighted",
        sentence: "the means of the workers are averaged as if all had equally many rows: add up the sums, then divide by the count of all",
        section: BACKWARD,
        wrong: |p, _| {
            per_value(p, |c, k, r| {
                let workers = c.workers() as f64;
                let a = c.over(|k| c.own_dy(k) / c.count(k).max(1.0)) / workers;
                let b = c.over(|k| c.own_dy_x_hat(k) / c.count(k).max(1.0)) / workers;
                c.dx(k, r, a, b)
            })
        },
    },
    Mistake {
        targets: &["dx"],
        id: "divided-by-workers",
        sentence: "the two sums are divided by the number of workers: divide by that of all rows",
        section: BACKWARD,
        wrong: |p, _| {
            per_value(p, |c, k, r| {
                let workers = c.workers() as f64;
                c.dx(k, r, c.dbeta() / workers, c.dgamma() / workers)
            })
        },
    },
    Mistake {
        targets: &["dx"],
        id: "sums-for-means",
        sentence: "the two sums are not divided by the count of all rows",
        section: THREE_TERMS,
        wrong: |p, _| per_value(p, |c, k, r| c.dx(k, r, c.dbeta(), c.dgamma())),
    },
    Mistake {
        targets: &["dx"],
        id: "mean-path-missing",
        sentence: "the path through the mean is missing",
        section: THREE_TERMS,
        wrong: |p, _| per_value(p, |c, k, r| c.dx(k, r, 0.0, c.dgamma() / c.all())),
    },
    Mistake {
        targets: &["dx"],
        id: "variance-path-missing",
        sentence: "the path through the variance is missing",
        section: THREE_TERMS,
        wrong: |p, _| per_value(p, |c, k, r| c.dx(k, r, c.dbeta() / c.all(), 0.0)),
    },
    Mistake {
        targets: &["dx"],
        id: "both-paths-missing",
        sentence: "the paths through mean and variance are missing: this is the gradient of a frozen layer",
        section: "sec:freezing",
        wrong: |p, _| per_value(p, |c, k, r| c.dx(k, r, 0.0, 0.0)),
    },
    Mistake {
        targets: &["dx"],
        id: "gamma-forgotten",
        sentence: "gamma is missing",
        section: THREE_TERMS,
        wrong: |p, _| per_value(p, |c, k, r| c.right_dx(k, r) / c.gamma),
    },
    Mistake {
        targets: &["dx"],
        id: "rstd-forgotten",
        sentence: "rstd is missing",
        section: THREE_TERMS,
        wrong: |p, _| per_value(p, |c, k, r| c.right_dx(k, r) / c.rstd()),
    },
    Mistake {
        targets: &["dx"],
        id: "zero",
        sentence: "it is zero everywhere",
        section: BACKWARD,
        wrong: |p, _| per_value(p, |_, _, _| 0.0),
    },
];

const EMPTY: (&str, &str) = (
    "empty-worker",
    "a worker without rows makes it NaN: its count is 0, and 0 over 0 is no number",
);
const CANCELS: (&str, &str) = (
    "cancellation",
    "squares: digits are lost when the mean is large: no sum of x² may be subtracted from another; use the distances between means",
);

/// The mistakes that this checker knows.
fn known() -> Vec<Known> {
    let empty = TARGETS.iter().take(FORWARD).skip(1).map(|(target, ..)| {
        let (id, what) = EMPTY;
        Known::new(NAME, id, format!("{target}: {what}"), MERGING)
    });
    let (id, what) = CANCELS;
    let listed = listed(NAME, MISTAKES).into_iter().chain(empty);
    listed
        .chain([Known::new(NAME, id, what, MERGING)])
        .collect()
}

/// A right probe for the merge and one for the backward pass: a mistake in the first must
/// not show in the second.
fn run(merge: Merge<'_>, p: &Probe) -> Found {
    let all = merge(&p.parts());
    Found {
        count: vec![all.count as f64],
        mean: all.mean,
        squares: all.squares,
        ..Found::default()
    }
}

fn run_backward(backward: BackwardPass<'_>, p: &Probe, found: &mut Found) -> Option<String> {
    let (mean, squares) = (per_channel(p, |c| c.mean), per_channel(p, |c| c.squares));
    let rstd = rstd(&squares, p.x.concat().len() / p.channels);
    let gradients = backward(&p.workers(&mean, &rstd), &p.gamma, &rstd);
    found.dbeta = gradients.dbeta;
    found.dgamma = gradients.dgamma;
    found.dx = gradients.dx.concat();
    if gradients.dx.len() != p.x.len() {
        return Some(format!(
            "dx has {} lists and must have {}, one for each worker",
            gradients.dx.len(),
            p.x.len()
        ));
    }
    let lengths = gradients.dx.iter().zip(&p.x).enumerate();
    let mut wrong = lengths.filter(|(_, (found, right))| found.len() != right.len());
    let (k, (found, right)) = wrong.next()?;
    Some(format!(
        "dx of worker {} has {} values and must have {}, one for each of its own",
        k + 1,
        found.len(),
        right.len()
    ))
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Listed(known())
}

/// The report on both functions, from random batches of this seed.
#[must_use]
pub fn report(merge: Merge<'_>, backward: BackwardPass<'_>, seed: u64) -> Report {
    let probes = probes(seed);
    let mut lines = Vec::new();
    let mut found: Vec<Found> = probes.iter().map(|p| run(merge, p)).collect();
    if let Some(report) = judge(&probes, &found, &TARGETS[..FORWARD], &mut lines) {
        return report;
    }
    if let Some(report) = far_from_zero(merge, &probes[0], &mut lines) {
        return report;
    }
    let mut cut = None;
    for (p, found) in probes.iter().zip(&mut found) {
        let wrong = run_backward(backward, p, found);
        cut = cut.or(wrong);
    }
    if let Some(headline) = cut {
        let mut report = Report::new(NAME, Outcome::Wrong, headline);
        report.mistake = Some("shape".to_owned());
        report.lines = lines;
        return report;
    }
    if let Some(report) = judge(&probes, &found, &TARGETS[FORWARD..], &mut lines) {
        return report;
    }
    confirmed(merge, backward, &probes[0], seed, lines)
}

/// Compares these targets; the report on the first that is wrong.
fn judge(
    probes: &[Probe],
    found: &[Found],
    targets: &[Target],
    lines: &mut Vec<Line>,
) -> Option<Report> {
    let (compared, first) = compare_all(targets, probes.len(), |(name, _, right), k| {
        let title = format!("{name}, batch {}", k + 1);
        (title, right(&probes[k]), found[k].get(name))
    });
    lines.extend(compared);
    let ((name, shape, _), k, expected) = first?;
    // What divides by the count of each worker is NaN where one has no rows.
    let divided = |(p, found): &(&Probe, &[f64])| {
        p.x.iter().any(Vec::is_empty) && found.iter().any(|v| v.is_nan())
    };
    let all = probes.iter().zip(found.iter().map(|f| f.get(name)));
    let known = find(MISTAKES, name, all.filter(|pair| !divided(pair)));
    let values = found[k].get(name);
    // Right wherever all workers have rows.
    let empty = k + 1 == probes.len() && values.iter().any(|v| v.is_nan());
    let merged = TARGETS[..FORWARD]
        .iter()
        .any(|(target, ..)| *target == name);
    let mut report = if known.is_none() && empty && merged {
        let (id, what) = EMPTY;
        wrong_at(NAME, id, format!("{name}: {what}"), MERGING)
    } else {
        let unusable = unusable(name, expected.len(), values, shape);
        mistake::report(NAME, name, known, unusable, format!("{name} is wrong"))
    };
    report.lines = std::mem::take(lines);
    let columns = if name == "count" {
        1
    } else {
        probes[k].channels
    };
    let rows = expected.len() / columns;
    report.heatmap = heatmap(name, rows, columns, &expected, values);
    Some(report)
}

/// How far from zero the rows of the last probe of the merge lie, and what may be lost there.
const FAR: f64 = 1e6;
const LOST: f64 = 1e-7;

/// The same batch with a large mean.
fn far_from_zero(merge: Merge<'_>, p: &Probe, lines: &mut Vec<Line>) -> Option<Report> {
    let mut far = p.clone();
    far.x.iter_mut().flatten().for_each(|x| *x += FAR);
    let right = per_channel(&far, |c| c.squares);
    let off = distance(&right, &merge(&far.parts()).squares);
    let right = off <= LOST;
    lines.push(Line {
        name: "squares, a mean of a million".to_owned(),
        right,
        detail: format!("off by up to {off:.0e} of the largest value, may be {LOST:.0e}"),
    });
    (!right).then(|| {
        let (id, what) = CANCELS;
        let mut report = wrong_at(NAME, id, what, MERGING);
        report.lines = std::mem::take(lines);
        report
    })
}

/// Finite differences through both functions, over the rows of all workers.
fn confirmed(
    merge: Merge<'_>,
    backward: BackwardPass<'_>,
    p: &Probe,
    seed: u64,
    lines: Vec<Line>,
) -> Report {
    let rows = p.x.concat().len() / p.channels;
    let shape = [rows, p.channels];
    let with = |v: &[Vec<f64>], dy: &[f64]| Probe {
        x: p.cut(&v[0]),
        dy: p.cut(dy),
        gamma: v[1].clone(),
        beta: v[2].clone(),
        ..p.clone()
    };
    let statistics = |p: &Probe| {
        let all = merge(&p.parts());
        let rstd = rstd(&all.squares, all.count);
        (all.mean, rstd)
    };
    let checked = Check::new("synchronized Batch Norm")
        .input("x", &shape, p.x.concat())
        .input("gamma", &shape[1..], p.gamma.clone())
        .input("beta", &shape[1..], p.beta.clone())
        .seed(seed)
        .run(
            |v| per_value(&with(v, &p.dy.concat()), Channel::y),
            |v, dy| {
                let p = with(v, dy);
                let (mean, rstd) = statistics(&p);
                let g = backward(&p.workers(&mean, &rstd), &p.gamma, &rstd);
                vec![g.dx.concat(), g.dgamma, g.dbeta]
            },
        );
    gradients::settled(
        NAME,
        lines,
        checked.passed(),
        "it is Batch Norm of the whole batch, forward and backward, and finite differences confirm it",
        gradients::APART,
    )
}

#[cfg(test)]
mod tests;
