//! Optimizers: one pass over each parameter, in place, and nothing allocated per step.
//!
//! An optimizer keeps its state in the order in which the module shows its parameters.
//! The first step learns that order; later steps hold every parameter to it.

mod adam;
mod memory;
mod optimizer;
mod sgd;
#[cfg(test)]
mod tests;

pub use adam::{Adam, Decay};
pub use optimizer::{Optimizer, grad_norm};
pub use sgd::Sgd;
