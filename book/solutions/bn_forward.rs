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
    // ANCHOR: solution-forward
    let mut out = Forward {
        mean: vec![0.0; c],
        var: vec![0.0; c],
        x_hat: vec![0.0; n * c],
        y: vec![0.0; n * c],
    };
    for ch in 0..c {
        let mean = (0..n).map(|i| x[i * c + ch]).sum::<f64>() / n as f64;
        let square = |i| (x[i * c + ch] - mean) * (x[i * c + ch] - mean);
        let var = (0..n).map(square).sum::<f64>() / n as f64;
        let rstd = 1.0 / (var + eps).sqrt();
        for i in 0..n {
            let x_hat = (x[i * c + ch] - mean) * rstd;
            out.x_hat[i * c + ch] = x_hat;
            out.y[i * c + ch] = gamma[ch] * x_hat + beta[ch];
        }
        out.mean[ch] = mean;
        out.var[ch] = var;
    }
    out
    // ANCHOR_END: solution-forward
}

/// Moves `running.mean` and `running.var` towards `batch`, in PyTorch's convention.
pub(crate) fn update_running(running: &mut Running, batch: &Forward, n: usize, momentum: f64) {
    // ANCHOR: solution-running
    let unbiased = n as f64 / (n as f64 - 1.0);
    for ch in 0..batch.mean.len() {
        running.mean[ch] = (1.0 - momentum) * running.mean[ch] + momentum * batch.mean[ch];
        running.var[ch] = (1.0 - momentum) * running.var[ch] + momentum * batch.var[ch] * unbiased;
    }
    // ANCHOR_END: solution-running
}

fn main() -> std::process::ExitCode {
    check(bn_forward, update_running)
}
