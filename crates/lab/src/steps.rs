//! LSTMs that read sequences of equal length: the sequences, how the networks are trained and
//! tested, and the repairs of Batch Norm by step.

use std::fmt;

use chart::{Hue, Ink};
use nn::data::{BatchSize, Prose, TokenBatch, Words, batches};
use nn::loss::cross_entropy;
use nn::{
    CellKind, CellNorm, Lengths, Optimizer as _, Pass, RecurrentLm, RecurrentLmSpec, RecurrentSpec,
    Schedule, TokenModel, forget_statistics,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use tape::{Tape, Tensor, Var};

use crate::counts::{Counted, Counts};
use crate::protocol::{Adam, schedule};
use crate::sweep::LossRun;
use crate::text::as_text;

/// How a network learns, whatever it reads.
#[derive(Serialize)]
pub(crate) struct Learner {
    #[serde(serialize_with = "as_text::serialize")]
    pub(crate) cell: CellKind,
    pub(crate) token_features: usize,
    pub(crate) state_features: usize,
    #[serde(serialize_with = "as_text::serialize")]
    pub(crate) optimizer: Adam,
    #[serde(serialize_with = "schedule")]
    pub(crate) schedule: Schedule,
    pub(crate) batch: usize,
    pub(crate) clip: f64,
}

/// What is read, and how much of it.
#[derive(Serialize)]
pub(crate) struct Source {
    pub(crate) data: &'static str,
    pub(crate) train_sequences: usize,
    pub(crate) validation_sequences: usize,
    pub(crate) test_sequences: usize,
    /// Steps of a sequence in training, and in the test.
    pub(crate) steps: usize,
    pub(crate) tested_steps: usize,
    pub(crate) epochs: usize,
}

/// What is read.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Text {
    Words,
    Prose,
}

/// What stands inside the cell, and how its statistics are kept.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) enum Form {
    #[serde(rename = "no norm")]
    None,
    #[serde(rename = "Layer Norm")]
    Layer,
    #[serde(rename = "Batch Norm by step")]
    ByStep,
    #[serde(rename = "Batch Norm by step, noise")]
    Noise,
    #[serde(rename = "Batch Norm by step, exact")]
    Exact,
    #[serde(rename = "Batch Norm by step, exact and noise")]
    Both,
    #[serde(rename = "Batch Norm, shared, exact and noise")]
    Shared,
}

impl Form {
    fn norm(self, steps: usize) -> CellNorm {
        match self {
            Form::None => CellNorm::None,
            Form::Layer => CellNorm::Layer,
            Form::Shared => CellNorm::Batch { steps: 1 },
            _ => CellNorm::Batch { steps },
        }
    }

    pub(crate) fn exact(self) -> bool {
        matches!(self, Form::Exact | Form::Both | Form::Shared)
    }

    pub(crate) fn noisy(self) -> bool {
        matches!(self, Form::Noise | Form::Both | Form::Shared)
    }

