//! Axes: where a value stands, and which values are marked.

/// The most values at which an axis is marked because they were measured: more are a curve.
const FEW: usize = 12;

/// An axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What is measured, and in which unit.
    pub caption: String,
    /// Whether equal distances are equal ratios.
    pub log: bool,
    /// The values at its two ends, the left or the lower one first.
    pub range: (f64, f64),
    /// What stands at 0, 1, 2, …, where these are not numbers but things.
    pub names: Vec<String>,
}

/// A marked value: its share of the way along the axis, and its text.
pub(crate) type Tick = (f64, String);

impl Axis {
    /// An axis of equal steps.
    pub fn linear(caption: impl Into<String>, low: f64, high: f64) -> Self {
        Self {
            caption: caption.into(),
            log: false,
            range: (low, high),
            names: Vec::new(),
        }
    }

    /// An axis of things, from the top down; the first stands at 0.
    pub fn rows(caption: impl Into<String>, names: Vec<String>) -> Self {
        let range = (names.len() as f64 - 0.5, -0.5);
        Self {
            range,
            names,
            ..Self::linear(caption, 0.0, 0.0)
        }
    }

    /// An axis of equal ratios.
    pub fn log(caption: impl Into<String>, low: f64, high: f64) -> Self {
        let log = true;
        Self {
            log,
            ..Self::linear(caption, low, high)
        }
    }

    /// Whether a value is between the ends.
    pub(crate) fn sees(&self, value: f64) -> bool {
        let (low, high) = self.range;
        (low.min(high)..=low.max(high)).contains(&value)
    }

    /// Where a value stands, from 0 at the low end to 1 at the high end; beyond an end: there.
    pub(crate) fn share(&self, value: f64) -> f64 {
        // That of `libm`, for charts are the same on every machine.
        let place = |value| if self.log { libm::log10(value) } else { value };
        let (low, high) = (place(self.range.0), place(self.range.1));
        ((place(value) - low) / (high - low)).clamp(0.0, 1.0)
    }

    /// The marks, as many as there is room for: at the values that were measured where they
    /// are few, at round numbers otherwise.
    pub(crate) fn ticks(&self, measured: &[f64], fit: impl Fn(&[Tick]) -> bool) -> Vec<Tick> {
        if !self.names.is_empty() {
            let names = self.names.iter().enumerate();
            return names
                .map(|(row, name)| (self.share(row as f64), name.clone()))
                .collect();
        }
        let strides = (1..=4).filter(|_| (2..=FEW).contains(&measured.len()));
        let at_data = strides.map(|stride| measured.iter().copied().step_by(stride).collect());
        let marks = |values: Vec<f64>| -> Vec<Tick> {
            let (low, high) = self.range;
            let slack = if self.log { low.abs() } else { high - low } * 1e-6;
            let seen = values
                .into_iter()
                .filter(|v| (low - slack..=high * (1.0 + 1e-6) + slack).contains(v));
            let seen: Vec<f64> = seen.collect();
            // Long numbers are written as powers of ten where all of them are that: 0.0003 beside
            // 10⁻³ would be two ways of writing on one axis.
            let long = self.log && seen.iter().any(|&v| !(1e-3..1e5).contains(&v));
            let powers: Option<Vec<String>> = seen.iter().map(|&v| power(v)).collect();
            let texts = powers.filter(|_| long);
            let texts = texts.unwrap_or_else(|| seen.iter().map(|&v| text(v)).collect());
            seen.iter().map(|&v| self.share(v)).zip(texts).collect()
        };
        let sets = at_data.chain(self.round()).map(marks);
        let mut sets: Vec<Vec<Tick>> = sets.filter(|set| set.len() > 1).collect();
        let fitting = sets.iter().position(|set| fit(set));
        // The last has the fewest.
        let chosen = fitting.or_else(|| sets.len().checked_sub(1));
        chosen.map_or_else(Vec::new, |chosen| sets.swap_remove(chosen))
    }

    /// Sets of round numbers, each with fewer than the one before.
    fn round(&self) -> Vec<Vec<f64>> {
        let (low, high) = self.range;
        if self.log {
            let (first, last) = (
                libm::floor(libm::log10(low)) as i32,
                libm::ceil(libm::log10(high)) as i32,
            );
            let decades = |digits: &'static [f64], step| -> Vec<f64> {
                (first..=last)
                    .step_by(step)
                    .flat_map(|k| {
                        digits
                            .iter()
                            .map(move |digit| digit * libm::exp10(k.into()))
                    })
                    .collect()
            };
            // Digits between the decades are for axes that have few.
            let between: &[&[f64]] = match last - first {
                ..=2 => &[&[1.0, 2.0, 5.0], &[1.0, 3.0]],
                3 => &[&[1.0, 3.0]],
                _ => &[],
            };
            let between = between.iter().map(|digits| decades(digits, 1));
            let whole = (1..=6).map(|step| decades(&[1.0], step));
            return between.chain(whole).collect();
        }
        // Steps of 1, 2 or 5 times a power of ten, ten of them at most.
        let least = libm::floor(libm::log10((high - low) / 10.0)) as i32;
        let steps = (least..least + 3)
            .flat_map(|k| [1.0, 2.0, 5.0].map(|digit| digit * libm::exp10(k.into())));
        let steps = steps.filter(|step| (high - low) / step <= 10.0 + 1e-9);
        steps
            .map(|step| {
                let first = (low / step - 1e-9).ceil() as i64;
                let last = (high / step + 1e-9).floor() as i64;
                (first..=last).map(|i| i as f64 * step).collect()
            })
            .collect()
    }
}

