//! The verdict on an exercise, and the way it takes to whoever asked for it.
//!
//! The exercise's own program makes the [`Report`] and [tells](channel::tell) it; the course
//! runs that program and [reads](channel::read) it. Each depends on this crate and neither on
//! the other: the book opens before a single checker is compiled.

pub mod channel;
mod report;

pub use report::{Heatmap, Line, Outcome, Report};
