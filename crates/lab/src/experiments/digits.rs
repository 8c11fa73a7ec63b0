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
use nn::{MlpSpec, NormKind, Schedule, Sgd};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::chart::{Axis, Chart, Ink, Line};
use crate::experiment::{Error, Experiment, Finding};
use crate::session::Session;
use crate::stats::Spread;
use crate::train::{Diverged, Epoch, Training, fit};

pub(crate) const EXPERIMENT: Experiment = Experiment {
    name: "digits",
    about: "an MLP on handwritten digits: no norm, Batch Norm and Layer Norm",
    chapter: 6,
    protocol: |quick| serde_json::to_value(Protocol::new(quick)).expect("plain data serializes"),
    run,
};

const METHODS: [NormKind; 3] = [NormKind::None, NormKind::Batch, NormKind::Layer];

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
    rate_rule: &'static str,
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
            rate_rule: "highest median validation accuracy after the last epoch over the \
                        seeds, then lowest median validation loss, then the smaller rate; \
                        a diverged run has accuracy 0",
            target: 0.95,
            decision_rule: "faster: fewer median epochs until the validation accuracy first \
                            reaches the target, with quartile ranges that do not overlap",
        }
    }
}

/// One training.
#[derive(Clone, Copy)]
struct Job {
    method: NormKind,
    rate: f64,
    seed: u64,
}

/// What came of it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Run {
    Trained(Vec<Epoch>),
    Diverged(Diverged),
}

impl Run {
    fn last(&self) -> Option<&Epoch> {
        match self {
            Run::Trained(curve) => curve.last(),
            Run::Diverged(_) => None,
        }
    }

    /// The first epoch, counted from 1, after which the validation accuracy is `target`.
    fn epochs_to(&self, target: f64) -> Option<usize> {
        let Run::Trained(curve) = self else {
            return None;
        };
        curve
            .iter()
            .position(|epoch| epoch.validation.accuracy >= target)
            .map(|i| i + 1)
    }
}

fn run(session: &mut Session) -> Result<Finding, Error> {
    let data = Digits::load(Set::Small)?;
    let protocol = Protocol::new(session.quick());
    let mut jobs = Vec::new();
    for method in METHODS {
        for &rate in &protocol.rates {
            jobs.extend(
                session
                    .seeds()
                    .iter()
                    .map(|&seed| Job { method, rate, seed }),
            );
        }
    }
    session.begin(jobs.len())?;
    let key = |job: &Job| format!("{} {} {}", job.method, job.rate, job.seed);
    let runs = session.map(&jobs, key, |job| train(job, &protocol, &data))?;

    let per_rate = session.seeds().len();
    let grids: Vec<Grid> = runs
        .chunks(per_rate * protocol.rates.len())
        .zip(METHODS)
        .map(|(runs, method)| Grid::new(method, &protocol, runs, per_rate))
        .collect();
    Ok(Finding {
        data: json!({ "methods": grids.iter().map(|g| g.data(&protocol)).collect::<Vec<_>>() }),
        charts: vec![
            ("curves", curves(&grids, &protocol)),
            ("rates", rates(&grids, &protocol)),
        ],
        verdict: verdict(&grids, &protocol),
        table: table(&grids, &protocol),
    })
}

fn train(job: &Job, protocol: &Protocol, data: &Digits<f32>) -> Run {
    // One generator for the weights and one for the batches: methods with other parameters
    // see the same batches.
    let weights = &mut StdRng::seed_from_u64(2 * job.seed);
    let order = &mut StdRng::seed_from_u64(2 * job.seed + 1);
    let mut mlp = MlpSpec::new(&protocol.network)
        .norm(job.method)
        .build(weights);
    let training = Training {
        epochs: protocol.epochs,
        batch: BatchSize::Fixed(protocol.batch),
        rate: job.rate,
        schedule: Schedule::Constant,
    };
    match fit(
        &mut mlp,
        &mut Sgd::new().momentum(0.9),
        data,
        &training,
        order,
    ) {
        Ok(curve) => Run::Trained(curve),
        Err(diverged) => Run::Diverged(diverged),
    }
}

