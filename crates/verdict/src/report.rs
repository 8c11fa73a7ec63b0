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
    /// The right values, row-major.
    pub expected: Vec<f64>,
    /// The reader's values, row-major; `None` stands for NaN or infinity.
    pub found: Vec<Option<f64>>,
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
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        Ok(())
    }
}
