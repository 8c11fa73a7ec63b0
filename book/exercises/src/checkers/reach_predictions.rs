//! Checks the exercise `reach_predictions`: runs what was predicted.

use crate::Report;
use crate::engine::Checker;
use crate::harness;
use crate::quiz::{self, Asked};
use batchnorm::BatchNorm;
use layernorm::{LayerNorm, RmsNorm};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::process::ExitCode;
use tape::{Param, Tape, Tensor, Var};

const NAME: &str = "reach_predictions";

/// Which values differ from before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    /// Not predicted yet.
    Undecided,
    /// None, to rounding.
    Nothing,
    /// The one in the place of the changed element.
    Itself,
    /// Those of one channel of one image.
    Plane,
    /// Those of one group of channels of one image.
    Group,
    /// Those of one image.
    Image,
    /// Those of one channel, in all images.
    Channel,
    /// All.
    Everything,
}

use Reach::{Channel, Everything, Group, Image, Itself, Nothing, Plane, Undecided};

/// The predictions.
#[derive(Clone, Copy, Debug)]
pub struct Predictions {
    /// One element of x is changed. The outputs of Batch Norm in training?
    pub batch_norm: Reach,
    /// Of Batch Norm at inference?
    pub batch_norm_inference: Reach,
    /// Of Layer Norm over `[C, H, W]`?
    pub layer_norm: Reach,
    /// Of Layer Norm over `[H, W]` alone?
    pub layer_norm_last_two: Reach,
    /// Of RMS Norm over `[C, H, W]`?
    pub rms_norm: Reach,
    /// Of Group Norm with two groups?
    pub group_norm: Reach,
    /// Of Group Norm with as many groups as channels?
    pub instance_norm: Reach,
    /// Batch Norm, a 1 x 1 convolution, Batch Norm. Its outputs?
    pub two_batch_norms: Reach,
    /// All elements of one channel of one image become 3 larger. Instance Norm?
    pub brighter_instance_norm: Reach,
    /// The same. Layer Norm over `[C, H, W]`?
    pub brighter_layer_norm: Reach,
    /// One image times 10. Layer Norm over `[C, H, W]`?
    pub louder_layer_norm: Reach,
    /// One element of dy is changed. dx of Batch Norm in training?
    pub upstream_batch_norm: Reach,
    /// dx of Batch Norm at inference?
    pub upstream_inference: Reach,
}

/// Runs what was predicted and prints the report.
pub fn check(predictions: impl Fn() -> Predictions) -> ExitCode {
    harness::run(NAME, || report(&predictions(), 0))
}

const SHAPE: [usize; 4] = [3, 4, 3, 3];
const GROUPS: usize = 2;
const PLANE: usize = SHAPE[2] * SHAPE[3];
const IMAGE: usize = SHAPE[1] * PLANE;
/// The changed element: image 1, channel 2, the middle.
const AT: usize = IMAGE + 2 * PLANE + PLANE / 2;
/// So small that a scaled image is normalized alike, to rounding.
const EPS: f64 = 1e-14;
/// Up to here, two values are the same but for rounding.
const ROUNDING: f64 = 1e-9;

/// A function of a batch of images.
type Net<'a> = &'a dyn for<'t> Fn(&Var<'t, f64>) -> Var<'t, f64>;

/// Each group of channels is a row of a reshaped view. Without scale and shift.
fn group_norm<'t>(x: &Var<'t, f64>, groups: usize) -> Var<'t, f64> {
    let row = IMAGE / groups;
    let norm = LayerNorm::new([row]).without_affine();
    norm.forward(&x.reshape([SHAPE[0], groups, row]))
        .reshape(SHAPE)
}

fn outputs(net: Net<'_>, x: &Tensor<f64>) -> Vec<f64> {
    Tape::eval(|t| net(&t.constant(x.clone())).value().to_vec())
}

fn gradient(net: Net<'_>, x: &Tensor<f64>, dy: &Tensor<f64>) -> Vec<f64> {
    let x = Param::new("x", x.clone());
    let (_, (), grads) = Tape::new().vjp(dy, |t| (net(&t.param(&x)), ()));
    grads.of(&x).to_vec()
}

/// The set of the places where two lists differ, by name.
fn reach(before: &[f64], after: &[f64]) -> Reach {
    let differs = |k: &usize| (before[*k] - after[*k]).abs() > ROUNDING;
    let places: Vec<usize> = (0..before.len()).filter(differs).collect();
    let (image, channel) = (|k: usize| k / IMAGE, |k: usize| k / PLANE % SHAPE[1]);
    let group = |k: usize| channel(k) / (SHAPE[1] / GROUPS);
    let is = |inside: &dyn Fn(usize) -> bool| {
        let all = (0..before.len()).filter(|k| inside(*k));
        all.eq(places.iter().copied())
    };
    let same_image = |k: usize| image(k) == image(AT);
    match () {
        () if places.is_empty() => Nothing,
        () if is(&|k| k == AT) => Itself,
        () if is(&|k| same_image(k) && channel(k) == channel(AT)) => Plane,
        () if is(&|k| same_image(k) && group(k) == group(AT)) => Group,
        () if is(&same_image) => Image,
        () if is(&|k| channel(k) == channel(AT)) => Channel,
        () if places.len() == before.len() => Everything,
        // No prediction is this: the report says that it came out otherwise.
        () => Undecided,
    }
}

