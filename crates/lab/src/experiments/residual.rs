//! Residual networks: how much of a block's output is its branch, and whether a norm is needed.
//!
//! De and Smith (2020) observe that Batch Norm in the branch of a residual block biases it towards
//! the identity: what is normalized has the same size in every block, while the stream that it is
//! added to grows. If that is how it helps deep residual networks, then a scalar that starts at 0
//! and is multiplied with the branch (SkipInit) should do as well without a norm.
//!
//! *At the start*, nothing trained, the root mean square of each branch is put over that of the
//! stream that it is added to. Predicted: with weights of variance g²/n a branch has g²/2 of the
//! mean square of what comes out of its norm, which is 1, or of the stream itself without a norm.
//! So the squared ratio is (g²/2) / (s + l g²/2) at block l behind a stream that begins with s,
//! which is measured, and g²/2 without a norm. Neither knows whether the norm goes over the batch
//! or over the units.
//!
//! *Trained*, the same stacks and plain ones, each at its own rate.

use nn::{Layer, Pass};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Tape, Var};

use crate::kit::*;
use crate::moments::size_of;
use crate::stack::{BLOCKS, Deep, Form, Sizes};

pub(crate) struct Asked;

#[derive(Serialize)]
pub(crate) struct Own {
    #[serde(flatten)]
    sizes: Sizes,
    network: &'static str,
    skip_init: &'static str,
    branches: &'static str,
    predicted: &'static str,
    agrees_within: f64,
    trains_at: f64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    settings: Vec<Cell<Deep>>,
    branches: Vec<Branches>,
}

/// Block by block, how large the branch is beside the stream.
#[derive(Serialize, Deserialize)]
struct Branches {
    cell: String,
    #[serde(flatten)]
    of: Deep,
    over_stream: Vec<Spread>,
    predicted: Vec<Spread>,
}

impl Study for Asked {
    const CARD: Card = Card::new("residual", 10)
        .asks("deep residual networks: branch beside stream, with norms, without, and SkipInit");

    type Protocol = Protocol<Own>;
    type Results = Results;

