//! Claim C8 once more: does Batch Norm by step still fail in a recurrent network when the repairs
//! that are known are made, and when all sequences have the same length?
//!
//! In the experiment `recurrent` Batch Norm by step has three things against it that are not of
//! its essence. Few words reach the late steps; running averages lag behind weights that still
//! move; and the first steps, at which all words are alike, have no variance. Here all sequences
//! are equally long, words that are cut off and pieces of prose, so each step has as many examples
//! as any other, and no end is to be learned. And Batch Norm is repaired as Cooijmans et al. (2017)
//! do it, in one way, in the other, and in both: its *exact* statistics are averages over all
//! batches of the training set when training is over, with the weights as they are then; and with
//! *noise* each sequence starts, in training, from a random state.
//!
//! The measure is the cross-entropy in nats, in evaluation mode from the state zero: on the steps
//! that were *trained*, and on the steps *beyond* them of longer sequences, for which Batch Norm
//! has no statistics but those of its last step.

use nn::CellKind;
use nn::data::{Prose, Words};

use crate::counts::Counted;
use crate::kit::*;
use crate::steps::{
    BEYOND, Form, Learner, Lesson, OnBoth, Parts, STEPS, Source, TRAINED, Text, train,
};

pub(crate) struct Asked;

#[derive(Serialize)]
pub(crate) struct Own {
    words: Source,
    prose: Source,
    exact: &'static str,
    noise: f64,
    noise_in: &'static str,
    expected: &'static str,
}

const FORMS: [Form; 7] = [
    Form::None,
    Form::Layer,
    Form::ByStep,
    Form::Noise,
    Form::Exact,
    Form::Both,
    Form::Shared,
];

/// A form, and what it reads.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Of {
    text: Text,
    form: Form,
}

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {}", self.text, self.form)
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    texts: Vec<Read>,
}

/// What is found on one text.
#[derive(Serialize, Deserialize)]
struct Read {
    text: Text,
    /// All tokens alike.
    guessing: f64,
    counts: Vec<Counted<OnBoth>>,
    methods: Vec<LossCell<Tested>>,
}

/// A form, and its losses on the test part.
#[derive(Serialize, Deserialize)]
struct Tested {
    method: Form,
    test_loss: Sample,
    test_loss_beyond: Sample,
    by_step: Vec<Spread>,
}

impl Own {
    fn source(&self, text: Text) -> &Source {
        match text {
            Text::Words => &self.words,
            Text::Prose => &self.prose,
        }
    }
}

impl Study for Asked {
    const CARD: Card = Card::new("repairs", 14)
        .asks("an LSTM on sequences of equal length, and what repairs Batch Norm by step");

    type Protocol = Protocol<Own, Learner>;
    type Results = Results;

