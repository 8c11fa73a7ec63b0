//! `y = max(x, 0)`, the rectified linear unit.
//!
//! dy/dx is 1 where x > 0 and 0 where x < 0. At 0 there is no derivative; 0 is taken,
//! as in PyTorch. The sign of x can be read off y, so `dx = dy where y > 0, else 0`, and
//! the output, which the next op mostly saves as well, is all that must be kept.

use crate::{Backward, InputGrads, Real, Tensor, Var};

impl<'t, T: Real> Var<'t, T> {
    // ANCHOR: relu
    /// max(x, 0), element by element; NaN stays NaN.
    pub fn relu(&self) -> Self {
        let y = self.value().map(|x| if x <= T::ZERO { T::ZERO } else { x });
        self.tape().record(&[self], y.clone(), || Relu { y })
    }
    // ANCHOR_END: relu
}

// ANCHOR: relu_backward
struct Relu<T: Real> {
    y: Tensor<T>,
}

impl<T: Real> Backward<T> for Relu<T> {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let select = |dy, y| if y <= T::ZERO { T::ZERO } else { dy };
        dx.add(0, dy.zip_with(&self.y, select));
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.y]
    }
}
// ANCHOR_END: relu_backward

#[cfg(test)]
mod tests {
    use crate::testing::{check_gradient, normal};
    use crate::{Param, Tape, Tensor};

    #[test]
    fn cuts_off_below_zero_but_never_hides_a_nan() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::new([4], vec![-2.0_f32, -0.0, 3.0, f32::NAN]));
            let y = x.relu();
            assert_eq!(y.value().data()[..3], [0.0, 0.0, 3.0]);
            assert!(y.value().data()[1].is_sign_positive());
            assert!(y.value().data()[3].is_nan());
        });
    }

    #[test]
    fn the_slope_at_zero_is_zero() {
        let x = Param::new("x", Tensor::new([3], vec![-1.0_f64, 0.0, 1e-300]));
        let dy = Tensor::full([3], 5.0);
        let (_, _, grads) = Tape::new().vjp(&dy, |t| (t.param(&x).relu(), ()));
        assert_eq!(grads.of(&x).data(), [0.0, 0.0, 5.0]);
    }

    #[test]
    fn gradient() {
        check_gradient(&[normal([3, 4], 1)], |x| x[0].relu());
    }
}
