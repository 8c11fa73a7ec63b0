//! A kernel in `f32` and what `diagnose` says of it, right and with a mistake; how far rounding
//! may take each array, in each type; and how near a right kernel comes to that.

use diagnose::tolerance::{Tolerance, Types, deviations};
use diagnose::{Array, Candidate, Dtype, Report, Subject};
use gradcheck::attribution::norm::{Norm, Probe, Target};
use layernorm::staged;
use serde_json::{Value, json};

use crate::kit::{APPENDIX, Measurement, Output, each};
use crate::random::{Draws, largest, median};

pub const MEASUREMENT: Measurement = Measurement {
    name: "check_kernel",
    chapter: APPENDIX,
    about: "what `diagnose` says of a kernel, and how far rounding may take it",
    run,
};

const SEED: u64 = 0;
const EPS: f64 = 1e-5;
const NORM: Norm = Norm::Layer { normalized: 1 };
/// That of the example, and that of the bounds.
const SMALL: [usize; 2] = [6, 8];
const LARGE: [usize; 2] = [64, 256];
const TARGETS: [(&str, Target); 4] = [
    ("y", Target::Y),
    ("dx", Target::Dx),
    ("dgamma", Target::Dgamma),
    ("dbeta", Target::Dbeta),
];
/// Kernels that are right, to see how near they come to a bound.
const RUNS: u64 = 200;
/// Orders of one sum.
const ORDERS: usize = 2000;

/// y, dx, dgamma and dbeta, computed in `f32`.
type Kernel = fn(&Probe) -> [Vec<f64>; 4];

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|v| *v as f32).collect()
}

fn wide(values: Vec<f32>) -> Vec<f64> {
    values.into_iter().map(f64::from).collect()
}

fn right(probe: &Probe) -> [Vec<f64>; 4] {
    let [x, gamma, beta, dy] = [&probe.x, &probe.gamma, &probe.beta, &probe.dy].map(|v| narrow(v));
    let forward = staged::forward(&x, &gamma, &beta, EPS as f32);
    let backward = staged::backward(&forward, &gamma, &dy);
    let staged::Backward {
        dx, dgamma, dbeta, ..
    } = backward;
    [forward.y, dx, dgamma, dbeta].map(wide)
}

/// Right but for dx, in which gamma was taken out of both means: the formula of Batch Norm,
/// turned by ninety degrees.
fn turned(probe: &Probe) -> [Vec<f64>; 4] {
    let [x, gamma, beta, dy] = [&probe.x, &probe.gamma, &probe.beta, &probe.dy].map(|v| narrow(v));
    let forward = staged::forward(&x, &gamma, &beta, EPS as f32);
    let d = gamma.len();
    let mut dx = Vec::with_capacity(dy.len());
    let rows = dy.chunks(d).zip(forward.x_hat.chunks(d));
    for ((dy, x_hat), rstd) in rows.zip(&forward.rstd) {
        let mean = dy.iter().sum::<f32>() / d as f32;
        let along = dy.iter().zip(x_hat).map(|(dy, h)| dy * h).sum::<f32>() / d as f32;
        for i in 0..d {
            dx.push(gamma[i] * rstd * (dy[i] - mean - x_hat[i] * along));
        }
    }
    let [y, _, dgamma, dbeta] = right(probe);
    [y, wide(dx), dgamma, dbeta]
}

/// What `diagnose` reads: the probe, and what a kernel makes of it.
fn subject(kernel: Kernel) -> Subject {
    let probe = rounded(Probe::new(NORM, &SMALL, EPS, SEED), Dtype::F32);
    let arrays = kernel(&probe).into_iter().zip(TARGETS);
    let candidates = arrays.map(|(values, (name, target))| Candidate {
        name,
        array: Array {
            shape: match target {
                Target::Y | Target::Dx => SMALL.to_vec(),
                Target::Dgamma | Target::Dbeta => vec![SMALL[1]],
            },
            dtype: Dtype::F32,
            values,
        },
        running: None,
    });
    Subject {
        norm: NORM,
        candidates: candidates.collect(),
        probe,
        input: Dtype::F32,
        notes: Vec::new(),
        has_beta: true,
        unclear: Vec::new(),
    }
}

/// A probe as a file of this type holds it.
fn rounded(mut probe: Probe, dtype: Dtype) -> Probe {
    for values in [
        &mut probe.x,
        &mut probe.gamma,
        &mut probe.beta,
        &mut probe.dy,
    ] {
        for value in values {
            *value = dtype.round(*value);
        }
    }
    probe
}

/// Six digits: logarithms differ in the last bit from one system to the next.
fn six_digits(value: f64) -> f64 {
    let text = format!("{value:.5e}");
    text.parse().expect("what was printed is a number")
}

fn right_of(probe: &Probe, target: Target) -> Vec<f64> {
    match target {
        Target::Y => probe.y(),
        Target::Dx => probe.dx(),
        Target::Dgamma => probe.dgamma(),
        Target::Dbeta => probe.dbeta(),
    }
}

