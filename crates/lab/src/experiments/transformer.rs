//! Claim C9: Layer Norm suits Transformers.
//!
//! # Protocol
//! A causal Transformer of 3 blocks (32 features, 2 heads, 64 features inside) reads *Alice's
//! Adventures in Wonderland* in pieces of 32 characters and predicts each character from
//! those before it.
//!
//! Compared are no norm, Layer Norm in front of each part (pre) and after each sum (post),
//! RMS Norm in front, and Batch Norm in front, over all positions of all sequences of the
//! batch. Adam with its usual constants, 250 steps of 16 pieces from random places, no
//! warm-up; a constant learning rate that validation picks for each from one grid. The
//! measure is the cross-entropy per character in nats, on the first 4,096 characters of the
//! validation and the test part, in evaluation mode; a run that diverges counts as infinitely
//! bad.
//!
//! While it trains, Batch Norm looks at later positions through its statistics. So its
//! training loss says little; evaluation, with running statistics, cannot look ahead.
//!
//! Layer Norm suits if the test loss of its better form is clearly below that of no norm (the
//! ranges from first to third quartile do not overlap) and clearly below that of Batch Norm.
//! The claim is supported if both hold, not supported if neither, and depends otherwise.
//! RMS Norm, and pre against post, are judged beside it in the same way; and the number of
//! rates of the grid at which each comes within 5 % of its own best loss.

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
    about: "norms in a small Transformer that reads prose",
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
    blocks: usize,
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
            steps: if quick { 4 } else { 250 },
            other_characters: if quick { 64 } else { 4096 },
            blocks: if quick { 1 } else { 3 },
            width: if quick { 8 } else { 32 },
            heads: 2,
            hidden: if quick { 8 } else { 64 },
            optimizer: "Adam, beta 0.9 and 0.999, no warm-up",
            pieces: if quick { 4 } else { 16 },
            rates: if quick {
                vec![0.003, 0.01]
            } else {
                vec![0.001, 0.003, 0.01, 0.03]
            },
            rate_rule: RATE_RULE,
            near: 0.05,
            decision_rule: "suits: the test loss of the better of pre-LN and post-LN (by median \
                            validation loss) is clearly below that of no norm, and clearly below \
                            that of Batch Norm (quartile ranges apart). supported: both; not \
                            supported: neither; else depends",
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

fn run(session: &mut Session) -> Result<Finding, Error> {
    let protocol = Protocol::new(session.quick());
    let prose = Prose::load()?;
    let train = |form, rate, seed| train(form, rate, seed, &protocol, &prose);
    let rows = sweep_losses(session, &FORMS, &protocol.rates, train)?;
    let layer = better(&rows[1], &rows[2]);
    let below = |other: &LossCell<Form>| layer.test(0).seen_from(other.test(0)) == Apart::Below;
    let answer = Answer::of([below(&rows[0]), below(&rows[4])]);
    let entries = rows.iter().map(|row| {
        let mut entry = row.data();
        entry["form"] = json!(row.of.name());
        entry["test_loss"] = json!(row.test(0));
        entry["rates_near_the_best"] = json!(row.near(protocol.near));
        entry
    });
    Ok(Finding {
        data: json!({ "forms": entries.collect::<Vec<Value>>() }),
        charts: vec![("rates", chart(&rows, &protocol))],
        answer: Some(answer),
        verdict: verdict(answer, &rows, &protocol),
        table: table(&rows, &protocol),
    })
}

fn train(form: Form, rate: f64, seed: u64, protocol: &Protocol, prose: &Prose) -> LossRun {
    let weights = &mut StdRng::seed_from_u64(2 * seed);
    let order = &mut StdRng::seed_from_u64(2 * seed + 1);
    let block = BlockSpec::new(protocol.width, protocol.heads)
        .hidden(protocol.hidden)
        .norm(form.norm, form.place);
    let spec = TransformerSpec::new(
        prose.alphabet.len(),
        protocol.characters,
        protocol.blocks,
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

fn better<'a>(a: &'a LossCell<Form>, b: &'a LossCell<Form>) -> &'a LossCell<Form> {
    if b.validation().median < a.validation().median {
        b
    } else {
        a
    }
}

fn verdict(answer: Answer, rows: &[LossCell<Form>], protocol: &Protocol) -> String {
    let layer = better(&rows[1], &rows[2]);
    let against = |other: &LossCell<Form>| {
        let how = match layer.test(0).seen_from(other.test(0)) {
            Apart::Below => "clearly better than",
            Apart::Above => "clearly worse than",
            Apart::Unclear => "not clearly different from",
        };
        format!("{how} {} ({:.3})", other.of.name(), other.test(0).median)
    };
    let other = if layer.of == rows[1].of {
        &rows[2]
    } else {
        &rows[1]
    };
    let near = |row: &LossCell<Form>| format!("{} {}", row.of.name(), row.near(protocol.near));
    format!(
        "{}: in nats per character on the test part {} reaches {:.3}, {}, {}, {} and {}; of {} rates, \
         within {} % of the best loss are: {}.",
        answer.words(),
        layer.of.name(),
        layer.test(0).median,
        against(&rows[0]),
        against(&rows[4]),
        against(other),
        against(&rows[3]),
        protocol.rates.len(),
        100.0 * protocol.near,
        rows.iter().map(near).collect::<Vec<_>>().join(", ")
    )
}

fn chart(rows: &[LossCell<Form>], protocol: &Protocol) -> Chart {
    let line = |row: &LossCell<Form>| {
        let finite = |s: Spread| s.high.is_finite().then_some(s);
        let spreads = row.validation_by_rate().into_iter().map(finite);
        Line {
            name: row.of.name().into(),
            ink: row.of.ink(),
            points: protocol.rates.iter().copied().zip(spreads).collect(),
        }
    };
    let lines: Vec<Line> = rows.iter().map(line).collect();
    let seen = lines
        .iter()
        .flat_map(|line| &line.points)
        .filter_map(|(_, s)| *s);
    let (low, high) = seen.fold((f64::INFINITY, 0.0_f64), |(low, high), s| {
        (low.min(s.low), high.max(s.high))
    });
    let rates = &protocol.rates;
    Chart {
        title: "A Transformer that reads prose".into(),
        about: "The validation loss after the last epoch at each learning rate, without norm, \
                with Layer Norm in front of each part or after each sum, and with RMS Norm and \
                Batch Norm in front: median and quartiles over the seeds. A gap is left where \
                runs diverged."
            .into(),
        x: Axis::log("learning rate", rates[0], rates[rates.len() - 1]),
        y: Axis::linear(
            "validation loss (nats per character)",
            (10.0 * low).floor() / 10.0,
            (10.0 * high).ceil() / 10.0,
        ),
        lines,
    }
}

fn table(rows: &[LossCell<Form>], protocol: &Protocol) -> String {
    let mut table = format!("{:<10}", "rate");
    for rate in &protocol.rates {
        table += &format!("{rate:>9}");
    }
    table += &format!("{:>9}{:>28}\n", "picked", "test loss (nats per character)");
    for row in rows {
        table += &format!("{:<10}", row.of.name());
        for spread in row.validation_by_rate() {
            table += &format!("{:>9.3}", spread.median);
        }
        let test = row.test(0);
        let test = format!("{:.3} ({:.3} to {:.3})", test.median, test.low, test.high);
        table += &format!("{:>9}{test:>28}\n", row.rate());
    }
    table
}
