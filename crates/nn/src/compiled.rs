//! What most programs use of the networks, in the two types of numbers that they compute with.
//!
//! Generic code is compiled where it is asked for, and so it would be in each of the many programs
//! of a development build that train a network or check one. What is asked for here is compiled once,
//! as this crate is, and they share it (`ARCHITECTURE.md` says where the compiler does that).

use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Real, Tape, Tensor, Var};

use crate::{
    Adam, BlockSpec, CellKind, CellNorm, CnnSpec, Diverged, Layer, Lengths, MlpSpec, Module,
    NormKind, Optimizer, Pass, RecurrentLmSpec, RecurrentSpec, Sgd, TokenModel, TransformerSpec,
    loss,
};

/// Every network takes a step, in `f32` and in `f64`.
pub static COMPILED: [fn(); 2] = [each_takes_a_step::<f32>, each_takes_a_step::<f64>];

fn each_takes_a_step<T: Real>() {
    let rng = &mut StdRng::seed_from_u64(0);
    let points = Tensor::<T>::randn([3, 4], rng);
    let mlp = MlpSpec::new(&[4, 5, 2]).norm(NormKind::Layer);
    layer_takes_a_step(mlp.build(rng), &points);
    let images = Tensor::<T>::randn([3, 16], rng);
    let cnn = CnnSpec::new(&[1, 2], 4, 2).norm(NormKind::Batch);
    layer_takes_a_step(cnn.build(rng), &images);

    let transformer = TransformerSpec::new(2, 3, 1, BlockSpec::new(4, 2));
    model_takes_a_step(&mut transformer.build::<T>(rng));
    let network = RecurrentSpec::new(CellKind::Lstm, 4, 4).norm(CellNorm::Layer);
    let mut lstm = RecurrentLmSpec::new(2, network).build::<T>(rng);
    model_takes_a_step(&mut lstm);
    takes_a_step(&mut lstm, |lstm, t| {
        let last = lstm.classify(t, &TOKENS, &lengths(), &mut Pass::train());
        loss::cross_entropy(&last, &[0, 1])
    });
}

fn layer_takes_a_step<T: Real, L: Layer<T>>(mut layer: L, x: &Tensor<T>) {
    takes_a_step(&mut layer, |layer, t| {
        let x = t.constant(x.clone());
        let (train, eval) = (layer.train(&x), layer.eval(&x));
        loss::cross_entropy(&train, &[0, 1, 0]) + loss::mse(&eval, train.value())
    });
}

const TOKENS: [usize; 5] = [0, 1, 0, 1, 1];

fn lengths() -> Lengths {
    Lengths::new(&[3, 2])
}

fn model_takes_a_step<T: Real, M: TokenModel<T>>(model: &mut M) {
    takes_a_step(model, |model, t| {
        let train = model.train(t, &TOKENS, &lengths());
        let eval = model.eval(t, &TOKENS, &lengths());
        loss::cross_entropy(&train, &TOKENS) + loss::mse(&eval, train.value())
    });
}

fn takes_a_step<T: Real, M: Module<T>>(
    model: &mut M,
    loss: impl for<'t> FnOnce(&mut M, &'t Tape<T>) -> Var<'t, T>,
) {
    let (loss, grads) = Tape::new().grad(|t| loss(model, t));
    Sgd::new()
        .momentum(0.9)
        .step_clipped(model, &grads, 0.1, 1.0);
    Adam::new().step(model, &grads, 0.1);
    let same = |_: &M, _: &mut Pass<'_, T>| ();
    Diverged::check(1, loss, model, same).expect("a small network and a small step");
}

#[cfg(test)]
mod tests {
    use super::COMPILED;

    #[test]
    fn every_network_takes_a_step() {
        for each_takes_a_step in COMPILED {
            each_takes_a_step();
        }
    }
}
