//! Checks the exercise `cnn_predictions`: runs what was predicted.

use crate::Report;
use crate::engine::Checker;
use crate::harness;
use crate::quiz::{self, Asked};
use batchnorm::BatchNorm;
use layernorm::LayerNorm;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::process::ExitCode;
use tape::{Param, Tape, Tensor};

const NAME: &str = "cnn_predictions";

/// What becomes of a value or a gradient when something is changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// Not predicted yet.
    Undecided,
    /// It stays, to a thousandth.
    Same,
    /// It becomes zero, to rounding.
    Zero,
    /// It is ten times as large, to a thousandth.
    TimesTen,
    /// It is a tenth as large, to a thousandth.
    OneTenth,
    /// Something else.
    Different,
}

use Change::{Different, OneTenth, Same, TimesTen, Undecided, Zero};

/// The predictions.
#[derive(Clone, Copy, Debug)]
pub struct Predictions {
    /// Batch Norm is put behind the convolution. The gradient of the convolution's bias?
    pub bias_batch_norm: Change,
    /// Layer Norm is put behind it. The gradient of its bias?
    pub bias_layer_norm: Change,
    /// All filters times 10, Batch Norm behind. The output?
    pub filters_output: Change,
    /// The same. The gradient of the filters?
    pub filters_gradient: Change,
    /// All filters times 10, no norm. The gradient of the filters?
    pub filters_gradient_no_norm: Change,
    /// One filter times 10, Layer Norm behind. The output?
    pub one_filter_layer_norm: Change,
    /// An upstream gradient of ones, Batch Norm behind. The gradient of the filters?
    pub ones_upstream: Change,
    /// ReLU and max-pool exchanged. The output?
    pub relu_and_pool: Change,
    /// Batch Norm and max-pool exchanged. The output?
    pub norm_and_pool: Change,
    /// All other images replaced, Batch Norm in training. The output of the first?
    pub others_training: Change,
    /// The same at inference.
    pub others_inference: Change,
}

/// Runs what was predicted and prints the report.
pub fn check(predictions: impl Fn() -> Predictions) -> ExitCode {
    harness::run(NAME, || report(&predictions(), 0))
}

const IMAGES: usize = 4;
const INPUT: [usize; 4] = [IMAGES, 2, 6, 6];
const FILTERS: [usize; 4] = [3, 2, 3, 3];
const OUTPUT: [usize; 4] = [IMAGES, 3, 6, 6];

#[derive(Clone, Copy, PartialEq)]
enum Norm {
    None,
    Batch,
    Layer,
    Inference,
}

#[derive(Clone)]
struct Block {
    x: Tensor<f64>,
    w: Tensor<f64>,
    b: Tensor<f64>,
    dy: Tensor<f64>,
}

struct Result {
    y: Vec<f64>,
    dw: Vec<f64>,
    db: Vec<f64>,
}

impl Block {
    fn run(&self, norm: Norm) -> Result {
        let (w, b) = (
            Param::new("w", self.w.clone()),
            Param::new("b", self.b.clone()),
        );
        let mut batch_norm = BatchNorm::new(FILTERS[0]);
        let layer_norm = LayerNorm::new(&OUTPUT[1..]);
        let (y, (), grads) = Tape::new().vjp(&self.dy, |t| {
            let z = t
                .constant(self.x.clone())
                .conv2d(&t.param(&w), Some(&t.param(&b)), 1, 1);
            let y = match norm {
                Norm::None => z,
                Norm::Batch => batch_norm.train(&z),
                Norm::Inference => batch_norm.eval(&z),
                Norm::Layer => layer_norm.forward(&z),
            };
            (y, ())
        });
        Result {
            y: y.to_vec(),
            dw: grads.of(&w).to_vec(),
            db: grads.of(&b).to_vec(),
        }
    }

    /// The first filters, `count` of them, times 10.
    fn times_ten(&self, count: usize) -> Block {
        let mut block = self.clone();
        let taps = FILTERS[1..].iter().product::<usize>();
        for w in &mut block.w.data_mut()[..count * taps] {
            *w *= 10.0;
        }
        block
    }

    /// Norm, ReLU and pool in this order, or with two of them exchanged.
    fn pooled(&self, order: Order) -> Vec<f64> {
        let mut norm = BatchNorm::new(FILTERS[0]);
        Tape::eval(|t| {
            let [x, w, b] = [&self.x, &self.w, &self.b].map(|v| t.constant(v.clone()));
            let z = x.conv2d(&w, Some(&b), 1, 1);
            let y = match order {
                Order::NormReluPool => norm.train(&z).relu().max_pool2d(2, 2, 0),
                Order::NormPoolRelu => norm.train(&z).max_pool2d(2, 2, 0).relu(),
                Order::PoolNormRelu => norm.train(&z.max_pool2d(2, 2, 0)).relu(),
            };
            y.value().to_vec()
        })
    }
}

#[derive(Clone, Copy)]
enum Order {
    NormReluPool,
    NormPoolRelu,
    PoolNormRelu,
}

fn draw(shape: [usize; 4], rng: &mut StdRng) -> Tensor<f64> {
    Tensor::from_fn(shape, |_| rng.random_range(-1.0..1.0))
}

