//! What is to be seen of a training: the loss, the accuracy, and a picture for each unit of the
//! first layer, for a page and for a phone. Axes do not change while it runs.

use super::course::{Course, Plan, Seen};
use crate::tensor_tape::Tensor;
use data_encoding::BASE64;
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use std::fmt::Write as _;
use std::io::Write as _;

/// The size of text, and of the side of a picture with its gap.
const FONT: f64 = 15.0;
const TILE: f64 = 42.0;
/// The highest and the lowest loss on the axis, as powers of ten.
const LOSSES: [f64; 2] = [0.5, -2.0];

/// A frame: left, top, width and height of what is inside its axes.
type Frame = [f64; 4];

/// A share of what is seen, its colour, and what else its line looks like.
type Curve = (fn(&Seen) -> f64, &'static str, &'static str);

/// How all of it is laid out.
struct Form {
    width: f64,
    height: f64,
    loss: Frame,
    right: Frame,
    /// Where the pictures begin, and how many stand in a row.
    tiles: (f64, usize),
}

const PAGE: Form = Form {
    width: 680.0,
    height: 360.0,
    loss: [40.0, 32.0, 285.0, 160.0],
    right: [395.0, 32.0, 275.0, 160.0],
    tiles: (272.0, 16),
};
const PHONE: Form = Form {
    width: 340.0,
    height: 660.0,
    loss: [40.0, 32.0, 290.0, 145.0],
    right: [40.0, 262.0, 290.0, 145.0],
    tiles: (488.0, 8),
};

/// In both forms.
pub(super) fn both(course: &Course, plan: &Plan, weights: &Tensor) -> [String; 2] {
    [&PAGE, &PHONE].map(|form| drawn(form, course, plan, weights))
}

fn drawn(form: &Form, course: &Course, plan: &Plan, weights: &Tensor) -> String {
    let Form { width, height, .. } = form;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>A network in training</title>\n<desc>{}</desc>\n<g font-size=\"{FONT}\" fill=\"none\">\n",
        course.about(plan)
    );
    let decades = [(1.0, "1"), (0.1, "0.1"), (0.01, "0.01")];
    // The larger of two numbers is never NaN, and what is no number has no place.
    let high = |loss: f64| match loss.is_nan() {
        true => loss,
        false => (loss.max(1e-9).log10() - LOSSES[1]) / (LOSSES[0] - LOSSES[1]),
    };
    let decades = decades.map(|(loss, text)| (high(loss), text));
    axes(&mut svg, form.loss, plan, "loss", &decades);
    let losses = course.losses.iter().map(|&(step, loss)| (step, high(loss)));
    line(
        &mut svg,
        form.loss,
        plan,
        losses,
        "var(--fig-batch, #9c2f76)",
        "",
    );
    let shares = [(0.0, "0"), (0.5, "50"), (1.0, "100")];
    axes(&mut svg, form.right, plan, "% right in evaluation", &shares);
    let wanted = [(0, plan.wanted), (plan.steps, plan.wanted)];
    line(
        &mut svg,
        form.right,
        plan,
        wanted.into_iter(),
        "currentColor",
        " stroke-width=\"1\" stroke-opacity=\"0.5\"",
    );
    let curves: [Curve; 2] = [
        (
            |seen| seen.train,
            "var(--fig-none, #666d75)",
            " stroke-dasharray=\"7 4\"",
        ),
        (|seen| seen.test, "var(--fig-layer, #0a7480)", ""),
    ];
    for (share, ink, look) in curves {
        let points = course.seen.iter().map(|seen| (seen.step, share(seen)));
        line(&mut svg, form.right, plan, points, ink, look);
    }
    legend(&mut svg, form.right);
    tiles(&mut svg, form, plan, weights);
    svg + "</g>\n</svg>\n"
}

