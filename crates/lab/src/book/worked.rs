//! Four values through Batch Norm and back, small enough to follow on paper; and what
//! happens to the identity that gamma and beta can recover when the batch changes.

use batchnorm::staged::{backward_channel, forward_channel};
use serde::Serialize;

use super::Output;
use super::random::{Draws, mean};

const X: [f64; 4] = [1.0, 3.0, 5.0, 7.0];
const DY: [f64; 4] = [1.0, 0.0, 0.0, 0.0];
const GAMMA: f64 = 2.0;
const BETA: f64 = 1.0;
const EPS: f64 = 1e-5;
const SEED: u64 = 7;
const IDENTITY_N: usize = 32;
const IDENTITY_PAIRS: usize = 200;

#[derive(Serialize)]
struct Results {
    about: &'static str,
    gamma: f64,
    beta: f64,
    eps: f64,
    mean: f64,
    var: f64,
    rstd: f64,
    rows: Vec<Row>,
    dbeta: f64,
    dgamma: f64,
    drstd: f64,
    dvar: f64,
    dmean: f64,
    sum_dx: f64,
    identity: Identity,
}

#[derive(Serialize)]
struct Row {
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

/// With gamma = sqrt(var + eps) and beta = mean of one batch: how far is y from x?
#[derive(Serialize)]
struct Identity {
    seed: u64,
    n: usize,
    pairs: usize,
    /// The largest `|y - x|` on the batch that gamma and beta were made for.
    same_batch: f64,
    /// The root mean square of `y - x` on another batch of the same distribution.
    other_batch: f64,
}

pub fn run() -> Output {
    let forward = forward_channel(&X, GAMMA, BETA, EPS);
    let backward = backward_channel(&forward, GAMMA, &DY);
    let rows = (0..X.len())
        .map(|n| Row {
            x: X[n],
            centered: forward.centered[n],
            square: forward.square[n],
            x_hat: forward.x_hat[n],
            y: forward.y[n],
            dy: DY[n],
            dx_hat: backward.dx_hat[n],
            dcentered: backward.dcentered[n],
            dx: backward.dx[n],
        })
        .collect();
    Output::new(&Results {
        about: "Four values through the staged Batch Norm, and its gradient back",
        gamma: GAMMA,
        beta: BETA,
        eps: EPS,
        mean: forward.mean,
        var: forward.var,
        rstd: forward.rstd,
        rows,
        dbeta: backward.dbeta,
        dgamma: backward.dgamma,
        drstd: backward.drstd,
        dvar: backward.dvar,
        dmean: backward.dmean,
        sum_dx: backward.dx.iter().sum(),
        identity: identity(),
    })
}

fn identity() -> Identity {
    let mut draws = Draws::new(SEED);
    let mut same_batch = 0.0_f64;
    let mut squares = Vec::new();
    for _ in 0..IDENTITY_PAIRS {
        let first = draws.normals(IDENTITY_N);
        let statistics = forward_channel(&first, 1.0, 0.0, EPS);
        let (gamma, beta) = (1.0 / statistics.rstd, statistics.mean);
        let y = forward_channel(&first, gamma, beta, EPS).y;
        same_batch = difference(&first, &y).fold(same_batch, |a, d| a.max(d.abs()));
        let second = draws.normals(IDENTITY_N);
        let y = forward_channel(&second, gamma, beta, EPS).y;
        squares.extend(difference(&second, &y).map(|d| d * d));
    }
    Identity {
        seed: SEED,
        n: IDENTITY_N,
        pairs: IDENTITY_PAIRS,
        same_batch,
        other_batch: mean(&squares).sqrt(),
    }
}

fn difference<'a>(x: &'a [f64], y: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
    x.iter().zip(y).map(|(x, y)| y - x)
}
