//! Checks the exercise `sequence_predictions`: runs what was predicted.

use crate::Report;
use crate::engine::Checker;
use crate::harness;
use crate::quiz::{self, Asked};
use batchnorm::BatchNorm;
use layernorm::LayerNorm;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::process::ExitCode;
use tape::{Param, Tape, Tensor, Var};

const NAME: &str = "sequence_predictions";

/// What becomes of a value or a gradient when something is changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// Not predicted yet.
    Undecided,
    /// It stays, to a thousandth.
    Same,
    /// It becomes zero, to a thousandth.
    Zero,
    /// It is half as large, to a thousandth.
    Half,
    /// It is a tenth as large, to a thousandth.
    OneTenth,
    /// It becomes NaN.
    NotANumber,
    /// Something else.
    Different,
}

use Change::{Different, Half, NotANumber, OneTenth, Same, Undecided, Zero};

/// The predictions.
#[derive(Clone, Copy, Debug)]
pub struct Predictions {
    /// More padding, Layer Norm of every position. The outputs that count?
    pub longer_layer_norm: Change,
    /// More padding, Batch Norm of the whole rectangle. The outputs that count?
    pub longer_batch_norm: Change,
    /// More padding, Batch Norm of packed rows. The outputs?
    pub longer_packed: Change,
    /// The loss counts masked positions only, instead of all. The gradient at the padding?
    pub padding_gradient: Change,
    /// The masked loss is divided by `B T`, twice as large as M, instead of M. Its gradient?
    pub divided_by_all: Change,
    /// NaN in the padding, multiplied by the mask. The loss?
    pub nan_multiplied: Change,
    /// NaN in the padding, packed. The loss?
    pub nan_packed: Change,
    /// `U` times 10 in Layer Norm of `U h`. The output?
    pub state_matrix: Change,
    /// The same. The gradient of `U`?
    pub state_matrix_gradient: Change,
    /// A step at which all sequences have the same input, Batch Norm in training, and
    /// this input replaced by another. The output?
    pub constant_step: Change,
    /// The same step in training instead of inference. The gradient of its input?
    pub constant_step_gradient: Change,
    /// A step that two sequences reach, in training instead of inference. The same?
    pub two_sequences: Change,
}

/// Runs what was predicted and prints the report.
pub fn check(predictions: impl Fn() -> Predictions) -> ExitCode {
    harness::run(NAME, || report(&predictions(), 0))
}

/// M is 8, and the rectangle has 16 positions.
const LENGTHS: [usize; 4] = [4, 2, 1, 1];
const STEPS: usize = 4;
const C: usize = 6;

/// A padded batch `[B T, C]`.
#[derive(Clone)]
struct Padded {
    steps: usize,
    x: Tensor<f64>,
}

impl Padded {
    fn new(rng: &mut StdRng) -> Self {
        let rows = LENGTHS.len() * STEPS;
        let x = Tensor::from_fn([rows, C], |_| rng.random_range(1.0..4.0));
        Padded { steps: STEPS, x }.filled(0.0)
    }

    /// With the padding set to a value.
    fn filled(&self, value: f64) -> Self {
        let mut padded = self.clone();
        let counts = padded.counts();
        for (row, counts) in padded.x.data_mut().chunks_exact_mut(C).zip(counts) {
            if !counts {
                row.fill(value);
            }
        }
        padded
    }

    /// With more steps of zeros behind all sequences.
    fn longer(&self) -> Self {
        let steps = self.steps + 5;
        let x = Tensor::from_fn([LENGTHS.len() * steps, C], |i| {
            let (b, t, c) = (i / C / steps, i / C % steps, i % C);
            if t < self.steps {
                self.x.at(&[b * self.steps + t, c])
            } else {
                0.0
            }
        });
        Padded { steps, x }
    }

    fn counts(&self) -> Vec<bool> {
        let of = |&n: &usize| (0..self.steps).map(move |t| t < n);
        LENGTHS.iter().flat_map(of).collect()
    }

    /// The rows that count.
    fn places(&self) -> Vec<usize> {
        let counts = self.counts().into_iter().enumerate();
        counts.filter(|(_, m)| *m).map(|(r, _)| r).collect()
    }

    /// `[B T, 1]`.
    fn mask(&self) -> Tensor<f64> {
        let counts = self.counts();
        Tensor::from_fn([counts.len(), 1], |r| f64::from(u8::from(counts[r])))
    }

