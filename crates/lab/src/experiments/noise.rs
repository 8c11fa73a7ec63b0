//! Claim C13: the gain comes from reduced internal covariate shift.
//!
//! Ioffe and Szegedy (2015) explain Batch Norm by it: layers learn faster when what they see
//! does not shift. Santurkar et al. (2018) contest it. They put noise after Batch Norm whose
//! mean and scale change at every step, so that the shift is back, and found the gain still
//! there. This repeats their test.
//!
//! # Protocol
//! An MLP 64-64-64-64-64-64-10 with ReLU and PyTorch's initial weights learns the 8 x 8
//! digits: without norm, with Batch Norm before each ReLU, and with Batch Norm followed by
//! noise. At every forward pass in training, the noise draws for each unit a scale from
//! 1 − a/2 to 1 + a/2 and a shift from −a to a, uniformly, the same for all examples of the
//! batch; a is 0.25, 0.5, 1 or 2. (Santurkar et al. add noise for each example on top.) There
//! is no noise in evaluation. SGD with momentum 0.9, batches of 64, 30 epochs, a constant
//! learning rate; scored after every third step. The rate of each is the one of the common
//! grid with which the validation accuracy first reaches 95 %.
//!
//! *Shift.* Each is trained once more from every seed at its rate. At each of the first 36
//! steps, the mean of every unit before the last ReLU is taken over 256 training digits, and
//! compared with that at the step before: the root mean square of the moves over the units,
//! in units of the deviation before. The shift is the average over these steps.
//!
//! *Predictiveness.* At every sixth of these steps, the gradient of all weights on one batch
//! is taken before and after moves along itself of 0.1 times 1/2, 1, 2 and 4; reported is
//! the largest |g' − g|/|g| over the moves, averaged over the steps. Small means that a step
//! does not change what the gradient says.
//!
//! A noise brings the shift back if its median shift is at least that of no norm. One method
//! gains over no norm if its median number of steps to 95 % is smaller and the ranges from
//! first to third quartile do not overlap. If Batch Norm gains nothing or no noise brings the
//! shift back, nothing can be said of the claim and the answer is that it depends. Otherwise
//! the claim is supported if no noise that brings the shift back leaves a gain, not supported
//! if every one does, and depends otherwise.

use std::fmt;

use nn::data::{BatchSize, Digits, Examples, Set};
use nn::loss::cross_entropy;
use nn::{Layer, Linear, Mode, Module, Norm, NormKind, Probe, Schedule, Sgd, Visitor};
use nn::{each_param, name_params};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tape::{Grads, Tape, Tensor, Var};

use crate::chart::{Axis, Chart, Ink, Line};
use crate::claims::{Answer, Claim};
use crate::experiment::{Error, Experiment, Finding};
use crate::moments::before_nonlinearities;
use crate::session::Session;
use crate::stats::{Apart, Spread};
use crate::sweep::{Cell, Rule, size, sweep};
use crate::text::{count, count_range, list, percent, percent_range};
use crate::train::{Training, fit_watched, trained, without_trace};

