use std::ops::Range;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Param, Tape, Tensor, Var};

use super::cell::Cell;
use super::lstm::lstm_state;
use super::schedule::{Rows, Schedule};
use super::step_norm::StepBatchNorm;
use super::*;
use crate::check::{CheckLayer, CheckTokens, normal};
use crate::module::{each_param, each_state, forget_statistics};
use crate::{Layer, Lengths, Pass, State, TokenModel};

const KINDS: [CellKind; 3] = [CellKind::Rnn, CellKind::Gru, CellKind::Lstm];
const NORMS: [CellNorm; 3] = [
    CellNorm::None,
    CellNorm::Layer,
    CellNorm::Batch { steps: 2 },
];

fn rng() -> StdRng {
    StdRng::seed_from_u64(4)
}

fn spec(kind: CellKind, norm: CellNorm) -> RecurrentSpec {
    RecurrentSpec::new(kind, 2, 3).norm(norm)
}

#[test]
fn gradient() {
    // At every step three sequences or more: of two, Batch Norm leaves the signs alone.
    let lengths = Lengths::new(&[3, 1, 3, 2, 3]);
    for kind in KINDS {
        for norm in NORMS {
            for (layers, trains) in [(1, true), (2, true), (1, false)] {
                let name = format!("{kind}, {norm} norm, {layers} layers, training: {trains}");
                CheckLayer::new(&name, normal([12, 2], 1))
                    .training(trains)
                    .run_with(
                        || spec(kind, norm).layers(layers).build(&mut rng()),
                        |net, x, pass| net.forward_packed(x, &lengths, pass),
                    )
                    .assert_passes();
            }
        }
    }
}

#[test]
fn model_gradient() {
    for kind in KINDS {
        let make = || RecurrentLmSpec::new(5, spec(kind, CellNorm::Layer)).build(&mut rng());
        CheckTokens::new("recurrent model", 5, &[3, 1, 4])
            .run(make)
            .assert_passes();
    }
}

#[test]
fn parameters_have_pytorchs_names() {
    let names = |kind, norm| {
        let mut names = Vec::new();
        each_param(&mut spec(kind, norm).build::<f32>(&mut rng()), |p| {
            names.push(format!("{} {}", p.name(), p.value().shape()));
        });
        names
    };
    let plain = [
        "weight_ih_l0 [9, 2]",
        "weight_hh_l0 [9, 3]",
        "bias_ih_l0 [9]",
        "bias_hh_l0 [9]",
    ];
    assert_eq!(names(CellKind::Gru, CellNorm::None), plain);
    let normed = names(CellKind::Lstm, CellNorm::Layer);
    let more = [
        "norm_ih_l0.gamma [12]",
        "norm_hh_l0.gamma [12]",
        "norm_c_l0.gamma [3]",
        "bias_c_l0 [3]",
    ];
    assert_eq!(normed[4..], more);
    assert_eq!(
        names(CellKind::Rnn, CellNorm::Layer)[4..],
        ["norm_hh_l0.gamma [3]"]
    );
    let mut two = spec(CellKind::Rnn, CellNorm::None)
        .layers(2)
        .build::<f32>(&mut rng());
    let mut seen = Vec::new();
    each_param(&mut two, |p| seen.push(p.name().to_owned()));
    assert_eq!(seen[4..6], ["weight_ih_l1", "weight_hh_l1"]);
}

#[test]
fn a_sequence_is_the_same_whatever_stands_beside_it() {
    let x = normal([9, 2], 1);
    for kind in KINDS {
        for norm in [CellNorm::None, CellNorm::Layer] {
            let net = spec(kind, norm).layers(2).build::<f64>(&mut rng());
            let run = |rows: Range<usize>, lengths: &[usize]| {
                Tape::eval(|t| {
                    let x = t.constant(x.clone()).slice(0, rows);
                    let lengths = Lengths::new(lengths);
                    let y = net.forward_packed(&x, &lengths, &mut Pass::train());
                    (
                        y.value().clone(),
                        Recurrent::last(&y, &lengths).value().clone(),
                    )
                })
            };
            let (all, last) = run(0..9, &[2, 4, 3]);
            let mut row = 0;
            for (i, length) in [2, 4, 3].into_iter().enumerate() {
                let (alone, end) = run(row..row + length, &[length]);
                let same = &all.data()[3 * row..][..3 * length];
                for (a, b) in alone.data().iter().zip(same) {
                    assert!((a - b).abs() < 1e-15, "{a} is not {b}");
                }
                assert_eq!(end.data(), &alone.data()[3 * (length - 1)..]);
                assert_eq!(
                    last.data()[3 * i..][..3],
                    all.data()[3 * (row + length - 1)..][..3]
                );
                row += length;
            }
        }
    }
}

