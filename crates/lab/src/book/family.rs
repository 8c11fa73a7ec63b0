//! The family of norms over the axes of `[N, C, H, W]`; Batch Norm of one batch on several
//! workers; and Batch Renormalization of two values: chapter 18.

use batchnorm::BatchNorm;
use batchnorm::staged::{backward_channel, forward_channel};
use layernorm::{LayerNorm, RmsNorm};
use nn::{GroupNorm, Layer, Mode};
use serde::Serialize;
use tape::{Tape, Tensor, Var};

use super::Output;
use super::random::{Draws, largest, mean, quantile};

const SEED: u64 = 18;
const EPS: f64 = 1e-5;

#[derive(Serialize)]
struct Results {
    about: &'static str,
    images: Images,
    worked: Worked,
    shares: Shares,
    exchanged: Exchanged,
    renormalized: Renormalized,
}

/// The shape of the images, and what each norm does with them.
#[derive(Serialize)]
struct Images {
    examples: usize,
    channels: usize,
    height: usize,
    width: usize,
    groups: usize,
    values: usize,
    norms: Vec<Norm>,
}

#[derive(Serialize)]
struct Norm {
    norm: &'static str,
    /// The axes that its sums run over.
    over: &'static str,
    /// How many sets share their statistics, and of how many values each.
    sets: usize,
    m: usize,
    /// The shape of gamma.
    gamma: &'static str,
    parameters: usize,
    /// How many elements of the output change with one element of the input.
    changed: usize,
    /// The share that passes of a gradient without direction.
    left: f64,
}

const SHAPE: [usize; 4] = [4, 6, 5, 5];
const GROUPS: usize = 2;

/// How many elements of `f(x)` change, in any bit, when one of `x` does.
fn changed(f: impl Fn(&Var<'_, f64>) -> Tensor<f64>) -> usize {
    let mut draws = Draws::new(SEED);
    let x = Tensor::from_fn(SHAPE, |_| draws.normal());
    let mut moved = x.clone();
    // Image 1, channel 2, somewhere in the middle.
    let [_, c, h, w] = SHAPE;
    moved.data_mut()[(c + 2) * h * w + 12] += 0.5;
    let [before, after] = [x, moved].map(|x| Tape::eval(|t| f(&t.constant(x)).to_vec()));
    before.iter().zip(&after).filter(|(a, b)| a != b).count()
}

fn images() -> Images {
    let [n, c, h, w] = SHAPE;
    let batch = |x: &Var<'_, f64>| BatchNorm::new(c).train(x).value().clone();
    let inference = |x: &Var<'_, f64>| BatchNorm::new(c).eval(x).value().clone();
    let layer = |x: &Var<'_, f64>| LayerNorm::new(&SHAPE[1..]).forward(x).value().clone();
    let rms = |x: &Var<'_, f64>| RmsNorm::new(&SHAPE[1..]).forward(x).value().clone();
    let group = |groups: usize| {
        move |x: &Var<'_, f64>| {
            let y = GroupNorm::new(groups, c).forward(x, Mode::Train);
            y.value().clone()
        }
    };
    let norm = |norm, over, sets: usize, lost: usize, gamma, changed| {
        let m = n * c * h * w / sets;
        let parameters = if gamma == "[C]" { c } else { c * h * w };
        Norm {
            norm,
            over,
            sets,
            m,
            gamma,
            parameters,
            changed,
            left: (m - lost) as f64 / m as f64,
        }
    };
    let all = "[C, H, W]";
    Images {
        examples: n,
        channels: c,
        height: h,
        width: w,
        groups: GROUPS,
        values: n * c * h * w,
        norms: vec![
            norm("Batch Norm", "n, h, w", c, 2, "[C]", changed(batch)),
            norm("Layer Norm", "c, h, w", n, 2, all, changed(layer)),
            norm("RMS Norm", "c, h, w", n, 1, all, changed(rms)),
            norm(
                "Group Norm",
                "c of a group, h, w",
                n * GROUPS,
                2,
                "[C]",
                changed(group(GROUPS)),
            ),
            norm("Instance Norm", "h, w", n * c, 2, "[C]", changed(group(c))),
            norm(
                "Batch Norm, frozen",
                "none",
                n * c * h * w,
                0,
                "[C]",
                changed(inference),
            ),
        ],
    }
}

// ANCHOR: part
/// What one worker knows of a channel of its part of the batch.
#[derive(Clone, Copy, Default)]
struct Part {
    count: f64,
    mean: f64,
    /// `Σ (x − mean)²`.
    squares: f64,
}

