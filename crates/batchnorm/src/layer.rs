//! The layer: parameters, running statistics, and the two ways to use them.

use tape::magnitude::checked_eps;
use tape::{Param, ParamId, Real, Tensor, Var};

use crate::op::{batch_norm, frozen_batch_norm};
use crate::running::check_momentum;
use crate::{Layout, Moments, RunningStats};

/// Batch Normalization over axis 1, with learnable scale and shift (Ioffe & Szegedy,
/// 2015; book, chapter 7).
///
/// Input and output have shape `[N, C]`, `[N, C, L]`, `[N, C, H, W]` or
/// `[N, C, D, H, W]`, with C the number of channels the layer was built for.
///
/// Training needs `&mut`, for it moves the running statistics; evaluation does not.
/// Both are differentiable, so a layer can be evaluated, its statistics frozen, inside
/// a network whose other layers learn:
///
/// ```
/// use batchnorm::BatchNorm;
/// use tape::{Param, Tape, Tensor};
///
/// let mut bn = BatchNorm::<f32>::new(3);
/// let x = Param::new("x", Tensor::from_fn([4, 3], |i| (i * i) as f32));
/// Tape::new().grad(|t| bn.train(&t.param(&x)).sum_all());
/// assert_eq!(bn.running().num_batches_tracked, 1);
///
/// let (_, grads) = Tape::new().grad(|t| bn.eval(&t.param(&x)).sum_all());
/// assert!(grads.of(&x).data().iter().all(|&dx| dx > 0.0));
/// assert_eq!(bn.running().num_batches_tracked, 1);
/// ```
// ANCHOR: layer
#[derive(Debug)]
pub struct BatchNorm<T: Real> {
    /// What a network knows the layer by: the identity of its first gamma.
    id: ParamId,
    channels: usize,
    /// Scale and shift, `[C]` each; `None` when the layer has none to learn.
    affine: Option<[Param<T>; 2]>,
    running: RunningStats<T>,
    momentum: Option<f64>,
    eps: f64,
}

impl<T: Real> BatchNorm<T> {
    /// A layer for `channels` channels: gamma 1, beta 0, running mean 0, running
    /// variance 1, momentum 0.1, eps 1e-5.
    pub fn new(channels: usize) -> Self {
        let gamma = Param::new("gamma", Tensor::ones([channels]));
        let beta = Param::new("beta", Tensor::zeros([channels]));
        BatchNorm {
            id: gamma.id(),
            channels,
            affine: Some([gamma, beta]),
            running: RunningStats::new(channels),
            momentum: Some(0.1),
            eps: 1e-5,
        }
    }

    /// The layer without gamma and beta: it normalizes and learns nothing.
    pub fn without_affine(self) -> Self {
        BatchNorm {
            affine: None,
            ..self
        }
    }

    /// The layer with another weight of the new batch in the running statistics; `None`
    /// gives all batches the same weight.
    ///
    /// # Panics
    /// If the momentum is not between 0 and 1.
    #[track_caller]
    pub fn with_momentum(self, momentum: Option<f64>) -> Self {
        check_momentum(momentum);
        BatchNorm { momentum, ..self }
    }

    /// The layer with another number added to the variance.
    ///
    /// # Panics
    /// If [`checked_eps`] refuses it. PyTorch takes 0 as well, and makes NaN of a constant
    /// channel.
    #[track_caller]
    pub fn with_eps(self, eps: f64) -> Self {
        checked_eps::<T>("BatchNorm::with_eps", eps);
        BatchNorm { eps, ..self }
    }

