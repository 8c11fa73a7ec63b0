//! Dynamic Tanh: a curve in the place of a norm (Zhu et al., "Transformers without
//! normalization", 2025; book, chapter 15).
//!
//! `y = gamma · tanh(alpha x) + beta`, with one learned `alpha` for the whole layer, and a scale
//! and a shift for each feature. Nothing is measured: no mean and no deviation, so an element's
//! result depends on that element alone. What it shares with Layer Norm is that large values are
//! squashed; what it does not share is that it puts right a row that is too small or too large as
//! a whole.
//!
//! Backward, with `u = tanh(alpha x)` and `du = dy · gamma · (1 − u²)`:
//!
//! ```text
//! dx = alpha du        dalpha = Σ du x, over all elements
//! dgamma = Σ dy u      dbeta = Σ dy, over all rows
//! ```

use tape::{Param, Real, Shape, Tensor, Var};

use crate::layer::Layer;
use crate::module::{Module, Visitor};
use crate::pass::Pass;

/// Dynamic Tanh of values whose last axes have a given shape.
#[derive(Debug)]
pub struct DynamicTanh<T: Real> {
    /// `[1]`: how steep the curve is at 0.
    pub alpha: Param<T>,
    /// The scale of each feature.
    pub gamma: Param<T>,
    /// The shift of each feature.
    pub beta: Param<T>,
}

impl<T: Real> DynamicTanh<T> {
    /// For examples of this shape. As in the paper, `alpha` starts at ½, `gamma` at 1 and `beta`
    /// at 0.
    pub fn new(shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        DynamicTanh {
            alpha: Param::new("alpha", Tensor::full([1], T::from_f64(0.5))),
            gamma: Param::new("gamma", Tensor::ones(shape)),
            beta: Param::new("beta", Tensor::zeros(shape)),
        }
    }
}

impl<T: Real> Module<T> for DynamicTanh<T> {
    fn visit(&mut self, v: &mut Visitor<'_, T>) {
        v.param("alpha", &mut self.alpha);
        v.param("gamma", &mut self.gamma);
        v.param("beta", &mut self.beta);
    }
}

impl<T: Real> Layer<T> for DynamicTanh<T> {
    /// # Panics
    /// If `x` does not end in the shape of `gamma`.
    #[track_caller]
    fn forward<'t>(&self, x: &Var<'t, T>, _: &mut Pass<'_, T>) -> Var<'t, T> {
        let shape = self.gamma.value().shape();
        assert!(
            x.shape().ends_with(shape),
            "dynamic tanh: x of shape {} does not go with gamma of shape {shape}: the last axes \
             of x must be those of gamma",
            x.shape()
        );
        // ANCHOR: forward
        let [alpha, gamma, beta] =
            [&self.alpha, &self.gamma, &self.beta].map(|param| x.tape().param(param));
        (x * &alpha).tanh() * gamma + beta
        // ANCHOR_END: forward
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{CheckLayer, normal};
    use tape::Tape;

    #[test]
    fn gradient() {
        for shape in [&[3][..], &[2, 3]] {
            CheckLayer::new("dynamic tanh", normal([4, 2, 3], 1))
                .run(|| DynamicTanh::new(shape))
                .assert_passes();
        }
    }

    /// An element's result depends on nothing else of its row, and is squashed.
    #[test]
    fn an_element_is_by_itself() {
        let layer = DynamicTanh::<f64>::new([2]);
        let x = Tensor::new([2, 2], vec![1.0, 2.0, 1.0, -80.0]);
        Tape::eval(|t| {
            let y = layer.eval(&t.constant(x));
            assert_eq!(
                y.value().data(),
                [0.5_f64.tanh(), 1.0_f64.tanh(), 0.5_f64.tanh(), -1.0]
            );
        });
    }

    #[test]
    #[should_panic(expected = "x of shape [5, 4] does not go with gamma of shape [3]")]
    fn features_must_agree() {
        let layer = DynamicTanh::<f64>::new([3]);
        Tape::eval(|t| drop(layer.eval(&t.constant(normal([5, 4], 1)))));
    }
}
