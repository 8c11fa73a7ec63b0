//! Checks the exercise `synchronized_statistics`.

use crate::Report;
use crate::engine::shared::Terms;
use crate::engine::{self, Axis, Case, Checker, Named, Order, conclude, field};
use crate::harness;
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

/// The report on both functions, from random batches of this seed.
#[must_use]
pub fn report(merge: Merge<'_>, backward: BackwardPass<'_>, seed: u64) -> Report {
    let all = "it is Batch Norm of the whole batch, forward and backward, and finite differences confirm it";
    let merge = |p: &Probe, answer: &mut Merged| {
        let all = merge(&p.parts());
        *answer = Merged {
            count: all.count as f64,
            mean: all.mean,
            squares: all.squares,
        };
    };
    let backward = |p: &Probe, answer: &mut Returned| {
        let rstd = p.rstd();
        let g = backward(&p.workers(&rstd), &p.gamma, &rstd);
        *answer = Returned {
            lengths: g.dx.iter().map(|dx| dx.len() as f64).collect(),
            dx: g.dx.concat(),
            dgamma: g.dgamma,
            dbeta: g.dbeta,
        };
    };
    let parts = vec![
        merging().judge(&merge, seed),
        merging_far().judge(&merge, seed),
        going_back().judge(&backward, seed),
    ];
    conclude(NAME, all, parts)
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Parts(vec![
        Box::new(merging()),
        Box::new(merging_far()),
        Box::new(going_back()),
    ])
}

/// What `merge` returns, in numbers that may be wrong in any way.
#[derive(Default)]
struct Merged {
    count: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

/// What `backward` returns, worker after worker.
#[derive(Default)]
struct Returned {
    /// How many values of dx each worker has.
    lengths: Vec<f64>,
    dx: Vec<f64>,
    dgamma: Vec<f64>,
    dbeta: Vec<f64>,
}

/// A batch on several workers, with its right statistics.
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

    /// Over the workers up to this one.
    fn up_to(&self, k: usize, f: impl Fn(usize) -> f64) -> f64 {
        (0..=k).map(f).sum()
    }

