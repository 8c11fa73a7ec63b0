//! Claim C5: Batch Norm does particularly well in CNNs with large, consistent batches.
//!
//! # Protocol
//! A CNN with convolutions of 8 and 16 channels, 3 x 3, each followed by a norm, ReLU and a
//! max-pool, then a linear layer, with PyTorch's initial weights, learns from 600 of the
//! 28 x 28 digits. Between convolution and ReLU stands nothing, Batch Norm, Layer Norm or
//! Group Norm with 4 groups. Batches of 2, 8 and 64; SGD with momentum 0.9; a constant
//! learning rate that validation (500 images) picks for each norm at each batch size from one
//! grid; 16 epochs, so that all see equally many examples. Test accuracy is that on 500 other
//! images.
//!
//! In a CNN the statistics of Batch Norm run over the pixels too: M = N · H · W values for
//! each channel, 1,568 for a batch of 2 in the first layer. What small batches do to an MLP
//! (`batch`) need not happen here.
//!
//! *Well* means that with batches of 64 the test accuracy of Batch Norm is clearly above
//! that of no norm: the ranges from first to third quartile do not overlap. *Particularly*
//! means that it is clearly above those of Layer Norm and Group Norm too. *With large
//! batches* means that it is clearly higher with batches of 64 than with batches of 2, or
//! that the lead over the best of the other three is larger with 64, in the medians. The
//! claim is supported if all three hold, not supported if the first does not, and depends
//! otherwise.

use std::fmt;

use nn::data::{BatchSize, Digits, Examples, Set};
use nn::{CnnSpec, NormKind, Schedule};
use serde::Serialize;
use serde_json::{Value, json};

use crate::chart::{Axis, Chart, Line};
use crate::claims::{Answer, Claim};
use crate::experiment::{Error, Experiment, Finding};
use crate::method::{ink, name};
use crate::session::Session;
use crate::stats::Apart;
use crate::sweep::{Cell, Rule, size, sweep};
use crate::text::{list, percent, percent_range};
use crate::train::{Training, trained};

pub(crate) const EXPERIMENT: Experiment = Experiment {
    name: "cnn",
    about: "four norms in a CNN, over the batch size",
    chapter: 10,
    claim: Some(Claim {
        id: "C5",
        text: "Batch Norm does particularly well in CNNs with large, consistent batches.",
    }),
    timed: false,
    protocol: |quick| serde_json::to_value(Protocol::new(quick)).expect("plain data serializes"),
    run,
};

#[derive(Serialize)]
struct Protocol {
    data: &'static str,
    train_examples: usize,
    other_examples: usize,
    channels: Vec<usize>,
    norms: Vec<String>,
    initial_weights: &'static str,
    optimizer: &'static str,
    batches: Vec<usize>,
    epochs: usize,
    rates: Vec<f64>,
    rate_rule: String,
    decision_rule: &'static str,
}

const NORMS: [NormKind; 4] = [
    NormKind::None,
    NormKind::Batch,
    NormKind::Layer,
    NormKind::Group(4),
];

impl Protocol {
    fn new(quick: bool) -> Self {
        Protocol {
            data: "digits-28x28 in its fixed split, the first examples of each part",
            train_examples: if quick { 64 } else { 600 },
            other_examples: if quick { 32 } else { 500 },
            channels: vec![1, 8, 16],
            norms: NORMS.iter().map(NormKind::to_string).collect(),
            initial_weights: "PyTorch's default",
            optimizer: "SGD, momentum 0.9",
            batches: if quick { vec![2, 64] } else { vec![2, 8, 64] },
            epochs: if quick { 1 } else { 16 },
            rates: if quick {
                vec![0.03]
            } else {
                vec![0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3]
            },
            rate_rule: Rule::Accuracy.text(),
            decision_rule: "well: test accuracy of Batch Norm at the largest batch clearly above \
                            that of no norm (quartile ranges apart); particularly: and above \
                            those of Layer Norm and Group Norm; with large batches: clearly \
                            above its own at batches of 2, or a larger lead in medians over the \
                            best of the others. supported: all three; not supported: not well; \
                            else depends",
        }
    }
}

#[derive(Clone, Copy)]
struct Setting {
    batch: usize,
    method: NormKind,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.batch, self.method)
    }
}

/// What the decision rule asks.
struct Judged {
    well: bool,
    particularly: bool,
    large: bool,
}

