//! Exercise: sums and products for your tape (chapter 5).
//! `sum` is over `axes`, which stay with length 1. `matmul` is of two matrices.

use exercises::tensor_products::{Tape, check};

fn sum(tape: &mut Tape, x: usize, axes: &[usize]) -> usize {
    // ANCHOR: solution-sum
    let x_value = tape.value(x);
    let y = Tape::sum_over(&x_value, axes);
    tape.push(y, &[x], move |dy| vec![Tape::zip(&x_value, dy, |_, dy| dy)])
    // ANCHOR_END: solution-sum
}

pub(crate) fn matmul(tape: &mut Tape, a: usize, b: usize) -> usize {
    // ANCHOR: solution-matmul
    let (va, vb) = (tape.value(a), tape.value(b));
    let y = Tape::product(&va, &vb);
    tape.push(y, &[a, b], move |dy| {
        let da = Tape::product(dy, &Tape::transpose(&vb));
        let db = Tape::product(&Tape::transpose(&va), dy);
        vec![da, db]
    })
    // ANCHOR_END: solution-matmul
}

fn main() -> std::process::ExitCode {
    check(sum, matmul)
}
