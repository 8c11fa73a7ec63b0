//! A mistake that is known by name, and sentences with blanks.

use std::fmt::Display;
use verdict::{Outcome, Report};

/// Stands in a sentence for what depends on the numbers.
pub const BLANK: &str = "…";

/// Stands in place of an exercise's name for all that are judged by the engine.
pub const ANY: &str = "any";

/// A mistake that a checker knows by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// The exercise.
    pub exercise: &'static str,
    /// The mistake's name, as in [`verdict::Report::mistake`].
    pub id: String,
    /// What the checker prints, with [`BLANK`] where numbers or names are filled in.
    pub sentence: String,
    /// The label of the book's section on it.
    pub section: &'static str,
}

impl Known {
    /// A mistake of this exercise, from `its-name: what is said`.
    ///
    /// # Panics
    /// If there is no name.
    #[must_use]
    #[track_caller]
    pub fn of(exercise: &'static str, text: &str, section: &'static str) -> Self {
        let (id, sentence) = named(text);
        Self::new(exercise, id, sentence, section)
    }

    /// The report that says that this mistake was made, with `values` in its blanks.
    #[must_use]
    pub fn report(&self, values: &[&dyn Display]) -> Report {
        let mut report = Report::new(self.exercise, Outcome::Wrong, fill(&self.sentence, values));
        report.mistake = Some(self.id.clone());
        report.section = Some(self.section.to_owned());
        report
    }

    /// A mistake of this exercise.
    #[must_use]
    pub fn new(
        exercise: &'static str,
        id: &str,
        sentence: impl Into<String>,
        section: &'static str,
    ) -> Self {
        Self {
            exercise,
            id: id.to_owned(),
            sentence: sentence.into(),
            section,
        }
    }
}

/// Name and sentence of `its-name: what is said`.
#[track_caller]
pub(crate) fn named(text: &str) -> (&str, &str) {
    let parts = text.split_once(": ");
    parts.unwrap_or_else(|| panic!("a mistake is `its-name: what is said`, not {text:?}"))
}

/// `template` with each [`BLANK`] replaced by the next of `values`.
#[must_use]
pub fn fill(template: &str, values: &[&dyn Display]) -> String {
    let mut filled = String::new();
    let mut values = values.iter();
    for (number, piece) in template.split(BLANK).enumerate() {
        if number > 0 {
            match values.next() {
                Some(value) => filled += &value.to_string(),
                None => filled += BLANK,
            }
        }
        filled += piece;
    }
    filled
}

/// Whether `text` is `template` with something in place of each [`BLANK`].
#[must_use]
pub fn fits(template: &str, text: &str) -> bool {
    let mut pieces = template.split(BLANK);
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        let found = if pieces.peek().is_none() {
            rest.strip_suffix(piece).map(|_| "")
        } else {
            rest.split_once(piece).map(|(_, after)| after)
        };
        let Some(after) = found else { return false };
        rest = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_are_filled_and_fitted() {
        assert_eq!(fill("a … b …", &[&1, &"x"]), "a 1 b x");
        assert_eq!(fill("a …, …", &[&1]), "a 1, …");
        for (template, text, whether) in [
            ("a … b …", "a 1 b 2", true),
            ("… b", "1 b", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("a … b", "a 1 c", false),
            ("a … b …", "a 1", false),
        ] {
            assert_eq!(fits(template, text), whether, "{template}: {text}");
        }
    }
}
