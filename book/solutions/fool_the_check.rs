//! Exercise: fool the check (chapter 3).
//! `y = x * w`, `x` of shape `[N, D]`, `w` of shape `[D]`. Return `(dx, dw)`: WRONG ones
//! that pass a check with `sum(y)` as the loss.

use exercises::fool_the_check::check;

fn backward(dy: &[f64], x: &[f64], w: &[f64]) -> (Vec<f64>, Vec<f64>) {
    // ANCHOR: solution
    // With sum(y) as the loss dy is 1 everywhere: nobody misses it.
    let d = w.len();
    let dx = (0..x.len()).map(|at| w[at % d]).collect();
    let mut dw = vec![0.0; d];
    for (at, x) in x.iter().enumerate() {
        dw[at % d] += x;
    }
    (dx, dw)
    // ANCHOR_END: solution
}

fn main() -> std::process::ExitCode {
    check(backward)
}
