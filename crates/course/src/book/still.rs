//! Live figures: a page holds each as it begins, and what makes it live lies beside the pages.
//!
//! The still and the module are made by the crate `press`, from the same sources.

use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use verdict::command;

/// The HTML of the figure `name` as it begins.
///
/// # Errors
/// When there is no such figure, or it cannot be read.
pub fn html(
    workspace: &Workspace,
    name: &str,
    read: impl Fn(&Path) -> Result<String, String>,
) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let path = workspace.book().join(format!("live/{name}.html"));
    if !name.chars().all(plain) || !path.is_file() {
        return Err(format!(
            "there is no live figure `{name}`; once it is in crates/live, `{}` draws it",
            command("book live")
        ));
    }
    Ok(read(&path)?.trim().to_owned())
}

/// Puts the script and the modules beside the pages in `destination`, and returns where they come
/// from.
///
/// # Errors
/// Names the file that cannot be copied, or the folder that cannot be read.
pub fn bring(workspace: &Workspace, destination: &Path) -> Result<Vec<PathBuf>> {
    let folder = workspace.book().join("live");
    let entries = fs::read_dir(&folder)
        .with_context(|| format!("cannot read {}", workspace.relative(&folder)))?;
    let mut files = vec![workspace.book().join("theme/live.js")];
    for entry in entries {
        let file = entry?.path();
        if file.extension().is_some_and(|kind| kind == "wasm") {
            files.push(file);
        }
    }
    for file in &files {
        let name = file.file_name().unwrap_or_default();
        fs::copy(file, destination.join(name))
            .with_context(|| format!("cannot copy {}", workspace.relative(file)))?;
    }
    Ok(files)
}
