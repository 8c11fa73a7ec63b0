//! `yᵢ = xᵢ − ln Σⱼ e^(xⱼ)` along one axis: the logarithm of a softmax.
//!
//! ∂yᵢ/∂xⱼ = δᵢⱼ − pⱼ with p = softmax(x) = eʸ, so `dxⱼ = dyⱼ − e^(yⱼ) Σᵢ dyᵢ`: the
//! output is all that must be saved.
//!
//! The largest xⱼ is subtracted first, so that no exponential overflows. Taking the
//! logarithm of a finished softmax would give −∞ wherever a weight underflows; this does
//! not.

use vectorized::vectorized;

use super::softmax::{along_last, each_row};
use crate::shape::check_axis;
use crate::{Backward, InputGrads, Real, Tensor, Var, lanes};

impl<'t, T: Real> Var<'t, T> {
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
            each_row(&mut y, x.value(), log_softmax_row);
            x.tape().record(&[x], y.clone(), || LogSoftmax { y })
        })
    }
}

/// Fills `p` with `e^(xⱼ − m)`, where m is the largest element, and returns m and s, with
/// `Σⱼ e^(xⱼ − m) = 1 + s`.
///
/// The 1, which is the largest element's own term, is left out because it would round
/// away an s that is small; `s.ln_1p()` is the logarithm of the sum with all its digits.
/// And m is kept apart because, where it is large, to add it would round away what x − m
/// still holds.
#[inline(always)]
pub(crate) fn exponentials<T: Real>(p: &mut [T], x: &[T]) -> (T, T) {
    let max = lanes::max(x);
    lanes::map(p, x, |x| (x - max).exp());
    let ones = lanes::sum_map(p, |p| if p == T::ONE { T::ONE } else { T::ZERO });
    let others = lanes::sum_map(p, |p| if p == T::ONE { T::ZERO } else { p });
    (max, others + (ones - T::ONE))
}

#[vectorized]
fn log_softmax_row<T: Real>(y: &mut [T], x: &[T]) {
    let (max, others) = exponentials(y, x);
    let log_sum = others.ln_1p();
    lanes::map(y, x, |x| (x - max) - log_sum);
}

/// Turns `dy` of a row into `dx`.
#[vectorized]
fn log_softmax_row_backward<T: Real>(dy: &mut [T], y: &[T]) {
    let sum = lanes::sum(dy);
    lanes::zip_assign(dy, y, |dy, y| dy - y.exp() * sum);
}

struct LogSoftmax<T: Real> {
    y: Tensor<T>,
}

impl<T: Real> Backward<T> for LogSoftmax<T> {
    fn name(&self) -> &'static str {
        "log_softmax"
    }

    fn backward(self: Box<Self>, mut dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        each_row(&mut dy, &self.y, log_softmax_row_backward);
        dx.add(0, dy);
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.y]
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::normal;
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

    /// PyTorch gives 0 for the first: beside a 1, in `f32`, its other term is lost.
    #[test]
    fn regression_pytorch_a_weight_close_to_1_keeps_the_digits_of_its_logarithm() {
        for far in [1.0_f32, 10.0, 20.0, 80.0] {
            let exact = (-f64::from(far)).exp().ln_1p();
            let y = log_softmax(&[far, 0.0]);
            assert!(
                (f64::from(y[0]) / -exact - 1.0).abs() < 5e-6,
                "{far}: {y:?}"
            );
        }
        assert_eq!(log_softmax(&[3.0_f32; 4]), [-(4.0_f32.ln()); 4]);
    }

    #[test]
    fn masked_elements_stay_masked() {
        let masked = f32::NEG_INFINITY;
        assert_eq!(log_softmax(&[masked, 2.0]), [masked, 0.0]);
        assert!(log_softmax(&[masked; 2]).iter().all(|y| y.is_nan()));
    }

    #[test]
    #[should_panic(expected = "log_softmax: axis 1 is out of range for shape [3]")]
    fn the_axis_must_exist() {
        Tape::eval(|t| {
            t.constant(Tensor::<f32>::zeros([3])).log_softmax(1);
        });
    }
}
