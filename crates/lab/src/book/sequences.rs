//! One step of an LSTM and back; gradients through many steps of time, with Layer Norm and
//! without; and what padding, a constant step and short batches do to batch statistics:
//! chapter 14.

use batchnorm::staged::forward_channel;
use layernorm::staged as layer_norm;
use nn::data::Words;
use serde::Serialize;

use super::Output;
use super::random::{Draws, median};

const SEED: u64 = 14;
const EPS: f64 = 1e-5;

#[derive(Serialize)]
struct Results {
    about: &'static str,
    step: Vec<Quantity>,
    through_time: ThroughTime,
    padding: Padding,
    constant: Constant,
    rectangles: Vec<Rectangle>,
    /// The loss of a guess that takes all tokens for equally likely, in nats.
    uniform_loss: f64,
}

/// A value of one LSTM step, and its gradient.
#[derive(Serialize)]
struct Quantity {
    symbol: &'static str,
    value: f64,
    gradient: f64,
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

fn quantity(symbol: &'static str, value: f64, gradient: f64) -> Quantity {
    Quantity {
        symbol,
        value,
        gradient,
    }
}

/// One cell: gates (0, 1, 1, 0), memory 2; gradients 1 for the state and 1/2 for the memory.
fn step() -> Vec<Quantity> {
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
    vec![
        quantity("h′", h_next, dh_next),
        quantity("c′", c_next, dc_next),
        quantity("o", o, d_o),
        quantity("i", i, di),
        quantity("f", f, df),
        quantity("g", g, dg),
        quantity("a for o", ao, d_o * o * (1.0 - o)),
        quantity("a for i", ai, di * i * (1.0 - i)),
        quantity("a for f", af, df * f * (1.0 - f)),
        quantity("a for g", ag, dg * (1.0 - g * g)),
        quantity("c", c, dc),
    ]
}

/// The length of the gradient for the state, some steps before the one that the loss looks
/// at, relative to its length there. Medians over networks drawn anew.
#[derive(Serialize)]
struct ThroughTime {
    features: usize,
    steps: usize,
    networks: u64,
    rows: Vec<Gain>,
}

#[derive(Serialize)]
struct Gain {
    gain: f64,
    none_10: f64,
    none_50: f64,
    layer_10: f64,
    layer_50: f64,
}

const FEATURES: usize = 32;
const STEPS: usize = 60;
const NETWORKS: u64 = 11;

// ANCHOR: through_time
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
// ANCHOR_END: through_time

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn gains() -> ThroughTime {
    let back = |gain: f64, norm: bool, steps: usize| {
        let of = |seed| {
            let lengths = through_time(gain, norm, SEED + seed);
            lengths[steps] / lengths[0]
        };
        median(&(0..NETWORKS).map(of).collect::<Vec<_>>())
    };
    let row = |gain: f64| Gain {
        gain,
        none_10: back(gain, false, 10),
        none_50: back(gain, false, 50),
        layer_10: back(gain, true, 10),
        layer_50: back(gain, true, 50),
    };
    ThroughTime {
        features: FEATURES,
        steps: STEPS,
        networks: NETWORKS,
        rows: [0.5, 1.0, 2.0, 4.0, 8.0].map(row).into(),
    }
}

/// Four values of a channel, and two positions of padding, zeros.
#[derive(Serialize)]
struct Padding {
    share: f64,
    mean: f64,
    var: f64,
    padded_mean: f64,
    padded_var: f64,
    values: Vec<Padded>,
}

#[derive(Serialize)]
struct Padded {
    x: f64,
    right: f64,
    padded: f64,
}

fn padding() -> Padding {
    let x = [1.0, 3.0, 5.0, 7.0, 0.0, 0.0];
    let right = forward_channel(&x[..4], 1.0, 0.0, EPS);
    let padded = forward_channel(&x, 1.0, 0.0, EPS);
    let values = (0..4).map(|k| Padded {
        x: x[k],
        right: right.y[k],
        padded: padded.y[k],
    });
    Padding {
        share: 2.0 / 6.0,
        mean: right.mean,
        var: right.var,
        padded_mean: padded.mean,
        padded_var: padded.var,
        values: values.collect(),
    }
}

/// A step at which all sequences have the same input, while training moves it by a little
/// from batch to batch.
#[derive(Serialize)]
struct Constant {
    batches: usize,
    momentum: f64,
    drift: f64,
    /// The largest output in training.
    training: f64,
    /// What inference makes of the last batch, by the running statistics.
    lag: f64,
    rstd: f64,
    inference: f64,
}

fn constant() -> Constant {
    let (batches, momentum, drift) = (500, 0.1, 0.001);
    let (mut mean, mut var) = (0.0, 1.0);
    let mut training = 0.0_f64;
    let mut value = 0.0;
    for batch in 1..=batches {
        value = drift * batch as f64;
        let forward = forward_channel(&[value; 16], 1.0, 0.0, EPS);
        training = forward.y.iter().fold(training, |m, y| m.max(y.abs()));
        mean += momentum * (forward.mean - mean);
        var += momentum * (forward.var * 16.0 / 15.0 - var);
    }
    let rstd = 1.0 / (var + EPS).sqrt();
    Constant {
        batches,
        momentum,
        drift,
        training,
        lag: value - mean,
        rstd,
        inference: (value - mean) * rstd,
    }
}

/// Words of 2 to 8 letters in batches of 16: how much of the rectangles is padding.
#[derive(Serialize)]
struct Rectangle {
    order: &'static str,
    positions: usize,
    rectangle: usize,
    padding: f64,
}

fn rectangles() -> Vec<Rectangle> {
    const WORDS: usize = 1500;
    let words = Words::load().expect("they come with the crate");
    let fitting: Vec<usize> = words.train.iter().map(Vec::len).collect();
    let fitting: Vec<usize> = fitting
        .into_iter()
        .filter(|n| (2..=8).contains(n))
        .collect();
    let some = (0..WORDS).map(|i| fitting[i * fitting.len() / WORDS] + 1);
    let some: Vec<usize> = some.collect();
    let mut sorted = some.clone();
    sorted.sort_unstable();
    let row = |order: &'static str, lengths: &[usize]| {
        let positions = lengths.iter().sum();
        let longest = |batch: &[usize]| batch.len() * batch.iter().max().expect("not empty");
        let rectangle = lengths.chunks(16).map(longest).sum();
        Rectangle {
            order,
            positions,
            rectangle,
            padding: 1.0 - positions as f64 / rectangle as f64,
        }
    };
    vec![
        row("in the order of the dictionary", &some),
        row("sorted by length", &sorted),
    ]
}

pub fn run() -> Output {
    Output::new(&Results {
        about: "An LSTM step and back, gradients through time, and batch statistics of sequences",
        step: step(),
        through_time: gains(),
        padding: padding(),
        constant: constant(),
        rectangles: rectangles(),
        uniform_loss: libm::log(Words::TOKENS as f64),
    })
}
