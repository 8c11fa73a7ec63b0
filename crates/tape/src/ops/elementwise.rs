//! What the ops that work element by element share: an op is its value and its rule, and the
//! record around them is made here.

use crate::{Backward, InputGrads, Real, Tensor, Var};

/// The record of an op whose backward pass reads at most `N` tensors of the forward pass. Its
/// name is a function, which takes no room: a record that saves nothing needs no memory at all.
struct Record<T: Real, L, F, const N: usize> {
    name: L,
    saved: [Option<Tensor<T>>; N],
    backward: F,
}

impl<T: Real, L, F, const N: usize> Backward<T> for Record<T, L, F, N>
where
    L: Fn() -> &'static str,
    F: FnOnce(&[Option<Tensor<T>>; N], Tensor<T>, &mut InputGrads<'_, T>),
{
    fn name(&self) -> &'static str {
        (self.name)()
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        (self.backward)(&self.saved, dy, dx);
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        self.saved.iter().flatten().collect()
    }
}

/// What the rule of an op of one input reads beside `dy`.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Reads {
    Nothing,
    Input,
    Output,
}

/// `y = value(x)` for every element, with `dx = rule(dy, s)`, where s is the element of the
/// input or of the output, whichever the rule reads, or 0.
#[inline]
pub(super) fn unary<'t, T: Real>(
    name: impl Fn() -> &'static str + 'static,
    x: &Var<'t, T>,
    value: impl Fn(T) -> T + Sync,
    reads: Reads,
    rule: impl Fn(T, T) -> T + Sync + 'static,
) -> Var<'t, T> {
    let y = x.value().map(value);
    let output = (reads == Reads::Output).then(|| y.clone());
    let saved = || match reads {
        Reads::Input => Some(x.value().clone()),
        _ => output,
    };
    unary_from(name, x, y, saved, rule)
}

/// The same with a value that is there already, and a rule that reads what `saved` returns.
#[inline]
pub(super) fn unary_from<'t, T: Real>(
    name: impl Fn() -> &'static str + 'static,
    x: &Var<'t, T>,
    y: Tensor<T>,
    saved: impl FnOnce() -> Option<Tensor<T>>,
    rule: impl Fn(T, T) -> T + Sync + 'static,
) -> Var<'t, T> {
    x.tape().record(&[x], y, || Record {
        name,
        saved: [saved()],
        backward: move |saved: &[_; 1], dy: Tensor<T>, dx: &mut InputGrads<'_, T>| {
            let grad = match &saved[0] {
                Some(saved) => dy.zip_in_place(saved, rule),
                None => dy.map_in_place(|dy| rule(dy, T::ZERO)),
            };
            dx.add(0, grad);
        },
    })
}

/// Records an op of two operands whose value is `y`. `saved` returns what the rule reads,
/// as far as it needs it, and `rule` adds the gradients of both.
#[inline]
#[track_caller]
pub(super) fn binary<'t, T: Real, const N: usize>(
    name: impl Fn() -> &'static str + 'static,
    [a, b]: [&Var<'t, T>; 2],
    y: Tensor<T>,
    saved: impl FnOnce() -> [Option<Tensor<T>>; N],
    rule: impl FnOnce(&[Option<Tensor<T>>; N], Tensor<T>, &mut InputGrads<'_, T>) + 'static,
) -> Var<'t, T> {
    a.tape().record(&[a, b], y, || Record {
        name,
        saved: saved(),
        backward: rule,
    })
}
