//! `y = ln x`, the natural logarithm.
//!
//! dy/dx = 1/x, so `dx = dy / x`. As in PyTorch, ln 0 is −∞ with an infinite
//! derivative, and the logarithm of a negative number is NaN.

use super::elementwise::{Reads, unary};
use crate::{Real, Var};

impl<'t, T: Real> Var<'t, T> {
    /// ln x, element by element.
    pub fn ln(&self) -> Self {
        unary(|| "ln", self, T::ln, Reads::Input, |dy, x| dy / x)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Param, Tape, Tensor};

    #[test]
    fn inverts_exp() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::new([3], vec![1.0_f64, std::f64::consts::E, 0.0]));
            assert_eq!(x.ln().value().data(), [0.0, 1.0, f64::NEG_INFINITY]);
            let negative = t.constant(Tensor::scalar(-1.0));
            assert!(negative.ln().value().item().is_nan());
        });
    }

    #[test]
    fn the_derivative_at_zero_is_infinite() {
        let x = Param::new("x", Tensor::scalar(0.0_f64));
        let (_, grads) = Tape::new().grad(|t| t.param(&x).ln());
        assert_eq!(grads.of(&x).item(), f64::INFINITY);
    }
}