impl Course {
    /// What the drawing shows, for those who do not see it.
    fn about(&self, plan: &Plan) -> String {
        let Seen { train, test, .. } = self.last();
        let (step, loss) = self.losses.last().copied().unwrap_or((0, f64::NAN));
        format!(
            "The loss of each batch over {} steps, on a logarithmic axis, the share of digits that are right in evaluation, and the weights of the first layer as a picture for each of {} hidden units. After {step} steps the loss is {}, and {:.1} % of the training digits and {:.1} % of the test digits are right.",
            plan.steps,
            plan.hidden,
            Self::short(loss),
            100.0 * train,
            100.0 * test
        )
    }
}

/// A frame with its caption, the marks at its left, by their share of the height, and the steps.
fn axes(svg: &mut String, [x, y, w, h]: Frame, plan: &Plan, caption: &str, marks: &[(f64, &str)]) {
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" fill=\"currentColor\">{caption}</text>",
        x - 30.0,
        y - 14.0
    );
    for (share, text) in marks {
        let at = y + h * (1.0 - share);
        let _ = writeln!(
            svg,
            "<path d=\"M{x} {at:.1}h{w}\" stroke=\"currentColor\" stroke-opacity=\"0.18\"/>\
             <text x=\"{}\" y=\"{:.1}\" fill=\"currentColor\" text-anchor=\"end\">{text}</text>",
            x - 6.0,
            at + 0.35 * FONT
        );
    }
    let foot = y + h;
    let _ = writeln!(
        svg,
        "<path d=\"M{x} {foot}h{w}\" stroke=\"currentColor\" stroke-opacity=\"0.6\"/>"
    );
    for (share, anchor) in [(0.0, "middle"), (0.5, "middle"), (1.0, "end")] {
        let step = (share * plan.steps as f64).round();
        let text = if share == 1.0 {
            format!("{step} steps")
        } else {
            step.to_string()
        };
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"currentColor\" text-anchor=\"{anchor}\">{text}</text>",
            x + share * w,
            foot + 20.0
        );
    }
}

/// A line through these steps and shares of the height; what is not finite is left out.
fn line(
    svg: &mut String,
    [x, y, w, h]: Frame,
    plan: &Plan,
    points: impl Iterator<Item = (usize, f64)>,
    ink: &str,
    look: &str,
) {
    let mut path = String::new();
    for (step, share) in points.filter(|(_, share)| share.is_finite()) {
        let at = x + w * step as f64 / plan.steps as f64;
        let high = y + h * (1.0 - share.clamp(0.0, 1.0));
        let sign = if path.is_empty() { 'M' } else { 'L' };
        let _ = write!(path, "{sign}{at:.1} {high:.1}");
    }
    let width = if look.contains("width") {
        ""
    } else {
        " stroke-width=\"2\""
    };
    let _ = writeln!(
        svg,
        "<path d=\"{path}\" stroke=\"{ink}\"{width} stroke-linejoin=\"round\"{look}/>"
    );
}

/// The names of the two lines, where neither of them runs.
fn legend(svg: &mut String, [x, y, w, h]: Frame) {
    let names = [
        ("test digits", "var(--fig-layer, #0a7480)", ""),
        (
            "training digits",
            "var(--fig-none, #666d75)",
            " stroke-dasharray=\"7 4\"",
        ),
    ];
    for (row, (name, ink, look)) in names.into_iter().enumerate() {
        let (left, at) = (x + w - 150.0, y + h - 52.0 + 24.0 * row as f64);
        let _ = writeln!(
            svg,
            "<path d=\"M{left} {at}h28\" stroke=\"{ink}\" stroke-width=\"2\"{look}/>\
             <text x=\"{}\" y=\"{}\" fill=\"currentColor\">{name}</text>",
            left + 36.0,
            at + 0.35 * FONT
        );
    }
}

