//! The engine that judges every exercise, and how to write a checker for it.
//!
//! A checker is a value. It says on what the reader's function is tried (its *cases*), what
//! arrays are asked for (its *targets*, each with the right values), and what wrong values
//! are known by name (its *mistakes*). All the rest is here, once: running the cases and
//! catching what they throw, comparing, choosing what is said first, the sentence on what
//! has no name, credit for what is right already, and the check against finite differences.
//!
//! # Writing a checker
//!
//! 1. **A case** is a struct with everything the reader is given. Implement [`Case`]: its
//!    title says in words what is special about it ("4 positions of 3 features"), and its
//!    sizes give each letter of a shape its number. Draw the cases so that no two sizes are
//!    equal and no mistake looks like another.
//! 2. **A part** is one function of the reader: [`Part::new`] takes the cases of a seed, and
//!    the answer before anything was written in it. An exercise of several functions has
//!    several parts; those written already are judged while others still are `todo!()`.
//! 3. **Targets**, in the order in which they are judged: name, section of the book that
//!    derives it, axes, the right values, and how it is read from the reader's answer and put
//!    into one ([`field!`](crate::engine::field)). What is told of a target comes after it:
//!    [`sums`](Part::sums), [`contains`](Part::contains), [`excludes`](Part::excludes) and
//!    [`deviation`](Part::deviation) make the mistakes that every sum, product and deviation
//!    can hold. Do not write them by hand.
//! 4. **Mistakes** are formulas: [`Part::mistake`] for the values that a wrong line makes of
//!    a target. Give every one a sentence that says what is wrong *and* why. The first that
//!    fits all cases is named, so the particular stands before the general. A mistake is
//!    written as a reader would write it, with the arrays and loops of the chapter, also
//!    where it ends in an array of the wrong length, or in NaN.
//!    What may be wrong in some cases alone, as for an empty list, is an [`edge`](Part::edge);
//!    these cases stand last.
//! 5. **The order**: [`Order::Together`] when the targets do not depend on each other: a
//!    mistake with a name goes before one without. [`Order::FirstWrong`] when each is computed
//!    from those before it.
//! 6. **Finite differences**, if the answer is a gradient: [`Part::numeric`].
//! 7. **A normalization as a whole** is asked about with [`Part::attributed_by`]: gradcheck knows
//!    its mistakes, the weights of its paths, and the section on each.
//!
//! Without a line of the checker's own, the engine knows zeros, a turned sign, the values of
//! another target, rows and columns exchanged, places never written, a factor that is one of
//! the sizes or its root, and any other factor; see [`shared`]. What remains is told with
//! section, case, place, the value found and the value wanted.
//!
//! A checker's module ends in three functions: `check`, which the reader's file calls;
//! `report`, which tests call, with a seed; and `checker`, by which the tests of all exercises
//! find it. These need no test of their own that mistakes are named or that nonsense fails:
//! `engine::testing` makes each known mistake in each exercise, and many nameless ones. What a
//! module tests itself is what cannot be known here: that the right values are right, held to
//! the crates or to loops of another shape, and that what a reader types leads to the mistake
//! that it should.

mod attribution;
mod judge;
mod part;
pub mod shared;
#[cfg(test)]
mod testing;

pub use judge::conclude;
pub use part::{Axis, Case, Field, Named, Order, Part, Run};

use crate::known::Known;
use part::Checked;

/// How a target is read from an answer, and put into one: `field!(dx)` for a vector,
/// `field!(number dvar)` for a number.
macro_rules! field {
    (number $name:ident) => {
        (
            |answer| vec![answer.$name],
            |answer, values| answer.$name = values.first().copied().unwrap_or(f64::NAN),
        )
    };
    ($name:ident) => {
        (
            |answer| answer.$name.clone(),
            |answer, values| answer.$name = values,
        )
    };
}
pub(crate) use field;

/// An exercise in the list of all: its name, and its checker.
pub type Entry = (&'static str, fn() -> Checker);

/// What is known of an exercise without running it.
pub enum Checker {
    /// It is judged by this engine.
    Parts(Vec<Box<dyn Checked>>),
    /// It is judged by this engine, and knows these besides.
    And(Vec<Box<dyn Checked>>, Vec<Known>),
    /// It keeps a list of what it knows.
    Listed(Vec<Known>),
    /// It knows no mistake by name, for this reason.
    Nameless(&'static str),
}

impl Checker {
    /// That of an exercise of one function.
    pub fn of<C: Case, A: 'static>(part: Part<C, A>) -> Self {
        Self::Parts(vec![Box::new(part)])
    }

    /// The mistakes that it knows by name.
    pub fn known(&self, exercise: &'static str) -> Vec<Known> {
        match self {
            Self::Parts(parts) => of_parts(exercise, parts),
            Self::And(parts, besides) => [of_parts(exercise, parts), besides.clone()].concat(),
            Self::Listed(known) => known.clone(),
            Self::Nameless(_) => Vec::new(),
        }
    }

    /// The labels of the sections that its verdicts refer to.
    pub fn sections(&self, exercise: &'static str) -> Vec<&'static str> {
        let of_parts = match self {
            Self::Parts(parts) | Self::And(parts, _) => {
                parts.iter().flat_map(|part| part.sections()).collect()
            }
            Self::Listed(_) | Self::Nameless(_) => Vec::new(),
        };
        let of_known = self.known(exercise).into_iter().map(|known| known.section);
        of_known.chain(of_parts).collect()
    }
}

fn of_parts(exercise: &'static str, parts: &[Box<dyn Checked>]) -> Vec<Known> {
    let of_part = parts.iter().flat_map(|part| {
        let mut known = part.known(exercise);
        if parts.len() > 1 {
            for known in &mut known {
                known.sentence = format!("{}: {}", part.name(), known.sentence);
            }
        }
        known
    });
    of_part.collect()
}
