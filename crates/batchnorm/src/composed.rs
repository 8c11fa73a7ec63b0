//! Batch Norm composed of tape primitives: the forward pass alone.
//!
//! This is the definition, written down. No line of it speaks of gradients; the tape
//! finds them, op by op. What it costs is memory and time: every intermediate is a
//! batch of its own (book, section 8.1).

use tape::Real;
use tape::{Shape, Var};

use crate::op::layout;

/// Normalizes `x` by its own statistics.
///
/// `x` has shape `[N, C]`, `[N, C, L]`, `[N, C, H, W]` or `[N, C, D, H, W]` and the
/// result the same; `gamma` and `beta` have shape `[C]`.
///
/// # Panics
/// If the shapes do not fit.
// ANCHOR: composed
#[track_caller]
pub fn batch_norm<'t, T: Real>(
    x: &Var<'t, T>,
    gamma: &Var<'t, T>,
    beta: &Var<'t, T>,
    eps: f64,
) -> Var<'t, T> {
    let [gamma, beta] = per_channel(x, gamma, beta);
    let axes = all_but_channels(x.shape());

    let mean = x.mean_keep(&axes);
    let centered = x - mean;
    let var = (&centered * &centered).mean_keep(&axes);
    let x_hat = centered / (var + T::from_f64(eps)).sqrt();
    x_hat * gamma + beta
}

/// Every axis but the one that counts channels.
fn all_but_channels(shape: &Shape) -> Vec<usize> {
    (0..shape.len()).filter(|&axis| axis != 1).collect()
}

/// `gamma` and `beta` with trailing axes of length 1, so that they broadcast along the
/// channels of `x`.
#[track_caller]
fn per_channel<'t, T: Real>(
    x: &Var<'t, T>,
    gamma: &Var<'t, T>,
    beta: &Var<'t, T>,
) -> [Var<'t, T>; 2] {
    let mut shape = vec![layout(x, gamma, beta).channels];
    shape.resize(x.shape().len() - 1, 1);
    [gamma.reshape(&shape[..]), beta.reshape(&shape[..])]
}
// ANCHOR_END: composed

/// Which paths from `x` to `y` let a gradient through.
///
/// `x` reaches `x̂ = (x − μ) / √(σ² + eps)` three times: by itself, through the mean,
/// and through the variance. The gradient of `x` is the sum over the three paths, so
/// each part can be had by closing the other two (book, section 8.3).
// ANCHOR: paths
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Paths {
    /// `x → x − μ → x̂`.
    pub direct: bool,
    /// `x → μ → x − μ → x̂`.
    pub mean: bool,
    /// `x → σ² → x̂`.
    pub variance: bool,
}

/// Like [`batch_norm`], with a gradient along the chosen paths only. The value is the
/// same whichever are open.
///
/// # Panics
/// If the shapes do not fit.
#[track_caller]
pub fn batch_norm_along<'t, T: Real>(
    paths: Paths,
    x: &Var<'t, T>,
    gamma: &Var<'t, T>,
    beta: &Var<'t, T>,
    eps: f64,
) -> Var<'t, T> {
    let [gamma, beta] = per_channel(x, gamma, beta);
    let axes = all_but_channels(x.shape());
    let gate = |open: bool, v: &Var<'t, T>| if open { v.clone() } else { v.stop_gradient() };

    let mean = x.mean_keep(&axes);
    let centered = gate(paths.direct, x) - gate(paths.mean, &mean);
    let around_mean = x - mean;
    let var = (&around_mean * &around_mean).mean_keep(&axes);
    let x_hat = centered / (gate(paths.variance, &var) + T::from_f64(eps)).sqrt();
    x_hat * gamma + beta
}
// ANCHOR_END: paths
