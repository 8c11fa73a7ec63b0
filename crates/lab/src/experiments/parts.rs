//! Whose statistics? A batch that is normalized in parts, batches that are accumulated, and
//! statistics that are taken anew when training is over.
//!
//! *Ghost batches* (Hoffer et al., 2017): a batch is cut into parts, and each is normalized by
//! itself. *Accumulated batches*: small batches go through the network one after the other, and
//! their gradients are added up before a step. For the gradient these are the same thing, since a
//! sum is differentiated term by term, and neither is one large batch if a norm goes over the
//! batch. Both statements are measured on the gradients of fresh networks.
//!
//! *Trained*, 64 examples to a step in parts of 64, 32, …, 2, and batches of 8 with a step each.
//! *Precise statistics* (Wu and Johnson, 2021): each trained network is tested twice, with the
//! running averages of training, and with mean and variance of each layer's input over the whole
//! training part, taken in one pass at the end.

use nn::loss::cross_entropy;
use nn::{Layer, Mlp, Module, Pass, Visitor, each_param};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Grads, Tape, Var};

use crate::baseline::nearest_mean;
use crate::held::distance;
use crate::kit::*;
use crate::moments::make_precise;
use crate::train::{Score, score};

pub(crate) struct Asked;

#[derive(Serialize)]
pub(crate) struct Own {
    examples_to_a_step: usize,
    parts: Vec<usize>,
    alone: usize,
    gradients: &'static str,
    precise: &'static str,
}

/// A norm, the examples to a step, and how many of them are normalized together.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Of {
    #[serde(with = "as_text")]
    method: NormKind,
    batch: usize,
    part: usize,
}

impl Setting for Of {
    fn method(&self) -> NormKind {
        self.method
    }

    fn name(&self) -> String {
        format!("{}, {}", name(self.method), self.examples())
    }
}

impl Of {
    /// How the examples of a step are normalized.
    fn examples(&self) -> String {
        match self.batch / self.part {
            1 => format!("batches of {}", self.batch),
            parts => format!("{parts} parts of {}", self.part),
        }
    }
}

/// A network that takes a batch in parts in training. The running statistics take in one part
/// after the other.
struct InParts {
    model: Mlp<f32>,
    part: usize,
}

impl Module<f32> for InParts {
    fn visit(&mut self, v: &mut Visitor<'_, f32>) {
        self.model.visit(v);
    }
}

impl Layer<f32> for InParts {
    fn forward<'t>(&self, x: &Var<'t, f32>, pass: &mut Pass<'_, f32>) -> Var<'t, f32> {
        let count = x.shape()[0];
        if !pass.trains() || count <= self.part {
            return self.model.forward(x, pass);
        }
        let begins = (0..count).step_by(self.part);
        let parts: Vec<Var<'t, f32>> = begins
            .map(|at| {
                let part = x.slice(0, at..count.min(at + self.part));
                self.model.forward(&part, pass)
            })
            .collect();
        Var::concat(&parts, 0)
    }
}

