//! `Y[n, c, p] = max over taps k of X[n, c, p·stride + k − padding]`: the largest value of
//! each window. The padding never wins.
//!
//! Only the largest element moves the maximum, so it receives `dY`; of several equal ones
//! the first in row-major order does, as in PyTorch. It is found again by comparing X
//! with Y: after a relu and before a convolution those two are saved anyway, and no
//! indices need be kept.

use vectorized::vectorized;

use super::pool::Pool;
use super::window::{Pair, Slide, Window};
use crate::{Backward, InputGrads, Real, Tensor, Var};

impl<'t, T: Real> Var<'t, T> {
    /// The largest value of each window: `[N, C, H, W]` becomes `[N, C, H', W']` with
    /// `H' = ⌊(H + 2 · padding − kernel) / stride⌋ + 1`, and W' likewise. The kernel is
    /// one number or a pair for height and width. The stride is always given: PyTorch's
    /// default is the kernel. NaN wins over every number.
    ///
    /// # Panics
    /// If this has not four axes, the kernel does not fit the padded image, the padding
    /// is more than half the kernel, or the stride is 0.
    #[track_caller]
    pub fn max_pool2d(&self, kernel: impl Into<Pair>, slide: Slide) -> Self {
        let pool = Pool::new("max_pool2d", self.shape(), kernel.into(), slide);
        let x = self.value();
        let y = pool.each_plane(&pool.output, |n, y| {
            largest(&pool.window, pool.input_plane(x, n), y);
        });
        self.tape().record(&[self], y.clone(), || MaxPool2d {
            x: x.clone(),
            y,
            pool,
        })
    }
}

/// The windows of row `i` of a plane whose windows are two by two and lie side by side: their
/// taps in order. All taps at once make one long loop out of many short ones.
#[inline(always)]
fn two_rows<T: Real>(x: &[T], width: usize, i: usize) -> impl Iterator<Item = [T; 4]> {
    let (top, bottom) = x[2 * i * width..][..2 * width].split_at(width);
    let (top, _) = top.as_chunks::<2>();
    let (bottom, _) = bottom.as_chunks::<2>();
    top.iter()
        .zip(bottom)
        .map(|(&[a, b], &[c, d])| [a, b, c, d])
}

/// The largest of each window of the plane `x`.
#[vectorized]
fn largest<T: Real>(window: &Window, x: &[T], y: &mut [T]) {
    if window.halves() {
        for (i, y) in y.chunks_exact_mut(window.output[1]).enumerate() {
            for (y, x) in y.iter_mut().zip(two_rows(x, window.input[1], i)) {
                *y = x.into_iter().fold(T::NEG_INFINITY, |y, x| x.max(y));
            }
        }
        return;
    }
    y.fill(T::NEG_INFINITY);
    for tap in window.taps() {
        window.gather(tap, x, y, |x, y| *y = x.max(*y));
    }
}

/// Adds to one plane of `dx` what is `left` of `dy`, where an element `wins` its window: the
/// first of each takes it all. `padding` is what the taps beyond the image see.
#[vectorized]
fn hand_out<T: Real, F: Fn(T, T) -> bool>(
    window: &Window,
    [x, y]: [&[T]; 2],
    left: &mut [T],
    dx: &mut [T],
    padding: T,
    wins: F,
) {
    if window.halves() {
        let columns = window.output[1];
        let rows = y.chunks_exact(columns).zip(left.chunks_exact_mut(columns));
        let dx = dx.chunks_exact_mut(2 * window.input[1]);
        for (i, ((y, left), dx)) in rows.zip(dx).enumerate() {
            let (top, bottom) = dx.split_at_mut(window.input[1]);
            let (top, _) = top.as_chunks_mut::<2>();
            let (bottom, _) = bottom.as_chunks_mut::<2>();
            let windows = two_rows(x, window.input[1], i).zip(top.iter_mut().zip(bottom));
            for ((x, (top, bottom)), (&y, left)) in windows.zip(y.iter().zip(left)) {
                let ([a, b], [c, d]) = (top, bottom);
                for (x, dx) in x.into_iter().zip([a, b, c, d]) {
                    let wins = wins(x, y);
                    *dx += if wins { *left } else { T::ZERO };
                    *left = if wins { T::ZERO } else { *left };
                }
            }
        }
        return;
    }
    let mut taken = vec![T::ZERO; left.len()];
    for tap in window.taps() {
        let seen = &mut taken;
        seen.fill(padding);
        window.gather(tap, x, seen, |x, seen| *seen = x);
        for ((seen, &y), left) in seen.iter_mut().zip(y).zip(&mut *left) {
            let wins = wins(*seen, y);
            *seen = if wins { *left } else { T::ZERO };
            *left = if wins { T::ZERO } else { *left };
        }
        window.scatter(tap, &taken, dx);
    }
}

