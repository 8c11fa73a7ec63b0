//! Exercise: fool the check (chapter 3).
//! `y = x * w`, `x` of shape `[N, D]`, `w` of shape `[D]`. Return `(dx, dw)`: WRONG ones
//! that pass a check with `sum(y)` as the loss.

use exercises::fool_the_check::check;

fn backward(dy: &[f64], x: &[f64], w: &[f64]) -> (Vec<f64>, Vec<f64>) {
    todo!()
}

fn main() -> std::process::ExitCode {
    check(backward)
}
