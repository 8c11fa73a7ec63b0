//! Claim C3: Batch Norm makes training less sensitive to initial weights.
//!
//! # Protocol
//! An MLP 64-64-64-64-64-64-10 with ReLU learns the 8 x 8 digits, with nothing, Batch Norm
//! or Layer Norm before each ReLU. Weights are drawn from N(0, g²/fan_in) and biases are 0,
//! with g from a wide grid; g = √2 is the scale that keeps the size of signals through ReLU.
//! SGD with momentum 0.9, batches of 64, 15 epochs, a constant learning rate.
//!
//! Every method is trained at every scale, at every rate of one grid, from every seed. Two
//! readings are made of it:
//!
//! - *own rate*: each method has, at each scale, the rate that validation picks there;
//! - *one rate*: each method keeps the rate that validation picked at g = √2.
//!
//! A method trains at a scale if its median test accuracy there is at least 90 %. Its range
//! is the number of scales of the grid at which it trains.
//!
//! The claim is supported if the range of Batch Norm is larger than that of no norm in both
//! readings, depends if it is larger in one, and is not supported otherwise. Layer Norm is
//! shown beside them.

use std::fmt;

use nn::data::{BatchSize, Digits, Set};
use nn::{Init, MlpSpec, NormKind, Schedule};
use serde::Serialize;
use serde_json::{Value, json};

use crate::chart::{Axis, Chart, Line};
use crate::claims::{Answer, Claim};
use crate::experiment::{Error, Experiment, Finding};
use crate::method::{METHODS, ink, name};
use crate::session::Session;
use crate::stats::Spread;
use crate::sweep::{Cell, Rule, accuracy, size, sweep};
use crate::text::percent;
use crate::train::{Training, trained};

pub(crate) const EXPERIMENT: Experiment = Experiment {
    name: "init",
    about: "initial weights from far too small to far too large",
    chapter: 6,
    claim: Some(Claim {
        id: "C3",
        text: "Batch Norm makes training less sensitive to initial weights.",
    }),
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
    scales: Vec<f64>,
    usual_scale: f64,
    optimizer: &'static str,
    batch: usize,
    epochs: usize,
    rates: Vec<f64>,
    rate_rule: String,
    trains_at: f64,
    decision_rule: &'static str,
}

impl Protocol {
    fn new(quick: bool) -> Self {
        let usual_scale = std::f64::consts::SQRT_2;
        Protocol {
            data: "digits-8x8 in its fixed split",
            network: vec![64, 64, 64, 64, 64, 64, 10],
            activation: "relu",
            initial_weights: "normal, deviation scale/sqrt(fan_in); biases 0",
            scales: if quick {
                vec![0.1, usual_scale]
            } else {
                vec![0.03, 0.1, 0.3, 0.7, usual_scale, 3.0, 10.0, 30.0]
            },
            usual_scale,
            optimizer: "SGD, momentum 0.9",
            batch: 64,
            epochs: if quick { 2 } else { 15 },
            rates: if quick {
                vec![0.03, 0.1]
            } else {
                vec![0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0]
            },
            rate_rule: Rule::Accuracy.text(),
            trains_at: 0.9,
            decision_rule: "range: the scales at which the median test accuracy is at least \
                            trains_at. supported: the range of Batch Norm is larger than that \
                            of no norm, with a rate picked at each scale and with the rate \
                            picked at usual_scale; depends: with one of them; else not \
                            supported",
        }
    }
}

#[derive(Clone, Copy)]
struct Setting {
    method: NormKind,
    scale: f64,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.scale)
    }
}

/// One method at all scales.
struct Row<'a> {
    method: NormKind,
    cells: &'a [Cell<Setting>],
    /// Test accuracy at each scale, at the rate picked there.
    own: Vec<Spread>,
    /// Test accuracy at each scale, at the rate picked at the usual scale.
    one: Vec<Spread>,
    /// That rate.
    rate: f64,
}

impl Row<'_> {
    /// The number of scales at which the method trains, in both readings.
    fn ranges(&self, protocol: &Protocol) -> [usize; 2] {
        let trains = |spread: &&Spread| spread.median >= protocol.trains_at;
        [&self.own, &self.one].map(|spreads| spreads.iter().filter(trains).count())
    }
}