pub(crate) const EXPERIMENT: Experiment = Experiment {
    name: "noise",
    about: "Batch Norm with the shift brought back by noise",
    chapter: 16,
    claim: Some(Claim {
        id: "C13",
        text: "The gain comes from reduced internal covariate shift.",
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
    noise: Vec<f64>,
    optimizer: &'static str,
    batch: usize,
    epochs: usize,
    score_each: usize,
    rates: Vec<f64>,
    rate_rule: String,
    target: f64,
    looked_at_steps: usize,
    shift: &'static str,
    predictiveness: &'static str,
    moves: [f64; 4],
    decision_rule: &'static str,
}

impl Protocol {
    fn new(quick: bool) -> Self {
        let target = 0.95;
        Protocol {
            data: "digits-8x8 in its fixed split",
            network: vec![64, 64, 64, 64, 64, 64, 10],
            activation: "relu",
            initial_weights: "PyTorch's default",
            noise: if quick {
                vec![1.0]
            } else {
                vec![0.25, 0.5, 1.0, 2.0]
            },
            optimizer: "SGD, momentum 0.9",
            batch: 64,
            epochs: if quick { 2 } else { 30 },
            score_each: if quick { 9 } else { 3 },
            rates: if quick {
                vec![0.1]
            } else {
                vec![0.003, 0.01, 0.03, 0.1, 0.3, 1.0]
            },
            rate_rule: Rule::Speed { target }.text(),
            target,
            looked_at_steps: if quick { 6 } else { 36 },
            shift: "moves of the means before the last ReLU from step to step, in deviations, \
                    averaged over the first steps",
            predictiveness: "largest |g' - g|/|g| along the gradient, at moves of the given \
                             sizes times g, averaged over every sixth of the first steps",
            moves: [0.05, 0.1, 0.2, 0.4],
            decision_rule: "brings back: median shift at least that of no norm; gains: fewer \
                            steps to the target than no norm, quartile ranges apart. depends: \
                            Batch Norm gains nothing, or no noise brings the shift back; \
                            supported: no noise that brings it back gains; not supported: \
                            every one gains; else depends",
        }
    }
}

/// What follows each linear layer but the last.
#[derive(Clone, Copy, PartialEq)]
enum Method {
    None,
    Batch,
    /// Batch Norm, then noise of this size.
    Noisy(f64),
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Method::None => f.write_str("none"),
            Method::Batch => f.write_str("batch"),
            Method::Noisy(size) => write!(f, "batch with noise {size}"),
        }
    }
}

impl Method {
    fn name(self) -> String {
        match self {
            Method::None => "no norm".to_owned(),
            Method::Batch => "Batch Norm".to_owned(),
            Method::Noisy(size) => format!("Batch Norm with noise {size}"),
        }
    }
}

/// An MLP with noise after its norms.
struct Noisy {
    layers: Vec<(Linear<f32>, Norm<f32>)>,
    method: Method,
    rng: StdRng,
}

impl Noisy {
    fn new(sizes: &[usize], method: Method, rng: &mut StdRng) -> Self {
        let last = sizes.len() - 2;
        let layer = |(i, pair): (usize, &[usize])| {
            let norm = match method {
                Method::None => NormKind::None,
                _ if i == last => NormKind::None,
                Method::Batch | Method::Noisy(_) => NormKind::Batch,
            };
            let linear = Linear::new(pair[0], pair[1], rng);
            (linear, Norm::new(norm, [pair[1]]))
        };
        let layers = sizes.windows(2).enumerate().map(layer).collect();
        let mut noisy = Noisy {
            layers,
            method,
            rng: StdRng::seed_from_u64(rng.random()),
        };
        name_params(&mut noisy);
        noisy
    }

    /// One scale and one shift for each unit.
    fn draw(rng: &mut StdRng, size: f64, units: usize) -> [Tensor<f32>; 2] {
        let scale = Tensor::uniform([units], 1.0 - size / 2.0, 1.0 + size / 2.0, rng);
        [scale, Tensor::uniform([units], -size, size, rng)]
    }
}

impl Module<f32> for Noisy {
    fn visit(&mut self, v: &mut Visitor<'_, f32>) {
        for (i, (linear, norm)) in self.layers.iter_mut().enumerate() {
            v.child(format_args!("layers.{i}"), linear);
            v.child(format_args!("layers.{i}.norm"), norm);
        }
    }
}

impl Layer<f32> for Noisy {
    fn forward<'t>(&mut self, x: &Var<'t, f32>, mode: Mode) -> Var<'t, f32> {
        self.forward_probed(x, mode, &mut |_, _| {})
    }

    fn forward_probed<'t>(
        &mut self,
        x: &Var<'t, f32>,
        mode: Mode,
        probe: &mut Probe<'_, f32>,
    ) -> Var<'t, f32> {
        let last = self.layers.len() - 1;
        let mut x = x.clone();
        for (i, (linear, norm)) in self.layers.iter_mut().enumerate() {
            x = linear.forward(&x, mode);
            probe(&format_args!("layers.{i}.linear"), &x);
            if i == last {
                break;
            }
            x = norm.forward(&x, mode);
            if let (Method::Noisy(size), Mode::Train) = (self.method, mode) {
                let [scale, shift] = Noisy::draw(&mut self.rng, size, x.shape()[1]);
                let t = x.tape();
                x = &(&x * &t.constant(scale)) + &t.constant(shift);
            }
            probe(&format_args!("layers.{i}.norm"), &x);
            x = x.relu();
            probe(&format_args!("layers.{i}.relu"), &x);
        }
        x
    }
}

