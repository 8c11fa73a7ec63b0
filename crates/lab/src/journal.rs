//! What an interrupted run leaves, so that it goes on where it stopped.
//!
//! A journal is only ever added to: at no moment does a finished run stand nowhere. A line
//! that a kill or a full disk has torn stays where it is and is skipped. Each combination
//! of program, protocol and options has a journal of its own, so that none replaces what
//! another has done; and one process at a time holds it.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::Error;

/// A job's key, its result, and the seconds that had been spent when it was done.
type Entry = (String, Value, f64);

/// Results of finished jobs, one line each, after a first line that says of what. Each line
/// says as well how much time had been spent when the job was done.
pub(crate) struct Journal {
    path: PathBuf,
    /// What its name begins with, as those of other programs and protocols do.
    stem: String,
    file: File,
    done: HashMap<String, Value>,
    /// Seconds that were spent before it was opened.
    spent: f64,
    opened: Instant,
}

impl Journal {
    /// Takes up what was done under the same name and header, or begins anew.
    ///
    /// # Errors
    /// When another process holds it, or it cannot be read or written.
    pub(crate) fn open(
        folder: &Path,
        name: &str,
        header: &Value,
        fresh: bool,
    ) -> Result<Self, Error> {
        let stem = format!(".{name}.");
        let mut hasher = DefaultHasher::new();
        header.to_string().hash(&mut hasher);
        let path = folder.join(format!("{stem}{:016x}.journal", hasher.finish()));
        let failed = |source| Error::write(&path, source);
        let mut file = hold(&path).map_err(failed)?.ok_or_else(|| Error::Held {
            name: name.to_owned(),
            path: path.clone(),
        })?;
        if fresh {
            file.set_len(0).map_err(failed)?;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let (done, spent) = entries(&bytes);
        if bytes.is_empty() {
            writeln!(file, "{header}").map_err(failed)?;
        } else if !bytes.ends_with(b"\n") {
            // A torn line ends here, and does not take the next one with it.
            writeln!(file).map_err(failed)?;
        }
        Ok(Journal {
            path,
            stem,
            file,
            done,
            spent,
            opened: Instant::now(),
        })
    }

    /// How many results it held when it was opened.
    pub(crate) fn count(&self) -> usize {
        self.done.len()
    }

    pub(crate) fn get<R: DeserializeOwned>(&self, key: &str) -> Option<R> {
        serde_json::from_value(self.done.get(key)?.clone()).ok()
    }

    /// Adds a result; when this returns, it is on the disk.
    pub(crate) fn put<R: Serialize>(&mut self, key: &str, result: &R) -> Result<(), Error> {
        let line = format!("{}\n", json!([key, result, self.seconds()]));
        self.file
            .write_all(line.as_bytes())
            .and_then(|()| self.file.sync_data())
            .map_err(|source| Error::write(&self.path, source))
    }

    /// The time that was spent on what it holds, and since it was opened.
    pub(crate) fn seconds(&self) -> f64 {
        self.spent + self.opened.elapsed().as_secs_f64()
    }

    /// What others of this name hold, who did not use this program or this protocol: how
    /// many results.
    pub(crate) fn of_others(&self) -> usize {
        let read = |path: &PathBuf| fs::read(path).map_or(0, |bytes| entries(&bytes).0.len());
        self.others().iter().map(read).sum()
    }

    /// It is not needed more: its results are where they belong. Nor are those of older
    /// programs and protocols, which these results replace.
    pub(crate) fn remove(&self) {
        for other in self.others() {
            if let Ok(Some(_held)) = hold(&other) {
                let _ = fs::remove_file(&other);
            }
        }
        // If it stays, the next run finds everything done.
        let _ = fs::remove_file(&self.path);
    }

    fn others(&self) -> Vec<PathBuf> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        let other = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            *path != self.path && name.starts_with(&self.stem) && name.ends_with(".journal")
        };
        files.map(|file| file.path()).filter(other).collect()
    }
}

/// Opens the file and locks it; `None` while another process holds it. The lock goes with
/// the process, however that ends.
fn hold(path: &Path) -> io::Result<Option<File>> {
    hold_while(path, || ())
}

