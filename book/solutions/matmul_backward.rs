//! Exercise: the backward pass of a matrix product (chapter 5).
//! `Y = A B` with `A` `[m, k]` and `B` `[k, n]`, row-major. Return `(dA, dB)`.

use exercises::matmul_backward::check;

fn backward(dy: &[f64], a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> (Vec<f64>, Vec<f64>) {
    // ANCHOR: solution
    let (mut da, mut db) = (vec![0.0; m * k], vec![0.0; k * n]);
    for i in 0..m {
        for p in 0..k {
            for j in 0..n {
                da[i * k + p] += dy[i * n + j] * b[p * n + j];
                db[p * n + j] += a[i * k + p] * dy[i * n + j];
            }
        }
    }
    (da, db)
    // ANCHOR_END: solution
}

fn main() -> std::process::ExitCode {
    check(backward)
}
