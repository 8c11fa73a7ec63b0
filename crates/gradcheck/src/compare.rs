//! Many intermediates compared at once, and the first wrong line named.
//!
//! A backward pass written line by line has one gradient for each line of the forward.
//! When the last one is wrong, the first wrong one is where to look (the exercise is
//! Karpathy's, "makemore, part 4"). Shapes are compared first and never broadcast: a
//! `[1, C]` where a `[N, C]` belongs is wrong, whatever its values.

use crate::attribution::F64_PRECISION;
use crate::input::index_of;
use serde::Serialize;
use std::fmt;

/// A table of named arrays, expected and found.
///
/// ```
/// use gradcheck::Comparison;
/// let table = Comparison::new("Batch Norm, backward")
///     .line("dx_hat", (&[2], &[1.0, 2.0]), (&[2], &[1.0, 2.0]))
///     .line("dvar", (&[1], &[0.5]), (&[1], &[-0.5]))
///     .finish();
/// assert_eq!(table.first_wrong().unwrap().name, "dvar");
/// ```
// ANCHOR: types
#[derive(Clone, Debug)]
pub struct Comparison {
    name: String,
    precision: f64,
    lines: Vec<Line>,
}

#[derive(Clone, Debug)]
struct Line {
    name: String,
    expected: (Vec<usize>, Vec<f64>),
    got: Option<(Vec<usize>, Vec<f64>)>,
    /// How large what cancels in it is.
    cancels: f64,
}

/// A finished comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// What is compared.
    pub name: String,
    /// One row for each line, in the order they were added.
    pub rows: Vec<Row>,
}

/// One line of a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The name of the array.
    pub name: String,
    /// The shape it must have.
    pub expected_shape: Vec<usize>,
    /// The shape it has; empty also when it is missing.
    pub shape: Vec<usize>,
    /// The conclusion.
    pub status: Status,
    /// The largest absolute difference; NaN when the shapes differ.
    pub max_difference: f64,
    /// The largest absolute difference that counts as rounding.
    pub bound: f64,
    /// Where the difference is largest, or the first value that is not finite.
    pub at: Vec<usize>,
    /// Absolute differences, element by element; empty when the shapes differ.
    pub differences: Vec<f64>,
}

/// What a comparison of one line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Equal to the last bit.
    Exact,
    /// Equal but for rounding.
    Approximate,
    /// Different.
    Wrong,
    /// Of another shape.
    Shape,
    /// NaN or infinite somewhere, in what is expected or in what was found.
    NotFinite,
    /// Not computed.
    Missing,
}

impl Status {
    /// Exact or approximate.
    pub fn is_right(self) -> bool {
        matches!(self, Self::Exact | Self::Approximate)
    }
}
// ANCHOR_END: types

impl Comparison {
    /// An empty table, for values computed in `f64`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            precision: F64_PRECISION,
            lines: Vec::new(),
        }
    }

    /// The difference that counts as rounding, as a share of the largest value of a line, or of
    /// what cancels in it.
    pub fn precision(mut self, precision: f64) -> Self {
        self.precision = precision;
        self
    }

    /// Adds a line: shape and elements expected, shape and elements found.
    ///
    /// # Panics
    /// When an array does not have as many elements as its shape says.
    #[track_caller]
    pub fn line(
        self,
        name: impl Into<String>,
        expected: (&[usize], &[f64]),
        got: (&[usize], &[f64]),
    ) -> Self {
        self.add(name.into(), expected, Some(got))
    }

    /// Adds a line that was not computed.
    ///
    /// # Panics
    /// When `expected` does not have as many elements as its shape says.
    #[track_caller]
    pub fn missing(self, name: impl Into<String>, expected: (&[usize], &[f64])) -> Self {
        self.add(name.into(), expected, None)
    }

    /// The last line may be zero but for rounding, because terms of this size cancel in it.
    ///
    /// # Panics
    /// When there is no line yet.
    #[track_caller]
    pub fn cancels(mut self, size: f64) -> Self {
        let Some(last) = self.lines.last_mut() else {
            panic!("gradcheck: nothing cancels in a table without lines; add one first")
        };
        last.cancels = size;
        self
    }

    #[track_caller]
    fn add(
        mut self,
        name: String,
        expected: (&[usize], &[f64]),
        got: Option<(&[usize], &[f64])>,
    ) -> Self {
        for (shape, data) in [Some(expected), got].into_iter().flatten() {
            let len = tape::elements(shape);
            assert!(
                len == data.len(),
                "gradcheck: line `{name}` of shape {shape:?} needs {len} elements, got {}; \
                 pass the shape the data has",
                data.len()
            );
        }
        let own = |(shape, data): (&[usize], &[f64])| (shape.to_vec(), data.to_vec());
        self.lines.push(Line {
            name,
            expected: own(expected),
            got: got.map(own),
            cancels: 0.0,
        });
        self
    }

    /// Compares.
    pub fn finish(self) -> Table {
        // An expected value that is not finite says nothing of how large the others are.
        let largest = |v: &[f64]| {
            let finite = v.iter().filter(|v| v.is_finite());
            finite.fold(0.0_f64, |m, v| m.max(v.abs()))
        };
        let row = |line: &Line| {
            let bound = self.precision * largest(&line.expected.1).max(line.cancels);
            line.compare(bound)
        };
        Table {
            name: self.name,
            rows: self.lines.iter().map(row).collect(),
        }
    }
}