    /// What `f` makes of the rectangle, at the positions that count.
    fn outputs(&self, f: impl for<'t> FnOnce(&Var<'t, f64>) -> Var<'t, f64>) -> Vec<f64> {
        Tape::eval(|t| {
            let y = f(&t.constant(self.x.clone()));
            y.index_select(0, &self.places()).value().to_vec()
        })
    }

    fn packed(&self, f: impl for<'t> FnOnce(&Var<'t, f64>) -> Var<'t, f64>) -> Vec<f64> {
        Tape::eval(|t| {
            let x = t.constant(self.x.clone()).index_select(0, &self.places());
            f(&x).value().to_vec()
        })
    }

    /// The gradient of a loss by the rectangle.
    fn gradient(&self, f: impl for<'t> FnOnce(&Var<'t, f64>) -> Var<'t, f64>) -> Vec<f64> {
        let x = Param::new("x", self.x.clone());
        let (_, (), grads) = Tape::new().grad(|t| (f(&t.param(&x)), ()));
        grads.of(&x).to_vec()
    }

    /// Of values of the rectangle, those of the padding.
    fn of_padding(&self, values: &[f64]) -> Vec<f64> {
        let rows = values.chunks_exact(C).zip(self.counts());
        let padding = rows.filter(|(_, counts)| !counts);
        padding.flat_map(|(row, _)| row.to_vec()).collect()
    }
}

/// A loss for each position: the sum of the squares of its features.
fn losses<'t>(x: &Var<'t, f64>) -> Var<'t, f64> {
    (x * x).sum(&[1]).reshape([x.shape()[0], 1])
}

fn draw<const D: usize>(shape: [usize; D], rng: &mut StdRng) -> Tensor<f64> {
    let count: usize = shape.iter().product();
    let values = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::new(&shape[..], values)
}

/// Layer Norm of `U h` for a batch of states: the output, and the gradient of `U`.
fn normed_product(u: &Tensor<f64>, h: &Tensor<f64>, dy: &Tensor<f64>) -> [Vec<f64>; 2] {
    let u = Param::new("U", u.clone());
    let norm = LayerNorm::new([C]);
    let (y, (), grads) = Tape::new().vjp(dy, |t| {
        let product = t.constant(h.clone()).matmul(&t.param(&u));
        (norm.forward(&product), ())
    });
    [y.to_vec(), grads.of(&u).to_vec()]
}

/// Batch Norm of one step, in training or at inference: output, and gradient of the input.
fn step(x: &Tensor<f64>, dy: &Tensor<f64>, training: bool) -> [Vec<f64>; 2] {
    let x = Param::new("x", x.clone());
    let mut norm = BatchNorm::new(C);
    let (y, (), grads) = Tape::new().vjp(dy, |t| {
        let x = t.param(&x);
        let y = if training {
            norm.train(&x)
        } else {
            norm.eval(&x)
        };
        (y, ())
    });
    [y.to_vec(), grads.of(&x).to_vec()]
}

/// What happened, from the values before and after. The size is that of the largest.
fn observed(before: &[f64], after: &[f64]) -> Change {
    if after.iter().any(|v| v.is_nan()) {
        return NotANumber;
    }
    let size = before.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    let near = |factor: f64| {
        let close = |(b, a): (&f64, &f64)| (factor * b - a).abs() <= 1e-3 * factor * size;
        before.iter().zip(after).all(close)
    };
    match () {
        () if near(1.0) => Same,
        () if after.iter().all(|a| a.abs() <= 1e-3 * size) => Zero,
        () if near(0.5) => Half,
        () if near(0.1) => OneTenth,
        () => Different,
    }
}

