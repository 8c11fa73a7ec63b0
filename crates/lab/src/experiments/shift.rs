//! Claim C1: without normalization the distribution of a layer's inputs shifts as training
//! goes on; normalization keeps it near mean 0 and deviation 1.
//!
//! # Protocol
//! An MLP 64-64-64-64-64-10 with ReLU and PyTorch's initial weights learns the 8 x 8 digits,
//! with nothing, Batch Norm or Layer Norm before each ReLU. SGD with momentum 0.9, batches of
//! 64, 20 epochs, a constant learning rate that validation picks for each method from one
//! grid. Each method is then trained once more from every seed at its rate, and stopped at
//! steps 0, 1, 2, 4, 8, … and the last to look at what goes into the last ReLU (after the
//! norm, with its γ and β): mean and deviation of every unit over the whole training part, in
//! training mode.
//!
//! Reported are the root mean squares over the units of the means and of the deviations, and
//! the *shift*: the root mean square of how far the means have moved since step 0, in units
//! of the deviation at step 0 (again a root mean square over units).
//!
//! Without norm the inputs shift if the median shift after the last step is at least 0.5. A
//! method keeps them near mean 0 and deviation 1 if at every stop the median of the means is
//! at most 0.5, and that of the deviations between 0.5 and 2. The claim is supported if the
//! inputs shift without norm and both norms keep them; not supported if they do not shift, or
//! neither norm keeps them; and depends otherwise.

use nn::data::{BatchSize, Digits, Set};
use nn::{MlpSpec, NormKind, Schedule, Sgd};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::chart::{Axis, Chart, Line};
use crate::claims::{Answer, Claim};
use crate::experiment::{Error, Experiment, Finding};
use crate::method::{METHODS, ink, name};
use crate::moments::{before_nonlinearities, rms};
use crate::session::Session;
use crate::stats::Spread;
use crate::sweep::{Cell, Rule, Run, size, sweep};
use crate::train::{Training, fit_watched, trained};

