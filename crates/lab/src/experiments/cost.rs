//! Claim C11: Batch Norm pays for maintaining mini-batch statistics; Layer Norm is simpler but
//! may train slightly slower, and is more stable.
//!
//! *Cost of a step.* Two networks make training steps, and evaluations, with nothing, Batch
//! Norm or Layer Norm before each ReLU. They are timed in rounds. In a round every method makes
//! the same few steps, in an order that rotates from round to round, and its time is divided
//! by that of no norm in the same round: what slows the machine down for a while slows all
//! methods. Reported are ratios; no time.
//!
//! *Memory.* Bytes that the forward pass leaves on the tape for the backward pass, and bytes
//! of state that is kept but not learned.
//!
//! *Steps and stability.* Taken from the results of `convergence`: the steps to its target,
//! and over the seeds the range from first to third quartile relative to the median.

use std::time::Instant;

use nn::loss::cross_entropy;
use nn::{CnnSpec, Layer, MlpSpec, Optimizer as _, State, each_state};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Tape, Tensor};

use super::convergence;
use crate::kit::*;

pub(crate) struct Asked;

#[derive(Serialize)]
pub(crate) struct Timing {
    mlp: Vec<usize>,
    mlp_batch: usize,
    cnn_channels: Vec<usize>,
    cnn_side: usize,
    cnn_batch: usize,
    activation: &'static str,
    #[serde(serialize_with = "as_text::serialize")]
    optimizer: Sgd,
    threads: usize,
    rounds: usize,
    steps_in_a_round: usize,
    measured: &'static str,
    decision_rule: &'static str,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    /// For each network, the methods in their order.
    costs: Vec<Cost>,
    convergence: Vec<Convergence>,
}

/// What a method costs in a network.
#[derive(Serialize, Deserialize)]
struct Cost {
    network: String,
    #[serde(with = "as_text")]
    method: NormKind,
    step_over_no_norm: Spread,
    evaluation_over_no_norm: Spread,
    tape_bytes: usize,
    state_bytes: usize,
    /// Time of a training step over that of no norm in the same round, round by round.
    step_by_round: Vec<f64>,
}

/// The steps to the target in a network.
#[derive(Serialize, Deserialize)]
struct Convergence {
    network: convergence::Which,
    steps: ByMethod<Sample>,
}

#[derive(Serialize, Deserialize)]
struct ByMethod<T> {
    none: T,
    batch: T,
    layer: T,
}

/// What is measured of a method in a network.
#[derive(Clone, Serialize, Deserialize)]
struct Rounds {
    /// Time of a training step over that of no norm, round by round.
    step: Vec<f64>,
    /// The same for an evaluation.
    evaluation: Vec<f64>,
    tape_bytes: usize,
    state_bytes: usize,
}

impl Study for Asked {
    const CARD: Card = Card::new("cost", 17)
        .asks("what a step costs in time and memory, as ratios to no norm")
        .claim(
            "C11",
            "Batch Norm pays for maintaining mini-batch statistics; Layer Norm is simpler but \
               may train slightly slower, and is more stable.",
        )
        .timed();

    type Protocol = Timing;
    type Results = Results;

    fn protocol(quick: bool) -> Timing {
        Timing {
            mlp: pick(quick, vec![64, 32, 10], vec![784, 512, 256, 10]),
            mlp_batch: pick(quick, 16, 128),
            cnn_channels: pick(quick, vec![1, 4], vec![1, 16, 32]),
            cnn_side: pick(quick, 8, 28),
            cnn_batch: pick(quick, 4, 64),
            activation: "relu",
            optimizer: Sgd { momentum: 0.9 },
            threads: 1,
            rounds: pick(quick, 6, 120),
            steps_in_a_round: pick(quick, 2, 4),
            measured: "time of each method over that of no norm in the same round, methods \
                       interleaved in rotating order; bytes on the tape after a forward pass, \
                       bytes of running statistics; steps to the target from the results of \
                       convergence",
            decision_rule: "pays: a step of Batch Norm costs clearly more than one of Layer Norm \
                            in both networks, by pairs of rounds; slower: Layer Norm needs \
                            clearly more steps to the target than Batch Norm in most networks of \
                            convergence, by pairs of seeds; stable: over the seeds the distance \
                            of its steps from their median, relative to it, is clearly smaller \
                            in most of them, by pairs. supported: all three; not supported: \
                            none; else depends",
        }
    }

