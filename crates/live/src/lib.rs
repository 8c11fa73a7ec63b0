//! The live figures of the book: what they compute, what they draw, and what they say.
//!
//! A figure is one file of [`figures`]. It lists its controls, and from their values it makes
//! drawings and a sentence, out of what the crates of the book compute. It is run twice. By the
//! native compiler, when the book's stills are made: the HTML of [`frame`], in which a reader
//! without scripts, or one with a printed page, sees the figure as it begins. And by a browser,
//! compiled to a module of WebAssembly, each time a reader moves a control. The drawing is the
//! same text both times, so nothing of the page moves when the one takes the place of the other,
//! and a test can hold one to the other, letter by letter.
//!
//! The page's script knows no figure. It sends [`bridge::answer`] the values of the controls,
//! and puts in their places what comes back.
//!
//! # What keeps both the same
//! Sums, products, quotients and square roots are the same everywhere; of what a C library
//! computes, the last digit is not. A figure takes logarithms, powers and the like from `libm`.

pub mod bridge;
pub mod comparisons;
pub mod draw;
#[cfg(target_family = "wasm")]
mod exports;
pub mod expression;
pub mod figure;
pub mod figures;
pub mod frame;
pub mod words;

pub use figure::{Control, Figure, Form, Group, Kind, Shown, Values};
