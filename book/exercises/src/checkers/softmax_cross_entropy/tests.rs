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

/// A loss by formulas that fail at large logits: the offset, and how the logarithm is taken.
fn unstable(x: &[f64], classes: usize, targets: &[usize], shift: bool) -> (f64, Vec<f64>) {
    let n = targets.len() as f64;
    let (mut loss, mut dx) = (0.0, vec![]);
    for (row, &target) in x.chunks_exact(classes).zip(targets) {
        let max = if shift {
            row.iter().copied().fold(f64::NEG_INFINITY, f64::max)
        } else {
            0.0
        };
        let sum: f64 = row.iter().map(|x| (x - max).exp()).sum();
        loss -= ((row[target] - max).exp() / sum).ln();
        let hot = |class| if class == target { 1.0 } else { 0.0 };
        dx.extend(
            row.iter()
                .enumerate()
                .map(|(class, x)| ((x - max).exp() / sum - hot(class)) / n),
        );
    }
    (loss / n, dx)
}

#[test]
fn what_breaks_at_large_logits_is_named() {
    let clamped = |x: &[f64], c: usize, t: &[usize]| {
        let x: Vec<f64> = x.iter().map(|x| x.clamp(-500.0, 500.0)).collect();
        right(&x, c, t)
    };
    let typed: [(&str, Candidate<'_>); 3] = [
        ("loss: overflow", &|x, c, t| unstable(x, c, t, false)),
        ("loss: underflow", &|x, c, t| unstable(x, c, t, true)),
        ("loss: inexact", &clamped),
    ];
    named(&typed, report);
}

/// The largest logit of the batch, or of its first row, in place of that of each row: right
/// until the rows lie far apart. The loss, the gradient or both are made with it.
#[test]
fn one_maximum_for_all_rows_is_found_out() {
    let with = |x: &[f64], classes: usize, targets: &[usize], max: f64| {
        let (mut loss, mut dx) = (0.0, vec![]);
        let n = targets.len() as f64;
        for (row, &target) in x.chunks_exact(classes).zip(targets) {
            let sum: f64 = row.iter().map(|x| (x - max).exp()).sum();
            loss += (sum.ln() - (row[target] - max)) / n;
            for (class, x) in row.iter().enumerate() {
                let hot = f64::from(u8::from(class == target));
                dx.push(((x - max).exp() / sum - hot) / n);
            }
        }
        (loss, dx)
    };
    let largest = |x: &[f64]| x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let of_batch = |x: &[f64], c: usize, t: &[usize]| with(x, c, t, largest(x));
    let of_first = |x: &[f64], c: usize, t: &[usize]| with(x, c, t, largest(&x[..c]));
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
        let (loss, dx) = unstable(x, c, t, false);
        (loss * t.len() as f64, dx)
    };
    let typed: [(&str, Candidate<'_>); 1] = [("small logits: loss: summed", &summed)];
    named(&typed, report);
}
