//! Claim C13: the gain comes from reduced internal covariate shift.
//!
//! Ioffe and Szegedy (2015) explain Batch Norm by it: layers learn faster when what they see
//! does not shift. Santurkar et al. (2018) contest it. They put noise after Batch Norm whose
//! mean and scale change at every step, so that the shift is back, and found the gain still
//! there. This repeats their test.
//!
//! At every forward pass in training, the noise draws for each unit a scale from 1 − a/2 to
//! 1 + a/2 and a shift from −a to a, uniformly, the same for all examples of the batch.
//! (Santurkar et al. add noise for each example on top.) There is no noise in evaluation.
//!
//! *Shift.* Each is trained once more from every seed at its rate. At each of the first steps,
//! the mean of every unit before the last ReLU is taken over 256 training digits, and compared
//! with that at the step before.
//!
//! *Predictiveness.* At every sixth of these steps, the gradient of all weights on one batch is
//! taken before and after moves along itself. A small change means that a step does not change
//! what the gradient says.
//!
//! If Batch Norm gains nothing or no noise brings the shift back, nothing can be said of the
//! claim.

use std::cell::RefCell;
use std::str::FromStr;

use nn::loss::cross_entropy;
use nn::{Layer, Linear, Module, Norm, Pass, Visitor, each_param, name_params};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tape::{Grads, Tape, Tensor, Var};

use crate::kit::*;
use crate::moments::before_nonlinearities;

pub(crate) struct Asked;

#[derive(Serialize)]
pub(crate) struct Own {
    noise: Vec<f64>,
    looked_at_steps: usize,
    shift: &'static str,
    predictiveness: &'static str,
    moves: [f64; 4],
}

/// What follows each linear layer but the last.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    None,
    Batch,
    /// Batch Norm, then noise of this size.
    Noisy(f64),
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Of {
    #[serde(with = "as_text")]
    method: Kind,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::None => f.write_str("none"),
            Kind::Batch => f.write_str("batch"),
            Kind::Noisy(size) => write!(f, "batch with noise {size}"),
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = text.strip_prefix("batch with noise ").map(str::parse);
        match (text, size) {
            ("none", _) => Ok(Kind::None),
            ("batch", _) => Ok(Kind::Batch),
            (_, Some(Ok(size))) => Ok(Kind::Noisy(size)),
            _ => Err(format!("unknown method {text:?}")),
        }
    }
}

impl Setting for Of {
    fn method(&self) -> NormKind {
        match self.method {
            Kind::None => NormKind::None,
            Kind::Batch | Kind::Noisy(_) => NormKind::Batch,
        }
    }

    fn name(&self) -> String {
        match self.method {
            Kind::Noisy(size) => format!("Batch Norm with noise {size}"),
            _ => name(self.method()).to_owned(),
        }
    }
}

/// An MLP with noise after its norms.
struct Noisy {
    layers: Vec<(Linear<f32>, Norm<f32>)>,
    method: Kind,
    rng: RefCell<StdRng>,
}

impl Noisy {
    fn new(sizes: &[usize], method: Kind, rng: &mut StdRng) -> Self {
        let last = sizes.len() - 2;
        let layer = |(i, pair): (usize, &[usize])| {
            let norm = match method {
                Kind::None => NormKind::None,
                _ if i == last => NormKind::None,
                Kind::Batch | Kind::Noisy(_) => NormKind::Batch,
            };
            let linear = Linear::new(pair[0], pair[1], rng);
            (linear, Norm::new(norm, [pair[1]]))
        };
        let layers = sizes.windows(2).enumerate().map(layer).collect();
        let mut noisy = Noisy {
            layers,
            method,
            rng: RefCell::new(StdRng::seed_from_u64(rng.random())),
        };
        name_params(&mut noisy);
        noisy
    }

    /// One scale and one shift for each unit.
    fn draw(rng: &mut StdRng, size: f64, units: usize) -> [Tensor<f32>; 2] {
        let scale = Tensor::uniform([units], 1.0 - size / 2.0, 1.0 + size / 2.0, rng);
        [scale, Tensor::uniform([units], -size, size, rng)]
    }
}

