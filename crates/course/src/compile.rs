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

use crate::files::Stamp;
use crate::shared::{self, Shared, named};
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::SystemTime;

/// What compiling an exercise came to.
#[derive(Clone, Debug)]
pub enum Compiled {
    /// The program.
    Program(PathBuf),
    /// It does not compile.
    Errors {
        /// The compiler's messages, with ANSI colours.
        messages: String,
        /// How many errors there are.
        errors: usize,
    },
}

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

    /// Compiles the exercise `name`.
    ///
    /// # Errors
    /// When cargo cannot be run, or fails for another reason than the exercise.
    pub fn compile(&mut self, workspace: &Workspace, name: &str) -> Result<Compiled> {
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
        let built = cargo(workspace, name)?;
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
        let built = cargo(workspace, name)?;
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
            programs: program.parent()?.join("judged"),
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

/// A message of the compiler's without the notes that point to nothing but the standard
/// library: they are long, and no line of the reader's is in them.
fn without_library(rendered: &str) -> String {
    let place = |line: &&str| {
        let plain = anstream::adapter::strip_str(line).to_string();
        let place = plain.trim_start();
        let path = place.strip_prefix("--> ").or(place.strip_prefix("::: "))?;
        Some(path.replace('\\', "/"))
    };
    let in_library = |path: String| {
        path.starts_with("/rustc/") || path.contains("/lib/rustlib/src/rust/library/")
    };
    // The error comes first; each note begins at the left edge, and says where it points to.
    let mut parts: Vec<Vec<&str>> = vec![Vec::new()];
    for line in rendered.trim_end().lines() {
        let plain = anstream::adapter::strip_str(line).to_string();
        if plain.starts_with("note: ") || plain.starts_with("help: ") {
            parts.push(Vec::new());
        }
        parts.last_mut().expect("a part").push(line);
    }
    let said = parts.iter().enumerate().filter(|(at, part)| {
        let mut places = part.iter().filter_map(place).peekable();
        *at == 0 || places.peek().is_none() || !places.all(in_library)
    });
    let lines: Vec<&str> = said.flat_map(|(_, part)| part.iter().copied()).collect();
    format!("{}\n\n", lines.join("\n"))
}

/// The flags for the compiler that a profile stands for, as cargo reports it.
fn flags_of(profile: &Value) -> Vec<String> {
    let flag = |(name, key): (&str, &str)| {
        let value = match &profile[key] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        ["-C".to_owned(), format!("{name}={value}")]
    };
    let all = [
        ("opt-level", "opt_level"),
        ("debug-assertions", "debug_assertions"),
        ("overflow-checks", "overflow_checks"),
    ];
    all.into_iter().flat_map(flag).collect()
}

struct Built {
    result: Compiled,
    /// The program was there already, and cargo saw no reason to build it.
    old: bool,
    edition: String,
    flags: Vec<String>,
    /// Name and file of each library that was built or found.
    libraries: Vec<(String, PathBuf)>,
    /// The manifests of the packages in the checkout that were built or found.
    manifests: Vec<PathBuf>,
}

/// The cargo that runs this program, or the one in the path.
pub(crate) fn cargo_program() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Cargo, to be run at the root of the checkout, where it finds its settings.
pub(crate) fn cargo_command(workspace: &Workspace) -> Command {
    let mut command = Command::new(cargo_program());
    command
        .current_dir(workspace.root())
        // A variable set by an outer `cargo run` would only confuse the inner one.
        .env_remove("CARGO_MANIFEST_DIR");
    // A relative folder is meant from where the reader stands.
    for name in [
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_TARGET_DIR",
        "CARGO_BUILD_BUILD_DIR",
    ] {
        if let Some(folder) = env::var_os(name).filter(|folder| !folder.is_empty())
            && let Ok(folder) = std::path::absolute(folder)
        {
            command.env(name, folder);
        }
    }
    command
}

/// Builds one target of the package `exercises`.
///
/// `-p course` is there for its features: cargo then resolves the shared dependencies
/// exactly as it did when it built this command, and reuses them.
fn cargo(workspace: &Workspace, name: &str) -> Result<Built> {
    let output = cargo_command(workspace)
        .args(["build", "--quiet"])
        .args(["-p", "course", "-p", "exercises", "--bin", name])
        .args(["--message-format", "json-diagnostic-rendered-ansi"])
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", cargo_program().to_string_lossy()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let (mut messages, mut errors, mut program, mut old) = (String::new(), 0, None, false);
    let (mut libraries, mut manifests) = (Vec::new(), Vec::new());
    let (mut edition, mut flags) = (String::new(), Vec::new());
    for message in text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
    {
        match message["reason"].as_str() {
            Some("compiler-message") => {
                let inner = &message["message"];
                let rendered = inner["rendered"].as_str().unwrap_or_default();
                let text = inner["message"].as_str().unwrap_or_default();
                // "aborting due to 2 previous errors" adds nothing. Other messages that
                // point to no line do: the file is no UTF-8, or there is no linker.
                let sum = text.starts_with("aborting due to ");
                if inner["level"]
                    .as_str()
                    .is_some_and(|l| l.starts_with("error"))
                    && !sum
                {
                    errors += 1;
                    messages.push_str(&without_library(rendered));
                }
            }
            Some("compiler-artifact") => {
                let target = &message["target"];
                let manifest = message["manifest_path"].as_str().map(PathBuf::from);
                manifests.extend(manifest.filter(|path| path.starts_with(workspace.root())));
                if let Some(path) = message["executable"].as_str() {
                    if target["name"] == name {
                        old = message["fresh"] == true;
                        program = Some(PathBuf::from(path));
                        edition = target["edition"].as_str().unwrap_or("2024").to_owned();
                        flags = flags_of(&message["profile"]);
                    }
                } else if let Some(library) = target["name"].as_str() {
                    let files = message["filenames"].as_array().into_iter().flatten();
                    let files = files.filter_map(Value::as_str);
                    let file = files.into_iter().find(|file| file.ends_with(".rlib"));
                    libraries
                        .extend(file.map(|file| (library.replace('-', "_"), PathBuf::from(file))));
                }
            }
            _ => {}
        }
    }
    let result = match program {
        Some(program) if output.status.success() => Compiled::Program(program),
        _ if errors > 0 => Compiled::Errors { messages, errors },
        _ => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            bail!("cargo could not build `{name}`:\n{}", stderr.trim_end())
        }
    };
    Ok(Built {
        result,
        old,
        edition,
        flags,
        libraries,
        manifests,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_on_the_library_are_left_out() {
        let own = "\u{1b}[1merror[E1]\u{1b}[0m: no\n --> a.rs:2:3\n  |\n2 | x\n  | ^\n  = help: the trait\n";
        let kept = "note: the chain\n --> a.rs:4:5\n  |\n4 | y\n  | ^\nhelp: call `x` first\n  |\n2 | x()\n";
        let both = "note: here\n --> a.rs:4:5\n ::: /rustc/1/library/core/src/ops/arith.rs:3:4\n";
        let left_out = "\u{1b}[1mhelp\u{1b}[0m: the following\n \u{1b}[1m--> \u{1b}[0m/rustc/1/library/core/src/a.rs:3:4\n ::: /rustc/1/library/core/src/b.rs:5:6\n  = note: `f64`\n\
                        note: required\n --> C:\\r\\lib\\rustlib\\src\\rust\\library\\alloc\\src\\vec\\mod.rs:7:8\n  |\n7 | z\n";
        let message = format!("{own}{left_out}{kept}{left_out}{both}\n");
        assert_eq!(without_library(&message), format!("{own}{kept}{both}\n"));
        let library = "error: no\n --> /rustc/1/library/core/src/a.rs:3:4\n\n";
        assert_eq!(without_library(library), library);
    }

    #[test]
    fn an_exercise_is_compiled_as_its_profile_says() {
        let profile = serde_json::json!({
            "opt_level": "s", "debuginfo": 0, "debug_assertions": false, "overflow_checks": true,
            "test": false
        });
        let flags = flags_of(&profile).join(" ");
        assert_eq!(
            flags,
            "-C opt-level=s -C debug-assertions=false -C overflow-checks=true"
        );
    }

    #[test]
    fn sources_may_have_spaces_in_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("double.d");
        fs::write(&list, "/a/double: /my\\ book/double.rs /a/lib.rs\n").unwrap();
        let wanted = ["/my book/double.rs", "/a/lib.rs"].map(PathBuf::from);
        assert_eq!(sources(&list).unwrap(), wanted);
    }
}
