//! What the predictions share: what a network makes of its input, and what comes back, and
//! how before and after are compared.

use judge::compare::largest;
use tape::{Param, Tape, Tensor, Var};

/// Whether what was before became this factor times as large, to a thousandth of the largest.
pub fn is_times(factor: f64) -> impl Fn(&[f64], &[f64]) -> bool {
    move |before, after| {
        let bound = 1e-3 * factor.abs() * largest(before);
        let mut pairs = before.iter().zip(after);
        pairs.all(|(b, a)| (factor * b - a).abs() <= bound)
    }
}

/// Whether nothing is left of what was before but this share of the largest.
pub fn is_gone(share: f64) -> impl Fn(&[f64], &[f64]) -> bool {
    move |before, after| after.iter().all(|a| a.abs() <= share * largest(before))
}

/// Whatever comes.
pub fn otherwise(_: &[f64], _: &[f64]) -> bool {
    true
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
