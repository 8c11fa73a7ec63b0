//! Exercise: Batch Norm, forward (chapter 7).
//! `x` is `[N, C]`, row-major: example `i` of channel `ch` is `x[i * c + ch]`.

use exercises::bn_forward::{Forward, Running, check};

/// Training: mean and variance of each channel, then `x_hat` and `y`.
pub(crate) fn bn_forward(
    x: &[f64],
    n: usize,
    c: usize,
    gamma: &[f64],
    beta: &[f64],
    eps: f64,
) -> Forward {
    todo!()
}

/// Moves `running.mean` and `running.var` towards `batch`, in PyTorch's convention.
pub(crate) fn update_running(running: &mut Running, batch: &Forward, n: usize, momentum: f64) {
    todo!()
}

fn main() -> std::process::ExitCode {
    check(bn_forward, update_running)
}
