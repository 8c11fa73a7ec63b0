//! The coefficients that a mistake leaves on the three paths.
//!
//! The gradient of Batch Norm is the sum of three known parts: direct, through the mean,
//! through the variance. A gradient under test is fitted by least squares as
//! `a · direct + b · mean + c · variance`; a mistake on a path shows as its coefficient.

use serde::Serialize;

use super::Output;
use super::random::{Draws, mean};

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
}

/// A gradient, and how the three paths explain it.
#[derive(Serialize)]
struct Row {
    gradient: &'static str,
    direct: f64,
    mean: f64,
    variance: f64,
    /// `‖gradient - fit‖ / ‖gradient‖`.
    residual: f64,
}

/// What the path x → mu → sigma² adds to dx in rounded arithmetic.
#[derive(Serialize)]
struct ZeroPath {
    arithmetic: &'static str,
    offset: f64,
    /// `|dL/dvar · dvar/dmu · dmu/dx| / max |dx|`, the largest over the channels.
    relative: f64,
}

/// The three parts of one element, and what else a mistake may use.
struct Element {
    direct: f64,
    mean: f64,
    variance: f64,
    gamma: f64,
    rstd: f64,
    rstd_without_eps: f64,
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
    ("$N - 1$ in place of $N$, variance path", |e| {
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
    ("eps left out of rstd", |e| {
        (e.direct + e.mean + e.variance) / e.rstd * e.rstd_without_eps
    }),
];

pub fn run() -> Output {
    let mut draws = Draws::new(SEED);
    let elements: Vec<Element> = (0..C).flat_map(|c| channel(c, &mut draws)).collect();
    let rows = GRADIENTS
        .iter()
        .map(|&(name, gradient)| fit(name, &elements, gradient))
        .collect();
    Output::new(&Results {
        about: "Least-squares coefficients of the three paths in Batch Norm gradients",
        seed: SEED,
        n: N,
        c: C,
        eps: EPS,
        rows,
        zero_path: zero_paths(),
    })
}

fn channel(c: usize, draws: &mut Draws) -> Vec<Element> {
    // Channels of different location, spread and gamma, so that no factor is 1.
    let spread = 0.5 + c as f64;
    let x: Vec<f64> = draws.normals(N).iter().map(|z| 1.0 + spread * z).collect();
    let dy = draws.normals(N);
    let gamma = draws.uniform(0.5, 2.0);
    let mu = mean(&x);
    let squares: Vec<f64> = x.iter().map(|x| (x - mu) * (x - mu)).collect();
    let var = mean(&squares);
    let rstd = 1.0 / (var + EPS).sqrt();
    let x_hat: Vec<f64> = x.iter().map(|x| (x - mu) * rstd).collect();
    let products: Vec<f64> = dy.iter().zip(&x_hat).map(|(a, b)| a * b).collect();
    let (mean_dy, mean_dy_x_hat) = (mean(&dy), mean(&products));
    dy.iter()
        .zip(&x_hat)
        .map(|(dy, x_hat)| Element {
            direct: gamma * rstd * dy,
            mean: -gamma * rstd * mean_dy,
            variance: -gamma * rstd * x_hat * mean_dy_x_hat,
            gamma,
            rstd,
            rstd_without_eps: 1.0 / var.sqrt(),
        })
        .collect()
}

/// Least squares with three unknowns: the normal equations, by Cramer's rule.
fn fit(name: &'static str, elements: &[Element], gradient: Gradient) -> Row {
    let parts = |e: &Element| [e.direct, e.mean, e.variance];
    let mut gram = [[0.0; 3]; 3];
    let mut right = [0.0; 3];
    for e in elements {
        let p = parts(e);
        for i in 0..3 {
            right[i] += p[i] * gradient(e);
            for j in 0..3 {
                gram[i][j] += p[i] * p[j];
            }
        }
    }
    let whole = determinant(gram);
    let coefficient = |k: usize| {
        let mut replaced = gram;
        for i in 0..3 {
            replaced[i][k] = right[i];
        }
        determinant(replaced) / whole
    };
    let found = [coefficient(0), coefficient(1), coefficient(2)];
    let (mut left_over, mut size) = (0.0, 0.0);
    for e in elements {
        let explained: f64 = parts(e).iter().zip(found).map(|(p, k)| p * k).sum();
        left_over += (gradient(e) - explained) * (gradient(e) - explained);
        size += gradient(e) * gradient(e);
    }
    Row {
        gradient: name,
        direct: found[0],
        mean: found[1],
        variance: found[2],
        residual: (left_over / size).sqrt(),
    }
}

fn determinant(m: [[f64; 3]; 3]) -> f64 {
    let minor = |a: usize, b: usize| m[1][a] * m[2][b] - m[1][b] * m[2][a];
    m[0][0] * minor(1, 2) - m[0][1] * minor(0, 2) + m[0][2] * minor(0, 1)
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

zero_path!(zero_path_f64, f64);
zero_path!(zero_path_f32, f32);
