//! Wrong Batch Norm gradients, and the checks that let them through.
//!
//! Each row is a gradient with one mistake; each column a way to check it. The number is
//! the largest disagreement with the numerical gradient, as a share of the largest
//! element of that gradient or of 1, whichever is larger: the usual mixture of a
//! relative and an absolute tolerance.

use batchnorm::staged::{Forward, forward_channel};
use serde_json::json;

use crate::kit::{Measurement, Output, each};
use crate::random::{Draws, dot, largest, mean};

pub const MEASUREMENT: Measurement = Measurement {
    name: "vacuous",
    chapter: 1,
    about: "wrong Batch Norm gradients that different checks let through",
    run,
};

const SEED: u64 = 8;
const N: usize = 8;
const EPS: f64 = 1e-5;
const TOLERANCE: f64 = 1e-4;
const STEP: f64 = 1e-5;

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
    fn forward(&self, x: &[f64]) -> Forward<f64> {
        forward_channel(x, self.gamma, 0.0, EPS)
    }

    fn loss(&self, x: &[f64]) -> f64 {
        let y = self.forward(x).x_hat;
        let y = y.iter().map(|x_hat| self.gamma * x_hat);
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
        let Forward { x_hat, rstd, .. } = self.forward(&self.x);
        let dy = match &self.upstream {
            Upstream::Sum => vec![1.0; x_hat.len()],
            Upstream::Square => x_hat.iter().map(|x_hat| self.gamma * x_hat).collect(),
            Upstream::Weights(dy) => dy.clone(),
        };
        Parts {
            mean_dy: mean(&dy),
            mean_dy_x_hat: dot(&dy, &x_hat) / dy.len() as f64,
            gamma: self.gamma,
            dy,
            x_hat,
            rstd,
        }
    }

    /// The largest disagreement with the numerical gradient.
    fn disagreement(&self, gradient: Gradient) -> f64 {
        let numerical = self.numerical();
        let parts = self.parts();
        let apart = numerical.iter().enumerate();
        let apart: Vec<f64> = apart.map(|(n, g)| g - gradient(&parts, n)).collect();
        largest(&apart) / largest(&numerical).max(1.0)
    }
}

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

/// The checks by name, and what each looks at.
fn checks() -> [(&'static str, Channel); 5] {
    let mut draws = Draws::new(SEED);
    // A deviation far from 1, or a forgotten rstd would hide behind rstd = 1.
    let x: Vec<f64> = draws.normals(N).iter().map(|z| 5.0 + 2.0 * z).collect();
    let dy = draws.normals(N);
    let of = |count: usize, gamma, upstream| Channel {
        x: x[..count].to_vec(),
        gamma,
        upstream,
    };
    let weights = |count: usize| Upstream::Weights(dy[..count].to_vec());
    [
        ("sum", of(N, 1.5, Upstream::Sum)),
        ("square", of(N, 1.0, Upstream::Square)),
        ("two", of(2, 1.5, weights(2))),
        ("gamma_one", of(N, 1.0, weights(N))),
        ("random", of(N, 1.5, weights(N))),
    ]
}

fn run() -> Output {
    let checks = checks();
    let row = |(name, gradient): &(&str, Gradient)| {
        let mut row = json!({ "name": name });
        for (check, channel) in &checks {
            let found = channel.disagreement(*gradient);
            let verdict = if found <= TOLERANCE {
                "passes"
            } else {
                "caught"
            };
            row[*check] = found.into();
            row[format!("{check}_verdict")] = verdict.into();
        }
        row
    };
    let summary = |(check, channel): &(&str, Channel)| {
        let passes =
            |(_, gradient): &&(&str, Gradient)| channel.disagreement(*gradient) <= TOLERANCE;
        json!({
            "check": check,
            // How many of the wrong gradients pass.
            "let_through": GRADIENTS[1..].iter().filter(passes).count(),
            "of": GRADIENTS.len() - 1,
            // The largest element of the numerical gradient.
            "largest_gradient": largest(&channel.numerical()),
        })
    };
    Output::new(json!({
        "about": "Largest disagreement of wrong Batch Norm gradients with central differences",
        "seed": SEED,
        "n": N,
        "eps": EPS,
        "tolerance": TOLERANCE,
        "step": STEP,
        "checks": each(&checks, summary),
        "rows": each(GRADIENTS, row),
    }))
}
