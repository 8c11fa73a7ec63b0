//! A convolution of images, as a layer that owns its weight.

use rand::Rng;

use tape::{Param, Real, Slide, Tensor, Var};

use crate::init::{Draw, Init};
use crate::layer::Layer;
use crate::module::{Module, Visitor};
use crate::pass::Pass;

/// A convolution with parameters `weight` of shape `[O, C, kh, kw]` and `bias` of shape
/// `[O]`: `[N, C, H, W]` becomes `[N, O, H', W']` (book, chapter 10). Formula and sizes
/// are those of [`Var::conv2d`].
#[derive(Debug)]
pub struct Conv2d<T: Real> {
    /// `[O, C, kh, kw]`.
    pub weight: Param<T>,
    /// `[O]`.
    pub bias: Option<Param<T>>,
    slide: Slide,
}

impl<T: Real> Conv2d<T> {
    /// A layer from `inputs` to `outputs` channels with a square kernel, stride 1 and no
    /// padding, drawn as PyTorch draws it: weight and bias uniform on `±1/√fan_in`, where
    /// fan_in is `inputs · kernel²`.
    ///
    /// # Panics
    /// If a count is 0.
    #[track_caller]
    pub fn new(inputs: usize, outputs: usize, kernel: usize, rng: &mut impl Rng) -> Self {
        let weight = Init::PYTORCH.sample([outputs, inputs, kernel, kernel], rng);
        let fan_in = (inputs * kernel * kernel) as f64;
        let bias = Draw::Uniform.sample([outputs], Init::PYTORCH.gain / fan_in.sqrt(), rng);
        Self::of(weight, bias)
    }

    /// A layer whose weight is drawn from `init` and whose bias is 0.
    ///
    /// # Panics
    /// If a count is 0.
    #[track_caller]
    pub fn with_init(
        inputs: usize,
        outputs: usize,
        kernel: usize,
        init: Init,
        rng: &mut impl Rng,
    ) -> Self {
        let weight = init.sample([outputs, inputs, kernel, kernel], rng);
        Self::of(weight, Tensor::zeros([outputs]))
    }

    fn of(weight: Tensor<T>, bias: Tensor<T>) -> Self {
        Conv2d {
            weight: Param::new("weight", weight),
            bias: Some(Param::new("bias", bias)),
            slide: Slide::by(1),
        }
    }

    /// With another stride, or with zeros around the image. A padding of 1 around a kernel of
    /// 3 keeps the size of the image.
    pub fn slide(self, slide: Slide) -> Self {
        Conv2d { slide, ..self }
    }

    /// The same layer without its bias. A normalization over the batch that follows would
    /// subtract it again.
    pub fn without_bias(mut self) -> Self {
        self.bias = None;
        self
    }
}

impl<T: Real> Module<T> for Conv2d<T> {
    fn visit(&mut self, v: &mut Visitor<'_, T>) {
        v.param("weight", &mut self.weight);
        if let Some(bias) = &mut self.bias {
            v.param("bias", bias);
        }
    }
}

impl<T: Real> Layer<T> for Conv2d<T> {
    #[track_caller]
    fn forward<'t>(&self, x: &Var<'t, T>, _: &mut Pass<'_, T>) -> Var<'t, T> {
        let weight = x.tape().param(&self.weight);
        let bias = self.bias.as_ref().map(|bias| x.tape().param(bias));
        x.conv2d(&weight, bias.as_ref(), self.slide)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{CheckLayer, normal};
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use tape::Tape;

    fn conv() -> Conv2d<f64> {
        Conv2d::new(2, 3, 3, &mut StdRng::seed_from_u64(1))
    }

    #[test]
    fn gradient() {
        let check = CheckLayer::new("conv2d", normal([2, 2, 5, 4], 2));
        check.run(conv).assert_passes();
        check
            .run(|| conv().slide(Slide::by([2, 1]).padded(1)).without_bias())
            .assert_passes();
    }

    #[test]
    fn stride_padding_and_bias_arrive_at_the_op() {
        let x = normal([1, 2, 5, 7], 3);
        let layer = conv().slide(Slide::by([2, 3]).padded([0, 1]));
        let w = layer.weight.value().clone();
        let b = layer
            .bias
            .as_ref()
            .expect("there is a bias")
            .value()
            .clone();
        Tape::eval(|t| {
            let (x, w, b) = (t.constant(x), t.constant(w), t.constant(b));
            let y = layer.eval(&x);
            assert_eq!(**y.shape(), [1, 3, 2, 3]);
            assert_eq!(
                y.value(),
                x.conv2d(&w, Some(&b), Slide::by([2, 3]).padded([0, 1]))
                    .value()
            );
        });
    }

    #[test]
    fn the_default_draw_is_within_one_over_the_root_of_the_fan() {
        let layer: Conv2d<f64> = Conv2d::new(25, 100, 2, &mut StdRng::seed_from_u64(1));
        let bias = layer.bias.as_ref().expect("there is a bias");
        for tensor in [layer.weight.value(), bias.value()] {
            let largest = tensor.data().iter().fold(0.0_f64, |m, x| m.max(x.abs()));
            assert!(largest <= 0.1 && largest > 0.095, "{largest}");
        }
        let rng = &mut StdRng::seed_from_u64(1);
        let zero = Conv2d::<f64>::with_init(1, 2, 3, Init::KAIMING_NORMAL, rng).bias;
        assert_eq!(zero.expect("there is a bias").value(), &Tensor::zeros([2]));
    }

    #[test]
    #[should_panic(expected = "the input [1, 3, 5, 5] has 3 channels, but the weight [3, 2, 3, 3]")]
    fn channels_must_agree() {
        Tape::eval(|t| drop(conv().eval(&t.constant(normal([1, 3, 5, 5], 1)))));
    }
}
