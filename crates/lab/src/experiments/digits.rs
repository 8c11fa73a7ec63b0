//! Handwritten digits with and without normalization: does an MLP learn them faster?
//!
//! # Protocol
//! An MLP 64-128-128-128-10 with ReLU and PyTorch's initial weights learns the 8 x 8
//! digits, with nothing, Batch Norm or Layer Norm before each ReLU. SGD with momentum 0.9,
//! batches of 64, 30 epochs, a constant learning rate from one grid for all methods. Every
//! method is trained at every rate from every seed; the seed draws weights and batches, the
//! same for all.
//!
//! The rate of a method is the one with the highest median accuracy on the validation part
//! after the last epoch (then: the lowest median loss there). A run that diverges counts as
//! accuracy 0. Test accuracy and curves are those at this rate.
//!
//! A method learns faster than another if its median number of epochs until the validation
//! accuracy first reaches 95 % is smaller, and the ranges from first to third quartile do
//! not overlap.

use nn::data::{BatchSize, Digits, Set};
use nn::{MlpSpec, NormKind, Schedule};
use serde::Serialize;
use serde_json::{Value, json};

use crate::chart::{Axis, Chart, Line};
use crate::experiment::{Error, Experiment, Finding};
use crate::method::{METHODS, ink, name};
use crate::session::Session;
use crate::stats::Apart;
use crate::sweep::{Cell, Rule, Run, size, sweep};
use crate::text::{count, count_range, percent_range};
use crate::train::{Training, trained};

pub(crate) const EXPERIMENT: Experiment = Experiment {
    name: "digits",
    about: "an MLP on handwritten digits: no norm, Batch Norm and Layer Norm",
    chapter: 6,
    claim: None,
    timed: false,
    protocol: |quick| serde_json::to_value(Protocol::new(quick)).expect("plain data serializes"),
    run,
};

#[derive(Serialize)]
struct Protocol {
    data: &'static str,
    network: Vec<usize>,
    activation: &'static str,
    initial_weights: &'static str,
    optimizer: &'static str,
    batch: usize,
    epochs: usize,
    rates: Vec<f64>,
    rate_rule: String,
    target: f64,
    decision_rule: &'static str,
}