    fn protocol(quick: bool) -> Self::Protocol {
        Protocol {
            plan: Plan {
                network: None,
                score_each: Some(pick(quick, 9, 6)),
                target: Some(0.9),
                curves: vec![Curve::ValidationAccuracy],
                ..Plan::mlp(&[], pick(quick, 1, 8))
            },
            rates: pick(quick, vec![0.01], decades(-9, -1)),
            rate_rule: Rule::Accuracy,
            own: Own {
                sizes: Sizes {
                    inputs: 64,
                    width: pick(quick, 16, 64),
                    blocks: pick(quick, 6, 40),
                    outputs: 10,
                },
                network: BLOCKS,
                skip_init: "no norm, and each branch times a learned scalar that starts at 0",
                branches: "before training, from every seed, for the whole training part in \
                           training mode: the root mean square of a branch over that of the \
                           stream it is added to",
                predicted: "the root of (g^2/2)/(s + l g^2/2) at block l, counted from 0, with s \
                            the mean square of the stream in front of the first block; of g^2/2 \
                            without norm",
                agrees_within: 0.1,
                trains_at: 0.9,
            },
            decision_rule: "the prediction agrees if at every block the median of measured is \
                            within agrees_within of that of predicted; a form trains if its median \
                            test accuracy is at least trains_at; differences between forms are \
                            clear or not by pairs of seeds",
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let Protocol { plan, own, .. } = protocol;
        let data = plan.data.load()?;
        let settings = all();
        let looked_at: Vec<Deep> = settings
            .iter()
            .filter(|of| of.form == Form::Residual)
            .copied()
            .collect();
        let looks = looked_at.len() * session.seeds().len();
        session.begin(size(session, protocol, settings.len()) + looks)?;
        let settings = cells(session, protocol, &settings, |of, rate, seed| {
            let build = |rng: &mut _| of.build(own.sizes, rng);
            plan.trained(build, &data, rate, seed).1.into()
        })?;
        let key = |of: &Deep| format!("look {}", of.key());
        let looks = session.by_seed(&looked_at, key, |of, seed| {
            look(*of, own.sizes, &data.train, seed)
        })?;
        let branches = looked_at.into_iter().zip(looks);
        let branches = branches
            .map(|(of, seen)| Branches::new(of, &seen))
            .collect();
        Ok(Results { settings, branches })
    }

    fn read(protocol: &Self::Protocol, results: &Results) -> Finding {
        let Results { settings, branches } = results;
        let own = &protocol.own;
        let find = |form, method, start| {
            let of = Deep {
                form,
                method,
                start,
            };
            let cell = settings.iter().find(|cell| cell.of == of);
            cell.expect("the protocol names its settings")
        };
        let residual = |method, start| find(Form::Residual, method, start);
        let batch = residual(NormKind::Batch, Start::He);
        let skip = find(Form::SkipInit, NormKind::None, Start::He);
        let named = |cell: &Cell<Deep>| match cell.of.form {
            Form::SkipInit => cell.of.name(),
            form => format!("{form}, {}", cell.of.name()),
        };
        let against = |one: &Cell<Deep>, others: &[&Cell<Deep>]| -> Vec<(String, Paired)> {
            let by = |other: &&Cell<Deep>| {
                (
                    named(other),
                    one.test_accuracy.against(&other.test_accuracy),
                )
            };
            others.iter().map(by).collect()
        };
        let without = residual(NormKind::None, Start::Usual);
        let layer = residual(NormKind::Layer, Start::He);
        let compared = [
            (
                batch,
                against(
                    batch,
                    &[
                        without,
                        layer,
                        skip,
                        find(Form::Plain, NormKind::Batch, Start::He),
                    ],
                ),
            ),
            (skip, against(skip, &[without, layer])),
        ];
        let words = [
            "clearly below",
            "not clearly different from",
            "clearly above",
        ];
        let told = compared.iter().map(|(one, others)| {
            format!(
                "{} is {}",
                named(one),
                by_outcome(words, points, others.clone())
            )
        });
        let told = told.collect::<Vec<_>>().join("; ");
        let pairs = compared.iter().flat_map(|(one, others)| {
            others
                .iter()
                .map(|(other, by)| json!({ "one": named(one), "other": other, "accuracy": by }))
        });
        let pairs: Vec<Value> = pairs.collect();
        let trains = |cell: &Cell<Deep>| cell.test_accuracy.median >= own.trains_at;
        let each = |which: bool| {
            let of = settings.iter().filter(|cell| trains(cell) == which);
            list(
                &of.map(|cell| {
                    format!("{} ({} %)", named(cell), percent(cell.test_accuracy.median))
                })
                .collect::<Vec<_>>(),
            )
        };
        let ends = branches.iter().map(|of| {
            let [first, last] = of.ends();
            format!(
                "{} {first:.2} in the first block and {last:.2} in the last",
                of.of.name()
            )
        });
        let table = table(
            settings,
            &[
                ("", -34, &|cell| named(cell)),
                ("rate", 7, &|cell| cell.chosen_rate.to_string()),
                ("test accuracy", 26, &|cell| {
                    percent_range(*cell.test_accuracy)
                }),
                ("steps to 90 %", 24, &|cell| count_range(**cell.to_target())),
            ],
        );
        let derived = branches.iter().map(|of| {
            let [first, last] = of.ends();
            json!({ "named": of.of.name(), "first": first, "last": last,
                "furthest_from_predicted": of.furthest(),
                "agrees": of.furthest() < own.agrees_within })
        });
        Finding {
            derived: json!({
                "settings": settings.iter().map(|cell| json!({ "named": named(cell), "trains": trains(cell) })).collect::<Vec<Value>>(),
                "branches": derived.collect::<Vec<Value>>(),
                "compared": pairs,
            }),
            charts: vec![
                ("branch".into(), chart(branches)),
                (
                    "rates".into(),
                    rates(settings, &[Form::Residual, Form::SkipInit]),
                ),
                ("plain".into(), rates(settings, &[Form::Plain])),
            ],
            answer: None,
            verdict: format!(
                "Of {} blocks, a branch over its stream is, for {}. To {} % on the test part train \
                 {}; not so {}. By pairs of seeds, in test accuracy, {told}.",
                own.sizes.blocks,
                list(&ends.collect::<Vec<_>>()),
                percent(own.trains_at),
                each(true),
                each(false),
            ),
            table,
        }
    }
}

/// Plain and residual stacks from He's weights with each norm, the residual one without a norm
/// from PyTorch's weights too, and SkipInit.
fn all() -> Vec<Deep> {
    let of = |form, method, start| Deep {
        form,
        method,
        start,
    };
    let mut all = Vec::new();
    for form in [Form::Plain, Form::Residual] {
        all.extend(METHODS.map(|method| of(form, method, Start::He)));
    }
    all.push(of(Form::Residual, NormKind::None, Start::Usual));
    all.push(of(Form::SkipInit, NormKind::None, Start::He));
    all
}

/// Block by block, the branch over the stream, measured and predicted.
fn look(of: Deep, sizes: Sizes, train: &Examples<f32>, seed: u64) -> [Vec<f64>; 2] {
    let stack = of.build(sizes, &mut StdRng::seed_from_u64(2 * seed));
    let (mut streams, mut branches) = (Vec::new(), Vec::new());
    let mut look = |name: &str, value: &Var<'_, f32>| match name {
        "stream" => streams.push(size_of(value.value())),
        _ => branches.push(size_of(value.value())),
    };
    Tape::eval(|t| {
        let images = t.constant(train.images.clone());
        stack.forward(&images, &mut Pass::train().probed(&mut look));
    });
    let measured = branches
        .iter()
        .zip(&streams)
        .map(|(branch, stream)| branch / stream);
    let half = of.start.squares_through_relu();
    let predicted = |block: usize| match of.method {
        NormKind::None => half.sqrt(),
        _ => (half / (streams[0].powi(2) + half * block as f64)).sqrt(),
    };
    [
        measured.collect(),
        (0..sizes.blocks).map(predicted).collect(),
    ]
}

