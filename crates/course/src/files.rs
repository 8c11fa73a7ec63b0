//! Writing a file so that a kill in mid-write loses nothing.

use anyhow::{Context, Result};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes `contents` to `path` in one step: a temporary file in the same folder is
/// written, flushed to the disk and renamed over `path`. A process killed at any
/// moment leaves either the old file or the new one.
///
/// # Errors
/// The file-system's error, naming `path`.
pub fn write_atomically(path: &Path, contents: &str) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let attempt = || -> std::io::Result<()> {
        fs::create_dir_all(dir)?;
        let mut file = tempfile::Builder::new()
            .prefix(".course-")
            .suffix(".tmp")
            .tempfile_in(dir)?;
        file.write_all(contents.as_bytes())?;
        file.as_file().sync_all()?;
        if let Ok(old) = fs::metadata(path) {
            fs::set_permissions(file.path(), old.permissions())?;
        } else {
            share(file.path())?;
        }
        file.persist(path)?;
        Ok(())
    };
    attempt().with_context(|| format!("cannot write {}", path.display()))
}

/// A temporary file is private to its owner; a new file of the reader's is not.
#[cfg(unix)]
fn share(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn share(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Copies `path` into `dir` under the first free name `stem-1.ext`, `stem-2.ext`, …
/// and returns that name. An existing backup is never overwritten.
///
/// # Errors
/// The file-system's error, naming `path`.
pub fn back_up(path: &Path, dir: &Path) -> Result<PathBuf> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let contents =
        fs::read(path).with_context(|| format!("cannot read {} to keep it", path.display()))?;
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    for number in 1.. {
        let copy = dir.join(format!("{stem}-{number}.{extension}"));
        let new = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&copy);
        match new {
            Ok(mut file) => {
                file.write_all(&contents)
                    .and_then(|()| file.sync_all())
                    .with_context(|| format!("cannot write {}", copy.display()))?;
                return Ok(copy);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot write {}", copy.display()));
            }
        }
    }
    unreachable!("there is always a next number")
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

    #[test]
    fn every_backup_gets_a_name_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bn.rs");
        let keep = dir.path().join("backups");
        for text in ["first", "second"] {
            fs::write(&path, text).unwrap();
            back_up(&path, &keep).unwrap();
        }
        assert_eq!(fs::read_to_string(keep.join("bn-1.rs")).unwrap(), "first");
        assert_eq!(fs::read_to_string(keep.join("bn-2.rs")).unwrap(), "second");
    }
}
