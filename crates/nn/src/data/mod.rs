//! Data: handwritten digits, prose and words that come with the crate, a task on sequences,
//! and batches of them.
//!
//! The files are in the crate's folder `data`, with their sources and licences.

mod batches;
mod digits;
mod error;
mod idx;
mod recall;
mod text;

pub use batches::{BatchSize, batches};
pub use digits::{Digits, Examples, Set, folder};
pub use error::DataError;
pub use recall::{LabeledSequences, Recall};
pub use text::{Prose, TokenBatch, Words, all_windows, random_windows};
