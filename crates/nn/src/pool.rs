//! Pools, as layers: the largest or the mean value of each window of an image.

use tape::{Pair, Real, Slide, Var};

use crate::layer::Layer;
use crate::module::{Module, Visitor};
use crate::pass::Pass;

/// The largest value of each window: `[N, C, H, W]` becomes `[N, C, H', W']`, with the
/// sizes of [`Var::max_pool2d`].
#[derive(Clone, Copy, Debug)]
pub struct MaxPool2d {
    kernel: Pair,
    slide: Slide,
}

/// The mean of each window: `[N, C, H, W]` becomes `[N, C, H', W']`, with the sizes of
/// [`Var::avg_pool2d`].
#[derive(Clone, Copy, Debug)]
pub struct AvgPool2d {
    kernel: Pair,
    slide: Slide,
}

macro_rules! pool {
    ($Pool:ident, $op:ident) => {
        impl $Pool {
            /// Windows of `kernel`, one number or a pair for height and width. As in
            /// PyTorch, the stride is the kernel, and there is no padding.
            pub fn new(kernel: impl Into<Pair>) -> Self {
                let kernel = kernel.into();
                let slide = Slide::by(kernel);
                $Pool { kernel, slide }
            }

            /// With another stride, or with padding around the image.
            pub fn slide(self, slide: Slide) -> Self {
                $Pool { slide, ..self }
            }
        }

        impl<T: Real> Module<T> for $Pool {
            fn visit(&mut self, _: &mut Visitor<'_, T>) {}
        }

        impl<T: Real> Layer<T> for $Pool {
            #[track_caller]
            fn forward<'t>(&self, x: &Var<'t, T>, _: &mut Pass<'_, T>) -> Var<'t, T> {
                x.$op(self.kernel, self.slide)
            }
        }
    };
}

pool!(MaxPool2d, max_pool2d);
pool!(AvgPool2d, avg_pool2d);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{CheckLayer, normal};
    use tape::{Tape, Tensor};

    fn pooled(layer: impl Layer<f64>, x: Tensor<f64>) -> Tensor<f64> {
        Tape::eval(|t| layer.eval(&t.constant(x)).value().clone())
    }

    #[test]
    fn windows_touch_unless_told_otherwise() {
        let x = Tensor::from_fn([1, 1, 2, 4], |i| i as f64);
        let shape = |y: Tensor<f64>| y.shape().to_vec();
        assert_eq!(pooled(MaxPool2d::new(2), x.clone()).data(), [5.0, 7.0]);
        assert_eq!(pooled(AvgPool2d::new(2), x.clone()).data(), [2.5, 4.5]);
        let dense = MaxPool2d::new(2).slide(Slide::by(1).padded(1));
        assert_eq!(shape(pooled(dense, x.clone())), [1, 1, 3, 5]);
        let wide = AvgPool2d::new([1, 2]).slide(Slide::by([1, 2]).padded([0, 1]));
        assert_eq!(shape(pooled(wide, x)), [1, 1, 2, 3]);
    }

    #[test]
    fn gradient() {
        let check = CheckLayer::new("pool", normal([2, 3, 4, 5], 1));
        check
            .run(|| MaxPool2d::new(2).slide(Slide::by(2).padded(1)))
            .assert_passes();
        check
            .run(|| AvgPool2d::new([2, 3]).slide(Slide::by(1)))
            .assert_passes();
    }

    #[test]
    #[should_panic(expected = "max_pool2d")]
    fn an_image_is_needed() {
        pooled(MaxPool2d::new(2), normal([2, 3], 1));
    }
}
