//! Four ways to a variance in `f32`, as the mean grows.

use crate::draw::{Drag, Place, Scale, Sheet};
use crate::figure::{Control, Figure, Form, Group, Shown, Values};
use crate::words::{Written, and, power_of_ten, scientific};
use batchnorm::staged::forward_channel;

/// The powers of ten of the means, and the distance from one to the next.
const MEANS: [f64; 2] = [0.0, 7.0];
const STEP: f64 = 0.25;
/// The powers of ten of the errors; what is beyond is drawn at the end.
const ERRORS: [f64; 2] = [-8.0, 2.0];
/// The values of a draw, and the draws that a curve is made of.
const COUNT: usize = 64;
const DRAWS: usize = 8;

/// The entry in the list of figures.
pub const FIGURE: Figure = Figure {
    name: "cancellation",
    title: "The relative error of four ways to compute a variance in f32 against the size of the \
            mean, on logarithmic axes, and the digits that each of them finds",
    groups: &[
        Group {
            legend: "Mean of the values, whose deviation is 1",
            controls: &[Control::slider("mean", "mean", MEANS, STEP, 2.0)],
        },
        Group {
            legend: "Drawn",
            controls: &[
                Control::switch("textbook", "E[x²] − E[x]²", true),
                Control::switch("welford", "Welford", true),
                Control::switch("two", "two passes", true),
                Control::switch("shifted", "shifted", true),
            ],
        },
    ],
    show,
};

#[derive(Clone, Copy)]
enum Way {
    Textbook,
    Welford,
    TwoPass,
    Shifted,
}

/// A way: its control, its name in a sentence and in the drawing, and its colour.
const WAYS: [(Way, &str, &str, &str, &str); 4] = [
    (
        Way::Textbook,
        "textbook",
        "the textbook formula",
        "E[x²] − E[x]²",
        "--fig-accent",
    ),
    (
        Way::Welford,
        "welford",
        "Welford’s",
        "Welford",
        "--fig-mean",
    ),
    (
        Way::TwoPass,
        "two",
        "two passes",
        "two passes",
        "--fig-direct",
    ),
    (
        Way::Shifted,
        "shifted",
        "the shifted sum",
        "shifted",
        "--fig-var",
    ),
];

fn mean(x: impl ExactSizeIterator<Item = f32>) -> f32 {
    let count = x.len() as f32;
    x.sum::<f32>() / count
}

impl Way {
    /// The variance, every step of it in `f32`.
    fn variance(self, x: &[f32]) -> f32 {
        match self {
            Self::Textbook => {
                let (mean_of_squares, m) = (mean(x.iter().map(|x| x * x)), mean(x.iter().copied()));
                mean_of_squares - m * m
            }
            Self::Welford => {
                let (mut mean, mut squares) = (0.0, 0.0);
                for (seen, &x) in x.iter().enumerate() {
                    let off = x - mean;
                    mean += off / (seen + 1) as f32;
                    squares += off * (x - mean);
                }
                squares / x.len() as f32
            }
            Self::TwoPass => forward_channel(x, 1.0, 0.0, 1e-5).var,
            // From the first value, which is as near the mean as any.
            Self::Shifted => {
                let first = x[0];
                let squares = mean(x.iter().map(|x| (x - first) * (x - first)));
                let delta = mean(x.iter().map(|x| x - first));
                squares - delta * delta
            }
        }
    }
}

/// Values of deviation about 1 around a mean, in `f32`.
fn values(mean: f64, draw: usize) -> Vec<f32> {
    let mut state = 0x9e37_79b9_u64.wrapping_mul(draw as u64 + 1);
    let mut even = || {
        state = state
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 33) as f64 / (1_u64 << 31) as f64 - 0.5
    };
    // Sums of four even draws, which are nearly normal and have a variance of a third.
    let mut near_normal = || 3.0_f64.sqrt() * (0..4).map(|_| even()).sum::<f64>();
    (0..COUNT).map(|_| (mean + near_normal()) as f32).collect()
}

/// The variance of these very values, rounded as they are: `f64` has digits to spare.
fn exact(x: &[f32]) -> f64 {
    let x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
    forward_channel(&x, 1.0, 0.0, 1e-5).var
}

/// The root mean square over the draws of the relative error of each way.
fn errors(power: f64) -> [f64; 4] {
    let mut sums = [0.0; 4];
    for draw in 0..DRAWS {
        let x = values(libm::pow(10.0, power), draw);
        let exact = exact(&x);
        for (sum, (way, ..)) in sums.iter_mut().zip(WAYS) {
            let off = f64::from(way.variance(&x)) / exact - 1.0;
            *sum += off * off / DRAWS as f64;
        }
    }
    sums.map(f64::sqrt)
}

