//! `y = xⁿ` for a fixed integer n.
//!
//! dy/dx = n xⁿ⁻¹, so `dx = dy · n xⁿ⁻¹`; for n = 0 that is 0 everywhere, at x = 0 too.

use crate::{Backward, InputGrads, Real, Tensor, Var};

impl<'t, T: Real> Var<'t, T> {
    /// xⁿ, element by element. x⁰ is 1 for every x.
    pub fn powi(&self, n: i32) -> Self {
        let y = power(self.value(), n.into());
        self.tape().record(&[self], y, || Powi {
            x: (n != 0).then(|| self.value().clone()),
            n: n.into(),
        })
    }
}

/// xⁿ by squaring: one pass over the whole tensor for each bit of n, so that every pass
/// vectorizes, where a power of one element at a time would not.
fn power<T: Real>(x: &Tensor<T>, n: i64) -> Tensor<T> {
    let mut rest = n.unsigned_abs();
    let mut square = x.clone();
    let mut y = None;
    loop {
        if rest % 2 == 1 {
            y = Some(match y {
                None => square.clone(),
                Some(y) => Tensor::zip_in_place(y, &square, |y, s| y * s),
            });
        }
        rest /= 2;
        if rest == 0 {
            break;
        }
        square = square.map_in_place(|s| s * s);
    }
    match y {
        None => Tensor::ones(x.shape()),
        Some(y) if n.is_negative() => y.map_in_place(|y| T::ONE / y),
        Some(y) => y,
    }
}

struct Powi<T: Real> {
    /// Not needed for n = 0.
    x: Option<Tensor<T>>,
    /// Wider than the argument, so that n − 1 is always a number.
    n: i64,
}

impl<T: Real> Backward<T> for Powi<T> {
    fn name(&self) -> &'static str {
        "powi"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let n = T::from_f64(self.n as f64);
        let grad = match &self.x {
            None => dy.map_in_place(|_| T::ZERO),
            Some(x) => dy.zip_in_place(&power(x, self.n - 1), |dy, p| dy * (n * p)),
        };
        dx.add(0, grad);
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        self.x.iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Param, Tape, Tensor};

    #[test]
    fn raises_to_every_power() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::new([4], vec![2.0_f64, -3.0, 0.0, 0.5]));
            for n in -9_i32..=9 {
                let expected: Vec<f64> = x.value().data().iter().map(|x| x.powi(n)).collect();
                for (y, e) in x.powi(n).value().data().iter().zip(expected) {
                    assert!(
                        *y == e || (y / e - 1.0).abs() < 1e-15,
                        "n = {n}: {y}, not {e}"
                    );
                }
            }
            // x itself is not written to.
            assert_eq!(x.value().data(), [2.0, -3.0, 0.0, 0.5]);
        });
    }

    #[test]
    fn the_lowest_power_has_a_slope() {
        let x = Param::new("x", Tensor::new([2], vec![2.0, 0.5]));
        let (_, grads) = Tape::new().grad(|t| t.param(&x).powi(i32::MIN).sum_all());
        assert_eq!(grads.of(&x).to_vec(), [0.0, f64::NEG_INFINITY]);
    }

    #[test]
    fn the_power_zero_is_constant_even_at_zero() {
        let x = Param::new("x", Tensor::new([2], vec![0.0_f64, 2.0]));
        let dy = Tensor::ones([2]);
        let (y, grads) = Tape::new().vjp(&dy, |t| t.param(&x).powi(0));
        assert_eq!(y.data(), [1.0, 1.0]);
        assert_eq!(grads.of(&x).data(), [0.0, 0.0]);
    }

    #[test]
    fn the_square_has_slope_zero_at_zero_and_the_first_power_slope_one() {
        let x = Param::new("x", Tensor::scalar(0.0_f64));
        for (n, slope) in [(1, 1.0), (2, 0.0)] {
            let (_, grads) = Tape::new().grad(|t| t.param(&x).powi(n));
            assert_eq!(grads.of(&x).item(), slope);
        }
    }
}
