//! Exercise: Layer Norm, backward in closed form (chapter 13).
//! `dy` and `x_hat` are `[N, D]`, row-major; `rstd` is `[N]`, `gamma` is `[D]`.

use exercises::ln_backward_closed_form::{Gradients, check};

/// The three gradients, without any intermediate of the forward pass but x_hat and rstd.
fn ln_backward_closed_form(
    dy: &[f64],
    x_hat: &[f64],
    rstd: &[f64],
    gamma: &[f64],
    n: usize,
    d: usize,
) -> Gradients {
    // ANCHOR: solution
    let mut out = Gradients {
        dx: vec![0.0; n * d],
        dgamma: vec![0.0; d],
        dbeta: vec![0.0; d],
    };
    for (r, rstd) in rstd.iter().enumerate() {
        let row = r * d..(r + 1) * d;
        let (mut mean, mut product) = (0.0, 0.0);
        for (i, k) in row.clone().enumerate() {
            let g = gamma[i] * dy[k];
            mean += g / d as f64;
            product += g * x_hat[k] / d as f64;
            out.dbeta[i] += dy[k];
            out.dgamma[i] += dy[k] * x_hat[k];
        }
        for (i, k) in row.enumerate() {
            out.dx[k] = rstd * (gamma[i] * dy[k] - mean - x_hat[k] * product);
        }
    }
    out
    // ANCHOR_END: solution
}

fn main() -> std::process::ExitCode {
    check(ln_backward_closed_form)
}
