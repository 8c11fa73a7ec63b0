//! Exercise: review a test (appendix G). `dx = r (g - 2 mean(g) - x_hat mean(g x_hat))` passes it.
//! Find one row on which the same comparison, with its tolerance of 0.5, sees the fault.

use exercises::review_the_test::{Input, check};

/// One row of 8 to 64 features, as the test could have drawn it: `x` and `dy` between -1 and 1,
/// with a variance of `x` of 0.1 at least, and `gamma` between 0 and 1.
fn input() -> Input {
    // ANCHOR: solution
    // SHIPPED: let d = 16;
    // SHIPPED: let number = |i: usize, k: usize| (1.0 + (i * k) as f64).sin();
    // SHIPPED: Input {
    // SHIPPED:     x: (0..d).map(|i| number(i, 3)).collect(),
    // SHIPPED:     gamma: (0..d).map(|i| number(i, 5).abs()).collect(),
    // SHIPPED:     dy: (0..d).map(|i| number(i, 7)).collect(),
    // SHIPPED: }
    // What is doubled is a mean, so make it large: all of g alike.
    let d = 16;
    Input {
        x: (0..d)
            .map(|i| if i % 2 == 0 { -0.5 } else { 0.5 })
            .collect(),
        gamma: vec![1.0; d],
        dy: vec![1.0; d],
    }
    // ANCHOR_END: solution
}

fn main() -> std::process::ExitCode {
    check(input)
}
