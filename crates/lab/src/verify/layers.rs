//! Cases for the layers and networks of `nn`, with respect to input and parameters.

use nn::check::{CheckLayer, CheckTokens, normal};
use nn::{
    Activation, AvgPool2d, BlockSpec, CellKind, CellNorm, CnnSpec, Conv2d, GroupNorm, Lengths,
    Linear, MaxPool2d, MlpSpec, MultiHeadAttention, NormKind, NormPlace, RecurrentLmSpec,
    RecurrentSpec, TransformerSpec,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Slide, Var};

use super::Case;

const GROUP: &str = "layers";

fn rng() -> StdRng {
    StdRng::seed_from_u64(4)
}

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::on_tape(
            GROUP,
            "nn/src/linear.rs",
            "linear op",
            vec![normal([5, 3], 1), normal([4, 3], 2), normal([4], 3)],
            |x: &[Var<'_, f64>]| nn::linear(&x[0], &x[1], Some(&x[2])),
        ),
        Case::on_tape(
            GROUP,
            "nn/src/linear.rs",
            "linear op, more axes, no bias",
            vec![normal([2, 2, 3], 1), normal([4, 3], 2)],
            |x: &[Var<'_, f64>]| nn::linear(&x[0], &x[1], None),
        ),
        Case::on_tape(
            GROUP,
            "nn/src/linear.rs",
            "linear op, used twice",
            vec![normal([5, 3], 1), normal([3, 3], 2), normal([3], 3)],
            |x: &[Var<'_, f64>]| {
                let once = nn::linear(&x[0], &x[1], Some(&x[2]));
                nn::linear(&once, &x[1], Some(&x[2])) * nn::linear(&x[0], &x[1], None)
            },
        ),
        Case::own(GROUP, "nn/src/linear.rs", "linear layer", || {
            CheckLayer::new("linear layer", normal([5, 3], 1)).run(|| Linear::new(3, 4, &mut rng()))
        }),
    ];
    for norm in [
        NormKind::None,
        NormKind::Batch,
        NormKind::Layer,
        NormKind::Rms,
        NormKind::Group(1),
    ] {
        for (trains, of) in [(true, "training"), (false, "evaluation")] {
            let activation = match norm {
                NormKind::None => Activation::Tanh,
                NormKind::Batch => Activation::Relu,
                NormKind::Layer => Activation::Gelu,
                NormKind::Rms | NormKind::Group(_) => Activation::Sigmoid,
            };
            let title = match norm {
                NormKind::None => "no norm".to_owned(),
                _ => format!("{norm} norm"),
            };
            let name = format!("mlp, {title}, {activation}, {of}");
            let spec = MlpSpec::new(&[3, 4, 2]).norm(norm).activation(activation);
            cases.push(Case::own(GROUP, "nn/src/mlp.rs", name.clone(), move || {
                let mut check = CheckLayer::new(&name, normal([5, 3], 1)).training(trains);
                if norm == NormKind::Batch && trains {
                    // The batch mean takes the bias away again: its gradient is zero.
                    check = check.may_be_zero("layers.0.bias");
                }
                check.run(|| spec.build(&mut rng()))
            }));
        }
    }
    cases.extend(images());
    cases.extend(attention());
    cases.extend(recurrent());
    cases
}

fn images() -> Vec<Case> {
    let image = || normal([2, 2, 5, 4], 1);
    let mut cases = vec![
        Case::own(GROUP, "nn/src/conv.rs", "convolution", move || {
            CheckLayer::new("convolution", image()).run(|| {
                let conv = Conv2d::new(2, 3, 3, &mut rng());
                conv.slide(Slide::by([2, 1]).padded(1))
            })
        }),
        Case::own(GROUP, "nn/src/pool.rs", "max-pool", move || {
            CheckLayer::new("max-pool", image())
                .run(|| MaxPool2d::new(2).slide(Slide::by(2).padded(1)))
        }),
        Case::own(GROUP, "nn/src/pool.rs", "average pool", move || {
            CheckLayer::new("average pool", image())
                .run(|| AvgPool2d::new([2, 3]).slide(Slide::by(1)))
        }),
    ];
    for groups in [1, 2, 4] {
        let name = format!("group norm, {groups} of 4 channels");
        cases.push(Case::own(
            GROUP,
            "nn/src/group_norm.rs",
            name.clone(),
            move || {
                CheckLayer::new(&name, normal([2, 4, 3, 2], 1)).run(|| GroupNorm::new(groups, 4))
            },
        ));
    }
    for norm in [
        NormKind::None,
        NormKind::Batch,
        NormKind::Layer,
        NormKind::Rms,
        NormKind::Group(1),
    ] {
        for (trains, of) in [(true, "training"), (false, "evaluation")] {
            let name = format!("cnn, {norm} norm, {of}");
            cases.push(Case::own(GROUP, "nn/src/cnn.rs", name.clone(), move || {
                let mut check = CheckLayer::new(&name, normal([3, 1, 4, 4], 1)).training(trains);
                if norm == NormKind::Batch && trains {
                    check = check.may_be_zero("conv1.bias").may_be_zero("conv2.bias");
                }
                check.run(|| CnnSpec::new(&[1, 2, 4], 4, 3).norm(norm).build(&mut rng()))
            }));
        }
    }
    cases
}

