//! `Y[n, o, p] = b[o] + Σ over c and taps k of W[o, c, k] · X[n, c, p·stride + k − padding]`:
//! a convolution of images (a cross-correlation, to be exact: the kernel is not
//! flipped). Outside the image, X is 0.
//!
//! Written out as a matrix, `im2col(Xₙ)` holds for every tap (c, k) a row, and in it for
//! every output position p the input that the tap reads there. Then each image is one
//! matrix product, `Yₙ = W · im2col(Xₙ) + b`, and the derivatives are those of a product
//! (book, chapters 5 and 10):
//!
//! - `dW = Σₙ dYₙ · im2col(Xₙ)ᵀ`, accumulated over the batch inside the GEMM;
//! - `db[o] = Σ dY[n, o, p]` over n and p;
//! - `dXₙ = col2im(Wᵀ · dYₙ)`: im2col copies, so its adjoint adds every copy back to
//!   where it came from.
//!
//! Images are spread over threads. The sums over the batch are cut into a number of
//! blocks that depends on the batch alone, and the blocks are added in order, so no
//! result depends on the number of threads.

use std::ops::Range;

use super::window::{Slide, Window};
use crate::gemm::{Matrix, gemm};
use crate::parallel::{self, Split, rows, starting};
use crate::{Backward, InputGrads, Real, Shape, Tensor, Var, elements, vector};

impl<'t, T: Real> Var<'t, T> {
    /// Convolves this, `[N, C, H, W]`, with `weight`, `[O, C, kh, kw]`, and adds `bias`,
    /// `[O]`: the result is `[N, O, H', W']` with
    /// `H' = ⌊(H + 2 · padding − kh) / stride⌋ + 1`, and W' likewise.
    ///
    /// # Panics
    /// If the shapes do not go together, the kernel does not fit the padded image, the
    /// stride is 0, or the padding asks for an image larger than memory.
    #[track_caller]
    pub fn conv2d(&self, weight: &Var<'t, T>, bias: Option<&Var<'t, T>>, slide: Slide) -> Self {
        let plan = Plan::new(self.shape(), weight.shape(), slide);
        if let Some(bias) = bias {
            assert!(
                bias.shape()[..] == [plan.outputs],
                "conv2d: the bias must be [{}], one for each output channel of weight {}, but \
                 its shape is {}",
                plan.outputs,
                weight.shape(),
                bias.shape()
            );
        }
        let bias_value = bias.map(|bias| bias.value().data());
        let y = plan.forward(self.value(), weight.value(), bias_value);
        let inputs: Vec<&Var<'t, T>> = [self, weight].into_iter().chain(bias).collect();
        self.tape().record(&inputs, y, || Conv2d {
            x: weight.is_tracked().then(|| self.value().clone()),
            w: self.is_tracked().then(|| weight.value().clone()),
            bias: bias.is_some_and(Var::is_tracked),
            plan,
        })
    }
}

// ANCHOR: plan
/// Most blocks that sums over the batch are cut into: the most threads that the backward
/// pass can use, and the most copies of `dW` it needs memory for.
const BLOCKS: usize = 16;

/// Sizes.
#[derive(Clone, Copy)]
struct Plan {
    /// N.
    images: usize,
    /// C.
    channels: usize,
    /// O.
    outputs: usize,
    window: Window,
    /// Elements of one im2col matrix, C · kh · kw by H' · W'.
    cols_len: usize,
}

impl Plan {
    #[track_caller]
    fn new(x: &Shape, weight: &Shape, slide: Slide) -> Self {
        let (&[images, channels, h, w], &[outputs, expected, kh, kw]) = (&x[..], &weight[..])
        else {
            panic!(
                "conv2d: the input must be [N, C, H, W] and the weight [O, C, kh, kw], but \
                 their shapes are {x} and {weight}"
            );
        };
        assert!(
            channels == expected,
            "conv2d: the input {x} has {channels} channels, but the weight {weight} is made \
             for {expected}"
        );
        let window = Window::new("conv2d", [h, w], [kh, kw], slide);
        let [oh, ow] = window.output;
        Plan {
            images,
            channels,
            outputs,
            window,
            cols_len: elements(&[channels, kh, kw, oh, ow]),
        }
    }

    /// Rows of the im2col matrix: C · kh · kw.
    fn taps(&self) -> usize {
        self.channels * self.window.kernel[0] * self.window.kernel[1]
    }

    /// Its columns: H' · W'.
    fn positions(&self) -> usize {
        self.window.output_len()
    }

    /// Elements of one input image.
    fn input_len(&self) -> usize {
        self.channels * self.window.input_len()
    }

    /// Elements of one output image.
    fn output_len(&self) -> usize {
        self.outputs * self.positions()
    }

