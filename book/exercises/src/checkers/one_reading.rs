//! Checks the exercise `one_reading`.

use crate::Report;
use crate::compare::ROUNDING;
use crate::engine::{Case, Checker, Order, Part, conclude, field};
use crate::harness;
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

/// A mean this many deviations away from zero.
const OFFSET: f64 = 1e7;
/// What `squares` may be off by there, as a share.
const FAR: f64 = 1e-6;

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

impl Seen {
    /// What is rounding in `squares`, in units of what is rounding elsewhere.
    fn near(&self, far: bool) -> f64 {
        if far {
            FAR / ROUNDING * self.squares
        } else {
            self.squares + self.mean * self.mean * self.count
        }
    }
}

fn values(rng: &mut StdRng, count: usize) -> Vec<f64> {
    let mean = rng.random_range(1.5..3.0);
    (0..count)
        .map(|_| mean + rng.random_range(-2.0..2.0))
        .collect()
}

fn far_values(rng: &mut StdRng) -> Vec<f64> {
    values(rng, 400).iter().map(|x| x + OFFSET).collect()
}

/// What is said of values far from zero.
fn away(far: bool) -> &'static str {
    if far {
        ", ten million deviations from zero"
    } else {
        ""
    }
}

/// A value that comes after others. What is known of these is right: one mistake does not grow
/// into the next.
struct Step {
    before: Seen,
    x: f64,
    after: Seen,
    far: bool,
}

impl Case for Step {
    fn title(&self) -> String {
        let (x, count) = (self.x, self.before.count);
        let away = away(self.far);
        if self.first() {
            format!("x = {x:.4}, the very first value")
        } else {
            let values = if count == 1.0 { "value" } else { "values" };
            format!("x = {x:.4} after {count} {values}{away}")
        }
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        vec![("count", self.after.count as usize)]
    }
}

impl Step {
    fn first(&self) -> bool {
        self.before.count == 0.0
    }

    /// The distance of x from the mean before it.
    fn off(&self) -> f64 {
        self.x - self.before.mean
    }
}

fn steps(seed: u64) -> Vec<Step> {
    let rng = &mut StdRng::seed_from_u64(seed);
    let step = |values: &[f64], k: usize, far| Step {
        before: truth(&values[..k]),
        x: values[k],
        after: truth(&values[..=k]),
        far,
    };
    let lists = [7, 12, 5].map(|count| values(rng, count));
    let far = far_values(rng);
    let later = |list: &Vec<f64>| (1..list.len()).map(|k| step(list, k, false)).collect();
    let mut steps: Vec<Step> = lists.iter().flat_map::<Vec<Step>, _>(later).collect();
    steps.extend(lists.iter().map(|list| step(list, 0, false)));
    steps.extend([30, 60, 120, 399].map(|k| step(&far, k, true)));
    steps
}

/// Two lists, and what is known of all their values.
struct Join {
    a: Seen,
    b: Seen,
    whole: Seen,
    far: bool,
}

impl Case for Join {
    fn title(&self) -> String {
        let (a, b) = (self.a.count, self.b.count);
        let away = away(self.far);
        match (a == 0.0, b == 0.0) {
            (true, true) => "two empty lists".to_owned(),
            (true, false) => format!("an empty list and one of {b}"),
            (false, true) => format!("a list of {a} and an empty one"),
            (false, false) => format!("lists of {a} and {b}{away}"),
        }
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        vec![("count", self.whole.count as usize)]
    }
}

impl Join {
    fn delta(&self) -> f64 {
        self.b.mean - self.a.mean
    }

    /// `squares`, where what lies between the two lists is this.
    fn with_between(&self, between: f64) -> f64 {
        self.a.squares + self.b.squares + between
    }

    /// How much the square of [`delta`](Self::delta) weighs.
    fn weight(&self) -> f64 {
        self.a.count * self.b.count / self.whole.count.max(1.0)
    }
}

