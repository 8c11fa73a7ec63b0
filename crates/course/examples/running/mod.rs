//! The course as a reader runs it, in a clone of what is committed.

use anyhow::{Context, Result, ensure};
use course::workspace::Workspace;
use std::env;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The running command; ended when this goes.
pub struct Course(pub Child);

impl Drop for Course {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is committed in `own`, cloned.
pub fn cloned(own: &Workspace, clone: &Path) -> Result<Workspace> {
    let status = Command::new("git")
        .args(["clone", "--quiet", "--no-hardlinks"])
        .args([own.root(), clone])
        .status()
        .context("cannot run git")?;
    let root = own.root().display();
    ensure!(status.success(), "git could not clone {root}");
    Workspace::at(clone)
}

/// `cargo run` in a clone, its dependencies already downloaded, and what it prints to be read.
pub fn command(clone: &Path) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["run", "--quiet", "--", "--no-browser"])
        .current_dir(clone)
        .env("CARGO_NET_OFFLINE", "true")
        .stdout(Stdio::piped());
    command
}