    fn run(protocol: &Timing, session: &mut Session) -> Result<Results, Error> {
        let recorded = recorded::<convergence::Asked>()?.settings;
        session.begin(2)?;
        // One after the other: two at a time would measure each other.
        let mut costs = Vec::new();
        for network in ["mlp", "cnn"] {
            let key = |n: &&str| (*n).to_owned();
            let rounds = session.map(&[network], key, |&network| protocol.measure(network))?;
            let cost = |(rounds, method): (Rounds, NormKind)| {
                let spread = |values: &[f64]| Spread::over(values, |x| *x);
                Cost {
                    network: network.to_owned(),
                    method,
                    step_over_no_norm: spread(&rounds.step),
                    evaluation_over_no_norm: spread(&rounds.evaluation),
                    tape_bytes: rounds.tape_bytes,
                    state_bytes: rounds.state_bytes,
                    step_by_round: rounds.step,
                }
            };
            costs.extend(rounds.concat().into_iter().zip(METHODS).map(cost));
        }
        let convergence = recorded.chunks(Method::ALL.len()).map(|group| {
            let [none, batch, layer] = [0, 1, 2].map(|i| group[i].to_target().clone());
            Convergence {
                network: group[0].of.network,
                steps: ByMethod { none, batch, layer },
            }
        });
        let convergence = convergence.collect();
        Ok(Results { costs, convergence })
    }

    fn read(_: &Timing, Results { costs, convergence }: &Results) -> Finding {
        let ratio = |cost: &Cost| cost.step_over_no_norm;
        let networks: Vec<_> = costs.chunks(METHODS.len()).collect();
        let dearer = |costs: &&[Cost]| {
            let [batch, layer] = [1, 2].map(|i| &costs[i].step_by_round[..]);
            Paired::differences(batch, layer)
        };
        let pays = networks
            .iter()
            .all(|costs| dearer(costs).apart() == Apart::Above);
        let most = |holds: fn(&ByMethod<Sample>) -> bool| {
            2 * convergence.iter().filter(|at| holds(&at.steps)).count() > convergence.len()
        };
        let slower = most(|steps| steps.layer.seen_from(&steps.batch) == Apart::Above);
        let stable = most(|steps| steadier(steps).apart() == Apart::Below);
        let compared = convergence.iter().map(|Convergence { steps, .. }| {
            let [none, batch, layer] =
                [&steps.none, &steps.batch, &steps.layer].map(|steps| relative(**steps));
            json!({ "relative_range": ByMethod { none, batch, layer },
                "layer_over_batch": steps.layer.over_that_of(&steps.batch),
                "distance_of_layer_less_that_of_batch": steadier(steps) })
        });
        let more = networks
            .iter()
            .map(|costs| json!({ "network": costs[0].network, "batch_less_layer": dearer(costs) }));
        let each = networks.iter().map(|costs| {
            let [batch, layer] = [1, 2].map(|i| ratio(&costs[i]).median);
            let network = costs[0].network.to_uppercase();
            format!(
                "{batch:.2} with Batch Norm and {layer:.2} with Layer Norm in the {network} \
                 (difference {})",
                points(dearer(costs))
            )
        });
        let is = |yes: bool| if yes { "yes" } else { "no" };
        let ratios = |s: Spread| format!("{:.2} ({:.2} to {:.2})", s.median, s.low, s.high);
        let table = table(
            costs,
            &[
                ("", -6, &|cost| cost.network.clone()),
                ("", -12, &|cost| name(cost.method).to_owned()),
                ("step / no norm", 24, &|cost| ratios(cost.step_over_no_norm)),
                ("evaluation / no norm", 24, &|cost| {
                    ratios(cost.evaluation_over_no_norm)
                }),
                ("tape (bytes)", 14, &|cost| cost.tape_bytes.to_string()),
                ("state (bytes)", 14, &|cost| cost.state_bytes.to_string()),
            ],
        );
        Finding {
            derived: json!({ "pays": pays, "slower": slower, "stable": stable,
                "more": more.collect::<Vec<Value>>(),
                "convergence": compared.collect::<Vec<Value>>() }),
            charts: vec![("rounds".into(), chart(&networks))],
            answer: Some(Answer::of([pays, slower, stable])),
            verdict: format!(
                "relative to no norm a step costs {}. Batch Norm costs clearly more than Layer \
                 Norm: {}; Layer Norm needs clearly more steps in most networks: {}; Layer Norm \
                 varies clearly less over the seeds in most networks: {}.",
                each.collect::<Vec<_>>().join(", "),
                is(pays),
                is(slower),
                match stable {
                    true => "yes",
                    false => "no, which so few seeds could hardly have shown",
                }
            ),
            table,
        }
    }
}

