//! The coefficients that a mistake leaves on the three paths, and what the checker says.
//!
//! The gradient of Batch Norm is the sum of three known parts: direct, through the mean,
//! through the variance. `gradcheck` fits a gradient under test by least squares as
//! `a · direct + b · mean + c · variance`; a mistake on a path shows as its coefficient.

use batchnorm::{Layout, fused};
use gradcheck::Check;
use gradcheck::attribution::norm::{Probe, Target, explain};
use serde::Serialize;

use super::Output;
use super::random::{Draws, mean, median};

const SEED: u64 = 5;
const N: usize = 8;
const C: usize = 5;
const EPS: f64 = 1e-5;

#[derive(Serialize)]
struct Results {
    about: &'static str,
    seed: u64,
    n: usize,
    c: usize,
    eps: f64,
    rows: Vec<Row>,
    zero_path: Vec<ZeroPath>,
    detour: Detour,
}

/// A gradient, how the three paths explain it (to nine decimals), and the checker's name
/// for it.
#[derive(Serialize)]
struct Row {
    gradient: &'static str,
    direct: f64,
    mean: f64,
    variance: f64,
    /// `‖gradient - fit‖ / ‖gradient‖`.
    residual: f64,
    id: String,
    sentence: String,
}

/// What the path x → mu → sigma² adds to dx in rounded arithmetic.
#[derive(Serialize)]
struct ZeroPath {
    arithmetic: &'static str,
    offset: f64,
    /// `|dL/dvar · dvar/dmu · dmu/dx| / max |dx|`, the largest over the draws.
    relative: f64,
}

/// `dx` in `f32` far from zero, with and without that path, and from the kernel, which
/// goes without it and has a mean that is not rounded.
#[derive(Serialize)]
struct Detour {
    offset: f64,
    draws: usize,
    /// Share of the draws in which `dx` without the path is closer to the truth.
    without_closer: f64,
    rows: Vec<Dx>,
}

#[derive(Serialize)]
struct Dx {
    form: &'static str,
    /// The largest error of an element, relative to the largest element; median.
    error: f64,
    /// `|Σ dx|`, relative to the largest element; median.
    sum: f64,
}

/// The three parts of one element, and what else a mistake may use.
struct Element {
    direct: f64,
    mean: f64,
    variance: f64,
    gamma: f64,
    rstd: f64,
    /// The whole, with eps left out of `rstd` and of `x_hat`.
    without_eps: f64,
}

type Gradient = fn(&Element) -> f64;

const COUNT: f64 = N as f64;

const GRADIENTS: &[(&str, Gradient)] = &[
    ("no mistake", |e| e.direct + e.mean + e.variance),
    ("mean path left out", |e| e.direct + e.variance),
    ("variance path left out", |e| e.direct + e.mean),
    ("both left out", |e| e.direct),
    ("sum in place of mean, variance path", |e| {
        e.direct + e.mean + COUNT * e.variance
    }),
    ("sum in place of mean, mean path", |e| {
        e.direct + COUNT * e.mean + e.variance
    }),
    ("N − 1 in place of N, variance path", |e| {
        e.direct + e.mean + COUNT / (COUNT - 1.0) * e.variance
    }),
    ("factor 2 of the square forgotten", |e| {
        e.direct + e.mean + 0.5 * e.variance
    }),
    ("wrong sign, variance path", |e| {
        e.direct + e.mean - e.variance
    }),
    ("wrong sign, mean path", |e| e.direct - e.mean + e.variance),
    ("gamma forgotten", |e| {
        (e.direct + e.mean + e.variance) / e.gamma
    }),
    ("rstd forgotten", |e| {
        (e.direct + e.mean + e.variance) / e.rstd
    }),
    ("eps left out", |e| e.without_eps),
];