fn asked(p: &Predictions, seed: u64) -> Vec<Asked<Change>> {
    let rng = &mut StdRng::seed_from_u64(seed);
    let batch = Padded::new(rng);
    let longer = batch.longer();
    let layer_norm = LayerNorm::new([C]);
    let layer = |b: &Padded| b.outputs(|x| layer_norm.forward(x));
    let rectangle = |b: &Padded| b.outputs(|x| BatchNorm::new(C).train(x));
    let packed = |b: &Padded| b.packed(|x| BatchNorm::new(C).train(x));

    // Losses over a rectangle whose padding is not zero, as that of a hidden layer is.
    let hidden = batch.filled(1.5);
    let count = batch.places().len() as f64;
    let all = batch.counts().len() as f64;
    let masked = |divisor: f64| {
        hidden.gradient(|x| {
            let mask = x.tape().constant(hidden.mask());
            (losses(x) * mask).sum_all() / divisor
        })
    };
    let unmasked = hidden.gradient(|x| losses(x).sum_all() / all);

    let nan = batch.filled(f64::NAN);
    let multiplied = |b: &Padded| {
        let loss = Tape::eval(|t| {
            let loss = losses(&t.constant(b.x.clone())) * t.constant(b.mask());
            loss.sum_all().value().to_vec()
        });
        vec![loss[0] / count]
    };
    let left_out = |b: &Padded| {
        let losses = b.packed(losses);
        vec![losses.iter().sum::<f64>() / count]
    };

    let (u, h) = (draw([C, C], rng), draw([5, C], rng));
    let dy = draw([5, C], rng);
    let [y, du] = normed_product(&u, &h, &dy);
    let [y_ten, du_ten] = normed_product(&u.map(|u| 10.0 * u), &h, &dy);

    let same_input = |rng: &mut StdRng| {
        let row = draw([C], rng);
        Tensor::from_fn([5, C], |i| row.data()[i % C])
    };
    let (constant, other) = (same_input(rng), same_input(rng));
    let [constant_y, constant_dx] = step(&constant, &dy, true);
    let [_, frozen_dx] = step(&constant, &dy, false);
    // Apart by 2 or more in every channel: of two equal values eps would be all the variance.
    let (apart, two_dy) = (draw([2, C], rng), draw([2, C], rng));
    let two = Tensor::from_fn([2, C], |i| {
        let side = if i < C { 2.0 } else { -2.0 };
        side + apart.data()[i]
    });
    let [_, two_dx] = step(&two, &two_dy, true);
    let [_, two_frozen_dx] = step(&two, &two_dy, false);
    // Where beta is zero, so is the output: let it be seen beside the upstream gradient.
    let shown = |y: &[f64]| y.iter().map(|y| 1.0 + y).collect::<Vec<f64>>();

    let one = |name, what, predicted, found, why, section| Asked {
        name,
        what,
        predicted,
        found,
        why,
        section,
    };
    vec![
        one(
            "longer_layer_norm",
            "more padding, Layer Norm",
            p.longer_layer_norm,
            observed(&layer(&batch), &layer(&longer)),
            "the statistics of a position are its own",
            "sec:lengths",
        ),
        one(
            "longer_batch_norm",
            "more padding, Batch Norm of the rectangle",
            p.longer_batch_norm,
            observed(&rectangle(&batch), &rectangle(&longer)),
            "every zero of the padding is a value of the channel, and pulls the mean",
            "sec:masked",
        ),
        one(
            "longer_packed",
            "more padding, Batch Norm of packed rows",
            p.longer_packed,
            observed(&packed(&batch), &packed(&longer)),
            "packing leaves the padding out, however much there is",
            "sec:lengths",
        ),
        one(
            "padding_gradient",
            "a masked loss, the gradient at the padding",
            p.padding_gradient,
            observed(
                &hidden.of_padding(&unmasked),
                &hidden.of_padding(&masked(count)),
            ),
            "nothing that is counted depends on the padding",
            "sec:lengths",
        ),
        one(
            "divided_by_all",
            "the masked loss divided by B T instead of M",
            p.divided_by_all,
            observed(&masked(count), &masked(all)),
            "a loss that is divided by twice as much has gradients half as large, so batches with much padding learn less",
            "sec:masked",
        ),
        one(
            "nan_multiplied",
            "NaN in the padding, multiplied by the mask",
            p.nan_multiplied,
            observed(&multiplied(&batch), &multiplied(&nan)),
            "0 times NaN is NaN",
            "sec:masked",
        ),
        one(
            "nan_packed",
            "NaN in the padding, packed",
            p.nan_packed,
            observed(&left_out(&batch), &left_out(&nan)),
            "what is left out cannot get in",
            "sec:masked",
        ),
        one(
            "state_matrix",
            "U times 10, the output of LN(U h)",
            p.state_matrix,
            observed(&y, &y_ten),
            "a positive scale cancels in Layer Norm",
            "sec:ln-cell",
        ),
        one(
            "state_matrix_gradient",
            "U times 10, the gradient of U",
            p.state_matrix_gradient,
            observed(&du, &du_ten),
            "the same change of the output now takes a change of U that is ten times as large",
            "sec:ln-cell",
        ),
        one(
            "constant_step",
            "another input at a step where all sequences have the same",
            p.constant_step,
            observed(&shown(&constant_y), &shown(&step(&other, &dy, true)[0])),
            "equal values are equal to their mean, so the output is beta, whatever they are",
            "sec:step-norm",
        ),
        one(
            "constant_step_gradient",
            "such a step in training, the gradient of its input",
            p.constant_step_gradient,
            observed(&row_sum(&frozen_dx), &row_sum(&constant_dx)),
            "the input is the same for all sequences and moves all values alike, which the mean takes along",
            "sec:step-norm",
        ),
        one(
            "two_sequences",
            "a step that two sequences reach, the gradient of its input",
            p.two_sequences,
            observed(&two_frozen_dx, &two_dx),
            "two values leave no gradient through: there are two directions, and both are removed",
            "sec:step-norm",
        ),
    ]
}

/// All sequences have one input: what comes back to it is the sum over them.
fn row_sum(dx: &[f64]) -> Vec<f64> {
    let mut sum = vec![0.0; C];
    for (at, dx) in dx.iter().enumerate() {
        sum[at % C] += dx;
    }
    sum
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Nameless("it asks for predictions")
}

/// The report on `predictions`, from random sequences of this seed.
#[must_use]
pub fn report(predictions: &Predictions, seed: u64) -> Report {
    quiz::report(NAME, Undecided, &asked(predictions, seed))
}

#[cfg(test)]
mod tests;
