//! Drawings coloured by the page, with `plotters`.
//!
//! A drawing stands inside a page that may be light or dark. So no colour is drawn: each ink
//! is drawn as a stand-in, and then replaced by the CSS that the page understands.

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// What is drawn on.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// Where data is drawn, between axes.
pub type Plane<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
/// Why something could not be drawn.
pub type Failure<'a> = DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>;

/// An axis: its caption, its range, and the marks with their text.
#[derive(Clone, Debug)]
pub struct Axis {
    pub caption: String,
    pub range: (f64, f64),
    pub ticks: Vec<(f64, String)>,
}

/// The sheet of a drawing.
#[derive(Clone, Copy, Debug)]
pub struct Sheet {
    /// Width and height on the page, in pixels.
    pub size: (u32, u32),
    /// How many units of the drawing a pixel has; `plotters` rounds to whole units.
    pub fine: u32,
    /// The size of text in pixels; `plotters` writes it divided by 1.24.
    pub font: u32,
    /// The ink of the text.
    pub text: RGBColor,
}

/// The stand-in for an ink, a colour that nothing else is drawn in.
pub const fn stand_in(ink: u8) -> RGBColor {
    RGBColor(254, 1, ink)
}

impl Sheet {
    /// What `paint` draws, as SVG that can stand in a page or on its own. `title` names it,
    /// `about` describes it to those who do not see it; `inks` are stand-ins and their CSS.
    pub fn svg(
        &self,
        title: &str,
        about: &str,
        inks: &[(RGBColor, &str)],
        paint: impl for<'a> FnOnce(&Area<'a>) -> Result<(), Failure<'a>>,
    ) -> String {
        let (width, height) = self.size;
        let mut svg = String::new();
        {
            let fine = (width * self.fine, height * self.fine);
            let area = SVGBackend::with_string(&mut svg, fine).into_drawing_area();
            paint(&area).expect("drawing into a string cannot fail");
            area.present().expect("drawing into a string cannot fail");
        }
        for (RGBColor(r, g, b), css) in inks {
            svg = svg.replace(
                &format!("\"#{r:02X}{g:02X}{b:02X}\""),
                &format!("\"{css}\""),
            );
        }
        // The font is the page's.
        let svg = svg.replace(" font-family=\"sans-serif\"", "");
        let open = svg.find("<svg").expect("an svg opens");
        let body = open + svg[open..].find('>').expect("and its tag closes") + 1;
        let close = svg.rfind("</svg>").expect("an svg closes");
        let mut body = svg[body..close].to_owned();
        if self.fine > 1 {
            let scale = 1.0 / f64::from(self.fine);
            body = format!("\n<g transform=\"scale({scale})\">{body}</g>\n");
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             role=\"img\">\n<title>{}</title>\n<desc>{}</desc>{body}</svg>\n",
            escape(title),
            escape(about),
        )
    }

    /// Units of the drawing in so many pixels.
    pub fn pixels(&self, pixels: i32) -> i32 {
        pixels * self.fine as i32
    }

    /// Text that stands at a place of the drawing as `h` and `v` say.
    pub fn write<'a>(
        &self,
        area: &Area<'a>,
        text: &str,
        at: (i32, i32),
        ink: RGBColor,
        (h, v): (HPos, VPos),
    ) -> Result<(), Failure<'a>> {
        area.draw(&Text::new(text.to_owned(), at, self.style(ink, h, v)))
    }

    /// The same text turned by a right angle, to be read from below upwards.
    pub fn write_upright<'a>(
        &self,
        area: &Area<'a>,
        text: &str,
        at: (i32, i32),
    ) -> Result<(), Failure<'a>> {
        let style = self.style(self.text, HPos::Center, VPos::Top);
        let upright = style.transform(FontTransform::Rotate270);
        area.draw(&Text::new(text.to_owned(), at, upright))
    }

    fn style(&self, ink: RGBColor, h: HPos, v: VPos) -> TextStyle<'static> {
        TextStyle::from(("sans-serif", self.font * self.fine).into_font())
            .with_color(ink)
            .with_anchor::<RGBColor>(Pos::new(h, v))
            .into_text_style(&self.size)
    }

    /// A line across `plane` at each mark of the axes, and its text beside the plane: by
    /// hand, for the text may be no decimal number.
    pub fn marks<'a>(
        &self,
        area: &Area<'a>,
        plane: &Plane<'a>,
        [x, y]: [&Axis; 2],
        rule: ShapeStyle,
    ) -> Result<(), Failure<'a>> {
        let pixel = |x, y| plane.plotting_area().map_coordinate(&(x, y));
        let line = |a, b| area.draw(&PathElement::new(vec![a, b], rule));
        let gap = self.pixels(7);
        for (at, name) in &x.ticks {
            let foot = pixel(*at, y.range.0);
            line(foot, pixel(*at, y.range.1))?;
            let below = (foot.0, foot.1 + gap);
            self.write(area, name, below, self.text, (HPos::Center, VPos::Top))?;
        }
        for (at, name) in &y.ticks {
            let left = pixel(x.range.0, *at);
            line(left, pixel(x.range.1, *at))?;
            let beside = (left.0 - gap, left.1);
            self.write(area, name, beside, self.text, (HPos::Right, VPos::Center))?;
        }
        Ok(())
    }
}

/// A line through `points`, solid or with dashes of this length and this gap.
pub fn draw_line<'a>(
    plane: &mut Plane<'a>,
    points: &[(f64, f64)],
    style: ShapeStyle,
    dashes: Option<(u32, u32)>,
) -> Result<(), Failure<'a>> {
    let points = points.iter().copied();
    match dashes {
        None => plane.draw_series(LineSeries::new(points, style))?,
        Some((dash, gap)) => plane.draw_series(DashedLineSeries::new(points, dash, gap, style))?,
    };
    Ok(())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
