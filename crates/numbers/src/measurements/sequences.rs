//! One step of an LSTM and back; gradients through many steps of time, with Layer Norm and
//! without; and what padding, a constant step and short batches do to batch statistics:
//! chapter 14.

use batchnorm::staged::forward_channel;
use layernorm::staged as layer_norm;
use nn::data::Words;
use serde_json::{Value, json};

use crate::kit::{Measurement, Output, each};
use crate::random::{Draws, dot, largest, median};

pub const MEASUREMENT: Measurement = Measurement {
    name: "sequences",
    chapter: 14,
    about: "an LSTM step, gradients through time, and batch statistics of sequences",
    run,
};

const SEED: u64 = 14;
const EPS: f64 = 1e-5;

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

/// The values of one LSTM step and their gradients: gates (0, 1, 1, 0), memory 2; gradients 1
/// for the state and 1/2 for the memory.
fn step() -> [Value; 11] {
    let ([ai, af, ag, ao], c) = ([0.0, 1.0, 1.0, 0.0], 2.0);
    let (dh_next, dc_later) = (1.0, 0.5);
    let [i, f, o] = [ai, af, ao].map(sigmoid);
    let g = libm::tanh(ag);
    let c_next = f * c + i * g;
    let shown = libm::tanh(c_next);
    let h_next = o * shown;

    let d_o = dh_next * shown;
    let dc_next = dc_later + dh_next * o * (1.0 - shown * shown);
    let [di, df, dg, dc] = [dc_next * g, dc_next * c, dc_next * i, dc_next * f];
    let quantities = [
        ("h′", h_next, dh_next),
        ("c′", c_next, dc_next),
        ("o", o, d_o),
        ("i", i, di),
        ("f", f, df),
        ("g", g, dg),
        ("a for o", ao, d_o * o * (1.0 - o)),
        ("a for i", ai, di * i * (1.0 - i)),
        ("a for f", af, df * f * (1.0 - f)),
        ("a for g", ag, dg * (1.0 - g * g)),
        ("c", c, dc),
    ];
    quantities.map(|(symbol, value, gradient)| {
        json!({ "symbol": symbol, "value": value, "gradient": gradient })
    })
}

const FEATURES: usize = 32;
const STEPS: usize = 60;
const NETWORKS: u64 = 11;

/// `h' = tanh(a)`, `a = x + U h` or its Layer Norm: forward through `STEPS`, then back
/// from the last one. Returns the lengths of the gradients for h, the last one first.
fn through_time(gain: f64, norm: bool, seed: u64) -> Vec<f64> {
    let mut draws = Draws::new(seed);
    let scale = gain / (FEATURES as f64).sqrt();
    let u: Vec<f64> = draws.normals(FEATURES * FEATURES);
    let u: Vec<f64> = u.iter().map(|u| scale * u).collect();
    let (one, zero) = (vec![1.0; FEATURES], vec![0.0; FEATURES]);
    let mut h = zero.clone();
    let mut saved = Vec::new();
    for _ in 0..STEPS {
        let mut a = draws.normals(FEATURES);
        for (a, row) in a.iter_mut().zip(u.chunks_exact(FEATURES)) {
            *a += dot(row, &h);
        }
        let normed = norm.then(|| layer_norm::forward(&a, &one, &zero, EPS));
        h = normed.as_ref().map_or(a, |n| n.y.clone());
        h.iter_mut().for_each(|h| *h = libm::tanh(*h));
        saved.push((h.clone(), normed));
    }
    let mut dh = draws.normals(FEATURES);
    let mut lengths = Vec::new();
    for (h, normed) in saved.iter().rev() {
        lengths.push(dot(&dh, &dh).sqrt());
        let mut da: Vec<f64> = dh.iter().zip(h).map(|(dh, h)| dh * (1.0 - h * h)).collect();
        if let Some(forward) = normed {
            da = layer_norm::backward(forward, &one, &da).dx;
        }
        dh = zero.clone();
        for (da, row) in da.iter().zip(u.chunks_exact(FEATURES)) {
            for (dh, u) in dh.iter_mut().zip(row) {
                *dh += da * u;
            }
        }
    }
    lengths
}