pub fn run() -> Output {
    let probe = Probe::batch_norm(&[N, C], EPS, SEED);
    let elements = elements(&probe);
    let dx_of = |gradient: Gradient| elements.iter().map(gradient).collect::<Vec<f64>>();
    let rows = GRADIENTS
        .iter()
        .map(|&(name, gradient)| {
            let verdict = explain(&probe, Target::Dx, &dx_of(gradient));
            Row {
                gradient: name,
                direct: nine_decimals(verdict.coefficients[0]),
                mean: nine_decimals(verdict.coefficients[1]),
                variance: nine_decimals(verdict.coefficients[2]),
                residual: verdict.residual,
                id: verdict.id,
                sentence: verdict.sentence,
            }
        })
        .collect();
    let dropped = explain(&probe, Target::Dx, &dx_of(|e| e.direct + e.mean));
    Output::new(&Results {
        about: "Least-squares coefficients of the three paths in Batch Norm gradients",
        seed: SEED,
        n: N,
        c: C,
        eps: EPS,
        rows,
        zero_path: zero_paths(),
        detour: detour(),
    })
    .text("verdict_variance", format!("{dropped}\n"))
    .text("refused", refused())
    .text("checked", checked())
}

/// Without the rounding noise, and never `-0`.
fn nine_decimals(x: f64) -> f64 {
    (x * 1e9).round() / 1e9 + 0.0
}

/// The elements of `dx`, row-major, taken apart.
fn elements(probe: &Probe) -> Vec<Element> {
    let of = |values: &[f64], c: usize| -> Vec<f64> {
        values.iter().skip(c).step_by(C).copied().collect()
    };
    let channels: Vec<Vec<Element>> = (0..C)
        .map(|c| channel(&of(&probe.x, c), &of(&probe.dy, c), probe.gamma[c]))
        .collect();
    let mut columns: Vec<_> = channels.into_iter().map(Vec::into_iter).collect();
    (0..N * C)
        .map(|k| columns[k % C].next().expect("N elements in each column"))
        .collect()
}

fn channel(x: &[f64], dy: &[f64], gamma: f64) -> Vec<Element> {
    let mu = mean(x);
    let squares: Vec<f64> = x.iter().map(|x| (x - mu) * (x - mu)).collect();
    let var = mean(&squares);
    let rstd = 1.0 / (var + EPS).sqrt();
    let x_hat: Vec<f64> = x.iter().map(|x| (x - mu) * rstd).collect();
    let products: Vec<f64> = dy.iter().zip(&x_hat).map(|(a, b)| a * b).collect();
    let (mean_dy, mean_dy_x_hat) = (mean(dy), mean(&products));
    // Without eps, rstd and x_hat are larger by this factor.
    let exact = 1.0 / var.sqrt();
    let grow = exact / rstd;
    dy.iter()
        .zip(&x_hat)
        .map(|(dy, x_hat)| Element {
            direct: gamma * rstd * dy,
            mean: -gamma * rstd * mean_dy,
            variance: -gamma * rstd * x_hat * mean_dy_x_hat,
            gamma,
            rstd,
            without_eps: gamma * exact * (dy - mean_dy - x_hat * grow * mean_dy_x_hat * grow),
        })
        .collect()
}

/// The closed form on a batch `[N, C]` and per-channel `gamma`, for [`Check`].
fn backward(xs: &[Vec<f64>], dy: &[f64]) -> Vec<Vec<f64>> {
    let mut dx = vec![0.0; dy.len()];
    for (c, &gamma) in xs[1].iter().enumerate() {
        let column = |values: &[f64]| values.iter().skip(c).step_by(C).copied().collect();
        let (x, dy): (Vec<f64>, Vec<f64>) = (column(&xs[0]), column(dy));
        for (n, e) in channel(&x, &dy, gamma).iter().enumerate() {
            dx[n * C + c] = e.direct + e.mean + e.variance;
        }
    }
    vec![dx]
}

fn forward(xs: &[Vec<f64>], gamma: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; xs[0].len()];
    for (c, &gamma) in gamma.iter().enumerate() {
        let x: Vec<f64> = xs[0].iter().skip(c).step_by(C).copied().collect();
        let mu = mean(&x);
        let squares: Vec<f64> = x.iter().map(|x| (x - mu) * (x - mu)).collect();
        let rstd = 1.0 / (mean(&squares) + EPS).sqrt();
        for (n, x) in x.iter().enumerate() {
            y[n * C + c] = gamma * (x - mu) * rstd;
        }
    }
    y
}