impl Module<f32> for Noisy {
    fn visit(&mut self, v: &mut Visitor<'_, f32>) {
        for (i, (linear, norm)) in self.layers.iter_mut().enumerate() {
            v.child(format_args!("layers.{i}"), linear);
            v.child(format_args!("layers.{i}.norm"), norm);
        }
    }
}

impl Layer<f32> for Noisy {
    fn forward<'t>(&self, x: &Var<'t, f32>, pass: &mut Pass<'_, f32>) -> Var<'t, f32> {
        let last = self.layers.len() - 1;
        let mut x = x.clone();
        for (i, (linear, norm)) in self.layers.iter().enumerate() {
            let pass = &mut pass.within(format_args!("layers.{i}"));
            x = linear.forward_as(&"linear", &x, pass);
            if i == last {
                break;
            }
            x = norm.forward(&x, pass);
            if let Kind::Noisy(size) = self.method
                && pass.trains()
            {
                let [scale, shift] = Noisy::draw(&mut self.rng.borrow_mut(), size, x.shape()[1]);
                let t = x.tape();
                x = &(&x * &t.constant(scale)) + &t.constant(shift);
            }
            pass.show("norm", &x);
            x = x.relu();
            pass.show("relu", &x);
        }
        x
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    methods: Vec<Row>,
}

/// One method, and what is seen in its first steps.
#[derive(Serialize, Deserialize)]
struct Row {
    #[serde(flatten)]
    cell: Cell<Of>,
    shift: Spread,
    gradient_change: Spread,
}

impl std::ops::Deref for Row {
    type Target = Cell<Of>;

    fn deref(&self) -> &Cell<Of> {
        &self.cell
    }
}

impl Study for Asked {
    const CARD: Card = Card::new("noise", 16)
        .asks("Batch Norm with the shift brought back by noise")
        .claim(
            "C13",
            "The gain comes from reduced internal covariate shift.",
        );

    type Protocol = Protocol<Own>;
    type Results = Results;

