//! What the reader has done, in a small TOML file.

use crate::files::{Lock, write_atomically};
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
    /// Written, but it has not passed yet.
    Tried,
    /// It has passed, whatever became of it since.
    Passed,
}

/// One exercise in the progress file.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What the checks have said so far.
    #[serde(default)]
    pub state: State,
    /// How many times it was checked with something written in it.
    #[serde(default)]
    pub attempts: u32,
    /// How many of its hints were asked for in the terminal.
    #[serde(default)]
    pub hints: u8,
    /// The [fingerprint](crate::digest::fingerprint) of the file that passed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<String>,
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

    /// Changes the progress file in one step, and returns what it holds from then on.
    /// One command at a time does this, and each begins with what the one before it
    /// wrote: nothing that another has recorded is lost.
    ///
    /// # Errors
    /// When the file cannot be read, and is then left as it is, or cannot be written.
    pub fn update(workspace: &Workspace, change: impl FnOnce(&mut Self)) -> Result<Self> {
        let _alone = Lock::wait(&workspace.lock("progress"))?;
        let mut progress = Self::load(workspace)?;
        change(&mut progress);
        let text = toml::to_string(&progress).context("cannot print the progress")?;
        write_atomically(&workspace.progress(), format!("{HEADER}\n{text}"))?;
        Ok(progress)
    }

    /// How far the reader is with the exercise `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Entry {
        self.entries.get(name).cloned().unwrap_or_default()
    }

    /// Records one check of `name`, whose file has this fingerprint; `written` is false
    /// while its body is `todo!()`. What has passed once stays passed.
    pub fn record(&mut self, name: &str, written: bool, passed: bool, fingerprint: &str) {
        let entry = self.entries.entry(name.to_owned()).or_default();
        entry.attempts = entry.attempts.saturating_add(u32::from(written));
        if passed {
            entry.state = State::Passed;
            entry.passed = Some(fingerprint.to_owned());
        } else if entry.state != State::Passed {
            entry.state = if written { State::Tried } else { State::Open };
        }
    }

    /// Records that hint number `hint` (from 1) of `name` was shown.
    pub fn record_hint(&mut self, name: &str, hint: u8) {
        let entry = self.entries.entry(name.to_owned()).or_default();
        entry.hints = entry.hints.max(hint);
    }

    /// The reader begins the exercise `name` anew: attempts and hints are counted from the
    /// start. What has passed once stays passed.
    pub fn begin_anew(&mut self, name: &str) {
        let Some(old) = self.entries.remove(name) else {
            return;
        };
        if old.state == State::Passed {
            let new = Entry {
                attempts: 0,
                hints: 0,
                ..old
            };
            self.entries.insert(name.to_owned(), new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;
    use std::path::Path;

    fn workspace(dir: &Path) -> Workspace {
        fs::create_dir_all(dir.join("book")).unwrap();
        fs::write(dir.join("Cargo.toml"), "").unwrap();
        fs::write(dir.join("book/book.toml"), "").unwrap();
        Workspace::at(dir).unwrap()
    }

    fn catalogue(names: &[&str]) -> Catalogue {
        let exercise = |name: &&str| {
            format!(
                "[[exercise]]\nname = '{name}'\ntitle = 't'\ntask = 't'\n\
                 hints = ['1', '2', '3']\nexplanation = 'e'\nread_next = 'r'\n"
            )
        };
        toml::from_str(&names.iter().map(exercise).collect::<String>()).unwrap()
    }

    #[test]
    fn what_was_saved_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = workspace(dir.path());
        assert_eq!(Progress::load(&workspace).unwrap(), Progress::default());
        let progress = Progress::update(&workspace, |progress| {
            progress.record("a", false, false, "1");
            progress.record("b", true, false, "2");
            progress.record("b", true, true, "3");
            progress.record_hint("c", 2);
        })
        .unwrap();
        let read = Progress::load(&workspace).unwrap();
        assert_eq!(read, progress);
        assert_eq!(read.get("a").state, State::Open);
        assert_eq!(
            read.get("b"),
            Entry {
                state: State::Passed,
                attempts: 2,
                hints: 0,
                passed: Some("3".to_owned()),
            }
        );
        assert_eq!(read.get("c").hints, 2);
    }

    #[test]
    fn what_has_passed_stays_passed() {
        let mut progress = Progress::default();
        progress.record("a", true, true, "1");
        progress.record("a", true, false, "2");
        progress.record("a", false, false, "3");
        let entry = progress.get("a");
        assert_eq!(entry.state, State::Passed);
        assert_eq!(entry.passed.as_deref(), Some("1"));
        assert_eq!(entry.attempts, 2);
        progress.record("a", true, true, "4");
        progress.record_hint("a", 2);
        progress.begin_anew("a");
        let again = Entry {
            state: State::Passed,
            passed: Some("4".to_owned()),
            ..Entry::default()
        };
        assert_eq!(progress.get("a"), again);
        progress.record("b", true, false, "1");
        progress.begin_anew("b");
        assert_eq!(progress.get("b"), Entry::default());
    }

    /// An exercise that has another name now is not one of those that count.
    #[test]
    fn only_exercises_of_the_catalogue_are_counted() {
        let mut progress = Progress::default();
        for name in ["a", "b", "old"] {
            progress.record(name, true, true, "1");
        }
        progress.record("c", true, false, "1");
        assert_eq!(catalogue(&["a", "b", "c"]).passed(&progress), 2);
    }

    #[test]
    fn counting_ends_at_the_largest_number() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = workspace(dir.path());
        let text = format!("[a]\nattempts = {}\nhints = 255\n", u32::MAX);
        fs::write(workspace.progress(), text).unwrap();
        let progress = Progress::update(&workspace, |progress| {
            progress.record("a", true, false, "1");
            progress.record_hint("a", 1);
        })
        .unwrap();
        assert_eq!(progress.get("a").attempts, u32::MAX);
        assert_eq!(progress.get("a").hints, 255);
    }

    /// Each writer begins with what the one before it wrote.
    #[test]
    fn nothing_is_lost_when_many_write_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = workspace(dir.path());
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let workspace = &workspace;
                scope.spawn(move || {
                    for _ in 0..10 {
                        Progress::update(workspace, |progress| {
                            progress.record("shared", true, false, "1");
                            progress.record(&format!("own-{writer}"), true, false, "1");
                        })
                        .unwrap();
                    }
                });
            }
        });
        let progress = Progress::load(&workspace).unwrap();
        assert_eq!(progress.get("shared").attempts, 80);
        for writer in 0..8 {
            assert_eq!(progress.get(&format!("own-{writer}")).attempts, 10);
        }
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
