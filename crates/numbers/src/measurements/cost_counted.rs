//! What a norm adds to a training step, counted: operations, bytes that must move, bytes
//! that are kept. And what folding Batch Norm into a convolution changes.
//!
//! Nothing is timed here. The bandwidth and the times of whole steps are those of
//! `benches/results`.

use serde_json::{Value, json};

use super::speed::{bandwidth, by_make, row, time, with_threads};
use crate::kit::{Measurement, Output};
use crate::random::{Draws, furthest, largest, wide};

pub const MEASUREMENT: Measurement = Measurement {
    name: "cost_counted",
    chapter: 17,
    about: "what a norm adds to a training step, counted, and Batch Norm folded away",
    run,
};

/// Operations for one value, forward and backward together; chapter 9 counts them.
const OPERATIONS: usize = 7 + 9;
/// Arrays that move, forward and backward: x, the lines of y that its stores read first, y; then
/// dy, x again, and dx, which is written over dy.
const ARRAYS: usize = 3 + 3;
const F32: usize = size_of::<f32>();

const SIDE: usize = 28;
const MLP: [usize; 4] = [784, 512, 256, 10];
const MLP_BATCH: usize = 128;
const CHANNELS: [usize; 3] = [1, 16, 32];
const CNN_BATCH: usize = 64;
const CLASSES: usize = 10;

/// What is counted before it is put beside a time.
struct Counted {
    values: usize,
    /// Products of a number and a weight, forward.
    products: usize,
    /// Of these, in the first layer, whose input wants no gradient.
    first: usize,
    /// Numbers of gamma, with Batch Norm and with Layer Norm.
    gamma: [usize; 2],
    /// Rows that Layer Norm keeps statistics of, layer by layer.
    rows: usize,
    /// Channels that Batch Norm keeps running statistics of, and its layers.
    channels: usize,
    layers: usize,
}

fn mlp() -> Counted {
    let products: Vec<usize> = MLP.windows(2).map(|w| MLP_BATCH * w[0] * w[1]).collect();
    let hidden = &MLP[1..MLP.len() - 1];
    let units: usize = hidden.iter().sum();
    Counted {
        values: MLP_BATCH * units,
        products: products.iter().sum(),
        first: products[0],
        gamma: [units, units],
        rows: MLP_BATCH * hidden.len(),
        channels: units,
        layers: hidden.len(),
    }
}

fn cnn() -> Counted {
    let mut side = SIDE;
    let (mut products, mut per_image) = (Vec::new(), 0);
    for pair in CHANNELS.windows(2) {
        products.push(CNN_BATCH * side * side * 9 * pair[0] * pair[1]);
        per_image += pair[1] * side * side;
        side /= 2;
    }
    let features = CHANNELS[CHANNELS.len() - 1] * side * side;
    products.push(CNN_BATCH * features * CLASSES);
    let channels = CHANNELS[1..].iter().sum();
    Counted {
        values: CNN_BATCH * per_image,
        products: products.iter().sum(),
        first: products[0],
        gamma: [channels, per_image],
        rows: CNN_BATCH * (CHANNELS.len() - 1),
        channels,
        layers: CHANNELS.len() - 1,
    }
}

/// A network with a norm before each ReLU; `case` is its training step in the comparison.
fn network(network: &str, batch: usize, counted: &Counted, case: &str) -> Value {
    let values = counted.values;
    // A product and a sum; forward once, backward for the weight and for the input.
    let operations = 2 * (3 * counted.products - counted.first);
    let norm_bytes = F32 * ARRAYS * values;
    let kept_inputs = F32 * values;
    let on = |comparison: &Value| {
        let run = with_threads(comparison, 1);
        let least = norm_bytes as f64 / bandwidth(run) / 1e6;
        let step = ours(run, case);
        json!({
            // The time these bytes take, in milliseconds.
            "least": least,
            // The measured time of a step with Batch Norm.
            "step": step,
            // The step over what is left of it without `least`.
            "predicted": step / (step - least),
        })
    };
    let entries = json!({
        "network": network,
        "batch": batch,
        // Values that the norms of a step normalize.
        "values": values,
        // Operations of the other layers, forward and backward.
        "operations": operations,
        "norm_operations": OPERATIONS * values,
        "share_of_operations": (OPERATIONS * values) as f64 / operations as f64,
        "norm_bytes": norm_bytes,
        // Bytes more on the tape than without norm, and the part of both that is the input
        // of the norms.
        "kept_batch": kept_inputs + F32 * counted.gamma[0],
        "kept_layer": kept_inputs + F32 * (counted.gamma[1] + 3 * counted.rows),
        "kept_inputs": kept_inputs,
        // Bytes of running statistics.
        "state": 2 * F32 * counted.channels + size_of::<u64>() * counted.layers,
    });
    row(entries, by_make(on))
}

