//! Checks the exercise `one_reading`.

use crate::compare::wrong_at;
use crate::engine::Checker;
use crate::harness::{self, attempt};
use crate::known::{Known as Listed, fill};
use crate::{Line, Outcome, Report};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::process::ExitCode;

const NAME: &str = "one_reading";

/// What is known of the values read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    /// How many they are.
    pub count: f64,
    /// Their mean; 0 while there are none.
    pub mean: f64,
    /// The sum of their squared distances from the mean.
    pub squares: f64,
}

/// Adds a value.
pub type Add<'a> = &'a dyn Fn(&mut Seen, f64);
/// Joins what is known of two lists.
pub type Merge<'a> = &'a dyn Fn(&Seen, &Seen) -> Seen;

/// Checks both functions and prints the report.
pub fn check(add: impl Fn(&mut Seen, f64), merge: impl Fn(&Seen, &Seen) -> Seen) -> ExitCode {
    harness::run(NAME, || report(&add, &merge, 0))
}

/// What may differ near zero, as a share of the largest term.
const NEAR: f64 = 1e-12;
/// A mean this many deviations away from zero.
const OFFSET: f64 = 1e7;
/// What `squares` may be off by there.
const FAR: f64 = 1e-6;

fn values(rng: &mut StdRng, count: usize) -> Vec<f64> {
    let mean = rng.random_range(1.5..3.0);
    (0..count)
        .map(|_| mean + rng.random_range(-2.0..2.0))
        .collect()
}

/// What is right, in two readings.
fn truth(x: &[f64]) -> Seen {
    if x.is_empty() {
        return Seen::default();
    }
    let count = x.len() as f64;
    let mean = x.iter().sum::<f64>() / count;
    let squares = x.iter().map(|x| (x - mean).powi(2)).sum();
    Seen {
        count,
        mean,
        squares,
    }
}

fn same(right: f64, found: f64, size: f64) -> bool {
    (right - found).abs() <= NEAR * size.max(1.0)
}

/// A known mistake in one field: its name, what to say, and the value it leads to.
type Known = (&'static str, &'static str, f64);

/// The first wrong field, with its name and what to say.
fn first_wrong(
    right: Seen,
    found: Seen,
    known: impl Fn(&str) -> Vec<Known>,
) -> Option<(&'static str, String, String)> {
    let size = right.squares + right.mean * right.mean * right.count;
    for (field, right, found) in [
        ("count", right.count, found.count),
        ("mean", right.mean, found.mean),
        ("squares", right.squares, found.squares),
    ] {
        if same(right, found, size) {
            continue;
        }
        let mistakes = known(field);
        let mistake = mistakes
            .iter()
            .find(|(.., value)| same(*value, found, size));
        return Some(match mistake {
            Some((id, what, _)) => (field, (*id).to_owned(), format!("{field}: {what}")),
            None => {
                let sentence = format!("{field} is {found:.6} and must be {right:.6}");
                let finite = found.is_finite();
                let id = if finite { "unknown" } else { "not-finite" };
                (field, id.to_owned(), sentence)
            }
        });
    }
    None
}

/// What may have gone wrong in adding `x`.
fn wrong_in_add(before: Seen, x: f64, right: Seen) -> impl Fn(&str) -> Vec<Known> {
    let Seen {
        count,
        mean,
        squares,
    } = before;
    let (off, after) = (x - mean, x - right.mean);
    move |field| match field {
        "count" => vec![("count-unchanged", "it must rise by one", count)],
        "mean" => vec![
            ("mean-unchanged", "it does not move", mean),
            (
                "mean-not-divided",
                "it moves by the whole of x - mean; it must move by the share 1/count of that",
                mean + off,
            ),
            (
                "old-count",
                "x - mean is divided by the count before x came; x counts too",
                mean + off / count,
            ),
            (
                "mean-of-two",
                "it is the average of the old mean and x: as if x weighed as much as all values before",
                (mean + x) / 2.0,
            ),
            (
                "sign",
                "it moves away from x: the sign is wrong",
                mean - off / right.count,
            ),
        ],
        _ => vec![
            ("squares-unchanged", "they do not grow", squares),
            (
                "old-deviation-squared",
                "the distance from the old mean is squared; one of the two factors is the distance from the new mean",
                squares + off * off,
            ),
            (
                "new-deviation-squared",
                "the distance from the new mean is squared; one of the two factors is the distance from the old mean",
                squares + after * after,
            ),
            (
                "raw-squares",
                "x itself is squared; it is distances from the mean that are summed",
                squares + x * x,
            ),
            (
                "variance-stored",
                "this is the variance; squares is the sum, not yet divided by the count",
                right.squares / right.count,
            ),
        ],
    }
}

