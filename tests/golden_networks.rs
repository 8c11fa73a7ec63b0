//! Networks with PyTorch's weights: outputs and the gradients of input and parameters.
//!
//! Parameters are matched by the names of PyTorch's `state_dict`.

use nn::{
    BlockSpec, CellKind, CellNorm, CnnSpec, Layer, Lengths, NormPlace, Pass, RecurrentSpec, State,
    each_state, torch_name,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Param, Tape, Var};
use tests::golden::{self, Case};

/// A network is some tens of ops in a row, each with its own roundings.
const TOLERANCE: f64 = 10.0 * golden::EPSILONS * f64::EPSILON;

/// What is drawn at first is replaced by the golden weights.
fn rng() -> StdRng {
    StdRng::seed_from_u64(0)
}

/// Gives `net` the golden weights, runs `forward` on the golden x, and compares y, dx and
/// the gradient of every parameter; last the buffers that `forward` moved.
#[track_caller]
fn check<M: nn::Module<f64>>(
    case: &Case,
    net: &mut M,
    forward: impl for<'t> FnOnce(&M, &Var<'t, f64>, &mut Pass<'_, f64>) -> Var<'t, f64>,
) {
    let mut names = 0;
    each_state(net, |path, state| {
        if let State::Param(param) = state {
            param.set(case.tensor(&torch_name(path)));
            names += 1;
        }
    });
    let given = case.names().filter(|name| name.starts_with("d ")).count();
    assert_eq!(
        names, given,
        "{}: PyTorch has another number of parameters",
        case.name
    );
    let x: Param<f64> = case.param("x");
    let mut pass = Pass::train();
    let (y, grads) = Tape::new().vjp(&case.tensor("dy"), |t| {
        forward(net, &t.param(&x), &mut pass)
    });
    pass.finish(net);
    case.assert_within("y", &y, TOLERANCE);
    case.assert_within("dx", &grads.of(&x), TOLERANCE);
    each_state(net, |path, state| match state {
        State::Param(param) => {
            let name = format!("d {}", torch_name(path));
            case.assert_within(&name, &grads.of(param), TOLERANCE);
        }
        // What the case has no values for is checked elsewhere.
        State::Buffer(tensor) if case.has(&torch_name(path)) => {
            case.assert_within(&torch_name(path), tensor, TOLERANCE);
        }
        State::Buffer(_) | State::Count(_) => {}
    });
}

#[test]
fn cnn() {
    for case in golden::load("cnn").cases {
        let norm = case.name.parse().expect("a norm");
        let spec = CnnSpec::new(
            &case.counts("channels"),
            case.count("side"),
            case.count("outputs"),
        );
        let mut net = spec.norm(norm).build(&mut rng());
        check(&case, &mut net, |net, x, pass| net.forward(x, pass));
    }
}

#[test]
fn transformer_blocks() {
    for case in golden::load("transformer").cases {
        let place = match case.text("place") {
            "pre" => NormPlace::Pre,
            _ => NormPlace::Post,
        };
        let lengths = Lengths::new(&case.counts("lengths"));
        let causal = case.name.ends_with("causal");
        let mut block = BlockSpec::new(case.count("width"), case.count("heads"))
            .hidden(case.count("hidden"))
            .norm(case.text("norm").parse().expect("a norm"), place)
            .causal(causal)
            .build(&mut rng());
        check(&case, &mut block, |block, x, pass| {
            if causal {
                return block.forward(x, pass);
            }
            block.forward_packed(&lengths.pack(x), &lengths, pass)
        });
    }
}

#[test]
fn recurrent_networks() {
    for case in golden::load("recurrent").cases {
        let kind = match case.text("cell") {
            "rnn" => CellKind::Rnn,
            "gru" => CellKind::Gru,
            _ => CellKind::Lstm,
        };
        let norm = match case.text("norm") {
            "none" => CellNorm::None,
            "layer" => CellNorm::Layer,
            _ => CellNorm::Batch { steps: 3 },
        };
        let x = case.tensor::<f64>("x");
        let lengths = Lengths::new(&case.counts("lengths"));
        let mut net = RecurrentSpec::new(kind, x.shape()[2], case.count("hidden"))
            .layers(case.count("layers"))
            .norm(norm)
            .build(&mut rng());
        check(&case, &mut net, |net, x, pass| {
            net.forward_packed(&lengths.pack(x), &lengths, pass)
        });
    }
}
