//! `y = σ(x) = 1 / (1 + e⁻ˣ)`, the logistic function.
//!
//! dy/dx = e⁻ˣ / (1 + e⁻ˣ)² = y (1 − y), so `dx = dy · y (1 − y)`: the output is all
//! that must be saved.
//!
//! No case is needed for large |x|: e⁻ˣ overflows to ∞ where y is 0, and vanishes where
//! y is 1.

use super::elementwise::{Reads, unary};
use crate::{Real, Var};

impl<'t, T: Real> Var<'t, T> {
    /// σ(x) = 1 / (1 + e⁻ˣ), element by element.
    pub fn sigmoid(&self) -> Self {
        let value = |x: T| T::ONE / (T::ONE + (-x).exp());
        let rule = |dy, y| dy * (y * (T::ONE - y));
        unary(|| "sigmoid", self, value, Reads::Output, rule)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Param, Tape, Tensor};

    #[test]
    fn is_a_half_at_zero_and_symmetric() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::new(
                [3],
                vec![0.0_f64, 3.0_f64.ln(), -(3.0_f64.ln())],
            ));
            let y = x.sigmoid();
            assert_eq!(y.value().data()[0], 0.5);
            assert!((y.value().data()[1] - 0.75).abs() < 1e-15);
            assert!((y.value().data()[2] - 0.25).abs() < 1e-15);
        });
    }

    #[test]
    fn saturates_without_nan() {
        let infinite = f32::INFINITY;
        let x = Param::new(
            "x",
            Tensor::new([4], vec![200.0, infinite, -200.0, -infinite]),
        );
        let dy = Tensor::ones([4]);
        let (y, grads) = Tape::new().vjp(&dy, |t| t.param(&x).sigmoid());
        assert_eq!(y.data(), [1.0, 1.0, 0.0, 0.0]);
        assert_eq!(grads.of(&x).data(), [0.0; 4]);
    }
}