impl Line {
    fn compare(&self, bound: f64) -> Row {
        let (expected_shape, expected) = &self.expected;
        let mut row = Row {
            name: self.name.clone(),
            expected_shape: expected_shape.clone(),
            shape: Vec::new(),
            status: Status::Missing,
            max_difference: f64::NAN,
            bound,
            at: Vec::new(),
            differences: Vec::new(),
        };
        let Some((shape, got)) = &self.got else {
            return row;
        };
        row.shape.clone_from(shape);
        if shape != expected_shape {
            row.status = Status::Shape;
            return row;
        }
        row.differences = expected
            .iter()
            .zip(got)
            .map(|(e, g)| (e - g).abs())
            .collect();
        let mut both = expected.iter().zip(got);
        let not_finite = both.position(|(e, g)| !(e.is_finite() && g.is_finite()));
        let by_size = |&a: &usize, &b: &usize| row.differences[a].total_cmp(&row.differences[b]);
        let worst = not_finite.or((0..got.len()).max_by(by_size));
        row.max_difference = worst.map_or(0.0, |k| row.differences[k]);
        row.at = worst.map_or(Vec::new(), |k| index_of(k, shape));
        row.status = if not_finite.is_some() {
            Status::NotFinite
        } else if row.max_difference == 0.0 {
            Status::Exact
        } else if row.max_difference <= bound {
            Status::Approximate
        } else {
            Status::Wrong
        };
        row
    }
}

impl Table {
    /// True when every line is right.
    pub fn passed(&self) -> bool {
        self.first_wrong().is_none()
    }

    /// The first line that is not right: what follows from it may be wrong because of it.
    pub fn first_wrong(&self) -> Option<&Row> {
        self.rows.iter().find(|row| !row.status.is_right())
    }

