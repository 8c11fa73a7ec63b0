//! Is the step found from the function? Right gradients of hard functions must pass, and
//! those that forget a visible term must not.

use crate::adversary::{Adversary, FAMILIES};
use gradcheck::{Check, Report};

/// What became of some thousand draws.
#[derive(Debug, Default)]
struct Tally {
    /// Right gradients called wrong.
    alarms: usize,
    /// Right gradients neither passed nor called wrong.
    refused: usize,
    mistakes: usize,
    /// Wrong gradients that passed.
    missed: usize,
}

fn check(adversary: &Adversary, seed: u64, forgotten: Option<usize>) -> Report {
    Check::new(adversary.family)
        .seed(seed)
        .input("x", &[adversary.x.len()], adversary.x.clone())
        .upstream(adversary.dy.clone())
        .run(
            |xs| adversary.forward(&xs[0]),
            |xs, dy| vec![adversary.backward(&xs[0], dy, forgotten)],
        )
}

fn tally(family: usize, seeds: std::ops::Range<u64>) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds {
        let adversary = Adversary::random(family, seed);
        let report = check(&adversary, seed, None);
        if !report.faults.is_empty() {
            tally.alarms += 1;
        } else if !report.refused.is_empty() {
            tally.refused += 1;
        }
        for k in adversary.mistakes() {
            tally.mistakes += 1;
            tally.missed += usize::from(check(&adversary, seed, Some(k)).passed());
        }
    }
    tally
}

/// With one step for a whole input, more than a third of the right gradients were called wrong,
/// and one mistake in twenty passed.
fn hold(draws: u64) {
    for (family, name) in FAMILIES.iter().enumerate() {
        let tally = tally(family, 0..draws);
        let share = |count: usize, of: usize| count as f64 / of as f64;
        let draws = draws as usize;
        assert!(share(tally.alarms, draws) <= 1e-3, "{name}: {tally:?}");
        // A wave of a hundredth of the slope, a billionth as long, is not always found.
        assert!(share(tally.refused, draws) <= 0.05, "{name}: {tally:?}");
        assert!(
            share(tally.missed, tally.mistakes) <= 2e-3,
            "{name}: {tally:?}"
        );
        assert!(tally.mistakes > 2 * draws, "{name}: {tally:?}");
    }
}

#[test]
fn hundreds_of_hard_functions_are_judged_rightly() {
    hold(400);
}

#[test]
#[ignore = "takes minutes; for whoever changes how steps are found"]
fn tens_of_thousands_of_hard_functions_are_judged_rightly() {
    hold(10_000);
}

/// A feature of width 1, beside an element of a million.
#[test]
fn one_input_may_hold_several_scales() {
    type Terms = fn(f64) -> f64;
    let features: [(Terms, Terms); 3] = [
        (|x| (-x * x).exp(), |x| -2.0 * x * (-x * x).exp()),
        (f64::sin, f64::cos),
        (f64::cos, |x| -x.sin()),
    ];
    for (f, slope) in features {
        let run = |first: f64, second: f64| {
            Check::new("two scales").input("x", &[2], [0.7, 1e6]).run(
                |xs| vec![f(xs[0][0]) + 1e-6 * xs[0][1]],
                |xs, dy| vec![vec![first * slope(xs[0][0]) * dy[0], second * 1e-6 * dy[0]]],
            )
        };
        run(1.0, 1.0).assert_passes();
        for (first, second) in [(0.0, 1.0), (1.0, 0.0), (1.0 + 1e-6, 1.0)] {
            assert!(!run(first, second).faults.is_empty(), "{first} {second}");
        }
    }
}

/// The time, in seconds since 1970, of something that happens within a second.
#[test]
fn a_feature_in_a_time_is_found() {
    let at = 1.7e9;
    let run = |feature: f64| {
        Check::new("time").input("t", &[1], [at + 0.3]).run(
            |xs| {
                let t = xs[0][0];
                vec![(-(t - at).powi(2)).exp() + 1e-9 * t]
            },
            |xs, dy| {
                let u = xs[0][0] - at;
                vec![vec![(feature * -2.0 * u * (-u * u).exp() + 1e-9) * dy[0]]]
            },
        )
    };
    run(1.0).assert_passes();
    assert!(!run(0.0).faults.is_empty());
}

/// Along random directions, too, a step is found from the function.
#[test]
fn directions_have_a_scale_of_their_own() {
    let x: Vec<f64> = (0..200)
        .map(|i| f64::from(i) * 0.37 + if i == 7 { 1e6 } else { 0.0 })
        .collect();
    let f = |xs: &[Vec<f64>]| vec![xs[0].iter().map(|x| x.sin()).sum::<f64>()];
    let run = |forgotten: usize| {
        Check::new("directions")
            .input("x", &[200], x.clone())
            .projections(3)
            .run(f, |xs, dy| {
                let mut dx: Vec<f64> = xs[0].iter().map(|x| x.cos() * dy[0]).collect();
                if let Some(dx) = dx.get_mut(forgotten) {
                    *dx = 0.0;
                }
                vec![dx]
            })
    };
    run(usize::MAX).assert_passes();
    for forgotten in [7, 100] {
        assert!(!run(forgotten).faults.is_empty(), "{forgotten}");
    }
}
