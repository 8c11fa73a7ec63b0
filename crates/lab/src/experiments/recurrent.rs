//! Claim C8: Batch Norm fits recurrent networks and variable-length input badly; Layer Norm
//! fits well.
//!
//! An LSTM spells English words: it predicts every letter from those before it, and where the
//! word ends. It learns from short words, so that the sequences of a batch have different
//! lengths and few reach the late steps. Inside the cell stands nothing, Layer Norm (Ba et al.,
//! 2016), or Batch Norm (Cooijmans et al., 2017) with statistics for each step or with one set
//! shared by all steps. The measure is the cross-entropy per letter in nats, in evaluation
//! mode, on test words as long as those (*trained lengths*), and on the steps of long words
//! which no training word reached (*beyond*).
//!
//! # What it does not show
//! No word that was trained on goes beyond eight letters, so a network that has learned this
//! well is sure of the end, and loses much where a word goes on. *Beyond* therefore measures
//! two things at once: whether the statistics still fit, and how sure the network was.
//!
//! Reported too: how many words of a batch reach each step, for that is what the statistics
//! of the step are made of; and the loss step by step on the long words.

use std::ops::RangeInclusive;

use nn::data::{Words, batches};
use nn::loss::cross_entropy;
use nn::{
    CellKind, CellNorm, Optimizer as _, RecurrentLm, RecurrentLmSpec, RecurrentSpec, TokenModel,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Tape, Tensor};

use crate::counts::{Counted, Counts};
use crate::kit::*;

pub(crate) struct Asked;

/// How a network learns to spell.
#[derive(Serialize)]
pub(crate) struct Learner {
    data: &'static str,
    train_words: usize,
    other_words: usize,
    trained_letters: [usize; 2],
    long_letters: usize,
    #[serde(serialize_with = "as_text::serialize")]
    cell: CellKind,
    letter_features: usize,
    state_features: usize,
    #[serde(serialize_with = "as_text::serialize")]
    optimizer: Adam,
    #[serde(serialize_with = "schedule")]
    schedule: Schedule,
    batch: usize,
    epochs: usize,
    clip: f64,
}

impl Learner {
    /// The steps of the longest word that is trained on: its letters and its end.
    fn steps(&self) -> usize {
        self.trained_letters[1] + 1
    }
}

/// What stands inside the cell.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Form {
    #[serde(rename = "no norm")]
    None,
    #[serde(rename = "Layer Norm")]
    Layer,
    #[serde(rename = "Batch Norm by step")]
    ByStep,
    #[serde(rename = "Batch Norm, shared")]
    Shared,
}

const FORMS: [Form; 4] = [Form::None, Form::Layer, Form::ByStep, Form::Shared];

impl Form {
    fn norm(self, steps: usize) -> CellNorm {
        match self {
            Form::None => CellNorm::None,
            Form::Layer => CellNorm::Layer,
            Form::ByStep => CellNorm::Batch { steps },
            Form::Shared => CellNorm::Batch { steps: 1 },
        }
    }