    /// Normalizes a batch by its own statistics and takes them into the running ones. A
    /// batch that holds an infinity or NaN is not taken in.
    ///
    /// # Panics
    /// If the input has another number of channels or axes than the layer can take, a
    /// channel has fewer than two values, or its variance is more than a running variance
    /// of type `T` holds.
    #[track_caller]
    pub fn train<'t>(&mut self, x: &Var<'t, T>) -> Var<'t, T> {
        let (y, moments) = self.normalize(x);
        let values = Layout::of(x.shape()).values_per_channel();
        self.running.update(&moments, values, self.momentum);
        y
    }

    /// The first half of [`BatchNorm::train`]: normalizes a batch by its own statistics and
    /// returns them. The second half, [`RunningStats::update`], can so be done to a copy,
    /// which becomes the layer's when the whole network has been passed.
    ///
    /// # Panics
    /// If the input has another number of channels or axes than the layer can take, or a
    /// channel has fewer than two values.
    #[track_caller]
    pub fn normalize<'t>(&self, x: &Var<'t, T>) -> (Var<'t, T>, Moments<T::Wide>) {
        let [gamma, beta] = self.parameters_for(x);
        batch_norm(x, &gamma, &beta, self.eps)
    }

    /// Normalizes by the running statistics, which stay as they are.
    ///
    /// # Panics
    /// If the input has another number of channels or axes than the layer can take.
    #[track_caller]
    pub fn eval<'t>(&self, x: &Var<'t, T>) -> Var<'t, T> {
        let [gamma, beta] = self.parameters_for(x);
        frozen_batch_norm(x, &gamma, &beta, self.running.moments(self.eps))
    }

    /// Handles of gamma and beta on the tape of `x`; constant 1 and 0 without affine.
    fn parameters_for<'t>(&self, x: &Var<'t, T>) -> [Var<'t, T>; 2] {
        match &self.affine {
            Some(affine) => affine.each_ref().map(|param| x.tape().param(param)),
            None => [
                x.tape().constant(Tensor::ones([self.channels])),
                x.tape().constant(Tensor::zeros([self.channels])),
            ],
        }
    }
}
// ANCHOR_END: layer

// ANCHOR: access
impl<T: Real> BatchNorm<T> {
    /// What the layer learns: gamma and beta, or nothing.
    pub fn params(&self) -> Vec<&Param<T>> {
        self.affine.iter().flatten().collect()
    }

    /// What the layer learns, for an optimizer to change.
    pub fn params_mut(&mut self) -> Vec<&mut Param<T>> {
        self.affine.iter_mut().flatten().collect()
    }

    /// What the layer is known by: the identity of the gamma that it was made with, which
    /// stays its own [without](BatchNorm::without_affine) one.
    pub fn id(&self) -> ParamId {
        self.id
    }

    /// The scale, `[C]`.
    pub fn gamma(&self) -> Option<&Param<T>> {
        self.affine.as_ref().map(|[gamma, _]| gamma)
    }

    /// The shift, `[C]`.
    pub fn beta(&self) -> Option<&Param<T>> {
        self.affine.as_ref().map(|[_, beta]| beta)
    }

    /// The running statistics, for saving and for looking at.
    pub fn running(&self) -> &RunningStats<T> {
        &self.running
    }

    /// Puts saved running statistics back, or new ones to start afresh.
    ///
    /// # Panics
    /// If they are for another number of channels, or a variance is negative or NaN.
    #[track_caller]
    pub fn set_running(&mut self, running: RunningStats<T>) {
        for (name, tensor) in [("mean", &running.mean), ("var", &running.var)] {
            assert_eq!(
                &tensor.shape()[..],
                [self.channels],
                "batch norm: the layer has {} channels, but the running {name} has shape \
                 {}; load the statistics of a layer of the same size",
                self.channels,
                tensor.shape()
            );
        }
        let var = running.var.data();
        let is_none = |var: &T| var.is_nan() || *var < T::ZERO;
        if let Some(c) = var.iter().position(is_none) {
            panic!(
                "batch norm: the running var of channel {c} is {:?}, and a variance is at least \
                 0; look at where the statistics come from",
                var[c]
            );
        }
        self.running = running;
    }

    /// C, the length of axis 1 of every input.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The weight of a new batch in the running statistics; `None`: all weigh the same.
    pub fn momentum(&self) -> Option<f64> {
        self.momentum
    }

