//! The error of a difference quotient against its step, and the digits that cancel in it.

use crate::draw::{Drag, Place, Scale, Sheet};
use crate::figure::{Control, Figure, Form, Group, Shown, Values};
use crate::words::{Written, power_of_ten, scientific};
use tape::Real;

/// The powers of ten of the steps.
const STEPS: [f64; 2] = [-16.0, -0.5];
/// The powers of ten of the errors; what is beyond is drawn at the end.
const ERRORS: [f64; 2] = [-16.0, 0.0];
/// Where the derivative is taken: both arithmetics hold it exactly.
const AT: f64 = 1.25;
/// How far from the origin the third function is.
const OFFSET: f64 = 1000.0;

/// The entry in the list of figures.
pub const FIGURE: Figure = Figure {
    name: "u-curve",
    title: "The relative error of a difference quotient against its step, on logarithmic axes, \
            with the step as a dot, and the digits of the two values that are subtracted",
    groups: &[
        Group {
            legend: "Step",
            controls: &[Control::slider("h", "h", STEPS, 0.1, -1.0)],
        },
        Group {
            legend: "Quotient",
            controls: &[Control::choice(
                "quotient",
                "Quotient",
                &["forward", "central", "extrapolated"],
                1,
            )],
        },
        Group {
            legend: "Arithmetic",
            controls: &[Control::choice("type", "Arithmetic", &["f64", "f32"], 0)],
        },
        Group {
            legend: "Function",
            controls: &[Control::choice(
                "f",
                "Function",
                &["1/√v", "v³", "1/√(v − 1000), far from the origin"],
                0,
            )],
        },
    ],
    show,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotient {
    Forward,
    Central,
    Extrapolated,
}

const QUOTIENTS: [(Quotient, &str, &str); 3] = [
    (Quotient::Forward, "The forward difference", "--fig-mean"),
    (Quotient::Central, "The central difference", "--fig-direct"),
    (
        Quotient::Extrapolated,
        "The extrapolated difference",
        "--fig-var",
    ),
];

#[derive(Clone, Copy)]
enum Function {
    Rstd,
    Cube,
    Far,
}

const FUNCTIONS: [Function; 3] = [Function::Rstd, Function::Cube, Function::Far];

impl Function {
    fn value<T: Real>(self, v: T) -> T {
        match self {
            Self::Rstd => T::ONE / v.sqrt(),
            Self::Cube => v * v * v,
            Self::Far => T::ONE / (v - T::from_f64(OFFSET)).sqrt(),
        }
    }

    fn at<T: Real>(self) -> T {
        match self {
            Self::Rstd | Self::Cube => T::from_f64(AT),
            Self::Far => T::from_f64(OFFSET + AT),
        }
    }

    /// The derivative, to the last bit or two of an `f64`.
    fn exact(self) -> f64 {
        match self {
            Self::Rstd | Self::Far => -0.5 / (AT * AT.sqrt()),
            Self::Cube => 3.0 * AT * AT,
        }
    }

    fn quotient<T: Real>(self, quotient: Quotient, h: T) -> T {
        let v: T = self.at();
        let two = T::from_f64(2.0);
        let central = |h: T| (self.value(v + h) - self.value(v - h)) / (two * h);
        match quotient {
            Quotient::Forward => (self.value(v + h) - self.value(v)) / h,
            Quotient::Central => central(h),
            Quotient::Extrapolated => {
                let half = central(h / two);
                half + (half - central(h)) / T::from_f64(3.0)
            }
        }
    }
}

/// What is looked at: a function, a quotient, an arithmetic.
#[derive(Clone, Copy)]
struct Setting {
    function: Function,
    quotient: Quotient,
    single: bool,
}

impl Setting {
    fn slope(self, h: f64) -> f64 {
        if self.single {
            self.function.quotient(self.quotient, h as f32).to_f64()
        } else {
            self.function.quotient(self.quotient, h)
        }
    }

    fn error(self, h: f64) -> f64 {
        (self.slope(h) / self.function.exact() - 1.0).abs()
    }

    /// The two values that are subtracted, at the step itself.
    fn values(self, h: f64) -> [f64; 2] {
        fn values<T: Real>(setting: Setting, h: T) -> [f64; 2] {
            let v: T = setting.function.at();
            let left = match setting.quotient {
                Quotient::Forward => v,
                Quotient::Central | Quotient::Extrapolated => v - h,
            };
            [v + h, left].map(|v| setting.function.value(v).to_f64())
        }
        if self.single {
            values(self, h as f32)
        } else {
            values(self, h)
        }
    }

    /// Places after the point in which the values are written out: all that the arithmetic has.
    fn places(self) -> usize {
        if self.single { 8 } else { 16 }
    }

    /// The error at every so many tenths of a power of ten, as places on logarithmic axes.
    fn curve(self, every: usize, across: Scale, up: Scale) -> Vec<Place> {
        let count = ((STEPS[1] - STEPS[0]) * 10.0).round() as usize;
        (0..=count)
            .step_by(every)
            .map(|at| {
                let power = STEPS[0] + at as f64 / 10.0;
                let error = power_of(self.error(step(power)));
                (across.at(power), up.at(error))
            })
            .collect()
    }
}

/// The step of a slider.
fn step(power: f64) -> f64 {
    libm::pow(10.0, power)
}

/// The power of ten of an error, within the drawing.
fn power_of(error: f64) -> f64 {
    libm::log10(error).clamp(ERRORS[0], ERRORS[1])
}

struct Found {
    setting: Setting,
    power: f64,
    h: f64,
    error: f64,
    values: [f64; 2],
    slope: f64,
}

impl Found {
    fn new(values: &Values) -> Self {
        let setting = Setting {
            function: FUNCTIONS[values.chosen("f")],
            quotient: QUOTIENTS[values.chosen("quotient")].0,
            single: values.chosen("type") == 1,
        };
        let power = values.number("h");
        let h = step(power);
        Self {
            setting,
            power,
            h,
            error: setting.error(h),
            values: setting.values(h),
            slope: setting.slope(h),
        }
    }

    fn colour(&self) -> &'static str {
        let of = QUOTIENTS
            .iter()
            .find(|(quotient, ..)| *quotient == self.setting.quotient);
        of.map_or("--fig-ink", |(_, _, colour)| colour)
    }

    /// The first value, marked by what it shares with the second.
    fn written(&self, at: usize) -> Written {
        let [value, other] = [self.values[at], self.values[1 - at]];
        Written::new(value, other, self.setting.places())
    }

    /// The quotient, marked by what it shares with the derivative.
    fn answer(&self) -> Written {
        Written::new(
            self.slope,
            self.setting.function.exact(),
            self.setting.places(),
        )
    }

    fn text(&self) -> String {
        let of = QUOTIENTS
            .iter()
            .find(|(quotient, ..)| *quotient == self.setting.quotient);
        let called = of.map_or("The quotient", |(_, called, _)| called);
        let arithmetic = if self.setting.single { "f32" } else { "f64" };
        let other = match self.setting.quotient {
            Quotient::Forward => "f(v)",
            Quotient::Central | Quotient::Extrapolated => "f(v\u{a0}−\u{a0}h)",
        };
        let [right, left] = self.values;
        let h = scientific(self.h, 1);
        if right == left {
            return format!(
                "{called} in {arithmetic} with h = {h}: f(v\u{a0}+\u{a0}h) and {other} are the same number, \
                 and nothing is left when one is subtracted from the other."
            );
        }
        let count = |digits: usize| match digits {
            1 => "digit".to_owned(),
            many => format!("{many} digits"),
        };
        let cancelled = match self.written(0).digits() {
            0 => format!("f(v\u{a0}+\u{a0}h) and {other} differ in their first digit already"),
            shared => format!(
                "the first {} of f(v\u{a0}+\u{a0}h) and {other} cancel",
                count(shared)
            ),
        };
        format!(
            "{called} in {arithmetic} with h = {h}: {cancelled}, and the quotient has a relative \
             error of {}.",
            scientific(self.error, 1)
        )
    }
}

