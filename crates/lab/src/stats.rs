//! Medians and spreads over seeds.

use serde::{Deserialize, Serialize};

/// The median of some runs, and their spread: the first and third quartile.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Spread {
    /// The first quartile.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// The third quartile.
    pub high: f64,
}

impl Spread {
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
            if share == 0.0 || low == high {
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
    fn what_never_happens_counts_as_later_than_everything() {
        let never = f64::INFINITY;
        let three = Spread::of(&[never, 2.0, 1.0]).expect("there are values");
        assert_eq!((three.low, three.median, three.high), (1.5, 2.0, never));
        let none = Spread::of(&[never; 3]).expect("there are values");
        assert_eq!((none.low, none.median, none.high), (never, never, never));
    }
}