fn asked(p: &Predictions, seed: u64) -> Vec<Asked<Reach>> {
    let rng = &mut StdRng::seed_from_u64(seed);
    let mut draw = || Tensor::from_fn(SHAPE, |_| rng.random_range(-1.0..1.0));
    let (x, dy) = (draw(), draw());
    let weights = Param::new("w", {
        let shape = [SHAPE[1], SHAPE[1], 1, 1];
        Tensor::from_fn(shape, |_| rng.random_range(0.5..1.5))
    });
    let changed = |values: &Tensor<f64>, f: &dyn Fn(usize, f64) -> f64| {
        let mut new = values.clone();
        for (k, v) in new.data_mut().iter_mut().enumerate() {
            *v = f(k, *v);
        }
        new
    };
    let one = |values: &Tensor<f64>| changed(values, &|k, v| if k == AT { v + 0.7 } else { v });
    let moved = one(&x);
    let brighter = changed(&x, &|k, v| {
        if k / PLANE == AT / PLANE { v + 3.0 } else { v }
    });
    let louder = changed(&x, &|k, v| {
        if k / IMAGE == AT / IMAGE { 10.0 * v } else { v }
    });
    let moved_dy = one(&dy);

    let channels = SHAPE[1];
    let batch: Net<'_> = &|x| BatchNorm::new(channels).train(x);
    let inference: Net<'_> = &|x| BatchNorm::new(channels).eval(x);
    let layer: Net<'_> = &|x| LayerNorm::new(&SHAPE[1..]).with_eps(EPS).forward(x);
    let last_two: Net<'_> = &|x| LayerNorm::new(&SHAPE[2..]).with_eps(EPS).forward(x);
    let rms: Net<'_> = &|x| RmsNorm::new(&SHAPE[1..]).forward(x);
    let group: Net<'_> = &|x| group_norm(x, GROUPS);
    let instance: Net<'_> = &|x| group_norm(x, channels);
    let two: Net<'_> = &|x| {
        let first = BatchNorm::new(channels).train(x);
        let mixed = first.conv2d(&x.tape().param(&weights), None, 1, 0);
        BatchNorm::new(channels).train(&mixed)
    };
    let forward = |net, to: &Tensor<f64>| reach(&outputs(net, &x), &outputs(net, to));
    let back = |net| reach(&gradient(net, &x, &dy), &gradient(net, &x, &moved_dy));
    let item = |name, what, predicted, found, why, section| Asked {
        name,
        what,
        predicted,
        found,
        why,
        section,
    };
    vec![
        item(
            "batch_norm",
            "one element changed, Batch Norm in training",
            p.batch_norm,
            forward(batch, &moved),
            "mean and variance of a channel run over all images and places",
            "sec:family-axes",
        ),
        item(
            "batch_norm_inference",
            "one element changed, Batch Norm at inference",
            p.batch_norm_inference,
            forward(inference, &moved),
            "the statistics are fixed numbers, so each value goes its own way",
            "sec:freezing",
        ),
        item(
            "layer_norm",
            "one element changed, Layer Norm over [C, H, W]",
            p.layer_norm,
            forward(layer, &moved),
            "all values of an image share one mean and one deviation, and no other image does",
            "sec:family-axes",
        ),
        item(
            "layer_norm_last_two",
            "one element changed, Layer Norm over [H, W]",
            p.layer_norm_last_two,
            forward(last_two, &moved),
            "each channel of each image is a row of its own: the sets of Instance Norm",
            "sec:family-axes",
        ),
        item(
            "rms_norm",
            "one element changed, RMS Norm over [C, H, W]",
            p.rms_norm,
            forward(rms, &moved),
            "no mean is subtracted, but all values are divided by the same root mean square",
            "sec:rms-norm",
        ),
        item(
            "group_norm",
            "one element changed, Group Norm with two groups",
            p.group_norm,
            forward(group, &moved),
            "the statistics run over half of the channels of one image",
            "sec:group-norm",
        ),
        item(
            "instance_norm",
            "one element changed, Group Norm with a group for each channel",
            p.instance_norm,
            forward(instance, &moved),
            "a group is one channel of one image: this is Instance Norm",
            "sec:family-axes",
        ),
        item(
            "two_batch_norms",
            "one element changed, Batch Norm, 1 x 1 convolution, Batch Norm",
            p.two_batch_norms,
            forward(two, &moved),
            "the first norm spreads the change over all images, the convolution over all channels",
            "sec:family-axes",
        ),
        item(
            "brighter_instance_norm",
            "one channel of one image 3 larger, Instance Norm",
            p.brighter_instance_norm,
            forward(instance, &brighter),
            "the mean of the set grows by 3 as well, and is subtracted",
            "sec:family-axes",
        ),
        item(
            "brighter_layer_norm",
            "one channel of one image 3 larger, Layer Norm over [C, H, W]",
            p.brighter_layer_norm,
            forward(layer, &brighter),
            "the other channels stay where they are, so the image is not shifted as a whole",
            "sec:family-axes",
        ),
        item(
            "louder_layer_norm",
            "one image times 10, Layer Norm over [C, H, W]",
            p.louder_layer_norm,
            forward(layer, &louder),
            "its deviation is ten times as large, too, and the norm divides by it",
            "sec:ln-invariance",
        ),
        item(
            "upstream_batch_norm",
            "one element of dy changed, dx of Batch Norm in training",
            p.upstream_batch_norm,
            back(batch),
            "both sums of the backward pass run over the channel, through all images",
            "sec:family-axes",
        ),
        item(
            "upstream_inference",
            "one element of dy changed, dx of Batch Norm at inference",
            p.upstream_inference,
            back(inference),
            "dx is dy times a constant, element by element",
            "sec:freezing",
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
