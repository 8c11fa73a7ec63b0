//! Claim C15: normalizing queries and keys allows higher learning rates.
//!
//! Nothing bounds the scores of attention: queries and keys can grow until a softmax is sure of
//! one position and passes no gradient back. Henry et al. (2020) normalize both, Dehghani et al.
//! (2023) found that a large Vision Transformer diverged without it, and Wortsman et al. (2024)
//! that small ones do as well, once the rate is high enough.
//!
//! As in C4 the grid of rates is what is measured: every form is trained at every rate from every
//! seed. Where losses are compared, each form has the rate that other seeds pick. A run trains if
//! it ends with a loss below the middle between what the frequencies of characters give and what
//! pairs of them give: it has learned more than which are common. The claim is asked of a network
//! with Layer Norm in front of each part, and of one without.
//!
//! What was expected before the run: that it holds with Layer Norm, by one step of the grid, and
//! not without, where the branches blow up before the scores do.

use nn::NormPlace;
use nn::data::Prose;

use crate::counts::Counted;
use crate::kit::*;
use crate::prose::{COUNTED, Lesson, OnBoth, Reader, TRIPLES, over_rates};

pub(crate) struct Asked;

#[derive(Serialize)]
pub(crate) struct Own {
    blocks: usize,
    forms: Vec<String>,
    trains_below: &'static str,
}

/// The norm in front of each part, and that of queries and keys.
#[derive(Clone, Copy)]
struct Form {
    name: &'static str,
    ink: Ink,
    norm: NormKind,
    qk_norm: NormKind,
}

const FORMS: [Form; 4] = [
    Form::of("pre-LN", Ink::Layer, NormKind::Layer, NormKind::None),
    Form::of(
        "pre-LN, normalized queries",
        Ink::LayerToo,
        NormKind::Layer,
        NormKind::Layer,
    ),
    Form::of("no norm", Ink::None, NormKind::None, NormKind::None),
    Form::of(
        "no norm, normalized queries",
        Ink::NoneToo,
        NormKind::None,
        NormKind::Layer,
    ),
];

