//! Claim C2: Batch Norm speeds up convergence.
//!
//! # Protocol
//! Three networks learn the 8 x 8 digits: MLPs with 2 and with 6 hidden layers of 64, and a
//! CNN with convolutions of 16 and 32 channels; all with ReLU and PyTorch's initial weights,
//! with nothing, Batch Norm or Layer Norm before each ReLU. SGD with momentum 0.9, batches of
//! 64, 30 epochs (the CNN 10), a constant learning rate.
//!
//! The network is scored after every third step. What counts is the number of steps until
//! the accuracy on the validation part first reaches 95 %. The rate of each method in each
//! network is the one of the common grid with the smallest median of that number: every
//! method is given the rate at which it is fastest.
//!
//! In each network, a norm is faster than no norm if its median is smaller and the ranges
//! from first to third quartile do not overlap. The claim is supported if Batch Norm is
//! faster in all three networks, not supported if in none, and depends otherwise. Layer Norm
//! is judged beside it by the same rule.
//!
//! Steps are not seconds: what a step costs with each norm is the experiment `cost`.

use std::fmt;

use nn::data::{BatchSize, Digits, Set};
use nn::{CnnSpec, MlpSpec, NormKind, Schedule};
use serde::Serialize;
use serde_json::{Value, json};

use crate::chart::{Axis, Chart, Line};
use crate::claims::{Answer, Claim};
use crate::experiment::{Error, Experiment, Finding};
use crate::method::{METHODS, ink, name};
use crate::session::Session;
use crate::stats::{Apart, Spread};
use crate::sweep::{Cell, Rule, size, sweep};
use crate::text::{count_range, list, percent, percent_range};
use crate::train::{Training, trained};

pub(crate) const EXPERIMENT: Experiment = Experiment {
    name: "convergence",
    about: "steps to a target accuracy, in MLPs and a CNN",
    chapter: 10,
    claim: Some(Claim {
        id: "C2",
        text: "Batch Norm speeds up convergence.",
    }),
    timed: false,
    protocol: |quick| serde_json::to_value(Protocol::new(quick)).expect("plain data serializes"),
    run,
};

#[derive(Serialize)]
struct Protocol {
    data: &'static str,
    shallow: Vec<usize>,
    deep: Vec<usize>,
    cnn_channels: Vec<usize>,
    activation: &'static str,
    initial_weights: &'static str,
    optimizer: &'static str,
    batch: usize,
    epochs: usize,
    cnn_epochs: usize,
    score_each: usize,
    rates: Vec<f64>,
    rate_rule: String,
    target: f64,
    decision_rule: &'static str,
}

impl Protocol {
    fn new(quick: bool) -> Self {
        let target = 0.95;
        Protocol {
            data: "digits-8x8 in its fixed split",
            shallow: vec![64, 64, 64, 10],
            deep: vec![64, 64, 64, 64, 64, 64, 64, 10],
            cnn_channels: vec![1, 16, 32],
            activation: "relu",
            initial_weights: "PyTorch's default",
            optimizer: "SGD, momentum 0.9",
            batch: 64,
            epochs: if quick { 2 } else { 30 },
            cnn_epochs: if quick { 1 } else { 10 },
            score_each: if quick { 9 } else { 3 },
            rates: if quick {
                vec![0.1]
            } else {
                vec![0.003, 0.01, 0.03, 0.1, 0.3, 1.0]
            },
            rate_rule: Rule::Speed { target }.text(),
            target,
            decision_rule: "faster: fewer median steps until the validation accuracy first \
                            reaches the target, with quartile ranges apart. supported: Batch \
                            Norm is faster than no norm in all networks; not supported: in \
                            none; else depends",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Network {
    Shallow,
    Deep,
    Cnn,
}

const NETWORKS: [Network; 3] = [Network::Shallow, Network::Deep, Network::Cnn];

impl Network {
    fn key(self) -> &'static str {
        match self {
            Network::Shallow => "shallow",
            Network::Deep => "deep",
            Network::Cnn => "cnn",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Network::Shallow => "the MLP with 2 hidden layers",
            Network::Deep => "the MLP with 6 hidden layers",
            Network::Cnn => "the CNN",
        }
    }
}

#[derive(Clone, Copy)]
struct Setting {
    network: Network,
    method: NormKind,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.network.key(), self.method)
    }
}

