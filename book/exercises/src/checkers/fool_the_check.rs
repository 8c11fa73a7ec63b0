//! Checks the exercise `fool_the_check`: a backward pass that must be wrong, and must pass
//! a weak check nevertheless.

use crate::arrays::{Array, Draws};
use crate::{Line, Outcome, Report};
use gradcheck::Check;
use judge::Checker;
use judge::compare::quoted;
use judge::harness::{self, attempt};
use judge::known::Known;
use std::fmt::Display;
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
    x: Array,
    w: Vec<f64>,
}

fn probes(seed: u64) -> Vec<Probe> {
    let draws = &mut Draws::new(seed);
    let probe = |shape: [usize; 2]| Probe {
        x: draws.array(shape, 0.3..1.7),
        w: draws.numbers(shape[1], 0.3..1.7),
    };
    [[3, 4], [5, 2], [4, 3]].map(probe).into()
}

/// The check to be fooled: the loss is `sum(y)`, and every element of `dx` and `dw` is
/// compared with a central difference.
///
/// # Errors
/// Which gradient disagrees, where, and by how much.
fn weak(candidate: Candidate<'_>, probe: &Probe) -> Result<(), (&'static str, String)> {
    let (x, w) = (probe.x.values(), &probe.w);
    let (dx, dw) = candidate(&vec![1.0; x.len()], &x, w);
    let loss = |name: &str, at: usize, by: f64| {
        let (mut x, mut w) = (x.clone(), w.clone());
        if name == "dx" {
            x[at] += by;
        } else {
            w[at] += by;
        }
        (Array::new(probe.x.shape(), x) * &w).total()
    };
    for (name, count, found) in [("dx", x.len(), &dx), ("dw", w.len(), &dw)] {
        if found.len() != count {
            let what = format!("{name} has {} values and must have {count}", found.len());
            return Err((name, what));
        }
        for (at, &found) in found.iter().enumerate() {
            let rise = loss(name, at, STEP) - loss(name, at, -STEP);
            let numeric = rise / (2.0 * STEP);
            let passes = (found - numeric).abs() <= TOLERANCE * numeric.abs().max(1.0);
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
    let shape = probe.x.shape();
    Check::new("x * w")
        .input("x", shape, probe.x.values())
        .input("w", &shape[1..], probe.w.clone())
        .seed(seed)
        .run(
            |v| (Array::new(shape, &*v[0]) * &v[1]).into(),
            |v, dy| {
                let (dx, dw) = candidate(dy, &v[0], &v[1]);
                vec![dx, dw]
            },
        )
}

const CAUGHT: [&str; 2] = [
    "dx-caught: the weak check caught it: dx…",
    "dw-caught: the weak check caught it: dw…",
];
const SOMETIMES_RIGHT: &str =
    "sometimes-right: at some shapes this is the right gradient; it must be wrong at all of them";
const RIGHT: &str = "right: this is the right gradient: it fools nobody. Make it wrong where the check does not look";
const SECTION: &str = "sec:weak-checks";

fn failure(text: &str, values: &[&dyn Display], lines: Vec<Line>) -> Report {
    let mut report = Known::of(NAME, text, SECTION).report(values);
    report.lines = lines;
    report
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    let all = [CAUGHT[0], CAUGHT[1], SOMETIMES_RIGHT, RIGHT];
    let known = all.map(|text| Known::of(NAME, text, SECTION));
    Checker::Listed(known.into())
}

/// The report on `candidate`, from random inputs of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let mut lines = Vec::new();
    let mut seen = true;
    let mut evidence = None;
    for (number, probe) in probes(seed).iter().enumerate() {
        let shape = format!("{:?}", probe.x.shape());
        let mut tell = |right, check: &str, detail| {
            let name = format!("{check}, {shape}");
            lines.push(Line {
                name,
                right,
                detail,
            });
        };
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
                tell(false, "the weak check", what.clone());
                let caught = CAUGHT[usize::from(name == "dw")];
                let rest = what.strip_prefix(name).unwrap_or(&what);
                let rest = format!("{rest}, for x of shape {shape}");
                return failure(caught, &[&rest], lines);
            }
        };
        tell(true, "the weak check", "passes: fooled".to_owned());
        // What is NaN is not found wrong there, but not to be a number before that.
        let nan = |i: &gradcheck::InputReport| i.analytic.iter().filter(|dx| dx.is_nan()).count();
        let wrong: usize = checked.inputs.iter().map(|i| i.wrong + nan(i)).sum();
        seen &= !checked.passed();
        let places = probe.x.values().len() + probe.w.len();
        let detail = if checked.passed() {
            "passes: nothing is wrong with it".to_owned()
        } else {
            evidence = Some(checked.to_string());
            format!("fails in {wrong} of {places} places")
        };
        tell(!checked.passed(), "a random upstream gradient", detail);
    }
    if !seen {
        let some = evidence.is_some();
        let text = if some { SOMETIMES_RIGHT } else { RIGHT };
        return failure(text, &[], lines);
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
