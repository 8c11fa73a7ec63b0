//! Charts of experiments: medians as lines, spreads as bands, coloured by the page.
//!
//! Text and rules are drawn in the page's own colour (`currentColor`), each method in a CSS
//! variable of its name, with a fallback that is readable on either ground. Lines differ in
//! their dashes too, for those who do not see the colours.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use crate::drawing::{self, Area, Failure, Sheet, draw_line, stand_in};
use crate::stats::Spread;

const SHEET: Sheet = Sheet {
    size: (640, 400),
    fine: 1,
    font: 14,
    text: Ink::Text.drawn(),
};
/// Room left and right of the lines, and of one row of the legend.
const LEFT: i32 = 70;
const RIGHT: i32 = 18;
const ROW: i32 = 20;
/// Points that are marked at most: more would run together.
const MARKED: usize = 40;

/// What a line stands for; decides its colour and its dashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ink {
    /// No normalization.
    None,
    /// Batch Norm.
    Batch,
    /// Layer Norm.
    Layer,
    /// RMS Norm.
    Rms,
    /// Group Norm.
    Group,
    /// No normalization in a second form, beside the first.
    NoneToo,
    /// Batch Norm in a second form, beside the first.
    BatchToo,
    /// Layer Norm in a second form, beside the first.
    LayerToo,
    /// Batch Norm with noise after it.
    Noise,
    /// What theory says.
    Theory,
    /// Text.
    Text,
    /// The lines behind the data.
    Rule,
}

impl Ink {
    const ALL: [Ink; 12] = [
        Ink::None,
        Ink::Batch,
        Ink::Layer,
        Ink::Rms,
        Ink::Group,
        Ink::NoneToo,
        Ink::BatchToo,
        Ink::LayerToo,
        Ink::Noise,
        Ink::Theory,
        Ink::Text,
        Ink::Rule,
    ];

    /// For the same method in another form, drawn beside the first.
    pub(crate) fn second(self) -> Ink {
        match self {
            Ink::None => Ink::NoneToo,
            Ink::Batch => Ink::BatchToo,
            Ink::Layer => Ink::LayerToo,
            other => panic!("{other:?} is not drawn in two forms"),
        }
    }

    /// A stand-in that nothing else is drawn in.
    const fn drawn(self) -> RGBColor {
        stand_in(self as u8)
    }

    /// What stands in the finished picture.
    fn css(self) -> &'static str {
        match self {
            Ink::None | Ink::NoneToo => "var(--fig-none, #8a919a)",
            Ink::Batch | Ink::BatchToo => "var(--fig-batch, #3b7dd8)",
            Ink::Layer | Ink::LayerToo => "var(--fig-layer, #d9730d)",
            Ink::Rms => "var(--fig-rms, #2a9d5b)",
            Ink::Group => "var(--fig-group, #9a66d6)",
            Ink::Noise => "var(--fig-noise, #cf4a72)",
            Ink::Theory | Ink::Text | Ink::Rule => "currentColor",
        }
    }

    /// Lengths of dash and gap; `None`: a solid line.
    fn dashes(self) -> Option<(u32, u32)> {
        match self {
            Ink::None => Some((7, 4)),
            Ink::Rms | Ink::NoneToo | Ink::BatchToo | Ink::LayerToo => Some((2, 3)),
            Ink::Theory => Some((4, 4)),
            _ => None,
        }
    }

    /// Whether points are marked on the line.
    fn marked(self) -> bool {
        matches!(self, Ink::Layer | Ink::LayerToo | Ink::Noise)
    }
}

/// An axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What is measured, and in which unit.
    pub caption: String,
    /// Whether equal distances are equal ratios.
    pub log: bool,
    /// The lowest and highest value that is seen.
    pub range: (f64, f64),
}

/// One line with its band.
#[derive(Clone, Debug)]
pub struct Line {
    /// The name in the legend.
    pub name: String,
    /// Its colour.
    pub ink: Ink,
    /// Where, and what was measured there. A gap is left where nothing could be measured.
    pub points: Vec<(f64, Option<Spread>)>,
}

/// A chart.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Names the picture.
    pub title: String,
    /// Describes it to those who do not see it.
    pub about: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The lines, in the order of the legend.
    pub lines: Vec<Line>,
}

impl Axis {
    /// An axis of equal steps.
    pub fn linear(caption: impl Into<String>, low: f64, high: f64) -> Self {
        Axis {
            caption: caption.into(),
            log: false,
            range: (low, high),
        }
    }

