//! Claim C9: Layer Norm suits Transformers.
//!
//! A causal Transformer reads *Alice's Adventures in Wonderland* and predicts each character
//! from those before it. It has few blocks, or many: before training, gradients without a norm
//! are in good order with three blocks, and have begun to explode with sixteen (chapter 15).
//! Nothing else differs between the two depths.
//!
//! Compared are no norm, Layer Norm in front of each part (pre) and after each sum (post),
//! RMS Norm in front, and Batch Norm in front, over all positions of all sequences of the
//! batch. While it trains, Batch Norm looks at later positions through its statistics. So its
//! training loss says little; evaluation, with running statistics, cannot look ahead.
//!
//! The norm after each sum is said to need a *warm-up*, and a network without a norm may profit
//! from one too. So these, and the two others that the claim is about, are trained both ways:
//! from the first step at their rate, and with a rate that rises to it over the first quarter.
//!
//! At each depth the claim has two parts: Layer Norm against no norm, and against Batch Norm, each
//! in its best form. RMS Norm, and pre against post, are judged beside it in the same way.
//!
//! Beside all of them stand models that only count: how often each character came after the last
//! few (see `counts.rs`).

use std::ops::Range;

use nn::NormPlace;
use nn::data::Prose;

use crate::counts::Counted;
use crate::kit::*;
use crate::prose::{COUNTED, Lesson, OnBoth, Reader, TRIPLES, over_rates};

pub(crate) struct Asked;

#[derive(Serialize)]
pub(crate) struct Own {
    blocks: [usize; 2],
    #[serde(serialize_with = "schedule")]
    with_warm_up: Schedule,
    near: f64,
}

/// A norm and its place.
#[derive(Clone, Copy)]
struct Form {
    name: &'static str,
    ink: Ink,
    norm: NormKind,
    place: NormPlace,
    warms_up: bool,
}

const FORMS: [Form; 9] = [
    Form::of("no norm", Ink::None, NormKind::None, NormPlace::Pre),
    Form::of("pre-LN", Ink::Layer, NormKind::Layer, NormPlace::Pre),
    Form::of("post-LN", Ink::LayerToo, NormKind::Layer, NormPlace::Post),
    Form::of("pre-RMS", Ink::Rms, NormKind::Rms, NormPlace::Pre),
    Form::of("pre-BN", Ink::Batch, NormKind::Batch, NormPlace::Pre),
    Form::of(
        "no norm with warm-up",
        Ink::None,
        NormKind::None,
        NormPlace::Pre,
    )
    .warm(),
    Form::of(
        "pre-LN with warm-up",
        Ink::Layer,
        NormKind::Layer,
        NormPlace::Pre,
    )
    .warm(),
    Form::of(
        "post-LN with warm-up",
        Ink::LayerToo,
        NormKind::Layer,
        NormPlace::Post,
    )
    .warm(),
    Form::of(
        "pre-BN with warm-up",
        Ink::Batch,
        NormKind::Batch,
        NormPlace::Pre,
    )
    .warm(),
];

/// Of [`FORMS`], those without a warm-up come first.
const COLD: usize = 5;

impl Form {
    const fn of(name: &'static str, ink: Ink, norm: NormKind, place: NormPlace) -> Self {
        Form {
            name,
            ink,
            norm,
            place,
            warms_up: false,
        }
    }

    const fn warm(self) -> Self {
        Form {
            warms_up: true,
            ..self
        }
    }
}

/// What is trained: a form, in so many blocks.
#[derive(Clone, Copy)]
struct Of {
    blocks: usize,
    form: Form,
}

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.blocks, self.form.name)
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    /// The losses of what only counts, from no character before to three.
    counts: Vec<Counted<OnBoth>>,
    pub(crate) depths: Vec<Depth>,
}

/// All forms in so many blocks, in the order of [`FORMS`].
#[derive(Serialize, Deserialize)]
pub(crate) struct Depth {
    pub(crate) blocks: usize,
    pub(crate) forms: Vec<LossCell<Tested>>,
}

/// A form, and its loss on the test part.
#[derive(Serialize, Deserialize)]
pub(crate) struct Tested {
    pub(crate) form: String,
    blocks: usize,
    pub(crate) test_loss: Sample,
}

impl Depth {
    /// The best form of a norm, by the validation loss of the seeds that picked the rate.
    fn best(&self, norm: NormKind) -> &LossCell<Tested> {
        let of_norm = self
            .forms
            .iter()
            .zip(FORMS)
            .filter(|(_, form)| form.norm == norm);
        let cells = of_norm.map(|(cell, _)| cell);
        let loss = |cell: &&LossCell<Tested>| cell.validation().median;
        let best = cells.min_by(|a, b| loss(a).total_cmp(&loss(b)));
        best.expect("every norm has a form")
    }

    /// The two parts that the claim has at this depth.
    fn parts(&self) -> [bool; 2] {
        let layer = &self.best(NormKind::Layer).of.test_loss;
        [NormKind::None, NormKind::Batch].map(|norm| {
            let other = &self.best(norm).of.test_loss;
            layer.seen_from(other) == Apart::Below
        })
    }
}

