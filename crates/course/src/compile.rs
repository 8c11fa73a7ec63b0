//! Compile one exercise.
//!
//! Cargo builds it the first time. That tells where the library behind the exercises is
//! and which files it was made of. While none of these changes, a save needs only the
//! compiler, for the one file that was saved: cargo takes as long again to find out that
//! there is nothing else to do. The program is linked with one shared library
//! where that can be had. Whatever the compiler alone cannot build is left to cargo, whose
//! word is final, with one exception: cargo goes by the times of files, and takes a file that
//! was put back with its old time for one that it has built already. What is judged are the
//! bytes on the disk, so a program that cargo did not build just now is built again.

use crate::cargo::{self, Built, Compiled, Work};
use crate::digest::fingerprint;
use crate::files::Stamp;
use crate::shared::{self, Shared, named};
use crate::workspace::Workspace;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::SystemTime;

/// Compiles exercises, and remembers what the last one was linked with.
#[derive(Clone, Debug, Default)]
pub struct Compiler {
    library: Option<Library>,
    /// The compiler alone could not build what cargo could: it is not tried again.
    only_cargo: bool,
    /// It could not with the shared library.
    unshared: bool,
}

/// The crates that an exercise is linked with, as cargo left them.
#[derive(Clone, Debug)]
struct Library {
    edition: String,
    /// What the compiler is told, as cargo tells it.
    flags: Vec<String>,
    /// Name and file of each.
    crates: Vec<(String, PathBuf)>,
    /// The folder of these files and of what they need.
    folder: PathBuf,
    /// Where programs go.
    programs: PathBuf,
    /// Every file that decides what they are, as it was then.
    stamps: BTreeMap<PathBuf, Option<Stamp>>,
    /// All of it as one shared library, once that is there; nothing when it cannot be had.
    shared: Arc<OnceLock<Option<Shared>>>,
}

/// One shared library is built at a time, for all of them have the same place.
static BUILDING: Mutex<()> = Mutex::new(());

impl Compiler {
    /// Builds the shared library in the background, unless it is there, was tried, or is being
    /// built: called when a verdict is told, and nobody waits for anything.
    pub fn prepare(&self, workspace: &Workspace) {
        let Some(library) = self.library.as_ref() else {
            return;
        };
        // Nobody has a hand on it but who is at work on it.
        let begun = library.shared.get().is_some() || Arc::strong_count(&library.shared) > 1;
        if !(self.only_cargo || self.unshared || begun) {
            let (library, workspace) = (library.clone(), workspace.clone());
            // Without a thread it is tried again after the next verdict.
            let _ = thread::Builder::new().spawn(move || {
                let _turn = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = library.shared.set(library.share(&workspace));
            });
        }
    }

    /// Compiles the exercise `name`. Where that takes cargo, `follow` is told what it is at.
    ///
    /// # Errors
    /// When cargo cannot be run, or fails for another reason than the exercise.
    pub fn compile(
        &mut self,
        workspace: &Workspace,
        name: &str,
        follow: &mut dyn FnMut(Work),
    ) -> Result<Compiled> {
        let saved = || Stamp::of(&workspace.exercise(name)).ok();
        let before = saved();
        let known = self.library.as_ref().filter(|library| library.is_current());
        let tried = known.is_some() && !self.only_cargo;
        let shared = known.and_then(|library| library.shared.get()?.as_ref());
        let shared = shared.filter(|_| !self.unshared);
        if let Some(library) = known.filter(|_| tried)
            && let Some(program) = library.link(workspace, name, shared)
        {
            return Ok(Compiled::Program(program));
        }
        let shared = shared.is_some();
        let start = SystemTime::now();
        let built = cargo::build(workspace, name, follow)?;
        let Compiled::Program(program) = &built.result else {
            return Ok(built.result);
        };
        // Cargo may have been given another file: one that was saved meanwhile.
        let tried = tried && saved() == before;
        self.unshared |= tried && shared;
        self.only_cargo |= tried && !shared;
        self.library = Library::of(workspace, name, program, &built, start);
        if !built.old {
            return Ok(built.result);
        }
        if let Some(library) = self.library.as_ref().filter(|_| !self.only_cargo)
            && let Some(program) = library.link(workspace, name, None)
        {
            return Ok(Compiled::Program(program));
        }
        forget(program, name)?;
        let built = cargo::build(workspace, name, follow)?;
        ensure!(
            !built.old,
            "cargo does not build `{name}` anew; `cargo clean -p exercises` makes it"
        );
        Ok(built.result)
    }
}