/// The power of ten of an error, within the drawing.
fn power_of(error: f64) -> f64 {
    libm::log10(error).clamp(ERRORS[0], ERRORS[1])
}

struct Found {
    power: f64,
    shown: [bool; 4],
    errors: [f64; 4],
    /// The variance of the first draw, and what each way makes of it.
    exact: f64,
    variances: [f64; 4],
    /// From the first value to the next number of `f32`.
    spacing: f64,
}

impl Found {
    fn new(controls: &Values) -> Self {
        let power = controls.number("mean");
        let x = values(libm::pow(10.0, power), 0);
        Self {
            power,
            shown: WAYS.map(|(_, control, ..)| controls.on(control)),
            errors: errors(power),
            exact: exact(&x),
            variances: WAYS.map(|(way, ..)| f64::from(way.variance(&x))),
            spacing: f64::from(x[0].next_up() - x[0]),
        }
    }

    /// What a way makes of the first draw, marked by what it shares with the truth.
    fn written(&self, way: usize) -> Written {
        Written::new(self.variances[way], self.exact, 7)
    }

    fn text(&self) -> String {
        let ways = WAYS.iter().enumerate();
        let parts: Vec<String> = ways
            .filter(|(at, _)| self.shown[*at])
            .map(|(at, (_, _, name, ..))| match self.written(at).digits() {
                0 => format!("no digit of {name}"),
                1 => format!("one digit of {name}"),
                digits => format!("{digits} digits of {name}"),
            })
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let stored = format!(
            "Around a mean of {}, f32 stores values in steps of {}.",
            power_in_words(self.power),
            scientific(self.spacing, 0)
        );
        if parts.is_empty() {
            return stored;
        }
        format!("{stored} Right in their variance are: {}.", and(&parts))
    }
}

/// A power of ten, in figures where they are whole.
fn power_in_words(power: f64) -> String {
    if power == 0.0 {
        "1".to_owned()
    } else if power.fract() == 0.0 {
        power_of_ten(power)
    } else {
        scientific(libm::pow(10.0, power), 1)
    }
}

const MUTED: &str = "fill=\"var(--fig-muted)\"";
const INK: &str = "fill=\"var(--fig-ink)\"";

fn draw(found: &Found, form: Form) -> String {
    let wide = form == Form::Wide;
    let (height, plot) = if wide {
        (330.0, (420.0, 330.0))
    } else {
        (474.0, (340.0, 262.0))
    };
    let mut sheet = Sheet::new(form.width(), height);
    chart(&mut sheet, found, plot);
    let (place, width) = if wide {
        ((448.0, 42.0), 252.0)
    } else {
        ((0.0, 296.0), 340.0)
    };
    digits(&mut sheet, found, place, width);
    sheet.svg(FIGURE.title)
}

fn chart(sheet: &mut Sheet, found: &Found, (right, bottom): Place) {
    let across = Scale {
        values: MEANS,
        places: [48.0, right - 12.0],
    };
    let up = Scale {
        values: ERRORS,
        places: [bottom - 44.0, 26.0],
    };
    let [left, right] = across.places;
    let [bottom, top] = up.places;
    sheet.text((0.0, 12.0), MUTED, "relative error of the variance");
    for power in [-8, -6, -4, -2, 0, 2] {
        let y = up.at(f64::from(power));
        sheet.line((left, y), (right, y), "stroke=\"var(--fig-rule)\"");
        let look = format!("{MUTED} font-size=\"12\" text-anchor=\"end\"");
        let label = power_in_words(f64::from(power));
        sheet.text((left - 6.0, y + 4.0), &look, &label);
    }
    for power in 0..=7 {
        let x = across.at(f64::from(power));
        sheet.line((x, bottom), (x, bottom + 5.0), "stroke=\"var(--fig-rule)\"");
        let look = format!("{MUTED} font-size=\"12\" text-anchor=\"middle\"");
        sheet.text((x, bottom + 20.0), &look, &power_in_words(f64::from(power)));
    }
    let look = format!("{MUTED} text-anchor=\"end\"");
    sheet.text((right, bottom + 40.0), &look, "mean / deviation");

    let count = ((MEANS[1] - MEANS[0]) / STEP).round() as usize;
    let powers: Vec<f64> = (0..=count).map(|at| MEANS[0] + STEP * at as f64).collect();
    let all: Vec<[f64; 4]> = powers.iter().map(|power| errors(*power)).collect();
    let x = across.at(found.power);
    let guide = "stroke=\"var(--fig-muted)\" stroke-dasharray=\"3 4\"";
    sheet.line((x, top), (x, bottom), guide);
    for (way, (.., colour)) in WAYS.iter().enumerate() {
        if !found.shown[way] {
            continue;
        }
        let places: Vec<Place> = powers
            .iter()
            .zip(&all)
            .map(|(power, errors)| (across.at(*power), up.at(power_of(errors[way]))))
            .collect();
        let look =
            format!("stroke=\"var({colour})\" stroke-width=\"2.2\" stroke-linejoin=\"round\"");
        sheet.curve(&places, &look);
        let at = (x, up.at(power_of(found.errors[way])));
        let look =
            format!("fill=\"var({colour})\" stroke=\"var(--fig-paper)\" stroke-width=\"1.5\"");
        sheet.disc(at, 5.0, &look);
    }
    let drag = Drag {
        control: "mean",
        min: left,
        max: right,
    };
    let look = format!("{INK} stroke=\"var(--fig-paper)\" stroke-width=\"2\"");
    sheet.handle((x, bottom), Some(drag), None, &look);
}

