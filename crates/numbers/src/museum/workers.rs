//! A batch on two workers, whose means are averaged as if both had the same number of examples.

use super::case::{Close, Trial, by_channel, given, mean, normalize, times};
use crate::random::Draws;
use gradcheck::attribution::norm::{Given, Norm, Probe};

/// Batch Norm's `dx` of one channel, whose first `split` values are on one worker and the others
/// on a second. Mean and variance are those of the whole batch.
pub fn dx(x: &[f64], gamma: f64, dy: &[f64], split: usize, eps: f64) -> Vec<f64> {
    let (x_hat, rstd) = normalize(x, eps);
    // Each worker sends the mean of what it has, and the mean of these is taken.
    let over_both = |values: &[f64]| {
        let (first, second) = values.split_at(split);
        (mean(first) + mean(second)) / 2.0
    };
    let (plain, along) = (over_both(dy), over_both(&times(dy, &x_hat)));
    let element = |(dy, x_hat): (&f64, &f64)| gamma * rstd * (dy - plain - x_hat * along);
    dy.iter().zip(&x_hat).map(element).collect()
}

/// The first half of the batch on the first worker, and the odd example too.
pub fn kernel(probe: &Probe) -> Vec<f64> {
    let examples = probe.shape[0];
    by_channel(probe, |x, c, dy| {
        let split = x.len() / examples * examples.div_ceil(2);
        dx(x, probe.gamma[c], dy, split, probe.eps)
    })
}

fn tested(examples: usize) -> Trial {
    let (channels, mut draws) = (4, Draws::new(8));
    let n = examples * channels;
    let values = Given {
        x: draws.normals(n),
        gamma: draws.uniforms(channels, 0.5, 2.0),
        beta: vec![0.0; channels],
        dy: draws.normals(n),
    };
    let probe = given(Norm::Batch, &[examples, channels], 1e-5, values);
    Close {
        rtol: 1e-4,
        atol: 1e-5,
    }
    .compare(&kernel(&probe), &probe.dx())
}

/// Both workers have eight examples.
pub fn shipped() -> Trial {
    tested(16)
}

/// One has eight, the other seven.
pub fn changed() -> Trial {
    tested(15)
}
