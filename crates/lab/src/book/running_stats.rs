//! The running variance of Batch Norm against the number of batches.
//!
//! Batches of four values from a normal distribution with mean 3 and variance 4. Three
//! ways to keep the running variance, which starts at 1: exponential average of the
//! unbiased batch variance (PyTorch), the same of the biased one, and the plain average
//! of all unbiased ones (`momentum = None`).

use serde::Serialize;

use super::Output;
use super::plot::{Axis, Ink, Mark, Series, draw};
use super::random::{Draws, mean, quantile};

const N: usize = 4;
const BATCHES: usize = 200;
const SEEDS: u64 = 2000;
const MOMENTUM: f64 = 0.1;
const TRUE_MEAN: f64 = 3.0;
const TRUE_VARIANCE: f64 = 4.0;

#[derive(Serialize)]
struct Results {
    about: &'static str,
    seeds: u64,
    n: usize,
    batches: usize,
    momentum: f64,
    true_mean: f64,
    true_variance: f64,
    rows: Vec<Row>,
}

/// Over the seeds, after `batch` batches.
#[derive(Serialize)]
struct Row {
    batch: usize,
    unbiased: f64,
    unbiased_low: f64,
    unbiased_high: f64,
    biased: f64,
    cumulative: f64,
    cumulative_low: f64,
    cumulative_high: f64,
    /// The weight that the initial value still has, `(1 - momentum)^batch`.
    initial_weight: f64,
    running_mean: f64,
}

/// Running statistics of one channel under the three conventions.
#[derive(Clone, Copy)]
struct Running {
    mean: f64,
    unbiased: f64,
    biased: f64,
    cumulative: f64,
}

pub fn run() -> Output {
    let shown = [1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200];
    let mut collected: Vec<Vec<Running>> = vec![Vec::new(); shown.len()];
    for seed in 0..SEEDS {
        let mut draws = Draws::new(seed);
        let mut running = Running {
            mean: 0.0,
            unbiased: 1.0,
            biased: 1.0,
            cumulative: 1.0,
        };
        for batch in 1..=BATCHES {
            let x: Vec<f64> = (0..N)
                .map(|_| TRUE_MEAN + TRUE_VARIANCE.sqrt() * draws.normal())
                .collect();
            running = running.update(&x, batch);
            if let Some(i) = shown.iter().position(|&b| b == batch) {
                collected[i].push(running);
            }
        }
    }
    let mut initial_weight = 1.0;
    let mut passed = 0;
    let rows: Vec<Row> = shown
        .iter()
        .zip(&collected)
        .map(|(&batch, all)| {
            while passed < batch {
                initial_weight *= 1.0 - MOMENTUM;
                passed += 1;
            }
            let of = |f: fn(&Running) -> f64| all.iter().map(f).collect::<Vec<f64>>();
            let unbiased = of(|r| r.unbiased);
            let cumulative = of(|r| r.cumulative);
            Row {
                batch,
                unbiased: mean(&unbiased),
                unbiased_low: quantile(&unbiased, 0.05),
                unbiased_high: quantile(&unbiased, 0.95),
                biased: mean(&of(|r| r.biased)),
                cumulative: mean(&cumulative),
                cumulative_low: quantile(&cumulative, 0.05),
                cumulative_high: quantile(&cumulative, 0.95),
                initial_weight,
                running_mean: mean(&of(|r| r.mean)),
            }
        })
        .collect();
    let svg = plot(&rows);
    Output::new(&Results {
        about: "Running variance of batches of 4 values with true variance 4, from 1",
        seeds: SEEDS,
        n: N,
        batches: BATCHES,
        momentum: MOMENTUM,
        true_mean: TRUE_MEAN,
        true_variance: TRUE_VARIANCE,
        rows,
    })
    .plot("running_stats", svg)
}

impl Running {
    fn update(self, x: &[f64], batch: usize) -> Self {
        let count = x.len() as f64;
        let mu = mean(x);
        let squares: Vec<f64> = x.iter().map(|x| (x - mu) * (x - mu)).collect();
        let variance = mean(&squares);
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

fn plot(rows: &[Row]) -> String {
    let curve = |f: fn(&Row) -> f64| -> Vec<(f64, f64)> {
        rows.iter()
            .map(|r| (libm::log10(r.batch as f64), f(r)))
            .collect()
    };
    let end = libm::log10(BATCHES as f64);
    let mut axis = Axis::linear("batches seen", (0.0, end), &[]);
    axis.ticks = [1, 2, 5, 10, 20, 50, 100, 200]
        .iter()
        .map(|&b| (libm::log10(f64::from(b)), b.to_string()))
        .collect();
    draw(
        "Running variance against the number of batches seen",
        "Batches of four values whose true variance is 4; the running variance starts at 1. \
         The exponential average of the unbiased batch variance climbs to 4 within about \
         fifty batches. The same average of the biased batch variance settles at 3. The \
         plain average of the unbiased ones is at 4 from the first batch on.",
        &axis,
        &Axis::linear(
            "running variance, mean over seeds",
            (0.0, 5.0),
            &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
        ),
        &[
            Series::new(
                Ink::Muted,
                Mark::Dashed,
                vec![(0.0, TRUE_VARIANCE), (end, TRUE_VARIANCE)],
            ),
            Series::new(Ink::Var, Mark::Line, curve(|r| r.cumulative)).label(
                "cumulative average, unbiased",
                0.1,
                4.35,
            ),
            Series::new(Ink::Direct, Mark::Line, curve(|r| r.unbiased)).label(
                "momentum 0.1, unbiased",
                0.06,
                2.95,
            ),
            Series::new(Ink::Wrong, Mark::Line, curve(|r| r.biased)).label(
                "momentum 0.1, biased",
                1.25,
                2.1,
            ),
        ],
    )
}