/// All runs of one method.
struct Grid<'a> {
    method: NormKind,
    /// For each rate, one run for each seed.
    by_rate: Vec<&'a [Run]>,
    /// The place of the chosen rate.
    chosen: usize,
}

impl<'a> Grid<'a> {
    fn new(method: NormKind, protocol: &Protocol, runs: &'a [Run], per_rate: usize) -> Self {
        let by_rate: Vec<&[Run]> = runs.chunks(per_rate).collect();
        let merit = |i: &usize| {
            let accuracy = accuracy(by_rate[*i], |e| e.validation.accuracy).median;
            let losses = finals(by_rate[*i], |e| e.validation.loss);
            let loss = Spread::of(&losses).map_or(f64::INFINITY, |s| s.median);
            (accuracy, -loss)
        };
        let chosen = (0..protocol.rates.len())
            .rev()
            .max_by(|a, b| {
                let ((a, c), (b, d)) = (merit(a), merit(b));
                a.total_cmp(&b).then(c.total_cmp(&d))
            })
            .expect("the grid has a rate");
        Grid {
            method,
            by_rate,
            chosen,
        }
    }

    fn runs(&self) -> &'a [Run] {
        self.by_rate[self.chosen]
    }

    /// The curves at the chosen rate, low, median and high apart.
    fn curve_data(&self, of: impl Fn(&Epoch) -> f64) -> serde_json::Value {
        let curve = self.curve(of);
        let part = |f: fn(Spread) -> f64| curve.iter().map(|s| s.map(f)).collect::<Vec<_>>();
        json!({ "low": part(|s| s.low), "median": part(|s| s.median), "high": part(|s| s.high) })
    }

    /// The spread over seeds after each epoch, at the chosen rate.
    fn curve(&self, of: impl Fn(&Epoch) -> f64) -> Vec<Option<Spread>> {
        let curves: Vec<&Vec<Epoch>> = self
            .runs()
            .iter()
            .filter_map(|run| match run {
                Run::Trained(curve) => Some(curve),
                Run::Diverged(_) => None,
            })
            .collect();
        let epochs = curves.first().map_or(0, |curve| curve.len());
        let at = |i: usize| {
            curves
                .iter()
                .map(|curve| of(&curve[i]))
                .collect::<Vec<f64>>()
        };
        (0..epochs).map(|i| Spread::of(&at(i))).collect()
    }

    /// Epochs to the target; infinite where it was not reached.
    fn speed(&self, protocol: &Protocol) -> Spread {
        let epochs: Vec<f64> = self
            .runs()
            .iter()
            .map(|run| {
                run.epochs_to(protocol.target)
                    .map_or(f64::INFINITY, |e| e as f64)
            })
            .collect();
        Spread::of(&epochs).expect("there is a seed")
    }

    fn data(&self, protocol: &Protocol) -> serde_json::Value {
        let last = protocol.rates.len() - 1;
        let rates: Vec<_> = self
            .by_rate
            .iter()
            .zip(&protocol.rates)
            .map(|(runs, rate)| {
                let diverged = runs.iter().filter_map(|run| match run {
                    Run::Diverged(diverged) => Some(diverged.to_string()),
                    Run::Trained(_) => None,
                });
                json!({
                    "rate": rate,
                    "validation_accuracy": accuracy(runs, |e| e.validation.accuracy),
                    "test_accuracy": accuracy(runs, |e| e.test.accuracy),
                    "diverged": diverged.collect::<Vec<_>>(),
                })
            })
            .collect();
        let finite = |x: f64| x.is_finite().then_some(x);
        let speed = self.speed(protocol);
        json!({
            "method": self.method.to_string(),
            "rates": rates,
            "chosen_rate": protocol.rates[self.chosen],
            "chosen_rate_is_at_the_edge_of_the_grid": self.chosen == 0 || self.chosen == last,
            "test_accuracy": accuracy(self.runs(), |e| e.test.accuracy),
            "test_accuracy_by_seed": finals(self.runs(), |e| e.test.accuracy),
            "test_loss": Spread::of(&finals(self.runs(), |e| e.test.loss)),
            "epochs_to_target": {
                "low": finite(speed.low), "median": finite(speed.median), "high": finite(speed.high),
            },
            "curves": {
                "train_loss": self.curve_data(|e| e.train_loss),
                "test_loss": self.curve_data(|e| e.test.loss),
                "test_accuracy": self.curve_data(|e| e.test.accuracy),
            },
        })
    }
}

