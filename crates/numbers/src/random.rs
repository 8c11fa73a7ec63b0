//! Seeded draws and order statistics, the same on every machine.

use std::ops::Range;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// A source of reproducible draws.
pub struct Draws(StdRng);

impl Draws {
    /// Draws that depend on the seed alone.
    pub fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// A draw from the uniform distribution on `[low, high)`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.random::<f64>()
    }

    /// `count` independent draws from `[low, high)`.
    pub fn uniforms(&mut self, count: usize, low: f64, high: f64) -> Vec<f64> {
        (0..count).map(|_| self.uniform(low, high)).collect()
    }

    /// A draw from the normal distribution with mean 0 and deviation 1.
    ///
    /// Box and Muller's transform with the `libm` crate's functions: those of a system
    /// library differ in the last bit from one system to the next.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(1.0 - self.0.random::<f64>())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.0.random::<f64>())
    }

    /// `count` independent normal draws.
    pub fn normals(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.normal()).collect()
    }

    /// `count` independent draws from a normal distribution, rounded to `f32`.
    pub fn normals_f32(&mut self, count: usize, mean: f64, deviation: f64) -> Vec<f32> {
        let values = (0..count).map(|_| mean + deviation * self.normal());
        values.map(|value| value as f32).collect()
    }
}

/// What `one` finds with the draws of each seed, each of its numbers by itself.
pub fn over_seeds<const K: usize>(
    seeds: Range<u64>,
    one: impl Fn(&mut Draws) -> [f64; K],
) -> [Vec<f64>; K] {
    columns(seeds.map(|seed| one(&mut Draws::new(seed))))
}

/// The numbers of all rows, column by column.
pub fn columns<const K: usize>(rows: impl IntoIterator<Item = [f64; K]>) -> [Vec<f64>; K] {
    let mut columns = [const { Vec::new() }; K];
    for row in rows {
        for (column, number) in columns.iter_mut().zip(row) {
            column.push(number);
        }
    }
    columns
}

/// The same numbers in `f64`.
pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// The value below which a share `q` of `values` lies, by the nearest rank.
pub fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (q * (sorted.len() - 1) as f64).round() as usize;
    sorted[rank]
}

/// The middle value.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The largest absolute value, 0 if there is none.
pub fn largest<'a>(values: impl IntoIterator<Item = &'a f64>) -> f64 {
    values.into_iter().fold(0.0, |most, v| v.abs().max(most))
}

/// The largest difference, 0 if there is none.
pub fn furthest(a: &[f64], b: &[f64]) -> f64 {
    let apart = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    apart.fold(0.0, f64::max)
}

/// The arithmetic mean.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The mean of `f` of every value.
pub fn mean_of<T>(values: impl IntoIterator<Item = T>, f: impl Fn(T) -> f64) -> f64 {
    mean(&values.into_iter().map(f).collect::<Vec<f64>>())
}

/// The sum of the products of two lists.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The length of a vector.
pub fn length(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

/// The relative errors of some ways to add up `count` values in `f32`: medians over the seeds.
pub fn sum_errors<const K: usize>(
    seeds: Range<u64>,
    count: usize,
    value: impl Fn(&mut Draws) -> f64,
    ways: [fn(&[f32]) -> f64; K],
) -> [f64; K] {
    let errors = over_seeds(seeds, |draws| {
        let x: Vec<f32> = (0..count).map(|_| value(draws) as f32).collect();
        let truth: f64 = wide(&x).iter().sum();
        ways.map(|sum| (sum(&x) / truth - 1.0).abs())
    });
    errors.map(|errors| median(&errors))
}
