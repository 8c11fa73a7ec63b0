use super::*;
use crate::known::assert_listed;
use judge::testing::{named, tells};

type Formula = fn(&[f64], &[f64], &[f64]) -> (Vec<f64>, Vec<f64>);

fn right(dy: &[f64], x: &[f64], w: &[f64]) -> (Vec<f64>, Vec<f64>) {
    scaled(dy, x, w, |dy| dy)
}

/// The right gradient of another upstream gradient.
fn scaled(dy: &[f64], x: &[f64], w: &[f64], f: fn(f64) -> f64) -> (Vec<f64>, Vec<f64>) {
    let d = w.len();
    let dx = dy
        .iter()
        .enumerate()
        .map(|(at, &dy)| f(dy) * w[at % d])
        .collect();
    let mut dw = vec![0.0; d];
    for (at, &dy) in dy.iter().enumerate() {
        dw[at % d] += f(dy) * x[at];
    }
    (dx, dw)
}

/// Wrong gradients that agree with the right one where `dy` is 1.
const FOOLING: [Formula; 5] = [
    |dy, x, w| scaled(dy, x, w, |_| 1.0),
    |dy, x, w| scaled(dy, x, w, |dy| dy * dy),
    |dy, x, w| scaled(dy, x, w, |dy| 2.0 - dy),
    // Only dw is wrong: it takes the mean of dy for each dy.
    |dy, x, w| {
        let mean = dy.iter().sum::<f64>() / dy.len() as f64;
        (right(dy, x, w).0, right(&vec![mean; dy.len()], x, w).1)
    },
    // The rows of dy in the wrong order.
    |dy, x, w| {
        let turned: Vec<f64> = dy.iter().rev().copied().collect();
        right(&turned, x, w)
    },
];

#[test]
fn every_way_to_fool_it_is_accepted() {
    for seed in 0..20 {
        for (number, formula) in FOOLING.iter().enumerate() {
            let report = report(formula, seed);
            assert!(report.passed(), "{number}, seed {seed}: {report}");
            assert!(report.lines.iter().all(|line| line.right));
        }
    }
}

#[test]
fn what_fools_nobody_is_named() {
    let typed: [(&str, Formula); 7] = [
        ("this is the right gradient: right", right),
        ("caught it: dx-caught", |dy, x, w| {
            (vec![0.0; x.len()], right(dy, x, w).1)
        }),
        ("caught it: dw-caught", |dy, x, w| {
            (right(dy, x, w).0, vec![0.0; w.len()])
        }),
        ("caught it: dx-caught", |dy, x, w| {
            scaled(dy, x, w, |dy| -dy)
        }),
        ("caught it: dw-caught", |dy, x, w| {
            let (dx, dw) = right(dy, x, w);
            let rows = (x.len() / w.len()) as f64;
            (dx, dw.iter().map(|v| v / rows).collect())
        }),
        ("caught it: dx-caught", |_, x, w| {
            (vec![f64::NAN; x.len()], w.to_vec())
        }),
        ("caught it: dw-caught", |dy, x, w| {
            (right(dy, x, w).0, vec![])
        }),
    ];
    named(&typed, |formula, seed| {
        let report = report(&formula, seed);
        assert_listed(&report);
        report
    });
    let sometimes: Formula = |dy, x, w| {
        let change = |dy| if w.len() == 2 { dy } else { 1.0 };
        let dy: Vec<f64> = dy.iter().map(|dy| change(*dy)).collect();
        right(&dy, x, w)
    };
    let sometimes = report(&sometimes, 0);
    assert_eq!(sometimes.mistake.as_deref(), Some("sometimes-right"));
    assert_listed(&sometimes);
}

#[test]
fn the_shape_is_told_where_it_is_caught_and_where_it_panics() {
    let caught = report(&|dy, x, w| (vec![0.0; x.len()], right(dy, x, w).1), 0);
    tells(&caught, "dx-caught", &[", for x of shape [3, 4]\n"]);
    let beyond = report(
        &|dy, x, w| {
            let of_the_first = [dy, &[1.0, 1.0]].concat()[..12].to_vec();
            scaled(&of_the_first, x, w, |_| 1.0)
        },
        0,
    );
    let told = "for x of shape [5, 2], it panicked in code that yours calls: ";
    tells(&beyond, "Panicked", &[told]);
    assert_eq!(beyond.lines.len(), 2);
    assert_eq!(beyond.section.as_deref(), Some(SECTION));
    tells(&report(&|_, _, _| todo!(), 0), "Unwritten", &[]);
}

/// The report that is quoted is set off from what is said of the exercise.
#[test]
fn what_is_quoted_is_indented() {
    let fooled = report(&|dy, x, w| scaled(dy, x, w, |_| 1.0), 0);
    assert!(fooled.passed(), "{fooled}");
    let mut lines = fooled.notes[0].lines();
    assert_eq!(
        lines.next(),
        Some("What a random upstream gradient says of it:")
    );
    assert!(lines.clone().count() > 1 && lines.all(|line| line.starts_with("  ")));
}
