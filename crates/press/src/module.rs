//! The crate `live` compiled for the browser, to the same bytes wherever the checkout lies.

use anyhow::{Context, Result, bail};
use live::figures;
use serde_json::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

const TARGET: &str = "wasm32-unknown-unknown";

fn rustc() -> Command {
    Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

/// What `rustc` says when it is asked.
fn asked(arguments: &[&str]) -> Result<String> {
    let output = rustc()
        .args(arguments)
        .output()
        .context("cannot run rustc")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("rustc {}: {}", arguments.join(" "), said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The compiler, as it calls itself: `rustc 1.95.0 (59807616e 2026-04-14)`.
///
/// # Errors
/// When it cannot be run.
pub fn compiler() -> Result<String> {
    asked(&["--version"])
}

/// Compiles the module of this name, with the compiler that `RUSTC` names or the `PATH` holds.
///
/// A compiler without a standard library for the browser is refused, unless `RUSTC_BOOTSTRAP`
/// is 1: then the library is compiled too, from the sources that come with the compiler.
///
/// # Errors
/// One line that says what is missing, or what cargo said.
pub fn compile(root: &Path, name: &str) -> Result<Vec<u8>> {
    let library = asked(&["--print", "target-libdir", "--target", TARGET])?;
    let has_library = Path::new(&library).is_dir();
    let bootstrap = env::var_os("RUSTC_BOOTSTRAP").is_some_and(|value| value == "1");
    if !(has_library || bootstrap) {
        bail!(
            "{} has no standard library for {TARGET}; `rustup target add {TARGET}` brings it",
            compiler()?
        );
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = Command::new(cargo);
    cargo
        .current_dir(root)
        .args([
            "rustc",
            "--locked",
            "--package",
            "live",
            "--lib",
            "--crate-type",
            "cdylib",
        ])
        .args(["--profile", "live", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics"]);
    if name != figures::LIVE.name {
        cargo.args(["--features", name]);
    }
    if !has_library {
        cargo.args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features="]);
    }
    let flags: Vec<OsString> = remaps(root)?;
    let output = cargo
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            flags.join(&OsString::from("\u{1f}")),
        )
        // What is compiled piece by piece comes out as other bytes.
        .env("CARGO_INCREMENTAL", "0")
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("the module `{name}` does not compile");
    }
    let path = artifact(&String::from_utf8_lossy(&output.stdout))?;
    fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// The file that cargo says it made of the crate.
fn artifact(messages: &str) -> Result<PathBuf> {
    let made = messages.lines().rev().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let named = message["reason"] == "compiler-artifact" && message["target"]["name"] == "live";
        let files = message["filenames"].as_array().filter(|_| named)?;
        let mut files = files.iter().filter_map(Value::as_str);
        files
            .find(|file| file.ends_with(".wasm"))
            .map(PathBuf::from)
    });
    made.context("cargo made no module")
}

/// Flags that take the folders of this machine out of what is compiled: panics name their files.
fn remaps(root: &Path) -> Result<Vec<OsString>> {
    let sysroot = asked(&["--print", "sysroot"])?;
    let about = asked(&["--version", "--verbose"])?;
    let hash = about
        .lines()
        .find_map(|line| line.strip_prefix("commit-hash: "));
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    // Of several that fit a path, the last is taken.
    let mut pairs = vec![(root.to_owned(), "/book".to_owned())];
    pairs.extend(home.map(|home| (home, "/cargo".to_owned())));
    // Where the sources of the standard library are installed, they are named as if they were not.
    let library = Path::new(&sysroot).join("lib/rustlib/src/rust");
    pairs.push((library, format!("/rustc/{}", hash.unwrap_or("unknown"))));
    let flag = |(from, to): (PathBuf, String)| {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(from);
        flag.push("=");
        flag.push(to);
        flag
    };
    Ok(pairs.into_iter().map(flag).collect())
}
