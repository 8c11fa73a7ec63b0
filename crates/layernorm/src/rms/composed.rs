//! RMS Norm composed of the tape's own ops.

use tape::magnitude::checked_eps;
use tape::{Real, Var};

use crate::rows;

/// `gamma · x / √(mean(x²) + eps)`, with the mean over the trailing axes of `x` that have
/// the shape of `gamma`.
///
/// # Panics
/// If `x` does not end in the shape of `gamma`, if `gamma` has no axis or no element, or
/// if [`checked_eps`] refuses `eps`.
#[track_caller]
pub fn rms_norm<'t, T: Real>(x: &Var<'t, T>, gamma: &Var<'t, T>, eps: f64) -> Var<'t, T> {
    let axes = rows::trailing_axes("rms::composed::rms_norm", x.shape(), gamma.shape());
    let eps: T = checked_eps("rms::composed::rms_norm", eps);
    let mean_square = (x * x).mean_keep(&axes);
    gamma * (x / (mean_square + eps).sqrt())
}
