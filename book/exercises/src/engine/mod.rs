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
//! 4. **Mistakes** are a table of texts and formulas: [`Part::mistakes`] for the values that a
//!    wrong line makes of a target, [`Part::variants`] where one formula makes them all. A text
//!    is the mistake's name, a colon, and a sentence that says what is wrong *and* why. The
//!    first that fits all cases is named, so the particular stands before the general. A
//!    mistake is written as a reader would write it, with the arrays and loops of the chapter,
//!    also where it ends in an array of the wrong length, or in NaN.
//!    What may be wrong in some cases alone, as for an empty list, is an [`edge`](Part::edge);
//!    these cases stand last.
//! 5. **The order**: [`Order::Together`] when the targets do not depend on each other: a
//!    mistake with a name goes before one without. [`Order::FirstWrong`] when each is computed
//!    from those before it.
//! 6. **Finite differences**, if the answer is a gradient: [`Part::numeric`].
//! 7. **A normalization as a whole** is asked about with [`Part::attributed_by`]: gradcheck knows
//!    its mistakes, the weights of its paths, and the section on each.
//! 8. **The exercise** is one [`exercise!`](crate::engine::exercise): the functions that are asked
//!    for, what is said when all is right, and how each part runs its function.
//!
//! Without a line of the checker's own, the engine knows zeros, a turned sign, the values of
//! another target, rows and columns exchanged, places never written, a factor that is one of
//! the sizes or its root, and any other factor; see [`shared`]. What remains is told with
//! section, case, place, the value found and the value wanted.
//!
//! No checker needs a test of its own that mistakes are named or that nonsense fails:
//! `engine::testing` makes each known mistake in each exercise, and many nameless ones. What a
//! module tests itself is what cannot be known here: that the right values are right, held to
//! the crates or to loops of another shape, and that what a reader types leads to the mistake
//! that it should (`testing::named`).

mod attribution;
mod judge;
mod part;
pub mod shared;
#[cfg(test)]
pub(crate) mod testing;

pub use judge::conclude;
pub use part::{Axis, Case, Field, Mistake, Named, Order, Part, Run, Slip};
pub use shared::Terms;

use crate::known::Known;
use crate::quiz::Quiz;
use part::Checked;
use rand::RngExt;
use rand::rngs::StdRng;
use std::ops::Range;

/// How a target is read from an answer, and put into one: `field!(dx)` for a vector,
/// `field!(number dvar)` for a number, `field!(number 0)` for one of an array of numbers; and
/// `field!()` or `field!(number)` where the answer is nothing else.
macro_rules! field {
    () => {
        (|answer| answer.clone(), |answer, values| *answer = values)
    };
    (number) => {
        (
            |answer| vec![*answer],
            |answer, values| *answer = $crate::engine::only(&values),
        )
    };
    (number $at:literal) => {
        (
            |answer| vec![answer[$at]],
            |answer, values| answer[$at] = $crate::engine::only(&values),
        )
    };
    (number $name:ident) => {
        (
            |answer| vec![answer.$name],
            |answer, values| answer.$name = $crate::engine::only(&values),
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

/// Makes an exercise of its parts, in the module that has its name:
///
/// ```ignore
/// exercise! {
///     /// `(dy, a, b, [m, k, n])` to `(da, db)`.
///     check(backward: Fn(&[f64], &[f64], &[f64], [usize; 3]) -> (Vec<f64>, Vec<f64>)),
///     right: "both gradients are right, and finite differences confirm them",
///     parts: [part() => |p, answer| (answer.da, answer.db) = backward(&p.dy, &p.a, &p.b, p.sizes)],
/// }
/// ```
///
/// The reader's file calls `check`, with the functions that are asked for. `right` is said when
/// every part is right, and each part writes into its answer what the functions make of a case.
/// With `then`, the finished report is looked at again. Besides `check` this makes `report`, which
/// tests call with a seed, `checker`, by which the list of all exercises finds it, and of a
/// single function its type, `Candidate`.
macro_rules! exercise {
    (
        $(#[doc = $doc:literal])*
        check($function:ident: Fn($($input:ty),* $(,)?) $(-> $output:ty)?),
        $($rest:tt)*
    ) => {
        $(#[doc = $doc])*
        pub type Candidate<'a> = &'a dyn Fn($($input),*) $(-> $output)?;

        $crate::engine::exercise! {
            @check($function: Fn($($input),*) $(-> $output)?),
            $($rest)*
        }
    };
    (
        $(#[doc = $doc:literal])*
        check($($functions:tt)*),
        $($rest:tt)*
    ) => {
        $crate::engine::exercise! { @check($($functions)*), $($rest)* }
    };
    (
        @check($($function:ident: Fn($($input:ty),* $(,)?) $(-> $output:ty)?),+ $(,)?),
        right: $right:expr,
        parts: [$($part:expr => $run:expr),+ $(,)?]
        $(, then: $then:expr)? $(,)?
    ) => {
        /// Checks what the reader wrote, and prints the report.
        pub fn check(
            $($function: impl Fn($($input),*) $(-> $output)?),+
        ) -> std::process::ExitCode {
            let name = $crate::engine::name_of(module_path!());
            $crate::harness::run(name, || report($(&$function),+, 0))
        }

        /// The report on what the reader wrote, on what is drawn from this seed.
        #[must_use]
        pub fn report(
            $($function: &dyn Fn($($input),*) $(-> $output)?),+,
            seed: u64,
        ) -> $crate::Report {
            let name = $crate::engine::name_of(module_path!());
            let parts = vec![$($part.judge(&$run, seed)),+];
            let report = $crate::engine::conclude(name, $right, parts);
            $(
                let then: &dyn Fn($crate::Report, u64) -> $crate::Report = &$then;
                let report = then(report, seed);
            )?
            report
        }

        /// What is known of this exercise without running it.
        pub(crate) fn checker() -> $crate::engine::Checker {
            $crate::engine::Checker::Parts(vec![$(Box::new($part)),+])
        }
    };
}
pub(crate) use exercise;

/// The exercise whose module this is.
pub fn name_of(module: &'static str) -> &'static str {
    module.rsplit("::").next().unwrap_or(module)
}

/// The number that is there, or none.
pub fn only(values: &[f64]) -> f64 {
    values.first().copied().unwrap_or(f64::NAN)
}

/// So many numbers of this range.
pub fn numbers(rng: &mut StdRng, count: usize, range: Range<f64>) -> Vec<f64> {
    let number = || rng.random_range(range.clone());
    std::iter::repeat_with(number).take(count).collect()
}

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
    /// It asks for predictions, and knows no mistake by name.
    Quiz(&'static Quiz),
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
            Self::Quiz(_) => Vec::new(),
        }
    }

    /// The labels of the sections that its verdicts refer to.
    pub fn sections(&self, exercise: &'static str) -> Vec<&'static str> {
        let of_parts: Vec<&str> = match self {
            Self::Parts(parts) | Self::And(parts, _) => {
                parts.iter().flat_map(|part| part.sections()).collect()
            }
            Self::Listed(_) => Vec::new(),
            Self::Quiz(quiz) => quiz.questions.iter().map(|q| q.section).collect(),
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
