//! `y = x`, with no way back.
//!
//! Forward the identity, backward nothing: the result is a constant. This cuts one path
//! out of a gradient, which is how a derivative is taken apart into its direct part and
//! the parts that flow through a mean or a variance (book, chapter 8).

use crate::{Real, Var};

impl<'t, T: Real> Var<'t, T> {
    /// The same value as a constant: no gradient flows back through it. PyTorch calls
    /// it `detach`.
    pub fn stop_gradient(&self) -> Self {
        self.tape().constant(self.value().clone())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Param, Tape, Tensor};

    #[test]
    fn cuts_one_of_two_paths() {
        let x = Param::new("x", Tensor::scalar(3.0_f64));
        let (y, grads) = Tape::new().grad(|t| {
            let x = t.param(&x);
            assert!(!x.stop_gradient().is_tracked());
            &x * x.stop_gradient()
        });
        // x · x without the second route: 3, not 6.
        assert_eq!((y, grads.of(&x).item()), (9.0, 3.0));
    }
}
