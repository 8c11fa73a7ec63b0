use super::*;
use crate::known::assert_listed;

fn as_probe(x: &[f64], classes: usize, targets: &[usize]) -> Probe {
    Probe {
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

#[test]
fn every_mistake_is_named() {
    for seed in 0..20 {
        for (id, sentence, formula) in LOSSES {
            let report = report(
                &|x, c, t| (formula(&as_probe(x, c, t)), right(&as_probe(x, c, t)).1),
                seed,
            );
            assert_eq!(
                report.mistake.as_deref(),
                Some(*id),
                "seed {seed}: {report}"
            );
            assert_eq!(report.headline, format!("loss: {sentence}"));
            assert_listed(&report);
        }
        for (id, sentence, formula) in GRADIENTS {
            let report = report(
                &|x, c, t| (right(&as_probe(x, c, t)).0, formula(&as_probe(x, c, t))),
                seed,
            );
            assert_eq!(
                report.mistake.as_deref(),
                Some(*id),
                "seed {seed}: {report}"
            );
            assert_eq!(report.headline, format!("dx: {sentence}"));
            assert!(report.heatmap.is_some());
            assert_listed(&report);
        }
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
        for report in [overflow, underflow, inexact] {
            assert_listed(&report);
        }
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
            assert_listed(&report);
        }
        let report = report(&in_dx, seed);
        let detail = &report.lines.last().unwrap().detail;
        assert_eq!(detail, "the loss is right; dx: not finite");
    }
}

#[test]
fn what_has_no_name_is_shown() {
    let odd = report(&|_, _, _| (42.0, vec![]), 0);
    assert_eq!(odd.mistake.as_deref(), Some("unknown"));
    let short = report(&|x, c, t| (right(&as_probe(x, c, t)).0, vec![0.0]), 0);
    assert_eq!(short.mistake.as_deref(), Some("shape"));
}