impl Branches {
    fn new(of: Deep, seen: &[[Vec<f64>; 2]]) -> Self {
        let over = |which: usize| {
            let at = |block: usize| Spread::over(seen, |seen| seen[which][block]);
            (0..seen[0][which].len()).map(at).collect()
        };
        Branches {
            cell: of.key(),
            of,
            over_stream: over(0),
            predicted: over(1),
        }
    }

    /// In the first block and in the last.
    fn ends(&self) -> [f64; 2] {
        let last = self.over_stream.len() - 1;
        [0, last].map(|block| self.over_stream[block].median)
    }

    /// By what share the measured median is furthest from the predicted one.
    fn furthest(&self) -> f64 {
        let both = self.over_stream.iter().zip(&self.predicted);
        let off =
            both.map(|(measured, predicted)| (measured.median / predicted.median - 1.0).abs());
        off.fold(0.0, f64::max)
    }
}

fn chart(branches: &[Branches]) -> Chart {
    let points = |of: &[Spread]| {
        let numbered = of.iter().enumerate();
        numbered
            .map(|(block, spread)| ((block + 1) as f64, Some(*spread)))
            .collect()
    };
    let line = |of: &Branches| Line::new(of.of.name(), of.of.ink(), points(&of.over_stream));
    let theory = branches.iter().find(|of| of.of.method == NormKind::Batch);
    let theory = theory.map(|of| Line::new("predicted", Ink::Theory, points(&of.predicted)));
    Chart::of(
        "A branch beside its stream",
        "The root mean square of what each block of a residual stack adds, over that of what it is \
         added to, before training: without norm from two starts, with Batch Norm and with Layer \
         Norm, median and quartiles over the seeds; and what is predicted with a norm.",
        branches.iter().map(line).chain(theory),
    )
    .x(|first, last| Axis::log("block", first, last))
    .y(|low, high| Axis::log("branch over stream", 0.8 * low, 1.25 * high))
}

fn rates(settings: &[Cell<Deep>], forms: &[Form]) -> Chart {
    let of = settings.iter().filter(|cell| forms.contains(&cell.of.form));
    guessing(rates_chart(
        "Validation accuracy over the learning rate",
        "The accuracy on the validation part after the last epoch at each learning rate, of deep \
         stacks of the same blocks: median and quartiles over the seeds that pick a rate; a run \
         that diverged counts as 0. Guessing gets a tenth right."
            .into(),
        of.map(|cell| cell.line(cell.over_rates())),
    ))
}