/// What is seen in the first steps of one run.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Look {
    shift: f64,
    change: f64,
}

/// One method, all found of it.
struct Row<'a> {
    cell: &'a Cell<Method>,
    steps: Spread,
    shift: Spread,
    change: Spread,
}

fn run(session: &mut Session) -> Result<Finding, Error> {
    let data = Digits::load(Set::Small)?;
    let protocol = Protocol::new(session.quick());
    let mut methods = vec![Method::None, Method::Batch];
    methods.extend(protocol.noise.iter().copied().map(Method::Noisy));
    let seeds = session.seeds().to_vec();
    session.begin(size(session, &methods, &protocol.rates) + methods.len() * seeds.len())?;
    let training = |rate, epochs| Training {
        epochs,
        batch: BatchSize::Fixed(protocol.batch),
        rate,
        schedule: Schedule::Constant,
        score_each: Some(protocol.score_each),
    };
    let rule = Rule::Speed {
        target: protocol.target,
    };
    let train = |method, rate, seed| {
        let build = |rng: &mut StdRng| Noisy::new(&protocol.network, method, rng);
        let training = training(rate, protocol.epochs);
        trained(build, 0.9, &data, &training, seed).1.into()
    };
    let cells = sweep(session, &methods, &protocol.rates, rule, train)?;
    let mut jobs = Vec::new();
    for cell in &cells {
        jobs.extend(seeds.iter().map(|&seed| (cell, seed)));
    }
    let key = |(cell, seed): &(&Cell<Method>, u64)| format!("look {} {seed}", cell.of);
    let looks = session.map(&jobs, key, |(cell, seed)| {
        let epochs = protocol
            .looked_at_steps
            .div_ceil(data.train.len() / protocol.batch);
        look(
            cell.of,
            &training(cell.rate(), epochs),
            &protocol,
            &data,
            *seed,
        )
    })?;
    let rows: Vec<Row<'_>> = cells
        .iter()
        .zip(looks.chunks(seeds.len()))
        .map(|(cell, looks)| Row::of(cell, looks, &protocol))
        .collect();
    let answer = judge(&rows);
    let entries = rows.iter().map(|row| {
        let size = match row.cell.of {
            Method::Noisy(size) => size,
            Method::None | Method::Batch => 0.0,
        };
        let first = json!({ "method": row.cell.of.to_string(), "noise": size });
        let more = json!({
            "steps_to_target": row.steps,
            "shift": row.shift,
            "gradient_change": row.change,
            "brings_the_shift_back": row.brings_back(&rows[0]),
            "gains": row.gains(&rows[0]),
            "saved": row.saved(&rows[0], &rows[1]),
            "curves": { "validation_accuracy": row.cell.curve_data(|e| e.validation.accuracy) },
        });
        row.cell.data_between(first, more)
    });
    Ok(Finding {
        data: json!({ "methods": entries.collect::<Vec<Value>>() }),
        charts: vec![
            (
                "steps",
                levels(&rows, "steps to the target", |row| row.steps),
            ),
            (
                "shift",
                levels(&rows, "shift from step to step (deviations)", |row| {
                    row.shift
                }),
            ),
            (
                "gradient",
                levels(&rows, "change of the gradient along itself", |row| {
                    row.change
                }),
            ),
        ],
        answer: Some(answer),
        verdict: verdict(answer, &rows, &protocol),
        table: table(&rows, &protocol),
    })
}

