//! Wrong gradients of a subtracted mean, and the checks that let them through.
//!
//! Each row is a gradient with one mistake; each column a way to check it. The number is
//! the largest disagreement with the numerical gradient, as a share of the largest
//! element of that gradient or of 1, whichever is larger: the usual mixture of a
//! relative and an absolute tolerance.

use gradcheck::Check;
use serde_json::json;

use crate::kit::{Measurement, Output, each};
use crate::random::{Draws, largest, mean};

pub const MEASUREMENT: Measurement = Measurement {
    name: "vacuous",
    chapter: 1,
    about: "wrong gradients of a subtracted mean that different checks let through",
    run,
};

const SEED: u64 = 8;
const N: usize = 8;
const GAMMA: f64 = 1.5;
const TOLERANCE: f64 = 1e-4;
const STEP: f64 = 1e-5;

/// `y = gamma (x - mean(x))` at a point, and the loss that is made of `y`.
struct Centred {
    x: Vec<f64>,
    gamma: f64,
    upstream: Upstream,
}

fn centred(gamma: f64, x: &[f64]) -> Vec<f64> {
    let m = mean(x);
    x.iter().map(|x| gamma * (x - m)).collect()
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
    gamma: f64,
}

impl Parts {
    fn mean(&self) -> f64 {
        mean(&self.dy)
    }

    fn sum(&self) -> f64 {
        self.dy.iter().sum()
    }

    /// The upstream gradient of the neighbour, the first after the last.
    fn next(&self, n: usize) -> f64 {
        self.dy[(n + 1) % self.dy.len()]
    }
}

impl Centred {
    fn output(&self, x: &[f64]) -> Vec<f64> {
        centred(self.gamma, x)
    }

    fn loss(&self, x: &[f64]) -> f64 {
        let y = self.output(x);
        match &self.upstream {
            Upstream::Sum => y.iter().sum(),
            Upstream::Square => y.iter().map(|y| 0.5 * y * y).sum(),
            Upstream::Weights(dy) => y.iter().zip(dy).map(|(y, dy)| y * dy).sum(),
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
        let dy = match &self.upstream {
            Upstream::Sum => vec![1.0; self.x.len()],
            Upstream::Square => self.output(&self.x),
            Upstream::Weights(dy) => dy.clone(),
        };
        let gamma = self.gamma;
        Parts { dy, gamma }
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
    ("no mistake", |p, n| p.gamma * (p.dy[n] - p.mean())),
    ("dx = 0", |_, _| 0.0),
    ("sign of the whole", |p, n| -p.gamma * (p.dy[n] - p.mean())),
    ("gamma forgotten", |p, n| p.dy[n] - p.mean()),
    ("gamma twice", |p, n| {
        p.gamma * p.gamma * (p.dy[n] - p.mean())
    }),
    ("the neighbour's dy", |p, n| {
        p.gamma * (p.next(n) - p.mean())
    }),
    ("mean left out", |p, n| p.gamma * p.dy[n]),
    ("wrong sign of the mean", |p, n| {
        p.gamma * (p.dy[n] + p.mean())
    }),
    ("sum in place of the mean", |p, n| {
        p.gamma * (p.dy[n] - p.sum())
    }),
];

/// The checks by name, and what each looks at.
fn checks() -> [(&'static str, Centred); 4] {
    let mut draws = Draws::new(SEED);
    let x: Vec<f64> = draws.normals(N).iter().map(|z| 5.0 + 2.0 * z).collect();
    let dy = draws.normals(N);
    let of = |gamma, upstream| Centred {
        x: x.clone(),
        gamma,
        upstream,
    };
    let weights = || Upstream::Weights(dy.clone());
    [
        ("sum", of(GAMMA, Upstream::Sum)),
        ("square", of(GAMMA, Upstream::Square)),
        ("gamma_one", of(1.0, weights())),
        ("random", of(GAMMA, weights())),
    ]
}

/// The check of this function, and the point at which it looks.
fn check(name: &str) -> Check {
    let mut draws = Draws::new(SEED);
    Check::new(name).input("x", &[N], draws.normals(N))
}

fn forward(x: &[Vec<f64>]) -> Vec<f64> {
    centred(GAMMA, &x[0])
}

/// The report of a check that could not fail, on a gradient that is wrong.
fn refused() -> String {
    let check = check("subtracted mean, loss = sum(y)").upstream(vec![1.0; N]);
    let report = check.run(forward, |_, dy| vec![vec![0.0; dy.len()]]);
    report.to_string()
}

/// The report of a check with a random upstream gradient.
fn checked() -> String {
    let (_, right) = GRADIENTS[0];
    let backward = |_: &[Vec<f64>], dy: &[f64]| {
        let (dy, gamma) = (dy.to_vec(), GAMMA);
        let parts = Parts { dy, gamma };
        vec![(0..N).map(|n| right(&parts, n)).collect()]
    };
    let report = check("subtracted mean").run(forward, backward);
    report.to_string()
}

fn run() -> Output {
    let checks = checks();
    let row = |(name, gradient): &(&str, Gradient)| {
        let mut row = json!({ "name": name });
        for (check, centred) in &checks {
            let found = centred.disagreement(*gradient);
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
    let summary = |(check, centred): &(&str, Centred)| {
        let passes =
            |(_, gradient): &&(&str, Gradient)| centred.disagreement(*gradient) <= TOLERANCE;
        json!({
            "check": check,
            // How many of the wrong gradients pass.
            "let_through": GRADIENTS[1..].iter().filter(passes).count(),
            "of": GRADIENTS.len() - 1,
            // The largest element of the numerical gradient.
            "largest_gradient": largest(&centred.numerical()),
        })
    };
    Output::new(json!({
        "about": "Largest disagreement of wrong gradients of a subtracted mean with central differences",
        "seed": SEED,
        "n": N,
        "gamma": GAMMA,
        "tolerance": TOLERANCE,
        "step": STEP,
        "checks": each(&checks, summary),
        "rows": each(GRADIENTS, row),
    }))
    .text("refused", refused())
    .text("checked", checked())
}
