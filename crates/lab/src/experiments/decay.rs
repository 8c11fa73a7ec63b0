//! Weight decay and norms: on the weights, on gamma and beta, on all, or on nothing?
//!
//! What can be derived (chapter 10). In front of a norm a weight has no length, so decay cannot
//! make the function of the network smaller there; it works against the growth of the length, and
//! so on how far a step turns the weights. In equilibrium SGD with momentum m, rate r and decay d
//! turns them by √(2rd/(1 + m)) at each step, whatever the loss (Wan et al., 2021). The gamma and
//! beta of a norm have no length either, if a ReLU, a linear layer and another norm follow: half of
//! both is half of what the next norm gets. Those of the last norm do have one: it is the size of
//! the logits.
//!
//! *Measured.* Networks with Batch Norm and with Layer Norm by SGD with momentum and by AdamW, with
//! decay on nothing, on weights, on gammas and betas, and on all, each at its own rate. Biases
//! decay with gammas and betas. At the end: test accuracy; the sizes of the first gammas and of the
//! last; the length of the weights between the norms, and by how much a step turns them, over the
//! last epoch. In networks that are trained without decay, gamma and beta of the first norm and of
//! the last are halved, and the logits compared.

use std::str::FromStr;

use chart::Hue;
use nn::{Decay, Layer, Module, Optimizer, Pass, Visitor, each_param};
use rand::rngs::StdRng;
use tape::{Grads, Param, Tape, Tensor};

use crate::baseline::nearest_mean;
use crate::kit::*;
use crate::moments::rms;

pub(crate) struct Asked;

#[derive(Serialize)]
pub(crate) struct Own {
    optimizers: [&'static str; 2],
    momentum: f64,
    sgd_decay: f64,
    adamw_decay: f64,
    biases: &'static str,
    turn: &'static str,
    halved: &'static str,
}

/// What steps are made by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum By {
    Sgd,
    AdamW,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            By::Sgd => "SGD",
            By::AdamW => "AdamW",
        })
    }
}

/// What decays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Nothing,
    Weights,
    Norms,
    All,
}

const WHATS: [What; 4] = [What::Nothing, What::Weights, What::Norms, What::All];

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            What::Nothing => "nothing",
            What::Weights => "weights",
            What::Norms => "norms",
            What::All => "all",
        })
    }
}

impl FromStr for What {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = WHATS.into_iter().find(|what| what.to_string() == text);
        named.ok_or_else(|| format!("unknown decay of {text:?}"))
    }
}

impl What {
    /// Whether the weights decay, and whether all else does.
    fn decays(self) -> [bool; 2] {
        match self {
            What::Nothing => [false, false],
            What::Weights => [true, false],
            What::Norms => [false, true],
            What::All => [true, true],
        }
    }
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Of {
    by: By,
    #[serde(with = "as_text")]
    method: NormKind,
    #[serde(with = "as_text")]
    decay: What,
}

impl Setting for Of {
    fn method(&self) -> NormKind {
        self.method
    }

    fn name(&self) -> String {
        format!(
            "{}, {}, decay of {}",
            self.by,
            name(self.method),
            self.decay
        )
    }
}

/// Two optimizers, one for the weights and one for all else, which may decay differently.
struct Parted<O> {
    weights: O,
    others: O,
}

/// A module of which one part of the parameters is seen.
struct Seen<'a>(&'a mut dyn Module<f32>, fn(&Param<f32>) -> bool);

impl Module<f32> for Seen<'_> {
    fn visit(&mut self, v: &mut Visitor<'_, f32>) {
        v.hiding(self.1, self.0);
    }
}

fn is_weight(param: &Param<f32>) -> bool {
    param.name().ends_with(".weight")
}

impl<O: Optimizer<f32>> Optimizer<f32> for Parted<O> {
    fn step_scaled(
        &mut self,
        module: &mut dyn Module<f32>,
        grads: &Grads<f32>,
        rate: f64,
        grad_scale: f64,
    ) {
        let weights = &mut Seen(&mut *module, |param| !is_weight(param));
        self.weights.step_scaled(weights, grads, rate, grad_scale);
        let others = &mut Seen(module, is_weight);
        self.others.step_scaled(others, grads, rate, grad_scale);
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    settings: Vec<Row>,
    halved: Vec<Halved>,
    nearest_mean: f64,
}

#[derive(Serialize, Deserialize)]
struct Row {
    #[serde(flatten)]
    cell: Cell<Of>,
    first_gamma: Sample,
    last_gamma: Sample,
    /// Of the weights between the norms, over that at the start.
    length: Sample,
    /// By how much a step turns them, in radians.
    turn: Sample,
    /// What is predicted for it, where decay of weights holds their length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    predicted_turn: Option<f64>,
}

impl std::ops::Deref for Row {
    type Target = Cell<Of>;

