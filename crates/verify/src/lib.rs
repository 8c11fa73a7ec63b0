//! The gradient report: every op and every layer against finite differences.
//!
//! Each case is checked in `f64`, at random inputs, with a random upstream gradient and
//! with scales and shifts that are not 1 and 0. The finite differences estimate their own
//! error (book, chapter 1); a case passes when it disagrees with them by no more than a
//! small multiple of that estimate and of the measured rounding of the backward pass.
//! A case that could not fail is refused and does not pass.

mod case;
mod large;
mod layers;
mod norms;
mod ops;
mod report;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

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
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..tape::parallel::threads().min(cases.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(at) else { break };
                    let row = case.run();
                    let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
                    rows.push((at, row));
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.sort_by_key(|(at, _)| *at);
    Report {
        rows: rows.into_iter().map(|(_, row)| row).collect(),
    }
}
