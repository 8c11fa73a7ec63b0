//! A heat map of errors as SVG, readable on light and on dark ground.
//!
//! Each row of squares is one normalized group, a channel of Batch Norm or a row of Layer Norm;
//! for dgamma and dbeta there is one row. A square is faint where the error is one that rounding
//! may make, and the stronger the larger it is, in orders of magnitude. Its colour is the sign.

use crate::judge::Judged;
use crate::search::Outcome;
use crate::subject::Subject;
use std::fmt::Write;

/// More squares than this in a direction are put together, the largest error standing for all.
const MOST: usize = 96;
/// The width of the map.
const WIDTH: f64 = 640.0;
/// The largest side of a square.
const SQUARE: f64 = 26.0;
/// Room for names, and from one line of text to the next.
const LEFT: f64 = 12.0;
const LINE: f64 = 20.0;

/// All arrays that were compared, one below the other.
pub fn picture(subject: &Subject, judged: &[Judged]) -> String {
    let mut body = String::new();
    let mut y = LINE;
    for one in judged.iter().filter(|one| !one.excess.is_empty()) {
        y = map(subject, one, y, &mut body);
    }
    let width = WIDTH + 2.0 * LEFT;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {y}\" role=\"img\" \
         color-scheme=\"light dark\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <title>Where the errors are</title>\n\
         <style>svg {{ color: #222; background: #fff }} .more {{ fill: #bc4c00 }} \
         .less {{ fill: #1f6feb }} @media (prefers-color-scheme: dark) {{ svg {{ color: #ddd; \
         background: #161616 }} .more {{ fill: #ff9a4d }} .less {{ fill: #6cb0ff }} }}</style>\n\
         {body}</svg>\n"
    )
}

/// Which row and column an element is in, and how many there are.
fn grid(subject: &Subject, judged: &Judged) -> (Vec<(usize, usize)>, [usize; 2], &'static str) {
    let groups = &subject.probe.groups;
    if !matches!(judged.target, "y" | "dx") {
        let row = (0..judged.elements).map(|k| (0, k)).collect();
        let unit = subject.probe.kind.parameter();
        return (row, [1, judged.elements], unit);
    }
    let mut next = vec![0; groups.count];
    let places = groups.of.iter().map(|&group| {
        next[group] += 1;
        (group, next[group] - 1)
    });
    (
        places.collect(),
        [groups.count, groups.size()],
        subject.probe.kind.group(),
    )
}

/// Draws one array from the height `y` on, and gives back where it ends.
fn map(subject: &Subject, judged: &Judged, mut y: f64, body: &mut String) -> f64 {
    let (places, [rows, columns], unit) = grid(subject, judged);
    let shrink = |n: usize| n.div_ceil(MOST).max(1);
    let (tall, wide) = (shrink(rows), shrink(columns));
    let (shown, across) = (rows.div_ceil(tall), columns.div_ceil(wide));
    // Of the errors that share a square, the largest, measured by what is allowed.
    let mut squares = vec![(0.0_f64, 0.0_f64); shown * across];
    for (k, (row, column)) in places.iter().enumerate() {
        let error = judged.excess[k];
        let excess = if error.is_finite() {
            error.abs()
        } else {
            f64::INFINITY
        };
        let square = &mut squares[row / tall * across + column / wide];
        if excess >= square.0 {
            *square = (excess, error);
        }
    }
    let largest = squares
        .iter()
        .filter(|(excess, _)| excess.is_finite())
        .fold(1.0_f64, |m, (excess, _)| m.max(*excess));
    let no_number = squares.iter().any(|(excess, _)| !excess.is_finite());
    let verdict = match judged.outcome {
        Outcome::Right => "right",
        Outcome::Wrong => "wrong",
        Outcome::Refused => "not judged",
    };
    let title = match judged.off {
        0 => format!("{}: {verdict}; no element is off", judged.target),
        off => format!(
            "{}: {verdict}; {off} of {} elements are off, {}",
            judged.target,
            judged.elements,
            match largest {
                _ if no_number => "some of them no finite number".to_owned(),
                ..1e4 => format!("up to {largest:.1} times what is allowed"),
                _ => format!("up to {largest:.1e} times what is allowed"),
            }
        ),
    };
    let _ = writeln!(
        body,
        "<text x=\"{LEFT}\" y=\"{y}\" fill=\"currentColor\">{title}</text>"
    );
    y += 8.0;
    let side = (WIDTH / across as f64).min(SQUARE);
    for row in 0..shown {
        for column in 0..across {
            let (excess, error) = squares[row * across + column];
            let class = if error < 0.0 { "less" } else { "more" };
            // From 1 to the largest in orders of magnitude; what is allowed hardly shows.
            let strong = if excess <= 1.0 {
                0.06
            } else if !excess.is_finite() {
                1.0
            } else {
                0.3 + 0.7 * (excess.ln() / largest.ln()).clamp(0.0, 1.0)
            };
            let (x, top) = (LEFT + column as f64 * side, y + row as f64 * (side + 1.0));
            let _ = writeln!(
                body,
                "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{side:.1}\" \
                 height=\"{side:.1}\" fill-opacity=\"{strong:.2}\"/>"
            );
        }
    }
    y += shown as f64 * (side + 1.0) + 12.0;
    let each = |n: usize, what: &str| match n {
        1 => format!("one {what}"),
        n => format!("{n} {what}s"),
    };
    let legend = match judged.target {
        "y" | "dx" => format!(
            "each line of squares is {}, a square {}",
            each(tall, unit),
            each(wide, "element")
        ),
        _ => format!("a square is {}", each(wide, unit)),
    };
    let _ = writeln!(
        body,
        "<text x=\"{LEFT}\" y=\"{y}\" fill=\"currentColor\" fill-opacity=\"0.7\">{legend}; \
         <tspan class=\"more\">too large</tspan>, <tspan class=\"less\">too small</tspan></text>"
    );
    y + 2.0 * LINE
}
