//! Claim C11: Batch Norm pays for maintaining mini-batch statistics; Layer Norm is simpler but
//! may train slightly slower, and is more stable.
//!
//! # Protocol
//! *Cost of a step.* An MLP 784-512-256-10 with batches of 128, and a CNN with convolutions
//! of 16 and 32 channels on 28 x 28 images with batches of 64, each with nothing, Batch Norm
//! or Layer Norm before each ReLU, make training steps: forward, backward and an update by
//! SGD with momentum, on one thread. Steps are timed in rounds. In a round every method makes
//! the same few steps, in an order that rotates from round to round, and its time is divided
//! by that of no norm in the same round: what slows the machine down for a while slows all
//! methods. Reported are the median ratio over the rounds and its quartiles; no time. The
//! evaluation of a batch is measured in the same way.
//!
//! *Memory.* Bytes that the forward pass leaves on the tape for the backward pass, and bytes
//! of state that is kept but not learned.
//!
//! *Steps and stability.* Taken from the results of `convergence`: the steps to its target,
//! and over the seeds the range from first to third quartile relative to the median.
//!
//! The claim has three parts. *Pays*: in both networks a step of Batch Norm costs clearly
//! more than one of Layer Norm (the ranges do not overlap). *Slower*: Layer Norm needs
//! clearly more steps than Batch Norm in most networks of `convergence`. *Stable*: the
//! relative range of its steps is smaller than that of Batch Norm in most of them. It is
//! supported if all three hold, not supported if none, and depends otherwise.

use std::time::Instant;

use nn::loss::cross_entropy;
use nn::{CnnSpec, Layer, MlpSpec, Mode, NormKind, Optimizer, Sgd, State, each_state};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tape::{Tape, Tensor};

use crate::chart::{Axis, Chart, Line};
use crate::claims::{Answer, Claim};
use crate::experiment::{Error, Experiment, Finding};
use crate::method::{METHODS, ink, name};
use crate::recorded::Recorded;
use crate::session::Session;
use crate::stats::{Apart, Spread};

pub(crate) const EXPERIMENT: Experiment = Experiment {
    name: "cost",
    about: "what a step costs in time and memory, as ratios to no norm",
    chapter: 17,
    claim: Some(Claim {
        id: "C11",
        text: "Batch Norm pays for maintaining mini-batch statistics; Layer Norm is simpler but \
               may train slightly slower, and is more stable.",
    }),
    timed: true,
    protocol: |quick| serde_json::to_value(Protocol::new(quick)).expect("plain data serializes"),
    run,
};

#[derive(Serialize)]
struct Protocol {
    mlp: Vec<usize>,
    mlp_batch: usize,
    cnn_channels: Vec<usize>,
    cnn_side: usize,
    cnn_batch: usize,
    activation: &'static str,
    optimizer: &'static str,
    threads: usize,
    rounds: usize,
    steps_in_a_round: usize,
    measured: &'static str,
    decision_rule: &'static str,
}

impl Protocol {
    fn new(quick: bool) -> Self {
        Protocol {
            mlp: if quick {
                vec![64, 32, 10]
            } else {
                vec![784, 512, 256, 10]
            },
            mlp_batch: if quick { 16 } else { 128 },
            cnn_channels: if quick { vec![1, 4] } else { vec![1, 16, 32] },
            cnn_side: if quick { 8 } else { 28 },
            cnn_batch: if quick { 4 } else { 64 },
            activation: "relu",
            optimizer: "SGD, momentum 0.9",
            threads: 1,
            rounds: if quick { 6 } else { 120 },
            steps_in_a_round: if quick { 2 } else { 4 },
            measured: "time of each method over that of no norm in the same round, methods \
                       interleaved in rotating order; bytes on the tape after a forward pass, \
                       bytes of running statistics; steps to the target from the results of \
                       convergence",
            decision_rule: "pays: a step of Batch Norm costs clearly more than one of Layer Norm \
                            in both networks (quartile ranges over rounds apart); slower: Layer \
                            Norm needs clearly more steps to the target than Batch Norm in most \
                            networks of convergence; stable: its (high - low)/median of steps \
                            over the seeds is smaller in most of them. supported: all three; \
                            not supported: none; else depends",
        }
    }
}

/// What a method costs in a network.
#[derive(Clone, Serialize, Deserialize)]
struct Cost {
    /// Time of a training step over that of no norm, round by round.
    step: Vec<f64>,
    /// The same for an evaluation.
    evaluation: Vec<f64>,
    tape_bytes: usize,
    state_bytes: usize,
}

