//! The variance in one reading: four ways, when the mean is large.
//!
//! As in [`cancellation`](super::cancellation): values `offset + z` in `f32`, all multiples
//! of 2⁻²⁰, whose true variance is a quotient of integers.

use batchnorm::{Layout, fused};
use serde_json::{Value, json};

use super::cancellation::{around, exact};
use crate::kit::{Measurement, Output, each};
use crate::random::{median, over_seeds, wide};

pub const MEASUREMENT: Measurement = Measurement {
    name: "one_reading",
    chapter: 9,
    about: "relative error of the variance, read once or twice, when the mean is large",
    run,
};

const COUNT: usize = 5000;
const SEEDS: u64 = 11;

fn two_pass(x: &[f32]) -> f64 {
    let mean = x.iter().sum::<f32>() / x.len() as f32;
    let squares: f32 = x.iter().map(|x| (x - mean) * (x - mean)).sum();
    f64::from(squares / x.len() as f32)
}

/// One value after the other, in `f32`: count, mean and squared deviations so far.
fn welford(x: &[f32]) -> f64 {
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for &x in x {
        count += 1.0;
        let before = x - mean;
        mean += before / count;
        squares += before * (x - mean);
    }
    f64::from(squares / count)
}

/// Both sums of `x - x[0]` in one reading.
fn shifted(x: &[f32]) -> f64 {
    let (mut sum, mut squares) = (0.0, 0.0);
    for &value in x {
        let off = value - x[0];
        sum += off;
        squares += off * off;
    }
    let count = x.len() as f32;
    f64::from((squares - sum * (sum / count)) / count)
}

/// The kernel of Batch Norm, on one channel of one plane.
fn kernel(x: &[f32]) -> f64 {
    let layout = Layout::of(&[1, 1, x.len()]);
    let mut y = vec![0.0; x.len()];
    fused::forward(&layout, x, &[1.0], &[0.0], 1e-5, &mut y).var[0]
}

/// Relative errors of the variance at one offset, medians over the seeds.
fn row(offset: f64) -> Value {
    let errors = over_seeds(0..SEEDS, |draws| {
        let x = around(offset, COUNT, draws);
        let x: Vec<f32> = x.into_iter().map(|x| x as f32).collect();
        let truth = exact(&wide(&x));
        [two_pass, welford, shifted, kernel].map(|form| (form(&x) / truth - 1.0).abs())
    });
    // One digit: what is left is rounding, and the text speaks of its size.
    let [two_pass, welford, shifted, kernel] = errors.map(|errors| one_digit(median(&errors)));
    json!({
        "offset": offset,
        "two_pass": two_pass,
        "welford": welford,
        "shifted": shifted,
        "kernel": kernel,
    })
}

fn one_digit(x: f64) -> f64 {
    format!("{x:.0e}").parse().expect("a number as printed")
}

fn run() -> Output {
    Output::new(json!({
        "about": "Relative error of the variance in f32, read once or twice, against the offset",
        "values": COUNT,
        "seeds": SEEDS,
        "rows": each([0.0, 100.0, 1e4, 1e6], row),
    }))
}
