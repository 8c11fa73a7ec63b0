//! Claim C9: Layer Norm suits Transformers.
//!
//! # Protocol
//! A causal Transformer (32 features, 2 heads, 64 features inside) reads *Alice's Adventures in
//! Wonderland* in pieces of 32 characters and predicts each character from those before it.
//! It has 3 blocks, or 16: before training, gradients without a norm are in good order with
//! three blocks, and have begun to explode with sixteen (chapter 15). Nothing else differs
//! between the two depths.
//!
//! Compared are no norm, Layer Norm in front of each part (pre) and after each sum (post),
//! RMS Norm in front, and Batch Norm in front, over all positions of all sequences of the
//! batch. Adam with its usual constants, 400 steps of 8 pieces from random places, no
//! warm-up; a constant learning rate that validation picks for each, at each depth, from one
//! grid. If any pick lies at the edge of the grid, the grid is widened for all. The measure is
//! the cross-entropy per character in nats, on the first 4,096 characters of the validation
//! and the test part, in evaluation mode; a run that diverges counts as infinitely bad.
//!
//! While it trains, Batch Norm looks at later positions through its statistics. So its
//! training loss says little; evaluation, with running statistics, cannot look ahead.
//!
//! At each depth the claim has two parts: the test loss of the better form of Layer Norm (by
//! validation loss) is clearly below that of no norm (the ranges from first to third quartile
//! do not overlap), and clearly below that of Batch Norm. The claim is supported if all four
//! hold, not supported if none does, and depends otherwise. RMS Norm, and pre against post,
//! are judged beside it in the same way; and the number of rates of the grid at which each
//! comes within 5 % of its own best loss.
//!
//! Reported too: how many runs of each diverged, over the whole grid; and the loss of a model
//! that knows only how frequent each character is in the training part.

use std::fmt;

use nn::data::{Prose, all_windows, random_windows};
use nn::loss::cross_entropy;
use nn::{Adam, BlockSpec, Mode, NormKind, NormPlace, Optimizer, TokenModel, TransformerSpec};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Serialize;
use serde_json::{Value, json};
use tape::Tape;

use crate::chart::{Axis, Chart, Ink, Line};
use crate::claims::{Answer, Claim};
use crate::experiment::{Error, Experiment, Finding};
use crate::losses::{LossCell, LossRun, RATE_RULE, sweep_losses};
use crate::session::Session;
use crate::stats::{Apart, Spread};

pub(crate) const EXPERIMENT: Experiment = Experiment {
    name: "transformer",
    about: "norms in a small Transformer that reads prose, with few blocks and with many",
    chapter: 15,
    claim: Some(Claim {
        id: "C9",
        text: "Layer Norm suits Transformers.",
    }),
    timed: false,
    protocol: |quick| serde_json::to_value(Protocol::new(quick)).expect("plain data serializes"),
    run,
};

#[derive(Serialize)]
struct Protocol {
    data: &'static str,
    characters: usize,
    steps: usize,
    other_characters: usize,
    blocks: [usize; 2],
    width: usize,
    heads: usize,
    hidden: usize,
    optimizer: &'static str,
    pieces: usize,
    rates: Vec<f64>,
    rate_rule: &'static str,
    near: f64,
    decision_rule: &'static str,
}

impl Protocol {
    fn new(quick: bool) -> Self {
        Protocol {
            data: "the prose in its fixed split",
            characters: if quick { 8 } else { 32 },
            steps: if quick { 4 } else { 400 },
            other_characters: if quick { 64 } else { 4096 },
            blocks: if quick { [1, 2] } else { [3, 16] },
            width: if quick { 8 } else { 32 },
            heads: 2,
            hidden: if quick { 8 } else { 64 },
            optimizer: "Adam, beta 0.9 and 0.999, no warm-up",
            pieces: if quick { 4 } else { 8 },
            rates: if quick {
                vec![0.003, 0.01]
            } else {
                vec![0.0003, 0.001, 0.003, 0.01, 0.03]
            },
            rate_rule: RATE_RULE,
            near: 0.05,
            decision_rule: "at each depth: the test loss of the better of pre-LN and post-LN (by \
                            median validation loss) is clearly below that of no norm, and clearly \
                            below that of Batch Norm (quartile ranges apart). supported: both, at \
                            both depths; not supported: neither, at either depth; else depends",
        }
    }
}

/// A norm and its place.
#[derive(Clone, Copy, PartialEq)]
struct Form {
    norm: NormKind,
    place: NormPlace,
}

