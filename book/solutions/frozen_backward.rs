//! Exercise: the backward pass of a frozen Batch Norm (chapter 17).
//! `x` and `dy` are `[N, C]`, row by row; everything else has one number per channel.

use exercises::frozen_backward::{Frozen, Gradients, check};

/// The gradients with respect to `x`, gamma and beta, from the upstream gradient `dy`.
fn backward(bn: &Frozen, x: &[f64], dy: &[f64]) -> Gradients {
    // ANCHOR: solution
    let channels = bn.gamma.len();
    let mut dx = vec![0.0; x.len()];
    let mut dgamma = vec![0.0; channels];
    let mut dbeta = vec![0.0; channels];
    for (k, (x, dy)) in x.iter().zip(dy).enumerate() {
        let c = k % channels;
        let rstd = 1.0 / (bn.running_var[c] + bn.eps).sqrt();
        dx[k] = bn.gamma[c] * rstd * dy;
        dgamma[c] += dy * (x - bn.running_mean[c]) * rstd;
        dbeta[c] += dy;
    }
    Gradients { dx, dgamma, dbeta }
    // ANCHOR_END: solution
}

fn main() -> std::process::ExitCode {
    check(backward)
}
