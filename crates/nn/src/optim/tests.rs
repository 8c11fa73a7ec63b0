use super::*;
use crate::module::{Module, Visitor};
use tape::{Grads, Param, Tape, Tensor, parallel};

struct Pair(Vec<Param<f64>>);

impl Module<f64> for Pair {
    fn visit(&mut self, v: &mut Visitor<'_, f64>) {
        for (i, param) in self.0.iter_mut().enumerate() {
            v.param(i, param);
        }
    }
}

fn pair() -> Pair {
    let param = |v: &[f64]| Param::new("p", Tensor::new([v.len()], v.to_vec()));
    Pair(vec![
        param(&[0.3, -1.2, 2.5, 0.0, 4.0]),
        param(&[-0.7, 1.1, 0.05]),
    ])
}

/// Gradients that equal `g(p)`: those of `Σ p · g`, with `g` a constant.
fn grads_of(pair: &Pair, g: impl Fn(f64) -> f64 + Sync) -> Grads<f64> {
    let (_, grads) = Tape::new().grad(|t| {
        let mut terms = pair.0.iter().map(|p| {
            let g = t.constant(p.value().map(&g));
            (t.param(p) * g).sum(&[0])
        });
        let first = terms.next().expect("there are two parameters");
        terms.fold(first, |sum, term| sum + term)
    });
    grads
}

type Step = Box<dyn FnMut(&mut Pair, &Grads<f64>)>;

fn step_of(mut optimizer: impl Optimizer<f64> + 'static) -> Step {
    Box::new(move |pair, grads| optimizer.step(pair, grads, 0.1))
}

#[test]
fn seven_steps_agree_with_pytorch() {
    let mut clipped = Sgd::new().momentum(0.9);
    let mut cases: Vec<(&str, Step)> = vec![
        ("sgd", step_of(Sgd::new())),
        ("sgd-decay", step_of(Sgd::new().weight_decay(0.05))),
        (
            "sgd-momentum",
            step_of(Sgd::new().momentum(0.9).weight_decay(0.05)),
        ),
        (
            "sgd-nesterov",
            step_of(Sgd::new().momentum(0.9).weight_decay(0.05).nesterov()),
        ),
        ("adam", step_of(Adam::new())),
        (
            "adam-decay",
            step_of(
                Adam::new()
                    .betas(0.8, 0.95)
                    .eps(1e-3)
                    .decay(Decay::Coupled(0.05)),
            ),
        ),
        ("adamw", step_of(Adam::new().decay(Decay::Decoupled(0.05)))),
        (
            "sgd-clipped",
            Box::new(move |pair, grads| {
                clipped.step_clipped(pair, grads, 0.1, 1.5);
            }),
        ),
    ];
    let golden: Vec<&str> = include_str!("golden.txt").lines().collect();
    assert_eq!(golden.len(), cases.len());
    for (line, (name, step)) in golden.iter().zip(&mut cases) {
        let mut fields = line.split(' ');
        assert_eq!(fields.next(), Some(*name));
        let expected: Vec<f64> = fields.map(|f| f.parse().expect("a number")).collect();
        let mut pair = pair();
        for t in 1..=7 {
            let grads = grads_of(&pair, |p| (3.0 * p + f64::from(t)).sin());
            step(&mut pair, &grads);
        }
        let got: Vec<f64> = pair.0.iter().flat_map(|p| p.value().to_vec()).collect();
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(&expected) {
            assert!(
                (got - expected).abs() < 1e-12,
                "{name}: {got} is not {expected}"
            );
        }
    }
}

#[test]
fn a_parameter_without_gradient_neither_moves_nor_ages() {
    let mut pair = pair();
    let mut adam = Adam::new();
    let only_first = |pair: &Pair| {
        let (_, grads) = Tape::new().grad(|t| t.param(&pair.0[0]).sum(&[0]));
        grads
    };
    let second = pair.0[1].value().clone();
    let grads = only_first(&pair);
    adam.step(&mut pair, &grads, 0.1);
    assert_eq!(pair.0[1].value(), &second);
    // The first step of Adam has length η whatever the gradient: it was the first.
    let grads = grads_of(&pair, |_| 1.0);
    adam.step(&mut pair, &grads, 0.1);
    assert!((pair.0[1].value().data()[0] - (-0.7 - 0.1)).abs() < 1e-8);
}

#[test]
fn a_step_writes_where_the_parameter_is() {
    let mut pair = pair();
    let at = pair.0[0].value().data().as_ptr();
    let mut sgd = Sgd::new().momentum(0.9);
    for _ in 0..2 {
        let grads = grads_of(&pair, f64::sin);
        sgd.step(&mut pair, &grads, 0.1);
    }
    assert_eq!(pair.0[0].value().data().as_ptr(), at);
}

/// A parameter that is shared out among threads, and the same numbers as parameters too small for
/// that.
#[test]
fn a_large_parameter_moves_as_its_parts_would() {
    let n = parallel::SERIAL_BELOW + 77;
    let numbers: Vec<f64> = (0..n).map(|i| (i as f64).sin()).collect();
    let parts = |size: usize| {
        let params = numbers.chunks(size);
        Pair(
            params
                .map(|v| Param::new("p", Tensor::new([v.len()], v.to_vec())))
                .collect(),
        )
    };
    let optimizers: [fn() -> Step; 4] = [
        || step_of(Sgd::new().weight_decay(0.05)),
        || step_of(Sgd::new().momentum(0.9).nesterov()),
        || step_of(Adam::new()),
        || step_of(Adam::new().decay(Decay::Decoupled(0.01))),
    ];
    for (at, optimizer) in optimizers.into_iter().enumerate() {
        let trained = |size| {
            let (mut pair, mut step) = (parts(size), optimizer());
            for _ in 0..3 {
                let grads = grads_of(&pair, |p| p.cos());
                step(&mut pair, &grads);
            }
            let bits = |p: &Param<f64>| p.value().to_vec().into_iter().map(f64::to_bits);
            pair.0.iter().flat_map(bits).collect::<Vec<u64>>()
        };
        let (whole, small) = (trained(n), trained(parallel::SERIAL_BELOW / 2));
        let first = whole.iter().zip(&small).position(|(a, b)| a != b);
        assert_eq!(
            first, None,
            "optimizer {at}: the first element that differs"
        );
    }
}

#[test]
fn the_norm_is_over_all_parameters() {
    let mut pair = pair();
    let grads = grads_of(&pair, |_| 2.0);
    assert!((grad_norm(&mut pair, &grads) - 32f64.sqrt()).abs() < 1e-15);
    // Below the limit nothing is scaled.
    let mut sgd = Sgd::new();
    let before = pair.0[0].value().data()[0];
    let norm = sgd.step_clipped(&mut pair, &grads, 0.1, 100.0);
    assert!((norm - 32f64.sqrt()).abs() < 1e-15);
    assert!((pair.0[0].value().data()[0] - (before - 0.2)).abs() < 1e-15);
}

#[test]
#[should_panic(expected = "optimizer: parameter 0 is \"p\", which is not the one")]
fn another_model_is_refused() {
    let mut sgd = Sgd::new();
    for _ in 0..2 {
        let mut pair = pair();
        let grads = grads_of(&pair, |_| 1.0);
        sgd.step(&mut pair, &grads, 0.1);
    }
}
