//! One example in batches of different sizes: what training makes of it, and what evaluation.

use crate::draw::{Drag, Place, Scale, Sheet};
use crate::figure::{Control, Figure, Form, Group, Shown, Values};
use crate::words::fixed;
use batchnorm::Moments;
use batchnorm::staged::forward_channel;

const EPS: f64 = 1e-5;
/// The running statistics, which are those that the other examples are drawn with.
const MEAN: f64 = 2.0;
const DEVIATION: f64 = 1.5;
/// Values, and what evaluation makes of the ends: both axes are as long.
const X: [f64; 2] = [-4.0, 8.0];
const Y: [f64; 2] = [-4.0, 4.0];
/// How many batches there are to choose from.
const BATCHES: usize = 60;
const LARGEST: usize = 32;

/// The entry in the list of figures.
pub const FIGURE: Figure = Figure {
    name: "trial",
    title: "The values of a batch on an axis, and below it what Batch Norm makes of them, with a \
            line from each value to its output; one value can be dragged",
    groups: &[
        Group {
            legend: "Batch",
            controls: &[
                Control::slider("n", "N", [2.0, LARGEST as f64], 1.0, 6.0),
                Control::slider("others", "the others", [1.0, BATCHES as f64], 1.0, 1.0),
            ],
        },
        Group {
            legend: "Your example",
            controls: &[Control::slider("x", "x", X, 0.25, 4.5)],
        },
        Group {
            legend: "Statistics",
            controls: &[Control::choice(
                "mode",
                "Statistics",
                &["training, of the batch", "evaluation, running"],
                0,
            )],
        },
    ],
    show,
};

/// The other examples of a batch: sums of four even draws, which are nearly normal. A smaller
/// batch has the first of a larger.
fn others(batch: usize, count: usize) -> Vec<f64> {
    let mut state = 0x9e37_79b9_u64.wrapping_mul(batch as u64 + 1);
    let mut even = || {
        state = state
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 33) as f64 / (1_u64 << 31) as f64 - 0.5
    };
    even();
    let mut near_normal = || {
        let sum: f64 = (0..4).map(|_| even()).sum();
        // Four even draws have a variance of a third.
        MEAN + DEVIATION * 3.0_f64.sqrt() * sum
    };
    (0..count).map(|_| near_normal()).collect()
}

/// The values of a batch of which the first is the reader's.
fn values(x: f64, batch: usize, n: usize) -> Vec<f64> {
    let mut values = vec![x];
    values.extend(others(batch, n - 1));
    values
}

/// What evaluation makes of a value.
fn evaluated(x: f64) -> f64 {
    let running: Moments = Moments::new(vec![MEAN], vec![DEVIATION * DEVIATION], EPS);
    (x - running.mean[0]) * running.rstd[0]
}

struct Found {
    n: usize,
    x: Vec<f64>,
    mean: f64,
    deviation: f64,
    training: bool,
    /// What the layer returns, as it is set.
    y: Vec<f64>,
    /// The output of the reader's example in each of the batches.
    elsewhere: Vec<f64>,
}

impl Found {
    fn new(controls: &Values) -> Self {
        let [n, batch] = ["n", "others"].map(|name| controls.number(name) as usize);
        let first = controls.number("x");
        let training = controls.chosen("mode") == 0;
        let x = values(first, batch - 1, n);
        let stages = forward_channel(&x, 1.0, 0.0, EPS);
        let own = |batch: usize| {
            if training {
                forward_channel(&values(first, batch, n), 1.0, 0.0, EPS).y[0]
            } else {
                evaluated(first)
            }
        };
        let y = if training {
            stages.y
        } else {
            x.iter().map(|&x| evaluated(x)).collect()
        };
        Self {
            n,
            mean: stages.mean,
            deviation: stages.var.sqrt(),
            training,
            y,
            elsewhere: (0..BATCHES).map(own).collect(),
            x,
        }
    }

    /// No output of training is farther from 0: the N outputs add up to 0, and their squares to N.
    fn bound(&self) -> f64 {
        (self.n as f64 - 1.0).sqrt()
    }

