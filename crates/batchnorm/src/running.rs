//! Running statistics: what evaluation normalizes by, gathered during training.

use tape::{Real, Tensor};

use crate::Moments;

/// Averages of the statistics of the batches seen in training.
///
/// After each batch, with its mean `μ` and its **unbiased** variance
/// `s² = σ² · M / (M − 1)`:
///
/// ```text
/// running_mean ← (1 − momentum) · running_mean + momentum · μ
/// running_var  ← (1 − momentum) · running_var  + momentum · s²
/// ```
///
/// This is PyTorch's convention: `momentum` is the weight of the new batch. Without a
/// momentum all batches weigh the same, which is `momentum = 1/t` at batch number `t`.
/// The batch itself is normalized with the biased `σ²`, the running variance averages
/// the unbiased `s²`: the one describes this batch, the other estimates the population
/// it came from (Ioffe & Szegedy 2015, algorithm 2; book, section 7.6).
///
/// They stay finite. Once infinite or NaN, an average would stay so for ever, and nothing
/// would tell: training does not read it. So a batch that is not finite itself is left
/// out; its `y` is NaN, which shows. And a variance that `T` cannot hold is refused.
// ANCHOR: running
#[derive(Clone, PartialEq, Debug)]
pub struct RunningStats<T: Real> {
    /// `[C]`, zeros at first.
    pub mean: Tensor<T>,
    /// `[C]`, ones at first.
    pub var: Tensor<T>,
    /// How many batches have been averaged.
    pub num_batches_tracked: u64,
}

impl<T: Real> RunningStats<T> {
    /// Mean 0, variance 1, no batch seen.
    pub fn new(channels: usize) -> Self {
        RunningStats {
            mean: Tensor::zeros([channels]),
            var: Tensor::ones([channels]),
            num_batches_tracked: 0,
        }
    }

    /// Takes in the statistics of one batch with `values` values per channel; `None`
    /// for `momentum` is the cumulative average. A batch with a statistic that is NaN has
    /// an infinity or NaN among its values, and is not taken in.
    ///
    /// # Panics
    /// If the batch has another number of channels, or one value per channel, if `momentum` is
    /// not between 0 and 1, or if the new mean or variance of a channel is too large for `T`, as
    /// the variance of `f32` values beyond 10¹⁹ is.
    #[track_caller]
    pub fn update(&mut self, batch: &Moments<T::Wide>, values: usize, momentum: Option<f64>) {
        for (name, running) in [("mean", &self.mean), ("var", &self.var)] {
            assert_eq!(
                batch.mean.len(),
                running.len(),
                "batch norm: running statistics with a {name} of shape {} cannot take in those \
                 of {} channels; update them from batches with as many channels",
                running.shape(),
                batch.mean.len()
            );
        }
        assert!(
            values > 1,
            "batch norm: the variance of {values} value per channel has no unbiased \
             estimate; update running statistics from batches of 2 values or more"
        );
        check_momentum(momentum);
        if (batch.mean.iter().chain(&batch.var)).any(|statistic| statistic.is_nan()) {
            return;
        }
        let batches = self.num_batches_tracked.saturating_add(1);
        let momentum = momentum.unwrap_or(1.0 / batches as f64);
        let unbiased = values as f64 / (values as f64 - 1.0);
        // Both before either is written: a batch that is refused leaves no trace.
        let var = averages("variance", &self.var, &batch.var, unbiased, momentum);
        let mean = averages("mean", &self.mean, &batch.mean, 1.0, momentum);
        self.mean.data_mut().copy_from_slice(&mean);
        self.var.data_mut().copy_from_slice(&var);
        self.num_batches_tracked = batches;
    }

    /// The averages as statistics to normalize by.
    pub fn moments(&self, eps: f64) -> Moments<T::Wide> {
        let wide = |tensor: &Tensor<T>| tensor.data().iter().map(|x| x.widen()).collect();
        Moments::new(wide(&self.mean), wide(&self.var), eps)
    }
}

/// Panics unless `momentum` can be the weight of a new batch.
#[track_caller]
pub(crate) fn check_momentum(momentum: Option<f64>) {
    assert!(
        momentum.is_none_or(|momentum| (0.0..=1.0).contains(&momentum)),
        "batch norm: momentum is the weight of the new batch and lies between 0 and 1, \
         but it is {momentum:?}; PyTorch's default is 0.1, Keras calls the same thing 0.9"
    );
}

/// The running statistic of each channel after a batch whose own is multiplied by `factor`.
///
/// # Panics
/// If one of them is more than `T` holds.
#[track_caller]
fn averages<T: Real>(
    what: &str,
    running: &Tensor<T>,
    batch: &[T::Wide],
    factor: f64,
    momentum: f64,
) -> Vec<T> {
    let [old, new, factor] = [1.0 - momentum, momentum, factor].map(T::Wide::from_f64);
    let mut averages = Vec::with_capacity(batch.len());
    for (c, (running, &found)) in running.data().iter().zip(batch).enumerate() {
        let average = old * running.widen() + new * (found * factor);
        let average = T::narrow(average);
        assert!(
            average.is_finite(),
            "batch norm: channel {c} of the batch has {what} {found:.1e}, with which its \
             running {what} is more than {} holds; its values are far too large, so look at \
             what they come from, or scale them down",
            T::NAME
        );
        averages.push(average);
    }
    averages
}
// ANCHOR_END: running