#[test]
fn a_batch_of_equal_lengths_is_a_rectangle() {
    let net = spec(CellKind::Lstm, CellNorm::None).build::<f64>(&mut rng());
    Tape::eval(|t| {
        let x = t.constant(normal([2, 3, 2], 1));
        let y = net.eval(&x);
        assert_eq!(**y.shape(), [2, 3, 3]);
        let rows = x.reshape([6, 2]);
        let packed = net.forward_packed(&rows, &Lengths::full(2, 3), &mut Pass::eval());
        assert_eq!(y.value().data(), packed.value().data());
    });
}

/// Read in two parts, the second from the state that the first ended with, a sequence gives what
/// it gives as a whole, whichever place it has among others.
#[test]
fn a_sequence_goes_on_from_the_state_that_it_is_given() {
    for (kind, norm) in [(CellKind::Rnn, NORMS[0]), (CellKind::Gru, NORMS[1])] {
        let net = spec(kind, norm).build::<f64>(&mut rng());
        let halves = [Lengths::full(3, 2), Lengths::new(&[1, 3, 2])];
        let whole = Lengths::new(&[3, 5, 4]);
        Tape::eval(|t| {
            let x = t.constant(normal([12, 2], 1));
            let rows = |of: [Range<usize>; 3]| {
                x.index_select(0, &of.into_iter().flatten().collect::<Vec<_>>())
            };
            let first =
                net.forward_packed(&rows([0..2, 3..5, 8..10]), &halves[0], &mut Pass::eval());
            let start = Recurrent::last(&first, &halves[0]);
            let second = rows([2..3, 5..8, 10..12]);
            let second = net.forward_from(&second, Some(&start), &halves[1], &mut Pass::eval());
            let ends = Recurrent::last(&second, &halves[1]);
            let all = net.forward_packed(&x, &whole, &mut Pass::eval());
            let expected = Recurrent::last(&all, &whole);
            for (a, b) in ends.value().data().iter().zip(expected.value().data()) {
                assert!((a - b).abs() < 1e-14, "{kind}: {a} is not {b}");
            }
        });
    }
}

/// Without a norm an LSTM has its steps in one op, but not from a state that is given.
#[test]
fn an_lstm_that_starts_from_zeros_is_the_same_either_way() {
    let net = spec(CellKind::Lstm, CellNorm::None).build::<f64>(&mut rng());
    let lengths = Lengths::new(&[1, 3, 2]);
    Tape::eval(|t| {
        let x = t.constant(normal([6, 2], 1));
        let zeros = t.constant(Tensor::zeros([3, 3]));
        let usual = net.forward_packed(&x, &lengths, &mut Pass::eval());
        let given = net.forward_from(&x, Some(&zeros), &lengths, &mut Pass::eval());
        for (a, b) in usual.value().data().iter().zip(given.value().data()) {
            assert!((a - b).abs() < 1e-14, "{a} is not {b}");
        }
        let noise = t.constant(normal([3, 3], 2));
        let noisy = net.forward_from(&x, Some(&noise), &lengths, &mut Pass::eval());
        assert_ne!(usual.value(), noisy.value());
    });
}

#[test]
#[should_panic(
    expected = "a start of shape [2, 3] does not go with 3 sequences and states of 3 features"
)]
fn every_sequence_needs_a_state_to_start_from() {
    let net = spec(CellKind::Gru, CellNorm::None).build::<f64>(&mut rng());
    Tape::eval(|t| {
        let [x, start] = [[6, 2], [2, 3]].map(|shape| t.constant(normal(shape, 1)));
        let lengths = Lengths::new(&[1, 3, 2]);
        net.forward_from(&x, Some(&start), &lengths, &mut Pass::eval());
    });
}

/// With every batch weighing the same, statistics are those of an average over the batches.
#[test]
fn statistics_of_a_step_can_be_averaged_over_batches() {
    let norm = CellNorm::Batch { steps: 2 };
    let mut net = spec(CellKind::Lstm, norm).build::<f64>(&mut rng());
    let mut after = |seeds: &[u64]| {
        forget_statistics(&mut net);
        for &seed in seeds {
            Tape::eval(|t| {
                let x = t.constant(normal([8, 2], seed));
                let mut pass = Pass::train().averaging();
                net.forward_packed(&x, &Lengths::full(4, 2), &mut pass);
                pass.finish(&mut net);
            });
        }
        let mut all = Vec::new();
        each_state(&mut net, |_, state| {
            if let State::Buffer(buffer) = state {
                all.extend(buffer.data().iter().copied());
            }
        });
        all
    };
    let [one, two, both] = [&[1][..], &[2], &[1, 2]].map(&mut after);
    for ((one, two), both) in one.iter().zip(&two).zip(&both) {
        assert!((0.5 * (one + two) - both).abs() < 1e-14);
    }
    assert_ne!(one, two);
}

