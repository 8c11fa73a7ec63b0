//! Claim C7: Batch Norm suffers from variable batch sizes; Layer Norm is independent of the
//! batch size.
//!
//! # Protocol
//! An MLP 64-64-64-64-10 with ReLU and PyTorch's initial weights learns the 8 x 8 digits,
//! with nothing, Batch Norm or Layer Norm before each ReLU. Batches have a fixed size or one
//! that is drawn anew for each batch: 32 or 2 to 62, and 5 or 2 to 8, so that the average is
//! the same. SGD with momentum 0.9, 10 epochs, a constant learning rate that validation picks
//! for each method and size from one grid.
//!
//! *Training.* A method suffers if, at either average, its test accuracy with varying sizes
//! is clearly below that with the fixed size: the ranges from first to third quartile do not
//! overlap.
//!
//! *Outputs.* The networks trained with sizes 2 to 62 see the test part all at once, and cut
//! into batches of 1, 7 and 32. Counted are the examples whose logits differ in any bit from
//! those all at once, in evaluation and in training mode; and, for the norms of the network
//! alone, the rows that come out different when the same input rows are cut that way. Layer
//! Norm is independent of the batch if none of its rows differs anywhere.
//!
//! The claim is supported if Batch Norm suffers, and Layer Norm does not suffer and is
//! independent; not supported if neither half holds; and depends otherwise.

use std::fmt;

use nn::data::{BatchSize, Digits, Examples, Set};
use nn::{Layer, Mlp, MlpSpec, Mode, Norm, NormKind, Schedule};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tape::{Tape, Tensor};

use crate::chart::{Axis, Chart, Line};
use crate::claims::{Answer, Claim};
use crate::experiment::{Error, Experiment, Finding};
use crate::method::{METHODS, ink, name};
use crate::refusal::refusal;
use crate::session::Session;
use crate::stats::Apart;
use crate::sweep::{Cell, Rule, Run, size, sweep};
use crate::text::{list, percent, percent_range};
use crate::train::{Training, trained, without_trace};

pub(crate) const EXPERIMENT: Experiment = Experiment {
    name: "varying",
    about: "batches of varying size, and one example in different batches",
    chapter: 11,
    claim: Some(Claim {
        id: "C7",
        text: "Batch Norm suffers from variable batch sizes; Layer Norm is independent of the \
               batch size.",
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
    sizes: Vec<[usize; 2]>,
    epochs: usize,
    rates: Vec<f64>,
    rate_rule: String,
    cuts: Vec<usize>,
    decision_rule: &'static str,
}

impl Protocol {
    fn new(quick: bool) -> Self {
        Protocol {
            data: "digits-8x8 in its fixed split",
            network: vec![64, 64, 64, 64, 10],
            activation: "relu",
            initial_weights: "PyTorch's default",
            optimizer: "SGD, momentum 0.9",
            // In pairs: a fixed size, and varying ones of the same average.
            sizes: vec![[32, 32], [2, 62], [5, 5], [2, 8]],
            epochs: if quick { 1 } else { 10 },
            rates: if quick {
                vec![0.03]
            } else {
                vec![0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3]
            },
            rate_rule: Rule::Accuracy.text(),
            cuts: vec![1, 7, 32],
            decision_rule: "suffers: at either average size, test accuracy with varying sizes \
                            clearly below that with the fixed one (quartile ranges apart); \
                            independent: no row of a norm's output differs in any bit when the \
                            batch is cut. supported: Batch Norm suffers, Layer Norm does not and \
                            is independent; not supported: neither half; else depends",
        }
    }
}

#[derive(Clone, Copy)]
struct Setting {
    method: NormKind,
    sizes: [usize; 2],
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, sizes(self.sizes))
    }
}

fn sizes([low, high]: [usize; 2]) -> String {
    if low == high {
        low.to_string()
    } else {
        format!("{low} to {high}")
    }
}