    /// The size of the whole work, by which its threads are chosen.
    fn work(&self) -> usize {
        self.images.saturating_mul(self.cols_len)
    }
}
// ANCHOR_END: plan

impl Plan {
    fn forward<T: Real>(&self, x: &Tensor<T>, w: &Tensor<T>, bias: Option<&[T]>) -> Tensor<T> {
        let [oh, ow] = self.window.output;
        let mut y = Tensor::scratch([self.images, self.outputs, oh, ow]);
        let images = rows(y.data_mut(), self.output_len());
        parallel::for_each_part(self.images, self.work(), images, |range, images| {
            let mut cols = Tensor::scratch([self.cols_len]);
            for (n, image) in images.items(range) {
                let beta = bias.map_or(T::ZERO, |bias| {
                    for (o, &b) in bias.iter().enumerate() {
                        image[o * self.positions()..][..self.positions()].fill(b);
                    }
                    T::ONE
                });
                self.im2col(part(x, n, self.input_len()), cols.data_mut());
                gemm(self.weight(w), self.cols(cols.data()), beta, image);
            }
        });
        y
    }

    /// The gradients of x, w and b: of x if `w` is given, of w if `x` is given, of b if
    /// `bias` is true.
    fn backward<T: Real>(
        &self,
        dy: &Tensor<T>,
        x: Option<&Tensor<T>>,
        w: Option<&Tensor<T>>,
        bias: bool,
    ) -> [Option<Tensor<T>>; 3] {
        let [height, width] = self.window.input;
        let [kh, kw] = self.window.kernel;
        let count = BLOCKS.min(self.images).max(1);
        // The first image of a block.
        let first = |block| parallel::cut(self.images, count, block);

        let mut dx = w.map(|_| Tensor::scratch([self.images, self.channels, height, width]));
        let mut dw = x.map(|_| Tensor::zeros([count, self.outputs, self.channels, kh, kw]));
        let mut db = bias.then(|| Tensor::zeros([count, self.outputs]));
        let dx_images = |dx| starting(dx, |block| first(block) * self.input_len());
        let blocks = (
            dx.as_mut().map(Tensor::data_mut).map(dx_images),
            (
                dw.as_mut()
                    .map(|dw| rows(dw.data_mut(), self.outputs * self.taps())),
                db.as_mut().map(|db| rows(db.data_mut(), self.outputs)),
            ),
        );
        parallel::for_each_part(count, self.work(), blocks, |range, blocks| {
            let mut cols = Tensor::scratch([self.cols_len]);
            for (b, (dx, (dw, db))) in blocks.items(range) {
                let images = first(b)..first(b + 1);
                let block = Block { images, dx, dw, db };
                self.backward_block(block, dy, x, w, cols.data_mut());
            }
        });
        [dx, dw.map(sum_blocks), db.map(sum_blocks)]
    }

    fn backward_block<T: Real>(
        &self,
        block: Block<'_, T>,
        dy: &Tensor<T>,
        x: Option<&Tensor<T>>,
        w: Option<&Tensor<T>>,
        cols: &mut [T],
    ) {
        let Block {
            images,
            mut dx,
            mut dw,
            mut db,
        } = block;
        for n in images {
            let dy = part(dy, n, self.output_len());
            if let Some(db) = &mut db {
                for (db, dy) in db.iter_mut().zip(dy.chunks_exact(self.positions())) {
                    *db += vector::sum(dy);
                }
            }
            let dy = Matrix::new(dy, self.outputs, self.positions());
            if let (Some(x), Some(dw)) = (x, &mut dw) {
                self.im2col(part(x, n, self.input_len()), cols);
                gemm(dy, self.cols(cols).t(), T::ONE, dw);
            }
            if let (Some(w), Some(dx)) = (w, &mut dx) {
                let dx = dx.split_off_mut(..self.input_len()).expect("one image");
                gemm(self.weight(w).t(), dy, T::ZERO, cols);
                dx.fill(T::ZERO);
                self.col2im(cols, dx);
            }
        }
    }

