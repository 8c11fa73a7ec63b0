//! Exercise: causal attention of one head, backward (chapter 15). `h.q`, `h.k` and `h.v` are
//! `[T, d]`, row by row, with T = `h.steps` and d = `h.width`; `dout` is the gradient of the
//! output, `[T, d]`. Nothing else is kept: compute the weights again.

use exercises::attention_backward::{Gradients, Head, check};

fn backward(h: &Head, dout: &[f64]) -> Gradients {
    todo!()
}

fn main() -> std::process::ExitCode {
    check(backward)
}
