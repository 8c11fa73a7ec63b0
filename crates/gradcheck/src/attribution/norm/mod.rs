//! The catalogue of mistakes in normalization: Batch Norm, Layer Norm, RMS Norm.
//!
//! [`Probe`] makes an input on which every mistake shows; [`explain`] names the mistake
//! in an output or a gradient computed from it.

mod affine;
mod change;
mod dx;
mod factors;
mod output;
mod probe;
mod recipe;
mod running;

pub use probe::{Kind, Probe};
pub use running::{explain_running_mean, explain_running_var};

use super::{F64_PRECISION, Verdict};

/// What a candidate claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The output `y`.
    Y,
    /// The gradient with respect to the input.
    Dx,
    /// The gradient with respect to gamma.
    Dgamma,
    /// The gradient with respect to beta.
    Dbeta,
}

/// Names the mistake in a candidate computed from `probe`.
///
/// The candidate has its elements in row-major order; its shape is that of `x` for
/// [`Target::Y`] and [`Target::Dx`], that of gamma for the other two.
///
/// ```
/// use gradcheck::attribution::norm::{Probe, Target, explain};
/// let probe = Probe::batch_norm(&[6, 4], 1e-5, 0);
/// let mut dx = probe.dx();
/// for v in &mut dx {
///     *v *= -1.0;
/// }
/// assert_eq!(explain(&probe, Target::Dx, &dx).id, "whole-sign");
/// ```
pub fn explain(probe: &Probe, target: Target, candidate: &[f64]) -> Verdict {
    explain_to(probe, target, candidate, F64_PRECISION)
}

/// Like [`explain`], for a candidate with a relative rounding error up to `precision`.
pub fn explain_to(probe: &Probe, target: Target, candidate: &[f64], precision: f64) -> Verdict {
    match target {
        Target::Y => output::explain(probe, candidate, precision),
        Target::Dx => dx::explain(probe, candidate, precision),
        Target::Dgamma => affine::explain_dgamma(probe, candidate, precision),
        Target::Dbeta => affine::explain_dbeta(probe, candidate, precision),
    }
}
