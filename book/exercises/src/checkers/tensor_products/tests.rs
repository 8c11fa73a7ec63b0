use super::*;
use crate::Report;
use judge::testing::{named, passes, tells};

type Half = fn(&[Tensor], &Tensor) -> Vec<Tensor>;

fn right_sum(x: &[Tensor], dy: &Tensor) -> Vec<Tensor> {
    vec![repeated(&x[0], dy)]
}

fn right_matmul(x: &[Tensor], dy: &Tensor) -> Vec<Tensor> {
    halves(x, dy).into()
}

/// A report on ops with these backward halves.
fn with(sum: Half, matmul: Half, seed: u64) -> Report {
    let own_sum = |tape: &mut Tape, x: usize, axes: &[usize]| {
        let inputs = vec![tape.value(x)];
        let y = Tape::sum_over(&inputs[0], axes);
        tape.push(y, &[x], move |dy| sum(&inputs, dy))
    };
    let own_matmul = |tape: &mut Tape, a: usize, b: usize| {
        let inputs = vec![tape.value(a), tape.value(b)];
        let y = Tape::product(&inputs[0], &inputs[1]);
        tape.push(y, &[a, b], move |dy| matmul(&inputs, dy))
    };
    report(&own_sum, &own_matmul, seed)
}

#[test]
fn right_ops_pass_on_every_seed() {
    passes(6, |seed| with(right_sum, right_matmul, seed));
}

#[test]
fn what_is_typed_wrong_is_named() {
    let typed: &[(&str, Half)] = &[
        ("matmul: da: sign", |x, dy| {
            halves(x, dy).map(|d| d.map_in_place(|v| -v)).into()
        }),
        ("matmul: db: zero", |x, dy| {
            vec![halves(x, dy)[0].clone(), Tensor::zeros(x[1].shape())]
        }),
        ("matmul: da: swapped", |x, dy| {
            halves(x, dy).into_iter().rev().collect()
        }),
    ];
    named(typed, |matmul, seed| with(right_sum, matmul, seed));
}

#[test]
fn a_sum_that_drops_its_axes_is_told() {
    let dropped = |tape: &mut Tape, x: usize, axes: &[usize]| {
        let y = Tape::sum_over(&tape.value(x), axes);
        let kept = tape.value(x);
        let y = y.reshape([y.len()]);
        let whole = Tape::sum_over(&kept, axes);
        tape.push(y, &[x], move |dy| {
            vec![repeated(&kept, &dy.reshape(whole.shape()))]
        })
    };
    let matmul = |_: &mut Tape, _: usize, _: usize| todo!();
    let told = "sum: the shape of y: for axes [1] of [2, 3, 4], the shape of y has 1 value, and must have 3, ";
    tells(&report(&dropped, &matmul, 0), "shape", &[told]);
}

/// A panic is told with the operands on which it came.
#[test]
fn a_panic_names_the_axes_and_the_shape() {
    let sum = |tape: &mut Tape, x: usize, axes: &[usize]| {
        let y = Tape::sum_over(&tape.value(x), &[axes[0] + axes.len() + 1]);
        tape.push(y, &[x], |dy| vec![dy.clone()])
    };
    let matmul = |_: &mut Tape, _: usize, _: usize| todo!();
    tells(&report(&sum, &matmul, 0), "Panicked", &["sum: for axes "]);
}
