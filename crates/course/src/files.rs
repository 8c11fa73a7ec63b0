//! Files of the reader's: written so that a kill in mid-write loses nothing, replaced so
//! that a save in the same moment loses nothing, by one process at a time.

use anyhow::{Context, Result};
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::NamedTempFile;

const PREFIX: &str = ".course-";
const SUFFIX: &str = ".tmp";
/// A temporary file as old as this belongs to a process that was killed.
const STALE: Duration = Duration::from_secs(60 * 60);

/// Writes `contents` to `path` in one step: a temporary file in the same folder is
/// written, flushed to the disk and renamed over `path`. A process killed at any
/// moment leaves either the old file or the new one. A symbolic link stays one: what it
/// points to is written.
///
/// # Errors
/// The file-system's error, naming `path`.
pub fn write_atomically(path: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    let write = || -> io::Result<()> {
        let path = followed(path);
        prepare(&path, contents.as_ref())?.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Puts `contents` in the place of `path`, and moves what was there into the folder
/// `backups`, under the next free name `stem-1.ext`, `stem-2.ext`, …; returns these
/// names, of which there is none when there was no file. The file is moved, not copied:
/// a save that an editor has begun ends in the backup. A save by rename in the same
/// moment makes a second backup.
///
/// # Errors
/// The file-system's error, naming the file; what was there is then where it was.
pub fn replace(path: &Path, contents: &[u8], backups: &Path) -> Result<Vec<PathBuf>> {
    replace_while(path, contents, backups, || ())
}

/// The same, with something that happens after each move.
fn replace_while(
    path: &Path,
    contents: &[u8],
    backups: &Path,
    mut happens: impl FnMut(),
) -> Result<Vec<PathBuf>> {
    let path = &followed(path);
    let cannot_write = || format!("cannot write {}", path.display());
    // A full disk is met here, where nothing has been moved yet.
    let mut new = prepare(path, contents).with_context(cannot_write)?;
    let mut kept = Vec::new();
    loop {
        kept.extend(move_away(path, backups)?);
        happens();
        let failed = match new.persist_noclobber(path) {
            Ok(_) => return Ok(kept),
            Err(failed) => failed,
        };
        if failed.error.kind() != ErrorKind::AlreadyExists {
            if let Some(last) = kept.last() {
                // Nothing is lost when this fails too: it is in the backups.
                let _ = fs::rename(last, path);
            }
            return Err(failed.error).with_context(cannot_write);
        }
        new = failed.file;
    }
}

/// The backups of `path` in the folder `backups` with their numbers, the newest last.
///
/// # Errors
/// The file-system's error, when there is such a folder and it cannot be read.
pub fn backups_of(path: &Path, backups: &Path) -> Result<Vec<(u32, PathBuf)>> {
    let entries = match fs::read_dir(backups) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", backups.display()));
        }
    };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut found = Vec::new();
    for entry in entries {
        let file = entry.with_context(|| format!("cannot read {}", backups.display()))?;
        let file = file.path();
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let number = name.strip_prefix(&*stem).and_then(|n| n.strip_prefix('-'));
        if let Some(number) = number.and_then(|number| number.parse().ok())
            && file.extension() == path.extension()
        {
            found.push((number, file));
        }
    }
    found.sort();
    Ok(found)
}

/// Moves `path`, if it is there, into the folder `backups`.
fn move_away(path: &Path, backups: &Path) -> Result<Option<PathBuf>> {
    let last = backups_of(path, backups)?.last().map_or(0, |last| last.0);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let name = format!("{stem}-{}.{extension}", u64::from(last) + 1);
    let copy = backups.join(name);
    fs::create_dir_all(backups).with_context(|| format!("cannot create {}", backups.display()))?;
    let moved = match fs::rename(path, &copy) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => move_across(path, &copy),
        other => other,
    };
    match moved {
        Ok(()) => Ok(Some(copy)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot write {}", copy.display())),
    }
}

/// The folder of backups, or the exercise that a link points to, may lie on another disk.
fn move_across(path: &Path, copy: &Path) -> io::Result<()> {
    prepare(copy, &fs::read(path)?)?.persist_noclobber(copy)?;
    fs::remove_file(path)
}

/// A temporary file beside `path`, written and flushed to the disk, with the permissions
/// that the file at `path` has.
fn prepare(path: &Path, contents: &[u8]) -> io::Result<NamedTempFile> {
    let dir = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir)?;
    sweep(dir)?;
    let mut file = tempfile::Builder::new()
        .prefix(PREFIX)
        .suffix(SUFFIX)
        .tempfile_in(dir)?;
    file.write_all(contents)?;
    file.as_file().sync_all()?;
    if let Ok(old) = fs::metadata(path) {
        fs::set_permissions(file.path(), old.permissions())?;
    } else {
        share(file.path())?;
    }
    Ok(file)
}

