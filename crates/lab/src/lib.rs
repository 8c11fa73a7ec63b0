//! The experiments behind the book, one file each, and the gradient report.
//!
//! [`experiments`] lists them, [`run()`](run) runs one and writes its data and charts;
//! [`verify`] checks every gradient; [`book`] measures the numbers that chapters quote.

#![forbid(unsafe_code)]

pub mod book;
pub mod chart;
mod experiment;
mod experiments;
mod session;
mod stats;
mod train;
pub mod verify;

pub use experiment::{Error, Experiment, Finding, Options, Outcome, results, run};
pub use experiments::experiments;
pub use session::Session;
pub use stats::Spread;
pub use train::{Diverged, Epoch, Score, Training, fit, score};
