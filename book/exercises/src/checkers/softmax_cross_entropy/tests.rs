use super::*;
use judge::testing::{named, passes};

fn right(x: &[f64], classes: usize, targets: &[usize]) -> (f64, Vec<f64>) {
    let probe = Probe {
        what: "logits",
        x: Array::new([targets.len(), classes], x),
        targets: targets.to_vec(),
    };
    (probe.right_loss(), probe.right_dx().into())
}

/// What is called right passes, and so does the book's own op.
#[test]
fn the_right_loss_passes() {
    passes(4, |seed| report(&right, seed));
    let own = |x: &[f64], classes: usize, targets: &[usize]| {
        let x = tape::Tensor::new([targets.len(), classes], x.to_vec());
        let x = tape::Param::new("x", x);
        let (loss, grads) = tape::Tape::new().grad(|t| t.param(&x).cross_entropy(targets));
        (loss, grads.of(&x).to_vec())
    };
    passes(4, |seed| report(&own, seed));
}

/// Loss and gradient in loops, from what is subtracted of a row; the logarithm is that of a
/// quotient, or resolved.
fn by(
    shift: impl Fn(&[f64]) -> f64,
    quotient: bool,
    (x, classes, targets): (&[f64], usize, &[usize]),
) -> (f64, Vec<f64>) {
    let n = targets.len() as f64;
    let (mut loss, mut dx) = (0.0, vec![]);
    for (row, &target) in x.chunks_exact(classes).zip(targets) {
        let shift = shift(row);
        let sum: f64 = row.iter().map(|x| (x - shift).exp()).sum();
        loss += if quotient {
            -((row[target] - shift).exp() / sum).ln()
        } else {
            sum.ln() - (row[target] - shift)
        };
        for (class, x) in row.iter().enumerate() {
            let hot = f64::from(u8::from(class == target));
            dx.push(((x - shift).exp() / sum - hot) / n);
        }
    }
    (loss / n, dx)
}

fn largest(x: &[f64]) -> f64 {
    x.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

#[test]
fn what_breaks_at_large_logits_is_named() {
    let clamped = |x: &[f64], c: usize, t: &[usize]| {
        let x: Vec<f64> = x.iter().map(|x| x.clamp(-500.0, 500.0)).collect();
        right(&x, c, t)
    };
    let typed: [(&str, Candidate<'_>); 3] = [
        ("loss: overflow", &|x, c, t| by(|_| 0.0, true, (x, c, t))),
        ("loss: underflow", &|x, c, t| by(largest, true, (x, c, t))),
        ("loss: inexact", &clamped),
    ];
    named(&typed, report);
}

/// The largest logit of the batch, or of its first row, in place of that of each row: right
/// until the rows lie far apart. The loss, the gradient or both are made with it.
#[test]
fn one_maximum_for_all_rows_is_found_out() {
    let of_batch = |x: &[f64], c: usize, t: &[usize]| by(|_| largest(x), false, (x, c, t));
    let of_first = |x: &[f64], c: usize, t: &[usize]| by(|_| largest(&x[..c]), false, (x, c, t));
    let in_loss = |x: &[f64], c: usize, t: &[usize]| (of_batch(x, c, t).0, right(x, c, t).1);
    let in_dx = |x: &[f64], c: usize, t: &[usize]| (right(x, c, t).0, of_batch(x, c, t).1);
    let typed: [(&str, Candidate<'_>); 4] = [
        ("loss: one-maximum", &of_batch),
        ("loss: one-maximum", &of_first),
        ("loss: one-maximum", &in_loss),
        ("large logits: dx: one-maximum", &in_dx),
    ];
    named(&typed, report);
    let report = report(&in_dx, 0);
    let notes = [
        "For logits with one row 2000 above the others, of shape [3, 4], dx[",
        "Right already: small logits.",
    ];
    for (note, begins) in report.notes.iter().zip(notes) {
        assert!(note.starts_with(begins), "{report}");
    }
}

/// What is wrong at small logits is told first, also where large ones overflow.
#[test]
fn small_logits_are_told_of_first() {
    let summed = |x: &[f64], c: usize, t: &[usize]| {
        let (loss, dx) = by(|_| 0.0, true, (x, c, t));
        (loss * t.len() as f64, dx)
    };
    let typed: [(&str, Candidate<'_>); 1] = [("small logits: loss: summed", &summed)];
    named(&typed, report);
}