/// One number after the last epoch, for each run that got there.
fn finals(runs: &[Run], of: impl Fn(&Epoch) -> f64) -> Vec<f64> {
    runs.iter().filter_map(Run::last).map(of).collect()
}

/// An accuracy after the last epoch; 0 for a run that diverged.
fn accuracy(runs: &[Run], of: impl Fn(&Epoch) -> f64) -> Spread {
    let all: Vec<f64> = runs.iter().map(|run| run.last().map_or(0.0, &of)).collect();
    Spread::of(&all).expect("there is a seed")
}

fn name(method: NormKind) -> &'static str {
    match method {
        NormKind::None => "no norm",
        NormKind::Batch => "Batch Norm",
        NormKind::Layer => "Layer Norm",
        NormKind::Rms => "RMS Norm",
    }
}

fn ink(method: NormKind) -> Ink {
    match method {
        NormKind::None => Ink::None,
        NormKind::Batch => Ink::Batch,
        NormKind::Layer => Ink::Layer,
        NormKind::Rms => Ink::Rms,
    }
}

fn curves(grids: &[Grid<'_>], protocol: &Protocol) -> Chart {
    let lines = grids.iter().map(|grid| {
        let losses = grid.curve(|e| e.test.loss);
        let points = losses
            .into_iter()
            .enumerate()
            .map(|(i, s)| ((i + 1) as f64, s))
            .collect();
        let rate = protocol.rates[grid.chosen];
        Line {
            name: format!("{}, rate {rate}", name(grid.method)),
            ink: ink(grid.method),
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

fn rates(grids: &[Grid<'_>], protocol: &Protocol) -> Chart {
    let lines = grids.iter().map(|grid| {
        let spreads = grid
            .by_rate
            .iter()
            .map(|runs| accuracy(runs, |e| e.validation.accuracy));
        let points = protocol
            .rates
            .iter()
            .copied()
            .zip(spreads.map(Some))
            .collect();
        Line {
            name: name(grid.method).into(),
            ink: ink(grid.method),
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

fn verdict(grids: &[Grid<'_>], protocol: &Protocol) -> String {
    let [none, batch, layer] = grids else {
        unreachable!("there are three methods")
    };
    let answer = |grid: &Grid<'_>| {
        let (with, without) = (grid.speed(protocol), none.speed(protocol));
        let how = if with.high < without.low {
            "faster than"
        } else if without.high < with.low {
            "slower than"
        } else {
            "not clearly faster or slower than"
        };
        format!(
            "{} is {how} no norm ({} against {})",
            name(grid.method),
            epochs(with.median),
            epochs(without.median)
        )
    };
    format!(
        "By epochs to {} % on the validation part: {}; {}.",
        100.0 * protocol.target,
        answer(batch),
        answer(layer)
    )
}

fn table(grids: &[Grid<'_>], protocol: &Protocol) -> String {
    let target = format!("epochs to {} %", 100.0 * protocol.target);
    let mut table = format!(
        "{:<12}  {:>5}  {:>24}  {:>24}\n",
        "", "rate", "test accuracy", target
    );
    for grid in grids {
        let test = accuracy(grid.runs(), |e| e.test.accuracy);
        let speed = grid.speed(protocol);
        let [low, median, high] = [test.low, test.median, test.high].map(|x| 100.0 * x);
        let [fast, usual, slow] = [speed.low, speed.median, speed.high].map(epochs);
        table += &format!(
            "{:<12}  {:>5}  {:>24}  {:>24}\n",
            name(grid.method),
            protocol.rates[grid.chosen],
            format!("{median:.1} % ({low:.1} to {high:.1})"),
            format!("{usual} ({fast} to {slow})"),
        );
    }
    table
}

/// A number of epochs for a reader.
fn epochs(number: f64) -> String {
    if number.is_finite() {
        number.to_string()
    } else {
        "never".to_owned()
    }
}