struct MaxPool2d<T: Real> {
    x: Tensor<T>,
    y: Tensor<T>,
    pool: Pool,
}

impl<T: Real> Backward<T> for MaxPool2d<T> {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let MaxPool2d { x, y, pool } = &*self;
        let grad = pool.each_plane(&pool.input, |n, dx| {
            let (x, y) = (pool.input_plane(x, n), pool.output_plane(y, n));
            // `left` is what no element has taken yet: an equal one finds nothing there.
            let mut left = pool.output_plane(&dy, n).to_vec();
            dx.fill(T::ZERO);
            // In the padding stands what wins nothing: NaN, which is no number's equal, and
            // for the windows that a NaN has won, a number.
            let window = &pool.window;
            hand_out(window, [x, y], &mut left, dx, T::NAN, |x, y| x == y);
            if y.iter().any(|y| y.is_nan()) {
                let both = |x: T, y: T| x.is_nan() && y.is_nan();
                hand_out(window, [x, y], &mut left, dx, T::ZERO, both);
            }
        });
        dx.add(0, grad);
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.x, &self.y]
    }
}

#[cfg(test)]
mod tests {
    use crate::{Param, Slide, Tape, Tensor};

    #[test]
    fn finds_the_largest_of_each_window() {
        Tape::eval(|t| {
            let x = Tensor::new(
                [1, 1, 3, 4],
                vec![1., 5., 2., 0., 3., 4., 9., 8., 7., 6., 0., 0.],
            );
            let x = t.constant(x);
            assert_eq!(
                x.max_pool2d(2, Slide::by(2)).value(),
                &Tensor::new([1, 1, 1, 2], vec![5.0, 9.0])
            );
            assert_eq!(
                x.max_pool2d([3, 1], Slide::by([1, 2])).value(),
                &Tensor::new([1, 1, 1, 2], vec![7.0, 9.0])
            );
        });
    }

    #[test]
    fn the_padding_never_wins() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::full([1, 1, 2, 2], -5.0_f32));
            let y = x.max_pool2d(2, Slide::by(1).padded(1));
            assert_eq!(y.value(), &Tensor::full([1, 1, 3, 3], -5.0));
        });
    }

    fn slope(x: [f64; 6]) -> Vec<f64> {
        // Two windows that share the middle column; dY is 1 and 10.
        let x = Param::new("x", Tensor::new([1, 1, 2, 3], x.to_vec()));
        let dy = Tensor::new([1, 1, 1, 2], vec![1.0, 10.0]);
        let (_, grads) = Tape::new().vjp(&dy, |t| t.param(&x).max_pool2d(2, Slide::by(1)));
        grads.of(&x).to_vec()
    }

    #[test]
    fn of_equal_elements_the_first_takes_the_gradient() {
        assert_eq!(slope([0.0; 6]), [1., 10., 0., 0., 0., 0.]);
        assert_eq!(slope([0., 1., 0., 1., 1., 0.]), [0., 11., 0., 0., 0., 0.]);
        assert_eq!(slope([0., 0., 0., 1., 0., 2.]), [0., 0., 0., 1., 0., 10.]);
        assert_eq!(slope([f64::NEG_INFINITY; 6]), [1., 10., 0., 0., 0., 0.]);
    }

    #[test]
    fn a_nan_wins_and_loses_no_gradient() {
        let x = [0.0, 1.0, f64::NAN, 2.0, 0.0, 3.0];
        Tape::eval(|t| {
            let x = t.constant(Tensor::new([1, 1, 2, 3], x.to_vec()));
            let y = x.max_pool2d(2, Slide::by(1));
            assert_eq!(y.value().data()[0], 2.0);
            assert!(y.value().data()[1].is_nan());
        });
        // To the NaN itself, as in PyTorch.
        assert_eq!(slope(x), [0., 0., 10., 1., 0., 0.]);
    }

    #[test]
    fn the_padding_takes_no_gradient() {
        for x in [f64::NEG_INFINITY, f64::NAN, -f64::MAX, 0.0] {
            let x = Param::new("x", Tensor::new([1, 1, 2, 2], vec![1.0, x, x, x]));
            let (_, grads) =
                Tape::new().grad(|t| t.param(&x).max_pool2d(2, Slide::by(1).padded(1)).sum_all());
            assert_eq!(grads.of(&x).to_vec().iter().sum::<f64>(), 9.0);
        }
    }

    #[test]
    #[should_panic(expected = "max_pool2d: the input must be [N, C, H, W], but its shape is [2]")]
    fn images_have_four_axes() {
        Tape::eval(|t| {
            t.constant(Tensor::<f32>::zeros([2]))
                .max_pool2d(2, Slide::by(2));
        });
    }
}