fn run(session: &mut Session) -> Result<Finding, Error> {
    let data = Digits::load(Set::Small)?;
    let protocol = Protocol::new(session.quick());
    let mut settings = Vec::new();
    for method in METHODS {
        let at = |&scale| Setting { method, scale };
        settings.extend(protocol.scales.iter().map(at));
    }
    session.begin(size(session, &settings, &protocol.rates))?;
    let train = |Setting { method, scale }: Setting, rate, seed| {
        let spec = MlpSpec::new(&protocol.network)
            .norm(method)
            .init(Init::scaled_normal(scale));
        let training = Training {
            epochs: protocol.epochs,
            batch: BatchSize::Fixed(protocol.batch),
            rate,
            schedule: Schedule::Constant,
            score_each: None,
        };
        trained(|rng| spec.build(rng), 0.9, &data, &training, seed)
            .1
            .into()
    };
    let cells = sweep(session, &settings, &protocol.rates, Rule::Accuracy, train)?;
    let rows: Vec<Row<'_>> = cells
        .chunks(protocol.scales.len())
        .map(|cells| row(cells, &protocol))
        .collect();

    let ranges = rows.iter().map(|row| {
        let [own, one] = row.ranges(&protocol);
        json!({ "method": row.method.to_string(), "own_rate": own, "one_rate": one,
            "one_rate_is": row.rate })
    });
    let settings = rows.iter().flat_map(|row| {
        row.cells.iter().zip(&row.one).map(|(cell, one)| {
            let Setting { method, scale } = cell.of;
            let first = json!({ "method": method.to_string(), "scale": scale });
            cell.data_between(first, json!({ "test_accuracy_at_one_rate": one }))
        })
    });
    let by_scale = protocol.scales.iter().enumerate().map(|(i, scale)| {
        let [none, norm, layer] = [0, 1, 2].map(|row| rows[row].own[i].median);
        json!({ "scale": scale, "none": none, "batch_norm": norm, "layer_norm": layer })
    });
    let by_scale: Vec<Value> = by_scale.collect();
    let data = json!({
        "by_scale": by_scale,
        "ranges": ranges.collect::<Vec<Value>>(),
        "settings": settings.collect::<Vec<Value>>(),
    });
    let [none, batch, _] = [0, 1, 2].map(|i| rows[i].ranges(&protocol));
    let answer = Answer::of([batch[0] > none[0], batch[1] > none[1]]);
    Ok(Finding {
        data,
        charts: vec![
            ("own-rate", chart(&rows, &protocol, true)),
            ("one-rate", chart(&rows, &protocol, false)),
        ],
        answer: Some(answer),
        verdict: verdict(answer, &rows, &protocol),
        table: table(&rows, &protocol),
    })
}

fn row<'a>(cells: &'a [Cell<Setting>], protocol: &Protocol) -> Row<'a> {
    let usual = cells
        .iter()
        .find(|cell| cell.of.scale == protocol.usual_scale);
    let usual = usual.expect("the usual scale is in the grid");
    let one = |cell: &Cell<Setting>| accuracy(&cell.by_rate[usual.chosen], |e| e.test.accuracy);
    Row {
        method: usual.of.method,
        cells,
        own: cells.iter().map(Cell::test).collect(),
        one: cells.iter().map(one).collect(),
        rate: usual.rate(),
    }
}

fn verdict(answer: Answer, rows: &[Row<'_>], protocol: &Protocol) -> String {
    let ranges = |row: &Row<'_>| {
        let [own, one] = row.ranges(protocol);
        format!("{} at {own} and {one}", name(row.method))
    };
    format!(
        "{}: of {} scales of the initial weights, {}, {} and {} train to {} %, with the rate \
         picked at each scale and with the rate picked at the usual one.",
        answer.words(),
        protocol.scales.len(),
        ranges(&rows[0]),
        ranges(&rows[1]),
        ranges(&rows[2]),
        percent(protocol.trains_at),
    )
}

fn chart(rows: &[Row<'_>], protocol: &Protocol, own: bool) -> Chart {
    let line = |row: &Row<'_>| {
        let spreads = if own { &row.own } else { &row.one };
        let points = protocol.scales.iter().copied();
        Line {
            name: if own {
                name(row.method).to_owned()
            } else {
                format!("{}, rate {}", name(row.method), row.rate)
            },
            ink: ink(row.method),
            points: points.zip(spreads.iter().copied().map(Some)).collect(),
        }
    };
    let rate = if own {
        "the rate that validation picks at each scale"
    } else {
        "the rate that validation picked at the scale of √2"
    };
    let scales = &protocol.scales;
    Chart {
        title: "Test accuracy over the scale of the initial weights".into(),
        about: format!(
            "The accuracy on the test part, without norm, with Batch Norm and with Layer Norm, \
             with weights of deviation scale/√fan_in at the start and {rate}: median and \
             quartiles over the seeds; a run that diverged counts as 0."
        ),
        x: Axis::log(
            "scale of the initial weights",
            scales[0],
            scales[scales.len() - 1],
        ),
        y: Axis::linear("test accuracy", 0.0, 1.0),
        lines: rows.iter().map(line).collect(),
    }
}

fn table(rows: &[Row<'_>], protocol: &Protocol) -> String {
    let line = |what: &str, spreads: &[Spread]| {
        let numbers = spreads.iter().map(|s| format!("{:>6}", percent(s.median)));
        format!("{what:<22}{}\n", numbers.collect::<String>())
    };
    let scales = protocol.scales.iter().map(|scale| format!("{scale:>6.2}"));
    let mut table = format!(
        "{:<22}{}\n",
        "test accuracy (%)",
        scales.collect::<String>()
    );
    for row in rows {
        let method = name(row.method);
        table += &line(&format!("{method}, own rate"), &row.own);
        table += &line(&format!("{method}, one rate"), &row.one);
    }
    table
}
