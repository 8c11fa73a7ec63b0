//! Wrong Batch Norm gradients, and the checks that let them through.
//!
//! Each row is a gradient with one mistake; each column a way to check it. The number is
//! the largest disagreement with the numerical gradient, as a share of the largest
//! element of that gradient or of 1, whichever is larger: the usual mixture of a
//! relative and an absolute tolerance.

use serde::Serialize;

use super::Output;
use super::random::{Draws, mean};

const SEED: u64 = 8;
const N: usize = 8;
const EPS: f64 = 1e-5;
const TOLERANCE: f64 = 1e-4;
const STEP: f64 = 1e-5;

#[derive(Serialize)]
struct Results {
    about: &'static str,
    seed: u64,
    n: usize,
    eps: f64,
    tolerance: f64,
    step: f64,
    checks: Vec<Summary>,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Summary {
    check: &'static str,
    /// How many of the wrong gradients pass.
    let_through: usize,
    of: usize,
    /// The largest element of the numerical gradient.
    largest_gradient: f64,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    sum: f64,
    sum_verdict: &'static str,
    square: f64,
    square_verdict: &'static str,
    two: f64,
    two_verdict: &'static str,
    gamma_one: f64,
    gamma_one_verdict: &'static str,
    random: f64,
    random_verdict: &'static str,
}

/// One channel of Batch Norm: the values, the scale and the upstream gradient.
struct Channel {
    x: Vec<f64>,
    gamma: f64,
    upstream: Upstream,
}

/// How the loss is made of the output.
enum Upstream {
    /// `L = Σ y`.
    Sum,
    /// `L = ½ Σ y²`.
    Square,
    /// `L = Σ dy · y` with these weights.
    Weights(Vec<f64>),
}

/// What every gradient below is made of.
struct Parts {
    dy: Vec<f64>,
    x_hat: Vec<f64>,
    gamma: f64,
    rstd: f64,
    mean_dy: f64,
    mean_dy_x_hat: f64,
}

impl Channel {
    fn forward(&self, x: &[f64]) -> (Vec<f64>, f64) {
        let mu = mean(x);
        let deviations: Vec<f64> = x.iter().map(|x| (x - mu) * (x - mu)).collect();
        let rstd = 1.0 / (mean(&deviations) + EPS).sqrt();
        (x.iter().map(|x| (x - mu) * rstd).collect(), rstd)
    }

    fn loss(&self, x: &[f64]) -> f64 {
        let (x_hat, _) = self.forward(x);
        let y = x_hat.iter().map(|x_hat| self.gamma * x_hat);
        match &self.upstream {
            Upstream::Sum => y.sum(),
            Upstream::Square => y.map(|y| 0.5 * y * y).sum(),
            Upstream::Weights(dy) => y.zip(dy).map(|(y, dy)| y * dy).sum(),
        }
    }

    fn numerical(&self) -> Vec<f64> {
        (0..self.x.len())
            .map(|n| {
                let at = |h: f64| {
                    let mut x = self.x.clone();
                    x[n] += h;
                    self.loss(&x)
                };
                (at(STEP) - at(-STEP)) / (2.0 * STEP)
            })
            .collect()
    }

