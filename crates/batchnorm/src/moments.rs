//! Mean and variance of every channel of a batch.

use tape::Real;

use crate::Layout;

/// What Batch Norm knows of each channel, `[C]` each.
///
/// Held in `f64` for a batch of `f32` as well ([`Real::Wide`]). There are only C of them, and
/// the mean of `f32` values near 10⁶ needs more digits than `f32` has: rounded to `f32`, it
/// may be off by 0.03.
// ANCHOR: statistics
#[derive(Clone, PartialEq, Debug)]
pub struct Moments<W = f64> {
    /// `μ`, the average of the channel's M values.
    pub mean: Vec<W>,
    /// `σ²`, the average squared distance from the mean: biased, with 1/M and not
    /// 1/(M − 1).
    pub var: Vec<W>,
    /// `1/√(σ² + eps)`.
    pub rstd: Vec<W>,
}

impl<W: Real> Moments<W> {
    /// From the mean and the variance of each channel.
    ///
    /// # Panics
    /// If there are more of one than of the other.
    #[track_caller]
    pub fn new(mean: Vec<W>, var: Vec<W>, eps: f64) -> Self {
        assert_eq!(
            mean.len(),
            var.len(),
            "batch norm: {} means, but {} variances; pass one of each per channel",
            mean.len(),
            var.len()
        );
        let rstd = var.iter().map(|&var| rstd(var, eps)).collect();
        Moments { mean, var, rstd }
    }

    /// Panics unless there is one mean and one variance per channel.
    #[track_caller]
    pub(crate) fn check(&self, layout: &Layout) {
        layout.check_channels("mean", self.mean.len());
    }
}

/// `1/√(σ² + eps)`.
pub(crate) fn rstd<W: Real>(var: W, eps: f64) -> W {
    W::ONE / (var + W::from_f64(eps)).sqrt()
}
// ANCHOR_END: statistics

/// What is known of a channel after some of its blocks.
// ANCHOR: merge
#[derive(Clone, Copy, Default)]
pub(crate) struct Seen<W> {
    pub(crate) mean: W,
    /// `Σ (x − mean)²`.
    pub(crate) squares: W,
}

impl<W: Real> Seen<W> {
    /// What to subtract from the values of the next block before they are squared.
    #[inline(always)]
    pub(crate) fn shift<T: Real<Wide = W>>(&self) -> T {
        T::narrow(self.mean)
    }

    /// Adds a block, given `Σ (x − shift)` and `Σ (x − shift)²` over it (Chan, Golub &
    /// LeVeque, 1983).
    ///
    /// The block's own `Σ (x − its mean)²` is a difference, and cancels badly when
    /// `shift` is far from all its values. As `shift` is the mean of the values before,
    /// this harms nothing: the distance between the two means counts for the total as
    /// well, so what cancels is at most twice the total, and the error no more than two
    /// roundings of it. Only for the first block must `mean` be set beforehand, to the
    /// block's own mean.
    #[inline(always)]
    pub(crate) fn add<T: Real<Wide = W>>(&mut self, weights: Weights<W>, sum: W, squares: W) {
        let off = sum / weights.block;
        // Rounding must not make a constant channel's variance negative; and this `max`
        // keeps a NaN.
        let within = Real::max(squares - sum * off, W::ZERO);
        let delta = (self.shift::<T>().widen() - self.mean) + off;
        self.squares += within + delta * delta * weights.between;
        self.mean += delta * weights.share;
    }
}

/// How much a block of `block` values counts after `seen` others.
#[derive(Clone, Copy)]
pub(crate) struct Weights<W> {
    block: W,
    share: W,
    between: W,
}

impl<W: Real> Weights<W> {
    pub(crate) fn new(seen: usize, block: usize) -> Self {
        let (seen, block) = (W::from_usize(seen), W::from_usize(block));
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

    /// Adds up blocks of the given sizes the way the kernels do.
    fn add_up<T: Real<Wide = f64>>(values: &[T], cuts: &[usize]) -> Seen<f64> {
        let (mut seen, mut before) = (Seen::default(), 0);
        for cut in cuts {
            let block = &values[before..before + cut];
            if before == 0 {
                let sum: f64 = block.iter().map(|x| x.to_f64()).sum();
                seen.mean = sum / *cut as f64;
            }
            let shift: T = seen.shift();
            let sum: T = block.iter().map(|&x| x - shift).sum();
            let squares: T = block.iter().map(|&x| (x - shift) * (x - shift)).sum();
            seen.add::<T>(Weights::new(before, *cut), sum.to_f64(), squares.to_f64());
            before += cut;
        }
        seen
    }

    fn exactly<T: Real>(values: &[T]) -> Seen<f64> {
        let values = values.iter().map(|x| x.to_f64());
        let mean = values.clone().sum::<f64>() / values.len() as f64;
        let squares = values.map(|x| (x - mean) * (x - mean)).sum();
        Seen { mean, squares }
    }

    #[test]
    fn blocks_add_up_to_the_whole() {
        let values = [1.0, 2.0, 5.0, 6.0, 12.5, 5.5];
        let exact = exactly(&values);
        let cuts: [&[usize]; 4] = [&[6], &[1, 5], &[2, 2, 2], &[3, 1, 1, 1]];
        for cuts in cuts {
            let seen = add_up(&values, cuts);
            assert!((seen.mean - exact.mean).abs() < 1e-14, "{cuts:?}");
            assert!((seen.squares - exact.squares).abs() < 1e-13, "{cuts:?}");
        }
    }

    /// Batches whose blocks lie far apart, so that `shift` is far from what it is
    /// subtracted from.
    #[test]
    fn a_mean_that_jumps_costs_no_digits() {
        let wave = |i: usize| (i as f32 * 0.7).sin();
        let batches: [fn(usize) -> f32; 4] = [
            |i| if i < 32 { 0.0 } else { 1e6 },
            |i| if i < 32 { 1e6 } else { (i as f32 * 0.7).sin() },
            |i| if i == 0 { 1e6 } else { 0.5 },
            |i| (i / 32) as f32 * 1e5,
        ];
        for (k, batch) in batches.iter().enumerate() {
            let values: Vec<f32> = (0..320).map(|i| batch(i) + wave(i)).collect();
            let (seen, exact) = (add_up(&values, &[32; 10]), exactly(&values));
            let off = (seen.squares / exact.squares - 1.0).abs();
            assert!(off < 1e-6, "batch {k}: squares are {off:e} off");
            let off = (seen.mean - exact.mean).abs() / (exact.squares / 320.0).sqrt();
            assert!(off < 1e-6, "batch {k}: the mean is {off:e} deviations off");
        }
    }

    #[test]
    fn rounding_makes_no_variance_negative() {
        let mut seen = Seen {
            mean: 7.0,
            squares: 0.0,
        };
        // Three values 0.1 above the shift, whose squares were rounded down.
        seen.add::<f64>(Weights::new(0, 3), 0.3, 0.03 - 1e-9);
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
