//! What can go wrong, in one line each.

use std::io;
use std::path::{Path, PathBuf};

use nn::data::DataError;
use verdict::COMMAND;

/// Why an experiment could not be run. One line each.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no experiment of this name.
    #[error("there is no experiment {name:?}; there are: {known}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A number on the command line makes no sense.
    #[error("{0}")]
    Options(String),
    /// The data could not be loaded.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Results are missing or other than expected.
    #[error("the results of {name:?} cannot be used: {reason}; run `{COMMAND} lab {name}`")]
    Results {
        /// The experiment.
        name: String,
        /// What is wrong with them.
        reason: String,
    },
    /// The list of what was run is there and cannot be read.
    #[error("the list of what was run, runs.json, cannot be read: {0}")]
    Runs(io::Error),
    /// Another process is at work on the same.
    #[error(
        "{name} is running already, and holds {}; wait until it is done, or end it",
        path.display()
    )]
    Held {
        /// What is running.
        name: String,
        /// The journal that it holds.
        path: PathBuf,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        Error::Write { path, source }
    }
}
