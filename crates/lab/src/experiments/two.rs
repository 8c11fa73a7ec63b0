//! What Batch Norm loses at batches of two, one thing at a time.
//!
//! In `batch` a network with batches of two ends far below all others. Two things come together
//! there (chapter 11): no gradient passes a norm of two values, so that nothing in front of the
//! last norm learns; and what the last layer learns from is a sign for each channel, where in
//! evaluation it is sent a number. Here they are taken apart, from the network that has neither
//! trouble down to the one that has both:
//!
//! 1. batches of 64: everything learns, from numbers;
//! 2. *frozen*: batches of two, but all norms are normalized by the statistics of the whole
//!    training part at the start, in training as in evaluation, and what stands in front of the
//!    last norm does not learn. No signs, no other numbers: the price of the lost gradient alone;
//! 3. *signs in both*: Batch Norm with batches of two, and evaluated in pairs too, each normalized
//!    by itself: the price of signs;
//! 4. *exact statistics*: the same, evaluated by statistics of the whole training part that are
//!    computed at the end; and
//! 5. *as it is*: evaluated by the running statistics: the price of other numbers in evaluation.
//!
//! What was expected before the run: that the lost gradient costs some ten points, for random
//! features are not bad; that signs cost most; and that between exact and running statistics there
//! is little, for the running ones are an average over many batches.

use nn::data::batches;
use nn::loss::{count_correct, cross_entropy};
use nn::{Layer, Mlp, Module, Pass, Visitor};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Tape, Var};

use crate::kit::*;
use crate::train::{Score, score};

pub(crate) struct Asked;

#[derive(Serialize)]
pub(crate) struct Own {
    arms: Vec<String>,
    /// How often the whole training part goes through, for statistics that are those of it.
    passes_for_statistics: usize,
}

/// What is trained, and how it is evaluated.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Arm {
    BatchesOf64,
    Frozen,
    SignsInBoth,
    ExactStatistics,
    AsItIs,
}

const ARMS: [Arm; 5] = [
    Arm::BatchesOf64,
    Arm::Frozen,
    Arm::SignsInBoth,
    Arm::ExactStatistics,
    Arm::AsItIs,
];

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Of {
    arm: Arm,
}

impl Setting for Of {
    fn method(&self) -> NormKind {
        NormKind::Batch
    }

    fn name(&self) -> String {
        match self.arm {
            Arm::BatchesOf64 => "batches of 64",
            Arm::Frozen => "frozen features, batches of 2",
            Arm::SignsInBoth => "batches of 2, evaluated in pairs",
            Arm::ExactStatistics => "batches of 2, evaluated by exact statistics",
            Arm::AsItIs => "batches of 2, evaluated by running statistics",
        }
        .to_owned()
    }

