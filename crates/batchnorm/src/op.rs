//! Batch Norm as one record on the tape, defined outside the tape's own crate.
//!
//! The forward half runs at once; the backward half keeps `x`, `gamma` and the
//! statistics. `x` is not copied: the record holds another handle on its buffer. When
//! the sweep arrives, `dx` is written over `dy`, unless somebody else still holds it.

use tape::magnitude::checked_eps;
use tape::{Backward, InputGrads, Real, Tensor, Var};

use crate::fused::{self, ParameterGradients};
use crate::{Layout, Moments};

/// Normalizes `x` by its own statistics, which are returned beside `y`; gradients flow
/// through them.
///
/// `x` has shape `[N, C]`, `[N, C, L]`, `[N, C, H, W]` or `[N, C, D, H, W]` and `y` the
/// same; `gamma` and `beta` have shape `[C]`.
///
/// # Panics
/// If the shapes do not fit, a channel has fewer than two values, or [`checked_eps`]
/// refuses `eps`.
// ANCHOR: batch_norm
#[track_caller]
pub fn batch_norm<'t, T: Real>(
    x: &Var<'t, T>,
    gamma: &Var<'t, T>,
    beta: &Var<'t, T>,
    eps: f64,
) -> (Var<'t, T>, Moments<T::Wide>) {
    let layout = layout(x, gamma, beta);
    checked_eps::<T>("batch norm", eps);
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
    moments: Moments<T::Wide>,
}

impl<T: Real> Backward<T> for BatchNorm<T> {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let batch = fused::Batch {
            layout: &self.layout,
            x: self.x.data(),
            gamma: self.gamma.data(),
            moments: &self.moments,
        };
        let parameters = if dx.needs(0) {
            let (dy, mut grad) = dy.in_place_or_beside();
            let from = dy.as_ref().map(Tensor::data);
            let parameters = fused::backward(batch, from, grad.data_mut());
            dx.add(0, grad);
            parameters
        } else {
            fused::parameter_gradients(batch.layout, batch.x, batch.moments, dy.data())
        };
        add_parameters(parameters, dx);
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.x, &self.gamma]
    }
}

