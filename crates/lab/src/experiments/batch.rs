//! Claim C6: Batch Norm degrades with small batches; with one example it fails.
//!
//! # Protocol
//! An MLP 64-64-64-64-10 with ReLU and PyTorch's initial weights learns the 8 x 8 digits,
//! with nothing, Batch Norm or Layer Norm before each ReLU, in batches of 1, 2, 4, 8, 16 and
//! 64. SGD with momentum 0.9, a constant learning rate that validation picks for each method
//! at each batch size from one grid. Every run sees the training part 8 times, so all see
//! equally many examples, in more and smaller steps where batches are small.
//!
//! Batch Norm refuses to train on one value per channel. That run is made all the same; its
//! message is the result, and counts as accuracy 0.
//!
//! Batch Norm degrades at a batch size if its test accuracy there is clearly below its own
//! at 64, and clearly below that of Layer Norm at the same size: the ranges from first to
//! third quartile do not overlap. The claim is supported if it degrades at batches of 2 and
//! the run with batches of 1 is refused, not supported if neither, and depends otherwise.
//!
//! # Why: what is left of a gradient
//! In training, Batch Norm's backward pass projects the upstream gradient of a channel onto
//! what is orthogonal to the ones and to x̂ (chapter 8), and scales it with γ/σ. Of a
//! gradient with no preferred direction a share of (N − 2)/N is left: nothing at all for
//! N = 2. This is measured on the first norm of the network before training, for real
//! batches of N digits: the mean over channels of |dx · σ/γ|²/|dy|², once for dy drawn from
//! the normal distribution, and once for the dy of the loss itself.

use std::fmt;

use batchnorm::{Layout, fused};
use nn::data::{BatchSize, Digits, Examples, Set, batches};
use nn::loss::cross_entropy;
use nn::{Layer, MlpSpec, Mode, NormKind, Schedule};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Serialize;
use serde_json::{Value, json};
use tape::{Tape, Tensor};

use crate::chart::{Axis, Chart, Ink, Line};
use crate::claims::{Answer, Claim};
use crate::experiment::{Error, Experiment, Finding};
use crate::method::{METHODS, ink, name};
use crate::refusal::refusal;
use crate::session::Session;
use crate::stats::{Apart, Spread};
use crate::sweep::{Cell, Rule, Run, size, sweep};
use crate::text::{list, percent, percent_range};
use crate::train::{Training, trained};

pub(crate) const EXPERIMENT: Experiment = Experiment {
    name: "batch",
    about: "small batches, down to one example",
    chapter: 11,
    claim: Some(Claim {
        id: "C6",
        text: "Batch Norm degrades with small batches; with one example it fails.",
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
    batches: Vec<usize>,
    epochs: usize,
    rates: Vec<f64>,
    rate_rule: String,
    decision_rule: &'static str,
    projection: &'static str,
    projected_batches: usize,
}

impl Protocol {
    fn new(quick: bool) -> Self {
        Protocol {
            data: "digits-8x8 in its fixed split",
            network: vec![64, 64, 64, 64, 10],
            activation: "relu",
            initial_weights: "PyTorch's default",
            optimizer: "SGD, momentum 0.9",
            batches: if quick {
                vec![1, 2, 64]
            } else {
                vec![1, 2, 4, 8, 16, 64]
            },
            epochs: if quick { 1 } else { 8 },
            rates: if quick {
                vec![0.01, 0.1]
            } else {
                vec![0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3]
            },
            rate_rule: Rule::Accuracy.text(),
            decision_rule: "degrades: test accuracy clearly below its own at the largest batch \
                            and clearly below that of Layer Norm at the same batch (quartile \
                            ranges apart). supported: Batch Norm degrades at batches of 2, and \
                            batches of 1 are refused; not supported: neither; else depends",
            projection: "mean over the channels of the first norm, before training, of \
                         |dx sigma/gamma|^2/|dy|^2, for dy normal and for the dy of the loss",
            projected_batches: if quick { 2 } else { 10 },
        }
    }
}

#[derive(Clone, Copy)]
struct Setting {
    method: NormKind,
    batch: usize,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.batch)
    }
}

