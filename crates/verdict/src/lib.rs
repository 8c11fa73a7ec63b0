//! The verdict on an exercise, and the way it takes to whoever asked for it.
//!
//! The exercise's own program makes the [`Report`] and [tells](channel::tell) it; the course
//! runs that program and [reads](channel::read) it. Each depends on this crate and neither on
//! the other: the book opens before a single checker is compiled.

pub mod channel;
pub mod cli;
mod moment;
mod report;

use std::env;
use std::path::{Path, PathBuf};

pub use moment::Moment;
pub use report::{Heatmap, Line, Outcome, Report, Weight};

/// What a reader types before every command, in the folder of the book.
pub const COMMAND: &str = "cargo run --";

/// The command that a reader types to do this, such as `hint bn_forward`.
#[must_use]
pub fn command(arguments: &str) -> String {
    format!("{COMMAND} {arguments}")
}

/// The variable that tells a program which the course starts where its reader is: it runs in the
/// folder of the checkout.
pub const FOLDER: &str = "COURSE_FOLDER";

/// A path that is relative to where the reader is, who may have come here through the course.
#[must_use]
pub fn beside_the_reader(path: &Path) -> PathBuf {
    match env::var_os(FOLDER) {
        Some(folder) => Path::new(&folder).join(path),
        None => path.to_owned(),
    }
}
