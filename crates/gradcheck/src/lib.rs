//! Gradient checks that estimate their own error, and name the term that is wrong.
//!
//! A gradient check compares the gradient that a program computes with one obtained from
//! the function alone, by finite differences. This crate does three things that such
//! checks usually leave to their users:
//!
//! 1. **No tolerance is chosen by hand.** A numerical derivative comes with an estimate of
//!    its error: truncation from a Richardson table, rounding from a measurement of how
//!    noisy the function is ([`numeric`], [`noise`]). The rounding of the analytic side is
//!    measured in the same way. A gradient passes when the disagreement is within a small
//!    multiple of both.
//! 2. **A check that cannot fail is refused.** When the true gradient is zero under the
//!    chosen upstream gradient, every backward that returns zeros would pass. A
//!    [`Vacuous`] probe is not a pass, and the report says what is wrong with it.
//! 3. **A wrong gradient gets a name.** Least squares on the known parts of the right
//!    gradient tell which path is missing, flipped, summed in place of averaged, or
//!    computed without gamma ([`attribution`]).
//!
//! ```
//! use gradcheck::{Input, vjp};
//!
//! // y = x², whose backward someone wrote as dy · x.
//! let report = vjp(
//!     &[Input::new("x", &[3], [1.0, 2.0, -3.0])],
//!     |xs| xs[0].iter().map(|x| x * x).collect(),
//!     |xs, dy| vec![xs[0].iter().zip(dy).map(|(x, dy)| dy * x).collect()],
//! );
//! assert!(!report.passed());
//! println!("{report}");
//! ```
//!
//! # What it is
//!
//! - [`Check`] for functions of plain slices, and for recordings on the tape in `f64`
//!   ([`Check::run_tape`]) and in `f32` ([`Check::run_tape_f32`]). Every element, or random
//!   projections for inputs too large for that.
//! - [`Report`], [`Table`] and [`attribution::Verdict`]: data first, with every element's
//!   error for a heat map (`serde`), and a plain-text rendering (`Display`). Colour is left
//!   to the caller.
//! - [`Comparison`] for a backward written line by line: the first wrong line is named.
//!
//! # What it is not
//!
//! It is not a proof. It looks at one point and one upstream gradient: a backward that is
//! wrong only elsewhere passes. Digits that a function loses inside, in jumps too coarse
//! for its output to show as noise, can make a right gradient look wrong: about one random
//! function in ten thousand, each of them of the kind `ln(1 + x²)` at a tiny `x`.
//!
//! # How it is itself checked
//!
//! Thousands of random functions with right gradients must pass; the same gradients with
//! one element off must fail down to the resolution that the report states. Every mistake
//! of the catalogue, written by code that shares nothing with the catalogue, must get its
//! own name and no other, on several shapes and seeds.

#![forbid(unsafe_code)]

pub mod attribution;
pub mod noise;
pub mod numeric;

mod check;
mod claim;
mod compare;
mod groups;
mod input;
mod kink;
mod on_tape;
mod point;
mod report;
mod run;
mod scale;
mod secant;
mod ties;
mod vacuous;

pub use check::Check;
pub use compare::{Comparison, Row, Status, Table};
pub use groups::Groups;
pub use input::{Input, Place};
pub use kink::Kink;
pub use on_tape::TapeFunction;
pub use report::{Fault, InputReport, Mode, Report, Worst};
pub use run::vjp;
pub use vacuous::Vacuous;