/// The cases of a run that are whole training steps, and what they are called.
pub(super) const STEPS: [(&str, &str); 5] = [
    ("mlp batchnorm", "MLP, Batch Norm"),
    ("mlp layernorm", "MLP, Layer Norm"),
    ("cnn step", "CNN, Batch Norm"),
    ("lstm step", "LSTM, no norm"),
    ("transformer step", "Transformer block, Layer Norm"),
];

/// The time of a step of ours.
fn ours(run: &Value, case: &str) -> f64 {
    time(run, case, "ours").expect("we took part")
}

/// The training steps with one number of threads: ours in milliseconds, and the time of
/// others over it.
fn threads(threads: u64) -> Value {
    let step = |(case, name): (&str, &str)| {
        let on = |comparison: &Value| {
            let run = with_threads(comparison, threads);
            let ours = ours(run, case);
            let over = |side: &str| time(run, case, side).map(|time| time / ours);
            json!({
                "time": ours,
                "torch": over("torch"),
                "kept": over("torch-keep"),
                "candle": over("candle"),
                "burn": over("burn"),
            })
        };
        row(json!({ "step": name }), by_make(on))
    };
    json!({ "threads": threads, "steps": STEPS.map(step) })
}

/// What a second thread brings to each training step, and what Amdahl's law makes of that: the
/// share that runs on one thread, and how fast any number of threads can be.
fn amdahl() -> Value {
    let step = |(case, name): (&str, &str)| {
        let on = |comparison: &Value| {
            let [one, two] = [1, 2].map(|threads| ours(with_threads(comparison, threads), case));
            let gain = one / two;
            // 1/gain = serial + (1 − serial)/2.
            let serial = 2.0 / gain - 1.0;
            let limit = (serial > 0.0).then(|| 1.0 / serial);
            json!({ "gain": gain, "serial": serial, "limit": limit })
        };
        row(json!({ "step": name }), by_make(on))
    };
    STEPS.map(step).into_iter().collect()
}

/// A convolution with kernels of 3 by 3, `[O, C, 3, 3]`, and one bias for each output.
#[derive(Clone)]
struct Conv {
    inputs: usize,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// The straight line `slope · x + offset` of each channel: a frozen Batch Norm.
struct Lines {
    slope: Vec<f32>,
    offset: Vec<f32>,
}

// ANCHOR: fold
impl Conv {
    /// The convolution that does what this one and the lines behind it do.
    fn with_lines_behind(&self, lines: &Lines) -> Conv {
        let mut folded = self.clone();
        let filter = 9 * self.inputs;
        for (o, weights) in folded.weight.chunks_mut(filter).enumerate() {
            weights.iter_mut().for_each(|w| *w *= lines.slope[o]);
            folded.bias[o] = lines.slope[o] * self.bias[o] + lines.offset[o];
        }
        folded
    }
}
// ANCHOR_END: fold

impl Conv {
    /// The same for lines before it; right only where no zero of the border is read.
    fn with_lines_before(&self, lines: &Lines) -> Conv {
        let mut folded = self.clone();
        let filter = 9 * self.inputs;
        for (o, weights) in folded.weight.chunks_mut(filter).enumerate() {
            for (k, w) in weights.iter_mut().enumerate() {
                folded.bias[o] += *w * lines.offset[k / 9];
                *w *= lines.slope[k / 9];
            }
        }
        folded
    }

