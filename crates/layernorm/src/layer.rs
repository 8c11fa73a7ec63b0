//! The layer: Layer Norm with its parameters.

use tape::magnitude::checked_eps;
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
    /// If [`checked_eps`] refuses it. PyTorch takes 0 as well, and makes NaN of a
    /// constant row.
    #[track_caller]
    pub fn with_eps(mut self, eps: f64) -> Self {
        checked_eps::<T>("LayerNorm::with_eps", eps);
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

// ANCHOR: access
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
// ANCHOR_END: access

#[cfg(test)]
mod tests {
    use tape::Tape;

    use super::*;
    use crate::testing::normal;

    fn names<'a>(params: impl IntoIterator<Item = &'a Param<f64>>) -> Vec<&'a str> {
        params.into_iter().map(Param::name).collect()
    }

    /// The output for `x`.
    fn run(ln: &LayerNorm<f64>, x: &Tensor<f64>) -> Tensor<f64> {
        Tape::eval(|t| ln.forward(&t.constant(x.clone())).value().clone())
    }

    #[test]
    fn starts_as_pytorch_does() {
        let ln = LayerNorm::<f64>::new([2, 3]);
        assert_eq!(ln.gamma().unwrap().value(), &Tensor::ones([2, 3]));
        assert_eq!(ln.beta().unwrap().value(), &Tensor::zeros([2, 3]));
        assert_eq!(ln.eps(), 1e-5);
        assert_eq!(ln.normalized_shape()[..], [2, 3]);
    }

    #[test]
    fn lists_the_parameters_it_has() {
        let mut ln = LayerNorm::<f64>::new([3]);
        assert_eq!(names(ln.params()), ["gamma", "beta"]);
        let ids: Vec<_> = ln.params().iter().map(|p| p.id()).collect();
        let ids_mut: Vec<_> = ln.params_mut().iter().map(|p| p.id()).collect();
        assert_eq!(ids, ids_mut);
        assert_eq!(names(ln.without_beta().params()), ["gamma"]);
        let plain = LayerNorm::<f64>::new([3]).without_affine();
        assert!(plain.params().is_empty() && plain.gamma().is_none() && plain.beta().is_none());
    }

    #[test]
    fn scales_and_shifts_by_its_parameters() {
        let (gamma, beta) = (normal([3], 1), normal([3], 2));
        let x = normal([4, 3], 3);
        let mut ln = LayerNorm::new([3]);
        ln.params_mut()[0].set(gamma.clone());
        ln.params_mut()[1].set(beta.clone());
        let x_hat = run(&LayerNorm::new([3]).without_affine(), &x);
        let expected = Tensor::from_fn([4, 3], |i| {
            gamma.data()[i % 3] * x_hat.data()[i] + beta.data()[i % 3]
        });
        assert_eq!(run(&ln, &x), expected);
        let scaled = Tensor::from_fn([4, 3], |i| gamma.data()[i % 3] * x_hat.data()[i]);
        assert_eq!(run(&ln.without_beta(), &x), scaled);
    }

    #[test]
    fn uses_its_eps() {
        let x = Tensor::new([1, 2], vec![-1.0, 1.0]);
        let y = run(&LayerNorm::new([2]).with_eps(3.0), &x);
        assert_eq!(y, Tensor::new([1, 2], vec![-0.5, 0.5]));
        let y = run(&LayerNorm::new([2]).with_eps(1e-290), &x);
        assert_eq!(y, x);
    }

    #[test]
    fn several_axes_are_normalized_as_one() {
        let x = normal([2, 3, 4], 1);
        let y = run(&LayerNorm::new([3, 4]), &x);
        let flat = run(&LayerNorm::new([12]), &x.reshape([2, 12]));
        assert_eq!(y.shape()[..], [2, 3, 4]);
        assert_eq!(y.data(), flat.data());
    }

    #[test]
    fn gradients_reach_the_parameters() {
        let ln = LayerNorm::new([3]);
        let x = Param::new("x", normal([5, 3], 1));
        let dy = normal([5, 3], 2);
        let (_, grads) = Tape::new().vjp(&dy, |t| ln.forward(&t.param(&x)));
        let column = |j: usize| dy.data().iter().skip(j).step_by(3).sum::<f64>();
        let dbeta = grads.of(ln.beta().unwrap());
        assert!((0..3).all(|j| (dbeta.data()[j] - column(j)).abs() < 1e-14));
        assert!(grads.get(ln.gamma().unwrap()).is_some() && grads.get(&x).is_some());
    }

    #[test]
    #[should_panic(
        expected = "layer_norm: x has shape [8, 3, 4], but the normalized shape is [4, 3], and x \
                    must end in it; move the features to the last 2 axes"
    )]
    fn an_input_of_other_features_is_refused() {
        run(&LayerNorm::new([4, 3]), &normal([8, 3, 4], 1));
    }

    #[test]
    #[should_panic(expected = "LayerNorm::new: normalized shape [] holds no features")]
    fn an_empty_shape_is_refused() {
        LayerNorm::<f32>::new([]);
    }

    #[test]
    #[should_panic(expected = "LayerNorm::new: normalized shape [3, 0] holds no features")]
    fn a_shape_without_elements_is_refused() {
        LayerNorm::<f32>::new([3, 0]);
    }

    #[test]
    #[should_panic(expected = "LayerNorm::with_eps: eps is NaN")]
    fn an_eps_that_is_not_a_number_is_refused() {
        let _ = LayerNorm::<f32>::new([3]).with_eps(f64::NAN);
    }

    #[test]
    #[should_panic(expected = "LayerNorm::with_eps: eps is inf")]
    fn an_infinite_eps_is_refused() {
        let _ = LayerNorm::<f32>::new([3]).with_eps(f64::INFINITY);
    }
}
