//! Plots for the book: series of points, each with its name beside it.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use crate::drawing::{Area, Failure, Plane, Sheet, draw_line, stand_in};

pub use crate::drawing::Axis;

const FINE: u32 = 4;
const SHEET: Sheet = Sheet {
    size: (620, 430),
    fine: FINE,
    font: 18,
    text: Ink::Text.drawn(),
};
const LINE: u32 = 2 * FINE;

/// A colour by its meaning; the style sheet of the book says what it looks like.
#[derive(Clone, Copy, PartialEq)]
pub enum Ink {
    Text,
    Muted,
    Rule,
    Direct,
    Mean,
    Var,
    Wrong,
    Accent,
}

impl Ink {
    const ALL: [Self; 8] = [
        Self::Text,
        Self::Muted,
        Self::Rule,
        Self::Direct,
        Self::Mean,
        Self::Var,
        Self::Wrong,
        Self::Accent,
    ];

    /// A stand-in that nothing else is drawn in.
    const fn drawn(self) -> RGBColor {
        stand_in(self as u8)
    }

    /// What the page is to see; the colour after the comma serves outside the book.
    fn css(self) -> &'static str {
        match self {
            Self::Text => "var(--fig-ink, #1f2328)",
            Self::Muted => "var(--fig-muted, #656d76)",
            Self::Rule => "var(--fig-rule, #d0d7de)",
            Self::Direct => "var(--fig-direct, #1f6feb)",
            Self::Mean => "var(--fig-mean, #bc4c00)",
            Self::Var => "var(--fig-var, #1a7f37)",
            Self::Wrong => "var(--fig-wrong, #cf222e)",
            Self::Accent => "var(--fig-accent, #8250df)",
        }
    }
}

impl Axis {
    /// An axis on which `log10` of the data is drawn, marked every `step` decades.
    pub fn decades(caption: impl Into<String>, from: i32, to: i32, step: usize) -> Self {
        let ticks = (from..=to)
            .step_by(step)
            .map(|k| (f64::from(k), power_of_ten(k)))
            .collect();
        Self {
            caption: caption.into(),
            range: (f64::from(from), f64::from(to)),
            ticks,
        }
    }

    /// A linear axis with the given marks.
    pub fn linear(caption: impl Into<String>, range: (f64, f64), marks: &[f64]) -> Self {
        let ticks = marks.iter().map(|&m| (m, format!("{m}"))).collect();
        Self {
            caption: caption.into(),
            range,
            ticks,
        }
    }
}

/// How a series is drawn.
#[derive(Clone, Copy)]
pub enum Mark {
    Line,
    Dashed,
    Points,
    /// A point with a bar from `low` to `high`.
    Bars,
}

/// A series of points in axis units, and the text that stands next to it.
pub struct Series {
    pub ink: Ink,
    pub mark: Mark,
    pub points: Vec<(f64, f64)>,
    /// For [`Mark::Bars`]: low and high of each point.
    pub spread: Vec<(f64, f64)>,
    /// The name, and where it stands.
    pub label: Option<(&'static str, (f64, f64))>,
}

impl Series {
    pub fn new(ink: Ink, mark: Mark, points: Vec<(f64, f64)>) -> Self {
        Self {
            ink,
            mark,
            points,
            spread: Vec::new(),
            label: None,
        }
    }

    /// Names the series at a place of the plot.
    pub fn label(mut self, text: &'static str, x: f64, y: f64) -> Self {
        self.label = Some((text, (x, y)));
        self
    }