/// What is left of a gradient, at one batch size.
struct Left {
    batch: usize,
    normal: Spread,
    loss: Spread,
}

impl Left {
    fn theory(&self) -> f64 {
        (self.batch as f64 - 2.0) / self.batch as f64
    }
}

fn run(session: &mut Session) -> Result<Finding, Error> {
    let data = Digits::load(Set::Small)?;
    let protocol = Protocol::new(session.quick());
    let mut settings = Vec::new();
    for method in METHODS {
        let at = |&batch| Setting { method, batch };
        settings.extend(protocol.batches.iter().map(at));
    }
    let projected: Vec<usize> = protocol
        .batches
        .iter()
        .copied()
        .filter(|&b| b > 1)
        .collect();
    let mut looks = Vec::new();
    for &batch in &projected {
        looks.extend(session.seeds().iter().map(|&seed| (batch, seed)));
    }
    session.begin(size(session, &settings, &protocol.rates) + looks.len())?;
    let train = |Setting { method, batch }: Setting, rate, seed| {
        let spec = MlpSpec::new(&protocol.network).norm(method);
        let training = Training {
            epochs: protocol.epochs,
            batch: BatchSize::Fixed(batch),
            rate,
            schedule: Schedule::Constant,
            score_each: None,
        };
        refusal(|| trained(|rng| spec.build(rng), 0.9, &data, &training, seed).1)
            .map_or_else(Run::Refused, Run::from)
    };
    let cells = sweep(session, &settings, &protocol.rates, Rule::Accuracy, train)?;
    let key = |(batch, seed): &(usize, u64)| format!("projection {batch} {seed}");
    let shares = session.map(&looks, key, |&(batch, seed)| {
        project(&protocol, &data.train, batch, seed)
    })?;
    let left: Vec<Left> = shares
        .chunks(session.seeds().len())
        .zip(&projected)
        .map(|(shares, &batch)| {
            let spread = |of: fn(&[f64; 2]) -> f64| {
                let all: Vec<f64> = shares.iter().map(of).collect();
                Spread::of(&all).expect("there is a seed")
            };
            Left {
                batch,
                normal: spread(|share| share[0]),
                loss: spread(|share| share[1]),
            }
        })
        .collect();
    let rows: Vec<&[Cell<Setting>]> = cells.chunks(protocol.batches.len()).collect();
    let [_, batch, layer] = rows[..] else {
        unreachable!("there are three methods")
    };
    let entries = cells.iter().map(|cell| {
        let Setting { method, batch } = cell.of;
        let first = json!({ "method": method.to_string(), "batch": batch });
        cell.data_between(first, json!({}))
    });
    let projection = left.iter().map(|left| {
        json!({ "batch": left.batch, "theory": left.theory(), "normal": left.normal,
            "loss": left.loss })
    });
    let by_batch = protocol.batches.iter().enumerate().map(|(i, batch)| {
        let [none, norm, layer] = [0, 1, 2].map(|row| told(&rows[row][i]));
        json!({ "batch": batch, "none": none, "batch_norm": norm, "layer_norm": layer })
    });
    let degraded: Vec<usize> = degraded(batch, layer);
    let message = refused(batch);
    let answer = Answer::of([degraded.contains(&2), message.is_some()]);
    Ok(Finding {
        data: json!({
            "settings": entries.collect::<Vec<Value>>(),
            "by_batch": by_batch.collect::<Vec<Value>>(),
            "degrades_at": degraded,
            "refusal": message,
            "projection": projection.collect::<Vec<Value>>(),
        }),
        charts: vec![
            ("accuracy", accuracy_chart(&rows, &protocol)),
            ("projection", projection_chart(&left)),
        ],
        answer: Some(answer),
        verdict: verdict(answer, batch, &degraded, message.as_deref()),
        table: table(&rows, &left, &protocol),
    })
}

/// The batch sizes at which Batch Norm trains, yet clearly worse than at the largest and
/// than Layer Norm.
fn degraded(batch: &[Cell<Setting>], layer: &[Cell<Setting>]) -> Vec<usize> {
    let best = batch.last().expect("there is a batch size").test();
    let cells = batch.iter().zip(layer);
    let worse = cells.filter(|(batch, layer)| {
        let here = batch.test();
        batch.of.batch > 1
            && here.seen_from(best) == Apart::Below
            && here.seen_from(layer.test()) == Apart::Below
    });
    worse.map(|(batch, _)| batch.of.batch).collect()
}

