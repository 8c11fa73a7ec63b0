//! `yᵢ = e^(xᵢ) / Σⱼ e^(xⱼ)` along one axis.
//!
//! ∂yᵢ/∂xⱼ = yᵢ (δᵢⱼ − yⱼ), so `dxⱼ = Σᵢ dyᵢ yᵢ (δᵢⱼ − yⱼ) = yⱼ (dyⱼ − Σᵢ dyᵢ yᵢ)`: the
//! output is all that must be saved (book, chapter 5).
//!
//! The largest xⱼ is subtracted first. That changes no yᵢ, and keeps every exponent at 0
//! or below, so that nothing overflows and the denominator is at least 1.

use vectorized::vectorized;

use crate::shape::check_axis;
use crate::{Backward, InputGrads, Real, Tensor, Var, lanes, parallel};

impl<'t, T: Real> Var<'t, T> {
    /// Positive weights that add up to 1 along `axis`.
    ///
    /// An element of −∞ gets the weight 0; where all are −∞ the result is NaN, as in
    /// PyTorch. An axis other than the last is moved there and back, which is recorded.
    ///
    /// # Panics
    /// If there is no such axis.
    #[track_caller]
    pub fn softmax(&self, axis: usize) -> Self {
        check_axis("softmax", axis, self.shape());
        along_last(self, axis, |x| {
            let mut y = Tensor::scratch(x.shape());
            each_row(&mut y, x.value(), softmax_row);
            x.tape().record(&[x], y.clone(), || Softmax { y })
        })
    }
}

/// Applies an op that works on the last axis to any axis.
pub(crate) fn along_last<'t, T: Real>(
    x: &Var<'t, T>,
    axis: usize,
    op: impl Fn(&Var<'t, T>) -> Var<'t, T>,
) -> Var<'t, T> {
    let last = x.shape().len() - 1;
    if axis == last {
        op(x)
    } else {
        op(&x.transpose(axis, last)).transpose(axis, last)
    }
}

/// Calls `f(out, x)` on every pair of rows along the last axis, on several threads when
/// there is enough to do. No row depends on another.
pub(crate) fn each_row<T: Real>(
    out: &mut Tensor<T>,
    x: &Tensor<T>,
    f: impl Fn(&mut [T], &[T]) + Copy + Sync,
) {
    if x.is_empty() {
        return;
    }
    let length = x.shape()[x.shape().len() - 1];
    let (rows, x) = (x.len() / length, x.data());
    let out = parallel::rows(out.data_mut(), length);
    parallel::for_each_item(rows, x.len(), out, |row, out| {
        f(out, &x[row * length..][..length]);
    });
}

#[vectorized]
fn softmax_row<T: Real>(y: &mut [T], x: &[T]) {
    let max = lanes::max(x);
    lanes::map(y, x, |x| (x - max).exp());
    let sum = lanes::sum(y);
    for y in y {
        *y /= sum;
    }
}

/// Turns `dy` of a row into `dx`.
#[vectorized]
fn softmax_row_backward<T: Real>(dy: &mut [T], y: &[T]) {
    let dot = lanes::dot(dy, y);
    lanes::zip_assign(dy, y, |dy, y| y * (dy - dot));
}

struct Softmax<T: Real> {
    y: Tensor<T>,
}

impl<T: Real> Backward<T> for Softmax<T> {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn backward(self: Box<Self>, mut dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        each_row(&mut dy, &self.y, softmax_row_backward);
        dx.add(0, dy);
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.y]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tape;
    use crate::testing::normal;

    fn softmax(x: &[f32]) -> Vec<f32> {
        Tape::eval(|t| {
            let x = t.constant(Tensor::new([x.len()], x.to_vec()));
            x.softmax(0).value().to_vec()
        })
    }

    #[test]
    fn is_in_proportion_to_the_exponentials() {
        Tape::eval(|t| {
            let ln = f64::ln;
            let x = Tensor::new([2, 2], vec![0.0, ln(3.0), ln(4.0), ln(12.0)]);
            let near = |y: &Tensor<f64>, expected: [f64; 4]| {
                assert_eq!(y.shape()[..], [2, 2]);
                for (y, e) in y.data().iter().zip(expected) {
                    assert!((y - e).abs() < 1e-15, "{y}, not {e}");
                }
            };
            let x = t.constant(x);
            near(x.softmax(1).value(), [0.25, 0.75, 0.25, 0.75]);
            near(x.softmax(0).value(), [0.2, 0.2, 0.8, 0.8]);
        });
    }

    #[test]
    fn huge_logits_do_not_overflow() {
        assert_eq!(softmax(&[1e30, 1e30, -1e30]), [0.5, 0.5, 0.0]);
        assert_eq!(softmax(&[-1e30, -2e30]), [1.0, 0.0]);
    }

    #[test]
    fn masked_elements_have_no_weight() {
        let masked = f32::NEG_INFINITY;
        assert_eq!(softmax(&[masked, 2.0, masked, 2.0]), [0.0, 0.5, 0.0, 0.5]);
        assert!(softmax(&[masked; 2]).iter().all(|y| y.is_nan()));
    }

    #[test]
    fn empty_axes_are_legal() {
        Tape::eval(|t| {
            for shape in [[2, 0], [0, 2]] {
                let x = t.constant(Tensor::<f32>::zeros(shape));
                assert_eq!(x.softmax(1).value(), x.value());
            }
        });
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        // Enough for several threads: each row as when it is alone.
        let x = normal([1 << 13, 33], 1).cast::<f32>();
        assert!(parallel::ranges(1 << 13, x.len()).len() == parallel::threads());
        let y = Tape::eval(|t| t.constant(x.clone()).softmax(1).value().clone());
        for row in (0..1 << 13).step_by(97) {
            let alone = softmax(&x.data()[row * 33..][..33]);
            assert_eq!(y.data()[row * 33..][..33], alone);
        }
    }

    #[test]
    #[should_panic(expected = "softmax: axis 1 is out of range for shape [3]")]
    fn the_axis_must_exist() {
        Tape::eval(|t| {
            t.constant(Tensor::<f32>::zeros([3])).softmax(1);
        });
    }
}