pub(crate) const EXPERIMENT: Experiment = Experiment {
    name: "shift",
    about: "what a layer sees while the layers before it learn",
    chapter: 6,
    claim: Some(Claim {
        id: "C1",
        text: "Without normalization the distribution of a layer's inputs shifts as training \
               goes on; normalization keeps it near mean 0 and deviation 1.",
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
    optimizer: &'static str,
    batch: usize,
    epochs: usize,
    rates: Vec<f64>,
    rate_rule: String,
    measured: &'static str,
    shifts_from: f64,
    mean_at_most: f64,
    deviation_between: [f64; 2],
    decision_rule: &'static str,
}

impl Protocol {
    fn new(quick: bool) -> Self {
        Protocol {
            data: "digits-8x8 in its fixed split",
            network: vec![64, 64, 64, 64, 64, 10],
            activation: "relu",
            initial_weights: "PyTorch's default",
            optimizer: "SGD, momentum 0.9",
            batch: 64,
            epochs: if quick { 2 } else { 20 },
            rates: if quick {
                vec![0.1]
            } else {
                vec![0.003, 0.01, 0.03, 0.1, 0.3, 1.0]
            },
            rate_rule: Rule::Accuracy.text(),
            measured: "the input of the last ReLU over the training part, at steps 0, 1, 2, 4, \
                       ... and the last: root mean squares over the units of the mean, of the \
                       deviation, and of the move of the mean since step 0 in deviations at \
                       step 0",
            shifts_from: 0.5,
            mean_at_most: 0.5,
            deviation_between: [0.5, 2.0],
            decision_rule: "shifts: the median shift at the end is at least shifts_from; keeps: \
                            at every stop the median of the means is at most mean_at_most and \
                            of the deviations within deviation_between. supported: shifts \
                            without norm, and both norms keep; not supported: no shift, or \
                            neither keeps; else depends",
        }
    }
}

/// What is seen at one stop.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Stop {
    step: usize,
    mean: f64,
    deviation: f64,
    shift: f64,
}

/// One method's stops, over the seeds.
struct Seen {
    method: NormKind,
    stops: Vec<(usize, [Spread; 3])>,
}

fn run(session: &mut Session) -> Result<Finding, Error> {
    let data = Digits::load(Set::Small)?;
    let protocol = Protocol::new(session.quick());
    let rates = &protocol.rates;
    let seeds = session.seeds().to_vec();
    let looks = METHODS.len() * seeds.len();
    session.begin(size(session, &METHODS, rates) + looks)?;
    let training = |rate| Training {
        epochs: protocol.epochs,
        batch: BatchSize::Fixed(protocol.batch),
        rate,
        schedule: Schedule::Constant,
        score_each: None,
    };
    let spec = |norm| MlpSpec::new(&protocol.network).norm(norm);
    let train = |norm, rate, seed| {
        let build = |rng: &mut _| spec(norm).build(rng);
        Run::from(trained(build, 0.9, &data, &training(rate), seed).1)
    };
    let cells = sweep(session, &METHODS, rates, Rule::Accuracy, train)?;
    let mut jobs = Vec::new();
    for cell in &cells {
        jobs.extend(seeds.iter().map(|&seed| (cell, seed)));
    }
    let key = |(cell, seed): &(&Cell<NormKind>, u64)| format!("look {} {seed}", cell.of);
    let stops = session.map(&jobs, key, |(cell, seed)| {
        look(&spec(cell.of), &training(cell.rate()), &data, *seed)
    })?;
    let seen: Vec<Seen> = stops
        .chunks(seeds.len())
        .zip(METHODS)
        .map(|(runs, method)| Seen::of(method, runs))
        .collect();

    let shifts = seen[0].last()[2].median >= protocol.shifts_from;
    let keeps = [1, 2].map(|i| seen[i].keeps(&protocol));
    let answer = if shifts {
        Answer::of(keeps)
    } else {
        Answer::NotSupported
    };
    let entries = cells.iter().zip(&seen).map(|(cell, seen)| {
        let stops = seen.stops.iter().map(|(step, [mean, deviation, shift])| {
            json!({ "step": step, "mean": mean, "deviation": deviation, "shift": shift })
        });
        let more = json!({
            "keeps_near_0_and_1": seen.keeps(&protocol),
            "stops": stops.collect::<Vec<Value>>(),
        });
        cell.data_between(json!({ "method": cell.of.to_string() }), more)
    });
    Ok(Finding {
        data: json!({ "methods": entries.collect::<Vec<Value>>() }),
        charts: vec![
            ("mean", chart(&seen, 0)),
            ("deviation", chart(&seen, 1)),
            ("shift", chart(&seen, 2)),
        ],
        answer: Some(answer),
        verdict: verdict(answer, &seen, &protocol),
        table: table(&seen),
    })
}

/// Trains once, and stops to look.
fn look(spec: &MlpSpec, training: &Training, data: &Digits<f32>, seed: u64) -> Vec<Stop> {
    let weights = &mut StdRng::seed_from_u64(2 * seed);
    let order = &mut StdRng::seed_from_u64(2 * seed + 1);
    let mut model = spec.build(weights);
    let BatchSize::Fixed(batch) = training.batch else {
        unreachable!("the protocol has one batch size")
    };
    let end = training.epochs * (data.train.len() / batch);
    let mut first = None;
    let mut stops = Vec::new();
    let mut sgd = Sgd::new().momentum(0.9);
    let ended = fit_watched(
        &mut model,
        &mut sgd,
        data,
        training,
        order,
        |step, model| {
            if step != 0 && step != end && !step.is_power_of_two() {
                return;
            }
            let seen = before_nonlinearities(model, &data.train.images);
            let last = seen.into_iter().last().expect("there is a ReLU");
            let first = first.get_or_insert_with(|| last.clone());
            stops.push(Stop {
                step,
                mean: rms(last.mean.iter().copied()),
                deviation: rms(last.deviation.iter().copied()),
                shift: last.shift_from(first),
            });
        },
    );
    ended.expect("validation picked a rate that trains");
    stops
}

impl Seen {
    fn of(method: NormKind, runs: &[Vec<Stop>]) -> Self {
        let spread = |at: usize, of: fn(&Stop) -> f64| {
            let all: Vec<f64> = runs.iter().map(|stops| of(&stops[at])).collect();
            Spread::of(&all).expect("there is a seed")
        };
        let stop = |(at, stop): (usize, &Stop)| {
            let of: [fn(&Stop) -> f64; 3] = [|s| s.mean, |s| s.deviation, |s| s.shift];
            (stop.step, of.map(|of| spread(at, of)))
        };
        Seen {
            method,
            stops: runs[0].iter().enumerate().map(stop).collect(),
        }
    }

    fn last(&self) -> [Spread; 3] {
        self.stops.last().expect("there is a stop").1
    }

    fn keeps(&self, protocol: &Protocol) -> bool {
        let [low, high] = protocol.deviation_between;
        self.stops.iter().all(|(_, [mean, deviation, _])| {
            mean.median <= protocol.mean_at_most && (low..=high).contains(&deviation.median)
        })
    }

    /// The largest median of the means, and the smallest and largest of the deviations.
    fn extremes(&self) -> [f64; 3] {
        let start = [0.0, f64::INFINITY, 0.0];
        let widen = |[mean, low, high]: [f64; 3], (_, spreads): &(usize, [Spread; 3])| {
            let [m, d] = [spreads[0].median, spreads[1].median];
            [f64::max(mean, m), f64::min(low, d), f64::max(high, d)]
        };
        self.stops.iter().fold(start, widen)
    }
}

fn verdict(answer: Answer, seen: &[Seen], protocol: &Protocol) -> String {
    let each = |seen: &Seen| {
        let [mean, low, high] = seen.extremes();
        let keeps = if seen.keeps(protocol) {
            "keeps"
        } else {
            "does not keep"
        };
        format!(
            "{} {keeps} means and deviations near 0 and 1 (means up to {mean:.2}, deviations \
             {low:.2} to {high:.2})",
            name(seen.method)
        )
    };
    format!(
        "{}: without norm the means before the last ReLU move by {:.1} of their first deviations; \
         {}; {}.",
        answer.words(),
        seen[0].last()[2].median,
        each(&seen[1]),
        each(&seen[2])
    )
}

fn chart(seen: &[Seen], which: usize) -> Chart {
    let line = |seen: &Seen| Line {
        name: name(seen.method).into(),
        ink: ink(seen.method),
        points: seen.stops[1..]
            .iter()
            .map(|(step, spreads)| (*step as f64, Some(spreads[which])))
            .collect(),
    };
    let lines: Vec<Line> = seen.iter().map(line).collect();
    let seen_values = lines.iter().flat_map(|line| &line.points);
    let high = seen_values
        .filter_map(|(_, s)| *s)
        .fold(0.0_f64, |h, s| h.max(s.high));
    let last = seen[0].stops.last().expect("there is a stop").0;
    let (title, caption) = [
        (
            "Means before the last ReLU",
            "mean of a unit (rms over units)",
        ),
        (
            "Deviations before the last ReLU",
            "deviation of a unit (rms over units)",
        ),
        (
            "How far the means have moved",
            "shift (deviations at step 0)",
        ),
    ][which];
    Chart {
        title: title.into(),
        about: format!(
            "What goes into the last ReLU while the network learns: {caption}, after each step, \
             without norm, with Batch Norm and with Layer Norm: median and quartiles over the \
             seeds."
        ),
        x: Axis::log("steps", 1.0, last as f64),
        y: Axis::linear(caption, 0.0, 1.05 * high),
        lines,
    }
}

fn table(seen: &[Seen]) -> String {
    let mut table = format!(
        "{:<12}{:>12}{:>12}{:>24}{:>12}\n",
        "", "first mean", "last mean", "deviation, first, last", "shift"
    );
    for seen in seen {
        let (first, last) = (seen.stops[0].1, seen.last());
        table += &format!(
            "{:<12}{:>12.2}{:>12.2}{:>24}{:>12.2}\n",
            name(seen.method),
            first[0].median,
            last[0].median,
            format!("{:.2}, {:.2}", first[1].median, last[1].median),
            last[2].median
        );
    }
    table
}
