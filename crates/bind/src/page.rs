//! A page of the built book as a tree, and the part of it that needs no window.

use anyhow::{Context, Result};
use scraper::{ElementRef, Html, Selector};
use std::path::Path;

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

/// Reads a page.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<Html> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
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
