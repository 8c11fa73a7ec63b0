//! The backward pass of Layer Norm: what it sends to nothing, what mistakes in it look
//! like, and what it takes to add up a parameter's gradient over many rows.

use gradcheck::attribution::norm::{Probe, Target, explain};
use layernorm::staged::{backward, forward};
use serde_json::{Value, json};

use super::signatures::coefficients;
use crate::kit::{Measurement, Output, each, survives};
use crate::random::{Draws, largest, sum_errors};

pub const MEASUREMENT: Measurement = Measurement {
    name: "ln_backward",
    chapter: 13,
    about: "gradients that Layer Norm sends to nothing, its mistakes, and long column sums",
    run,
};

const SEED: u64 = 14;
const N: usize = 8;
const D: usize = 32;
const EPS: f64 = 1e-5;
/// The shape of the batch in which mistakes are looked at.
const PROBE: [usize; 2] = [6, 8];
/// Rows of a block in the kernel.
const BLOCK: usize = layernorm::fused::ROWS_PER_BLOCK;
const SEEDS: u64 = 21;

/// What comes back for some kinds of upstream gradient.
fn upstreams() -> [Value; 5] {
    let mut draws = Draws::new(SEED);
    let x: Vec<f64> = draws.normals(N * D).iter().map(|z| 1.0 + 2.0 * z).collect();
    let gamma = draws.uniforms(D, 0.5, 2.0);
    let random = draws.normals(N * D);
    let beta = vec![0.0; D];
    let x_hat = forward(&x, &gamma, &beta, EPS).x_hat;
    let ones = vec![1.0; N * D];
    let over_gamma: Vec<f64> = (0..N * D).map(|k| 1.0 / gamma[k % D]).collect();
    let x_hat_over_gamma: Vec<f64> = x_hat.iter().zip(&over_gamma).map(|(a, b)| a * b).collect();
    let line = |id: &str, upstream: &str, dy: &[f64], of_gamma: &str, gamma: &[f64]| {
        let dx = backward(&forward(&x, gamma, &beta, EPS), gamma, dy).dx;
        let sums: Vec<f64> = dx.chunks(D).map(|row| row.iter().sum()).collect();
        json!({
            "id": id, "upstream": upstream, "gamma": of_gamma,
            // The largest `|dx|` of the batch, and the largest `|Σᵢ dx|` of a row.
            "dx": largest(&dx),
            "sum": largest(&sums),
        })
    };
    [
        line("random", "random", &random, "random", &gamma),
        line("sum_equal", "all ones", &ones, "all 1", &[1.0; D]),
        line("sum", "all ones", &ones, "random", &gamma),
        line(
            "one_over_gamma",
            "one over gamma",
            &over_gamma,
            "random",
            &gamma,
        ),
        line(
            "x_hat_over_gamma",
            "x_hat over gamma",
            &x_hat_over_gamma,
            "random",
            &gamma,
        ),
    ]
}

/// How the closed form is written down.
#[derive(Clone, Copy)]
struct Written {
    mean: f64,
    variance: f64,
    gamma: Gamma,
    rstd: i32,
    means: Means,
}

#[derive(Clone, Copy, PartialEq)]
enum Gamma {
    Inside,
    After,
    Forgotten,
}

#[derive(Clone, Copy, PartialEq)]
enum Means {
    Row,
    Column,
    /// The sums `dbeta` and `dgamma`, divided by D.
    ParameterSums,
}

const RIGHT: Written = Written {
    mean: 1.0,
    variance: 1.0,
    gamma: Gamma::Inside,
    rstd: 1,
    means: Means::Row,
};

