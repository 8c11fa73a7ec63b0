//! `Y[n, c, p] = 1/(kh·kw) Σ over taps k of X[n, c, p·stride + k − padding]`: the mean of
//! each window. The padding counts as zeros (PyTorch's `count_include_pad=True`).
//!
//! Each element enters the mean of every window that holds it with weight 1/(kh·kw), so
//! dX is, at each element, the sum of `dY / (kh·kw)` over those windows.

use vectorized::vectorized;

use super::pool::Pool;
use super::window::{Pair, Slide, Window};
use crate::{Backward, InputGrads, Real, Tensor, Var, elements, lanes};

impl<'t, T: Real> Var<'t, T> {
    /// The mean of each window: `[N, C, H, W]` becomes `[N, C, H', W']` with
    /// `H' = ⌊(H + 2 · padding − kernel) / stride⌋ + 1`, and W' likewise. The kernel is
    /// one number or a pair for height and width. The stride is always given: PyTorch's
    /// default is the kernel.
    ///
    /// For the mean of a whole plane, use `mean(&[2, 3])`.
    ///
    /// # Panics
    /// If this has not four axes, the kernel does not fit the padded image, the padding
    /// is more than half the kernel, or the stride is 0.
    #[track_caller]
    pub fn avg_pool2d(&self, kernel: impl Into<Pair>, slide: Slide) -> Self {
        let pool = Pool::new("avg_pool2d", self.shape(), kernel.into(), slide);
        let taps = T::from_usize(elements(&pool.window.kernel));
        let x = self.value();
        let y = pool.each_plane(&pool.output, |n, y| {
            mean(&pool.window, pool.input_plane(x, n), y, taps);
        });
        self.tape().record(&[self], y, || AvgPool2d { pool })
    }
}

/// The mean of each window of the plane `x`.
#[vectorized]
fn mean<T: Real>(window: &Window, x: &[T], y: &mut [T], taps: T) {
    y.fill(T::ZERO);
    for tap in window.taps() {
        window.gather(tap, x, y, |x, y| *y += x);
    }
    lanes::map_assign(y, |y| y / taps);
}

/// The adjoint, without the division: every element of `dy` goes to all of its window.
#[vectorized]
fn spread<T: Real>(window: &Window, dy: &[T], dx: &mut [T]) {
    dx.fill(T::ZERO);
    for tap in window.taps() {
        window.scatter(tap, dy, dx);
    }
}

struct AvgPool2d {
    pool: Pool,
}

impl<T: Real> Backward<T> for AvgPool2d {
    fn name(&self) -> &'static str {
        "avg_pool2d"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let pool = self.pool;
        let taps = T::from_usize(elements(&pool.window.kernel));
        let dy = dy.map_in_place(|dy| dy / taps);
        let grad = pool.each_plane(&pool.input, |n, dx| {
            spread(&pool.window, pool.output_plane(&dy, n), dx);
        });
        dx.add(0, grad);
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![]
    }
}

#[cfg(test)]
mod tests {
    use crate::{Slide, Tape, Tensor};

    #[test]
    fn averages_each_window() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::from_fn([1, 1, 3, 4], |i| i as f64));
            assert_eq!(
                x.avg_pool2d(2, Slide::by(2)).value(),
                &Tensor::new([1, 1, 1, 2], vec![2.5, 4.5])
            );
            // The padding counts: the corner window holds one element and three zeros.
            assert_eq!(
                x.avg_pool2d(2, Slide::by([1, 3]).padded(1)).value(),
                &Tensor::new([1, 1, 4, 2], vec![0.0, 1.25, 1.0, 4.5, 3.0, 8.5, 2.0, 5.25])
            );
        });
    }

    #[test]
    #[should_panic(expected = "avg_pool2d: the input must be [N, C, H, W], but its shape is [2]")]
    fn images_have_four_axes() {
        Tape::eval(|t| {
            t.constant(Tensor::<f32>::zeros([2]))
                .avg_pool2d(2, Slide::by(2));
        });
    }
}
