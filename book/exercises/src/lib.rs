//! Checks what the reader wrote.
//!
//! Each exercise is one file in `book/exercises` with a `main` of one line, which hands
//! the reader's functions to the module of the same name here. That module says what is
//! asked for and what may be wrong; one engine, [`judge`], runs the functions, compares, names
//! the mistake, and makes the [`Report`].

#![forbid(unsafe_code)]

mod arrays;
mod batch;
mod checkers;
mod gradients;
pub mod known;
mod norm_forward;
mod predictions;
mod staged;

pub use checkers::*;
pub use verdict::{Heatmap, Line, Outcome, Report, Weight};