    fn ink(&self) -> Ink {
        match self.arm {
            Arm::BatchesOf64 => Ink::Batch,
            Arm::Frozen => Ink::None,
            Arm::SignsInBoth => Ink::Layer,
            Arm::ExactStatistics => Ink::Rms,
            Arm::AsItIs => Ink::BatchToo,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    /// In the order of [`ARMS`].
    arms: Vec<Cell<Of>>,
}

/// A network of which the last layer and the last norm alone learn, and whose norms go by the
/// running statistics in training too.
struct Frozen(Mlp<f32>);

impl Frozen {
    /// The places of the last norm and of the last layer.
    const LEARNS: [&str; 2] = ["layers.2.norm.", "layers.3."];
}

impl Module<f32> for Frozen {
    fn visit(&mut self, v: &mut Visitor<'_, f32>) {
        let hide = |param: &tape::Param<f32>| {
            let name = param.name();
            !Self::LEARNS.iter().any(|learns| name.starts_with(learns))
        };
        v.hiding(hide, &mut self.0);
    }
}

impl Layer<f32> for Frozen {
    fn forward<'t>(&self, x: &Var<'t, f32>, _: &mut Pass<'_, f32>) -> Var<'t, f32> {
        self.0.eval(x)
    }
}

/// Lets the training part go through as one batch, until the running statistics are its own.
fn settle(model: &mut Mlp<f32>, train: &Examples<f32>, passes: usize) {
    for _ in 0..passes {
        Tape::eval(|t| drop(model.train(&t.constant(train.images.clone()))));
    }
}

/// Loss and accuracy where the examples come in pairs, each normalized by itself as in training.
fn in_pairs(model: &Mlp<f32>, examples: &Examples<f32>, seed: u64) -> Score {
    let rng = &mut StdRng::seed_from_u64(seed);
    let (mut loss, mut right, mut count) = (0.0, 0, 0);
    let pairs = batches(examples.len(), BatchSize::Fixed(2), rng);
    for numbers in pairs.iter().filter(|pair| pair.len() == 2) {
        let pair = examples.pick(numbers);
        Tape::eval(|t| {
            // Without a place to keep them, the running statistics stay as they are.
            let logits = model.forward(&t.constant(pair.images), &mut Pass::train());
            right += count_correct(logits.value(), &pair.labels);
            loss += 2.0 * f64::from(cross_entropy(&logits, &pair.labels).value().item());
        });
        count += 2;
    }
    Score {
        loss: loss / f64::from(count),
        accuracy: right as f64 / f64::from(count),
    }
}

fn train(protocol: &Protocol<Own>, data: &Digits<f32>, arm: Arm, rate: f64, seed: u64) -> Run {
    let passes = protocol.own.passes_for_statistics;
    let size = if arm == Arm::BatchesOf64 { 64 } else { 2 };
    let plan = protocol.plan.clone().batch(BatchSize::Fixed(size));
    if arm == Arm::Frozen {
        let frozen = |rng: &mut StdRng| {
            let mut model = plan.spec().build(rng);
            settle(&mut model, &data.train, passes);
            Frozen(model)
        };
        return plan.trained(frozen, data, rate, seed).1.into();
    }
    let (mut model, curve) = plan.trained(|rng| plan.spec().build(rng), data, rate, seed);
    let Ok(mut curve) = curve else {
        return curve.into();
    };
    if arm == Arm::ExactStatistics {
        settle(&mut model, &data.train, passes);
    }
    let scored = |examples| match arm {
        Arm::SignsInBoth => in_pairs(&model, examples, seed),
        _ => score(&model, examples),
    };
    let end = curve.last_mut().expect("there is an epoch");
    end.validation = scored(&data.validation);
    end.test = Some(scored(&data.test));
    Run::Trained(curve)
}

impl Study for Asked {
    const CARD: Card = Card::new("two", 11).asks(
        "what batches of two cost: the lost gradient, signs, and other numbers in evaluation",
    );

    type Protocol = Protocol<Own>;
    type Results = Results;

    fn protocol(quick: bool) -> Self::Protocol {
        Protocol {
            plan: Plan {
                batch: None,
                ..Plan::mlp(&[64, 64, 64, 64, 10], pick(quick, 1, 8)).norm(NormKind::Batch)
            },
            rates: pick(
                quick,
                vec![0.01],
                vec![0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1],
            ),
            rate_rule: Rule::Accuracy,
            own: Own {
                arms: ARMS.map(|arm| Of { arm }.key()).to_vec(),
                passes_for_statistics: 100,
            },
            decision_rule: "none of a claim: each arm is compared with the one before it, by pairs \
                            of seeds",
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let data = protocol.plan.data.load()?;
        let settings = ARMS.map(|arm| Of { arm });
        session.begin(size(session, protocol, settings.len()))?;
        let arms = cells(session, protocol, &settings, |of, rate, seed| {
            train(protocol, &data, of.arm, rate, seed)
        })?;
        Ok(Results { arms })
    }

    fn read(_: &Self::Protocol, Results { arms }: &Results) -> Finding {
        let steps = arms.windows(2).map(|two| {
            let by = two[1].test_accuracy.against(&two[0].test_accuracy);
            (two[1].of.name(), by)
        });
        let steps: Vec<(String, Paired)> = steps.collect();
        let told = arms[1..].iter().zip(&steps).map(|(cell, (name, by))| {
            let median = percent(cell.test_accuracy.median);
            format!("{name} {median} % ({})", points(*by))
        });
        let lines = arms.iter().map(|cell| cell.line(cell.over_rates()));
        let title = "What batches of two cost";
        let about = "The accuracy on the validation part at each learning rate, with batches of \
                     64, with frozen features and batches of two, and with Batch Norm on batches \
                     of two, evaluated in pairs, by exact statistics and by running ones: median \
                     and quartiles over the seeds that pick a rate.";
        Finding {
            derived: json!({ "steps": steps.iter().map(|(to, by)| {
                json!({ "to": to, "change": by, "words": points(*by) })
            }).collect::<Vec<Value>>() }),
            charts: vec![("rates".into(), rates_chart(title, about.into(), lines))],
            answer: None,
            verdict: format!(
                "batches of 64 reach {} %. One thing after the other, each against the one before \
                 it: {}.",
                percent(arms[0].test_accuracy.median),
                list(&told.collect::<Vec<_>>())
            ),
            table: table(
                arms,
                &[
                    ("", -48, &|cell| cell.of.name()),
                    ("rate", 8, &|cell| cell.chosen_rate.to_string()),
                    ("test accuracy", 26, &|cell| {
                        percent_range(*cell.test_accuracy)
                    }),
                ],
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nn::each_param;

    /// What stands in front of the last norm stays as it was drawn; what stands behind it learns.
    #[test]
    fn a_frozen_network_learns_at_its_end_alone() {
        let protocol = Asked::protocol(true);
        let data = protocol.plan.data.load().expect("it comes with the crate");
        let plan = protocol.plan.clone().batch(BatchSize::Fixed(64));
        let weights = |rate| {
            let build = |rng: &mut StdRng| Frozen(plan.spec().build(rng));
            let (mut model, curve) = plan.trained(build, &data, rate, 0);
            curve.expect("it converges");
            let mut all = Vec::new();
            each_param(&mut model.0, |p| {
                all.push((p.name().to_owned(), p.value().to_vec()))
            });
            all
        };
        let mut learned = Vec::new();
        for ((name, before), (_, after)) in weights(0.0).into_iter().zip(weights(0.1)) {
            if before != after {
                learned.push(name);
            }
        }
        let expected = [
            "layers.2.norm.gamma",
            "layers.2.norm.beta",
            "layers.3.weight",
            "layers.3.bias",
        ];
        assert_eq!(learned, expected);
    }

    /// Statistics of the whole training part normalize it as one batch would.
    #[test]
    fn settled_statistics_are_those_of_the_training_part() {
        let protocol = Asked::protocol(true);
        let data = protocol.plan.data.load().expect("it comes with the crate");
        let mut model = protocol
            .plan
            .spec()
            .build::<f32>(&mut StdRng::seed_from_u64(1));
        settle(&mut model, &data.train, 200);
        let images = data.train.images.clone();
        let apart = Tape::eval(|t| {
            let images = t.constant(images);
            let by_running = model.eval(&images);
            let by_batch = model.forward(&images, &mut Pass::train());
            let pairs = by_running
                .value()
                .data()
                .iter()
                .zip(by_batch.value().data());
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        });
        assert!(apart < 0.02, "{apart}");
    }
}
