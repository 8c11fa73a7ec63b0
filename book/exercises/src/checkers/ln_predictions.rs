//! Checks the exercise `ln_predictions`: runs what was predicted.

use crate::Report;
use crate::engine::Checker;
use crate::harness;
use crate::quiz::{self, Asked};
use batchnorm::BatchNorm;
use layernorm::{LayerNorm, RmsNorm};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::process::ExitCode;
use tape::{Tape, Tensor};

const NAME: &str = "ln_predictions";

/// What happens to the output of the first row of a batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Output {
    /// Not predicted yet.
    Undecided,
    /// No bit changes.
    SameBits,
    /// It changes by less than a thousandth of its size.
    NearlySame,
    /// The same for minus the output: the signs change, and nothing else to speak of.
    SignsFlip,
    /// Something else.
    Different,
}

use Output::{Different, NearlySame, SameBits, SignsFlip, Undecided};

/// The predictions. The norm is Layer Norm with `eps` 1e-5 unless another is named.
#[derive(Clone, Copy, Debug)]
pub struct Predictions {
    /// All other rows are replaced.
    pub others_replaced: Output,
    /// All other rows are replaced, before Batch Norm in training.
    pub others_replaced_batch_norm: Output,
    /// The row stands alone: the batch has one row.
    pub alone: Output,
    /// The row is multiplied by 1000.
    pub times_1000: Output,
    /// The row is multiplied by -3.
    pub times_minus_3: Output,
    /// The row is multiplied by 0.001.
    pub times_0_001: Output,
    /// 10 is added to every feature of the row.
    pub plus_10: Output,
    /// 10 is added to every feature of the row, before RMS Norm.
    pub plus_10_rms_norm: Output,
    /// 10 is added to one feature of the row. What of the outputs of the others?
    pub one_feature_plus_10: Output,
}

/// Runs what was predicted and prints the report.
pub fn check(predictions: impl Fn() -> Predictions) -> ExitCode {
    harness::run(NAME, || report(&predictions(), 0))
}

const ROWS: usize = 8;
const D: usize = 16;

fn layer_norm(x: &[f64]) -> Vec<f64> {
    let ln = LayerNorm::<f64>::new([D]);
    run(x, |t, x| ln.forward(&t.constant(x)).value().to_vec())
}

fn rms_norm(x: &[f64]) -> Vec<f64> {
    let rms = RmsNorm::<f64>::new([D]).with_eps(1e-5);
    run(x, |t, x| rms.forward(&t.constant(x)).value().to_vec())
}

fn batch_norm(x: &[f64]) -> Vec<f64> {
    let mut bn = BatchNorm::<f64>::new(D);
    run(x, |t, x| bn.train(&t.constant(x)).value().to_vec())
}

/// The first row of what `norm` makes of `x`.
fn run(x: &[f64], norm: impl FnOnce(&Tape<f64>, Tensor<f64>) -> Vec<f64>) -> Vec<f64> {
    let x = Tensor::new([x.len() / D, D], x.to_vec());
    let mut y = Tape::eval(|t| norm(t, x));
    y.truncate(D);
    y
}

/// What happened, from the outputs before and after.
fn observed(before: &[f64], after: &[f64]) -> Output {
    let size = before.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    let near = |sign: f64| {
        let close = |(b, a): (&f64, &f64)| (b - sign * a).abs() < 1e-3 * size;
        before.iter().zip(after).all(close)
    };
    let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<u64>>();
    match () {
        () if bits(before) == bits(after) => SameBits,
        () if near(1.0) => NearlySame,
        () if near(-1.0) => SignsFlip,
        () => Different,
    }
}

/// Rows of deviation about 2, with another mean for each.
fn batch(rng: &mut StdRng) -> Vec<f64> {
    let mut x = Vec::new();
    for _ in 0..ROWS {
        let mean: f64 = rng.random_range(-2.0..2.0);
        x.extend((0..D).map(|_| mean + rng.random_range(-3.5..3.5)));
    }
    x
}

fn asked(p: &Predictions, seed: u64) -> Vec<Asked<Output>> {
    let mut rng = StdRng::seed_from_u64(seed);
    let x = batch(&mut rng);
    let others = [&x[..D], &batch(&mut rng)[D..]].concat();
    // The batch with its first row changed.
    let with_row = |f: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
        let value = |(k, &v): (usize, &f64)| if k < D { f(k, v) } else { v };
        x.iter().enumerate().map(value).collect()
    };
    let (plain, plus) = (layer_norm(&x), with_row(&|_, v| v + 10.0));
    let found = |name, what, predicted, found, why, section| Asked {
        name,
        what,
        predicted,
        found,
        why,
        section,
    };
    let one = |name, what, predicted, after: Vec<f64>, why, section| {
        found(
            name,
            what,
            predicted,
            observed(&plain, &after),
            why,
            section,
        )
    };
    vec![
        one(
            "others_replaced",
            "all other rows replaced",
            p.others_replaced,
            layer_norm(&others),
            "a row's statistics come from that row, and the order of its additions from its length",
            "sec:ln-bit",
        ),
        found(
            "others_replaced_batch_norm",
            "all other rows replaced, Batch Norm",
            p.others_replaced_batch_norm,
            observed(&batch_norm(&x), &batch_norm(&others)),
            "mean and variance of a channel are those of the whole batch",
            "sec:ln-bit",
        ),
        one(
            "alone",
            "the row alone",
            p.alone,
            layer_norm(&x[..D]),
            "a batch of one is as good as any: no other row was ever looked at",
            "sec:ln-bit",
        ),
        one(
            "times_1000",
            "the row times 1000",
            p.times_1000,
            layer_norm(&with_row(&|_, v| 1000.0 * v)),
            "a positive scale cancels, up to eps: the variance is far above 1e-5 before and after, but eps is not zero",
            "sec:ln-invariance",
        ),
        one(
            "times_minus_3",
            "the row times -3",
            p.times_minus_3,
            layer_norm(&with_row(&|_, v| -3.0 * v)),
            "the deviation is positive, so the sign of the scale stays with x - mean",
            "sec:ln-invariance",
        ),
        one(
            "times_0_001",
            "the row times 0.001",
            p.times_0_001,
            layer_norm(&with_row(&|_, v| 0.001 * v)),
            "the variance falls to about 4e-6, below eps: the row is not brought to variance 1 any more",
            "sec:ln-invariance",
        ),
        one(
            "plus_10",
            "the row plus 10",
            p.plus_10,
            layer_norm(&plus),
            "the mean takes the shift along; only the rounding of x + 10 is left",
            "sec:ln-invariance",
        ),
        found(
            "plus_10_rms_norm",
            "the row plus 10, RMS Norm",
            p.plus_10_rms_norm,
            observed(&rms_norm(&x), &rms_norm(&plus)),
            "RMS Norm subtracts no mean, so the shift goes into the root mean square",
            "sec:ln-without-mean",
        ),
        found(
            "one_feature_plus_10",
            "one feature plus 10, the other outputs",
            p.one_feature_plus_10,
            observed(
                &plain[1..],
                &layer_norm(&with_row(&|k, v| if k == 0 { v + 10.0 } else { v }))[1..],
            ),
            "every feature is in the mean and the variance of its row, so all outputs move",
            "sec:ln-layouts",
        ),
    ]
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Nameless("it asks for predictions")
}

/// The report on `predictions`, from a random batch of this seed.
#[must_use]
pub fn report(predictions: &Predictions, seed: u64) -> Report {
    quiz::report(NAME, Undecided, &asked(predictions, seed))
}

#[cfg(test)]
mod tests;
