//! An eps that is added to the deviation in place of the variance.

use super::case::{Close, Trial, by_row, given, mean};
use crate::random::Draws;
use gradcheck::attribution::norm::{Given, Norm, Probe};

/// Layer Norm's `y` of one row.
pub fn y(x: &[f64], gamma: &[f64], beta: &[f64], eps: f64) -> Vec<f64> {
    let mu = mean(x);
    let var = mean(&x.iter().map(|x| (x - mu).powi(2)).collect::<Vec<f64>>());
    let deviation = var.sqrt() + eps;
    let element = |i: usize| gamma[i] * (x[i] - mu) / deviation + beta[i];
    (0..x.len()).map(element).collect()
}

pub fn kernel(probe: &Probe) -> Vec<f64> {
    by_row(probe, |x, gamma, _| y(x, gamma, &probe.beta, probe.eps))
}

/// One row of ten numbers of this size, to three decimals.
fn tested(size: f64) -> Trial {
    let values = Given {
        x: Draws::new(5).normals(10).iter().map(|z| size * z).collect(),
        gamma: vec![1.0; 10],
        beta: vec![0.0; 10],
        dy: vec![1.0; 10],
    };
    let probe = given(Norm::Layer { normalized: 1 }, &[1, 10], 1e-5, values);
    Close {
        rtol: 0.0,
        atol: 1e-3,
    }
    .compare(&kernel(&probe), &probe.y())
}

pub fn shipped() -> Trial {
    tested(1.0)
}

pub fn changed() -> Trial {
    tested(1e-3)
}

/// The other test of that file: two features, an upstream gradient of ones, and zeros that are
/// expected to three decimals. What is the largest `dx` that any `y` of this form can give?
pub fn two_features() -> Trial {
    let values = Given {
        x: vec![9.0, 10.0, 54.0, 61.0],
        gamma: vec![1.0; 2],
        beta: vec![0.0; 2],
        dy: vec![1.0; 4],
    };
    let probe = given(Norm::Layer { normalized: 1 }, &[2, 2], 1e-5, values);
    Close {
        rtol: 0.0,
        atol: 1e-3,
    }
    .compare(&[0.0; 4], &probe.dx())
}