    fn protocol(quick: bool) -> Self::Protocol {
        Protocol {
            plan: Plan {
                score_each: Some(pick(quick, 9, 3)),
                target: Some(0.95),
                curves: vec![Curve::ValidationAccuracy],
                ..Plan::mlp(&[64, 64, 64, 64, 64, 64, 10], pick(quick, 2, 30))
            },
            rates: pick(quick, vec![0.1], vec![0.003, 0.01, 0.03, 0.1, 0.3, 1.0]),
            rate_rule: Rule::Speed,
            own: Own {
                noise: pick(quick, vec![1.0], vec![0.25, 0.5, 1.0, 2.0]),
                looked_at_steps: pick(quick, 6, 36),
                shift: "moves of the means before the last ReLU from step to step, in deviations, \
                        averaged over the first steps",
                predictiveness: "largest |g' - g|/|g| along the gradient, at moves of the given \
                                 sizes times g, averaged over every sixth of the first steps",
                moves: [0.05, 0.1, 0.2, 0.4],
            },
            decision_rule: "brings back: median shift at least that of no norm; gains: fewer \
                            steps to the target than no norm, quartile ranges apart. depends: \
                            Batch Norm gains nothing, or no noise brings the shift back; \
                            supported: no noise that brings it back gains; not supported: \
                            every one gains; else depends",
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let data = protocol.plan.data.load()?;
        let noisy = protocol.own.noise.iter().copied().map(Kind::Noisy);
        let kinds = [Kind::None, Kind::Batch].into_iter().chain(noisy);
        let methods: Vec<Of> = kinds.map(|method| Of { method }).collect();
        let looks = methods.len() * session.seeds().len();
        session.begin(size(session, protocol, methods.len()) + looks)?;
        let methods = cells(session, protocol, &methods, |of, rate, seed| {
            let build = |rng: &mut _| Noisy::new(&protocol.plan.spec().sizes, of.method, rng);
            protocol.plan.trained(build, &data, rate, seed).1.into()
        })?;
        let key = |cell: &Cell<Of>| format!("look {}", cell.cell);
        let looks = session.by_seed(&methods, key, |cell, seed| {
            look(cell.of.method, cell.chosen_rate, protocol, &data, seed)
        })?;
        let row = |(cell, looks): (Cell<Of>, Vec<[f64; 2]>)| Row {
            cell,
            shift: Spread::over(&looks, |look| look[0]),
            gradient_change: Spread::over(&looks, |look| look[1]),
        };
        let methods = methods.into_iter().zip(looks).map(row).collect();
        Ok(Results { methods })
    }

    fn read(protocol: &Self::Protocol, Results { methods }: &Results) -> Finding {
        let target = percent(protocol.plan.target.expect("there is a target"));
        let [none, batch, noisy @ ..] = &methods[..] else {
            panic!("no norm and Batch Norm come first")
        };
        let entries = methods.iter().map(|row| {
            json!({ "noise": row.size(), "brings_the_shift_back": row.brings_back(none),
                "gains": row.gains(none), "saved": row.saved(none, batch) })
        });
        let told = |row: &Row| {
            let (steps, shift) = (count(row.to_target().median), row.shift.median);
            format!(
                "{} needs {steps} steps at a shift of {shift:.2}",
                row.of.name()
            )
        };
        let each = noisy.iter().map(|row| {
            let back = ["not back", "back"][usize::from(row.brings_back(none))];
            let gain = ["no gain", "a gain"][usize::from(row.gains(none))];
            format!("{} ({back}, {gain})", told(row))
        });
        let table = table(
            methods,
            &[
                ("", -28, &|row| row.of.name()),
                ("rate", 8, &|row| row.chosen_rate.to_string()),
                (&format!("steps to {target} %"), 24, &|row| {
                    count_range(row.to_target())
                }),
                ("shift", 10, &|row| format!("{:.3}", row.shift.median)),
                ("gradient change", 18, &|row| {
                    format!("{:.2}", row.gradient_change.median)
                }),
                ("test accuracy at the end", 26, &|row| {
                    percent_range(row.test_accuracy)
                }),
            ],
        );
        let chart = |end: &str, caption, of| (end.to_owned(), levels(methods, caption, of));
        Finding {
            derived: json!({ "methods": entries.collect::<Vec<Value>>() }),
            charts: vec![
                chart("steps", "steps to the target", |row| row.to_target()),
                chart("shift", "shift from step to step (deviations)", |row| {
                    row.shift
                }),
                chart("gradient", "change of the gradient along itself", |row| {
                    row.gradient_change
                }),
            ],
            answer: Some(judge(none, batch, noisy)),
            verdict: format!(
                "to {target} % on the validation part, {} and {}; with noise after it, {}. Along \
                 itself the gradient changes by {:.2} of its size without norm and by {:.2} with \
                 Batch Norm.",
                told(none),
                told(batch),
                list(&each.collect::<Vec<_>>()),
                none.gradient_change.median,
                batch.gradient_change.median
            ),
            table,
        }
    }
}

/// Trains for the first steps only, and looks at each: the shift, and how much the gradient
/// changes.
fn look(
    method: Kind,
    rate: f64,
    protocol: &Protocol<Own>,
    data: &Digits<f32>,
    seed: u64,
) -> [f64; 2] {
    let Protocol { plan, own, .. } = protocol;
    let short = Plan {
        epochs: own
            .looked_at_steps
            .div_ceil(data.train.len() / plan.fixed_batch()),
        ..plan.clone()
    };
    let first = |n: usize| data.train.pick(&(0..n).collect::<Vec<_>>());
    let (few, batch) = (first(256), first(plan.fixed_batch()));
    let (mut shifts, mut changes) = (Vec::new(), Vec::new());
    let mut before = None;
    let build = |rng: &mut _| Noisy::new(&plan.spec().sizes, method, rng);
    let (_, ended) = short.watched(build, data, rate, seed, |step, model| {
        if step > own.looked_at_steps {
            return;
        }
        let seen = before_nonlinearities(model, &few.images);
        let now = seen.into_iter().last().expect("there is a ReLU");
        if let Some(before) = before.replace(now.clone()) {
            shifts.push(now.shift_from(&before));
        }
        if step % 6 == 0 {
            changes.push(change(model, &batch, &own.moves));
        }
    });
    ended.expect("validation picked a rate that trains");
    let average = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
    [average(&shifts), average(&changes)]
}

/// The largest relative change of the gradient over the moves along itself. Leaves the model
/// as it was, but for what it has drawn of its noise.
fn change(model: &mut Noisy, batch: &Examples<f32>, moves: &[f64]) -> f64 {
    let gradient = |model: &mut Noisy| {
        let (_, grads) = Tape::new().grad(|t| {
            let images = t.constant(batch.images.clone());
            cross_entropy(&model.forward(&images, &mut Pass::train()), &batch.labels)
        });
        flat(model, &grads)
    };
    let start = gradient(model);
    let mut kept = Vec::new();
    each_param(model, |param| kept.push(param.value().clone()));
    let size = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    let mut most = 0.0_f64;
    for by in moves {
        let mut values = kept.iter();
        let mut at = 0;
        each_param(model, |param| {
            let kept = values.next().expect("the parameters are the same");
            let data = param.value_mut().data_mut();
            for (x, kept) in data.iter_mut().zip(kept.data()) {
                *x = kept - (by * start[at]) as f32;
                at += 1;
            }
        });
        let there = gradient(model);
        let difference: Vec<f64> = there.iter().zip(&start).map(|(a, b)| a - b).collect();
        most = most.max(size(&difference) / size(&start));
    }
    let mut values = kept.into_iter();
    each_param(model, |param| {
        *param.value_mut() = values.next().expect("the parameters are the same");
    });
    most
}

/// All gradients in a row.
fn flat(model: &mut Noisy, grads: &Grads<f32>) -> Vec<f64> {
    let mut all = Vec::new();
    each_param(model, |param| {
        all.extend(grads.of(param).data().iter().map(|&g| f64::from(g)));
    });
    all
}

impl Row {
    fn size(&self) -> f64 {
        match self.of.method {
            Kind::Noisy(size) => size,
            Kind::None | Kind::Batch => 0.0,
        }
    }

