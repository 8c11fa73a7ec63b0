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
    /// for `momentum` is the cumulative average.
    pub fn update(&mut self, batch: &Moments, values: usize, momentum: Option<f64>) {
        self.num_batches_tracked += 1;
        let momentum = momentum.unwrap_or(1.0 / self.num_batches_tracked as f64);
        let unbiased = values as f64 / (values as f64 - 1.0);
        for (running, &mean) in self.mean.data_mut().iter_mut().zip(&batch.mean) {
            *running = average(*running, mean, momentum);
        }
        for (running, &var) in self.var.data_mut().iter_mut().zip(&batch.var) {
            *running = average(*running, var * unbiased, momentum);
        }
    }

    /// The averages as statistics to normalize by.
    pub fn moments(&self, eps: f64) -> Moments {
        let wide = |tensor: &Tensor<T>| tensor.data().iter().map(|x| x.to_f64()).collect();
        Moments::new(wide(&self.mean), wide(&self.var), eps)
    }
}

fn average<T: Real>(running: T, batch: f64, momentum: f64) -> T {
    T::from_f64((1.0 - momentum) * running.to_f64() + momentum * batch)
}
// ANCHOR_END: running
