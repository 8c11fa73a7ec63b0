//! Start the lab, which is a program of its own.
//!
//! It is by far the largest crate, and neither the book nor the exercises need it: built
//! only when it is asked for, it keeps no reader waiting for a first verdict.

use crate::compile;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::process::{Command, ExitCode};

/// Runs `lab` with `arguments` in this terminal, building it first where that is needed,
/// and returns its exit code.
///
/// # Errors
/// When cargo cannot be run.
pub fn run<S: AsRef<OsStr>>(
    workspace: &Workspace,
    arguments: impl IntoIterator<Item = S>,
) -> Result<ExitCode> {
    let mut cargo = Command::new(compile::cargo_program());
    cargo.args(["run", "--package", "lab"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    // Only a person wants to see that it is being built.
    if !io::stderr().is_terminal() {
        cargo.arg("--quiet");
    }
    let status = cargo
        .arg("--manifest-path")
        .arg(workspace.root().join("Cargo.toml"))
        .arg("--")
        .args(arguments)
        .status()
        .context("cannot run cargo")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(crate::cli::FAILED)))
}