/// Trains for the first steps only, and looks at each.
fn look(
    method: Method,
    training: &Training,
    protocol: &Protocol,
    data: &Digits<f32>,
    seed: u64,
) -> Look {
    let weights = &mut StdRng::seed_from_u64(2 * seed);
    let order = &mut StdRng::seed_from_u64(2 * seed + 1);
    let mut model = Noisy::new(&protocol.network, method, weights);
    let few = data.train.pick(&(0..256).collect::<Vec<_>>());
    let batch = data.train.pick(&(0..protocol.batch).collect::<Vec<_>>());
    let (mut shifts, mut changes) = (Vec::new(), Vec::new());
    let mut before = None;
    let mut sgd = Sgd::new().momentum(0.9);
    let ended = fit_watched(
        &mut model,
        &mut sgd,
        data,
        training,
        order,
        |step, model| {
            if step > protocol.looked_at_steps {
                return;
            }
            let seen = before_nonlinearities(model, &few.images);
            let now = seen.into_iter().last().expect("there is a ReLU");
            if let Some(before) = before.replace(now.clone()) {
                shifts.push(now.shift_from(&before));
            }
            if step % 6 == 0 {
                changes.push(change(model, &batch, &protocol.moves));
            }
        },
    );
    ended.expect("validation picked a rate that trains");
    let average = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
    Look {
        shift: average(&shifts),
        change: average(&changes),
    }
}

/// The largest relative change of the gradient over the moves along itself. Leaves the model
/// as it was, but for what it has drawn of its noise.
fn change(model: &mut Noisy, batch: &Examples<f32>, moves: &[f64]) -> f64 {
    let gradient = |model: &mut Noisy| {
        without_trace(model, |model| {
            let (_, (), grads) = Tape::new().grad(|t| {
                let logits = model.forward(&t.constant(batch.images.clone()), Mode::Train);
                (cross_entropy(&logits, &batch.labels), ())
            });
            flat(model, &grads)
        })
    };
    let start = gradient(model);
    let mut kept = Vec::new();
    each_param(model, |param| kept.push(param.value().clone()));
    let size = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    let mut most = 0.0_f64;
    for by in moves {
        let mut values = kept.iter();
        let mut at = 0;
        each_param(model, |param| {
            let kept = values.next().expect("the parameters are the same");
            let data = param.value_mut().data_mut();
            for (x, kept) in data.iter_mut().zip(kept.data()) {
                *x = kept - (by * start[at]) as f32;
                at += 1;
            }
        });
        let there = gradient(model);
        let difference: Vec<f64> = there.iter().zip(&start).map(|(a, b)| a - b).collect();
        most = most.max(size(&difference) / size(&start));
    }
    let mut values = kept.into_iter();
    each_param(model, |param| {
        *param.value_mut() = values.next().expect("the parameters are the same");
    });
    most
}

/// All gradients in a row.
fn flat(model: &mut Noisy, grads: &Grads<f32>) -> Vec<f64> {
    let mut all = Vec::new();
    each_param(model, |param| {
        all.extend(grads.of(param).data().iter().map(|&g| f64::from(g)));
    });
    all
}

impl<'a> Row<'a> {
    fn of(cell: &'a Cell<Method>, looks: &[Look], protocol: &Protocol) -> Self {
        let spread = |of: fn(&Look) -> f64| {
            let all: Vec<f64> = looks.iter().map(of).collect();
            Spread::of(&all).expect("there is a seed")
        };
        let scores = cell.scores_to(protocol.target);
        let each = protocol.score_each as f64;
        Row {
            cell,
            steps: Spread {
                low: each * scores.low,
                median: each * scores.median,
                high: each * scores.high,
            },
            shift: spread(|look| look.shift),
            change: spread(|look| look.change),
        }
    }

    fn noisy(&self) -> bool {
        matches!(self.cell.of, Method::Noisy(_))
    }

    fn gains(&self, none: &Row<'_>) -> bool {
        self.steps.seen_from(none.steps) == Apart::Below
    }

    /// The share of the steps that Batch Norm saves over no norm which this method saves too,
    /// from medians; none where no norm does not get to the target.
    fn saved(&self, none: &Row<'_>, batch: &Row<'_>) -> Option<f64> {
        let from = none.steps.median;
        let share = (from - self.steps.median) / (from - batch.steps.median);
        share.is_finite().then_some(share)
    }

    fn brings_back(&self, none: &Row<'_>) -> bool {
        self.noisy() && self.shift.median >= none.shift.median
    }
}