    fn weight<'a, T: Real>(&self, w: &'a Tensor<T>) -> Matrix<'a, T> {
        Matrix::new(w.data(), self.outputs, self.taps())
    }

    fn cols<'a, T: Real>(&self, cols: &'a [T]) -> Matrix<'a, T> {
        Matrix::new(cols, self.taps(), self.positions())
    }

    /// Every row of the im2col matrix: its channel, and its tap of the kernel.
    fn rows(&self) -> impl Iterator<Item = (usize, [usize; 2])> {
        (0..self.channels).flat_map(|c| self.window.taps().map(move |tap| (c, tap)))
    }

    /// Copies to each row of `cols` what one tap reads from the image.
    fn im2col<T: Real>(&self, image: &[T], cols: &mut [T]) {
        let plane = self.window.input_len();
        let rows = cols.chunks_exact_mut(self.positions());
        for (row, (c, tap)) in rows.zip(self.rows()) {
            self.window.copy(tap, &image[c * plane..][..plane], row);
        }
    }

    /// The adjoint: adds each row of `cols` to the image, where its tap read it. What is
    /// in `cols` may be overwritten.
    fn col2im<T: Real>(&self, cols: &mut [T], image: &mut [T]) {
        let plane = self.window.input_len();
        let rows = cols.chunks_exact_mut(self.positions());
        for (row, (c, tap)) in rows.zip(self.rows()) {
            self.window
                .add_back(tap, row, &mut image[c * plane..][..plane]);
        }
    }
}

/// Consecutive images, and where their share of the gradients goes, as far as these are
/// asked for.
struct Block<'a, T> {
    images: Range<usize>,
    dx: Option<&'a mut [T]>,
    /// The sum over these images only.
    dw: Option<&'a mut [T]>,
    /// The sum over these images only.
    db: Option<&'a mut [T]>,
}

/// Image `n` of a batch.
fn part<T: Real>(batch: &Tensor<T>, n: usize, length: usize) -> &[T] {
    &batch.data()[n * length..][..length]
}

/// `[blocks, ..]` summed over the blocks, in order.
fn sum_blocks<T: Real>(blocks: Tensor<T>) -> Tensor<T> {
    let mut sum = Tensor::zeros(&blocks.shape()[1..]);
    if !sum.is_empty() {
        for block in blocks.data().chunks_exact(sum.len()) {
            vector::add(sum.data_mut(), block);
        }
    }
    sum
}

struct Conv2d<T: Real> {
    /// Needed for `dW` only.
    x: Option<Tensor<T>>,
    /// Needed for `dX` only.
    w: Option<Tensor<T>>,
    /// Whether `db` is needed.
    bias: bool,
    plan: Plan,
}

impl<T: Real> Backward<T> for Conv2d<T> {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let Conv2d { x, w, bias, plan } = &*self;
        let grads = plan.backward(&dy, x.as_ref(), w.as_ref(), *bias);
        for (input, grad) in grads.into_iter().enumerate() {
            if let Some(grad) = grad {
                dx.add(input, grad);
            }
        }
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        self.x.iter().chain(&self.w).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::normal;
    use crate::{Param, Tape};

    /// The sum in the module's first line, term by term.
    fn by_definition(
        x: &Tensor<f64>,
        w: &Tensor<f64>,
        b: &Tensor<f64>,
        stride: [usize; 2],
        padding: [usize; 2],
    ) -> Tensor<f64> {
        let (&[n, c, h, width], &[o, _, kh, kw]) = (&x.shape()[..], &w.shape()[..]) else {
            unreachable!()
        };
        let oh = (h + 2 * padding[0] - kh) / stride[0] + 1;
        let ow = (width + 2 * padding[1] - kw) / stride[1] + 1;
        let mut y = Vec::new();
        for n in 0..n {
            for o in 0..o {
                for py in 0..oh {
                    for px in 0..ow {
                        let mut sum = b.data()[o];
                        for c in 0..c {
                            for i in 0..kh {
                                for j in 0..kw {
                                    let at = (py * stride[0] + i).wrapping_sub(padding[0]);
                                    let to = (px * stride[1] + j).wrapping_sub(padding[1]);
                                    if at < h && to < width {
                                        sum += w.at(&[o, c, i, j]) * x.at(&[n, c, at, to]);
                                    }
                                }
                            }
                        }
                        y.push(sum);
                    }
                }
            }
        }
        Tensor::new([n, o, oh, ow], y)
    }

    /// Shapes of input and weight, stride, padding.
    type Case = ([usize; 4], [usize; 4], [usize; 2], [usize; 2]);

    const CASES: [Case; 7] = [
        ([2, 3, 5, 6], [4, 3, 3, 3], [1, 1], [1, 1]),
        ([2, 2, 6, 5], [3, 2, 3, 2], [2, 1], [0, 1]),
        ([1, 1, 4, 7], [1, 1, 2, 5], [1, 3], [1, 2]),
        ([3, 2, 3, 3], [2, 2, 1, 1], [1, 1], [0, 0]),
        ([1, 2, 1, 8], [2, 2, 1, 3], [1, 2], [0, 1]),
        // The kernel is the whole image; a tap that only ever reads the padding.
        ([2, 1, 3, 4], [2, 1, 3, 4], [1, 1], [0, 0]),
        ([1, 1, 1, 1], [1, 1, 3, 3], [2, 2], [3, 3]),
    ];

