use super::*;
use crate::Report;
use judge::testing::{named, passes, tells};

#[test]
fn the_right_loop_passes_however_it_is_written() {
    // Recursion over the uses of each record: nothing in common with the loop.
    fn gradient(tape: &[Record], y: usize, at: usize) -> f64 {
        let mut sum = if at == y { 1.0 } else { 0.0 };
        for user in at + 1..=y {
            for &(input, slope) in &tape[user].inputs {
                if input == at {
                    sum += slope * gradient(tape, y, user);
                }
            }
        }
        sum
    }
    let recursive = |tape: &[Record], y: usize| -> Vec<f64> {
        (0..tape.len()).map(|at| gradient(tape, y, at)).collect()
    };
    passes(1, |seed| report(&recursive, seed));
}

/// The loop of the reader with another step: from the gradients, an input, the record that
/// the loop stands at, and the slope.
fn typed(step: fn(&mut [f64], usize, usize, f64), seed: u64) -> Report {
    let candidate = |tape: &[Record], y: usize| {
        let mut grads = vec![0.0; tape.len()];
        grads[y] = 1.0;
        for at in (0..=y).rev() {
            for &(input, slope) in &tape[at].inputs {
                step(&mut grads, input, at, slope);
            }
        }
        grads
    };
    report(&candidate, seed)
}

/// A verdict holds of every loop that leads to it: from the numbers alone, a sweep that begins
/// below y and one that multiplies the gradient of the input cannot be told apart.
#[test]
fn a_loop_that_hands_nothing_on_is_not_told_where_it_begins() {
    let of_input = |grads: &mut [f64], input: usize, _, slope: f64| {
        grads[input] += grads[input] * slope;
    };
    named(&[("grads: nothing-leaves-y", ())], |(), seed| {
        let report = typed(of_input, seed);
        let both = ["Either the sweep begins below `y`", "; or it multiplies"];
        tells(&report, "nothing-leaves-y", &both);
        report
    });
}

/// Besides the first in the list, the first that the sweep came to is told.
#[test]
fn the_order_of_the_sweep_is_told() {
    let report = typed(
        |grads, input, at, slope| grads[input] += (grads[at] * slope).powi(2) + 3.0,
        0,
    );
    let order = "\nIn the order of the sweep, from y down, record ";
    let told = ["grads[0] (record 0) is ", order, "(used by record "];
    tells(&report, "unknown", &told);
}