/// The bound on the error of each array, as a share of its length.
fn allowed(dtype: Dtype) -> Value {
    let probe = rounded(Probe::new(NORM, &LARGE, EPS, SEED), dtype);
    let mut row = json!({ "dtype": dtype.name(), "roundoff": dtype.roundoff() });
    for (name, target) in TARGETS {
        let types = Types::ladder(dtype, dtype, target)[0];
        let tolerance = Tolerance::new(&probe, target, &right_of(&probe, target), types);
        row[name] = six_digits(tolerance.relative()).into();
    }
    row
}

/// The largest share of its bound that an element of each array uses in right kernels.
fn used() -> Value {
    let shape = [LARGE[0], LARGE[1]];
    let mut shares = TARGETS.map(|_| Vec::new());
    for seed in 0..RUNS {
        let probe = rounded(Probe::new(NORM, &shape, EPS, seed), Dtype::F32);
        let found = right(&probe);
        for ((shares, found), (_, target)) in shares.iter_mut().zip(found).zip(TARGETS) {
            let right = right_of(&probe, target);
            let types = Types::ladder(Dtype::F32, Dtype::F32, target)[0];
            let tolerance = Tolerance::new(&probe, target, &right, types);
            let share = |k: usize| (found[k] - right[k]).abs() / tolerance.at(k);
            let all: Vec<f64> = (0..right.len()).map(share).collect();
            shares.push(largest(&all));
        }
    }
    each(TARGETS.iter().zip(&shares), |((name, _), shares)| {
        json!({
            "array": name,
            "median": six_digits(median(shares)),
            "largest": six_digits(largest(shares)),
        })
    })
}

/// The squares of the partial sums of some terms, added up: over random orders, and by the
/// formula for the mean over all orders.
fn orders() -> Value {
    let mut draws = Draws::new(SEED);
    let mut terms: Vec<f64> = draws.normals(LARGE[1]).iter().map(|z| 0.2 + z).collect();
    let n = terms.len();
    let total: f64 = terms.iter().sum();
    let squares: f64 = terms.iter().map(|t| t * t).sum();
    let formula = (n + 1) as f64 * (total * total / 3.0 + squares / 6.0);
    let one = |terms: &[f64]| {
        let mut sum = 0.0;
        let partial = terms.iter().map(|t| {
            sum += t;
            sum * sum
        });
        partial.sum::<f64>()
    };
    let mut found = 0.0;
    for _ in 0..ORDERS {
        // Fisher and Yates.
        for k in (1..n).rev() {
            terms.swap(k, draws.uniform(0.0, (k + 1) as f64) as usize);
        }
        found += one(&terms) / ORDERS as f64;
    }
    // The worst: all roundings have one sign, and the order is the one in which sums are largest.
    terms.sort_by(|a, b| b.total_cmp(a));
    let mut sum = 0.0;
    let worst: f64 = terms
        .iter()
        .map(|t| {
            sum += t;
            f64::abs(sum)
        })
        .sum();
    json!({
        "n": n,
        "orders": ORDERS,
        "apart": six_digits((found / formula - 1.0).abs()),
        // How much longer the bound of the worst case is than the probable one.
        "worst": six_digits(worst / (deviations(1) * formula.sqrt())),
    })
}

fn run() -> Output {
    let report = |kernel| Report::new(&subject(kernel));
    let wrong = report(turned);
    let judged = &wrong.judged[1];
    Output::new(json!({
        "about": "What `diagnose` says of a kernel in f32, and how far rounding may take it",
        "seed": SEED,
        "eps": EPS,
        "shape": SMALL,
        "large": LARGE,
        "codes": [report(right).code(), wrong.code()],
        "wrong": {
            "id": judged.id,
            "error": judged.error.map(six_digits),
            "allowed": judged.allowed.map(six_digits),
        },
        // For one sum, and for the sums of both shapes.
        "lambda": each([1, 14, LARGE[0] + LARGE[1]], |sums| json!({
            "sums": sums, "lambda": six_digits(deviations(sums)),
        })),
        "allowed": each(Dtype::ALL, allowed),
        "runs": RUNS,
        "used": used(),
        "orders": orders(),
    }))
    .text("check_kernel_right", report(right).to_string())
    .text("check_kernel_wrong", wrong.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page says that CI can rest on the exit codes, and that the mistake is named.
    #[test]
    fn the_mistake_is_named_and_the_codes_tell_right_from_wrong() {
        let wrong = Report::new(&subject(turned));
        let ids: Vec<&str> = wrong.judged.iter().map(|j| j.id.as_str()).collect();
        assert_eq!(ids, ["correct", "gamma-outside-mean", "correct", "correct"]);
        assert_eq!((Report::new(&subject(right)).code(), wrong.code()), (0, 1));
    }
}
