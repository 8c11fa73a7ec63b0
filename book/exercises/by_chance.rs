//! Exercise: how often chance says that one method is clearly better (chapter 16).
//! `seeds` is 5, 9, 13 and so on, so that both quartiles are results and none lies between.

use exercises::by_chance::check;

/// The share of all words of `seeds` letters A and as many B in which the third quartile of
/// the A stands before the first quartile of the B.
fn by_chance(seeds: u64) -> f64 {
    todo!()
}

fn main() -> std::process::ExitCode {
    check(by_chance)
}
