//! Tensors, for chapter 3: the adjoint of broadcasting on whole numbers, a loss whose
//! shapes broadcast by accident, and how exact a long sum is.

use gradcheck::Check;
use serde::Serialize;
use tape::broadcast::{broadcast_shape, sum_axes, sum_to, zip};
use tape::{Axes, Param, Shape, Tape, Tensor, lanes};

use super::Output;
use super::plot::{Axis, Ink, Mark, Series, draw};
use super::random::{Draws, median};

const SEED: u64 = 3;

#[derive(Serialize)]
struct Results {
    about: &'static str,
    adjoint: Vec<Adjoint>,
    silent: Silent,
    sums: Sums,
}

/// `⟨dy, B x⟩ = ⟨Bᵀ dy, x⟩` for one pair of shapes.
#[derive(Serialize)]
struct Adjoint {
    from: String,
    to: String,
    uses: usize,
    broadcast: f64,
    summed: f64,
    averaged: f64,
    first: f64,
}

/// Gradient descent on the mean square of `predictions - targets`.
#[derive(Serialize)]
struct Silent {
    steps: usize,
    rate: f64,
    mean: f64,
    /// The loss that is left when the shapes broadcast.
    loss: f64,
    variance: f64,
    rows: Vec<Prediction>,
}

#[derive(Serialize)]
struct Prediction {
    target: f64,
    equal_shapes: f64,
    broadcast: f64,
}

#[derive(Serialize)]
struct Sums {
    seeds: u64,
    lanes: usize,
    ones: usize,
    ones_one_by_one: f64,
    ones_in_lanes: f64,
    rows: Vec<Length>,
    longest: Length,
    outer: Outer,
}

/// A sum over an outer axis beside a loop over each column, in `f32`.
#[derive(Serialize)]
struct Outer {
    rows: usize,
    columns: usize,
    /// How many columns have the same sum, to the bit.
    alike: usize,
}

/// Relative error of a sum of so many `f32` values.
#[derive(Clone, Serialize)]
struct Length {
    count: usize,
    one_by_one: f64,
    in_lanes: f64,
}

/// Small whole numbers, so that every sum is exact.
fn whole(shape: &Shape, draws: &mut Draws) -> Tensor<f64> {
    Tensor::from_fn(shape, |_| draws.uniform(-9.0, 10.0).floor())
}

fn adjoint(from: &[usize], to: &[usize], draws: &mut Draws) -> Adjoint {
    let (small, large) = (Shape::new(from), Shape::new(to));
    let (x, dy) = (whole(&small, draws), whole(&large, draws));
    let repeated = zip(&large, &x, &Tensor::zeros(large), |x, _| x);
    let dx = sum_to(&dy, &small);
    let uses = large.count() / small.count();
    let share = 1.0 / uses as f64;
    // The first use of each element alone: dy wherever no earlier use was seen.
    let index = Tensor::from_fn(small, |i| i as f64);
    let places = zip(&large, &index, &Tensor::zeros(large), |i, _| i);
    let mut first = vec![None; small.count()];
    for (&place, &dy) in places.data().iter().zip(dy.data()) {
        first[place as usize].get_or_insert(dy);
    }
    let first: Vec<f64> = first.into_iter().flatten().collect();
    Adjoint {
        from: format!("{small}"),
        to: format!("{large}"),
        uses,
        broadcast: lanes::dot(dy.data(), repeated.data()),
        summed: lanes::dot(dx.data(), x.data()),
        averaged: share * lanes::dot(dx.data(), x.data()),
        first: lanes::dot(&first, x.data()),
    }
}

const TARGETS: [f64; 5] = [1.0, 2.0, 4.0, 7.0, 11.0];
const STEPS: usize = 200;
const RATE: f64 = 0.5;

/// What predictions of this shape become, and the last loss.
fn descend(shape: &[usize]) -> (Vec<f64>, f64) {
    let targets = Tensor::new([TARGETS.len()], TARGETS.to_vec());
    let mut p = Param::new("predictions", Tensor::zeros(shape));
    let mut tape = Tape::new();
    let mut last = 0.0;
    for _ in 0..STEPS {
        // ANCHOR: silent
        let (loss, _, grads) = tape.grad(|t| {
            let error = t.param(&p) - t.constant(targets.clone());
            ((&error * &error).mean_all(), ())
        });
        // ANCHOR_END: silent
        last = loss;
        let step = grads.of(&p);
        let next = p.value().clone().zip_with(&step, |p, d| p - RATE * d);
        p.set(next);
    }
    (p.value().to_vec(), last)
}

fn silent() -> Silent {
    let (equal, _) = descend(&[TARGETS.len()]);
    let (broadcast, loss) = descend(&[TARGETS.len(), 1]);
    let mean = TARGETS.iter().sum::<f64>() / TARGETS.len() as f64;
    let squares = TARGETS.iter().map(|t| (t - mean) * (t - mean));
    let rows = (0..TARGETS.len())
        .map(|n| Prediction {
            target: TARGETS[n],
            equal_shapes: equal[n],
            broadcast: broadcast[n],
        })
        .collect();
    Silent {
        steps: STEPS,
        rate: RATE,
        mean,
        loss,
        variance: squares.sum::<f64>() / TARGETS.len() as f64,
        rows,
    }
}

