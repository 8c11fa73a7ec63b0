//! The family of norms over the axes of `[N, C, H, W]`; Batch Norm of one batch on several
//! workers; and Batch Renormalization of two values: chapter 18.

use batchnorm::BatchNorm;
use batchnorm::staged::{backward_channel, forward_channel};
use layernorm::{LayerNorm, RmsNorm};
use nn::{GroupNorm, Layer};
use serde_json::{Value, json};
use tape::{Tape, Tensor, Var};

use crate::kit::{Measurement, Output, each};
use crate::random::{Draws, columns, dot, furthest, largest, mean, quantile};

pub const MEASUREMENT: Measurement = Measurement {
    name: "family",
    chapter: 18,
    about: "norms over the axes of images, and Batch Norm of one batch on several workers",
    run,
};

const SEED: u64 = 18;
const EPS: f64 = 1e-5;
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

/// The shape of the images, and what each norm does with them.
fn images() -> Value {
    let [n, c, h, w] = SHAPE;
    let batch = |x: &Var<'_, f64>| BatchNorm::new(c).train(x).value().clone();
    let inference = |x: &Var<'_, f64>| BatchNorm::new(c).eval(x).value().clone();
    let layer = |x: &Var<'_, f64>| LayerNorm::new(&SHAPE[1..]).forward(x).value().clone();
    let rms = |x: &Var<'_, f64>| RmsNorm::new(&SHAPE[1..]).forward(x).value().clone();
    let group = |groups: usize| {
        move |x: &Var<'_, f64>| {
            let y = GroupNorm::new(groups, c).train(x);
            y.value().clone()
        }
    };
    let values = n * c * h * w;
    // The axes that its sums run over; how many sets share their statistics, and how many
    // directions of a gradient their backward pass loses; the shape of gamma; and how many
    // elements of the output change with one element of the input.
    let norm = |norm: &str, over: &str, sets: usize, lost: usize, gamma: &str, changed: usize| {
        let m = values / sets;
        json!({
            "norm": norm, "over": over,
            "sets": sets, "m": m,
            "gamma": gamma, "parameters": if gamma == "[C]" { c } else { c * h * w },
            "changed": changed,
            // The share that passes of a gradient without direction.
            "left": (m - lost) as f64 / m as f64,
        })
    };
    let all = "[C, H, W]";
    let parts = "c of a group, h, w";
    json!({
        "examples": n, "channels": c, "height": h, "width": w,
        "groups": GROUPS,
        "values": values,
        "norms": [
            norm("Batch Norm", "n, h, w", c, 2, "[C]", changed(batch)),
            norm("Layer Norm", "c, h, w", n, 2, all, changed(layer)),
            norm("RMS Norm", "c, h, w", n, 1, all, changed(rms)),
            norm("Group Norm", parts, n * GROUPS, 2, "[C]", changed(group(GROUPS))),
            norm("Instance Norm", "h, w", n * c, 2, "[C]", changed(group(c))),
            norm("Batch Norm, frozen", "none", values, 0, "[C]", changed(inference)),
        ],
    })
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

impl Part {
    fn var(&self) -> f64 {
        self.squares / self.count
    }

    fn of_all(parts: &[Part]) -> Part {
        let join = |all: Part, &part: &Part| all.join(part);
        parts.iter().fold(Part::default(), join)
    }

    /// The mean of the variances of some parts.
    fn mean_var(parts: &[Part]) -> f64 {
        mean(&parts.iter().map(Part::var).collect::<Vec<f64>>())
    }
}

/// The two sums of a channel's backward pass.
#[derive(Clone, Copy)]
struct Sums {
    dy: f64,
    dy_x_hat: f64,
}

impl Sums {
    fn of(dy: &[f64], x_hat: &[f64]) -> Self {
        Sums {
            dy: dy.iter().sum(),
            dy_x_hat: dot(dy, x_hat),
        }
    }

    fn of_all(parts: &[Sums]) -> Self {
        Sums {
            dy: parts.iter().map(|sums| sums.dy).sum(),
            dy_x_hat: parts.iter().map(|sums| sums.dy_x_hat).sum(),
        }
    }

    /// `dx` over gamma and rstd, when these sums are of `m` values.
    fn dx(self, dy: f64, x_hat: f64, m: f64) -> f64 {
        dy - self.dy / m - x_hat * self.dy_x_hat / m
    }
}

