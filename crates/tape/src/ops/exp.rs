//! `y = eˣ`.
//!
//! dy/dx = eˣ = y, so `dx = dy · y`: the output is all that must be saved.

use crate::{Backward, InputGrads, Real, Tensor, Var};

impl<'t, T: Real> Var<'t, T> {
    // ANCHOR: exp
    /// eˣ, element by element.
    pub fn exp(&self) -> Self {
        let y = self.value().map(T::exp);
        self.tape().record(&[self], y.clone(), || Exp { y })
    }
    // ANCHOR_END: exp
}

// ANCHOR: exp_backward
struct Exp<T: Real> {
    y: Tensor<T>,
}

impl<T: Real> Backward<T> for Exp<T> {
    fn name(&self) -> &'static str {
        "exp"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        dx.add(0, dy.zip_with(&self.y, |dy, y| dy * y));
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.y]
    }
}
// ANCHOR_END: exp_backward

#[cfg(test)]
mod tests {
    use crate::testing::{check_gradient, normal};
    use crate::{Tape, Tensor};

    #[test]
    fn exponentiates() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::new([3], vec![0.0_f64, 1.0, f64::NEG_INFINITY]));
            assert_eq!(x.exp().value().data(), [1.0, std::f64::consts::E, 0.0]);
        });
    }

    #[test]
    fn gradient() {
        check_gradient(&[normal([3, 4], 1)], |x| x[0].exp());
    }
}