/// What Batch Norm said to batches of one example, if it refused all of them.
fn refused(batch: &[Cell<Setting>]) -> Option<String> {
    let one = batch.iter().find(|cell| cell.of.batch == 1)?;
    let mut messages = one.by_rate.iter().flatten().map(|run| match run {
        Run::Refused(message) => Some(message.clone()),
        Run::Trained(_) | Run::Diverged(_) => None,
    });
    let first = messages.next()??;
    messages.all(|message| message.is_some()).then_some(first)
}

/// The share of the energy of dy that is left in dx, for dy normal and for that of the loss.
fn project(protocol: &Protocol, train: &Examples<f32>, batch: usize, seed: u64) -> [f64; 2] {
    let rng = &mut StdRng::seed_from_u64(2 * seed);
    let spec = MlpSpec::new(&protocol.network).norm(NormKind::Batch);
    let mut mlp = spec.build::<f32>(rng);
    let mut sums = [0.0; 2];
    let order = batches(train.len(), BatchSize::Fixed(batch), rng);
    let few = &order[..protocol.projected_batches];
    for numbers in few {
        let examples = train.pick(numbers);
        let mut before = None;
        let mut after = None;
        let (_, (), grads) = Tape::new().grad(|t| {
            let images = t.constant(examples.images.clone());
            let logits = mlp.forward_probed(&images, Mode::Train, &mut |name, value| match name
                .to_string()
                .as_str()
            {
                "layers.0.linear" => before = Some(value.value().clone()),
                "layers.0.norm" => after = Some(value.watch()),
                _ => {}
            });
            (cross_entropy(&logits, &examples.labels), ())
        });
        let x = before.expect("the probe shows the input of the norm");
        let of_loss = grads.at(after.expect("the probe shows its output"));
        let normal = Tensor::randn(x.shape(), rng);
        for (sum, dy) in sums.iter_mut().zip([normal, of_loss]) {
            *sum += share(&x, &dy) / few.len() as f64;
        }
    }
    sums
}

/// The mean over channels of `|dx σ|²/|dy|²`, for γ = 1. Channels that no gradient
/// reaches, behind a ReLU that is off for the whole batch, have no share.
fn share(x: &Tensor<f32>, dy: &Tensor<f32>) -> f64 {
    let (x, dy) = (x.cast::<f64>(), dy.cast::<f64>());
    let layout = Layout::of(x.shape());
    let channels = layout.channels;
    let (ones, zeros) = (vec![1.0; channels], vec![0.0; channels]);
    let mut out = vec![0.0; x.len()];
    // No eps: the projection in its pure form.
    let moments = fused::forward(&layout, x.data(), &ones, &zeros, 0.0, &mut out);
    let batch = fused::Batch {
        layout: &layout,
        x: x.data(),
        gamma: &ones,
        moments: &moments,
    };
    fused::backward(batch, Some(dy.data()), &mut out);
    let energy = |data: &[f64], c: usize| {
        let values = data.iter().skip(c).step_by(channels);
        values.map(|value| value * value).sum::<f64>()
    };
    let shares: Vec<f64> = (0..channels)
        .filter(|&c| energy(dy.data(), c) > 0.0)
        .map(|c| energy(&out, c) / (moments.rstd[c].powi(2) * energy(dy.data(), c)))
        .collect();
    shares.iter().sum::<f64>() / shares.len() as f64
}

/// The test accuracy, or that there is none.
fn told(cell: &Cell<Setting>) -> String {
    let refused = |run: &Run| matches!(run, Run::Refused(_));
    if cell.runs().iter().all(refused) {
        "refused".to_owned()
    } else {
        percent_range(cell.test())
    }
}

