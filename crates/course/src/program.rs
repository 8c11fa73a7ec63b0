//! Start the lab, the gradient report, the judges of other people's kernels and of their checks,
//! the measurements and what binds the book, which are programs of their own.
//!
//! Neither the book nor the exercises need them: built only when they are asked for, they keep
//! no reader waiting for a first verdict.

use crate::cargo;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::process::{Command, ExitCode};
use verdict::FOLDER;

/// Where a Chromium may be: where `CHROMIUM` says, on the `PATH`, or as it is installed on macOS.
#[must_use]
pub fn chromium() -> Vec<OsString> {
    let names = [
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
    ];
    let usual = names.into_iter().map(OsString::from);
    env::var_os("CHROMIUM").into_iter().chain(usual).collect()
}

/// Runs the program `package` with `arguments` in this terminal, building it first where that is
/// needed, and returns its exit code, or ends with it.
///
/// # Errors
/// When cargo cannot be run.
pub fn run(workspace: &Workspace, package: &str, arguments: &[&OsStr]) -> Result<ExitCode> {
    let here = env::current_dir().context("the current folder is gone")?;
    let mut cargo = cargo::cargo_command(workspace);
    // It computes for minutes, and what it measures are times too.
    cargo.args(["run", "--release", "--package", package]);
    // Only a person wants to see that it is being built.
    if !io::stderr().is_terminal() {
        cargo.arg("--quiet");
    }
    // A folder in the arguments is relative to where the reader is, not to the checkout.
    cargo.env(FOLDER, here).arg("--").args(arguments);
    become_it(&mut cargo).context("cannot run cargo")
}

/// Puts cargo in the place of this process: what the terminal sends, such as Ctrl-C, then
/// reaches one process, and the prompt comes back when that has ended.
#[cfg(unix)]
fn become_it(cargo: &mut Command) -> io::Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    Err(cargo.exec())
}

#[cfg(not(unix))]
fn become_it(cargo: &mut Command) -> io::Result<ExitCode> {
    let code = cargo.status()?.code();
    let code = code.and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(crate::exit::FAILED)))
}
