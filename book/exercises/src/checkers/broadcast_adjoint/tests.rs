use super::*;
use judge::testing::{passes, tells};

/// By the index of every axis: nothing in common with what broadcasts.
fn right(dy: &[f64], to: &[usize], from: &[usize]) -> Vec<f64> {
    let mut dx = vec![0.0; from.iter().product()];
    for (flat, dy) in dy.iter().enumerate() {
        let (mut rest, mut at, mut stride) = (flat, 0, 1);
        for (k, length) in to.iter().enumerate().rev() {
            let own = (k + from.len())
                .checked_sub(to.len())
                .map_or(1, |k| from[k]);
            at += rest % length % own * stride;
            stride *= own;
            rest /= length;
        }
        dx[at] += dy;
    }
    dx
}

#[test]
fn the_right_sum_passes_however_it_is_written() {
    passes(1, |seed| report(&right, seed));
    // Axis by axis, with the library of the book.
    let by_axes = |dy: &[f64], to: &[usize], from: &[usize]| {
        let dy = Tensor::new(to, dy.to_vec());
        broadcast::sum_to(&dy, &Shape::new(from)).to_vec()
    };
    passes(1, |seed| report(&by_axes, seed));
}

#[test]
fn what_has_no_name_is_shown_with_the_shapes_that_are_right() {
    let matrices = |dy: &[f64], to: &[usize], from: &[usize]| {
        let scale = if to.len() > 2 { 2.0 } else { 1.0 };
        right(dy, to, from).iter().map(|v| v * scale).collect()
    };
    let report = report(&matrices, 0);
    let Probe { from, to, .. } = &probes(0)[5];
    let headline = format!("dx: for {from:?} in {to:?}, dx[0] (row 0, ");
    let right = "\nIt is right for [";
    tells(&report, "unknown", &[&headline, right, "; for [] in ["]);
    assert!(report.heatmap.is_some());
}

/// Strides of the result in place of those of the operand.
#[test]
fn a_panic_names_the_shapes() {
    let strides = |dy: &[f64], to: &[usize], from: &[usize]| {
        let mut dx = vec![0.0; from.iter().product()];
        let padding = to.len() - from.len();
        for (flat, dy) in dy.iter().enumerate() {
            let (mut rest, mut at, mut stride) = (flat, 0, 1);
            for axis in (0..to.len()).rev() {
                if axis >= padding && from[axis - padding] > 1 {
                    at += rest % to[axis] * stride;
                }
                rest /= to[axis];
                stride *= to[axis];
            }
            dx[at] += dy;
        }
        dx
    };
    let Probe { from, to, .. } = &probes(0)[2];
    let headline = format!(
        "for {from:?} in {to:?}, it panicked in code that yours calls: index out of bounds"
    );
    tells(&report(&strides, 0), "Panicked", &[&headline]);
}

/// A vector has one index, and a number none.
#[test]
fn a_place_has_as_many_indices_as_the_operand() {
    let wrong = |axes: usize, change: fn(&mut Vec<f64>)| {
        let candidate = |dy: &[f64], to: &[usize], from: &[usize]| {
            let mut dx = right(dy, to, from);
            if from.len() == axes {
                change(&mut dx);
            }
            dx
        };
        report(&candidate, 0)
    };
    let spoil: fn(&mut Vec<f64>) = |dx| dx[0] += 0.3;
    let shorten: fn(&mut Vec<f64>) = |dx| dx.truncate(1);
    for (axes, change, told) in [
        (0, spoil, ", dx is "),
        (1, spoil, ", dx[0] (column 0) is "),
        (3, spoil, ", dx[0] (block 0, row 0, column 0) is "),
        (1, shorten, ", one for each column"),
        (3, shorten, ", those of [blocks, rows, columns]"),
    ] {
        let report = wrong(axes, change);
        assert!(report.headline.contains(told), "{told}: {report}");
        assert_eq!(report.heatmap.is_some(), told.starts_with(", dx["));
    }
}
