//! What the tests of this crate share.

use gradcheck::{Check, Input, Report};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Param, Shape, Tape, Tensor, Var};

/// Independent normal draws.
pub(crate) fn normal(shape: impl Into<Shape>, seed: u64) -> Tensor<f64> {
    Tensor::randn(shape, &mut StdRng::seed_from_u64(seed))
}

/// `count` independent normal draws.
pub(crate) fn draws(count: usize, seed: u64) -> Vec<f64> {
    normal([count], seed).to_vec()
}

/// A check of the gradients of slices; `names` are those of the report.
pub(crate) fn check_of(names: &[&str], inputs: &[Vec<f64>]) -> Check {
    let inputs: Vec<Input> = (names.iter().zip(inputs))
        .map(|(name, data)| Input::new(*name, &[data.len()], data.clone()))
        .collect();
    Check::new("layernorm").inputs(&inputs)
}

/// Checks the gradient of `op` on the tape with respect to every input, with a random
/// upstream gradient.
pub(crate) fn check_gradient(
    names: &[&str],
    inputs: &[Tensor<f64>],
    op: impl for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64>,
) -> Report {
    let data: Vec<Vec<f64>> = inputs.iter().map(Tensor::to_vec).collect();
    let params = |data: &[Vec<f64>]| -> Vec<Param<f64>> {
        (data.iter().zip(inputs))
            .map(|(data, x)| Param::new("input", Tensor::new(x.shape(), data.clone())))
            .collect()
    };
    let forward = |data: &[Vec<f64>]| {
        Tape::eval(|t| {
            let vars: Vec<_> = params(data).iter().map(|p| t.param(p)).collect();
            op(&vars).value().to_vec()
        })
    };
    let shape = *inputs[0].shape();
    let backward = |data: &[Vec<f64>], dy: &[f64]| {
        let params = params(data);
        let (_, grads) = Tape::new().vjp(&Tensor::new(shape, dy.to_vec()), |t| {
            let vars: Vec<_> = params.iter().map(|p| t.param(p)).collect();
            op(&vars)
        });
        params.iter().map(|p| grads.of(p).to_vec()).collect()
    };
    check_of(names, &data).run(forward, backward)
}

/// Panics unless `a` and `b` differ by at most `bound` everywhere.
#[track_caller]
pub(crate) fn assert_close(name: &str, a: &[f64], b: &[f64], bound: f64) {
    assert_eq!(a.len(), b.len(), "{name}: lengths differ");
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        let error = (a - b).abs();
        assert!(
            error <= bound,
            "{name}[{i}]: {a} and {b} differ by {error:e}, more than {bound:e}"
        );
    }
}
