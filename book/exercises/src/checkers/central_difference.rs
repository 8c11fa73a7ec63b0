//! Checks the exercise `central_difference`.

use crate::arrays::Draws;
use judge::compare::ROUNDING;
use judge::shared::short;
use judge::{Named, Order, Part, Slip, case, exercise, field, slips};
use rand::RngExt;
use std::cell::RefCell;

/// A function of one number.
pub type Scalar<'a> = &'a dyn Fn(f64) -> f64;

exercise! {
    /// `(f, x, h)` to a slope.
    check(central_difference: Fn(&dyn Fn(f64) -> f64, f64, f64) -> f64),
    right: "it is the central difference, to the rounding of f",
    parts: [part() => |p, answer| {
        let with_step = |h: f64| {
            let seen = RefCell::new(Vec::new());
            let watched = |at: f64| {
                seen.borrow_mut().push(at);
                (p.f)(at)
            };
            (central_difference(&watched, p.x, h), seen.into_inner())
        };
        (answer.slope, answer.points) = with_step(p.h);
        answer.points_at_twice = with_step(2.0 * p.h).1;
    }],
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

case!(
    Probe,
    |p| format!("{} at x = {:.4} with h = {:.4}", p.name, p.x, p.h),
    sizes: [],
);

fn probes(seed: u64) -> Vec<Probe> {
    let rng = &mut Draws::new(seed).0;
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

/// Formulas that a reader may write by mistake.
type Table = &'static [Slip<fn(Scalar<'_>, f64, f64) -> f64>];

const SECANT: &str = "sec:secant";
const TRUNCATION: &str = "sec:truncation";

const SECANTS: Table = slips![
    "forward-difference: this is the forward difference: the second point is x, and must be x - h" =>
        |f, x, h| (f(x + h) - f(x)) / h,
    "backward-difference: this is the backward difference: the first point is x, and must be x + h" =>
        |f, x, h| (f(x) - f(x - h)) / h,
    "step-not-doubled: it is twice too large: the two points are 2h apart, and it divides by h" =>
        |f, x, h| (f(x + h) - f(x - h)) / h,
    "step-quadrupled: it is half of the slope: the two points are 2h apart, and it divides by 4h" =>
        |f, x, h| (f(x + h) - f(x - h)) / (4.0 * h),
    "precedence: `… / 2.0 * h` divides by 2 and then multiplies by h; write `/ (2.0 * h)`" =>
        |f, x, h| (f(x + h) - f(x - h)) / 2.0 * h,
    "parentheses-missing: only f(x - h) is divided: write `(f(x + h) - f(x - h)) / (2.0 * h)`" =>
        |f, x, h| f(x + h) - f(x - h) / (2.0 * h),
    "parentheses-missing: only f(x - h) is divided, and multiplied by h: write `(f(x + h) - f(x - h)) / (2.0 * h)`" =>
        |f, x, h| f(x + h) - f(x - h) / 2.0 * h,
    "undivided: the difference is not divided by the distance 2h of the two points" =>
        |f, x, h| f(x + h) - f(x - h),
    "step-forgotten: the difference is divided by 2, and must be divided by 2h" =>
        |f, x, h| (f(x + h) - f(x - h)) / 2.0,
    "sign: it has the wrong sign: f(x + h) comes first, f(x - h) is subtracted" =>
        |f, x, h| -right(f, x, h),
    "sum: the two values are added; their difference is the rise of the secant" =>
        |f, x, h| (f(x + h) + f(x - h)) / (2.0 * h),
];

/// Those that converge, or that a Taylor series tells apart.
const OTHER_QUOTIENTS: Table = slips![
    "second-difference: this is the second difference: it approximates f'', not f'" =>
        |f, x, h| (f(x + h) - 2.0 * f(x) + f(x - h)) / (h * h),
    "step-halved: this is a central difference with half the step: the points are x + h and x - h" =>
        |f, x, h| right(f, x, h / 2.0),
    "step-twice: this is a central difference with twice the step: the points are x + h and x - h" =>
        |f, x, h| right(f, x, 2.0 * h),
    "extrapolated: this is better than asked: an extrapolated difference, over four points. The exercise wants two" =>
        |f, x, h| (4.0 * right(f, x, h) - right(f, x, 2.0 * h)) / 3.0,
];

const STEP_IGNORED: &str =
    "step-ignored: h is ignored: f is evaluated at the same points whatever the step";

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
    const SLOPE: &str = "the slope";
    Part::<_, Answer>::new("slope", Order::Together, probes)
        .target(
            SLOPE,
            SECANT,
            &[],
            |p| vec![right(&p.f, p.x, p.h)],
            field!(number slope),
        )
        .cancels(|p| rounding(&p.f, p.x, p.h) / ROUNDING)
        .variants(&[SLOPE], SECANTS, |p, _, formula| {
            vec![formula(&p.f, p.x, p.h)]
        })
        .variants_in(TRUNCATION, &[SLOPE], OTHER_QUOTIENTS, |p, _, formula| {
            vec![formula(&p.f, p.x, p.h)]
        })
        .wrong(SLOPE, SECANT, STEP_IGNORED, |p| {
            vec![right(&p.f, p.x, 1e-4)]
        })
        .explained_by(|_, answer, _| {
            let ignored = answer.points == answer.points_at_twice && !answer.points.is_empty();
            ignored.then(|| Named::of(STEP_IGNORED))
        })
        .noted_by(|p, answer, _| Some(evaluated(p, &answer.points)))
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
    use crate::known::assert_listed;
    use judge::testing::{named, passes, tells};

    #[test]
    fn the_right_formula_passes_however_it_is_rounded() {
        let typed: [Candidate<'_>; 3] = [
            &right,
            &|f, x, h| {
                let (high, low) = (x + h, x - h);
                (f(high) - f(low)) / (high - low)
            },
            &|f, x, h| 0.5 * f(x + h) / h - 0.5 * f(x - h) / h,
        ];
        for candidate in typed {
            passes(1, |seed| report(candidate, seed));
        }
    }

    /// A step of its own is named whatever it is.
    #[test]
    fn what_is_typed_wrong_is_named() {
        let typed: [(&str, Candidate<'_>); 4] = [
            ("the slope: step-ignored", &|f, x, _| right(f, x, 1e-4)),
            ("the slope: step-ignored", &|f, x, _| right(f, x, 0.05)),
            ("the slope: parentheses-missing", &|f, x, h| {
                f(x + h) - f(x - h) / (2.0 * h)
            }),
            ("the slope: parentheses-missing", &|f, x, h| {
                f(x + h) - f(x - h) / 2.0 * h
            }),
        ];
        named(&typed, |candidate, seed| {
            let report = report(candidate, seed);
            assert_listed(&report);
            report
        });
    }

    #[test]
    fn an_unknown_mistake_is_shown_with_its_points() {
        let odd = |f: Scalar<'_>, x: f64, h: f64| (f(x + 3.0 * h) - f(x - h)) / (4.0 * h);
        let note = "\nIt evaluated f at x + 3 h, x - h.";
        let told = ["the slope: for exp(x) at x = ", note];
        tells(&report(&odd, 0), "unknown", &told);
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
            tells(&report, "not-finite", &["the slope is NaN, and must be "]);
            let detail = &report.lines[0].detail;
            assert!(detail.starts_with("not finite, for exp(x) at"), "{report}");
            assert_eq!(report.notes, [note]);
        }
        tells(&report(&|_, _, _| 0.5, 0), "unknown", &[none]);
    }
}
