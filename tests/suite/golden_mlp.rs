//! A small network through five steps of SGD with momentum, beside PyTorch's.
//!
//! One wrong gradient, statistic or update would send the two apart within these steps.

use nn::{Layer, MlpSpec, NormKind, Optimizer, Sgd, State, each_param, each_state, loss};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Tape, Tensor};
use tests::golden;

/// The golden names of the parameters, in the order in which the network shows them.
const NAMES: [&str; 6] = ["w1", "b1", "gamma", "beta", "w2", "b2"];

/// Rounding differences of one step enter the next, so that they grow; a hundred times
/// those of a single op are still eleven equal digits.
const TOLERANCE: f64 = 100.0 * golden::EPSILONS * f64::EPSILON;

#[test]
fn five_steps_with_each_norm() {
    for case in golden::load("mlp").cases {
        let (w1, w2) = (case.tensor::<f64>("w1"), case.tensor::<f64>("w2"));
        let sizes = [w1.shape()[1], w1.shape()[0], w2.shape()[0]];
        let norm = match case.name.as_str() {
            "batchnorm" => NormKind::Batch,
            "layernorm" => NormKind::Layer,
            other => panic!("no test for {other}"),
        };
        // What is drawn here is replaced by the golden weights.
        let mut net = MlpSpec::new(&sizes)
            .norm(norm)
            .build::<f64>(&mut StdRng::seed_from_u64(0));
        let mut names = NAMES.into_iter();
        each_param(&mut net, |param| {
            param.set(case.tensor(names.next().expect("six")))
        });
        assert_eq!(
            names.next(),
            None,
            "the network has fewer parameters than PyTorch's"
        );

        let mut sgd = Sgd::new().momentum(case.number("momentum"));
        let mut tape = Tape::new();
        let mut losses = Vec::new();
        for i in 0..case.count("steps") {
            let target = case.indices(&format!("target{i}"));
            let x = case.tensor(&format!("x{i}"));
            let (loss, grads) = tape.grad(|t| {
                let logits = net.train(&t.constant(x));
                loss::cross_entropy(&logits, &target)
            });
            sgd.step(&mut net, &grads, case.number("lr"));
            losses.push(loss);
        }

        case.assert_within("loss", &Tensor::new([losses.len()], losses), TOLERANCE);
        let mut names = NAMES.into_iter();
        let mut running = 0;
        each_state(&mut net, |path, state| match state {
            State::Param(param) => {
                let name = format!("{}_final", names.next().expect("six"));
                case.assert_within(&name, param.value(), TOLERANCE);
            }
            State::Buffer(tensor) => {
                let name = path.rsplit('.').next().expect("a name");
                case.assert_within(name, tensor, TOLERANCE);
                running += 1;
            }
            State::Count(count) => assert_eq!(*count, case.count("steps") as u64),
        });
        assert_eq!(running, if norm == NormKind::Batch { 2 } else { 0 });
    }
}