impl Part {
    fn of(x: &[f64]) -> Self {
        let count = x.len() as f64;
        let mean = x.iter().sum::<f64>() / count;
        let squares = x.iter().map(|x| (x - mean) * (x - mean)).sum();
        Part {
            count,
            mean,
            squares,
        }
    }

    /// What is known of both parts together (Chan, Golub and LeVeque, 1983).
    fn join(self, other: Part) -> Self {
        let count = self.count + other.count;
        if count == 0.0 {
            return self;
        }
        let apart = other.mean - self.mean;
        Part {
            count,
            mean: self.mean + apart * other.count / count,
            squares: self.squares
                + other.squares
                + apart * apart * self.count * other.count / count,
        }
    }
}
// ANCHOR_END: part

/// The channel of chapter 7 on two workers.
#[derive(Serialize)]
struct Worked {
    workers: Vec<Worker>,
    /// The means and variances of the workers, averaged.
    averaged_mean: f64,
    averaged_var: f64,
    var: f64,
    values: Vec<Value>,
}

#[derive(Serialize)]
struct Worker {
    worker: &'static str,
    count: f64,
    mean: f64,
    squares: f64,
    dy: f64,
    dy_x_hat: f64,
}

#[derive(Serialize)]
struct Value {
    worker: usize,
    x: f64,
    x_hat: f64,
    dy: f64,
    /// With gamma = 2, as in chapter 8.
    dx: f64,
    /// From the sums of the worker's own part.
    own_sums: f64,
}

fn worked() -> Worked {
    let (x, dy, gamma) = ([1.0, 3.0, 5.0, 7.0], [1.0, 0.0, 0.0, 0.0], 2.0);
    let forward = forward_channel(&x, gamma, 0.0, EPS);
    let dx = backward_channel(&forward, gamma, &dy).dx;
    let ranges = [0..3, 3..4];
    let parts = ranges.clone().map(|r| Part::of(&x[r]));
    let total = parts[0].join(parts[1]);
    let sums = ranges
        .clone()
        .map(|r| Sums::of(&dy[r.clone()], &forward.x_hat[r]));
    let worker = |worker, part: Part, sums: Sums| Worker {
        worker,
        count: part.count,
        mean: part.mean,
        squares: part.squares,
        dy: sums.dy,
        dy_x_hat: sums.dy_x_hat,
    };
    let values = (0..4).map(|k| {
        let worker = usize::from(k == 3);
        let own = sums[worker].dx(dy[k], forward.x_hat[k], parts[worker].count);
        Value {
            worker: worker + 1,
            x: x[k],
            x_hat: forward.x_hat[k],
            dy: dy[k],
            dx: dx[k],
            own_sums: gamma * forward.rstd * own,
        }
    });
    Worked {
        averaged_mean: mean(&parts.map(|p| p.mean)),
        averaged_var: mean(&parts.map(|p| p.squares / p.count)),
        var: total.squares / total.count,
        values: values.collect(),
        workers: vec![
            worker("first", parts[0], sums[0]),
            worker("second", parts[1], sums[1]),
            worker("both", total, sums[0].and(sums[1])),
        ],
    }
}

/// The two sums of a channel's backward pass.
#[derive(Clone, Copy, Default)]
struct Sums {
    dy: f64,
    dy_x_hat: f64,
}

impl Sums {
    fn of(dy: &[f64], x_hat: &[f64]) -> Self {
        Sums {
            dy: dy.iter().sum(),
            dy_x_hat: dy.iter().zip(x_hat).map(|(dy, x_hat)| dy * x_hat).sum(),
        }
    }

    fn and(self, other: Sums) -> Self {
        Sums {
            dy: self.dy + other.dy,
            dy_x_hat: self.dy_x_hat + other.dy_x_hat,
        }
    }

    /// `dx` over gamma and rstd, when these sums are of `m` values.
    fn dx(self, dy: f64, x_hat: f64, m: f64) -> f64 {
        dy - self.dy / m - x_hat * self.dy_x_hat / m
    }
}

/// How much of the variance of a batch lies inside its parts: medians and quartiles.
#[derive(Serialize)]
struct Shares {
    draws: usize,
    workers: usize,
    /// The deviation of the means of workers whose data differ.
    apart: f64,
    rows: Vec<Share>,
}

#[derive(Serialize)]
struct Share {
    m: usize,
    /// `(m − 1)/m`.
    theory: f64,
    /// All data from one source: the average share over the draws.
    alike: f64,
    /// Each worker with a source of its own.
    own: f64,
}

const WORKERS: usize = 8;
const DRAWS: u64 = 400;
const APART: f64 = 1.0;

