//! The gradient report: every op and every layer against finite differences.
//!
//! Each case is checked in `f64`, at random inputs, with a random upstream gradient and
//! with scales and shifts that are not 1 and 0. The finite differences estimate their own
//! error (book, chapter 1); a case passes when it disagrees with them by no more than a
//! small multiple of that estimate and of the measured rounding of the backward pass.
//! A case that could not fail is refused and does not pass.

#![forbid(unsafe_code)]

mod case;
mod large;
mod layers;
mod norms;
mod ops;
mod report;

use rayon::prelude::*;

pub use case::Case;
pub use report::{Report, Row};

/// Every case: the ops of the tape, the norms in each of their forms, the layers.
pub fn cases() -> Vec<Case> {
    let mut cases = ops::cases();
    cases.extend(norms::cases());
    cases.extend(layers::cases());
    cases.extend(large::cases());
    cases
}

/// Runs every case.
pub fn run() -> Report {
    run_cases(&cases())
}

/// Runs the given cases, several at a time; the report keeps their order.
pub fn run_cases(cases: &[Case]) -> Report {
    let rows = cases.par_iter().with_max_len(1).map(Case::run);
    Report {
        rows: rows.collect(),
    }
}