fn run(session: &mut Session) -> Result<Finding, Error> {
    let protocol = Protocol::new(session.quick());
    let convergence = Recorded::load("convergence")?;
    session.begin(2)?;
    // One after the other: two at a time would measure each other.
    let mut costs = Vec::new();
    for network in ["mlp", "cnn"] {
        let one = session.map(
            &[network],
            |n| (*n).to_owned(),
            |&network| {
                if network == "mlp" {
                    let sizes = &protocol.mlp;
                    let shape = [protocol.mlp_batch, sizes[0]];
                    let build = |norm, rng: &mut _| MlpSpec::new(sizes).norm(norm).build(rng);
                    measure(build, &shape, &protocol)
                } else {
                    let (channels, side) = (&protocol.cnn_channels, protocol.cnn_side);
                    let shape = [protocol.cnn_batch, channels[0] * side * side];
                    let build =
                        |norm, rng: &mut _| CnnSpec::new(channels, side, 10).norm(norm).build(rng);
                    measure(build, &shape, &protocol)
                }
            },
        )?;
        costs.push((network, one.into_iter().next().expect("one job was run")));
    }
    let ratio = |cost: &Cost| Spread::of(&cost.step).expect("there is a round");
    let pays = costs
        .iter()
        .all(|(_, costs)| ratio(&costs[1]).seen_from(ratio(&costs[2])) == Apart::Above);
    let steps = steps(&convergence)?;
    let most = |holds: &dyn Fn(&[Spread; 3]) -> bool| {
        2 * steps.iter().filter(|(_, s)| holds(s)).count() > steps.len()
    };
    let slower = most(&|[_, batch, layer]| layer.seen_from(*batch) == Apart::Above);
    let stable = most(&|[_, batch, layer]| relative(*layer) < relative(*batch));
    let answer = Answer::of([pays, slower, stable]);
    let entries = costs.iter().flat_map(|(network, costs)| {
        costs.iter().zip(METHODS).map(move |(cost, method)| {
            json!({
                "network": network,
                "method": method.to_string(),
                "step_over_no_norm": Spread::of(&cost.step),
                "evaluation_over_no_norm": Spread::of(&cost.evaluation),
                "tape_bytes": cost.tape_bytes,
                "state_bytes": cost.state_bytes,
            })
        })
    });
    let from_convergence = steps.iter().map(|(network, [none, batch, layer])| {
        json!({ "network": network, "steps": { "none": none, "batch": batch, "layer": layer },
            "relative_range": { "none": relative(*none), "batch": relative(*batch),
                "layer": relative(*layer) } })
    });
    Ok(Finding {
        data: json!({
            "pays": pays, "slower": slower, "stable": stable,
            "costs": entries.collect::<Vec<Value>>(),
            "convergence": from_convergence.collect::<Vec<Value>>(),
        }),
        charts: vec![("rounds", chart(&costs))],
        answer: Some(answer),
        verdict: verdict(answer, &costs, pays, slower, stable),
        table: table(&costs),
    })
}

/// One method while it is measured.
struct Subject<M> {
    model: M,
    sgd: Sgd<f32>,
    tape: Tape<f32>,
}

fn measure<M: Layer<f32>>(
    build: impl Fn(NormKind, &mut StdRng) -> M,
    shape: &[usize; 2],
    protocol: &Protocol,
) -> Vec<Cost> {
    let rng = &mut StdRng::seed_from_u64(0);
    let images = Tensor::<f32>::uniform(*shape, 0.0, 1.0, rng);
    let labels: Vec<usize> = (0..shape[0]).map(|i| i % 10).collect();
    let mut subjects: Vec<Subject<M>> = METHODS
        .iter()
        .map(|&norm| Subject {
            model: build(norm, &mut StdRng::seed_from_u64(0)),
            sgd: Sgd::new().momentum(0.9),
            tape: Tape::new(),
        })
        .collect();
    let step = |subject: &mut Subject<M>| {
        let Subject { model, sgd, tape } = subject;
        let (_, bytes, grads) = tape.grad(|t| {
            let logits = model.forward(&t.constant(images.clone()), Mode::Train);
            let loss = cross_entropy(&logits, &labels);
            (loss, t.saved_bytes())
        });
        sgd.step(model, &grads, 1e-3);
        bytes
    };
    let evaluate = |subject: &mut Subject<M>| {
        Tape::eval(|t| {
            let logits = subject
                .model
                .forward(&t.constant(images.clone()), Mode::Eval);
            std::hint::black_box(logits.value().data()[0]);
        });
    };
    let mut costs: Vec<Cost> = subjects
        .iter_mut()
        .map(|subject| {
            // The first steps make the buffers that later ones reuse.
            step(subject);
            let tape_bytes = step(subject);
            let mut state_bytes = 0;
            each_state(&mut subject.model, |_, state| match state {
                State::Buffer(tensor) => state_bytes += tensor.bytes(),
                State::Count(_) => state_bytes += size_of::<u64>(),
                State::Param(_) => {}
            });
            Cost {
                step: Vec::new(),
                evaluation: Vec::new(),
                tape_bytes,
                state_bytes,
            }
        })
        .collect();
    let count = METHODS.len();
    // ANCHOR: rounds
    for round in 0..protocol.rounds {
        let mut times = [[0.0; 2]; METHODS.len()];
        for place in 0..count {
            let i = (round + place) % count;
            let mut timed = |f: &mut dyn FnMut(&mut Subject<M>)| {
                let start = Instant::now();
                for _ in 0..protocol.steps_in_a_round {
                    f(&mut subjects[i]);
                }
                start.elapsed().as_secs_f64()
            };
            times[i] = [
                timed(&mut |subject| {
                    step(subject);
                }),
                timed(&mut |subject| evaluate(subject)),
            ];
        }
        for (cost, time) in costs.iter_mut().zip(times) {
            cost.step.push(time[0] / times[0][0]);
            cost.evaluation.push(time[1] / times[0][1]);
        }
    }
    // ANCHOR_END: rounds
    costs
}

