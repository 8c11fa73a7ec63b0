//! `yᵢ = xᵢ − ln Σⱼ e^(xⱼ)` along one axis: the logarithm of a softmax.
//!
//! ∂yᵢ/∂xⱼ = δᵢⱼ − pⱼ with p = softmax(x) = eʸ, so `dxⱼ = dyⱼ − e^(yⱼ) Σᵢ dyᵢ`: the
//! output is all that must be saved.
//!
//! The largest xⱼ is subtracted first, so that no exponential overflows. Taking the
//! logarithm of a finished softmax would give −∞ wherever a weight underflows; this does
//! not.

use super::max::row_max;
use super::softmax::{along_last, each_row};
use crate::shape::check_axis;
use crate::{Backward, InputGrads, Real, Tensor, Var, lanes};

impl<'t, T: Real> Var<'t, T> {
    // ANCHOR: log_softmax
    /// The logarithms of [`Var::softmax`] along `axis`, exact also where a weight is too
    /// small to be represented.
    ///
    /// # Panics
    /// If there is no such axis.
    #[track_caller]
    pub fn log_softmax(&self, axis: usize) -> Self {
        check_axis("log_softmax", axis, self.shape());
        along_last(self, axis, |x| {
            let mut y = Tensor::scratch(x.shape());
            each_row(&mut y, x.value(), |y, x| {
                let (max, log_sum) = log_sum_exp(x);
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = (x - max) - log_sum;
                }
            });
            x.tape().record(&[x], y.clone(), || LogSoftmax { y })
        })
    }
    // ANCHOR_END: log_softmax
}

// ANCHOR: log_sum_exp
/// `(m, ln Σⱼ e^(xⱼ − m))` with m the largest element. Kept apart: where m is large,
/// their sum would round away what x − m still holds.
pub(crate) fn log_sum_exp<T: Real>(x: &[T]) -> (T, T) {
    let max = row_max(x);
    (max, lanes::sum_map(x, |x| (x - max).exp()).ln())
}
// ANCHOR_END: log_sum_exp

// ANCHOR: log_softmax_backward
struct LogSoftmax<T: Real> {
    y: Tensor<T>,
}

impl<T: Real> Backward<T> for LogSoftmax<T> {
    fn name(&self) -> &'static str {
        "log_softmax"
    }

    fn backward(self: Box<Self>, mut dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        each_row(&mut dy, &self.y, |dy, y| {
            let sum = lanes::sum(dy);
            for (dy, &y) in dy.iter_mut().zip(y) {
                *dy -= y.exp() * sum;
            }
        });
        dx.add(0, dy);
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.y]
    }
}
// ANCHOR_END: log_softmax_backward

#[cfg(test)]
mod tests {
    use crate::testing::{check_gradient, normal};
    use crate::{Tape, Tensor};

    fn log_softmax(x: &[f32]) -> Vec<f32> {
        Tape::eval(|t| {
            let x = t.constant(Tensor::new([x.len()], x.to_vec()));
            x.log_softmax(0).value().to_vec()
        })
    }

    #[test]
    fn is_the_logarithm_of_softmax() {
        Tape::eval(|t| {
            let x = t.constant(normal([2, 3, 4], 1));
            for axis in 0..3 {
                let (y, p) = (x.log_softmax(axis), x.softmax(axis));
                for (y, p) in y.value().data().iter().zip(p.value().data()) {
                    assert!((y - p.ln()).abs() < 1e-14, "{y}, not ln {p}");
                }
            }
        });
    }

    #[test]
    fn small_weights_keep_their_logarithm() {
        assert_eq!(log_softmax(&[0.0, -1000.0]), [0.0, -1000.0]);
        assert_eq!(log_softmax(&[1e30, -1e30]), [0.0, -2e30]);
        // The maximum and the logarithm of the sum, added first, would round ln 2 away.
        let half = -std::f32::consts::LN_2;
        assert_eq!(log_softmax(&[1e9, 1e9]), [half, half]);
    }

    #[test]
    fn masked_elements_stay_masked() {
        let masked = f32::NEG_INFINITY;
        assert_eq!(log_softmax(&[masked, 2.0]), [masked, 0.0]);
        assert!(log_softmax(&[masked; 2]).iter().all(|y| y.is_nan()));
    }

    #[test]
    fn gradient() {
        for axis in 0..3 {
            check_gradient(&[normal([2, 3, 4], 1)], |x| x[0].log_softmax(axis));
        }
    }

    #[test]
    #[should_panic(expected = "log_softmax: axis 1 is out of range for shape [3]")]
    fn the_axis_must_exist() {
        Tape::eval(|t| {
            t.constant(Tensor::<f32>::zeros([3])).log_softmax(1);
        });
    }
}
