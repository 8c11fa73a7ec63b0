//! One case before every witness.

use gradcheck::Check;
use witness::{Dual, Exact};

use crate::case::Case;
use crate::pytorch::{self, Values};
use crate::report::{Row, Witnesses};

/// A case in the two arithmetics that the witnesses need. One carries derivatives, of numbers that
/// are exact and know their size in `f64`.
pub(crate) struct Twice {
    pub(crate) plain: Case<f64>,
    pub(crate) dual: Case<Dual<Exact>>,
}

/// The seed of what the witnesses draw.
pub(crate) const SEED: u64 = 0x7769_746e;

impl Twice {
    /// Hears every witness.
    pub(crate) fn run(&self, pytorch: &Result<Values, String>) -> Row {
        let Case {
            group,
            ref name,
            source,
            ref subject,
            ..
        } = self.plain;
        let check = match self.plain.along_a_direction {
            true => Check::new(name).projections(1),
            false => Check::new(name),
        };
        let dual = match self.plain.not_dual {
            Some(reason) => Err(reason),
            None => Ok(witness::in_f64(&self.dual.subject, SEED)),
        };
        let exact = match self.plain.not_dual.or(self.plain.not_exact) {
            Some(reason) => Err(reason),
            None => Ok(witness::exactly(&self.dual.subject, SEED)),
        };
        let composed = self.plain.composed.as_ref();
        let exactly_composed = (self.dual.composed.as_ref())
            .filter(|_| self.plain.composed_exactly)
            .map(|composed| witness::same(&self.dual.subject, composed, SEED));
        Row {
            group,
            name: name.clone(),
            source,
            check: subject.differences(check),
            witnesses: Witnesses {
                dual,
                exact,
                composed: composed.map(|composed| witness::alike(subject, composed, SEED)),
                exactly_composed,
                pytorch: pytorch::judge(&self.plain, pytorch, SEED),
            },
        }
    }
}
