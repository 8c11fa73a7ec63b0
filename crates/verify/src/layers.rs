//! Cases for the layers and networks of `nn`, with respect to input and parameters.

use nn::check::{
    BLOCK_FORMS, CheckLayer, CheckTokens, attention_of_ops, check_block, check_qk_norm, normal,
    small_block, small_qk_norm,
};
use nn::{
    Activation, AvgPool2d, BlockSpec, CellKind, CellNorm, CnnSpec, Conv2d, DynamicTanh, GroupNorm,
    Lengths, Linear, MaxPool2d, MlpSpec, MultiHeadAttention, NormKind, RecurrentLmSpec,
    RecurrentSpec, TransformerSpec,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Real, Slide, Tensor, Var};
use witness::Subject;

use crate::case::Case;
use crate::ops::ROUNDED;

fn rng() -> StdRng {
    StdRng::seed_from_u64(4)
}

fn own<T: Real>(
    source: &'static str,
    name: impl Into<String>,
    subject: impl FnOnce(&str) -> Subject<'static, T>,
) -> Case<T> {
    let name = name.into();
    let subject = subject(&name);
    Case::own("layers", source, name, subject)
}

fn on_tape<T: Real>(
    source: &'static str,
    name: impl Into<String>,
    inputs: Vec<Tensor<f64>>,
    op: impl for<'t> Fn(&[Var<'t, T>]) -> Var<'t, T> + Send + Sync + 'static,
) -> Case<T> {
    let inputs = inputs.iter().map(Tensor::cast).collect();
    Case::on_tape("layers", source, name, inputs, op)
}

const MODES: [(bool, &str); 2] = [(true, "training"), (false, "evaluation")];

/// Every norm, with the activation that stands behind it in an MLP.
const NORMS: [(NormKind, Activation); 5] = [
    (NormKind::None, Activation::Tanh),
    (NormKind::Batch, Activation::Relu),
    (NormKind::Layer, Activation::Gelu),
    (NormKind::Rms, Activation::Sigmoid),
    (NormKind::Group(1), Activation::Sigmoid),
];

