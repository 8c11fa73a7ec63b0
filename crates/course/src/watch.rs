//! Noticing a save, however the editor writes it.
//!
//! The truth is a scan of the files' times and lengths. The operating system's events
//! only say when to scan: so a save by rename, by truncation or in several steps looks
//! the same, and on a drive that sends no events a scan every half second finds it.

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, SystemTime};

/// How long after an event the files must be still before they are read.
const SETTLE: Duration = Duration::from_millis(25);
/// How often files are looked at without an event.
const SCAN: Duration = Duration::from_millis(500);

type Stamp = (SystemTime, u64);

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
        let system = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Opening a file is an event too. To scan because of it would be to wake
            // ourselves for ever, for a scan opens every folder.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                // When nobody listens any more there is nobody to tell.
                let _ = sender.send(());
            }
        });
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
            if let Some(stamp) = stamp(file) {
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
            scan(folder, &mut found);
        }
        for file in &self.files {
            if let Some(stamp) = stamp(file) {
                found.insert(file.clone(), stamp);
            }
        }
        found
    }
}

fn scan(folder: &Path, found: &mut BTreeMap<PathBuf, Stamp>) {
    // A folder may be gone for a moment while an editor or git replaces it.
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if hidden {
            continue;
        }
        if path.is_dir() {
            scan(&path, found);
        } else if let Some(stamp) = stamp(&path) {
            found.insert(path, stamp);
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let data = std::fs::metadata(path).ok()?;
    Some((data.modified().ok()?, data.len()))
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