/// What a check is made of: the batch, and gamma.
fn inputs() -> (Vec<f64>, Vec<f64>) {
    let mut draws = Draws::new(SEED);
    let x = draws.normals(N * C).iter().map(|z| 3.0 + 2.0 * z).collect();
    let gamma = (0..C).map(|_| draws.uniform(0.5, 2.0)).collect();
    (x, gamma)
}

/// The report of a check with the upstream gradient of `sum()`.
fn refused() -> String {
    let (x, gamma) = inputs();
    let report = Check::new("batch norm, loss = sum(y)")
        .input("x", &[N, C], x)
        .upstream(vec![1.0; N * C])
        .run(|xs| forward(xs, &gamma), |_, dy| vec![vec![0.0; dy.len()]]);
    report.to_string()
}

/// The report of a check with a random upstream gradient.
fn checked() -> String {
    let (x, gamma) = inputs();
    let report = Check::new("batch norm, closed form")
        .input("x", &[N, C], x)
        .run(
            |xs| forward(xs, &gamma),
            |xs, dy| backward(&[xs[0].clone(), gamma.clone()], dy),
        );
    report.to_string()
}

/// `dvar/dmu = -2/N · Σ (x - mu)` is zero; what is it when `mu` is rounded?
fn zero_paths() -> Vec<ZeroPath> {
    let mut rows = Vec::new();
    for offset in [0.0, 1e4] {
        rows.push(ZeroPath {
            arithmetic: "f64",
            offset,
            relative: worst(|draws| zero_path_f64(draws, offset)),
        });
        rows.push(ZeroPath {
            arithmetic: "f32",
            offset,
            relative: worst(|draws| zero_path_f32(draws, offset as f32)),
        });
    }
    rows
}

fn worst(mut one: impl FnMut(&mut Draws) -> f64) -> f64 {
    let mut draws = Draws::new(SEED);
    (0..100).map(|_| one(&mut draws)).fold(0.0, f64::max)
}

macro_rules! zero_path {
    ($name:ident, $t:ident) => {
        fn $name(draws: &mut Draws, offset: $t) -> f64 {
            let x: Vec<$t> = draws.normals(N).iter().map(|&z| offset + z as $t).collect();
            let dy: Vec<$t> = draws.normals(N).iter().map(|&z| z as $t).collect();
            let count = N as $t;
            let mu = x.iter().sum::<$t>() / count;
            let var = x.iter().map(|x| (x - mu) * (x - mu)).sum::<$t>() / count;
            let rstd = 1.0 / (var + EPS as $t).sqrt();
            let x_hat: Vec<$t> = x.iter().map(|x| (x - mu) * rstd).collect();
            let mean_dy = dy.iter().sum::<$t>() / count;
            let along = dy.iter().zip(&x_hat).map(|(a, b)| a * b).sum::<$t>() / count;
            // dL/dvar = Σ dy · (x - mu) · (-1/2) · rstd³; dvar/dmu = -2/N Σ (x - mu).
            let dvar = -0.5 * count * along * rstd * rstd;
            let dvar_dmu = -2.0 * x.iter().map(|x| x - mu).sum::<$t>() / count;
            let extra = dvar * dvar_dmu / count;
            let largest = dy
                .iter()
                .zip(&x_hat)
                .map(|(dy, x_hat)| (rstd * (dy - mean_dy - x_hat * along)).abs())
                .fold(0.0, $t::max);
            f64::from((extra / largest).abs())
        }
    };
}

