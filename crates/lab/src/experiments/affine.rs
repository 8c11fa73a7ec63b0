//! Claim C10: the learnable scale and shift keep the model's capacity.
//!
//! # Protocol
//! *The identity.* "Keeping capacity" is meant literally: with the right γ and β the norm can
//! undo itself, so that nothing is lost by putting it in. The inputs are what the first layer
//! of a fresh MLP (64 features to 64 units, PyTorch's initial weights) makes of the training
//! digits, all in one batch. γ and β of each unit are those with the least squared distance
//! between the output of the norm and its input: the line of regression of the input on the
//! normalized input. Reported is the *unexplained share*: the squared distance over the
//! squared deviation of the inputs from their mean by unit, with these γ and β, and with γ =
//! 1 and β = 0. The identity is recovered if the median share is below 0.0001 with and above
//! 0.01 without.
//!
//! *Accuracy.* An MLP 64-64-64-64-10 with ReLU or sigmoid learns the 8 x 8 digits, with
//! nothing, Batch Norm or Layer Norm before each nonlinearity, the norms with γ and β learned
//! or kept. SGD with momentum 0.9, batches of 64, 20 epochs, a constant learning rate that
//! validation picks for each from one grid. A norm keeps the accuracy if in neither
//! nonlinearity its test accuracy with γ and β learned is clearly below that of no norm (the
//! ranges from first to third quartile do not overlap).
//!
//! The claim holds of a norm if the identity is recovered and the accuracy kept. It is
//! supported if it holds of both norms, not supported if of neither, and depends otherwise.
//! What learning γ and β changes in accuracy is reported beside it.

use std::fmt;

use nn::data::{BatchSize, Digits, Set};
use nn::{
    Activation, Layer, Linear, Mlp, MlpSpec, Mode, Module, Norm, NormKind, Probe, Schedule, State,
    Visitor, each_state,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Serialize;
use serde_json::{Value, json};
use tape::{Tape, Tensor, Var};

use crate::chart::{Axis, Chart, Ink, Line};
use crate::claims::{Answer, Claim};
use crate::experiment::{Error, Experiment, Finding};
use crate::method::{ink, name};
use crate::moments::Moments;
use crate::session::Session;
use crate::stats::{Apart, Spread};
use crate::sweep::{Cell, Rule, size, sweep};
use crate::text::percent_range;
use crate::train::{Training, trained};

pub(crate) const EXPERIMENT: Experiment = Experiment {
    name: "affine",
    about: "with and without gamma and beta",
    chapter: 7,
    claim: Some(Claim {
        id: "C10",
        text: "The learnable scale and shift keep the model's capacity.",
    }),
    timed: false,
    protocol: |quick| serde_json::to_value(Protocol::new(quick)).expect("plain data serializes"),
    run,
};

#[derive(Serialize)]
struct Protocol {
    data: &'static str,
    network: Vec<usize>,
    activations: Vec<String>,
    initial_weights: &'static str,
    optimizer: &'static str,
    batch: usize,
    epochs: usize,
    rates: Vec<f64>,
    rate_rule: String,
    identity: &'static str,
    recovered_below: f64,
    lost_above: f64,
    decision_rule: &'static str,
}

impl Protocol {
    fn new(quick: bool) -> Self {
        Protocol {
            data: "digits-8x8 in its fixed split",
            network: vec![64, 64, 64, 64, 10],
            activations: ACTIVATIONS.iter().map(Activation::to_string).collect(),
            initial_weights: "PyTorch's default",
            optimizer: "SGD, momentum 0.9",
            batch: 64,
            epochs: if quick { 1 } else { 20 },
            rates: if quick {
                vec![0.1]
            } else {
                vec![0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0]
            },
            rate_rule: Rule::Accuracy.text(),
            identity: "one norm after a fresh linear layer; gamma and beta of each unit by least \
                       squares over the training part in one batch",
            recovered_below: 1e-4,
            lost_above: 1e-2,
            decision_rule: "holds of a norm: the median unexplained share is below \
                            recovered_below with gamma and beta and above lost_above without, \
                            and with either nonlinearity the test accuracy with gamma and beta \
                            is not clearly below that of no norm (quartile ranges apart). \
                            supported: of both norms; not supported: of neither; else depends",
        }
    }
}

const ACTIVATIONS: [Activation; 2] = [Activation::Relu, Activation::Sigmoid];

/// A norm, and whether its γ and β are learned.
#[derive(Clone, Copy)]
struct Form {
    norm: NormKind,
    learned: bool,
}

const FORMS: [Form; 5] = [
    Form::of(NormKind::None, true),
    Form::of(NormKind::Batch, true),
    Form::of(NormKind::Batch, false),
    Form::of(NormKind::Layer, true),
    Form::of(NormKind::Layer, false),
];

impl Form {
    const fn of(norm: NormKind, learned: bool) -> Self {
        Form { norm, learned }
    }

    fn name(self) -> String {
        match self.learned {
            true => name(self.norm).to_owned(),
            false => format!("{} without γ, β", name(self.norm)),
        }
    }
}

#[derive(Clone, Copy)]
struct Setting {
    activation: Activation,
    form: Form,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let learned = if self.form.learned { "learned" } else { "kept" };
        write!(f, "{} {} {learned}", self.activation, self.form.norm)
    }
}

