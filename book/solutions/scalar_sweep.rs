//! Exercise: the sweep (chapter 2).
//! Return the gradient of record `y` with respect to every record of the tape, in its order.

use exercises::scalar_sweep::{Record, check};

fn backward(tape: &[Record], y: usize) -> Vec<f64> {
    // ANCHOR: solution
    let mut grads = vec![0.0; tape.len()];
    grads[y] = 1.0;
    for at in (0..=y).rev() {
        for &(input, slope) in &tape[at].inputs {
            grads[input] += grads[at] * slope;
        }
    }
    grads
    // ANCHOR_END: solution
}

fn main() -> std::process::ExitCode {
    check(backward)
}
