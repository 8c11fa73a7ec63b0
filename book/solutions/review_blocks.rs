//! Exercise: review a patch (appendix G).
//! "dgamma: the rows are added up in blocks, one for each program. All tests pass."

use exercises::review_blocks::check;

/// Rows that one program adds up.
const BLOCK: usize = 4;

/// `dy` and `x_hat` are `[N, D]`, row by row; returns `[D]`.
fn dgamma(dy: &[f64], x_hat: &[f64], d: usize) -> Vec<f64> {
    let rows = dy.len() / d;
    // Every program leaves the sum of its rows in a place of its own.
    // ANCHOR: solution
    // SHIPPED: let places = rows / BLOCK;
    let places = rows.div_ceil(BLOCK);
    // ANCHOR_END: solution
    let mut parts = vec![vec![0.0; d]; places];
    for (k, (dy, x_hat)) in dy.iter().zip(x_hat).enumerate() {
        let (row, feature) = (k / d, k % d);
        // A GPU would not look whether the place is there.
        if let Some(part) = parts.get_mut(row / BLOCK) {
            part[feature] += dy * x_hat;
        }
    }
    let sum = |feature: usize| parts.iter().map(|part| part[feature]).sum();
    (0..d).map(sum).collect()
}

fn main() -> std::process::ExitCode {
    check(dgamma)
}