/// An MLP whose norms keep γ = 1 and β = 0: it does not show them to the optimizer.
struct Kept(Mlp<f32>);

impl Module<f32> for Kept {
    fn visit(&mut self, v: &mut Visitor<'_, f32>) {
        self.0
            .visit(&mut Visitor::new(&mut |name, state| match state {
                State::Param(_) if name.contains(".norm.") => {}
                State::Param(param) => v.param(name, param),
                State::Buffer(tensor) => v.buffer(name, tensor),
                State::Count(count) => v.count(name, count),
            }));
    }
}

impl Layer<f32> for Kept {
    fn forward<'t>(&mut self, x: &Var<'t, f32>, mode: Mode) -> Var<'t, f32> {
        self.0.forward(x, mode)
    }

    fn forward_probed<'t>(
        &mut self,
        x: &Var<'t, f32>,
        mode: Mode,
        probe: &mut Probe<'_, f32>,
    ) -> Var<'t, f32> {
        self.0.forward_probed(x, mode, probe)
    }
}

fn run(session: &mut Session) -> Result<Finding, Error> {
    let data = Digits::load(Set::Small)?;
    let protocol = Protocol::new(session.quick());
    let mut settings = Vec::new();
    for activation in ACTIVATIONS {
        settings.extend(FORMS.map(|form| Setting { activation, form }));
    }
    let seeds = session.seeds().to_vec();
    let norms = [NormKind::Batch, NormKind::Layer];
    session.begin(size(session, &settings, &protocol.rates) + norms.len() * seeds.len())?;
    let train = |Setting { activation, form }: Setting, rate, seed| {
        let spec = MlpSpec::new(&protocol.network)
            .norm(form.norm)
            .activation(activation);
        let training = Training {
            epochs: protocol.epochs,
            batch: BatchSize::Fixed(protocol.batch),
            rate,
            schedule: Schedule::Constant,
            score_each: None,
        };
        if form.learned {
            trained(|rng| spec.build(rng), 0.9, &data, &training, seed).1
        } else {
            trained(|rng| Kept(spec.build(rng)), 0.9, &data, &training, seed).1
        }
        .into()
    };
    let cells = sweep(session, &settings, &protocol.rates, Rule::Accuracy, train)?;
    let mut jobs = Vec::new();
    for norm in norms {
        jobs.extend(seeds.iter().map(|&seed| (norm, seed)));
    }
    let key = |(norm, seed): &(NormKind, u64)| format!("identity {norm} {seed}");
    let shares = session.map(&jobs, key, |&(norm, seed)| {
        unexplained(norm, seed, &data.train.images)
    })?;
    let shares: Vec<[Spread; 2]> = shares
        .chunks(seeds.len())
        .map(|shares| {
            [0, 1].map(|i| {
                let all: Vec<f64> = shares.iter().map(|share: &[f64; 2]| share[i]).collect();
                Spread::of(&all).expect("there is a seed")
            })
        })
        .collect();

    let groups: Vec<&[Cell<Setting>]> = cells.chunks(FORMS.len()).collect();
    let judged: Vec<Judged> = norms
        .iter()
        .zip(&shares)
        .map(|(&norm, &[fitted, kept])| {
            let below = |group: &&[Cell<Setting>]| {
                let with = find(group, norm, true).test();
                with.seen_from(group[0].test()) == Apart::Below
            };
            Judged {
                norm,
                fitted,
                kept,
                recovered: fitted.median < protocol.recovered_below
                    && kept.median > protocol.lost_above,
                accurate: !groups.iter().any(below),
            }
        })
        .collect();
    let answer = Answer::of(judged.iter().map(|j| j.recovered && j.accurate));
    let entries = cells.iter().map(|cell| {
        let Setting { activation, form } = cell.of;
        let first = json!({ "activation": activation.to_string(), "method": form.norm.to_string(),
            "gamma_and_beta": if form.learned { "learned" } else { "kept" } });
        let curve = cell.curve_data(|e| e.validation.accuracy);
        cell.data_between(first, json!({ "curves": { "validation_accuracy": curve } }))
    });
    let identity = judged.iter().map(|j| {
        json!({ "method": j.norm.to_string(), "unexplained_fitted": j.fitted,
            "unexplained_kept": j.kept, "recovered": j.recovered, "accuracy_kept": j.accurate })
    });
    Ok(Finding {
        data: json!({
            "identity": identity.collect::<Vec<Value>>(),
            "settings": entries.collect::<Vec<Value>>(),
        }),
        charts: vec![
            ("relu", chart(groups[0], &protocol)),
            ("sigmoid", chart(groups[1], &protocol)),
        ],
        answer: Some(answer),
        verdict: verdict(answer, &judged, &groups),
        table: table(&cells, &judged),
    })
}

