//! The backward pass of Layer Norm: what it sends to nothing, what mistakes in it look
//! like, and what it takes to add up a parameter's gradient over many rows.

use gradcheck::attribution::norm::{Probe, Target, explain};
use layernorm::staged::{Backward, backward, forward};
use serde::Serialize;

use super::Output;
use super::random::{Draws, largest, median};

const SEED: u64 = 14;
const N: usize = 8;
const D: usize = 32;
const EPS: f64 = 1e-5;
/// The shape of the batch in which mistakes are looked at.
const PROBE: [usize; 2] = [6, 8];
/// Rows of a block in the kernel.
const BLOCK: usize = layernorm::fused::ROWS_PER_BLOCK;
const SEEDS: u64 = 21;

#[derive(Serialize)]
struct Results {
    about: &'static str,
    seed: u64,
    n: usize,
    d: usize,
    eps: f64,
    upstream: Vec<Upstream>,
    layers: Vec<Layer>,
    probe_n: usize,
    probe_d: usize,
    signatures: Vec<Signature>,
    rows_per_block: usize,
    seeds: u64,
    columns: Vec<Column>,
}

/// What comes back for one kind of upstream gradient.
#[derive(Serialize)]
struct Upstream {
    id: &'static str,
    upstream: &'static str,
    gamma: &'static str,
    /// The largest `|dx|` of the batch.
    dx: f64,
    /// The largest `|Σᵢ dx|` of a row.
    sum: f64,
}

/// `(D − 2) / D` at lengths that rows and channels have.
#[derive(Serialize)]
struct Layer {
    layer: &'static str,
    values: usize,
    survives: f64,
}

#[derive(Serialize)]
struct Signature {
    gradient: &'static str,
    direct: f64,
    mean: f64,
    variance: f64,
    residual: f64,
    id: String,
}

/// The relative error of a sum of `rows` values in `f32`, median over the seeds.
#[derive(Serialize)]
struct Column {
    rows: usize,
    one_by_one: f64,
    in_blocks: f64,
}

fn upstreams() -> Vec<Upstream> {
    let mut draws = Draws::new(SEED);
    let x: Vec<f64> = draws.normals(N * D).iter().map(|z| 1.0 + 2.0 * z).collect();
    let random_gamma: Vec<f64> = (0..D).map(|_| draws.uniform(0.5, 2.0)).collect();
    let random_dy = draws.normals(N * D);
    let beta = vec![0.0; D];
    let x_hat = forward(&x, &random_gamma, &beta, EPS).x_hat;
    let run = |gamma: &[f64], dy: &[f64]| backward(&forward(&x, gamma, &beta, EPS), gamma, dy);
    let line = |id, upstream, gamma, b: Backward<f64>| Upstream {
        id,
        upstream,
        gamma,
        dx: largest(&b.dx.iter().map(|v| v.abs()).collect::<Vec<f64>>()),
        sum: {
            let sums = b.dx.chunks(D).map(|row| row.iter().sum::<f64>().abs());
            largest(&sums.collect::<Vec<f64>>())
        },
    };
    let ones = vec![1.0; N * D];
    let over_gamma: Vec<f64> = (0..N * D).map(|k| 1.0 / random_gamma[k % D]).collect();
    let x_hat_over_gamma: Vec<f64> = x_hat.iter().zip(&over_gamma).map(|(a, b)| a * b).collect();
    vec![
        line("random", "random", "random", run(&random_gamma, &random_dy)),
        line("sum_equal", "all ones", "all 1", run(&vec![1.0; D], &ones)),
        line("sum", "all ones", "random", run(&random_gamma, &ones)),
        line(
            "one_over_gamma",
            "one over gamma",
            "random",
            run(&random_gamma, &over_gamma),
        ),
        line(
            "x_hat_over_gamma",
            "x_hat over gamma",
            "random",
            run(&random_gamma, &x_hat_over_gamma),
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

const WRITTEN: &[(&str, Written)] = &[
    ("no mistake", RIGHT),
    ("mean path left out", Written { mean: 0.0, ..RIGHT }),
    (
        "variance path left out",
        Written {
            variance: 0.0,
            ..RIGHT
        },
    ),
    (
        "sum in place of mean, variance path",
        Written {
            variance: PROBE[1] as f64,
            ..RIGHT
        },
    ),
    (
        "gamma forgotten",
        Written {
            gamma: Gamma::Forgotten,
            ..RIGHT
        },
    ),
    (
        "gamma multiplied in after the means",
        Written {
            gamma: Gamma::After,
            ..RIGHT
        },
    ),
    ("rstd forgotten", Written { rstd: 0, ..RIGHT }),
    (
        "means over the column",
        Written {
            means: Means::Column,
            ..RIGHT
        },
    ),
    (
        "parameter sums over D for the means",
        Written {
            gamma: Gamma::After,
            means: Means::ParameterSums,
            ..RIGHT
        },
    ),
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

fn signatures() -> Vec<Signature> {
    let probe = Probe::layer_norm(&PROBE, 1, EPS, SEED);
    let nine_decimals = |x: f64| (x * 1e9).round() / 1e9 + 0.0;
    WRITTEN
        .iter()
        .map(|(name, written)| {
            let verdict = explain(&probe, Target::Dx, &closed_form(written, &probe));
            Signature {
                gradient: name,
                direct: nine_decimals(verdict.coefficients[0]),
                mean: nine_decimals(verdict.coefficients[1]),
                variance: nine_decimals(verdict.coefficients[2]),
                residual: verdict.residual,
                id: verdict.id,
            }
        })
        .collect()
}

fn column(rows: usize) -> Column {
    let mut errors: [Vec<f64>; 2] = Default::default();
    for seed in 0..SEEDS {
        let mut draws = Draws::new(seed);
        let values: Vec<f32> = (0..rows).map(|_| draws.uniform(0.0, 1.0) as f32).collect();
        let truth: f64 = values.iter().map(|&v| f64::from(v)).sum();
        let blocks: f32 = values.chunks(BLOCK).map(|b| b.iter().sum::<f32>()).sum();
        let one_by_one: f32 = values.iter().sum();
        for (errors, sum) in errors.iter_mut().zip([one_by_one, blocks]) {
            errors.push((f64::from(sum) / truth - 1.0).abs());
        }
    }
    Column {
        rows,
        one_by_one: median(&errors[0]),
        in_blocks: median(&errors[1]),
    }
}

pub fn run() -> Output {
    let layer = |layer, values: usize| Layer {
        layer,
        values,
        survives: (values as f64 - 2.0) / values as f64,
    };
    Output::new(&Results {
        about: "What Layer Norm's backward sends to nothing, its mistakes, and long column sums",
        seed: SEED,
        n: N,
        d: D,
        eps: EPS,
        upstream: upstreams(),
        layers: vec![
            layer("Batch Norm on [4, C]", 4),
            layer("Batch Norm on [32, C]", 32),
            layer("Layer Norm on [N, 64]", 64),
            layer("Layer Norm on [N, 768]", 768),
        ],
        probe_n: PROBE[0],
        probe_d: PROBE[1],
        signatures: signatures(),
        rows_per_block: BLOCK,
        seeds: SEEDS,
        columns: [64, 1024, 16_384, 262_144].map(column).into(),
    })
}