    /// The sum of squares, if the distances between the workers are taken from this mean.
    fn squares_around(&self, mean: impl Fn(usize) -> f64) -> f64 {
        self.over(|k| self.own_squares(k) + self.count(k) * (self.own_mean(k) - mean(k)).powi(2))
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

    /// What row r of worker k adds to both sums.
    fn adds(&self, k: usize, r: usize) -> [f64; 2] {
        [self.dy[k][r], self.dy[k][r] * self.x_hat(k, r)]
    }

    /// Both sums of one worker.
    fn own_sums(&self, k: usize) -> [f64; 2] {
        [self.own_dy(k), self.own_dy_x_hat(k)]
    }

    /// Both sums of the whole batch.
    fn sums(&self) -> [f64; 2] {
        [self.dbeta(), self.dgamma()]
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

    fn rstd(&self) -> Vec<f64> {
        per_channel(self, Channel::rstd)
    }

    /// What the workers hold when the backward pass begins.
    fn workers(&self, rstd: &[f64]) -> Vec<Worker> {
        let mean = per_channel(self, |c| c.mean);
        let worker = |(x, dy): (&Vec<f64>, &Vec<f64>)| {
            let x_hat = |(at, x): (usize, &f64)| {
                let c = at % self.channels;
                (x - mean[c]) * rstd[c]
            };
            Worker {
                x_hat: x.iter().enumerate().map(x_hat).collect(),
                dy: dy.clone(),
            }
        };
        self.x.iter().zip(&self.dy).map(worker).collect()
    }

    /// The rows of all workers in one list, cut as in `self`.
    fn cut(&self, all: &[f64]) -> Vec<Vec<f64>> {
        let mut rest = all;
        let part = |rows: &Vec<f64>| {
            let (part, after) = rest.split_at(rows.len());
            rest = after;
            part.to_vec()
        };
        self.x.iter().map(part).collect()
    }

    fn rows(&self) -> usize {
        self.x.concat().len() / self.channels
    }

    /// The terms of a sum over the workers, for each channel.
    fn of_workers(&self, term: fn(&Channel, usize) -> f64) -> Terms {
        let channels = (0..self.channels).map(|c| (c, Channel::new(self, c)));
        let of = |(c, channel): (usize, Channel)| -> Terms {
            let workers = 0..channel.workers();
            workers.map(|k| (c, term(&channel, k))).collect()
        };
        channels.flat_map(of).collect()
    }

    /// The terms of a sum over all rows, for each channel.
    fn of_rows(&self, term: fn(&Channel, usize, usize) -> f64) -> Terms {
        let values = per_value(self, term).into_iter().enumerate();
        values.map(|(at, v)| (at % self.channels, v)).collect()
    }
}

impl Case for Probe {
    fn title(&self) -> String {
        let rows = |x: &Vec<f64>| (x.len() / self.channels).to_string();
        let rows: Vec<String> = self.x.iter().map(rows).collect();
        format!(
            "workers with {} rows of {} channels",
            rows.join(", "),
            self.channels
        )
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        vec![
            ("M", self.rows()),
            ("K", self.x.len()),
            ("C", self.channels),
        ]
    }
}

const CHANNELS: &[Axis] = &[Axis("C", "channel")];
const WORKERS: &[Axis] = &[Axis("K", "worker")];
const ROWS: &[Axis] = &[Axis("M", "row of the batch"), Axis("C", "channel")];

const MERGING: &str = "sec:synchronized";
const BACKWARD: &str = "sec:synchronized-backward";
const THREE_TERMS: &str = "sec:three-terms";

/// NaN where a worker has no rows, or else the right values.
fn unless_empty(p: &Probe, right: fn(&Channel) -> f64) -> Vec<f64> {
    let empty = p.x.iter().any(Vec::is_empty);
    per_channel(p, |c| if empty { f64::NAN } else { right(c) })
}

fn merging() -> engine::Part<Probe, Merged> {
    const EMPTY: &str =
        "a worker without rows makes it NaN: its count is 0, and 0 over 0 is no number";
    const UNWEIGHTED: &str =
        "the means are averaged as if all workers had equally many rows: weigh each by its count";
    const AVERAGED: &str = "it is made of the average of the workers' variances: the part between them is missing, and each counts alike whatever its count";
    engine::Part::new("merge", Order::FirstWrong, probes, |_| Merged::default())
        .target("count", MERGING, &[], |p| vec![p.rows() as f64], field!(number count))
        .mistake(
            &["count"],
            "workers-counted",
            "it is the number of workers: it must be the number of their rows",
            |p, _| vec![p.x.len() as f64],
        )
        .sums("the rows of every worker count", |p| {
            let rows = |x: &Vec<f64>| (0, (x.len() / p.channels) as f64);
            p.x.iter().map(rows).collect()
        })
        .target("mean", MERGING, CHANNELS, |p| per_channel(p, |c| c.mean), field!(mean))
        .mistake(&["mean"], "means-unweighted", UNWEIGHTED, |p, _| {
            per_channel(p, Channel::mean_of_means)
        })
        .mistake(&["mean"], "means-unweighted", UNWEIGHTED, |p, _| {
            per_channel(p, |c| {
                let with_rows = c.over(|k| f64::from(u8::from(c.count(k) > 0.0)));
                c.over(|k| c.own_mean(k)) / with_rows
            })
        })
        .mistake(
            &["mean"],
            "means-not-divided",
            "the weighted means are added up and not divided by the count of all",
            |p, _| per_channel(p, |c| c.mean * c.all()),
        )
        .mistake(
            &["mean"],
            "divided-by-workers",
            "the weighted means are divided by the number of workers: divide by the count of all rows",
            |p, _| per_channel(p, |c| c.mean * c.all() / c.workers() as f64),
        )
        .mistake(&["mean"], "empty-worker", EMPTY, |p, _| unless_empty(p, |c| c.mean))
        .sums("every worker with rows moves the mean", |p| {
            p.of_workers(|c, k| c.count(k) * c.own_mean(k) / c.all())
        })
        .target("squares", MERGING, CHANNELS, |p| per_channel(p, |c| c.squares), field!(squares))
        .mistake(
            &["squares"],
            "between-missing",
            "the part between the workers is missing: the rows of a worker lie around its own mean, not around that of all",
            |p, _| per_channel(p, |c| c.over(|k| c.own_squares(k))),
        )
        .mistake(
            &["squares"],
            "within-missing",
            "only the part between the workers is there: the rows of a worker lie around its own mean, and their squares count too",
            |p, _| per_channel(p, |c| c.squares - c.over(|k| c.own_squares(k))),
        )
        .mistake(
            &["squares"],
            "between-unweighted",
            "the squared distance between a worker's mean and that of all counts once: it counts for each of its rows",
            |p, _| {
                per_channel(p, |c| {
                    c.over(|k| c.own_squares(k) + (c.own_mean(k) - c.mean).powi(2))
                })
            },
        )
        .mistake(
            &["squares"],
            "between-sign",
            "the part between the workers is subtracted: the rows of all lie wider apart than those of one",
            |p, _| per_channel(p, |c| 2.0 * c.over(|k| c.own_squares(k)) - c.squares),
        )
        .mistake(
            &["squares"],
            "around-unweighted-mean",
            "the distances are those from the average of the means: take them from the mean of all rows",
            |p, _| per_channel(p, |c| c.squares_around(|_| c.mean_of_means())),
        )
        .mistake(
            &["squares"],
            "around-a-mean-in-the-making",
            "the distances are taken from a mean that is not complete: add up the mean of all workers first, and then the squares in a second loop",
            |p, _| {
                per_channel(p, |c| {
                    let weighted = |k: usize| c.count(k) * c.own_mean(k) / c.all();
                    c.squares_around(|k| c.up_to(k, weighted))
                })
            },
        )
        .mistake(
            &["squares"],
            "divided",
            "it is divided by the count: this is the variance, and `squares` is the sum",
            |p, _| per_channel(p, |c| c.squares / c.all()),
        )
        .mistake(&["squares"], "variances-averaged", AVERAGED, |p, _| {
            per_channel(p, |c| {
                let var = |k: usize| c.own_squares(k) / c.count(k).max(1.0);
                c.over(var) / c.workers() as f64 * c.all()
            })
        })
        .mistake(&["squares"], "variances-averaged", AVERAGED, |p, _| {
            per_channel(p, |c| {
                let var = |k: usize| c.own_squares(k) / c.count(k);
                c.over(var) / c.workers() as f64 * c.all()
            })
        })
        .mistake(&["squares"], "empty-worker", EMPTY, |p, _| unless_empty(p, |c| c.squares))
        .sums("every worker adds its own squares and those between", |p| {
            p.of_workers(|c, k| c.own_squares(k) + c.count(k) * (c.own_mean(k) - c.mean).powi(2))
        })
}

/// How far from zero the rows lie in the last question about the merge.
const FAR: f64 = 1e6;
const CANCELS: &str = "digits are lost when the mean is large: no sum of x² may be subtracted from another; use the distances between means";

/// The first batch with a large mean.
fn far(seed: u64) -> Vec<Probe> {
    let mut far = probes(seed).swap_remove(0);
    far.x.iter_mut().flatten().for_each(|x| *x += FAR);
    vec![far]
}

fn merging_far() -> engine::Part<Probe, Merged> {
    engine::Part::new("merge around a million", Order::FirstWrong, far, |_| {
        Merged::default()
    })
    .target(
        "squares",
        MERGING,
        CHANNELS,
        |p| per_channel(p, |c| c.squares),
        field!(squares),
    )
    // The distance between means is known as far as the means are.
    .cancels(|_| FAR)
    .mistake(&["squares"], "cancellation", CANCELS, |p, _| {
        per_channel(p, |c| {
            let raw = |k: usize| c.own_squares(k) + c.count(k) * c.own_mean(k).powi(2);
            c.over(raw) - c.all() * c.mean * c.mean
        })
    })
    // Which digits are lost depends on the order of the sums.
    .explained_by(|p, found, _| {
        let right = per_channel(p, |c| c.squares);
        let mut near = right.iter().zip(&found.squares);
        near.all(|(right, found)| (right - found).abs() < 0.01 * right)
            .then(|| Named {
                id: "cancellation".to_owned(),
                sentence: CANCELS.to_owned(),
                section: None,
            })
    })
}

/// A wrong pair of means in dx: its name, what is said, the section, and what is subtracted in
/// a row of a worker, as in [`Channel::dx`].
type Means = (
    &'static str,
    &'static str,
    &'static str,
    fn(&Channel, usize, usize) -> [f64; 2],
);

const INCOMPLETE: &str = "the two sums are used before they are complete: add them up over all workers first, and make dx in a second loop";

const MEANS: [Means; 12] = [
    (
        "own-sums",
        "the two means are those of the worker's own rows: every row has moved the statistics of all workers, so both sums run over all",
        BACKWARD,
        |c, k, _| c.own_sums(k).map(|sum| sum / c.count(k)),
    ),
    (
        "own-sums-over-all",
        "the two sums run over the worker's own rows and are divided by the count of all: they must run over all rows",
        BACKWARD,
        |c, k, _| c.own_sums(k).map(|sum| sum / c.all()),
    ),
    (
        "own-count",
        "the sums of all workers are divided by the count of one: divide by that of all rows",
        BACKWARD,
        |c, k, _| c.sums().map(|sum| sum / c.count(k)),
    ),
    (
        "means-unweighted",
        "the means of the workers are averaged as if all had equally many rows: add up the sums, then divide by the count of all",
        BACKWARD,
        |c, _, _| {
            [0, 1].map(|i| {
                let mean = |k: usize| c.own_sums(k)[i] / c.count(k).max(1.0);
                c.over(mean) / c.workers() as f64
            })
        },
    ),
    ("sums-incomplete", INCOMPLETE, BACKWARD, |c, k, _| {
        [0, 1].map(|i| c.up_to(k, |k| c.own_sums(k)[i]) / c.all())
    }),
    ("sums-incomplete", INCOMPLETE, BACKWARD, |c, k, _| {
        [0, 1].map(|i| c.up_to(k, |k| c.own_sums(k)[i]) / c.up_to(k, |k| c.count(k)))
    }),
    ("sums-incomplete", INCOMPLETE, BACKWARD, |c, k, r| {
        [0, 1].map(|i| {
            let before: f64 = (0..k).map(|k| c.own_sums(k)[i]).sum();
            let own: f64 = (0..=r).map(|r| c.adds(k, r)[i]).sum();
            (before + own) / c.all()
        })
    }),
    (
        "divided-by-workers",
        "the two sums are divided by the number of workers: divide by that of all rows",
        BACKWARD,
        |c, _, _| c.sums().map(|sum| sum / c.workers() as f64),
    ),
    (
        "sums-for-means",
        "the two sums are not divided by the count of all rows",
        THREE_TERMS,
        |c, _, _| c.sums(),
    ),
    (
        "mean-path-missing",
        "the path through the mean is missing",
        THREE_TERMS,
        |c, _, _| [0.0, c.dgamma() / c.all()],
    ),
    (
        "variance-path-missing",
        "the path through the variance is missing",
        THREE_TERMS,
        |c, _, _| [c.dbeta() / c.all(), 0.0],
    ),
    (
        "both-paths-missing",
        "the paths through mean and variance are missing: this is the gradient of a frozen layer",
        "sec:freezing",
        |_, _, _| [0.0, 0.0],
    ),
];

fn going_back() -> engine::Part<Probe, Returned> {
    let lengths = |p: &Probe| p.x.iter().map(|x| x.len() as f64).collect();
    let part = engine::Part::new("backward", Order::Together, probes, |_| Returned::default())
        .target("lengths of dx", BACKWARD, WORKERS, lengths, field!(lengths))
        .target(
            "dbeta",
            BACKWARD,
            CHANNELS,
            |p| per_channel(p, Channel::dbeta),
            field!(dbeta),
        )
        .excludes("gamma", "beta is added behind gamma", |p| p.gamma.clone())
        .sums("every row of every worker uses beta", |p| {
            p.of_rows(|c, k, r| c.adds(k, r)[0])
        })
        .target(
            "dgamma",
            BACKWARD,
            CHANNELS,
            |p| per_channel(p, Channel::dgamma),
            field!(dgamma),
        )
        .excludes(
            "gamma",
            "the derivative of gamma * x_hat with respect to gamma is x_hat",
            |p| p.gamma.clone(),
        )
        .sums("every row of every worker uses gamma", |p| {
            p.of_rows(|c, k, r| c.adds(k, r)[1])
        })
        .target(
            "dx",
            BACKWARD,
            ROWS,
            |p| per_value(p, Channel::right_dx),
            field!(dx),
        )
        .contains("gamma", "y = gamma * x_hat + beta", |p| {
            per_value(p, |c, _, _| c.gamma)
        })
        .contains("rstd", "x_hat = (x - mean) * rstd", |p| {
            per_value(p, |c, _, _| c.rstd())
        })
        .numeric(against_differences);
    let part = of_parameters(part);
    MEANS
        .into_iter()
        .fold(part, |part, (id, what, section, means)| {
            part.knows("dx", id, what, section, move |p| {
                per_value(p, |c, k, r| {
                    let [a, b] = means(c, k, r);
                    c.dx(k, r, a, b)
                })
            })
        })
}

/// Both parameters, of which all workers have the same.
fn of_parameters(part: engine::Part<Probe, Returned>) -> engine::Part<Probe, Returned> {
    /// A wrong sum: its name, what is said, and how it is made of those of the workers.
    type Sum = (
        &'static str,
        &'static str,
        fn(&Channel, &dyn Fn(usize) -> f64) -> f64,
    );
    const SUMS: [Sum; 4] = [
        (
            "averaged-over-workers",
            "it is divided by the number of workers: all of them use the same parameter, so its gradient is a sum",
            |c, own| c.over(own) / c.workers() as f64,
        ),
        (
            "averaged",
            "it is divided by the number of rows: the parameter is used by each of them, so its gradient is a sum",
            |c, own| c.over(own) / c.all(),
        ),
        (
            "one-worker",
            "it is that of the last worker alone: all of them use the same parameter",
            |c, own| own(c.workers() - 1),
        ),
        (
            "counted-by-every-worker",
            "it is too large by the number of workers: the sum of all was added up once more by each",
            |c, own| c.over(own) * c.workers() as f64,
        ),
    ];
    let targets = ["dbeta", "dgamma"].into_iter().enumerate();
    let all = targets.flat_map(|(i, target)| SUMS.map(|sum| (i, target, sum)));
    all.fold(part, |part, (i, target, (id, what, sum))| {
        part.knows(target, id, what, BACKWARD, move |p| {
            per_channel(p, |c| sum(c, &|k| c.own_sums(k)[i]))
        })
    })
}

/// Through the statistics of the rows of all workers.
fn against_differences(run: &dyn Fn(&Probe, &mut Returned), seed: u64) -> gradcheck::Report {
    let p = &probes(seed)[0];
    let shape = [p.rows(), p.channels];
    let with = |v: &[Vec<f64>], dy: &[f64]| Probe {
        channels: p.channels,
        x: p.cut(&v[0]),
        dy: p.cut(dy),
        gamma: v[1].clone(),
        beta: v[2].clone(),
    };
    Check::new("synchronized Batch Norm")
        .input("x", &shape, p.x.concat())
        .input("gamma", &shape[1..], p.gamma.clone())
        .input("beta", &shape[1..], p.beta.clone())
        .seed(seed)
        .run(
            |v| per_value(&with(v, &p.dy.concat()), Channel::y),
            |v, dy| {
                let mut found = Returned::default();
                run(&with(v, dy), &mut found);
                vec![found.dx, found.dgamma, found.dbeta]
            },
        )
}

#[cfg(test)]
mod tests;
