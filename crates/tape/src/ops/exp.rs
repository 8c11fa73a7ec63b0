//! `y = eˣ`.
//!
//! dy/dx = eˣ = y, so `dx = dy · y`: the output is all that must be saved.

use super::elementwise::{Reads, unary};
use crate::{Real, Var};

impl<'t, T: Real> Var<'t, T> {
    /// eˣ, element by element.
    pub fn exp(&self) -> Self {
        unary(|| "exp", self, T::exp, Reads::Output, |dy, y| dy * y)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Tape, Tensor};

    #[test]
    fn exponentiates() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::new([3], vec![0.0_f64, 1.0, f64::NEG_INFINITY]));
            assert_eq!(x.exp().value().data(), [1.0, std::f64::consts::E, 0.0]);
        });
    }
}
