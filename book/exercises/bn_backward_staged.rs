//! Exercise: Batch Norm, backward in stages (chapter 8).
//! One channel of N values; one line of backward for each line of forward.

use exercises::bn_backward_staged::{Saved, Stages, check};

/// `dy` has N values, like `saved.centered` (x - mean) and `saved.x_hat`.
fn bn_backward_staged(dy: &[f64], saved: &Saved, gamma: f64) -> Stages {
    todo!()
}

fn main() -> std::process::ExitCode {
    check(bn_backward_staged)
}
