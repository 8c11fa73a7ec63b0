//! `y = −x`.
//!
//! dy/dx = −1, so `dx = −dy`.

use std::ops::Neg;

use super::elementwise::{Reads, unary};
use crate::{Real, Var};

// ANCHOR: op
impl<'t, T: Real> Neg for &Var<'t, T> {
    type Output = Var<'t, T>;
    fn neg(self) -> Var<'t, T> {
        unary(|| "neg", self, |x| -x, Reads::Nothing, |dy, _| -dy)
    }
}

impl<'t, T: Real> Neg for Var<'t, T> {
    type Output = Var<'t, T>;
    fn neg(self) -> Var<'t, T> {
        -&self
    }
}
// ANCHOR_END: op

#[cfg(test)]
mod tests {
    use crate::{Tape, Tensor};

    #[test]
    fn negates() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::new([2], vec![1.0_f32, -2.0]));
            assert_eq!((-&x).value().data(), [-1.0, 2.0]);
            assert_eq!((-x).value().data(), [-1.0, 2.0]);
        });
    }
}
