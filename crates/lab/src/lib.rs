//! The experiments behind the book, one file each, and the gradient report.
//!
//! [`experiments`] lists them, [`run()`](run) runs one and writes its data and charts;
//! [`verify`] checks every gradient; [`book`] measures the numbers that chapters quote.

#![forbid(unsafe_code)]

pub mod book;
pub mod chart;
mod claims;
mod experiment;
mod experiments;
mod journal;
mod losses;
mod method;
mod moments;
mod recorded;
mod refusal;
mod runs;
mod session;
mod stats;
mod sweep;
mod text;
mod train;
pub mod verify;

pub use claims::{Answer, Claim};
pub use experiment::{
    Error, Experiment, Finding, Options, Outcome, overview, results, run, run_all,
};
pub use experiments::experiments;
pub use session::{Session, interrupted};
pub use stats::{Apart, Spread};
pub use train::{Epoch, Score, Training, fit, fit_watched, score};
