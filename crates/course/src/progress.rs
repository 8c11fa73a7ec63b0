//! What the reader has done, in a small TOML file.

use crate::files::write_atomically;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;

/// How far the reader has come with one exercise.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Never checked, or nothing written yet.
    #[default]
    Open,
    /// Written, but the last check did not pass.
    Tried,
    /// The last check passed.
    Passed,
}

/// One exercise in the progress file.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What the last check said.
    #[serde(default)]
    pub state: State,
    /// How many times it was checked with something written in it.
    #[serde(default)]
    pub attempts: u32,
    /// How many of its hints were asked for in the terminal.
    #[serde(default)]
    pub hints: u8,
}

/// The progress file: one table for each exercise that was ever checked.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Progress {
    entries: BTreeMap<String, Entry>,
}

const HEADER: &str =
    "# What you have done so far. Written by `course`; delete a table to forget it.\n";

impl Progress {
    /// Reads the progress file; a missing one is an empty one.
    ///
    /// # Errors
    /// Says where the file is wrong when it cannot be read. It is then left as it is.
    pub fn load(workspace: &Workspace) -> Result<Self> {
        let path = workspace.progress();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot read {}", workspace.relative(&path)));
            }
        };
        toml::from_str(&text).with_context(|| {
            format!(
                "{} cannot be read; correct it, or delete it to start afresh",
                workspace.relative(&path)
            )
        })
    }

    /// Writes the progress file in one step.
    ///
    /// # Errors
    /// The file-system's error, naming the file.
    pub fn save(&self, workspace: &Workspace) -> Result<()> {
        let text = toml::to_string(self).context("cannot print the progress")?;
        write_atomically(&workspace.progress(), &format!("{HEADER}\n{text}"))
    }

    /// How far the reader is with the exercise `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Entry {
        self.entries.get(name).copied().unwrap_or_default()
    }

    /// Records one check of `name`; `written` is false while its body is `todo!()`.
    pub fn record(&mut self, name: &str, written: bool, passed: bool) {
        let entry = self.entries.entry(name.to_owned()).or_default();
        entry.attempts += u32::from(written);
        entry.state = match (written, passed) {
            (_, true) => State::Passed,
            (true, false) => State::Tried,
            (false, false) => State::Open,
        };
    }

    /// Records that hint number `hint` (from 1) of `name` was shown.
    pub fn record_hint(&mut self, name: &str, hint: u8) {
        let entry = self.entries.entry(name.to_owned()).or_default();
        entry.hints = entry.hints.max(hint);
    }

    /// Forgets the exercise `name`.
    pub fn forget(&mut self, name: &str) {
        self.entries.remove(name);
    }

    /// How many exercises have passed.
    #[must_use]
    pub fn passed(&self) -> usize {
        let passed = |entry: &&Entry| entry.state == State::Passed;
        self.entries.values().filter(passed).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn workspace(dir: &Path) -> Workspace {
        fs::create_dir_all(dir.join("book")).unwrap();
        fs::write(dir.join("Cargo.toml"), "").unwrap();
        fs::write(dir.join("book/book.toml"), "").unwrap();
        Workspace::at(dir).unwrap()
    }

    #[test]
    fn what_was_saved_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = workspace(dir.path());
        let mut progress = Progress::load(&workspace).unwrap();
        assert_eq!(progress, Progress::default());
        progress.record("a", false, false);
        progress.record("b", true, false);
        progress.record("b", true, true);
        progress.record_hint("c", 2);
        progress.save(&workspace).unwrap();
        let read = Progress::load(&workspace).unwrap();
        assert_eq!(read, progress);
        assert_eq!(read.get("a").state, State::Open);
        assert_eq!(
            read.get("b"),
            Entry {
                state: State::Passed,
                attempts: 2,
                hints: 0
            }
        );
        assert_eq!(read.get("c").hints, 2);
        assert_eq!(read.passed(), 1);
    }

    #[test]
    fn a_damaged_file_is_an_error_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = workspace(dir.path());
        for text in ["[a\n", "[a]\nstate = \"finished\"\n", "[a]\ncolour = 1\n"] {
            fs::write(workspace.progress(), text).unwrap();
            let error = format!("{:#}", Progress::load(&workspace).unwrap_err());
            assert!(error.contains("book/progress.toml"), "{error}");
            assert_eq!(fs::read_to_string(workspace.progress()).unwrap(), text);
        }
    }
}