/// What is found of one norm.
struct Judged {
    norm: NormKind,
    /// The unexplained share with γ and β fitted.
    fitted: Spread,
    /// The unexplained share with γ = 1 and β = 0.
    kept: Spread,
    recovered: bool,
    accurate: bool,
}

fn find(group: &[Cell<Setting>], norm: NormKind, learned: bool) -> &Cell<Setting> {
    let same = |cell: &&Cell<Setting>| cell.of.form.norm == norm && cell.of.form.learned == learned;
    group.iter().find(same).expect("every form is trained")
}

/// The share of the inputs' variance that the norm does not give back, with the γ and β
/// that give back most, and with 1 and 0.
fn unexplained(norm: NormKind, seed: u64, images: &Tensor<f32>) -> [f64; 2] {
    let rng = &mut StdRng::seed_from_u64(2 * seed);
    let mut first = Linear::<f32>::new(64, 64, rng);
    let x = Tape::eval(|t| {
        let images = t.constant(images.clone());
        first.forward(&images, Mode::Train).value().clone()
    });
    let (rows, units) = (x.shape()[0], x.shape()[1]);
    let mut norm = Norm::<f32>::new(norm, [units]);
    let through = |norm: &mut Norm<f32>| {
        Tape::eval(|t| {
            let x = t.constant(x.clone());
            norm.forward(&x, Mode::Train).value().clone()
        })
    };
    let of_x = Moments::of(&x);
    let variance: f64 = of_x.deviation.iter().map(|d| d * d).sum();
    let share = |y: &Tensor<f32>| {
        let off = y.data().iter().zip(x.data());
        let off: f64 = off.map(|(y, x)| f64::from(y - x).powi(2)).sum();
        off / (variance * rows as f64)
    };
    let x_hat = through(&mut norm);
    let of_x_hat = Moments::of(&x_hat);
    let mut covariance = vec![0.0; units];
    for (i, (&x, &x_hat)) in x.data().iter().zip(x_hat.data()).enumerate() {
        let j = i % units;
        let product = (f64::from(x) - of_x.mean[j]) * (f64::from(x_hat) - of_x_hat.mean[j]);
        covariance[j] += product / rows as f64;
    }
    let gamma = |j: usize| covariance[j] / of_x_hat.deviation[j].powi(2);
    each_state(&mut norm, |name, state| {
        let State::Param(param) = state else { return };
        let of = |j: usize| match name {
            "gamma" => gamma(j),
            _ => of_x.mean[j] - gamma(j) * of_x_hat.mean[j],
        };
        param.set(Tensor::from_fn([units], |j| of(j) as f32));
    });
    [share(&through(&mut norm)), share(&x_hat)]
}

