//! What the book holds of its live figures: modules for the browser, and a still of each.
//!
//! Both are committed, in `book/live`, so that whoever builds the book needs neither a compiler
//! for WebAssembly nor the time for it. A test says when they are older than what they are made
//! from, and `cargo run -- book live` makes them anew.

pub mod book;
pub mod module;
pub mod record;
pub mod results;
pub mod sources;
pub mod stills;

use std::path::{Path, PathBuf};

/// The command that makes all of this anew.
pub const COMMAND: &str = "cargo run -- book live";

/// The root of the checkout.
///
/// # Panics
/// If it is gone.
#[must_use]
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the checkout is where it was")
}

/// Where the modules and the stills lie.
#[must_use]
pub fn folder(root: &Path) -> PathBuf {
    root.join("book/live")
}
