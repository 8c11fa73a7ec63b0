//! Checks the exercise `ln_find_the_bug`: a derivation with one wrong step.

use crate::batch::{Batch, LAYER};
use crate::{Line, Report};
use gradcheck::attribution::norm::{Target, explain};
use judge::harness;
use judge::known::Known;
use judge::{Checker, Mistake, Order, Part, conclude};
use std::process::ExitCode;

const NAME: &str = "ln_find_the_bug";

/// The step in which gamma is taken out of the mean.
const WRONG_STEP: u32 = 4;

/// `(dy, gamma, x_hat, rstd)` of one row to its `dx`.
pub type Candidate<'a> = &'a dyn Fn(&[f64], &[f64], &[f64], f64) -> Vec<f64>;

/// Checks the derivation and the reader's number of the wrong step, and prints the report.
pub fn check(
    derivation: impl Fn(&[f64], &[f64], &[f64], f64) -> Vec<f64>,
    wrong_step: u32,
) -> ExitCode {
    harness::run(NAME, || report(&derivation, wrong_step, 0))
}

/// The bug that was shipped: to find it is the exercise.
const SHIPPED: Mistake<Batch> = (
    "shipped: the bug is still there. With every gamma 1 this dx is right, and with gammas that differ it is wrong",
    |b, _| shipped(b),
);
const NOT_SAID: &str = "step: dx is right now; say which step was wrong: set WRONG_STEP";
const OTHER_STEP: &str = "step: dx is right now, but step … was right from the beginning";
const SECTION: &str = "sec:ln-staged";

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    let steps = [NOT_SAID, OTHER_STEP];
    let steps = steps.map(|text| Known::of(NAME, text, SECTION));
    Checker::And(vec![Box::new(varied()), Box::new(plain())], steps.into())
}

/// The report on `derivation`, from random rows of this seed.
#[must_use]
pub fn report(derivation: Candidate<'_>, wrong_step: u32, seed: u64) -> Report {
    let run = |b: &Batch, dx: &mut Vec<f64>| *dx = rows(derivation, b);
    let right = "dx is right, and step 4 was the wrong one";
    let parts = vec![varied().judge(&run, seed), plain().judge(&run, seed)];
    let mut report = conclude(NAME, right, parts);
    // Which step it was is not told to who guesses.
    if report.passed() && wrong_step != WRONG_STEP {
        let text = if wrong_step == 0 {
            NOT_SAID
        } else {
            OTHER_STEP
        };
        report = Report {
            lines: report.lines,
            ..Known::of(NAME, text, SECTION).report(&[&wrong_step])
        };
    }
    if report.lines.iter().all(|line| line.right) {
        report.lines.push(Line {
            name: "WRONG_STEP".to_owned(),
            right: wrong_step == WRONG_STEP,
            detail: match wrong_step {
                0 => "not said yet".to_owned(),
                said => format!("step {said}"),
            },
        });
    }
    report
}

/// The derivation of every row, one after the other.
fn rows(derivation: Candidate<'_>, b: &Batch) -> Vec<f64> {
    let (gamma, d, x_hat, rstd) = (&b.probe.gamma, b.columns(), b.probe.x_hat(), b.rstd());
    let given = b.probe.dy.chunks_exact(d).zip(x_hat.chunks_exact(d));
    let rows = given.zip(rstd.values());
    let rows = rows.map(|((dy, x_hat), rstd)| derivation(dy, gamma, x_hat, rstd));
    let rows: Vec<Vec<f64>> = rows.collect();
    // A row of another length must not be made up for by the next.
    let broken = rows.iter().find(|row| row.len() != d);
    broken.cloned().unwrap_or_else(|| rows.concat())
}

fn varied() -> Part<Batch, Vec<f64>> {
    part("gammas that differ", |seed| LAYER.batches(seed))
        .mistakes_in(SECTION, &["dx"], &[SHIPPED])
        .noted_by(|b, dx, id| (id == "shipped").then(|| sums(b, dx)))
}

fn plain() -> Part<Batch, Vec<f64>> {
    part("every gamma 1", |seed| {
        let plain = LAYER.batches(seed).into_iter().map(|mut b| {
            b.probe.gamma.fill(1.0);
            b
        });
        plain.collect()
    })
}

fn part(name: &'static str, cases: fn(u64) -> Vec<Batch>) -> Part<Batch, Vec<f64>> {
    Part::new(name, Order::Together, cases)
        .target(
            "dx",
            "sec:ln-closed-form",
            LAYER.axes,
            |b| b.probe.dx(),
            (Vec::clone, |dx, values| *dx = values),
        )
        .attributed_by(|b, found, _| Some(explain(&b.probe, Target::Dx, found)))
}

/// What the derivation makes as it was shipped.
fn shipped(b: &Batch) -> Vec<f64> {
    let (dy, x_hat, gamma) = (b.dy(), b.x_hat(), &b.probe.gamma);
    let g = &dy * gamma;
    let through_variance = &x_hat * (&g * &x_hat).mean(1);
    ((g - dy.mean(1) * gamma - through_variance) * b.rstd()).into()
}

/// How far the rows are from adding up to zero.
fn sums(b: &Batch, dx: &[f64]) -> String {
    let shares = dx.chunks(b.columns()).map(|row| {
        let size: f64 = row.iter().map(|v| v.abs()).sum();
        row.iter().sum::<f64>().abs() / size
    });
    format!(
        "A row of dx must add up to zero. Here the sum is {:.0} % of the sum of absolute values, in the worst row.",
        100.0 * shares.fold(0.0, f64::max)
    )
}

#[cfg(test)]
mod tests;
