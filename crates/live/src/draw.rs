//! A drawing in SVG, coloured by the variables of the book's theme.
//!
//! What can be dragged carries the names of controls: the script knows how a place in the
//! drawing becomes a value from the two places that go with each name.

use crate::words::escape;
use std::fmt::Write;

/// A place, in units from the upper left corner.
pub type Place = (f64, f64);

/// The pieces of a drawing, in the order in which they are painted.
#[derive(Clone, Debug)]
pub struct Sheet {
    size: Place,
    out: String,
}

/// A number of units, to a tenth: whole numbers are written faster than others, and a drawing has
/// hundreds.
#[must_use]
pub fn px(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let tenths = (10.0 * value).round_ties_even() as i64;
    let sign = if tenths < 0 { "-" } else { "" };
    let (whole, tenth) = (tenths.unsigned_abs() / 10, tenths.unsigned_abs() % 10);
    if tenth == 0 {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{tenth}")
    }
}

/// How a drag moves a control: across or down the drawing, with the places at which the control
/// is at its least and at its largest.
#[derive(Clone, Copy, Debug)]
pub struct Drag {
    /// The control.
    pub control: &'static str,
    /// Where it is at its `min`.
    pub min: f64,
    /// Where it is at its `max`.
    pub max: f64,
}

impl Sheet {
    /// An empty drawing.
    #[must_use]
    pub fn new(width: f64, height: f64) -> Self {
        Self {
            size: (width, height),
            out: String::new(),
        }
    }

    /// A line; `look` are attributes, as everywhere below.
    pub fn line(&mut self, (x1, y1): Place, (x2, y2): Place, look: &str) {
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(px);
        let _ = write!(
            self.out,
            "<path d=\"M{x1} {y1}L{x2} {y2}\" fill=\"none\" {look}/>"
        );
    }

    /// A line through places.
    pub fn curve(&mut self, places: &[Place], look: &str) {
        let steps: Vec<String> = places
            .iter()
            .map(|&(x, y)| format!("{} {}", px(x), px(y)))
            .collect();
        let _ = write!(
            self.out,
            "<path d=\"M{}\" fill=\"none\" {look}/>",
            steps.join("L")
        );
    }

    /// The area within places.
    pub fn area(&mut self, places: &[Place], look: &str) {
        let corners: Vec<String> = places
            .iter()
            .map(|&(x, y)| format!("{} {}", px(x), px(y)))
            .collect();
        let _ = write!(self.out, "<path d=\"M{}Z\" {look}/>", corners.join("L"));
    }

    /// An arrow of a colour, as thick as `width`; too short for its head, it is nothing but the
    /// head's tip.
    pub fn arrow(&mut self, from: Place, to: Place, colour: &str, width: f64) {
        let (x, y) = (to.0 - from.0, to.1 - from.1);
        let length = (x * x + y * y).sqrt();
        if length < 0.5 {
            return;
        }
        let (x, y) = (x / length, y / length);
        let head = (4.0 * width).min(length);
        let base = (to.0 - head * x, to.1 - head * y);
        let wing = 0.4 * head;
        if length > head {
            let look = format!("stroke=\"var({colour})\" stroke-width=\"{width}\"");
            self.line(from, (base.0 + x, base.1 + y), &look);
        }
        let wings = [
            (base.0 - wing * y, base.1 + wing * x),
            (base.0 + wing * y, base.1 - wing * x),
        ];
        let look = format!("fill=\"var({colour})\"");
        self.area(&[to, wings[0], wings[1]], &look);
    }

    /// A rectangle from one corner to the one across.
    pub fn rect(&mut self, (x1, y1): Place, (x2, y2): Place, look: &str) {
        let [x, y] = [x1.min(x2), y1.min(y2)].map(px);
        let [width, height] = [(x2 - x1).abs(), (y2 - y1).abs()].map(px);
        let _ = write!(
            self.out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" {look}/>"
        );
    }

    /// A disc.
    pub fn disc(&mut self, (x, y): Place, radius: f64, look: &str) {
        let [x, y, r] = [x, y, radius].map(px);
        let _ = write!(self.out, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\" {look}/>");
    }

    /// A line of text, its base at a place; `look` says where it is anchored.
    pub fn text(&mut self, at: Place, look: &str, text: &str) {
        self.marked(at, look, &escape(text));
    }

    /// A line of text that holds marks of its own, such as `<tspan>`.
    pub fn marked(&mut self, (x, y): Place, look: &str, marked: &str) {
        let [x, y] = [x, y].map(px);
        let _ = write!(self.out, "<text x=\"{x}\" y=\"{y}\" {look}>{marked}</text>");
    }

