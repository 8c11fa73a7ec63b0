use super::*;
use crate::known::assert_listed;

#[test]
fn the_right_sum_passes_however_it_is_written() {
    // Axis by axis, with the library of the book.
    let by_axes = |dy: &[f64], to: &[usize], from: &[usize]| {
        let dy = tape::Tensor::new(to, dy.to_vec());
        tape::broadcast::sum_to(&dy, &tape::Shape::new(from)).to_vec()
    };
    for seed in 0..20 {
        assert!(report(&right, seed).passed());
        let report = report(&by_axes, seed);
        assert!(report.passed(), "{report}");
    }
}

#[test]
fn every_mistake_is_named() {
    for seed in 0..20 {
        for (id, sentence, formula) in MISTAKES {
            let report = report(formula, seed);
            assert_eq!(report.outcome, Outcome::Wrong, "{id}");
            assert_eq!(
                report.mistake.as_deref(),
                Some(*id),
                "seed {seed}: {report}"
            );
            assert_eq!(report.headline, *sentence);
            assert_listed(&report);
            assert_eq!(report.section.as_deref(), Some("sec:adjoint"));
        }
    }
}

#[test]
fn what_has_no_name_is_shown() {
    let short = report(&|_, _, _| vec![1.0], 0);
    assert_eq!(short.mistake.as_deref(), Some("shape"));
    let nan = report(&|_, _, from| vec![f64::NAN; from.iter().product()], 0);
    assert_eq!(nan.mistake.as_deref(), Some("not-finite"));
    let matrices = |dy: &[f64], to: &[usize], from: &[usize]| {
        let scale = if to.len() > 2 { 2.0 } else { 1.0 };
        right(dy, to, from).iter().map(|v| v * scale).collect()
    };
    let report = report(&matrices, 0);
    assert_eq!(report.mistake.as_deref(), Some("unknown"));
    assert!(report.headline.contains("it is right for ["), "{report}");
    assert!(report.heatmap.is_some());
}
