//! Exercise: how often chance says that one method is clearly better (chapter 16).
//! `seeds` is 5, 9, 13 and so on, so that both quartiles are results and none lies between.

use exercises::by_chance::check;

/// The share of all words of `seeds` letters A and as many B in which the third quartile of
/// the A stands before the first quartile of the B.
fn by_chance(seeds: u64) -> f64 {
    // ANCHOR: solution
    let choose = |k: u64| -> f64 {
        (0..k)
            .map(|i| (seeds - i) as f64 / (k - i) as f64)
            .product()
    };
    let third = 3 * (seeds - 1) / 4 + 1;
    // choose(k) ways to place k of the A among the first letters, as many for the rest of them.
    let clearly: f64 = (third..=seeds).map(|k| choose(k) * choose(seeds - k)).sum();
    let words: f64 = (0..=seeds).map(|k| choose(k) * choose(seeds - k)).sum();
    clearly / words
    // ANCHOR_END: solution
}

fn main() -> std::process::ExitCode {
    check(by_chance)
}
