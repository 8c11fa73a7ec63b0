//! Exercise: the sweep (chapter 2).
//! Return the gradient of record `y` by every record of the tape, in the tape's order.

use exercises::scalar_sweep::{Record, check};

fn backward(tape: &[Record], y: usize) -> Vec<f64> {
    todo!()
}

fn main() -> std::process::ExitCode {
    check(backward)
}
