//! Checks the exercise `synchronized_statistics`.

use crate::arrays::{Array, Draws};
use judge::shared::rstd;
use judge::{Axis, Differences, Formulas, Found, Named, Order, Slip, case, exercise, found, slips};

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

exercise! {
    check(
        merge: Fn(&[Part]) -> Part,
        // From the workers, gamma and rstd.
        backward: Fn(&[Worker], &[f64], &[f64]) -> Gradients,
    ),
    right: "it is Batch Norm of the whole batch, forward and backward, and finite differences confirm it",
    parts: [
        merging() => |p, answer| p.merged(merge, answer),
        merging_far() => |p, answer| p.merged(merge, answer),
        going_back() => |p, answer| {
            let workers = p.cut(&p.x_hat()).into_iter().zip(p.cut(&p.dy));
            let workers: Vec<Worker> = workers.map(|(x_hat, dy)| Worker { x_hat, dy }).collect();
            let g = backward(&workers, &p.gamma, &p.rstd().values());
            answer.set(LENGTHS, g.dx.iter().map(|dx| dx.len() as f64));
            answer.set("dx", g.dx.concat());
            answer.set("dgamma", g.dgamma);
            answer.set("dbeta", g.dbeta);
        },
    ],
}

/// How many values of dx each worker has.
const LENGTHS: &str = "lengths of dx";

/// A batch on several workers.
#[derive(Clone)]
struct Probe {
    /// How many rows each worker has.
    counts: Vec<usize>,
    /// `[M, C]`, worker after worker.
    x: Array,
    dy: Array,
    gamma: Vec<f64>,
    beta: Vec<f64>,
}

/// How many rows each worker has, and channels. In the first and the last some have none:
/// once the first two, so that nothing is joined with nothing.
const SHAPES: [(&[usize], usize); 3] = [(&[5, 2, 4], 3), (&[1, 6], 2), (&[0, 0, 3, 0, 4, 2], 4)];

fn probes(seed: u64) -> Vec<Probe> {
    let draws = &mut Draws::new(seed);
    let probe = |(counts, channels): (&[usize], usize)| {
        let rows: usize = counts.iter().sum();
        // Each worker has data of its own kind, so that the variance between them counts.
        let own = |count: &usize| {
            let source = draws.numbers(1, -2.0..2.0)[0];
            draws.numbers(count * channels, source..source + 3.0)
        };
        Probe {
            counts: counts.into(),
            x: Array::of([rows, channels], counts.iter().flat_map(own)),
            dy: draws.array([rows, channels], -1.0..1.0),
            gamma: draws.numbers(channels, 0.5..2.0),
            beta: draws.numbers(channels, -1.0..1.0),
        }
    };
    SHAPES.map(probe).into()
}

impl Probe {
    /// M.
    fn all(&self) -> f64 {
        self.x.length(0) as f64
    }

    /// m of each worker, `[K, 1]`.
    fn count(&self) -> Array {
        Array::of(
            [self.counts.len(), 1],
            self.counts.iter().map(|m| *m as f64),
        )
    }

    /// m of each worker, where something is divided by it.
    fn positive_count(&self) -> Array {
        self.count().map(|m| m.max(1.0))
    }

    /// The worker of each row.
    fn workers(&self) -> Vec<usize> {
        let of = |(k, m): (usize, &usize)| vec![k; *m];
        self.counts.iter().enumerate().flat_map(of).collect()
    }

    /// Sums over the rows of each worker, `[K, C]`.
    fn own(&self, of_rows: &Array) -> Array {
        let workers = self.workers();
        Array::mask([self.counts.len(), workers.len()], |k, r| workers[r] == k).dot(of_rows)
    }

    /// What is known of each worker, at each of its rows.
    fn at_rows(&self, of_workers: &Array) -> Array {
        of_workers.rows(&self.workers())
    }

    fn own_mean(&self) -> Array {
        self.own(&self.x) / self.positive_count()
    }

    fn own_squares(&self) -> Array {
        self.own(&(&self.x - self.at_rows(&self.own_mean())).squared())
    }

    fn mean(&self) -> Array {
        self.x.mean(0)
    }

    fn squares(&self) -> Array {
        (&self.x - self.mean()).squared().sum(0)
    }

    /// The share of each worker in the mean.
    fn weighted_means(&self) -> Array {
        self.own_mean() * self.count() / self.all()
    }

    /// What each worker adds to the sum of squares, the distances between the workers taken
    /// from this mean.
    fn squares_around(&self, mean: impl Into<Array>) -> Array {
        self.own_squares() + (self.own_mean() - mean).squared() * self.count()
    }

