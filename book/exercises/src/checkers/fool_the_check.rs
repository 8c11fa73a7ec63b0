//! Checks the exercise `fool_the_check`: a backward pass that must be wrong, and must pass
//! a weak check nevertheless.

use crate::compare::quoted;
use crate::engine::Checker;
use crate::engine::known::{Known, fill};
use crate::harness::{self, attempt};
use crate::{Line, Outcome, Report};
use gradcheck::Check;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::process::ExitCode;

const NAME: &str = "fool_the_check";

/// What the weak check lets pass: an error of this size, absolute or relative.
const TOLERANCE: f64 = 1e-4;
/// The step of its central difference.
const STEP: f64 = 1e-4;

/// `(dy, x, w)` to `(dx, dw)`.
pub type Candidate<'a> = &'a dyn Fn(&[f64], &[f64], &[f64]) -> (Vec<f64>, Vec<f64>);

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(&[f64], &[f64], &[f64]) -> (Vec<f64>, Vec<f64>)) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

struct Probe {
    n: usize,
    d: usize,
    x: Vec<f64>,
    w: Vec<f64>,
}

fn probes(seed: u64) -> Vec<Probe> {
    let rng = &mut StdRng::seed_from_u64(seed);
    [(3, 4), (5, 2), (4, 3)]
        .map(|(n, d)| {
            let mut draw = |count| (0..count).map(|_| rng.random_range(0.3..1.7)).collect();
            Probe {
                n,
                d,
                x: draw(n * d),
                w: draw(d),
            }
        })
        .into()
}

/// `x * w`, with `w` repeated for each row.
fn product(x: &[f64], w: &[f64]) -> Vec<f64> {
    x.iter()
        .enumerate()
        .map(|(at, x)| x * w[at % w.len()])
        .collect()
}

/// The check to be fooled: the loss is `sum(y)`, and every element of `dx` and `dw` is
/// compared with a central difference.
///
/// # Errors
/// Which gradient disagrees, where, and by how much.
fn weak(candidate: Candidate<'_>, probe: &Probe) -> Result<(), (&'static str, String)> {
    let (x, w) = (&probe.x, &probe.w);
    let (dx, dw) = candidate(&vec![1.0; x.len()], x, w);
    let loss = |x: &[f64], w: &[f64]| product(x, w).iter().sum::<f64>();
    let moved = |values: &[f64], at: usize, by: f64| {
        let mut values = values.to_vec();
        values[at] += by;
        values
    };
    for (name, values, found) in [("dx", x, &dx), ("dw", w, &dw)] {
        if found.len() != values.len() {
            let what = format!(
                "{name} has {} values and must have {}",
                found.len(),
                values.len()
            );
            return Err((name, what));
        }
        for (at, &found) in found.iter().enumerate() {
            let side = |by: f64| {
                let values = moved(values, at, by);
                if name == "dx" {
                    loss(&values, w)
                } else {
                    loss(x, &values)
                }
            };
            let numeric = (side(STEP) - side(-STEP)) / (2.0 * STEP);
            let apart = (found - numeric).abs();
            let passes = apart <= TOLERANCE * numeric.abs().max(1.0);
            if !passes {
                let what = format!(
                    "{name}[{at}] is {found:.4}, and the central difference is {numeric:.4}"
                );
                return Err((name, what));
            }
        }
    }
    Ok(())
}

/// The check of this book: a random upstream gradient, and an estimated error.
fn strong(candidate: Candidate<'_>, probe: &Probe, seed: u64) -> gradcheck::Report {
    Check::new("x * w")
        .input("x", &[probe.n, probe.d], probe.x.clone())
        .input("w", &[probe.d], probe.w.clone())
        .seed(seed)
        .run(
            |v| product(&v[0], &v[1]),
            |v, dy| {
                let (dx, dw) = candidate(dy, &v[0], &v[1]);
                vec![dx, dw]
            },
        )
}

