//! Exercise: Batch Norm, backward in stages (chapter 8).
//! One channel of N values; one line of backward for each line of forward.

use exercises::bn_backward_staged::{Saved, Stages, check};

/// `dy` has N values, like `saved.centered` (x - mean) and `saved.x_hat`.
fn bn_backward_staged(dy: &[f64], saved: &Saved, gamma: f64) -> Stages {
    // ANCHOR: solution
    let n = dy.len() as f64;
    let (centered, rstd) = (&saved.centered, saved.rstd);

    // y = gamma * x_hat + beta
    let dbeta = dy.iter().sum();
    let dgamma = dy
        .iter()
        .zip(&saved.x_hat)
        .map(|(dy, x_hat)| dy * x_hat)
        .sum();
    let dx_hat: Vec<f64> = dy.iter().map(|dy| dy * gamma).collect();
    // x_hat = centered * rstd
    let drstd: f64 = dx_hat.iter().zip(centered).map(|(d, c)| d * c).sum();
    // rstd = 1 / sqrt(var + eps)
    let dvar = -0.5 * rstd.powi(3) * drstd;
    // var = sum(square) / n
    let dsquare = dvar / n;
    // square = centered * centered; and x_hat = centered * rstd, once more
    let both = |(d, c): (&f64, &f64)| d * rstd + 2.0 * c * dsquare;
    let dcentered: Vec<f64> = dx_hat.iter().zip(centered).map(both).collect();
    // centered = x - mean
    let dmean = -dcentered.iter().sum::<f64>();
    // mean = sum(x) / n; and centered = x - mean, once more
    let dx = dcentered.iter().map(|d| d + dmean / n).collect();

    Stages {
        dbeta,
        dgamma,
        dx_hat,
        drstd,
        dvar,
        dsquare,
        dcentered,
        dmean,
        dx,
    }
    // ANCHOR_END: solution
}

fn main() -> std::process::ExitCode {
    check(bn_backward_staged)
}
