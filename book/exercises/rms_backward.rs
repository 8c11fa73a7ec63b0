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
    todo!()
}

fn main() -> std::process::ExitCode {
    check(rms_backward)
}
