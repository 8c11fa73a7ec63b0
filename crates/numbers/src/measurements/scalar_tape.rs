//! The tape of chapter 2, one number at a time: a worked example, and what a sweep costs
//! beside following every route.

use gradcheck::Check;
use serde_json::{Value, json};

use crate::kit::{Measurement, Output, curve, each};
use chart::{Axis, Chart, Hue};

pub const MEASUREMENT: Measurement = Measurement {
    name: "scalar_tape",
    chapter: 2,
    about: "a neuron on a scalar tape, and multiplications of a sweep beside all routes",
    run,
};

// ANCHOR: record
/// One line of the tape.
struct Record {
    op: &'static str,
    value: f64,
    /// What went in: the place of each input, and the slope with respect to it.
    inputs: Vec<(usize, f64)>,
}

/// The records of one computation, in the order in which they were made.
#[derive(Default)]
struct Tape {
    records: Vec<Record>,
}
// ANCHOR_END: record

impl Tape {
    // ANCHOR: ops
    /// Appends a record; its place on the tape is the handle of its value.
    fn push(&mut self, op: &'static str, value: f64, inputs: Vec<(usize, f64)>) -> usize {
        self.records.push(Record { op, value, inputs });
        self.records.len() - 1
    }

    fn value(&self, at: usize) -> f64 {
        self.records[at].value
    }

    /// A number that nothing on the tape made.
    fn leaf(&mut self, value: f64) -> usize {
        self.push("leaf", value, vec![])
    }

    fn add(&mut self, a: usize, b: usize) -> usize {
        let value = self.value(a) + self.value(b);
        self.push("add", value, vec![(a, 1.0), (b, 1.0)])
    }

    fn mul(&mut self, a: usize, b: usize) -> usize {
        let (va, vb) = (self.value(a), self.value(b));
        self.push("mul", va * vb, vec![(a, vb), (b, va)])
    }

    fn tanh(&mut self, x: usize) -> usize {
        let y = libm::tanh(self.value(x));
        self.push("tanh", y, vec![(x, 1.0 - y * y)])
    }
    // ANCHOR_END: ops

    // ANCHOR: backward
    /// The gradient of the value at `y` with respect to every value on the tape.
    fn backward(&self, y: usize) -> Vec<f64> {
        let mut grads = vec![0.0; self.records.len()];
        grads[y] = 1.0;
        for at in (0..=y).rev() {
            for &(input, slope) in &self.records[at].inputs {
                grads[input] += grads[at] * slope;
            }
        }
        grads
    }
    // ANCHOR_END: backward

    /// The derivative of `y` with respect to `x`, as a sum over all routes from `y` back. Also
    /// the number of routes, and of multiplications.
    fn routes(&self, y: usize, x: usize) -> Routes {
        if y == x {
            return Routes {
                derivative: 1.0,
                routes: 1,
                products: 0,
            };
        }
        let mut sum = Routes::default();
        for &(input, slope) in &self.records[y].inputs {
            let below = self.routes(input, x);
            sum.derivative += slope * below.derivative;
            sum.routes += below.routes;
            sum.products += below.products + 1;
        }
        sum
    }

    /// The derivative of every value with respect to the value at `x`, oldest first.
    fn forward(&self, x: usize) -> Vec<f64> {
        let mut slopes = vec![0.0; self.records.len()];
        for (at, record) in self.records.iter().enumerate() {
            let through = |&(input, slope): &(usize, f64)| slope * slopes[input];
            slopes[at] = if at == x {
                1.0
            } else {
                record.inputs.iter().map(through).sum()
            };
        }
        slopes
    }

    /// How many multiplications one pass over the records takes, in either direction.
    fn slopes(&self) -> usize {
        self.records.iter().map(|record| record.inputs.len()).sum()
    }
}

#[derive(Default)]
struct Routes {
    derivative: f64,
    routes: usize,
    products: usize,
}

/// One neuron and its loss: `(tanh(w x + b) - 0.5)²`. The error is used twice.
fn neuron(tape: &mut Tape, w: f64, x: f64, b: f64) -> usize {
    let (w, x, b) = (tape.leaf(w), tape.leaf(x), tape.leaf(b));
    let product = tape.mul(w, x);
    let sum = tape.add(product, b);
    let y = tape.tanh(sum);
    let target = tape.leaf(-0.5);
    let error = tape.add(y, target);
    tape.mul(error, error)
}