    fn rstd(&self) -> Array {
        (self.squares() / self.all()).map(|var| rstd(var, EPS))
    }

    fn x_hat(&self) -> Array {
        (&self.x - self.mean()) * self.rstd()
    }

    fn y(&self) -> Array {
        self.x_hat() * &self.gamma + &self.beta
    }

    /// What each row adds to the gradient of a parameter.
    fn adds(&self, target: &str) -> Array {
        match target {
            "dgamma" => &self.dy * self.x_hat(),
            _ => self.dy.clone(),
        }
    }

    /// `gamma rstd (dy - a - x_hat b)`.
    fn dx(&self, [a, b]: [Array; 2]) -> Array {
        (&self.dy - a - self.x_hat() * b) * self.rstd() * &self.gamma
    }

    /// The same with what `mean` makes of both sums, each with its weight.
    fn dx_by(&self, mean: Mean, weights: [f64; 2]) -> Array {
        self.dx([("dbeta", weights[0]), ("dgamma", weights[1])]
            .map(|(target, weight)| mean(self, &self.adds(target)) * weight))
    }

    fn right_dx(&self) -> Array {
        self.dx_by(|_, v| v.mean(0), [1.0; 2])
    }

    /// What the reader's function makes of the workers' statistics.
    fn merged(&self, merge: &dyn Fn(&[Part]) -> Part, answer: &mut Found) {
        let (mean, squares) = (self.own_mean(), self.own_squares());
        let part = |(k, count): (usize, &usize)| Part {
            count: *count,
            mean: mean.rows(&[k]).values(),
            squares: squares.rows(&[k]).values(),
        };
        let parts: Vec<Part> = self.counts.iter().enumerate().map(part).collect();
        let all = merge(&parts);
        answer.set("count", [all.count as f64]);
        answer.set("mean", all.mean);
        answer.set("squares", all.squares);
    }

    /// The rows of all workers, cut into those of each.
    fn cut(&self, all: &Array) -> Vec<Vec<f64>> {
        let rows = |k: usize| (0..self.workers().len()).filter(move |r| self.workers()[*r] == k);
        let own = |k| all.rows(&rows(k).collect::<Vec<_>>()).values();
        (0..self.counts.len()).map(own).collect()
    }
}

/// What a wrong gradient subtracts in the place of a mean, from what each row adds to it.
type Mean = fn(&Probe, &Array) -> Array;

case!(
    Probe,
    |p| {
        let rows: Vec<String> = p.counts.iter().map(usize::to_string).collect();
        format!("workers with {} rows of {} channels", rows.join(", "), p.gamma.len())
    },
    sizes: ["M": p.x.length(0), "K": p.counts.len(), "C": p.gamma.len()],
);

const CHANNELS: &[Axis] = &[Axis("C", "channel")];
const WORKERS: &[Axis] = &[Axis("K", "worker")];
const ROWS: &[Axis] = &[Axis("M", "row of the batch"), Axis("C", "channel")];

const MERGING: &str = "sec:synchronized";
const BACKWARD: &str = "sec:synchronized-backward";
const THREE_TERMS: &str = "sec:three-terms";

/// NaN where a worker has no rows, or else the right values.
fn unless_empty(p: &Probe, right: Array) -> Array {
    let empty = p.counts.contains(&0);
    right.map(|right| if empty { f64::NAN } else { right })
}

const EMPTY: &str =
    "empty-worker: a worker without rows makes it NaN: its count is 0, and 0 over 0 is no number";
const UNWEIGHTED: &str = "means-unweighted: the means are averaged as if all workers had equally many rows: weigh each by its count";
const AVERAGED: &str = "variances-averaged: it is made of the average of the workers' variances: the part between them is missing, and each counts alike whatever its count";

const COUNTS: Formulas<Probe, Vec<f64>> = slips![
    "workers-counted: it is the number of workers: it must be the number of their rows" =>
        |p| vec![p.counts.len() as f64],
];

const MEANS: Formulas<Probe, Array> = slips![
    UNWEIGHTED => |p| p.own_mean().mean(0),
    UNWEIGHTED => |p| {
        let with_rows = p.count().map(|m| m.min(1.0)).total();
        p.own_mean().sum(0) / with_rows
    },
    "means-not-divided: the weighted means are added up and not divided by the count of all" =>
        |p| p.x.sum(0),
    "divided-by-workers: the weighted means are divided by the number of workers: divide by the count of all rows" =>
        |p| p.x.sum(0) / p.counts.len() as f64,
    EMPTY => |p| unless_empty(p, p.mean()),
];