    /// `[O, side, side]` from `[C, side, side]`, with a border of zeros.
    fn apply(&self, x: &[f32], side: usize) -> Vec<f32> {
        let mut out = Vec::new();
        for (weights, &bias) in self.weight.chunks(9 * self.inputs).zip(&self.bias) {
            for at in 0..side * side {
                let (row, column) = (at / side, at % side);
                let mut sum = bias;
                for (k, &w) in weights.iter().enumerate() {
                    let (r, c) = (row + k % 9 / 3, column + k % 3);
                    if (1..=side).contains(&r) && (1..=side).contains(&c) {
                        sum += w * x[(k / 9 * side + r - 1) * side + c - 1];
                    }
                }
                out.push(sum);
            }
        }
        out
    }
}

impl Lines {
    fn apply(&self, x: &[f32], side: usize) -> Vec<f32> {
        let line = |(k, &x): (usize, &f32)| {
            let c = k / (side * side);
            self.slope[c] * x + self.offset[c]
        };
        x.iter().enumerate().map(line).collect()
    }
}

/// Folding a frozen Batch Norm into a convolution with a border of zeros: the largest
/// difference, relative to the largest result.
fn folded() -> Value {
    const IMAGE: usize = 12;
    let (inputs, outputs) = (CHANNELS[1], CHANNELS[2]);
    let mut draws = Draws::new(17);
    let mut normal = |count: usize, scale: f64| draws.normals_f32(count, 0.0, scale);
    let filter = 9 * inputs;
    let conv = Conv {
        inputs,
        weight: normal(outputs * filter, 1.0 / (filter as f64).sqrt()),
        bias: normal(outputs, 1.0),
    };
    let x = normal(inputs * IMAGE * IMAGE, 1.0);
    let mut lines = |channels: usize| Lines {
        slope: normal(channels, 1.0),
        offset: normal(channels, 1.0),
    };
    let (before, behind) = (lines(inputs), lines(outputs));
    // At the border, and away from it.
    let parts = |y: Vec<f32>| -> [Vec<f64>; 2] {
        let inner = 1..IMAGE - 1;
        let inside =
            |at: usize| inner.contains(&(at / IMAGE % IMAGE)) && inner.contains(&(at % IMAGE));
        let values = wide(&y).into_iter().enumerate();
        let (inner, border) = values.partition::<Vec<_>, _>(|(at, _)| inside(*at));
        [border, inner].map(|part| part.into_iter().map(|(_, y)| y).collect())
    };
    let apart = |one: Vec<f32>, two: Vec<f32>| {
        let size = largest(&wide(&two));
        let (one, two) = (parts(one), parts(two));
        [0, 1].map(|part| furthest(&one[part], &two[part]) / size)
    };
    let [border, inside] = apart(
        conv.with_lines_behind(&behind).apply(&x, IMAGE),
        behind.apply(&conv.apply(&x, IMAGE), IMAGE),
    );
    let [before_border, before_inside] = apart(
        conv.with_lines_before(&before).apply(&x, IMAGE),
        conv.apply(&before.apply(&x, IMAGE), IMAGE),
    );
    json!({
        // The norm behind the convolution, and before it.
        "behind": border.max(inside),
        "before_inside": before_inside,
        "before_border": before_border,
    })
}

fn run() -> Output {
    Output::new(json!({
        "about": "What a norm adds to a training step, counted, and Batch Norm folded into a convolution",
        "operations_per_value": OPERATIONS,
        "bytes_per_value": F32 * ARRAYS,
        "bandwidth": by_make(|comparison| json!(bandwidth(with_threads(comparison, 1)))),
        "networks": [
            network("MLP", MLP_BATCH, &mlp(), "mlp batchnorm"),
            network("CNN", CNN_BATCH, &cnn(), "cnn step"),
        ],
        "threads": [threads(1), threads(2)],
        "amdahl": amdahl(),
        "folded": folded(),
    }))
}
