//! The estimated error of extrapolated derivatives against their true error.
//!
//! Five functions, each with a different difficulty, at random points: does the error
//! that `gradcheck` reports bound the error it makes?

use std::f64::consts::PI;

use gradcheck::numeric::derivative;
use serde_json::{Value, json};

use crate::kit::{Measurement, Output};
use crate::random::{Draws, largest, median};
use chart::{Axis, Chart, Hue, Ink};

pub const MEASUREMENT: Measurement = Measurement {
    name: "ridders",
    chapter: 1,
    about: "estimated against true error of extrapolated derivatives",
    run,
};

const SEED: u64 = 2;
const POINTS: usize = 200;
/// Points of each function that the plot shows.
const SHOWN: usize = 60;

struct Function {
    name: &'static str,
    difficulty: &'static str,
    range: (f64, f64),
    value: fn(f64) -> f64,
    slope: fn(f64) -> f64,
}

const FUNCTIONS: &[Function] = &[
    Function {
        name: "1/√v",
        difficulty: "nothing",
        range: (0.1, 10.0),
        value: |v| 1.0 / v.sqrt(),
        slope: |v| -0.5 / (v * v.sqrt()),
    },
    Function {
        name: "tanh x",
        difficulty: "flat tails",
        range: (-3.0, 3.0),
        value: libm::tanh,
        slope: |x| {
            let c = libm::cosh(x);
            1.0 / (c * c)
        },
    },
    Function {
        name: "sin 20πx",
        difficulty: "ten waves",
        range: (0.05, 1.0),
        value: |x| libm::sin(20.0 * PI * x),
        slope: |x| 20.0 * PI * libm::cos(20.0 * PI * x),
    },
    Function {
        name: "1/(1 + 400x²)",
        difficulty: "a narrow peak",
        range: (0.02, 1.0),
        value: |x| 1.0 / (1.0 + 400.0 * x * x),
        slope: |x| {
            let d = 1.0 + 400.0 * x * x;
            -800.0 * x / (d * d)
        },
    },
    Function {
        name: "1/√(v − 1000)",
        difficulty: "far from 0",
        range: (1000.5, 1002.0),
        value: |v| 1.0 / (v - 1000.0).sqrt(),
        slope: |v| {
            let v = v - 1000.0;
            -0.5 / (v * v.sqrt())
        },
    },
];

/// At one point: true error and estimate, both relative, and the evaluations spent.
struct Trial {
    error: f64,
    estimate: f64,
    ratio: f64,
    evaluations: usize,
}

fn trial(function: &Function, x: f64) -> Trial {
    let count = std::cell::Cell::new(0);
    let counted = |x: f64| {
        count.set(count.get() + 1);
        (function.value)(x)
    };
    let found = derivative(counted, x).expect("finite around every point of the range");
    let truth = (function.slope)(x);
    // The closed form is itself rounded; two units in the last place are not held
    // against the estimate.
    let error = ((found.value - truth).abs() - 2.0 * f64::EPSILON * truth.abs()).max(0.0);
    Trial {
        error: error / truth.abs(),
        estimate: found.error / truth.abs(),
        ratio: error / found.error,
        evaluations: count.get(),
    }
}

fn run() -> Output {
    let mut draws = Draws::new(SEED);
    let trials: Vec<Vec<Trial>> = FUNCTIONS
        .iter()
        .map(|function| {
            let points = draws.uniforms(POINTS, function.range.0, function.range.1);
            points.into_iter().map(|x| trial(function, x)).collect()
        })
        .collect();
    // The share of points whose true error is within the estimate.
    let covered = |ratios: &[f64]| {
        let within = ratios.iter().filter(|&&ratio| ratio <= 1.0).count();
        within as f64 / ratios.len() as f64
    };
    let row = |(function, trials): (&Function, &Vec<Trial>)| {
        let of = |f: fn(&Trial) -> f64| trials.iter().map(f).collect::<Vec<f64>>();
        let ratios = of(|t| t.ratio);
        json!({
            "function": function.name,
            "difficulty": function.difficulty,
            // Medians, relative to the derivative.
            "error": median(&of(|t| t.error)),
            "estimate": median(&of(|t| t.estimate)),
            "largest_error": largest(&of(|t| t.error)),
            "covered": covered(&ratios),
            "worst_ratio": largest(&ratios),
            // The median number of evaluations of the function.
            "evaluations": median(&of(|t| t.evaluations as f64)) as usize,
        })
    };
    let rows: Vec<Value> = FUNCTIONS.iter().zip(&trials).map(row).collect();
    let all: Vec<f64> = trials.iter().flatten().map(|t| t.ratio).collect();
    Output::new(json!({
        "about": "True and estimated relative error of gradcheck's derivatives",
        "seed": SEED,
        "points_per_function": POINTS,
        "points": all.len(),
        "covered": covered(&all),
        // The largest ratio of true error to estimate.
        "worst_ratio": largest(&all),
        "rows": rows,
    }))
    .plot("ridders", plot(&trials))
}

fn plot(trials: &[Vec<Trial>]) -> Chart {
    let (low, high) = (1e-17, 1e-9);
    // What has no measurable error, or estimate, stands at the edge.
    let cloud = |i: usize| {
        let shown = trials[i].iter().take(SHOWN);
        let points = shown.map(|t| (t.error, t.estimate.max(low)));
        points.filter(|p| p.0 <= high && p.1 <= high)
    };
    let diagonal = [(low, low), (high, high)];
    Chart::new(
        "Estimated against true error of extrapolated derivatives",
        "A scatter plot with logarithmic axes and the diagonal on which the estimate equals \
         the error. Nearly all points, of five functions, lie above the diagonal: the \
         estimate is larger than the error.",
        Axis::log("true relative error", low, high),
        Axis::log("estimated relative error", low, high),
    )
    .line("error = estimate", Ink::Theory, diagonal)
    .line("1/√v", Ink::Dots(Hue::Direct), cloud(0))
    .line("tanh x", Ink::Dots(Hue::Var), cloud(1))
    .line("sin 20πx", Ink::Dots(Hue::Mean), cloud(2))
    .line("peak", Ink::Dots(Hue::Accent), cloud(3))
    .line("far from 0", Ink::Dots(Hue::Wrong), cloud(4))
}
