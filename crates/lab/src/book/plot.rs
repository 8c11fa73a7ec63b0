//! Plots for the book: drawn with `plotters`, coloured by the page.
//!
//! A plot stands inside a page that may be light or dark. So no colour is drawn: each
//! named ink is drawn as a colour that nothing else uses, and then replaced by the CSS
//! variable of that name.

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// The size of a plot on the page, in pixels.
const SIZE: (u32, u32) = (620, 430);
/// `plotters` rounds to whole pixels; drawn this much larger, nobody sees it.
const FINE: u32 = 4;
/// The size of text; `plotters` writes it divided by 1.24.
const FONT: i32 = 18 * FINE as i32;
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

    /// The stand-in that is drawn.
    fn drawn(self) -> &'static RGBColor {
        static STAND_INS: [RGBColor; Ink::ALL.len()] = [
            RGBColor(253, 0, 1),
            RGBColor(253, 0, 2),
            RGBColor(253, 0, 3),
            RGBColor(253, 0, 4),
            RGBColor(253, 0, 5),
            RGBColor(253, 0, 6),
            RGBColor(253, 0, 7),
            RGBColor(253, 0, 8),
        ];
        &STAND_INS[self as usize]
    }

    /// The stand-in as it stands in the SVG.
    fn written(self) -> String {
        let RGBColor(r, g, b) = *self.drawn();
        format!("\"#{r:02X}{g:02X}{b:02X}\"")
    }

    /// What the page is to see; the colour after the comma serves outside the book.
    fn css(self) -> &'static str {
        match self {
            Self::Text => "\"var(--fig-ink, #1f2328)\"",
            Self::Muted => "\"var(--fig-muted, #656d76)\"",
            Self::Rule => "\"var(--fig-rule, #d0d7de)\"",
            Self::Direct => "\"var(--fig-direct, #1f6feb)\"",
            Self::Mean => "\"var(--fig-mean, #bc4c00)\"",
            Self::Var => "\"var(--fig-var, #1a7f37)\"",
            Self::Wrong => "\"var(--fig-wrong, #cf222e)\"",
            Self::Accent => "\"var(--fig-accent, #8250df)\"",
        }
    }
}

/// One axis: its caption, its range, and the marks with their text.
pub struct Axis {
    pub caption: &'static str,
    pub range: (f64, f64),
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// An axis on which `log10` of the data is drawn, marked every `step` decades.
    pub fn decades(caption: &'static str, from: i32, to: i32, step: usize) -> Self {
        let ticks = (from..=to)
            .step_by(step)
            .map(|k| (f64::from(k), power_of_ten(k)))
            .collect();
        Self {
            caption,
            range: (f64::from(from), f64::from(to)),
            ticks,
        }
    }

    /// A linear axis with the given marks.
    pub fn linear(caption: &'static str, range: (f64, f64), marks: &[f64]) -> Self {
        let ticks = marks.iter().map(|&m| (m, format!("{m}"))).collect();
        Self {
            caption,
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
    let mut svg = String::new();
    {
        let fine = (SIZE.0 * FINE, SIZE.1 * FINE);
        let area = SVGBackend::with_string(&mut svg, fine).into_drawing_area();
        paint(&area, x, y, series).expect("drawing into a string cannot fail");
        area.present().expect("drawing into a string cannot fail");
    }
    for ink in Ink::ALL {
        svg = svg.replace(&ink.written(), ink.css());
    }
    let (width, height) = SIZE;
    let open = svg.find("<svg").expect("an svg opens");
    let body = open + svg[open..].find('>').expect("and its tag closes") + 1;
    let close = svg.rfind("</svg>").expect("an svg closes");
    let scale = 1.0 / f64::from(FINE);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         role=\"img\">\n<title>{title}</title>\n<desc>{about}</desc>\n\
         <g transform=\"scale({scale})\">{}</g>\n</svg>\n",
        &svg[body..close]
    );
    // What only repeats a default; and the page has its own font.
    for idle in [
        " font-family=\"sans-serif\"",
        " opacity=\"1\"",
        " stroke=\"none\" stroke-width=\"1\"",
    ] {
        svg = svg.replace(idle, "");
    }
    svg
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Failure<'a> = DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>;

fn paint<'a>(area: &Area<'a>, x: &Axis, y: &Axis, series: &[Series]) -> Result<(), Failure<'a>> {
    let text = |ink: Ink, h, v| {
        TextStyle::from(("sans-serif", FONT).into_font())
            .color(ink.drawn())
            .pos(Pos::new(h, v))
    };
    let mut chart = ChartBuilder::on(area)
        .margin_top(14 * FINE)
        .margin_right(18 * FINE)
        .x_label_area_size(58 * FINE)
        .y_label_area_size(82 * FINE)
        .build_cartesian_2d(x.range.0..x.range.1, y.range.0..y.range.1)?;
    let rows = area.dim_in_pixel().1;
    let gap = 7 * FINE as i32;
    let plane = chart.plotting_area().clone();
    let pixel = |p: (f64, f64)| plane.map_coordinate(&p);

