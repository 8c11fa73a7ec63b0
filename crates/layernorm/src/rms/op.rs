//! RMS Norm as an op on the tape, added from outside the tape's crate.

use tape::magnitude::checked_eps;
use tape::{Backward, InputGrads, Real, Tensor, Var};

use super::fused;
use crate::rows;

/// `gamma · x / √(mean(x²) + eps)`, with the mean over the trailing axes of `x` that have
/// the shape of `gamma`. PyTorch's `rms_norm`.
///
/// `x` ends in the shape of `gamma`; the result has the shape of `x`. Kept for the
/// backward pass: `x`, shared and not copied, and one number a row.
///
/// # Panics
/// If `x` does not end in the shape of `gamma`, if `gamma` has no axis or no element, or
/// if [`checked_eps`] refuses `eps`.
#[track_caller]
pub fn rms_norm<'t, T: Real>(x: &Var<'t, T>, gamma: &Var<'t, T>, eps: f64) -> Var<'t, T> {
    let rows = rows::count("rms_norm", x.shape(), gamma.shape());
    let eps = checked_eps("rms_norm", eps);
    let (mut y, mut rstd) = (Tensor::scratch(x.shape()), Tensor::scratch([rows]));
    fused::forward(
        x.value().data(),
        gamma.value().data(),
        eps,
        y.data_mut(),
        rstd.data_mut(),
    );
    x.tape().record(&[x, gamma], y, || RmsNormBackward {
        x: x.value().clone(),
        gamma: gamma.value().clone(),
        rstd,
    })
}

struct RmsNormBackward<T: Real> {
    x: Tensor<T>,
    gamma: Tensor<T>,
    rstd: Tensor<T>,
}

impl<T: Real> Backward<T> for RmsNormBackward<T> {
    fn name(&self) -> &'static str {
        "rms_norm"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let (dy, mut grad) = dy.in_place_or_beside();
        let mut dgamma = Tensor::scratch(self.gamma.shape());
        fused::backward(
            fused::Saved {
                x: self.x.data(),
                gamma: self.gamma.data(),
                rstd: self.rstd.data(),
            },
            dy.as_ref().map(Tensor::data),
            grad.data_mut(),
            dgamma.data_mut(),
        );
        dx.add(0, grad);
        dx.add(1, dgamma);
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.x, &self.gamma, &self.rstd]
    }
}

#[cfg(test)]
mod tests {
    use tape::{Param, Tape, Tensor};

    use super::*;
    use crate::testing::{check_gradient, normal};

    #[test]
    fn gradient() {
        let cases: [(&[usize], &[usize]); 4] = [
            (&[4, 5], &[5]),
            (&[2, 3, 4], &[4]),
            (&[2, 3, 4], &[3, 4]),
            (&[6], &[6]),
        ];
        for (shape, normalized) in cases {
            let inputs = [normal(shape, 1), normal(normalized, 2)];
            check_gradient(&["x", "gamma"], &inputs, |v| rms_norm(&v[0], &v[1], 1e-3))
                .assert_passes();
        }
    }

    #[test]
    fn eps_is_the_one_given() {
        let y = Tape::eval(|t| {
            let x = t.constant(Tensor::new([1, 2], vec![-1.0, 1.0]));
            let gamma = t.constant(Tensor::new([2], vec![1.0, 4.0]));
            rms_norm(&x, &gamma, 3.0).value().clone()
        });
        assert_eq!(y, Tensor::new([1, 2], vec![-0.5, 2.0]));
    }

    #[test]
    fn saves_its_input_by_reference_and_one_number_a_row() {
        let x = Param::new("x", normal([6, 10], 1));
        let gamma = Param::new("gamma", normal([10], 2));
        Tape::new().grad(|t| {
            let (x, gamma) = (t.param(&x), t.param(&gamma));
            // Another op that keeps x and gamma: what they share counts once.
            let _products = (&x * &x, &gamma * &gamma);
            let before = t.saved_bytes();
            let y = rms_norm(&x, &gamma, 1e-5);
            assert_eq!(t.saved_bytes() - before, 6 * size_of::<f64>());
            assert!(t.to_string().contains("rms_norm"));
            y.sum_all()
        });
    }

    fn apply(x: &[usize], gamma: &[usize], eps: f64) {
        Tape::<f32>::eval(|t| {
            let [x, gamma] = [x, gamma].map(|shape| t.constant(Tensor::ones(shape)));
            rms_norm(&x, &gamma, eps);
        });
    }

    #[test]
    #[should_panic(
        expected = "rms_norm: x has shape [4, 3], but the normalized shape is [4], and x must end \
                    in it"
    )]
    fn x_ends_in_the_normalized_shape() {
        apply(&[4, 3], &[4], 1e-5);
    }

    #[test]
    #[should_panic(expected = "rms_norm: eps is -inf")]
    fn a_negative_eps_is_refused() {
        apply(&[4, 3], &[3], f64::NEG_INFINITY);
    }
}
