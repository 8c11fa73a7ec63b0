//! Four values through Batch Norm and back, small enough to follow on paper; and what
//! happens to the identity that gamma and beta can recover when the batch changes.

use batchnorm::staged::{backward_channel, forward_channel};
use serde_json::{Value, json};

use crate::kit::{Measurement, Output, each};
use crate::random::{Draws, furthest, mean_of};

pub const MEASUREMENT: Measurement = Measurement {
    name: "worked",
    chapter: 7,
    about: "four values through Batch Norm, forward and backward",
    run,
};

const X: [f64; 4] = [1.0, 3.0, 5.0, 7.0];
const DY: [f64; 4] = [1.0, 0.0, 0.0, 0.0];
const GAMMA: f64 = 2.0;
const BETA: f64 = 1.0;
const EPS: f64 = 1e-5;
const SEED: u64 = 7;
const IDENTITY_N: usize = 32;
const IDENTITY_PAIRS: usize = 200;

fn run() -> Output {
    let f = forward_channel(&X, GAMMA, BETA, EPS);
    let b = backward_channel(&f, GAMMA, &DY);
    let row = |n: usize| {
        json!({
            "x": X[n], "centered": f.centered[n], "square": f.square[n],
            "x_hat": f.x_hat[n], "y": f.y[n], "dy": DY[n], "dx_hat": b.dx_hat[n],
            "dcentered": b.dcentered[n], "dx": b.dx[n],
        })
    };
    Output::new(json!({
        "about": "Four values through the staged Batch Norm, and its gradient back",
        "gamma": GAMMA, "beta": BETA, "eps": EPS,
        "mean": f.mean, "var": f.var, "rstd": f.rstd,
        "rows": each([0, 1, 2, 3], row),
        "dbeta": b.dbeta, "dgamma": b.dgamma,
        "drstd": b.drstd, "dvar": b.dvar, "dmean": b.dmean,
        "sum_dx": b.dx.iter().sum::<f64>(),
        "identity": identity(),
    }))
}

/// With gamma = sqrt(var + eps) and beta = mean of one batch: how far is y from x?
fn identity() -> Value {
    let mut draws = Draws::new(SEED);
    let mut same_batch = 0.0_f64;
    let mut squares = Vec::new();
    for _ in 0..IDENTITY_PAIRS {
        let [first, second] = [(); 2].map(|()| draws.normals(IDENTITY_N));
        let statistics = forward_channel(&first, 1.0, 0.0, EPS);
        let through = |x: &[f64]| forward_channel(x, 1.0 / statistics.rstd, statistics.mean, EPS).y;
        same_batch = same_batch.max(furthest(&first, &through(&first)));
        let pairs = second.iter().zip(through(&second));
        squares.extend(pairs.map(|(x, y)| (y - x) * (y - x)));
    }
    json!({
        "seed": SEED,
        "n": IDENTITY_N,
        "pairs": IDENTITY_PAIRS,
        // The largest `|y - x|` on the batch that gamma and beta were made for.
        "same_batch": same_batch,
        // The root mean square of `y - x` on another batch of the same distribution.
        "other_batch": mean_of(squares, |square| square).sqrt(),
    })
}