/// Network by network, the steps to the target of each method.
fn steps(convergence: &Recorded) -> Result<Vec<(String, [Spread; 3])>, Error> {
    let settings = convergence.list("/data/settings")?;
    let mut all: Vec<(String, [Spread; 3])> = Vec::new();
    for group in settings.chunks(METHODS.len()) {
        let mut spreads = Vec::new();
        for setting in group {
            spreads.push(setting.spread("/steps_to_target")?);
        }
        let network = group[0].text("/network")?;
        let spreads = spreads.try_into().map_err(|_| {
            convergence.wrong("/data/settings has not three methods for each network")
        })?;
        all.push((network, spreads));
    }
    Ok(all)
}

fn relative(steps: Spread) -> f64 {
    if steps.median.is_finite() {
        (steps.high - steps.low) / steps.median
    } else {
        f64::INFINITY
    }
}

fn verdict(
    answer: Answer,
    costs: &[(&str, Vec<Cost>)],
    pays: bool,
    slower: bool,
    stable: bool,
) -> String {
    let each = costs.iter().map(|(network, costs)| {
        let ratio = |i: usize| Spread::of(&costs[i].step).map_or(f64::NAN, |s| s.median);
        format!(
            "{:.2} with Batch Norm and {:.2} with Layer Norm in the {}",
            ratio(1),
            ratio(2),
            network.to_uppercase()
        )
    });
    let each: Vec<String> = each.collect();
    let is = |yes: bool, what: &str| format!("{what}: {}", if yes { "yes" } else { "no" });
    format!(
        "{}: relative to no norm a step costs {}. {}; {}; {}.",
        answer.words(),
        each.join(", "),
        is(pays, "Batch Norm costs clearly more than Layer Norm"),
        is(slower, "Layer Norm needs clearly more steps"),
        is(stable, "Layer Norm varies less over the seeds")
    )
}

/// The share of rounds in which a step cost at most so much.
fn chart(costs: &[(&str, Vec<Cost>)]) -> Chart {
    let quantiles = |values: &[f64]| {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = (sorted.len() - 1).max(1) as f64;
        let point = |(i, x): (usize, f64)| {
            let spread = Spread {
                low: x,
                median: x,
                high: x,
            };
            (100.0 * i as f64 / last, Some(spread))
        };
        sorted.into_iter().enumerate().map(point).collect()
    };
    let mut lines = Vec::new();
    for (which, (network, costs)) in costs.iter().enumerate() {
        for (cost, method) in costs.iter().zip(METHODS).skip(1) {
            lines.push(Line {
                name: format!("{}, {}", name(method), network.to_uppercase()),
                ink: match which {
                    0 => ink(method),
                    _ => ink(method).second(),
                },
                points: quantiles(&cost.step),
            });
        }
    }
    let all = costs
        .iter()
        .flat_map(|(_, costs)| costs)
        .flat_map(|cost| &cost.step);
    let mut all: Vec<f64> = all.copied().collect();
    all.sort_by(f64::total_cmp);
    // Nearly all: a round in which the machine did something else is not worth the room.
    let high = all[(all.len() - 1) * 98 / 100];
    Chart {
        title: "What a training step costs".into(),
        about: "The time of a training step with Batch Norm and with Layer Norm over that without \
                norm in the same round, for an MLP and a CNN, sorted over the rounds."
            .into(),
        x: Axis::linear("rounds (%)", 0.0, 100.0),
        y: Axis::linear("time over that of no norm", 0.9, (1.05 * high).max(1.5)),
        lines,
    }
}

fn table(costs: &[(&str, Vec<Cost>)]) -> String {
    let mut table = format!(
        "{:<6}{:<12}{:>24}{:>24}{:>14}{:>14}\n",
        "", "", "step / no norm", "evaluation / no norm", "tape (bytes)", "state (bytes)"
    );
    for (network, costs) in costs {
        for (cost, method) in costs.iter().zip(METHODS) {
            let range = |values: &[f64]| {
                let s = Spread::of(values).expect("there is a round");
                format!("{:.2} ({:.2} to {:.2})", s.median, s.low, s.high)
            };
            table += &format!(
                "{:<6}{:<12}{:>24}{:>24}{:>14}{:>14}\n",
                network,
                name(method),
                range(&cost.step),
                range(&cost.evaluation),
                cost.tape_bytes,
                cost.state_bytes
            );
        }
    }
    table
}
