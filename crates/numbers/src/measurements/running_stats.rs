//! The running variance of Batch Norm against the number of batches.
//!
//! Batches of four values from a normal distribution with mean 3 and variance 4. Three
//! ways to keep the running variance, which starts at 1: exponential average of the
//! unbiased batch variance (PyTorch), the same of the biased one, and the plain average
//! of all unbiased ones (`momentum = None`).

use serde_json::{Value, json};

use crate::kit::{Measurement, Output, curve};
use crate::random::{Draws, mean, mean_of, quantile};
use chart::{Axis, Chart, Hue, Ink, Spread};

pub const MEASUREMENT: Measurement = Measurement {
    name: "running_stats",
    chapter: 7,
    about: "running variance against the number of batches, three conventions",
    run,
};

const N: usize = 4;
const BATCHES: usize = 200;
const SHOWN: [usize; 14] = [1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200];
const SEEDS: u64 = 2000;
const MOMENTUM: f64 = 0.1;
const TRUE_MEAN: f64 = 3.0;
const TRUE_VARIANCE: f64 = 4.0;

/// Running statistics of one channel under the three conventions.
#[derive(Clone, Copy)]
struct Running {
    mean: f64,
    unbiased: f64,
    biased: f64,
    cumulative: f64,
}

const START: Running = Running {
    mean: 0.0,
    unbiased: 1.0,
    biased: 1.0,
    cumulative: 1.0,
};

impl Running {
    fn update(self, x: &[f64], batch: usize) -> Self {
        let count = x.len() as f64;
        let mu = mean(x);
        let variance = mean_of(x, |x| (x - mu) * (x - mu));
        let unbiased = variance * count / (count - 1.0);
        let blend = |old: f64, new: f64, m: f64| (1.0 - m) * old + m * new;
        Self {
            mean: blend(self.mean, mu, MOMENTUM),
            unbiased: blend(self.unbiased, unbiased, MOMENTUM),
            biased: blend(self.biased, variance, MOMENTUM),
            cumulative: blend(self.cumulative, unbiased, 1.0 / batch as f64),
        }
    }
}

/// Over the seeds, after `batch` batches.
fn row(batch: usize, all: &[Running]) -> Value {
    let of = |f: fn(&Running) -> f64| all.iter().map(f).collect::<Vec<f64>>();
    let unbiased = of(|r| r.unbiased);
    let cumulative = of(|r| r.cumulative);
    json!({
        "batch": batch,
        "unbiased": mean(&unbiased),
        "unbiased_low": quantile(&unbiased, 0.05),
        "unbiased_high": quantile(&unbiased, 0.95),
        "biased": mean(&of(|r| r.biased)),
        "cumulative": mean(&cumulative),
        "cumulative_low": quantile(&cumulative, 0.05),
        "cumulative_high": quantile(&cumulative, 0.95),
        // The weight that the initial value still has.
        "initial_weight": (0..batch).fold(1.0, |weight, _| weight * (1.0 - MOMENTUM)),
        "running_mean": mean(&of(|r| r.mean)),
    })
}

fn run() -> Output {
    let mut collected = SHOWN.map(|_| Vec::new());
    for seed in 0..SEEDS {
        let mut draws = Draws::new(seed);
        let mut running = START;
        for batch in 1..=BATCHES {
            let x = draws.normals(N);
            let x: Vec<f64> = x
                .iter()
                .map(|z| TRUE_MEAN + TRUE_VARIANCE.sqrt() * z)
                .collect();
            running = running.update(&x, batch);
            if let Some(i) = SHOWN.iter().position(|&b| b == batch) {
                collected[i].push(running);
            }
        }
    }
    let rows = SHOWN.iter().zip(&collected);
    let rows: Vec<Value> = rows.map(|(&batch, all)| row(batch, all)).collect();
    Output::new(json!({
        "about": "Running variance of batches of 4 values with true variance 4, from 1",
        "seeds": SEEDS,
        "n": N,
        "batches": BATCHES,
        "momentum": MOMENTUM,
        "true_mean": TRUE_MEAN,
        "true_variance": TRUE_VARIANCE,
        "rows": rows,
    }))
    .plot("running_stats", plot(&rows))
}

fn plot(rows: &[Value]) -> Chart {
    let curve = |y| curve(rows, "batch", y);
    Chart::new(
        "Running variance against the number of batches seen",
        "Batches of four values whose true variance is 4; the running variance starts at 1. \
         The exponential average of the unbiased batch variance climbs to 4 within about \
         fifty batches. The same average of the biased batch variance settles at 3. The \
         plain average of the unbiased ones is at 4 from the first batch on.",
        Axis::log("batches seen", 1.0, BATCHES as f64),
        Axis::linear("running variance, mean over seeds", 0.0, 5.0),
    )
    .level("", Ink::Theory, Spread::exactly(TRUE_VARIANCE))
    .line(
        "cumulative average, unbiased",
        Hue::Var,
        curve("cumulative"),
    )
    .line("momentum 0.1, unbiased", Hue::Direct, curve("unbiased"))
    .line("momentum 0.1, biased", Hue::Wrong, curve("biased"))
}