/// What may have gone wrong in joining `a` and `b`.
fn wrong_in_merge(a: Seen, b: Seen, right: Seen) -> impl Fn(&str) -> Vec<Known> {
    let delta = b.mean - a.mean;
    let sum = a.squares + b.squares;
    move |field| match field {
        "count" => vec![("count-of-one", "it is that of one list alone", a.count)],
        "mean" => vec![
            (
                "means-averaged",
                "the two means are averaged; the longer list must weigh more",
                (a.mean + b.mean) / 2.0,
            ),
            (
                "weights-swapped",
                "each mean has the weight of the other list",
                (b.count * a.mean + a.count * b.mean) / right.count,
            ),
            ("mean-of-one", "it is that of one list alone", a.mean),
        ],
        _ => vec![
            (
                "between-missing",
                "the two sums are added, and the distance between the means is left out",
                sum,
            ),
            (
                "between-unweighted",
                "the squared distance of the means needs the weight a.count * b.count / count",
                sum + delta * delta,
            ),
            (
                "between-not-divided",
                "the weight of the squared distance is a.count * b.count / count; the division is missing",
                sum + delta * delta * a.count * b.count,
            ),
            (
                "between-divided-twice",
                "the weight of the squared distance is a.count * b.count / count, with count once",
                sum + delta * delta * a.count * b.count / right.count.powi(2),
            ),
            (
                "delta-not-squared",
                "the distance of the means must be squared",
                sum + delta * a.count * b.count / right.count,
            ),
            (
                "between-sign",
                "what the distance of the means adds has the wrong sign",
                sum - delta * delta * a.count * b.count / right.count,
            ),
        ],
    }
}

const FIRST: (&str, &str) = ("first-value", "on the very first value, …");
const EMPTY: (&str, &str) = ("empty-list", "joined with an empty list, …");
const EMPTIES: (&str, &str) = ("empty-lists", "of two empty lists joined, …");
const LOST: (&str, &str) = (
    "cancellation",
    "…: with a mean of … deviations the squares are lost. Somewhere the difference of two large sums is taken; use distances from the mean",
);
const SECTION: &str = "sec:one-reading";
const LOST_SECTION: &str = "sec:two-pass";

fn headline(function: &str, what: &str) -> String {
    format!("{function}: {what}")
}

/// The mistakes that this checker knows.
fn known() -> Vec<Listed> {
    let any = Seen::default();
    let (in_add, in_merge) = (wrong_in_add(any, 0.0, any), wrong_in_merge(any, any, any));
    let listed =
        |function: &str, id, what: &str| Listed::new(NAME, id, headline(function, what), SECTION);
    let mut known = Vec::new();
    for field in ["count", "mean", "squares"] {
        let mistakes = in_add(field).into_iter();
        known.extend(mistakes.map(|(id, what, _)| listed("add", id, &format!("{field}: {what}"))));
    }
    known.push(listed("add", FIRST.0, FIRST.1));
    for field in ["count", "mean", "squares"] {
        let mistakes = in_merge(field).into_iter();
        known
            .extend(mistakes.map(|(id, what, _)| listed("merge", id, &format!("{field}: {what}"))));
    }
    known.push(listed("merge", EMPTY.0, EMPTY.1));
    known.push(listed("merge", EMPTIES.0, EMPTIES.1));
    known.push(Listed::new(NAME, LOST.0, LOST.1, LOST_SECTION));
    known
}

fn rejected(
    function: &str,
    (_, id, what): (&str, String, String),
    lines: Vec<Line>,
    section: &str,
) -> Report {
    let mut report = wrong_at(NAME, &id, headline(function, &what), section);
    report.lines = lines;
    report.lines.push(Line {
        name: function.to_owned(),
        right: false,
        detail: "wrong".to_owned(),
    });
    report
}

