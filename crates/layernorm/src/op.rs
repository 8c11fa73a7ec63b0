//! Layer Norm as an op on the tape, added from outside the tape's crate.

use tape::{Backward, InputGrads, Real, Tensor, Var};

use crate::{fused, rows};

// ANCHOR: op
/// `gamma · (x − mean) / √(var + eps) + beta`, with mean and variance over the trailing
/// axes of `x` that have the shape of `gamma`.
///
/// `x` ends in the shape of `gamma`, `beta` has the shape of `gamma`; the result has the
/// shape of `x`. Kept for the backward pass: `x`, shared and not copied, and two numbers
/// a row.
///
/// # Panics
/// If `x` does not end in the shape of `gamma`, if `gamma` has no axis or no element, if
/// `beta` has another shape, or if `eps` is negative or not finite.
#[track_caller]
pub fn layer_norm<'t, T: Real>(
    x: &Var<'t, T>,
    gamma: &Var<'t, T>,
    beta: &Var<'t, T>,
    eps: f64,
) -> Var<'t, T> {
    let rows = rows::count("layer_norm", x.shape(), gamma.shape());
    rows::check_eps("layer_norm", eps);
    assert_eq!(
        gamma.shape(),
        beta.shape(),
        "layer_norm: gamma has shape {}, but beta has shape {}; both hold one number per feature",
        gamma.shape(),
        beta.shape()
    );
    let mut y = Tensor::scratch(x.shape());
    let (mut mean, mut rstd) = (Tensor::scratch([rows]), Tensor::scratch([rows]));
    fused::forward(
        x.value().data(),
        gamma.value().data(),
        beta.value().data(),
        T::from_f64(eps),
        y.data_mut(),
        mean.data_mut(),
        rstd.data_mut(),
    );
    x.tape().record(&[x, gamma, beta], y, || LayerNormBackward {
        x: x.value().clone(),
        gamma: gamma.value().clone(),
        mean,
        rstd,
    })
}

struct LayerNormBackward<T: Real> {
    x: Tensor<T>,
    gamma: Tensor<T>,
    mean: Tensor<T>,
    rstd: Tensor<T>,
}

impl<T: Real> Backward<T> for LayerNormBackward<T> {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn backward(self: Box<Self>, mut dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let mut dgamma = Tensor::scratch(self.gamma.shape());
        let mut dbeta = Tensor::scratch(self.gamma.shape());
        fused::backward(
            self.x.data(),
            self.gamma.data(),
            self.mean.data(),
            self.rstd.data(),
            dy.data_mut(),
            dgamma.data_mut(),
            dbeta.data_mut(),
        );
        dx.add(0, dy);
        dx.add(1, dgamma);
        dx.add(2, dbeta);
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.x, &self.gamma, &self.mean, &self.rstd]
    }
}
// ANCHOR_END: op
