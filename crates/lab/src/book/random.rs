//! Seeded draws and order statistics, the same on every machine.

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

/// The largest value.
pub fn largest(values: &[f64]) -> f64 {
    quantile(values, 1.0)
}

/// The arithmetic mean.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
