//! The layer: RMS Norm with its parameter.

use tape::magnitude::checked_eps;
use tape::{Param, Real, Shape, Tensor, Var};

use super::op::rms_norm;
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
    /// If [`checked_eps`] refuses it. PyTorch takes 0 as well, and makes NaN of a
    /// row of zeros.
    #[track_caller]
    pub fn with_eps(mut self, eps: f64) -> Self {
        checked_eps::<T>("RmsNorm::with_eps", eps);
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

// ANCHOR: rms_access
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
// ANCHOR_END: rms_access

#[cfg(test)]
mod tests {
    use tape::Tape;

    use super::*;
    use crate::testing::normal;

    /// The output for `x`.
    fn run(norm: &RmsNorm<f64>, x: &Tensor<f64>) -> Tensor<f64> {
        Tape::eval(|t| norm.forward(&t.constant(x.clone())).value().clone())
    }

    #[test]
    fn starts_as_pytorch_does() {
        let norm = RmsNorm::<f32>::new([2, 3]);
        assert_eq!(norm.gamma().unwrap().value(), &Tensor::ones([2, 3]));
        assert_eq!(norm.normalized_shape()[..], [2, 3]);
        assert_eq!(norm.eps(), f64::from(f32::EPSILON));
        assert_eq!(RmsNorm::<f64>::new([1]).eps(), f64::EPSILON);
    }

    #[test]
    fn lists_the_parameter_it_has() {
        let mut norm = RmsNorm::<f64>::new([3]);
        assert_eq!(norm.params()[0].name(), "gamma");
        assert_eq!(norm.params()[0].id(), norm.gamma().unwrap().id());
        let id = norm.params()[0].id();
        assert_eq!(norm.params_mut()[0].id(), id);
        assert_eq!((norm.params().len(), norm.params_mut().len()), (1, 1));
        let plain = norm.without_affine();
        assert!(plain.params().is_empty() && plain.gamma().is_none());
    }

    #[test]
    fn scales_by_gamma() {
        let (gamma, x) = (normal([3], 1), normal([4, 3], 2));
        let mut norm = RmsNorm::new([3]);
        norm.params_mut()[0].set(gamma.clone());
        let x_hat = run(&RmsNorm::new([3]).without_affine(), &x);
        let expected = Tensor::from_fn([4, 3], |i| gamma.data()[i % 3] * x_hat.data()[i]);
        assert_eq!(run(&norm, &x), expected);
    }

    #[test]
    fn uses_its_eps() {
        let x = Tensor::new([1, 2], vec![-1.0, 1.0]);
        let y = run(&RmsNorm::new([2]).with_eps(3.0), &x);
        assert_eq!(y, Tensor::new([1, 2], vec![-0.5, 0.5]));
    }

    #[test]
    fn several_axes_are_normalized_as_one() {
        let x = normal([2, 3, 4], 1);
        let y = run(&RmsNorm::new([3, 4]), &x);
        let flat = run(&RmsNorm::new([12]), &x.reshape([2, 12]));
        assert_eq!(y.shape()[..], [2, 3, 4]);
        assert_eq!(y.data(), flat.data());
    }

    #[test]
    fn gradients_reach_the_parameter() {
        let norm = RmsNorm::new([3]);
        let x = Param::new("x", normal([5, 3], 1));
        let (_, grads) = Tape::new().grad(|t| norm.forward(&t.param(&x)).sum_all());
        assert!(grads.get(norm.gamma().unwrap()).is_some() && grads.get(&x).is_some());
    }

    #[test]
    #[should_panic(expected = "rms_norm: x has shape [8, 4], but the normalized shape is [3]")]
    fn an_input_of_other_features_is_refused() {
        run(&RmsNorm::new([3]), &normal([8, 4], 1));
    }

    #[test]
    #[should_panic(expected = "RmsNorm::new: normalized shape [] holds no features")]
    fn an_empty_shape_is_refused() {
        RmsNorm::<f32>::new([]);
    }

    #[test]
    #[should_panic(expected = "RmsNorm::with_eps: eps is -1")]
    fn a_negative_eps_is_refused() {
        let _ = RmsNorm::<f32>::new([3]).with_eps(-1.0);
    }
}