    fn parts(&self) -> Parts {
        let (x_hat, rstd) = self.forward(&self.x);
        let dy = match &self.upstream {
            Upstream::Sum => vec![1.0; x_hat.len()],
            Upstream::Square => x_hat.iter().map(|x_hat| self.gamma * x_hat).collect(),
            Upstream::Weights(dy) => dy.clone(),
        };
        let products: Vec<f64> = dy.iter().zip(&x_hat).map(|(a, b)| a * b).collect();
        Parts {
            mean_dy: mean(&dy),
            mean_dy_x_hat: mean(&products),
            gamma: self.gamma,
            dy,
            x_hat,
            rstd,
        }
    }
}

// ANCHOR: gradients
type Gradient = fn(&Parts, usize) -> f64;

/// Element `n` of the gradient, right first and then with one mistake each.
const GRADIENTS: &[(&str, Gradient)] = &[
    ("no mistake", |p, n| {
        p.gamma * p.rstd * (p.dy[n] - p.mean_dy - p.x_hat[n] * p.mean_dy_x_hat)
    }),
    ("dx = 0", |_, _| 0.0),
    ("variance path left out", |p, n| {
        p.gamma * p.rstd * (p.dy[n] - p.mean_dy)
    }),
    ("mean path left out", |p, n| {
        p.gamma * p.rstd * (p.dy[n] - p.x_hat[n] * p.mean_dy_x_hat)
    }),
    ("wrong sign of the variance path", |p, n| {
        p.gamma * p.rstd * (p.dy[n] - p.mean_dy + p.x_hat[n] * p.mean_dy_x_hat)
    }),
    ("sum in place of mean, variance path", |p, n| {
        let count = p.dy.len() as f64;
        p.gamma * p.rstd * (p.dy[n] - p.mean_dy - p.x_hat[n] * count * p.mean_dy_x_hat)
    }),
    ("gamma forgotten", |p, n| {
        p.rstd * (p.dy[n] - p.mean_dy - p.x_hat[n] * p.mean_dy_x_hat)
    }),
    ("rstd forgotten", |p, n| {
        p.gamma * (p.dy[n] - p.mean_dy - p.x_hat[n] * p.mean_dy_x_hat)
    }),
    ("sign of the whole", |p, n| {
        -p.gamma * p.rstd * (p.dy[n] - p.mean_dy - p.x_hat[n] * p.mean_dy_x_hat)
    }),
];
// ANCHOR_END: gradients

pub fn run() -> Output {
    let mut draws = Draws::new(SEED);
    // A deviation far from 1, or a forgotten rstd would hide behind rstd = 1.
    let x: Vec<f64> = draws.normals(N).iter().map(|z| 5.0 + 2.0 * z).collect();
    let dy = draws.normals(N);
    let two = Channel {
        x: x[..2].to_vec(),
        gamma: 1.5,
        upstream: Upstream::Weights(dy[..2].to_vec()),
    };
    let with = |gamma, upstream| Channel {
        x: x.clone(),
        gamma,
        upstream,
    };
    let checks = [
        ("sum", with(1.5, Upstream::Sum)),
        ("square", with(1.0, Upstream::Square)),
        ("two", two),
        ("gamma_one", with(1.0, Upstream::Weights(dy.clone()))),
        ("random", with(1.5, Upstream::Weights(dy.clone()))),
    ];
    let disagreement = |channel: &Channel, gradient: Gradient| {
        let numerical = channel.numerical();
        let parts = channel.parts();
        let scale = numerical.iter().fold(1.0_f64, |a, g| a.max(g.abs()));
        let worst = numerical
            .iter()
            .enumerate()
            .fold(0.0_f64, |a, (n, g)| a.max((g - gradient(&parts, n)).abs()));
        worst / scale
    };
    let verdict = |d: f64| if d <= TOLERANCE { "passes" } else { "caught" };
    let rows = GRADIENTS
        .iter()
        .map(|&(name, gradient)| {
            let found: Vec<f64> = checks
                .iter()
                .map(|(_, channel)| disagreement(channel, gradient))
                .collect();
            Row {
                name,
                sum: found[0],
                sum_verdict: verdict(found[0]),
                square: found[1],
                square_verdict: verdict(found[1]),
                two: found[2],
                two_verdict: verdict(found[2]),
                gamma_one: found[3],
                gamma_one_verdict: verdict(found[3]),
                random: found[4],
                random_verdict: verdict(found[4]),
            }
        })
        .collect();
    let summaries = checks
        .iter()
        .map(|(name, channel)| Summary {
            check: name,
            let_through: GRADIENTS[1..]
                .iter()
                .filter(|(_, gradient)| disagreement(channel, *gradient) <= TOLERANCE)
                .count(),
            of: GRADIENTS.len() - 1,
            largest_gradient: channel
                .numerical()
                .iter()
                .fold(0.0, |a: f64, g| a.max(g.abs())),
        })
        .collect();
    Output::new(&Results {
        about: "Largest disagreement of wrong Batch Norm gradients with central differences",
        seed: SEED,
        n: N,
        eps: EPS,
        tolerance: TOLERANCE,
        step: STEP,
        checks: summaries,
        rows,
    })
}
