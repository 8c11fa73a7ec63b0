//! Exercise: the backward pass of a frozen Batch Norm (chapter 17).
//! `x` and `dy` are `[N, C]`, row by row; everything else has one number per channel.

use exercises::frozen_backward::{Frozen, Gradients, check};

/// The gradients with respect to `x`, gamma and beta, from the upstream gradient `dy`.
fn backward(bn: &Frozen, x: &[f64], dy: &[f64]) -> Gradients {
    todo!()
}

fn main() -> std::process::ExitCode {
    check(backward)
}
