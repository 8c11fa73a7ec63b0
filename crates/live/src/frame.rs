//! A figure as a page holds it: the drawing as it begins, the sentence, and the controls.
//!
//! The script finds its places in it by the attributes that begin with `data-`. Until it has
//! come, the controls are disabled, and without scripts or on paper they are not shown.

use crate::figure::{Control, Figure, Group, Kind, Shown};
use crate::figures;
use crate::words::escape;
use std::fmt::Write;

/// The HTML of a figure as it begins, on one line.
#[must_use]
pub fn html(figure: &Figure) -> String {
    let shown = figure.start();
    let mut controls = String::new();
    // Groups of sliders share a row where there is room, and so do the others.
    let slides = |group: &Group| {
        let mut controls = group.controls.iter();
        controls.any(|control| matches!(control.kind, Kind::Slider { .. }))
    };
    for band in figure.groups.chunk_by(|a, b| slides(a) == slides(b)) {
        let groups = band.iter().map(|group| group_of(figure, group, &shown));
        let groups: String = groups.collect();
        let _ = write!(controls, "<div class=\"live-band\">{groups}</div>");
    }
    format!(
        "<div class=\"live\" data-live=\"{name}\" data-module=\"{module}\"><div class=\"live-body\" data-live-body>\
         <div class=\"drawing-body\" data-live-drawing><div class=\"wide\">{wide}</div><div class=\"narrow\">{narrow}</div></div>\
         <p class=\"live-text\" data-live-text>{text}</p>\
         <fieldset class=\"live-controls\" disabled aria-label=\"Controls of the figure\">{controls}\
         <button type=\"button\" class=\"live-reset\" data-live-reset>Start over</button></fieldset>\
         <p class=\"unseen\" role=\"status\" data-live-status></p></div></div>\n",
        name = figure.name,
        module = figures::module_of(figure),
        wide = shown.wide,
        narrow = shown.narrow,
        text = escape(&shown.text),
    )
}

fn group_of(figure: &Figure, group: &Group, shown: &Shown) -> String {
    let mut inner = String::new();
    for control in group.controls {
        inner += &control_of(figure, control, shown);
    }
    let legend = escape(group.legend);
    format!(
        "<fieldset class=\"live-group\"><legend>{legend}</legend><div class=\"live-row\">{inner}</div></fieldset>"
    )
}

fn control_of(figure: &Figure, control: &Control, shown: &Shown) -> String {
    let name = control.name;
    let label = escape(control.label);
    match control.kind {
        Kind::Slider {
            min,
            max,
            step,
            start,
        } => {
            let said = escape(&shown.said(control, &figure.values(&[] as &[&str])));
            let max = shown.limit_of(control).unwrap_or(max);
            // Room for `3.2 × 10⁻¹⁶` beside it, so that the slider keeps its length.
            let long = if said.chars().count() > 5 {
                " long"
            } else {
                ""
            };
            format!(
                "<label class=\"live-slider{long}\"><span class=\"live-label\">{label}</span>\
                 <input type=\"range\" data-control=\"{name}\" min=\"{min}\" max=\"{max}\" step=\"{step}\" value=\"{start}\" \
                 aria-valuetext=\"{said}\" autocomplete=\"off\"><output class=\"live-said\">{said}</output></label>"
            )
        }
        Kind::Choice { options, start } => {
            let mut radios = String::new();
            for (at, option) in options.iter().enumerate() {
                let checked = if at == start { " checked" } else { "" };
                let _ = write!(
                    radios,
                    "<label class=\"live-option\"><input type=\"radio\" name=\"live-{}-{name}\" data-control=\"{name}\" \
                     value=\"{at}\"{checked} autocomplete=\"off\"> <span>{}</span></label>",
                    figure.name,
                    escape(option),
                );
            }
            format!(
                "<div class=\"live-choice\" role=\"radiogroup\" aria-label=\"{label}\">{radios}</div>"
            )
        }
        Kind::Switch { start } => {
            let checked = if start { " checked" } else { "" };
            format!(
                "<label class=\"live-option\" data-of=\"{name}\"><input type=\"checkbox\" data-control=\"{name}\"{checked} \
                 autocomplete=\"off\"> <span>{label}</span></label>"
            )
        }
        Kind::Text { start, longest } => format!(
            "<label class=\"live-written\"><span class=\"live-label\">{label}</span>\
             <input type=\"text\" data-control=\"{name}\" value=\"{}\" maxlength=\"{longest}\" \
             autocomplete=\"off\" autocapitalize=\"off\" spellcheck=\"false\"></label>",
            escape(start),
        ),
    }
}