/// How many of the test examples come out different when the batch is cut.
#[derive(Clone, Serialize, Deserialize)]
struct Cut {
    batch: usize,
    /// Logits in evaluation mode.
    evaluation: usize,
    /// Logits in training mode; `None`: the network refused.
    training: Option<usize>,
    /// Rows of the norms alone, fed the same rows, in training mode.
    norms: Option<usize>,
}

fn run(session: &mut Session) -> Result<Finding, Error> {
    let data = Digits::load(Set::Small)?;
    let protocol = Protocol::new(session.quick());
    let mut settings = Vec::new();
    for method in METHODS {
        let of = |&sizes| Setting { method, sizes };
        settings.extend(protocol.sizes.iter().map(of));
    }
    let seeds = session.seeds().to_vec();
    let looks = METHODS.len() * seeds.len();
    session.begin(size(session, &settings, &protocol.rates) + looks)?;
    let model = |Setting { method, sizes }: Setting, rate, seed| {
        let spec = MlpSpec::new(&protocol.network).norm(method);
        let training = Training {
            epochs: protocol.epochs,
            batch: BatchSize::Varying(sizes[0], sizes[1]),
            rate,
            schedule: Schedule::Constant,
            score_each: None,
        };
        trained(|rng| spec.build(rng), 0.9, &data, &training, seed)
    };
    let train = |setting, rate, seed| Run::from(model(setting, rate, seed).1);
    let cells = sweep(session, &settings, &protocol.rates, Rule::Accuracy, train)?;
    let rows: Vec<&[Cell<Setting>]> = cells.chunks(protocol.sizes.len()).collect();

    let mut jobs = Vec::new();
    for row in &rows {
        jobs.extend(seeds.iter().map(|&seed| (&row[1], seed)));
    }
    let key = |(cell, seed): &(&Cell<Setting>, u64)| format!("cut {} {seed}", cell.of);
    let cuts = session.map(&jobs, key, |(cell, seed)| {
        let mut model = model(cell.of, cell.rate(), *seed).0;
        let cut = |&batch| look(&mut model, &data.test, batch);
        protocol.cuts.iter().map(cut).collect::<Vec<Cut>>()
    })?;
    let cuts: Vec<Vec<Cut>> = cuts.chunks(seeds.len()).map(worst).collect();

    let [none, batch, layer] = [0, 1, 2].map(|i| suffers(rows[i]));
    let independent = cuts[2].iter().all(|cut| cut.norms == Some(0));
    let answer = Answer::of([batch, !layer && independent]);
    let entries = cells.iter().map(|cell| {
        let Setting { method, sizes } = cell.of;
        let first = json!({ "method": method.to_string(), "smallest": sizes[0],
            "largest": sizes[1] });
        cell.data_between(first, json!({}))
    });
    let by_size = protocol.sizes.iter().enumerate().map(|(i, &of)| {
        let [none, norm, layer] = [0, 1, 2].map(|row| percent_range(rows[row][i].test()));
        json!({ "sizes": sizes(of), "none": none, "batch_norm": norm, "layer_norm": layer })
    });
    let cut_rows = METHODS.iter().zip(&cuts).flat_map(|(&method, cuts)| {
        cuts.iter().map(move |cut| {
            json!({ "method": name(method), "batch": cut.batch, "evaluation": cut.evaluation,
                "training": told(cut.training), "norms": told(cut.norms) })
        })
    });
    let cut_entries = METHODS.iter().zip(&cuts).map(|(method, cuts)| {
        json!({ "method": method.to_string(), "test_examples": data.test.len(),
            "most_that_differ": cuts })
    });
    Ok(Finding {
        data: json!({
            "settings": entries.collect::<Vec<Value>>(),
            "by_size": by_size.collect::<Vec<Value>>(),
            "cut_rows": cut_rows.collect::<Vec<Value>>(),
            "suffers": { "none": none, "batch": batch, "layer": layer },
            "cut": cut_entries.collect::<Vec<Value>>(),
        }),
        charts: vec![
            ("32", chart(&rows, &protocol, 0)),
            ("5", chart(&rows, &protocol, 2)),
        ],
        answer: Some(answer),
        verdict: verdict(answer, &rows, &cuts, independent),
        table: table(&rows, &cuts, data.test.len()),
    })
}

