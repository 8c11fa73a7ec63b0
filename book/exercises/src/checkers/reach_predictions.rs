//! Checks the exercise `reach_predictions`: runs what was predicted.

use crate::arrays::Draws;
use crate::predictions::{made, passed};
use batchnorm::BatchNorm;
use judge::quiz;
use layernorm::{LayerNorm, RmsNorm};
use tape::{Slide, Tensor, Var};

quiz! {
    /// Which values differ from before.
    enum Reach {
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

    batch_norm in "sec:family-axes":
        "one element changed, Batch Norm in training",
        "mean and variance of a channel run over all images and places";
    batch_norm_inference in "sec:freezing":
        "one element changed, Batch Norm at inference",
        "the statistics are fixed numbers, so each value goes its own way";
    layer_norm in "sec:family-axes":
        "one element changed, Layer Norm over [C, H, W]",
        "all values of an image share one mean and one deviation, and no other image does";
    layer_norm_last_two in "sec:family-axes":
        "one element changed, Layer Norm over [H, W]",
        "each channel of each image is a row of its own: the sets of Instance Norm";
    rms_norm in "sec:rms-norm":
        "one element changed, RMS Norm over [C, H, W]",
        "no mean is subtracted, but all values are divided by the same root mean square";
    group_norm in "sec:group-norm":
        "one element changed, Group Norm with two groups",
        "the statistics run over half of the channels of one image";
    instance_norm in "sec:family-axes":
        "one element changed, Group Norm with a group for each channel",
        "a group is one channel of one image: this is Instance Norm";
    two_batch_norms in "sec:family-axes":
        "one element changed, Batch Norm, 1 x 1 convolution, Batch Norm",
        "the first norm spreads the change over all images, the convolution over all channels";
    brighter_instance_norm in "sec:family-axes":
        "one channel of one image 3 larger, Instance Norm",
        "the mean of the set grows by 3 as well, and is subtracted";
    brighter_layer_norm in "sec:family-axes":
        "one channel of one image 3 larger, Layer Norm over [C, H, W]",
        "the other channels stay where they are, so the image is not shifted as a whole";
    louder_layer_norm in "sec:ln-invariance":
        "one image times 10, Layer Norm over [C, H, W]",
        "its deviation is ten times as large, too, and the norm divides by it";
    upstream_batch_norm in "sec:family-axes":
        "one element of dy changed, dx of Batch Norm in training",
        "both sums of the backward pass run over the channel, through all images";
    upstream_inference in "sec:freezing":
        "one element of dy changed, dx of Batch Norm at inference",
        "dx is dy times a constant, element by element";
}

use Reach::{Channel, Everything, Group, Image, Itself, Nothing, Plane, Undecided};

const SHAPE: [usize; 4] = [3, 4, 3, 3];
const CHANNELS: usize = SHAPE[1];
const GROUPS: usize = 2;
const PLANE: usize = SHAPE[2] * SHAPE[3];
const IMAGE: usize = CHANNELS * PLANE;
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
    let rows = x.reshape([SHAPE[0], groups, row]);
    norm.forward(&rows).reshape(SHAPE)
}

/// The set of the places where two lists differ, by name.
fn reach(before: &[f64], after: &[f64]) -> Reach {
    let differs = |k: &usize| (before[*k] - after[*k]).abs() > ROUNDING;
    let places: Vec<usize> = (0..before.len()).filter(differs).collect();
    let of = |k: usize| {
        let channel = k / PLANE % CHANNELS;
        (k / IMAGE, channel, channel / (CHANNELS / GROUPS))
    };
    let (image, channel, group) = of(AT);
    let sets: [(Reach, &dyn Fn(usize) -> bool); 7] = [
        (Nothing, &|_| false),
        (Itself, &|k| k == AT),
        (Plane, &|k| of(k) == (image, channel, group)),
        (Group, &|k| (of(k).0, of(k).2) == (image, group)),
        (Image, &|k| of(k).0 == image),
        (Channel, &|k| of(k).1 == channel),
        (Everything, &|_| true),
    ];
    let is = |inside: &dyn Fn(usize) -> bool| {
        let all = (0..before.len()).filter(|k| inside(*k));
        all.eq(places.iter().copied())
    };
    let named = sets.into_iter().find(|(_, inside)| is(*inside));
    // No prediction is the last: the report says that it came out otherwise.
    named.map_or(Undecided, |(name, _)| name)
}

