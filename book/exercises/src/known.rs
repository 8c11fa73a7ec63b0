//! The mistakes that the checkers know by name, for the catalogue in the book.
//!
//! A checker that has a list of mistakes says here what it prints for each; its tests hold
//! every verdict on a mistake to this list with `assert_listed`.

use std::fmt::Display;

/// Stands in a sentence for what depends on the numbers.
pub const BLANK: &str = "…";

/// A mistake that a checker knows by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// The exercise.
    pub exercise: &'static str,
    /// The mistake's name, as in [`crate::Report::mistake`].
    pub id: &'static str,
    /// What the checker prints, with [`BLANK`] where numbers or names are filled in.
    pub sentence: String,
    /// The label of the book's section on it.
    pub section: &'static str,
}

impl Known {
    pub(crate) fn new(
        exercise: &'static str,
        id: &'static str,
        sentence: impl Into<String>,
        section: &'static str,
    ) -> Self {
        Self {
            exercise,
            id,
            sentence: sentence.into(),
            section,
        }
    }
}

/// A checker's list.
type List = fn() -> Vec<Known>;

/// The lists, in the order of the book.
const LISTS: &[List] = &[
    crate::central_difference::known,
    crate::fool_the_check::known,
    crate::scalar_sweep::known,
    crate::scalar_tape::known,
    crate::broadcast_adjoint::known,
    crate::tensor_tape::known,
    crate::matmul_backward::known,
    crate::softmax_cross_entropy::known,
    crate::tensor_products::known,
    crate::init_deviation::known,
    crate::bn_forward::known,
    crate::bn_backward_staged::known,
    crate::one_reading::known,
    crate::conv2d_backward::known,
    crate::fold_batch_norm::known,
    crate::ln_forward::known,
    crate::ln_backward_staged::known,
    crate::ln_find_the_bug::known,
    crate::lstm_backward::known,
    crate::masked_batch_norm::known,
    crate::attention_backward::known,
    crate::by_chance::known,
    crate::frozen_backward::known,
    crate::kept_bytes::known,
    crate::synchronized_statistics::known,
];

/// Exercises without a list, and why.
pub const WITHOUT: &[(&str, &str)] = &[
    ("bn_backward_closed_form", BY_ATTRIBUTION),
    ("ln_backward_closed_form", BY_ATTRIBUTION),
    ("rms_backward", BY_ATTRIBUTION),
    ("cnn_predictions", PREDICTIONS),
    ("ln_predictions", PREDICTIONS),
    ("sequence_predictions", PREDICTIONS),
    ("attention_predictions", PREDICTIONS),
    ("reach_predictions", PREDICTIONS),
];

const BY_ATTRIBUTION: &str = "its mistakes are those of a norm";
const PREDICTIONS: &str = "it asks for predictions";

/// Every mistake that a checker knows by name, in the order of the book, each once.
#[must_use]
pub fn all() -> Vec<Known> {
    let mut all: Vec<Known> = Vec::new();
    for known in LISTS.iter().flat_map(|list| list()) {
        if !all.contains(&known) {
            all.push(known);
        }
    }
    all
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
                && Some(known.id) == report.mistake.as_deref()
                && Some(known.section) == report.section.as_deref()
                && fits(&known.sentence, &report.headline)
        }),
        "the catalogue does not have this: {report:?}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sections::LABELS;
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
            assert!(LABELS.contains(&known.section), "{known:?}");
            assert!(
                seen.insert((known.exercise, known.id, &known.sentence)),
                "{known:?}"
            );
        }
    }

    /// An exercise that the catalogue forgets.
    #[test]
    fn every_exercise_has_a_list_or_a_reason() {
        let manifest = include_str!("../Cargo.toml");
        let exercises = manifest
            .lines()
            .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
            .filter(|name| !name.starts_with("solution-") && *name != "exercises");
        let all = all();
        for exercise in exercises {
            let listed = all.iter().any(|known| known.exercise == exercise);
            let without = WITHOUT.iter().any(|(name, _)| *name == exercise);
            assert!(
                listed != without,
                "{exercise} must say what its checker knows, in `known`, or stand in WITHOUT"
            );
        }
    }
}
