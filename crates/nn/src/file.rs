//! Files that are either the old one or the new one, never half of either.
//!
//! `diagnose` and `course` write their files so too, each in a few lines of its own around
//! `tempfile`: no crate stands below all three, and `course` has links, permissions and backups of
//! a reader's files to keep besides.

use std::io::{self, Write};
use std::path::Path;

/// Writes `bytes` to `path`: to a file beside it first, which then takes its place. A
/// process that is killed on the way leaves the old file as it was.
///
/// # Errors
/// When the folder does not exist or cannot be written.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = tempfile::Builder::new();
    new.prefix(".part-");
    // A temporary file is its writer's alone; this one is to be a file like any other.
    #[cfg(unix)]
    new.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut new = new.tempfile_in(folder.unwrap_or(Path::new(".")))?;
    new.write_all(bytes)?;
    new.as_file().sync_all()?;
    new.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.txt");
        write_atomically(&path, b"old, and longer").expect("written");
        write_atomically(&path, b"new").expect("written");
        assert_eq!(fs::read(&path).expect("read"), b"new");
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
        // Others may read it, as they may any file.
        let plain = folder.path().join("b.txt");
        fs::write(&plain, b"").expect("written");
        let [ours, plain] = [path, plain].map(|path| fs::metadata(path).expect("there"));
        assert_eq!(ours.permissions(), plain.permissions());
    }

    #[test]
    fn a_write_that_fails_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        // A folder stands where the file should go, so the last step fails.
        let path = folder.path().join("taken");
        fs::create_dir(&path).expect("made");
        fs::write(path.join("x"), b"x").expect("written");
        assert!(write_atomically(&path, b"new").is_err());
        assert!(write_atomically(&folder.path().join("no/a.txt"), b"new").is_err());
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
    }
}