impl Study for Asked {
    const CARD: Card = Card::new("transformer", 15)
        .asks("norms in a small Transformer that reads prose, with few blocks and with many")
        .claim("C9", "Layer Norm suits Transformers.");

    type Protocol = Protocol<Own, Reader>;
    type Results = Results;

    fn protocol(quick: bool) -> Self::Protocol {
        Protocol {
            plan: Reader {
                data: "the prose in its fixed split",
                characters: pick(quick, 8, 32),
                steps: pick(quick, 4, 400),
                validation_characters: pick(quick, 64, 4096),
                test_characters: pick(quick, 64, 12288),
                width: pick(quick, 8, 32),
                heads: 2,
                hidden: pick(quick, 8, 64),
                optimizer: Adam::USUAL,
                clip: None,
                schedule: Schedule::Constant,
                pieces: pick(quick, 4, 8),
                counted: COUNTED,
            },
            rates: pick(
                quick,
                vec![0.003, 0.01],
                vec![0.0003, 0.001, 0.003, 0.01, 0.03],
            ),
            rate_rule: Rule::Loss,
            own: Own {
                blocks: pick(quick, [1, 2], [3, 16]),
                with_warm_up: Schedule::Warmup {
                    warmup: pick(quick, 2, 100),
                },
                near: 0.05,
            },
            decision_rule: "at each depth, of each norm the best form by the median validation \
                            loss of the tuning seeds, with warm-up or without, and in front or \
                            behind: the test loss of Layer Norm is clearly below that of no norm, \
                            and clearly below that of Batch Norm, by pairs of seeds. supported: both, at \
                            both depths; not supported: neither, at either depth; else depends",
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let (reader, own) = (&protocol.plan, &protocol.own);
        let prose = Prose::load()?;
        let of = |blocks| FORMS.map(|form| Of { blocks, form });
        let settings = own.blocks.map(of).concat();
        let train = |of: &Of, rate, seed| {
            let lesson = Lesson {
                blocks: of.blocks,
                block: reader.block().norm(of.form.norm, of.form.place),
                text: &prose.train,
                schedule: match of.form.warms_up {
                    true => own.with_warm_up,
                    false => reader.schedule,
                },
            };
            reader.run(&prose, &lesson, rate, seed)
        };
        let cells = loss_cells(session, protocol, &settings, train, |of, runs| Tested {
            form: of.form.name.to_owned(),
            blocks: of.blocks,
            test_loss: losses(runs, |run| run.test[0]),
        })?;
        let mut cells = cells.into_iter();
        let depth = |blocks| Depth {
            blocks,
            forms: cells.by_ref().take(FORMS.len()).collect(),
        };
        Ok(Results {
            depths: own.blocks.into_iter().map(depth).collect(),
            counts: reader.counts(&prose),
        })
    }

    fn read(protocol: &Self::Protocol, results: &Results) -> Finding {
        let depths = &results.depths;
        let near = protocol.own.near;
        let derived = depths.iter().map(|depth| {
            let forms = depth.forms.iter().map(|cell| {
                json!({ "rates_near_the_best": cell.near(near), "diverged": cell.diverged() })
            });
            let best = |norm| &depth.best(norm).of;
            let [none, layer, batch] = [NormKind::None, NormKind::Layer, NormKind::Batch].map(best);
            json!({ "best_form": { "none": none.form, "layer_norm": layer.form,
                    "batch_norm": batch.form },
                "layer_over_none": layer.test_loss.against(&none.test_loss),
                "layer_over_batch": layer.test_loss.against(&batch.test_loss),
                "forms": forms.collect::<Vec<Value>>() })
        });
        let told = depths.iter().map(|depth| {
            let layer = depth.best(NormKind::Layer);
            let against = [NormKind::None, NormKind::Batch, NormKind::Rms].map(|norm| {
                let Tested {
                    form, test_loss, ..
                } = &depth.best(norm).of;
                let how = better_or_worse(&layer.of.test_loss, test_loss);
                let by = layer.of.test_loss.against(test_loss);
                format!(
                    "{how} {form} ({:.3}; difference {:+.3}, {:+.3} to {:+.3})",
                    test_loss.median, by.median, by.low, by.high
                )
            });
            let cold = depth.forms[..COLD].iter();
            let close = cold.map(|cell| format!("{} {}", cell.of.form, cell.near(near)));
            format!(
                "with {} blocks {} reaches {:.3}, {}; of {} rates, within {} % of the best loss \
                 are: {}",
                depth.blocks,
                layer.of.form,
                layer.of.test_loss.median,
                list(&against),
                protocol.rates.len(),
                100.0 * near,
                close.collect::<Vec<_>>().join(", ")
            )
        });
        let drawn = [
            ("few", &depths[0], 0..COLD),
            ("many", &depths[1], 0..COLD),
            ("many-warm", &depths[1], COLD..FORMS.len()),
        ];
        let counts = &results.counts;
        let best = depths.iter().flat_map(|depth| &depth.forms);
        let best = best
            .map(|cell| cell.of.test_loss.median)
            .fold(f64::INFINITY, f64::min);
        let counted = Counted::told(counts, |of| of.test_loss);
        Finding {
            derived: json!({ "depths": derived.collect::<Vec<Value>>() }),
            charts: drawn
                .into_iter()
                .map(|(end, depth, forms)| (end.to_owned(), chart(depth, forms, counts)))
                .collect(),
            answer: Some(Answer::of(depths.iter().flat_map(Depth::parts))),
            verdict: format!(
                "in nats per character on the test part, {}. The best of all reaches {best:.3}; \
                 counting reaches {} with 0, 1, 2 and 3 characters before.",
                told.collect::<Vec<_>>().join(". And "),
                list(&counted)
            ),
            table: in_rows(depths, &protocol.rates),
        }
    }
}

fn chart(depth: &Depth, forms: Range<usize>, counts: &[Counted<OnBoth>]) -> Chart {
    let of = |(cell, form): (&LossCell<Tested>, &Form)| {
        Line::new(form.name, form.ink, cell.over_rates())
    };
    over_rates(
        format!("A Transformer of {} blocks that reads prose", depth.blocks),
        "The validation loss after the last step at each learning rate, without norm, with Layer \
         Norm in front of each part or after each sum, and with RMS Norm and Batch Norm in front: \
         median and quartiles over the seeds that pick a rate.",
        depth.forms[forms.clone()].iter().zip(&FORMS[forms]).map(of),
        &counts[..TRIPLES],
    )
}

fn in_rows(depths: &[Depth], rates: &[f64]) -> String {
    let mut headings = vec!["blocks".to_owned(), "rate".to_owned()];
    headings.extend(rates.iter().map(f64::to_string));
    headings.extend(["picked", "test loss (nats per character)", "diverged"].map(str::to_owned));
    let mut widths = vec![-7, -10];
    widths.extend(rates.iter().map(|_| 11));
    widths.extend([9, 32, 10]);
    let cells = depths.iter().flat_map(|depth| &depth.forms);
    let table = Table::new(headings.iter().map(String::as_str), widths).rows(cells, |cell| {
        let mut row = vec![cell.of.blocks.to_string(), cell.of.form.clone()];
        row.extend(
            cell.rates
                .iter()
                .map(|at| format!("{:.3}", at.validation_loss.median)),
        );
        row.extend([cell.chosen_rate.to_string(), nats(*cell.of.test_loss)]);
        row.push(cell.diverged().to_string());
        row
    });
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::at_one_rate;

    /// A depth whose test losses are these, from 13 runs each: those of no norm, pre-LN,
    /// post-LN, RMS Norm and Batch Norm.
    fn depth(blocks: usize, losses: [f64; 5]) -> Depth {
        // With a warm-up all are worse by as much.
        let warm = FORMS[COLD..].iter().map(|form| {
            let cold = form.name.split(" with ").next();
            let place = FORMS.iter().position(|other| Some(other.name) == cold);
            losses[place.expect("it has a cold form")] + 0.5
        });
        let losses: Vec<f64> = losses.into_iter().chain(warm).collect();
        let cell = |(form, loss): (Form, f64)| {
            // Another order of the seeds for each form.
            let step = form.name.len() as u32;
            let run = |seed: u32| {
                let loss = loss + 0.001 * f64::from(step * seed % 13);
                LossRun {
                    validation: Some(loss),
                    test: vec![Some(loss)],
                }
            };
            let runs = (0..13).map(run).collect();
            at_one_rate(runs, |runs| Tested {
                form: form.name.to_owned(),
                blocks,
                test_loss: super::losses(runs, |run| run.test[0]),
            })
        };
        let forms = FORMS.into_iter().zip(losses).map(cell).collect();
        Depth { blocks, forms }
    }

    fn answer(few: [f64; 5], many: [f64; 5]) -> Answer {
        let depths = [depth(3, few), depth(16, many)];
        Answer::of(depths.iter().flat_map(Depth::parts))
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
        // Pairs that differ either way are no difference; of Layer Norm the better form counts.
        let close = [2.3, 2.302, 2.6, 2.1, 2.301];
        assert_eq!(answer(close, close), Answer::NotSupported);
        let post = [2.3, 2.6, 2.2, 2.1, 2.4];
        assert_eq!(answer(post, best), Answer::Supported);
    }

    /// The more of what came before is looked at, the better it goes; and no count is as bad as
    /// taking all characters for equally likely.
    #[test]
    fn counts_are_finite_losses_that_fall() {
        let prose = Prose::load().expect("the prose");
        let protocol = Asked::protocol(false);
        let counts = protocol.plan.counts(&prose);
        assert_eq!(counts.len(), 4);
        let losses = counts
            .iter()
            .map(|count| [count.losses.validation_loss, count.losses.test_loss]);
        let mut before = [(prose.alphabet.len() as f64).ln(); 2];
        for losses in losses {
            assert!(
                losses.iter().zip(&before).all(|(now, before)| now < before),
                "{losses:?}"
            );
            before = losses;
        }
        assert!(
            before.iter().all(|loss| (1.5..2.0).contains(loss)),
            "{before:?}"
        );
    }
}
