//! The engine that judges the exercises, and how to write a checker for it. It knows no
//! exercise: those are in the package `exercises`. Predictions have [`mod@quiz`], and an
//! exercise may keep a list of its own ([`Checker::Listed`]).
//!
//! A checker is a value. It says on what the reader's function is tried (its *cases*), what
//! arrays are asked for (its *targets*, each with the right values), and what wrong values
//! are known by name (its *mistakes*). All the rest is here, once: running the cases and
//! catching what they throw, comparing, choosing what is said first, the sentence on what
//! has no name, credit for what is right already, and the check against finite differences.
//!
//! # Writing a checker
//!
//! 1. **A case** is a struct with everything the reader is given. [`case!`](case!) makes
//!    it a [`Case`]: its title says in words what is special about it ("4 positions of 3
//!    features"), and its sizes give each letter of a shape its number. Draw the cases so that
//!    no two sizes are equal and no mistake looks like another.
//! 2. **A part** is one function of the reader: [`Part::new`] takes the cases of a seed, and
//!    the answer before anything was written in it. An exercise of several functions has
//!    several parts; those written already are judged while others still are `todo!()`.
//! 3. **Targets**, in the order in which they are judged: name, section of the book that
//!    derives it, axes, the right values, and how it is read from the reader's answer and put
//!    into one ([`field!`](field!)). [`asks`](Part::asks) takes name and field
//!    together: [`of!`](of!) a field of that name, or [`found!`](found!) where the
//!    answer is [`Found`] by names alone. What is told of a target comes after it:
//!    [`sums`](Part::sums), [`contains`](Part::contains), [`excludes`](Part::excludes) and
//!    [`deviation`](Part::deviation) make the mistakes that every sum, product and deviation
//!    can hold. Do not write them by hand.
//! 4. **Mistakes** are a table of texts and formulas, [`slips!`](slips!):
//!    [`Part::mistakes`] for the values that a wrong line makes of a target,
//!    [`Part::formulas`] where they are whole arrays (there in `arrays`), [`Part::variants`]
//!    where one formula makes them all. A text is the mistake's name, a colon, and a sentence
//!    that says what is wrong *and* why. The first that fits all cases is named, so the
//!    particular stands before the general. A mistake is written as a reader would write it,
//!    also where it ends in an array of the wrong length, or in NaN.
//!    What may be wrong in some cases alone, as for an empty list, is an [`edge`](Part::edge);
//!    these cases stand last.
//! 5. **The order**: [`Order::Together`] when the targets do not depend on each other: a
//!    mistake with a name goes before one without. [`Order::FirstWrong`] when each is computed
//!    from those before it.
//! 6. **Finite differences**, if the answer is a gradient: [`Part::differentiates`], from the
//!    function and its inputs, or [`Part::numeric`] where the check is of another kind.
//! 7. **A normalization as a whole** is asked about with [`Part::attributed_by`]: gradcheck knows
//!    its mistakes, the weights of its paths, and the section on each.
//! 8. **The exercise** is one [`exercise!`](exercise!): the functions that are asked
//!    for, what is said when all is right, and how each part runs its function.
//!
//! Without a line of the checker's own, the engine knows zeros, a turned sign, the values of
//! another target, rows and columns exchanged, places never written, a factor that is one of
//! the sizes or its root, and any other factor; see [`shared`]. What remains is told with
//! section, case, place, the value found and the value wanted.
//!
//! No checker needs a test of its own that mistakes are named or that nonsense fails:
//! [`testing::exercises`] makes each known mistake in each exercise, and many nameless ones.
//! What a module tests itself is what cannot be known there: that the right values are right,
//! held to the crates or to loops of another shape, and that what a reader types leads to the
//! mistake that it should ([`testing::named`]).

#![forbid(unsafe_code)]

mod attribution;
mod checked;
pub mod claims;
pub mod compare;
mod differences;
mod exercise;
mod forms;
pub mod harness;
mod judged;
pub mod known;
mod part;
pub mod quiz;
pub mod shared;
pub mod testing;

pub use checked::{Checked, Spoil};
pub use differences::{Differences, Numbers};
pub use exercise::{Checker, Entry, all_known, name_of, nameless, sections};
pub use forms::{Formulas, Found};
pub use judged::{Judged, conclude};
pub use part::{Axis, Case, Field, Mistake, Named, Order, Part, Run, Slip, only};
pub use shared::{Deviation, Terms, added};
pub use verdict::{Heatmap, Line, Outcome, Report, Weight};
