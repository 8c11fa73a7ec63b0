//! Exercise: Batch Norm, backward in closed form (chapter 8).
//! `dy` and `x_hat` are `[N, C]`, row-major; `rstd` and `gamma` are `[C]`.

use exercises::bn_backward_closed_form::{Gradients, check};

/// The three gradients, without any intermediate of the forward pass but x_hat and rstd.
pub(crate) fn bn_backward_closed_form(
    dy: &[f64],
    x_hat: &[f64],
    rstd: &[f64],
    gamma: &[f64],
    n: usize,
    c: usize,
) -> Gradients {
    // ANCHOR: solution
    let m = n as f64;
    let (mut dgamma, mut dbeta) = (vec![0.0; c], vec![0.0; c]);
    for i in 0..n {
        for ch in 0..c {
            dbeta[ch] += dy[i * c + ch];
            dgamma[ch] += dy[i * c + ch] * x_hat[i * c + ch];
        }
    }
    let mut dx = vec![0.0; n * c];
    for i in 0..n {
        for ch in 0..c {
            let k = i * c + ch;
            dx[k] = gamma[ch] * rstd[ch] * (dy[k] - dbeta[ch] / m - x_hat[k] * dgamma[ch] / m);
        }
    }
    Gradients { dx, dgamma, dbeta }
    // ANCHOR_END: solution
}

fn main() -> std::process::ExitCode {
    check(bn_backward_closed_form)
}
