use super::*;
use crate::Outcome;

fn as_probe(x: &[f64], classes: usize, targets: &[usize]) -> Probe {
    Probe {
        what: "logits",
        classes,
        x: x.to_vec(),
        targets: targets.to_vec(),
    }
}

#[test]
fn the_right_loss_passes() {
    for seed in 0..20 {
        let report = report(&|x, c, t| right(&as_probe(x, c, t)), seed);
        assert!(report.passed(), "{report}");
    }
}

/// The book's own op passes as well.
#[test]
fn the_books_own_op_passes() {
    let own = |x: &[f64], classes: usize, targets: &[usize]| {
        let x = tape::Tensor::new([targets.len(), classes], x.to_vec());
        let x = tape::Param::new("x", x);
        let (loss, _, grads) = tape::Tape::new().grad(|t| (t.param(&x).cross_entropy(targets), ()));
        (loss, grads.of(&x).to_vec())
    };
    for seed in 0..5 {
        let report = report(&own, seed);
        assert!(report.passed(), "{report}");
    }
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
    for seed in 0..10 {
        let overflow = report(&|x, c, t| unstable(x, c, t, false), seed);
        assert_eq!(overflow.mistake.as_deref(), Some("overflow"), "{overflow}");
        let underflow = report(&|x, c, t| unstable(x, c, t, true), seed);
        assert_eq!(
            underflow.mistake.as_deref(),
            Some("underflow"),
            "{underflow}"
        );
        let clamped = |x: &[f64], c: usize, t: &[usize]| {
            let x: Vec<f64> = x.iter().map(|x| x.clamp(-500.0, 500.0)).collect();
            right(&as_probe(&x, c, t))
        };
        let inexact = report(&clamped, seed);
        assert_eq!(inexact.mistake.as_deref(), Some("inexact"), "{inexact}");
    }
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
    let in_loss =
        |x: &[f64], c: usize, t: &[usize]| (of_batch(x, c, t).0, right(&as_probe(x, c, t)).1);
    let in_dx =
        |x: &[f64], c: usize, t: &[usize]| (right(&as_probe(x, c, t)).0, of_batch(x, c, t).1);
    for seed in 0..10 {
        for candidate in [&of_batch as Candidate<'_>, &of_first, &in_loss, &in_dx] {
            let report = report(candidate, seed);
            assert_eq!(report.mistake.as_deref(), Some("one-maximum"), "{report}");
        }
        let report = report(&in_dx, seed);
        assert!(
            report.headline.starts_with("large logits: dx: "),
            "{report}"
        );
        let notes = [
            "For logits with one row 2000 above the others, of shape [3, 4], dx[",
            "Right already: small logits.",
        ];
        for (note, begins) in report.notes.iter().zip(notes) {
            assert!(note.starts_with(begins), "{report}");
        }
    }
}

/// What is wrong at small logits is told first, also where large ones overflow.
#[test]
fn small_logits_are_told_of_first() {
    let summed = |x: &[f64], c: usize, t: &[usize]| {
        let (loss, dx) = unstable(x, c, t, false);
        (loss * t.len() as f64, dx)
    };
    let report = report(&summed, 0);
    assert_eq!(report.mistake.as_deref(), Some("summed"), "{report}");
    assert_eq!(report.outcome, Outcome::Wrong);
    assert!(
        report.headline.starts_with("small logits: loss: "),
        "{report}"
    );
}
