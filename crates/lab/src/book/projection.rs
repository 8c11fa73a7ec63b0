//! How much of a gradient Batch Norm lets through, against the number of values.
//!
//! Backward multiplies the upstream gradient by `gamma · rstd` and projects it. With the
//! factor divided out, the share of its energy `‖dx‖² / ‖gamma · rstd · dy‖²` that
//! survives averages `(N - 2) / N` over random directions, up to a term in eps.

use serde::Serialize;

use super::Output;
use super::plot::{Axis, Ink, Mark, Series, draw};
use super::random::{Draws, mean, quantile};

const SEED: u64 = 3;
const TRIALS: usize = 4000;
const EPS: f64 = 1e-5;

#[derive(Serialize)]
struct Results {
    about: &'static str,
    seed: u64,
    trials: usize,
    eps: f64,
    rows: Vec<Row>,
    two: Vec<Two>,
    /// `(N - 2) / N` at sizes that layers have.
    layers: Vec<Layer>,
}

#[derive(Serialize)]
struct Row {
    n: usize,
    /// `(N - 2) / N`.
    expected: f64,
    measured: f64,
    low: f64,
    high: f64,
    /// How far the mean of the trials is from expected, in its standard errors.
    standard_errors: f64,
    /// The numerical rank of the Jacobian at `x = 0, 1, …, N - 1`.
    rank: usize,
}

/// Two values a distance `distance` apart.
#[derive(Serialize)]
struct Two {
    distance: f64,
    variance: f64,
    /// The factor `eps / (variance + eps)` left of the component along `x_hat`.
    survives: f64,
    rstd: f64,
    /// Largest `|dx|` for the upstream gradient (1, -1) and gamma 1.
    dx: f64,
    /// The same without normalization: 1.
    x_hat: f64,
}

#[derive(Serialize)]
struct Layer {
    layer: &'static str,
    values: usize,
    survives: f64,
}

struct Normalized {
    x_hat: Vec<f64>,
    variance: f64,
    rstd: f64,
}

fn normalize(x: &[f64], eps: f64) -> Normalized {
    let mu = mean(x);
    let squares: Vec<f64> = x.iter().map(|x| (x - mu) * (x - mu)).collect();
    let variance = mean(&squares);
    let rstd = 1.0 / (variance + eps).sqrt();
    let x_hat = x.iter().map(|x| (x - mu) * rstd).collect();
    Normalized {
        x_hat,
        variance,
        rstd,
    }
}

// ANCHOR: project
/// `(I - 11ᵀ/N - x̂x̂ᵀ/N) dy`.
fn project(dy: &[f64], x_hat: &[f64]) -> Vec<f64> {
    let products: Vec<f64> = dy.iter().zip(x_hat).map(|(a, b)| a * b).collect();
    let (along_one, along_x_hat) = (mean(dy), mean(&products));
    dy.iter()
        .zip(x_hat)
        .map(|(dy, x_hat)| dy - along_one - x_hat * along_x_hat)
        .collect()
}
// ANCHOR_END: project

fn energy(v: &[f64]) -> f64 {
    v.iter().map(|v| v * v).sum()
}

fn row(n: usize, draws: &mut Draws) -> Row {
    let shares: Vec<f64> = (0..TRIALS)
        .map(|_| {
            let x_hat = normalize(&draws.normals(n), EPS).x_hat;
            let dy = draws.normals(n);
            energy(&project(&dy, &x_hat)) / energy(&dy)
        })
        .collect();
    let expected = (n as f64 - 2.0) / n as f64;
    let measured = mean(&shares);
    let squares: Vec<f64> = shares.iter().map(|s| (s - measured).powi(2)).collect();
    let standard_error = (mean(&squares) / (TRIALS - 1) as f64).sqrt();
    let evenly: Vec<f64> = (0..n).map(|i| i as f64).collect();
    let x_hat = normalize(&evenly, EPS).x_hat;
    Row {
        n,
        expected,
        measured,
        low: quantile(&shares, 0.05),
        high: quantile(&shares, 0.95),
        standard_errors: (measured - expected).abs() / standard_error,
        rank: rank(&x_hat),
    }
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

fn two(distance: f64) -> Two {
    let normalized = normalize(&[0.0, distance], EPS);
    let projected = project(&[1.0, -1.0], &normalized.x_hat);
    Two {
        distance,
        variance: normalized.variance,
        survives: EPS / (normalized.variance + EPS),
        rstd: normalized.rstd,
        dx: (normalized.rstd * projected[0]).abs(),
        x_hat: normalized.x_hat[1],
    }
}

pub fn run() -> Output {
    let mut draws = Draws::new(SEED);
    let rows: Vec<Row> = [2, 3, 4, 6, 8, 16, 32, 64, 128]
        .into_iter()
        .map(|n| row(n, &mut draws))
        .collect();
    let layer = |layer, values: usize| Layer {
        layer,
        values,
        survives: (values as f64 - 2.0) / values as f64,
    };
    let svg = plot(&rows);
    Output::new(&Results {
        about: "Share of the energy of a random gradient that Batch Norm's backward passes",
        seed: SEED,
        trials: TRIALS,
        eps: EPS,
        two: [4.0, 1.0, 0.1, 0.01, 0.001].into_iter().map(two).collect(),
        layers: vec![
            layer("[4, C]", 4),
            layer("[32, C]", 32),
            layer("[2, C, 8, 8]", 2 * 8 * 8),
            layer("[32, C, 8, 8]", 32 * 8 * 8),
        ],
        rows,
    })
    .plot("projection", svg)
}

fn plot(rows: &[Row]) -> String {
    let log2 = |n: f64| libm::log2(n);
    let curve = (0..=120).map(|i| {
        let x = 1.0 + f64::from(i) * 6.2 / 120.0;
        (x, 1.0 - 2.0 / libm::exp2(x))
    });
    let points = rows.iter().map(|r| (log2(r.n as f64), r.measured));
    let mut axis = Axis::linear("values per channel N", (0.7, 7.3), &[]);
    axis.ticks = (1..=7)
        .map(|k| (f64::from(k), (1 << k).to_string()))
        .collect();
    draw(
        "Share of the gradient's energy that survives, against the batch size",
        "The horizontal axis is logarithmic, from 2 to 128 values per channel. With 2 \
         values nothing survives; with 3 one third; with 4 one half; with 16 seven eighths; \
         the share approaches 1. The measured means lie on the curve N minus 2 over N. \
         Bars from the 5th to the 95th percentile are wide at small N.",
        &axis,
        &Axis::linear(
            "energy that survives",
            (0.0, 1.0),
            &[0.0, 0.25, 0.5, 0.75, 1.0],
        ),
        &[
            Series::new(Ink::Muted, Mark::Line, curve.collect()).label("(N − 2) / N", 5.15, 0.82),
            Series::new(Ink::Accent, Mark::Bars, points.collect())
                .spread(rows.iter().map(|r| (r.low, r.high)).collect())
                .label("measured, 5 to 95 %", 2.75, 0.12),
        ],
    )
}