    /// An axis of equal ratios.
    pub fn log(caption: impl Into<String>, low: f64, high: f64) -> Self {
        Axis {
            caption: caption.into(),
            log: true,
            range: (low, high),
        }
    }

    /// The value in units of the drawing.
    fn place(&self, value: f64) -> f64 {
        if self.log { value.log10() } else { value }
    }

    /// The same in units of the drawing.
    fn drawn(&self) -> drawing::Axis {
        let tick = |tick| (self.place(tick), text(tick));
        drawing::Axis {
            caption: self.caption.clone(),
            range: (self.place(self.range.0), self.place(self.range.1)),
            ticks: self.ticks().into_iter().map(tick).collect(),
        }
    }

    /// The marked values.
    fn ticks(&self) -> Vec<f64> {
        let (low, high) = self.range;
        if self.log {
            let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
            let all = decades.flat_map(|k| [1.0, 3.0].map(|digit| digit * 10f64.powi(k)));
            return all
                .filter(|t| (low * 0.999..=high * 1.001).contains(t))
                .collect();
        }
        // Steps of 1, 2 or 5 times a power of ten, five to ten of them.
        let power = 10f64.powf(((high - low) / 5.0).log10().floor());
        let step = [5.0, 2.0, 1.0].map(|digit| digit * power);
        let step = step
            .into_iter()
            .find(|step| (high - low) / step >= 4.0)
            .unwrap_or(power);
        let first = (low / step - 1e-9).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        (first..=last).map(|i| i as f64 * step).collect()
    }
}

/// A number as a reader writes it: no trailing zeros, no rounding noise.
fn text(value: f64) -> String {
    let rounded = format!("{value:.6}");
    if value != 0.0 && value.abs() < 1e-5 {
        return format!("{value:e}");
    }
    let short = rounded.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" {
        "0".to_owned()
    } else {
        short.to_owned()
    }
}

impl Chart {
    /// The chart as SVG, in a form that can stand in a page or on its own.
    pub fn svg(&self) -> String {
        let inks = Ink::ALL.map(|ink| (ink.drawn(), ink.css()));
        SHEET.svg(&self.title, &self.about, &inks, |area| self.paint(area))
    }

