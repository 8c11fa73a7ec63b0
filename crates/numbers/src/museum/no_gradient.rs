//! A fast path that records nothing, so that no gradient passes it.

use super::case::{Close, Trial, by_row, given, normalize};
use crate::random::Draws;
use gradcheck::attribution::norm::{Given, Norm, Probe};

/// Layer Norm's `y` and `dx` of one row. Where the row lies in one piece, a kernel is called
/// that has no backward, and what stands before it keeps the zeros it began with.
pub fn y_and_dx(x: &[f64], gamma: &[f64], beta: &[f64], eps: f64) -> [Vec<f64>; 2] {
    let (x_hat, _) = normalize(x, eps);
    let y = (0..x.len()).map(|i| gamma[i] * x_hat[i] + beta[i]);
    [y.collect(), vec![0.0; x.len()]]
}

fn output(probe: &Probe) -> Vec<f64> {
    by_row(probe, |x, gamma, _| {
        y_and_dx(x, gamma, &probe.beta, probe.eps)[0].clone()
    })
}

pub fn kernel(probe: &Probe) -> Vec<f64> {
    by_row(probe, |x, gamma, _| {
        y_and_dx(x, gamma, &probe.beta, probe.eps)[1].clone()
    })
}

fn input() -> Probe {
    let (shape, mut draws) = ([24, 64], Draws::new(10));
    let n = shape[0] * shape[1];
    let values = Given {
        x: draws.uniforms(n, 0.0, 1.0),
        gamma: vec![1.0; shape[1]],
        beta: vec![0.0; shape[1]],
        dy: draws.normals(n),
    };
    given(Norm::Layer { normalized: 1 }, &shape, 1e-5, values)
}

const CLOSE: Close = Close {
    rtol: 0.0,
    atol: 1e-5,
};

/// The output, against a slower path that does record.
pub fn shipped() -> Trial {
    let probe = input();
    CLOSE.compare(&output(&probe), &probe.y())
}

/// The gradient.
pub fn changed() -> Trial {
    let probe = input();
    CLOSE.compare(&kernel(&probe), &probe.dx())
}
