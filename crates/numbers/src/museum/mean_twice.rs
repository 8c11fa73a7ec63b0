//! An accumulator that was not cleared, so that a mean is subtracted twice.

use super::case::{Close, Trial, by_row, given, mean, normalize, times};
use crate::random::Draws;
use gradcheck::attribution::norm::{Given, Norm, Probe};

/// Layer Norm's `dx` of one row, on a machine whose product adds to what its target holds.
pub fn dx(x: &[f64], gamma: &[f64], dy: &[f64], eps: f64) -> Vec<f64> {
    let (x_hat, rstd) = normalize(x, eps);
    let g = times(gamma, dy);
    let (plain, along) = (mean(&g), mean(&times(&g, &x_hat)));
    let element = |i: usize| {
        let mut dx = g[i];
        let mut register = plain;
        dx -= register;
        // `register = 0.0;` belongs here.
        register += x_hat[i] * along;
        dx -= register;
        dx * rstd
    };
    (0..x.len()).map(element).collect()
}

pub fn kernel(probe: &Probe) -> Vec<f64> {
    by_row(probe, |x, gamma, dy| dx(x, gamma, dy, probe.eps))
}

/// Shapes of the test, and how often each was drawn.
const SHAPES: [([usize; 2], usize); 3] = [([13, 20], 3), ([32, 33], 3), ([19, 213], 10)];

fn tested(draws: &mut Draws, atol: f64) -> Trial {
    let mut all = Trial {
        error: 0.0,
        size: 0.0,
        passes: true,
    };
    for (shape, times) in SHAPES {
        for _ in 0..times {
            let n = shape[0] * shape[1];
            let values = Given {
                x: draws.uniforms(n, -1.0, 1.0),
                gamma: draws.uniforms(shape[1], 0.0, 1.0),
                beta: draws.uniforms(shape[1], 0.0, 1.0),
                dy: draws.uniforms(n, -1.0, 1.0),
            };
            let probe = given(Norm::Layer { normalized: 1 }, &shape, 1e-6, values);
            let trial = Close { rtol: 1e-3, atol }.compare(&kernel(&probe), &probe.dx());
            all.error = all.error.max(trial.error);
            all.size = all.size.max(trial.size);
            all.passes &= trial.passes;
        }
    }
    all
}

/// With the tolerance that the test had.
pub fn shipped() -> Trial {
    tested(&mut Draws::new(3), 0.5)
}

/// With the one that came with the repair.
pub fn changed() -> Trial {
    tested(&mut Draws::new(3), 2e-2)
}

/// In how many of `runs` runs of the whole test, each with other numbers, nothing is seen.
pub fn unseen(runs: u64) -> u64 {
    let passes = |seed: &u64| tested(&mut Draws::new(*seed), 0.5).passes;
    (0..runs).filter(passes).count() as u64
}
