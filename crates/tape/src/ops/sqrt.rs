//! `y = √x`.
//!
//! dy/dx = 1/(2√x) = 1/(2y), so `dx = dy / (2y)`: the output is all that must be saved.
//! As in PyTorch, the derivative at 0 is infinite, and 0/0 = NaN where `dy` is 0 too:
//! add an eps under the root where a zero can occur.

use super::elementwise::{Reads, unary};
use crate::{Real, Var};

impl<'t, T: Real> Var<'t, T> {
    /// √x, element by element; NaN for a negative x.
    pub fn sqrt(&self) -> Self {
        unary(
            || "sqrt",
            self,
            T::sqrt,
            Reads::Output,
            |dy, y| dy / (y + y),
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::{Param, Tape, Tensor};

    #[test]
    fn takes_the_root() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::new([3], vec![9.0_f32, 0.0, -1.0]));
            let y = x.sqrt();
            assert_eq!(y.value().data()[..2], [3.0, 0.0]);
            assert!(y.value().data()[2].is_nan());
        });
    }

    #[test]
    fn the_derivative_at_zero_is_infinite() {
        let x = Param::new("x", Tensor::<f64>::zeros([2]));
        let dy = Tensor::new([2], vec![3.0, 0.0]);
        let (_, grads) = Tape::new().vjp(&dy, |t| t.param(&x).sqrt());
        assert_eq!(grads.of(&x).data()[0], f64::INFINITY);
        assert!(grads.of(&x).data()[1].is_nan());
    }
}
