//! Exercise: a scalar tape of your own (chapter 2).
//! Each op appends one record, with `tape.push`, and returns its place.

use exercises::scalar_tape::{Tape, check};

fn leaf(tape: &mut Tape, value: f64) -> usize {
    // ANCHOR: solution-leaf
    tape.push(value, vec![])
    // ANCHOR_END: solution-leaf
}

fn add(tape: &mut Tape, a: usize, b: usize) -> usize {
    // ANCHOR: solution-add
    let value = tape.records[a].value + tape.records[b].value;
    tape.push(value, vec![(a, 1.0), (b, 1.0)])
    // ANCHOR_END: solution-add
}

fn mul(tape: &mut Tape, a: usize, b: usize) -> usize {
    // ANCHOR: solution-mul
    let (va, vb) = (tape.records[a].value, tape.records[b].value);
    tape.push(va * vb, vec![(a, vb), (b, va)])
    // ANCHOR_END: solution-mul
}

fn exp(tape: &mut Tape, x: usize) -> usize {
    // ANCHOR: solution-exp
    let y = tape.records[x].value.exp();
    tape.push(y, vec![(x, y)])
    // ANCHOR_END: solution-exp
}

fn backward(tape: &Tape, y: usize) -> Vec<f64> {
    // ANCHOR: solution-backward
    let mut grads = vec![0.0; tape.records.len()];
    grads[y] = 1.0;
    for at in (0..=y).rev() {
        for &(input, slope) in &tape.records[at].inputs {
            grads[input] += grads[at] * slope;
        }
    }
    grads
    // ANCHOR_END: solution-backward
}

fn main() -> std::process::ExitCode {
    check(leaf, add, mul, exp, backward)
}