fn verdict(
    answer: Answer,
    batch: &[Cell<Setting>],
    degraded: &[usize],
    message: Option<&str>,
) -> String {
    let sizes: Vec<String> = degraded.iter().map(usize::to_string).collect();
    let at =
        |cell: &Cell<Setting>| format!("{} % at {}", percent(cell.test().median), cell.of.batch);
    let two = batch.iter().find(|cell| cell.of.batch == 2);
    let (two, best) = (
        two.expect("2 is in the grid"),
        batch.last().expect("and the largest"),
    );
    format!(
        "{}: Batch Norm is clearly worse than with batches of {} and than Layer Norm at batches \
         of {} ({}, {}); batches of 1 {}.",
        answer.words(),
        best.of.batch,
        list(&sizes),
        at(two),
        at(best),
        match message {
            Some(_) => "are refused",
            None => "are not refused",
        }
    )
}

fn accuracy_chart(rows: &[&[Cell<Setting>]], protocol: &Protocol) -> Chart {
    let line = |row: &&[Cell<Setting>]| {
        let method = row[0].of.method;
        // A refused run has no accuracy to draw.
        let trained = |cell: &Cell<Setting>| {
            let any = cell
                .runs()
                .iter()
                .any(|run| !matches!(run, Run::Refused(_)));
            any.then(|| cell.test())
        };
        let points = row.iter().map(|cell| (cell.of.batch as f64, trained(cell)));
        Line {
            name: name(method).into(),
            ink: ink(method),
            points: points.collect(),
        }
    };
    let lines: Vec<Line> = rows.iter().map(line).collect();
    let seen = lines.iter().flat_map(|line| &line.points);
    let low = seen
        .filter_map(|(_, s)| *s)
        .fold(1.0_f64, |low, s| low.min(s.low));
    Chart {
        title: "Test accuracy over the batch size".into(),
        about: "The accuracy on the test part after equally many examples in batches of \
                different sizes, without norm, with Batch Norm and with Layer Norm, each at the \
                rate that validation picks: median and quartiles over the seeds. Batch Norm has \
                no point at batches of 1, which it refuses."
            .into(),
        x: batch_axis(1.0, protocol.batches[protocol.batches.len() - 1] as f64),
        y: Axis::linear("test accuracy", (10.0 * low - 0.1).floor() / 10.0, 1.0),
        lines,
    }
}

fn projection_chart(left: &[Left]) -> Chart {
    let points = |of: fn(&Left) -> Spread| {
        let points = left.iter().map(|left| (left.batch as f64, Some(of(left))));
        points.collect::<Vec<_>>()
    };
    let line = |name: &str, ink, of| Line {
        name: name.into(),
        ink,
        points: points(of),
    };
    let theory = |left: &Left| {
        let share = left.theory();
        Spread {
            low: share,
            median: share,
            high: share,
        }
    };
    let largest = left.last().map_or(2, |left| left.batch);
    Chart {
        title: "What Batch Norm's backward pass leaves of a gradient".into(),
        about: "The share of the energy of the upstream gradient that is left after the \
                projection, over the batch size N: for random gradients, for those of the loss, \
                and (N − 2)/N."
            .into(),
        x: batch_axis(2.0, largest as f64),
        y: Axis::linear("share of the energy left", 0.0, 1.0),
        lines: vec![
            line("random dy", Ink::Batch, |left| left.normal),
            line("dy of the loss", Ink::Noise, |left| left.loss),
            line("(N − 2)/N", Ink::Theory, theory),
        ],
    }
}

fn batch_axis(low: f64, high: f64) -> Axis {
    Axis::log("examples in a batch", low, high)
}

fn table(rows: &[&[Cell<Setting>]], left: &[Left], protocol: &Protocol) -> String {
    let mut table = format!("{:<12}", "batch");
    for batch in &protocol.batches {
        table += &format!("{batch:>24}");
    }
    for row in rows {
        table += &format!("\n{:<12}", name(row[0].of.method));
        for cell in *row {
            table += &format!("{:>24}", told(cell));
        }
    }
    table += "\n\nshare of the energy of dy left:  N  random dy  dy of the loss  (N-2)/N\n";
    for left in left {
        table += &format!(
            "{:>34}{:>11.3}{:>16.3}{:>9.3}\n",
            left.batch,
            left.normal.median,
            left.loss.median,
            left.theory()
        );
    }
    table
}
