use super::*;
use crate::known::assert_listed;

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
    for seed in 0..20 {
        assert!(report(&sweep, seed).passed());
        let report = report(&recursive, seed);
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
            assert!(report.section.is_some() && report.heatmap.is_some());
        }
    }
}

#[test]
fn what_cannot_be_compared_is_said() {
    let short = report(&|_, _| vec![1.0], 0);
    assert_eq!(short.mistake.as_deref(), Some("shape"));
    let nan = report(&|tape, _| vec![f64::NAN; tape.len()], 0);
    assert_eq!(nan.mistake.as_deref(), Some("not-finite"));
    let odd = report(
        &|tape, y| sweep(tape, y).iter().map(|g| g * g + 3.0).collect(),
        0,
    );
    assert_eq!(odd.mistake.as_deref(), Some("unknown"));
    assert!(odd.headline.contains("first goes wrong at record"), "{odd}");
}
