//! Claim C14: a Transformer needs no normalization; Dynamic Tanh in its place does as well.
//!
//! Zhu et al. (2025) put a curve, `gamma · tanh(alpha x) + beta`, in the place of each norm of
//! trained Transformers of many sizes, and lost nothing. Verma (2026) finds that it depends on
//! the amount of text: with little of it the curve helps a model that would learn by heart, and
//! with much it makes it worse. So it is asked here with all of the text, of
//! which the runs see less than one pass, and with a piece so short that they pass over it
//! many times.
//!
//! Beside it stand no norm as it is, and no norm with branches that start smaller, by 1/√(2L) for
//! L blocks. All are trained with a warm-up.
//!
//! What was expected before the run: with all of the text Dynamic Tanh ends above Layer Norm by
//! more than the margin, for at so small a size it takes long to learn what a norm does at once;
//! with the short piece it ends below, since all forms overfit there and it fits less well; and no
//! norm with small branches lies between them in the first, for six blocks are few.

use nn::data::Prose;
use nn::{BlockSpec, NormPlace};

use crate::counts::Counted;
use crate::kit::*;
use crate::prose::{COUNTED, Lesson, OnBoth, Reader, TRIPLES, over_rates};

pub(crate) struct Asked;

#[derive(Serialize)]
pub(crate) struct Own {
    blocks: usize,
    /// How many characters of the training part are read: all of them, or the first.
    texts: Vec<Option<usize>>,
    forms: Vec<String>,
    small_branches_start_times: f64,
    /// As well: the whole interval of the difference lies below this, in nats.
    margin: f64,
}

/// What stands in the place of the norms.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Form {
    #[serde(rename = "Layer Norm")]
    Layer,
    #[serde(rename = "Dynamic Tanh")]
    Tanh,
    #[serde(rename = "no norm")]
    None,
    #[serde(rename = "no norm, small branches")]
    Small,
}

const FORMS: [Form; 4] = [Form::Layer, Form::Tanh, Form::None, Form::Small];

impl Form {
    fn block(self, block: BlockSpec, factor: f64) -> BlockSpec {
        let norm = |kind| block.norm(kind, NormPlace::Pre);
        match self {
            Form::Layer => norm(NormKind::Layer),
            Form::Tanh => norm(NormKind::DynamicTanh),
            Form::None => norm(NormKind::None),
            Form::Small => norm(NormKind::None).branches(factor),
        }
    }

