//! What is known of all exercises without running them: the mistakes that have a name, for the
//! catalogue in the book, and the sections that a verdict may refer to.

use crate::batch::{BATCH, LAYER, Norm, RMS};
use crate::checkers::ALL;
use gradcheck::attribution::norm::{Target, mistakes};
use std::collections::BTreeSet;

pub use judge::known::{ANY, BLANK, Known};

/// Every mistake that a checker knows by name, in the order of the book, each once, and those
/// that are looked for in [`ANY`] exercise.
#[must_use]
pub fn all() -> Vec<Known> {
    judge::all_known(ALL)
}

/// The exercises that know no mistake by name, and why.
#[must_use]
pub fn nameless() -> Vec<(&'static str, &'static str)> {
    judge::nameless(ALL)
}

/// Every label that a verdict may refer to; the book must have them all.
#[must_use]
pub fn labels() -> BTreeSet<&'static str> {
    judge::sections(ALL).chain(of_norms()).collect()
}

/// Where gradcheck's attribution sends the reader of a norm.
fn of_norms() -> impl Iterator<Item = &'static str> {
    let targets = [Target::Y, Target::Dx, Target::Dgamma, Target::Dbeta];
    let of = move |norm: &'static Norm| {
        let probe = norm.batch([5, 4], 1e-3, 0).probe;
        targets.into_iter().flat_map(move |target| {
            let mistakes = mistakes(&probe, target).into_iter();
            mistakes.filter_map(|(finding, _)| finding.section)
        })
    };
    [BATCH, LAYER, RMS].into_iter().flat_map(of)
}

#[cfg(test)]
#[track_caller]
pub(crate) fn assert_listed(report: &verdict::Report) {
    judge::testing::exercises::lists(&all(), report);
}

#[cfg(test)]
mod tests;