    fn text(&self) -> String {
        let (x, y) = (self.x[0], self.y[0]);
        let other = evaluated(x);
        if !self.training {
            return format!(
                "In evaluation, your example {} comes out as {}, in this batch and in every other.",
                fixed(x, 2),
                fixed(y, 2)
            );
        }
        if self.n == 2 {
            let side = if x > self.x[1] { "larger" } else { "smaller" };
            return format!(
                "N = 2: the outputs are {} and {}. Your example {} is the {side} of the two, and \
                 nothing else of it is left; in evaluation it would come out as {}.",
                fixed(y, 2),
                fixed(self.y[1], 2),
                fixed(x, 2),
                fixed(other, 2)
            );
        }
        let ends = self.elsewhere.iter();
        let low = ends.clone().copied().fold(f64::INFINITY, f64::min);
        let high = ends.copied().fold(f64::NEG_INFINITY, f64::max);
        format!(
            "N = {}: your example {} comes out as {} in this batch, and between {} and {} in {BATCHES} \
             batches; in evaluation it would always be {}.",
            self.n,
            fixed(x, 2),
            fixed(y, 2),
            fixed(low, 2),
            fixed(high, 2),
            fixed(other, 2)
        )
    }
}

const MUTED: &str = "fill=\"var(--fig-muted)\"";
const INK: &str = "fill=\"var(--fig-ink)\"";
const OWN: &str = "--fig-accent";

fn draw(found: &Found, form: Form) -> String {
    let wide = form == Form::Wide;
    let mut sheet = Sheet::new(form.width(), 336.0);
    let (left, right) = if wide { (30.0, 670.0) } else { (14.0, 326.0) };
    let (above, below, strip) = (62.0, 216.0, 296.0);
    let places = [left, right];
    let up = Scale { values: X, places };
    let down = Scale { values: Y, places };
    let bold = format!("{INK} font-weight=\"600\"");
    sheet.text((0.0, 12.0), &bold, "x, before Batch Norm");
    let title = if found.training {
        "y, by the statistics of this batch"
    } else {
        "y, by the running statistics"
    };
    sheet.text((0.0, below + 48.0), &bold, title);

    // The statistics that are used.
    let (mean, deviation) = if found.training {
        (found.mean, found.deviation)
    } else {
        (MEAN, DEVIATION)
    };
    let ends = [mean - deviation, mean + deviation];
    let band = ends.map(|x| up.at(x).clamp(left, right));
    let look = "fill=\"var(--fig-var)\" fill-opacity=\"0.25\"";
    sheet.rect((band[0], above - 14.0), (band[1], above + 14.0), look);
    let look = "fill=\"var(--fig-var)\" fill-opacity=\"0.25\"";
    let ends = [-1.0, 1.0].map(|y| down.at(y));
    sheet.rect((ends[0], below - 14.0), (ends[1], below + 14.0), look);
    for (at, y) in [(up.at(mean), above), (down.at(0.0), below)] {
        let look = "stroke=\"var(--fig-mean)\" stroke-width=\"2.5\"";
        sheet.line((at, y - 14.0), (at, y + 14.0), look);
    }
    axis(&mut sheet, up, above, -1.0);
    axis(&mut sheet, down, below, 1.0);

    for at in (0..found.n).rev() {
        let own = at == 0;
        let from = (up.at(found.x[at].clamp(X[0], X[1])), above);
        let to = (down.at(found.y[at].clamp(Y[0], Y[1])), below);
        let (colour, width, opacity) = if own {
            (OWN, 2.2, 1.0)
        } else {
            ("--fig-ink", 1.0, 0.4)
        };
        let look = format!(
            "stroke=\"var({colour})\" stroke-width=\"{width}\" stroke-opacity=\"{opacity}\""
        );
        sheet.line(from, to, &look);
        let look = format!("fill=\"var({colour})\" stroke=\"var(--fig-paper)\"");
        let size = if own { 6.0 } else { 4.0 };
        sheet.disc(to, size, &look);
        if own {
            let drag = Drag {
                control: "x",
                min: left,
                max: right,
            };
            let look = format!("{look} stroke-width=\"2\"");
            sheet.handle(from, Some(drag), None, &look);
        } else {
            sheet.disc(from, size, &look);
        }
    }
    elsewhere(&mut sheet, found, down, strip);
    sheet.svg(FIGURE.title)
}

fn axis(sheet: &mut Sheet, scale: Scale, y: f64, side: f64) {
    let [left, right] = scale.places;
    let look = "stroke=\"var(--fig-muted)\"";
    sheet.line((left, y), (right, y), look);
    let [from, to] = scale.values;
    for tick in 0..=4 {
        let value = from + (to - from) * f64::from(tick) / 4.0;
        let x = scale.at(value);
        sheet.line((x, y), (x, y + 5.0 * side), look);
        let look = format!("{MUTED} font-size=\"12\" text-anchor=\"middle\"");
        let base = if side > 0.0 { y + 27.0 } else { y - 18.0 };
        sheet.text((x, base), &look, &fixed(value, 0));
    }
}

