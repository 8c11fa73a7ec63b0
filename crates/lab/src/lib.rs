//! The experiments behind the book, one file each, and the gradient report.
//!
//! [`experiments`] lists them, [`run()`](run) runs one and writes its data and charts;
//! [`verify`] checks every gradient; [`book`] measures the numbers that chapters quote.

#![forbid(unsafe_code)]

pub mod book;
pub mod chart;
mod claims;
mod error;
mod experiments;
mod journal;
mod kit;
mod moments;
mod options;
mod protocol;
mod refusal;
mod run;
mod runs;
mod session;
mod setting;
mod show;
mod stats;
mod study;
mod sweep;
mod text;
mod train;
pub mod verify;

pub use claims::{Answer, Claim};
pub use error::Error;
pub use experiments::experiments;
pub use options::{Options, results};
pub use run::{Outcome, draw, overview, run, run_all};
pub use session::{Session, interrupted};
pub use stats::{Apart, Spread};
pub use study::Experiment;
pub use train::{Epoch, Score, Training, fit, score};
