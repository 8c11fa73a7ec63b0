//! The layer: parameters, running statistics, and the two ways to use them.

use tape::{Param, Real, Tensor, Var};

use crate::op::{batch_norm, frozen_batch_norm};
use crate::{Layout, RunningStats};

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
/// Tape::new().grad(|t| (bn.train(&t.param(&x)).sum_all(), ()));
/// assert_eq!(bn.running().num_batches_tracked, 1);
///
/// let (_, _, grads) = Tape::new().grad(|t| (bn.eval(&t.param(&x)).sum_all(), ()));
/// assert!(grads.of(&x).data().iter().all(|&dx| dx > 0.0));
/// assert_eq!(bn.running().num_batches_tracked, 1);
/// ```
// ANCHOR: layer
#[derive(Debug)]
pub struct BatchNorm<T: Real> {
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
        BatchNorm {
            channels,
            affine: Some([
                Param::new("gamma", Tensor::ones([channels])),
                Param::new("beta", Tensor::zeros([channels])),
            ]),
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
        assert!(
            momentum.is_none_or(|momentum| (0.0..=1.0).contains(&momentum)),
            "batch norm: momentum is the weight of the new batch and lies between 0 and 1, \
             but it is {momentum:?}; PyTorch's default is 0.1, Keras calls the same thing 0.9"
        );
        BatchNorm { momentum, ..self }
    }

    /// The layer with another number added to the variance.
    ///
    /// # Panics
    /// If `eps` is not positive and finite.
    #[track_caller]
    pub fn with_eps(self, eps: f64) -> Self {
        assert!(
            eps > 0.0 && eps.is_finite(),
            "batch norm: eps keeps a constant channel from being divided by 0 and must be \
             positive and finite, but it is {eps}; the usual value is 1e-5"
        );
        BatchNorm { eps, ..self }
    }

    // ANCHOR: train_eval
    /// Normalizes a batch by its own statistics and takes them into the running ones.
    ///
    /// # Panics
    /// If the input has another number of channels or axes than the layer can take, or a
    /// channel has fewer than two values.
    #[track_caller]
    pub fn train<'t>(&mut self, x: &Var<'t, T>) -> Var<'t, T> {
        let [gamma, beta] = self.parameters_for(x);
        let (y, moments) = batch_norm(x, &gamma, &beta, self.eps);
        let values = Layout::of(x.shape()).values_per_channel();
        self.running.update(&moments, values, self.momentum);
        y
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
    // ANCHOR_END: train_eval

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
    /// If they are for another number of channels.
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
