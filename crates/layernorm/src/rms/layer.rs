//! The layer: RMS Norm with its parameter.

use tape::{Param, Real, Shape, Tensor, Var};

use super::rms_norm;
use crate::rows;

// ANCHOR: rms_layer
/// RMS Norm over one or more trailing axes, with a learned scale for each feature
/// (Zhang & Sennrich, 2019).
#[derive(Debug)]
pub struct RmsNorm<T: Real> {
    normalized_shape: Shape,
    eps: f64,
    gamma: Option<Param<T>>,
}

impl<T: Real> RmsNorm<T> {
    /// Normalizes over trailing axes of the given lengths. As in PyTorch, `gamma` starts
    /// at 1 and `eps` is the machine epsilon of `T`.
    ///
    /// # Panics
    /// If the shape has no axis, or an axis of length 0.
    #[track_caller]
    pub fn new(normalized_shape: impl Into<Shape>) -> Self {
        let normalized_shape = normalized_shape.into();
        rows::check_normalized("RmsNorm::new", &normalized_shape);
        RmsNorm {
            normalized_shape,
            eps: T::EPSILON.to_f64(),
            gamma: Some(Param::new("gamma", Tensor::ones(normalized_shape))),
        }
    }

    /// With another `eps`, the number added to the mean square.
    ///
    /// # Panics
    /// If `eps` is negative or not finite.
    #[track_caller]
    pub fn with_eps(mut self, eps: f64) -> Self {
        rows::check_eps("RmsNorm::with_eps", eps);
        self.eps = eps;
        self
    }

    /// Without learned scale: `y = x_hat`.
    pub fn without_affine(mut self) -> Self {
        self.gamma = None;
        self
    }

    /// Normalizes `x`, whose last axes are the normalized shape; the result has the
    /// shape of `x`.
    ///
    /// # Panics
    /// If `x` does not end in the normalized shape.
    #[track_caller]
    pub fn forward<'t>(&self, x: &Var<'t, T>) -> Var<'t, T> {
        let gamma = match &self.gamma {
            Some(gamma) => x.tape().param(gamma),
            None => x.tape().constant(Tensor::ones(self.normalized_shape)),
        };
        rms_norm(x, &gamma, self.eps)
    }
}
// ANCHOR_END: rms_layer

impl<T: Real> RmsNorm<T> {
    /// The lengths of the axes that are normalized over.
    pub fn normalized_shape(&self) -> &Shape {
        &self.normalized_shape
    }

    /// The number added to the mean square.
    pub fn eps(&self) -> f64 {
        self.eps
    }

    /// The learned scale, of the normalized shape.
    pub fn gamma(&self) -> Option<&Param<T>> {
        self.gamma.as_ref()
    }

    /// The parameters: gamma, if there is one.
    pub fn params(&self) -> Vec<&Param<T>> {
        self.gamma.iter().collect()
    }

    /// The parameters for an optimizer to update.
    pub fn params_mut(&mut self) -> Vec<&mut Param<T>> {
        self.gamma.iter_mut().collect()
    }
}