    fn deref(&self) -> &Cell<Of> {
        &self.cell
    }
}

/// By how much logits change, relative to their size, when gamma and beta of a norm are halved.
#[derive(Serialize, Deserialize)]
struct Halved {
    #[serde(with = "as_text")]
    method: NormKind,
    first: Sample,
    last: Sample,
}

/// What is seen of a run.
#[derive(Serialize, Deserialize)]
struct Look {
    first_gamma: f64,
    last_gamma: f64,
    length: f64,
    turn: f64,
    halved: [f64; 2],
}

impl Study for Asked {
    const CARD: Card = Card::new("decay", 10)
        .asks("weight decay on weights, on gamma and beta, on all or on nothing");

    type Protocol = Protocol<Own>;
    type Results = Results;

    fn protocol(quick: bool) -> Self::Protocol {
        Protocol {
            plan: Plan {
                optimizer: None,
                ..Plan::mlp(&[64, 64, 64, 10], pick(quick, 2, 30))
            },
            rates: pick(quick, vec![0.01], decades(-4, 0)),
            rate_rule: Rule::Accuracy,
            own: Own {
                optimizers: ["SGD with momentum", "AdamW, beta 0.9 and 0.999"],
                momentum: 0.9,
                sgd_decay: 0.005,
                adamw_decay: 0.5,
                biases: "decay with gammas and betas",
                turn: "the angle between the weights of the second linear layer before and after a \
                       step, averaged over the last epoch; predicted for SGD with decay of weights \
                       under Batch Norm: sqrt(2 rate decay/(1 + momentum))",
                halved: "gamma and beta of the first norm, and of the last, times 1/2, in networks \
                         trained by SGD without decay, in training mode on the training part: the \
                         root mean square of the change of the logits over theirs",
            },
            decision_rule: "by pairs of seeds, within each optimizer and norm: test accuracy with \
                            decay of weights, of norms and of all against none, and of all against \
                            weights; a clear difference names what decays better",
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let data = protocol.plan.data.load()?;
        let settings = all();
        let looks = settings.len() * session.seeds().len();
        session.begin(size(session, protocol, settings.len()) + looks)?;
        let settings = cells(session, protocol, &settings, |of, rate, seed| {
            trained(*of, protocol, &data, rate, seed, |_, _| {}).1
        })?;
        let key = |cell: &Cell<Of>| format!("look {}", cell.cell);
        let looks = session.by_seed(&settings, key, |cell, seed| {
            look(cell.of, protocol, &data, cell.chosen_rate, seed)
        })?;
        let sample = |looks: &[Look], of: fn(&Look) -> f64| Sample::over(looks, of);
        let bare = settings.iter().zip(&looks);
        let bare = bare.filter(|(cell, _)| cell.of.decay == What::Nothing && cell.of.by == By::Sgd);
        let halved = bare.map(|(cell, looks)| Halved {
            method: cell.of.method,
            first: sample(looks, |look| look.halved[0]),
            last: sample(looks, |look| look.halved[1]),
        });
        let halved = halved.collect();
        let row = |(cell, looks): (Cell<Of>, Vec<Look>)| Row {
            first_gamma: sample(&looks, |look| look.first_gamma),
            last_gamma: sample(&looks, |look| look.last_gamma),
            length: sample(&looks, |look| look.length),
            turn: sample(&looks, |look| look.turn),
            predicted_turn: predicted_turn(&cell, &protocol.own),
            cell,
        };
        Ok(Results {
            settings: settings.into_iter().zip(looks).map(row).collect(),
            halved,
            nearest_mean: nearest_mean(&data),
        })
    }

    fn read(_: &Self::Protocol, results: &Results) -> Finding {
        let Results {
            settings,
            halved,
            nearest_mean,
        } = results;
        let groups: Vec<&[Row]> = settings.chunks(WHATS.len()).collect();
        let against = |one: &Row, other: &Row| one.test_accuracy.against(&other.test_accuracy);
        let each = groups.iter().map(|group| {
            let [nothing, weights, _, all] = group else {
                unreachable!("there are four")
            };
            let others = group[1..]
                .iter()
                .map(|row| (format!("decay of {}", row.of.decay), against(row, nothing)));
            let words = [
                "clearly less accurate than none with",
                "not clearly apart from none with",
                "clearly more accurate than none with",
            ];
            let last = against(all, weights);
            format!(
                "{} with {} is {}, and decay of all is {} decay of weights ({})",
                nothing.of.by,
                name(nothing.of.method),
                by_outcome(words, points, others),
                last.apart().say(
                    "clearly worse than",
                    "not clearly apart from",
                    "clearly better than"
                ),
                points(last)
            )
        });
        let entries = groups.iter().flat_map(|group| {
            group.iter().map(|row| {
                json!({ "named": row.of.name(), "over_nothing": against(row, &group[0]),
                    "over_weights": against(row, &group[1]) })
            })
        });
        let table = table(
            settings,
            &[
                ("", -40, &|row| row.of.name()),
                ("rate", 7, &|row| row.chosen_rate.to_string()),
                ("test accuracy", 26, &|row| {
                    percent_range(*row.test_accuracy)
                }),
                ("first gamma", 13, &|row| {
                    format!("{:.3}", row.first_gamma.median)
                }),
                ("last gamma", 12, &|row| {
                    format!("{:.3}", row.last_gamma.median)
                }),
                ("length", 9, &|row| format!("{:.3}", row.length.median)),
                ("turn", 9, &|row| format!("{:.4}", row.turn.median)),
                ("predicted", 11, &|row| {
                    row.predicted_turn
                        .map_or(String::new(), |turn| format!("{turn:.4}"))
                }),
            ],
        );
        let told = halved.iter().map(|of| {
            format!(
                "{}: first {:.1e}, last {:.2}",
                name(of.method),
                of.first.median,
                of.last.median
            )
        });
        let told = told.collect::<Vec<_>>();
        Finding {
            derived: json!({ "settings": entries.collect::<Vec<Value>>() }),
            charts: groups
                .iter()
                .map(|group| chart(group, *nearest_mean))
                .collect(),
            answer: None,
            verdict: format!(
                "In test accuracy, {}. Half of gamma and beta changes the logits by a share of {}.",
                each.collect::<Vec<_>>().join("; "),
                told.join("; ")
            ),
            table: format!("{table}\nhalved: {}\n", told.join("; ")),
        }
    }
}

/// Over the rates, one optimizer and norm.
fn chart(group: &[Row], nearest: f64) -> (String, Chart) {
    let Of { by, method, .. } = group[0].of;
    let lines = group.iter().map(|row| {
        let ink = match row.of.decay {
            What::Nothing => Ink::None,
            What::Weights => Ink::Solid(Hue::Direct),
            What::Norms => Ink::Solid(Hue::Mean),
            What::All => Ink::Solid(Hue::Var),
        };
        Line::new(row.of.decay.to_string(), ink, row.over_rates())
    });
    let about = format!(
        "The accuracy on the validation part after the last epoch at each learning rate, with {} \
         by {by}, with weight decay on nothing, on weights, on gammas and betas, and on all, and the \
         share of the test part that the nearest class mean gets right: median and quartiles over \
         the seeds that pick a rate.",
        name(method)
    );
    let chart = rates_chart("What decays", about, lines)
        .y(|low, _| accuracy("validation accuracy", low.min(nearest), 20.0))
        .level("nearest class mean", Ink::Theory, Spread::exactly(nearest));
    (format!("{by}-{method}").to_lowercase(), chart)
}

/// For each optimizer and norm, all that may decay; nothing comes first.
fn all() -> Vec<Of> {
    let mut all = Vec::new();
    for by in [By::Sgd, By::AdamW] {
        for method in [NormKind::Batch, NormKind::Layer] {
            all.extend(WHATS.map(|decay| Of { by, method, decay }));
        }
    }
    all
}

fn predicted_turn(cell: &Cell<Of>, own: &Own) -> Option<f64> {
    let Of { by, method, decay } = cell.of;
    let holds = by == By::Sgd && method == NormKind::Batch && decay.decays()[0];
    holds.then(|| (2.0 * cell.chosen_rate * own.sgd_decay / (1.0 + own.momentum)).sqrt())
}

/// Trains a network, and shows it to `watch`.
fn trained(
    of: Of,
    protocol: &Protocol<Own>,
    data: &Digits<f32>,
    rate: f64,
    seed: u64,
    watch: impl FnMut(usize, &mut nn::Mlp<f32>),
) -> (nn::Mlp<f32>, Run) {
    let Protocol { plan, own, .. } = protocol;
    let plan = plan.clone().norm(of.method);
    let build = |rng: &mut StdRng| plan.spec().build(rng);
    let of_part = |decays: bool, decay: f64| if decays { decay } else { 0.0 };
    let (model, ended) = match of.by {
        By::Sgd => {
            let [weights, others] = of.decay.decays().map(|decays| {
                let sgd = nn::Sgd::new().momentum(own.momentum);
                sgd.weight_decay(of_part(decays, own.sgd_decay))
            });
            plan.watched_by(
                &mut Parted { weights, others },
                build,
                data,
                rate,
                seed,
                watch,
            )
        }
        By::AdamW => {
            let [weights, others] = of.decay.decays().map(|decays| {
                nn::Adam::new().decay(Decay::Decoupled(of_part(decays, own.adamw_decay)))
            });
            plan.watched_by(
                &mut Parted { weights, others },
                build,
                data,
                rate,
                seed,
                watch,
            )
        }
    };
    (model, ended.into())
}

/// Trains once more, and looks: at the weights between the norms before and after each step of the
/// last epoch, and at the end at gammas and logits.
fn look(of: Of, protocol: &Protocol<Own>, data: &Digits<f32>, rate: f64, seed: u64) -> Look {
    let plan = &protocol.plan;
    let an_epoch = data.train.len() / plan.fixed_batch();
    let begins = (plan.epochs - 1) * an_epoch;
    let (mut first, mut before) = (None, None::<Vec<f64>>);
    let mut turns = Vec::new();
    let (mut model, _) = trained(of, protocol, data, rate, seed, |step, model| {
        let now = param(model, "layers.1.weight");
        first.get_or_insert_with(|| rms(now.iter().copied()));
        if step >= begins {
            turns.extend(
                before
                    .replace(now.clone())
                    .map(|before| angle(&before, &now)),
            );
        }
    });
    let size = |model: &mut _, name: &str| rms(param(model, name));
    let halved = ["layers.0.norm.", "layers.1.norm."].map(|norm| {
        let usual = logits(&model, &data.train.images);
        scale(&mut model, norm, 0.5);
        let half = logits(&model, &data.train.images);
        scale(&mut model, norm, 2.0);
        let change = half.iter().zip(&usual).map(|(half, usual)| half - usual);
        rms(change) / rms(usual.iter().copied())
    });
    Look {
        first_gamma: size(&mut model, "layers.0.norm.gamma"),
        last_gamma: size(&mut model, "layers.1.norm.gamma"),
        length: size(&mut model, "layers.1.weight") / first.expect("there is a first step"),
        turn: turns.iter().sum::<f64>() / turns.len() as f64,
        halved,
    }
}

/// The parameter of this name, in a row.
fn param(model: &mut nn::Mlp<f32>, name: &str) -> Vec<f64> {
    let mut found = Vec::new();
    each_param(model, |param| {
        if param.name() == name {
            found.extend(param.value().data().iter().map(|&x| f64::from(x)));
        }
    });
    found
}

/// Multiplies gamma and beta of this norm.
fn scale(model: &mut nn::Mlp<f32>, norm: &str, by: f32) {
    each_param(model, |param| {
        if param.name().starts_with(norm) {
            param
                .value_mut()
                .data_mut()
                .iter_mut()
                .for_each(|x| *x *= by);
        }
    });
}

/// The logits of these images in training mode, in a row.
fn logits(model: &nn::Mlp<f32>, images: &Tensor<f32>) -> Vec<f64> {
    Tape::eval(|t| {
        let y = model.forward(&t.constant(images.clone()), &mut Pass::train());
        y.value().data().iter().map(|&y| f64::from(y)).collect()
    })
}

/// The angle between two vectors, in radians: by the chord between their directions, which is
/// exact for small angles.
fn angle(one: &[f64], other: &[f64]) -> f64 {
    let [a, b] = [one, other].map(|v| v.iter().map(|x| x * x).sum::<f64>().sqrt());
    let chord = one
        .iter()
        .zip(other)
        .map(|(x, y)| (x / a - y / b).powi(2))
        .sum::<f64>()
        .sqrt();
    2.0 * (0.5 * chord).min(1.0).asin()
}