fn run(session: &mut Session) -> Result<Finding, Error> {
    let data = Digits::load(Set::Small)?;
    let protocol = Protocol::new(session.quick());
    let mut settings = Vec::new();
    for network in NETWORKS {
        settings.extend(METHODS.map(|method| Setting { network, method }));
    }
    session.begin(size(session, &settings, &protocol.rates))?;
    let rule = Rule::Speed {
        target: protocol.target,
    };
    let train = |Setting { network, method }: Setting, rate, seed| {
        let sizes = match network {
            Network::Shallow => &protocol.shallow,
            Network::Deep => &protocol.deep,
            Network::Cnn => &protocol.cnn_channels,
        };
        let cnn = network == Network::Cnn;
        let training = Training {
            epochs: if cnn {
                protocol.cnn_epochs
            } else {
                protocol.epochs
            },
            batch: BatchSize::Fixed(protocol.batch),
            rate,
            schedule: Schedule::Constant,
            score_each: Some(protocol.score_each),
        };
        if cnn {
            let spec = CnnSpec::new(sizes, 8, 10).norm(method);
            trained(|rng| spec.build(rng), 0.9, &data, &training, seed).1
        } else {
            let spec = MlpSpec::new(sizes).norm(method);
            trained(|rng| spec.build(rng), 0.9, &data, &training, seed).1
        }
        .into()
    };
    let cells = sweep(session, &settings, &protocol.rates, rule, train)?;
    let groups: Vec<&[Cell<Setting>]> = cells.chunks(METHODS.len()).collect();
    let faster = |group: &&[Cell<Setting>]| judge(group, 1, &protocol) == Apart::Below;
    let answer = Answer::of(groups.iter().map(faster));
    let entries = cells.iter().map(|cell| {
        let Setting { network, method } = cell.of;
        let first = json!({ "network": network.key(), "method": method.to_string() });
        let curve = cell.curve_data(|e| e.validation.accuracy);
        let more = json!({ "steps_to_target": steps(cell, &protocol), "scored_each": protocol.score_each,
            "curves": { "validation_accuracy": curve } });
        cell.data_between(first, more)
    });
    Ok(Finding {
        data: json!({ "settings": entries.collect::<Vec<Value>>() }),
        charts: groups
            .iter()
            .zip(NETWORKS)
            .map(|(group, network)| (network.key(), chart(group, &protocol)))
            .collect(),
        answer: Some(answer),
        verdict: verdict(answer, &groups, &protocol),
        table: table(&cells, &protocol),
    })
}

/// Steps to the target, at the chosen rate.
fn steps(cell: &Cell<Setting>, protocol: &Protocol) -> Spread {
    let scores = cell.scores_to(protocol.target);
    let each = protocol.score_each as f64;
    Spread {
        low: each * scores.low,
        median: each * scores.median,
        high: each * scores.high,
    }
}

/// Where the steps of a method lie, seen from no norm.
fn judge(group: &[Cell<Setting>], method: usize, protocol: &Protocol) -> Apart {
    steps(&group[method], protocol).seen_from(steps(&group[0], protocol))
}

fn verdict(answer: Answer, groups: &[&[Cell<Setting>]], protocol: &Protocol) -> String {
    let each = groups.iter().map(|group| {
        let after = |cell: &Cell<Setting>| match steps(cell, protocol).median {
            steps if steps.is_finite() => format!("after {steps} steps"),
            _ => "never".to_owned(),
        };
        let one = |i: usize| {
            let how = match judge(group, i, protocol) {
                Apart::Below => "faster",
                Apart::Above => "slower",
                Apart::Unclear => "not clearly different",
            };
            let method = name(group[i].of.method);
            format!("{method} {} ({how})", after(&group[i]))
        };
        format!(
            "in {} no norm gets there {}, {} and {}",
            group[0].of.network.name(),
            after(&group[0]),
            one(1),
            one(2)
        )
    });
    format!(
        "{}: to {} % on the validation part, {}.",
        answer.words(),
        percent(protocol.target),
        list(&each.collect::<Vec<_>>())
    )
}

fn chart(group: &[Cell<Setting>], protocol: &Protocol) -> Chart {
    let each = protocol.score_each as f64;
    let line = |cell: &Cell<Setting>| {
        let points = cell
            .curve(|e| e.validation.accuracy)
            .into_iter()
            .enumerate();
        Line {
            name: format!("{}, rate {}", name(cell.of.method), cell.rate()),
            ink: ink(cell.of.method),
            points: points.map(|(i, s)| (each * (i + 1) as f64, s)).collect(),
        }
    };
    let lines: Vec<Line> = group.iter().map(line).collect();
    let last = lines.iter().filter_map(|line| Some(line.points.last()?.0));
    Chart {
        title: "Validation accuracy over steps".into(),
        about: format!(
            "The accuracy on the validation part while {} learns, without norm, with Batch Norm \
             and with Layer Norm, each at the rate at which it first reaches {} %: median and \
             quartiles over the seeds.",
            group[0].of.network.name(),
            percent(protocol.target)
        ),
        x: Axis::log("steps", each, last.fold(2.0 * each, f64::max)),
        y: Axis::linear("validation accuracy", 0.0, 1.0),
        lines,
    }
}

fn table(cells: &[Cell<Setting>], protocol: &Protocol) -> String {
    let mut table = format!(
        "{:<32}{:<12}{:>8}{:>24}{:>26}\n",
        "",
        "",
        "rate",
        format!("steps to {} %", percent(protocol.target)),
        "test accuracy at the end"
    );
    for cell in cells {
        table += &format!(
            "{:<32}{:<12}{:>8}{:>24}{:>26}\n",
            cell.of.network.name(),
            name(cell.of.method),
            cell.rate(),
            count_range(steps(cell, protocol)),
            percent_range(cell.test())
        );
    }
    table
}
