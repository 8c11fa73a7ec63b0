//! Two rows of four features through Layer Norm and back, small enough to follow on paper.
//!
//! The upstream gradient of the first row is all ones, as `sum()` would send it: in Batch
//! Norm it would come back as nothing.

use layernorm::staged::{backward, forward};
use serde_json::json;

use crate::kit::{Measurement, Output, each};
use crate::random::mean_of;

pub const MEASUREMENT: Measurement = Measurement {
    name: "ln_worked",
    chapter: 12,
    about: "two rows through Layer Norm, forward and backward",
    run,
};

const D: usize = 4;
const X: [f64; 2 * D] = [1.0, 3.0, 5.0, 7.0, 6.0, 2.0, 2.0, 2.0];
const DY: [f64; 2 * D] = [1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0];
const GAMMA: [f64; D] = [2.0, 1.0, 3.0, 1.0];
const BETA: [f64; D] = [0.0, 1.0, 0.0, 1.0];
const EPS: f64 = 1e-5;

fn run() -> Output {
    let f = forward(&X, &GAMMA, &BETA, EPS);
    let b = backward(&f, &GAMMA, &DY);
    // What belongs to one example.
    let row = |n: usize| {
        let row = n * D..(n + 1) * D;
        json!({
            "n": n + 1,
            "mean": f.mean[n], "var": f.var[n], "rstd": f.rstd[n],
            "drstd": b.drstd[n], "dvar": b.dvar[n], "dmean": b.dmean[n],
            "sum_dx": b.dx[row.clone()].iter().sum::<f64>(),
            // The two averages of the closed form.
            "mean_g": mean_of(row.clone(), |k| b.dx_hat[k]),
            "mean_g_x_hat": mean_of(row, |k| b.dx_hat[k] * f.x_hat[k]),
        })
    };
    // One element.
    let value = |k: usize| {
        json!({
            "n": k / D + 1, "i": k % D + 1,
            "x": X[k], "centered": f.centered[k], "square": f.centered[k] * f.centered[k],
            "x_hat": f.x_hat[k], "y": f.y[k], "dy": DY[k], "dx_hat": b.dx_hat[k],
            "dcentered": b.dcentered[k], "dx": b.dx[k],
        })
    };
    // What belongs to one feature.
    let parameter = |i: usize| {
        json!({
            "i": i + 1, "gamma": GAMMA[i], "beta": BETA[i],
            "dgamma": b.dgamma[i], "dbeta": b.dbeta[i],
        })
    };
    Output::new(json!({
        "about": "Two rows through the staged Layer Norm, and their gradients back",
        "eps": EPS,
        "rows": each([0, 1], row),
        "values": each(0..X.len(), value),
        "parameters": each([0, 1, 2, 3], parameter),
    }))
}
