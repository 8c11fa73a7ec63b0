//! Batch Normalization (Ioffe & Szegedy, 2015), forward and backward, three times over.
//!
//! Each channel `c` of a batch is normalized over its M values, then scaled and shifted:
//!
//! ```text
//! x̂ = (x − μ) / √(σ² + eps)        μ, σ²: mean and biased variance of the channel
//! y = γ x̂ + β
//!
//! dβ = Σ dy        dγ = Σ dy·x̂
//! dx = γ / √(σ² + eps) · (dy − mean(dy) − x̂ · mean(dy·x̂))
//! ```
//!
//! [`BatchNorm`] is the layer. Below it stand three implementations that agree to
//! rounding, in the order in which the book derives them (chapters 7 to 9):
//!
//! - [`composed`]: the forward pass in tape primitives; the tape finds the gradient.
//! - [`staged`]: one line of backward for each line of forward, on plain slices.
//! - [`fused`]: the closed form above, in kernels that read memory as seldom as they can.
//!   The layer runs on this one.
//!
//! ```
//! use batchnorm::BatchNorm;
//! use tape::{Param, Tape, Tensor};
//!
//! let mut bn = BatchNorm::<f64>::new(2);
//! let x = Param::new("x", Tensor::new([3, 2], vec![1.0, 10.0, 2.0, 30.0, 6.0, 20.0]));
//! let dy = Tensor::from_fn([3, 2], |i| i as f64);
//! let (y, grads) = Tape::new().vjp(&dy, |t| bn.train(&t.param(&x)));
//!
//! assert!((y.data()[0] + y.data()[2] + y.data()[4]).abs() < 1e-12);
//! assert_eq!(grads.of(bn.beta().unwrap()).data(), [6.0, 9.0]);
//! assert_eq!(bn.running().num_batches_tracked, 1);
//! ```
//!
//! # How it is laid out
//! - [`Layout`]: a batch of any shape as N × C × L. [`Moments`]: mean and variance of each
//!   channel. [`RunningStats`]: their averages over training.
//! - [`BatchNorm`]: the layer. [`op`]: what it records on the tape.

#![forbid(unsafe_code)]

pub mod composed;
pub mod fused;
mod layer;
mod layout;
mod moments;
pub mod op;
mod running;
pub mod staged;
#[cfg(test)]
mod testing;

pub use layer::BatchNorm;
pub use layout::Layout;
pub use moments::Moments;
pub use running::RunningStats;
