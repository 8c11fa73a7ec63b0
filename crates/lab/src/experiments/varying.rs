//! Claim C7: Batch Norm suffers from variable batch sizes; Layer Norm is independent of the
//! batch size.
//!
//! *Training.* Batches have a fixed size, or one that is drawn anew for each batch so that the
//! average is the same. Two controls say what of a loss comes from what. With a *narrow* range
//! sizes vary, and none is small. And since the loss is a mean over its batch, an example of a
//! small batch counts for more than one of a large batch; *weighted*, each batch counts by its
//! size, and so each example alike.
//!
//! *Outputs.* The networks trained with the first sizes that vary see the test part all at
//! once, and cut into batches. Counted are the examples whose logits differ in any bit from
//! those all at once, in evaluation and in training mode; and, for the norms of the network
//! alone, the rows that come out different when the same input rows are cut that way: the
//! matrix products in between may round otherwise in another batch, which is no matter of the
//! norm. Layer Norm is independent of the batch if none of its rows differs anywhere.

use nn::{Layer, Mlp, Norm, Pass};
use tape::{Tape, Tensor, Var};

use crate::kit::*;
use crate::refusal::refusal;

pub(crate) struct Asked;

#[derive(Serialize)]
pub(crate) struct Own {
    /// For each average size: fixed, varying, and varying in a narrow range.
    sizes: Vec<[[usize; 2]; 3]>,
    weighted: &'static str,
    cuts: Vec<usize>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Of {
    #[serde(with = "as_text")]
    method: NormKind,
    smallest: usize,
    largest: usize,
    /// Whether each batch counts by its size.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    weighted: bool,
}

impl Of {
    fn sizes(&self) -> String {
        let sizes = match [self.smallest, self.largest] {
            [low, high] if low == high => low.to_string(),
            [low, high] => format!("{low} to {high}"),
        };
        match self.weighted {
            true => sizes + " weighted",
            false => sizes,
        }
    }
}

impl Setting for Of {
    fn method(&self) -> NormKind {
        self.method
    }

    fn key(&self) -> String {
        format!("{} {}", self.method, self.sizes()).replace(' ', "-")
    }

    fn name(&self) -> String {
        format!("{}, {}", name(self.method), self.sizes())
    }

