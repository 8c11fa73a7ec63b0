//! What the page asks, and what it is told: two texts.
//!
//! A question is the name of a figure, and on lines of their own the values of its controls. An
//! answer is several texts with a zero between them: the drawing for a page, the drawing for a
//! phone, the sentence, and for each control what stands beside it and, after a tab, the largest
//! value that it can have now.

use crate::figures;

/// Answers a question.
///
/// # Panics
/// If there is no such figure.
#[must_use]
#[track_caller]
pub fn answer(question: &str) -> String {
    let mut lines = question.split('\n');
    let name = lines.next().unwrap_or_default();
    let figure = figures::find(name).unwrap_or_else(|| panic!("there is no live figure `{name}`"));
    let values = figure.values(&lines.collect::<Vec<_>>());
    let shown = (figure.show)(&values);
    let mut answer = [&*shown.wide, &shown.narrow, &shown.text].join("\0");
    for control in figure.controls() {
        answer += "\0";
        answer += &shown.said(control, &values);
        answer += "\t";
        if let Some(max) = shown.limit_of(control) {
            answer += &max.to_string();
        }
    }
    answer
}