impl Of {
    fn build(self, plan: &Plan, rng: &mut StdRng) -> InParts {
        InParts {
            model: plan.clone().norm(self.method).spec().build(rng),
            part: self.part,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    settings: Vec<Row>,
    gradients: Vec<Compared>,
    nearest_mean: f64,
}

/// What is found of a setting, and what its networks are worth with either statistics.
#[derive(Serialize, Deserialize)]
struct Row {
    #[serde(flatten)]
    cell: Cell<Of>,
    running: Scores,
    precise: Scores,
}

impl std::ops::Deref for Row {
    type Target = Cell<Of>;

    fn deref(&self) -> &Cell<Of> {
        &self.cell
    }
}

/// In evaluation, over the seeds.
#[derive(Serialize, Deserialize)]
struct Scores {
    accuracy: Sample,
    loss: Sample,
    train_loss: Sample,
}

/// Relative distances of gradients in a fresh network.
#[derive(Serialize, Deserialize)]
struct Compared {
    #[serde(with = "as_text")]
    method: NormKind,
    part: usize,
    /// Of the batch in parts from the whole batch.
    parts_from_whole: Sample,
    /// Of the sum over separate passes from the batch in parts.
    accumulated_from_parts: Sample,
}

impl Study for Asked {
    const CARD: Card = Card::new("parts", 11)
        .asks("a batch normalized in parts, batches accumulated, and statistics taken anew");

    type Protocol = Protocol<Own>;
    type Results = Results;

    fn protocol(quick: bool) -> Self::Protocol {
        Protocol {
            plan: Plan {
                batch: None,
                ..Plan::mlp(&[64, 64, 64, 64, 10], pick(quick, 1, 20))
            },
            rates: pick(quick, vec![0.03], decades(-4, 0)),
            rate_rule: Rule::Accuracy,
            own: Own {
                examples_to_a_step: 64,
                parts: pick(quick, vec![64, 8], vec![64, 32, 16, 8, 4, 2]),
                alone: 8,
                gradients: "of the first examples_to_a_step training digits, in fresh networks: \
                            the distance of the gradient of the batch in parts from that of the \
                            batch as a whole, over the length of the latter; and of the mean of \
                            the parts' gradients, each from a pass of its own, from the former",
                precise: "mean and unbiased variance of what each norm normalizes, over the \
                          training part, in one pass in training mode",
            },
            decision_rule: "clear differences by pairs of seeds: accumulated, parts of alone \
                            against the whole batch and against batches of alone; statistics: \
                            precise against running, in test accuracy and in test loss; noise: \
                            test loss of each part size against the whole batch, both precise",
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let data = protocol.plan.data.load()?;
        let settings = all(&protocol.own);
        let compared = compared(&protocol.own);
        let looks = (settings.len() + compared.len()) * session.seeds().len();
        session.begin(size(session, protocol, settings.len()) + looks)?;
        let plan = |of: &Of| protocol.plan.clone().batch(BatchSize::Fixed(of.batch));
        let settings = cells(session, protocol, &settings, |of, rate, seed| {
            let build = |rng: &mut _| of.build(&protocol.plan, rng);
            plan(of).trained(build, &data, rate, seed).1.into()
        })?;
        let key = |cell: &Cell<Of>| format!("look {}", cell.cell);
        let looks = session.by_seed(&settings, key, |cell, seed| {
            let build = |rng: &mut _| cell.of.build(&protocol.plan, rng);
            let (mut model, ended) = plan(&cell.of).trained(build, &data, cell.chosen_rate, seed);
            // One that diverged is scored where it was left: with a loss that says so.
            drop(ended);
            let running = scored(&model, &data);
            make_precise(&mut model.model, &data.train.images);
            [running, scored(&model, &data)]
        })?;
        let key = |(method, part): &(NormKind, usize)| format!("gradients {method} {part}");
        let distances = session.by_seed(&compared, key, |&(method, part), seed| {
            distances(method, part, protocol, &data, seed)
        })?;
        let row = |(cell, looks): (Cell<Of>, Vec<[[f64; 3]; 2]>)| {
            let [running, precise] = [0, 1].map(|which| Scores::of(&looks, which));
            Row {
                cell,
                running,
                precise,
            }
        };
        let gradients = compared.into_iter().zip(distances);
        let gradients = gradients.map(|((method, part), seen)| Compared {
            method,
            part,
            parts_from_whole: Sample::over(&seen, |seen| seen[0]),
            accumulated_from_parts: Sample::over(&seen, |seen| seen[1]),
        });
        Ok(Results {
            settings: settings.into_iter().zip(looks).map(row).collect(),
            gradients: gradients.collect(),
            nearest_mean: nearest_mean(&data),
        })
    }

    fn read(protocol: &Self::Protocol, results: &Results) -> Finding {
        let Results {
            settings,
            gradients,
            nearest_mean,
        } = results;
        let own = &protocol.own;
        let find = |method, batch, part| {
            let of = Of {
                method,
                batch,
                part,
            };
            let row = settings.iter().find(|row| row.of == of);
            row.expect("the protocol names its settings")
        };
        let (step, alone) = (own.examples_to_a_step, own.alone);
        let accumulated = [NormKind::Batch, NormKind::Layer].map(|method| {
            let one = find(method, step, alone);
            let others = [(step, step), (alone, alone)].map(|(batch, part)| {
                let other = find(method, batch, part);
                let by = one.running.accuracy.against(&other.running.accuracy);
                (format!("batches of {batch}"), by)
            });
            let [by_whole, by_single] = [0, 1].map(|i: usize| others[i].1);
            let words = [
                "clearly less accurate than with",
                "not clearly more or less accurate than with",
                "clearly more accurate than with",
            ];
            let told = by_outcome(words, points, others);
            let derived = json!({ "method": method.to_string(), "over_whole": by_whole, "over_alone": by_single });
            (format!("{} is {told}", one.of.name()), derived)
        });
        let batch = |row: &&Row| row.of.method == NormKind::Batch;
        let anew = settings.iter().filter(batch).map(|row| {
            let by = row.precise.accuracy.against(&row.running.accuracy);
            (row.of.examples(), by)
        });
        let anew = by_outcome(
            [
                "clearly lower in",
                "not clearly another in",
                "clearly higher in",
            ],
            points,
            anew,
        );
        let whole = find(NormKind::Batch, step, step);
        let entries = settings.iter().map(|row| {
            let against = find(row.of.method, step, step);
            json!({ "named": row.of.name(),
                "precise_over_running": row.precise.accuracy.against(&row.running.accuracy),
                "precise_loss_over_running": row.precise.loss.over_that_of(&row.running.loss),
                "loss_over_whole": row.precise.loss.over_that_of(&against.precise.loss),
                "gap": row.precise.gap() })
        });
        let noise = settings
            .iter()
            .filter(batch)
            .filter(|row| row.of.batch == step && row.of.part < step);
        let noise = noise.map(|row| {
            let by = row.precise.loss.over_that_of(&whole.precise.loss);
            (row.of.examples(), by)
        });
        let noise = by_outcome(
            [
                "clearly lower in",
                "not clearly another in",
                "clearly higher in",
            ],
            times,
            noise,
        );
        let table = table(
            settings,
            &[
                ("", -32, &|row| row.of.name()),
                ("rate", 7, &|row| row.chosen_rate.to_string()),
                ("accuracy, running", 24, &|row| {
                    percent_range(*row.running.accuracy)
                }),
                ("precise", 24, &|row| percent_range(*row.precise.accuracy)),
                ("loss, running", 15, &|row| {
                    format!("{:.3}", row.running.loss.median)
                }),
                ("precise", 9, &|row| {
                    format!("{:.3}", row.precise.loss.median)
                }),
                ("train", 9, &|row| {
                    format!("{:.4}", row.precise.train_loss.median)
                }),
            ],
        );
        Finding {
            derived: json!({ "settings": entries.collect::<Vec<Value>>(),
                "accumulated": accumulated.iter().map(|(_, of)| of).collect::<Vec<_>>() }),
            charts: vec![
                ("accuracy".into(), accuracies(settings, step, *nearest_mean)),
                ("loss".into(), losses(settings, step)),
                ("gradient".into(), gradient_chart(gradients)),
            ],
            answer: None,
            verdict: format!(
                "After equally many examples, {}. With precise statistics in place of running ones, \
                 the accuracy of Batch Norm is {anew}. With precise statistics its test loss, over \
                 that with whole batches of {step}, is {noise}.",
                accumulated
                    .iter()
                    .map(|(told, _)| told.as_str())
                    .collect::<Vec<_>>()
                    .join("; "),
            ),
            table,
        }
    }
}

/// Batch Norm with each part size, Layer Norm with the whole batch and with parts, and both with
/// small batches that have a step each.
fn all(own: &Own) -> Vec<Of> {
    let of = |method| {
        move |part| Of {
            method,
            batch: own.examples_to_a_step,
            part,
        }
    };
    let mut all: Vec<Of> = own.parts.iter().copied().map(of(NormKind::Batch)).collect();
    all.extend([own.examples_to_a_step, own.alone].map(of(NormKind::Layer)));
    all.extend([NormKind::Batch, NormKind::Layer].map(|method| Of {
        method,
        batch: own.alone,
        part: own.alone,
    }));
    all
}

/// The gradients that are compared.
fn compared(own: &Own) -> Vec<(NormKind, usize)> {
    let parts = own
        .parts
        .iter()
        .filter(|&&part| part < own.examples_to_a_step);
    let batch = parts.map(|&part| (NormKind::Batch, part));
    let others = [NormKind::None, NormKind::Layer].map(|method| (method, own.alone));
    batch.chain(others).collect()
}

/// Accuracy and loss on the test part, and the loss on the training part.
fn scored(model: &InParts, data: &Digits<f32>) -> [f64; 3] {
    let Score { loss, accuracy } = score(model, &data.test);
    let finite = |loss: f64| {
        if loss.is_finite() {
            loss
        } else {
            f64::INFINITY
        }
    };
    [
        accuracy,
        finite(loss),
        finite(score(model, &data.train).loss),
    ]
}

impl Scores {
    fn of(looks: &[[[f64; 3]; 2]], which: usize) -> Self {
        let sample = |what: usize| Sample::over(looks, |look| look[which][what]);
        Scores {
            accuracy: sample(0),
            loss: sample(1),
            train_loss: sample(2),
        }
    }

    /// Test loss less training loss.
    fn gap(&self) -> f64 {
        self.loss.median - self.train_loss.median
    }
}

/// How far the gradient of the batch in parts is from that of the whole, and how far the mean of
/// separate gradients is from it.
fn distances(
    method: NormKind,
    part: usize,
    protocol: &Protocol<Own>,
    data: &Digits<f32>,
    seed: u64,
) -> [f64; 2] {
    let batch = protocol.own.examples_to_a_step;
    let built = |part| {
        let of = Of {
            method,
            batch,
            part,
        };
        of.build(&protocol.plan, &mut StdRng::seed_from_u64(2 * seed))
    };
    let examples = |numbers: std::ops::Range<usize>| data.train.pick(&numbers.collect::<Vec<_>>());
    let all = examples(0..batch);
    let whole = flat(&mut built(batch), &all);
    let in_parts = flat(&mut built(part), &all);
    let mut accumulated = vec![0.0; whole.len()];
    for at in (0..batch).step_by(part) {
        let numbers = at..batch.min(at + part);
        let share = numbers.len() as f64 / batch as f64;
        let gradient = flat(&mut built(batch), &examples(numbers));
        accumulated
            .iter_mut()
            .zip(gradient)
            .for_each(|(sum, g)| *sum += share * g);
    }
    [
        distance(&in_parts, &whole),
        distance(&accumulated, &in_parts),
    ]
}

/// The gradient of all parameters in a row.
fn flat(model: &mut InParts, examples: &Examples<f32>) -> Vec<f64> {
    let (_, grads): (_, Grads<f32>) = Tape::new().grad(|t| {
        let logits = model.forward(&t.constant(examples.images.clone()), &mut Pass::train());
        cross_entropy(&logits, &examples.labels)
    });
    let mut all = Vec::new();
    each_param(model, |param| {
        all.extend(grads.of(param).data().iter().map(|&g| f64::from(g)))
    });
    all
}

/// Over the size of a part, for Batch Norm with all examples of a step.
fn by_part(
    settings: &[Row],
    step: usize,
    of: impl Fn(&Row) -> Spread,
) -> Vec<(f64, Option<Spread>)> {
    let rows = settings
        .iter()
        .rev()
        .filter(|row| row.of.method == NormKind::Batch && row.of.batch == step);
    rows.map(|row| (row.of.part as f64, of(row).finite()))
        .collect()
}

fn layer(settings: &[Row], step: usize) -> &Row {
    let whole = |row: &&Row| row.of.method == NormKind::Layer && row.of.part == step;
    settings.iter().find(whole).expect("Layer Norm is measured")
}

fn part_sizes(first: f64, last: f64) -> Axis {
    Axis::log("examples that are normalized together", first, last)
}

fn accuracies(settings: &[Row], step: usize, nearest: f64) -> Chart {
    let lines = [
        Line::new(
            "Batch Norm, running",
            Ink::Batch,
            by_part(settings, step, |row| *row.running.accuracy),
        ),
        Line::new(
            "Batch Norm, precise",
            Ink::BatchToo,
            by_part(settings, step, |row| *row.precise.accuracy),
        ),
    ];
    Chart::of(
        "Test accuracy over the size of a part",
        "The accuracy on the test part when the 64 examples of a step are normalized in parts, with \
         running statistics and with precise ones, and the levels of Layer Norm and of the nearest \
         class mean, which needs no network: median and quartiles over the seeds.",
        lines,
    )
    .x(part_sizes)
    .y(|low, _| accuracy("test accuracy", low.min(nearest), 20.0))
    .level("Layer Norm", Ink::Layer, *layer(settings, step).running.accuracy)
    .level("nearest class mean", Ink::Theory, Spread::exactly(nearest))
}

fn losses(settings: &[Row], step: usize) -> Chart {
    let lines = [
        Line::new(
            "test",
            Ink::Batch,
            by_part(settings, step, |row| *row.precise.loss),
        ),
        Line::new(
            "training",
            Ink::BatchToo,
            by_part(settings, step, |row| *row.precise.train_loss),
        ),
    ];
    Chart::of(
        "Losses over the size of a part",
        "The loss on the test part and on the training part in evaluation, with precise statistics, \
         when the 64 examples of a step are normalized in parts: median and quartiles over the \
         seeds. Guessing has a loss of 2.3 nats.",
        lines,
    )
    .x(part_sizes)
    .y(|low, _| Axis::log("loss (nats)", 0.8 * low, 2.6))
    .level("guessing", Ink::Theory, Spread::exactly(10f64.ln()))
}

fn gradient_chart(gradients: &[Compared]) -> Chart {
    let of = |method| move |of: &&Compared| of.method == method;
    let batch = gradients.iter().rev().filter(of(NormKind::Batch));
    let points = batch
        .map(|of| (of.part as f64, of.parts_from_whole.finite()))
        .collect();
    let layer = gradients
        .iter()
        .find(of(NormKind::Layer))
        .expect("Layer Norm is compared");
    Chart::of(
        "The gradient of a batch in parts",
        "How far the gradient of 64 examples in parts is from that of the whole batch, over the \
         length of the latter, in fresh networks, for Batch Norm over the size of a part, and for \
         Layer Norm: median and quartiles over the seeds.",
        [Line::new("Batch Norm", Ink::Batch, points)],
    )
    .x(part_sizes)
    .y(|_, high| Axis::log("distance of gradients", 1e-8, 2.0 * high))
    .level("Layer Norm", Ink::Layer, *layer.parts_from_whole)
}