/// The same, with something that happens between the opening and the lock.
fn hold_while(path: &Path, mut happens: impl FnMut()) -> io::Result<Option<File>> {
    loop {
        let open = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)?;
        happens();
        match open.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Who held it may have removed it between the opening and the lock.
        let held = same_file::Handle::from_file(open.try_clone()?)?;
        match same_file::Handle::from_path(path) {
            Ok(there) if there == held => return Ok(Some(open)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
}

/// All lines that are results, and the time that was spent on them.
fn entries(bytes: &[u8]) -> (HashMap<String, Value>, f64) {
    let lines = bytes.split(|byte| *byte == b'\n');
    let entries: Vec<Entry> = lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    let spent = entries.iter().map(|(_, _, spent)| *spent);
    let spent = spent.fold(0.0, f64::max);
    let done = entries.into_iter().map(|(key, result, _)| (key, result));
    (done.collect(), spent)
}

/// A number that changes with the program, so that results of another program are not
/// taken up. It is made of what the file holds: a copy is the same program.
pub(crate) fn program() -> u64 {
    static PROGRAM: OnceLock<u64> = OnceLock::new();
    *PROGRAM.get_or_init(|| {
        let mut hasher = DefaultHasher::new();
        let bytes = std::env::current_exe().and_then(fs::read);
        bytes.unwrap_or_default().hash(&mut hasher);
        hasher.finish()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    fn open(folder: &Path, header: &str) -> Journal {
        Journal::open(folder, "a", &json!(header), false).expect("opened")
    }

    fn file(folder: &Path) -> PathBuf {
        open(folder, "x").path.clone()
    }

    /// What an interrupted run took counts for the one that takes it up; what was thrown
    /// away does not.
    #[test]
    fn the_time_of_an_interrupted_run_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut first = open(folder.path(), "x");
        std::thread::sleep(Duration::from_millis(20));
        first.put("job", &1).expect("written");
        assert!(first.seconds() >= 0.02);
        let until = first.seconds();
        drop(first);
        for _ in 0..2 {
            let again = open(folder.path(), "x");
            assert!((0.02..until).contains(&again.spent));
            assert!(again.seconds() >= again.spent);
        }
        let fresh = Journal::open(folder.path(), "a", &json!("x"), true).expect("opened");
        assert_eq!((fresh.spent, fresh.count()), (0.0, 0));
    }

    /// A kill at any moment finds every finished run in the file: taking it up writes
    /// nothing, and a result is added at the end.
    #[test]
    fn a_journal_that_is_taken_up_is_not_written_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        for key in ["one", "two"] {
            open(folder.path(), "x").put(key, &key).expect("written");
        }
        let path = file(folder.path());
        let before = fs::read(&path).expect("read");
        let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_modified(past))
            .expect("dated");
        let mut journal = open(folder.path(), "x");
        assert_eq!(journal.count(), 2);
        let modified = fs::metadata(&path).and_then(|data| data.modified());
        assert_eq!(modified.expect("dated"), past);
        journal.put("three", &3).expect("written");
        assert!(fs::read(&path).expect("read").starts_with(&before));
    }

    /// Results after a torn line are results.
    #[test]
    fn a_torn_line_costs_itself_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        open(folder.path(), "x").put("one", &1).expect("written");
        let path = file(folder.path());
        let torn = fs::read(&path).expect("read");
        fs::write(&path, [&torn[..], b"[\"two\", \xff"].concat()).expect("torn");
        let mut journal = open(folder.path(), "x");
        assert_eq!(journal.count(), 1);
        journal.put("three", &3).expect("written");
        drop(journal);
        let journal = open(folder.path(), "x");
        assert_eq!(journal.get::<i32>("one"), Some(1));
        assert_eq!(journal.get::<i32>("three"), Some(3));
        assert_eq!(journal.count(), 2);
    }

    #[test]
    fn one_process_at_a_time_holds_a_journal() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = open(folder.path(), "x");
        let second = Journal::open(folder.path(), "a", &json!("x"), false);
        let message = second.map(|_| ()).expect_err("it is held").to_string();
        assert!(
            message.contains("is running") && !message.contains('\n'),
            "{message}"
        );
        drop(first);
        open(folder.path(), "x");
    }

    /// A result is never written into a file that has lost its name.
    #[test]
    fn a_journal_that_is_removed_in_the_moment_of_opening_is_made_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        for put_back in [false, true] {
            let mut removals = 0..1;
            let happens = || {
                if removals.next().is_some() {
                    fs::remove_file(&path).expect("removed");
                    if put_back {
                        fs::write(&path, "another's").expect("written");
                    }
                }
            };
            let mut held = hold_while(&path, happens).expect("opened").expect("free");
            writeln!(held, "result").expect("written");
            let text = fs::read_to_string(&path).expect("it has its name");
            assert!(text.ends_with("result\n"), "{text}");
        }
    }

    /// Another program or protocol neither takes up what is there nor replaces it; only
    /// results that are complete do, and not under another's hands.
    #[test]
    fn another_header_leaves_what_was_done_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        open(folder.path(), "x").put("one", &1).expect("written");
        let other = open(folder.path(), "y");
        assert_eq!((other.count(), other.of_others()), (0, 1));
        let held = open(folder.path(), "x");
        other.remove();
        assert_eq!(held.count(), 1);
        assert!(held.path.exists() && !other.path.exists());
        drop(held);
        let other = open(folder.path(), "y");
        other.remove();
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 0);
        // A journal that is removed at last is not gone on with by who had waited for it.
        drop(other);
        assert_eq!(open(folder.path(), "x").count(), 0);
    }
}