    // Marks and their text, by hand: the text is not a decimal number.
    for (at, name) in &x.ticks {
        let (px, bottom) = pixel((*at, y.range.0));
        let top = pixel((*at, y.range.1)).1;
        rule(area, (px, bottom), (px, top), Ink::Rule)?;
        area.draw(&Text::new(
            name.clone(),
            (px, bottom + gap),
            text(Ink::Text, HPos::Center, VPos::Top),
        ))?;
    }
    for (at, name) in &y.ticks {
        let (left, py) = pixel((x.range.0, *at));
        let right = pixel((x.range.1, *at)).0;
        rule(area, (left, py), (right, py), Ink::Rule)?;
        area.draw(&Text::new(
            name.clone(),
            (left - gap, py),
            text(Ink::Text, HPos::Right, VPos::Center),
        ))?;
    }
    let corner = pixel((x.range.0, y.range.0));
    rule(area, corner, pixel((x.range.1, y.range.0)), Ink::Muted)?;
    rule(area, corner, pixel((x.range.0, y.range.1)), Ink::Muted)?;
    let middle = pixel((0.5 * (x.range.0 + x.range.1), 0.5 * (y.range.0 + y.range.1)));
    area.draw(&Text::new(
        x.caption,
        (middle.0, rows as i32 - gap),
        text(Ink::Text, HPos::Center, VPos::Bottom),
    ))?;
    let upright = TextStyle::from(
        ("sans-serif", FONT)
            .into_font()
            .transform(FontTransform::Rotate270),
    )
    .color(Ink::Text.drawn())
    .pos(Pos::new(HPos::Center, VPos::Top));
    area.draw(&Text::new(y.caption, (gap / 2, middle.1), upright))?;

    for s in series {
        paint_series(&mut chart, x, s)?;
    }
    for s in series {
        if let Some((name, at)) = s.label {
            area.draw(&Text::new(
                name,
                pixel(at),
                text(s.ink, HPos::Left, VPos::Center),
            ))?;
        }
    }
    Ok(())
}

fn paint_series<'a>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>,
    x: &Axis,
    s: &Series,
) -> Result<(), Failure<'a>> {
    let ink = s.ink.drawn();
    let points = s.points.iter().copied();
    match s.mark {
        Mark::Line => {
            chart.draw_series(LineSeries::new(points, ink.stroke_width(LINE)))?;
        }
        Mark::Dashed => {
            chart.draw_series(DashedLineSeries::new(
                points,
                6 * FINE,
                4 * FINE,
                ink.stroke_width(LINE),
            ))?;
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

fn rule<'a>(area: &Area<'a>, a: (i32, i32), b: (i32, i32), ink: Ink) -> Result<(), Failure<'a>> {
    area.draw(&PathElement::new(
        vec![a, b],
        ink.drawn().stroke_width(FINE),
    ))
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