    fn ink(&self) -> Ink {
        match self.smallest == self.largest {
            true => ink(self.method),
            false => ink(self.method).second(),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    /// For each method, the sizes in their order.
    settings: Vec<Cell<Of>>,
    cut: Vec<Cuts>,
}

/// How many of the test examples come out different when the batch is cut: over the seeds,
/// the most.
#[derive(Serialize, Deserialize)]
struct Cuts {
    #[serde(with = "as_text")]
    method: NormKind,
    test_examples: usize,
    most_that_differ: Vec<Cut>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Cut {
    batch: usize,
    /// Logits in evaluation mode.
    evaluation: usize,
    /// Logits in training mode; `None`: the network refused.
    training: Option<usize>,
    /// Rows of the norms alone, fed the same rows, in training mode.
    norms: Option<usize>,
}

impl Study for Asked {
    const CARD: Card = Card::new("varying", 11)
        .asks("batches of varying size, and one example in different batches")
        .claim(
            "C7",
            "Batch Norm suffers from variable batch sizes; Layer Norm is independent of the \
               batch size.",
        );

    type Protocol = Protocol<Own>;
    type Results = Results;

    fn protocol(quick: bool) -> Self::Protocol {
        Protocol {
            plan: Plan {
                batch: None,
                curves: vec![Curve::ValidationAccuracy],
                ..Plan::mlp(&[64, 64, 64, 64, 10], pick(quick, 1, 10))
            },
            rates: pick(
                quick,
                vec![0.03],
                vec![0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3],
            ),
            rate_rule: Rule::Accuracy,
            own: Own {
                sizes: vec![[[32, 32], [2, 62], [8, 56]], [[5, 5], [2, 8], [4, 6]]],
                weighted: "in a fourth form, sizes vary as in the second, and the loss of each \
                           batch is multiplied by its size over the average",
                cuts: vec![1, 7, 32],
            },
            decision_rule: "suffers: at either average size, test accuracy with varying sizes \
                            clearly below that with the fixed one, by pairs of seeds; \
                            independent: no row of a norm's output differs in any bit when the \
                            batch is cut. supported: Batch Norm suffers, Layer Norm does not and \
                            is independent; not supported: neither half; else depends",
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let data = protocol.plan.data.load()?;
        let Own { sizes, cuts, .. } = &protocol.own;
        let of = |method| {
            sizes.iter().flat_map(move |&[fixed, varying, narrow]| {
                let of = |[smallest, largest]: [usize; 2], weighted| Of {
                    method,
                    smallest,
                    largest,
                    weighted,
                };
                [
                    of(fixed, false),
                    of(varying, false),
                    of(narrow, false),
                    of(varying, true),
                ]
            })
        };
        let settings: Vec<Of> = METHODS.into_iter().flat_map(of).collect();
        let looks = METHODS.len() * session.seeds().len();
        session.begin(size(session, protocol, settings.len()) + looks)?;
        let plan = |of: &Of| {
            let batch = BatchSize::Varying(of.smallest, of.largest);
            let plan = protocol.plan.clone().batch(batch).norm(of.method);
            plan.weighted(of.weighted)
        };
        let settings = cells(session, protocol, &settings, |of, rate, seed| {
            plan(of).run(&data, rate, seed)
        })?;
        let looked: Vec<&Cell<Of>> = settings
            .iter()
            .skip(1)
            .step_by(FORMS * sizes.len())
            .collect();
        let key = |cell: &&Cell<Of>| format!("cut {}", cell.cell);
        let seen = session.by_seed(&looked, key, |cell, seed| {
            let plan = plan(&cell.of);
            let build = |rng: &mut _| plan.spec().build(rng);
            let (model, _) = plan.trained(build, &data, cell.chosen_rate, seed);
            let cut = |&batch| look(&model, cell.of.method, &data.test, batch);
            cuts.iter().map(cut).collect::<Vec<Cut>>()
        })?;
        let cut = |(seeds, cell): (&Vec<Vec<Cut>>, &&Cell<Of>)| Cuts {
            method: cell.of.method,
            test_examples: data.test.len(),
            most_that_differ: worst(seeds),
        };
        let cut = seen.iter().zip(&looked).map(cut).collect();
        Ok(Results { settings, cut })
    }

    fn read(protocol: &Self::Protocol, Results { settings, cut }: &Results) -> Finding {
        let in_row = FORMS * protocol.own.sizes.len();
        let rows: Vec<_> = settings.chunks(in_row).collect();
        let suffers = |row: &&[Cell<Of>]| row.chunks(FORMS).any(clearly_worse);
        let [none, batch, layer] = [0, 1, 2].map(|i| suffers(&rows[i]));
        let of_layer = || cut[2].most_that_differ.iter().map(|cut| cut.norms);
        let independent = of_layer().all(|norms| norms == Some(0));
        let by_size = rows[0].iter().enumerate().map(|(i, cell)| {
            let [none, norm, layer] = [0, 1, 2].map(|k| percent_range(*rows[k][i].test_accuracy));
            json!({ "sizes": cell.of.sizes(), "none": none, "batch_norm": norm,
                "layer_norm": layer })
        });
        let cut_rows = cut.iter().flat_map(
            |Cuts {
                 method,
                 most_that_differ,
                 ..
             }| {
                most_that_differ.iter().map(|cut| {
                json!({ "method": name(*method), "batch": cut.batch, "evaluation": cut.evaluation,
                    "training": told(cut.training), "norms": told(cut.norms) })
            })
            },
        );
        let changes = rows.iter().flat_map(|row| {
            row.chunks(FORMS).flat_map(|forms| {
                forms[1..].iter().map(|cell| {
                    let change = cell.test_accuracy.against(&forms[0].test_accuracy);
                    json!({ "cell": cell.cell, "fixed": forms[0].of.sizes(), "change": change,
                        "words": points(change) })
                })
            })
        });
        // Whether Batch Norm loses more than Layer Norm, seed by seed.
        let lost = |forms: &[Cell<Of>]| {
            let [fixed, varying] = [0, 1].map(|i| forms[i].test_accuracy.by_seed());
            let pairs = varying.iter().zip(fixed);
            pairs.map(|(a, b)| a - b).collect::<Vec<f64>>()
        };
        let pairs = rows[1].chunks(FORMS).zip(rows[2].chunks(FORMS));
        let batch_against_layer = pairs.map(|(batch, layer)| {
            json!({ "fixed": batch[0].of.sizes(),
                "change": Paired::differences(&lost(batch), &lost(layer)) })
        });
        let how = |row: &[Cell<Of>]| {
            let pairs: Vec<String> = row.chunks(FORMS).map(compared).collect();
            let method = name(row[0].of.method);
            format!("{method} is worse when sizes vary, {}", list(&pairs))
        };
        let output = match independent {
            true => "the same to the bit in every batch".to_owned(),
            false => {
                let rows_differ = of_layer().flatten().max().unwrap_or(0);
                format!("not the same in every batch: {rows_differ} rows differ")
            }
        };
        let epochs = protocol.plan.epochs;
        Finding {
            derived: json!({
                "by_size": by_size.collect::<Vec<Value>>(),
                "cut_rows": cut_rows.collect::<Vec<Value>>(),
                "suffers": { "none": none, "batch": batch, "layer": layer },
                "changes": changes.collect::<Vec<Value>>(),
                "batch_against_layer": batch_against_layer.collect::<Vec<Value>>(),
            }),
            charts: vec![
                ("32".into(), chart(&rows, epochs, 0)),
                ("5".into(), chart(&rows, epochs, FORMS)),
            ],
            answer: Some(Answer::of([batch, !layer && independent])),
            verdict: format!(
                "{}; {}, and its output is {output}.",
                how(rows[1]),
                how(rows[2])
            ),
            table: tables(&rows, cut),
        }
    }
}

/// At each average size: fixed, varying, in a narrow range, and weighted.
const FORMS: usize = 4;

/// Over the seeds, the most that differ; refused if any was.
fn worst(seeds: &[Vec<Cut>]) -> Vec<Cut> {
    let most = |at: usize, of: fn(&Cut) -> Option<usize>| {
        let all: Option<Vec<usize>> = seeds.iter().map(|cuts| of(&cuts[at])).collect();
        all.map(|all| all.into_iter().max().expect("there is a seed"))
    };
    let cut = |(at, cut): (usize, &Cut)| Cut {
        batch: cut.batch,
        evaluation: most(at, |cut| Some(cut.evaluation)).expect("evaluation is never refused"),
        training: most(at, |cut| cut.training),
        norms: most(at, |cut| cut.norms),
    };
    seeds[0].iter().enumerate().map(cut).collect()
}

/// Whether sizes that vary about a fixed one make the method clearly worse.
fn clearly_worse(pair: &[Cell<Of>]) -> bool {
    change(pair).apart() == Apart::Below
}

/// What varying sizes do to the test accuracy.
fn change(pair: &[Cell<Of>]) -> Paired {
    pair[1].test_accuracy.against(&pair[0].test_accuracy)
}

fn compared(pair: &[Cell<Of>]) -> String {
    let [fixed, varying] = [0, 1].map(|i| percent(pair[i].test_accuracy.median));
    let [of_fixed, of_varying] = [0, 1].map(|i| pair[i].of.sizes());
    let clearly = match clearly_worse(pair) {
        true => "clearly",
        false => "not clearly",
    };
    format!(
        "{clearly} with batches of {of_varying} ({varying} % against {fixed} % with {of_fixed}: \
         {})",
        points(change(pair))
    )
}

fn look(model: &Mlp<f32>, kind: NormKind, test: &Examples<f32>, batch: usize) -> Cut {
    let images = &test.images;
    let logits = |trains| {
        let logits = |x| {
            let pass = &mut Pass::new(trains);
            Tape::eval(|t| model.forward(&t.constant(x), pass).value().clone())
        };
        differing(images, batch, logits)
    };
    let evaluation = logits(false);
    let training = refusal(|| logits(true)).ok();
    // What goes into each norm, all at once, and then through norms of the same kind.
    let mut inputs = Vec::new();
    let mut last = None;
    let mut seen = |name: &str, value: &Var<'_, f32>| {
        if name.ends_with(".norm") {
            inputs.extend(last.take());
        }
        last = Some(value.value().clone());
    };
    Tape::eval(|t| {
        let images = t.constant(images.clone());
        model.forward(&images, &mut Pass::train().probed(&mut seen));
    });
    let norms = refusal(|| {
        let differ = inputs.iter().map(|x| {
            let mut norm = Norm::new(kind, [x.shape()[1]]);
            differing(x, batch, |x| {
                Tape::eval(|t| norm.train(&t.constant(x)).value().clone())
            })
        });
        differ.max().unwrap_or(0)
    });
    Cut {
        batch,
        evaluation,
        training,
        norms: norms.ok(),
    }
}

/// How many rows of `f(x)` have a bit that differs when `x` is cut into batches.
fn differing(
    x: &Tensor<f32>,
    batch: usize,
    mut f: impl FnMut(Tensor<f32>) -> Tensor<f32>,
) -> usize {
    let width = x.shape()[1];
    let whole = f(x.clone());
    let parts = x.data().chunks(batch * width).flat_map(|rows| {
        let part = Tensor::new([rows.len() / width, width], rows.to_vec());
        f(part).to_vec()
    });
    let parts: Vec<f32> = parts.collect();
    let bits = |row: &[f32]| row.iter().map(|y| y.to_bits()).collect::<Vec<u32>>();
    let width = whole.shape()[1];
    let rows = whole.data().chunks(width).zip(parts.chunks(width));
    rows.filter(|(a, b)| bits(a) != bits(b)).count()
}

/// How many differ, or that the network refused.
fn told(number: Option<usize>) -> String {
    number.map_or_else(|| "refused".into(), |n| n.to_string())
}

/// The curves of a fixed size and of the varying ones of the same average.
fn chart(rows: &[&[Cell<Of>]], last: usize, first: usize) -> Chart {
    let pairs = rows.iter().flat_map(|row| &row[first..first + 2]);
    let curve = |cell: &Cell<Of>| cell.line(cell.curve(Curve::ValidationAccuracy, 1.0));
    let [fixed, varying] = [0, 1].map(|i| rows[0][first + i].of.sizes());
    let about = format!(
        "The accuracy on the validation part after each epoch with batches of {fixed} and of \
         {varying} examples, without norm, with Batch Norm and with Layer Norm, each at the rate \
         that validation picks: median and quartiles over the seeds."
    );
    let title = "Batches of fixed and of varying size";
    Chart::of(title, about, pairs.map(curve))
        .x(|_, _| epochs(last.max(2)))
        .y(|low, _| {
            let low = (10.0 * low.min(1.0)).floor() / 10.0;
            Axis::linear("validation accuracy", low, 1.0)
        })
}

fn tables(rows: &[&[Cell<Of>]], cut: &[Cuts]) -> String {
    let sizes: Vec<String> = rows[0].iter().map(|cell| cell.of.sizes()).collect();
    let accuracies = Table::wide("batches of", -12, &sizes, 24).rows(rows, |row| {
        let spreads = row.iter().map(|cell| percent_range(*cell.test_accuracy));
        [name(row[0].of.method).to_owned()]
            .into_iter()
            .chain(spreads)
    });
    let heading = format!("of {} examples, differing when cut: ", cut[0].test_examples);
    let each = cut
        .iter()
        .flat_map(|cuts| cuts.most_that_differ.iter().map(move |cut| (cuts, cut)));
    let differing = table(
        &each.collect::<Vec<_>>(),
        &[
            (&heading, -38, &|(cuts, _)| name(cuts.method).to_owned()),
            ("batches of", 10, &|(_, cut)| cut.batch.to_string()),
            ("evaluation", 12, &|(_, cut)| cut.evaluation.to_string()),
            ("training", 12, &|(_, cut)| told(cut.training)),
            ("norms alone", 12, &|(_, cut)| told(cut.norms)),
        ],
    );
    format!("{accuracies}\n{differing}")
}
