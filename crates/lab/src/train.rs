//! The training loop that experiments share.

use nn::data::{BatchSize, Digits, Examples, batches};
use nn::loss::{count_correct, cross_entropy};
use nn::{Diverged, Layer, Optimizer, Schedule};
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use tape::{Tape, Tensor, Var};

/// How a classifier is trained.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Training {
    /// How often every example is seen.
    pub(crate) epochs: usize,
    /// Examples in a batch.
    pub(crate) batch: BatchSize,
    /// The base learning rate.
    pub(crate) rate: f64,
    /// How the learning rate changes from step to step.
    pub(crate) schedule: Schedule,
    /// Steps from one scoring to the next; if not given, an epoch.
    pub(crate) score_each: Option<usize>,
    /// Whether the loss of a batch is multiplied by its size over the average size, so that every
    /// example counts alike where sizes vary.
    pub(crate) weighted: bool,
    /// Whether the test part is scored every time, and not at the end alone.
    pub(crate) tests_each: bool,
}

impl Training {
    /// The loss of a batch.
    fn loss_of<'t>(&self, logits: &Var<'t, f32>, labels: &[usize]) -> Var<'t, f32> {
        let loss = cross_entropy(logits, labels);
        match self.batch {
            BatchSize::Varying(low, high) if self.weighted => {
                let weight = labels.len() as f32 / (0.5 * (low + high) as f32);
                &loss * &loss.tape().constant(Tensor::scalar(weight))
            }
            _ => loss,
        }
    }
}

/// Loss and accuracy on one part of the data, in evaluation mode.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Score {
    /// The mean cross-entropy, in nats.
    pub(crate) loss: f64,
    /// The share of right answers.
    pub(crate) accuracy: f64,
}

/// What is measured at each scoring, by default after each epoch.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Epoch {
    /// The mean of the training loss over the steps since the last scoring, in training
    /// mode.
    pub(crate) train_loss: f64,
    /// On the validation part.
    pub(crate) validation: Score,
    /// On the test part, where it was scored: at the end, and before it if it was asked for.
    pub(crate) test: Option<Score>,
}

impl Epoch {
    /// On the test part.
    pub(crate) fn tested(&self) -> Score {
        self.test
            .expect("the test part is scored where it is looked at")
    }
}

/// What came of training a classifier once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Run {
    /// It went to its end: the scores on the way.
    Trained(Vec<Epoch>),
    /// It stopped at a number that is not finite.
    Diverged(#[serde(with = "Stored")] Diverged),
    /// A layer refused to work: its message.
    Refused(String),
}

/// How [`Diverged`] is stored.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Diverged")]
struct Stored {
    step: usize,
    place: String,
}

impl From<Result<Vec<Epoch>, Diverged>> for Run {
    fn from(result: Result<Vec<Epoch>, Diverged>) -> Self {
        match result {
            Ok(curve) => Run::Trained(curve),
            Err(diverged) => Run::Diverged(diverged),
        }
    }
}

impl Run {
    /// The scores on the way; none if it did not go to its end.
    pub(crate) fn curve(&self) -> &[Epoch] {
        match self {
            Run::Trained(curve) => curve,
            Run::Diverged(_) | Run::Refused(_) => &[],
        }
    }

    /// The number of the first score, counted from 1, with a validation accuracy of
    /// `target`; infinite if there is none.
    pub(crate) fn scores_to(&self, target: f64) -> f64 {
        let reached = |epoch: &Epoch| epoch.validation.accuracy >= target;
        let at = self.curve().iter().position(reached);
        at.map_or(f64::INFINITY, |i| (i + 1) as f64)
    }
}

/// A number of every scoring.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Curve {
    TrainLoss,
    TestLoss,
    TestAccuracy,
    ValidationAccuracy,
}

impl Curve {
    /// Whether it is one of the test part.
    pub(crate) fn of_test(self) -> bool {
        matches!(self, Curve::TestLoss | Curve::TestAccuracy)
    }

    pub(crate) fn of(self, epoch: &Epoch) -> f64 {
        match self {
            Curve::TrainLoss => epoch.train_loss,
            Curve::TestLoss => epoch.tested().loss,
            Curve::TestAccuracy => epoch.tested().accuracy,
            Curve::ValidationAccuracy => epoch.validation.accuracy,
        }
    }
}

/// Trains `model` on the training part, and scores it after every epoch, or as often as
/// `training` says. `watch` sees the model before each step, with the number of steps made so
/// far, and once more at the end.
///
/// The order of the examples is drawn from `rng`, so model and seed decide everything.
///
/// # Errors
/// When the loss is not finite; the error names the step and the layer.
pub(crate) fn fit<M: Layer<f32>>(
    model: &mut M,
    optimizer: &mut impl Optimizer<f32>,
    data: &Digits<f32>,
    training: &Training,
    rng: &mut StdRng,
    mut watch: impl FnMut(usize, &mut M),
) -> Result<Vec<Epoch>, Diverged> {
    let mut tape = Tape::new();
    let mut step = 0;
    let mut curve = Vec::new();
    let (mut total, mut summed) = (0.0, 0);
    for number in 1..=training.epochs {
        // Where scores are some steps apart, any may be the last.
        let tests =
            training.tests_each || training.score_each.is_some() || number == training.epochs;
        let epoch = batches(data.train.len(), training.batch, rng);
        for (i, numbers) in epoch.iter().enumerate() {
            watch(step, model);
            // ANCHOR: step
            let batch = data.train.pick(numbers);
            let (loss, grads) = tape.grad(|t| {
                let logits = model.train(&t.constant(batch.images.clone()));
                training.loss_of(&logits, &batch.labels)
            });
            stop_unless_finite(step, loss, model, &batch)?;
            let rate = training.rate * training.schedule.factor(step);
            optimizer.step(model, &grads, rate);
            // ANCHOR_END: step
            total += f64::from(loss);
            summed += 1;
            step += 1;
            let due = match training.score_each {
                Some(steps) => step % steps == 0,
                None => i + 1 == epoch.len(),
            };
            if !due {
                continue;
            }
            let scored = Epoch {
                train_loss: total / summed as f64,
                validation: score(model, &data.validation),
                test: tests.then(|| score(model, &data.test)),
            };
            (total, summed) = (0.0, 0);
            // Weights can overflow after the last loss that was looked at.
            for Score { loss, .. } in [Some(scored.validation), scored.test].into_iter().flatten() {
                stop_unless_finite(step, loss as f32, model, &data.validation)?;
            }
            curve.push(scored);
        }
    }
    watch(step, model);
    Ok(curve)
}

