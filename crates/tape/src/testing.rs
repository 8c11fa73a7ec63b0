//! What the tests of ops use: a gradient against finite differences, in `f64`, with a random
//! upstream gradient, and random inputs.

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::{Param, Shape, Tape, Tensor, Var};

/// Checks the gradient of `op` at the given inputs with respect to all of them.
#[track_caller]
pub(crate) fn check_gradient(
    name: &str,
    inputs: &[Tensor<f64>],
    op: impl for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64>,
) {
    let named: Vec<gradcheck::Input> = inputs
        .iter()
        .enumerate()
        .map(|(i, x)| gradcheck::Input::new(format!("x{i}"), x.shape(), x.to_vec()))
        .collect();
    let params = |data: &[Vec<f64>]| -> Vec<Param<f64>> {
        (data.iter().zip(inputs))
            .map(|(data, x)| Param::new("input", Tensor::new(x.shape(), data.clone())))
            .collect()
    };
    let forward = |data: &[Vec<f64>]| {
        let params = params(data);
        Tape::eval(|t| {
            let vars: Vec<_> = params.iter().map(|p| t.param(p)).collect();
            op(&vars).value().to_vec()
        })
    };
    let shape = Tape::eval(|t| {
        let vars: Vec<_> = inputs.iter().map(|x| t.constant(x.clone())).collect();
        *op(&vars).shape()
    });
    let backward = |data: &[Vec<f64>], dy: &[f64]| {
        let params = params(data);
        let dy = Tensor::new(shape, dy.to_vec());
        let (_, grads) = Tape::new().vjp(&dy, |t| {
            let vars: Vec<_> = params.iter().map(|p| t.param(p)).collect();
            op(&vars)
        });
        params.iter().map(|p| grads.of(p).to_vec()).collect()
    };
    let check = gradcheck::Check::new(name).inputs(&named);
    check.run(forward, backward).assert_passes();
}

/// A tensor of independent normal draws.
pub(crate) fn normal(shape: impl Into<Shape>, seed: u64) -> Tensor<f64> {
    Tensor::randn(shape, &mut StdRng::seed_from_u64(seed))
}
