//! `y = −x`.
//!
//! dy/dx = −1, so `dx = −dy`.

use std::ops::Neg;

use crate::{Backward, InputGrads, Real, Tensor, Var};

// ANCHOR: op
impl<'t, T: Real> Neg for &Var<'t, T> {
    type Output = Var<'t, T>;
    fn neg(self) -> Var<'t, T> {
        self.tape()
            .record(&[self], self.value().map(|x| -x), || NegBackward)
    }
}

impl<'t, T: Real> Neg for Var<'t, T> {
    type Output = Var<'t, T>;
    fn neg(self) -> Var<'t, T> {
        -&self
    }
}

struct NegBackward;

impl<T: Real> Backward<T> for NegBackward {
    fn name(&self) -> &'static str {
        "neg"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        dx.add(0, dy.apply(|dy| -dy));
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![]
    }
}
// ANCHOR_END: op

#[cfg(test)]
mod tests {
    use crate::testing::{check_gradient, normal};
    use crate::{Tape, Tensor};

    #[test]
    fn negates() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::new([2], vec![1.0_f32, -2.0]));
            assert_eq!((-&x).value().data(), [-1.0, 2.0]);
            assert_eq!((-x).value().data(), [-1.0, 2.0]);
        });
    }

    #[test]
    fn gradient() {
        check_gradient(&[normal([3, 4], 1)], |x| -&x[0]);
    }
}
