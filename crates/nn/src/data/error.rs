//! What can be wrong with a file of data.

use std::io;
use std::path::{Path, PathBuf};

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
    pub(super) fn read(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        DataError::Read { path, source }
    }

    pub(super) fn format(path: &Path, reason: String) -> Self {
        let path = path.to_path_buf();
        DataError::Format { path, reason }
    }
}
