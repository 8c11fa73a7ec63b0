//! What Batch Norm loses at batches of two, one thing at a time.
//!
//! In `batch` a network with batches of two ends far below all others. Several things come together
//! there (chapter 11): hardly a gradient passes a norm of two values, so that nothing in front of
//! the last norm learns; what the last layer learns from is a sign for each channel, which says
//! only how an example stands to its partner; and in evaluation it is sent numbers instead. Here
//! they are taken apart, from the network that has no trouble down to the one that has all of it:
//!
//! 1. *batches of 64*: everything learns, from numbers;
//! 2. *fixed statistics*: batches of two, but all norms are normalized by the statistics of the
//!    whole training part at the start, in training as in evaluation, and what stands in front of
//!    the last norm is held as it was drawn. No signs: the price of the lost gradient alone;
//! 3. *front held*: the same weights are held, each batch of two is normalized by itself, and
//!    evaluation goes by statistics of the whole training part that are taken at the end: the price
//!    of learning from signs;
//! 4. *precise statistics*: nothing is held, so that the front gets what gradient there is where two
//!    values nearly touch: the price of that; and
//! 5. *running statistics*: Batch Norm as it is, evaluated by the averages of training.
//!
//! Beside them, 3 and 4 once more, evaluated *in pairs*, each normalized by itself as in training:
//! whether it would be better to be sent signs in evaluation too.
//!
//! Batches of two cost little by themselves: in `batch`, no norm and Layer Norm stay within two
//! points of what they reach with 64.
//!
//! What was expected before the run: that the lost gradient costs some ten points, as a trial in
//! PyTorch had it at 84 to 86 %, because random features are not bad; that signs cost most; that
//! what gradient there is costs some points more, because it is long where values touch (`parts`)
//! and asks for small rates; that precise statistics are worth a few points, as in `parts`; and that
//! evaluation in pairs is better, being what was trained. The two ends were known, being settings of
//! `batch`.

use nn::data::batches;
use nn::loss::{count_correct, cross_entropy};
use nn::{Diverged, Layer, Mlp, Module, Pass, Visitor};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Param, Tape, Var};

use crate::kit::*;
use crate::moments::make_precise;
use crate::train::{Score, score};

pub(crate) struct Asked;

#[derive(Serialize)]
pub(crate) struct Own {
    arms: Vec<String>,
    held: &'static str,
    statistics: &'static str,
}

/// What is trained, and how it is evaluated.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Arm {
    #[serde(rename = "batches-of-64")]
    BatchesOf64,
    FixedStatistics,
    HeldPrecise,
    Precise,
    Running,
    HeldInPairs,
    InPairs,
}

const ARMS: [Arm; 7] = [
    Arm::BatchesOf64,
    Arm::FixedStatistics,
    Arm::HeldPrecise,
    Arm::Precise,
    Arm::Running,
    Arm::HeldInPairs,
    Arm::InPairs,
];

impl Arm {
    /// That which it differs from in one thing.
    fn against(self) -> Option<Arm> {
        Some(match self {
            Arm::BatchesOf64 => return None,
            Arm::FixedStatistics => Arm::BatchesOf64,
            Arm::HeldPrecise => Arm::FixedStatistics,
            Arm::Precise | Arm::HeldInPairs => Arm::HeldPrecise,
            Arm::Running | Arm::InPairs => Arm::Precise,
        })
    }

    /// Whether only what comes from the last norm on learns.
    fn held(self) -> bool {
        matches!(
            self,
            Arm::FixedStatistics | Arm::HeldPrecise | Arm::HeldInPairs
        )
    }
}

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
            Arm::FixedStatistics => "fixed statistics",
            Arm::HeldPrecise => "front held, precise",
            Arm::Precise => "precise statistics",
            Arm::Running => "running statistics",
            Arm::HeldInPairs => "front held, in pairs",
            Arm::InPairs => "in pairs",
        }
        .to_owned()
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    /// In the order of [`ARMS`].
    settings: Vec<Cell<Of>>,
}

/// The network of an arm.
struct Built {
    model: Mlp<f32>,
    /// As [`Arm::held`] says.
    held: bool,
    /// Whether the norms go by their running statistics in training too, and these stay.
    fixed: bool,
}

impl Built {
    /// What learns where the rest is held.
    const LEARNS: [&str; 2] = ["layers.2.norm.", "layers.3."];

    fn new(mut model: Mlp<f32>, arm: Arm, data: &Digits<f32>) -> Self {
        let fixed = arm == Arm::FixedStatistics;
        if fixed {
            make_precise(&mut model, &data.train.images);
        }
        Built {
            model,
            held: arm.held(),
            fixed,
        }
    }
}

impl Module<f32> for Built {
    fn visit(&mut self, v: &mut Visitor<'_, f32>) {
        let hide = |param: &Param<f32>| {
            let name = param.name();
            !Self::LEARNS.iter().any(|learns| name.starts_with(learns))
        };
        match self.held {
            true => v.hiding(hide, &mut self.model),
            false => self.model.visit(v),
        }
    }
}