    fn ink(self) -> Ink {
        match self {
            Form::None => Ink::None,
            Form::Layer => Ink::Layer,
            Form::ByStep => Ink::Batch,
            Form::Shared => Ink::BatchToo,
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The words of each part.
struct Parts {
    train: Vec<Vec<usize>>,
    validation: Vec<Vec<usize>>,
    test: Vec<Vec<usize>>,
    long: Vec<Vec<usize>>,
}

impl Parts {
    fn new(words: &Words, learner: &Learner) -> Self {
        let [least, most] = learner.trained_letters;
        let some = |part: &[Vec<usize>], letters: RangeInclusive<usize>, count: usize| {
            let fits = |word: &&Vec<usize>| letters.contains(&word.len());
            let fitting: Vec<&Vec<usize>> = part.iter().filter(fits).collect();
            // The list is in alphabetical order.
            let at = |i: usize| fitting[i * fitting.len() / count].clone();
            (0..count).map(at).collect()
        };
        let others = learner.other_words;
        Parts {
            train: some(&words.train, least..=most, learner.train_words),
            validation: some(&words.validation, least..=most, others),
            test: some(&words.test, least..=most, others),
            long: some(&words.test, learner.long_letters..=usize::MAX, others),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    words_of_a_batch_at_each_step: Vec<Reach>,
    /// The losses of what only counts, from no letter before to three.
    counts: Vec<Counted<OnBoth>>,
    pub(crate) methods: Vec<LossCell<Tested>>,
}

/// The losses of what only counts.
#[derive(Serialize, Deserialize)]
struct OnBoth {
    test_loss: f64,
    test_loss_beyond: f64,
}

/// How many words of a batch reach a step, on average.
#[derive(Serialize, Deserialize)]
struct Reach {
    step: usize,
    words: f64,
}

/// A form, and its losses on the test words.
#[derive(Serialize, Deserialize)]
pub(crate) struct Tested {
    pub(crate) method: Form,
    pub(crate) test_loss: Sample,
    pub(crate) test_loss_beyond: Sample,
    long_words_by_step: Vec<Spread>,
}

impl Study for Asked {
    const CARD: Card = Card::new("recurrent", 14)
        .asks("an LSTM that spells words of different lengths")
        .claim(
            "C8",
            "Batch Norm fits recurrent networks and variable-length input badly; Layer Norm \
               fits well.",
        );

    type Protocol = Protocol<Nothing, Learner>;
    type Results = Results;

    fn protocol(quick: bool) -> Self::Protocol {
        Protocol {
            plan: Learner {
                data: "English words in their fixed split; those of the lengths given, at equal \
                       distances in the list",
                train_words: pick(quick, 48, 1500),
                other_words: pick(quick, 24, 300),
                trained_letters: [2, 8],
                long_letters: 12,
                cell: CellKind::Lstm,
                letter_features: 16,
                state_features: pick(quick, 8, 48),
                optimizer: Adam::USUAL,
                schedule: Schedule::Constant,
                batch: 16,
                epochs: pick(quick, 1, 6),
                clip: 1.0,
            },
            rates: pick(quick, vec![0.01], vec![0.001, 0.003, 0.01, 0.03]),
            rate_rule: Rule::Loss,
            own: Nothing {},
            decision_rule: "badly: the better form of Batch Norm (by median validation loss) has \
                            a test loss clearly above that of Layer Norm on trained lengths, by \
                            pairs of seeds; badly beyond: and on the steps beyond them; \
                            well: Layer Norm is not clearly above no norm on either. supported: \
                            all three; not supported: none; else depends",
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let learner = &protocol.plan;
        let words = Parts::new(&Words::load()?, learner);
        let shown = shown_steps(&words.long);
        let train = |form: &Form, rate, seed| train(*form, rate, seed, learner, &words);
        let methods = loss_cells(session, protocol, &FORMS, train, |&method, runs| {
            let test = |which: usize| losses(runs, |run| run.test[which]);
            Tested {
                method,
                test_loss: test(TRAINED),
                test_loss_beyond: test(BEYOND),
                long_words_by_step: (0..shown).map(|step| *test(STEPS + step)).collect(),
            }
        })?;
        let reach = |step: usize| {
            let there = words
                .train
                .iter()
                .filter(|word| word.len() + 1 >= step)
                .count();
            let words = learner.batch as f64 * there as f64 / words.train.len() as f64;
            Reach { step, words }
        };
        Ok(Results {
            counts: counted(&words, learner),
            words_of_a_batch_at_each_step: (1..=learner.steps()).map(reach).collect(),
            methods,
        })
    }

    fn read(_: &Self::Protocol, results: &Results) -> Finding {
        let methods = &results.methods;
        let [none, layer, by_step, shared] = &methods[..] else {
            panic!("four forms are compared")
        };
        let batch = match shared.validation().median < by_step.validation().median {
            true => shared,
            false => by_step,
        };
        let trained: fn(&Tested) -> &Sample = |of| &of.test_loss;
        let beyond: fn(&Tested) -> &Sample = |of| &of.test_loss_beyond;
        let above = |a: &LossCell<Tested>, b: &LossCell<Tested>, of: fn(&Tested) -> &Sample| {
            of(&a.of).seen_from(of(&b.of)) == Apart::Above
        };
        let badly = above(batch, layer, trained);
        let badly_beyond = above(batch, layer, beyond);
        let well = !above(layer, none, trained) && !above(layer, none, beyond);
        let on = |of: fn(&Tested) -> &Sample| {
            let [none, layer, batch] = [none, layer, batch].map(|cell| &cell.of);
            let by = of(layer).against(of(none));
            format!(
                "{} ({:.3}) is {} Layer Norm ({:.3}), which is {} no norm ({:.3}; difference \
                 {:+.3}, {:+.3} to {:+.3})",
                batch.method,
                of(batch).median,
                better_or_worse(of(batch), of(layer)),
                of(layer).median,
                better_or_worse(of(layer), of(none)),
                of(none).median,
                by.median,
                by.low,
                by.high
            )
        };
        let table = table(
            methods,
            &[
                ("nats per letter", -22, &|cell| cell.of.method.to_string()),
                ("rate", 8, &|cell| cell.chosen_rate.to_string()),
                ("trained lengths", 26, &|cell| nats(*cell.of.test_loss)),
                ("beyond", 26, &|cell| nats(*cell.of.test_loss_beyond)),
            ],
        );
        let counts = Counted::told(&results.counts, |of| of.test_loss);
        let reach = results.words_of_a_batch_at_each_step.iter();
        let reach: String = reach.map(|at| format!(" {:.1}", at.words)).collect();
        Finding {
            derived: json!({ "badly": badly, "badly_beyond": badly_beyond, "well": well }),
            charts: vec![
                ("rates".into(), rates_chart(methods, &results.counts)),
                ("steps".into(), steps_chart(methods)),
            ],
            answer: Some(Answer::of([badly, badly_beyond, well])),
            verdict: format!(
                "in nats per letter, on trained lengths {}; on the steps beyond, {}. Counting, with \
                 0, 1, 2 and 3 letters before, reaches {} on trained lengths.",
                on(trained),
                on(beyond),
                list(&counts)
            ),
            table: format!("{table}\nwords of a batch at each step:{reach}\n"),
        }
    }
}

/// What counting alone predicts, from no letter before to three.
fn counted(words: &Parts, learner: &Learner) -> Vec<Counted<OnBoth>> {
    let edged = |part: &[Vec<usize>]| -> Vec<Vec<usize>> {
        let edge = [Words::EDGE];
        let word = |word: &Vec<usize>| edge.iter().chain(word).chain(&edge).copied().collect();
        part.iter().map(word).collect()
    };
    let [train, test, long] = [&words.train, &words.test, &words.long].map(|part| edged(part));
    let order = Counted::<OnBoth>::MOST + 1;
    let counts = Counts::of(train.iter().map(Vec::as_slice), order, Words::TOKENS, 1);
    let loss = |part: &[Vec<usize>], looks_back, given| {
        counts.loss(part.iter().map(Vec::as_slice), looks_back + 1, given)
    };
    Counted::each(|looks_back| OnBoth {
        test_loss: loss(&test, looks_back, 1),
        test_loss_beyond: loss(&long, looks_back, 1 + learner.steps()),
    })
}

/// The loss in nats where all letters and the end are alike.
const GUESSING: f64 = 3.295_836_866_004_329;

/// The places of the test losses.
const TRAINED: usize = 0;
const BEYOND: usize = 1;
const STEPS: usize = 2;

/// The last step that every long word has.
fn shown_steps(long: &[Vec<usize>]) -> usize {
    long.iter().map(|word| word.len() + 1).min().unwrap_or(0)
}

fn train(form: Form, rate: f64, seed: u64, learner: &Learner, words: &Parts) -> LossRun {
    let weights = &mut StdRng::seed_from_u64(2 * seed);
    let order = &mut StdRng::seed_from_u64(2 * seed + 1);
    let cell = RecurrentSpec::new(
        learner.cell,
        learner.letter_features,
        learner.state_features,
    );
    let spec = RecurrentLmSpec::new(Words::TOKENS, cell.norm(form.norm(learner.steps())));
    let mut model = spec.build::<f32>(weights);
    let mut adam = learner.optimizer.start();
    let mut tape = Tape::new();
    let mut fine = true;
    let mut step = 0;
    for _ in 0..learner.epochs {
        let size = BatchSize::Fixed(learner.batch);
        for numbers in batches(words.train.len(), size, order) {
            if !fine {
                break;
            }
            let batch = Words::batch(&words.train, &numbers);
            let (loss, grads) = tape.grad(|t| {
                let logits = model.train(t, &batch.tokens, &batch.lengths);
                cross_entropy(&logits, &batch.targets)
            });
            fine = loss.is_finite();
            if fine {
                let rate = rate * learner.schedule.factor(step);
                adam.step_clipped(&mut model, &grads, rate, learner.clip);
            }
            step += 1;
        }
    }
    let finite = |loss: f64| (fine && loss.is_finite()).then_some(loss);
    let average = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let mut all = |part: &[Vec<usize>]| finite(average(&by_step(&mut model, part).concat()));
    let (validation, trained) = (all(&words.validation), all(&words.test));
    let long = by_step(&mut model, &words.long);
    let mut test = vec![trained, finite(average(&long[learner.steps()..].concat()))];
    let shown = &long[..shown_steps(&words.long)];
    test.extend(shown.iter().map(|losses| finite(average(losses))));
    LossRun { validation, test }
}

/// The losses at each step, of the words that reach it.
fn by_step(model: &mut RecurrentLm<f32>, words: &[Vec<usize>]) -> Vec<Vec<f64>> {
    let mut steps: Vec<Vec<f64>> = Vec::new();
    let numbers: Vec<usize> = (0..words.len()).collect();
    for numbers in numbers.chunks(100) {
        let batch = Words::batch(words, numbers);
        let logits: Tensor<f32> = Tape::eval(|t| {
            let logits = model.eval(t, &batch.tokens, &batch.lengths);
            logits.log_softmax(1).value().clone()
        });
        let mut rows = logits.data().chunks(Words::TOKENS).zip(batch.targets);
        for &length in batch.lengths.each() {
            steps.resize_with(steps.len().max(length), Vec::new);
            for losses in &mut steps[..length] {
                let (row, target) = rows.next().expect("there is a row for each step");
                losses.push(-f64::from(row[target]));
            }
        }
    }
    steps
}

/// The range of what is drawn, in steps of a fifth.
fn losses_axis(caption: &str, low: f64, high: f64) -> Axis {
    Axis::linear(
        caption,
        (5.0 * low).floor() / 5.0,
        (5.0 * high).ceil() / 5.0,
    )
}

fn rates_chart(cells: &[LossCell<Tested>], counts: &[Counted<OnBoth>]) -> Chart {
    let of = |cell: &LossCell<Tested>| {
        let method = cell.of.method;
        Line::new(method.to_string(), method.ink(), cell.over_rates())
    };
    let chart = Chart::of(
        "An LSTM that spells words",
        "The validation loss after the last epoch at each learning rate, without norm, with Layer \
         Norm, and with Batch Norm whose statistics belong to a step or are shared by all steps: \
         median and quartiles over the seeds that pick a rate. Level lines are the test losses of \
         models that only count how often each letter came after as many others.",
        cells.iter().map(of),
    )
    .x(|first, last| Axis::log("learning rate", first, last.max(2.0 * first)));
    let names = ["frequencies", "pairs", "triples"];
    Counted::levels(counts, &names, chart, |of| of.test_loss)
        .y(|low, high| losses_axis("validation loss (nats per letter)", low, high))
}

fn steps_chart(cells: &[LossCell<Tested>]) -> Chart {
    let of = |cell: &LossCell<Tested>| {
        let losses = cell.of.long_words_by_step.iter().enumerate();
        let points = losses.map(|(i, loss)| ((i + 1) as f64, loss.finite()));
        let method = cell.of.method;
        Line::new(method.to_string(), method.ink(), points.collect())
    };
    Chart::of(
        "Long words, step by step",
        "The test loss at each step of words longer than any that was trained on, without norm, \
         with Layer Norm, and with Batch Norm whose statistics belong to a step or are shared by \
         all steps: median and quartiles over the seeds. Training ended at step 9.",
        cells.iter().map(of),
    )
    .x(|_, last| Axis::linear("step", 1.0, last))
    .level("guessing", Ink::Theory, Spread::exactly(GUESSING))
    .y(|low, high| losses_axis("loss (nats per letter)", low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_apart_and_as_large_as_the_protocol_says() {
        let protocol = Asked::protocol(false);
        let words = Words::load().expect("they come with the crate");
        let parts = Parts::new(&words, &protocol.plan);
        let parts = [parts.train, parts.validation, parts.test, parts.long];
        assert_eq!(parts.each_ref().map(Vec::len), [1500, 300, 300, 300]);
        for (part, letters) in parts.iter().zip([2..=8, 2..=8, 2..=8, 12..=16]) {
            assert!(part.iter().all(|word| letters.contains(&word.len())));
        }
        let mut all = parts.concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 2400);
    }
}
