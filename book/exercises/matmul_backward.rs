//! Exercise: the backward pass of a matrix product (chapter 5).
//! `Y = A B` with `A` `[m, k]` and `B` `[k, n]`, row-major. Return `(dA, dB)`.

use exercises::matmul_backward::check;

fn backward(dy: &[f64], a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> (Vec<f64>, Vec<f64>) {
    todo!()
}

fn main() -> std::process::ExitCode {
    check(backward)
}