const FORMS: [Form; 5] = [
    Form::of(NormKind::None, NormPlace::Pre),
    Form::of(NormKind::Layer, NormPlace::Pre),
    Form::of(NormKind::Layer, NormPlace::Post),
    Form::of(NormKind::Rms, NormPlace::Pre),
    Form::of(NormKind::Batch, NormPlace::Pre),
];

impl Form {
    const fn of(norm: NormKind, place: NormPlace) -> Self {
        Form { norm, place }
    }

    fn name(self) -> &'static str {
        match (self.norm, self.place) {
            (NormKind::Layer, NormPlace::Post) => "post-LN",
            (NormKind::Layer, NormPlace::Pre) => "pre-LN",
            (NormKind::Rms, _) => "pre-RMS",
            (NormKind::Batch, _) => "pre-BN",
            _ => "no norm",
        }
    }

    fn ink(self) -> Ink {
        match (self.norm, self.place) {
            (NormKind::Layer, NormPlace::Post) => Ink::LayerToo,
            (NormKind::Layer, NormPlace::Pre) => Ink::Layer,
            (NormKind::Rms, _) => Ink::Rms,
            (NormKind::Batch, _) => Ink::Batch,
            _ => Ink::None,
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.place, self.norm)
    }
}

/// What is trained: a form, in so many blocks.
#[derive(Clone, Copy)]
struct Setting {
    blocks: usize,
    form: Form,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.blocks, self.form)
    }
}

type Cell = LossCell<Setting>;

/// All forms in so many blocks, in the order of [`FORMS`].
struct Depth<'a> {
    blocks: usize,
    cells: &'a [Cell],
}

impl<'a> Depth<'a> {
    fn all(cells: &'a [Cell]) -> Vec<Self> {
        let depth = |cells: &'a [Cell]| Depth {
            blocks: cells[0].of.blocks,
            cells,
        };
        cells.chunks(FORMS.len()).map(depth).collect()
    }

    fn none(&self) -> &'a Cell {
        &self.cells[0]
    }

    fn batch(&self) -> &'a Cell {
        &self.cells[4]
    }

    fn rms(&self) -> &'a Cell {
        &self.cells[3]
    }

    /// The better form of Layer Norm, and the other.
    fn layer(&self) -> [&'a Cell; 2] {
        let [pre, post] = [&self.cells[1], &self.cells[2]];
        if post.validation().median < pre.validation().median {
            [post, pre]
        } else {
            [pre, post]
        }
    }

    /// The two parts that the claim has at this depth.
    fn parts(&self) -> [bool; 2] {
        let layer = self.layer()[0].test(0);
        [self.none(), self.batch()].map(|other| layer.seen_from(other.test(0)) == Apart::Below)
    }

    fn data(&self, protocol: &Protocol) -> Value {
        let entries = self.cells.iter().map(|cell| {
            let mut entry = cell.data();
            entry["form"] = json!(cell.of.form.name());
            entry["blocks"] = json!(cell.of.blocks);
            entry["test_loss"] = json!(cell.test(0));
            entry["rates_near_the_best"] = json!(cell.near(protocol.near));
            entry["diverged"] = json!(cell.diverged());
            entry
        });
        json!({
            "blocks": self.blocks,
            "better_form_of_layer_norm": self.layer()[0].of.form.name(),
            "forms": entries.collect::<Vec<Value>>(),
        })
    }
}

fn run(session: &mut Session) -> Result<Finding, Error> {
    let protocol = Protocol::new(session.quick());
    let prose = Prose::load()?;
    let train = |setting, rate, seed| train(setting, rate, seed, &protocol, &prose);
    let settings = protocol.blocks.map(|blocks| {
        let setting = |form| Setting { blocks, form };
        FORMS.map(setting)
    });
    let cells = sweep_losses(session, &settings.concat(), &protocol.rates, train)?;
    let depths = Depth::all(&cells);
    let answer = Answer::of(depths.iter().flat_map(Depth::parts));
    let [validation, test] =
        [&prose.validation, &prose.test].map(|part| frequencies_only(part, &prose, &protocol));
    let entries = depths.iter().map(|depth| depth.data(&protocol));
    Ok(Finding {
        data: json!({
            "frequencies_only": { "validation_loss": validation, "test_loss": test },
            "depths": entries.collect::<Vec<Value>>(),
        }),
        charts: ["few", "many"]
            .into_iter()
            .zip(&depths)
            .map(|(name, depth)| (name, chart(depth, validation, &protocol)))
            .collect(),
        answer: Some(answer),
        verdict: verdict(answer, &depths, &protocol),
        table: table(&depths, &protocol),
    })
}