fn add_parameters<T: Real>(parameters: ParameterGradients<T>, dx: &mut InputGrads<'_, T>) {
    let ParameterGradients { dgamma, dbeta } = parameters;
    for (input, grad) in [(1, dgamma), (2, dbeta)] {
        // Copied to a buffer of the pool, which does not know the vector.
        dx.add(input, Tensor::from_fn([grad.len()], |c| grad[c]));
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
    moments: Moments<T::Wide>,
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
    moments: Moments<T::Wide>,
}

impl<T: Real> Backward<T> for Frozen<T> {
    fn name(&self) -> &'static str {
        "frozen_batch_norm"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let Self {
            layout,
            x,
            gamma,
            moments,
        } = *self;
        if let Some(x) = x {
            let parameters = fused::parameter_gradients(&layout, x.data(), &moments, dy.data());
            add_parameters(parameters, dx);
        }
        if dx.needs(0) {
            let mut out = Tensor::scratch(dy.shape());
            let (from, to) = (dy.data(), out.data_mut());
            fused::backward_frozen(&layout, gamma.data(), &moments, from, to);
            dx.add(0, out);
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

#[cfg(test)]
mod tests {
    use tape::{Param, Tape};

    use super::*;
    use crate::composed;
    use crate::testing::{Case, Op, SHAPES, check_gradients, distance, on_tape};

    fn statistics(channels: usize) -> Moments {
        let (mean, var) = (0..channels)
            .map(|c| (c as f64 - 0.4, c as f64 + 0.8))
            .unzip();
        Moments::new(mean, var, 1e-3)
    }

    const TRAIN: Op<f64> = |x, gamma, beta| batch_norm(x, gamma, beta, 1e-3).0;
    const FROZEN: Op<f64> =
        |x, gamma, beta| frozen_batch_norm(x, gamma, beta, statistics(x.shape()[1]));

    #[test]
    fn gradient() {
        check_gradients(|case| on_tape(TRAIN, case));
        check_gradients(|case| on_tape(FROZEN, case));
    }

    /// dfdx panics on `x * x`: the second use of a value finds its gradient taken.
    #[test]
    fn regression_dfdx_x_is_used_twice() {
        check_gradients(|case| on_tape(|x, gamma, beta| TRAIN(x, gamma, beta) * x + x, case));
        check_gradients(|case| on_tape(|x, gamma, beta| FROZEN(x, gamma, beta) * x + x, case));
    }

    #[test]
    fn one_record_equals_the_composition() {
        for shape in SHAPES {
            let case = Case::new(shape, 17);
            let whole = on_tape(TRAIN, &case);
            let parts = on_tape(
                |x, gamma, beta| composed::batch_norm(x, gamma, beta, 1e-3),
                &case,
            );
            assert!(distance(&whole.0, &parts.0) < 1e-13);
            for (whole, parts) in whole.1.iter().zip(&parts.1) {
                assert!(distance(whole, parts) < 1e-12, "{shape:?}");
            }
        }
    }

    /// With a constant among the inputs, the gradients of the others stay what they were.
    #[test]
    fn gradients_that_nobody_needs_are_left_out() {
        let case = Case::<f64>::new(&[4, 3, 2], 2);
        for op in [TRAIN, FROZEN] {
            let (_, all) = on_tape(op, &case);
            for wanted in 0..3 {
                let shapes = [&case.shape[..], &[3], &[3]];
                let data = [&case.x, &case.gamma, &case.beta];
                let tensors = [0, 1, 2].map(|i| Tensor::new(shapes[i], data[i].clone()));
                let param = Param::new("wanted", tensors[wanted].clone());
                let dy = Tensor::new(&case.shape[..], case.dy.clone());
                let (_, grads) = Tape::new().vjp(&dy, |t| {
                    let mut inputs = tensors.map(|tensor| t.constant(tensor));
                    inputs[wanted] = t.param(&param);
                    let [x, gamma, beta] = inputs;
                    op(&x, &gamma, &beta)
                });
                assert!(distance(grads.of(&param).data(), &all[wanted]) < 1e-14);
            }
        }
    }

    /// The bytes a forward pass keeps, with x and gamma tracked or not.
    fn saved(op: Op<f64>, x_tracked: bool, gamma_tracked: bool) -> usize {
        let x = Param::new("x", Tensor::ones([6, 2, 5]));
        let gamma = Param::new("gamma", Tensor::ones([2]));
        let (_, bytes, _) = Tape::new().vjp_with(&Tensor::ones([6, 2, 5]), |t| {
            let pick = |param, tracked| {
                let var = t.param(param);
                if tracked { var } else { var.stop_gradient() }
            };
            let (x, gamma) = (pick(&x, x_tracked), pick(&gamma, gamma_tracked));
            let y = op(&x, &gamma, &t.constant(Tensor::zeros([2])));
            (y, t.saved_bytes())
        });
        bytes
    }

    #[test]
    fn only_x_and_gamma_are_kept() {
        let (x, gamma) = (6 * 2 * 5 * 8, 2 * 8);
        assert_eq!(saved(TRAIN, true, true), x + gamma);
        assert_eq!(saved(FROZEN, true, true), x + gamma);
        assert_eq!(saved(FROZEN, true, false), gamma);
        assert_eq!(saved(TRAIN, false, false), 0);
    }

    #[test]
    fn the_tape_prints_the_name() {
        let x = Param::new("x", Tensor::<f32>::from_fn([3, 1], |i| i as f32));
        Tape::new().vjp(&Tensor::ones([3, 1]), |t| {
            let (gamma, beta) = (
                t.constant(Tensor::ones([1])),
                t.constant(Tensor::zeros([1])),
            );
            let (y, moments) = batch_norm(&t.param(&x), &gamma, &beta, 1e-5);
            let y = frozen_batch_norm(&y, &gamma, &beta, moments);
            let table = t.to_string();
            assert!(table.contains(" batch_norm"), "{table}");
            assert!(table.contains(" frozen_batch_norm"), "{table}");
            y
        });
    }

    fn normalize(x: &[usize], gamma: &[usize], beta: &[usize]) {
        Tape::eval(|t| {
            let [x, gamma, beta] = [x, gamma, beta].map(|s| t.constant(Tensor::<f32>::ones(s)));
            batch_norm(&x, &gamma, &beta, 1e-5);
        });
    }

    #[test]
    #[should_panic(
        expected = "the input has shape [8, 3, 2], so axis 1 counts 3 channels, but gamma has \
                    shape [2]; build the layer for 3 channels, or move the channels to axis 1"
    )]
    fn gamma_fits_the_channels() {
        normalize(&[8, 3, 2], &[2], &[3]);
    }

    #[test]
    #[should_panic(expected = "but beta has shape [3, 1]; build")]
    fn beta_fits_the_channels() {
        normalize(&[8, 3, 2], &[3], &[3, 1]);
    }

    #[test]
    #[should_panic(expected = "every channel needs at least 2 values, but shape [1, 3] has 1 for")]
    fn one_value_per_channel_is_too_few() {
        normalize(&[1, 3], &[3], &[3]);
    }

    #[test]
    #[should_panic(
        expected = "at least 2 values, but shape [0, 3, 7] has 0 for each of 3 channels"
    )]
    fn an_empty_batch_has_no_statistics() {
        normalize(&[0, 3, 7], &[3], &[3]);
    }

    #[test]
    fn two_values_per_channel_are_enough() {
        normalize(&[2, 3], &[3], &[3]);
        normalize(&[1, 3, 2], &[3], &[3]);
    }
}
