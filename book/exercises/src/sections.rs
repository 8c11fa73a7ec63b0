//! The sections of the book that a verdict may refer to.

use crate::batch::Batch;
use crate::checkers::ALL;
use gradcheck::attribution::norm::{Kind, Target, mistakes};
use std::collections::BTreeSet;

/// Every label that a verdict may refer to; the book must have them all.
#[must_use]
pub fn labels() -> BTreeSet<&'static str> {
    let of_checkers = ALL
        .iter()
        .flat_map(|(name, checker)| checker().sections(name));
    of_checkers.chain(of_norms()).chain(SAID).collect()
}

/// Where gradcheck's attribution sends the reader of a norm.
fn of_norms() -> impl Iterator<Item = &'static str> {
    let kinds = [Kind::Batch, Kind::Layer, Kind::Rms];
    let targets = [Target::Y, Target::Dx, Target::Dgamma, Target::Dbeta];
    let of = move |kind| {
        let probe = Batch::random(kind, (5, 4), 1e-3, 0).probe;
        targets.into_iter().flat_map(move |target| {
            let mistakes = mistakes(&probe, target).into_iter();
            mistakes.filter_map(|(finding, _)| finding.section)
        })
    };
    kinds.into_iter().flat_map(of)
}

/// The labels of what is said on predictions, and of mistakes in any exercise.
const SAID: [&str; 17] = [
    "sec:attention-scale",
    "sec:conv-bias",
    "sec:conv-block",
    "sec:conv-scale",
    "sec:conv-statistics",
    "sec:family-axes",
    "sec:group-norm",
    "sec:im2col",
    "sec:lengths",
    "sec:ln-bit",
    "sec:ln-invariance",
    "sec:ln-place",
    "sec:ln-without-mean",
    "sec:projection",
    "sec:running-stats",
    "sec:signatures",
    "sec:step-norm",
];