    fn protocol(quick: bool) -> Self::Protocol {
        Protocol {
            plan: Learner {
                cell: CellKind::Lstm,
                token_features: 16,
                state_features: pick(quick, 8, 48),
                optimizer: Adam::USUAL,
                schedule: Schedule::Constant,
                batch: 16,
                clip: 1.0,
            },
            rates: pick(quick, vec![0.01], vec![0.001, 0.003, 0.01, 0.03, 0.1]),
            rate_rule: Rule::Loss,
            own: Own {
                words: Source {
                    data: "English words of tested_steps letters and more in their fixed split, at \
                           equal distances in the list, without the letters behind the last step: \
                           in training all end after as many, and none with an end",
                    train_sequences: pick(quick, 48, 1504),
                    validation_sequences: pick(quick, 8, 300),
                    test_sequences: pick(quick, 8, 300),
                    steps: 9,
                    tested_steps: 12,
                    epochs: pick(quick, 1, 6),
                },
                prose: Source {
                    data: "pieces of Alice's Adventures in Wonderland, which do not overlap, in its \
                           fixed split, at equal distances",
                    train_sequences: pick(quick, 32, 1504),
                    validation_sequences: pick(quick, 8, 300),
                    test_sequences: pick(quick, 8, 150),
                    steps: pick(quick, 12, 32),
                    tested_steps: pick(quick, 16, 64),
                    epochs: pick(quick, 1, 4),
                },
                exact: "when training is over, mean and unbiased variance of each step are averaged \
                        over the batches of the training set, as they come in its order and with \
                        the weights as they are then; else by running averages with momentum 0.1",
                noise: 0.1,
                noise_in: "the state that each sequence starts from in training and while exact \
                           statistics are taken, as the deviation of normal numbers; evaluation \
                           starts from zero",
                expected: "running averages, with or without noise, stay above guessing at the \
                           first step of words, since there all inputs are alike: noise in the \
                           state gives no variance to what comes from the input. Exact statistics \
                           have no lag, so no step is above guessing. With both repairs Batch Norm \
                           by step gains more than half of what it lies behind Layer Norm, and \
                           is still clearly behind. Where no end is learned no method is worse \
                           than guessing beyond, and the order beyond is that of trained steps",
            },
            decision_rule: "on each text, in test loss by pairs of seeds: Batch Norm by step with \
                            both repairs fails if it is clearly above Layer Norm on trained steps, \
                            and fails beyond if it is there; a repair helps if with it the loss on \
                            trained steps is clearly lower than without any",
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let own = &protocol.own;
        let parts = [
            (Text::Words, Parts::of_words(&Words::load()?, &own.words)),
            (Text::Prose, Parts::of_prose(&Prose::load()?, &own.prose)),
        ];
        let all = [Text::Words, Text::Prose].map(|text| FORMS.map(|form| Of { text, form }));
        let all = all.concat();
        let train = |of: &Of, rate, seed| {
            let (_, parts) = &parts[usize::from(of.text == Text::Prose)];
            let lesson = Lesson {
                learner: &protocol.plan,
                source: own.source(of.text),
                noise: own.noise,
                form: of.form,
            };
            train(lesson, rate, seed, parts)
        };
        let mut cells = loss_cells(session, protocol, &all, train, |of, runs| {
            let test = |which: usize| losses(runs, |run| run.test[which]);
            let steps = own.source(of.text).tested_steps;
            Tested {
                method: of.form,
                test_loss: test(TRAINED),
                test_loss_beyond: test(BEYOND),
                by_step: (0..steps).map(|step| *test(STEPS + step)).collect(),
            }
        })?
        .into_iter();
        let texts = parts.iter().map(|(text, parts)| Read {
            text: *text,
            guessing: libm::log(parts.tokens as f64),
            counts: parts.counted(own.source(*text)),
            methods: cells.by_ref().take(FORMS.len()).collect(),
        });
        Ok(Results {
            texts: texts.collect(),
        })
    }

    fn read(protocol: &Self::Protocol, results: &Results) -> Finding {
        let mut told = Vec::new();
        let mut tables = String::new();
        let mut charts = Vec::new();
        let mut derived = Vec::new();
        for read in &results.texts {
            let source = protocol.own.source(read.text);
            let found = read.found();
            told.push(read.told(source));
            tables += &read.table();
            derived.push(json!(found));
            let name = json!(read.text);
            let name = name.as_str().unwrap_or_default();
            charts.push((format!("{name}-steps"), read.steps_chart(source)));
            charts.push((format!("{name}-rates"), read.rates_chart()));
        }
        Finding {
            derived: json!({ "texts": derived }),
            charts,
            answer: None,
            verdict: told.join(" "),
            table: tables,
        }
    }
}

/// What follows on one text.
#[derive(Serialize)]
struct Found {
    fails: bool,
    fails_beyond: bool,
    /// Differences of losses.
    repaired_over_layer: Paired,
    repaired_over_layer_beyond: Paired,
    repaired_over_none: Paired,
    repaired_over_none_beyond: Paired,
    layer_over_none: Paired,
    layer_over_none_beyond: Paired,
    /// Of each repaired form over that without a repair.
    repairs: Vec<Value>,
}

impl Read {
    fn of(&self, form: Form) -> &LossCell<Tested> {
        let cell = self.methods.iter().find(|cell| cell.of.method == form);
        cell.expect("every text is read by this form")
    }

    fn found(&self) -> Found {
        let trained = |a, b| self.of(a).of.test_loss.against(&self.of(b).of.test_loss);
        let beyond = |a, b| {
            let [a, b] = [a, b].map(|form| &self.of(form).of.test_loss_beyond);
            a.against(b)
        };
        let repairs = self.methods.iter().filter(|cell| {
            let form = cell.of.method;
            form.exact() || form.noisy()
        });
        let repairs = repairs.map(|cell| {
            let over = trained(cell.of.method, Form::ByStep);
            json!({ "method": cell.of.method, "over_by_step": over,
                "helps": over.apart() == Apart::Below })
        });
        let pairs = [
            (Form::Both, Form::Layer),
            (Form::Both, Form::None),
            (Form::Layer, Form::None),
        ];
        let [repaired_over_layer, repaired_over_none, layer_over_none] =
            pairs.map(|(a, b)| trained(a, b));
        let [
            repaired_over_layer_beyond,
            repaired_over_none_beyond,
            layer_over_none_beyond,
        ] = pairs.map(|(a, b)| beyond(a, b));
        Found {
            fails: repaired_over_layer.apart() == Apart::Above,
            fails_beyond: repaired_over_layer_beyond.apart() == Apart::Above,
            repaired_over_layer,
            repaired_over_layer_beyond,
            repaired_over_none,
            repaired_over_none_beyond,
            layer_over_none,
            layer_over_none_beyond,
            repairs: repairs.collect(),
        }
    }