const CAUGHT: [(&str, &str); 2] = [
    ("dx-caught", "the weak check caught it: dx…"),
    ("dw-caught", "the weak check caught it: dw…"),
];
const SOMETIMES_RIGHT: (&str, &str) = (
    "sometimes-right",
    "at some shapes this is the right gradient; it must be wrong at all of them",
);
const RIGHT: (&str, &str) = (
    "right",
    "this is the right gradient: it fools nobody. Make it wrong where the check does not look",
);
const SECTION: &str = "sec:weak-checks";

/// The mistakes that this checker knows.
fn known() -> Vec<Known> {
    let known = |(id, what)| Known::new(NAME, id, what, SECTION);
    let caught = CAUGHT.map(known);
    let right = [SOMETIMES_RIGHT, RIGHT].map(known);
    caught.into_iter().chain(right).collect()
}

fn failure(id: &str, headline: String, lines: Vec<Line>) -> Report {
    let mut report = Report::new(NAME, Outcome::Wrong, headline);
    report.mistake = Some(id.to_owned());
    report.section = Some(SECTION.to_owned());
    report.lines = lines;
    report
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Listed(known())
}

/// The report on `candidate`, from random inputs of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let mut lines = Vec::new();
    let mut seen = true;
    let mut evidence = None;
    for (number, probe) in probes(seed).iter().enumerate() {
        let shape = format!("[{}, {}]", probe.n, probe.d);
        let judged = attempt(|| {
            let fooled = weak(candidate, probe);
            fooled.map(|()| strong(candidate, probe, seed * 10 + number as u64))
        });
        let checked = match judged {
            Ok(Ok(checked)) => checked,
            Err(thrown) => {
                let mut report = thrown.report(NAME);
                if !thrown.is_todo() {
                    let told = thrown.told();
                    report.headline = format!("for x of shape {shape}, it panicked {told}");
                    report.section = Some(SECTION.to_owned());
                }
                report.lines = lines;
                return report;
            }
            Ok(Err((name, what))) => {
                lines.push(Line {
                    name: format!("the weak check, {shape}"),
                    right: false,
                    detail: what.clone(),
                });
                let (id, template) = CAUGHT[usize::from(name == "dw")];
                let rest = what.strip_prefix(name).unwrap_or(&what);
                let rest = format!("{rest}, for x of shape {shape}");
                return failure(id, fill(template, &[&rest]), lines);
            }
        };
        lines.push(Line {
            name: format!("the weak check, {shape}"),
            right: true,
            detail: "passes: fooled".to_owned(),
        });
        // What is NaN is not found wrong there, but not to be a number before that.
        let nan = |i: &gradcheck::InputReport| i.analytic.iter().filter(|dx| dx.is_nan()).count();
        let wrong: usize = checked.inputs.iter().map(|i| i.wrong + nan(i)).sum();
        seen &= !checked.passed();
        lines.push(Line {
            name: format!("a random upstream gradient, {shape}"),
            right: !checked.passed(),
            detail: if checked.passed() {
                "passes: nothing is wrong with it".to_owned()
            } else {
                format!(
                    "fails in {wrong} of {} places",
                    probe.x.len() + probe.w.len()
                )
            },
        });
        if !checked.passed() {
            evidence = Some(checked.to_string());
        }
    }
    if !seen {
        let some = evidence.is_some();
        let (id, headline) = if some { SOMETIMES_RIGHT } else { RIGHT };
        return failure(id, headline.to_owned(), lines);
    }
    let headline = "fooled: the weak check passes a gradient that is wrong";
    let mut report = Report::new(NAME, Outcome::Passed, headline);
    report.lines = lines;
    report.notes.extend(evidence.map(|text| {
        format!(
            "What a random upstream gradient says of it:\n{}",
            quoted(&text)
        )
    }));
    report
}

#[cfg(test)]
mod tests;
