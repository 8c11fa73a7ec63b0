//! A drawing in SVG that takes its colours and its font from the page it stands in.

use std::fmt::Write;

use crate::names::Place;

/// The pieces of a drawing, in the order in which they are painted.
#[derive(Default)]
pub(crate) struct Sheet(String);

/// A number of pixels, to a tenth.
fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

impl Sheet {
    /// A line through `places`, or what it surrounds; `look` are attributes.
    pub(crate) fn path(&mut self, places: &[Place], look: &str) {
        let mut steps: Vec<String> = places
            .iter()
            .map(|&(x, y)| format!("{} {}", px(x), px(y)))
            .collect();
        steps.dedup();
        let _ = writeln!(self.0, "<path d=\"M{}\" {look}/>", steps.join("L"));
    }

    /// Dots.
    pub(crate) fn dots(&mut self, places: &[Place], radius: f64, look: &str) {
        let _ = writeln!(self.0, "<g {look}>");
        for &(x, y) in places {
            let (x, y, r) = (px(x), px(y), px(radius));
            let _ = writeln!(self.0, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\"/>");
        }
        self.0.push_str("</g>\n");
    }

    /// Lines of text, the first with its base at a place.
    pub(crate) fn text(&mut self, lines: &[impl AsRef<str>], (x, y): Place, each: f64, look: &str) {
        let _ = writeln!(self.0, "<g {look}>");
        for (i, line) in lines.iter().enumerate() {
            let (x, y) = (px(x), px(y + each * i as f64));
            let line = escape(line.as_ref());
            let _ = writeln!(self.0, "<text x=\"{x}\" y=\"{y}\">{line}</text>");
        }
        self.0.push_str("</g>\n");
    }

    /// The whole drawing. `title` names it, `about` describes it to those who do not see it.
    pub(crate) fn svg(self, (width, height): Place, font: f64, title: &str, about: &str) -> String {
        let (title, about) = (escape(title), escape(about));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             role=\"img\">\n<title>{title}</title>\n<desc>{about}</desc>\n\
             <g font-size=\"{font}\" fill=\"none\">\n{}</g>\n</svg>\n",
            self.0
        )
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// About how wide a line of text is, in sizes of the font: rather too much than too little,
/// for nobody knows which font the page has.
pub(crate) fn width(text: &str) -> f64 {
    let of = |c: char| match c {
        'i' | 'j' | 'l' | 't' | 'f' | 'r' | 'I' | '.' | ',' | '(' | ')' | '|' | ' '
        | '\u{202f}' => 0.33,
        '⁰'..='⁹' | '⁻' | '²' | '³' | '¹' => 0.36,
        'm' | 'w' | 'M' | 'W' | '%' => 0.86,
        'A'..='Z' => 0.65,
        _ => 0.53,
    };
    text.chars().map(of).sum()
}

/// Text in lines that are at most so many sizes of the font wide, if its words are not wider.
pub(crate) fn wrapped(text: &str, most: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if width(line) + width(" ") + width(word) <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
