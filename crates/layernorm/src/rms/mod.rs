//! RMS Norm: Layer Norm without the mean (Zhang & Sennrich, 2019).
//!
//! ```text
//! ms    = Σ x² / D
//! x_hat = x / √(ms + eps)
//! y     = gamma · x_hat
//! ```
//!
//! It divides a row by its root mean square and subtracts nothing, so there is one path
//! less from `x` to `y`, and one term less in the gradient. A shift of the input shows in
//! the output; a positive scale still does not.

pub mod composed;
pub mod fused;
mod layer;
mod op;
pub mod staged;

pub use layer::RmsNorm;
pub use op::rms_norm;