fn judge(rows: &[Row<'_>]) -> Answer {
    let [none, batch] = [&rows[0], &rows[1]];
    let back = rows.iter().filter(|row| row.brings_back(none));
    let lost: Vec<bool> = back.map(|row| !row.gains(none)).collect();
    if lost.is_empty() || !batch.gains(none) {
        return Answer::Depends;
    }
    Answer::of(lost)
}

fn verdict(answer: Answer, rows: &[Row<'_>], protocol: &Protocol) -> String {
    let [none, batch] = [&rows[0], &rows[1]];
    let told = |row: &Row<'_>| {
        format!(
            "{} needs {} steps at a shift of {:.2}",
            row.cell.of.name(),
            count(row.steps.median),
            row.shift.median
        )
    };
    let noisy = rows.iter().filter(|row| row.noisy());
    let noisy: Vec<String> = noisy
        .map(|row| {
            let back = if row.brings_back(none) {
                "back"
            } else {
                "not back"
            };
            let gains = if row.gains(none) { "a gain" } else { "no gain" };
            format!("{} ({back}, {gains})", told(row))
        })
        .collect();
    format!(
        "{}: to {} % on the validation part, {} and {}; with noise after it, {}. Along itself the \
         gradient changes by {:.2} of its size without norm and by {:.2} with Batch Norm.",
        answer.words(),
        percent(protocol.target),
        told(none),
        told(batch),
        list(&noisy),
        none.change.median,
        batch.change.median
    )
}

/// One number over the size of the noise, with no norm and Batch Norm as levels.
fn levels(rows: &[Row<'_>], caption: &str, of: fn(&Row<'_>) -> Spread) -> Chart {
    let size = |row: &Row<'_>| match row.cell.of {
        Method::Noisy(size) => Some(size),
        Method::None | Method::Batch => None,
    };
    let finite = |s: Spread| s.high.is_finite().then_some(s);
    let noisy: Vec<(f64, Option<Spread>)> = rows
        .iter()
        .filter_map(|row| Some((size(row)?, finite(of(row)))))
        .collect();
    let (first, last) = (noisy[0].0, noisy[noisy.len() - 1].0);
    let (first, last) = if first < last {
        (first, last)
    } else {
        (first / 2.0, first * 2.0)
    };
    let level = |row: &Row<'_>, ink| Line {
        name: row.cell.of.name(),
        ink,
        points: vec![(first, finite(of(row))), (last, finite(of(row)))],
    };
    let lines = vec![
        level(&rows[0], Ink::None),
        level(&rows[1], Ink::Batch),
        Line {
            name: "Batch Norm with noise".into(),
            ink: Ink::Noise,
            points: noisy,
        },
    ];
    let seen = lines
        .iter()
        .flat_map(|line| &line.points)
        .filter_map(|(_, s)| *s);
    let (low, high) = seen.fold((f64::INFINITY, 0.0_f64), |(low, high), s| {
        (low.min(s.low), high.max(s.high))
    });
    let (low, high) = if low < high { (low, high) } else { (1.0, 10.0) };
    Chart {
        title: "Batch Norm with noise after it".into(),
        about: format!(
            "{caption}, for Batch Norm followed by noise of growing size, with the levels of no \
             norm and of Batch Norm: median and quartiles over the seeds."
        ),
        x: Axis::log("size of the noise, a", first, last),
        y: Axis::log(caption, 0.8 * low, 1.25 * high),
        lines,
    }
}

fn table(rows: &[Row<'_>], protocol: &Protocol) -> String {
    let mut table = format!(
        "{:<28}{:>8}{:>24}{:>10}{:>18}{:>26}\n",
        "",
        "rate",
        format!("steps to {} %", percent(protocol.target)),
        "shift",
        "gradient change",
        "test accuracy at the end"
    );
    for row in rows {
        table += &format!(
            "{:<28}{:>8}{:>24}{:>10.3}{:>18.2}{:>26}\n",
            row.cell.of.name(),
            row.cell.rate(),
            count_range(row.steps),
            row.shift.median,
            row.change.median,
            percent_range(row.cell.test())
        );
    }
    table
}
