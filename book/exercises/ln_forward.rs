//! Exercise: Layer Norm, forward (chapter 12).
//! `x` is `[N, D]`, row-major: feature `i` of row `r` is `x[r * d + i]`.

use exercises::ln_forward::{Forward, check};

/// Mean and variance of each row, then `x_hat` and `y`. `gamma` and `beta` are `[D]`.
fn ln_forward(x: &[f64], n: usize, d: usize, gamma: &[f64], beta: &[f64], eps: f64) -> Forward {
    todo!()
}

fn main() -> std::process::ExitCode {
    check(ln_forward)
}
