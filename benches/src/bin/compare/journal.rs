//! What has been measured so far, a line for each time, so that a measurement that was stopped
//! goes on where it was.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The file of what is known, and when to stop.
pub struct Journal {
    path: Option<PathBuf>,
    known: HashMap<String, Value>,
    start: Instant,
    seconds: Option<u64>,
}

impl Journal {
    /// Opens the journal at `path`. What it holds counts if it is of the same `subject`: the same
    /// program, measuring the same things in the same way.
    pub fn open(path: &Path, subject: &Value, seconds: Option<u64>) -> Result<Self> {
        let text = fs::read_to_string(path).unwrap_or_default();
        let mut lines = text.lines();
        let first = lines
            .next()
            .and_then(|line| serde_json::from_str(line).ok());
        let same = first.as_ref() == Some(subject);
        let entry = |line: &str| -> Option<(String, Value)> {
            let mut line: Value = serde_json::from_str(line).ok()?;
            Some((line["key"].as_str()?.to_owned(), line["value"].take()))
        };
        let mut journal = Journal {
            path: Some(path.to_owned()),
            known: HashMap::new(),
            start: Instant::now(),
            seconds,
        };
        if same {
            journal.known = lines.filter_map(entry).collect();
            eprintln!("{} times are known from before", journal.known.len());
        } else {
            fs::write(path, format!("{subject}\n"))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(journal)
    }

    /// A journal without a file, of a measurement that is not to be stopped.
    pub fn nowhere() -> Self {
        Journal {
            path: None,
            known: HashMap::new(),
            start: Instant::now(),
            seconds: None,
        }
    }

    /// The value of this key: as it is known, or else as `find` finds it now. `None` when the
    /// time is over and it has to be found.
    pub fn value(
        &mut self,
        key: String,
        find: impl FnOnce() -> Result<Value>,
    ) -> Result<Option<Value>> {
        if let Some(value) = self.known.get(&key) {
            return Ok(Some(value.clone()));
        }
        if self.over() {
            return Ok(None);
        }
        let value = find()?;
        if let Some(path) = &self.path {
            let line = json!({ "key": key, "value": value });
            let mut file = File::options().append(true).open(path)?;
            writeln!(file, "{line}").with_context(|| format!("cannot write {}", path.display()))?;
        }
        self.known.insert(key, value.clone());
        Ok(Some(value))
    }

    /// Whether the time that was given is over.
    fn over(&self) -> bool {
        let limit = self.seconds.map(Duration::from_secs);
        limit.is_some_and(|limit| self.start.elapsed() >= limit)
    }

    /// How much is known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Removes the file: what it held has gone into the results.
    pub fn done(self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }
}

/// What a measurement's times belong to: this program, as it was built, and what it was asked.
pub fn subject(asked: &str, sides: &[String]) -> Value {
    let program = std::env::current_exe().and_then(fs::metadata);
    let built = program.ok().and_then(|program| {
        let time = program.modified().ok()?;
        Some(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis() as u64)
    });
    json!({ "asked": asked, "sides": sides, "built": built })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_not_found_again_unless_the_subject_is_another() {
        let folder = std::env::temp_dir().join(format!("journal-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("journal");
        let ask = |subject: &str, seconds, found: u64| {
            let mut journal = Journal::open(&path, &json!(subject), seconds).expect("it opens");
            let value = journal.value("a".into(), || Ok(json!(found)));
            value.expect("it is found")
        };
        assert_eq!(ask("one", Some(0), 1), None);
        assert_eq!(ask("one", None, 1), Some(json!(1)));
        assert_eq!(ask("one", Some(0), 2), Some(json!(1)));
        assert_eq!(ask("two", None, 3), Some(json!(3)));
        // A line that was cut is as if it had not been written.
        let mut file = File::options()
            .append(true)
            .open(&path)
            .expect("it is there");
        write!(file, "{{\"key\": \"b\", \"val").expect("written");
        assert_eq!(ask("two", Some(0), 4), Some(json!(3)));
        fs::remove_dir_all(&folder).expect("it goes");
    }
}
