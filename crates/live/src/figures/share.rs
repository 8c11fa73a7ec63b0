//! Which values share statistics: one value of a batch of images is changed, and every output
//! that changes in any bit lights up.

use crate::draw::{Place, Sheet};
use crate::figure::{Control, Figure, Form, Group, Shown, Values};
use crate::words::and;
use batchnorm::{Layout, Moments};

/// The images, their channels, and the height and width of each.
const SHAPE: [usize; 4] = [4, 6, 2, 2];
const COUNT: usize = 96;
/// Values of one channel of one image.
const PLANE: usize = 4;
const EPS: f64 = 1e-5;
const GROUPS: [&str; 4] = ["1", "2", "3", "6"];

/// The entry in the list of figures.
pub const FIGURE: Figure = Figure {
    name: "share",
    title: "A batch of four images with six channels of two by two values, before a norm and \
            after it; one value is changed before, and those that change after are filled",
    groups: &[
        Group {
            legend: "Norm",
            controls: &[Control::choice(
                "norm",
                "Norm",
                &[
                    "Batch",
                    "Layer",
                    "RMS",
                    "Group",
                    "Instance",
                    "Batch, in evaluation",
                ],
                0,
            )],
        },
        Group {
            legend: "Groups of Group Norm",
            controls: &[Control::choice(
                "groups",
                "Groups of Group Norm",
                &GROUPS,
                1,
            )],
        },
        Group {
            legend: "Followed",
            controls: &[Control::choice(
                "way",
                "Followed",
                &["forward, a change of x", "backward, a gradient of y"],
                0,
            )],
        },
        Group {
            legend: "Which value",
            controls: &[Control::slider("cell", "value", [1.0, 96.0], 1.0, 33.0)],
        },
    ],
    show,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Norm {
    Batch,
    Layer,
    Rms,
    Group(usize),
    Instance,
    Frozen,
}

impl Norm {
    fn of(values: &Values) -> Self {
        match values.chosen("norm") {
            0 => Self::Batch,
            1 => Self::Layer,
            2 => Self::Rms,
            3 => Self::Group([1, 2, 3, 6][values.chosen("groups")]),
            4 => Self::Instance,
            _ => Self::Frozen,
        }
    }

    fn name(self) -> String {
        match self {
            Self::Batch => "Batch Norm".to_owned(),
            Self::Layer => "Layer Norm".to_owned(),
            Self::Rms => "RMS Norm".to_owned(),
            Self::Group(1) => "Group Norm with one group".to_owned(),
            Self::Group(groups) => format!("Group Norm with {groups} groups"),
            Self::Instance => "Instance Norm".to_owned(),
            Self::Frozen => "Batch Norm in evaluation".to_owned(),
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Self::Batch => "--fig-batch",
            Self::Layer => "--fig-layer",
            Self::Rms => "--fig-rms",
            Self::Group(_) | Self::Instance => "--fig-group",
            Self::Frozen => "--fig-none",
        }
    }

    /// The length of a row of the kernel of Layer Norm. Channels of a group lie side by side, so
    /// a group is a row, and so is a channel.
    fn row(self) -> usize {
        let [_, channels, ..] = SHAPE;
        match self {
            Self::Group(groups) => channels / groups * PLANE,
            Self::Instance => PLANE,
            Self::Batch | Self::Layer | Self::Rms | Self::Frozen => channels * PLANE,
        }
    }

    /// y of x, and dx of dy at x; the scale is 1 and the shift 0.
    fn run(self, x: &[f64], dy: &[f64]) -> [Vec<f64>; 2] {
        let layout = Layout::of(&SHAPE);
        let [one, zero] = [1.0, 0.0].map(|value| vec![value; layout.channels]);
        let row = self.row();
        let [ones, zeros] = [1.0, 0.0].map(|value| vec![value; row]);
        match self {
            Self::Batch => {
                use batchnorm::staged::{backward, forward};
                let (y, stages) = forward(&layout, x, &one, &zero, EPS);
                [y, backward(&layout, &stages, &one, dy).0]
            }
            Self::Frozen => {
                // Running statistics of a training that is over.
                let moments: Moments = Moments::new(zero.clone(), vec![3.0; layout.channels], EPS);
                let rstd = moments.rstd[0];
                [x, dy].map(|values| values.iter().map(|value| value * rstd).collect())
            }
            Self::Rms => {
                use layernorm::rms::staged::{backward, forward};
                let stages = forward(x, &ones, EPS);
                let dx = backward(&stages, x, &ones, dy).dx;
                [stages.y, dx]
            }
            Self::Layer | Self::Group(_) | Self::Instance => {
                use layernorm::staged::{backward, forward};
                let stages = forward(x, &ones, &zeros, EPS);
                let dx = backward(&stages, &ones, dy).dx;
                [stages.y, dx]
            }
        }
    }
}

struct Found {
    norm: Norm,
    backward: bool,
    cell: usize,
    /// By how much each value after the norm is another: 0 only if it is the same in every bit.
    moved: Vec<f64>,
}

/// The values of the images, between -3 and 3, and so irregular that no output stays where it
/// was by chance.
fn images() -> Vec<f64> {
    let value = |at: usize| 6.0 * ((at + 1) as f64 * 0.618_033_988_75 % 1.0) - 3.0;
    (0..COUNT).map(value).collect()
}

/// The image, the channel, and the row and column in it.
fn place(cell: usize) -> [usize; 4] {
    let [_, channels, height, width] = SHAPE;
    [
        cell / (channels * height * width),
        cell / (height * width) % channels,
        cell / width % height,
        cell % width,
    ]
}

impl Found {
    fn new(values: &Values) -> Self {
        let norm = Norm::of(values);
        let backward = values.chosen("way") == 1;
        let cell = values.number("cell") as usize - 1;
        let x = images();
        let none = vec![0.0; COUNT];
        let mut changed = if backward { none.clone() } else { x.clone() };
        changed[cell] += 1.0;
        let moved = if backward {
            let [_, dx] = norm.run(&x, &changed);
            dx
        } else {
            let [before, _] = norm.run(&x, &none);
            let [after, _] = norm.run(&changed, &none);
            let each = after.iter().zip(&before);
            each.map(|(after, before)| after - before).collect()
        };
        Self {
            norm,
            backward,
            cell,
            moved,
        }
    }

    fn count(&self) -> usize {
        self.moved.iter().filter(|moved| **moved != 0.0).count()
    }

    /// Those that moved along one axis of the shape, counted from 1.
    fn along(&self, axis: usize) -> Vec<usize> {
        let all = self.moved.iter().enumerate();
        let mut found: Vec<usize> = all
            .filter(|(_, moved)| **moved != 0.0)
            .map(|(cell, _)| place(cell)[axis] + 1)
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    fn text(&self) -> String {
        let [image, channel, row, column] = place(self.cell).map(|at| at + 1);
        let what = if self.backward {
            "the gradient of one output"
        } else {
            "one value"
        };
        let (moves, reached) = if self.backward {
            ("reaches", "inputs")
        } else {
            ("moves", "outputs")
        };
        let touched = format!(
            "{what} (image {image}, channel {channel}, row {row}, column {column}) {moves}"
        );
        let name = self.norm.name();
        if self.count() == 1 {
            return format!("{name}: {touched} itself and nothing else: it shares with nobody.");
        }
        let list = |axis: usize, one: &str, many: &str| {
            let found = self.along(axis);
            if found.len() == SHAPE[axis] {
                return format!("all {} {many}", found.len());
            }
            let numbers: Vec<String> = found.iter().map(usize::to_string).collect();
            let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
            let noun = if numbers.len() == 1 { one } else { many };
            format!("{noun} {}", and(&numbers))
        };
        format!(
            "{name}: {touched} {} {reached}, in {} and {}.",
            self.count(),
            list(0, "image", "images"),
            list(1, "channel", "channels"),
        )
    }
}

const MUTED: &str = "fill=\"var(--fig-muted)\"";
const INK: &str = "fill=\"var(--fig-ink)\"";

/// From one channel to the next, and from one image to the next.
const STEP: Place = (52.0, 52.0);
/// The side of a value.
const SIDE: f64 = 23.0;

fn draw(found: &Found, form: Form) -> String {
    let wide = form == Form::Wide;
    let height = if wide { 274.0 } else { 550.0 };
    let mut sheet = Sheet::new(form.width(), height);
    let places = if wide {
        [(0.0, 0.0), (362.0, 0.0)]
    } else {
        [(0.0, 0.0), (0.0, 276.0)]
    };
    let count = format!("{} of {COUNT}", found.count());
    let titles = if found.backward {
        [
            "dy: 1 at one place, else 0".to_owned(),
            format!("dx: not 0 at {count}"),
        ]
    } else {
        [
            "x: one value is raised by 1".to_owned(),
            format!("y: {count} change"),
        ]
    };
    for (side, (at, title)) in places.into_iter().zip(titles).enumerate() {
        panel(&mut sheet, found, at, side == 1, &title);
    }
    sheet.svg(FIGURE.title)
}

fn panel(sheet: &mut Sheet, found: &Found, (left, top): Place, after: bool, title: &str) {
    let [images, channels, height, width] = SHAPE;
    let bold = format!("{INK} font-weight=\"600\"");
    sheet.text((left, top + 14.0), &bold, title);
    let small = format!("{MUTED} font-size=\"12\" text-anchor=\"middle\"");
    let first = (left + 26.0, top + 62.0);
    let end = format!("{MUTED} font-size=\"12\" text-anchor=\"end\"");
    sheet.text((left + 338.0, top + 14.0), &end, "channel →");
    let look = format!("{MUTED} font-size=\"12\"");
    sheet.text((left, first.1 - 10.0), &look, "image");
    for channel in 0..channels {
        let x = first.0 + STEP.0 * channel as f64 + SIDE;
        sheet.text((x, first.1 - 10.0), &small, &(channel + 1).to_string());
    }
    let largest = found.moved.iter().map(|moved| moved.abs());
    let largest = largest.fold(0.0, f64::max);
    for image in 0..images {
        let y = first.1 + STEP.1 * image as f64;
        let name = (image + 1).to_string();
        sheet.text((left + 9.0, y + SIDE + 4.0), &small, &name);
        for channel in 0..channels {
            let corner = (first.0 + STEP.0 * channel as f64, y);
            for at in 0..height * width {
                let cell = (image * channels + channel) * PLANE + at;
                let (row, column) = ((at / width) as f64, (at % width) as f64);
                let from = (corner.0 + SIDE * column, corner.1 + SIDE * row);
                let to = (from.0 + SIDE, from.1 + SIDE);
                let touched = cell == found.cell;
                let moved = found.moved[cell];
                let look = if after && moved != 0.0 {
                    // All that moved is seen, and what moved more is darker.
                    let share = 0.4 + 0.6 * (moved.abs() / largest).sqrt();
                    let colour = found.norm.colour();
                    format!("fill=\"var({colour})\" fill-opacity=\"{share:.2}\"")
                } else if !after && touched {
                    "fill=\"var(--fig-ink)\"".to_owned()
                } else {
                    "fill=\"transparent\"".to_owned()
                };
                let look = format!("{look} stroke=\"var(--fig-rule)\"");
                if after {
                    if moved != 0.0 {
                        sheet.rect(from, to, &look);
                    }
                } else {
                    let value = (cell + 1) as f64;
                    sheet.sets("cell", value, |sheet| sheet.rect(from, to, &look));
                }
            }
            let to = (corner.0 + 2.0 * SIDE, corner.1 + 2.0 * SIDE);
            let frame = "fill=\"none\" stroke=\"var(--fig-muted)\" stroke-opacity=\"0.7\"";
            sheet.rect(corner, to, frame);
        }
    }
    if after {
        let [image, channel, row, column] = place(found.cell).map(|at| at as f64);
        let from = (
            first.0 + STEP.0 * channel + SIDE * column,
            first.1 + STEP.1 * image + SIDE * row,
        );
        let look = "fill=\"none\" stroke=\"var(--fig-ink)\" stroke-width=\"2.5\"";
        sheet.rect(from, (from.0 + SIDE, from.1 + SIDE), look);
    }
}

fn show(values: &Values) -> Shown {
    let found = Found::new(values);
    let said = format!("{} of {COUNT}", found.cell + 1);
    Shown::new(values, |form| draw(&found, form), found.text()).say("cell", said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(norm: usize, groups: usize, backward: usize, cell: usize) -> Found {
        let written = [norm, groups, backward, cell + 1];
        Found::new(&FIGURE.values(&written.map(|value| value.to_string())))
    }

    /// Whatever is touched, the whole set moves and nothing outside it, forward and backward.
    #[test]
    fn a_set_moves_as_a_whole_and_alone() {
        for cell in 0..COUNT {
            let [image, channel, ..] = place(cell);
            for way in 0..2 {
                for norm in 0..6 {
                    for (groups, count) in [1, 2, 3, 6].into_iter().enumerate() {
                        let found = at(norm, groups, way, cell);
                        for (other, moved) in found.moved.iter().enumerate() {
                            let [i, c, ..] = place(other);
                            let size = 6 / count;
                            let shared = match found.norm {
                                Norm::Batch => c == channel,
                                Norm::Layer | Norm::Rms => i == image,
                                Norm::Group(_) => i == image && c / size == channel / size,
                                Norm::Instance => i == image && c == channel,
                                Norm::Frozen => other == cell,
                            };
                            assert_eq!(*moved != 0.0, shared, "{:?} {cell} {other}", found.norm);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_sentence_counts_them() {
        assert_eq!(
            FIGURE.start().text,
            "Batch Norm: one value (image 2, channel 3, row 1, column 1) moves 16 outputs, in all 4 images and channel 3."
        );
        assert_eq!(
            at(3, 1, 0, 32).text(),
            "Group Norm with 2 groups: one value (image 2, channel 3, row 1, column 1) moves 12 outputs, in image 2 and channels 1, 2 and 3."
        );
        assert!(at(5, 1, 1, 0).text().ends_with("it shares with nobody."));
    }

    /// With one group, Group Norm shares as Layer Norm does; with a group for each channel, as
    /// Instance Norm.
    #[test]
    fn the_ends_of_the_groups_are_other_norms() {
        for cell in [0, 37, 95] {
            assert_eq!(at(3, 0, 0, cell).moved, at(1, 0, 0, cell).moved);
            assert_eq!(at(3, 3, 0, cell).moved, at(4, 0, 0, cell).moved);
        }
    }
}