/// The channel of chapter 7 on two workers, with gamma = 2, as in chapter 8.
fn worked() -> Value {
    let (x, dy, gamma) = ([1.0, 3.0, 5.0, 7.0], [1.0, 0.0, 0.0, 0.0], 2.0);
    let forward = forward_channel(&x, gamma, 0.0, EPS);
    let dx = backward_channel(&forward, gamma, &dy).dx;
    let ranges = [0..3, 3..4];
    let parts = ranges.clone().map(|r| Part::of(&x[r]));
    let total = Part::of_all(&parts);
    let sums = ranges.map(|r| Sums::of(&dy[r.clone()], &forward.x_hat[r]));
    let worker = |worker: &str, part: Part, sums: Sums| {
        json!({
            "worker": worker,
            "count": part.count, "mean": part.mean, "squares": part.squares,
            "dy": sums.dy, "dy_x_hat": sums.dy_x_hat,
        })
    };
    let value = |k: usize| {
        let worker = usize::from(k == 3);
        let own = sums[worker].dx(dy[k], forward.x_hat[k], parts[worker].count);
        json!({
            "worker": worker + 1,
            "x": x[k], "x_hat": forward.x_hat[k], "dy": dy[k], "dx": dx[k],
            // From the sums of the worker's own part.
            "own_sums": gamma * forward.rstd * own,
        })
    };
    json!({
        "workers": [
            worker("first", parts[0], sums[0]),
            worker("second", parts[1], sums[1]),
            worker("both", total, Sums::of_all(&sums)),
        ],
        // The means and variances of the workers, averaged.
        "averaged_mean": mean(&parts.map(|part| part.mean)),
        "averaged_var": Part::mean_var(&parts),
        "var": total.var(),
        "values": each([0, 1, 2, 3], value),
    })
}

const WORKERS: usize = 8;
const DRAWS: usize = 400;
const APART: f64 = 1.0;

/// How much of the variance of a batch lies inside its parts, on average over the draws.
fn inside(m: usize, apart: f64, draws: &mut Draws) -> f64 {
    let one = |_| {
        let part = |_| {
            let source = apart * draws.normal();
            let x: Vec<f64> = draws.normals(m).iter().map(|x| x + source).collect();
            Part::of(&x)
        };
        let parts: Vec<Part> = (0..WORKERS).map(part).collect();
        [Part::mean_var(&parts), Part::of_all(&parts).var()]
    };
    let [inside, all] = columns((0..DRAWS).map(one));
    mean(&inside) / mean(&all)
}

