//! Checks the exercise `cnn_predictions`: runs what was predicted.

use crate::arrays::Draws;
use crate::predictions::{is_gone, is_times, made, otherwise, passed};
use batchnorm::BatchNorm;
use judge::quiz;
use layernorm::LayerNorm;
use tape::{Slide, Tensor};

quiz! {
    /// What becomes of a value or a gradient when something is changed.
    enum Change {
        /// It stays, to a thousandth.
        Same if is_times(1.0),
        /// It becomes zero, to rounding.
        Zero if is_gone(1e-10),
        /// It is ten times as large, to a thousandth.
        TimesTen if is_times(10.0),
        /// It is a tenth as large, to a thousandth.
        OneTenth if is_times(0.1),
        /// Something else.
        Different if otherwise,
    }

    bias_batch_norm in "sec:conv-bias":
        "the gradient of the bias, with Batch Norm behind",
        "the gradients of a channel add up to zero behind Batch Norm, and that sum is the gradient of the bias";
    bias_layer_norm in "sec:conv-scale":
        "the gradient of the bias, with Layer Norm behind",
        "over all channels of an image together the gradients add up to zero, not over one channel";
    filters_output in "sec:conv-scale":
        "filters times 10, the output, Batch Norm",
        "the deviation of the channel grows along, and the norm divides by it";
    filters_gradient in "sec:conv-scale":
        "filters times 10, their gradient, Batch Norm",
        "the same change of the output now takes a change of the filter that is ten times as large";
    filters_gradient_no_norm in "sec:conv-backward":
        "filters times 10, their gradient, no norm",
        "a convolution is linear in its filters, so their gradient, dy times the pixels, does not know how large they are";
    one_filter_layer_norm in "sec:conv-scale":
        "one filter times 10, the output, Layer Norm",
        "all channels of an image share one deviation, so a channel that grows pushes the others down";
    ones_upstream in "sec:projection":
        "an upstream gradient of ones, the gradient of the filters, Batch Norm",
        "the sum of a normalized channel is fixed, so nothing that is done to the filters changes it";
    relu_and_pool in "sec:conv-block":
        "ReLU and max-pool exchanged",
        "ReLU keeps the order of numbers, so the ReLU of the largest is the largest ReLU";
    norm_and_pool in "sec:conv-block":
        "Batch Norm and max-pool exchanged",
        "behind the pool there are fewer values, and the largest ones: other statistics";
    others_training in "sec:conv-statistics":
        "the other images replaced, the output of the first, in training",
        "mean and variance of a channel run over all images of the batch, not only over positions";
    others_inference in "sec:running-stats":
        "the other images replaced, the output of the first, at inference",
        "at inference the statistics are fixed numbers";
}

const INPUT: [usize; 4] = [4, 2, 6, 6];
const FILTERS: [usize; 4] = [3, 2, 3, 3];
const OUTPUT: [usize; 4] = [4, 3, 6, 6];
/// The values of an image, before and behind the convolution.
const PIXELS: usize = INPUT[1] * INPUT[2] * INPUT[3];
const OUTPUTS: usize = OUTPUT[1] * OUTPUT[2] * OUTPUT[3];

#[derive(Clone, Copy, PartialEq)]
enum Norm {
    None,
    Batch,
    Layer,
    Inference,
}

#[derive(Clone, Copy)]
enum Order {
    NormReluPool,
    NormPoolRelu,
    PoolNormRelu,
}

/// A convolution, what goes through it, and what comes back.
#[derive(Clone)]
struct Block {
    x: Tensor<f64>,
    w: Tensor<f64>,
    b: Tensor<f64>,
    dy: Tensor<f64>,
}

impl Block {
    /// The output with this norm behind, and the gradients of the filters and the biases.
    fn run(&self, norm: Norm) -> [Vec<f64>; 3] {
        let (y, [_, dw, db]) = passed([&self.x, &self.w, &self.b], &self.dy, |[x, w, b]| {
            let z = x.conv2d(w, Some(b), Slide::by(1).padded(1));
            match norm {
                Norm::None => z,
                Norm::Batch => BatchNorm::new(FILTERS[0]).train(&z),
                Norm::Inference => BatchNorm::new(FILTERS[0]).eval(&z),
                Norm::Layer => LayerNorm::new(&OUTPUT[1..]).forward(&z),
            }
        });
        [y, dw, db]
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

    /// Norm, ReLU and pool in this order.
    fn pooled(&self, order: Order) -> Vec<f64> {
        made([&self.x, &self.w, &self.b], |[x, w, b]| {
            let mut norm = BatchNorm::new(FILTERS[0]);
            let z = x.conv2d(w, Some(b), Slide::by(1).padded(1));
            match order {
                Order::NormReluPool => norm.train(&z).relu().max_pool2d(2, Slide::by(2)),
                Order::NormPoolRelu => norm.train(&z).max_pool2d(2, Slide::by(2)).relu(),
                Order::PoolNormRelu => norm.train(&z.max_pool2d(2, Slide::by(2))).relu(),
            }
        })
    }
}

fn found(seed: u64) -> Predictions {
    let rng = &mut Draws::new(seed).0;
    let mut draw = |shape: &[usize]| Tensor::uniform(shape, -1.0, 1.0, rng);
    let block = Block {
        x: draw(&INPUT),
        w: draw(&FILTERS),
        b: draw(&FILTERS[..1]),
        dy: draw(&OUTPUT),
    };
    let mut others = block.clone();
    others.x.data_mut()[PIXELS..].copy_from_slice(&draw(&INPUT).data()[PIXELS..]);
    let ones = Block {
        dy: Tensor::ones(OUTPUT),
        ..block.clone()
    };
    let ten = block.times_ten(FILTERS[0]);

    let [none_y, none_dw, none_db] = block.run(Norm::None);
    let [y, dw, db] = block.run(Norm::Batch);
    let [layer_y, _, layer_db] = block.run(Norm::Layer);
    let [ten_y, ten_dw, _] = ten.run(Norm::Batch);
    let [_, ten_none_dw, _] = ten.run(Norm::None);
    let pooled = block.pooled(Order::NormReluPool);
    let first_of_others = |norm| {
        let [before, after] = [&block, &others].map(|block| block.run(norm)[0][..OUTPUTS].to_vec());
        observed(&before, &after)
    };
    Predictions {
        bias_batch_norm: observed(&none_db, &db),
        bias_layer_norm: observed(&none_db, &layer_db),
        filters_output: observed(&y, &ten_y),
        filters_gradient: observed(&dw, &ten_dw),
        filters_gradient_no_norm: observed(&none_dw, &ten_none_dw),
        one_filter_layer_norm: observed(&layer_y, &block.times_ten(1).run(Norm::Layer)[0]),
        ones_upstream: observed(&dw, &ones.run(Norm::Batch)[1]),
        relu_and_pool: observed(&pooled, &block.pooled(Order::NormPoolRelu)),
        norm_and_pool: observed(&pooled, &block.pooled(Order::PoolNormRelu)),
        others_training: first_of_others(Norm::Batch),
        others_inference: first_of_others(Norm::Inference),
    }
}