const SQUARES: Formulas<Probe, Array> = slips![
    "between-missing: the part between the workers is missing: the rows of a worker lie around its own mean, not around that of all" =>
        |p| p.own_squares().sum(0),
    "within-missing: only the part between the workers is there: the rows of a worker lie around its own mean, and their squares count too" =>
        |p| p.squares() - p.own_squares().sum(0),
    "between-unweighted: the squared distance between a worker's mean and that of all counts once: it counts for each of its rows" =>
        |p| (p.own_squares() + (p.own_mean() - p.mean()).squared()).sum(0),
    "between-sign: the part between the workers is subtracted: the rows of all lie wider apart than those of one" =>
        |p| p.own_squares().sum(0) * 2.0 - p.squares(),
    "around-unweighted-mean: the distances are those from the average of the means: take them from the mean of all rows" =>
        |p| p.squares_around(p.own_mean().mean(0)).sum(0),
    "around-a-mean-in-the-making: the distances are taken from a mean that is not complete: add up the mean of all workers first, and then the squares in a second loop" =>
        |p| p.squares_around(p.weighted_means().running_sums()).sum(0),
    "divided: it is divided by the count: this is the variance, and `squares` is the sum" =>
        |p| p.squares() / p.all(),
    AVERAGED => |p| (p.own_squares() / p.positive_count()).mean(0) * p.all(),
    AVERAGED => |p| (p.own_squares() / p.count()).mean(0) * p.all(),
    EMPTY => |p| unless_empty(p, p.squares()),
];

fn merging() -> judge::Part<Probe, Found> {
    judge::Part::new("merge", Order::FirstWrong, probes)
        .asks(found!("count"), MERGING, &[], |p| vec![p.all()])
        .formulas(&["count"], COUNTS)
        .sums("the rows of every worker count", |p| p.count().terms(0))
        .asks(found!("mean"), MERGING, CHANNELS, Probe::mean)
        .formulas(&["mean"], MEANS)
        .sums("every worker with rows moves the mean", |p| {
            p.weighted_means().terms(0)
        })
        .asks(found!("squares"), MERGING, CHANNELS, Probe::squares)
        .formulas(&["squares"], SQUARES)
        .sums("every worker adds its own squares and those between", |p| {
            p.squares_around(p.mean()).terms(0)
        })
}

/// How far from zero the rows lie in the last question about the merge.
const FAR: f64 = 1e6;
const CANCELS: &str = "cancellation: digits are lost when the mean is large: no sum of x² may be subtracted from another; use the distances between means";

/// The first batch with a large mean.
fn far(seed: u64) -> Vec<Probe> {
    let mut far = probes(seed).swap_remove(0);
    far.x = far.x + FAR;
    vec![far]
}

fn merging_far() -> judge::Part<Probe, Found> {
    let name = "merge around a million";
    judge::Part::new(name, Order::FirstWrong, far)
        .asks(found!("squares"), MERGING, CHANNELS, Probe::squares)
        // The distance between means is known as far as the means are.
        .cancels(|_| FAR)
        .wrong("squares", MERGING, CANCELS, |p| {
            let raw = p.own_squares() + p.own_mean().squared() * p.count();
            (raw.sum(0) - p.mean().squared() * p.all()).into()
        })
        // Which digits are lost depends on the order of the sums.
        .explained_by(|p, found, _| {
            let right = p.squares().values();
            let found = found.get("squares");
            let mut near = right.iter().zip(&found);
            near.all(|(right, found)| (right - found).abs() < 0.01 * right)
                .then(|| Named::of(CANCELS))
        })
}

const INCOMPLETE: &str = "sums-incomplete: the two sums are used before they are complete: add them up over all workers first, and make dx in a second loop";