    /// What it is called beside others in a chart.
    pub(crate) fn short(self) -> &'static str {
        match self {
            Form::None => "no norm",
            Form::Layer => "Layer Norm",
            Form::ByStep => "by step",
            Form::Noise => "noise",
            Form::Exact => "exact",
            Form::Both => "exact and noise",
            Form::Shared => "the same, shared",
        }
    }

    pub(crate) fn ink(self) -> Ink {
        match self {
            Form::None => Ink::None,
            Form::Layer => Ink::Layer,
            Form::ByStep => Ink::BatchToo,
            Form::Noise => Ink::Noise,
            Form::Exact => Ink::Solid(Hue::Var),
            Form::Both => Ink::Batch,
            Form::Shared => Ink::Solid(Hue::Mean),
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Sequences, each with a token in front of the first that is predicted.
pub(crate) struct Parts {
    pub(crate) tokens: usize,
    train: Vec<Vec<usize>>,
    validation: Vec<Vec<usize>>,
    /// Longer than the others: with the steps beyond.
    test: Vec<Vec<usize>>,
}

impl Parts {
    fn new(tokens: usize, of: &Source, parts: [&[Vec<usize>]; 3]) -> Self {
        let some = |part: &[Vec<usize>], count: usize, steps: usize| {
            // The parts are in order.
            let at = |i: usize| part[i * part.len() / count][..=steps].to_vec();
            (0..count).map(at).collect()
        };
        let [train, validation, test] = parts;
        Parts {
            tokens,
            train: some(train, of.train_sequences, of.steps),
            validation: some(validation, of.validation_sequences, of.steps),
            test: some(test, of.test_sequences, of.tested_steps),
        }
    }

    /// Words with a letter at every step that is tested, behind the edge.
    pub(crate) fn of_words(words: &Words, of: &Source) -> Self {
        let long = |part: &[Vec<usize>]| -> Vec<Vec<usize>> {
            let long = part.iter().filter(|word| word.len() >= of.tested_steps);
            long.map(|word| [&[Words::EDGE], &word[..]].concat())
                .collect()
        };
        let [train, validation, test] =
            [&words.train, &words.validation, &words.test].map(|part| long(part));
        Parts::new(Words::TOKENS, of, [&train, &validation, &test])
    }

    /// Pieces of the text, one behind the other.
    pub(crate) fn of_prose(prose: &Prose, of: &Source) -> Self {
        let pieces = |part: &[usize], steps: usize| -> Vec<Vec<usize>> {
            part.chunks_exact(steps + 1)
                .map(<[usize]>::to_vec)
                .collect()
        };
        let train = pieces(&prose.train, of.steps);
        let validation = pieces(&prose.validation, of.steps);
        let test = pieces(&prose.test, of.tested_steps);
        Parts::new(prose.alphabet.len(), of, [&train, &validation, &test])
    }

    /// What counting alone predicts, from no token before to three.
    pub(crate) fn counted(&self, of: &Source) -> Vec<Counted<OnBoth>> {
        let order = Counted::<OnBoth>::MOST + 1;
        let counts = Counts::of(self.train.iter().map(Vec::as_slice), order, self.tokens, 1);
        let loss = |looks_back, given, end| {
            let part = self.test.iter().map(|sequence| &sequence[..=end]);
            counts.loss(part, looks_back + 1, given)
        };
        Counted::each(|looks_back| OnBoth {
            test_loss: loss(looks_back, 1, of.steps),
            test_loss_beyond: loss(looks_back, 1 + of.steps, of.tested_steps),
        })
    }
}

/// The losses of what only counts.
#[derive(Serialize, Deserialize)]
pub(crate) struct OnBoth {
    pub(crate) test_loss: f64,
    pub(crate) test_loss_beyond: f64,
}

/// The places of the test losses.
pub(crate) const TRAINED: usize = 0;
pub(crate) const BEYOND: usize = 1;
pub(crate) const STEPS: usize = 2;

/// Of these sequences all but the last tokens, and to each the token that comes next.
fn batch<'a>(sequences: impl Iterator<Item = &'a Vec<usize>> + Clone) -> TokenBatch {
    let lengths: Vec<usize> = sequences.clone().map(|of| of.len() - 1).collect();
    let tokens = sequences.clone().flat_map(|of| &of[..of.len() - 1]);
    TokenBatch {
        tokens: tokens.copied().collect(),
        targets: sequences.flat_map(|of| &of[1..]).copied().collect(),
        lengths: Lengths::new(&lengths),
    }
}

/// A network and the noise that its sequences start from.
struct Noisy<'a> {
    model: RecurrentLm<f32>,
    learner: &'a Learner,
    /// Its deviation, if there is any, and where it is drawn from.
    noise: Option<f64>,
    draws: StdRng,
}

impl Noisy<'_> {
    /// The outputs in training, by a pass that the caller ends.
    fn forward<'t>(
        &mut self,
        tape: &'t Tape<f32>,
        batch: &TokenBatch,
        pass: &mut Pass<'_, f32>,
    ) -> Var<'t, f32> {
        let TokenBatch {
            tokens, lengths, ..
        } = batch;
        let Some(noise) = self.noise else {
            return self.model.forward(tape, tokens, lengths, pass);
        };
        let shape = [lengths.batch(), self.learner.state_features];
        let start = Tensor::randn(shape, &mut self.draws).map(|z: f32| noise as f32 * z);
        self.model
            .forward_from(tape, tokens, &tape.constant(start), lengths, pass)
    }

    /// Averages the statistics over the training set, with the weights as they are.
    fn make_exact(&mut self, train: &[Vec<usize>]) {
        forget_statistics(&mut self.model);
        for part in train.chunks_exact(self.learner.batch) {
            let batch = batch(part.iter());
            let mut pass = Pass::train().averaging();
            Tape::eval(|t| drop(self.forward(t, &batch, &mut pass)));
            pass.finish(&mut self.model);
        }
    }
}

