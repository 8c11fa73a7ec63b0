//! Batch Norm as one record on the tape, defined outside the tape's own crate.
//!
//! The forward half runs at once; the backward half keeps `x`, `gamma` and the
//! statistics. `x` is not copied: the record holds another handle on its buffer. When
//! the sweep arrives, `dx` is written over `dy`.

use tape::{Backward, InputGrads, Real, Tensor, Var};

use crate::{Layout, Moments, fused};

/// Normalizes `x` by its own statistics, which are returned beside `y`; gradients flow
/// through them.
///
/// `x` has shape `[N, C]`, `[N, C, L]`, `[N, C, H, W]` or `[N, C, D, H, W]` and `y` the
/// same; `gamma` and `beta` have shape `[C]`.
///
/// # Panics
/// If the shapes do not fit, or a channel has fewer than two values.
// ANCHOR: batch_norm
#[track_caller]
pub fn batch_norm<'t, T: Real>(
    x: &Var<'t, T>,
    gamma: &Var<'t, T>,
    beta: &Var<'t, T>,
    eps: f64,
) -> (Var<'t, T>, Moments) {
    let layout = layout(x, gamma, beta);
    // ANCHOR: one_value
    assert!(
        layout.values_per_channel() > 1,
        "batch norm: in training every channel needs at least 2 values, but shape {} has \
         {} for each of {} channels, whose variance says nothing; use a larger batch, or \
         normalize by running statistics with eval",
        x.shape(),
        layout.values_per_channel(),
        layout.channels
    );
    // ANCHOR_END: one_value
    let mut y = Tensor::scratch(x.shape());
    let moments = fused::forward(
        &layout,
        x.value().data(),
        gamma.value().data(),
        beta.value().data(),
        eps,
        y.data_mut(),
    );
    let y = x.tape().record(&[x, gamma, beta], y, || BatchNorm {
        layout,
        x: x.value().clone(),
        gamma: gamma.value().clone(),
        moments: moments.clone(),
    });
    (y, moments)
}

struct BatchNorm<T: Real> {
    layout: Layout,
    x: Tensor<T>,
    gamma: Tensor<T>,
    moments: Moments,
}

impl<T: Real> Backward<T> for BatchNorm<T> {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn backward(self: Box<Self>, mut dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let Self {
            layout,
            x,
            gamma,
            moments,
        } = *self;
        let parameters = if dx.needs(0) {
            let gradients =
                fused::backward(&layout, x.data(), gamma.data(), &moments, dy.data_mut());
            dx.add(0, dy);
            gradients
        } else {
            fused::parameter_gradients(&layout, x.data(), &moments, dy.data())
        };
        dx.add(1, Tensor::new([layout.channels], parameters.dgamma));
        dx.add(2, Tensor::new([layout.channels], parameters.dbeta));
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.x, &self.gamma]
    }
}
// ANCHOR_END: batch_norm

/// Normalizes `x` by given statistics. They are constants: the gradient reaches `x`
/// along one path only. This is how a trained network is evaluated, and how a frozen
/// Batch Norm sits in a network whose other layers still learn.
///
/// Shapes as for [`batch_norm`]; any number of values per channel will do.
///
/// # Panics
/// If the shapes do not fit.
// ANCHOR: frozen
#[track_caller]
pub fn frozen_batch_norm<'t, T: Real>(
    x: &Var<'t, T>,
    gamma: &Var<'t, T>,
    beta: &Var<'t, T>,
    moments: Moments,
) -> Var<'t, T> {
    let layout = layout(x, gamma, beta);
    let mut y = Tensor::scratch(x.shape());
    fused::forward_frozen(
        &layout,
        x.value().data(),
        gamma.value().data(),
        beta.value().data(),
        &moments,
        y.data_mut(),
    );
    x.tape().record(&[x, gamma, beta], y, || Frozen {
        layout,
        x: (gamma.is_tracked() || beta.is_tracked()).then(|| x.value().clone()),
        gamma: gamma.value().clone(),
        moments,
    })
}

struct Frozen<T: Real> {
    layout: Layout,
    /// Kept only for the gradients of gamma and beta; `dx` does without.
    x: Option<Tensor<T>>,
    gamma: Tensor<T>,
    moments: Moments,
}

impl<T: Real> Backward<T> for Frozen<T> {
    fn name(&self) -> &'static str {
        "frozen_batch_norm"
    }

    fn backward(self: Box<Self>, mut dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let Self {
            layout,
            x,
            gamma,
            moments,
        } = *self;
        if let Some(x) = x {
            let parameters = fused::parameter_gradients(&layout, x.data(), &moments, dy.data());
            dx.add(1, Tensor::new([layout.channels], parameters.dgamma));
            dx.add(2, Tensor::new([layout.channels], parameters.dbeta));
        }
        if dx.needs(0) {
            fused::backward_frozen(&layout, gamma.data(), &moments, dy.data_mut());
            dx.add(0, dy);
        }
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        self.x.iter().chain([&self.gamma]).collect()
    }
}
// ANCHOR_END: frozen

/// The layout of `x`, after a look at the shapes.
// ANCHOR: check
#[track_caller]
pub(crate) fn layout<T: Real>(x: &Var<'_, T>, gamma: &Var<'_, T>, beta: &Var<'_, T>) -> Layout {
    let layout = Layout::of(x.shape());
    for (name, parameter) in [("gamma", gamma), ("beta", beta)] {
        assert_eq!(
            &parameter.shape()[..],
            [layout.channels],
            "batch norm: the input has shape {}, so axis 1 counts {} channels, but {name} \
             has shape {}; build the layer for {} channels, or move the channels to axis 1",
            x.shape(),
            layout.channels,
            parameter.shape(),
            layout.channels
        );
    }
    layout
}
// ANCHOR_END: check
