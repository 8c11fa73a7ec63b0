//! The book built aside, its pages as trees, and the part of them that needs no window.

use crate::xml::attributes;
use anyhow::{Context, Result};
use course::book::{self, Built};
use course::files;
use course::workspace::Workspace;
use scraper::{ElementRef, Html, Selector};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// What a page has for a mouse, a keyboard or a running course, and for the width of a phone.
const FOR_A_WINDOW: &str = "script, button, .buttons, .live-controls, .verdict, .exercise-state, .hint, \
                            .own-words, .choice input, .drawing .narrow, .live .narrow, .resume";

/// The selector `css`, which is one of ours.
pub fn selector(css: &str) -> Selector {
    Selector::parse(css).unwrap_or_else(|error| panic!("the selector `{css}`: {error}"))
}

/// What is left out where there is no window.
pub fn for_a_window() -> Selector {
    selector(FOR_A_WINDOW)
}

/// The attributes of an element where there is no window, and nothing can be opened; none if it
/// is for a `window` only.
pub fn kept(element: ElementRef<'_>, window: &Selector) -> Option<Vec<(String, String)>> {
    if window.matches(&element) {
        return None;
    }
    let mut kept = attributes(element);
    if element.value().name() == "details" && !kept.iter().any(|(name, _)| name == "open") {
        kept.push(("open".to_owned(), "open".to_owned()));
    }
    if element.value().name() == "pre" && is_short(element) {
        kept.push(("data-short".to_owned(), String::new()));
    }
    Some(kept)
}

/// Whether code is so short that it need not go on on another page.
fn is_short(code: ElementRef<'_>) -> bool {
    let text: String = code.text().collect();
    text.trim().lines().count() <= 16
}

/// Builds the book into a temporary folder, with `look` of its themes beside its own.
///
/// # Errors
/// When the book cannot be built, or the folder not be written.
pub fn aside(workspace: &Workspace, look: &str) -> Result<(TempDir, Built)> {
    let folder = tempfile::tempdir().context("there is no folder for temporary files")?;
    let built = book::build(workspace, folder.path())?;
    let from = workspace.book().join(look);
    fs::copy(&from, folder.path().join(look))
        .with_context(|| format!("cannot copy {}", workspace.relative(&from)))?;
    Ok((folder, built))
}

/// Writes a file whole, in a folder that is made where there is none.
///
/// # Errors
/// When either cannot be written.
pub fn put(file: &Path, bytes: Vec<u8>) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    files::write_atomically(file, bytes)
}

/// Reads a page.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<Html> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Html::parse_document(&text))
}

/// The first element that `css` finds in a page.
///
/// # Errors
/// When there is none.
pub fn one<'a>(page: &'a Html, css: &str) -> Result<ElementRef<'a>> {
    page.select(&selector(css))
        .next()
        .with_context(|| format!("a page has no `{css}`"))
}

/// The text of an element in one line.
pub fn text(element: ElementRef<'_>) -> String {
    let text: String = element.text().collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
