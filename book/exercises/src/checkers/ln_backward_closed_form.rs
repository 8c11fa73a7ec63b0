//! Checks the exercise `ln_backward_closed_form`.

use crate::batch::LAYER;
use crate::gradients::{part, run};
use judge::exercise;

pub use crate::gradients::Gradients;

exercise! {
    /// `(dy, x_hat, rstd, gamma, n, d)` to the gradients.
    check(backward: Fn(&[f64], &[f64], &[f64], &[f64], usize, usize) -> Gradients),
    right: "all three gradients are right",
    parts: [part(LAYER) => run(backward)],
}