// ANCHOR: rsqrt
/// `1 / √v` by Newton's method, which needs no more than products and sums.
fn rsqrt(tape: &mut Tape, v: usize) -> usize {
    let (minus_half, three_halves) = (tape.leaf(-0.5), tape.leaf(1.5));
    let mut y = tape.leaf(1.0);
    loop {
        let square = tape.mul(y, y);
        let product = tape.mul(v, square);
        let part = tape.mul(minus_half, product);
        let factor = tape.add(part, three_halves);
        let next = tape.mul(y, factor);
        if (tape.value(next) - tape.value(y)).abs() < 1e-9 {
            return next;
        }
        y = next;
    }
}
// ANCHOR_END: rsqrt

/// The same values, with a case for the number whose root is known.
fn rsqrt_with_shortcut(tape: &mut Tape, v: usize) -> usize {
    if tape.value(v) == 1.0 {
        return tape.leaf(1.0);
    }
    rsqrt(tape, v)
}

/// `1 / √v` with a loop on the tape, and its derivative beside the formula's.
fn loops(v: f64) -> Value {
    let on_tape = |program: fn(&mut Tape, usize) -> usize| {
        let mut tape = Tape::default();
        let x = tape.leaf(v);
        let y = program(&mut tape, x);
        (tape.value(y), tape.backward(y)[x], tape.records.len())
    };
    let (value, derivative, records) = on_tape(rsqrt);
    let (short_value, short_derivative, _) = on_tape(rsqrt_with_shortcut);
    json!({
        "v": v,
        // Five records a turn, beside v and three constants.
        "turns": (records - 4) / 5,
        "records": records,
        "value": value,
        "derivative": derivative,
        "formula": -0.5 / (v * v.sqrt()),
        "short_value": short_value,
        "short_derivative": short_derivative,
    })
}

const W: f64 = 1.5;
const X: f64 = 2.0;
const B: f64 = -2.0;
/// The deepest tower of squares whose routes are followed one by one.
const DEPTH: usize = 20;
/// What the chapter calls the records of the neuron, in their order.
const NAMES: &str = "w x b product sum y −target error loss";

/// The records of the neuron as the chapter prints them.
fn neuron_records(tape: &Tape, grads: &[f64]) -> Vec<Value> {
    let line = |(id, (record, name)): (usize, (&Record, &str))| {
        let inputs: Vec<String> = record.inputs.iter().map(|(at, _)| at.to_string()).collect();
        let slopes: Vec<f64> = record.inputs.iter().map(|(_, slope)| *slope).collect();
        json!({
            "id": id,
            "name": name,
            "op": format!("{} {}", record.op, inputs.join(", ")).trim(),
            "value": record.value,
            "slopes": slopes,
            "gradient": grads[id],
        })
    };
    let named = tape.records.iter().zip(NAMES.split(' '));
    named.enumerate().map(line).collect()
}

/// Loops that look like the sweep, with one mistake each, and their gradient for record 0.
fn wrong_loops(tape: &Tape, y: usize) -> [Value; 3] {
    let right = tape.backward(y)[0];
    let sweep = |order: &mut dyn Iterator<Item = usize>, assign: bool, slopes: bool| {
        let mut grads = vec![0.0; tape.records.len()];
        grads[y] = 1.0;
        for at in order {
            for &(input, slope) in &tape.records[at].inputs {
                let part = grads[at] * if slopes { slope } else { 1.0 };
                grads[input] = if assign { part } else { grads[input] + part };
            }
        }
        grads[0]
    };
    [
        ("= in place of +=", sweep(&mut (0..=y).rev(), true, true)),
        ("oldest record first", sweep(&mut (0..=y), false, true)),
        ("slopes left out", sweep(&mut (0..=y).rev(), false, false)),
    ]
    .map(|(name, dw)| json!({ "name": name, "dw": dw, "share": dw / right }))
}