/// What is learned, and how.
#[derive(Clone, Copy)]
pub(crate) struct Lesson<'a> {
    pub(crate) learner: &'a Learner,
    pub(crate) source: &'a Source,
    /// The deviation of the noise, where there is any.
    pub(crate) noise: f64,
    pub(crate) form: Form,
}

/// Trains a network once, and tests it.
pub(crate) fn train(of: Lesson<'_>, rate: f64, seed: u64, parts: &Parts) -> LossRun {
    let Lesson {
        learner,
        source,
        noise,
        form,
    } = of;
    let weights = &mut StdRng::seed_from_u64(2 * seed);
    let order = &mut StdRng::seed_from_u64(2 * seed + 1);
    let cell = RecurrentSpec::new(learner.cell, learner.token_features, learner.state_features);
    let spec = RecurrentLmSpec::new(parts.tokens, cell.norm(form.norm(source.steps)));
    let mut noisy = Noisy {
        model: spec.build(weights),
        learner,
        noise: form.noisy().then_some(noise),
        // Of its own, so that the batches are those of the other forms.
        draws: StdRng::seed_from_u64(u64::MAX - seed),
    };
    let mut adam = learner.optimizer.start();
    let mut tape = Tape::new();
    let mut fine = true;
    let mut step = 0;
    for _ in 0..source.epochs {
        for numbers in batches(parts.train.len(), BatchSize::Fixed(learner.batch), order) {
            if !fine {
                break;
            }
            let batch = batch(numbers.iter().map(|&number| &parts.train[number]));
            let mut pass = Pass::train();
            let (loss, grads) = tape.grad(|t| {
                let logits = noisy.forward(t, &batch, &mut pass);
                cross_entropy(&logits, &batch.targets)
            });
            pass.finish(&mut noisy.model);
            fine = loss.is_finite();
            if fine {
                let rate = rate * learner.schedule.factor(step);
                adam.step_clipped(&mut noisy.model, &grads, rate, learner.clip);
            }
            step += 1;
        }
    }
    if fine && form.exact() {
        noisy.make_exact(&parts.train);
    }
    let finite = |loss: f64| (fine && loss.is_finite()).then_some(loss);
    let average = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let validation = average(&by_step(&noisy.model, &parts.validation));
    let each = by_step(&noisy.model, &parts.test);
    let (trained, beyond) = each.split_at(source.steps);
    let mut test = vec![finite(average(trained)), finite(average(beyond))];
    test.extend(each.iter().map(|&loss| finite(loss)));
    LossRun {
        validation: finite(validation),
        test,
    }
}