const MUTED: &str = "fill=\"var(--fig-muted)\"";
const INK: &str = "fill=\"var(--fig-ink)\"";

fn draw(found: &Found, form: Form) -> String {
    let wide = form == Form::Wide;
    let (height, plot) = if wide {
        (330.0, (420.0, 330.0))
    } else {
        (444.0, (340.0, 262.0))
    };
    let mut sheet = Sheet::new(form.width(), height);
    chart(&mut sheet, found, plot);
    let place = if wide { (446.0, 42.0) } else { (4.0, 290.0) };
    magnifier(&mut sheet, found, place);
    sheet.svg(FIGURE.title)
}

fn chart(sheet: &mut Sheet, found: &Found, (right, bottom): Place) {
    let across = Scale {
        values: STEPS,
        places: [48.0, right - 12.0],
    };
    let up = Scale {
        values: ERRORS,
        places: [bottom - 44.0, 26.0],
    };
    let [left, right] = across.places;
    let [bottom, top] = up.places;
    sheet.text((0.0, 12.0), MUTED, "relative error");
    for power in [-16, -12, -8, -4, 0] {
        let y = up.at(f64::from(power));
        sheet.line((left, y), (right, y), "stroke=\"var(--fig-rule)\"");
        let look = format!("{MUTED} font-size=\"12\" text-anchor=\"end\"");
        let label = if power == 0 {
            "1".to_owned()
        } else {
            power_of_ten(power)
        };
        sheet.text((left - 6.0, y + 4.0), &look, &label);
    }
    for power in [-16, -12, -8, -4, -1] {
        let x = across.at(f64::from(power));
        sheet.line((x, bottom), (x, bottom + 5.0), "stroke=\"var(--fig-rule)\"");
        let look = format!("{MUTED} font-size=\"12\" text-anchor=\"middle\"");
        sheet.text((x, bottom + 20.0), &look, &power_of_ten(power));
    }
    let look = format!("{MUTED} text-anchor=\"end\"");
    sheet.text((right, bottom + 40.0), &look, "step h");

    // The other quotients in this arithmetic, and this one in the other.
    let same = found.setting;
    let others = QUOTIENTS.map(|(quotient, ..)| Setting { quotient, ..same });
    let other_type = Setting {
        single: !same.single,
        ..same
    };
    let pale = "stroke=\"var(--fig-rule)\" stroke-width=\"1.5\" stroke-linejoin=\"round\"";
    for setting in others.iter().chain([&other_type]) {
        sheet.curve(&setting.curve(2, across, up), pale);
    }
    let colour = found.colour();
    let bold = format!("stroke=\"var({colour})\" stroke-width=\"2.2\" stroke-linejoin=\"round\"");
    sheet.curve(&same.curve(1, across, up), &bold);

    let at = (across.at(found.power), up.at(power_of(found.error)));
    let guide = "stroke=\"var(--fig-muted)\" stroke-dasharray=\"3 4\"";
    sheet.line((at.0, top), (at.0, bottom), guide);
    let drag = Drag {
        control: "h",
        min: left,
        max: right,
    };
    let look = format!("fill=\"var({colour})\" stroke=\"var(--fig-paper)\" stroke-width=\"2\"");
    sheet.handle(at, Some(drag), None, &look);
}

