//! Layer Norm composed of the tape's own ops: the formula, and nothing else.
//!
//! The tape records eight ops and differentiates them one by one. That is slow, since
//! every intermediate value is written to memory and kept, but nothing in it can be
//! wrong without an op being wrong. The other two forms are held against this one.

use tape::magnitude::checked_eps;
use tape::{Real, Var};

use crate::rows;

/// `gamma · (x − mean) / √(var + eps) + beta`, with mean and variance over the trailing
/// axes of `x` that have the shape of `gamma`.
///
/// # Panics
/// If `x` does not end in the shape of `gamma`, if `gamma` has no axis or no element, or
/// if [`checked_eps`] refuses `eps`.
#[track_caller]
pub fn layer_norm<'t, T: Real>(
    x: &Var<'t, T>,
    gamma: &Var<'t, T>,
    beta: &Var<'t, T>,
    eps: f64,
) -> Var<'t, T> {
    let axes = rows::trailing_axes("composed::layer_norm", x.shape(), gamma.shape());
    let eps: T = checked_eps("composed::layer_norm", eps);
    let mean = x.mean_keep(&axes);
    let centered = x - mean;
    let var = (&centered * &centered).mean_keep(&axes);
    let x_hat = centered / (var + eps).sqrt();
    gamma * x_hat + beta
}
