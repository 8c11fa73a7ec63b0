//! What is known of all exercises without running them: the mistakes that have a name, for the
//! catalogue in the book, and the sections that a verdict may refer to.

use crate::batch::{BATCH, LAYER, Norm, RMS};
use crate::checkers::ALL;
use gradcheck::attribution::norm::{Target, mistakes};
use judge::{Checker, Entry, shared};
use std::collections::BTreeSet;

pub use judge::known::{BLANK, Known};

/// Stands in place of an exercise's name for all that are judged by the engine.
pub const ANY: &str = "any";

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

/// Every label that a verdict may refer to; the book must have them all.
#[must_use]
pub fn labels() -> BTreeSet<&'static str> {
    let of_checkers = ALL
        .iter()
        .flat_map(|(name, checker)| checker().sections(name));
    let of_any = shared::known(ANY).into_iter().map(|known| known.section);
    of_checkers.chain(of_norms()).chain(of_any).collect()
}

/// Where gradcheck's attribution sends the reader of a norm.
fn of_norms() -> impl Iterator<Item = &'static str> {
    let targets = [Target::Y, Target::Dx, Target::Dgamma, Target::Dbeta];
    let of = move |norm: &Norm| {
        let probe = norm.batch([5, 4], 1e-3, 0).probe;
        targets.into_iter().flat_map(move |target| {
            let mistakes = mistakes(&probe, target).into_iter();
            mistakes.filter_map(|(finding, _)| finding.section)
        })
    };
    [BATCH, LAYER, RMS].into_iter().flat_map(of)
}

/// Panics unless the catalogue has the mistake that `report` names, with this sentence and
/// this section.
#[cfg(test)]
#[track_caller]
pub(crate) fn assert_listed(report: &verdict::Report) {
    assert!(
        all().iter().any(|known| {
            known.exercise == report.exercise
                && Some(known.id.as_str()) == report.mistake.as_deref()
                && Some(known.section) == report.section.as_deref()
                && judge::known::fits(&known.sentence, &report.headline)
        }),
        "the catalogue does not have this: {report:?}"
    );
}

#[cfg(test)]
mod tests;
