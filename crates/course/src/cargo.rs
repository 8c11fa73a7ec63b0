//! Cargo: how it is started, and what it says of the program that it builds.

use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::env;
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;

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

/// What cargo is at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Work {
    /// It waits for another cargo that builds in the same folder.
    Waits,
    /// It downloads libraries.
    Fetches,
    /// It compiles.
    Compiles {
        /// How many of its jobs are done.
        done: u64,
        /// How many there are.
        of: u64,
        /// The crates that are being compiled, as cargo lists them.
        now: String,
    },
}

impl Work {
    /// What a line of cargo's tells, if it tells of work.
    fn of(line: &str) -> Option<Self> {
        match line.trim_start().split_once(' ')? {
            ("Blocking", _) => Some(Self::Waits),
            ("Updating" | "Downloading" | "Downloaded", _) => Some(Self::Fetches),
            ("Building", rest) => {
                let (_, rest) = rest.split_once("] ")?;
                let (count, now) = rest.split_once(": ").unwrap_or((rest, ""));
                let (done, of) = count.trim().split_once('/')?;
                Some(Self::Compiles {
                    done: done.parse().ok()?,
                    of: of.parse().ok()?,
                    now: now.trim().to_owned(),
                })
            }
            _ => None,
        }
    }
}

pub(crate) struct Built {
    pub(crate) result: Compiled,
    /// The program was there already, and cargo saw no reason to build it.
    pub(crate) old: bool,
    pub(crate) edition: String,
    pub(crate) flags: Vec<String>,
    /// Name and file of each library that was built or found.
    pub(crate) libraries: Vec<(String, PathBuf)>,
    /// The manifests of the packages in the checkout that were built or found.
    pub(crate) manifests: Vec<PathBuf>,
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

/// Runs cargo; returns whether it succeeded, and what it wrote to its two streams, without what it
/// tells of its work, which `follow` hears at once.
fn run(mut cargo: Command, follow: &mut dyn FnMut(Work)) -> io::Result<(bool, [String; 2])> {
    // What it shows at a terminal, a bar with the number of its jobs, it is asked for here too.
    cargo
        .env("CARGO_TERM_QUIET", "false")
        .env("CARGO_TERM_PROGRESS_WHEN", "always")
        .env("CARGO_TERM_PROGRESS_WIDTH", "100")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = cargo.spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (sender, works) = channel();
    let texts = thread::scope(|scope| {
        let messages = scope.spawn(move || {
            let mut text = Vec::new();
            // What was read before an error is still worth reading.
            let _ = stdout.map(|mut stdout| stdout.read_to_end(&mut text));
            String::from_utf8_lossy(&text).into_owned()
        });
        let rest = scope.spawn(move || stderr.map(|stderr| listen(stderr, &sender)));
        works.into_iter().for_each(follow);
        let rest = rest.join().ok().flatten();
        [
            messages.join().unwrap_or_default(),
            rest.unwrap_or_default(),
        ]
    });
    Ok((child.wait()?.success(), texts))
}

/// Reads what cargo writes for people: sends each new thing that it is at, and returns what
/// tells of no work.
fn listen(mut stream: impl Read, works: &Sender<Work>) -> String {
    let (mut said, mut line, mut last) = (String::new(), Vec::new(), None);
    let mut part = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut part) {
        for byte in &part[..count] {
            // A line of its bar is written over by the next one.
            if !matches!(byte, b'\n' | b'\r') {
                line.push(*byte);
                continue;
            }
            let text = String::from_utf8_lossy(&line);
            let text = anstream::adapter::strip_str(&text).to_string();
            line.clear();
            let work = Work::of(&text);
            if work.is_some() && work != last {
                // When nobody listens any more there is nobody to tell.
                let _ = work.clone().map(|work| works.send(work));
                last = work;
            } else if work.is_none() && !is_status(&text) && !text.trim().is_empty() {
                said = said + &text + "\n";
            }
        }
    }
    said + &String::from_utf8_lossy(&line)
}

/// Whether a line says what cargo does, such as `   Compiling tape v0.1.0`: the verb ends at the
/// twelfth character.
fn is_status(line: &str) -> bool {
    let verb = line.get(..12).unwrap_or_default();
    let word = verb.trim_start();
    line[verb.len()..].starts_with(' ')
        && word.len() < verb.len()
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.chars().all(|c| c.is_ascii_alphabetic())
}

/// Builds one target of the package `exercises`; `follow` is told what cargo is at.
///
/// `-p course` is there for its features: cargo then resolves the shared dependencies
/// exactly as it did when it built this command, and reuses them.
pub(crate) fn build(
    workspace: &Workspace,
    name: &str,
    follow: &mut dyn FnMut(Work),
) -> Result<Built> {
    let mut command = cargo_command(workspace);
    command
        .arg("build")
        .args(["-p", "course", "-p", "exercises", "--bin", name])
        .args(["--message-format", "json-diagnostic-rendered-ansi"]);
    let (success, [text, said]) = run(command, follow)
        .with_context(|| format!("cannot run {}", cargo_program().to_string_lossy()))?;
    let (mut messages, mut errors, mut program, mut old) = (String::new(), 0, None, false);
    let mut placed = false;
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
                // "aborting due to 2 previous errors" adds nothing. Others that point to no
                // line do: there is no linker, or no room on the disk.
                let sum = text.starts_with("aborting due to ");
                if inner["level"]
                    .as_str()
                    .is_some_and(|l| l.starts_with("error"))
                    && !sum
                {
                    errors += 1;
                    // A file that is no UTF-8 may have no line at all.
                    let spans = inner["spans"].as_array();
                    placed |= spans.is_some_and(|spans| !spans.is_empty())
                        || text.contains(&format!("{name}.rs`"));
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
        Some(program) if success => Compiled::Program(program),
        _ if placed => Compiled::Errors { messages, errors },
        // No line of anybody's is at fault.
        _ => {
            let messages = anstream::adapter::strip_str(&messages).to_string();
            let why = format!("{messages}{said}");
            bail!("cargo could not build `{name}`:\n{}", why.trim_end())
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
    fn what_cargo_is_at_is_told_apart_from_what_it_says() {
        let written = "    Blocking waiting for file lock on build directory\n\
            \u{1b}[1m\u{1b}[92m   Compiling\u{1b}[0m nn v0.1.0 (/a b/nn)\n\
            \u{1b}[1m\u{1b}[96m    Building\u{1b}[0m [===>   ] 113/118: nn, judge   \r\
            \u{1b}[1m\u{1b}[96m    Building\u{1b}[0m [===>   ] 113/118: nn, judge   \r\
            \u{1b}[K    Building [=====> ] 118/118\r\
            error: could not write `a`\n\nCaused by:\n  No space left (os error 28)\nthe end";
        let (sender, works) = channel();
        let said = listen(written.as_bytes(), &sender);
        drop(sender);
        let compiles = |done, now: &str| Work::Compiles {
            done,
            of: 118,
            now: now.to_owned(),
        };
        let wanted = [Work::Waits, compiles(113, "nn, judge"), compiles(118, "")];
        assert_eq!(works.into_iter().collect::<Vec<_>>(), wanted);
        assert_eq!(
            said,
            "error: could not write `a`\nCaused by:\n  No space left (os error 28)\nthe end"
        );
    }

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
}
