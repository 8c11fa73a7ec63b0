//! Charts of experiments and of the book: medians as lines, spreads as bands, coloured by the
//! page, each line with its name at its end.
//!
//! Text and rules are drawn in the page's own colour (`currentColor`), each method in a CSS
//! variable of its name, with a fallback that is readable on either ground. Lines differ in
//! their dashes too, for those who do not see the colours. A chart has two forms, one for a
//! page and one for a phone.

#![forbid(unsafe_code)]

mod axis;
mod ink;
mod names;
mod sheet;
mod spread;

pub use axis::Axis;
pub use ink::{Hue, Ink};
pub use spread::Spread;

use std::path::{Path, PathBuf};

use axis::Tick;
use names::{Area, Place};
use sheet::{Sheet, width, wrapped};

/// The size of text. A drawing is shown at most an eighth smaller than it is.
const FONT: f64 = 16.0;
/// From one line of text to the next.
const ROW: f64 = 19.0;
/// From one thing of an axis to the next.
const PITCH: f64 = 25.0;
/// From the frame to the names beside it; lines lead there.
const LEAD: f64 = 16.0;

/// How the name of a file ends that holds the form for a phone.
pub const NARROW: &str = "-narrow.svg";

/// How a chart is laid out.
struct Form {
    size: Place,
    /// The widest that a line of a name may be, in sizes of the font.
    name: f64,
}

/// For the width of a page.
const PAGE: Form = Form {
    size: (680.0, 400.0),
    name: 11.5,
};
/// For a phone.
const PHONE: Form = Form {
    size: (340.0, 400.0),
    name: 6.0,
};

/// One line with its band.
#[derive(Clone, Debug)]
pub struct Line {
    /// The name that stands at its end; empty for a line that needs none.
    pub name: String,
    /// Its colour.
    pub ink: Ink,
    /// Where, and what was measured there. A gap is left where nothing could be measured.
    pub points: Points,
}

/// Points of a line.
pub type Points = Vec<(f64, Option<Spread>)>;

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
    /// The lines, those that are painted over first.
    pub lines: Vec<Line>,
}

/// A line on the sheet, piece by piece between its gaps: the low end, the median and the high
/// end of each point.
struct Drawn<'a> {
    line: &'a Line,
    pieces: Vec<Vec<[Place; 3]>>,
}

impl Drawn<'_> {
    /// Where its ink is, every few pixels.
    fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        for piece in &self.pieces {
            for (i, &[_, from, _]) in piece.iter().enumerate() {
                places.push(from);
                let next = piece.get(i + 1).filter(|_| self.line.ink.joined());
                let way = next.map_or((0.0, 0.0), |next| (next[1].0 - from.0, next[1].1 - from.1));
                let steps = way.0.abs().max(way.1.abs()) / 4.0;
                let at = |share: f64| (from.0 + share * way.0, from.1 + share * way.1);
                places.extend((1..steps as i32).map(|i| at(f64::from(i) / steps)));
            }
        }
        places
    }

    /// The spreads, as a band.
    fn band(&self, sheet: &mut Sheet) {
        let look = format!("fill=\"{}\" fill-opacity=\"0.16\"", self.line.ink.css());
        for piece in self.pieces.iter().filter(|_| self.line.ink.joined()) {
            let low = piece.iter().map(|point| point[0]);
            let high = piece.iter().rev().map(|point| point[2]);
            if piece.iter().any(|point| point[0] != point[2]) && piece.len() > 1 {
                sheet.path(&low.chain(high).collect::<Vec<Place>>(), &look);
            }
        }
    }

    /// The medians, and the bars through them.
    fn stroke(&self, sheet: &mut Sheet) {
        let ink = self.line.ink;
        let css = ink.css();
        let dashes = ink.dashes().map(|d| format!(" stroke-dasharray=\"{d}\""));
        let thin = format!("stroke=\"{css}\"");
        let look = format!(
            "{thin} stroke-width=\"2\" stroke-linejoin=\"round\"{}",
            dashes.unwrap_or_default()
        );
        for piece in &self.pieces {
            let medians: Vec<Place> = piece.iter().map(|point| point[1]).collect();
            if ink.joined() && medians.len() > 1 {
                sheet.path(&medians, &look);
            }
            for &[low, _, high] in piece.iter().filter(|_| matches!(ink, Ink::Bars(_))) {
                sheet.path(&[low, high], &thin);
                for (x, y) in [low, high] {
                    sheet.path(&[(x - 4.0, y), (x + 4.0, y)], &thin);
                }
            }
            if ink.marked(medians.len()) {
                let radius = if medians.len() > 40 { 2.6 } else { 3.4 };
                sheet.dots(&medians, radius, &format!("fill=\"{css}\""));
            }
        }
    }
}