/// The statistics of a step are those of the sequences that reach it, and each step has
/// its own.
#[test]
fn batch_norm_sees_the_sequences_that_reach_a_step() {
    let lengths = Lengths::new(&[1, 3, 2, 3]);
    let norm = CellNorm::Batch { steps: 5 };
    let mut net = spec(CellKind::Gru, norm).build::<f64>(&mut rng());
    let bias = net.cells[0].bias_hh.value().clone();
    let mut seen = Vec::new();
    Tape::eval(|t| {
        let x = t.constant(normal([9, 2], 1).map(|x| 1.0 + 2.0 * x));
        let mut probe = |name: &str, value: &Var<'_, f64>| {
            if name.ends_with("hh") {
                seen.push(value.value().clone());
            }
        };
        let mut pass = Pass::train().probed(&mut probe);
        net.forward_packed(&x, &lengths, &mut pass);
        pass.finish(&mut net);
    });
    assert_eq!(
        seen.iter().map(|v| v.shape()[0]).collect::<Vec<_>>(),
        [4, 3, 2]
    );
    for (step, value) in seen.iter().enumerate().skip(1) {
        let rows = value.shape()[0] as f64;
        for (c, bias) in bias.data().iter().enumerate() {
            let column = || value.data().iter().skip(c).step_by(9);
            let mean = column().sum::<f64>() / rows;
            let var = column().map(|y| (y - mean).powi(2)).sum::<f64>() / rows;
            assert!(
                (mean - bias).abs() < 1e-12,
                "step {step}: {mean} is not {bias}"
            );
            // gamma is 0.1; eps takes its share.
            assert!(var > 0.0 && var < 0.01, "step {step}: {var}");
        }
    }
    let mut tracked = Vec::new();
    each_state(&mut net, |name, state| {
        if let State::Count(count) = state
            && name.contains("norm_hh")
        {
            tracked.push((name.to_owned(), *count));
        }
    });
    assert_eq!(tracked[0].0, "norm_hh_l0.steps.0.num_batches_tracked");
    assert_eq!(
        tracked.iter().map(|t| t.1).collect::<Vec<_>>(),
        [1, 1, 1, 0, 0]
    );
}

#[test]
fn later_steps_are_evaluated_by_the_last_statistics_there_are() {
    let run = |steps, trained: usize| {
        let norm = CellNorm::Batch { steps };
        let mut net = spec(CellKind::Lstm, norm).build::<f64>(&mut rng());
        Tape::eval(|t| {
            let x = t.constant(normal([4, trained, 2], 1));
            drop(net.train(&x));
            let long = t.constant(normal([2, 6, 2], 2));
            net.eval(&long).value().clone()
        })
    };
    // Statistics for three steps, and for more of which three were seen: the same.
    assert_eq!(run(3, 3), run(7, 3));
    assert_ne!(run(7, 3), run(7, 2));
    assert_ne!(run(3, 3), run(1, 3));
}

#[test]
fn a_step_that_one_sequence_reaches_takes_the_running_statistics() {
    let norm = CellNorm::Batch { steps: 3 };
    let mut net = spec(CellKind::Lstm, norm).build::<f64>(&mut rng());
    let mut run = |lengths: &[usize], mut pass: Pass<'_, f64>| {
        let rows = lengths.iter().sum::<usize>();
        Tape::eval(|t| {
            let x = t.constant(normal([rows, 2], 1));
            let y = net.forward_packed(&x, &Lengths::new(lengths), &mut pass);
            pass.finish(&mut net);
            y.value().clone()
        })
    };
    let y = run(&[2, 3], Pass::train());
    assert!(y.data().iter().all(|y| y.is_finite()));
    // In evaluation a single sequence is welcome.
    run(&[3], Pass::eval());
}

/// In the first batch there is nothing else to go by than what its own steps have shown.
#[test]
fn a_step_that_one_sequence_reaches_knows_the_steps_before_it() {
    let mut norm = StepBatchNorm::<f64>::new(2, 3);
    let (x, lone) = (normal([4, 2], 1), normal([1, 2], 2));
    Tape::eval(|t| {
        let beta = t.constant(Tensor::zeros([2]));
        let [x, lone] = [x, lone].map(|x| t.constant(x));
        let mut pass = Pass::train();
        norm.forward(&x, &beta, 0, false, &mut pass);
        let within = norm.forward(&lone, &beta, 1, false, &mut pass);
        let nothing_known = norm.forward(&lone, &beta, 1, false, &mut Pass::train());
        assert_ne!(within.value(), nothing_known.value());
        pass.finish(&mut norm);
        let after = norm.forward(&lone, &beta, 1, false, &mut Pass::eval());
        assert_eq!(within.value(), after.value());
    });
}

