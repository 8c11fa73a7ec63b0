//! Claim C4: Batch Norm allows higher learning rates.
//!
//! # Protocol
//! Two MLPs with ReLU and PyTorch's initial weights learn the 8 x 8 digits: a shallow one
//! with 2 hidden layers of 64 and a deep one with 8; with nothing, Batch Norm or Layer Norm
//! before each ReLU; by SGD, plain and with momentum 0.9. Batches of 64, 15 epochs, a
//! constant learning rate from one wide grid.
//!
//! A method trains at a rate if the first quartile of its validation accuracy after the
//! last epoch is at least 90 %: at least three of four seeds get there. Its highest rate is
//! the highest of the grid at which it trains.
//!
//! In each of the four settings the claim holds if the highest rate of Batch Norm is above
//! that of no norm. It is supported if it holds in all settings, not supported if in none,
//! and depends otherwise. Layer Norm is shown beside them. Whether higher rates are of use
//! is another question; the test accuracy at the rate that validation picks is reported
//! too.

use std::fmt;

use nn::data::{BatchSize, Digits, Set};
use nn::{MlpSpec, NormKind, Schedule};
use serde::Serialize;
use serde_json::{Value, json};

use crate::chart::{Axis, Chart, Line};
use crate::claims::{Answer, Claim};
use crate::experiment::{Error, Experiment, Finding};
use crate::method::{METHODS, ink, name};
use crate::session::Session;
use crate::sweep::{Cell, Rule, size, sweep};
use crate::text::{list, percent, percent_range};
use crate::train::{Training, trained};

pub(crate) const EXPERIMENT: Experiment = Experiment {
    name: "rates",
    about: "the highest learning rate that still trains",
    chapter: 6,
    claim: Some(Claim {
        id: "C4",
        text: "Batch Norm allows higher learning rates.",
    }),
    timed: false,
    protocol: |quick| serde_json::to_value(Protocol::new(quick)).expect("plain data serializes"),
    run,
};

#[derive(Serialize)]
struct Protocol {
    data: &'static str,
    width: usize,
    hidden_layers: Vec<usize>,
    activation: &'static str,
    initial_weights: &'static str,
    optimizer: &'static str,
    momentum: Vec<f64>,
    batch: usize,
    epochs: usize,
    rates: Vec<f64>,
    rate_rule: String,
    trains_at: f64,
    decision_rule: &'static str,
}

impl Protocol {
    fn new(quick: bool) -> Self {
        Protocol {
            data: "digits-8x8 in its fixed split",
            width: 64,
            hidden_layers: vec![2, 8],
            activation: "relu",
            initial_weights: "PyTorch's default",
            optimizer: "SGD, without and with momentum",
            momentum: vec![0.0, 0.9],
            batch: 64,
            epochs: if quick { 2 } else { 15 },
            rates: if quick {
                vec![0.03, 0.3]
            } else {
                vec![0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0]
            },
            rate_rule: Rule::Accuracy.text(),
            trains_at: 0.9,
            decision_rule: "highest rate: the highest of the grid at which the first quartile \
                            of the validation accuracy is at least trains_at. The claim holds in \
                            a setting if the highest rate of Batch Norm is above that of no \
                            norm. supported: in all settings; not supported: in none; else \
                            depends",
        }
    }

    fn network(&self, hidden: usize) -> Vec<usize> {
        let mut sizes = vec![self.width; hidden + 2];
        sizes[0] = 64;
        sizes[hidden + 1] = 10;
        sizes
    }
}

#[derive(Clone, Copy)]
struct Setting {
    method: NormKind,
    hidden: usize,
    momentum: f64,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.method, self.hidden, self.momentum)
    }
}

