//! What the predictions share: what a network makes of its input, and what comes back, and
//! how before and after are compared.

use judge::compare::largest;
use tape::{Param, Tape, Tensor, Var};

/// Whether `after` is this factor times `before`, to a thousandth of the largest of them.
pub fn is_times(factor: f64, before: &[f64], after: &[f64]) -> bool {
    let bound = 1e-3 * factor.abs() * largest(before);
    let mut pairs = before.iter().zip(after);
    pairs.all(|(b, a)| (factor * b - a).abs() <= bound)
}

/// Whether nothing of `before` is left in `after` but this share of the largest.
pub fn is_gone(share: f64, before: &[f64], after: &[f64]) -> bool {
    largest(after) <= share * largest(before)
}

/// What `net` makes of `x`, and the gradient of each `x` for this `dy` of the output.
pub fn passed<const N: usize>(
    x: [&Tensor<f64>; N],
    dy: &Tensor<f64>,
    net: impl for<'t> FnOnce(&[Var<'t, f64>; N]) -> Var<'t, f64>,
) -> (Vec<f64>, [Vec<f64>; N]) {
    let x = x.map(|x| Param::new("x", x.clone()));
    let inputs = x.each_ref();
    let (y, grads) = Tape::new().vjp(dy, |t| net(&inputs.map(|x| t.param(x))));
    (y.to_vec(), inputs.map(|x| grads.of(x).to_vec()))
}

/// What `net` makes of `x`.
pub fn made<const N: usize>(
    x: [&Tensor<f64>; N],
    net: impl for<'t> FnOnce(&[Var<'t, f64>; N]) -> Var<'t, f64>,
) -> Vec<f64> {
    Tape::eval(|t| net(&x.map(|x| t.constant(x.clone()))).value().to_vec())
}

/// The sum of each column of so many.
pub fn column_sums(columns: usize, x: &[f64]) -> Vec<f64> {
    let column = |c: usize| x.iter().skip(c).step_by(columns).sum();
    (0..columns).map(column).collect()
}

#[cfg(test)]
mod tests;
