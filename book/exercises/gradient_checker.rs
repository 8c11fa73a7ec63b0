//! Exercise: a gradient check of your own (chapter 8).
//! Say whether the gradients that a Batch Norm layer claims are right. You choose the point.

use exercises::gradient_checker::{Layer, check};

fn is_right(layer: &Layer<'_>) -> bool {
    todo!()
}

fn main() -> std::process::ExitCode {
    check(is_right)
}