/// A picture for each unit: which pixels speak for it, and which against.
fn tiles(svg: &mut String, form: &Form, plan: &Plan, weights: &Tensor) {
    let (top, columns) = form.tiles;
    let rows = plan.hidden.div_ceil(columns);
    let (wide, high) = (columns as f64 * TILE, rows as f64 * TILE);
    let left = 0.5 * (form.width - wide);
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" fill=\"currentColor\">weights of the first layer, unit by unit:</text>\
         <text x=\"{}\" y=\"{}\"><tspan fill=\"var(--fig-mean, #ad5300)\">ink counts for it</tspan>\
         <tspan fill=\"currentColor\">, </tspan><tspan fill=\"var(--fig-direct, #1b68b3)\">against it</tspan></text>",
        form.loss[0] - 30.0,
        top - if columns > 8 { 12.0 } else { 32.0 },
        if columns > 8 {
            form.loss[0] + 275.0
        } else {
            form.loss[0] - 30.0
        },
        top - 12.0,
    );
    let png = picture(weights, plan.set.side(), columns, rows);
    let _ = writeln!(
        svg,
        "<image x=\"{left}\" y=\"{top}\" width=\"{wide}\" height=\"{high}\" style=\"image-rendering:pixelated\" \
         href=\"data:image/png;base64,{}\"/>",
        BASE64.encode(&png)
    );
}

/// Shades on each side of nothing; those of the two signs, in the middle between light and dark.
const SHADES: usize = 12;
const SIGNS: [[u8; 3]; 2] = [[0x3b, 0x7d, 0xd8], [0xd9, 0x73, 0x0d]];

/// The weights `[side · side, units]` as a PNG of `rows` times `columns` pictures, each scaled by
/// its own largest weight, which is clear where a weight is zero.
fn picture(weights: &Tensor, side: usize, columns: usize, rows: usize) -> Vec<u8> {
    let units = weights.shape()[1];
    let pitch = side + side / 14;
    let (width, height) = (columns * pitch, rows * pitch);
    let mut pixels = vec![SHADES as u8; width * height];
    for unit in 0..units {
        let of_unit = || (0..side * side).map(|at| weights.data()[at * units + unit]);
        let largest = of_unit().fold(0.0, |largest: f64, w| largest.max(w.abs()));
        let corner = unit / columns * pitch * width + unit % columns * pitch;
        for (at, weight) in of_unit().enumerate() {
            let shade = (SHADES as f64 * weight / largest.max(f64::MIN_POSITIVE)).round();
            let shade = if shade.is_finite() { shade } else { 0.0 };
            pixels[corner + at / side * width + at % side] = (SHADES as f64 + shade) as u8;
        }
    }
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let size = |n: usize| u32::try_from(n).unwrap_or(0).to_be_bytes();
    let header = [&size(width)[..], &size(height)[..], &[8, 3, 0, 0, 0]].concat();
    let shades = -(SHADES as i32)..=SHADES as i32;
    let colours = shades
        .clone()
        .flat_map(|shade| SIGNS[usize::from(shade > 0)]);
    let clear = shades.map(|shade| (255 * shade.unsigned_abs() as usize / SHADES) as u8);
    chunk(&mut file, b"IHDR", &header);
    chunk(&mut file, b"PLTE", &colours.collect::<Vec<u8>>());
    chunk(&mut file, b"tRNS", &clear.collect::<Vec<u8>>());
    // Each line begins with the number of its filter.
    let lines = pixels
        .chunks_exact(width)
        .flat_map(|line| [&[0][..], line].concat());
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    // Nothing can go wrong where it is written to memory.
    let _ = packed.write_all(&lines.collect::<Vec<u8>>());
    chunk(&mut file, b"IDAT", &packed.finish().unwrap_or_default());
    chunk(&mut file, b"IEND", &[]);
    file
}

fn chunk(file: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    let length = u32::try_from(data.len()).unwrap_or(0);
    file.extend(length.to_be_bytes());
    let mut sum = Crc::new();
    for part in [&name[..], data] {
        sum.update(part);
        file.extend(part);
    }
    file.extend(sum.sum().to_be_bytes());
}
