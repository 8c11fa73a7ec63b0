//! How much of a gradient Batch Norm lets through, against the number of values.
//!
//! Backward multiplies the upstream gradient by `gamma · rstd` and projects it. With the
//! factor divided out, the share of its energy `‖dx‖² / ‖gamma · rstd · dy‖²` that
//! survives averages `(N - 2) / N` over random directions, up to a term in eps.

use batchnorm::staged::{Forward, forward_channel};
use serde_json::{Value, json};

use crate::kit::{Measurement, Output, each, number, survives};
use crate::random::{Draws, dot, mean, mean_of, quantile};
use chart::{Axis, Chart, Hue, Ink, Spread};

pub const MEASUREMENT: Measurement = Measurement {
    name: "projection",
    chapter: 8,
    about: "share of the gradient's energy that Batch Norm lets through, against N",
    run,
};

const SEED: u64 = 3;
const TRIALS: usize = 4000;
const EPS: f64 = 1e-5;

fn normalize(x: &[f64]) -> Forward<f64> {
    forward_channel(x, 1.0, 0.0, EPS)
}

/// `(I - 11ᵀ/N - x̂x̂ᵀ/N) dy`.
fn project(dy: &[f64], x_hat: &[f64]) -> Vec<f64> {
    let products: Vec<f64> = dy.iter().zip(x_hat).map(|(a, b)| a * b).collect();
    let (along_one, along_x_hat) = (mean(dy), mean(&products));
    dy.iter()
        .zip(x_hat)
        .map(|(dy, x_hat)| dy - along_one - x_hat * along_x_hat)
        .collect()
}

fn row(n: usize, draws: &mut Draws) -> Value {
    let share = |_| {
        let x_hat = normalize(&draws.normals(n)).x_hat;
        let dy = draws.normals(n);
        let dx = project(&dy, &x_hat);
        dot(&dx, &dx) / dot(&dy, &dy)
    };
    let shares: Vec<f64> = (0..TRIALS).map(share).collect();
    let expected = (n as f64 - 2.0) / n as f64;
    let measured = mean(&shares);
    let variance = mean_of(&shares, |s| (s - measured).powi(2));
    let standard_error = (variance / (TRIALS - 1) as f64).sqrt();
    let evenly: Vec<f64> = (0..n).map(|i| i as f64).collect();
    json!({
        "n": n,
        // `(N - 2) / N`.
        "expected": expected,
        "measured": measured,
        "low": quantile(&shares, 0.05),
        "high": quantile(&shares, 0.95),
        // How far the mean of the trials is from expected, in its standard errors.
        "standard_errors": (measured - expected).abs() / standard_error,
        // The numerical rank of the Jacobian at `x = 0, 1, …, N - 1`.
        "rank": rank(&normalize(&evenly).x_hat),
    })
}

/// The rank of `P`, by Gaussian elimination with full pivoting on its matrix.
fn rank(x_hat: &[f64]) -> usize {
    let n = x_hat.len();
    let mut rows: Vec<Vec<f64>> = (0..n)
        .map(|i| {
            let mut unit = vec![0.0; n];
            unit[i] = 1.0;
            project(&unit, x_hat)
        })
        .collect();
    for step in 0..n {
        let places = (step..n).flat_map(|i| (step..n).map(move |j| (i, j)));
        let largest =
            places.max_by(|&(i, j), &(k, l)| rows[i][j].abs().total_cmp(&rows[k][l].abs()));
        let (i, j) = largest.expect("step is below n");
        // P has eigenvalues 1, 0 and, along x_hat, eps / (var + eps) < 10⁻⁴.
        if rows[i][j].abs() < 1e-3 {
            return step;
        }
        rows.swap(step, i);
        for row in &mut rows {
            row.swap(step, j);
        }
        let pivot = rows[step].clone();
        for row in &mut rows[step + 1..] {
            let factor = row[step] / pivot[step];
            for (entry, p) in row.iter_mut().zip(&pivot).skip(step) {
                *entry -= factor * p;
            }
        }
    }
    n
}

/// Two values a distance `distance` apart.
fn two(distance: f64) -> Value {
    let Forward {
        var, rstd, x_hat, ..
    } = normalize(&[0.0, distance]);
    let projected = project(&[1.0, -1.0], &x_hat);
    json!({
        "distance": distance,
        "variance": var,
        // The factor left of the component along `x_hat`.
        "survives": EPS / (var + EPS),
        "rstd": rstd,
        // Largest `|dx|` for the upstream gradient (1, -1) and gamma 1; 1 without a norm.
        "dx": (rstd * projected[0]).abs(),
        "x_hat": x_hat[1],
    })
}

fn run() -> Output {
    let mut draws = Draws::new(SEED);
    let rows = [2, 3, 4, 6, 8, 16, 32, 64, 128].map(|n| row(n, &mut draws));
    Output::new(json!({
        "about": "Share of the energy of a random gradient that Batch Norm's backward passes",
        "seed": SEED,
        "trials": TRIALS,
        "eps": EPS,
        "rows": rows,
        "two": each([4.0, 1.0, 0.1, 0.01, 0.001], two),
        // At sizes that layers have.
        "layers": [
            survives("[4, C]", 4),
            survives("[32, C]", 32),
            survives("[2, C, 8, 8]", 2 * 8 * 8),
            survives("[32, C, 8, 8]", 32 * 8 * 8),
        ],
    }))
    .plot("projection", plot(&rows))
}

fn plot(rows: &[Value]) -> Chart {
    let curve = (0..=120).map(|i| {
        let n = libm::exp2(1.0 + f64::from(i) * 6.2 / 120.0);
        (n, 1.0 - 2.0 / n)
    });
    let bars = rows.iter().map(|row| {
        let [low, median, high] = ["low", "measured", "high"].map(|key| number(row, key));
        (number(row, "n"), Some(Spread { low, median, high }))
    });
    Chart::new(
        "Share of the gradient's energy that survives, against the batch size",
        "The horizontal axis is logarithmic, from 2 to 128 values per channel. With 2 \
         values nothing survives; with 3 one third; with 4 one half; with 16 seven eighths; \
         the share approaches 1. The measured means lie on the curve N minus 2 over N. \
         Bars from the 5th to the 95th percentile are wide at small N.",
        Axis::log("values per channel N", libm::exp2(0.7), libm::exp2(7.3)),
        Axis::linear("energy that survives", 0.0, 1.0),
    )
    .line("(N − 2) / N", Ink::Theory, curve)
    .spread("measured, 5 to 95 %", Ink::Bars(Hue::Accent), bars)
}
