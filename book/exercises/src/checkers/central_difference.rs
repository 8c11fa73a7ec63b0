//! Checks the exercise `central_difference`.

use crate::engine::Checker;
use crate::harness;
use crate::known::Known;
use crate::{Line, Outcome, Report};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::cell::RefCell;
use std::process::ExitCode;

const NAME: &str = "central_difference";

/// A function of one number.
pub type Scalar<'a> = &'a dyn Fn(f64) -> f64;

/// What the reader writes: `(f, x, h)` to a slope.
pub type Candidate<'a> = &'a dyn Fn(Scalar<'_>, f64, f64) -> f64;

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(Scalar<'_>, f64, f64) -> f64) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

/// A function and how it is written.
type Named = (&'static str, fn(f64) -> f64);

/// Functions whose second and third derivatives are nowhere small where they are probed,
/// so that every wrong formula shows.
const FUNCTIONS: [Named; 4] = [
    ("exp(x)", f64::exp),
    ("x³ + x²", |x| x * x * x + x * x),
    ("1/(1 + x)", |x| 1.0 / (1.0 + x)),
    ("x ln x", |x| x * x.ln()),
];

struct Probe {
    name: &'static str,
    f: fn(f64) -> f64,
    x: f64,
    h: f64,
}

fn probes(seed: u64) -> Vec<Probe> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut probes = Vec::new();
    for (name, f) in FUNCTIONS {
        for h in [0.1, 0.01, 1e-3] {
            let x = rng.random_range(0.6..1.4);
            let h = h * rng.random_range(0.7..1.3);
            probes.push(Probe { name, f, x, h });
        }
    }
    probes
}

fn right(f: Scalar<'_>, x: f64, h: f64) -> f64 {
    (f(x + h) - f(x - h)) / (2.0 * h)
}

/// How far a right answer may be off: rounding in `f`, divided by the step.
fn rounding(f: Scalar<'_>, x: f64, h: f64) -> f64 {
    16.0 * f64::EPSILON * (f(x).abs() + x.abs() * right(f, x, h).abs()) / h
}

/// A formula that a reader may write by mistake.
type Mistake = (
    &'static str,
    &'static str,
    &'static str,
    fn(Scalar<'_>, f64, f64) -> f64,
);

const MISTAKES: &[Mistake] = &[
    (
        "forward-difference",
        "this is the forward difference: the second point is x, and must be x - h",
        "sec:secant",
        |f, x, h| (f(x + h) - f(x)) / h,
    ),
    (
        "backward-difference",
        "this is the backward difference: the first point is x, and must be x + h",
        "sec:secant",
        |f, x, h| (f(x) - f(x - h)) / h,
    ),
    (
        "step-not-doubled",
        "it is twice too large: the two points are 2h apart, and it divides by h",
        "sec:secant",
        |f, x, h| (f(x + h) - f(x - h)) / h,
    ),
    (
        "step-quadrupled",
        "it is half of the slope: the two points are 2h apart, and it divides by 4h",
        "sec:secant",
        |f, x, h| (f(x + h) - f(x - h)) / (4.0 * h),
    ),
    (
        "precedence",
        "`… / 2.0 * h` divides by 2 and then multiplies by h; write `/ (2.0 * h)`",
        "sec:secant",
        |f, x, h| (f(x + h) - f(x - h)) / 2.0 * h,
    ),
    (
        "undivided",
        "the difference is not divided by the distance 2h of the two points",
        "sec:secant",
        |f, x, h| f(x + h) - f(x - h),
    ),
    (
        "step-forgotten",
        "the difference is divided by 2, and must be divided by 2h",
        "sec:secant",
        |f, x, h| (f(x + h) - f(x - h)) / 2.0,
    ),
    (
        "sign",
        "it has the wrong sign: f(x + h) comes first, f(x - h) is subtracted",
        "sec:secant",
        |f, x, h| -right(f, x, h),
    ),
    (
        "sum",
        "the two values are added; their difference is the rise of the secant",
        "sec:secant",
        |f, x, h| (f(x + h) + f(x - h)) / (2.0 * h),
    ),
    (
        "second-difference",
        "this is the second difference: it approximates f'', not f'",
        "sec:truncation",
        |f, x, h| (f(x + h) - 2.0 * f(x) + f(x - h)) / (h * h),
    ),
    (
        "step-halved",
        "this is a central difference with half the step: the points are x + h and x - h",
        "sec:truncation",
        |f, x, h| right(f, x, h / 2.0),
    ),
    (
        "step-twice",
        "this is a central difference with twice the step: the points are x + h and x - h",
        "sec:truncation",
        |f, x, h| right(f, x, 2.0 * h),
    ),
    (
        "extrapolated",
        "this is better than asked: an extrapolated difference, over four points. The exercise wants two",
        "sec:truncation",
        |f, x, h| (4.0 * right(f, x, h) - right(f, x, 2.0 * h)) / 3.0,
    ),
    ("zero", "it is zero everywhere", "sec:secant", |_, _, _| 0.0),
];

const STEP_IGNORED: (&str, &str, &str) = (
    "step-ignored",
    "h is ignored: f is evaluated at the same points whatever the step",
    "sec:secant",
);

/// The mistakes that this checker knows.
fn known() -> Vec<Known> {
    let listed = MISTAKES.iter().map(|(id, what, at, _)| (*id, *what, *at));
    listed
        .chain([STEP_IGNORED])
        .map(|(id, what, section)| Known::new(NAME, id, what, section))
        .collect()
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Listed(known())
}

/// The report on `candidate`, from random points of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let probes = probes(seed);
    let agrees = |formula: Candidate<'_>| {
        probes.iter().all(|p| {
            let off = formula(&p.f, p.x, p.h) - candidate(&p.f, p.x, p.h);
            off.abs() <= rounding(&p.f, p.x, p.h)
        })
    };
    let lines: Vec<Line> = FUNCTIONS
        .iter()
        .map(|(name, _)| line(name, &probes, candidate))
        .collect();
    if lines.iter().all(|line| line.right) {
        let mut report = Report::new(
            NAME,
            Outcome::Passed,
            "it is the central difference, to the rounding of f",
        );
        report.lines = lines;
        return report;
    }
    let named = MISTAKES.iter().find(|(_, _, _, formula)| agrees(formula));
    let own_step = ignores_step(candidate, &probes);
    let (id, sentence, section) = match named {
        Some((id, sentence, section, _)) => (*id, (*sentence).to_owned(), Some(*section)),
        None if own_step => {
            let (id, sentence, section) = STEP_IGNORED;
            (id, sentence.to_owned(), Some(section))
        }
        None => ("unknown", first_difference(candidate, &probes), None),
    };
    let mut report = Report::new(NAME, Outcome::Wrong, sentence);
    report.mistake = Some(id.to_owned());
    report.section = section.map(str::to_owned);
    if named.is_some() || own_step {
        report.notes.push(first_difference(candidate, &probes));
    }
    report.lines = lines;
    report
}

fn line(name: &str, probes: &[Probe], candidate: Candidate<'_>) -> Line {
    let own = probes.iter().filter(|p| p.name == name);
    let off = |p: &Probe| (candidate(&p.f, p.x, p.h) - right(&p.f, p.x, p.h)).abs();
    let fits = |p: &Probe| off(p) <= rounding(&p.f, p.x, p.h);
    let wrong = own.clone().filter(|p| !fits(p)).count();
    let worst = own.clone().map(off).fold(0.0, f64::max);
    let detail = if wrong == 0 {
        format!("{} points, off by {worst:.0e} at most", own.count())
    } else {
        format!(
            "{wrong} of {} points wrong, off by up to {worst:.1e}",
            own.count()
        )
    };
    Line {
        name: name.to_owned(),
        right: wrong == 0,
        detail,
    }
}

/// Where `candidate` evaluates its function.
fn points(candidate: Candidate<'_>, x: f64, h: f64) -> Vec<f64> {
    let seen = RefCell::new(Vec::new());
    candidate(
        &|at| {
            seen.borrow_mut().push(at);
            at
        },
        x,
        h,
    );
    seen.into_inner()
}

fn ignores_step(candidate: Candidate<'_>, probes: &[Probe]) -> bool {
    probes
        .iter()
        .all(|p| points(candidate, p.x, p.h) == points(candidate, p.x, 2.0 * p.h))
}

fn first_difference(candidate: Candidate<'_>, probes: &[Probe]) -> String {
    let wrong = probes.iter().find(|p| {
        let off = (candidate(&p.f, p.x, p.h) - right(&p.f, p.x, p.h)).abs();
        off.is_nan() || off > rounding(&p.f, p.x, p.h)
    });
    let Some(p) = wrong else { return String::new() };
    let at: Vec<String> = points(candidate, p.x, p.h)
        .iter()
        .map(|point| {
            format!(
                "x {} {:.3} h",
                if *point < p.x { "-" } else { "+" },
                (point - p.x).abs() / p.h
            )
        })
        .collect();
    format!(
        "For {} at x = {:.4} with h = {:.4} it returns {:.8}, and the secant's slope is {:.8}. It evaluated f at {}.",
        p.name,
        p.x,
        p.h,
        candidate(&p.f, p.x, p.h),
        right(&p.f, p.x, p.h),
        if at.is_empty() {
            "no point".to_owned()
        } else {
            at.join(", ")
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known::assert_listed;

    #[test]
    fn the_right_formula_passes_however_it_is_rounded() {
        for seed in 0..20 {
            assert!(report(&right, seed).passed());
            let travelled = |f: Scalar<'_>, x: f64, h: f64| {
                let (high, low) = (x + h, x - h);
                (f(high) - f(low)) / (high - low)
            };
            assert!(report(&travelled, seed).passed());
            let halves = |f: Scalar<'_>, x: f64, h: f64| 0.5 * f(x + h) / h - 0.5 * f(x - h) / h;
            assert!(report(&halves, seed).passed());
        }
    }

    #[test]
    fn every_mistake_is_named() {
        for seed in 0..20 {
            for (id, _, _, formula) in MISTAKES {
                let report = report(formula, seed);
                assert_eq!(report.outcome, Outcome::Wrong);
                assert_eq!(report.mistake.as_deref(), Some(*id), "seed {seed}");
                assert_listed(&report);
            }
            let fixed = |f: Scalar<'_>, x: f64, _: f64| right(f, x, 1e-4);
            let report = report(&fixed, seed);
            assert_eq!(report.mistake.as_deref(), Some("step-ignored"));
            assert_listed(&report);
        }
    }

    #[test]
    fn an_unknown_mistake_is_shown_with_its_points() {
        let odd = |f: Scalar<'_>, x: f64, h: f64| (f(x + 3.0 * h) - f(x - h)) / (4.0 * h);
        let report = report(&odd, 0);
        assert_eq!(report.mistake.as_deref(), Some("unknown"));
        assert!(
            report.headline.contains("x + 3.000 h, x - 1.000 h"),
            "{}",
            report.headline
        );
        let nan = super::report(&|_, _, _| f64::NAN, 0);
        assert_eq!(nan.outcome, Outcome::Wrong);
    }
}