/// The loss on a part of a model that knows only how frequent each character is. Each is
/// counted once more than it occurs, for some are not in the training part at all.
fn frequencies_only(part: &[usize], prose: &Prose, protocol: &Protocol) -> f64 {
    let mut counts = vec![1.0; prose.alphabet.len()];
    for &token in &prose.train {
        counts[token] += 1.0;
    }
    let all = (prose.train.len() + counts.len()) as f64;
    let targets = &part[1..=protocol.other_characters];
    let losses = targets.iter().map(|&token| -libm::log(counts[token] / all));
    losses.sum::<f64>() / targets.len() as f64
}

fn train(setting: Setting, rate: f64, seed: u64, protocol: &Protocol, prose: &Prose) -> LossRun {
    let weights = &mut StdRng::seed_from_u64(2 * seed);
    let order = &mut StdRng::seed_from_u64(2 * seed + 1);
    let block = BlockSpec::new(protocol.width, protocol.heads)
        .hidden(protocol.hidden)
        .norm(setting.form.norm, setting.form.place);
    let spec = TransformerSpec::new(
        prose.alphabet.len(),
        protocol.characters,
        setting.blocks,
        block,
    );
    let mut model = spec.build::<f32>(weights);
    let mut adam = Adam::new();
    let mut tape = Tape::new();
    let mut fine = true;
    for _ in 0..protocol.steps {
        let batch = random_windows(&prose.train, protocol.pieces, protocol.characters, order);
        let (loss, (), grads) = tape.grad(|t| {
            let logits = model.forward(t, &batch.tokens, &batch.lengths, Mode::Train);
            (cross_entropy(&logits, &batch.targets), ())
        });
        fine = loss.is_finite();
        if !fine {
            break;
        }
        adam.step(&mut model, &grads, rate);
    }
    let mut score = |part: &[usize]| {
        let (mut total, mut count) = (0.0, 0.0);
        let part = &part[..=protocol.other_characters];
        for batch in all_windows(part, 32, protocol.characters) {
            let loss = Tape::eval(|t| {
                let logits = model.forward(t, &batch.tokens, &batch.lengths, Mode::Eval);
                f64::from(cross_entropy(&logits, &batch.targets).value().item())
            });
            total += loss * batch.targets.len() as f64;
            count += batch.targets.len() as f64;
        }
        let loss = total / count;
        (fine && loss.is_finite()).then_some(loss)
    };
    LossRun {
        validation: score(&prose.validation),
        test: vec![score(&prose.test)],
    }
}

fn verdict(answer: Answer, depths: &[Depth<'_>], protocol: &Protocol) -> String {
    let of = |depth: &Depth<'_>| {
        let [layer, other] = depth.layer();
        let against = |other: &Cell| {
            let how = match layer.test(0).seen_from(other.test(0)) {
                Apart::Below => "clearly better than",
                Apart::Above => "clearly worse than",
                Apart::Unclear => "not clearly different from",
            };
            let name = other.of.form.name();
            format!("{how} {name} ({:.3})", other.test(0).median)
        };
        let near = |cell: &Cell| format!("{} {}", cell.of.form.name(), cell.near(protocol.near));
        format!(
            "with {} blocks {} reaches {:.3}, {}, {}, {} and {}; of {} rates, within {} % of the \
             best loss are: {}",
            depth.blocks,
            layer.of.form.name(),
            layer.test(0).median,
            against(depth.none()),
            against(depth.batch()),
            against(other),
            against(depth.rms()),
            protocol.rates.len(),
            100.0 * protocol.near,
            depth.cells.iter().map(near).collect::<Vec<_>>().join(", ")
        )
    };
    format!(
        "{}: in nats per character on the test part, {}.",
        answer.words(),
        depths.iter().map(of).collect::<Vec<_>>().join(". And ")
    )
}

/// Losses above this are drawn at the upper edge. A model that takes all 72 characters for
/// equally likely has 4.28.
const HIGHEST: f64 = 4.5;

