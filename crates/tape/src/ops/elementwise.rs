//! What the ops that work element by element share: an op is its value and its rule, and the
//! record around them is made here.

use crate::broadcast::zip_operands;
use crate::{Backward, InputGrads, Real, Tensor, Var};

// ANCHOR: record
/// The record of an op whose backward pass reads at most `N` tensors of the forward pass.
struct Record<T: Real, F, const N: usize> {
    name: &'static str,
    saved: [Option<Tensor<T>>; N],
    backward: F,
}

impl<T: Real, F, const N: usize> Backward<T> for Record<T, F, N>
where
    F: FnOnce([Option<Tensor<T>>; N], Tensor<T>, &mut InputGrads<'_, T>),
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        (self.backward)(self.saved, dy, dx);
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        self.saved.iter().flatten().collect()
    }
}
// ANCHOR_END: record

// ANCHOR: unary
/// What the rule of an op of one input reads beside `dy`.
pub(super) enum Reads {
    Nothing,
    Input,
    Output,
}

/// `y = value(x)` for every element, with `dx = rule(dy, s)`, where s is the element of the
/// input or of the output, whichever the rule reads, or 0.
pub(super) fn unary<'t, T: Real>(
    name: &'static str,
    x: &Var<'t, T>,
    value: impl Fn(T) -> T,
    reads: Reads,
    rule: impl Fn(T, T) -> T + 'static,
) -> Var<'t, T> {
    let y = x.value().map(value);
    let saved = match reads {
        Reads::Nothing => None,
        Reads::Input => Some(x.value().clone()),
        Reads::Output => Some(y.clone()),
    };
    unary_from(name, x, y, saved, rule)
}

/// The same with a value that is there already, and a rule that reads `saved`.
pub(super) fn unary_from<'t, T: Real>(
    name: &'static str,
    x: &Var<'t, T>,
    y: Tensor<T>,
    saved: Option<Tensor<T>>,
    rule: impl Fn(T, T) -> T + 'static,
) -> Var<'t, T> {
    x.tape().record(&[x], y, || Record {
        name,
        saved: [saved],
        backward: move |[saved]: [Option<Tensor<T>>; 1],
                        dy: Tensor<T>,
                        dx: &mut InputGrads<'_, T>| {
            let grad = match &saved {
                Some(saved) => dy.zip_with(saved, rule),
                None => dy.apply(|dy| rule(dy, T::ZERO)),
            };
            dx.add(0, grad);
        },
    })
}
// ANCHOR_END: unary

// ANCHOR: binary
/// `y = value(a, b)` for every pair of elements, with broadcasting. `saved` picks from `y`
/// and the operands what the rule reads, and `backward` is the rule.
///
/// # Panics
/// If the shapes do not broadcast.
#[track_caller]
pub(super) fn binary<'t, T: Real, const N: usize>(
    name: &'static str,
    [a, b]: [&Var<'t, T>; 2],
    value: impl Fn(T, T) -> T,
    saved: impl FnOnce(&Tensor<T>) -> [Option<Tensor<T>>; N],
    backward: impl FnOnce([Option<Tensor<T>>; N], Tensor<T>, &mut InputGrads<'_, T>) + 'static,
) -> Var<'t, T> {
    let y = zip_operands(name, a.value(), b.value(), value);
    a.tape().record(&[a, b], y.clone(), || Record {
        name,
        saved: saved(&y),
        backward,
    })
}
// ANCHOR_END: binary