/// The name of a line, set in rows.
struct Name {
    /// The number of the line.
    line: usize,
    rows: Vec<String>,
    /// Half of its width and height.
    half: Place,
}

impl Name {
    fn new((line, of): (usize, &Line), most: f64) -> Self {
        let rows = wrapped(&of.name, most);
        let wide = rows.iter().map(|row| 0.5 * FONT * width(row));
        let half = (wide.fold(0.0, f64::max), 0.5 * ROW * rows.len() as f64);
        Name { line, rows, half }
    }

    /// Writes it around the height of a place, with a rim of the page's colour, so that what
    /// runs behind it does not cross it out.
    fn write(&self, sheet: &mut Sheet, (x, y): Place, css: &str, anchor: &str) {
        let first = y - self.half.1 + 0.5 * ROW + 0.35 * FONT;
        let look = format!(
            "fill=\"{css}\" text-anchor=\"{anchor}\" stroke=\"var(--fig-paper, transparent)\" \
             stroke-width=\"4\" stroke-linejoin=\"round\" paint-order=\"stroke\""
        );
        sheet.text(&self.rows, (x, first), ROW, &look);
    }
}

impl Line {
    /// A line through these points.
    pub fn new(name: impl Into<String>, ink: Ink, points: Points) -> Self {
        let name = name.into();
        Line { name, ink, points }
    }
}

impl Chart {
    /// A chart of these lines, whose axes go from 0 to 1 until [`Chart::x`] and [`Chart::y`]
    /// say how they follow from the lines.
    pub fn of(
        title: impl Into<String>,
        about: impl Into<String>,
        lines: impl IntoIterator<Item = Line>,
    ) -> Self {
        let unit = Axis::linear("", 0.0, 1.0);
        Chart {
            title: title.into(),
            about: about.into(),
            x: unit.clone(),
            y: unit,
            lines: lines.into_iter().collect(),
        }
    }

    /// With a horizontal axis that is made of where the lines begin and where they end, which is
    /// taken to be 0 at least.
    pub fn x(mut self, axis: impl FnOnce(f64, f64) -> Axis) -> Self {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let first = points().fold(f64::INFINITY, |first, (x, _)| x.min(first));
        let last = points().fold(0.0, |last, (x, _)| x.max(last));
        self.x = axis(first, last);
        self
    }

    /// With a vertical axis that is made of the lowest first quartile and the highest third, which
    /// is taken to be 0 at least.
    pub fn y(mut self, axis: impl FnOnce(f64, f64) -> Axis) -> Self {
        let points = self.lines.iter().flat_map(|line| &line.points);
        let seen = points.filter_map(|(_, spread)| *spread);
        let (low, high) = seen.fold((f64::INFINITY, 0.0), |(low, high), s| {
            (s.low.min(low), s.high.max(high))
        });
        self.y = axis(low, high);
        self
    }

    /// With one more line, at a level, from one end of the horizontal axis to the other.
    pub fn level(mut self, name: impl Into<String>, ink: Ink, at: Spread) -> Self {
        let (first, last) = self.x.range;
        let points = [first, last].map(|x| (x, at.finite()));
        self.lines.push(Line::new(name, ink, points.into()));
        self
    }

    /// A chart without lines yet.
    pub fn new(title: &str, about: &str, x: Axis, y: Axis) -> Self {
        Chart::of(title, about, []).x(|_, _| x).y(|_, _| y)
    }

