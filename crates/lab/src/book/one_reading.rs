//! The variance in one reading: four ways, when the mean is large.
//!
//! As in [`cancellation`](super::cancellation): values `offset + z` in `f32`, all multiples
//! of 2⁻²⁰, whose true variance is a quotient of integers.

use batchnorm::{Layout, fused};
use serde::Serialize;

use super::Output;
use super::cancellation::{GRID, exact};
use super::random::{Draws, median};

const COUNT: usize = 5000;
const SEEDS: u64 = 11;

#[derive(Serialize)]
struct Results {
    about: &'static str,
    values: usize,
    seeds: u64,
    rows: Vec<Row>,
}

/// Relative errors of the variance at one offset, medians over the seeds.
#[derive(Serialize)]
struct Row {
    offset: f64,
    two_pass: f64,
    welford: f64,
    shifted: f64,
    kernel: f64,
}

fn two_pass(x: &[f32]) -> f64 {
    let mean = x.iter().sum::<f32>() / x.len() as f32;
    let squares: f32 = x.iter().map(|x| (x - mean) * (x - mean)).sum();
    f64::from(squares / x.len() as f32)
}

// ANCHOR: welford
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
// ANCHOR_END: welford

/// The kernel of Batch Norm, on one channel of one plane.
fn kernel(x: &[f32]) -> f64 {
    let layout = Layout::of(&[1, 1, x.len()]);
    let mut y = vec![0.0; x.len()];
    fused::forward(&layout, x, &[1.0], &[0.0], 1e-5, &mut y).var[0]
}

fn row(offset: f64) -> Row {
    let mut errors: [Vec<f64>; 4] = Default::default();
    for seed in 0..SEEDS {
        let z = Draws::new(seed).normals(COUNT);
        let wide = z.iter().map(|z| offset + (z * GRID).round() / GRID);
        let x: Vec<f32> = wide.map(|x| x as f32).collect();
        let truth = exact(&x.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>());
        let found = [two_pass(&x), welford(&x), shifted(&x), kernel(&x)];
        for (errors, found) in errors.iter_mut().zip(found) {
            errors.push((found / truth - 1.0).abs());
        }
    }
    // One digit: what is left is rounding, and the text speaks of its size.
    let [two_pass, welford, shifted, kernel] = errors.map(|errors| one_digit(median(&errors)));
    Row {
        offset,
        two_pass,
        welford,
        shifted,
        kernel,
    }
}

fn one_digit(x: f64) -> f64 {
    format!("{x:.0e}").parse().expect("a number as printed")
}

pub fn run() -> Output {
    Output::new(&Results {
        about: "Relative error of the variance in f32, read once or twice, against the offset",
        values: COUNT,
        seeds: SEEDS,
        rows: [0.0, 100.0, 1e4, 1e6].map(row).into(),
    })
}