/// What happened, from the values before and after.
fn observed(before: &[f64], after: &[f64]) -> Change {
    let size = before.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    let near = |factor: f64| {
        let close = |(b, a): (&f64, &f64)| (factor * b - a).abs() < 1e-3 * factor * size;
        before.iter().zip(after).all(close)
    };
    match () {
        () if after.iter().all(|a| a.abs() < 1e-10 * size) => Zero,
        () if near(1.0) => Same,
        () if near(10.0) => TimesTen,
        () if near(0.1) => OneTenth,
        () => Different,
    }
}

fn asked(p: &Predictions, seed: u64) -> Vec<Asked<Change>> {
    let rng = &mut StdRng::seed_from_u64(seed);
    let block = Block {
        x: draw(INPUT, rng),
        w: draw(FILTERS, rng),
        b: Tensor::from_fn([FILTERS[0]], |_| rng.random_range(-1.0..1.0)),
        dy: draw(OUTPUT, rng),
    };
    let mut others = block.clone();
    others.x = draw(INPUT, rng);
    let first_image = INPUT[1..].iter().product::<usize>();
    let same = block.x.data()[..first_image].to_vec();
    others.x.data_mut()[..first_image].copy_from_slice(&same);
    let mut ones = block.clone();
    ones.dy = Tensor::ones(OUTPUT);

    let [none, batch, layer, inference] =
        [Norm::None, Norm::Batch, Norm::Layer, Norm::Inference].map(|norm| block.run(norm));
    let ten = block.times_ten(FILTERS[0]);
    let first = |y: &[f64]| y[..OUTPUT[1..].iter().product()].to_vec();
    let pooled = block.pooled(Order::NormReluPool);
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
            "bias_batch_norm",
            "the gradient of the bias, with Batch Norm behind",
            p.bias_batch_norm,
            observed(&none.db, &batch.db),
            "the gradients of a channel add up to zero behind Batch Norm, and that sum is the gradient of the bias",
            "sec:conv-bias",
        ),
        one(
            "bias_layer_norm",
            "the gradient of the bias, with Layer Norm behind",
            p.bias_layer_norm,
            observed(&none.db, &layer.db),
            "over all channels of an image together the gradients add up to zero, not over one channel",
            "sec:conv-scale",
        ),
        one(
            "filters_output",
            "filters times 10, the output, Batch Norm",
            p.filters_output,
            observed(&batch.y, &ten.run(Norm::Batch).y),
            "the deviation of the channel grows along, and the norm divides by it",
            "sec:conv-scale",
        ),
        one(
            "filters_gradient",
            "filters times 10, their gradient, Batch Norm",
            p.filters_gradient,
            observed(&batch.dw, &ten.run(Norm::Batch).dw),
            "the same change of the output now takes a change of the filter that is ten times as large",
            "sec:conv-scale",
        ),
        one(
            "filters_gradient_no_norm",
            "filters times 10, their gradient, no norm",
            p.filters_gradient_no_norm,
            observed(&none.dw, &ten.run(Norm::None).dw),
            "a convolution is linear in its filters, so their gradient, dy times the pixels, does not know how large they are",
            "sec:conv-backward",
        ),
        one(
            "one_filter_layer_norm",
            "one filter times 10, the output, Layer Norm",
            p.one_filter_layer_norm,
            observed(&layer.y, &block.times_ten(1).run(Norm::Layer).y),
            "all channels of an image share one deviation, so a channel that grows pushes the others down",
            "sec:conv-scale",
        ),
        one(
            "ones_upstream",
            "an upstream gradient of ones, the gradient of the filters, Batch Norm",
            p.ones_upstream,
            observed(&batch.dw, &ones.run(Norm::Batch).dw),
            "the sum of a normalized channel is fixed, so nothing that is done to the filters changes it",
            "sec:projection",
        ),
        one(
            "relu_and_pool",
            "ReLU and max-pool exchanged",
            p.relu_and_pool,
            observed(&pooled, &block.pooled(Order::NormPoolRelu)),
            "ReLU keeps the order of numbers, so the ReLU of the largest is the largest ReLU",
            "sec:conv-block",
        ),
        one(
            "norm_and_pool",
            "Batch Norm and max-pool exchanged",
            p.norm_and_pool,
            observed(&pooled, &block.pooled(Order::PoolNormRelu)),
            "behind the pool there are fewer values, and the largest ones: other statistics",
            "sec:conv-block",
        ),
        one(
            "others_training",
            "the other images replaced, the output of the first, in training",
            p.others_training,
            observed(&first(&batch.y), &first(&others.run(Norm::Batch).y)),
            "mean and variance of a channel run over all images of the batch, not only over positions",
            "sec:conv-statistics",
        ),
        one(
            "others_inference",
            "the other images replaced, the output of the first, at inference",
            p.others_inference,
            observed(&first(&inference.y), &first(&others.run(Norm::Inference).y)),
            "at inference the statistics are fixed numbers",
            "sec:running-stats",
        ),
    ]
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Nameless("it asks for predictions")
}

/// The report on `predictions`, from random images of this seed.
#[must_use]
pub fn report(predictions: &Predictions, seed: u64) -> Report {
    quiz::report(NAME, Undecided, &asked(predictions, seed))
}

#[cfg(test)]
mod tests;