impl Layer<f32> for Built {
    fn forward<'t>(&self, x: &Var<'t, f32>, pass: &mut Pass<'_, f32>) -> Var<'t, f32> {
        match self.fixed {
            true => self.model.eval(x),
            false => self.model.forward(x, pass),
        }
    }
}

/// Loss and accuracy where the examples come in pairs, each normalized by itself as in training.
fn in_pairs(model: &Mlp<f32>, examples: &Examples<f32>, seed: u64) -> Score {
    let rng = &mut StdRng::seed_from_u64(seed);
    let (mut loss, mut right, mut count) = (0.0, 0, 0);
    for numbers in batches(examples.len(), BatchSize::Fixed(2), rng) {
        let pair = examples.pick(&numbers);
        Tape::eval(|t| {
            // Nothing finishes the pass, so the running statistics stay as they are.
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
    let size = if arm == Arm::BatchesOf64 { 64 } else { 2 };
    let plan = protocol.plan.clone().batch(BatchSize::Fixed(size));
    let build = |rng: &mut StdRng| Built::new(plan.spec().build(rng), arm, data);
    let (mut built, curve) = plan.trained(build, data, rate, seed);
    let mut curve = match curve {
        Ok(curve) => curve,
        Err(diverged) => return Run::Diverged(diverged),
    };
    let parts = [&data.validation, &data.test];
    let scores = match arm {
        Arm::BatchesOf64 | Arm::FixedStatistics | Arm::Running => return Run::Trained(curve),
        Arm::HeldInPairs | Arm::InPairs => parts.map(|of| in_pairs(&built.model, of, seed)),
        Arm::HeldPrecise | Arm::Precise => {
            make_precise(&mut built.model, &data.train.images);
            parts.map(|of| score(&built.model, of))
        }
    };
    if scores.iter().any(|score| !score.loss.is_finite()) {
        return Run::Diverged(Diverged {
            step: plan.epochs * (data.train.len() / size),
            place: "the loss in evaluation".to_owned(),
        });
    }
    let end = curve.last_mut().expect("there is an epoch");
    let [validation, test] = scores;
    end.validation = validation;
    end.test = Some(test);
    Run::Trained(curve)
}

impl Study for Asked {
    const CARD: Card = Card::new("two", 11)
        .asks("what batches of two cost Batch Norm: no gradient, signs, other numbers");

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
                vec![
                    0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0,
                ],
            ),
            rate_rule: Rule::Accuracy,
            own: Own {
                arms: ARMS.map(|arm| Of { arm }.key()).to_vec(),
                held: "all weights and biases in front of the last norm, and gamma and beta of \
                       the norms before it",
                statistics: "fixed, precise: mean and unbiased variance of what each norm \
                             normalizes, over the training part, in one pass in training mode, \
                             before training or after it; pairs: those of two examples, in \
                             evaluation too",
            },
            decision_rule: "none of a claim: each arm is compared with the one from which it \
                            differs in one thing, and that of running statistics with batches \
                            of 64, by pairs of seeds",
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let data = protocol.plan.data.load()?;
        let settings = ARMS.map(|arm| Of { arm });
        session.begin(size(session, protocol, settings.len()))?;
        let settings = cells(session, protocol, &settings, |of, rate, seed| {
            train(protocol, &data, of.arm, rate, seed)
        })?;
        Ok(Results { settings })
    }

    fn read(_: &Self::Protocol, Results { settings }: &Results) -> Finding {
        let of = |arm: Arm| {
            let cell = settings.iter().find(|cell| cell.of.arm == arm);
            cell.expect("the protocol names its arms")
        };
        let over = |one: Arm, other: Arm| of(one).test_accuracy.against(&of(other).test_accuracy);
        let total = over(Arm::Running, Arm::BatchesOf64);
        let entries = settings.iter().map(|cell| match cell.of.arm.against() {
            None => json!({ "named": cell.of.name(), "against": "", "words": "" }),
            Some(other) => {
                let by = over(cell.of.arm, other);
                json!({ "named": cell.of.name(), "against": of(other).of.name(), "change": by,
                    "words": points(by) })
            }
        });
        let told = settings.iter().filter_map(|cell| {
            let other = cell.of.arm.against()?;
            Some(format!(
                "{} {} % ({} against {})",
                cell.of.name(),
                percent(cell.test_accuracy.median),
                points(over(cell.of.arm, other)),
                of(other).of.name()
            ))
        });
        Finding {
            derived: json!({ "settings": entries.collect::<Vec<Value>>(),
                "total": { "change": total, "words": points(total) } }),
            charts: vec![("accuracy".into(), chart(settings))],
            answer: None,
            verdict: format!(
                "Batches of 64 reach {} %. With batches of two, each against that from which it \
                 differs in one thing: {}. Running statistics against batches of 64: {}.",
                percent(of(Arm::BatchesOf64).test_accuracy.median),
                list(&told.collect::<Vec<_>>()),
                points(total)
            ),
            table: table(
                settings,
                &[
                    ("", -24, &|cell| cell.of.name()),
                    ("rate", 8, &|cell| cell.chosen_rate.to_string()),
                    ("test accuracy", 26, &|cell| {
                        percent_range(*cell.test_accuracy)
                    }),
                ],
            ),
        }
    }
}

/// A row for each arm, with a dot for each seed and one for their median.
fn chart(settings: &[Cell<Of>]) -> Chart {
    let rows = settings.iter().enumerate();
    let seeds = rows.clone().flat_map(|(row, cell)| {
        let seeds = cell.test_accuracy.by_seed().iter();
        seeds.map(move |&accuracy| (accuracy, row as f64))
    });
    let medians = rows.map(|(row, cell)| (cell.test_accuracy.median, row as f64));
    let lowest = seeds.clone().fold(1.0, |low, (x, _)| f64::min(low, x));
    Chart::new(
        "What batches of two cost",
        "The accuracy on the test part from every seed, and the median, from top to bottom: with \
         batches of 64; with batches of two, fixed statistics and all in front of the last norm \
         held; trained in pairs with the front held, evaluated by precise statistics; with nothing \
         held, evaluated by precise statistics; by running statistics; and both trainings evaluated \
         in pairs, the first with the front held.",
        accuracy("test accuracy", lowest, 10.0),
        Axis::rows("", settings.iter().map(|cell| cell.of.name()).collect()),
    )
    .line("a seed", Ink::Dots(Hue::Direct), seeds)
    .line("median", Ink::Dots(Hue::Wrong), medians)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nn::each_param;

    /// What stands in front of the last norm stays as it was drawn; what stands behind it learns.
    #[test]
    fn a_network_that_is_held_learns_at_its_end_alone() {
        let protocol = Asked::protocol(true);
        let data = protocol.plan.data.load().expect("it comes with the crate");
        for arm in ARMS {
            let plan = protocol.plan.clone().batch(BatchSize::Fixed(64));
            let weights = |rate| {
                let build = |rng: &mut StdRng| Built::new(plan.spec().build(rng), arm, &data);
                let (mut built, curve) = plan.trained(build, &data, rate, 0);
                curve.expect("it converges");
                let mut all = Vec::new();
                each_param(&mut built.model, |p| {
                    all.push((p.name().to_owned(), p.value().to_vec()));
                });
                all
            };
            let mut learned = Vec::new();
            let before = weights(0.0);
            for ((name, before), (_, after)) in before.iter().zip(weights(0.1)) {
                if *before != after {
                    learned.push(name.as_str());
                }
            }
            let end = [
                "layers.2.norm.gamma",
                "layers.2.norm.beta",
                "layers.3.weight",
                "layers.3.bias",
            ];
            match arm.held() {
                true => assert_eq!(learned, end),
                false => assert_eq!(learned.len(), before.len()),
            }
        }
    }

    /// The fixed statistics are used in training, and are those of the whole training part after
    /// it as before.
    #[test]
    fn fixed_statistics_stay() {
        let protocol = Asked::protocol(true);
        let data = protocol.plan.data.load().expect("it comes with the crate");
        let spec = protocol.plan.spec();
        let model = spec.build(&mut StdRng::seed_from_u64(1));
        let mut built = Built::new(model, Arm::FixedStatistics, &data);
        let pair = data.train.pick(&[0, 1]).images;
        let outputs = |built: &mut Built| {
            Tape::eval(|t| {
                let pair = t.constant(pair.clone());
                [built.train(&pair), built.eval(&pair)].map(|y| y.value().to_vec())
            })
        };
        let [trained, evaluated] = outputs(&mut built);
        assert_eq!(trained, evaluated);
        assert_eq!(outputs(&mut built), [trained, evaluated]);
    }

    /// With a partner of its own for each, nothing of an example is seen but how it stands to that.
    #[test]
    fn pairs_are_normalized_by_themselves() {
        let protocol = Asked::protocol(true);
        let data = protocol.plan.data.load().expect("it comes with the crate");
        let spec = protocol.plan.spec();
        let model = spec.build(&mut StdRng::seed_from_u64(1));
        let pair = data.train.pick(&[0, 1]);
        // However far the two are moved apart, the signs stay.
        let mut apart = pair.clone();
        let [first, second] = [0, 1].map(|row| pair.images.data()[row * 64..][..64].to_vec());
        let values = apart.images.data_mut();
        for (i, (a, b)) in first.iter().zip(&second).enumerate() {
            values[i] = b + 3.0 * (a - b);
        }
        let [near, far] = [&pair, &apart].map(|pair| in_pairs(&model, pair, 0).loss);
        assert!((near - far).abs() < 0.05 * near, "{near} and {far}");
        let [near, far] = [&pair, &apart].map(|pair| score(&model, pair).loss);
        assert!((near - far).abs() > 1e-4, "{near} and {far}");
    }
}
