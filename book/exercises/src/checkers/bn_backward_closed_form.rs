//! Checks the exercise `bn_backward_closed_form`.

use crate::batch::BATCH;
use crate::gradients::{part, run};
use judge::exercise;

pub use crate::gradients::Gradients;

exercise! {
    /// `(dy, x_hat, rstd, gamma, n, c)` to the gradients.
    check(backward: Fn(&[f64], &[f64], &[f64], &[f64], usize, usize) -> Gradients),
    right: "all three gradients are right",
    parts: [part(BATCH) => run(backward)],
}
