//! Exercise: how often chance says that one method is clearly better (chapter 16).

use exercises::by_chance::check;

/// Two equally good methods, A and B, are compared at `seeds` pairs of results, none of them
/// equal: the share of all ways to come out in which A is ahead in `ahead` pairs or more.
fn by_chance(seeds: u64, ahead: u64) -> f64 {
    // ANCHOR: solution
    let choose = |k: u64| -> f64 {
        (0..k)
            .map(|i| (seeds - i) as f64 / (k - i) as f64)
            .product()
    };
    // Each pair comes out either way, whatever the others do: 2 to the power of `seeds` ways.
    let ways: f64 = (ahead..=seeds).map(choose).sum();
    ways / 2.0_f64.powi(seeds as i32)
    // ANCHOR_END: solution
}

fn main() -> std::process::ExitCode {
    check(by_chance)
}