/// The mean of the workers' variances, and the variance of all values.
fn inside(m: usize, apart: f64, draws: &mut Draws) -> (f64, f64) {
    let parts: Vec<Part> = (0..WORKERS)
        .map(|_| {
            let source = apart * draws.normal();
            let x: Vec<f64> = draws.normals(m).iter().map(|x| x + source).collect();
            Part::of(&x)
        })
        .collect();
    let total = parts
        .iter()
        .fold(Part::default(), |all, &part| all.join(part));
    let vars: Vec<f64> = parts.iter().map(|p| p.squares / p.count).collect();
    (mean(&vars), total.squares / total.count)
}

fn shares() -> Shares {
    let mut draws = Draws::new(SEED);
    let mut share = |m: usize, apart: f64| {
        let pairs: Vec<(f64, f64)> = (0..DRAWS).map(|_| inside(m, apart, &mut draws)).collect();
        let [inside, all]: [Vec<f64>; 2] = [
            pairs.iter().map(|p| p.0).collect(),
            pairs.iter().map(|p| p.1).collect(),
        ];
        mean(&inside) / mean(&all)
    };
    let rows = [2, 4, 8, 32, 128].map(|m| {
        // Of n values the variance is (n − 1)/n of that of their source, on average.
        let n = (m * WORKERS) as f64;
        Share {
            m,
            theory: (1.0 - 1.0 / m as f64) / (1.0 - 1.0 / n),
            alike: share(m, 0.0),
            own: share(m, APART),
        }
    });
    Shares {
        draws: DRAWS as usize,
        workers: WORKERS,
        apart: APART,
        rows: rows.into(),
    }
}

/// A channel on several workers, normalized and differentiated with more and less exchanged,
/// and how far that is from the batch as a whole.
#[derive(Serialize)]
struct Exchanged {
    counts: Vec<usize>,
    draws: usize,
    rows: Vec<Exchange>,
}