#[test]
#[should_panic(expected = "in training every channel needs at least 2 values")]
fn batch_norm_refuses_to_train_on_one_sequence() {
    let norm = CellNorm::Batch { steps: 3 };
    let mut net = spec(CellKind::Lstm, norm).build::<f64>(&mut rng());
    Tape::eval(|t| drop(net.train(&t.constant(normal([1, 3, 2], 1)))));
}

#[test]
fn a_classifier_reads_the_state_at_the_end() {
    let network = spec(CellKind::Lstm, CellNorm::Layer);
    let model = RecurrentLmSpec::new(5, network)
        .outputs(4)
        .build::<f64>(&mut rng());
    Tape::eval(|t| {
        let (tokens, lengths) = ([0, 1, 4, 2, 2], Lengths::new(&[2, 3]));
        let all = model.eval(t, &tokens, &lengths);
        let y = model.classify(t, &tokens, &lengths, &mut Pass::eval());
        assert_eq!(**y.shape(), [2, 4]);
        for (a, b) in y.value().data()[4..].iter().zip(&all.value().data()[16..]) {
            assert!((a - b).abs() < 1e-15);
        }
        for (a, b) in y.value().data()[..4].iter().zip(&all.value().data()[4..8]) {
            assert!((a - b).abs() < 1e-15);
        }
    });
}

#[test]
fn a_probe_sees_every_step_in_order() {
    let mut seen = Vec::new();
    let net = spec(CellKind::Rnn, CellNorm::None)
        .layers(2)
        .build::<f64>(&mut rng());
    Tape::eval(|t| {
        let x = t.constant(normal([2, 2, 2], 1));
        let mut probe = |name: &str, _: &Var<'_, f64>| seen.push(name.to_owned());
        net.forward(&x, &mut Pass::eval().probed(&mut probe));
    });
    let expected = [
        "l0.step0.hh",
        "l0.step0.h",
        "l0.step1.hh",
        "l0.step1.h",
        "l1.step0.hh",
        "l1.step0.h",
        "l1.step1.hh",
        "l1.step1.h",
    ];
    assert_eq!(seen, expected);
}

#[test]
#[should_panic(
    expected = "x of shape [5, 2] does not go with weight_ih_l0 of shape [3, 2] and \
                           sequences of lengths [2, 4]"
)]
fn rows_must_agree_with_the_lengths() {
    let net = spec(CellKind::Rnn, CellNorm::None).build::<f64>(&mut rng());
    Tape::eval(|t| {
        let x = t.constant(normal([5, 2], 1));
        net.forward_packed(&x, &Lengths::new(&[2, 4]), &mut Pass::eval());
    });
}

#[test]
#[should_panic(expected = "x of shape [2, 3, 4] does not go with weight_ih_l0 of shape [12, 2]")]
fn the_width_must_agree() {
    let net = spec(CellKind::Lstm, CellNorm::None).build::<f64>(&mut rng());
    Tape::eval(|t| drop(net.eval(&t.constant(normal([2, 3, 4], 1)))));
}

#[test]
#[should_panic(expected = "lstm_state: rows 0..2 of gates of shape [5, 12], gates of shape [2, 8]")]
fn gates_must_agree() {
    Tape::eval(|t| {
        let [x, h, c] = [[5, 12], [2, 8], [2, 3]].map(|s| t.constant(normal(s, 1)));
        lstm_state(&x, Rows { start: 0, count: 2 }, &h, &c);
    });
}

/// The op of all steps against the ops of each step.
#[test]
fn all_steps_at_once_are_the_steps_one_by_one() {
    let lengths = Lengths::new(&[2, 5, 1, 5, 3]);
    let schedule = Schedule::new(&lengths);
    let cell = Cell::<f64>::new(&spec(CellKind::Lstm, CellNorm::None), 2, &mut rng());
    let x = Param::new("x", normal([16, 2], 1));
    let dy = normal([16, 3], 2);
    let [at_once, one_by_one] = [true, false].map(|at_once| {
        let (y, grads) = Tape::new().vjp(&dy, |t| {
            let (x, pass) = (t.param(&x), &mut Pass::train());
            if at_once {
                cell.forward(&x, None, &schedule, pass)
            } else {
                let gates_x = cell.gates_from_inputs(&x, &schedule, pass);
                cell.step_by_step(&gates_x, None, &schedule, pass)
            }
        });
        let weights = [
            &cell.weight_ih,
            &cell.weight_hh,
            &cell.bias_ih,
            &cell.bias_hh,
        ];
        let mut results = vec![y, grads.of(&x)];
        results.extend(weights.map(|param| grads.of(param)));
        results
    });
    for (a, b) in at_once.iter().zip(&one_by_one) {
        assert!(b.data().iter().all(|b| b.abs() > 1e-6));
        for (a, b) in a.data().iter().zip(b.data()) {
            assert!((a - b).abs() < 1e-14, "{a} is not {b}");
        }
    }
}