fn run(session: &mut Session) -> Result<Finding, Error> {
    let protocol = Protocol::new(session.quick());
    let all = Digits::load(Set::Large)?;
    let first = |part: &Examples<f32>, n: usize| part.pick(&(0..n).collect::<Vec<_>>());
    let data = Digits {
        train: first(&all.train, protocol.train_examples),
        validation: first(&all.validation, protocol.other_examples),
        test: first(&all.test, protocol.other_examples),
    };
    let mut settings = Vec::new();
    for &batch in &protocol.batches {
        settings.extend(NORMS.map(|method| Setting { batch, method }));
    }
    session.begin(size(session, &settings, &protocol.rates))?;
    let train = |Setting { batch, method }: Setting, rate, seed| {
        let spec = CnnSpec::new(&protocol.channels, Set::Large.side(), 10).norm(method);
        let training = Training {
            epochs: protocol.epochs,
            batch: BatchSize::Fixed(batch),
            rate,
            schedule: Schedule::Constant,
            score_each: None,
        };
        trained(|rng| spec.build(rng), 0.9, &data, &training, seed)
            .1
            .into()
    };
    let cells = sweep(session, &settings, &protocol.rates, Rule::Accuracy, train)?;
    let groups: Vec<&[Cell<Setting>]> = cells.chunks(NORMS.len()).collect();
    let judged = judge(&groups);
    let answer = if judged.well {
        Answer::of([true, judged.particularly, judged.large])
    } else {
        Answer::NotSupported
    };
    let entries = cells.iter().map(|cell| {
        let first = json!({ "batch": cell.of.batch, "method": cell.of.method.to_string() });
        let curve = cell.curve_data(|e| e.validation.accuracy);
        cell.data_between(first, json!({ "curves": { "validation_accuracy": curve } }))
    });
    Ok(Finding {
        data: json!({
            "well": judged.well, "particularly": judged.particularly,
            "with_large_batches": judged.large,
            "settings": entries.collect::<Vec<Value>>(),
        }),
        charts: vec![("accuracy", chart(&groups, &protocol))],
        answer: Some(answer),
        verdict: verdict(answer, &groups, &judged),
        table: table(&groups),
    })
}

fn judge(groups: &[&[Cell<Setting>]]) -> Judged {
    let (small, large) = (groups[0], groups[groups.len() - 1]);
    let above = |a: &Cell<Setting>, b: &Cell<Setting>| a.test().seen_from(b.test()) == Apart::Above;
    let lead = |group: &[Cell<Setting>]| {
        let others = [0, 2, 3].map(|i| group[i].test().median);
        group[1].test().median - others.into_iter().fold(0.0, f64::max)
    };
    Judged {
        well: above(&large[1], &large[0]),
        particularly: [2, 3].iter().all(|&i| above(&large[1], &large[i])),
        large: above(&large[1], &small[1]) || lead(large) > lead(small),
    }
}

fn verdict(answer: Answer, groups: &[&[Cell<Setting>]], judged: &Judged) -> String {
    let each = groups.iter().map(|group| {
        let numbers = group
            .iter()
            .map(|cell| format!("{} {}", name(cell.of.method), percent(cell.test().median)));
        let numbers: Vec<String> = numbers.collect();
        format!("batches of {}: {}", group[0].of.batch, numbers.join(", "))
    });
    let is = |yes: bool| if yes { "is" } else { "is not" };
    format!(
        "{}: with the largest batches Batch Norm {} clearly better than no norm and {} clearly \
         better than Layer Norm and Group Norm, and {} better with large batches than with \
         small ones (test accuracy in %: {}).",
        answer.words(),
        is(judged.well),
        is(judged.particularly),
        is(judged.large),
        list(&each.collect::<Vec<_>>())
    )
}

fn chart(groups: &[&[Cell<Setting>]], protocol: &Protocol) -> Chart {
    let line = |i: usize| {
        let method = NORMS[i];
        let points = groups
            .iter()
            .map(|group| (group[i].of.batch as f64, Some(group[i].test())));
        Line {
            name: name(method).into(),
            ink: ink(method),
            points: points.collect(),
        }
    };
    let lines: Vec<Line> = (0..NORMS.len()).map(line).collect();
    let seen = lines
        .iter()
        .flat_map(|line| &line.points)
        .filter_map(|(_, s)| *s);
    let low = seen.fold(1.0_f64, |low, s| low.min(s.low));
    let batches = &protocol.batches;
    Chart {
        title: "A CNN over the batch size".into(),
        about: "The accuracy of a CNN on the test part after equally many examples in batches of \
                different sizes, without norm and with Batch Norm, Layer Norm and Group Norm, \
                each at the rate that validation picks: median and quartiles over the seeds."
            .into(),
        x: Axis::log(
            "examples in a batch",
            batches[0] as f64,
            batches[batches.len() - 1] as f64,
        ),
        y: Axis::linear("test accuracy", (20.0 * low - 0.1).floor() / 20.0, 1.0),
        lines,
    }
}

fn table(groups: &[&[Cell<Setting>]]) -> String {
    let mut table = format!(
        "{:<12}{:<12}{:>8}{:>26}\n",
        "batches of", "", "rate", "test accuracy"
    );
    for cell in groups.iter().flat_map(|group| *group) {
        table += &format!(
            "{:<12}{:<12}{:>8}{:>26}\n",
            cell.of.batch,
            name(cell.of.method),
            cell.rate(),
            percent_range(cell.test())
        );
    }
    table
}
