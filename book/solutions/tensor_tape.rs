//! Exercise: a tensor tape of your own (chapter 4).
//! Each op appends one record with `tape.push(value, inputs, vjp)`, and returns its place.

use exercises::tensor_tape::{Tape, Tensor, check};

pub(crate) fn add(tape: &mut Tape, a: usize, b: usize) -> usize {
    // ANCHOR: solution-add
    let (va, vb) = (tape.value(a), tape.value(b));
    let y = Tape::zip(&va, &vb, |a, b| a + b);
    tape.push(y, &[a, b], move |dy| {
        vec![Tape::sum_to(dy, &va), Tape::sum_to(dy, &vb)]
    })
    // ANCHOR_END: solution-add
}

fn mul(tape: &mut Tape, a: usize, b: usize) -> usize {
    // ANCHOR: solution-mul
    let (va, vb) = (tape.value(a), tape.value(b));
    let y = Tape::zip(&va, &vb, |a, b| a * b);
    tape.push(y, &[a, b], move |dy| {
        let da = Tape::zip(dy, &vb, |dy, b| dy * b);
        let db = Tape::zip(dy, &va, |dy, a| dy * a);
        vec![Tape::sum_to(&da, &va), Tape::sum_to(&db, &vb)]
    })
    // ANCHOR_END: solution-mul
}

pub(crate) fn relu(tape: &mut Tape, x: usize) -> usize {
    // ANCHOR: solution-relu
    let y = tape.value(x).map(|x| x.max(0.0));
    tape.push(y.clone(), &[x], move |dy| {
        vec![Tape::zip(dy, &y, |dy, y| if y > 0.0 { dy } else { 0.0 })]
    })
    // ANCHOR_END: solution-relu
}

fn exp(tape: &mut Tape, x: usize) -> usize {
    // ANCHOR: solution-exp
    let y = tape.value(x).map(f64::exp);
    tape.push(y.clone(), &[x], move |dy| {
        vec![Tape::zip(dy, &y, |dy, y| dy * y)]
    })
    // ANCHOR_END: solution-exp
}

pub(crate) fn backward(tape: &Tape, y: usize, dy: Tensor) -> Vec<Option<Tensor>> {
    // ANCHOR: solution-backward
    let mut grads = vec![None; tape.records.len()];
    grads[y] = Some(dy);
    for at in (0..=y).rev() {
        let Some(dy) = grads[at].clone() else {
            continue;
        };
        let record = &tape.records[at];
        for (&input, dx) in record.inputs.iter().zip((record.vjp)(&dy)) {
            grads[input] = Some(match grads[input].take() {
                Some(sum) => Tape::zip(&sum, &dx, |a, b| a + b),
                None => dx,
            });
        }
    }
    grads
    // ANCHOR_END: solution-backward
}

fn main() -> std::process::ExitCode {
    check(add, mul, relu, exp, backward)
}