/// Over the seeds, the most that differ; refused if any was.
fn worst(seeds: &[Vec<Cut>]) -> Vec<Cut> {
    let most = |at: usize, of: fn(&Cut) -> Option<usize>| {
        let all: Option<Vec<usize>> = seeds.iter().map(|cuts| of(&cuts[at])).collect();
        all.map(|all| all.into_iter().max().expect("there is a seed"))
    };
    let cut = |(at, cut): (usize, &Cut)| Cut {
        batch: cut.batch,
        evaluation: most(at, |cut| Some(cut.evaluation)).expect("evaluation is never refused"),
        training: most(at, |cut| cut.training),
        norms: most(at, |cut| cut.norms),
    };
    seeds[0].iter().enumerate().map(cut).collect()
}

/// Whether varying sizes make the method clearly worse than a fixed one, anywhere.
fn suffers(row: &[Cell<Setting>]) -> bool {
    row.chunks(2).any(clearly_worse)
}

/// The same of one fixed size, and sizes that vary about it.
fn clearly_worse(pair: &[Cell<Setting>]) -> bool {
    pair[1].test().seen_from(pair[0].test()) == Apart::Below
}

fn look(model: &mut Mlp<f32>, test: &Examples<f32>, batch: usize) -> Cut {
    let images = &test.images;
    let mut logits = |mode| {
        without_trace(model, |model| {
            differing(images, batch, |x| {
                Tape::eval(|t| model.forward(&t.constant(x), mode).value().clone())
            })
        })
    };
    let evaluation = logits(Mode::Eval);
    let training = refusal(|| logits(Mode::Train)).ok();
    // What goes into each norm, all at once, and then through norms of the same kind.
    let mut inputs = Vec::new();
    let mut kind = NormKind::None;
    without_trace(model, |model| {
        Tape::eval(|t| {
            let mut last = None;
            model.forward_probed(
                &t.constant(images.clone()),
                Mode::Train,
                &mut |name, value| {
                    let name = name.to_string();
                    if name.ends_with(".norm") {
                        inputs.extend(last.take());
                    }
                    last = Some(value.value().clone());
                },
            );
        });
    });
    nn::each_state(model, |name, _| {
        if name.ends_with("norm.running_mean") {
            kind = NormKind::Batch;
        } else if name.ends_with("norm.gamma") && kind == NormKind::None {
            kind = NormKind::Layer;
        }
    });
    let norms = refusal(|| {
        let differ = inputs.iter().map(|x| {
            let mut norm = Norm::new(kind, [x.shape()[1]]);
            differing(x, batch, |x| {
                Tape::eval(|t| norm.forward(&t.constant(x), Mode::Train).value().clone())
            })
        });
        differ.max().unwrap_or(0)
    });
    Cut {
        batch,
        evaluation,
        training,
        norms: norms.ok(),
    }
}

/// How many rows of `f(x)` have a bit that differs when `x` is cut into batches.
fn differing(
    x: &Tensor<f32>,
    batch: usize,
    mut f: impl FnMut(Tensor<f32>) -> Tensor<f32>,
) -> usize {
    let width = x.shape()[1];
    let whole = f(x.clone());
    let parts = x.data().chunks(batch * width).flat_map(|rows| {
        let part = Tensor::new([rows.len() / width, width], rows.to_vec());
        f(part).to_vec()
    });
    let parts: Vec<f32> = parts.collect();
    let bits = |row: &[f32]| row.iter().map(|y| y.to_bits()).collect::<Vec<u32>>();
    let width = whole.shape()[1];
    let rows = whole.data().chunks(width).zip(parts.chunks(width));
    rows.filter(|(a, b)| bits(a) != bits(b)).count()
}

/// How many differ, or that the network refused.
fn told(number: Option<usize>) -> String {
    number.map_or_else(|| "refused".into(), |n| n.to_string())
}

