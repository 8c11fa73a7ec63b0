//! Checks the exercise `ln_predictions`: runs what was predicted.

use crate::arrays::Draws;
use crate::predictions::{is_times, made, otherwise};
use batchnorm::BatchNorm;
use judge::quiz;
use layernorm::{LayerNorm, RmsNorm};
use rand::RngExt;
use rand::rngs::StdRng;
use tape::{Tensor, Var};

quiz! {
    /// What happens to the output of the first row of a batch.
    enum Output {
        /// No bit changes.
        SameBits if same_bits,
        /// It changes by less than a thousandth of its size.
        NearlySame if is_times(1.0),
        /// The same for minus the output: the signs change, and nothing else to speak of.
        SignsFlip if is_times(-1.0),
        /// Something else.
        Different if otherwise,
    }

    others_replaced in "sec:ln-bit":
        "all other rows replaced",
        "a row's statistics come from that row, and the order of its additions from its length";
    others_replaced_batch_norm in "sec:ln-bit":
        "all other rows replaced, Batch Norm",
        "mean and variance of a channel are those of the whole batch";
    alone in "sec:ln-bit":
        "the row alone",
        "a batch of one is as good as any: no other row was ever looked at";
    times_1000 in "sec:ln-invariance":
        "the row times 1000",
        "a positive scale cancels, up to eps: the variance is far above 1e-5 before and after, but eps is not zero";
    times_minus_3 in "sec:ln-invariance":
        "the row times -3",
        "the deviation is positive, so the sign of the scale stays with x - mean";
    times_0_001 in "sec:ln-invariance":
        "the row times 0.001",
        "the variance falls to about 4e-6, below eps: the row is not brought to variance 1 any more";
    plus_10 in "sec:ln-invariance":
        "the row plus 10",
        "the mean takes the shift along; only the rounding of x + 10 is left";
    plus_10_rms_norm in "sec:ln-without-mean":
        "the row plus 10, RMS Norm",
        "RMS Norm subtracts no mean, so the shift goes into the root mean square";
    one_feature_plus_10 in "sec:ln-layouts":
        "one feature plus 10, the other outputs",
        "every feature is in the mean and the variance of its row, so all outputs move";
}

const ROWS: usize = 8;
const D: usize = 16;

fn same_bits(before: &[f64], after: &[f64]) -> bool {
    let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<u64>>();
    bits(before) == bits(after)
}

/// Rows of deviation about 2, with another mean for each.
fn batch(rng: &mut StdRng) -> Vec<f64> {
    let row = |_| {
        let mean: f64 = rng.random_range(-2.0..2.0);
        [(); D].map(|()| mean + rng.random_range(-3.5..3.5))
    };
    (0..ROWS).flat_map(row).collect()
}

/// The first row of what a norm makes of `x`.
fn first(x: &[f64], norm: impl for<'t> FnOnce(&Var<'t, f64>) -> Var<'t, f64>) -> Vec<f64> {
    let mut y = made([&Tensor::new([x.len() / D, D], x.to_vec())], |[x]| norm(x));
    y.truncate(D);
    y
}

fn found(seed: u64) -> Predictions {
    let rng = &mut Draws::new(seed).0;
    let x = batch(rng);
    let others = [&x[..D], &batch(rng)[D..]].concat();
    let layer = |x: &[f64]| first(x, |x| LayerNorm::new([D]).forward(x));
    let rms = |x: &[f64]| first(x, |x| RmsNorm::new([D]).with_eps(1e-5).forward(x));
    let batch = |x: &[f64]| first(x, |x| BatchNorm::new(D).train(x));
    // The batch with some features of its first row changed.
    let with = |features: usize, f: fn(f64) -> f64| -> Vec<f64> {
        let value = |(k, &v): (usize, &f64)| if k < features { f(v) } else { v };
        x.iter().enumerate().map(value).collect()
    };
    let (plain, plus) = (layer(&x), with(D, |v| v + 10.0));
    let after = |x: &[f64]| observed(&plain, &layer(x));
    Predictions {
        others_replaced: after(&others),
        others_replaced_batch_norm: observed(&batch(&x), &batch(&others)),
        alone: after(&x[..D]),
        times_1000: after(&with(D, |v| 1000.0 * v)),
        times_minus_3: after(&with(D, |v| -3.0 * v)),
        times_0_001: after(&with(D, |v| 0.001 * v)),
        plus_10: after(&plus),
        plus_10_rms_norm: observed(&rms(&x), &rms(&plus)),
        one_feature_plus_10: observed(&plain[1..], &layer(&with(1, |v| v + 10.0))[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A verdict on another norm sends its reader to where this chapter speaks of that norm.
    #[test]
    fn another_norm_is_explained_in_the_section_that_is_told() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/ln-forward.md");
        let chapter = std::fs::read_to_string(path).unwrap();
        let mut asked_about = 0;
        for asked in QUIZ.questions {
            for norm in ["Batch Norm", "RMS Norm"] {
                if asked.what.contains(norm) {
                    let label = format!("{{#{}}}", asked.section);
                    let (_, section) = chapter.split_once(&label).expect(&label);
                    let section = section.split("\n#").next().unwrap();
                    assert!(section.contains(norm), "{}: {label}", asked.name);
                    asked_about += 1;
                }
            }
        }
        assert_eq!(asked_about, 2);
    }
}