impl Form {
    const fn of(name: &'static str, ink: Ink, norm: NormKind, qk_norm: NormKind) -> Self {
        Form {
            name,
            ink,
            norm,
            qk_norm,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    /// The losses of what only counts, from no character before to three.
    counts: Vec<Counted<OnBoth>>,
    /// In the order of [`FORMS`].
    forms: Vec<Row>,
}

/// A form at every rate, from every seed.
#[derive(Serialize, Deserialize)]
struct Row {
    form: String,
    rates: Vec<LossAtRate>,
    /// The highest rate at which a seed trains; 0 if there is none.
    highest_rate: Sample,
    /// The same rates, from the seeds that pick one.
    picked_from: Vec<LossAtRate>,
    chosen_rate: f64,
    chosen_rate_is_at_the_edge_of_the_grid: bool,
    /// At the rate that is picked.
    test_loss: Sample,
}

impl Row {
    /// `tuned` are the runs of the seeds that pick a rate, `by_rate` those that are reported of,
    /// both rate by rate.
    fn new(
        form: &Form,
        rates: &[f64],
        [tuned, by_rate]: [&[Vec<LossRun>]; 2],
        trains_below: f64,
    ) -> Self {
        let seeds: Vec<usize> = (0..by_rate[0].len()).collect();
        let trains = |runs: &[LossRun], seed: usize| {
            runs[seed]
                .validation
                .is_some_and(|loss| loss < trains_below)
        };
        let highest = |&seed: &usize| {
            let trained = rates.iter().zip(by_rate);
            let trained = trained.filter(|(_, runs)| trains(runs, seed));
            trained.map(|(&rate, _)| rate).fold(0.0, f64::max)
        };
        let chosen = lowest_loss(tuned);
        let at_rates = |by_rate: &[Vec<LossRun>]| {
            let rates = rates.iter().zip(by_rate);
            rates
                .map(|(&rate, runs)| LossAtRate::new(rate, runs))
                .collect()
        };
        Row {
            form: form.name.to_owned(),
            rates: at_rates(by_rate),
            highest_rate: Sample::over(&seeds, highest),
            picked_from: at_rates(tuned),
            chosen_rate: rates[chosen],
            chosen_rate_is_at_the_edge_of_the_grid: at_the_edge(chosen, rates.len()),
            test_loss: losses(&by_rate[chosen], |run| run.test[0]),
        }
    }
}

/// Where a run counts as trained: in the middle between frequencies and pairs.
fn trains_below(counts: &[Counted<OnBoth>]) -> f64 {
    let [frequencies, pairs] = [0, 1].map(|i| counts[i].losses.validation_loss);
    0.5 * (frequencies + pairs)
}

impl Study for Asked {
    const CARD: Card = Card::new("queries", 15)
        .asks("the highest learning rate of a Transformer, with normalized queries and keys or not")
        .claim(
            "C15",
            "Normalizing queries and keys allows higher learning rates.",
        );

    type Protocol = Protocol<Own, Reader>;
    type Results = Results;

    fn protocol(quick: bool) -> Self::Protocol {
        Protocol {
            plan: Reader {
                data: "the prose in its fixed split",
                characters: pick(quick, 8, 32),
                steps: pick(quick, 4, 200),
                validation_characters: pick(quick, 64, 4096),
                test_characters: pick(quick, 64, 12288),
                width: pick(quick, 8, 32),
                heads: 2,
                hidden: pick(quick, 8, 64),
                optimizer: Adam::USUAL,
                clip: None,
                schedule: Schedule::Warmup {
                    warmup: pick(quick, 2, 50),
                },
                pieces: pick(quick, 4, 8),
                counted: COUNTED,
            },
            rates: pick(quick, vec![0.01, 0.1], decades(-3, 0)),
            rate_rule: Rule::Loss,
            own: Own {
                blocks: pick(quick, 2, 3),
                forms: FORMS.iter().map(|form| form.name.to_owned()).collect(),
                trains_below: "the middle between the validation losses of counts of characters \
                               and of counts of pairs",
            },
            decision_rule: "highest rate of a seed, of those that are reported of: the highest of \
                            the grid at which its validation loss is below trains_below, \
                            whatever rate is picked. The claim holds in a setting \
                            if that with normalized queries and keys is above that without, \
                            clearly by pairs of seeds. supported: with Layer Norm in front and \
                            without; not supported: in neither; else depends",
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let (reader, rates) = (&protocol.plan, &protocol.rates);
        let prose = Prose::load()?;
        let at = |form| rates.iter().map(move |&rate| (form, rate));
        let trained: Vec<(Form, f64)> = FORMS.into_iter().flat_map(at).collect();
        let seeds = session.tuning_seeds().len() + session.seeds().len();
        session.begin(trained.len() * seeds)?;
        let key = |(form, rate): &(Form, f64)| format!("{} {rate}", form.name);
        let train = |(form, rate): &(Form, f64), seed| {
            let block = reader.block().norm(form.norm, NormPlace::Pre);
            let lesson = Lesson {
                blocks: protocol.own.blocks,
                block: block.qk_norm(form.qk_norm),
                text: &prose.train,
                schedule: reader.schedule,
            };
            reader.run(&prose, &lesson, *rate, seed)
        };
        let tuned = session.by_tuning_seed(&trained, key, train)?;
        let runs = session.by_seed(&trained, key, train)?;
        let counts = reader.counts(&prose);
        let below = trains_below(&counts);
        let both = tuned.chunks(rates.len()).zip(runs.chunks(rates.len()));
        let forms = FORMS.iter().zip(both);
        let row = |(form, (tuned, runs))| Row::new(form, rates, [tuned, runs], below);
        Ok(Results {
            forms: forms.map(row).collect(),
            counts,
        })
    }

    fn read(_: &Self::Protocol, results: &Results) -> Finding {
        let Results { counts, forms } = results;
        let pairs: Vec<[&Row; 2]> = forms.chunks(2).map(|two| [&two[0], &two[1]]).collect();
        let rates =
            |[without, with]: [&Row; 2]| with.highest_rate.over_that_of(&without.highest_rate);
        let losses = |[without, with]: [&Row; 2]| with.test_loss.against(&without.test_loss);
        let told = pairs.iter().map(|&pair| {
            let [without, with] = pair;
            let by = losses(pair);
            format!(
                "{} {}, with normalized queries and keys {}: {} (at the rate that is picked for each \
                 the test loss is {:.3} and {:.3}; difference {:+.3}, {:+.3} to {:+.3})",
                without.form,
                count(without.highest_rate.median),
                count(with.highest_rate.median),
                times(rates(pair)),
                without.test_loss.median,
                with.test_loss.median,
                by.median,
                by.low,
                by.high
            )
        });
        let line = |(row, form): (&Row, &Form)| {
            let points = row.rates.iter().map(LossAtRate::point);
            Line::new(form.name, form.ink, points.collect())
        };
        let chart = over_rates(
            "A Transformer with normalized queries and keys, and without",
            "The validation loss after the last step at each learning rate, of a Transformer with \
             Layer Norm in front of each part or without a norm, each with queries and keys as \
             they are and normalized: median and quartiles over the seeds.",
            forms.iter().zip(&FORMS).map(line),
            &counts[..TRIPLES],
        );
        let below = trains_below(counts);
        Finding {
            derived: json!({ "trains_below": below,
                "rates_over": pairs.iter().map(|&pair| rates(pair)).collect::<Vec<_>>(),
                "losses_over": pairs.iter().map(|&pair| losses(pair)).collect::<Vec<_>>() }),
            charts: vec![("rates".into(), chart)],
            answer: Some(Answer::of(
                pairs
                    .iter()
                    .map(|&pair| rates(pair).apart() == Apart::Above),
            )),
            verdict: format!(
                "the highest rate at which it trains (to below {below:.2} nats per character) is: {}.",
                told.collect::<Vec<_>>().join("; ")
            ),
            table: table(
                forms,
                &[
                    ("", -30, &|row| row.form.clone()),
                    ("highest rate", 24, &|row| count_range(*row.highest_rate)),
                    ("rate", 8, &|row| row.chosen_rate.to_string()),
                    ("test loss at that rate", 26, &|row| nats(*row.test_loss)),
                ],
            ),
        }
    }
}
