//! `y = x Φ(x)`, the Gaussian error linear unit (Hendrycks & Gimpel, 2016), in its exact
//! form: Φ(x) = ½ (1 + erf(x/√2)) is the normal distribution function.
//!
//! With Φ′ = φ, φ(x) = e^(−x²/2) / √(2π), the product rule gives
//! dy/dx = Φ(x) + x φ(x), so `dx = dy · (Φ(x) + x φ(x))`.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};

use super::elementwise::{Reads, unary};
use crate::{Real, Var};

impl<'t, T: Real> Var<'t, T> {
    /// x Φ(x), element by element, with the exact Φ: PyTorch's `gelu` with its default
    /// `approximate='none'`.
    pub fn gelu(&self) -> Self {
        let rule = |dy, x| dy * (normal_cdf(x) + x * normal_pdf(x));
        unary(|| "gelu", self, |x| x * normal_cdf(x), Reads::Input, rule)
    }
}

/// Φ(x).
#[inline(always)]
fn normal_cdf<T: Real>(x: T) -> T {
    T::from_f64(0.5) * (T::ONE + (x * T::from_f64(FRAC_1_SQRT_2)).erf())
}

/// φ(x).
#[inline(always)]
fn normal_pdf<T: Real>(x: T) -> T {
    (T::from_f64(-0.5) * x * x).exp() * T::from_f64(1.0 / TAU.sqrt())
}

#[cfg(test)]
mod tests {
    use crate::{Tape, Tensor};

    #[test]
    fn matches_pytorch() {
        // torch.nn.functional.gelu, float64.
        let cases: [(f64, f64); 5] = [
            (-3.0, -0.004_049_694_094_890_31),
            (-0.5, -0.154_268_769_362_993_44),
            (0.0, 0.0),
            (1.0, 0.841_344_746_068_543),
            (40.0, 40.0),
        ];
        Tape::eval(|t| {
            for (x, expected) in cases {
                let y = t.constant(Tensor::scalar(x)).gelu().value().item();
                assert!(
                    (y - expected).abs() < 1e-15,
                    "gelu({x}) is {y}, not {expected}"
                );
            }
        });
    }
}