fn joins(seed: u64) -> Vec<Join> {
    let rng = &mut StdRng::seed_from_u64(seed + 100);
    let join = |x: &[f64], y: &[f64], far| Join {
        a: truth(x),
        b: truth(y),
        whole: truth(&[x, y].concat()),
        far,
    };
    let lengths = [(5, 3), (4, 9), (6, 6), (1, 7)];
    let lists = lengths.map(|(m, n)| (values(rng, m), values(rng, n)));
    let mut joins: Vec<Join> = lists.iter().map(|(x, y)| join(x, y, false)).collect();
    let (x, y) = &lists[0];
    joins.extend([join(x, &[], false), join(&[], y, false)]);
    joins.push(join(&[], &[], false));
    let far = far_values(rng);
    let halves = [30, 150, 210].map(|at| far.split_at(at));
    joins.extend(halves.map(|(x, y)| join(x, y, true)));
    joins
}

const COUNT: &str = "count";
const MEAN: &str = "mean";
const SQUARES: &str = "squares";
const FIELDS: &[&str] = &[COUNT, MEAN, SQUARES];
const SECTION: &str = "sec:one-reading";
const LOST_SECTION: &str = "sec:two-pass";

/// A mistake in one field: its name, what to say, and the value it leads to.
type Mistake<C> = (&'static str, &'static str, fn(&C) -> f64);

const OF_ONE: &str = "it is that of one list alone";
const LOST: (&str, &str) = (
    "cancellation",
    "with a mean of ten million deviations they are lost. Somewhere the difference of two large sums is taken; use distances from the mean",
);

const COUNTS_ADDED: &[Mistake<Step>] =
    &[("count-unchanged", "it must rise by one", |s| s.before.count)];

const MEANS_ADDED: &[Mistake<Step>] = &[
    ("mean-unchanged", "it does not move", |s| s.before.mean),
    (
        "mean-not-divided",
        "it moves by the whole of x - mean; it must move by the share 1/count of that",
        |s| s.x,
    ),
    (
        "old-count",
        "x - mean is divided by the count before x came; x counts too",
        |s| s.before.mean + s.off() / s.before.count,
    ),
    (
        "mean-of-two",
        "it is the average of the old mean and x: as if x weighed as much as all values before",
        |s| f64::midpoint(s.before.mean, s.x),
    ),
    ("sign", "it moves away from x: the sign is wrong", |s| {
        s.before.mean - s.off() / s.after.count
    }),
];

const SQUARES_ADDED: &[Mistake<Step>] = &[
    ("squares-unchanged", "they do not grow", |s| {
        s.before.squares
    }),
    (
        "old-deviation-squared",
        "the distance from the old mean is squared; one of the two factors is the distance from the new mean",
        |s| s.before.squares + s.off().powi(2),
    ),
    (
        "new-deviation-squared",
        "the distance from the new mean is squared; one of the two factors is the distance from the old mean",
        |s| s.before.squares + (s.x - s.after.mean).powi(2),
    ),
    (
        "raw-squares",
        "x itself is squared; it is distances from the mean that are summed",
        |s| s.before.squares + s.x * s.x,
    ),
    (
        "variance-stored",
        "this is the variance; squares is the sum, not yet divided by the count",
        |s| s.after.squares / s.after.count,
    ),
];

const COUNTS_MERGED: &[Mistake<Join>] = &[
    ("count-of-one", OF_ONE, |j| j.a.count),
    ("count-of-one", OF_ONE, |j| j.b.count),
];

const MEANS_MERGED: &[Mistake<Join>] = &[
    (
        "means-averaged",
        "the two means are averaged; the longer list must weigh more",
        |j| f64::midpoint(j.a.mean, j.b.mean),
    ),
    (
        "weights-swapped",
        "each mean has the weight of the other list",
        |j| (j.b.count * j.a.mean + j.a.count * j.b.mean) / j.whole.count,
    ),
    (
        "sign",
        "it moves away from the mean of b: the sign is wrong",
        |j| j.a.mean - j.delta() * j.b.count / j.whole.count,
    ),
    ("mean-of-one", OF_ONE, |j| j.a.mean),
    ("mean-of-one", OF_ONE, |j| j.b.mean),
];