/// The mean loss at each step, in evaluation mode.
fn by_step(model: &RecurrentLm<f32>, sequences: &[Vec<usize>]) -> Vec<f64> {
    let steps = sequences[0].len() - 1;
    let mut sums = vec![0.0; steps];
    for part in sequences.chunks(100) {
        let batch = batch(part.iter());
        let logits: Tensor<f32> = Tape::eval(|t| {
            let logits = model.eval(t, &batch.tokens, &batch.lengths);
            logits.log_softmax(1).value().clone()
        });
        let rows = logits.data().chunks(logits.shape()[1]);
        for (i, (row, target)) in rows.zip(batch.targets).enumerate() {
            sums[i % steps] -= f64::from(row[target]);
        }
    }
    let count = sequences.len() as f64;
    sums.into_iter().map(|sum| sum / count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Source = Source {
        data: "a few sequences",
        train_sequences: 320,
        validation_sequences: 7,
        test_sequences: 5,
        steps: 9,
        tested_steps: 12,
        epochs: 1,
    };

    const LEARNER: Learner = Learner {
        cell: CellKind::Lstm,
        token_features: 4,
        state_features: 16,
        optimizer: Adam::USUAL,
        schedule: Schedule::Constant,
        batch: 16,
        clip: 1.0,
    };

    fn words() -> Parts {
        Parts::of_words(&Words::load().expect("they come with the crate"), &SOURCE)
    }

    /// A network before training.
    fn fresh(norm: CellNorm, noise: Option<f64>) -> Noisy<'static> {
        let spec = RecurrentSpec::new(CellKind::Lstm, 4, LEARNER.state_features);
        let spec = RecurrentLmSpec::new(Words::TOKENS, spec.norm(norm));
        Noisy {
            model: spec.build(&mut StdRng::seed_from_u64(1)),
            learner: &LEARNER,
            noise,
            draws: StdRng::seed_from_u64(2),
        }
    }

    #[test]
    fn every_step_has_every_sequence_and_no_word_has_an_end() {
        let prose = Prose::load().expect("it comes with the crate");
        for parts in [words(), Parts::of_prose(&prose, &SOURCE)] {
            let sizes = [&parts.train, &parts.validation, &parts.test].map(Vec::len);
            assert_eq!(sizes, [320, 7, 5]);
            let all = |part: &[Vec<usize>], steps: usize| part.iter().all(|s| s.len() == steps + 1);
            assert!(all(&parts.train, 9) && all(&parts.validation, 9) && all(&parts.test, 12));
        }
        let words = words();
        for word in [words.train, words.validation, words.test].concat() {
            assert_eq!(word[0], Words::EDGE);
            assert!(!word[1..].contains(&Words::EDGE));
        }
    }

    #[test]
    fn to_each_token_belongs_the_next() {
        let [a, b] = [vec![1, 2, 3], vec![4, 5, 6]];
        let batch = batch([&a, &b].into_iter());
        assert_eq!(batch.tokens, [1, 2, 4, 5]);
        assert_eq!(batch.targets, [2, 3, 5, 6]);
        assert_eq!(batch.lengths.each(), [2, 2]);
    }

    /// After steps that move the weights, evaluation by running averages is not what training
    /// sees; by exact ones it is, where all sequences are alike.
    #[test]
    fn exact_statistics_are_those_of_the_weights_at_the_end() {
        let words = words();
        let mut noisy = fresh(CellNorm::Batch { steps: 9 }, None);
        let first = batch(words.train[..16].iter());
        let apart_at_step_one = |noisy: &mut Noisy<'_>| {
            Tape::eval(|t| {
                let training = noisy.forward(t, &first, &mut Pass::train());
                let evaluated = noisy.model.eval(t, &first.tokens, &first.lengths);
                let pairs = training.value().data().iter().zip(evaluated.value().data());
                let apart = pairs.take(words.tokens).map(|(a, b)| (a - b).abs());
                apart.fold(0.0, f32::max)
            })
        };
        let mut adam = LEARNER.optimizer.start();
        for part in words.train.chunks_exact(16) {
            let batch = batch(part.iter());
            let mut pass = Pass::train();
            let (_, grads) = Tape::new().grad(|t| {
                let logits = noisy.forward(t, &batch, &mut pass);
                cross_entropy(&logits, &batch.targets)
            });
            pass.finish(&mut noisy.model);
            adam.step(&mut noisy.model, &grads, 0.01);
        }
        let lagging = apart_at_step_one(&mut noisy);
        noisy.make_exact(&words.train);
        let exact = apart_at_step_one(&mut noisy);
        assert!(exact < 1e-3 && lagging > 0.01, "{exact} and {lagging}");
    }

    #[test]
    fn noise_makes_the_first_states_differ() {
        let words = words();
        let first = batch(words.train[..16].iter());
        let alike = |noise| {
            Tape::eval(|t| {
                let y = fresh(CellNorm::Layer, noise).forward(t, &first, &mut Pass::train());
                let rows: Vec<&[f32]> = y.value().data().chunks(words.tokens).collect();
                rows[0] == rows[9]
            })
        };
        assert!(alike(None) && !alike(Some(0.1)));
    }
}
