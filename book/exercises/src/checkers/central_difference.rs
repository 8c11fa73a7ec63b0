//! Checks the exercise `central_difference`.

use crate::Report;
use crate::compare::ROUNDING;
use crate::engine::shared::short;
use crate::engine::{Case, Checker, Named, Order, Part, field};
use crate::harness;
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
type Function = (&'static str, fn(f64) -> f64);

/// Functions whose second and third derivatives are nowhere small where they are probed,
/// so that every wrong formula shows.
const FUNCTIONS: [Function; 4] = [
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

impl Case for Probe {
    fn title(&self) -> String {
        let Probe { name, x, h, .. } = self;
        format!("{name} at x = {x:.4} with h = {h:.4}")
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        Vec::new()
    }
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

/// A formula that a reader may write by mistake: its name, what to say, and itself.
type Mistake = (&'static str, &'static str, fn(Scalar<'_>, f64, f64) -> f64);

const SECANT: &str = "sec:secant";
const TRUNCATION: &str = "sec:truncation";

const SECANTS: &[Mistake] = &[
    (
        "forward-difference",
        "this is the forward difference: the second point is x, and must be x - h",
        |f, x, h| (f(x + h) - f(x)) / h,
    ),
    (
        "backward-difference",
        "this is the backward difference: the first point is x, and must be x + h",
        |f, x, h| (f(x) - f(x - h)) / h,
    ),
    (
        "step-not-doubled",
        "it is twice too large: the two points are 2h apart, and it divides by h",
        |f, x, h| (f(x + h) - f(x - h)) / h,
    ),
    (
        "step-quadrupled",
        "it is half of the slope: the two points are 2h apart, and it divides by 4h",
        |f, x, h| (f(x + h) - f(x - h)) / (4.0 * h),
    ),
    (
        "precedence",
        "`… / 2.0 * h` divides by 2 and then multiplies by h; write `/ (2.0 * h)`",
        |f, x, h| (f(x + h) - f(x - h)) / 2.0 * h,
    ),
    (
        "parentheses-missing",
        "only f(x - h) is divided: write `(f(x + h) - f(x - h)) / (2.0 * h)`",
        |f, x, h| f(x + h) - f(x - h) / (2.0 * h),
    ),
    (
        "parentheses-missing",
        "only f(x - h) is divided, and multiplied by h: write `(f(x + h) - f(x - h)) / (2.0 * h)`",
        |f, x, h| f(x + h) - f(x - h) / 2.0 * h,
    ),
    (
        "undivided",
        "the difference is not divided by the distance 2h of the two points",
        |f, x, h| f(x + h) - f(x - h),
    ),
    (
        "step-forgotten",
        "the difference is divided by 2, and must be divided by 2h",
        |f, x, h| (f(x + h) - f(x - h)) / 2.0,
    ),
    (
        "sign",
        "it has the wrong sign: f(x + h) comes first, f(x - h) is subtracted",
        |f, x, h| -right(f, x, h),
    ),
    (
        "sum",
        "the two values are added; their difference is the rise of the secant",
        |f, x, h| (f(x + h) + f(x - h)) / (2.0 * h),
    ),
];

/// Those that converge, or that a Taylor series tells apart.
const OTHER_QUOTIENTS: &[Mistake] = &[
    (
        "second-difference",
        "this is the second difference: it approximates f'', not f'",
        |f, x, h| (f(x + h) - 2.0 * f(x) + f(x - h)) / (h * h),
    ),
    (
        "step-halved",
        "this is a central difference with half the step: the points are x + h and x - h",
        |f, x, h| right(f, x, h / 2.0),
    ),
    (
        "step-twice",
        "this is a central difference with twice the step: the points are x + h and x - h",
        |f, x, h| right(f, x, 2.0 * h),
    ),
    (
        "extrapolated",
        "this is better than asked: an extrapolated difference, over four points. The exercise wants two",
        |f, x, h| (4.0 * right(f, x, h) - right(f, x, 2.0 * h)) / 3.0,
    ),
];

const STEP_IGNORED: (&str, &str) = (
    "step-ignored",
    "h is ignored: f is evaluated at the same points whatever the step",
);

/// What the reader's function returned, and did.
#[derive(Default)]
struct Answer {
    slope: f64,
    /// Where it evaluated f.
    points: Vec<f64>,
    /// Where it does so with twice the step.
    points_at_twice: Vec<f64>,
}

fn part() -> Part<Probe, Answer> {
    let part = Part::new("slope", Order::Together, probes, |_| Answer::default())
        .target(
            "the slope",
            SECANT,
            &[],
            |p| vec![right(&p.f, p.x, p.h)],
            field!(number slope),
        )
        .cancels(|p| rounding(&p.f, p.x, p.h) / ROUNDING);
    let tables = [(SECANT, SECANTS), (TRUNCATION, OTHER_QUOTIENTS)];
    let known = |part, (section, table): (&'static str, &'static [Mistake])| {
        let known = |part: Part<Probe, Answer>, (id, sentence, formula): &'static Mistake| {
            part.knows("the slope", id, sentence, section, |p| {
                vec![formula(&p.f, p.x, p.h)]
            })
        };
        table.iter().fold(part, known)
    };
    let (id, sentence) = STEP_IGNORED;
    tables
        .into_iter()
        .fold(part, known)
        .mistake(&["the slope"], id, sentence, |p, _| {
            vec![right(&p.f, p.x, 1e-4)]
        })
        .explained_by(|_, answer, _| {
            let ignored = answer.points == answer.points_at_twice && !answer.points.is_empty();
            ignored.then(|| Named {
                id: STEP_IGNORED.0.to_owned(),
                sentence: STEP_IGNORED.1.to_owned(),
                section: None,
            })
        })
        .noted_by(|p, answer, _| Some(evaluated(p, &answer.points)))
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::of(part())
}

/// The report on `candidate`, from random points of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let run = |p: &Probe, answer: &mut Answer| {
        let with_step = |h: f64| {
            let seen = RefCell::new(Vec::new());
            let watched = |at: f64| {
                seen.borrow_mut().push(at);
                (p.f)(at)
            };
            (candidate(&watched, p.x, h), seen.into_inner())
        };
        (answer.slope, answer.points) = with_step(p.h);
        answer.points_at_twice = with_step(2.0 * p.h).1;
    };
    let all = "it is the central difference, to the rounding of f";
    part().report(NAME, all, &run, seed)
}

/// Where f was evaluated, in steps from x.
fn evaluated(p: &Probe, points: &[f64]) -> String {
    let place = |point: &f64| {
        let sign = if *point < p.x { "-" } else { "+" };
        let steps = (1e6 * (point - p.x).abs() / p.h).round() / 1e6;
        match steps {
            0.0 => "x".to_owned(),
            1.0 => format!("x {sign} h"),
            _ => format!("x {sign} {} h", short(steps)),
        }
    };
    let places: Vec<String> = points.iter().map(place).collect();
    if places.is_empty() {
        "It evaluated f at no point.".to_owned()
    } else {
        format!("It evaluated f at {}.", places.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;
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

    /// Whatever the step of its own is.
    #[test]
    fn a_step_of_its_own_is_named() {
        for seed in 0..20 {
            for own in [1e-4, 0.05] {
                let fixed = |f: Scalar<'_>, x: f64, _: f64| right(f, x, own);
                let report = report(&fixed, seed);
                assert_eq!(report.mistake.as_deref(), Some("step-ignored"), "{report}");
                assert_listed(&report);
            }
        }
    }

    #[test]
    fn missing_parentheses_are_named() {
        let inner = |f: Scalar<'_>, x: f64, h: f64| f(x + h) - f(x - h) / (2.0 * h);
        let none = |f: Scalar<'_>, x: f64, h: f64| f(x + h) - f(x - h) / 2.0 * h;
        for typed in [&inner as Candidate<'_>, &none] {
            let report = report(typed, 0);
            let id = report.mistake.as_deref();
            assert_eq!(id, Some("parentheses-missing"), "{report}");
        }
    }

    #[test]
    fn an_unknown_mistake_is_shown_with_its_points() {
        let odd = |f: Scalar<'_>, x: f64, h: f64| (f(x + 3.0 * h) - f(x - h)) / (4.0 * h);
        let report = report(&odd, 0);
        assert_eq!(report.mistake.as_deref(), Some("unknown"));
        assert!(report.headline.starts_with("the slope: for exp(x) at x = "));
        assert_eq!(report.notes, ["It evaluated f at x + 3 h, x - h."]);
    }

    /// With the two points, and from nowhere: neither is a distance, and of what evaluates f
    /// at no point nothing is said of the points.
    #[test]
    fn what_is_no_number_is_told_as_such() {
        let lost = |f: Scalar<'_>, x: f64, h: f64| right(f, x, h) * f64::NAN;
        let two = "It evaluated f at x + h, x - h.";
        let none = "It evaluated f at no point.";
        let constant = |_: Scalar<'_>, _: f64, _: f64| f64::NAN;
        for (candidate, note) in [(&lost as Candidate<'_>, two), (&constant, none)] {
            let report = report(candidate, 0);
            assert_eq!(report.outcome, Outcome::Wrong);
            assert_eq!(report.mistake.as_deref(), Some("not-finite"));
            assert!(
                report.headline.contains("the slope is NaN, and must be "),
                "{report}"
            );
            assert!(
                report.lines[0]
                    .detail
                    .starts_with("not finite, for exp(x) at")
            );
            assert_eq!(report.notes, [note]);
        }
        let report = report(&|_, _, _| 0.5, 0);
        assert_eq!(report.mistake.as_deref(), Some("unknown"));
        assert_eq!(report.notes, [none]);
    }
}