/// The output of the example in every batch, and the bound of all.
fn elsewhere(sheet: &mut Sheet, found: &Found, scale: Scale, y: f64) {
    let [left, right] = scale.places;
    if found.training {
        let bound = found.bound();
        for (sign, end) in [(-1.0, left), (1.0, right)] {
            let from = scale.at((sign * bound).clamp(Y[0], Y[1]));
            let look = "fill=\"var(--fig-rule)\" fill-opacity=\"0.6\"";
            sheet.rect((from, y - 12.0), (end, y + 12.0), look);
        }
    }
    for own in &found.elsewhere {
        let x = scale.at(own.clamp(Y[0], Y[1]));
        let look = format!("stroke=\"var({OWN})\" stroke-width=\"2\" stroke-opacity=\"0.35\"");
        sheet.line((x, y - 12.0), (x, y + 12.0), &look);
    }
    let x = scale.at(found.y[0].clamp(Y[0], Y[1]));
    let look = format!("fill=\"var({OWN})\" stroke=\"var(--fig-paper)\"");
    sheet.disc((x, y), 6.0, &look);
    let x = scale.at(evaluated(found.x[0]).clamp(Y[0], Y[1]));
    let look = "stroke=\"var(--fig-ink)\" stroke-width=\"2\"";
    sheet.line((x, y - 17.0), (x, y + 17.0), look);
    let label: Place = (0.0, y + 36.0);
    let words = format!("yours in {BATCHES} batches; line: in evaluation");
    sheet.text(label, MUTED, &words);
}

fn show(values: &Values) -> Shown {
    let found = Found::new(values);
    Shown::new(values, |form| draw(&found, form), found.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: usize, batch: usize, x: f64, mode: usize) -> Found {
        let written = [n as f64, batch as f64, x, mode as f64];
        Found::new(&FIGURE.values(&written.map(|value| value.to_string())))
    }

    fn everywhere() -> impl Iterator<Item = f64> {
        (0..=48).map(|quarter| X[0] + 0.25 * f64::from(quarter))
    }

    /// Of two values only the signs are left, while they are farther apart than eps reaches.
    #[test]
    fn of_two_values_the_signs_are_left() {
        for batch in 1..=BATCHES {
            for x in everywhere() {
                let found = at(2, batch, x, 0);
                let apart = found.x[0] - found.x[1];
                let sure = apart.abs() > 0.05;
                assert!(
                    !sure || (found.y[0] - apart.signum()).abs() < 0.01,
                    "{apart}"
                );
                assert!((found.y[0] + found.y[1]).abs() < 1e-9);
            }
        }
    }

    /// However far it is dragged, an output of training stays within the root of N − 1, and the
    /// largest sizes let it come near what evaluation says.
    #[test]
    fn no_output_of_training_is_beyond_its_bound() {
        for n in 2..=LARGEST {
            for batch in [1, 7, 31, 60] {
                for x in everywhere() {
                    let found = at(n, batch, x, 0);
                    for y in &found.y {
                        assert!(y.abs() <= found.bound() + 1e-12, "{n} {x}: {y}");
                    }
                }
            }
        }
        assert!(at(4, 1, 8.0, 0).y[0] < 1.74 && at(4, 1, 8.0, 1).y[0] > 3.99);
    }

    /// Evaluation knows neither the size of the batch nor who else is in it.
    #[test]
    fn evaluation_sees_the_example_alone() {
        for x in everywhere() {
            let y = at(2, 1, x, 1).y[0];
            for (n, batch) in [(3, 5), (8, 60), (LARGEST, 2)] {
                let found = at(n, batch, x, 1);
                assert_eq!(found.y[0], y);
                assert!(found.elsewhere.iter().all(|other| *other == y));
            }
        }
    }

    /// The spread over the batches falls as the batch grows, wherever the example is not itself
    /// what sets the statistics.
    #[test]
    fn larger_batches_agree_with_each_other() {
        for x in [-1.0, 0.5, 2.0, 3.5, 5.0] {
            let spread = |n: usize| {
                let found = at(n, 1, x, 0);
                let mean = found.elsewhere.iter().sum::<f64>() / BATCHES as f64;
                let squares = found.elsewhere.iter().map(|y| (y - mean) * (y - mean));
                (squares.sum::<f64>() / BATCHES as f64).sqrt()
            };
            let (few, many) = (spread(8), spread(32));
            assert!(many < 0.9 * few, "{x}: {few} {many}");
            let mean = at(32, 1, x, 0).elsewhere.iter().sum::<f64>() / BATCHES as f64;
            assert!((mean - evaluated(x)).abs() < 0.2, "{x}: {mean}");
        }
        let text = at(2, 1, 8.0, 0).text();
        assert!(text.contains("is the larger of the two"), "{text}");
    }
}