const SQUARES_MERGED: &[Mistake<Join>] = &[
    (
        "between-missing",
        "the two sums are added, and the distance between the means is left out",
        |j| j.with_between(0.0),
    ),
    (
        "between-unweighted",
        "the squared distance of the means needs the weight a.count * b.count / count",
        |j| j.with_between(j.delta().powi(2)),
    ),
    (
        "between-not-divided",
        "the weight of the squared distance is a.count * b.count / count; the division is missing",
        |j| j.with_between(j.delta().powi(2) * j.a.count * j.b.count),
    ),
    (
        "between-divided-twice",
        "the weight of the squared distance is a.count * b.count / count, with count once",
        |j| j.with_between(j.delta().powi(2) * j.weight() / j.whole.count),
    ),
    (
        "delta-not-squared",
        "the distance of the means must be squared",
        |j| j.with_between(j.delta() * j.weight()),
    ),
    (
        "between-sign",
        "what the distance of the means adds has the wrong sign",
        |j| j.with_between(-j.delta().powi(2) * j.weight()),
    ),
];

/// What either function is tried on.
trait Tried: Case {
    fn right(&self) -> Seen;
    fn far(&self) -> bool;
}

impl Tried for Step {
    fn right(&self) -> Seen {
        self.after
    }

    fn far(&self) -> bool {
        self.far
    }
}

impl Tried for Join {
    fn right(&self) -> Seen {
        self.whole
    }

    fn far(&self) -> bool {
        self.far
    }
}

/// The three fields, each with its mistakes; those of far lists come last.
fn fields<C: Tried>(
    part: Part<C, Seen>,
    mistakes: [&'static [Mistake<C>]; 3],
    edges: fn(Part<C, Seen>) -> Part<C, Seen>,
) -> Part<C, Seen> {
    let part = part
        .target(
            COUNT,
            SECTION,
            &[],
            |c| vec![c.right().count],
            field!(number count),
        )
        .target(
            MEAN,
            SECTION,
            &[],
            |c| vec![c.right().mean],
            field!(number mean),
        )
        .target(
            SQUARES,
            SECTION,
            &[],
            |c| vec![c.right().squares],
            field!(number squares),
        )
        .cancels(|c| c.right().near(c.far()));
    let part = edges(part).edge(C::far, &[SQUARES], LOST.0, LOST.1, LOST_SECTION);
    let of_fields = FIELDS.iter().zip(mistakes);
    let each = of_fields.flat_map(|(field, of_field)| of_field.iter().map(move |m| (*field, m)));
    each.fold(part, |part, (field, (id, what, wrong))| {
        part.knows(field, id, what, SECTION, |case| vec![wrong(case)])
    })
}

fn add_part() -> Part<Step, Seen> {
    let part = Part::new("add", Order::FirstWrong, steps, |s: &Step| s.before);
    fields(part, [COUNTS_ADDED, MEANS_ADDED, SQUARES_ADDED], |part| {
        part.edge(
            Step::first,
            FIELDS,
            "first-value",
            "it is wrong for the very first value alone: before it all three are 0, and the same lines hold",
            SECTION,
        )
    })
}

fn merge_part() -> Part<Join, Seen> {
    let part = Part::new("merge", Order::FirstWrong, joins, |_| Seen::default());
    fields(
        part,
        [COUNTS_MERGED, MEANS_MERGED, SQUARES_MERGED],
        |part| {
            part.edge(
            |j| j.whole.count == 0.0,
            FIELDS,
            "empty-lists",
            "it is wrong for two empty lists alone: nothing may be divided by their count, and the mean of no values is 0 here",
            SECTION,
        )
        .edge(
            |j| j.a.count * j.b.count == 0.0,
            FIELDS,
            "empty-list",
            "it is wrong where one of the lists is empty: what is known of the other is the result",
            SECTION,
        )
        },
    )
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Parts(vec![Box::new(add_part()), Box::new(merge_part())])
}

/// The report on both functions, on random lists of this seed.
#[must_use]
pub fn report(add: Add<'_>, merge: Merge<'_>, seed: u64) -> Report {
    let added = add_part().judge(&|s: &Step, seen: &mut Seen| add(seen, s.x), seed);
    let merged = merge_part().judge(&|j: &Join, seen: &mut Seen| *seen = merge(&j.a, &j.b), seed);
    conclude(NAME, "both functions are right", vec![added, merged])
}

#[cfg(test)]
mod tests;