    fn told(&self, source: &Source) -> String {
        let on = |which: fn(&Tested) -> &Sample| {
            let [unrepaired, repaired, layer, none] =
                [Form::ByStep, Form::Both, Form::Layer, Form::None].map(|form| &self.of(form).of);
            format!(
                "with both repairs {:.3}, which is {} without ({:.3}) and {} Layer Norm ({:.3}), which is \
                 {} no norm ({:.3})",
                which(repaired).median,
                better_or_worse(which(repaired), which(unrepaired)),
                which(unrepaired).median,
                better_or_worse(which(repaired), which(layer)),
                which(layer).median,
                better_or_worse(which(layer), which(none)),
                which(none).median
            )
        };
        let text = match self.text {
            Text::Words => "words",
            Text::Prose => "prose",
        };
        format!(
            "Of {text}, in nats per token, Batch Norm by step has on {} trained steps {}; beyond, {}. \
             Counting, with 0, 1, 2 and 3 tokens before, reaches {} on trained steps.",
            source.steps,
            on(|of| &of.test_loss),
            on(|of| &of.test_loss_beyond),
            list(&Counted::told(&self.counts, |of| of.test_loss))
        )
    }

    fn table(&self) -> String {
        let heading = match self.text {
            Text::Words => "words, nats per letter",
            Text::Prose => "prose, nats per character",
        };
        table(
            &self.methods,
            &[
                (heading, -38, &|cell| cell.of.method.to_string()),
                ("rate", 8, &|cell| cell.chosen_rate.to_string()),
                ("trained steps", 26, &|cell| nats(*cell.of.test_loss)),
                ("beyond", 26, &|cell| nats(*cell.of.test_loss_beyond)),
            ],
        )
    }

    fn rates_chart(&self) -> Chart {
        let of = |cell: &LossCell<Tested>| {
            let method = cell.of.method;
            Line::new(method.short(), method.ink(), cell.over_rates())
        };
        let chart = Chart::of(
            "Sequences of equal length, over the rate",
            "The validation loss after the last epoch at each learning rate, without norm, with \
             Layer Norm, and with Batch Norm by step with and without its repairs: median and \
             quartiles over the seeds that pick a rate. Level lines are the test losses of \
             models that only count how often each token came after as many others.",
            self.methods.iter().map(of),
        )
        .x(|first, last| Axis::log("learning rate", first, last.max(2.0 * first)));
        let names = ["frequencies", "pairs", "triples"];
        let top = self.guessing + 0.2;
        Counted::levels(&self.counts, &names, chart, |of| of.test_loss)
            .y(|low, high| losses_axis("validation loss (nats)", low, high.min(top)))
    }

    fn steps_chart(&self, source: &Source) -> Chart {
        let of = |cell: &LossCell<Tested>| {
            let losses = cell.of.by_step.iter().enumerate();
            let points = losses.map(|(i, loss)| ((i + 1) as f64, loss.finite()));
            let method = cell.of.method;
            Line::new(method.short(), method.ink(), points.collect())
        };
        let about = format!(
            "The test loss at each step, without norm, with Layer Norm, and with Batch Norm by step \
             with and without its repairs: median and quartiles over the seeds. Training ended at \
             step {}.",
            source.steps
        );
        let title = "Sequences of equal length, step by step";
        Chart::of(title, about, self.methods.iter().map(of))
            .x(|_, last| Axis::linear("step", 1.0, last))
            .level("guessing", Ink::Theory, Spread::exactly(self.guessing))
            .y(|low, high| losses_axis("loss (nats)", low, high))
    }
}

/// The range of what is drawn, in steps of a fifth.
fn losses_axis(caption: &str, low: f64, high: f64) -> Axis {
    Axis::linear(
        caption,
        (5.0 * low).floor() / 5.0,
        (5.0 * high).ceil() / 5.0,
    )
}
