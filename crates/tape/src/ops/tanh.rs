//! `y = tanh x`.
//!
//! dy/dx = 1 − tanh² x = 1 − y², so `dx = dy · (1 − y²)`: the output is all that must be saved.

use crate::{Backward, InputGrads, Real, Tensor, Var};

// ANCHOR: op
impl<'t, T: Real> Var<'t, T> {
    /// tanh x, element by element.
    pub fn tanh(&self) -> Self {
        let y = self.value().map(T::tanh);
        self.tape().record(&[self], y.clone(), || Tanh { y })
    }
}

struct Tanh<T: Real> {
    y: Tensor<T>,
}

impl<T: Real> Backward<T> for Tanh<T> {
    fn name(&self) -> &'static str {
        "tanh"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        dx.add(0, dy.zip_with(&self.y, |dy, y| dy * (T::ONE - y * y)));
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.y]
    }
}
// ANCHOR_END: op

#[cfg(test)]
mod tests {
    use crate::testing::{check_gradient, normal};
    use crate::{Tape, Tensor};

    #[test]
    fn saturates_at_one() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::new([3], vec![0.0_f64, 50.0, f64::NEG_INFINITY]));
            assert_eq!(x.tanh().value().data(), [0.0, 1.0, -1.0]);
        });
    }

    #[test]
    fn gradient() {
        check_gradient(&[normal([3, 4], 1)], |x| x[0].tanh());
    }
}