fn found(seed: u64) -> Predictions {
    let rng = &mut Draws::new(seed).0;
    let [x, dy] = [(); 2].map(|()| Tensor::uniform(SHAPE, -1.0, 1.0, rng));
    let weights = Tensor::uniform([CHANNELS, CHANNELS, 1, 1], 0.5, 1.5, rng);
    let changed = |values: &Tensor<f64>, f: fn(usize, f64) -> f64| {
        Tensor::from_fn(SHAPE, |k| f(k, values.data()[k]))
    };
    let one: fn(usize, f64) -> f64 = |k, v| if k == AT { v + 0.7 } else { v };
    let (moved, moved_dy) = (changed(&x, one), changed(&dy, one));
    let brighter = changed(&x, |k, v| if k / PLANE == AT / PLANE { v + 3.0 } else { v });
    let louder = changed(
        &x,
        |k, v| if k / IMAGE == AT / IMAGE { 10.0 * v } else { v },
    );

    let batch: Net<'_> = &|x| BatchNorm::new(CHANNELS).train(x);
    let inference: Net<'_> = &|x| BatchNorm::new(CHANNELS).eval(x);
    let layer: Net<'_> = &|x| LayerNorm::new(&SHAPE[1..]).with_eps(EPS).forward(x);
    let last_two: Net<'_> = &|x| LayerNorm::new(&SHAPE[2..]).with_eps(EPS).forward(x);
    let rms: Net<'_> = &|x| RmsNorm::new(&SHAPE[1..]).forward(x);
    let group: Net<'_> = &|x| group_norm(x, GROUPS);
    let instance: Net<'_> = &|x| group_norm(x, CHANNELS);
    let two: Net<'_> = &|x| {
        let first = BatchNorm::new(CHANNELS).train(x);
        let mixed = first.conv2d(&x.tape().constant(weights.clone()), None, Slide::by(1));
        BatchNorm::new(CHANNELS).train(&mixed)
    };
    let forward = |net: Net<'_>, to| {
        let [before, after] = [&x, to].map(|x| made([x], |[x]| net(x)));
        reach(&before, &after)
    };
    let back = |net: Net<'_>| {
        let [before, after] = [&dy, &moved_dy].map(|dy| passed([&x], dy, |[x]| net(x)).1);
        reach(&before[0], &after[0])
    };
    Predictions {
        batch_norm: forward(batch, &moved),
        batch_norm_inference: forward(inference, &moved),
        layer_norm: forward(layer, &moved),
        layer_norm_last_two: forward(last_two, &moved),
        rms_norm: forward(rms, &moved),
        group_norm: forward(group, &moved),
        instance_norm: forward(instance, &moved),
        two_batch_norms: forward(two, &moved),
        brighter_instance_norm: forward(instance, &brighter),
        brighter_layer_norm: forward(layer, &brighter),
        louder_layer_norm: forward(layer, &louder),
        upstream_batch_norm: back(batch),
        upstream_inference: back(inference),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A set of places that has no name is none of the answers.
    #[test]
    fn what_has_no_name_is_no_answer() {
        let before = vec![0.0; SHAPE.iter().product()];
        let mut after = before.clone();
        after[AT] = 1.0;
        assert_eq!(reach(&before, &after), Itself);
        after[0] = 1.0;
        assert_eq!(reach(&before, &after), Undecided);
        assert_eq!(reach(&before, &before), Nothing);
    }
}