fn verdict(answer: Answer, judged: &[Judged], groups: &[&[Cell<Setting>]]) -> String {
    let each = judged.iter().map(|j| {
        let recovered = if j.recovered {
            "recovers"
        } else {
            "does not recover"
        };
        let effect = groups.iter().map(|group| {
            let [with, without] = [true, false].map(|learned| find(group, j.norm, learned).test());
            let how = match with.seen_from(without) {
                Apart::Below => "clearly worse",
                Apart::Above => "clearly better",
                Apart::Unclear => "not clearly different",
            };
            format!("{how} with {}", group[0].of.activation)
        });
        format!(
            "{} {recovered} the identity ({:.1e} of the variance unexplained with γ and β, {:.2} \
             without) and {} the accuracy of no norm; learning γ and β is {}",
            name(j.norm),
            j.fitted.median,
            j.kept.median,
            if j.accurate { "keeps" } else { "loses" },
            effect.collect::<Vec<_>>().join(" and "),
        )
    });
    format!(
        "{}: {}.",
        answer.words(),
        each.collect::<Vec<_>>().join("; ")
    )
}

fn chart(group: &[Cell<Setting>], protocol: &Protocol) -> Chart {
    let line = |cell: &Cell<Setting>| {
        let Form { norm, learned } = cell.of.form;
        let ink: Ink = if learned {
            ink(norm)
        } else {
            ink(norm).second()
        };
        let points = cell
            .curve(|e| e.validation.accuracy)
            .into_iter()
            .enumerate();
        Line {
            name: cell.of.form.name(),
            ink,
            points: points.map(|(i, s)| ((i + 1) as f64, s)).collect(),
        }
    };
    Chart {
        title: format!("With and without γ and β, {}", group[0].of.activation),
        about: format!(
            "The accuracy on the validation part after each epoch, with {} between the layers, \
             without norm and with Batch Norm and Layer Norm whose γ and β are learned or kept \
             at 1 and 0, each at the rate that validation picks: median and quartiles over the \
             seeds.",
            group[0].of.activation
        ),
        x: Axis::linear("epochs", 1.0, protocol.epochs.max(2) as f64),
        y: Axis::linear("validation accuracy", 0.0, 1.0),
        lines: group.iter().map(line).collect(),
    }
}

fn table(cells: &[Cell<Setting>], judged: &[Judged]) -> String {
    let mut table = format!("{:<10}{:<26}{:>8}{:>26}\n", "", "", "rate", "test accuracy");
    for cell in cells {
        table += &format!(
            "{:<10}{:<26}{:>8}{:>26}\n",
            cell.of.activation.to_string(),
            cell.of.form.name(),
            cell.rate(),
            percent_range(cell.test())
        );
    }
    table += "\nunexplained share of the variance:\n";
    for j in judged {
        table += &format!(
            "{:<12} γ, β fitted {:.1e}, kept {:.3}\n",
            name(j.norm),
            j.fitted.median,
            j.kept.median
        );
    }
    table
}
