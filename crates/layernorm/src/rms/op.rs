//! RMS Norm as an op on the tape, added from outside the tape's crate.

use tape::{Backward, InputGrads, Real, Tensor, Var};

use super::fused;
use crate::rows;

// ANCHOR: rms_op
/// `gamma · x / √(mean(x²) + eps)`, with the mean over the trailing axes of `x` that have
/// the shape of `gamma`. PyTorch's `rms_norm`.
///
/// `x` ends in the shape of `gamma`; the result has the shape of `x`. Kept for the
/// backward pass: `x`, shared and not copied, and one number a row.
///
/// # Panics
/// If `x` does not end in the shape of `gamma`, if `gamma` has no axis or no element, or
/// if `eps` is negative or not finite.
#[track_caller]
pub fn rms_norm<'t, T: Real>(x: &Var<'t, T>, gamma: &Var<'t, T>, eps: f64) -> Var<'t, T> {
    let rows = rows::count("rms_norm", x.shape(), gamma.shape());
    rows::check_eps("rms_norm", eps);
    let (mut y, mut rstd) = (Tensor::scratch(x.shape()), Tensor::scratch([rows]));
    fused::forward(
        x.value().data(),
        gamma.value().data(),
        T::from_f64(eps),
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

    fn backward(self: Box<Self>, mut dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let mut dgamma = Tensor::scratch(self.gamma.shape());
        fused::backward(
            self.x.data(),
            self.gamma.data(),
            self.rstd.data(),
            dy.data_mut(),
            dgamma.data_mut(),
        );
        dx.add(0, dy);
        dx.add(1, dgamma);
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.x, &self.gamma, &self.rstd]
    }
}
// ANCHOR_END: rms_op