impl Protocol {
    fn new(quick: bool) -> Self {
        Protocol {
            data: "digits-8x8 in its fixed split",
            network: vec![64, 128, 128, 128, 10],
            activation: "relu",
            initial_weights: "PyTorch's default",
            optimizer: "SGD, momentum 0.9",
            batch: 64,
            epochs: if quick { 3 } else { 30 },
            rates: if quick {
                vec![0.03, 0.1]
            } else {
                vec![0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
            },
            rate_rule: Rule::Accuracy.text(),
            target: 0.95,
            decision_rule: "faster: fewer median epochs until the validation accuracy first \
                            reaches the target, with quartile ranges that do not overlap",
        }
    }
}

fn run(session: &mut Session) -> Result<Finding, Error> {
    let data = Digits::load(Set::Small)?;
    let protocol = Protocol::new(session.quick());
    let rates = &protocol.rates;
    session.begin(size(session, &METHODS, rates))?;
    let cells = sweep(
        session,
        &METHODS,
        rates,
        Rule::Accuracy,
        |norm, rate, seed| train(norm, rate, seed, &protocol, &data),
    )?;
    let methods: Vec<Value> = cells
        .iter()
        .map(|cell| cell_data(cell, &protocol))
        .collect();
    Ok(Finding {
        data: json!({ "methods": methods }),
        charts: vec![
            ("curves", curves(&cells, &protocol)),
            ("rates", rates_chart(&cells, &protocol)),
        ],
        answer: None,
        verdict: verdict(&cells, &protocol),
        table: table(&cells, &protocol),
    })
}

fn train(norm: NormKind, rate: f64, seed: u64, protocol: &Protocol, data: &Digits<f32>) -> Run {
    let training = Training {
        epochs: protocol.epochs,
        batch: BatchSize::Fixed(protocol.batch),
        rate,
        schedule: Schedule::Constant,
        score_each: None,
    };
    let spec = MlpSpec::new(&protocol.network).norm(norm);
    trained(|rng| spec.build(rng), 0.9, data, &training, seed)
        .1
        .into()
}

fn cell_data(cell: &Cell<NormKind>, protocol: &Protocol) -> Value {
    let finite = |x: f64| x.is_finite().then_some(x);
    let speed = cell.scores_to(protocol.target);
    let method = json!({ "method": cell.of.to_string() });
    let more = json!({
        "epochs_to_target": {
            "low": finite(speed.low), "median": finite(speed.median), "high": finite(speed.high),
        },
        "curves": {
            "train_loss": cell.curve_data(|e| e.train_loss),
            "test_loss": cell.curve_data(|e| e.test.loss),
            "test_accuracy": cell.curve_data(|e| e.test.accuracy),
        },
    });
    cell.data_between(method, more)
}

fn curves(cells: &[Cell<NormKind>], protocol: &Protocol) -> Chart {
    let lines = cells.iter().map(|cell| {
        let losses = cell.curve(|e| e.test.loss);
        let points = losses
            .into_iter()
            .enumerate()
            .map(|(i, s)| ((i + 1) as f64, s))
            .collect();
        let rate = cell.rate();
        Line {
            name: format!("{}, rate {rate}", name(cell.of)),
            ink: ink(cell.of),
            points,
        }
    });
    let lines: Vec<Line> = lines.collect();
    let seen = lines
        .iter()
        .flat_map(|line| &line.points)
        .filter_map(|(_, spread)| *spread);
    let (low, high) = seen.fold((f64::INFINITY, 0.0_f64), |(low, high), s| {
        (low.min(s.low), high.max(s.high))
    });
    Chart {
        title: "Test loss over training".into(),
        about: "The cross-entropy on the test part after each epoch, without norm, with Batch \
                Norm and with Layer Norm, each at its own best rate: median and quartiles over \
                the seeds."
            .into(),
        x: Axis::linear("epochs", 1.0, protocol.epochs as f64),
        y: Axis::log("test loss (nats)", 0.9 * low, 1.1 * high),
        lines,
    }
}

fn rates_chart(cells: &[Cell<NormKind>], protocol: &Protocol) -> Chart {
    let lines = cells.iter().map(|cell| {
        let spreads = cell.validation_by_rate().into_iter();
        let points = protocol
            .rates
            .iter()
            .copied()
            .zip(spreads.map(Some))
            .collect();
        Line {
            name: name(cell.of).into(),
            ink: ink(cell.of),
            points,
        }
    });
    let rates = &protocol.rates;
    Chart {
        title: "Validation accuracy over the grid of learning rates".into(),
        about: "The accuracy on the validation part after the last epoch at each learning rate, \
                without norm, with Batch Norm and with Layer Norm: median and quartiles over the \
                seeds; a run that diverged counts as 0."
            .into(),
        x: Axis::log("learning rate", rates[0], rates[rates.len() - 1]),
        y: Axis::linear("validation accuracy", 0.0, 1.0),
        lines: lines.collect(),
    }
}

fn verdict(cells: &[Cell<NormKind>], protocol: &Protocol) -> String {
    let [none, batch, layer] = cells else {
        unreachable!("there are three methods")
    };
    let answer = |cell: &Cell<NormKind>| {
        let (with, without) = (
            cell.scores_to(protocol.target),
            none.scores_to(protocol.target),
        );
        let how = match with.seen_from(without) {
            Apart::Below => "faster than",
            Apart::Above => "slower than",
            Apart::Unclear => "not clearly faster or slower than",
        };
        format!(
            "{} is {how} no norm ({} against {})",
            name(cell.of),
            count(with.median),
            count(without.median)
        )
    };
    format!(
        "By epochs to {} % on the validation part: {}; {}.",
        100.0 * protocol.target,
        answer(batch),
        answer(layer)
    )
}

fn table(cells: &[Cell<NormKind>], protocol: &Protocol) -> String {
    let target = format!("epochs to {} %", 100.0 * protocol.target);
    let mut table = format!(
        "{:<12}  {:>5}  {:>24}  {:>24}\n",
        "", "rate", "test accuracy", target
    );
    for cell in cells {
        let test = cell.test();
        let speed = cell.scores_to(protocol.target);
        table += &format!(
            "{:<12}  {:>5}  {:>24}  {:>24}\n",
            name(cell.of),
            cell.rate(),
            percent_range(test),
            count_range(speed),
        );
    }
    table
}