fn verdict(
    answer: Answer,
    rows: &[&[Cell<Setting>]],
    cuts: &[Vec<Cut>],
    independent: bool,
) -> String {
    let how = |row: &[Cell<Setting>]| {
        let pair = |pair: &[Cell<Setting>]| {
            let [fixed, varying] = [0, 1].map(|i| percent(pair[i].test().median));
            let of = |i: usize| sizes(pair[i].of.sizes);
            let clearly = if clearly_worse(pair) {
                "clearly"
            } else {
                "not clearly"
            };
            format!(
                "{clearly} with batches of {} ({varying} % against {fixed} % with {})",
                of(1),
                of(0)
            )
        };
        let pairs: Vec<String> = row.chunks(2).map(pair).collect();
        let method = name(row[0].of.method);
        format!("{method} is worse when sizes vary, {}", list(&pairs))
    };
    let rows_differ: usize = cuts[2]
        .iter()
        .filter_map(|cut| cut.norms)
        .max()
        .unwrap_or(0);
    format!(
        "{}: {}; {}, and its output is {}.",
        answer.words(),
        how(rows[1]),
        how(rows[2]),
        if independent {
            "the same to the bit in every batch".to_owned()
        } else {
            format!("not the same in every batch: {rows_differ} rows differ")
        }
    )
}

/// The curves of a fixed size and of the varying ones of the same average.
fn chart(rows: &[&[Cell<Setting>]], protocol: &Protocol, first: usize) -> Chart {
    let mut lines = Vec::new();
    for row in rows {
        for cell in &row[first..first + 2] {
            let curve = cell.curve(|e| e.validation.accuracy);
            let points = curve.into_iter().enumerate();
            let varying = cell.of.sizes[0] != cell.of.sizes[1];
            lines.push(Line {
                name: format!("{}, {}", name(cell.of.method), sizes(cell.of.sizes)),
                ink: if varying {
                    ink(cell.of.method).second()
                } else {
                    ink(cell.of.method)
                },
                points: points.map(|(i, s)| ((i + 1) as f64, s)).collect(),
            });
        }
    }
    let seen = lines.iter().flat_map(|line| &line.points);
    let low = seen
        .filter_map(|(_, s)| *s)
        .fold(1.0_f64, |low, s| low.min(s.low));
    let [fixed, varying] = [0, 1].map(|i| sizes(protocol.sizes[first + i]));
    Chart {
        title: "Batches of fixed and of varying size".into(),
        about: format!(
            "The accuracy on the validation part after each epoch with batches of {fixed} and \
             of {varying} examples, without norm, with Batch Norm and with Layer Norm, each at \
             the rate that validation picks: median and quartiles over the seeds."
        ),
        x: Axis::linear("epochs", 1.0, protocol.epochs.max(2) as f64),
        y: Axis::linear("validation accuracy", (10.0 * low).floor() / 10.0, 1.0),
        lines,
    }
}

fn table(rows: &[&[Cell<Setting>]], cuts: &[Vec<Cut>], examples: usize) -> String {
    let mut table = format!("{:<12}", "batches of");
    for cell in rows[0] {
        table += &format!("{:>24}", sizes(cell.of.sizes));
    }
    for row in rows {
        table += &format!("\n{:<12}", name(row[0].of.method));
        for cell in *row {
            table += &format!("{:>24}", percent_range(cell.test()));
        }
    }
    table += &format!(
        "\n\nof {examples} examples, differing when cut: {:>10}{:>12}{:>12}{:>12}\n",
        "batches of", "evaluation", "training", "norms alone"
    );
    for (row, cuts) in rows.iter().zip(cuts) {
        for cut in cuts {
            table += &format!(
                "{:<38}{:>10}{:>12}{:>12}{:>12}\n",
                name(row[0].of.method),
                cut.batch,
                cut.evaluation,
                told(cut.training),
                told(cut.norms)
            );
        }
    }
    table
}