    #[test]
    fn convolves_as_defined() {
        for (x, w, stride, padding) in CASES {
            let (x, w, b) = (normal(x, 1), normal(w, 2), normal([w[0]], 3));
            let y = Tape::eval(|t| {
                let [x, w, b] = [&x, &w, &b].map(|v| t.constant(v.clone()));
                x.conv2d(&w, Some(&b), Slide::by(stride).padded(padding))
                    .value()
                    .clone()
            });
            let expected = by_definition(&x, &w, &b, stride, padding);
            assert_eq!(y.shape(), expected.shape());
            for (y, e) in y.data().iter().zip(expected.data()) {
                assert!((y - e).abs() < 1e-13, "{x:?} {w:?}: {y}, not {e}");
            }
        }
    }

    #[test]
    fn the_work_is_the_size_of_all_im2col_matrices() {
        let [x, w] = [[5, 3, 9, 8], [4, 3, 2, 3]].map(|shape| Shape::new(&shape));
        let plan = Plan::new(&x, &w, Slide::by(1));
        assert_eq!(plan.work(), 5 * (3 * 2 * 3) * (8 * 6));
    }

    #[test]
    fn only_the_gradients_asked_for_are_computed() {
        let (x, w, b) = (
            normal([2, 2, 4, 4], 1),
            normal([3, 2, 3, 3], 2),
            normal([3], 3),
        );
        let params = [("x", &x), ("w", &w), ("b", &b)].map(|(n, v)| Param::new(n, v.clone()));
        let dy = normal([2, 3, 4, 4], 4);
        let gradients = |tracked: [bool; 3]| {
            let (_, bytes, grads) = Tape::new().vjp_with(&dy, |t| {
                let [x, w, b] = [0, 1, 2].map(|i| {
                    let x = t.param(&params[i]);
                    if tracked[i] { x } else { x.stop_gradient() }
                });
                (
                    x.conv2d(&w, Some(&b), Slide::by(1).padded(1)),
                    t.saved_bytes(),
                )
            });
            (bytes, params.each_ref().map(|p| grads.get(p).cloned()))
        };
        let (bytes, all) = gradients([true; 3]);
        assert_eq!(bytes, x.bytes() + w.bytes());
        let saved = [w.bytes(), x.bytes(), 0];
        for (only, saved) in saved.into_iter().enumerate() {
            let (bytes, some) = gradients([0, 1, 2].map(|i| i == only));
            assert_eq!(bytes, saved);
            for i in 0..3 {
                assert_eq!(some[i], all[i].clone().filter(|_| i == only));
            }
        }
    }

    #[test]
    fn an_empty_batch_has_gradients_of_zero() {
        let w = Param::new("w", normal([3, 2, 3, 3], 1));
        let (_, grads) = Tape::new().vjp(&Tensor::zeros([0, 3, 4, 4]), |t| {
            let x = t.constant(Tensor::zeros([0, 2, 4, 4]));
            x.conv2d(&t.param(&w), None, Slide::by(1).padded(1))
        });
        assert_eq!(grads.of(&w), Tensor::zeros([3, 2, 3, 3]));
    }

    #[track_caller]
    fn convolve(x: &[usize], w: &[usize], b: &[usize]) {
        Tape::eval(|t| {
            let [x, w, b] = [x, w, b].map(|shape| t.constant(Tensor::<f32>::zeros(shape)));
            x.conv2d(&w, Some(&b), Slide::by(1));
        });
    }

    #[test]
    #[should_panic(
        expected = "conv2d: the input [1, 2, 5, 5] has 2 channels, but the weight \
                    [4, 3, 3, 3] is made for 3"
    )]
    fn channels_must_agree() {
        convolve(&[1, 2, 5, 5], &[4, 3, 3, 3], &[4]);
    }

    #[test]
    #[should_panic(
        expected = "conv2d: the input must be [N, C, H, W] and the weight [O, C, kh, kw], but \
                    their shapes are [2, 5, 5] and [4, 2, 3, 3]"
    )]
    fn images_have_four_axes() {
        convolve(&[2, 5, 5], &[4, 2, 3, 3], &[4]);
    }

    #[test]
    #[should_panic(
        expected = "conv2d: the bias must be [4], one for each output channel of weight \
                    [4, 2, 3, 3], but its shape is [2]"
    )]
    fn the_bias_has_one_value_for_each_output() {
        convolve(&[1, 2, 5, 5], &[4, 2, 3, 3], &[2]);
    }

    #[test]
    #[should_panic(expected = "conv2d: a kernel of [3, 3] does not fit an image of [2, 5]")]
    fn the_kernel_must_fit() {
        convolve(&[1, 2, 2, 5], &[4, 2, 3, 3], &[4]);
    }
}
