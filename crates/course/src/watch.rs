//! Noticing a save, however the editor writes it.
//!
//! The truth is a scan of the files' [stamps](Stamp). The operating system's events only
//! say when to scan: so a save by rename, by truncation or in several steps looks
//! the same, and on a drive that sends no events a scan every half second finds it.

use crate::files::Stamp;
use notify::{Config, Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// How long after an event the files must be still before they are read.
const SETTLE: Duration = Duration::from_millis(25);
/// How often files are looked at without an event.
const SCAN: Duration = Duration::from_millis(500);

/// Watches folders and single files.
pub struct Watcher {
    folders: Vec<PathBuf>,
    files: BTreeSet<PathBuf>,
    seen: BTreeMap<PathBuf, Stamp>,
    events: Receiver<()>,
    system: Option<RecommendedWatcher>,
}

impl Watcher {
    /// Watches every file in `folders`, at any depth, from now on.
    #[must_use]
    pub fn new(folders: &[PathBuf]) -> Self {
        let (sender, events) = channel();
        let listener = move |event: notify::Result<Event>| {
            // Opening a file is an event too. To scan because of it would be to wake
            // ourselves for ever, for a scan opens every folder.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                // When nobody listens any more there is nobody to tell.
                let _ = sender.send(());
            }
        };
        let config = Config::default().with_follow_symlinks(false);
        let system = RecommendedWatcher::new(listener, config);
        let mut watcher = Self {
            folders: folders.to_vec(),
            files: BTreeSet::new(),
            seen: BTreeMap::new(),
            events,
            // Without events the regular scan remains.
            system: system.ok(),
        };
        for folder in folders {
            watcher.listen(folder, RecursiveMode::Recursive);
        }
        watcher.seen = watcher.scan();
        watcher
    }

    /// Watches `files` as well, in place of the single files watched before.
    pub fn also(&mut self, files: BTreeSet<PathBuf>) {
        let dirs = |files: &BTreeSet<PathBuf>| -> BTreeSet<PathBuf> {
            files
                .iter()
                .filter_map(|file| file.parent().map(Path::to_owned))
                .collect()
        };
        let old = dirs(&self.files);
        for dir in dirs(&files).difference(&old) {
            if !self.folders.iter().any(|folder| dir.starts_with(folder)) {
                self.listen(dir, RecursiveMode::NonRecursive);
            }
        }
        for file in files.difference(&self.files) {
            if let Ok(Some(stamp)) = Stamp::of(file) {
                self.seen.entry(file.clone()).or_insert(stamp);
            }
        }
        self.files = files;
    }

    fn listen(&mut self, path: &Path, mode: RecursiveMode) {
        if let Some(system) = &mut self.system {
            // A folder that cannot be listened to is still scanned.
            let _ = system.watch(path, mode);
        }
    }

    /// Waits until something was saved, and returns what: files that are new, changed
    /// or gone.
    pub fn wait(&mut self) -> BTreeSet<PathBuf> {
        loop {
            if self.events.recv_timeout(SCAN) == Err(RecvTimeoutError::Disconnected) {
                std::thread::sleep(SCAN);
            }
            let changed = self.changes();
            if !changed.is_empty() {
                return changed;
            }
        }
    }

    /// What was saved since the last call, without waiting.
    pub fn now(&mut self) -> BTreeSet<PathBuf> {
        while self.events.try_recv().is_ok() {}
        self.changes()
    }

    /// What has changed since the last call, once the files are still.
    fn changes(&mut self) -> BTreeSet<PathBuf> {
        let mut now = self.scan();
        if now == self.seen {
            return BTreeSet::new();
        }
        loop {
            std::thread::sleep(SETTLE);
            while self.events.try_recv().is_ok() {}
            let later = self.scan();
            if later == now {
                break;
            }
            now = later;
        }
        let names = now.keys().chain(self.seen.keys());
        let changed = names.filter(|name| now.get(*name) != self.seen.get(*name));
        let changed = changed.cloned().collect();
        self.seen = now;
        changed
    }

    fn scan(&self) -> BTreeMap<PathBuf, Stamp> {
        let mut found = BTreeMap::new();
        for folder in &self.folders {
            self.scan_folder(folder, &mut found);
        }
        for file in &self.files {
            self.look_at(file, &mut found);
        }
        found
    }

    /// What a folder holds. Links to folders are not followed: one may lead back here.
    fn scan_folder(&self, folder: &Path, found: &mut BTreeMap<PathBuf, Stamp>) {
        let mut whole = || -> std::io::Result<()> {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_name().to_string_lossy().starts_with('.') {
                    continue;
                }
                if entry.file_type()?.is_dir() {
                    self.scan_folder(&entry.path(), found);
                } else {
                    self.look_at(&entry.path(), found);
                }
            }
            Ok(())
        };
        // A folder may be gone for a moment while an editor or git replaces it.
        if let Err(error) = whole()
            && error.kind() != ErrorKind::NotFound
        {
            // It cannot be read just now, which says nothing about its files.
            let seen = self
                .seen
                .iter()
                .filter(|(path, _)| path.starts_with(folder));
            found.extend(seen.map(|(path, stamp)| (path.clone(), *stamp)));
        }
    }

    fn look_at(&self, file: &Path, found: &mut BTreeMap<PathBuf, Stamp>) {
        // The same holds for a single file.
        let stamp = Stamp::of(file).unwrap_or_else(|_| self.seen.get(file).copied());
        found.extend(stamp.map(|stamp| (file.to_owned(), stamp)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn watched() -> (tempfile::TempDir, Watcher) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.rs"), "one").unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        let watcher = Watcher::new(&[dir.path().to_owned()]);
        (dir, watcher)
    }

    fn names(changed: &BTreeSet<PathBuf>) -> Vec<String> {
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        changed.iter().map(name).collect()
    }

    #[test]
    fn a_save_in_place_by_rename_and_in_a_new_folder_are_seen() {
        let (dir, mut watcher) = watched();
        fs::write(dir.path().join("a.rs"), "longer").unwrap();
        assert_eq!(names(&watcher.wait()), ["a.rs"]);
        fs::write(dir.path().join(".a.rs.tmp"), "by rename").unwrap();
        fs::rename(dir.path().join(".a.rs.tmp"), dir.path().join("a.rs")).unwrap();
        assert_eq!(names(&watcher.wait()), ["a.rs"]);
        fs::write(dir.path().join("sub/b.md"), "new").unwrap();
        assert_eq!(names(&watcher.wait()), ["b.md"]);
        fs::remove_file(dir.path().join("sub/b.md")).unwrap();
        assert_eq!(names(&watcher.wait()), ["b.md"]);
        assert!(watcher.now().is_empty());
        fs::write(dir.path().join("sub/c.md"), "new").unwrap();
        assert_eq!(names(&watcher.now()), ["c.md"]);
        assert!(watcher.now().is_empty());
    }

    #[test]
    fn a_scan_does_not_wake_the_watcher() {
        let (_dir, mut watcher) = watched();
        // Let what the set-up itself caused go by.
        while watcher.events.recv_timeout(SCAN).is_ok() {}
        for _ in 0..5 {
            assert!(watcher.changes().is_empty());
        }
        assert_eq!(
            watcher.events.recv_timeout(SCAN),
            Err(RecvTimeoutError::Timeout)
        );
    }

    #[test]
    fn a_save_is_seen_where_the_system_sends_no_events() {
        let (dir, mut watcher) = watched();
        watcher.system = None;
        fs::write(dir.path().join("a.rs"), "longer").unwrap();
        assert_eq!(names(&watcher.wait()), ["a.rs"]);
    }

    /// Two links to the folder they lie in are two entries, and not a tree without end.
    #[cfg(unix)]
    #[test]
    fn links_to_folders_are_not_followed() {
        use std::os::unix::fs::symlink;
        let (dir, mut watcher) = watched();
        for name in ["one", "two"] {
            symlink(dir.path(), dir.path().join(name)).unwrap();
        }
        symlink("itself", dir.path().join("itself")).unwrap();
        fs::write(dir.path().join("sub/b.md"), "new").unwrap();
        assert_eq!(names(&watcher.wait()), ["b.md"]);
        assert_eq!(watcher.seen.len(), 2);
    }

    /// The save of another file with the same length and the old time.
    #[cfg(unix)]
    #[test]
    fn a_file_put_back_with_its_old_time_is_seen() {
        let (dir, mut watcher) = watched();
        let path = dir.path().join("a.rs");
        let old = fs::metadata(&path).unwrap().modified().unwrap();
        let mut file = fs::File::options().write(true).open(&path).unwrap();
        std::io::Write::write_all(&mut file, b"two").unwrap();
        file.set_modified(old).unwrap();
        assert_eq!(names(&watcher.wait()), ["a.rs"]);
    }

    /// A folder that cannot be read for a while has not lost its files.
    #[cfg(unix)]
    #[test]
    fn a_folder_that_cannot_be_read_keeps_its_files() {
        use std::os::unix::fs::PermissionsExt;
        let (dir, mut watcher) = watched();
        let sub = dir.path().join("sub");
        fs::write(sub.join("b.md"), "new").unwrap();
        assert_eq!(names(&watcher.wait()), ["b.md"]);
        let before = watcher.seen.clone();
        fs::set_permissions(&sub, fs::Permissions::from_mode(0o000)).unwrap();
        // Nothing keeps the superuser out; what takes the place of a folder does.
        if fs::read_dir(&sub).is_ok() {
            fs::rename(&sub, dir.path().join(".hidden")).unwrap();
            std::os::unix::fs::symlink("sub", &sub).unwrap();
        }
        let mut found = BTreeMap::new();
        watcher.scan_folder(&sub, &mut found);
        assert_eq!(found.len(), 1);
        assert_eq!(found.get(&sub.join("b.md")), before.get(&sub.join("b.md")));
    }

    #[test]
    fn a_single_file_elsewhere_is_watched_when_asked_for() {
        let (_dir, mut watcher) = watched();
        let other = tempfile::tempdir().unwrap();
        let file = other.path().join("tape.rs");
        fs::write(&file, "fn a() {}").unwrap();
        watcher.also(BTreeSet::from([file.clone()]));
        fs::write(other.path().join("unrelated.rs"), "").unwrap();
        fs::write(&file, "fn a() {} // changed").unwrap();
        assert_eq!(names(&watcher.wait()), ["tape.rs"]);
    }
}