    /// With one more line, that has no spread, and a gap where a value is not in sight.
    pub fn line(
        self,
        name: &str,
        ink: impl Into<Ink>,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) -> Self {
        let seen = |y: f64| self.y.sees(y).then(|| Spread::exactly(y));
        let points = points.into_iter().map(|(x, y)| (x, seen(y)));
        let points: Vec<_> = points.collect();
        self.spread(name, ink.into(), points)
    }

    /// With one more line, and its spread.
    pub fn spread(
        mut self,
        name: &str,
        ink: Ink,
        points: impl IntoIterator<Item = (f64, Option<Spread>)>,
    ) -> Self {
        let points = points.into_iter().collect();
        self.lines.push(Line::new(name, ink, points));
        self
    }

    /// The files of the chart with their texts, in both forms; `stem` is a path without its end.
    pub fn files(&self, stem: &Path) -> [(PathBuf, String); 2] {
        let file = |end: &str| PathBuf::from(format!("{}{end}", stem.display()));
        [
            (file(".svg"), self.svg()),
            (file(NARROW), self.narrow_svg()),
        ]
    }

    /// The chart as SVG, in a form that can stand in a page or on its own.
    pub fn svg(&self) -> String {
        self.drawn(&PAGE)
    }

    /// The same for the width of a phone: with fewer marks, and higher than wide.
    fn narrow_svg(&self) -> String {
        self.drawn(&PHONE)
    }

    fn drawn(&self, form: &Form) -> String {
        let caption = wrapped(&self.y.caption, form.size.0 / FONT);
        let top = ROW * caption.len() as f64 + 12.0;
        let below = 2.0 * ROW + 18.0;
        let high = match self.y.names.len() {
            0 => form.size.1 - below - top,
            rows => PITCH * rows as f64,
        };
        let bottom = top + high;
        let size = (form.size.0, bottom + below);
        let rows = |ticks: &[Tick]| {
            ticks
                .windows(2)
                .all(|t| high * (t[1].0 - t[0].0) > 1.8 * ROW)
        };
        let y_ticks = self.y.ticks(&[], rows);
        let marks = y_ticks.iter().map(|(_, text)| FONT * width(text));
        // A wide font makes more of a name than of a number.
        let room = if self.y.names.is_empty() { 1.0 } else { 1.15 };
        let left = room * marks.fold(0.0, f64::max) + 9.0;
        let at_end = self.names_at_end(form, high);
        let widest = at_end.iter().map(|name| LEAD + 2.0 * name.half.0);
        let right = form.size.0 - widest.fold(14.0, f64::max);
        let frame = Area {
            middle: (0.5 * (left + right), 0.5 * (top + bottom)),
            half: (0.5 * (right - left), 0.5 * high),
        };
        let columns = |ticks: &[Tick]| {
            ticks.windows(2).all(|t| {
                let room = (right - left) * (t[1].0 - t[0].0);
                room > 0.5 * FONT * (width(&t[0].1) + width(&t[1].1)) + FONT
            })
        };

        let mut sheet = Sheet::default();
        let plain = "fill=\"currentColor\"";
        let rule = "stroke=\"currentColor\" stroke-opacity=\"0.18\"";
        let edge = "stroke=\"currentColor\" stroke-opacity=\"0.6\"";
        let before = format!("{plain} text-anchor=\"end\"");
        for (share, text) in y_ticks {
            let y = bottom - share * high;
            sheet.path(&[(left, y), (right, y)], rule);
            sheet.text(&[text], (left - 7.0, y + 0.35 * FONT), ROW, &before);
        }
        let centred = format!("{plain} text-anchor=\"middle\"");
        for (share, text) in self.x.ticks(&self.measured(), columns) {
            let x = left + share * (right - left);
            sheet.path(&[(x, bottom), (x, bottom + 5.0)], edge);
            sheet.text(&[text], (x, bottom + ROW + 4.0), ROW, &centred);
        }
        sheet.path(&[(left, bottom), (right, bottom)], edge);
        let foot = (frame.middle.0, size.1 - 8.0);
        sheet.text(&[&self.x.caption], foot, ROW, &centred);
        sheet.text(&caption, (1.0, FONT), ROW, plain);

        let lines = self.lines.iter().map(|line| self.line_in(frame, line));
        let lines: Vec<Drawn<'_>> = lines.collect();
        lines.iter().for_each(|line| line.band(&mut sheet));
        lines.iter().for_each(|line| line.stroke(&mut sheet));
        self.write_at_end(&mut sheet, &lines, &at_end, frame);
        self.write_others(&mut sheet, &lines, &at_end, frame, form);
        sheet.svg(size, FONT, &self.title, &self.about)
    }