impl Library {
    /// What the program of an exercise was linked with, if that is known for certain.
    fn of(
        workspace: &Workspace,
        name: &str,
        program: &Path,
        built: &Built,
        start: SystemTime,
    ) -> Option<Self> {
        let manifest = workspace.book().join("exercises/Cargo.toml");
        let text = fs::read_to_string(&manifest).ok()?;
        let table: toml::Table = text.parse().ok()?;
        let named = table.get("dependencies").and_then(toml::Value::as_table);
        let named = named.into_iter().flat_map(toml::Table::keys);
        let wanted = named.map(|name| name.replace('-', "_"));
        let mut crates = Vec::new();
        for name in wanted.chain(["exercises".to_owned()]) {
            let mut files = built.libraries.iter().filter(|(lib, _)| *lib == name);
            // Of two versions of a crate, cargo alone knows which is meant.
            if let (Some((_, file)), None) = (files.next(), files.next()) {
                crates.push((name, file.clone()));
            }
        }
        let own = workspace.exercise(name);
        let mut files = sources(&program.with_extension("d"))?;
        if !files.iter().all(|file| file.is_file()) {
            return None;
        }
        files.retain(|file| *file != own);
        files.extend(built.manifests.iter().cloned());
        files.extend(crates.iter().map(|(_, file)| file.clone()));
        let root = [
            "Cargo.toml",
            "Cargo.lock",
            ".cargo/config.toml",
            "rust-toolchain.toml",
        ];
        files.extend(root.iter().map(|file| workspace.root().join(file)));
        let stamps: BTreeMap<_, _> = files
            .into_iter()
            .map(|file| Some((file.clone(), Stamp::of(&file).ok()?)))
            .collect::<Option<_>>()?;
        // A source saved while cargo was at work may or may not have been seen by it.
        let late = |(file, stamp): (&PathBuf, &Option<Stamp>)| {
            file.extension().is_some_and(|e| e == "rs" || e == "toml")
                && stamp.is_some_and(|stamp| stamp.is_after(start))
        };
        if stamps.iter().any(late) {
            return None;
        }
        Some(Self {
            edition: built.edition.clone(),
            flags: built.flags.clone(),
            folder: crates.first()?.1.parent()?.to_owned(),
            programs: program.parent()?.join("judged").join(own_name(workspace)),
            crates,
            stamps,
            shared: Arc::default(),
        })
    }

    fn is_current(&self) -> bool {
        let same = |(file, old): (&PathBuf, &_)| Stamp::of(file).is_ok_and(|now| now == *old);
        self.stamps.iter().all(same)
    }

    /// The compiler, told what it is told of each program and each library.
    fn compiler(&self, workspace: &Workspace) -> Command {
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let mut command = Command::new(rustc);
        command
            .current_dir(workspace.root())
            .args(["--edition", &self.edition])
            .args(["-A", "warnings", "-L"])
            .arg(named("dependency=", &self.folder));
        command
    }

    /// Builds the shared library.
    fn share(&self, workspace: &Workspace) -> Option<Shared> {
        let (_, own) = self.crates.iter().find(|(name, _)| name == "exercises")?;
        Shared::build(|| self.compiler(workspace), own, &self.programs)
    }

    /// Compiles the one file with the compiler alone.
    fn link(&self, workspace: &Workspace, name: &str, shared: Option<&Shared>) -> Option<PathBuf> {
        fs::create_dir_all(&self.programs).ok()?;
        let program = self
            .programs
            .join(format!("{name}{}", env::consts::EXE_SUFFIX));
        let mut command = self.compiler(workspace);
        command
            .args(["--crate-type", "bin", "--crate-name", name])
            .args(&self.flags)
            // Nobody looks into the program with a debugger, and to write for one takes time.
            .args(["-C", "strip=debuginfo"])
            .args(["-F", "unsafe_code"])
            .arg("-o")
            .arg(&program);
        if shared.is_some() {
            command.args(shared::FLAGS);
        }
        for (name, file) in &self.crates {
            let own = shared.filter(|_| name == "exercises");
            let argument = own.map_or_else(|| named(&format!("{name}="), file), Shared::named);
            command.arg("--extern").arg(argument);
        }
        let output = command
            .arg(workspace.exercise(name))
            .stdin(Stdio::null())
            .output()
            .ok()?;
        output.status.success().then_some(program)
    }
}

/// A name for this checkout in a folder that others may put their programs in, too: several share
/// one where `CARGO_TARGET_DIR` or cargo's settings say so.
fn own_name(workspace: &Workspace) -> String {
    fingerprint(workspace.root().as_os_str().as_encoded_bytes()).replace(['/', '+'], "_")
}

/// The sources that a program was made of, from the file that cargo writes for `make`:
/// `program: source source …`, a space in a name written as `\ `.
fn sources(list: &Path) -> Option<Vec<PathBuf>> {
    let text = fs::read_to_string(list).ok()?;
    let (_, names) = text.lines().next()?.split_once(": ")?;
    let names = names.replace("\\ ", "\0");
    let names = names.split(' ').map(|name| name.replace('\0', " "));
    Some(names.map(PathBuf::from).collect())
}

/// Removes what cargo has built of the program, so that it builds it again: it looks for
/// `deps/name-0123456789abcdef` beside the program, or `deps/name.exe`.
fn forget(program: &Path, name: &str) -> Result<()> {
    let deps = program.with_file_name("deps");
    let cannot = || format!("cannot remove what was built of `{name}` before");
    for entry in fs::read_dir(deps).with_context(cannot)? {
        let file = entry.with_context(cannot)?.path();
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        if stem
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        {
            fs::remove_file(file).with_context(cannot)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_may_have_spaces_in_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("double.d");
        fs::write(&list, "/a/double: /my\\ book/double.rs /a/lib.rs\n").unwrap();
        let wanted = ["/my book/double.rs", "/a/lib.rs"].map(PathBuf::from);
        assert_eq!(sources(&list).unwrap(), wanted);
    }
}
