//! Tensors, for chapter 3: the adjoint of broadcasting on whole numbers, a loss whose
//! shapes broadcast by accident, and how exact a long sum is.

use gradcheck::Check;
use serde_json::{Value, json};
use tape::broadcast::{broadcast_shape, sum_axes, sum_to, zip};
use tape::{Axes, Param, Shape, Tape, Tensor, lanes};

use crate::kit::{Measurement, Output, curve, each};
use crate::random::{Draws, mean, mean_of, sum_errors};
use chart::{Axis, Chart, Hue};

pub const MEASUREMENT: Measurement = Measurement {
    name: "tensors",
    chapter: 3,
    about: "the adjoint of broadcasting, a silent broadcast, and the error of long sums",
    run,
};

const SEED: u64 = 3;
const SEEDS: u64 = 5;
const TARGETS: [f64; 5] = [1.0, 2.0, 4.0, 7.0, 11.0];
const STEPS: usize = 200;
const RATE: f64 = 0.5;

/// Small whole numbers, so that every sum is exact.
fn whole(shape: &Shape, draws: &mut Draws) -> Tensor<f64> {
    Tensor::from_fn(shape, |_| draws.uniform(-9.0, 10.0).floor())
}

/// `⟨dy, B x⟩ = ⟨Bᵀ dy, x⟩` for one pair of shapes.
fn adjoint(from: &[usize], to: &[usize], draws: &mut Draws) -> Value {
    let (small, large) = (Shape::new(from), Shape::new(to));
    assert_eq!(broadcast_shape("adjoint", &small, &large), large);
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
    json!({
        "from": small.to_string(),
        "to": large.to_string(),
        "uses": uses,
        "broadcast": lanes::dot(dy.data(), repeated.data()),
        "summed": lanes::dot(dx.data(), x.data()),
        "averaged": share * lanes::dot(dx.data(), x.data()),
        "first": lanes::dot(&first, x.data()),
    })
}

/// What predictions of this shape become, and the last loss.
fn descend(shape: &[usize]) -> (Vec<f64>, f64) {
    let targets = Tensor::new([TARGETS.len()], TARGETS.to_vec());
    let mut p = Param::new("predictions", Tensor::zeros(shape));
    let mut tape = Tape::new();
    let mut last = 0.0;
    for _ in 0..STEPS {
        // ANCHOR: silent
        let (loss, grads) = tape.grad(|t| {
            let error = t.param(&p) - t.constant(targets.clone());
            (&error * &error).mean_all()
        });
        // ANCHOR_END: silent
        last = loss;
        let step = grads.of(&p);
        let next = p.value().clone().zip_in_place(&step, |p, d| p - RATE * d);
        p.set(next);
    }
    (p.value().to_vec(), last)
}

/// Gradient descent on the mean square of `predictions - targets`.
fn silent() -> Value {
    let (equal, _) = descend(&[TARGETS.len()]);
    let (broadcast, loss) = descend(&[TARGETS.len(), 1]);
    let mean = mean(&TARGETS);
    let row = |n: usize| json!({ "target": TARGETS[n], "equal_shapes": equal[n], "broadcast": broadcast[n] });
    json!({
        "steps": STEPS,
        "rate": RATE,
        "mean": mean,
        // The loss that is left when the shapes broadcast.
        "loss": loss,
        "variance": mean_of(&TARGETS, |t| (t - mean) * (t - mean)),
        "rows": each(0..TARGETS.len(), row),
    })
}

/// The sum as a loop adds it: one value after the other.
fn one_by_one(x: &[f32]) -> f32 {
    let mut sum = 0.0;
    for &x in x {
        sum += x;
    }
    sum
}

/// Relative error of a sum of so many `f32` values.
fn length(count: usize) -> Value {
    // Multiples of 2⁻²⁰: a sum of a million of them is exact in f64.
    let grid = f64::from(1 << 20);
    let value = |draws: &mut Draws| (draws.uniform(0.0, 1.0) * grid).floor() / grid;
    let ways: [fn(&[f32]) -> f64; 2] = [|x| one_by_one(x).into(), |x| lanes::sum(x).into()];
    let [one_by_one, in_lanes] = sum_errors(SEED..SEED + SEEDS, count, value, ways);
    json!({ "count": count, "one_by_one": one_by_one, "in_lanes": in_lanes })
}

/// A sum over an outer axis beside a loop over each column, in `f32`: how many columns have
/// the same sum, to the bit.
fn outer() -> Value {
    let (rows, columns) = (4096, 2);
    let mut draws = Draws::new(SEED);
    let x = Tensor::from_fn([rows, columns], |_| draws.uniform(0.0, 1.0) as f32);
    let sums = sum_axes(&x, Axes::new("sum", &[0], x.shape()));
    let alike = sums.data().iter().enumerate().filter(|(column, sum)| {
        let chain = x.data().iter().skip(*column).step_by(columns).copied();
        one_by_one(&chain.collect::<Vec<f32>>()) == **sum
    });
    json!({ "rows": rows, "columns": columns, "alike": alike.count() })
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

fn run() -> Output {
    let mut draws = Draws::new(SEED);
    let pairs: [(&[usize], &[usize]); 5] = [
        (&[4], &[3, 4]),
        (&[3, 1], &[3, 4]),
        (&[], &[3, 4]),
        (&[3, 1, 1], &[2, 3, 4, 4]),
        (&[3, 4], &[3, 4]),
    ];
    let rows: Vec<Value> = (6..=20).step_by(2).map(|k| length(1 << k)).collect();
    let ones = vec![1.0; 1 << 25];
    Output::new(json!({
        "about": "The adjoint of broadcasting, a silent broadcast, and the error of long sums",
        "adjoint": pairs.map(|(from, to)| adjoint(from, to, &mut draws)),
        "silent": silent(),
        "sums": {
            "seeds": SEEDS,
            "lanes": lanes::LANES,
            "ones": ones.len(),
            "ones_one_by_one": f64::from(one_by_one(&ones)),
            "ones_in_lanes": f64::from(lanes::sum(&ones)),
            "rows": rows,
            "longest": rows.last(),
            "outer": outer(),
        },
    }))
    .plot("long_sums", plot(&rows))
    .text("broadcast_checked", checked())
}

fn plot(rows: &[Value]) -> Chart {
    Chart::new(
        "Relative error of a sum in f32, against its length",
        "Both axes are logarithmic. Adding one value after the other, the error grows with \
         the length, past one part in a hundred thousand for a million values. In thirty-two lanes \
         that are added pairwise at the end it stays near the rounding of the type.",
        Axis::log("how many values", 64.0, 1_048_576.0),
        Axis::log("relative error of the sum, median", 1e-9, 1e-3),
    )
    .line("one by one", Hue::Wrong, curve(rows, "count", "one_by_one"))
    .line("in 32 lanes", Hue::Direct, curve(rows, "count", "in_lanes"))
}
