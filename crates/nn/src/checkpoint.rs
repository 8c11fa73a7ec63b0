//! Checkpointing: a segment of a network that keeps its inputs alone, and is computed a second
//! time in the backward pass.
//!
//! A tape keeps what each op will need until the backward pass has come to it. Of a segment that
//! is one record here, only the inputs wait; what happens inside of it is recorded, differentiated
//! and freed when its turn comes. With the `L` layers of a network in `k` segments, about
//! `k` inputs of segments and the intermediate values of `L/k` layers are in memory at once: with
//! `k` near `√L`, of the order of `√L` and not of `L`, for one more forward pass.

use tape::{Backward, InputGrads, Param, Real, Tape, Tensor, Var};

/// The value of `segment` at `inputs`, as one record on their tape that keeps the inputs, and
/// computes the segment again in the backward pass.
///
/// The segment is handed its inputs as values of another tape, in their order. Whatever it is to
/// be differentiated with respect to has to be among them, parameters too (`&t.param(&w)`). It
/// has to compute the same both times: it must not draw random numbers anew, nor change a state.
///
/// Value and gradients are those that the segment would have without, bit by bit. A parameter
/// that several segments use is the exception: its gradients are added segment by segment, which
/// rounds otherwise.
///
/// ```
/// use nn::{checkpoint, linear};
/// use tape::{Param, Tape, Tensor, Var};
///
/// fn segment<'t>(x: &[Var<'t, f64>]) -> Var<'t, f64> {
///     linear(&x[0], &x[1], None).tanh().exp()
/// }
///
/// let x = Tensor::from_fn([4, 3], |i| i as f64 / 6.0 - 1.0);
/// let w = Param::new("w", Tensor::from_fn([5, 3], |i| (i % 4) as f64 - 1.5));
/// let mut tape = Tape::new();
/// let (_, (whole, bytes), grads) = tape.grad_with(|t| {
///     let y = segment(&[t.constant(x.clone()), t.param(&w)]);
///     (y.sum_all(), (y.value().clone(), t.saved_bytes()))
/// });
/// let (_, (again, fewer), same) = tape.grad_with(|t| {
///     let y = checkpoint(&[&t.constant(x.clone()), &t.param(&w)], segment);
///     (y.sum_all(), (y.value().clone(), t.saved_bytes()))
/// });
/// assert_eq!(whole, again);
/// assert_eq!(grads.of(&w), same.of(&w));
/// assert!(fewer < bytes);
/// ```
///
/// # Panics
/// If there is no input. In the backward pass, if the segment asks its tape for a parameter, whose
/// gradient would be lost, or if it computes a value of another shape the second time.
// ANCHOR: checkpoint
#[track_caller]
pub fn checkpoint<'t, T: Real>(
    inputs: &[&Var<'t, T>],
    segment: impl for<'s> Fn(&[Var<'s, T>]) -> Var<'s, T> + 'static,
) -> Var<'t, T> {
    let first = inputs
        .first()
        .expect("checkpoint: a segment needs an input");
    let values = || inputs.iter().map(|input| input.value().clone());
    let value = Tape::eval(|t| {
        let inputs: Vec<_> = values().map(|value| t.constant(value)).collect();
        segment(&inputs).value().clone()
    });
    first.tape().record(inputs, value, || Checkpoint {
        inputs: values().collect(),
        segment,
    })
}

struct Checkpoint<T: Real, F> {
    inputs: Vec<Tensor<T>>,
    segment: F,
}

impl<T: Real, F> Backward<T> for Checkpoint<T, F>
where
    F: for<'s> Fn(&[Var<'s, T>]) -> Var<'s, T>,
{
    fn name(&self) -> &'static str {
        "checkpoint"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let Self { inputs, segment } = *self;
        // On a tape of its own an input is a parameter if it needs a gradient, else a constant.
        let input = |(i, value)| (dx.needs(i), Param::new(format!("input {i}"), value));
        let inputs: Vec<_> = inputs.into_iter().enumerate().map(input).collect();
        let (_, grads) = Tape::new().vjp(&dy, |t| {
            let at = |(needed, input): &(bool, Param<T>)| match needed {
                true => t.param(input),
                false => t.constant(input.value().clone()),
            };
            let y = segment(&inputs.iter().map(at).collect::<Vec<_>>());
            only_inputs(t, inputs.iter().filter(|(needed, _)| *needed).count());
            y
        });
        for (i, (_, input)) in inputs.iter().enumerate() {
            match grads.get(input) {
                Some(grad) => dx.add(i, grad.clone()),
                None => dx.none(i),
            }
        }
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        self.inputs.iter().collect()
    }
}
// ANCHOR_END: checkpoint