#[cfg(test)]
mod tests {
    use super::*;

    /// Batches with mean 3 and variance 2, and with mean 5 and variance 6.
    fn batches() -> [Moments; 2] {
        [(3.0, 2.0), (5.0, 6.0)].map(|(mean, var)| Moments::new(vec![mean], vec![var], 1e-5))
    }

    fn after_both(momentum: Option<f64>) -> RunningStats<f64> {
        let mut running = RunningStats::new(1);
        let [first, second] = batches();
        running.update(&first, 3, momentum);
        running.update(&second, 4, momentum);
        running
    }

    #[test]
    #[should_panic(expected = "channel 0 of the batch has mean 1.0e300, with which its")]
    fn a_mean_that_is_too_large_is_refused() {
        let batch = Moments::new(vec![1e300], vec![1.0], 1e-5);
        RunningStats::<f32>::new(1).update(&batch, 4, Some(0.1));
    }

    #[test]
    #[should_panic(expected = "lies between 0 and 1, but it is Some(NaN)")]
    fn a_momentum_that_is_no_weight_is_refused() {
        RunningStats::<f32>::new(1).update(&batches()[0], 4, Some(f64::NAN));
    }

    #[test]
    fn starts_as_the_standard_normal() {
        let running = RunningStats::<f32>::new(2);
        assert_eq!(running.mean.data(), [0.0, 0.0]);
        assert_eq!(running.var.data(), [1.0, 1.0]);
        assert_eq!(running.num_batches_tracked, 0);
    }

    #[test]
    fn momentum_is_the_weight_of_the_new_batch() {
        // Unbiased variances: 2 · 3/2 = 3 and 6 · 4/3 = 8.
        let running = after_both(Some(0.25));
        assert_eq!(
            running.mean.data(),
            [0.75 * (0.75 * 0.0 + 0.25 * 3.0) + 0.25 * 5.0]
        );
        assert_eq!(
            running.var.data(),
            [0.75 * (0.75 * 1.0 + 0.25 * 3.0) + 0.25 * 8.0]
        );
        assert_eq!(running.num_batches_tracked, 2);
    }

    #[test]
    fn without_momentum_every_batch_weighs_the_same() {
        let running = after_both(None);
        assert_eq!(running.mean.data(), [4.0]);
        assert_eq!(running.var.data(), [5.5]);
    }

    #[test]
    fn momentum_one_keeps_the_last_batch_and_zero_the_first_guess() {
        assert_eq!(after_both(Some(1.0)).mean.data(), [5.0]);
        assert_eq!(after_both(Some(0.0)).mean.data(), [0.0]);
    }

    /// burn 0.20 averages the biased variance, which for 3 values is a third too small.
    #[test]
    fn regression_burn_running_variance_is_unbiased() {
        let mut running = RunningStats::<f64>::new(1);
        running.update(&batches()[0], 3, Some(1.0));
        assert_eq!(running.var.data(), [3.0]);
    }

    #[test]
    #[should_panic(expected = "a mean of shape [2] cannot take in those of 1 channels")]
    fn a_batch_of_other_channels_is_refused() {
        RunningStats::<f32>::new(2).update(&batches()[0], 3, None);
    }

    #[test]
    #[should_panic(expected = "the variance of 1 value per channel has no unbiased estimate")]
    fn a_batch_of_one_value_is_refused() {
        RunningStats::<f32>::new(1).update(&batches()[0], 1, None);
    }

    #[test]
    #[should_panic(
        expected = "channel 1 of the batch has variance 1.0e40, with which its running variance \
                    is more than f32 holds"
    )]
    fn a_variance_beyond_the_type_is_refused() {
        let batch = Moments::new(vec![0.0; 3], vec![1.0, 1e40, 1.0], 1e-5);
        RunningStats::<f32>::new(3).update(&batch, 4, Some(0.1));
    }

    #[test]
    fn a_refused_batch_leaves_the_averages_as_they_were() {
        let mut running = RunningStats::<f32>::new(2);
        let batch = Moments::new(vec![5.0; 2], vec![1.0, f64::INFINITY], 1e-5);
        let update = std::panic::AssertUnwindSafe(|| running.update(&batch, 4, Some(0.1)));
        assert!(std::panic::catch_unwind(update).is_err());
        assert_eq!(running, RunningStats::new(2));
    }

    #[test]
    fn a_batch_that_is_not_finite_is_left_out() {
        let mut running = RunningStats::<f32>::new(2);
        let batch = Moments::new(vec![5.0, f64::NAN], vec![1.0, f64::NAN], 1e-5);
        running.update(&batch, 4, None);
        assert_eq!(running, RunningStats::new(2));
    }

    #[test]
    fn evaluation_adds_eps_to_the_running_variance() {
        let mut running = RunningStats::<f32>::new(1);
        running.update(&batches()[0], 3, Some(1.0));
        assert_eq!(
            running.moments(1.0),
            Moments::new(vec![3.0], vec![3.0], 1.0)
        );
        assert_eq!(running.moments(1.0).rstd, [0.5]);
    }
}
