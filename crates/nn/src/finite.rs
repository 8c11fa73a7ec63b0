//! Finding out where training went wrong: the first number that is not finite.
//!
//! A loss that is infinite or NaN says nothing of its cause, and every step after it makes
//! more of the network NaN. So a training loop stops at the first such loss and asks
//! [`first_not_finite`] for the place.

use tape::{Real, Var};

use crate::module::{Module, each_param};
use crate::pass::Pass;

/// Training stopped because a number was no longer finite.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("training diverged at step {step}: {place} is not finite")]
pub struct Diverged {
    /// The step, counted from 0.
    pub step: usize,
    /// The first thing in the network that is not finite: a parameter, or the output of
    /// a layer.
    pub place: String,
}

impl Diverged {
    /// An error if `loss`, that of step `step`, is not finite. `forward` does the forward
    /// pass of that step again; the [`Pass`] it is given trains, and looks at the values on
    /// the way:
    ///
    /// ```
    /// use nn::{CnnSpec, Diverged, Layer};
    /// use rand::SeedableRng;
    /// use tape::{Tape, Tensor};
    ///
    /// let mut cnn = CnnSpec::new(&[1, 2], 4, 3).build::<f32>(&mut rand::rngs::StdRng::seed_from_u64(0));
    /// let x = Tensor::full([1, 16], f32::INFINITY);
    /// let error = Diverged::check(7, f32::NAN, &mut cnn, |cnn, pass| {
    ///     Tape::eval(|t| drop(cnn.forward(&t.constant(x), pass)));
    /// });
    /// let message = "training diverged at step 7: the output of conv1 is not finite";
    /// assert_eq!(error.unwrap_err().to_string(), message);
    /// ```
    ///
    /// # Errors
    /// If the loss is not finite; the error names the step and the layer.
    pub fn check<T: Real, M: Module<T>>(
        step: usize,
        loss: T,
        model: &mut M,
        forward: impl FnOnce(&M, &mut Pass<'_, T>),
    ) -> Result<(), Diverged> {
        if loss.is_finite() {
            return Ok(());
        }
        let place = first_not_finite(model, forward).unwrap_or_else(|| "the loss".to_owned());
        Err(Diverged { step, place })
    }
}

/// Names the first parameter that is not finite or, if they all are, the first value inside
/// the network that is not. `forward` does the forward pass, in training; the network stays
/// as it is.
pub fn first_not_finite<T: Real, M: Module<T>>(
    model: &mut M,
    forward: impl FnOnce(&M, &mut Pass<'_, T>),
) -> Option<String> {
    let finite = |data: &[T]| data.iter().all(|x| x.is_finite());
    let mut place = None;
    each_param(model, |param| {
        if place.is_none() && !finite(param.value().data()) {
            place = Some(format!("parameter {}", param.name()));
        }
    });
    if place.is_none() {
        let mut look = |name: &str, value: &Var<'_, T>| {
            if place.is_none() && !finite(value.value().data()) {
                place = Some(format!("the output of {name}"));
            }
        };
        forward(model, &mut Pass::train().probed(&mut look));
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        CellKind, Lengths, Optimizer, RecurrentLmSpec, RecurrentSpec, Sgd, TokenModel, loss,
    };
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use tape::Tape;

    /// Trains an RNN far too fast, and returns what is told of it.
    fn train(rate: f64) -> Result<(), Diverged> {
        let network = RecurrentSpec::new(CellKind::Rnn, 4, 5);
        let rng = &mut StdRng::seed_from_u64(1);
        let mut model = RecurrentLmSpec::new(3, network).build::<f32>(rng);
        let (tokens, lengths) = ([0, 1, 2, 1, 0], Lengths::new(&[3, 2]));
        let mut tape = Tape::new();
        for step in 0..20 {
            let (loss, grads) = tape.grad(|t| {
                let y = model.train(t, &tokens, &lengths);
                loss::cross_entropy(&y, &tokens)
            });
            Diverged::check(step, loss, &mut model, |model, pass| {
                Tape::eval(|t| drop(model.forward(t, &tokens, &lengths, pass)));
            })?;
            Sgd::new().step(&mut model, &grads, rate);
        }
        Ok(())
    }

    #[test]
    fn a_rate_far_too_high_is_told_by_step_and_place() {
        assert_eq!(train(0.1), Ok(()));
        let diverged = train(1e38).expect_err("it cannot converge");
        assert!((1..20).contains(&diverged.step), "{diverged}");
        let message = diverged.to_string();
        assert!(
            message.contains("rnn.") || message.contains("head"),
            "{message}"
        );
        assert!(!message.contains('\n'), "{message}");
    }

    #[test]
    fn the_first_culprit_is_named_parameters_first() {
        let network = RecurrentSpec::new(CellKind::Gru, 2, 3).layers(2);
        let mut model =
            RecurrentLmSpec::new(3, network).build::<f64>(&mut StdRng::seed_from_u64(1));
        let mut first = |spoil: &str, value: f64| {
            each_param(&mut model, |p| {
                let clean = p
                    .value()
                    .clone()
                    .map_in_place(|x| if x.abs() < 10.0 { x } else { 0.0 });
                p.set(clean);
                if p.name() == spoil {
                    p.value_mut().data_mut()[1] = value;
                }
            });
            first_not_finite(&mut model, |model, pass| {
                let lengths = Lengths::new(&[2]);
                Tape::eval(|t| drop(model.forward(t, &[0, 1], &lengths, pass)));
            })
        };
        assert_eq!(first("", 0.0), None);
        let named = first("rnn.weight_hh_l1", f64::NAN);
        assert_eq!(named.as_deref(), Some("parameter rnn.weight_hh_l1"));
        // Finite itself, but what is made of it is not.
        let named = first("head.weight", f64::MAX);
        assert_eq!(named, None);
        let named = first("head.bias", f64::INFINITY);
        assert_eq!(named.as_deref(), Some("parameter head.bias"));
    }
}
