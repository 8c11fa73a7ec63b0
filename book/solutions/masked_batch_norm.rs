//! Exercise: Batch Norm of a padded batch (chapter 14). `b.x` and `dy` are `[R, C]`, row-major;
//! `b.mask[r]` says whether position r counts. In the padding may stand anything, even NaN.

use exercises::masked_batch_norm::{Batch, Stages, check};

fn forward_and_backward(b: &Batch, dy: &[f64]) -> Stages {
    // ANCHOR: solution
    let mut s = Stages::zeros(b);
    let rows: Vec<usize> = (0..b.mask.len()).filter(|&r| b.mask[r]).collect();
    let m = rows.len() as f64;
    for c in 0..b.channels {
        let places: Vec<usize> = rows.iter().map(|r| r * b.channels + c).collect();
        s.mean[c] = places.iter().map(|&at| b.x[at]).sum::<f64>() / m;
        let square = |&at: &usize| (b.x[at] - s.mean[c]).powi(2);
        s.var[c] = places.iter().map(square).sum::<f64>() / m;
        let rstd = 1.0 / (s.var[c] + b.eps).sqrt();
        for &at in &places {
            let x_hat = (b.x[at] - s.mean[c]) * rstd;
            s.y[at] = b.gamma[c] * x_hat + b.beta[c];
            s.dgamma[c] += dy[at] * x_hat;
            s.dbeta[c] += dy[at];
        }
        for &at in &places {
            let x_hat = (b.x[at] - s.mean[c]) * rstd;
            let left = dy[at] - s.dbeta[c] / m - x_hat * s.dgamma[c] / m;
            s.dx[at] = b.gamma[c] * rstd * left;
        }
    }
    s
    // ANCHOR_END: solution
}

fn main() -> std::process::ExitCode {
    check(forward_and_backward)
}
