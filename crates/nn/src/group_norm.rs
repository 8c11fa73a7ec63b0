//! Group Norm: Layer Norm over groups of channels, with a scale and a shift for each
//! channel (Wu & He, "Group Normalization", 2018; book, chapter 18).
//!
//! Between its two neighbours: with one group it normalizes over all of an image, as
//! Layer Norm does; with a group for each channel it is Instance Norm. As for Layer Norm,
//! an example's result does not depend on its batch.
//!
//! The channels of a group lie side by side, so each group is a row of a reshaped view,
//! and Layer Norm's op does the rest.

use tape::magnitude::checked_eps;
use tape::{Param, Real, Tensor, Var};

use crate::layer::Layer;
use crate::module::{Module, Visitor};
use crate::pass::Pass;

/// Group Norm of `[N, C]`, `[N, C, L]`, `[N, C, H, W]` or `[N, C, D, H, W]`.
#[derive(Debug)]
pub struct GroupNorm<T: Real> {
    groups: usize,
    eps: f64,
    /// `[C]`.
    gamma: Param<T>,
    /// `[C]`.
    beta: Param<T>,
}

impl<T: Real> GroupNorm<T> {
    /// `groups` groups of `channels / groups` channels each. As in PyTorch, `gamma`
    /// starts at 1, `beta` at 0, and `eps` is 1e-5.
    ///
    /// # Panics
    /// If the channels cannot be dealt out to the groups in equal shares.
    #[track_caller]
    pub fn new(groups: usize, channels: usize) -> Self {
        assert!(
            groups > 0 && channels > 0 && channels.is_multiple_of(groups),
            "group norm: {channels} channels do not make {groups} groups of equal size; the \
             number of groups must divide the number of channels"
        );
        GroupNorm {
            groups,
            eps: 1e-5,
            gamma: Param::new("gamma", Tensor::ones([channels])),
            beta: Param::new("beta", Tensor::zeros([channels])),
        }
    }

    /// With another `eps`, the number added to the variance.
    ///
    /// # Panics
    /// If [`checked_eps`] refuses it.
    #[track_caller]
    pub fn with_eps(mut self, eps: f64) -> Self {
        checked_eps::<T>("GroupNorm::with_eps", eps);
        self.eps = eps;
        self
    }
}

impl<T: Real> Module<T> for GroupNorm<T> {
    fn visit(&mut self, v: &mut Visitor<'_, T>) {
        v.param("gamma", &mut self.gamma);
        v.param("beta", &mut self.beta);
    }
}

impl<T: Real> Layer<T> for GroupNorm<T> {
    /// # Panics
    /// If `x` has other channels, or a group holds one value.
    #[track_caller]
    fn forward<'t>(&self, x: &Var<'t, T>, _: &mut Pass<'_, T>) -> Var<'t, T> {
        let shape = *x.shape();
        let channels = self.gamma.value().len();
        assert!(
            shape.len() >= 2 && shape[1] == channels,
            "group norm: x of shape {shape} does not go with gamma of shape [{channels}]: \
             [N, {channels}, ..] is needed"
        );
        let tape = x.tape();
        let size: usize = shape[1..].iter().product::<usize>() / self.groups;
        assert!(
            size != 1,
            "group norm: in x of shape {shape}, {} groups have one value each, which is its \
             own mean, so the result would be beta whatever x is; use fewer groups",
            self.groups
        );
        let (one, zero) = (Tensor::ones([size]), Tensor::zeros([size]));
        let x_hat = layernorm::layer_norm(
            &x.reshape([shape[0], self.groups, size]),
            &tape.constant(one),
            &tape.constant(zero),
            self.eps,
        );
        // One number for each channel, against the axes of a channel.
        let mut per_channel = vec![1; shape.len() - 1];
        per_channel[0] = channels;
        let gamma = tape.param(&self.gamma).reshape(&per_channel[..]);
        let beta = tape.param(&self.beta).reshape(&per_channel[..]);
        x_hat.reshape(shape) * gamma + beta
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{CheckLayer, normal};
    use crate::module::each_param;
    use layernorm::LayerNorm;
    use tape::Tape;

    fn eval(layer: &impl Layer<f64>, x: Tensor<f64>) -> Tensor<f64> {
        Tape::eval(|t| layer.eval(&t.constant(x)).value().clone())
    }

    #[test]
    fn gradient() {
        for shape in [&[3, 4][..], &[2, 4, 3], &[2, 4, 3, 2]] {
            for groups in [1, 2] {
                CheckLayer::new("group norm", normal(shape, 1))
                    .run(|| GroupNorm::new(groups, 4))
                    .assert_passes();
            }
        }
    }

    #[test]
    fn one_group_is_layer_norm_over_the_image() {
        let x = normal([3, 4, 2, 5], 1);
        let one = eval(&GroupNorm::new(1, 4), x.clone());
        assert_eq!(one, eval(&LayerNorm::new([4, 2, 5]), x));
    }

    #[test]
    fn every_group_has_mean_0_and_variance_1_and_channels_their_own_scale() {
        let x = normal([2, 4, 30], 1).map(|x| 7.0 + 3.0 * x);
        let mut layer = GroupNorm::new(2, 4).with_eps(1e-12);
        let y = eval(&layer, x.clone());
        for group in y.data().chunks(60) {
            let mean = group.iter().sum::<f64>() / 60.0;
            let var = group.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / 60.0;
            assert!(
                mean.abs() < 1e-12 && (var - 1.0).abs() < 1e-9,
                "{mean} {var}"
            );
        }
        each_param(&mut layer, |p| {
            p.set(Tensor::from_fn([4], |c| {
                c as f64 + if p.name() == "beta" { 10.0 } else { 1.0 }
            }));
        });
        let scaled = eval(&layer, x);
        for (i, (y, scaled)) in y.data().iter().zip(scaled.data()).enumerate() {
            let c = (i / 30 % 4) as f64;
            assert!((y * (c + 1.0) + c + 10.0 - scaled).abs() < 1e-12);
        }
    }

    #[test]
    #[should_panic(expected = "x of shape [2, 3, 5] does not go with gamma of shape [4]")]
    fn channels_must_agree() {
        eval(&GroupNorm::new(2, 4), normal([2, 3, 5], 1));
    }

    #[test]
    #[should_panic(
        expected = "group norm: in x of shape [3, 4], 4 groups have one value each, which is its \
                    own mean"
    )]
    fn a_group_has_more_than_one_value() {
        eval(&GroupNorm::new(4, 4), normal([3, 4], 1));
    }

    #[test]
    #[should_panic(expected = "GroupNorm::with_eps: eps is -5.0")]
    fn a_negative_eps_is_refused() {
        let _ = GroupNorm::<f32>::new(1, 4).with_eps(-5.0);
    }

    /// The op of Layer Norm does the work, and scales what cannot be squared.
    #[test]
    fn huge_groups_are_normalized_like_others() {
        let x = normal([2, 4, 3], 1).cast::<f32>();
        let run = |x: Tensor<f32>| {
            let layer = GroupNorm::new(2, 4);
            Tape::eval(|t| layer.eval(&t.constant(x)).value().to_vec())
        };
        let (plain, huge) = (run(x.clone()), run(x.map(|x| x * 1e20)));
        assert!(
            plain.iter().zip(&huge).all(|(a, b)| (a - b).abs() < 1e-4),
            "{huge:?}"
        );
    }

    #[test]
    #[should_panic(expected = "4 channels do not make 3 groups of equal size")]
    fn groups_must_divide_the_channels() {
        let _ = GroupNorm::<f32>::new(3, 4);
    }
}