    /// Gives each point a bar from low to high.
    pub fn spread(mut self, spread: Vec<(f64, f64)>) -> Self {
        self.spread = spread;
        self
    }
}

/// Draws the series into an SVG for the book.
///
/// `title` names the picture and `about` describes it for those who do not see it.
pub fn draw(title: &str, about: &str, x: &Axis, y: &Axis, series: &[Series]) -> String {
    let inks = Ink::ALL.map(|ink| (ink.drawn(), ink.css()));
    let mut svg = SHEET.svg(title, about, &inks, |area| paint(area, x, y, series));
    // What only repeats a default.
    for idle in [" opacity=\"1\"", " stroke=\"none\" stroke-width=\"1\""] {
        svg = svg.replace(idle, "");
    }
    svg
}

fn paint<'a>(area: &Area<'a>, x: &Axis, y: &Axis, series: &[Series]) -> Result<(), Failure<'a>> {
    let ((x0, x1), (y0, y1)) = (x.range, y.range);
    let mut chart = ChartBuilder::on(area)
        .margin_top(14 * FINE)
        .margin_right(18 * FINE)
        .x_label_area_size(58 * FINE)
        .y_label_area_size(82 * FINE)
        .build_cartesian_2d(x0..x1, y0..y1)?;
    SHEET.marks(area, &chart, [x, y], Ink::Rule.drawn().stroke_width(FINE))?;
    let plane = chart.plotting_area().clone();
    let pixel = |p: (f64, f64)| plane.map_coordinate(&p);
    let corner = pixel((x0, y0));
    for end in [(x1, y0), (x0, y1)] {
        let edge = Ink::Muted.drawn().stroke_width(FINE);
        area.draw(&PathElement::new(vec![corner, pixel(end)], edge))?;
    }
    let middle = pixel((0.5 * (x0 + x1), 0.5 * (y0 + y1)));
    let foot = (middle.0, SHEET.pixels(SHEET.size.1 as i32 - 7));
    let below = (HPos::Center, VPos::Bottom);
    SHEET.write(area, &x.caption, foot, SHEET.text, below)?;
    SHEET.write_upright(area, &y.caption, (SHEET.pixels(7) / 2, middle.1))?;

    for s in series {
        paint_series(&mut chart, x, s)?;
    }
    for s in series {
        if let Some((name, at)) = s.label {
            let beside = (HPos::Left, VPos::Center);
            SHEET.write(area, name, pixel(at), s.ink.drawn(), beside)?;
        }
    }
    Ok(())
}

fn paint_series<'a>(chart: &mut Plane<'a>, x: &Axis, s: &Series) -> Result<(), Failure<'a>> {
    let ink = s.ink.drawn();
    let points = s.points.iter().copied();
    match s.mark {
        Mark::Line => draw_line(chart, &s.points, ink.stroke_width(LINE), None)?,
        Mark::Dashed => {
            let dashes = Some((6 * FINE, 4 * FINE));
            draw_line(chart, &s.points, ink.stroke_width(LINE), dashes)?;
        }
        Mark::Points => {
            chart.draw_series(points.map(|p| Circle::new(p, 2 * FINE, ink.filled())))?;
        }
        Mark::Bars => {
            let cap = 0.008 * (x.range.1 - x.range.0);
            for (&(px, _), &(low, high)) in s.points.iter().zip(&s.spread) {
                let stem = vec![(px, low), (px, high)];
                let foot = vec![(px - cap, low), (px + cap, low)];
                let head = vec![(px - cap, high), (px + cap, high)];
                chart.draw_series(
                    [stem, foot, head].map(|p| PathElement::new(p, ink.stroke_width(FINE))),
                )?;
            }
            chart.draw_series(points.map(|p| Circle::new(p, 4 * FINE, ink.filled())))?;
        }
    }
    Ok(())
}

/// `10ᵏ` with raised digits.
fn power_of_ten(k: i32) -> String {
    if k == 0 {
        return "1".to_string();
    }
    let raised = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32(digit as u32 - '0' as u32 + '⁰' as u32).unwrap_or(digit),
    };
    let exponent: String = k.to_string().chars().map(raised).collect();
    format!("10{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_is_left_to_the_page() {
        let all = Ink::ALL.map(|ink| Series::new(ink, Mark::Line, vec![(0.0, 0.0), (1.0, 1.0)]));
        let axis = Axis::linear("axis", (0.0, 1.0), &[0.0, 1.0]);
        let svg = draw("title", "about", &axis, &axis, &all);
        assert!(svg.contains("<title>title</title>"));
        assert!(!svg.contains("\"#"), "a colour was drawn: {svg}");
        for ink in Ink::ALL {
            assert!(svg.contains(ink.css()), "{} is missing", ink.css());
        }
    }

    #[test]
    fn powers_of_ten_have_raised_digits() {
        let text: Vec<String> = [-15, -1, 0, 4].map(power_of_ten).into();
        assert_eq!(text, ["10⁻¹⁵", "10⁻¹", "1", "10⁴"]);
    }
}
