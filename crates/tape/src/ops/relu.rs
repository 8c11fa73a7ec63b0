//! `y = max(x, 0)`, the rectified linear unit.
//!
//! dy/dx is 1 where x > 0 and 0 where x < 0. At 0 there is no derivative; 0 is taken,
//! as in PyTorch. The sign of x can be read off y, so `dx = dy where y > 0, else 0`, and
//! the output, which the next op mostly saves as well, is all that must be kept.

use super::elementwise::{Reads, unary};
use crate::{Real, Var};

impl<'t, T: Real> Var<'t, T> {
    /// max(x, 0), element by element; NaN stays NaN.
    pub fn relu(&self) -> Self {
        let value = |x| if x <= T::ZERO { T::ZERO } else { x };
        let rule = |dy, y| if y <= T::ZERO { T::ZERO } else { dy };
        unary(|| "relu", self, value, Reads::Output, rule)
    }
}

#[cfg(test)]
mod tests {
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
        let (_, grads) = Tape::new().vjp(&dy, |t| t.param(&x).relu());
        assert_eq!(grads.of(&x).data(), [0.0, 0.0, 5.0]);
    }
}