fn run(session: &mut Session) -> Result<Finding, Error> {
    let data = Digits::load(Set::Small)?;
    let protocol = Protocol::new(session.quick());
    let mut settings = Vec::new();
    for &hidden in &protocol.hidden_layers {
        for &momentum in &protocol.momentum {
            let of = |method| Setting {
                method,
                hidden,
                momentum,
            };
            settings.extend(METHODS.map(of));
        }
    }
    session.begin(size(session, &settings, &protocol.rates))?;
    let train = |setting: Setting, rate, seed| {
        let spec = MlpSpec::new(&protocol.network(setting.hidden)).norm(setting.method);
        let training = Training {
            epochs: protocol.epochs,
            batch: BatchSize::Fixed(protocol.batch),
            rate,
            schedule: Schedule::Constant,
            score_each: None,
        };
        let build = |rng: &mut _| spec.build(rng);
        trained(build, setting.momentum, &data, &training, seed)
            .1
            .into()
    };
    let cells = sweep(session, &settings, &protocol.rates, Rule::Accuracy, train)?;
    let groups: Vec<&[Cell<Setting>]> = cells.chunks(METHODS.len()).collect();
    let holds =
        |group: &&[Cell<Setting>]| highest(&group[1], &protocol) > highest(&group[0], &protocol);
    let answer = Answer::of(groups.iter().map(holds));
    let entries = cells.iter().map(|cell| {
        let Setting {
            method,
            hidden,
            momentum,
        } = cell.of;
        let first = json!({ "method": method.to_string(), "hidden_layers": hidden,
            "momentum": momentum });
        cell.data_between(first, json!({ "highest_rate": highest(cell, &protocol) }))
    });
    let by_setting = groups.iter().map(|group| {
        let [none, norm, layer] = [0, 1, 2].map(|i| rate(highest(&group[i], &protocol)));
        json!({ "setting": setting(&group[0].of), "none": none, "batch_norm": norm,
            "layer_norm": layer })
    });
    let by_setting: Vec<Value> = by_setting.collect();
    let chart = |i: usize| chart(groups[i], &protocol);
    Ok(Finding {
        data: json!({ "highest": by_setting, "settings": entries.collect::<Vec<Value>>() }),
        charts: vec![
            ("shallow-plain", chart(0)),
            ("shallow-momentum", chart(1)),
            ("deep-plain", chart(2)),
            ("deep-momentum", chart(3)),
        ],
        answer: Some(answer),
        verdict: verdict(answer, &groups, &protocol),
        table: table(&cells, &protocol),
    })
}

/// The highest rate at which the method trains, if it does at any.
fn highest(cell: &Cell<Setting>, protocol: &Protocol) -> Option<f64> {
    let spreads = cell.validation_by_rate();
    let trains = cell.rates.iter().zip(&spreads);
    let trains = trains.filter(|(_, spread)| spread.low >= protocol.trains_at);
    trains.map(|(rate, _)| *rate).next_back()
}

fn rate(rate: Option<f64>) -> String {
    rate.map_or_else(|| "none".to_owned(), |rate| rate.to_string())
}

fn setting(of: &Setting) -> String {
    let momentum = match of.momentum {
        0.0 => "plain SGD".to_owned(),
        momentum => format!("momentum {momentum}"),
    };
    format!("{} hidden layers with {momentum}", of.hidden)
}

fn verdict(answer: Answer, groups: &[&[Cell<Setting>]], protocol: &Protocol) -> String {
    let each = groups.iter().map(|group| {
        let [none, batch, layer] = [0, 1, 2].map(|i| rate(highest(&group[i], protocol)));
        let setting = setting(&group[0].of);
        format!(
            "{none} without norm, {batch} with Batch Norm, {layer} with Layer Norm at {setting}"
        )
    });
    format!(
        "{}: the highest rate that trains to {} % is {}.",
        answer.words(),
        percent(protocol.trains_at),
        list(&each.collect::<Vec<_>>())
    )
}

fn chart(group: &[Cell<Setting>], protocol: &Protocol) -> Chart {
    let line = |cell: &Cell<Setting>| {
        let spreads = cell.validation_by_rate().into_iter().map(Some);
        Line {
            name: name(cell.of.method).into(),
            ink: ink(cell.of.method),
            points: cell.rates.iter().copied().zip(spreads).collect(),
        }
    };
    let rates = &protocol.rates;
    Chart {
        title: "Validation accuracy over the learning rate".into(),
        about: format!(
            "The accuracy on the validation part after the last epoch at each learning rate, \
             for {}, without norm, with Batch Norm and with Layer Norm: median and quartiles \
             over the seeds; a run that diverged counts as 0.",
            setting(&group[0].of)
        ),
        x: Axis::log("learning rate", rates[0], rates[rates.len() - 1]),
        y: Axis::linear("validation accuracy", 0.0, 1.0),
        lines: group.iter().map(line).collect(),
    }
}

fn table(cells: &[Cell<Setting>], protocol: &Protocol) -> String {
    let mut table = format!(
        "{:<36}{:<12}{:>13}{:>13}{:>26}\n",
        "", "", "highest rate", "picked rate", "test accuracy there"
    );
    for cell in cells {
        table += &format!(
            "{:<36}{:<12}{:>13}{:>13}{:>26}\n",
            setting(&cell.of),
            name(cell.of.method),
            rate(highest(cell, protocol)),
            cell.rate(),
            percent_range(cell.test()),
        );
    }
    table
}
