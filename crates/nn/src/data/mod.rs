//! Data: handwritten digits, prose and words that come with the crate, a task on sequences,
//! and batches of them.
//!
//! The files are in the crate's folder `data`, with their sources and licences.

mod batches;
mod digits;
mod idx;
mod recall;
mod text;

use std::io;
use std::path::{Path, PathBuf};

pub use batches::{BatchSize, batches};
pub use digits::{Digits, Examples, Set, folder};
pub use recall::{LabeledSequences, Recall};
pub use text::{Prose, TokenBatch, Words, all_windows, random_windows};

/// Why data could not be loaded. One line each, naming the file.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file does not hold what it should.
    #[error("{} is damaged: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl DataError {
    fn read(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        DataError::Read { path, source }
    }

    fn format(path: &Path, reason: String) -> Self {
        let path = path.to_path_buf();
        DataError::Format { path, reason }
    }
}