/// The length of the gradient for the state, some steps before the one that the loss looks
/// at, relative to its length there. Medians over networks drawn anew.
fn gains() -> Value {
    let back = |gain: f64, norm: bool, steps: usize| {
        let of = |seed| {
            let lengths = through_time(gain, norm, SEED + seed);
            lengths[steps] / lengths[0]
        };
        median(&(0..NETWORKS).map(of).collect::<Vec<f64>>())
    };
    let row = |gain: f64| {
        json!({
            "gain": gain,
            "none_10": back(gain, false, 10),
            "none_50": back(gain, false, 50),
            "layer_10": back(gain, true, 10),
            "layer_50": back(gain, true, 50),
        })
    };
    json!({
        "features": FEATURES,
        "steps": STEPS,
        "networks": NETWORKS,
        "rows": each([0.5, 1.0, 2.0, 4.0, 8.0], row),
    })
}

/// Four values of a channel, and two positions of padding, zeros.
fn padding() -> Value {
    let x = [1.0, 3.0, 5.0, 7.0, 0.0, 0.0];
    let right = forward_channel(&x[..4], 1.0, 0.0, EPS);
    let padded = forward_channel(&x, 1.0, 0.0, EPS);
    let value = |k: usize| json!({ "x": x[k], "right": right.y[k], "padded": padded.y[k] });
    json!({
        "share": 2.0 / 6.0,
        "mean": right.mean, "var": right.var,
        "padded_mean": padded.mean, "padded_var": padded.var,
        "values": each([0, 1, 2, 3], value),
    })
}

/// A step at which all sequences have the same input, while training moves it by a little
/// from batch to batch.
fn constant() -> Value {
    let (batches, momentum, drift) = (500, 0.1, 0.001);
    let (mut mean, mut var) = (0.0, 1.0);
    let mut training = 0.0_f64;
    let mut value = 0.0;
    for batch in 1..=batches {
        value = drift * f64::from(batch);
        let forward = forward_channel(&[value; 16], 1.0, 0.0, EPS);
        training = training.max(largest(&forward.y));
        mean += momentum * (forward.mean - mean);
        var += momentum * (forward.var * 16.0 / 15.0 - var);
    }
    let rstd = 1.0 / (var + EPS).sqrt();
    json!({
        "batches": batches, "momentum": momentum, "drift": drift,
        // The largest output in training.
        "training": training,
        // What inference makes of the last batch, by the running statistics.
        "lag": value - mean,
        "rstd": rstd,
        "inference": (value - mean) * rstd,
    })
}

/// Words of 2 to 8 letters in batches of 16: how much of the rectangles is padding.
fn rectangles() -> [Value; 2] {
    const WORDS: usize = 1500;
    let words = Words::load().expect("they come with the crate");
    let fitting = words
        .train
        .iter()
        .map(Vec::len)
        .filter(|n| (2..=8).contains(n));
    let fitting: Vec<usize> = fitting.collect();
    let some = (0..WORDS).map(|i| fitting[i * fitting.len() / WORDS] + 1);
    let some: Vec<usize> = some.collect();
    let mut sorted = some.clone();
    sorted.sort_unstable();
    let row = |order: &str, lengths: &[usize]| {
        let positions: usize = lengths.iter().sum();
        let longest = |batch: &[usize]| batch.len() * batch.iter().max().expect("not empty");
        let rectangle: usize = lengths.chunks(16).map(longest).sum();
        json!({
            "order": order,
            "positions": positions,
            "rectangle": rectangle,
            "padding": 1.0 - positions as f64 / rectangle as f64,
        })
    };
    [
        row("in the order of the dictionary", &some),
        row("sorted by length", &sorted),
    ]
}

fn run() -> Output {
    Output::new(json!({
        "about": "An LSTM step and back, gradients through time, and batch statistics of sequences",
        "step": step(),
        "through_time": gains(),
        "padding": padding(),
        "constant": constant(),
        "rectangles": rectangles(),
        // The loss of a guess that takes all tokens for equally likely, in nats.
        "uniform_loss": libm::log(Words::TOKENS as f64),
    }))
}
