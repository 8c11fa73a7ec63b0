//! The teaching core: code of which the book shows every line.
//!
//! `book/presented.toml` names the files of `tape`, `gradcheck`, `batchnorm` and
//! `layernorm` that are not part of it, each with the reason, and those whose chapters
//! do not show all of them yet. Every other file of these crates stands in listings,
//! line by line; a test says which line does not.

use crate::workspace::Workspace;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The crates whose numerical code the book shows.
pub const CRATES: [&str; 4] = ["tape", "gradcheck", "batchnorm", "layernorm"];

/// What `book/presented.toml` says. Paths are relative to the root of the checkout.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Presented {
    /// Files that the chapters do not show in full yet.
    #[serde(default)]
    pub not_yet: BTreeSet<String>,
    /// Files that are no numerical code, and why.
    #[serde(default)]
    pub outside: BTreeMap<String, String>,
}

impl Presented {
    /// Reads the file; without one, both lists are empty.
    ///
    /// # Errors
    /// When the file is not of this form.
    pub fn load(workspace: &Workspace) -> Result<Self> {
        let path = workspace.book().join("presented.toml");
        if !path.exists() {
            return Ok(Self::default());
        }
        let name = workspace.relative(&path);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {name}"))?;
        toml::from_str(&text).with_context(|| format!("in {name}"))
    }
}

/// The Rust sources of these crates, except files of tests.
///
/// # Errors
/// When a folder cannot be read.
pub fn sources(workspace: &Workspace, crates: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for name in crates {
        let dir = workspace.root().join("crates").join(name).join("src");
        if dir.exists() {
            let inside = sources_in(&dir);
            found.extend(inside.with_context(|| format!("cannot read {}", dir.display()))?);
        }
    }
    found.sort();
    Ok(found)
}

/// The Rust sources in a folder and in those below it, but for tests, in order.
///
/// # Errors
/// When a folder cannot be read.
pub fn sources_in(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        let stem = path.file_stem().unwrap_or_default();
        if stem == "tests" || stem == "testing" {
            continue;
        }
        // A link to a folder may lead back to where it stands.
        if entry.file_type()?.is_dir() {
            found.extend(sources_in(&path)?);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The numbers of the lines that carry the code of a source file.
///
/// These are all but blank lines and comments, `use` and `mod`, attributes, tests, the
/// head of an `impl` (which the caption of a listing names), and lone closing braces.
#[must_use]
pub fn essential(source: &str) -> Vec<usize> {
    let mut lines = source.lines().enumerate();
    let mut essential = Vec::new();
    while let Some((index, line)) = lines.next() {
        let text = line.trim();
        if text.is_empty() || text == "}" || text.starts_with("//") {
            continue;
        }
        if is_item(text, "mod ") && text.ends_with(';') {
            continue;
        }
        // Goes on to the line that ends what has begun here.
        let mut pass = |first: &str, end: &dyn Fn(&str) -> bool| {
            let mut done = end(first);
            while !done && let Some((_, next)) = lines.next() {
                done = end(next);
            }
        };
        if text == "#[cfg(test)]" {
            let indent = &line[..line.len() - line.trim_start().len()];
            let close = format!("{indent}}}");
            let short = |line: &str| {
                let rest = line.strip_prefix(indent);
                rest.is_some_and(|rest| {
                    // A line of text inside a test may stand as far left, and end so.
                    rest.starts_with(|c: char| c.is_alphabetic() || c == '}') && rest.ends_with(';')
                })
            };
            pass("", &|next| next == close || short(next));
        } else if text.starts_with("#[") || text.starts_with("#![") {
            pass(text, &|next| next.trim_end().ends_with(']'));
        } else if is_item(text, "use ") {
            pass(text, &|next| next.trim_end().ends_with(';'));
        } else if text.starts_with("impl ") || text.starts_with("impl<") {
            pass(text, &|next| next.trim_end().ends_with(['{', '}']));
        } else {
            essential.push(index + 1);
        }
    }
    essential
}

/// Whether the keyword stands first, after a visibility.
fn is_item(text: &str, keyword: &str) -> bool {
    ["", "pub ", "pub(crate) ", "pub(super) "]
        .iter()
        .any(|visible| {
            text.strip_prefix(visible)
                .is_some_and(|rest| rest.starts_with(keyword))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_essential_and_what_surrounds_it_is_not() {
        let source = "\
//! A file.

use std::array;
pub(crate) use std::{
    fmt,
    ops,
};
mod rows;

/// Docs.
#[derive(
    Clone,
)]
pub struct Rows {
    width: usize, // essential
}

impl<T> Trait for Rows
where
    T: Real,
{
    #[inline]
    fn sum(&self) -> usize {
        // why
        self.width
    }
}

impl Empty for Rows {}

#[cfg(test)]
mod testing;

const BLOCK: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f() {
        g();
        let text = \"several
lines
\";
        h(text);
    }
}

fn after() {}
";
        let found: Vec<&str> = essential(source)
            .into_iter()
            .map(|number| source.lines().nth(number - 1).unwrap().trim())
            .collect();
        assert_eq!(
            found,
            [
                "pub struct Rows {",
                "width: usize, // essential",
                "fn sum(&self) -> usize {",
                "self.width",
                "const BLOCK: usize = 32;",
                "fn after() {}",
            ]
        );
    }
}