    fn gains(&self, none: &Row) -> bool {
        self.to_target().seen_from(none.to_target()) == Apart::Below
    }

    /// The share of the steps that Batch Norm saves over no norm which this method saves too,
    /// from medians; none where no norm does not get to the target.
    fn saved(&self, none: &Row, batch: &Row) -> Option<f64> {
        let [own, from, batch] = [self, none, batch].map(|row| row.to_target().median);
        let share = (from - own) / (from - batch);
        share.is_finite().then_some(share)
    }

    fn brings_back(&self, none: &Row) -> bool {
        self.size() > 0.0 && self.shift.median >= none.shift.median
    }
}

fn judge(none: &Row, batch: &Row, noisy: &[Row]) -> Answer {
    let back = noisy.iter().filter(|row| row.brings_back(none));
    let lost: Vec<bool> = back.map(|row| !row.gains(none)).collect();
    match lost.is_empty() || !batch.gains(none) {
        true => Answer::Depends,
        false => Answer::of(lost),
    }
}

/// One number over the size of the noise, with no norm and Batch Norm as levels.
fn levels(rows: &[Row], caption: &str, of: fn(&Row) -> Spread) -> Chart {
    let points = rows[2..].iter().map(|row| (row.size(), of(row).finite()));
    let noisy = Line::new("Batch Norm with noise", Ink::Noise, points.collect());
    let about = format!(
        "{caption}, for Batch Norm followed by noise of growing size, with the levels of no norm \
         and of Batch Norm: median and quartiles over the seeds."
    );
    let mut chart = Chart::of("Batch Norm with noise after it", about, [noisy]).x(|first, last| {
        match first < last {
            true => Axis::log("size of the noise, a", first, last),
            false => Axis::log("size of the noise, a", first / 2.0, first * 2.0),
        }
    });
    for row in &rows[..2] {
        chart = chart.level(row.of.name(), row.of.ink(), of(row));
    }
    // The noise is painted last, over the levels.
    chart.lines.rotate_left(1);
    chart.y(|low, high| match low < high {
        true => Axis::log(caption, 0.8 * low, 1.25 * high),
        false => Axis::log(caption, 0.8, 12.5),
    })
}
