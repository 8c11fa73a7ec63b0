//! Checks the exercise `review_the_test`: an input on which a loose test sees a mean that is
//! subtracted twice.

use crate::{Line, Outcome, Report};
use judge::Checker;
use judge::harness::{self, attempt};
use judge::known::Known;
use std::fmt::Display;
use std::process::ExitCode;

const NAME: &str = "review_the_test";
const SECTION: &str = "sec:museum-twice";

/// What the test allows: an error of this size, and this share of what is right.
const ATOL: f64 = 0.5;
const RTOL: f64 = 1e-3;
const EPS: f64 = 1e-6;
/// The features that a row may have, and the least variance of `x`.
const FEATURES: std::ops::RangeInclusive<usize> = 8..=64;
const VARIANCE: f64 = 0.1;

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Between -1 and 1.
    pub x: Vec<f64>,
    /// Between 0 and 1.
    pub gamma: Vec<f64>,
    /// Between -1 and 1.
    pub dy: Vec<f64>,
}

/// Checks the input and prints the report.
pub fn check(input: impl Fn() -> Input) -> ExitCode {
    harness::run(NAME, || report(&input))
}

const LENGTH: &str =
    "length: x, gamma and dy must have one length between 8 and 64; here they have …";
const BOUNDS: &str =
    "bounds: …, and the test draws x and dy between -1 and 1, and gamma between 0 and 1";
const FLAT: &str =
    "flat: the variance of x is …, and must be at least 0.1: where it is tiny every error is large";
const UNSEEN: &str =
    "unseen: the fault passes: the largest error is …, where the test allows 0.5 and a thousandth";

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    let all = [LENGTH, BOUNDS, FLAT, UNSEEN];
    Checker::Listed(all.map(|text| Known::of(NAME, text, SECTION)).into())
}

fn wrong(text: &str, value: &dyn Display) -> Report {
    Known::of(NAME, text, SECTION).report(&[value])
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Why the test could not have drawn it.
fn refused(input: &Input) -> Option<Report> {
    let arrays = [
        ("x", &input.x, -1.0),
        ("gamma", &input.gamma, 0.0),
        ("dy", &input.dy, -1.0),
    ];
    let lengths = arrays.map(|(_, values, _)| values.len());
    if !FEATURES.contains(&lengths[0]) || lengths.iter().any(|n| *n != lengths[0]) {
        let [x, gamma, dy] = lengths;
        return Some(wrong(LENGTH, &format!("{x}, {gamma} and {dy}")));
    }
    for (name, values, low) in arrays {
        if let Some(at) = values.iter().position(|v| !(low..=1.0).contains(v)) {
            return Some(wrong(BOUNDS, &format!("{name}[{at}] is {}", values[at])));
        }
    }
    let variance = variance(&input.x);
    (variance < VARIANCE).then(|| wrong(FLAT, &format!("{variance:.3}")))
}

fn variance(x: &[f64]) -> f64 {
    let mu = mean(x);
    mean(&x.iter().map(|x| (x - mu).powi(2)).collect::<Vec<f64>>())
}

/// `dx`, with the mean of `g` subtracted so many times.
fn dx(input: &Input, times: f64) -> Vec<f64> {
    let mu = mean(&input.x);
    let rstd = 1.0 / (variance(&input.x) + EPS).sqrt();
    let x_hat: Vec<f64> = input.x.iter().map(|x| (x - mu) * rstd).collect();
    let g: Vec<f64> = input
        .gamma
        .iter()
        .zip(&input.dy)
        .map(|(a, b)| a * b)
        .collect();
    let along = mean(
        &g.iter()
            .zip(&x_hat)
            .map(|(g, h)| g * h)
            .collect::<Vec<f64>>(),
    );
    let plain = mean(&g);
    let element = |(g, h): (&f64, &f64)| rstd * (g - times * plain - h * along);
    g.iter().zip(&x_hat).map(element).collect()
}

/// The report on an input.
#[must_use]
pub fn report(input: &dyn Fn() -> Input) -> Report {
    let input = match attempt(input) {
        Ok(input) => input,
        Err(thrown) => {
            let mut report = thrown.report(NAME);
            report.section.get_or_insert_with(|| SECTION.to_owned());
            return report;
        }
    };
    if let Some(report) = refused(&input) {
        return report;
    }
    let (right, patched) = (dx(&input, 1.0), dx(&input, 2.0));
    let pairs = || patched.iter().zip(&right);
    let error = pairs().map(|(p, r)| (p - r).abs()).fold(0.0, f64::max);
    let seen = pairs().any(|(p, r)| (p - r).abs() > ATOL + RTOL * r.abs());
    let told = format!("{error:.3}");
    let mut report = if seen {
        let headline = format!("seen: the fault fails your test, with an error of {told}");
        Report::new(NAME, Outcome::Passed, headline)
    } else {
        wrong(UNSEEN, &told)
    };
    report.lines.push(Line {
        name: "the mean subtracted twice".to_owned(),
        right: seen,
        detail: format!(
            "off by {told} of at most {:.3}",
            right.iter().fold(0.0, |m: f64, r| m.max(r.abs()))
        ),
    });
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known::assert_listed;

    /// Half of the row at each end, and an upstream gradient that alternates or does not.
    fn input(change: fn(&mut Input)) -> Report {
        report(&|| {
            let mut input = Input {
                x: (0..16)
                    .map(|i| if i % 2 == 0 { -0.5 } else { 0.5 })
                    .collect(),
                gamma: vec![1.0; 16],
                dy: vec![1.0; 16],
            };
            change(&mut input);
            input
        })
    }

    #[test]
    fn a_mean_that_is_large_is_seen() {
        assert!(input(|_| {}).passed());
        assert!(input(|i| i.dy.fill(-1.0)).passed());
        assert!(input(|i| i.dy[0] = 0.0).passed());
    }

    #[test]
    fn what_does_not_do_is_named() {
        type Change = fn(&mut Input);
        let typed: [(&str, Change); 8] = [
            ("length", |i| i.x.truncate(4)),
            ("length", |i| i.gamma.truncate(15)),
            ("length", |i| {
                *i = Input {
                    x: vec![],
                    gamma: vec![],
                    dy: vec![],
                }
            }),
            ("bounds", |i| i.x[3] = 1.5),
            ("bounds", |i| i.gamma[3] = -0.5),
            ("bounds", |i| i.dy[3] = f64::NAN),
            ("flat", |i| i.x.iter_mut().for_each(|x| *x *= 0.01)),
            ("unseen", |i| {
                i.dy.iter_mut().step_by(2).for_each(|dy| *dy = -1.0)
            }),
        ];
        for (id, change) in typed {
            let report = input(change);
            assert_eq!(report.mistake.as_deref(), Some(id), "{report}");
            assert_listed(&report);
        }
    }
}
