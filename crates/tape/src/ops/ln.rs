//! `y = ln x`, the natural logarithm.
//!
//! dy/dx = 1/x, so `dx = dy / x`. As in PyTorch, ln 0 is −∞ with an infinite
//! derivative, and the logarithm of a negative number is NaN.

use crate::{Backward, InputGrads, Real, Tensor, Var};

// ANCHOR: op
impl<'t, T: Real> Var<'t, T> {
    /// ln x, element by element.
    pub fn ln(&self) -> Self {
        let y = self.value().map(T::ln);
        self.tape().record(&[self], y, || Ln {
            x: self.value().clone(),
        })
    }
}

struct Ln<T: Real> {
    x: Tensor<T>,
}

impl<T: Real> Backward<T> for Ln<T> {
    fn name(&self) -> &'static str {
        "ln"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        dx.add(0, dy.zip_with(&self.x, |dy, x| dy / x));
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.x]
    }
}
// ANCHOR_END: op

#[cfg(test)]
mod tests {
    use crate::testing::{check_gradient, uniform};
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
    fn gradient() {
        check_gradient(&[uniform([3, 4], 0.5, 3.0, 1)], |x| x[0].ln());
    }

    #[test]
    fn the_derivative_at_zero_is_infinite() {
        let x = Param::new("x", Tensor::scalar(0.0_f64));
        let (_, _, grads) = Tape::new().grad(|t| (t.param(&x).ln(), ()));
        assert_eq!(grads.of(&x).item(), f64::INFINITY);
    }
}
