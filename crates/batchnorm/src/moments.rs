//! Mean and variance of every channel of a batch.

use crate::Layout;

/// What Batch Norm knows of each channel, `[C]` each.
///
/// Held in `f64` whatever the batch is made of. There are only C of them, and the mean
/// of `f32` values near 10⁶ needs more digits than `f32` has: rounded to `f32`, it may
/// be off by 0.03.
// ANCHOR: statistics
#[derive(Clone, PartialEq, Debug)]
pub struct Moments {
    /// `μ`, the average of the channel's M values.
    pub mean: Vec<f64>,
    /// `σ²`, the average squared distance from the mean: biased, with 1/M and not
    /// 1/(M − 1).
    pub var: Vec<f64>,
    /// `1/√(σ² + eps)`.
    pub rstd: Vec<f64>,
}

impl Moments {
    /// From the mean and the variance of each channel.
    ///
    /// # Panics
    /// If there are more of one than of the other.
    #[track_caller]
    pub fn new(mean: Vec<f64>, var: Vec<f64>, eps: f64) -> Self {
        assert_eq!(
            mean.len(),
            var.len(),
            "batch norm: {} means, but {} variances; pass one of each per channel",
            mean.len(),
            var.len()
        );
        let rstd = var.iter().map(|var| 1.0 / (var + eps).sqrt()).collect();
        Moments { mean, var, rstd }
    }

    /// Panics unless there is one mean and one variance per channel.
    #[track_caller]
    pub(crate) fn check(&self, layout: &Layout) {
        layout.check_channels("mean", self.mean.len());
    }
}
// ANCHOR_END: statistics

/// What is known of a channel after some of its blocks.
// ANCHOR: merge
#[derive(Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) mean: f64,
    /// `Σ (x − mean)²`.
    pub(crate) squares: f64,
}

impl Seen {
    /// Adds a block of values, of which `Σ (x − shift)` and `Σ (x − shift)²` are known
    /// for some `shift` close to its mean (Chan, Golub & LeVeque, 1983).
    ///
    /// No step subtracts large numbers that nearly cancel. The block's own sums are
    /// taken around `shift`, and two groups are joined by the distance of their means.
    #[inline(always)]
    pub(crate) fn add(&mut self, weights: Weights, shift: f64, sum: f64, squares: f64) {
        // `shift` is the block's mean up to rounding; `off` is what rounding left.
        let off = sum / weights.block;
        let delta = (shift + off) - self.mean;
        // Rounding must not make a constant channel's variance negative.
        let within = (squares - sum * off).max(0.0);
        self.squares += within + delta * delta * weights.between;
        self.mean += delta * weights.share;
    }
}

/// How much a block of `block` values counts after `seen` others.
#[derive(Clone, Copy)]
pub(crate) struct Weights {
    block: f64,
    share: f64,
    between: f64,
}

impl Weights {
    pub(crate) fn new(seen: usize, block: usize) -> Self {
        let (seen, block) = (seen as f64, block as f64);
        let share = block / (seen + block);
        Weights {
            block,
            share,
            between: seen * share,
        }
    }
}
// ANCHOR_END: merge

#[cfg(test)]
mod tests {
    use super::*;

    /// What [`Seen::add`] is told of some values.
    fn add(seen: &mut Seen, before: usize, values: &[f64], shift: f64) {
        let sum = values.iter().map(|x| x - shift).sum();
        let squares = values.iter().map(|x| (x - shift) * (x - shift)).sum();
        seen.add(Weights::new(before, values.len()), shift, sum, squares);
    }

    #[test]
    fn blocks_add_up_to_the_whole() {
        // Mean 6, squared deviations 25 + 16 + 1 + 0 + 42.25 + 0.25.
        let values = [1.0, 2.0, 5.0, 6.0, 12.5, 5.5];
        let cuts: [&[usize]; 4] = [&[6], &[1, 5], &[2, 2, 2], &[3, 1, 1, 1]];
        for cuts in cuts {
            for shift in [0.0, 5.0, -3.5] {
                let (mut seen, mut before) = (Seen::default(), 0);
                for cut in cuts {
                    add(&mut seen, before, &values[before..before + cut], shift);
                    before += cut;
                }
                let mean = 32.0 / 6.0;
                let squares: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
                assert!((seen.mean - mean).abs() < 1e-14, "{cuts:?}, {shift}");
                assert!((seen.squares - squares).abs() < 1e-12, "{cuts:?}, {shift}");
            }
        }
    }

    #[test]
    fn rounding_makes_no_variance_negative() {
        let mut seen = Seen::default();
        // Three values 0.1 above the shift, whose squares were rounded down.
        seen.add(Weights::new(0, 3), 7.0, 0.3, 0.03 - 1e-9);
        assert_eq!(seen.squares, 0.0);
        assert!((seen.mean - 7.1).abs() < 1e-15);
    }

    #[test]
    fn rstd_is_that_of_the_variance_plus_eps() {
        let moments = Moments::new(vec![1.0, 2.0], vec![3.0, 15.0], 1.0);
        assert_eq!(moments.rstd, [0.5, 0.25]);
    }

    #[test]
    #[should_panic(expected = "2 means, but 1 variances")]
    fn means_and_variances_come_in_pairs() {
        Moments::new(vec![1.0, 2.0], vec![3.0], 1.0);
    }
}
