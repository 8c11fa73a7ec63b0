//! Exercise: RMS Norm, backward (chapter 13).
//! `y = gamma * x * rstd`, with `rstd = 1 / sqrt(mean(x²) + eps)` for each row.

use exercises::rms_backward::{Gradients, check};

/// `dy` and `x` are `[N, D]`, row-major; `rstd` is `[N]`, `gamma` is `[D]`.
fn rms_backward(
    dy: &[f64],
    x: &[f64],
    rstd: &[f64],
    gamma: &[f64],
    n: usize,
    d: usize,
) -> Gradients {
    // ANCHOR: solution
    let mut out = Gradients {
        dx: vec![0.0; n * d],
        dgamma: vec![0.0; d],
    };
    for (r, rstd) in rstd.iter().enumerate() {
        let row = r * d..(r + 1) * d;
        let mut product = 0.0;
        for (i, k) in row.clone().enumerate() {
            let x_hat = x[k] * rstd;
            product += gamma[i] * dy[k] * x_hat / d as f64;
            out.dgamma[i] += dy[k] * x_hat;
        }
        for (i, k) in row.enumerate() {
            let x_hat = x[k] * rstd;
            out.dx[k] = rstd * (gamma[i] * dy[k] - x_hat * product);
        }
    }
    out
    // ANCHOR_END: solution
}

fn main() -> std::process::ExitCode {
    check(rms_backward)
}
