//! Layer Norm and RMS Norm: forward and backward, written three times.
//!
//! Layer Norm (Ba, Kiros & Hinton, 2016) gives every example mean 0 and variance 1 over
//! its own features, then scales and shifts each feature by learned numbers:
//!
//! ```text
//! mean  = Σ x / D
//! var   = Σ (x − mean)² / D
//! x_hat = (x − mean) / √(var + eps)
//! y     = gamma · x_hat + beta
//! ```
//!
//! The sums run over the D features of one example: one or more trailing axes of the
//! input, which is treated as rows of D numbers. No example sees another, so the output
//! of a row is the same to the bit whatever batch it is in, in training and in
//! evaluation, on any number of threads (book, chapter 12).
//!
//! ```
//! use layernorm::LayerNorm;
//! use tape::{Param, Tape, Tensor};
//!
//! let ln = LayerNorm::<f64>::new([4]);
//! let x = Param::new("x", Tensor::new([1, 4], vec![1.0, 3.0, 5.0, 7.0]));
//! let dy = Tensor::new([1, 4], vec![1.0, 0.0, 0.0, 0.0]);
//! let (y, grads) = Tape::new().vjp(&dy, |t| ln.forward(&t.param(&x)));
//! assert!((y.at(&[0, 3]) - 3.0 / 5.0_f64.sqrt()).abs() < 1e-5);
//! // The gradient of a row sums to 0: shifting a row does not change its output.
//! assert!(grads.of(&x).data().iter().sum::<f64>().abs() < 1e-12);
//! assert_eq!(grads.of(ln.beta().unwrap()).data(), dy.data());
//! ```
//!
//! # How it is laid out
//! - [`composed`]: the formula in tape primitives; the tape finds the gradient.
//! - [`staged`]: each forward line on its own, and one backward line for each of them.
//! - [`fused`]: the closed form, each row read while it is in cache. This is what runs.
//! - [`layer_norm`], [`LayerNorm`]: the op on the tape, and the layer with its parameters.
//! - `driver`: what the kernels of both norms share: threads, huge rows, sums over rows.
//! - [`rms`]: the same for RMS Norm, which divides by the root mean square and subtracts
//!   nothing.
//!
//! The three agree to rounding; tests hold them together.

#![forbid(unsafe_code)]

pub mod composed;
mod driver;
pub mod fused;
mod layer;
mod op;
pub mod rms;
mod rows;
pub mod staged;
mod sums;
#[cfg(test)]
mod testing;

pub use layer::LayerNorm;
pub use op::layer_norm;
pub use rms::{RmsNorm, rms_norm};