    fn ink(self) -> Ink {
        match self {
            Form::Layer => ink(NormKind::Layer),
            Form::Tanh => ink(NormKind::DynamicTanh),
            Form::None => ink(NormKind::None),
            Form::Small => ink(NormKind::None).second(),
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// What is trained: a form, on so much of the text.
#[derive(Clone, Copy)]
struct Of {
    form: Form,
    text: Option<usize>,
}

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text {
            Some(text) => write!(f, "{} {text}", self.form),
            None => write!(f, "{} all", self.form),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    /// The losses of what only counts in all of the text, from no character before to three.
    counts: Vec<Counted<OnBoth>>,
    texts: Vec<Text>,
}

/// All forms with so much of the text, in the order of [`FORMS`].
#[derive(Serialize, Deserialize)]
struct Text {
    characters: usize,
    forms: Vec<LossCell<Tested>>,
}

/// A form, and its loss on the test part.
#[derive(Serialize, Deserialize)]
pub(crate) struct Tested {
    form: Form,
    test_loss: Sample,
}

impl Text {
    fn of(&self, form: Form) -> &LossCell<Tested> {
        let found = self.forms.iter().find(|cell| cell.of.form == form);
        found.expect("every form is trained")
    }

    /// How far a form ends above Layer Norm.
    fn above_layer(&self, form: Form) -> Paired {
        let of = |form| &self.of(form).of.test_loss;
        of(form).against(of(Form::Layer))
    }
}

impl Study for Asked {
    const CARD: Card = Card::new("tanh", 15)
        .asks("Dynamic Tanh in the place of Layer Norm, and no norm, with much text and little")
        .claim(
            "C14",
            "A Transformer needs no normalization: Dynamic Tanh in its place does as well.",
        );

    type Protocol = Protocol<Own, Reader>;
    type Results = Results;

    fn protocol(quick: bool) -> Self::Protocol {
        let blocks = pick(quick, 2, 6);
        Protocol {
            plan: Reader {
                data: "the prose in its fixed split",
                characters: pick(quick, 8, 32),
                steps: pick(quick, 4, 300),
                validation_characters: pick(quick, 64, 4096),
                test_characters: pick(quick, 64, 12288),
                width: pick(quick, 8, 32),
                heads: 2,
                hidden: pick(quick, 8, 64),
                optimizer: Adam::USUAL,
                clip: None,
                schedule: Schedule::Warmup {
                    warmup: pick(quick, 2, 75),
                },
                pieces: pick(quick, 4, 8),
                counted: COUNTED,
            },
            rates: pick(quick, vec![0.01], decades(-4, -2)),
            rate_rule: Rule::Loss,
            own: Own {
                blocks,
                texts: vec![None, Some(pick(quick, 256, 2048))],
                forms: FORMS.iter().map(Form::to_string).collect(),
                small_branches_start_times: f64::sqrt(0.5 / blocks as f64),
                margin: 0.02,
            },
            decision_rule: "as well: the whole interval of the test loss of Dynamic Tanh minus \
                            that of Layer Norm, by pairs of seeds, lies below the margin. \
                            supported: with all of the text and with little; not supported: with \
                            neither; else depends",
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let (reader, own) = (&protocol.plan, &protocol.own);
        let prose = Prose::load()?;
        let part = |text: Option<usize>| &prose.train[..text.unwrap_or(prose.train.len())];
        let of = |&text: &Option<usize>| FORMS.map(|form| Of { form, text });
        let settings: Vec<Of> = own.texts.iter().flat_map(of).collect();
        let train = |of: &Of, rate, seed| {
            let lesson = Lesson {
                blocks: own.blocks,
                block: of
                    .form
                    .block(reader.block(), own.small_branches_start_times),
                text: part(of.text),
                schedule: reader.schedule,
            };
            reader.run(&prose, &lesson, rate, seed)
        };
        let cells = loss_cells(session, protocol, &settings, train, |of, runs| Tested {
            form: of.form,
            test_loss: losses(runs, |run| run.test[0]),
        })?;
        let mut cells = cells.into_iter();
        let text = |&text: &Option<usize>| Text {
            characters: part(text).len(),
            forms: cells.by_ref().take(FORMS.len()).collect(),
        };
        Ok(Results {
            texts: own.texts.iter().map(text).collect(),
            counts: reader.counts(&prose),
        })
    }

    fn read(protocol: &Self::Protocol, results: &Results) -> Finding {
        let margin = protocol.own.margin;
        let texts = &results.texts;
        let others = [Form::Tanh, Form::None, Form::Small];
        let told = texts.iter().map(|text| {
            let each = others.map(|form| {
                let by = text.above_layer(form);
                let loss = text.of(form).of.test_loss.median;
                format!(
                    "{form} {loss:.3} (difference {:+.3}, {:+.3} to {:+.3})",
                    by.median, by.low, by.high
                )
            });
            format!(
                "with {} characters to learn from, Layer Norm {:.3}, {}",
                text.characters,
                text.of(Form::Layer).of.test_loss.median,
                list(&each)
            )
        });
        let derived = texts.iter().map(|text| {
            let [tanh, none, small] = others.map(|form| text.above_layer(form));
            json!({ "tanh_over_layer": tanh, "none_over_layer": none, "small_over_layer": small,
                "as_well": tanh.high < margin })
        });
        let line = |cell: &LossCell<Tested>| {
            let form = cell.of.form;
            Line::new(form.to_string(), form.ink(), cell.over_rates())
        };
        let chart = |(end, text): (&str, &Text)| {
            let chart = over_rates(
                format!(
                    "A Transformer that learns from {} characters",
                    text.characters
                ),
                "The validation loss after the last step at each learning rate, with Layer Norm, \
                 with Dynamic Tanh in its place, without a norm, and without a norm with branches \
                 that start smaller: median and quartiles over the seeds that pick a rate.",
                text.forms.iter().map(line),
                &results.counts[..TRIPLES],
            );
            (end.to_owned(), chart)
        };
        let ends = ["all", "little"];
        let rows = texts
            .iter()
            .flat_map(|text| text.forms.iter().map(move |cell| (text, cell)));
        let headings = ["nats per character", "", "rate", "test loss", "diverged"];
        let rows = Table::new(headings, [-20, -26, 8, 26, 10]).rows(rows, |(text, cell)| {
            [
                format!("from {}", text.characters),
                cell.of.form.to_string(),
                cell.chosen_rate.to_string(),
                nats(*cell.of.test_loss),
                cell.diverged().to_string(),
            ]
        });
        Finding {
            derived: json!({ "texts": derived.collect::<Vec<Value>>() }),
            charts: ends.into_iter().zip(texts).map(chart).collect(),
            answer: Some(Answer::of(
                texts
                    .iter()
                    .map(|text| text.above_layer(Form::Tanh).high < margin),
            )),
            verdict: format!(
                "in nats per character on the test part, {}. As well means that the whole interval \
                 lies below {margin:+}.",
                told.collect::<Vec<_>>().join("; ")
            ),
            table: rows.to_string(),
        }
    }
}