/// The two values digit by digit, what is left of them, and the quotient.
fn magnifier(sheet: &mut Sheet, found: &Found, (left, top): Place) {
    let setting = found.setting;
    let other = match setting.quotient {
        Quotient::Forward => "f(v)",
        Quotient::Central | Quotient::Extrapolated => "f(v\u{a0}−\u{a0}h)",
    };
    let places = setting.places();
    let difference = found.values[0] - found.values[1];
    let exact = setting.function.exact();
    let plain = |value: f64| Written::plain(value, places);
    let (cancelled, left_over) = ("--fig-muted", found.colour());
    let rows = [
        (
            "f(v\u{a0}+\u{a0}h)",
            found.written(0).marked(cancelled, left_over),
        ),
        (other, found.written(1).marked(cancelled, left_over)),
        (
            "their difference",
            plain(difference).marked(cancelled, left_over),
        ),
        (
            "the quotient",
            found.answer().marked("--fig-ink", "--fig-wrong"),
        ),
        (
            "the derivative",
            plain(exact).marked("--fig-ink", "--fig-ink"),
        ),
    ];
    let mut y = top;
    for (at, (name, marked)) in rows.iter().enumerate() {
        if at == 3 {
            y += 12.0;
        }
        let narrow = left < 100.0;
        sheet.text((left, y), INK, name);
        let mono = "font-family=\"var(--mono-font)\" xml:space=\"preserve\"";
        if narrow {
            let end = format!("{mono} text-anchor=\"end\"");
            sheet.marked((left + 334.0, y), &end, marked);
            y += 27.0;
        } else {
            sheet.marked((left, y + 20.0), mono, marked);
            y += 50.0;
        }
    }
}