impl Timing {
    /// Each method in one of the networks.
    fn measure(&self, network: &str) -> Vec<Rounds> {
        if network == "mlp" {
            let shape = [self.mlp_batch, self.mlp[0]];
            let spec = MlpSpec::new(&self.mlp);
            measure(|norm, rng| spec.clone().norm(norm).build(rng), &shape, self)
        } else {
            let (channels, side) = (&self.cnn_channels, self.cnn_side);
            let shape = [self.cnn_batch, channels[0] * side * side];
            let spec = CnnSpec::new(channels, side, 10);
            measure(|norm, rng| spec.clone().norm(norm).build(rng), &shape, self)
        }
    }
}

/// One method while it is measured.
struct Subject<M> {
    model: M,
    sgd: nn::Sgd<f32>,
    tape: Tape<f32>,
}

fn measure<M: Layer<f32>>(
    build: impl Fn(NormKind, &mut StdRng) -> M,
    shape: &[usize; 2],
    protocol: &Timing,
) -> Vec<Rounds> {
    let rng = &mut StdRng::seed_from_u64(0);
    let images = Tensor::<f32>::uniform(*shape, 0.0, 1.0, rng);
    let labels: Vec<usize> = (0..shape[0]).map(|i| i % 10).collect();
    let mut subjects: Vec<Subject<M>> = METHODS
        .iter()
        .map(|&norm| Subject {
            model: build(norm, &mut StdRng::seed_from_u64(0)),
            sgd: protocol.optimizer.start(),
            tape: Tape::new(),
        })
        .collect();
    let step = |subject: &mut Subject<M>| {
        let Subject { model, sgd, tape } = subject;
        let (_, bytes, grads) = tape.grad_with(|t| {
            let logits = model.train(&t.constant(images.clone()));
            let loss = cross_entropy(&logits, &labels);
            (loss, t.saved_bytes())
        });
        sgd.step(model, &grads, 1e-3);
        bytes
    };
    let evaluate = |subject: &mut Subject<M>| {
        Tape::eval(|t| {
            let logits = subject.model.eval(&t.constant(images.clone()));
            std::hint::black_box(logits.value().data()[0]);
        });
    };
    let mut costs: Vec<Rounds> = subjects
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
            Rounds {
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

/// How much further the steps of Layer Norm are from their median than those of Batch Norm.
fn steadier(steps: &ByMethod<Sample>) -> Paired {
    off(&steps.layer).against(&off(&steps.batch))
}

/// How far each seed's steps are from the median, relative to it.
fn off(steps: &Sample) -> Sample {
    let median = steps.median;
    steps.map(|steps| match steps.is_finite() && median.is_finite() {
        true => (steps - median).abs() / median,
        false => f64::INFINITY,
    })
}

fn relative(steps: Spread) -> f64 {
    match steps.median.is_finite() {
        true => (steps.high - steps.low) / steps.median,
        false => f64::INFINITY,
    }
}

/// The share of rounds in which a step cost at most so much.
fn chart(networks: &[&[Cost]]) -> Chart {
    let quantiles = |values: &[f64]| {
        let last = (values.len() - 1).max(1) as f64;
        let point = |(i, &x): (usize, &f64)| (100.0 * i as f64 / last, Some(Spread::exactly(x)));
        values.iter().enumerate().map(point).collect()
    };
    let mut lines = Vec::new();
    for (which, costs) in networks.iter().enumerate() {
        for cost in &costs[1..] {
            let ink = match which {
                0 => ink(cost.method),
                _ => ink(cost.method).second(),
            };
            let name = format!("{}, {}", name(cost.method), cost.network.to_uppercase());
            let mut sorted = cost.step_by_round.clone();
            sorted.sort_by(f64::total_cmp);
            lines.push(Line::new(name, ink, quantiles(&sorted)));
        }
    }
    let all = networks.iter().flat_map(|costs| *costs);
    let mut all: Vec<f64> = all.flat_map(|cost| cost.step_by_round.clone()).collect();
    all.sort_by(f64::total_cmp);
    // Nearly all: a round in which the machine did something else is not worth the room.
    let high = all[(all.len() - 1) * 98 / 100];
    Chart::of(
        "What a training step costs",
        "The time of a training step with Batch Norm and with Layer Norm over that without norm \
         in the same round, for an MLP and a CNN, sorted over the rounds.",
        lines,
    )
    .x(|_, _| Axis::linear("rounds (%)", 0.0, 100.0))
    .y(|_, _| Axis::linear("time over that of no norm", 0.9, (1.05 * high).max(1.5)))
}