/// A wrong mean of dy, and of dy x_hat, from what each row adds.
const WRONG_MEANS: &[Slip<Mean>] = slips![
    "own-sums: the two means are those of the worker's own rows: every row has moved the statistics of all workers, so both sums run over all" =>
        |p, v| p.at_rows(&(p.own(v) / p.count())),
    "own-sums-over-all: the two sums run over the worker's own rows and are divided by the count of all: they must run over all rows" =>
        |p, v| p.at_rows(&p.own(v)) / p.all(),
    "own-count: the sums of all workers are divided by the count of one: divide by that of all rows" =>
        |p, v| v.sum(0) / p.at_rows(&p.count()),
    "means-unweighted: the means of the workers are averaged as if all had equally many rows: add up the sums, then divide by the count of all" =>
        |p, v| (p.own(v) / p.positive_count()).mean(0),
    INCOMPLETE => |p, v| p.at_rows(&p.own(v).running_sums()) / p.all(),
    INCOMPLETE => |p, v| p.at_rows(&(p.own(v).running_sums() / p.count().running_sums())),
    INCOMPLETE => |p, v| v.running_sums() / p.all(),
    "divided-by-workers: the two sums are divided by the number of workers: divide by that of all rows" =>
        |p, v| v.sum(0) / p.counts.len() as f64,
];

/// Wrong weights of the two means.
const WRONG_WEIGHTS: Formulas<Probe, [f64; 2]> = slips![
    "sums-for-means: the two sums are not divided by the count of all rows" => |p| [p.all(); 2],
    "mean-path-missing: the path through the mean is missing" => |_| [0.0, 1.0],
    "variance-path-missing: the path through the variance is missing" => |_| [1.0, 0.0],
];

const FROZEN: &str = "both-paths-missing: the paths through mean and variance are missing: this is the gradient of a frozen layer";

/// A wrong sum over the workers: all of them have the same parameters.
const WRONG_SUMS: &[Slip<Mean>] = slips![
    "averaged-over-workers: it is divided by the number of workers: all of them use the same parameter, so its gradient is a sum" =>
        |p, v| v.sum(0) / p.counts.len() as f64,
    "averaged: it is divided by the number of rows: the parameter is used by each of them, so its gradient is a sum" =>
        |_, v| v.mean(0),
    "one-worker: it is that of the last worker alone: all of them use the same parameter" =>
        |p, v| p.own(v).rows(&[p.counts.len() - 1]),
    "counted-by-every-worker: it is too large by the number of workers: the sum of all was added up once more by each" =>
        |p, v| v.sum(0) * p.counts.len() as f64,
];

fn going_back() -> judge::Part<Probe, Found> {
    let lengths = |p: &Probe| (p.count() * p.gamma.len() as f64).values();
    judge::Part::new("backward", Order::Together, probes)
        .asks(found!(LENGTHS), BACKWARD, WORKERS, lengths)
        .asks(found!("dbeta"), BACKWARD, CHANNELS, |p| {
            p.adds("dbeta").sum(0)
        })
        .excludes("gamma", "beta is added behind gamma", |p| p.gamma.clone())
        .sums("every row of every worker uses beta", |p| {
            p.adds("dbeta").terms(0)
        })
        .asks(found!("dgamma"), BACKWARD, CHANNELS, |p| {
            p.adds("dgamma").sum(0)
        })
        .excludes(
            "gamma",
            "the derivative of gamma * x_hat with respect to gamma is x_hat",
            |p| p.gamma.clone(),
        )
        .sums("every row of every worker uses gamma", |p| {
            p.adds("dgamma").terms(0)
        })
        .variants(&["dbeta", "dgamma"], WRONG_SUMS, |p, target, sum| {
            sum(p, &p.adds(target)).into()
        })
        .asks(found!("dx"), BACKWARD, ROWS, Probe::right_dx)
        .contains("gamma", "y = gamma * x_hat + beta", |p| {
            (p.x.filled(1.0) * &p.gamma).values()
        })
        .contains("rstd", "x_hat = (x - mean) * rstd", |p| {
            (p.x.filled(1.0) * p.rstd()).values()
        })
        .variants(&["dx"], WRONG_MEANS, |p, _, mean| {
            p.dx_by(*mean, [1.0; 2]).into()
        })
        .variants_in(THREE_TERMS, &["dx"], WRONG_WEIGHTS, |p, _, weights| {
            p.dx_by(|_, v| v.mean(0), weights(p)).into()
        })
        .wrong("dx", "sec:freezing", FROZEN, |p| {
            p.dx_by(|_, v| v.mean(0), [0.0; 2]).into()
        })
        .differentiates(Differences {
            // Through the statistics of the rows of all workers.
            name: "synchronized Batch Norm",
            case: |seed| probes(seed).swap_remove(0),
            inputs: vec![
                ("x", |p| p.x.values_mut()),
                ("gamma", |p| &mut p.gamma),
                ("beta", |p| &mut p.beta),
            ],
            dy: |p| p.dy.values_mut(),
            y: |p| p.y().into(),
        })
}

#[cfg(test)]
mod tests;
