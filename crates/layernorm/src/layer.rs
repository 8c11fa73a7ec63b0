//! The layer: Layer Norm with its parameters.

use tape::{Param, Real, Shape, Tensor, Var};

use crate::{layer_norm, rows};

// ANCHOR: layer
/// Layer Norm over one or more trailing axes, with a learned scale and shift for each
/// feature (Ba, Kiros & Hinton, 2016).
///
/// There is nothing to update but the parameters, and no difference between training and
/// evaluation: the statistics of an example come from that example alone.
#[derive(Debug)]
pub struct LayerNorm<T: Real> {
    normalized_shape: Shape,
    eps: f64,
    gamma: Option<Param<T>>,
    beta: Option<Param<T>>,
}

impl<T: Real> LayerNorm<T> {
    /// Normalizes over trailing axes of the given lengths: `[D]` for inputs `[.., D]`,
    /// `[C, H, W]` for images `[N, C, H, W]`. As in PyTorch, `gamma` starts at 1, `beta`
    /// at 0, and `eps` is 1e-5.
    ///
    /// # Panics
    /// If the shape has no axis, or an axis of length 0.
    #[track_caller]
    pub fn new(normalized_shape: impl Into<Shape>) -> Self {
        let normalized_shape = normalized_shape.into();
        rows::check_normalized("LayerNorm::new", &normalized_shape);
        LayerNorm {
            normalized_shape,
            eps: 1e-5,
            gamma: Some(Param::new("gamma", Tensor::ones(normalized_shape))),
            beta: Some(Param::new("beta", Tensor::zeros(normalized_shape))),
        }
    }

    /// With another `eps`, the number added to the variance. It bounds the scale,
    /// `rstd ≤ 1/√eps`, so that a row of nearly equal values is not blown up.
    ///
    /// # Panics
    /// If `eps` is negative or not finite.
    #[track_caller]
    pub fn with_eps(mut self, eps: f64) -> Self {
        rows::check_eps("LayerNorm::with_eps", eps);
        self.eps = eps;
        self
    }

    /// Without learned scale and shift: `y = x_hat`.
    pub fn without_affine(mut self) -> Self {
        (self.gamma, self.beta) = (None, None);
        self
    }

    /// Without learned shift: `y = gamma · x_hat`.
    pub fn without_beta(mut self) -> Self {
        self.beta = None;
        self
    }

    /// Normalizes `x`, whose last axes are the normalized shape; the result has the
    /// shape of `x`.
    ///
    /// # Panics
    /// If `x` does not end in the normalized shape.
    #[track_caller]
    pub fn forward<'t>(&self, x: &Var<'t, T>) -> Var<'t, T> {
        let tape = x.tape();
        let gamma = match &self.gamma {
            Some(gamma) => tape.param(gamma),
            None => tape.constant(Tensor::ones(self.normalized_shape)),
        };
        let beta = match &self.beta {
            Some(beta) => tape.param(beta),
            None => tape.constant(Tensor::zeros(self.normalized_shape)),
        };
        layer_norm(x, &gamma, &beta, self.eps)
    }
}
// ANCHOR_END: layer

impl<T: Real> LayerNorm<T> {
    /// The lengths of the axes that are normalized over.
    pub fn normalized_shape(&self) -> &Shape {
        &self.normalized_shape
    }

    /// The number added to the variance.
    pub fn eps(&self) -> f64 {
        self.eps
    }

    /// The learned scale, of the normalized shape.
    pub fn gamma(&self) -> Option<&Param<T>> {
        self.gamma.as_ref()
    }

    /// The learned shift, of the normalized shape.
    pub fn beta(&self) -> Option<&Param<T>> {
        self.beta.as_ref()
    }

    /// The parameters: gamma, then beta, as far as there are any.
    pub fn params(&self) -> Vec<&Param<T>> {
        self.gamma.iter().chain(&self.beta).collect()
    }

    /// The parameters for an optimizer to update, in the order of
    /// [`params`](LayerNorm::params).
    pub fn params_mut(&mut self) -> Vec<&mut Param<T>> {
        self.gamma.iter_mut().chain(&mut self.beta).collect()
    }
}