/// A check of a layer in which these biases stand before the mean of a batch, which takes
/// them away again if `norm` is of the batch: their gradient is zero.
fn check(
    name: &str,
    x: Tensor<f64>,
    trains: bool,
    norm: NormKind,
    biases: &[&'static str],
) -> CheckLayer {
    let check = CheckLayer::new(name, x).training(trains);
    match (norm, trains) {
        (NormKind::Batch, true) => biases
            .iter()
            .fold(check, |check, &bias| check.may_be_zero(bias)),
        _ => check,
    }
}

pub fn cases<T: Real>() -> Vec<Case<T>> {
    let source = "nn/src/linear.rs";
    let mut cases = vec![
        on_tape(
            source,
            "linear op",
            vec![normal([5, 3], 1), normal([4, 3], 2), normal([4], 3)],
            |x| nn::linear(&x[0], &x[1], Some(&x[2])),
        )
        .composed(|x| x[0].matmul(&x[1].transpose(0, 1)) + &x[2]),
        on_tape(
            source,
            "linear op, more axes, no bias",
            vec![normal([2, 2, 3], 1), normal([4, 3], 2)],
            |x| nn::linear(&x[0], &x[1], None),
        ),
        on_tape(
            source,
            "linear op, used twice",
            vec![normal([5, 3], 1), normal([3, 3], 2), normal([3], 3)],
            |x| {
                let once = nn::linear(&x[0], &x[1], Some(&x[2]));
                nn::linear(&once, &x[1], Some(&x[2])) * nn::linear(&x[0], &x[1], None)
            },
        ),
        on_tape(
            "nn/src/checkpoint.rs",
            "checkpoint of two layers",
            vec![
                normal([5, 3], 1),
                normal([4, 3], 2),
                normal([4], 3),
                normal([3, 4], 4),
            ],
            |x| {
                nn::checkpoint(&[&x[0], &x[1], &x[2], &x[3]], |x| {
                    let hidden = nn::linear(&x[0], &x[1], Some(&x[2])).relu();
                    nn::linear(&hidden, &x[3], None) + &x[0]
                })
            },
        )
        .composed(|x| {
            let hidden = nn::linear(&x[0], &x[1], Some(&x[2])).relu();
            nn::linear(&hidden, &x[3], None) + &x[0]
        }),
        own(source, "linear layer", |name| {
            CheckLayer::new(name, normal([5, 3], 1)).of(move || Linear::new(3, 4, &mut rng()))
        }),
    ];
    for (norm, activation) in NORMS {
        for (trains, of) in MODES {
            let title = match norm {
                NormKind::None => "no norm".to_owned(),
                _ => format!("{norm} norm"),
            };
            let name = format!("mlp, {title}, {activation}, {of}");
            let spec = MlpSpec::new(&[3, 4, 2]).norm(norm).activation(activation);
            let case = own("nn/src/mlp.rs", name, move |name| {
                let check = check(name, normal([5, 3], 1), trains, norm, &["layers.0.bias"]);
                check.of(move || spec.build(&mut rng()))
            });
            cases.push(match activation {
                Activation::Gelu => case.not_exact(ROUNDED),
                _ => case,
            });
        }
    }
    cases.extend(images());
    cases.extend(attention());
    cases.extend(recurrent());
    cases
}

fn images<T: Real>() -> Vec<Case<T>> {
    let image = || normal([2, 2, 5, 4], 1);
    let mut cases = vec![
        own("nn/src/conv.rs", "convolution", move |name| {
            CheckLayer::new(name, image()).of(move || {
                let conv = Conv2d::new(2, 3, 3, &mut rng());
                conv.slide(Slide::by([2, 1]).padded(1))
            })
        }),
        own("nn/src/pool.rs", "max-pool", move |name| {
            CheckLayer::new(name, image())
                .of(move || MaxPool2d::new(2).slide(Slide::by(2).padded(1)))
        }),
        own("nn/src/pool.rs", "average pool", move |name| {
            CheckLayer::new(name, image()).of(move || AvgPool2d::new([2, 3]).slide(Slide::by(1)))
        }),
    ];
    for groups in [1, 2, 4] {
        let name = format!("group norm, {groups} of 4 channels");
        cases.push(own("nn/src/group_norm.rs", name, move |name| {
            CheckLayer::new(name, normal([2, 4, 3, 2], 1)).of(move || GroupNorm::new(groups, 4))
        }));
    }
    for (norm, _) in NORMS {
        for (trains, of) in MODES {
            let name = format!("cnn, {norm} norm, {of}");
            cases.push(own("nn/src/cnn.rs", name, move |name| {
                let biases = ["conv1.bias", "conv2.bias"];
                let check = check(name, normal([3, 1, 4, 4], 1), trains, norm, &biases);
                check.of(move || CnnSpec::new(&[1, 2, 4], 4, 3).norm(norm).build(&mut rng()))
            }));
        }
    }
    cases
}

fn attention<T: Real>() -> Vec<Case<T>> {
    let mut cases = vec![on_tape(
        "tape/src/ops/index_select.rs",
        "embedding, packed and unpacked",
        vec![normal([5, 3], 1)],
        |x| {
            let rows = x[0].embedding(&[1, 0, 4, 1, 2, 3]);
            let (short, long) = (Lengths::new(&[2, 4]), Lengths::new(&[3, 2, 4]));
            let padded = short.unpack(&rows);
            let all = Var::concat(&[&padded, &padded.slice(0, 0..1)], 0);
            long.pack(&all)
        },
    )];
    let source = "nn/src/attention.rs";
    for (causal, title) in [(false, "all to all"), (true, "causal")] {
        let name = format!("attention op, {title}");
        let lengths = || Lengths::new(&[2, 4]);
        let op = on_tape(source, name, vec![normal([6, 12], 1)], move |x| {
            nn::attention(&x[0], &lengths(), 2, causal)
        });
        // The field does not know that e^(a−c) over e^(b−c) is e^a over e^b.
        let op = op.composed(move |x| attention_of_ops(&x[0], &lengths(), 2, causal));
        cases.push(op.not_exactly());
        let name = format!("multi-head attention, {title}");
        cases.push(own(source, name, move |name| {
            CheckLayer::new(name, normal([2, 3, 4], 1))
                .of(move || MultiHeadAttention::new(4, 2, &mut rng()).causal(causal))
        }));
    }
    for norm in [NormKind::Layer, NormKind::Rms] {
        let name = format!("multi-head attention, {norm} norm on queries and keys");
        cases.push(own(source, name, move |name| {
            check_qk_norm(name, norm).of(move || small_qk_norm(norm))
        }));
    }
    cases.push(own("nn/src/dynamic_tanh.rs", "dynamic tanh", |name| {
        CheckLayer::new(name, normal([4, 2, 3], 1)).of(|| DynamicTanh::new([2, 3]))
    }));
    let source = "nn/src/transformer.rs";
    for (norm, place) in BLOCK_FORMS {
        let name = format!("transformer block, {place} {norm} norm");
        let case = own(source, name, move |name| {
            check_block(name, norm, place, true)
                .of(move || small_block(norm, place).build(&mut rng()))
        });
        cases.push(case.not_exact(ROUNDED));
    }
    let case = own(source, "transformer language model", |name| {
        let spec = TransformerSpec::new(5, 4, 2, BlockSpec::new(4, 2).hidden(5));
        CheckTokens::new(name, 5, &[3, 4]).of(move || spec.build(&mut rng()))
    });
    cases.push(case.not_exact(ROUNDED));
    cases
}

fn recurrent<T: Real>() -> Vec<Case<T>> {
    let mut cases = Vec::new();
    for (kind, source) in [
        (CellKind::Rnn, "nn/src/recurrent/cell.rs"),
        (CellKind::Gru, "nn/src/recurrent/gru.rs"),
        (CellKind::Lstm, "nn/src/recurrent/lstm.rs"),
    ] {
        let by_step = CellNorm::Batch { steps: 2 };
        for norm in [CellNorm::None, CellNorm::Layer, by_step] {
            for (trains, of) in MODES {
                let source = match (kind, norm) {
                    (CellKind::Lstm, CellNorm::None) => "nn/src/recurrent/lstm_sequence.rs",
                    _ => source,
                };
                let name = format!("{kind}, {norm} norm, {of}");
                cases.push(own(source, name, move |name| {
                    // At every step three sequences or more: of two, Batch Norm leaves the
                    // signs alone.
                    let lengths = Lengths::new(&[3, 1, 3, 2, 3]);
                    CheckLayer::new(name, normal([12, 2], 1))
                        .training(trains)
                        .of_module(
                            move || RecurrentSpec::new(kind, 2, 3).norm(norm).build(&mut rng()),
                            move |net, x, pass| net.forward_packed(x, &lengths, pass),
                        )
                }));
            }
        }
    }
    let name = "lstm language model, two layers";
    cases.push(own("nn/src/recurrent/model.rs", name, |name| {
        let network = RecurrentSpec::new(CellKind::Lstm, 2, 3).layers(2);
        let spec = RecurrentLmSpec::new(5, network.norm(CellNorm::Layer));
        CheckTokens::new(name, 5, &[3, 1, 4]).of(move || spec.build(&mut rng()))
    }));
    cases
}