fn attention() -> Vec<Case> {
    let mut cases = vec![Case::on_tape(
        GROUP,
        "tape/src/ops/index_select.rs",
        "embedding, packed and unpacked",
        vec![normal([5, 3], 1)],
        |x: &[Var<'_, f64>]| {
            let rows = x[0].embedding(&[1, 0, 4, 1, 2, 3]);
            let (short, long) = (Lengths::new(&[2, 4]), Lengths::new(&[3, 2, 4]));
            let padded = short.unpack(&rows);
            let all = Var::concat(&[&padded, &padded.slice(0, 0..1)], 0);
            long.pack(&all)
        },
    )];
    for causal in [false, true] {
        let title = if causal { "causal" } else { "all to all" };
        cases.push(Case::on_tape(
            GROUP,
            "nn/src/attention.rs",
            format!("attention op, {title}"),
            vec![normal([6, 12], 1)],
            move |x| nn::attention(&x[0], &Lengths::new(&[2, 4]), 2, causal),
        ));
        let name = format!("multi-head attention, {title}");
        cases.push(Case::own(
            GROUP,
            "nn/src/attention.rs",
            name.clone(),
            move || {
                CheckLayer::new(&name, normal([2, 3, 4], 1))
                    .run(|| MultiHeadAttention::new(4, 2, &mut rng()).causal(causal))
            },
        ));
    }
    let forms = [
        (NormKind::None, NormPlace::Pre),
        (NormKind::Layer, NormPlace::Pre),
        (NormKind::Layer, NormPlace::Post),
        (NormKind::Batch, NormPlace::Pre),
        (NormKind::Batch, NormPlace::Post),
        (NormKind::Rms, NormPlace::Pre),
        (NormKind::Rms, NormPlace::Post),
    ];
    let source = "nn/src/transformer.rs";
    for (norm, place) in forms {
        let block = BlockSpec::new(4, 2).hidden(5).norm(norm, place);
        let name = format!("transformer block, {place} {norm} norm");
        cases.push(Case::own(GROUP, source, name.clone(), move || {
            let mut check = CheckLayer::new(&name, normal([2, 3, 4], 1));
            if (norm, place) == (NormKind::Batch, NormPlace::Post) {
                // The batch mean takes away the biases in front of it.
                check = check
                    .may_be_zero("self_attn.in_proj_bias")
                    .may_be_zero("self_attn.out_proj.bias")
                    .may_be_zero("linear2.bias");
            }
            check.run(|| block.build(&mut rng()))
        }));
    }
    let name = "transformer language model";
    cases.push(Case::own(GROUP, source, name, move || {
        let spec = TransformerSpec::new(5, 4, 2, BlockSpec::new(4, 2).hidden(5));
        CheckTokens::new(name, 5, &[3, 4]).run(|| spec.build(&mut rng()))
    }));
    cases
}

fn recurrent() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, source) in [
        (CellKind::Rnn, "nn/src/recurrent/cell.rs"),
        (CellKind::Gru, "nn/src/recurrent/gru.rs"),
        (CellKind::Lstm, "nn/src/recurrent/lstm.rs"),
    ] {
        for norm in [
            CellNorm::None,
            CellNorm::Layer,
            CellNorm::Batch { steps: 2 },
        ] {
            for (trains, of) in [(true, "training"), (false, "evaluation")] {
                let name = format!("{kind}, {norm} norm, {of}");
                let source = match (kind, norm) {
                    (CellKind::Lstm, CellNorm::None) => "nn/src/recurrent/lstm_sequence.rs",
                    _ => source,
                };
                cases.push(Case::own(GROUP, source, name.clone(), move || {
                    // At every step three sequences or more: of two, Batch Norm leaves the
                    // signs alone.
                    let lengths = Lengths::new(&[3, 1, 3, 2, 3]);
                    CheckLayer::new(&name, normal([12, 2], 1))
                        .training(trains)
                        .run_with(
                            || RecurrentSpec::new(kind, 2, 3).norm(norm).build(&mut rng()),
                            |net, x, pass| net.forward_packed(x, &lengths, pass),
                        )
                }));
            }
        }
    }
    let name = "lstm language model, two layers";
    cases.push(Case::own(
        GROUP,
        "nn/src/recurrent/model.rs",
        name,
        move || {
            let network = RecurrentSpec::new(CellKind::Lstm, 2, 3).layers(2);
            let spec = RecurrentLmSpec::new(5, network.norm(CellNorm::Layer));
            CheckTokens::new(name, 5, &[3, 1, 4]).run(|| spec.build(&mut rng()))
        },
    ));
    cases
}