/// The variance of one draw, digit by digit.
fn digits(sheet: &mut Sheet, found: &Found, (left, top): Place, width: f64) {
    let mono = "font-family=\"var(--mono-font)\" xml:space=\"preserve\" text-anchor=\"end\"";
    let bold = format!("{INK} font-weight=\"600\"");
    sheet.text((left, top), &bold, "The variance of one draw");
    let mut y = top + 34.0;
    let line = |sheet: &mut Sheet, y: f64, name: &str, marked: &str, colour: Option<&str>| {
        if let Some(colour) = colour {
            let look = format!("fill=\"var({colour})\"");
            sheet.rect((left, y - 11.0), (left + 13.0, y + 2.0), &look);
        }
        sheet.text((left + 22.0, y), INK, name);
        sheet.marked((left + width, y), mono, marked);
    };
    let truth = Written::new(found.exact, found.exact, 7).marked("--fig-ink", "--fig-ink");
    line(sheet, y, "exact", &truth, None);
    for (way, (_, _, _, name, colour)) in WAYS.iter().enumerate() {
        y += 34.0;
        if found.shown[way] {
            let marked = found.written(way).marked("--fig-ink", "--fig-wrong");
            line(sheet, y, name, &marked, Some(colour));
        }
    }
}

fn show(values: &Values) -> Shown {
    let found = Found::new(values);
    Shown::new(values, |form| draw(&found, form), found.text())
        .say("mean", power_in_words(found.power))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(power: f64) -> Found {
        Found::new(&FIGURE.values(&[power.to_string()]))
    }

    /// For each digit by which the mean grows, the textbook formula loses two and Welford's one.
    #[test]
    fn the_formulas_lose_digits_at_their_own_pace() {
        for power in [1.0, 1.5, 2.0, 2.5] {
            let [near, far] = [power, power + 1.0].map(|power| errors(power)[0]);
            assert!(
                (40.0..250.0).contains(&(far / near)),
                "{power}: {near} {far}"
            );
        }
        for power in [2.0, 3.0, 4.0] {
            let [near, far] = [power, power + 2.0].map(|power| errors(power)[1]);
            assert!(
                (40.0..250.0).contains(&(far / near)),
                "{power}: {near} {far}"
            );
        }
    }

    /// Two passes keep their digits while the textbook formula loses all; the shifted sum keeps
    /// them to the end.
    #[test]
    fn what_is_subtracted_first_cannot_cancel() {
        for power in 0..=12 {
            let errors = errors(0.25 * f64::from(power));
            assert!(errors[2] < 1e-6, "{power}: {errors:?}");
        }
        assert!(errors(4.0)[0] > 0.5 && errors(7.0)[2] > 1e-3);
        let [near, far] = [4.0, 5.0].map(|power| errors(power)[2]);
        assert!((20.0..500.0).contains(&(far / near)), "{near} {far}");
        for power in 0..=28 {
            let errors = errors(0.25 * f64::from(power));
            assert!(errors[3] < 1e-6, "{power}: {errors:?}");
        }
    }

    #[test]
    fn the_sentence_counts_digits() {
        let text = at(2.0).text();
        assert!(
            text.starts_with(
                "Around a mean of 10², f32 stores values in steps of 8\u{a0}×\u{a0}10⁻⁶."
            ),
            "{text}"
        );
        let digits = |power: f64| [0, 1, 2, 3].map(|way| at(power).written(way).digits());
        assert_eq!(digits(4.0)[0], 0);
        assert!(digits(4.0)[3] >= 6);
    }
}
