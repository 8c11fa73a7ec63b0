//! Compile one exercise.
//!
//! Cargo builds it the first time. That tells where the library behind the exercises is
//! and which files it was made of. While none of these changes, a save needs only the
//! compiler, for the one file that was saved: cargo takes as long again to find out that
//! there is nothing else to do. Whatever the compiler alone cannot build is left to
//! cargo, whose word is final.

use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
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
}

/// The crates that an exercise is linked with, as cargo left them.
#[derive(Clone, Debug)]
struct Library {
    edition: String,
    /// Name and file of each.
    crates: Vec<(String, PathBuf)>,
    /// The folder of these files and of what they need.
    folder: PathBuf,
    /// Where programs go.
    programs: PathBuf,
    /// Every file that decides what they are, as it was then.
    stamps: BTreeMap<PathBuf, Option<Stamp>>,
}

type Stamp = (SystemTime, u64);

fn stamp(path: &Path) -> Option<Stamp> {
    let data = fs::metadata(path).ok()?;
    Some((data.modified().ok()?, data.len()))
}

impl Compiler {
    /// Compiles the exercise `name`.
    ///
    /// # Errors
    /// When cargo cannot be run, or fails for another reason than the exercise.
    pub fn compile(&mut self, workspace: &Workspace, name: &str) -> Result<Compiled> {
        let known = self.library.as_ref().filter(|library| library.is_current());
        let tried = known.is_some() && !self.only_cargo;
        if let Some(library) = known.filter(|_| tried)
            && let Some(program) = library.link(workspace, name)
        {
            return Ok(Compiled::Program(program));
        }
        let start = SystemTime::now();
        let built = cargo(workspace, name)?;
        self.only_cargo |= tried && matches!(built.result, Compiled::Program(_));
        self.library = match &built.result {
            Compiled::Program(program) => Library::of(workspace, name, program, &built, start),
            Compiled::Errors { .. } => self.library.take(),
        };
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
            .map(|file| (file.clone(), stamp(&file)))
            .collect();
        // A source saved while cargo was at work may or may not have been seen by it.
        let late = |(file, stamp): (&PathBuf, &Option<Stamp>)| {
            file.extension().is_some_and(|e| e == "rs" || e == "toml")
                && stamp.is_some_and(|(time, _)| time >= start)
        };
        if stamps.iter().any(late) {
            return None;
        }
        Some(Self {
            edition: built.edition.clone(),
            folder: crates.first()?.1.parent()?.to_owned(),
            programs: program.parent()?.join("course"),
            crates,
            stamps,
        })
    }

    fn is_current(&self) -> bool {
        self.stamps.iter().all(|(file, old)| stamp(file) == *old)
    }

    /// Compiles the one file with the compiler alone.
    fn link(&self, workspace: &Workspace, name: &str) -> Option<PathBuf> {
        fs::create_dir_all(&self.programs).ok()?;
        let program = self
            .programs
            .join(format!("{name}{}", env::consts::EXE_SUFFIX));
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let mut command = Command::new(rustc);
        command
            .current_dir(workspace.root())
            .args([
                "--crate-type",
                "bin",
                "--crate-name",
                name,
                "--edition",
                &self.edition,
            ])
            // As in the manifests.
            .args([
                "-C",
                "opt-level=0",
                "-C",
                "overflow-checks=on",
                "-C",
                "strip=debuginfo",
            ])
            .args(["-F", "unsafe_code", "-A", "warnings"])
            .arg(with("dependency=", &self.folder, "-L"))
            .arg("-o")
            .arg(&program);
        for (name, file) in &self.crates {
            command
                .arg("--extern")
                .arg(with(&format!("{name}="), file, ""));
        }
        let output = command
            .arg(workspace.exercise(name))
            .stdin(Stdio::null())
            .output()
            .ok()?;
        output.status.success().then_some(program)
    }
}

/// An argument that ends in a path, which need not be text.
fn with(text: &str, path: &Path, flag: &str) -> OsString {
    let mut argument = OsString::from(format!("{flag}{text}"));
    argument.push(path);
    argument
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

struct Built {
    result: Compiled,
    edition: String,
    /// Name and file of each library that was built or found.
    libraries: Vec<(String, PathBuf)>,
    /// The manifests of the packages in the checkout that were built or found.
    manifests: Vec<PathBuf>,
}

/// The cargo that runs this program, or the one in the path.
pub(crate) fn cargo_program() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Builds one target of the package `exercises`.
///
/// `-p course` is there for its features: cargo then resolves the shared dependencies
/// exactly as it did when it built this command, and reuses them.
fn cargo(workspace: &Workspace, name: &str) -> Result<Built> {
    let cargo = cargo_program();
    let output = Command::new(&cargo)
        .current_dir(workspace.root())
        .args(["build", "--release", "--quiet"])
        .args(["-p", "course", "-p", "exercises", "--bin", name])
        .args(["--message-format", "json-diagnostic-rendered-ansi"])
        // A variable set by an outer `cargo run` would only confuse the inner one.
        .env_remove("CARGO_MANIFEST_DIR")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", cargo.to_string_lossy()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let (mut messages, mut errors, mut program) = (String::new(), 0, None);
    let (mut libraries, mut manifests, mut edition) = (Vec::new(), Vec::new(), String::new());
    for message in text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
    {
        match message["reason"].as_str() {
            Some("compiler-message") => {
                let inner = &message["message"];
                let rendered = inner["rendered"].as_str().unwrap_or_default();
                // "aborting due to 2 previous errors" adds nothing.
                if inner["spans"].as_array().is_none_or(Vec::is_empty) {
                    continue;
                }
                if inner["level"] == "error" {
                    errors += 1;
                    messages.push_str(rendered);
                }
            }
            Some("compiler-artifact") => {
                let target = &message["target"];
                let manifest = message["manifest_path"].as_str().map(PathBuf::from);
                manifests.extend(manifest.filter(|path| path.starts_with(workspace.root())));
                if let Some(path) = message["executable"].as_str() {
                    if target["name"] == name {
                        program = Some(PathBuf::from(path));
                        edition = target["edition"].as_str().unwrap_or("2024").to_owned();
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
        edition,
        libraries,
        manifests,
    })
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
