//! Exercise: review a test (appendix G). `dx = r (g - 2 mean(g) - x_hat mean(g x_hat))` passes it.
//! Find one row on which the same comparison, with its tolerance of 0.5, sees the fault.

use exercises::review_the_test::{Input, check};

/// One row of 8 to 64 features, as the test could have drawn it: `x` and `dy` between -1 and 1,
/// with a variance of `x` of 0.1 at least, and `gamma` between 0 and 1.
fn input() -> Input {
    let d = 16;
    let number = |i: usize, k: usize| (1.0 + (i * k) as f64).sin();
    Input {
        x: (0..d).map(|i| number(i, 3)).collect(),
        gamma: (0..d).map(|i| number(i, 5).abs()).collect(),
        dy: (0..d).map(|i| number(i, 7)).collect(),
    }
}

fn main() -> std::process::ExitCode {
    check(input)
}
