//! Judges of a gradient that need no step: dual numbers and a finite field.
//!
//! Finite differences can judge any function, and are never exact. Where the function is at hand
//! as code that is generic over its numbers, as all of this workspace is, two more judges may
//! look at it, neither of which has a step:
//!
//! - [`in_f64`] pushes a direction through the function by [`Dual`] numbers and compares with the
//!   backward pass, to rounding.
//! - [`exactly`] does the same in a finite field ([`Exact`]), where nothing is rounded: the very
//!   code that trains in `f32` is the right derivative or it is not. [`same`] compares two forms
//!   of one function.
//!
//! In `f64`, [`alike`] compares two forms of a function too, and [`beside`] one of them with what
//! another program computed.
//!
//! Each misses what another sees (book, appendix H). A field knows no rounding, so it finds
//! nothing wrong with a variance that cancels; dual numbers look at the function that the code
//! computes, so they find nothing wrong with another function.
//!
//! ```
//! use tape::{Real, Tensor, Var};
//! use witness::{Equality, Subject, exactly};
//!
//! fn square<T: Real>() -> Subject<'static, T> {
//!     let x = Tensor::new([2], [3.0, -1.0].map(T::from_f64).to_vec());
//!     Subject::on_tape(vec![x], |x: &[Var<'_, T>]| &x[0] * &x[0])
//! }
//! let verdicts = exactly(&square(), 0);
//! assert!(matches!(verdicts[0].found, Equality::Equal { chance } if chance < 1e-16));
//! ```

#![forbid(unsafe_code)]

mod dual;
mod exact;
mod judge;
mod number;
mod subject;

pub use dual::Dual;
pub use exact::{Exact, PRIME};
pub use judge::{
    Apart, Equality, Products, Verdict, alike, beside, exactly, in_f64, same, upstream,
};
pub use subject::{Argument, Subject};
