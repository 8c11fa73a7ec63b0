//! Medians and spreads over seeds.

use serde::{Deserialize, Deserializer, Serialize};

/// The median of some runs, and their spread: the first and third quartile.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Spread {
    /// The first quartile.
    #[serde(deserialize_with = "or_never")]
    pub low: f64,
    /// The median.
    #[serde(deserialize_with = "or_never")]
    pub median: f64,
    /// The third quartile.
    #[serde(deserialize_with = "or_never")]
    pub high: f64,
}

/// What is infinite, something that never happened, is `null` in JSON.
fn or_never<'de, D: Deserializer<'de>>(number: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(number)?.unwrap_or(f64::INFINITY))
}

impl Spread {
    /// Of one value that was not measured again and again.
    pub fn exactly(value: f64) -> Self {
        Spread {
            low: value,
            median: value,
            high: value,
        }
    }

    /// Of one number of each run.
    ///
    /// # Panics
    /// If there is no run.
    #[track_caller]
    pub fn over<R>(runs: &[R], of: impl Fn(&R) -> f64) -> Self {
        let all: Vec<f64> = runs.iter().map(of).collect();
        Spread::of(&all).expect("there is no run to take a median over: give at least one seed")
    }

    /// In other units.
    pub fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Spread {
            low: f(self.low),
            median: f(self.median),
            high: f(self.high),
        }
    }

    /// If it is a spread of numbers, and not of what never happened.
    pub fn finite(self) -> Option<Self> {
        self.high.is_finite().then_some(self)
    }

    /// Of the given values; `None` if there is none. Quartiles between two values are
    /// interpolated (type 7 of Hyndman and Fan, 1996, as NumPy does).
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let at = |share: f64| {
            let place = share * last as f64;
            let below = place.floor() as usize;
            let (share, low) = (place - below as f64, sorted[below]);
            let high = sorted[(below + 1).min(last)];
            // A value may be infinite: something that never happened.
            if share == 0.0 || low == high || low.is_infinite() {
                low
            } else {
                low + share * (high - low)
            }
        };
        Some(Spread {
            low: at(0.25),
            median: at(0.5),
            high: at(0.75),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_those_of_numpy() {
        assert_eq!(Spread::of(&[]), None);
        let one = Spread::of(&[3.0]).expect("there is a value");
        assert_eq!((one.low, one.median, one.high), (3.0, 3.0, 3.0));
        let five = Spread::of(&[5.0, 1.0, 4.0, 2.0, 3.0]).expect("there are values");
        assert_eq!((five.low, five.median, five.high), (2.0, 3.0, 4.0));
        let four = Spread::of(&[1.0, 2.0, 3.0, 10.0]).expect("there are values");
        assert_eq!((four.low, four.median, four.high), (1.75, 2.5, 4.75));
    }

    #[test]
    fn what_never_happens_is_read_as_it_is_written() {
        let spread = Spread::of(&[f64::INFINITY, 2.0, 1.0]).expect("there are values");
        let text = serde_json::to_string(&spread).expect("JSON");
        assert_eq!(text, r#"{"low":1.5,"median":2.0,"high":null}"#);
        let again: Spread = serde_json::from_str(&text).expect("a spread");
        assert_eq!((again, again.finite()), (spread, None));
        assert_eq!(
            Spread::exactly(2.0).map(|x| 3.0 * x),
            Spread::over(&[3.0], |x| 2.0 * x)
        );
    }

    #[test]
    fn what_never_happens_counts_as_later_than_everything() {
        let never = f64::INFINITY;
        let three = Spread::of(&[never, 2.0, 1.0]).expect("there are values");
        assert_eq!((three.low, three.median, three.high), (1.5, 2.0, never));
        let none = Spread::of(&[never; 3]).expect("there are values");
        assert_eq!((none.low, none.median, none.high), (never, never, never));
    }
}
