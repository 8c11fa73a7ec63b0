//! Exercise: a tensor tape of your own (chapter 4).
//! Each op appends one record with `tape.push(value, inputs, vjp)`, and returns its place.

use exercises::tensor_tape::{Tape, Tensor, check};

pub(crate) fn add(tape: &mut Tape, a: usize, b: usize) -> usize {
    todo!()
}

fn mul(tape: &mut Tape, a: usize, b: usize) -> usize {
    todo!()
}

pub(crate) fn relu(tape: &mut Tape, x: usize) -> usize {
    todo!()
}

fn exp(tape: &mut Tape, x: usize) -> usize {
    todo!()
}

pub(crate) fn backward(tape: &Tape, y: usize, dy: Tensor) -> Vec<Option<Tensor>> {
    todo!()
}

fn main() -> std::process::ExitCode {
    check(add, mul, relu, exp, backward)
}
