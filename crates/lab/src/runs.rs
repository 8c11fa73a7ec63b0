//! What was run last, and how long it took: the list behind the book's page on reproducing
//! its numbers.
//!
//! Beside the results of the experiments lies a file `runs.json` with one entry for each,
//! in their order. A run that found something else than stood there replaces its own.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use nn::write_atomically;
use serde::{Deserialize, Serialize};

/// The name of the list in its folder.
const FILE: &str = "runs.json";
/// Held by who changes the list.
const LOCK: &str = ".runs.lock";

/// One thing that was run.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Ran {
    /// Its name.
    pub name: String,
    /// The chapter that uses it, or that it is an appendix.
    pub chapter: String,
    /// One line that says what it is.
    pub about: String,
    /// The command that runs it.
    pub command: String,
    /// The file with its results.
    pub file: String,
    /// How long it took, with what an interrupted run had done of it.
    pub seconds: f64,
    /// How many trainings ran at a time, in the end.
    pub threads: usize,
}

/// The list of `folder`; empty when there is none.
///
/// # Errors
/// When it is there and cannot be read.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<Ran>> {
    match fs::read_to_string(folder.join(FILE)) {
        Ok(text) => Ok(serde_json::from_str(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Whether the list of `folder` holds something of this name.
///
/// # Errors
/// When it is there and cannot be read.
pub(crate) fn notes(folder: &Path, name: &str) -> io::Result<bool> {
    Ok(list(folder)?.iter().any(|ran| ran.name == name))
}

/// Puts `ran` into the list of `folder`, in place of what has its name. The list is in the
/// order of `names`, and holds no others. Several processes may do this at once.
///
/// # Errors
/// When the list cannot be read or written.
pub(crate) fn note(folder: &Path, ran: Ran, names: &[&str]) -> io::Result<()> {
    // What others note between the reading and the writing would be lost.
    let lock = File::create(folder.join(LOCK))?;
    lock.lock()?;
    let mut all = list(folder)?;
    all.retain(|other| other.name != ran.name);
    all.push(ran);
    let place = |ran: &Ran| names.iter().position(|name| *name == ran.name);
    all.retain(|ran| place(ran).is_some());
    all.sort_by_key(place);
    let text = serde_json::to_string_pretty(&all)?;
    write_atomically(&folder.join(FILE), (text + "\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(name: &str, seconds: f64) -> Ran {
        Ran {
            name: name.to_owned(),
            chapter: "1".to_owned(),
            about: String::new(),
            command: String::new(),
            file: String::new(),
            seconds,
            threads: 1,
        }
    }

    #[test]
    fn a_run_replaces_its_own_entry_and_what_is_gone_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let names = ["a", "b", "c"];
        for (name, seconds) in [("c", 1.0), ("a", 2.0), ("b", 3.0), ("a", 4.0)] {
            note(folder.path(), ran(name, seconds), &names).expect("noted");
        }
        note(folder.path(), ran("b", 5.0), &["a", "b"]).expect("noted");
        let all = list(folder.path()).expect("a list");
        assert_eq!(all, [ran("a", 4.0), ran("b", 5.0)]);
        fs::write(folder.path().join(FILE), "torn").expect("written");
        assert!(list(folder.path()).is_err());
    }

    /// Labs that end at the same time do not lose each other's entries.
    #[test]
    fn several_may_note_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let names: Vec<String> = (0..16).map(|n| n.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        std::thread::scope(|scope| {
            for name in &names {
                scope.spawn(|| note(folder.path(), ran(name, 1.0), &names).expect("noted"));
            }
        });
        assert_eq!(list(folder.path()).expect("a list").len(), names.len());
    }
}