/// A number as a reader writes it, to four digits or a whole number: no trailing zeros, no
/// rounding noise.
fn text(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-5 {
        return format!("{value:e}");
    }
    let before = libm::floor(libm::log10(value.abs())).max(-5.0) as i32;
    let rounded = format!("{value:.*}", (3 - before).clamp(1, 8) as usize);
    match rounded.trim_end_matches('0').trim_end_matches('.') {
        "-0" => "0".to_owned(),
        short if value >= 1e4 && !short.contains('.') => grouped(short),
        short => short.replace('-', "−"),
    }
}

/// Digits in groups of three.
fn grouped(digits: &str) -> String {
    match digits.len().checked_sub(3) {
        Some(0) | None => digits.to_owned(),
        Some(at) => format!("{}\u{202f}{}", grouped(&digits[..at]), &digits[at..]),
    }
}

/// `10ᵏ` with raised digits, and 1 as it is, if the value is a power of ten.
fn power(value: f64) -> Option<String> {
    let exponent = libm::round(libm::log10(value));
    if (value / libm::exp10(exponent) - 1.0).abs() > 1e-6 {
        return None;
    }
    if exponent == 0.0 {
        return Some(text(value));
    }
    let raised = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32(digit as u32 - '0' as u32 + '⁰' as u32).unwrap_or(digit),
    };
    let digits: String = exponent.to_string().chars().map(raised).collect();
    Some(format!("10{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::SQRT_2;

    /// The texts of the marks, of which so many may stand.
    fn marks(axis: &Axis, measured: &[f64], most: usize) -> Vec<String> {
        let ticks = axis.ticks(measured, |ticks| ticks.len() <= most);
        ticks.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn marks_are_round_numbers() {
        let unit = Axis::linear("", 0.0, 1.0);
        assert_eq!(marks(&unit, &[], 6), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(marks(&unit, &[], 3), ["0", "0.5", "1"]);
        assert_eq!(marks(&Axis::linear("", 0.9, 1.0), &[], 6).len(), 6);
        let epochs = Axis::linear("", 1.0, 30.0);
        assert_eq!(marks(&epochs, &[], 9), ["5", "10", "15", "20", "25", "30"]);
        assert_eq!(marks(&Axis::linear("", -0.2, 0.0), &[], 3)[0], "−0.2");
        let rates = Axis::log("", 0.003, 1.0);
        assert_eq!(
            marks(&rates, &[], 9),
            ["0.003", "0.01", "0.03", "0.1", "0.3", "1"]
        );
        assert_eq!(marks(&rates, &[], 4), ["0.01", "0.1", "1"]);
    }

    #[test]
    fn few_measured_values_are_marked_and_thinned_where_room_is_short() {
        let batches = Axis::log("", 1.0, 64.0);
        let measured = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
        assert_eq!(
            marks(&batches, &measured, 7),
            ["1", "2", "4", "8", "16", "32", "64"]
        );
        assert_eq!(marks(&batches, &measured, 4), ["1", "4", "16", "64"]);
        let many: Vec<f64> = (1..=64).map(f64::from).collect();
        assert_eq!(marks(&batches, &many, 4), ["1", "3", "10", "30"]);
    }

    #[test]
    fn long_numbers_are_powers_of_ten() {
        let errors = Axis::log("", 1e-15, 1e4);
        assert_eq!(
            marks(&errors, &[], 5),
            ["10⁻¹⁵", "10⁻¹¹", "10⁻⁷", "10⁻³", "10¹"]
        );
        let counts = Axis::log("", 1.0, 1e7);
        assert_eq!(marks(&counts, &[1.0, 1e7], 2), ["1", "10⁷"]);
        // Or all are written out, if one is no power of ten.
        let rates = Axis::log("", 3e-4, 3e-2);
        let measured = [3e-4, 1e-3, 3e-3, 1e-2, 3e-2];
        assert_eq!(
            marks(&rates, &measured, 5),
            ["0.0003", "0.001", "0.003", "0.01", "0.03"]
        );
        let written = [SQRT_2, 9999.0, 65_536.0, 1_048_576.0, 0.25, 0.0].map(text);
        assert_eq!(
            written,
            [
                "1.414",
                "9999",
                "65\u{202f}536",
                "1\u{202f}048\u{202f}576",
                "0.25",
                "0"
            ]
        );
    }

    #[test]
    fn things_stand_in_rows_from_the_top_down() {
        let axis = Axis::rows("", ["a", "b"].map(String::from).into());
        assert_eq!(marks(&axis, &[], 0), ["a", "b"]);
        assert_eq!([0.0, 1.0].map(|row| axis.share(row)), [0.75, 0.25]);
        assert_eq!(
            [0.0, 1.0, 2.0].map(|row| axis.sees(row)),
            [true, true, false]
        );
    }

    #[test]
    fn what_lies_beyond_an_end_is_drawn_there() {
        let axis = Axis::log("", 0.01, 1.0);
        assert_eq!(
            [0.0, 0.01, 0.1, 1.0, 9.0].map(|v| axis.share(v)),
            [0.0, 0.0, 0.5, 1.0, 1.0]
        );
    }
}
