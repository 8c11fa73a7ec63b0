//! Checks the exercise `ln_forward`.

use crate::engine::exercise;
use crate::norm_forward::{far_from_zero, part, run};
use gradcheck::attribution::norm::Kind;

pub use crate::norm_forward::Forward;

exercise! {
    /// `(x, n, d, gamma, beta, eps)` to the four stages.
    check(forward: Fn(&[f64], usize, usize, &[f64], &[f64], f64) -> Forward),
    right: "all four stages are right",
    parts: [
        part(Kind::Layer) => run(forward),
        far_from_zero(Kind::Layer) => run(forward),
    ],
}