    /// Panics with the whole table unless every line is right.
    ///
    /// # Panics
    /// When a line is wrong.
    #[track_caller]
    pub fn assert_passes(&self) {
        assert!(self.passed(), "{self}");
    }
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.name)?;
        let width = self
            .rows
            .iter()
            .map(|r| r.name.chars().count())
            .max()
            .unwrap_or(0);
        for row in &self.rows {
            writeln!(out, "  {:width$}  {row}", row.name)?;
        }
        match self.first_wrong() {
            None => writeln!(out, "every line is right"),
            Some(row) => writeln!(out, "the first wrong line is `{}`", row.name),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shape, expected) = (&self.shape, &self.expected_shape);
        match self.status {
            Status::Exact => write!(out, "{shape:?} exact"),
            Status::Approximate => write!(out, "{shape:?} right to {:.0e}", self.max_difference),
            Status::Wrong => write!(
                out,
                "{shape:?} WRONG by {:.3e} at {:?} (rounding explains {:.0e})",
                self.max_difference, self.at, self.bound
            ),
            Status::Shape => {
                write!(
                    out,
                    "{shape:?} WRONG SHAPE, must be {expected:?}; nothing is broadcast"
                )
            }
            Status::NotFinite => write!(out, "{shape:?} NOT FINITE at {:?}", self.at),
            Status::Missing => write!(out, "{expected:?} missing"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(got: &[f64]) -> Table {
        Comparison::new("table")
            .line("a", (&[2, 2], &[1.0, -2.0, 3.0, 4.0]), (&[2, 2], got))
            .finish()
    }

    #[test]
    fn exact_approximate_and_wrong() {
        let exact = table(&[1.0, -2.0, 3.0, 4.0]);
        assert_eq!(exact.rows[0].status, Status::Exact);
        exact.assert_passes();
        let near = table(&[1.0, -2.0 - 1e-11, 3.0, 4.0]);
        assert_eq!(near.rows[0].status, Status::Approximate);
        assert!(near.passed());
        // 1e-10 of the largest value, 4, is the limit.
        assert!(table(&[1.0, -2.0, 3.0 + 3e-10, 4.0]).passed());
        let wrong = table(&[1.0, -2.0, 3.0 + 5e-10, 4.0]);
        assert_eq!(wrong.rows[0].status, Status::Wrong);
        assert_eq!(wrong.rows[0].at, [1, 0]);
        assert!((wrong.rows[0].max_difference - 5e-10).abs() < 1e-15);
        assert_eq!(wrong.rows[0].differences.len(), 4);
        assert!(!wrong.passed());
    }

    #[test]
    #[should_panic(expected = "the first wrong line is `a`")]
    fn a_wrong_table_does_not_pass() {
        table(&[1.0, -2.0, 3.5, 4.0]).assert_passes();
    }

    #[test]
    fn nothing_is_broadcast() {
        let table = Comparison::new("shapes")
            .line("dmean", (&[2, 2], &[1.0; 4]), (&[1, 2], &[1.0; 2]))
            .line("dvar", (&[2, 2], &[1.0; 4]), (&[4], &[1.0; 4]))
            .missing("dx", (&[1], &[0.0]))
            .finish();
        let status: Vec<Status> = table.rows.iter().map(|r| r.status).collect();
        assert_eq!(status, [Status::Shape, Status::Shape, Status::Missing]);
        assert_eq!(table.first_wrong().unwrap().name, "dmean");
        let text = table.to_string();
        assert!(
            text.contains("[1, 2] WRONG SHAPE, must be [2, 2]"),
            "{text}"
        );
        assert!(text.contains("the first wrong line is `dmean`"), "{text}");
    }

    #[test]
    fn what_is_not_finite_is_wrong_wherever_it_is() {
        let table = table(&[1.0, -2.0, f64::NAN, 40.0]);
        assert_eq!(table.rows[0].status, Status::NotFinite);
        assert_eq!(table.rows[0].at, [1, 0]);
    }

    #[test]
    fn an_expected_value_that_is_not_finite_makes_nothing_right() {
        for strange in [f64::INFINITY, f64::NAN] {
            let table = Comparison::new("strange")
                .line("a", (&[1], &[strange]), (&[1], &[1.0]))
                .line("b", (&[1], &[2.0]), (&[1], &[3.0]))
                .line("c", (&[2], &[1.0, 2.0]), (&[2], &[1.0, 2.0]))
                .finish();
            let status: Vec<Status> = table.rows.iter().map(|r| r.status).collect();
            assert_eq!(status, [Status::NotFinite, Status::Wrong, Status::Exact]);
        }
    }

    #[test]
    fn rounding_where_everything_cancelled_is_not_a_mistake() {
        let compare = |got: f64, cancels: f64| {
            Comparison::new("cancelled")
                .line("large", (&[1], &[1e10]), (&[1], &[1e10]))
                .line(
                    "dmean through the variance",
                    (&[1], &[1e-17]),
                    (&[1], &[got]),
                )
                .cancels(cancels)
                .finish()
        };
        for got in [-4e-15, 1e-11, 0.0] {
            assert!(compare(got, 100.0).passed(), "{got}");
        }
        assert!(!compare(1e-7, 100.0).passed());
        // It has to be said: what another line holds has no part in it.
        assert!(!compare(-4e-15, 0.0).passed());
        let small = Comparison::new("small")
            .line("large", (&[1], &[1e10]), (&[1], &[1e10]))
            .line("small", (&[1], &[1e-3]), (&[1], &[2e-3]))
            .finish();
        assert_eq!(small.first_wrong().expect("a mistake").name, "small");
    }

    #[test]
    #[should_panic(expected = "nothing cancels in a table without lines")]
    fn nothing_cancels_without_a_line() {
        let _ = Comparison::new("empty").cancels(1.0);
    }

    #[test]
    fn the_precision_can_be_that_of_f32() {
        let compare = |precision: f64| {
            Comparison::new("f32")
                .precision(precision)
                .line("x", (&[1], &[1.0]), (&[1], &[1.0 + 1e-6]))
                .finish()
                .passed()
        };
        assert!(compare(1e-5) && !compare(F64_PRECISION));
    }

    #[test]
    #[should_panic(expected = "line `x` of shape [3] needs 3 elements, got 2")]
    fn a_line_of_the_wrong_length_is_refused() {
        let _ = Comparison::new("bad").line("x", (&[2], &[1.0; 2]), (&[3], &[1.0; 2]));
    }
}