fn shares() -> Value {
    let mut draws = Draws::new(SEED);
    let rows = [2, 4, 8, 32, 128].map(|m| {
        // Of n values the variance is (n − 1)/n of that of their source, on average.
        let n = (m * WORKERS) as f64;
        json!({
            "m": m,
            "theory": (1.0 - 1.0 / m as f64) / (1.0 - 1.0 / n),
            // All data from one source; and each worker with a source of its own.
            "alike": inside(m, 0.0, &mut draws),
            "own": inside(m, APART, &mut draws),
        })
    });
    json!({
        "draws": DRAWS,
        "workers": WORKERS,
        // The deviation of the means of workers whose data differ.
        "apart": APART,
        "rows": rows,
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Scheme {
    All,
    ForwardOnly,
    AveragesForward,
    Nothing,
}

const COUNTS: [usize; 4] = [12, 3, 7, 5];

/// One channel on workers that exchange what `scheme` says: `y`, `dx` and `dgamma`.
fn on_workers(parts: &[Vec<f64>], dys: &[Vec<f64>], gamma: f64, scheme: Scheme) -> [Vec<f64>; 3] {
    let known: Vec<Part> = parts.iter().map(|x| Part::of(x)).collect();
    let total = Part::of_all(&known);
    let averaged = mean(&known.iter().map(|part| part.mean).collect::<Vec<f64>>());
    let statistics = |k: usize| match scheme {
        Scheme::All | Scheme::ForwardOnly => (total.mean, total.var()),
        Scheme::AveragesForward => (averaged, Part::mean_var(&known)),
        Scheme::Nothing => (known[k].mean, known[k].var()),
    };
    let rstd = |k: usize| 1.0 / (statistics(k).1 + EPS).sqrt();
    let x_hat = |k: usize| -> Vec<f64> {
        let (mean, rstd) = (statistics(k).0, rstd(k));
        parts[k].iter().map(|x| (x - mean) * rstd).collect()
    };
    let x_hats: Vec<Vec<f64>> = (0..parts.len()).map(x_hat).collect();
    let own = dys.iter().zip(&x_hats);
    let own: Vec<Sums> = own.map(|(dy, x_hat)| Sums::of(dy, x_hat)).collect();
    let all = Sums::of_all(&own);
    let exchange = matches!(scheme, Scheme::All | Scheme::AveragesForward);
    let dx = (0..parts.len()).flat_map(|k| {
        let (sums, m) = if exchange {
            (all, total.count)
        } else {
            (own[k], known[k].count)
        };
        let scale = gamma * rstd(k);
        let pairs = dys[k].iter().zip(&x_hats[k]);
        pairs.map(move |(dy, x_hat)| scale * sums.dx(*dy, *x_hat, m))
    });
    let y = x_hats.concat().iter().map(|x_hat| gamma * x_hat).collect();
    [y, dx.collect(), vec![all.dy_x_hat]]
}

/// A channel on several workers, normalized and differentiated with more and less exchanged:
/// how far that is from the batch as a whole. Largest differences, as shares of the largest
/// right value: the median of the draws, or the worst where all is exchanged.
fn exchanged() -> Value {
    let row = |(exchanged, scheme): (&str, Scheme)| {
        let mut draws = Draws::new(SEED);
        let one = |_| {
            let parts = COUNTS.map(|m| draws.normals(m));
            let dys = COUNTS.map(|m| draws.normals(m));
            let gamma = draws.uniform(0.5, 2.0);
            let forward = forward_channel(&parts.concat(), gamma, 0.0, EPS);
            let backward = backward_channel(&forward, gamma, &dys.concat());
            let right = [forward.y, backward.dx, vec![backward.dgamma]];
            let found = on_workers(&parts, &dys, gamma, scheme);
            [0, 1, 2].map(|k| furthest(&right[k], &found[k]) / largest(&right[k]))
        };
        let worst = if scheme == Scheme::All { 1.0 } else { 0.5 };
        let [y, dx, dgamma] = columns((0..DRAWS).map(one)).map(|errors| quantile(&errors, worst));
        json!({ "exchanged": exchanged, "y": y, "dx": dx, "dgamma": dgamma })
    };
    let averages = "averages of mean and variance, and the two sums";
    let schemes = [
        ("all statistics, and the two sums", Scheme::All),
        ("all statistics, no sums", Scheme::ForwardOnly),
        (averages, Scheme::AveragesForward),
        ("nothing", Scheme::Nothing),
    ];
    json!({
        "counts": COUNTS,
        "draws": DRAWS,
        "rows": each(schemes, row),
    })
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

/// Two values, and running statistics.
fn renormalizations() -> Value {
    let (running_mean, running_var) = (2.0, 4.0);
    let x = Tensor::new([2, 1], vec![1.0, 5.0]);
    let dy = Tensor::new([2, 1], vec![1.0, 0.0]);
    let pair = |norm: &str, y: &[f64], dx: &[f64]| {
        json!({
            "norm": norm,
            "first": y[0], "second": y[1],
            "dfirst": dx[0], "dsecond": dx[1],
        })
    };
    let forward = forward_channel(x.data(), 1.0, 0.0, EPS);
    let dx = backward_channel(&forward, 1.0, dy.data()).dx;
    let input = tape::Param::new("x", x.clone());
    let (y, grads) = Tape::new().vjp(&dy, |t| {
        renormalized(&t.param(&input), running_mean, running_var)
    });
    let slope = 1.0 / (running_var + EPS).sqrt();
    let line = x.map(|x| (x - running_mean) * slope);
    json!({
        "running_mean": running_mean,
        "running_var": running_var,
        "rows": [
            pair("Batch Norm", &forward.y, &dx),
            pair("Batch Renormalization", y.data(), grads.of(&input).data()),
            pair("Batch Norm, frozen", line.data(), dy.map(|dy| dy * slope).data()),
        ],
    })
}

fn run() -> Output {
    Output::new(json!({
        "about": "Norms over the axes of images, and Batch Norm of one batch on several workers",
        "images": images(),
        "worked": worked(),
        "shares": shares(),
        "exchanged": exchanged(),
        "renormalized": renormalizations(),
    }))
}
