//! Exercise: mean and variance in one reading (chapter 9).
//! `Seen` holds `count`, `mean`, and `squares`, the sum of squared distances from the mean,
//! all three `f64`.

use exercises::one_reading::{Seen, check};

/// Adds a value, which is read once and cannot be read again.
fn add(seen: &mut Seen, x: f64) {
    todo!()
}

/// What is known of all values, from what is known of two parts. A part may be empty.
fn merge(a: &Seen, b: &Seen) -> Seen {
    todo!()
}

fn main() -> std::process::ExitCode {
    check(add, merge)
}
