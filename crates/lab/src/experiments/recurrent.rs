//! Claim C8: Batch Norm fits recurrent networks and variable-length input badly; Layer Norm
//! fits well.
//!
//! # Protocol
//! An LSTM with 48 features of state spells English words: it predicts every letter from those
//! before it, and where the word ends. It learns from 1,500 words of 2 to 8 letters, in
//! batches of 16, so that the sequences of a batch have different lengths and few reach the
//! late steps. Inside the cell stands nothing, Layer Norm (Ba et al., 2016), or Batch Norm
//! (Cooijmans et al., 2017) with statistics for each step or with one set shared by all
//! steps. Adam, 6 epochs, a constant learning rate that validation (300 other words of 2 to 8
//! letters) picks for each from one grid; gradients are clipped at norm 1.
//!
//! The measure is the cross-entropy per letter in nats, in evaluation mode, on 300 test words
//! of 2 to 8 letters (*trained lengths*) and on the steps from the tenth on of 300 words of
//! 12 letters and more, which no training word reached (*beyond*).
//!
//! The claim has three parts. *Badly*: the better form of Batch Norm (by validation loss) is
//! clearly worse than Layer Norm on trained lengths; the ranges from first to third quartile
//! do not overlap. *Badly beyond*: it is clearly worse than Layer Norm beyond. *Well*: Layer
//! Norm is not clearly worse than no norm on either. The claim is supported if all three
//! hold, not supported if none, and depends otherwise.
//!
//! # What it does not show
//! No word that was trained on goes beyond eight letters, so a network that has learned this
//! well is sure of the end, and loses much where a word goes on. *Beyond* therefore measures
//! two things at once: whether the statistics still fit, and how sure the network was.
//!
//! Reported too: how many words of a batch reach each step, for that is what the statistics
//! of the step are made of; and the loss step by step on the long words.

use std::fmt;
use std::ops::RangeInclusive;

