//! Reverse-mode automatic differentiation on a tape, small enough to be read whole.
//!
//! A [`Tape`] is a list of records. Each op that is applied to a [`Var`] computes its
//! value at once and appends one record: the backward half of the op and the tensors it
//! saved. The gradient is one loop over that list, last record first (book, chapters 2
//! and 4). There is no graph to sort, no recursion, no global state.
//!
//! ```
//! use tape::{Param, Tape, Tensor};
//!
//! let x = Param::new("x", Tensor::new([2], vec![3.0_f64, -1.0]));
//! let (loss, grads) = Tape::new().grad(|t| {
//!     let x = t.param(&x);
//!     (&x * &x).sum(&[0])
//! });
//! assert_eq!(loss, 10.0);
//! assert_eq!(grads.of(&x).data(), [6.0, -2.0]);
//! ```
//!
//! What it is not: there are no second derivatives, a recording is differentiated once,
//! and tensors are contiguous, on the CPU.
//!
//! # How it is laid out
//! - [`Tensor`], [`Shape`]: values. [`Real`]: what they are made of.
//! - [`Tape`], [`Var`], [`Param`], [`Grads`]: recording and differentiating.
//! - [`Line`], [`Steps`]: a tape to look at, and its backward pass one record at a time.
//! - [`Backward`], [`InputGrads`]: the contract of an op, for this crate and others.
//! - [`ops`]: one op, one file: formula, derivative, kernel, tests.
//! - [`lanes`], [`vector`], [`parallel`], [`streaming`], [`gemm`], [`broadcast`], [`magnitude`]:
//!   what kernels are built from.

mod backward;
pub mod broadcast;
mod buffer;
mod elementary;
pub mod gemm;
mod grads;
pub mod lanes;
pub mod magnitude;
pub mod ops;
pub mod parallel;
mod param;
mod print;
mod real;
mod recording;
mod shape;
mod steps;
pub mod streaming;
mod strided;
mod tape;
mod tensor;
#[cfg(test)]
mod testing;
mod var;
pub mod vector;

pub use backward::{Backward, InputGrads};
pub use buffer::{POOL_LIMIT, Pooled, clear_pool, pooled_bytes};
pub use grads::{Grads, Watch};
pub use ops::window::{Pair, Slide};
pub use param::{Param, ParamId};
pub use print::Line;
pub use real::Real;
pub use shape::{Axes, MAX_ELEMENTS, MAX_RANK, Shape, elements, try_elements};
pub use steps::Steps;
pub use tape::Tape;
pub use tensor::Tensor;
pub use var::Var;