/// Removes the temporary files that killed processes left in `dir`.
fn sweep(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) {
            let written = entry.metadata().and_then(|data| data.modified());
            let age = written.map(|time| time.elapsed().unwrap_or_default());
            if age.is_ok_and(|age| age > STALE) {
                // Another process may sweep at the same time.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
    Ok(())
}

/// The file that a chain of symbolic links ends in, whether it is there or not.
fn followed(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    // As many links as Linux follows: two that point to each other come to an end.
    for _ in 0..40 {
        let Ok(target) = fs::read_link(&path) else {
            break;
        };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    path
}

/// A temporary file is private to its owner; a new file of the reader's is not.
#[cfg(unix)]
fn share(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn share(_: &Path) -> io::Result<()> {
    Ok(())
}

/// What tells one version of a file from another without reading it. Where the system
/// counts them, the file's number and the time of its last change of any kind belong to
/// it: no command sets these, so a file that was put back with its old time and has the
/// same length is another all the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stamp {
    modified: SystemTime,
    length: u64,
    change: Change,
}

/// Seconds, nanoseconds, and the file's number.
#[cfg(unix)]
type Change = (i64, i64, u64);
#[cfg(not(unix))]
type Change = ();

#[cfg(unix)]
fn change(data: &Metadata) -> Change {
    use std::os::unix::fs::MetadataExt;
    (data.ctime(), data.ctime_nsec(), data.ino())
}

#[cfg(not(unix))]
fn change(_: &Metadata) -> Change {}

impl Stamp {
    /// The stamp of the file at `path`, or nothing when there is none.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn of(path: &Path) -> io::Result<Option<Self>> {
        let data = match fs::metadata(path) {
            Ok(data) => data,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !data.is_file() {
            return Ok(None);
        }
        Ok(Some(Self {
            modified: data.modified()?,
            length: data.len(),
            change: change(&data),
        }))
    }

    /// Whether the file was changed at `time` or later.
    #[must_use]
    pub fn is_after(&self, time: SystemTime) -> bool {
        #[cfg(unix)]
        let changed = {
            let (seconds, nanoseconds, _) = self.change;
            let since = time.duration_since(SystemTime::UNIX_EPOCH);
            since.is_ok_and(|since| {
                let whole = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
                (seconds, nanoseconds) >= (whole, i64::from(since.subsec_nanos()))
            })
        };
        #[cfg(not(unix))]
        let changed = false;
        changed || self.modified >= time
    }
}

/// Held by one process at a time; let go when this is dropped, or the process ends in
/// any way.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Waits until no other process holds the lock at `path`.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn wait(path: &Path) -> Result<Self> {
        let file = Self::open(path)?;
        match file.lock() {
            Ok(()) => Ok(Self(file)),
            // A few drives have no locks: then one reader's commands are all there is.
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(Self(file)),
            Err(error) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
    }

    /// The lock at `path`, or nothing when another process holds it.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn free(path: &Path) -> Result<Option<Self>> {
        let file = Self::open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
                Ok(Some(Self(file)))
            }
            Err(fs::TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }

    /// Writes what other processes may read while this one holds the lock.
    ///
    /// # Errors
    /// The file-system's error.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        self.0.set_len(0)?;
        self.0.write_all(text.as_bytes())
    }

    fn open(path: &Path) -> Result<File> {
        let open = || {
            fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
            File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(path)
        };
        open().with_context(|| format!("cannot open {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_replaces_and_leaves_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("progress.toml");
        write_atomically(&path, "old").unwrap();
        write_atomically(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    /// A hard link made before the write still sees the old text: the file itself is
    /// never opened for writing, so there is no moment at which it is truncated.
    #[cfg(unix)]
    #[test]
    fn the_old_file_is_never_opened_for_writing() {
        let dir = tempfile::tempdir().unwrap();
        let (path, witness) = (dir.path().join("a.rs"), dir.path().join("witness"));
        fs::write(&path, "what the reader wrote").unwrap();
        fs::hard_link(&path, &witness).unwrap();
        write_atomically(&path, "stub").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "stub");
        assert_eq!(
            fs::read_to_string(&witness).unwrap(),
            "what the reader wrote"
        );
    }

    #[test]
    fn a_failed_write_keeps_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        fs::create_dir(&path).unwrap();
        let error = write_atomically(&path, "x").unwrap_err();
        assert!(format!("{error:#}").contains("taken"), "{error:#}");
        assert!(path.is_dir());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    /// What a killed process left behind goes with the next write; what another process
    /// is writing at this moment stays.
    #[test]
    fn stale_temporary_files_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let (old, young) = (
            dir.path().join(".course-abc.tmp"),
            dir.path().join(".course-def.tmp"),
        );
        for file in [&old, &young] {
            fs::write(file, "half").unwrap();
        }
        let long_ago = SystemTime::now() - 2 * STALE;
        let file = File::options().write(true).open(&old).unwrap();
        file.set_modified(long_ago).unwrap();
        write_atomically(&dir.path().join("progress.toml"), "new").unwrap();
        assert!(!old.exists() && young.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let (link, far) = (dir.path().join("a.rs"), dir.path().join("far"));
        fs::create_dir(&far).unwrap();
        // What it points to need not be there yet.
        symlink("far/a.rs", &link).unwrap();
        write_atomically(&link, "one").unwrap();
        assert_eq!(fs::read_to_string(far.join("a.rs")).unwrap(), "one");
        let kept = replace(&link, b"two", &dir.path().join("backups")).unwrap();
        assert_eq!(fs::read_to_string(far.join("a.rs")).unwrap(), "two");
        assert_eq!(fs::read_to_string(&kept[0]).unwrap(), "one");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        // Two links that point to each other are an error, and no endless loop.
        symlink("c", dir.path().join("b")).unwrap();
        symlink("b", dir.path().join("c")).unwrap();
        assert!(fs::read_to_string(dir.path().join("b")).is_err());
        write_atomically(&dir.path().join("b"), "three").unwrap();
    }

    #[test]
    fn every_backup_gets_a_name_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bn.rs");
        let keep = dir.path().join("backups");
        assert!(replace(&path, b"stub", &keep).unwrap().is_empty());
        for text in ["first", "second"] {
            fs::write(&path, text).unwrap();
            assert_eq!(replace(&path, b"stub", &keep).unwrap().len(), 1);
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "stub");
        assert_eq!(fs::read_to_string(keep.join("bn-1.rs")).unwrap(), "first");
        assert_eq!(fs::read_to_string(keep.join("bn-2.rs")).unwrap(), "second");
        // The newest has the highest number, also where older ones were deleted.
        fs::remove_file(keep.join("bn-1.rs")).unwrap();
        fs::write(keep.join("bn-x.rs"), "").unwrap();
        replace(&path, b"stub", &keep).unwrap();
        let numbers: Vec<u32> = backups_of(&path, &keep)
            .unwrap()
            .into_iter()
            .map(|(number, _)| number)
            .collect();
        assert_eq!(numbers, [2, 3]);
    }

    /// An editor that writes into the file it has open writes into the backup.
    #[test]
    fn a_save_that_has_begun_ends_in_the_backup() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bn.rs");
        fs::write(&path, "first half").unwrap();
        let mut editor = File::options().append(true).open(&path).unwrap();
        let kept = replace(&path, b"stub", &dir.path().join("backups")).unwrap();
        editor.write_all(b", second half").unwrap();
        assert_eq!(
            fs::read_to_string(&kept[0]).unwrap(),
            "first half, second half"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "stub");
    }

    /// An editor that renames a new file over the old one, twice in the moment between.
    #[test]
    fn no_save_falls_between_the_backup_and_the_stub() {
        let dir = tempfile::tempdir().unwrap();
        let (path, keep) = (dir.path().join("bn.rs"), dir.path().join("backups"));
        fs::write(&path, "first").unwrap();
        let mut saves = vec!["third", "second"];
        let save = || {
            if let Some(text) = saves.pop() {
                let new = dir.path().join("new");
                fs::write(&new, text).unwrap();
                fs::rename(&new, &path).unwrap();
            }
        };
        let kept = replace_while(&path, b"stub", &keep, save).unwrap();
        let read = |file: &PathBuf| fs::read_to_string(file).unwrap();
        let kept: Vec<String> = kept.iter().map(read).collect();
        assert_eq!(kept, ["first", "second", "third"]);
        assert_eq!(read(&path), "stub");
    }

    /// When the stub cannot be put there, what was there comes back.
    #[test]
    fn a_failed_reset_leaves_the_file_where_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let (path, keep) = (dir.path().join("bn.rs"), dir.path().join("backups"));
        fs::write(&path, "first").unwrap();
        // The stub, still under its temporary name, is taken away.
        let take = || {
            for entry in fs::read_dir(dir.path()).unwrap() {
                let file = entry.unwrap().path();
                if file.extension().is_some_and(|e| e == "tmp") {
                    fs::remove_file(file).unwrap();
                }
            }
        };
        replace_while(&path, b"stub", &keep, take).unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        assert_eq!(fs::read_dir(&keep).unwrap().count(), 0);
    }

    /// A file that was put back with its old time and its old length is another.
    #[cfg(unix)]
    #[test]
    fn a_stamp_does_not_believe_the_time_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.rs");
        assert_eq!(Stamp::of(&path).unwrap(), None);
        fs::write(&path, "x + x").unwrap();
        let before = Stamp::of(&path).unwrap().unwrap();
        let old = dir.path().join("old.rs");
        fs::write(&old, "x - x").unwrap();
        let file = File::options().write(true).open(&old).unwrap();
        file.set_modified(before.modified).unwrap();
        fs::rename(&old, &path).unwrap();
        let after = Stamp::of(&path).unwrap().unwrap();
        assert_eq!(
            (before.modified, before.length),
            (after.modified, after.length)
        );
        assert_ne!(before, after);
        assert!(!before.is_after(SystemTime::now() + STALE));
    }

    #[test]
    fn a_lock_is_held_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("locks/running");
        let mut held = Lock::free(&path).unwrap().unwrap();
        held.say("http://127.0.0.1:4321/").unwrap();
        assert!(Lock::free(&path).unwrap().is_none());
        drop(held);
        assert!(Lock::free(&path).unwrap().is_some());
        Lock::wait(&path).unwrap();
    }
}
