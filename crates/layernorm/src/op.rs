//! Layer Norm as an op on the tape, added from outside the tape's crate.
//!
//! The backward pass needs `x_hat`. It is not kept: to make it again from `x`, which is
//! read in its place, takes two subtractions and a product, while to keep it would take
//! an array as large as `x`, written forward and then held until the gradient is known.

use tape::magnitude::checked_eps;
use tape::{Backward, InputGrads, Real, Tensor, Var};

use crate::{fused, rows};

/// `gamma · (x − mean) / √(var + eps) + beta`, with mean and variance over the trailing
/// axes of `x` that have the shape of `gamma`.
///
/// `x` ends in the shape of `gamma`, `beta` has the shape of `gamma`; the result has the
/// shape of `x`. Kept for the backward pass: `x`, shared and not copied, and three numbers
/// a row.
///
/// # Panics
/// If `x` does not end in the shape of `gamma`, if `gamma` has no axis or no element, if
/// `beta` has another shape, or if [`checked_eps`] refuses `eps`.
#[track_caller]
pub fn layer_norm<'t, T: Real>(
    x: &Var<'t, T>,
    gamma: &Var<'t, T>,
    beta: &Var<'t, T>,
    eps: f64,
) -> Var<'t, T> {
    let rows = rows::count("layer_norm", x.shape(), gamma.shape());
    let eps = checked_eps("layer_norm", eps);
    assert_eq!(
        gamma.shape(),
        beta.shape(),
        "layer_norm: gamma has shape {}, but beta has shape {}; \
         both hold one number per feature",
        gamma.shape(),
        beta.shape()
    );
    let mut y = Tensor::scratch(x.shape());
    let mut stats = Tensor::scratch([rows, 3]);
    fused::forward(
        x.value().data(),
        gamma.value().data(),
        beta.value().data(),
        eps,
        y.data_mut(),
        stats.data_mut().as_chunks_mut().0,
    );
    x.tape().record(&[x, gamma, beta], y, || LayerNormBackward {
        x: x.value().clone(),
        gamma: gamma.value().clone(),
        stats,
    })
}

struct LayerNormBackward<T: Real> {
    x: Tensor<T>,
    gamma: Tensor<T>,
    /// `[R, 3]`.
    stats: Tensor<T>,
}

impl<T: Real> Backward<T> for LayerNormBackward<T> {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let (dy, mut grad) = dy.in_place_or_beside();
        let mut dgamma = Tensor::scratch(self.gamma.shape());
        let mut dbeta = Tensor::scratch(self.gamma.shape());
        fused::backward(
            fused::Saved {
                x: self.x.data(),
                gamma: self.gamma.data(),
                stats: self.stats.data().as_chunks().0,
            },
            dy.as_ref().map(Tensor::data),
            grad.data_mut(),
            dgamma.data_mut(),
            dbeta.data_mut(),
        );
        dx.add(0, grad);
        dx.add(1, dgamma);
        dx.add(2, dbeta);
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.x, &self.gamma, &self.stats]
    }
}

#[cfg(test)]
mod tests {
    use tape::{Param, Tape, Tensor};

    use super::*;
    use crate::testing::{check_gradient, normal};

    #[test]
    fn gradient() {
        let cases: [(&[usize], &[usize]); 5] = [
            (&[4, 5], &[5]),
            (&[2, 3, 4], &[4]),
            (&[2, 3, 4], &[3, 4]),
            (&[2, 2, 2, 3], &[2, 2, 3]),
            (&[6], &[6]),
        ];
        for (shape, normalized) in cases {
            let inputs = [
                normal(shape, 11),
                normal(normalized, 12),
                normal(normalized, 13),
            ];
            check_gradient(&["x", "gamma", "beta"], &inputs, |v| {
                layer_norm(&v[0], &v[1], &v[2], 1e-3)
            })
            .assert_passes();
        }
    }

    #[test]
    fn eps_is_the_one_given() {
        // Variance 1, so that the deviation is the square root of 1 + eps.
        let y = Tape::eval(|t| {
            let x = t.constant(Tensor::new([1, 2], vec![-1.0, 1.0]));
            let (gamma, beta) = (Tensor::ones([2]), Tensor::zeros([2]));
            let y = layer_norm(&x, &t.constant(gamma), &t.constant(beta), 3.0);
            y.value().clone()
        });
        assert_eq!(y, Tensor::new([1, 2], vec![-0.5, 0.5]));
    }

    #[test]
    fn saves_its_input_by_reference_and_three_numbers_a_row() {
        let (x, gamma, beta) = (
            Param::new("x", normal([6, 10], 1)),
            Param::new("gamma", normal([10], 2)),
            Param::new("beta", normal([10], 3)),
        );
        Tape::new().grad(|t| {
            let (x, gamma, beta) = (t.param(&x), t.param(&gamma), t.param(&beta));
            // Another op that keeps x and gamma: what they share counts once.
            let _products = (&x * &x, &gamma * &gamma);
            let before = t.saved_bytes();
            let y = layer_norm(&x, &gamma, &beta, 1e-5);
            assert_eq!(t.saved_bytes() - before, 6 * 3 * size_of::<f64>());
            assert!(t.to_string().contains("layer_norm"));
            y.sum_all()
        });
    }

    #[test]
    fn an_evaluation_saves_nothing() {
        let x = Param::new("x", normal([2, 3], 1));
        Tape::eval(|t| {
            let (gamma, beta) = (
                t.constant(Tensor::ones([3])),
                t.constant(Tensor::zeros([3])),
            );
            let y = layer_norm(&t.param(&x), &gamma, &beta, 1e-5);
            assert!(!y.is_tracked());
            assert_eq!(t.saved_bytes(), 0);
        });
    }

    fn apply(x: &[usize], gamma: &[usize], beta: &[usize], eps: f64) {
        Tape::<f32>::eval(|t| {
            let [x, gamma, beta] = [x, gamma, beta].map(|shape| t.constant(Tensor::ones(shape)));
            layer_norm(&x, &gamma, &beta, eps);
        });
    }

    #[test]
    #[should_panic(
        expected = "layer_norm: x has shape [4, 3, 5], but the normalized shape is [3], and x \
                    must end in it; move the features to the last axis"
    )]
    fn x_ends_in_the_normalized_shape() {
        apply(&[4, 3, 5], &[3], &[3], 1e-5);
    }

    #[test]
    #[should_panic(expected = "layer_norm: gamma has shape [5], but beta has shape [3]")]
    fn gamma_and_beta_have_one_shape() {
        apply(&[4, 5], &[5], &[3], 1e-5);
    }

    #[test]
    #[should_panic(expected = "layer_norm: eps is -0.5")]
    fn a_negative_eps_is_refused() {
        apply(&[4, 5], &[5], &[5], -0.5);
    }

    #[test]
    #[should_panic(expected = "layer_norm: normalized shape [] holds no features")]
    fn a_scalar_gamma_is_refused() {
        apply(&[4, 5], &[], &[], 1e-5);
    }
}
