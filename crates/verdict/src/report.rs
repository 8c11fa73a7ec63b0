//! What the checker says of an exercise.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How a check ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Everything is right.
    Passed,
    /// A body is still `todo!()`.
    Unwritten,
    /// It ran, and the result is wrong.
    Wrong,
    /// It panicked.
    Panicked,
}

/// One thing that was checked.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Line {
    /// What was checked, such as `dx` or `running_var`.
    pub name: String,
    /// Whether it is right.
    pub right: bool,
    /// The numbers, in words.
    pub detail: String,
}

/// A wrong array beside the right one, to be drawn as a map of the error.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Heatmap {
    /// The array's name, such as `dx`.
    pub name: String,
    /// How many rows; row `n` is one example.
    pub rows: usize,
    /// How many columns; column `c` is one channel.
    pub columns: usize,
    /// What each of as many equal blocks of rows is, where the array has more than two axes,
    /// such as `image 0, channel 1`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<String>,
    /// The right values, row-major.
    #[serde(with = "numbers")]
    pub expected: Vec<f64>,
    /// The reader's values, row-major.
    #[serde(with = "numbers")]
    pub found: Vec<f64>,
}

/// One route of a gradient, and how much of it is in the reader's.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Weight {
    /// Its name, such as "the path x -> mu -> `x_hat`".
    pub path: String,
    /// Its weight by least squares: 1 when it is as it must be, 0 when it is missing.
    pub weight: f64,
}

/// JSON has no numbers for what is not finite, and a reader is told which of them it was.
mod numbers {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    #[derive(Deserialize, Serialize)]
    #[serde(untagged)]
    enum Number {
        Finite(f64),
        // Spelled as JavaScript has them, for the page; Rust reads them too.
        Other(String),
    }

    pub fn serialize<S: Serializer>(values: &[f64], to: S) -> Result<S::Ok, S::Error> {
        let number = |value: &f64| {
            if value.is_finite() {
                return Number::Finite(*value);
            }
            let sign = if *value == f64::NEG_INFINITY { "-" } else { "" };
            let name = if value.is_nan() { "NaN" } else { "Infinity" };
            Number::Other(format!("{sign}{name}"))
        };
        to.collect_seq(values.iter().map(number))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
        let value = |number| match number {
            Number::Finite(value) => Ok(value),
            Number::Other(text) => text.parse().map_err(de::Error::custom),
        };
        let numbers = Vec::<Number>::deserialize(from)?;
        numbers.into_iter().map(value).collect()
    }
}

/// The verdict on an exercise.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Report {
    /// The exercise's name.
    pub exercise: String,
    /// How it ended.
    pub outcome: Outcome,
    /// One sentence that names the mistake, or says that all is right.
    pub headline: String,
    /// The catalogued mistake, when the verdict recognized one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mistake: Option<String>,
    /// The label of the book's section on it, such as `sec:three-terms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// More sentences: where to look, what the evidence is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What was checked, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Line>,
    /// How much of each path is in a wrong gradient that can be taken apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<Weight>,
    /// The first wrong array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heatmap: Option<Heatmap>,
}

impl Report {
    /// A report with a headline and nothing else.
    #[must_use]
    pub fn new(exercise: &str, outcome: Outcome, headline: impl Into<String>) -> Self {
        Self {
            exercise: exercise.to_owned(),
            outcome,
            headline: headline.into(),
            mistake: None,
            section: None,
            notes: Vec::new(),
            lines: Vec::new(),
            weights: Vec::new(),
            heatmap: None,
        }
    }

    /// Whether everything is right.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.outcome == Outcome::Passed
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.exercise, self.headline)?;
        for line in &self.lines {
            let mark = if line.right { "ok   " } else { "WRONG" };
            writeln!(f, "  {mark} {}  {}", line.name, line.detail)?;
        }
        for weight in &self.weights {
            writeln!(f, "  {:6.3} of {}", weight.weight, weight.path)?;
        }
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        Ok(())
    }
}
