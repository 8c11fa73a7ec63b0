//! `y = tanh x`.
//!
//! dy/dx = 1 − tanh² x = 1 − y², so `dx = dy · (1 − y²)`: the output is all that must be saved.

use super::elementwise::{Reads, unary};
use crate::{Real, Var};

impl<'t, T: Real> Var<'t, T> {
    /// tanh x, element by element.
    pub fn tanh(&self) -> Self {
        let rule = |dy, y| dy * (T::ONE - y * y);
        unary(|| "tanh", self, T::tanh, Reads::Output, rule)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Tape, Tensor};

    #[test]
    fn saturates_at_one() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::new([3], vec![0.0_f64, 50.0, f64::NEG_INFINITY]));
            assert_eq!(x.tanh().value().data(), [0.0, 1.0, -1.0]);
        });
    }
}
