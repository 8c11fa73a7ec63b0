//! What the other examples of a batch do to the output of one.
//!
//! One row of a batch, alone and among others, through the layers as they train, in
//! `f32`. And why a promise to the bit needs more than a formula: the mean of one row,
//! added up in two orders.

use batchnorm::BatchNorm;
use layernorm::LayerNorm;
use serde_json::{Value, json};
use tape::{Tape, Tensor};

use crate::kit::{Measurement, Output};
use crate::random::{Draws, largest, wide};

pub const MEASUREMENT: Measurement = Measurement {
    name: "ln_batch",
    chapter: 12,
    about: "what other examples do to the output of one, Layer Norm beside Batch Norm",
    run,
};

const SEED: u64 = 12;
const D: usize = 32;
const LARGEST: usize = 64;
const SIZES: [usize; 5] = [2, 3, 8, 16, 32];
const WIDE: usize = 768;
const ROWS: usize = 1000;

fn first_row(y: Vec<f32>) -> Vec<f32> {
    y[..D].to_vec()
}

fn layer_norm(x: &[f32]) -> Vec<f32> {
    let ln = LayerNorm::<f32>::new([D]);
    let x = Tensor::new([x.len() / D, D], x.to_vec());
    first_row(Tape::eval(|t| ln.forward(&t.constant(x)).value().to_vec()))
}

fn batch_norm(x: &[f32]) -> Vec<f32> {
    let mut bn = BatchNorm::<f32>::new(D);
    let x = Tensor::new([x.len() / D, D], x.to_vec());
    first_row(Tape::eval(|t| bn.train(&t.constant(x)).value().to_vec()))
}

fn bits(a: &[f32], b: &[f32]) -> usize {
    let differ = |(a, b): &(&f32, &f32)| a.to_bits() != b.to_bits();
    a.iter().zip(b).filter(differ).count()
}

/// The root mean square of the difference, to two digits: what the kernel rounds is not
/// the subject.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let square = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).powi(2);
    let rms = (a.iter().zip(b).map(square).sum::<f64>() / a.len() as f64).sqrt();
    (rms * 100.0).round() / 100.0
}

/// The sum of a row from left to right, against 32 partial sums.
fn orders(draws: &mut Draws) -> Value {
    let mut relative = Vec::new();
    let mut differ = 0;
    for _ in 0..ROWS {
        let x = draws.normals_f32(WIDE, 0.0, 1.0);
        let chain: f32 = x.iter().sum();
        let lanes = tape::lanes::sum(&x);
        differ += usize::from(chain.to_bits() != lanes.to_bits());
        let size: f64 = wide(&x).iter().map(|x| x.abs()).sum();
        relative.push(f64::from((chain - lanes).abs()) / size);
    }
    json!({
        "width": WIDE,
        "rows": ROWS,
        // The share of rows in which the two differ in any bit.
        "differ": differ as f64 / ROWS as f64,
        // The largest difference, relative to the sum of absolute values.
        "largest": largest(&relative),
    })
}

fn run() -> Output {
    let mut draws = Draws::new(SEED);
    let x = draws.normals_f32(LARGEST * D, 0.5, 2.0);
    let others = [&x[..D], &draws.normals_f32((LARGEST - 1) * D, 0.5, 2.0)].concat();
    let (layer, normed) = (layer_norm(&x), batch_norm(&x));
    // The output of the first example in a batch of `n`, against that in the largest batch:
    // values that differ in any bit, and the root mean square of the difference.
    let sizes = SIZES.map(|n| {
        let part = &x[..n * D];
        let (ln, bn) = (layer_norm(part), batch_norm(part));
        json!({
            "n": n,
            "layer_bits": bits(&ln, &layer), "batch_bits": bits(&bn, &normed),
            "layer": distance(&ln, &layer), "batch": distance(&bn, &normed),
        })
    });
    let (ln, bn) = (layer_norm(&others), batch_norm(&others));
    Output::new(json!({
        "about": "The output of one example of a batch, against that in another batch",
        "seed": SEED,
        "features": D,
        "largest_batch": LARGEST,
        "alone_bits": bits(&layer_norm(&x[..D]), &layer),
        "sizes": sizes,
        // The same batch size, but every other example replaced.
        "replaced": {
            "layer_bits": bits(&ln, &layer),
            "batch_bits": bits(&bn, &normed),
            "batch": distance(&bn, &normed),
        },
        "orders": orders(&mut draws),
    }))
}
