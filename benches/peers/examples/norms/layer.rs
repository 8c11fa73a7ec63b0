//! A layer as the judge sees it: a function from arrays to arrays.

use diagnose::Dtype;
use gradcheck::attribution::norm::Norm;
use std::error::Error;

/// Whatever a framework complains of.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What a layer is given. Every number is one that `dtype` has.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The shape of `x` and of `dy`.
    pub shape: Vec<usize>,
    pub x: Vec<f64>,
    /// One for each channel or feature, as `beta`.
    pub gamma: Vec<f64>,
    pub beta: Vec<f64>,
    /// The upstream gradient.
    pub dy: Vec<f64>,
    pub eps: f64,
    pub dtype: Dtype,
    /// What Batch Norm starts from.
    pub running_mean: Vec<f64>,
    pub running_var: Vec<f64>,
    /// The weight of the new value in a running statistic, as PyTorch understands it.
    pub momentum: f64,
}

/// What came of it. A gradient that the framework does not return is `None`.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    pub y: Vec<f64>,
    pub dx: Option<Vec<f64>>,
    pub dgamma: Option<Vec<f64>>,
    pub dbeta: Option<Vec<f64>>,
    /// The running mean and the running variance after this step.
    pub running: Option<(Vec<f64>, Vec<f64>)>,
}

/// What a layer does that nobody configured: y, with gamma 1 and beta 0, and the running mean
/// before and after the step.
#[derive(Clone, Debug)]
pub struct Fresh {
    pub y: Vec<f64>,
    pub running_mean: Option<(Vec<f64>, Vec<f64>)>,
}

/// A normalization layer of a framework.
pub struct Layer {
    pub framework: &'static str,
    pub name: &'static str,
    pub norm: Norm,
    /// Whether there is a backward pass to ask for; without, only y is judged.
    pub trains: bool,
    /// Forward and backward, with the gradients of `sum(y * dy)`.
    pub call: fn(&Inputs) -> Result<Outputs>,
    /// Forward of the layer with its own defaults, if it has any.
    pub fresh: Option<fn(&Inputs) -> Result<Fresh>>,
}

/// Something that is no norm: one array in, one array out, in `f64`.
pub struct Op {
    pub framework: &'static str,
    pub name: &'static str,
    /// The shape of x.
    pub shape: &'static [usize],
    /// The shape of y and of dy.
    pub output: &'static [usize],
    /// Of `shape`, `x` and `dy`: y, and dx if there is one.
    pub call: fn(&Op, &[f64], &[f64]) -> Result<(Vec<f64>, Option<Vec<f64>>)>,
}
