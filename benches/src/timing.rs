//! One way to time a closure, the same on every side.

use std::time::{Duration, Instant};

/// The time of one call, over many.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Median nanoseconds of one call.
    pub median_ns: f64,
    /// The fastest.
    pub min_ns: f64,
    /// How many samples.
    pub samples: usize,
}

/// Samples are at least this long, so that reading the clock costs nothing.
const SAMPLE: Duration = Duration::from_micros(500);
/// Fewest samples, whatever the budget.
const FEWEST: usize = 3;

/// Warms `f` up for a third of `budget`, then times it for `budget`.
pub fn measure(budget: Duration, mut f: impl FnMut()) -> Timing {
    let start = Instant::now();
    let mut calls = 0;
    while calls == 0 || start.elapsed() < budget / 3 {
        f();
        calls += 1;
    }
    let estimate = start.elapsed() / calls;
    let inner = (SAMPLE.as_nanos() / estimate.as_nanos().max(1)).max(1) as usize;
    let mut samples = Vec::new();
    let start = Instant::now();
    while samples.len() < FEWEST || start.elapsed() < budget {
        let sample = Instant::now();
        for _ in 0..inner {
            f();
        }
        samples.push(sample.elapsed().as_nanos() as f64 / inner as f64);
    }
    let median_ns = median(&mut samples);
    Timing {
        median_ns,
        min_ns: samples[0],
        samples: samples.len(),
    }
}

/// The median; sorts `values`.
///
/// # Panics
/// If there are none.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let (n, half) = (values.len(), values.len() / 2);
    if n % 2 == 1 {
        values[half]
    } else {
        (values[half - 1] + values[half]) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_value_or_the_mean_of_the_two() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn work_longer_than_the_budget_is_still_sampled() {
        let mut calls = 0;
        let timing = measure(Duration::ZERO, || calls += 1);
        assert_eq!(timing.samples, FEWEST);
        assert!(calls > FEWEST, "it was not warmed up");
        assert!(timing.min_ns <= timing.median_ns);
    }
}
