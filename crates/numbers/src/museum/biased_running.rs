//! A running variance that takes in the estimate which divides by N.

use super::case::{Close, Trial, mean};
use crate::random::Draws;

/// One step of the running variance of one channel.
pub fn step(old: f64, x: &[f64], momentum: f64) -> f64 {
    let mu = mean(x);
    let var = mean(&x.iter().map(|x| (x - mu).powi(2)).collect::<Vec<f64>>());
    (1.0 - momentum) * old + momentum * var
}

/// As the test had it: a batch of five, and four channels that began at 1.
fn tested(expected: impl Fn(&[f64]) -> f64) -> Trial {
    let mut draws = Draws::new(11);
    let channels: Vec<Vec<f64>> = (0..4).map(|_| draws.normals(5)).collect();
    let found: Vec<f64> = channels.iter().map(|x| step(1.0, x, 0.1)).collect();
    let expected: Vec<f64> = channels.iter().map(|x| expected(x)).collect();
    Close {
        rtol: 1e-5,
        atol: 1e-5,
    }
    .compare(&found, &expected)
}

/// Against numbers that were written down from what the layer printed.
pub fn shipped() -> Trial {
    tested(|x| step(1.0, x, 0.1))
}

/// Against those of a library that takes in the unbiased estimate.
pub fn changed() -> Trial {
    tested(|x| {
        let n = x.len() as f64;
        let biased = (step(1.0, x, 0.1) - 0.9) / 0.1;
        0.9 + 0.1 * biased * n / (n - 1.0)
    })
}