/// A mistake, and what it changes in the way it is written down.
type Slip = (&'static str, fn(&mut Written));

const SLIPS: &[Slip] = &[
    ("no mistake", |_| ()),
    ("mean path left out", |w| w.mean = 0.0),
    ("variance path left out", |w| w.variance = 0.0),
    ("sum in place of mean, variance path", |w| {
        w.variance = PROBE[1] as f64
    }),
    ("gamma forgotten", |w| w.gamma = Gamma::Forgotten),
    ("gamma multiplied in after the means", |w| {
        w.gamma = Gamma::After
    }),
    ("rstd forgotten", |w| w.rstd = 0),
    ("means over the column", |w| w.means = Means::Column),
    ("parameter sums over D for the means", |w| {
        (w.gamma, w.means) = (Gamma::After, Means::ParameterSums);
    }),
];

fn closed_form(w: &Written, probe: &Probe) -> Vec<f64> {
    let [n, d] = PROBE;
    let (x_hat, rstd) = (probe.x_hat(), probe.rstd());
    let gamma = |k: usize| probe.gamma[k % d];
    let before = |k: usize| {
        if w.gamma == Gamma::Inside {
            gamma(k)
        } else {
            1.0
        }
    };
    let g = |k: usize| before(k) * probe.dy[k];
    let over = |k: usize, f: &dyn Fn(usize) -> f64| -> f64 {
        let row = |f: &dyn Fn(usize) -> f64| (0..d).map(|j| f(k / d * d + j)).sum::<f64>();
        let column = |f: &dyn Fn(usize) -> f64| (0..n).map(|i| f(i * d + k % d)).sum::<f64>();
        match w.means {
            Means::Row => row(f) / d as f64,
            Means::Column => column(f) / n as f64,
            Means::ParameterSums => column(f) / d as f64,
        }
    };
    let after = |k: usize| {
        if w.gamma == Gamma::After {
            gamma(k)
        } else {
            1.0
        }
    };
    (0..n * d)
        .map(|k| {
            let bracket =
                g(k) - w.mean * over(k, &g) - w.variance * x_hat[k] * over(k, &|j| g(j) * x_hat[j]);
            rstd[k].powi(w.rstd) * after(k) * bracket
        })
        .collect()
}

fn signature((name, slip): &Slip) -> Value {
    let mut written = RIGHT;
    slip(&mut written);
    let probe = Probe::layer_norm(&PROBE, 1, EPS, SEED);
    let verdict = explain(&probe, Target::Dx, &closed_form(&written, &probe));
    let [direct, mean, variance] = coefficients(&verdict);
    json!({
        "gradient": name,
        "direct": direct, "mean": mean, "variance": variance,
        "residual": verdict.residual,
        "id": verdict.id,
    })
}

/// The relative error of a sum of `rows` values in `f32`, median over the seeds.
fn column(rows: usize) -> Value {
    let ways: [fn(&[f32]) -> f64; 2] = [
        |x| f64::from(x.iter().sum::<f32>()),
        |x| f64::from(x.chunks(BLOCK).map(|b| b.iter().sum::<f32>()).sum::<f32>()),
    ];
    let uniform = |draws: &mut Draws| draws.uniform(0.0, 1.0);
    let [one_by_one, in_blocks] = sum_errors(0..SEEDS, rows, uniform, ways);
    json!({ "rows": rows, "one_by_one": one_by_one, "in_blocks": in_blocks })
}

fn run() -> Output {
    Output::new(json!({
        "about": "What Layer Norm's backward sends to nothing, its mistakes, and long column sums",
        "seed": SEED,
        "n": N,
        "d": D,
        "eps": EPS,
        "upstream": upstreams(),
        // At lengths that rows and channels have.
        "layers": [
            survives("Batch Norm on [4, C]", 4),
            survives("Batch Norm on [32, C]", 32),
            survives("Layer Norm on [N, 64]", 64),
            survives("Layer Norm on [N, 768]", 768),
        ],
        "probe_n": PROBE[0],
        "probe_d": PROBE[1],
        "signatures": each(SLIPS, signature),
        "rows_per_block": BLOCK,
        "seeds": SEEDS,
        "columns": each([64, 1024, 16_384, 262_144], column),
    }))
}
