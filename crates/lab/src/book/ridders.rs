//! The estimated error of extrapolated derivatives against their true error.
//!
//! Five functions, each with a different difficulty, at random points: does the error
//! that `gradcheck` reports bound the error it makes?

use std::f64::consts::PI;

use gradcheck::numeric::derivative;
use serde::Serialize;

use super::Output;
use super::plot::{Axis, Ink, Mark, Series, draw};
use super::random::{Draws, largest, median};

const SEED: u64 = 2;
const POINTS: usize = 200;
/// Points of each function that the plot shows.
const SHOWN: usize = 60;

#[derive(Serialize)]
struct Results {
    about: &'static str,
    seed: u64,
    points_per_function: usize,
    points: usize,
    /// The share of points whose true error is within the estimate.
    covered: f64,
    /// The largest ratio of true error to estimate.
    worst_ratio: f64,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    function: &'static str,
    difficulty: &'static str,
    /// Medians, relative to the derivative.
    error: f64,
    estimate: f64,
    largest_error: f64,
    covered: f64,
    worst_ratio: f64,
    /// The median number of evaluations of the function.
    evaluations: usize,
}

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

pub fn run() -> Output {
    let mut draws = Draws::new(SEED);
    let trials: Vec<Vec<Trial>> = FUNCTIONS
        .iter()
        .map(|function| {
            let (low, high) = function.range;
            (0..POINTS)
                .map(|_| trial(function, draws.uniform(low, high)))
                .collect()
        })
        .collect();
    let covered = |trials: &[Trial]| {
        let within = trials.iter().filter(|t| t.ratio <= 1.0).count();
        within as f64 / trials.len() as f64
    };
    let rows: Vec<Row> = FUNCTIONS
        .iter()
        .zip(&trials)
        .map(|(function, trials)| {
            let of = |f: fn(&Trial) -> f64| trials.iter().map(f).collect::<Vec<f64>>();
            Row {
                function: function.name,
                difficulty: function.difficulty,
                error: median(&of(|t| t.error)),
                estimate: median(&of(|t| t.estimate)),
                largest_error: largest(&of(|t| t.error)),
                covered: covered(trials),
                worst_ratio: largest(&of(|t| t.ratio)),
                evaluations: median(&of(|t| t.evaluations as f64)) as usize,
            }
        })
        .collect();
    let all: Vec<f64> = trials.iter().flatten().map(|t| t.ratio).collect();
    let svg = plot(&trials);
    Output::new(&Results {
        about: "True and estimated relative error of gradcheck's derivatives",
        seed: SEED,
        points_per_function: POINTS,
        points: all.len(),
        covered: all.iter().filter(|&&r| r <= 1.0).count() as f64 / all.len() as f64,
        worst_ratio: largest(&all),
        rows,
    })
    .plot("ridders", svg)
}

fn plot(trials: &[Vec<Trial>]) -> String {
    let (low, high) = (-17.0, -9.0);
    let clamp = |x: f64| {
        if x > 0.0 {
            libm::log10(x).max(low)
        } else {
            low
        }
    };
    let cloud = |i: usize| -> Vec<(f64, f64)> {
        trials[i]
            .iter()
            .take(SHOWN)
            .map(|t| (clamp(t.error), clamp(t.estimate)))
            .filter(|p| p.0 <= high && p.1 <= high)
            .collect()
    };
    let diagonal = vec![(low, low), (high, high)];
    let series = [
        Series::new(Ink::Muted, Mark::Line, diagonal).label("error = estimate", -11.0, -12.1),
        Series::new(Ink::Direct, Mark::Points, cloud(0)).label("1/√v", -11.4, -13.4),
        Series::new(Ink::Var, Mark::Points, cloud(1)).label("tanh x", -11.4, -14.0),
        Series::new(Ink::Mean, Mark::Points, cloud(2)).label("sin 20πx", -11.4, -14.6),
        Series::new(Ink::Accent, Mark::Points, cloud(3)).label("peak", -11.4, -15.2),
        Series::new(Ink::Wrong, Mark::Points, cloud(4)).label("far from 0", -13.3, -10.2),
    ];
    draw(
        "Estimated against true error of extrapolated derivatives",
        "A scatter plot with logarithmic axes and the diagonal on which the estimate equals \
         the error. Nearly all points, of five functions, lie above the diagonal: the \
         estimate is larger than the error.",
        &Axis::decades("true relative error", -17, -9, 2),
        &Axis::decades("estimated relative error", -17, -9, 2),
        &series,
    )
}