    fn paint<'a>(&self, area: &Area<'a>) -> Result<(), Failure<'a>> {
        let (x, y) = (self.x.drawn(), self.y.drawn());
        let ((x0, x1), (y0, y1)) = (x.range, y.range);
        let rows = self.legend_places().last().map_or(0, |place| place.0);
        let mut chart = ChartBuilder::on(area)
            .margin_top(34 + ROW * rows)
            .margin_right(RIGHT)
            .x_label_area_size(50)
            .y_label_area_size(LEFT)
            .build_cartesian_2d(x0..x1, y0..y1)?;
        SHEET.marks(area, &chart, [&x, &y], Ink::Rule.drawn().mix(0.18).into())?;
        let (left, _) = chart.plotting_area().map_coordinate(&(x0, y0));
        let middle = (0.5 * (x0 + x1), 0.5 * (y0 + y1));
        let middle = chart.plotting_area().map_coordinate(&middle);
        let foot = (middle.0, SHEET.size.1 as i32 - 6);
        let below = (HPos::Center, VPos::Bottom);
        SHEET.write(area, &x.caption, foot, SHEET.text, below)?;
        SHEET.write_upright(area, &y.caption, (4, middle.1))?;

        let clamp = |y: f64| self.y.place(y.clamp(self.y.range.0, self.y.range.1));
        for line in &self.lines {
            for part in line.points.split(|(_, spread)| spread.is_none()) {
                let part: Vec<(f64, Spread)> = part
                    .iter()
                    .filter_map(|&(x, spread)| Some((self.x.place(x), spread?)))
                    .collect();
                let low = part.iter().map(|(x, s)| (*x, clamp(s.low)));
                let high = part.iter().rev().map(|(x, s)| (*x, clamp(s.high)));
                let band: Vec<(f64, f64)> = low.chain(high).collect();
                chart.draw_series([Polygon::new(band, line.ink.drawn().mix(0.18))])?;
            }
        }
        for line in &self.lines {
            let ink = line.ink.drawn();
            for part in line.points.split(|(_, spread)| spread.is_none()) {
                let medians: Vec<(f64, f64)> = part
                    .iter()
                    .filter_map(|&(x, spread)| Some((self.x.place(x), clamp(spread?.median))))
                    .collect();
                let style = ink.stroke_width(2);
                draw_line(&mut chart, &medians, style, line.ink.dashes())?;
                let few = medians.len() <= MARKED;
                if line.ink.marked() && few || medians.len() == 1 {
                    chart.draw_series(medians.iter().map(|&p| Circle::new(p, 3, ink.filled())))?;
                }
            }
        }
        self.legend(area, left)
    }

    /// Where in the legend the name of each line stands: row, and distance from the left.
    fn legend_places(&self) -> Vec<(i32, i32)> {
        let (mut row, mut x) = (0, 0);
        let room = SHEET.size.0 as i32 - LEFT - RIGHT;
        let place = |line: &Line| {
            let width = 36 + 8 * line.name.chars().count() as i32;
            if x > 0 && x + width > room {
                (row, x) = (row + 1, 0);
            }
            let at = (row, x);
            x += width + 22;
            at
        };
        self.lines.iter().map(place).collect()
    }

    /// The names of the lines, above them, in as many rows as they need.
    fn legend<'a>(&self, area: &Area<'a>, left: i32) -> Result<(), Failure<'a>> {
        for (line, (row, x)) in self.lines.iter().zip(self.legend_places()) {
            let ink = line.ink.drawn();
            let (x, y) = (left + x, 16 + ROW * row);
            let solid = |a, b| PathElement::new(vec![a, b], ink.stroke_width(2));
            match line.ink.dashes() {
                None => area.draw(&solid((x, y), (x + 30, y)))?,
                Some((dash, gap)) => {
                    let mut at = x;
                    while at < x + 30 {
                        area.draw(&solid((at, y), ((at + dash as i32).min(x + 30), y)))?;
                        at += (dash + gap) as i32;
                    }
                }
            }
            if line.ink.marked() {
                area.draw(&Circle::new((x + 15, y), 3, ink.filled()))?;
            }
            let beside = (HPos::Left, VPos::Center);
            SHEET.write(area, &line.name, (x + 36, y), SHEET.text, beside)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        let spread = |m: f64| {
            Some(Spread {
                low: m - 0.1,
                median: m,
                high: m + 0.1,
            })
        };
        let line = |ink, shift: f64| Line {
            name: format!("{ink:?}"),
            ink,
            points: vec![
                (0.01, spread(0.5 + shift)),
                (0.1, None),
                (1.0, spread(0.8 + shift)),
            ],
        };
        Chart {
            title: "a < b".into(),
            about: "A & B.".into(),
            x: Axis::log("rate", 0.01, 1.0),
            y: Axis::linear("accuracy", 0.0, 1.0),
            lines: vec![line(Ink::None, 0.0), line(Ink::Batch, 0.1)],
        }
    }

    #[test]
    fn no_colour_is_fixed() {
        let svg = chart().svg();
        assert!(!svg.contains("\"#"), "{svg}");
        for part in ["currentColor", "var(--fig-none,", "var(--fig-batch,"] {
            assert!(svg.contains(part), "{part} is missing: {svg}");
        }
        assert!(!svg.contains("--fig-layer"), "{svg}");
    }

    #[test]
    fn text_is_escaped_and_everything_is_named() {
        let svg = chart().svg();
        assert!(
            svg.contains("<title>a &lt; b</title>\n<desc>A &amp; B.</desc>"),
            "{svg}"
        );
        for word in ["rate", "accuracy", "None", "Batch", "0.03", "0.2"] {
            assert!(
                svg.contains(&format!("\n{word}\n")),
                "{word} is missing: {svg}"
            );
        }
    }

    #[test]
    fn a_long_legend_takes_another_row() {
        let mut chart = chart();
        assert_eq!(chart.legend_places(), [(0, 0), (0, 90)]);
        chart.lines[0].name = "x".repeat(40);
        chart.lines[1].name = "y".repeat(30);
        chart.lines.push(chart.lines[1].clone());
        assert_eq!(chart.legend_places(), [(0, 0), (1, 0), (2, 0)]);
        chart.lines[2].name = "z".into();
        assert_eq!(chart.legend_places(), [(0, 0), (1, 0), (1, 298)]);
    }

    #[test]
    fn ticks_are_round_numbers() {
        let linear = |low, high| Axis::linear("", low, high).ticks();
        assert_eq!(
            linear(0.0, 1.0),
            [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]
        );
        assert_eq!(linear(0.9, 1.0).len(), 6);
        assert_eq!(linear(0.0, 30.0), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]);
        assert_eq!(Axis::log("", 0.003, 1.0).ticks().len(), 6);
        assert_eq!(text(0.6000000000000001), "0.6");
        assert_eq!(text(30.0), "30");
        assert_eq!(text(-0.0), "0");
    }
}