    /// What is added to the variance.
    pub fn eps(&self) -> f64 {
        self.eps
    }
}
// ANCHOR_END: access

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use tape::Tape;

    use super::*;
    use crate::testing::{Case, distance};

    fn batch() -> Tensor<f64> {
        // Channel 0 is 1 3 5 3, channel 1 ten times as much.
        let x = vec![1.0, 10.0, 3.0, 30.0, 5.0, 50.0, 3.0, 30.0];
        Tensor::new([4, 2], x)
    }

    fn train(bn: &mut BatchNorm<f64>, x: Tensor<f64>) -> Tensor<f64> {
        Tape::eval(|t| bn.train(&t.constant(x)).value().clone())
    }

    fn eval(bn: &BatchNorm<f64>, x: Tensor<f64>) -> Tensor<f64> {
        Tape::eval(|t| bn.eval(&t.constant(x)).value().clone())
    }

    #[test]
    fn defaults_are_pytorchs() {
        let bn = BatchNorm::<f32>::new(3);
        assert_eq!(bn.channels(), 3);
        assert_eq!(bn.momentum(), Some(0.1));
        assert_eq!(bn.eps(), 1e-5);
        assert_eq!(bn.gamma().unwrap().value().data(), [1.0; 3]);
        assert_eq!(bn.beta().unwrap().value().data(), [0.0; 3]);
        assert_eq!(bn.running(), &RunningStats::new(3));
    }

    #[test]
    fn training_moves_the_running_statistics_and_evaluation_uses_them() {
        let mut bn = BatchNorm::new(2).with_eps(2.0).with_momentum(Some(0.5));
        bn.params_mut()[0].set(Tensor::new([2], vec![10.0, 1.0]));
        bn.params_mut()[1].set(Tensor::new([2], vec![7.0, 0.0]));
        let y = train(&mut bn, batch());
        assert_eq!(y.at(&[0, 0]), -3.0);
        assert_eq!(y.at(&[2, 0]), 17.0);
        // Unbiased variance 2 · 4/3.
        assert_eq!(bn.running().mean.data(), [1.5, 15.0]);
        let expected = [
            0.5 + 0.5 * (2.0 * 4.0 / 3.0),
            0.5 + 0.5 * (200.0 * 4.0 / 3.0),
        ];
        assert!(distance(bn.running().var.data(), &expected) < 1e-15);
        assert_eq!(bn.running().num_batches_tracked, 1);

        let before = bn.running().clone();
        let y = eval(&bn, Tensor::new([1, 2], vec![1.5, 15.0]));
        assert_eq!(y.data(), [7.0, 0.0]);
        let y = eval(&bn, Tensor::new([1, 2], vec![2.5, 15.0]));
        assert!((y.data()[0] - (7.0 + 10.0 / (expected[0] + 2.0).sqrt())).abs() < 1e-14);
        assert_eq!(bn.running(), &before);
    }

    #[test]
    fn without_momentum_the_average_is_cumulative() {
        let mut bn = BatchNorm::new(2).with_momentum(None);
        train(&mut bn, batch());
        train(&mut bn, batch().map(|x| x + 3.0));
        assert_eq!(bn.running().mean.data(), [4.5, 31.5]);
        assert_eq!(bn.running().num_batches_tracked, 2);
    }

    #[test]
    fn evaluation_takes_single_examples() {
        let bn = BatchNorm::new(2);
        let y = eval(&bn, Tensor::new([1, 2], vec![3.0, -1.0]));
        assert!(distance(y.data(), &[3.0, -1.0]) < 1e-5);
    }

    #[test]
    fn evaluation_of_a_batch_is_that_of_its_examples() {
        let mut bn = BatchNorm::new(2);
        train(&mut bn, batch());
        let whole = eval(&bn, batch());
        for n in 0..4 {
            let example = Tensor::new([1, 2], batch().data()[2 * n..2 * n + 2].to_vec());
            assert_eq!(eval(&bn, example).data(), &whole.data()[2 * n..2 * n + 2]);
        }
    }

    #[test]
    fn without_affine_there_is_nothing_to_learn() {
        let mut bn = BatchNorm::new(2).without_affine();
        assert!(bn.params().is_empty() && bn.params_mut().is_empty());
        assert!(bn.gamma().is_none() && bn.beta().is_none());
        let plain = train(&mut bn, batch());
        assert_eq!(plain, train(&mut BatchNorm::new(2), batch()));
        // The gradient of x is there all the same.
        let x = Param::new("x", batch());
        let dy = Tensor::from_fn([4, 2], |i| (i * i) as f64);
        let dx = |bn: &mut BatchNorm<f64>| {
            let (_, grads) = Tape::new().vjp(&dy, |t| bn.train(&t.param(&x)));
            grads.of(&x)
        };
        assert_eq!(dx(&mut bn), dx(&mut BatchNorm::new(2)));
    }

    #[test]
    fn training_is_normalizing_and_then_an_update() {
        let (mut whole, mut halves) = (BatchNorm::new(2), BatchNorm::new(2));
        let y = train(&mut whole, batch());
        let (normalized, moments) = Tape::eval(|t| {
            let (y, moments) = halves.normalize(&t.constant(batch()));
            (y.value().clone(), moments)
        });
        assert_eq!(normalized, y);
        assert_eq!(halves.running(), &RunningStats::new(2));
        let mut running = halves.running().clone();
        running.update(&moments, 4, halves.momentum());
        halves.set_running(running);
        assert_eq!(halves.running(), whole.running());
    }

    #[test]
    fn a_layer_is_known_with_and_without_its_gamma() {
        let (bn, other) = (BatchNorm::<f32>::new(2), BatchNorm::<f32>::new(2));
        let id = bn.id();
        assert_eq!(id, bn.gamma().unwrap().id());
        assert_ne!(id, other.id());
        assert_eq!(id, bn.without_affine().id());
    }

    #[test]
    fn parameters_are_gamma_then_beta() {
        let mut bn = BatchNorm::<f32>::new(2);
        let names: Vec<String> = bn.params().iter().map(|p| p.name().to_owned()).collect();
        assert_eq!(names, ["gamma", "beta"]);
        let ids: Vec<_> = bn.params_mut().iter().map(|p| p.id()).collect();
        assert_eq!(ids, [bn.gamma().unwrap().id(), bn.beta().unwrap().id()]);
    }

    /// dfdx panics when a layer in evaluation meets a tape; burn 0.20 cannot freeze one.
    #[test]
    fn regression_dfdx_a_frozen_layer_passes_gradients_on() {
        let mut bn = BatchNorm::new(2).with_momentum(Some(1.0)).with_eps(1e-3);
        train(&mut bn, batch());
        let frozen = bn.running().clone();
        // A layer before it learns, the statistics stay.
        let w = Param::new("w", Tensor::new([2, 2], vec![0.5, -1.0, 2.0, 0.3]));
        let dy = Tensor::from_fn([4, 2], |i| (i as f64).cos());
        let (_, grads) =
            Tape::new().vjp(&dy, |t| bn.eval(&t.constant(batch()).matmul(&t.param(&w))));
        let scale = frozen
            .var
            .data()
            .iter()
            .map(|var| 1.0 / (var + 1e-3).sqrt());
        let scale: Vec<f64> = scale.collect();
        let dx = Tensor::from_fn([4, 2], |i| dy.data()[i] * scale[i % 2]);
        let expected = Tape::eval(|t| {
            let x = t.constant(batch());
            x.transpose(0, 1).matmul(&t.constant(dx)).value().clone()
        });
        assert!(distance(grads.of(&w).data(), expected.data()) < 1e-14);
        assert_eq!(bn.running(), &frozen);
        // Scale and shift of the frozen layer may still learn.
        assert!(grads.get(bn.gamma().unwrap()).is_some());
        let dbeta: Vec<f64> = (0..2)
            .map(|c| (0..4).map(|n| dy.at(&[n, c])).sum())
            .collect();
        assert!(distance(grads.of(bn.beta().unwrap()).data(), &dbeta) < 1e-14);
    }

    /// PyTorch's running variance becomes infinite, or NaN, and stays so.
    #[test]
    fn regression_pytorch_running_statistics_stay_finite() {
        let mut bn = BatchNorm::<f32>::new(2);
        let mut run = |large: f32| {
            let x = Tensor::from_fn([4, 2], |i| if i == 3 { large } else { i as f32 });
            let y = Tape::eval(|t| bn.train(&t.constant(x)).value().to_vec());
            (y, bn.running().clone())
        };
        let (_, before) = run(1.0);
        for bad in [f32::NAN, f32::INFINITY] {
            let (y, after) = run(bad);
            assert!(y[1].is_nan() && y[0].is_finite());
            assert_eq!(after, before);
        }
        let (y, after) = run(1e18);
        assert!(y[3] > 1.7 && after.var.data()[1].is_finite());
        let refused = catch_unwind(AssertUnwindSafe(|| run(3e20)));
        let message = refused.expect_err("a variance of 10^40 is more than f32 holds");
        let message = message.downcast_ref::<String>().expect("a message");
        assert!(
            message.contains("channel 1 of the batch has variance 1.7e40"),
            "{message}"
        );
        assert_eq!(bn.running(), &after);
    }

    /// candle's running variance becomes NaN with one value per channel, and stays so.
    #[test]
    fn regression_candle_one_value_per_channel_leaves_the_statistics_alone() {
        let mut bn = BatchNorm::new(2);
        train(&mut bn, batch());
        let before = bn.running().clone();
        let one = Tensor::new([1, 2], vec![1.0, 2.0]);
        assert!(catch_unwind(AssertUnwindSafe(|| train(&mut bn, one))).is_err());
        assert_eq!(bn.running(), &before);
        assert!(before.var.data().iter().all(|var| var.is_finite()));
    }

    #[test]
    fn saved_statistics_can_be_put_back() {
        let mut bn = BatchNorm::new(2);
        train(&mut bn, batch());
        let mut other = BatchNorm::new(2);
        other.set_running(bn.running().clone());
        assert_eq!(eval(&other, batch()), eval(&bn, batch()));
        assert_eq!(other.running().num_batches_tracked, 1);
    }

    #[test]
    fn trains_in_f32_as_in_f64() {
        let case = Case::<f32>::new(&[8, 3, 5], 4);
        let x = Tensor::new([8, 3, 5], case.x.clone());
        let (mut narrow, mut wide) = (BatchNorm::<f32>::new(3), BatchNorm::<f64>::new(3));
        let y = Tape::eval(|t| narrow.train(&t.constant(x.clone())).value().clone());
        assert!(distance(y.data(), train(&mut wide, x.cast()).data()) < 1e-6);
        let (narrow, wide) = (narrow.running(), wide.running());
        assert!(distance(narrow.var.data(), wide.var.data()) < 1e-6);
        assert!(distance(narrow.mean.data(), wide.mean.data()) < 1e-6);
    }

    #[test]
    #[should_panic(expected = "so axis 1 counts 3 channels, but gamma has shape [2]; build")]
    fn training_needs_the_right_number_of_channels() {
        train(&mut BatchNorm::new(2), Tensor::ones([4, 3]));
    }

    #[test]
    #[should_panic(expected = "so axis 1 counts 3 channels, but gamma has shape [2]; build")]
    fn evaluation_needs_the_right_number_of_channels() {
        eval(&BatchNorm::new(2).without_affine(), Tensor::ones([4, 3]));
    }

    #[test]
    #[should_panic(expected = "but the input has shape [6]; reshape it")]
    fn a_vector_is_no_batch() {
        eval(&BatchNorm::new(6), Tensor::ones([6]));
    }

    #[test]
    #[should_panic(expected = "BatchNorm::with_eps: eps is 0.0, but it keeps a constant")]
    fn eps_zero_is_refused() {
        let _ = BatchNorm::<f32>::new(1).with_eps(0.0);
    }

    #[test]
    #[should_panic(expected = "BatchNorm::with_eps: eps is inf")]
    fn eps_infinite_is_refused() {
        let _ = BatchNorm::<f32>::new(1).with_eps(f64::INFINITY);
    }

    #[test]
    #[should_panic(expected = "lies between 0 and 1, but it is Some(1.5)")]
    fn a_momentum_above_one_is_refused() {
        let _ = BatchNorm::<f32>::new(1).with_momentum(Some(1.5));
    }

    #[test]
    #[should_panic(expected = "the layer has 3 channels, but the running var has shape [2]")]
    fn statistics_of_another_size_are_refused() {
        let mut running = RunningStats::new(3);
        running.var = Tensor::ones([2]);
        BatchNorm::<f32>::new(3).set_running(running);
    }

    #[test]
    #[should_panic(expected = "the running var of channel 1 is -0.5, and a variance is at least 0")]
    fn a_negative_variance_is_refused() {
        let mut running = RunningStats::new(2);
        running.var.data_mut()[1] = -0.5;
        BatchNorm::<f32>::new(2).set_running(running);
    }

    #[test]
    #[should_panic(expected = "the running var of channel 0 is NaN")]
    fn a_variance_that_is_nan_is_refused() {
        let mut running = RunningStats::new(2);
        running.var.data_mut()[0] = f32::NAN;
        BatchNorm::<f32>::new(2).set_running(running);
    }
}