    /// A disc that is dragged with a pointer, `across` the drawing, `down` it, or both. The
    /// controls are the way of a keyboard, so they must be on the page.
    pub fn handle(&mut self, at: Place, across: Option<Drag>, down: Option<Drag>, look: &str) {
        let mut attributes = String::new();
        for (axis, drag) in [("x", across), ("y", down)] {
            if let Some(Drag { control, min, max }) = drag {
                let [min, max] = [min, max].map(px);
                let _ = write!(attributes, " data-drag-{axis}=\"{control} {min} {max}\"");
            }
        }
        let _ = write!(self.out, "<g class=\"live-handle\"{attributes}>");
        // Where a finger finds it.
        self.disc(at, 17.0, "fill=\"transparent\"");
        self.disc(at, 7.0, look);
        self.out.push_str("</g>");
    }

    /// A disc that is dragged anywhere: each control moves by so much for a unit across, and by
    /// so much for a unit down. The controls are the way of a keyboard.
    pub fn roaming(&mut self, at: Place, moves: &[(&str, f64, f64)], look: &str) {
        let moves: Vec<String> = moves
            .iter()
            .map(|(control, across, down)| format!("{control} {across:.5} {down:.5}"))
            .collect();
        let moves = moves.join(";");
        let _ = write!(self.out, "<g class=\"live-handle\" data-drag=\"{moves}\">");
        self.disc(at, 17.0, "fill=\"transparent\"");
        self.disc(at, 7.0, look);
        self.out.push_str("</g>");
    }

    /// What is drawn within sets a control to a value when it is clicked. The control is the way
    /// of a keyboard, so it must be on the page.
    pub fn sets(&mut self, control: &str, value: f64, within: impl FnOnce(&mut Self)) {
        let _ = write!(
            self.out,
            "<g class=\"live-set\" data-set=\"{control} {value}\">"
        );
        within(self);
        self.out.push_str("</g>");
    }

    /// The whole drawing. `title` names it to those who do not see it.
    #[must_use]
    pub fn svg(self, title: &str) -> String {
        let [width, height] = [self.size.0, self.size.1].map(px);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             style=\"width:{width}px\"><title>{}</title><g font-size=\"14\">{}</g></svg>",
            escape(title),
            self.out
        )
    }
}

/// A straight scale from values to places.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// The values at the ends.
    pub values: [f64; 2],
    /// The places at the ends.
    pub places: [f64; 2],
}

impl Scale {
    /// The place of a value.
    #[must_use]
    pub fn at(&self, value: f64) -> f64 {
        let [from, to] = self.values;
        let [start, end] = self.places;
        start + (value - from) / (to - from) * (end - start)
    }
}

/// The least of 1, 2, 5, 10, 20, … and their tenths that is `value` or more, for the end of an
/// axis.
#[must_use]
pub fn round_up(value: f64) -> f64 {
    let mut power = 1e-6;
    while power < 1e12 {
        for digit in [1.0, 2.0, 5.0] {
            if digit * power >= value {
                return digit * power;
            }
        }
        power *= 10.0;
    }
    power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_says_how_it_is_dragged() {
        let mut sheet = Sheet::new(100.0, 50.0);
        let drag = Drag {
            control: "x1",
            min: 40.0,
            max: 10.0,
        };
        sheet.handle((5.0, 20.04), None, Some(drag), "fill=\"red\"");
        let moves = [("a", 0.5, 0.0), ("b", -0.25, 1.0)];
        sheet.roaming((5.0, 5.0), &moves, "fill=\"red\"");
        sheet.sets("cell", 3.0, |sheet| {
            sheet.rect((9.0, 9.0), (4.0, 4.0), "fill=\"red\"");
        });
        sheet.text((0.0, -0.01), "", "a < b");
        let svg = sheet.svg("Two & more");
        for part in [
            "viewBox=\"0 0 100 50\"",
            "<title>Two &amp; more</title>",
            "data-drag-y=\"x1 40 10\"",
            "cy=\"20\"",
            "data-drag=\"a 0.50000 0.00000;b -0.25000 1.00000\"",
            "data-set=\"cell 3\"><rect x=\"4\" y=\"4\" width=\"5\" height=\"5\"",
            "<text x=\"0\" y=\"0\" >a &lt; b</text>",
        ] {
            assert!(svg.contains(part), "{part} is missing from {svg}");
        }
    }

    #[test]
    fn a_place_is_told_to_a_tenth() {
        let values = [12.0, 3.04, -0.04, -0.06, -7.25, 339.96, f64::NAN];
        let told = values.map(px);
        assert_eq!(told, ["12", "3", "0", "-0.1", "-7.2", "340", "NaN"]);
    }

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!(round_up(0.3), 0.5);
        assert_eq!(round_up(1.0), 1.0);
        assert_eq!(round_up(316.2), 500.0);
        let scale = Scale {
            values: [0.0, 8.0],
            places: [200.0, 40.0],
        };
        assert_eq!(scale.at(2.0), 160.0);
    }
}
