//! Exercise: Layer Norm, backward in stages (chapter 13).
//! `[N, D]`, row-major: feature `i` of row `r` is at `r * d + i`.

use exercises::ln_backward_staged::{Saved, Stages, check};

/// One line of backward for each line of forward. `gamma` is `[D]`, `saved.rstd` is `[N]`, and
/// `out` holds zeros.
fn ln_backward_staged(dy: &[f64], saved: &Saved, gamma: &[f64], out: &mut Stages) {
    let (n, d) = (saved.rstd.len(), gamma.len());
    // ANCHOR: solution
    let count = d as f64;
    for r in 0..n {
        let (row, rstd) = (r * d..(r + 1) * d, saved.rstd[r]);
        for k in row.clone() {
            let i = k - row.start;
            // y = gamma * x_hat + beta
            out.dbeta[i] += dy[k];
            out.dgamma[i] += dy[k] * saved.x_hat[k];
            out.dx_hat[k] = dy[k] * gamma[i];
            // x_hat = centered * rstd
            out.drstd[r] += out.dx_hat[k] * saved.centered[k];
        }
        // rstd = 1 / sqrt(var + eps)
        out.dvar[r] = -0.5 * rstd.powi(3) * out.drstd[r];
        for k in row.clone() {
            // x_hat = centered * rstd, and var = sum(centered * centered) / D
            let second = 2.0 * saved.centered[k] * out.dvar[r] / count;
            out.dcentered[k] = out.dx_hat[k] * rstd + second;
            // centered = x - mean
            out.dmean[r] -= out.dcentered[k];
        }
        for k in row {
            // mean = sum(x) / D; and centered = x - mean, once more
            out.dx[k] = out.dcentered[k] + out.dmean[r] / count;
        }
    }
    // ANCHOR_END: solution
}

fn main() -> std::process::ExitCode {
    check(ln_backward_staged)
}