/// Largest differences, as shares of the largest right value: the median of the draws, or
/// the worst where all is exchanged.
#[derive(Serialize)]
struct Exchange {
    exchanged: &'static str,
    y: f64,
    dx: f64,
    dgamma: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum Scheme {
    All,
    ForwardOnly,
    AveragesForward,
    Nothing,
}

const COUNTS: [usize; 4] = [12, 3, 7, 5];

struct Passed {
    y: Vec<f64>,
    dx: Vec<f64>,
    dgamma: f64,
}

/// One channel on workers that exchange what `scheme` says.
fn on_workers(parts: &[Vec<f64>], dys: &[Vec<f64>], gamma: f64, scheme: Scheme) -> Passed {
    let known: Vec<Part> = parts.iter().map(|x| Part::of(x)).collect();
    let total = known
        .iter()
        .fold(Part::default(), |all, &part| all.join(part));
    let vars: Vec<f64> = known.iter().map(|p| p.squares / p.count).collect();
    let means: Vec<f64> = known.iter().map(|p| p.mean).collect();
    let statistics = |k: usize| match scheme {
        Scheme::All | Scheme::ForwardOnly => (total.mean, total.squares / total.count),
        Scheme::AveragesForward => (mean(&means), mean(&vars)),
        Scheme::Nothing => (means[k], vars[k]),
    };
    let rstd = |k: usize| 1.0 / (statistics(k).1 + EPS).sqrt();
    let x_hats: Vec<Vec<f64>> = (0..parts.len())
        .map(|k| {
            let (mean, rstd) = (statistics(k).0, rstd(k));
            parts[k].iter().map(|x| (x - mean) * rstd).collect()
        })
        .collect();
    let own: Vec<Sums> = dys
        .iter()
        .zip(&x_hats)
        .map(|(d, x)| Sums::of(d, x))
        .collect();
    let all = own.iter().fold(Sums::default(), |all, &sums| all.and(sums));
    let mut dx = Vec::new();
    for k in 0..parts.len() {
        let exchange = matches!(scheme, Scheme::All | Scheme::AveragesForward);
        let (sums, m) = if exchange {
            (all, total.count)
        } else {
            (own[k], known[k].count)
        };
        let of = |(dy, x_hat): (&f64, &f64)| gamma * rstd(k) * sums.dx(*dy, *x_hat, m);
        dx.extend(dys[k].iter().zip(&x_hats[k]).map(of));
    }
    Passed {
        y: x_hats.concat().iter().map(|x_hat| gamma * x_hat).collect(),
        dx,
        dgamma: all.dy_x_hat,
    }
}

fn off(right: &[f64], found: &[f64]) -> f64 {
    let size = largest(&right.iter().map(|r| r.abs()).collect::<Vec<_>>());
    let apart: Vec<f64> = right
        .iter()
        .zip(found)
        .map(|(r, f)| (r - f).abs())
        .collect();
    largest(&apart) / size
}

fn exchanged() -> Exchanged {
    let schemes = [
        ("all statistics, and the two sums", Scheme::All),
        ("all statistics, no sums", Scheme::ForwardOnly),
        (
            "averages of mean and variance, and the two sums",
            Scheme::AveragesForward,
        ),
        ("nothing", Scheme::Nothing),
    ];
    let row = |(exchanged, scheme): (&'static str, Scheme)| {
        let mut draws = Draws::new(SEED);
        let mut errors: [Vec<f64>; 3] = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..DRAWS {
            let parts = COUNTS.map(|m| draws.normals(m));
            let dys = COUNTS.map(|m| draws.normals(m));
            let gamma = draws.uniform(0.5, 2.0);
            let (x, dy) = (parts.concat(), dys.concat());
            let forward = forward_channel(&x, gamma, 0.0, EPS);
            let right = backward_channel(&forward, gamma, &dy);
            let found = on_workers(&parts, &dys, gamma, scheme);
            errors[0].push(off(&forward.y, &found.y));
            errors[1].push(off(&right.dx, &found.dx));
            errors[2].push(off(&[right.dgamma], &[found.dgamma]));
        }
        let worst = if scheme == Scheme::All { 1.0 } else { 0.5 };
        let [y, dx, dgamma] = errors.map(|e| quantile(&e, worst));
        Exchange {
            exchanged,
            y,
            dx,
            dgamma,
        }
    };
    Exchanged {
        counts: COUNTS.into(),
        draws: DRAWS as usize,
        rows: schemes.map(row).into(),
    }
}

/// Two values, and running statistics.
#[derive(Serialize)]
struct Renormalized {
    running_mean: f64,
    running_var: f64,
    rows: Vec<Pair>,
}

#[derive(Serialize)]
struct Pair {
    norm: &'static str,
    first: f64,
    second: f64,
    dfirst: f64,
    dsecond: f64,
}

/// Batch Renormalization without limits on its correction, gamma 1 and beta 0. `scale` and
/// `shift` are the paper's r and d.
// ANCHOR: renorm
fn renormalized<'t>(x: &Var<'t, f64>, running_mean: f64, running_var: f64) -> Var<'t, f64> {
    let mean = x.mean_keep(&[0]);
    let centered = x - &mean;
    let deviation = ((&centered * &centered).mean_keep(&[0]) + EPS).sqrt();
    let running = (running_var + EPS).sqrt();
    let scale = (&deviation / running).stop_gradient();
    let shift = ((&mean - running_mean) / running).stop_gradient();
    centered / deviation * scale + shift
}
// ANCHOR_END: renorm

fn renormalizations() -> Renormalized {
    let (running_mean, running_var) = (2.0, 4.0);
    let x = Tensor::new([2, 1], vec![1.0, 5.0]);
    let dy = Tensor::new([2, 1], vec![1.0, 0.0]);
    let pair = |norm, y: Vec<f64>, dx: Vec<f64>| Pair {
        norm,
        first: y[0],
        second: y[1],
        dfirst: dx[0],
        dsecond: dx[1],
    };
    let forward = forward_channel(x.data(), 1.0, 0.0, EPS);
    let dx = backward_channel(&forward, 1.0, dy.data()).dx;
    let batch = pair("Batch Norm", forward.y, dx);
    let input = tape::Param::new("x", x.clone());
    let (y, (), grads) = Tape::new().vjp(&dy, |t| {
        (
            renormalized(&t.param(&input), running_mean, running_var),
            (),
        )
    });
    let renorm = pair(
        "Batch Renormalization",
        y.to_vec(),
        grads.of(&input).to_vec(),
    );
    let slope = 1.0 / (running_var + EPS).sqrt();
    let line = x.data().iter().map(|x| (x - running_mean) * slope);
    let frozen = pair(
        "Batch Norm, frozen",
        line.collect(),
        dy.data().iter().map(|dy| dy * slope).collect(),
    );
    Renormalized {
        running_mean,
        running_var,
        rows: vec![batch, renorm, frozen],
    }
}

pub fn run() -> Output {
    Output::new(&Results {
        about: "Norms over the axes of images, and Batch Norm of one batch on several workers",
        images: images(),
        worked: worked(),
        shares: shares(),
        exchanged: exchanged(),
        renormalized: renormalizations(),
    })
}
