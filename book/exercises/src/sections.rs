//! The sections of the book that a verdict may refer to.

use crate::batch::{BATCH, LAYER, Norm, RMS};
use crate::checkers::ALL;
use crate::engine::shared;
use crate::known::ANY;
use gradcheck::attribution::norm::{Target, mistakes};
use std::collections::BTreeSet;

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
