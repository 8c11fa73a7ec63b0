//! The experiments behind the book, one file each.
//!
//! [`experiments`] lists them, and [`run()`](run) runs one and writes its data and charts.

#![forbid(unsafe_code)]

mod baseline;
mod claims;
mod counts;
mod edges;
mod error;
mod experiments;
mod held;
mod journal;
mod kit;
mod moments;
mod options;
mod paired;
mod prose;
mod protocol;
mod refusal;
mod run;
mod runs;
mod session;
mod setting;
mod show;
mod stack;
mod start;
mod steps;
mod study;
mod sweep;
mod text;
mod train;

pub use claims::{Answer, Claim};
pub use error::Error;
pub use experiments::experiments;
pub use options::{Options, Seeds, results};
pub use paired::{Apart, CHANCE, Paired, Sample, may_be_against};
pub use run::{Outcome, draw, overview, run, run_all};
pub use session::interrupted;
pub use study::Experiment;