    /// The values of the horizontal axis at which something was measured.
    fn measured(&self) -> Vec<f64> {
        let lines = self.lines.iter().filter(|line| line.ink != Ink::Theory);
        let points = lines.flat_map(|line| &line.points);
        let mut values: Vec<f64> = points.filter_map(|(x, s)| s.map(|_| *x)).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        values
    }

    fn line_in<'a>(&self, frame: Area, line: &'a Line) -> Drawn<'a> {
        let at = |share: f64, middle: f64, half: f64| middle + (2.0 * share - 1.0) * half;
        let point = |&(x, spread): &(f64, Option<Spread>)| {
            let x = at(self.x.share(x), frame.middle.0, frame.half.0);
            let y = |y| at(1.0 - self.y.share(y), frame.middle.1, frame.half.1);
            spread.map(|s| [s.low, s.median, s.high].map(|value| (x, y(value))))
        };
        let pieces = line.points.split(|(_, spread)| spread.is_none());
        let pieces = pieces.map(|piece| piece.iter().filter_map(point).collect());
        let pieces = pieces.filter(|piece: &Vec<_>| !piece.is_empty()).collect();
        Drawn { line, pieces }
    }

    /// The names of the lines that end at the right edge, as far as there is room beside it.
    fn names_at_end(&self, form: &Form, high: f64) -> Vec<Name> {
        let ends = |line: &Line| {
            let end = line.points.iter().rfind(|(_, spread)| spread.is_some());
            end.is_some_and(|(x, _)| self.x.share(*x) > 0.94)
        };
        let lines = self.lines.iter().enumerate();
        let lines = lines.filter(|(_, line)| !line.name.is_empty() && ends(line));
        let mut names: Vec<Name> = lines.map(|line| Name::new(line, form.name)).collect();
        while names.iter().map(|name| 2.0 * name.half.1).sum::<f64>() > high {
            names.pop();
        }
        names
    }

    /// Writes the names beside the right edge, moved apart, with lines that lead there.
    fn write_at_end(&self, sheet: &mut Sheet, lines: &[Drawn<'_>], names: &[Name], frame: Area) {
        let ends = names
            .iter()
            .filter_map(|name| lines[name.line].pieces.last()?.last());
        let ends: Vec<Place> = ends.map(|point| point[1]).collect();
        let boxes = names.iter().zip(&ends);
        let boxes: Vec<(f64, f64)> = boxes
            .map(|(name, end)| (end.1, 2.0 * name.half.1))
            .collect();
        let room = frame.half.1 + 0.5 * ROW;
        let middles = names::apart(&boxes, (frame.middle.1 - room, frame.middle.1 + room));
        let right = frame.middle.0 + frame.half.0;
        for ((name, end), y) in names.iter().zip(&ends).zip(middles) {
            let css = self.lines[name.line].ink.css();
            let lead = [(end.0 + 3.0, end.1), (right + 0.8 * LEAD, y)];
            sheet.path(&lead, &format!("stroke=\"{css}\" stroke-opacity=\"0.6\""));
            name.write(sheet, (right + LEAD, y), css, "start");
        }
    }

    /// Writes the other names where their lines are freest.
    fn write_others(
        &self,
        sheet: &mut Sheet,
        lines: &[Drawn<'_>],
        at_end: &[Name],
        frame: Area,
        form: &Form,
    ) {
        let places: Vec<Vec<Place>> = lines.iter().map(Drawn::places).collect();
        let mut taken: Vec<Area> = Vec::new();
        for (at, line) in self.lines.iter().enumerate() {
            let there = at_end.iter().any(|name| name.line == at);
            if line.name.is_empty() || there || places[at].is_empty() {
                continue;
            }
            let name = Name::new((at, line), form.name.max(1.8 * frame.half.0 / FONT));
            let others = places.iter().enumerate().filter(|(other, _)| *other != at);
            let others: Vec<Place> = others.flat_map(|(_, places)| places).copied().collect();
            let area = names::freest(name.half, &places[at], &others, &taken, frame);
            name.write(sheet, area.middle, line.ink.css(), "middle");
            taken.push(area);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(ink: Ink, shift: f64) -> Line {
        let spread = |m: f64| {
            Some(Spread {
                low: m - 0.1,
                median: m,
                high: m + 0.1,
            })
        };
        Line {
            name: format!("{ink:?}"),
            ink,
            points: vec![
                (0.01, spread(0.5 + shift)),
                (0.1, None),
                (1.0, spread(0.8 + shift)),
            ],
        }
    }

    fn chart() -> Chart {
        Chart::of(
            "a < b",
            "A & B.",
            [line(Ink::None, 0.0), line(Ink::Batch, 0.1)],
        )
        .x(|first, last| Axis::log("rate", first, last))
        .y(|_, _| Axis::linear("accuracy", 0.0, 1.0))
    }

    #[test]
    fn axes_follow_from_the_lines() {
        let chart = chart().y(|low, high| Axis::linear("", 2.0 * low, high + 1.0));
        assert_eq!(chart.x.range, (0.01, 1.0));
        let (low, high) = chart.y.range;
        assert!((low - 0.8).abs() < 1e-12 && (high - 2.0).abs() < 1e-12);
        let level = Spread::exactly(0.7);
        let chart = chart.level("", Ink::Theory, level);
        let ends = [(0.01, Some(level)), (1.0, Some(level))];
        assert_eq!(chart.lines[2].points, ends);
    }

    #[test]
    fn no_colour_is_fixed() {
        let mut chart = chart();
        let hues = [Hue::Direct, Hue::Mean, Hue::Var, Hue::Wrong, Hue::Accent];
        let inks = [Ink::Solid, Ink::Dots, Ink::Bars];
        let book = inks.iter().flat_map(|ink| hues.map(ink));
        chart.lines.extend(book.map(|ink| line(ink, 0.0)));
        for svg in [chart.svg(), chart.narrow_svg()] {
            assert!(!svg.contains("\"#"), "{svg}");
            for part in [
                "currentColor",
                "var(--fig-none,",
                "var(--fig-batch,",
                "var(--fig-mean,",
            ] {
                assert!(svg.contains(part), "{part} is missing: {svg}");
            }
            assert!(!svg.contains("--fig-layer"), "{svg}");
        }
    }

    #[test]
    fn text_is_escaped_and_everything_is_named() {
        for svg in [chart().svg(), chart().narrow_svg()] {
            assert!(
                svg.contains("<title>a &lt; b</title>\n<desc>A &amp; B.</desc>"),
                "{svg}"
            );
            for word in ["rate", "accuracy", "None", "Batch", "0.01", "0.2"] {
                assert!(
                    svg.contains(&format!(">{word}</text>")),
                    "{word} is missing: {svg}"
                );
            }
        }
    }

    #[test]
    fn every_name_is_written_once_wherever_its_line_ends() {
        let mut chart = chart();
        // One that ends early, and more at the right edge than there is room for.
        chart.lines[0].points.truncate(1);
        chart.lines.extend((0..9).map(|i| Line {
            name: format!("line number {i} with a long name"),
            ..line(Ink::Solid(Hue::Mean), 0.01 * f64::from(i))
        }));
        let svg = chart.narrow_svg();
        for (word, times) in [("None", 1), ("Batch", 1), ("number", 9)] {
            assert_eq!(svg.matches(word).count(), times, "{word}: {svg}");
        }
    }

    #[test]
    fn a_gap_stays_open_and_a_point_between_gaps_is_a_dot() {
        let mut chart = chart();
        chart.lines.truncate(1);
        let dots = |chart: &Chart| chart.svg().matches("<circle").count();
        assert_eq!(dots(&chart), 2);
        chart.lines[0].points[1].1 = chart.lines[0].points[0].1;
        assert_eq!(dots(&chart), 0);
        let chart = chart.line("", Ink::Theory, [(0.1, 0.5), (0.2, 9.0)]);
        assert_eq!(chart.lines[1].points[1], (0.2, None));
    }
}