fn chart(depth: &Depth<'_>, frequencies: f64, protocol: &Protocol) -> Chart {
    let line = |cell: &Cell| {
        let finite = |s: Spread| s.high.is_finite().then_some(s);
        let spreads = cell.validation_by_rate().into_iter().map(finite);
        Line {
            name: cell.of.form.name().into(),
            ink: cell.of.form.ink(),
            points: protocol.rates.iter().copied().zip(spreads).collect(),
        }
    };
    let mut lines: Vec<Line> = depth.cells.iter().map(line).collect();
    let level = Spread {
        low: frequencies,
        median: frequencies,
        high: frequencies,
    };
    let ends = [protocol.rates[0], protocol.rates[protocol.rates.len() - 1]];
    lines.push(Line {
        name: "frequencies only".into(),
        ink: Ink::Theory,
        points: ends.map(|rate| (rate, Some(level))).into(),
    });
    let seen = lines
        .iter()
        .flat_map(|line| &line.points)
        .filter_map(|(_, s)| *s);
    let (low, high) = seen.fold((f64::INFINITY, 0.0_f64), |(low, high), s| {
        (low.min(s.low), high.max(s.high))
    });
    Chart {
        title: format!("A Transformer of {} blocks that reads prose", depth.blocks),
        about: "The validation loss after the last step at each learning rate, without norm, \
                with Layer Norm in front of each part or after each sum, and with RMS Norm and \
                Batch Norm in front: median and quartiles over the seeds. A gap is left where \
                the upper quartile is of runs that diverged; losses above 4.5 are drawn at the \
                upper edge. A level line is the loss of a model that knows only how frequent \
                each character is."
            .into(),
        x: Axis::log("learning rate", ends[0], ends[1]),
        y: Axis::linear(
            "validation loss (nats per character)",
            (10.0 * low).floor() / 10.0,
            ((10.0 * high).ceil() / 10.0).min(HIGHEST),
        ),
        lines,
    }
}

fn table(depths: &[Depth<'_>], protocol: &Protocol) -> String {
    let mut table = format!("{:<7}{:<10}", "blocks", "rate");
    for rate in &protocol.rates {
        table += &format!("{rate:>11}");
    }
    table += &format!(
        "{:>9}{:>32}{:>10}\n",
        "picked", "test loss (nats per character)", "diverged"
    );
    for cell in depths.iter().flat_map(|depth| depth.cells) {
        table += &format!("{:<7}{:<10}", cell.of.blocks, cell.of.form.name());
        for spread in cell.validation_by_rate() {
            table += &format!("{:>11.3}", spread.median);
        }
        let test = cell.test(0);
        let test = format!("{:.3} ({:.3} to {:.3})", test.median, test.low, test.high);
        table += &format!("{:>9}{test:>32}{:>10}\n", cell.rate(), cell.diverged());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cells of a depth whose test losses are these, from 13 runs each.
    fn cells(blocks: usize, losses: [f64; 5]) -> Vec<Cell> {
        let cell = |(form, loss): (Form, f64)| {
            let run = |seed: u32| {
                let loss = loss + 0.001 * f64::from(seed);
                LossRun {
                    validation: Some(loss),
                    test: vec![Some(loss)],
                }
            };
            let runs = (0..13).map(run).collect();
            LossCell::new(Setting { blocks, form }, &[0.01], vec![runs])
        };
        FORMS.into_iter().zip(losses).map(cell).collect()
    }

    /// The losses are those of no norm, pre-LN, post-LN, RMS Norm and Batch Norm.
    fn answer(few: [f64; 5], many: [f64; 5]) -> Answer {
        let mut all = cells(3, few);
        all.extend(cells(16, many));
        Answer::of(Depth::all(&all).iter().flat_map(Depth::parts))
    }

    #[test]
    fn the_answer_counts_both_others_at_both_depths() {
        let best = [2.3, 2.2, 2.25, 2.1, 2.4];
        let worst = [2.3, 2.5, 2.6, 2.1, 2.4];
        let below_one = [2.3, 2.2, 2.5, 2.1, 2.1];
        assert_eq!(answer(best, best), Answer::Supported);
        assert_eq!(answer(worst, worst), Answer::NotSupported);
        for (few, many) in [(best, worst), (worst, best), (worst, below_one)] {
            assert_eq!(answer(few, many), Answer::Depends);
        }
        // Ranges that overlap are no difference; of Layer Norm the better form counts.
        let close = [2.3, 2.302, 2.6, 2.1, 2.301];
        assert_eq!(answer(close, close), Answer::NotSupported);
        let post = [2.3, 2.6, 2.2, 2.1, 2.4];
        assert_eq!(answer(post, best), Answer::Supported);
    }

    #[test]
    fn the_frequencies_alone_are_a_finite_loss() {
        let prose = Prose::load().expect("the prose");
        let protocol = Protocol::new(false);
        let all_alike = (prose.alphabet.len() as f64).ln();
        for part in [&prose.validation, &prose.test] {
            let loss = frequencies_only(part, &prose, &protocol);
            assert!(2.5 < loss && loss < all_alike, "{loss}");
        }
    }
}
