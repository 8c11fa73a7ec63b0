//! Exercise: Batch Norm of one batch on several workers (chapter 18).
//! A `Part` is `{ count, mean, squares }` of a worker's rows, `mean` and `squares` `[C]`.

use exercises::synchronized_statistics::{Gradients, Part, Worker, check};

/// The parts of all workers to that of the whole batch. A worker may have no rows.
fn merge(parts: &[Part]) -> Part {
    // ANCHOR: solution
    let channels = parts[0].mean.len();
    let count: usize = parts.iter().map(|p| p.count).sum();
    let mut all = Part {
        count,
        mean: vec![0.0; channels],
        squares: vec![0.0; channels],
    };
    for c in 0..channels {
        for p in parts {
            all.mean[c] += p.count as f64 * p.mean[c] / count as f64;
        }
        for p in parts {
            let apart = p.mean[c] - all.mean[c];
            all.squares[c] += p.squares[c] + p.count as f64 * apart * apart;
        }
    }
    all
    // ANCHOR_END: solution
}

/// `gamma` and `rstd` are `[C]`; each worker has `x_hat` and `dy`, `[m, C]` row by row.
fn backward(workers: &[Worker], gamma: &[f64], rstd: &[f64]) -> Gradients {
    // ANCHOR: solution
    let channels = gamma.len();
    let mut g = Gradients {
        dx: Vec::new(),
        dgamma: vec![0.0; channels],
        dbeta: vec![0.0; channels],
    };
    let mut m = 0.0;
    for w in workers {
        m += (w.dy.len() / channels) as f64;
        for (k, dy) in w.dy.iter().enumerate() {
            g.dbeta[k % channels] += dy;
            g.dgamma[k % channels] += dy * w.x_hat[k];
        }
    }
    for w in workers {
        let dx = w.dy.iter().enumerate().map(|(k, dy)| {
            let c = k % channels;
            gamma[c] * rstd[c] * (dy - g.dbeta[c] / m - w.x_hat[k] * g.dgamma[c] / m)
        });
        g.dx.push(dx.collect());
    }
    g
    // ANCHOR_END: solution
}

fn main() -> std::process::ExitCode {
    check(merge, backward)
}