/// Panics if the segment recorded a parameter beside its inputs: nobody would see its gradient.
fn only_inputs<T: Real>(t: &Tape<T>, inputs: usize) {
    let lines = t.lines();
    let mut params = lines.iter().filter(|line| line.is_param);
    if let Some(other) = params.nth(inputs) {
        panic!(
            "checkpoint: the segment uses the parameter {:?}, which is not among its inputs, so \
             its gradient would be lost; hand it in as an input",
            other.label
        );
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::check::normal;
    use crate::linear;

    const LAYERS: usize = 12;

    /// Linear, Layer Norm, ReLU: `x[0]` through as many layers as there are groups of four
    /// parameters behind it.
    fn layers<'t, T: Real>(x: &[Var<'t, T>]) -> Var<'t, T> {
        x[1..].chunks(4).fold(x[0].clone(), |x, p| {
            let z = linear(&x, &p[0], Some(&p[1]));
            layernorm::layer_norm(&z, &p[2], &p[3], 1e-5).relu()
        })
    }

    fn params() -> Vec<Param<f64>> {
        let shapes: [&[usize]; 4] = [&[8, 8], &[8], &[8], &[8]];
        let all = (0..4 * LAYERS).map(|i| (i, shapes[i % 4]));
        all.map(|(i, shape)| Param::new(format!("p{i}"), normal(shape, i as u64)))
            .collect()
    }

    /// Value, gradients of `x` and all parameters, and bytes on the tape, with the layers in
    /// this many segments; none at 0.
    fn step(segments: usize, params: &[Param<f64>]) -> (Vec<Tensor<f64>>, usize) {
        let x = Param::new("x", normal([6, 8], 100));
        let dy = normal([6, 8], 101);
        let (y, bytes, grads) = Tape::new().vjp_with(&dy, |t| {
            let p: Vec<_> = params.iter().map(|p| t.param(p)).collect();
            let mut y = t.param(&x);
            match segments {
                0 => {
                    let all: Vec<_> = [y].into_iter().chain(p).collect();
                    y = layers(&all);
                }
                _ => {
                    for part in p.chunks(4 * LAYERS / segments) {
                        let inputs: Vec<_> = [&y].into_iter().chain(part).collect();
                        y = checkpoint(&inputs, layers);
                    }
                }
            }
            (y, t.saved_bytes())
        });
        let grads = params.iter().map(|p| grads.of(p)).chain([grads.of(&x)]);
        ([y].into_iter().chain(grads).collect(), bytes)
    }

    #[test]
    fn value_and_gradients_are_the_same_bit_by_bit_however_many_the_segments() {
        let params = params();
        let (whole, all) = step(0, &params);
        for segments in [1, 2, 3, 4, 6, 12] {
            let (found, bytes) = step(segments, &params);
            assert_eq!(found, whole, "{segments} segments");
            assert!(
                bytes < all,
                "{segments} segments keep {bytes} of {all} bytes"
            );
        }
    }

    #[test]
    fn a_segment_keeps_its_inputs_and_nothing_else() {
        let params = params();
        let inputs = |segments| {
            let held: usize = params.iter().map(|p| p.value().bytes()).sum();
            held + segments * normal([6, 8], 0).bytes()
        };
        for segments in [1, 3, 12] {
            assert_eq!(step(segments, &params).1, inputs(segments));
        }
    }

    #[test]
    fn an_input_that_needs_no_gradient_costs_none_and_one_that_is_not_used_gets_none() {
        let w = Param::new("w", normal([3, 3], 1));
        let idle = Param::new("idle", normal([2], 2));
        let (_, grads) = Tape::new().vjp(&normal([4, 3], 3), |t| {
            let x = t.constant(normal([4, 3], 4));
            checkpoint(&[&x, &t.param(&w), &t.param(&idle)], |x| {
                assert!(!x[0].is_tracked());
                linear(&x[0], &x[1], None).exp()
            })
        });
        assert!(grads.get(&w).is_some());
        assert!(grads.get(&idle).is_none());
    }

    #[test]
    fn what_depends_on_no_parameter_keeps_nothing() {
        Tape::new().grad(|t| {
            let x = t.constant(normal([2], 1));
            let y = checkpoint(&[&x], |x| x[0].exp());
            assert!(!y.is_tracked() && t.is_empty());
            y.sum_all()
        });
    }

    #[test]
    #[should_panic(expected = "the segment uses the parameter \"hidden\"")]
    fn a_parameter_that_is_not_an_input_is_refused() {
        let x = Param::new("x", normal([2], 1));
        let hidden = Rc::new(Param::new("hidden", normal([2], 2)));
        Tape::new().grad(|t| {
            let y = checkpoint(&[&t.param(&x)], move |x| &x[0] * x[0].tape().param(&hidden));
            y.sum_all()
        });
    }
}
