//! What the two pools share: sizes, and one plane of an image after the other.

use super::window::{Pair, Slide, Window};
use crate::{Real, Shape, Tensor, parallel};

/// A window that slides over every plane of a batch of images.
#[derive(Clone, Copy)]
pub(crate) struct Pool {
    pub(crate) window: Window,
    /// Of the input, `[N, C, H, W]`.
    pub(crate) input: Shape,
    /// Of the output, `[N, C, H', W']`.
    pub(crate) output: Shape,
}

impl Pool {
    /// # Panics
    /// If `input` has not four axes, or the window does not fit.
    #[track_caller]
    pub(crate) fn new(op: &str, input: &Shape, kernel: Pair, slide: Slide) -> Self {
        let &[n, c, h, w] = &input[..] else {
            panic!("{op}: the input must be [N, C, H, W], but its shape is {input}");
        };
        let window = Window::pool(op, [h, w], kernel, slide);
        let [oh, ow] = window.output;
        Pool {
            window,
            input: *input,
            output: Shape::new(&[n, c, oh, ow]),
        }
    }

    /// Fills a tensor of shape `shape`, one plane at a time: `f(plane, data)`. On several
    /// threads when there is enough to do.
    pub(crate) fn each_plane<T: Real>(
        &self,
        shape: &Shape,
        f: impl Fn(usize, &mut [T]) + Sync,
    ) -> Tensor<T> {
        let mut out = Tensor::scratch(shape);
        let length = shape[2] * shape[3];
        let planes = shape[0] * shape[1];
        let data = parallel::rows(out.data_mut(), length);
        parallel::for_each_item(planes, self.input.count(), data, f);
        out
    }

    /// Plane `n` of a tensor of the input's shape.
    pub(crate) fn input_plane<'a, T: Real>(&self, x: &'a Tensor<T>, n: usize) -> &'a [T] {
        let length = self.window.input_len();
        &x.data()[n * length..][..length]
    }

    /// Plane `n` of a tensor of the output's shape.
    pub(crate) fn output_plane<'a, T: Real>(&self, y: &'a Tensor<T>, n: usize) -> &'a [T] {
        let length = self.window.output_len();
        &y.data()[n * length..][..length]
    }
}
