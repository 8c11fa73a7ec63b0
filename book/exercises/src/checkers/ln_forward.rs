//! Checks the exercise `ln_forward`.

use crate::batch::LAYER;
use crate::norm_forward::{far_from_zero, part, run};
use judge::exercise;

pub use crate::norm_forward::Forward;

exercise! {
    /// `(x, n, d, gamma, beta, eps)` to the four stages.
    check(forward: Fn(&[f64], usize, usize, &[f64], &[f64], f64) -> Forward),
    right: "all four stages are right",
    parts: [
        part(LAYER) => run(forward),
        far_from_zero(LAYER) => run(forward),
    ],
}
