//! What the page asks, and what it is told: two texts.
//!
//! A question is the name of a figure, and on lines of their own the values of its controls. After
//! the name may stand ` wide` or ` narrow`, and then the drawing of the other form is left out. An
//! answer is several texts with a zero between them: the drawing for a page, the drawing for a
//! phone, the sentence, and for each control what stands beside it and, after a tab, the largest
//! value that it can have now.

use crate::figure::Form;
use crate::figures;

/// Answers a question.
///
/// # Panics
/// If there is no such figure.
#[must_use]
#[track_caller]
pub fn answer(question: &str) -> String {
    let mut lines = question.split('\n');
    let first = lines.next().unwrap_or_default();
    let (name, form) = match first.split_once(' ') {
        Some((name, "wide")) => (name, Some(Form::Wide)),
        Some((name, "narrow")) => (name, Some(Form::Narrow)),
        _ => (first, None),
    };
    let figure = figures::find(name).unwrap_or_else(|| panic!("there is no live figure `{name}`"));
    let mut values = figure.values(&lines.collect::<Vec<_>>());
    if let Some(form) = form {
        values = values.only(form);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// All but the other drawing is the same, whichever form is asked for.
    #[test]
    fn one_form_can_be_asked_for() {
        for figure in figures::all() {
            let name = figure.name;
            let both = answer(name);
            let both: Vec<&str> = both.split('\0').collect();
            for (at, form) in ["wide", "narrow"].into_iter().enumerate() {
                let one = answer(&format!("{name} {form}"));
                let mut wanted = both.clone();
                wanted[1 - at] = "";
                assert_eq!(one.split('\0').collect::<Vec<_>>(), wanted, "{name} {form}");
            }
        }
    }
}