/// Loss and accuracy of `model` on `examples`, in evaluation mode.
pub(crate) fn score(model: &impl Layer<f32>, examples: &Examples<f32>) -> Score {
    const AT_ONCE: usize = 512;
    let (mut loss, mut right) = (0.0, 0);
    let numbers: Vec<usize> = (0..examples.len()).collect();
    for numbers in numbers.chunks(AT_ONCE) {
        let part = examples.pick(numbers);
        Tape::eval(|t| {
            let logits = model.eval(&t.constant(part.images));
            right += count_correct(logits.value(), &part.labels);
            let mean = cross_entropy(&logits, &part.labels).value().item();
            loss += f64::from(mean) * part.labels.len() as f64;
        });
    }
    let count = examples.len() as f64;
    Score {
        loss: loss / count,
        accuracy: right as f64 / count,
    }
}

/// An error if `loss` is not finite; it names the first output on the way through the network
/// for `batch` that is not either.
fn stop_unless_finite(
    step: usize,
    loss: f32,
    model: &mut impl Layer<f32>,
    batch: &Examples<f32>,
) -> Result<(), Diverged> {
    Diverged::check(step, loss, model, |model, pass| {
        Tape::eval(|t| drop(model.forward(&t.constant(batch.images.clone()), pass)));
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nn::data::Set;
    use nn::{MlpSpec, NormKind, Sgd, each_param};
    use rand::SeedableRng;

    const TRAINING: Training = Training {
        epochs: 3,
        batch: BatchSize::Fixed(32),
        rate: 0.1,
        schedule: Schedule::Constant,
        score_each: None,
        weighted: false,
        tests_each: true,
    };

    fn run(rate: f64, norm: NormKind) -> Result<Vec<Epoch>, Diverged> {
        let data = Digits::load(Set::Small).expect("it comes with the crate");
        let rng = &mut StdRng::seed_from_u64(1);
        let mut model = MlpSpec::new(&[64, 16, 10]).norm(norm).build(rng);
        let training = Training { rate, ..TRAINING };
        let mut sgd = Sgd::new().momentum(0.9);
        fit(&mut model, &mut sgd, &data, &training, rng, |_, _| {})
    }

    #[test]
    fn a_network_learns_and_the_seed_decides_how() {
        let curve = run(0.1, NormKind::Batch).expect("it converges");
        assert_eq!(curve.len(), 3);
        assert!(curve[2].train_loss < 0.5 * curve[0].train_loss, "{curve:?}");
        assert!(curve[2].tested().accuracy > 0.8, "{curve:?}");
        assert_eq!(run(0.1, NormKind::Batch), Ok(curve));
    }

    #[test]
    fn steps_are_watched_and_scored_as_asked() {
        let data = Digits::load(Set::Small).expect("it comes with the crate");
        let train = |score_each| {
            let rng = &mut StdRng::seed_from_u64(1);
            let mut model = MlpSpec::new(&[64, 10]).build(rng);
            let training = Training {
                epochs: 2,
                batch: BatchSize::Fixed(100),
                score_each,
                ..TRAINING
            };
            let mut seen = Vec::new();
            let mut sgd = Sgd::new();
            let curve = fit(&mut model, &mut sgd, &data, &training, rng, |step, _| {
                seen.push(step);
            });
            assert_eq!(seen, (0..=22).collect::<Vec<_>>());
            curve.expect("it converges")
        };
        let (by_epoch, by_steps) = (train(None), train(Some(11)));
        assert_eq!(by_epoch.len(), 2);
        assert_eq!(by_epoch, by_steps);
        let often = train(Some(4));
        assert_eq!(often.len(), 5);
        assert!(often[4].train_loss < often[0].train_loss);
    }

    #[test]
    fn a_rate_far_too_high_is_told_by_step_and_place() {
        let diverged = run(1e30, NormKind::None).expect_err("it cannot converge");
        let message = diverged.to_string();
        assert!(
            message.starts_with("training diverged at step "),
            "{message}"
        );
        assert!(message.contains("layers."), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }

    #[test]
    fn scores_count_every_example_once() {
        let rng = &mut StdRng::seed_from_u64(1);
        let data = Digits::load(Set::Small).expect("it comes with the crate");
        let mut model = MlpSpec::new(&[64, 10]).build::<f32>(rng);
        // All weights 0: every class is equally likely, and the answer is always 0.
        each_param(&mut model, |param| param.value_mut().data_mut().fill(0.0));
        let Score { loss, accuracy } = score(&model, &data.train);
        assert!((loss - 10f64.ln()).abs() < 1e-6, "{loss}");
        let zeros = data.train.labels.iter().filter(|&&l| l == 0).count();
        assert_eq!(accuracy, zeros as f64 / data.train.len() as f64);
    }
}
