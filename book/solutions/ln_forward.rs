//! Exercise: Layer Norm, forward (chapter 12).
//! `x` is `[N, D]`, row-major: feature `i` of row `r` is `x[r * d + i]`.

use exercises::ln_forward::{Forward, check};

/// Mean and variance of each row, then `x_hat` and `y`. `gamma` and `beta` are `[D]`.
fn ln_forward(x: &[f64], n: usize, d: usize, gamma: &[f64], beta: &[f64], eps: f64) -> Forward {
    // ANCHOR: solution
    let mut out = Forward {
        mean: vec![0.0; n],
        var: vec![0.0; n],
        x_hat: vec![0.0; n * d],
        y: vec![0.0; n * d],
    };
    for r in 0..n {
        let row = &x[r * d..(r + 1) * d];
        let mean = row.iter().sum::<f64>() / d as f64;
        let var = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / d as f64;
        let rstd = 1.0 / (var + eps).sqrt();
        for i in 0..d {
            let x_hat = (row[i] - mean) * rstd;
            out.x_hat[r * d + i] = x_hat;
            out.y[r * d + i] = gamma[i] * x_hat + beta[i];
        }
        out.mean[r] = mean;
        out.var[r] = var;
    }
    out
    // ANCHOR_END: solution
}

fn main() -> std::process::ExitCode {
    check(ln_forward)
}
