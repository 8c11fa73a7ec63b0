//! Exercise: how often chance says that one method is clearly better (chapter 16).

use exercises::by_chance::check;

/// Two equally good methods, A and B, are compared at `seeds` pairs of results, none of them
/// equal: the share of all ways to come out in which A is ahead in `ahead` pairs or more.
fn by_chance(seeds: u64, ahead: u64) -> f64 {
    todo!()
}

fn main() -> std::process::ExitCode {
    check(by_chance)
}