fn show(values: &Values) -> Shown {
    let found = Found::new(values);
    Shown::new(values, |form| draw(&found, form), found.text()).say("h", scientific(found.h, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(h: f64, quotient: usize, single: bool, f: usize) -> Found {
        let values = [h, quotient as f64, f64::from(u8::from(single)), f as f64];
        Found::new(&FIGURE.values(&values.map(|value| value.to_string())))
    }

    /// The least error on the curve, and its step.
    fn best(quotient: usize, single: bool) -> (f64, f64) {
        let errors = (-160..=-5).map(|tenth| {
            let found = at(f64::from(tenth) / 10.0, quotient, single, 0);
            (found.power, found.error)
        });
        // Near a lucky crossing of the truth the error is small for one step alone.
        let errors: Vec<(f64, f64)> = errors.collect();
        let smooth = errors.windows(5).map(|near| {
            let largest = near.iter().map(|(_, error)| *error).fold(0.0, f64::max);
            (near[2].0, largest)
        });
        smooth
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .expect("there are steps")
    }

    #[test]
    fn every_curve_has_its_lowest_place_where_the_text_says() {
        let [forward, central, extrapolated] = [0, 1, 2].map(|quotient| best(quotient, false));
        assert!((-9.0..=-7.0).contains(&forward.0), "{forward:?}");
        assert!((-6.0..=-4.5).contains(&central.0), "{central:?}");
        assert!((-3.6..=-2.0).contains(&extrapolated.0), "{extrapolated:?}");
        assert!(forward.1 > 10.0 * central.1 && central.1 > 10.0 * extrapolated.1);
        let single = best(1, true);
        assert!((-3.0..=-1.5).contains(&single.0), "{single:?}");
    }

    #[test]
    fn digits_cancel_until_none_are_left() {
        let digits = |h| at(h, 1, false, 0).written(0).digits();
        assert!(digits(-1.0) <= 1 && digits(-5.0) >= 4 && digits(-10.0) >= 8);
        for (h, single) in [(-16.0, false), (-8.0, true)] {
            let found = at(h, 1, single, 0);
            assert_eq!(found.slope, 0.0);
            assert!(
                found.text().contains("are the same number"),
                "{}",
                found.text()
            );
        }
        let text = at(-5.0, 1, false, 0).text();
        assert!(
            text.starts_with(
                "The central difference in f64 with h = 1.0\u{a0}×\u{a0}10⁻⁵: the first 4 digits"
            ),
            "{text}"
        );
    }

    /// The third derivative of a cube is the last: the extrapolation leaves no error but rounding.
    #[test]
    fn a_cube_is_extrapolated_without_truncation() {
        assert!(at(-0.5, 2, false, 1).error < 1e-14);
        assert!(at(-0.5, 1, false, 1).error > 1e-3);
    }

    #[test]
    fn far_from_the_origin_the_step_is_rounded_too() {
        let [near, far] = [0, 2].map(|f| at(-5.0, 1, false, f).error);
        assert!(far > 30.0 * near, "{near} {far}");
    }
}