fn right(name: &str, detail: String) -> Line {
    Line {
        name: name.to_owned(),
        right: true,
        detail,
    }
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Listed(known())
}

/// The report on both functions, on random lists of this seed.
#[must_use]
pub fn report(add: Add<'_>, merge: Merge<'_>, seed: u64) -> Report {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut lines = Vec::new();
    // Each step from a right beginning: one mistake does not grow into the next.
    for count in [7, 12, 5] {
        let x = values(&mut rng, count);
        // The first values last: several mistakes look alike on them.
        for k in (3..count).chain([2, 1, 0]) {
            let (before, expected) = (truth(&x[..k]), truth(&x[..=k]));
            let mut found = before;
            add(&mut found, x[k]);
            let known = wrong_in_add(before, x[k], expected);
            if let Some(mut wrong) = first_wrong(expected, found, known) {
                if k == 0 {
                    wrong.1 = FIRST.0.to_owned();
                    wrong.2 = fill(FIRST.1, &[&wrong.2]);
                }
                return rejected("add", wrong, lines, SECTION);
            }
        }
    }
    lines.push(right("add", "right, value by value".to_owned()));

    let spread: Vec<f64> = values(&mut rng, 400);
    let far: Vec<f64> = spread.iter().map(|x| x + OFFSET).collect();
    let expected = truth(&far);
    let of = |x: &[f64]| {
        let mut seen = Seen::default();
        x.iter().for_each(|x| add(&mut seen, *x));
        seen
    };
    if let Some(report) = lost("add", of(&far), expected, &mut lines) {
        return report;
    }

    for (m, n) in [(5, 3), (4, 9), (6, 6), (1, 7)] {
        let (x, y) = (values(&mut rng, m), values(&mut rng, n));
        let (a, b) = (truth(&x), truth(&y));
        let joined = match attempt(|| merge(&a, &b)) {
            Ok(joined) => joined,
            Err(thrown) => {
                let mut report = thrown.report(NAME);
                report.headline = format!("add is right; merge: {}", report.headline);
                report.lines = lines;
                return report;
            }
        };
        let expected = truth(&[x, y].concat());
        if let Some(wrong) = first_wrong(expected, joined, wrong_in_merge(a, b, expected)) {
            return rejected("merge", wrong, lines, SECTION);
        }
        let empty = Seen::default();
        for (left, other, expected, (id, what)) in [
            (a, empty, a, EMPTY),
            (empty, a, a, EMPTY),
            (empty, empty, empty, EMPTIES),
        ] {
            let known = |_: &str| Vec::new();
            if let Some((field, _, found)) = first_wrong(expected, merge(&left, &other), known) {
                let wrong = (field, id.to_owned(), fill(what, &[&found]));
                return rejected("merge", wrong, lines, SECTION);
            }
        }
    }
    lines.push(right("merge", "right, with empty lists too".to_owned()));
    let (first, second) = far.split_at(150);
    let joined = merge(&truth(first), &truth(second));
    if let Some(report) = lost("merge", joined, expected, &mut lines) {
        return report;
    }
    let mut report = Report::new(NAME, Outcome::Passed, "both functions are right");
    report.lines = lines;
    report
}

/// The report on values far from zero, when their digits are lost.
fn lost(function: &str, found: Seen, right: Seen, lines: &mut Vec<Line>) -> Option<Report> {
    let off = (found.squares / right.squares - 1.0).abs();
    let fine = off <= FAR;
    lines.push(Line {
        name: format!("{function}, far from zero"),
        right: fine,
        detail: if off.is_finite() {
            format!("squares off by {off:.0e}")
        } else {
            "not finite".to_owned()
        },
    });
    if fine {
        return None;
    }
    let headline = fill(LOST.1, &[&function, &format!("{OFFSET:.0e}")]);
    let mut report = wrong_at(NAME, LOST.0, headline, LOST_SECTION);
    report.lines.clone_from(lines);
    Some(report)
}

#[cfg(test)]
mod tests;
