use super::*;
use crate::Outcome;
use crate::known::assert_listed;
use judge::testing::{named, passes};

const SEEDS: std::ops::Range<u64> = 0..6;

/// The derivation, with the weights and places of its terms taken as arguments.
#[derive(Clone, Copy)]
struct Slips {
    variance: f64,
    mean: f64,
    /// Gamma inside the sum of the mean path, and of the variance path.
    inside: [bool; 2],
}

const RIGHT: Slips = Slips {
    variance: 1.0,
    mean: 1.0,
    inside: [true; 2],
};
const SHIPPED: Slips = Slips {
    inside: [false, true],
    ..RIGHT
};

fn dx(s: &Slips, dy: &[f64], gamma: &[f64], x_hat: &[f64], r: f64) -> Vec<f64> {
    let d = dy.len() as f64;
    let sum = |inside: bool, f: &dyn Fn(usize) -> f64| -> f64 {
        let scale = |k: usize| if inside { gamma[k] } else { 1.0 };
        (0..dy.len()).map(|k| scale(k) * f(k)).sum::<f64>() / d
    };
    let after = |inside: bool, i: usize| if inside { 1.0 } else { gamma[i] };
    let mean = sum(s.inside[0], &|k| dy[k]);
    let product = sum(s.inside[1], &|k| dy[k] * x_hat[k]);
    (0..dy.len())
        .map(|i| {
            let mean = s.mean * after(s.inside[0], i) * mean;
            let variance = s.variance * after(s.inside[1], i) * x_hat[i] * product;
            r * (gamma[i] * dy[i] - mean - variance)
        })
        .collect()
}

fn checked(slips: &Slips, step: u32, seed: u64) -> Report {
    let derivation = |dy: &[f64], gamma: &[f64], x_hat: &[f64], r| dx(slips, dy, gamma, x_hat, r);
    report(&derivation, step, seed)
}

#[test]
fn the_bug_found_and_mended_passes() {
    passes(3, |seed| checked(&RIGHT, WRONG_STEP, seed));
}

/// The verdict on what was shipped does not say what the bug is, only when it shows.
#[test]
fn the_shipped_bug_is_not_given_away() {
    for seed in SEEDS {
        for step in [0, WRONG_STEP] {
            let report = checked(&SHIPPED, step, seed);
            assert_eq!(report.mistake.as_deref(), Some("shipped"), "{report}");
            let right: Vec<bool> = report.lines.iter().map(|line| line.right).collect();
            assert_eq!(right, [false, true]);
            assert_eq!(report.section.as_deref(), Some(SECTION));
            let mut notes = report.notes.iter();
            assert!(notes.any(|note| note.contains("must add up to zero")));
            assert!(report.weights.is_empty(), "{report}");
            let text = report.to_string();
            let given_away = text.contains("inside") || text.contains("step 4");
            assert!(!given_away, "{text}");
        }
    }
}

#[test]
fn the_step_is_asked_for() {
    for step in [0, 1, 2, 3, 5, 6, 7] {
        let report = checked(&RIGHT, step, 0);
        assert_eq!(report.outcome, Outcome::Wrong);
        assert_eq!(report.mistake.as_deref(), Some("step"), "{report}");
        assert_listed(&report);
    }
}

/// Whoever repairs the wrong line is told what that does.
#[test]
fn other_mistakes_are_named() {
    type Slip = fn(&mut Slips);
    let typed: &[(&str, Slip)] = &[
        ("dx: mean-path-missing", |s| s.mean = 0.0),
        ("dx: variance-path-doubled", |s| s.variance = 2.0),
        ("dx: variance-path-missing", |s| s.variance = 0.0),
        ("dx: variance-path-gamma-outside-mean", |s| {
            s.inside[1] = false
        }),
        ("dx: gamma-outside-mean", |s| s.inside = [false; 2]),
    ];
    named(typed, |slip, seed| {
        let mut slips = RIGHT;
        slip(&mut slips);
        let report = checked(&slips, WRONG_STEP, seed);
        assert!(report.heatmap.is_some());
        report
    });
}

/// A row of another length is not made up for by the next.
#[test]
fn a_row_of_another_length_is_told() {
    let (long, calls) = (std::cell::Cell::new(false), std::cell::Cell::new(0));
    let uneven = |dy: &[f64], gamma: &[f64], x_hat: &[f64], r| {
        let mut dx = dx(&RIGHT, dy, gamma, x_hat, r);
        calls.set(calls.get() + 1);
        if calls.get() <= 2 {
            if long.replace(true) {
                dx.push(0.0);
            } else {
                dx.pop();
            }
        }
        dx
    };
    assert_eq!(report(&uneven, 4, 0).mistake.as_deref(), Some("shape"));
}