use nn::data::{BatchSize, Words, batches};
use nn::loss::cross_entropy;
use nn::{
    Adam, CellKind, CellNorm, Mode, Optimizer, RecurrentLm, RecurrentLmSpec, RecurrentSpec,
    TokenModel,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Serialize;
use serde_json::{Value, json};
use tape::{Tape, Tensor};

use crate::chart::{Axis, Chart, Ink, Line};
use crate::claims::{Answer, Claim};
use crate::experiment::{Error, Experiment, Finding};
use crate::losses::{LossCell, LossRun, RATE_RULE, sweep_losses};
use crate::session::Session;
use crate::stats::{Apart, Spread};

pub(crate) const EXPERIMENT: Experiment = Experiment {
    name: "recurrent",
    about: "an LSTM that spells words of different lengths",
    chapter: 14,
    claim: Some(Claim {
        id: "C8",
        text: "Batch Norm fits recurrent networks and variable-length input badly; Layer Norm \
               fits well.",
    }),
    timed: false,
    protocol: |quick| serde_json::to_value(Protocol::new(quick)).expect("plain data serializes"),
    run,
};

#[derive(Serialize)]
struct Protocol {
    data: &'static str,
    train_words: usize,
    other_words: usize,
    trained_letters: [usize; 2],
    long_letters: usize,
    cell: &'static str,
    letter_features: usize,
    state_features: usize,
    optimizer: &'static str,
    batch: usize,
    epochs: usize,
    clip: f64,
    rates: Vec<f64>,
    rate_rule: &'static str,
    decision_rule: &'static str,
}

impl Protocol {
    fn new(quick: bool) -> Self {
        Protocol {
            data: "English words in their fixed split; those of the lengths given, at equal \
                   distances in the list",
            train_words: if quick { 48 } else { 1500 },
            other_words: if quick { 24 } else { 300 },
            trained_letters: [2, 8],
            long_letters: 12,
            cell: "LSTM",
            letter_features: 16,
            state_features: if quick { 8 } else { 48 },
            optimizer: "Adam, beta 0.9 and 0.999",
            batch: 16,
            epochs: if quick { 1 } else { 6 },
            clip: 1.0,
            rates: if quick {
                vec![0.01]
            } else {
                vec![0.001, 0.003, 0.01, 0.03]
            },
            rate_rule: RATE_RULE,
            decision_rule: "badly: the better form of Batch Norm (by median validation loss) has \
                            a test loss clearly above that of Layer Norm on trained lengths \
                            (quartile ranges apart); badly beyond: and on the steps beyond them; \
                            well: Layer Norm is not clearly above no norm on either. supported: \
                            all three; not supported: none; else depends",
        }
    }

    /// The steps of the longest word that is trained on: its letters and its end.
    fn steps(&self) -> usize {
        self.trained_letters[1] + 1
    }
}

/// What stands inside the cell.
#[derive(Clone, Copy, PartialEq)]
struct Form(CellNorm);

impl Form {
    fn all(protocol: &Protocol) -> [Form; 4] {
        let steps = protocol.steps();
        [
            Form(CellNorm::None),
            Form(CellNorm::Layer),
            Form(CellNorm::Batch { steps }),
            Form(CellNorm::Batch { steps: 1 }),
        ]
    }

    fn name(self) -> &'static str {
        match self.0 {
            CellNorm::None => "no norm",
            CellNorm::Layer => "Layer Norm",
            CellNorm::Batch { steps: 1 } => "Batch Norm, shared",
            CellNorm::Batch { .. } => "Batch Norm by step",
        }
    }

    fn ink(self) -> Ink {
        match self.0 {
            CellNorm::None => Ink::None,
            CellNorm::Layer => Ink::Layer,
            CellNorm::Batch { steps: 1 } => Ink::BatchToo,
            CellNorm::Batch { .. } => Ink::Batch,
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
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
    fn new(words: &Words, protocol: &Protocol) -> Self {
        let [least, most] = protocol.trained_letters;
        let some = |part: &[Vec<usize>], letters: RangeInclusive<usize>, count: usize| {
            let fits = |word: &&Vec<usize>| letters.contains(&word.len());
            let fitting: Vec<&Vec<usize>> = part.iter().filter(fits).collect();
            // The list is in alphabetical order.
            let at = |i: usize| fitting[i * fitting.len() / count].clone();
            (0..count).map(at).collect()
        };
        let others = protocol.other_words;
        Parts {
            train: some(&words.train, least..=most, protocol.train_words),
            validation: some(&words.validation, least..=most, others),
            test: some(&words.test, least..=most, others),
            long: some(&words.test, protocol.long_letters..=usize::MAX, others),
        }
    }
}

fn run(session: &mut Session) -> Result<Finding, Error> {
    let protocol = Protocol::new(session.quick());
    let words = Parts::new(&Words::load()?, &protocol);
    let forms = Form::all(&protocol);
    let train = |form, rate, seed| train(form, rate, seed, &protocol, &words);
    let cells = sweep_losses(session, &forms, &protocol.rates, train)?;
    let [none, layer, by_step, shared] = &cells[..] else {
        unreachable!("there are four forms")
    };
    let batch = if shared.validation().median < by_step.validation().median {
        shared
    } else {
        by_step
    };
    let above = |a: &LossCell<Form>, b: &LossCell<Form>, which| {
        a.test(which).seen_from(b.test(which)) == Apart::Above
    };
    let parts = [
        above(batch, layer, TRAINED),
        above(batch, layer, BEYOND),
        !above(layer, none, TRAINED) && !above(layer, none, BEYOND),
    ];
    let answer = Answer::of(parts);
    let reach = reach(&words.train, &protocol);
    let shown = shown_steps(&words.long);
    let entries = cells.iter().map(|cell| {
        let mut entry = cell.data();
        entry["method"] = json!(cell.of.name());
        entry["test_loss"] = json!(cell.test(TRAINED));
        entry["test_loss_beyond"] = json!(cell.test(BEYOND));
        let steps = (0..shown).map(|step| json!(cell.test(STEPS + step)));
        entry["long_words_by_step"] = steps.collect();
        entry
    });
    let reach_data = reach.iter().enumerate();
    let reach_data = reach_data.map(|(i, words)| json!({ "step": i + 1, "words": words }));
    Ok(Finding {
        data: json!({
            "badly": parts[0], "badly_beyond": parts[1], "well": parts[2],
            "words_of_a_batch_at_each_step": reach_data.collect::<Vec<Value>>(),
            "methods": entries.collect::<Vec<Value>>(),
        }),
        charts: vec![
            ("rates", rates_chart(&cells, &protocol)),
            ("steps", steps_chart(&cells, shown)),
        ],
        answer: Some(answer),
        verdict: verdict(answer, none, layer, batch),
        table: table(&cells, &reach),
    })
}

/// The places of the test losses.
const TRAINED: usize = 0;
const BEYOND: usize = 1;
const STEPS: usize = 2;

/// The last step that every long word has.
fn shown_steps(long: &[Vec<usize>]) -> usize {
    long.iter().map(|word| word.len() + 1).min().unwrap_or(0)
}

/// How many words of a batch reach each step, on average.
fn reach(train: &[Vec<usize>], protocol: &Protocol) -> Vec<f64> {
    let share = |step: usize| {
        let there = train.iter().filter(|word| word.len() + 1 >= step).count();
        protocol.batch as f64 * there as f64 / train.len() as f64
    };
    (1..=protocol.steps()).map(share).collect()
}

fn train(form: Form, rate: f64, seed: u64, protocol: &Protocol, words: &Parts) -> LossRun {
    let weights = &mut StdRng::seed_from_u64(2 * seed);
    let order = &mut StdRng::seed_from_u64(2 * seed + 1);
    let cell = RecurrentSpec::new(
        CellKind::Lstm,
        protocol.letter_features,
        protocol.state_features,
    );
    let spec = RecurrentLmSpec::new(Words::TOKENS, cell.norm(form.0));
    let mut model = spec.build::<f32>(weights);
    let mut adam = Adam::new();
    let mut tape = Tape::new();
    let mut fine = true;
    for _ in 0..protocol.epochs {
        let size = BatchSize::Fixed(protocol.batch);
        for numbers in batches(words.train.len(), size, order) {
            if !fine {
                break;
            }
            let batch = Words::batch(&words.train, &numbers);
            let (loss, (), grads) = tape.grad(|t| {
                let logits = model.forward(t, &batch.tokens, &batch.lengths, Mode::Train);
                (cross_entropy(&logits, &batch.targets), ())
            });
            fine = loss.is_finite();
            if fine {
                adam.step_clipped(&mut model, &grads, rate, protocol.clip);
            }
        }
    }
    let finite = |loss: f64| (fine && loss.is_finite()).then_some(loss);
    let average = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let mut all = |part: &[Vec<usize>]| finite(average(&by_step(&mut model, part).concat()));
    let (validation, trained) = (all(&words.validation), all(&words.test));
    let long = by_step(&mut model, &words.long);
    let mut test = vec![trained, finite(average(&long[protocol.steps()..].concat()))];
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
            let logits = model.forward(t, &batch.tokens, &batch.lengths, Mode::Eval);
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

fn verdict(
    answer: Answer,
    none: &LossCell<Form>,
    layer: &LossCell<Form>,
    batch: &LossCell<Form>,
) -> String {
    let on = |which: usize| {
        let how = |cell: &LossCell<Form>, other: &LossCell<Form>| match cell
            .test(which)
            .seen_from(other.test(which))
        {
            Apart::Below => "clearly better than",
            Apart::Above => "clearly worse than",
            Apart::Unclear => "not clearly different from",
        };
        let loss = |cell: &LossCell<Form>| format!("{:.3}", cell.test(which).median);
        format!(
            "{} ({}) is {} Layer Norm ({}), which is {} no norm ({})",
            batch.of,
            loss(batch),
            how(batch, layer),
            loss(layer),
            how(layer, none),
            loss(none)
        )
    };
    format!(
        "{}: in nats per letter, on trained lengths {}; on the steps beyond, {}.",
        answer.words(),
        on(TRAINED),
        on(BEYOND)
    )
}

/// The range of what is drawn.
fn range(lines: &[Line]) -> (f64, f64) {
    let seen = lines.iter().flat_map(|line| &line.points);
    let seen = seen.filter_map(|(_, s)| *s);
    let (low, high) = seen.fold((f64::INFINITY, 0.0_f64), |(low, high), s| {
        (low.min(s.low), high.max(s.high))
    });
    ((5.0 * low).floor() / 5.0, (5.0 * high).ceil() / 5.0)
}

fn finite(spread: Spread) -> Option<Spread> {
    spread.high.is_finite().then_some(spread)
}

fn rates_chart(cells: &[LossCell<Form>], protocol: &Protocol) -> Chart {
    let line = |cell: &LossCell<Form>| {
        let spreads = cell.validation_by_rate().into_iter().map(finite);
        Line {
            name: cell.of.name().into(),
            ink: cell.of.ink(),
            points: protocol.rates.iter().copied().zip(spreads).collect(),
        }
    };
    let lines: Vec<Line> = cells.iter().map(line).collect();
    let (low, high) = range(&lines);
    let (first, last) = (protocol.rates[0], protocol.rates[protocol.rates.len() - 1]);
    Chart {
        title: "An LSTM that spells words".into(),
        about: "The validation loss after the last epoch at each learning rate, without norm, \
                with Layer Norm, and with Batch Norm whose statistics belong to a step or are \
                shared by all steps: median and quartiles over the seeds."
            .into(),
        x: Axis::log("learning rate", first, last.max(2.0 * first)),
        y: Axis::linear("validation loss (nats per letter)", low, high),
        lines,
    }
}

fn steps_chart(cells: &[LossCell<Form>], shown: usize) -> Chart {
    let line = |cell: &LossCell<Form>| {
        let point = |step: usize| ((step + 1) as f64, finite(cell.test(STEPS + step)));
        Line {
            name: cell.of.name().into(),
            ink: cell.of.ink(),
            points: (0..shown).map(point).collect(),
        }
    };
    let lines: Vec<Line> = cells.iter().map(line).collect();
    let (low, high) = range(&lines);
    Chart {
        title: "Long words, step by step".into(),
        about: "The test loss at each step of words longer than any that was trained on, without \
                norm, with Layer Norm, and with Batch Norm whose statistics belong to a step or \
                are shared by all steps: median and quartiles over the seeds. Training ended at \
                step 9."
            .into(),
        x: Axis::linear("step", 1.0, shown as f64),
        y: Axis::linear("loss (nats per letter)", low, high),
        lines,
    }
}

fn table(cells: &[LossCell<Form>], reach: &[f64]) -> String {
    let mut table = format!(
        "{:<22}{:>8}{:>26}{:>26}\n",
        "nats per letter", "rate", "trained lengths", "beyond"
    );
    let text = |s: Spread| format!("{:.3} ({:.3} to {:.3})", s.median, s.low, s.high);
    for cell in cells {
        table += &format!(
            "{:<22}{:>8}{:>26}{:>26}\n",
            cell.of.name(),
            cell.rate(),
            text(cell.test(TRAINED)),
            text(cell.test(BEYOND))
        );
    }
    let reach = reach.iter().map(|words| format!(" {words:.1}"));
    table + "\nwords of a batch at each step:" + &reach.collect::<String>() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_apart_and_as_large_as_the_protocol_says() {
        let protocol = Protocol::new(false);
        let words = Words::load().expect("they come with the crate");
        let parts = Parts::new(&words, &protocol);
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