/// `x` squared again and again.
fn tower(depth: usize) -> Value {
    let mut tape = Tape::default();
    let x = tape.leaf(1.0);
    let y = (0..depth).fold(x, |y, _| tape.mul(y, y));
    let routes = tape.routes(y, x);
    json!({
        "depth": depth,
        "derivative": tape.backward(y)[x],
        "by_routes": routes.derivative,
        "routes": routes.routes,
        "route_products": routes.products,
        "sweep_products": tape.slopes(),
    })
}

/// `tanh(Σ wᵢ xᵢ)` with so many weights.
fn width(weights: usize) -> Value {
    let mut tape = Tape::default();
    let w = (0..weights).map(|i| tape.leaf(1.0 / (i + 1) as f64));
    let w: Vec<usize> = w.collect();
    let mut sum = tape.leaf(0.0);
    for (i, &w) in w.iter().enumerate() {
        let x = tape.leaf(if i % 2 == 0 { 0.5 } else { -0.25 });
        let product = tape.mul(w, x);
        sum = tape.add(sum, product);
    }
    let y = tape.tanh(sum);
    let backward = tape.backward(y);
    let apart = w.iter().map(|&w| (tape.forward(w)[y] - backward[w]).abs());
    json!({
        "weights": weights,
        "records": tape.records.len(),
        "forward": weights * tape.slopes(),
        "backward": tape.slopes(),
        // The largest difference between the two gradients.
        "apart": apart.fold(0.0, f64::max),
    })
}

/// The lines of a listing of this file that are neither blank nor comments.
fn lines_of_code(anchor: &str) -> usize {
    let [start, end] = ["", "_END"].map(|of| format!("// ANCHOR{of}: {anchor}"));
    let lines = include_str!("scalar_tape.rs").lines().map(str::trim);
    let listing = lines.skip_while(|line| *line != start).skip(1);
    let code = |line: &&str| !line.is_empty() && !line.starts_with("//");
    listing.take_while(|line| *line != end).filter(code).count()
}

/// The neuron's gradient, held to finite differences.
fn checked() -> String {
    let forward = |x: &[Vec<f64>]| {
        let mut tape = Tape::default();
        let y = neuron(&mut tape, x[0][0], x[1][0], x[2][0]);
        vec![tape.value(y)]
    };
    let backward = |x: &[Vec<f64>], dy: &[f64]| {
        let mut tape = Tape::default();
        let y = neuron(&mut tape, x[0][0], x[1][0], x[2][0]);
        let grads = tape.backward(y);
        (0..3).map(|leaf| vec![dy[0] * grads[leaf]]).collect()
    };
    let report = Check::new("neuron")
        .input("w", &[1], [W])
        .input("x", &[1], [X])
        .input("b", &[1], [B])
        .run(forward, backward);
    report.to_string()
}

fn run() -> Output {
    let mut tape = Tape::default();
    let y = neuron(&mut tape, W, X, B);
    let squares: Vec<Value> = (1..=DEPTH).map(tower).collect();
    let lines = ["record", "ops", "backward"];
    Output::new(json!({
        "about": "A neuron on a scalar tape; multiplications of a sweep beside those of all routes",
        "neuron": neuron_records(&tape, &tape.backward(y)),
        // Each of the two slopes of the loss.
        "loss_slope": tape.records[y].inputs[0].1,
        "wrong_loops": wrong_loops(&tape, y),
        "squares": squares,
        "deepest": squares.last(),
        "widths": each([1, 10, 100, 1000], width),
        "loops": each([0.05, 1.0, 2.0], loops),
        // Lines of code in the listings of the record, the ops and the sweep.
        "lines": lines.into_iter().map(lines_of_code).sum::<usize>(),
    }))
    .plot("routes", plot(&squares))
    .text("scalar_checked", checked())
}

fn plot(squares: &[Value]) -> Chart {
    let curve = |products| curve(squares, "depth", products);
    Chart::new(
        "Multiplications for one derivative, against the number of squarings",
        "The vertical axis is logarithmic. Following every route takes twice as many \
         multiplications with each squaring, and passes two million at twenty. The sweep \
         takes two for each squaring: forty at twenty.",
        Axis::linear("squarings, one after the other", 0.0, 20.0),
        Axis::log("multiplications", 1.0, 1e7),
    )
    .line("every route", Hue::Wrong, curve("route_products"))
    .line("the sweep", Hue::Direct, curve("sweep_products"))
}