const SEEDS: u64 = 5;

// ANCHOR: sums
/// The sum as a loop adds it: one value after the other.
fn one_by_one(x: &[f32]) -> f32 {
    let mut sum = 0.0;
    for &x in x {
        sum += x;
    }
    sum
}
// ANCHOR_END: sums

fn length(count: usize) -> Length {
    let mut errors: [Vec<f64>; 2] = Default::default();
    for seed in 0..SEEDS {
        let mut draws = Draws::new(SEED + seed);
        // Multiples of 2⁻²⁰: a sum of a million of them is exact in f64.
        let grid = f64::from(1 << 20);
        let value = |_| ((draws.uniform(0.0, 1.0) * grid).floor() / grid) as f32;
        let x: Vec<f32> = (0..count).map(value).collect();
        let exact: f64 = x.iter().map(|&x| f64::from(x)).sum();
        for (sum, errors) in [one_by_one(&x), lanes::sum(&x)]
            .into_iter()
            .zip(&mut errors)
        {
            errors.push((f64::from(sum) / exact - 1.0).abs());
        }
    }
    Length {
        count,
        one_by_one: median(&errors[0]),
        in_lanes: median(&errors[1]),
    }
}

fn outer() -> Outer {
    let (rows, columns) = (4096, 2);
    let mut draws = Draws::new(SEED);
    let x = Tensor::from_fn([rows, columns], |_| draws.uniform(0.0, 1.0) as f32);
    let sums = sum_axes(&x, Axes::new("sum", &[0], x.shape()));
    let alike = sums.data().iter().enumerate().filter(|(column, sum)| {
        let chain: Vec<f32> = x
            .data()
            .iter()
            .skip(*column)
            .step_by(columns)
            .copied()
            .collect();
        one_by_one(&chain) == **sum
    });
    Outer {
        rows,
        columns,
        alike: alike.count(),
    }
}

fn sums() -> Sums {
    let rows: Vec<Length> = (6..=20).step_by(2).map(|k| length(1 << k)).collect();
    let ones = vec![1.0; 1 << 25];
    Sums {
        seeds: SEEDS,
        lanes: lanes::LANES,
        ones: ones.len(),
        ones_one_by_one: f64::from(one_by_one(&ones)),
        ones_in_lanes: f64::from(lanes::sum(&ones)),
        longest: rows[rows.len() - 1].clone(),
        rows,
        outer: outer(),
    }
}

/// A product that broadcasts both ways, held to finite differences.
fn checked() -> String {
    let mut draws = Draws::new(SEED);
    let report = Check::new("a * b, [3, 1] with [2, 1, 4]")
        .input("a", &[3, 1], draws.normals(3))
        .input("b", &[2, 1, 4], draws.normals(8))
        .run_tape(|x| &x[0] * &x[1]);
    report.to_string()
}

pub fn run() -> Output {
    let mut draws = Draws::new(SEED);
    let pairs: [(&[usize], &[usize]); 5] = [
        (&[4], &[3, 4]),
        (&[3, 1], &[3, 4]),
        (&[], &[3, 4]),
        (&[3, 1, 1], &[2, 3, 4, 4]),
        (&[3, 4], &[3, 4]),
    ];
    for (from, to) in pairs {
        let (from, to) = (Shape::new(from), Shape::new(to));
        assert_eq!(broadcast_shape("adjoint", &from, &to), to);
    }
    let adjoint = pairs.map(|(from, to)| adjoint(from, to, &mut draws)).into();
    let sums = sums();
    let svg = plot(&sums.rows);
    Output::new(&Results {
        about: "The adjoint of broadcasting, a silent broadcast, and the error of long sums",
        adjoint,
        silent: silent(),
        sums,
    })
    .plot("long_sums", svg)
    .text("broadcast_checked", checked())
}

fn plot(rows: &[Length]) -> String {
    let curve = |error: fn(&Length) -> f64| -> Vec<(f64, f64)> {
        let point = |r: &Length| (libm::log10(r.count as f64), libm::log10(error(r)));
        rows.iter().map(point).collect()
    };
    draw(
        "Relative error of a sum in f32, against its length",
        "Both axes are logarithmic. Adding one value after the other, the error grows with \
         the length, past one part in a hundred thousand for a million values. In thirty-two lanes \
         that are added pairwise at the end it stays near the rounding of the type.",
        &Axis::decades("how many values", 1, 7, 1),
        &Axis::decades("relative error of the sum, median", -9, -3, 1),
        &[
            Series::new(Ink::Wrong, Mark::Line, curve(|r| r.one_by_one)).label(
                "one by one",
                3.3,
                -5.2,
            ),
            Series::new(Ink::Direct, Mark::Line, curve(|r| r.in_lanes)).label(
                "in 32 lanes",
                4.6,
                -7.9,
            ),
        ],
    )
}
