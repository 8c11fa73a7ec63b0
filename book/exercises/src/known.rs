//! The mistakes that the checkers know by name, for the catalogue in the book.
//!
//! A checker that has a list of mistakes says here what it prints for each; its tests hold
//! every verdict on a mistake to this list with `assert_listed`.

use crate::checkers::ALL;
use crate::engine::{Checker, Entry, shared};
use std::fmt::Display;

/// Stands in a sentence for what depends on the numbers.
pub const BLANK: &str = "…";

/// Stands in place of an exercise's name for all that are judged by the engine.
pub const ANY: &str = "any";

/// A mistake that a checker knows by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// The exercise.
    pub exercise: &'static str,
    /// The mistake's name, as in [`crate::Report::mistake`].
    pub id: String,
    /// What the checker prints, with [`BLANK`] where numbers or names are filled in.
    pub sentence: String,
    /// The label of the book's section on it.
    pub section: &'static str,
}

impl Known {
    pub(crate) fn new(
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

/// Every mistake that a checker knows by name, in the order of the book, each once, and those
/// that are looked for in [`ANY`] exercise.
#[must_use]
pub fn all() -> Vec<Known> {
    let mut all: Vec<Known> = Vec::new();
    let of_checkers = ALL.iter().flat_map(|(name, checker)| checker().known(name));
    for known in of_checkers.chain(shared::known(ANY)) {
        if !all.contains(&known) {
            all.push(known);
        }
    }
    all
}

/// The exercises that know no mistake by name, and why.
#[must_use]
pub fn nameless() -> Vec<(&'static str, &'static str)> {
    let nameless = |(name, checker): &Entry| match checker() {
        Checker::Quiz(_) => Some((*name, "it asks for predictions")),
        Checker::Parts(_) | Checker::And(..) | Checker::Listed(_) => None,
    };
    ALL.iter().filter_map(nameless).collect()
}

/// `template` with each [`BLANK`] replaced by the next of `values`.
pub(crate) fn fill(template: &str, values: &[&dyn Display]) -> String {
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
#[cfg(test)]
fn fits(template: &str, text: &str) -> bool {
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

/// Panics unless the catalogue has the mistake that `report` names, with this sentence and
/// this section.
#[cfg(test)]
#[track_caller]
pub(crate) fn assert_listed(report: &crate::Report) {
    assert!(
        all().iter().any(|known| {
            known.exercise == report.exercise
                && Some(known.id.as_str()) == report.mistake.as_deref()
                && Some(known.section) == report.section.as_deref()
                && fits(&known.sentence, &report.headline)
        }),
        "the catalogue does not have this: {report:?}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sections::labels;
    use std::collections::BTreeSet;

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

    #[test]
    fn every_entry_has_a_section_and_no_two_are_alike() {
        let all = all();
        let mut seen = BTreeSet::new();
        for known in &all {
            assert!(labels().contains(known.section), "{known:?}");
            assert!(
                seen.insert((known.exercise, &known.id, &known.sentence)),
                "{known:?}"
            );
        }
    }
}
