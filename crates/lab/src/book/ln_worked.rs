//! Two rows of four features through Layer Norm and back, small enough to follow on paper.
//!
//! The upstream gradient of the first row is all ones, as `sum()` would send it: in Batch
//! Norm it would come back as nothing.

use layernorm::staged::{backward, forward};
use serde::Serialize;

use super::Output;

const D: usize = 4;
const X: [f64; 2 * D] = [1.0, 3.0, 5.0, 7.0, 6.0, 2.0, 2.0, 2.0];
const DY: [f64; 2 * D] = [1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0];
const GAMMA: [f64; D] = [2.0, 1.0, 3.0, 1.0];
const BETA: [f64; D] = [0.0, 1.0, 0.0, 1.0];
const EPS: f64 = 1e-5;

#[derive(Serialize)]
struct Results {
    about: &'static str,
    eps: f64,
    rows: Vec<Row>,
    values: Vec<Value>,
    parameters: Vec<Parameter>,
}

/// What belongs to one example.
#[derive(Serialize)]
struct Row {
    n: usize,
    mean: f64,
    var: f64,
    rstd: f64,
    drstd: f64,
    dvar: f64,
    dmean: f64,
    sum_dx: f64,
    /// The two averages of the closed form.
    mean_g: f64,
    mean_g_x_hat: f64,
}

/// One element.
#[derive(Serialize)]
struct Value {
    n: usize,
    i: usize,
    x: f64,
    centered: f64,
    square: f64,
    x_hat: f64,
    y: f64,
    dy: f64,
    dx_hat: f64,
    dcentered: f64,
    dx: f64,
}

/// What belongs to one feature.
#[derive(Serialize)]
struct Parameter {
    i: usize,
    gamma: f64,
    beta: f64,
    dgamma: f64,
    dbeta: f64,
}

pub fn run() -> Output {
    let f = forward(&X, &GAMMA, &BETA, EPS);
    let b = backward(&f, &GAMMA, &DY);
    let rows = (0..X.len() / D).map(|n| {
        let row = n * D..(n + 1) * D;
        let mean = |v: &mut dyn Iterator<Item = f64>| v.sum::<f64>() / D as f64;
        Row {
            n: n + 1,
            mean: f.mean[n],
            var: f.var[n],
            rstd: f.rstd[n],
            drstd: b.drstd[n],
            dvar: b.dvar[n],
            dmean: b.dmean[n],
            sum_dx: b.dx[row.clone()].iter().sum(),
            mean_g: mean(&mut row.clone().map(|k| b.dx_hat[k])),
            mean_g_x_hat: mean(&mut row.map(|k| b.dx_hat[k] * f.x_hat[k])),
        }
    });
    let values = (0..X.len()).map(|k| Value {
        n: k / D + 1,
        i: k % D + 1,
        x: X[k],
        centered: f.centered[k],
        square: f.centered[k] * f.centered[k],
        x_hat: f.x_hat[k],
        y: f.y[k],
        dy: DY[k],
        dx_hat: b.dx_hat[k],
        dcentered: b.dcentered[k],
        dx: b.dx[k],
    });
    let parameters = (0..D).map(|i| Parameter {
        i: i + 1,
        gamma: GAMMA[i],
        beta: BETA[i],
        dgamma: b.dgamma[i],
        dbeta: b.dbeta[i],
    });
    Output::new(&Results {
        about: "Two rows through the staged Layer Norm, and their gradients back",
        eps: EPS,
        rows: rows.collect(),
        values: values.collect(),
        parameters: parameters.collect(),
    })
}