fn detour() -> Detour {
    let (offset, count) = (1e4, 2000);
    let mut draws = Draws::new(SEED);
    let (mut errors, mut sums): ([Vec<f64>; 3], [Vec<f64>; 3]) = Default::default();
    for _ in 0..count {
        let x: Vec<f32> = draws
            .normals(N)
            .iter()
            .map(|z| (offset + z) as f32)
            .collect();
        let dy: Vec<f32> = draws.normals(N).iter().map(|&z| z as f32).collect();
        let [wide_x, wide_dy] =
            [&x, &dy].map(|v| v.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>());
        let truth = dx_of_rounded_mean(&wide_x, &wide_dy, mean(&wide_x)).0;
        let largest = truth.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        // The mean is rounded; all else is exact enough to be called so.
        let mu = f64::from(x.iter().sum::<f32>() / N as f32);
        let (without, extra) = dx_of_rounded_mean(&wide_x, &wide_dy, mu);
        let with: Vec<f64> = without.iter().map(|dx| dx + extra).collect();
        for (k, dx) in [with, without, kernel(&x, &dy)].iter().enumerate() {
            let off = dx.iter().zip(&truth).map(|(a, b)| (a - b).abs());
            errors[k].push(off.fold(0.0, f64::max) / largest);
            sums[k].push(dx.iter().sum::<f64>().abs() / largest);
        }
    }
    let closer = errors[0]
        .iter()
        .zip(&errors[1])
        .filter(|(with, without)| without < with);
    let without_closer = closer.count() as f64 / count as f64;
    let forms = ["with the detour", "without it", "the kernel"];
    let rows = (forms.into_iter().zip(errors.iter().zip(&sums)))
        .map(|(form, (errors, sums))| Dx {
            form,
            error: median(errors),
            sum: median(sums),
        })
        .collect();
    Detour {
        offset,
        draws: count,
        without_closer,
        rows,
    }
}

/// `dx` by the closed form around a given mean, and what the path x → mu → sigma² adds to
/// every element of it.
fn dx_of_rounded_mean(x: &[f64], dy: &[f64], mu: f64) -> (Vec<f64>, f64) {
    let centered: Vec<f64> = x.iter().map(|x| x - mu).collect();
    let var = mean(&centered.iter().map(|z| z * z).collect::<Vec<_>>());
    let rstd = 1.0 / (var + EPS).sqrt();
    let products: Vec<f64> = dy
        .iter()
        .zip(&centered)
        .map(|(a, z)| a * z * rstd)
        .collect();
    let (mean_dy, along) = (mean(dy), mean(&products));
    let pairs = dy.iter().zip(&centered);
    let dx = pairs.map(|(dy, z)| rstd * (dy - mean_dy - z * rstd * along));
    // dL/dvar · dvar/dmu · dmu/dx
    let dvar = -0.5 * COUNT * along * rstd * rstd;
    let extra = dvar * (-2.0 * mean(&centered)) / COUNT;
    (dx.collect(), extra)
}

fn kernel(x: &[f32], dy: &[f32]) -> Vec<f64> {
    let layout = Layout::of(&[N, 1]);
    let mut y = vec![0.0; N];
    let moments = fused::forward(&layout, x, &[1.0], &[0.0], EPS, &mut y);
    let mut dx = dy.to_vec();
    let batch = fused::Batch {
        layout: &layout,
        x,
        gamma: &[1.0],
        moments: &moments,
    };
    fused::backward(batch, None, &mut dx);
    dx.into_iter().map(f64::from).collect()
}

zero_path!(zero_path_f64, f64);
zero_path!(zero_path_f32, f32);

#[cfg(test)]
mod tests {
    use super::super::claims::chapter;
    use super::*;

    /// "Test data with variance 1 and gamma 1 hide a third of these mistakes, the last three."
    #[test]
    fn chapter_8_what_ordinary_data_hide() {
        let mut draws = Draws::new(SEED);
        let (z, dy) = (draws.normals(N), draws.normals(N));
        let mu = mean(&z);
        let squares: Vec<f64> = z.iter().map(|z| (z - mu) * (z - mu)).collect();
        let deviation = mean(&squares).sqrt();
        let x: Vec<f64> = z.iter().map(|z| (z - mu) / deviation).collect();
        let elements = channel(&x, &dy, 1.0);
        let right: Vec<f64> = elements.iter().map(GRADIENTS[0].1).collect();
        let allowed = 1e-4 * right.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        let mistakes = GRADIENTS[1..].iter().filter(|(_, gradient)| {
            let pairs = elements.iter().map(gradient).zip(&right);
            pairs.fold(0.0, |m: f64, (a, b)| m.max((a - b).abs())) <= allowed
        });
        let hidden: Vec<&str> = mistakes.map(|(name, _)| *name).collect();
        assert_eq!(
            hidden,
            ["gamma forgotten", "rstd forgotten", "eps left out"]
        );
        let text = chapter("bn-backward");
        let (_, table) = text
            .split_once("| Mistake | How")
            .expect("the table of mistakes");
        let rows = table
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        assert_eq!(rows.count(), 3 * hidden.len());
    }
}
