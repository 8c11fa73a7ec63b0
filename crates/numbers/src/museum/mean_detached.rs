//! A mean that was taken to be a constant.

use super::case::{Close, Trial, by_row, given, mean, normalize, times};
use crate::random::Draws;
use gradcheck::attribution::norm::{Given, Norm, Probe};

/// Layer Norm's `dx` of one row, as automatic differentiation finds it when `x - mean(x)` is
/// written with a mean that carries no gradient.
pub fn dx(x: &[f64], gamma: &[f64], dy: &[f64], eps: f64) -> Vec<f64> {
    let (x_hat, rstd) = normalize(x, eps);
    let g = times(gamma, dy);
    let along = mean(&times(&g, &x_hat));
    // Two of the three terms: none passes through the mean.
    let element = |(g, x_hat): (&f64, &f64)| rstd * (g - x_hat * along);
    g.iter().zip(&x_hat).map(element).collect()
}

pub fn kernel(probe: &Probe) -> Vec<f64> {
    by_row(probe, |x, gamma, dy| dx(x, gamma, dy, probe.eps))
}

const NORM: Norm = Norm::Layer { normalized: 1 };
const SHAPE: [usize; 2] = [20, 100];

fn fresh(dy: impl Fn(&mut Draws) -> f64) -> Probe {
    let mut draws = Draws::new(1);
    let n = SHAPE[0] * SHAPE[1];
    let values = Given {
        x: draws.normals(n),
        gamma: vec![1.0; SHAPE[1]],
        beta: vec![0.0; SHAPE[1]],
        dy: (0..n).map(|_| dy(&mut draws)).collect(),
    };
    given(NORM, &SHAPE, 1e-5, values)
}

/// The test looked at the output, which a mean without gradient does not change.
pub fn shipped() -> Trial {
    let probe = fresh(|_| 1.0);
    let y = by_row(&probe, |x, _, _| normalize(x, probe.eps).0);
    let close = Close {
        rtol: 5e-3,
        atol: 5e-3,
    };
    close.compare(&y, &probe.y())
}

/// The gradient of the sum of all outputs, to the tolerance of the test that came with the
/// repair.
pub fn changed() -> Trial {
    let probe = fresh(|_| 1.0);
    let close = Close {
        rtol: 5e-4,
        atol: 5e-4,
    };
    close.compare(&kernel(&probe), &probe.dx())
}
