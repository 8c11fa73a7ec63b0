//! `y = x Φ(x)`, the Gaussian error linear unit (Hendrycks & Gimpel, 2016), in its exact
//! form: Φ(x) = ½ (1 + erf(x/√2)) is the normal distribution function.
//!
//! With Φ′ = φ, φ(x) = e^(−x²/2) / √(2π), the product rule gives
//! dy/dx = Φ(x) + x φ(x), so `dx = dy · (Φ(x) + x φ(x))`. Value and slope share Φ(x), and
//! so the slope is made with the value, and saved in place of x.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};

use vectorized::vectorized;

use super::elementwise::unary_from;
use crate::parallel::{self, Split, rows};
use crate::{Real, Tensor, Var};

impl<'t, T: Real> Var<'t, T> {
    /// x Φ(x), element by element, with the exact Φ: PyTorch's `gelu` with its default
    /// `approximate='none'`.
    pub fn gelu(&self) -> Self {
        let x = self.value();
        let mut y = Tensor::scratch(x.shape());
        let mut slope = self.is_tracked().then(|| Tensor::scratch(x.shape()));
        let slopes = slope.as_mut().map(|slope| rows(slope.data_mut(), 1));
        let buffers = (rows(y.data_mut(), 1), slopes);
        parallel::for_each_part(x.len(), x.len(), buffers, |at, buffers| {
            let (y, slopes) = buffers.slices();
            forward(&x.data()[at], y, slopes);
        });
        unary_from(|| "gelu", self, y, || slope, |dy, slope| dy * slope)
    }
}

/// The value for each element, and the slope if it is asked for.
#[vectorized]
fn forward<T: Real>(x: &[T], y: &mut [T], slopes: Option<&mut [T]>) {
    let Some(slopes) = slopes else {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = x * normal_cdf(x);
        }
        return;
    };
    for ((y, slope), &x) in y.iter_mut().zip(slopes).zip(x) {
        let cdf = normal_cdf(x);
        *y = x * cdf;
        *slope = cdf + x * normal_pdf(x);
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
    use crate::parallel::SERIAL_BELOW;
    use crate::{Param, Tape, Tensor};

    /// Values and slopes: in vectors, what is left over of them, and in parts for threads, they are
    /// those of each element alone.
    #[test]
    fn every_element_has_what_it_has_alone() {
        let number = |i: usize| (i % 4001) as f32 / 500.0 - 4.0;
        let alone: Vec<[u32; 2]> = (0..4001)
            .map(|i| {
                let x = Param::new("x", Tensor::scalar(number(i)));
                let (y, grads) = Tape::new().grad(|t| t.param(&x).gelu());
                [y, grads.of(&x).item()].map(f32::to_bits)
            })
            .collect();
        for n in [2, 15, 31, 33, 100, 1003, SERIAL_BELOW + 77] {
            let x = Param::new("x", Tensor::new([n], (0..n).map(number).collect()));
            let (y, grads) = Tape::new().vjp(&Tensor::ones([n]), |t| t.param(&x).gelu());
            let untracked = Tape::eval(|t| t.constant(x.value().clone()).gelu().value().clone());
            let slopes = grads.of(&x);
            for i in 0..n {
                let found = [y.data()[i], slopes.data()[i], untracked.data()[i]].map(f32::to_bits);
                let [value, slope] = alone[i % 4001];
                assert_eq!(found, [value, slope, value], "element {i} of {n}");
            }
        }
    }

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
