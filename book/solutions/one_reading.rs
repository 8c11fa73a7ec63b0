//! Exercise: mean and variance in one reading (chapter 9).
//! `Seen` holds `count`, `mean`, and `squares`, the sum of squared distances from the mean,
//! all three `f64`.

use exercises::one_reading::{Seen, check};

/// Adds a value, which is read once and cannot be read again.
fn add(seen: &mut Seen, x: f64) {
    // ANCHOR: solution-add
    seen.count += 1.0;
    let before = x - seen.mean;
    seen.mean += before / seen.count;
    seen.squares += before * (x - seen.mean);
    // ANCHOR_END: solution-add
}

/// What is known of all values, from what is known of two parts. A part may be empty.
fn merge(a: &Seen, b: &Seen) -> Seen {
    // ANCHOR: solution-merge
    let count = a.count + b.count;
    if count == 0.0 {
        return *a;
    }
    let delta = b.mean - a.mean;
    let share = b.count / count;
    Seen {
        count,
        mean: a.mean + delta * share,
        squares: a.squares + b.squares + delta * delta * a.count * share,
    }
    // ANCHOR_END: solution-merge
}

fn main() -> std::process::ExitCode {
    check(add, merge)
}
