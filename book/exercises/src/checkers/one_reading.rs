//! Checks the exercise `one_reading`.

use crate::arrays::Draws;
use judge::compare::ROUNDING;
use judge::{Order, Part, Slip, case, exercise, field, slips};

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

exercise! {
    check(
        add: Fn(&mut Seen, f64),
        merge: Fn(&Seen, &Seen) -> Seen,
    ),
    right: "both functions are right",
    parts: [
        add_part() => |s, seen| add(seen, s.x),
        merge_part() => |j, seen| *seen = merge(&j.a, &j.b),
    ],
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

fn values(draws: &mut Draws, count: usize) -> Vec<f64> {
    let mean = draws.numbers(1, 1.5..3.0)[0];
    let off = draws.numbers(count, -2.0..2.0);
    off.iter().map(|off| mean + off).collect()
}

fn far_values(draws: &mut Draws) -> Vec<f64> {
    values(draws, 400).iter().map(|x| x + OFFSET).collect()
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

case!(
    Step,
    |s| match s.before.count {
        0.0 => format!("x = {:.4}, the very first value", s.x),
        count => {
            let values = if count == 1.0 { "value" } else { "values" };
            format!("x = {:.4} after {count} {values}{}", s.x, away(s.far))
        }
    },
    sizes: ["count": s.after.count as usize],
);

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
    let draws = &mut Draws::new(seed);
    let step = |values: &[f64], k: usize, far| Step {
        before: truth(&values[..k]),
        x: values[k],
        after: truth(&values[..=k]),
        far,
    };
    let lists = [7, 12, 5].map(|count| values(draws, count));
    let far = far_values(draws);
    let mut steps = Vec::new();
    for list in &lists {
        steps.extend((1..list.len()).map(|k| step(list, k, false)));
    }
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

case!(
    Join,
    |j| match (j.a.count, j.b.count) {
        (0.0, 0.0) => "two empty lists".to_owned(),
        (0.0, b) => format!("an empty list and one of {b}"),
        (a, 0.0) => format!("a list of {a} and an empty one"),
        (a, b) => format!("lists of {a} and {b}{}", away(j.far)),
    },
    sizes: ["count": j.whole.count as usize],
);

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
    let draws = &mut Draws::new(seed + 100);
    let join = |x: &[f64], y: &[f64], far| Join {
        a: truth(x),
        b: truth(y),
        whole: truth(&[x, y].concat()),
        far,
    };
    let lengths = [(5, 3), (4, 9), (6, 6), (1, 7)];
    let lists = lengths.map(|(m, n)| (values(draws, m), values(draws, n)));
    let mut joins: Vec<Join> = lists.iter().map(|(x, y)| join(x, y, false)).collect();
    let (x, y) = &lists[0];
    joins.extend([join(x, &[], false), join(&[], y, false)]);
    joins.push(join(&[], &[], false));
    let far = far_values(draws);
    let halves = [30, 150, 210].map(|at| far.split_at(at));
    joins.extend(halves.map(|(x, y)| join(x, y, true)));
    joins
}

const COUNT: &str = "count";
const MEAN: &str = "mean";
const SQUARES: &str = "squares";
const FIELDS: &[&str] = &[COUNT, MEAN, SQUARES];
const SECTION: &str = "sec:one-reading";

/// Mistakes in one field, and the value that each leads to.
type Table<C> = &'static [Slip<fn(&C) -> f64>];

const COUNTS_ADDED: Table<Step> = slips![
    "count-unchanged: it must rise by one" => |s| s.before.count,
];

const MEANS_ADDED: Table<Step> = slips![
    "mean-unchanged: it does not move" => |s| s.before.mean,
    "mean-not-divided: it moves by the whole of x - mean; it must move by the share 1/count of that" =>
        |s| s.x,
    "old-count: x - mean is divided by the count before x came; x counts too" =>
        |s| s.before.mean + s.off() / s.before.count,
    "mean-of-two: it is the average of the old mean and x: as if x weighed as much as all values before" =>
        |s| f64::midpoint(s.before.mean, s.x),
    "sign: it moves away from x: the sign is wrong" => |s| s.before.mean - s.off() / s.after.count,
];

const SQUARES_ADDED: Table<Step> = slips![
    "squares-unchanged: they do not grow" => |s| s.before.squares,
    "old-deviation-squared: the distance from the old mean is squared; one of the two factors is the distance from the new mean" =>
        |s| s.before.squares + s.off().powi(2),
    "new-deviation-squared: the distance from the new mean is squared; one of the two factors is the distance from the old mean" =>
        |s| s.before.squares + (s.x - s.after.mean).powi(2),
    "raw-squares: x itself is squared; it is distances from the mean that are summed" =>
        |s| s.before.squares + s.x * s.x,
    "variance-stored: this is the variance; squares is the sum, not yet divided by the count" =>
        |s| s.after.squares / s.after.count,
];

const COUNTS_MERGED: Table<Join> = slips![
    "count-of-one: it is that of one list alone" => |j| j.a.count,
    "count-of-one: it is that of one list alone" => |j| j.b.count,
];

const MEANS_MERGED: Table<Join> = slips![
    "means-averaged: the two means are averaged; the longer list must weigh more" =>
        |j| f64::midpoint(j.a.mean, j.b.mean),
    "weights-swapped: each mean has the weight of the other list" =>
        |j| (j.b.count * j.a.mean + j.a.count * j.b.mean) / j.whole.count,
    "sign: it moves away from the mean of b: the sign is wrong" =>
        |j| j.a.mean - j.delta() * j.b.count / j.whole.count,
    "mean-of-one: it is that of one list alone" => |j| j.a.mean,
    "mean-of-one: it is that of one list alone" => |j| j.b.mean,
];

const SQUARES_MERGED: Table<Join> = slips![
    "between-missing: the two sums are added, and the distance between the means is left out" =>
        |j| j.with_between(0.0),
    "between-unweighted: the squared distance of the means needs the weight a.count * b.count / count" =>
        |j| j.with_between(j.delta().powi(2)),
    "between-not-divided: the weight of the squared distance is a.count * b.count / count; the division is missing" =>
        |j| j.with_between(j.delta().powi(2) * j.a.count * j.b.count),
    "between-divided-twice: the weight of the squared distance is a.count * b.count / count, with count once" =>
        |j| j.with_between(j.delta().powi(2) * j.weight() / j.whole.count),
    "delta-not-squared: the distance of the means must be squared" =>
        |j| j.with_between(j.delta() * j.weight()),
    "between-sign: what the distance of the means adds has the wrong sign" =>
        |j| j.with_between(-j.delta().powi(2) * j.weight()),
];

/// The three fields of what is right in a case, each with its mistakes.
macro_rules! fields {
    ($part:expr, $right:ident, [$counts:expr, $means:expr, $squares:expr]) => {
        $part
            .target(COUNT, SECTION, &[], |c| vec![c.$right.count], field!(number count))
            .variants(&[COUNT], $counts, |c, _, wrong| vec![wrong(c)])
            .target(MEAN, SECTION, &[], |c| vec![c.$right.mean], field!(number mean))
            .variants(&[MEAN], $means, |c, _, wrong| vec![wrong(c)])
            .target(SQUARES, SECTION, &[], |c| vec![c.$right.squares], field!(number squares))
            .cancels(|c| c.$right.near(c.far))
            .variants(&[SQUARES], $squares, |c, _, wrong| vec![wrong(c)])
    };
}

const LOST: &str = "with a mean of ten million deviations they are lost. Somewhere the difference of two large sums is taken; use distances from the mean";
const FIRST: &str = "it is wrong for the very first value alone: before it all three are 0, and the same lines hold";
const TWO_EMPTY: &str = "it is wrong for two empty lists alone: nothing may be divided by their count, and the mean of no values is 0 here";
const ONE_EMPTY: &str =
    "it is wrong where one of the lists is empty: what is known of the other is the result";

fn add_part() -> Part<Step, Seen> {
    let part = Part::over("add", Order::FirstWrong, steps, |s: &Step| s.before);
    fields!(part, after, [COUNTS_ADDED, MEANS_ADDED, SQUARES_ADDED])
        .edge(Step::first, FIELDS, "first-value", FIRST, SECTION)
        .edge(|s| s.far, &[SQUARES], "cancellation", LOST, "sec:two-pass")
}

fn merge_part() -> Part<Join, Seen> {
    let part = Part::<_, Seen>::new("merge", Order::FirstWrong, joins);
    let two_empty = |j: &Join| j.whole.count == 0.0;
    let one_empty = |j: &Join| j.a.count * j.b.count == 0.0;
    fields!(part, whole, [COUNTS_MERGED, MEANS_MERGED, SQUARES_MERGED])
        .edge(two_empty, FIELDS, "empty-lists", TWO_EMPTY, SECTION)
        .edge(one_empty, FIELDS, "empty-list", ONE_EMPTY, SECTION)
        .edge(|j| j.far, &[SQUARES], "cancellation", LOST, "sec:two-pass")
}

#[cfg(test)]
mod tests;
