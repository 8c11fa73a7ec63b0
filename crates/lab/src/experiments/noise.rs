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
//! No norm has two starts, PyTorch's weights and those of He et al. (2015), and the same noise in
//! the second: noise is a difficulty of its own, and what it costs a network without a norm says
//! how much of one.
//!
//! *Shift.* Each is trained once more from every seed at its rate. At each of the first steps,
//! the mean of every unit before the last ReLU is taken over 256 training digits, and compared
//! with that at the step before.
//!
//! At every sixth of these steps, two things are measured on one batch, while the noise, where
//! there is some, is held fixed. *Predictiveness*: the gradient of all weights, before and after
//! moves along itself. A small change means that a step does not change what the gradient says.
//! *Gradient shift*, which Santurkar et al. define as internal covariate shift: the gradient of
//! the weights before the last ReLU, before and after a step of all layers in front of them.
//!
//! If Batch Norm gains nothing or no noise brings the shift back, nothing can be said of the
//! claim.

use std::cell::RefCell;
use std::str::FromStr;

use nn::loss::cross_entropy;
use nn::{Layer, Linear, Module, Norm, Pass, Visitor, name_params};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tape::{Grads, Tape, Tensor, Var};

use crate::held::Held;
use crate::kit::*;
use crate::moments::{Moments, before_nonlinearities};

pub(crate) struct Asked;

#[derive(Serialize)]
pub(crate) struct Own {
    noise: Vec<f64>,
    looked_at_steps: usize,
    shift: &'static str,
    predictiveness: &'static str,
    moves: [f64; 4],
    gradient_shift: &'static str,
}

/// What follows each linear layer but the last, and how the weights are drawn.
#[derive(Clone, Copy, PartialEq)]
struct Kind {
    norm: NormKind,
    start: Start,
    /// The size of the noise after the norm, or in its place.
    noise: f64,
}

impl Kind {
    const NONE: Kind = Kind::of(NormKind::None, Start::Usual);
    const BATCH: Kind = Kind::of(NormKind::Batch, Start::Usual);
    const HE: Kind = Kind::of(NormKind::None, Start::He);

    const fn of(norm: NormKind, start: Start) -> Self {
        Kind {
            norm,
            start,
            noise: 0.0,
        }
    }

    fn with(self, noise: f64) -> Self {
        Kind { noise, ..self }
    }

    /// In the order of the results: no norm, Batch Norm and no norm from He's weights, then
    /// Batch Norm with each noise, then no norm from He's weights with each.
    fn all(noise: &[f64]) -> Vec<Self> {
        let noisy = [Kind::BATCH, Kind::HE]
            .into_iter()
            .flat_map(|kind| noise.iter().map(move |&size| kind.with(size)));
        [Kind::NONE, Kind::BATCH, Kind::HE]
            .into_iter()
            .chain(noisy)
            .collect()
    }
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Of {
    #[serde(with = "as_text")]
    method: Kind,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.norm)?;
        if self.start == Start::He {
            f.write_str(" he")?;
        }
        match self.noise {
            0.0 => Ok(()),
            size => write!(f, " with noise {size}"),
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("unknown method {text:?}");
        let (kind, noise) = text.split_once(" with noise ").unwrap_or((text, "0"));
        let kind = match kind {
            "none" => Kind::NONE,
            "batch" => Kind::BATCH,
            "none he" => Kind::HE,
            _ => return Err(unknown()),
        };
        noise
            .parse()
            .map(|size| kind.with(size))
            .map_err(|_| unknown())
    }
}

impl Setting for Of {
    fn method(&self) -> NormKind {
        self.method.norm
    }

    fn name(&self) -> String {
        let name = self.start().named(name(self.method()));
        match self.method.noise {
            0.0 => name,
            size => format!("{name} with noise {size}"),
        }
    }

    fn start(&self) -> Start {
        self.method.start
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
            let norm = match i == last {
                true => NormKind::None,
                false => method.norm,
            };
            let linear = match method.start.init() {
                Some(init) => Linear::with_init(pair[0], pair[1], init, rng),
                None => Linear::new(pair[0], pair[1], rng),
            };
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
            if self.method.noise > 0.0 && pass.trains() {
                let (size, units) = (self.method.noise, x.shape()[1]);
                let [scale, shift] = Noisy::draw(&mut self.rng.borrow_mut(), size, units);
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
    shift: Sample,
    gradient_change: Sample,
    gradient_shift: Sample,
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
                                 sizes times g, the noise held fixed, averaged over every sixth \
                                 of the first steps",
                moves: [0.05, 0.1, 0.2, 0.4],
                gradient_shift: "|g' - g|/|g| for the weights before the last ReLU, after a step \
                                 of plain SGD, at the rate that was picked, of all layers before \
                                 them, the noise held fixed; averaged likewise",
            },
            decision_rule: "brings back: median shift at least that of no norm; gains: fewer \
                            steps to the target than no norm from the same start, clearly by \
                            pairs of seeds. depends: Batch Norm gains nothing, or no noise brings \
                            the shift back; supported: no noise that brings it back gains; not \
                            supported: every one gains; else depends",
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let data = protocol.plan.data.load()?;
        let kinds = Kind::all(&protocol.own.noise).into_iter();
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
        let row = |(cell, looks): (Cell<Of>, Vec<[f64; 3]>)| Row {
            cell,
            shift: Sample::over(&looks, |look| look[0]),
            gradient_change: Sample::over(&looks, |look| look[1]),
            gradient_shift: Sample::over(&looks, |look| look[2]),
        };
        let methods = methods.into_iter().zip(looks).map(row).collect();
        Ok(Results { methods })
    }

    fn read(protocol: &Self::Protocol, Results { methods }: &Results) -> Finding {
        let target = percent(protocol.plan.target.expect("there is a target"));
        let [none, batch, he, noisy @ ..] = &methods[..] else {
            panic!("three come without noise")
        };
        let (noisy, noisy_he) = noisy.split_at(noisy.len() / 2);
        let entries = methods.iter().map(|row| {
            json!({ "noise": row.size(), "brings_the_shift_back": row.brings_back(none),
                "gains": row.gains(none), "saved": row.saved(none, batch),
                "steps": count(row.to_target().median),
                "steps_over_none": row.to_target().over_that_of(none.to_target()),
                "steps_over_he": row.to_target().over_that_of(he.to_target()) })
        });
        let told = |row: &Row| {
            let (steps, shift) = (count(row.to_target().median), row.shift.median);
            format!(
                "{} needs {steps} steps at a shift of {shift:.2}",
                row.of.name()
            )
        };
        let without = noisy_he
            .iter()
            .map(|row| format!("{} at noise {}", count(row.to_target().median), row.size()));
        let each = noisy.iter().map(|row| {
            let back = ["not back", "back"][usize::from(row.brings_back(none))];
            let gain = ["no gain", "a gain"][usize::from(row.gains(none))];
            format!("{} ({back}, {gain})", told(row))
        });
        let table = table(
            methods,
            &[
                ("", -40, &|row| row.of.name()),
                ("rate", 8, &|row| row.chosen_rate.to_string()),
                (&format!("steps to {target} %"), 24, &|row| {
                    count_range(**row.to_target())
                }),
                ("shift", 10, &|row| format!("{:.3}", row.shift.median)),
                ("gradient change", 18, &|row| {
                    format!("{:.2}", row.gradient_change.median)
                }),
                ("gradient shift", 16, &|row| {
                    format!("{:.2}", row.gradient_shift.median)
                }),
                ("test accuracy at the end", 26, &|row| {
                    percent_range(*row.test_accuracy)
                }),
            ],
        );
        let chart = |end: &str, caption, of| (end.to_owned(), levels(methods, caption, of));
        Finding {
            derived: json!({ "methods": entries.collect::<Vec<Value>>() }),
            charts: vec![
                chart("steps", "steps to the target", |row| row.to_target()),
                chart("shift", "shift from step to step (deviations)", |row| {
                    &row.shift
                }),
                chart("gradient", "change of the gradient along itself", |row| {
                    &row.gradient_change
                }),
            ],
            answer: Some(judge(none, batch, noisy)),
            verdict: format!(
                "to {target} % on the validation part, {}, {} and {}; with noise after it, {}. \
                 Without norm, from He's weights, noise in the same place needs {}. Along itself \
                 the gradient changes by {:.2} of its size without norm, by {:.2} from He's \
                 weights and by {:.2} with Batch Norm.",
                told(none),
                told(he),
                told(batch),
                list(&each.collect::<Vec<_>>()),
                list(&without.collect::<Vec<_>>()),
                none.gradient_change.median,
                he.gradient_change.median,
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
) -> [f64; 3] {
    let Protocol { plan, own, .. } = protocol;
    let short = Plan {
        epochs: own
            .looked_at_steps
            .div_ceil(data.train.len() / plan.fixed_batch()),
        ..plan.clone()
    };
    // The weights before the last ReLU, and the layers in front of them.
    let layer = plan.spec().sizes.len() - 3;
    let last = format!("layers.{layer}.weight");
    let before_last = |name: &str| {
        let number = name
            .split('.')
            .nth(1)
            .and_then(|number| number.parse().ok());
        number.is_some_and(|number: usize| number < layer)
    };
    let first = |n: usize| data.train.pick(&(0..n).collect::<Vec<_>>());
    let (few, batch) = (first(256), first(plan.fixed_batch()));
    let (mut shifts, mut changes, mut moved) = (Vec::new(), Vec::new(), Vec::new());
    let mut before: Option<Moments> = None;
    let build = |rng: &mut _| Noisy::new(&plan.spec().sizes, method, rng);
    let (_, ended) = short.watched(build, data, rate, seed, |step, model| {
        if step > own.looked_at_steps {
            return;
        }
        let seen = before_nonlinearities(model, &few.images).pop();
        let now = Moments::of(&seen.expect("there is a ReLU"));
        if let Some(before) = before.replace(now.clone()) {
            shifts.push(now.shift_from(&before));
        }
        if step % 6 == 0 {
            let mut held = Held::new(model, |model| gradient(model, &batch, step as u64));
            changes.push(held.change(&own.moves));
            moved.push(held.shift(&last, rate, before_last));
        }
    });
    // What is seen of a run that diverges is seen until then.
    drop(ended);
    let average = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
    [average(&shifts), average(&changes), average(&moved)]
}

/// The gradient on a batch, with noise that this number decides.
fn gradient(model: &mut Noisy, batch: &Examples<f32>, noise: u64) -> Grads<f32> {
    // The generator of the training is put back: it draws on as if nobody had looked.
    let own = model.rng.replace(StdRng::seed_from_u64(noise));
    let (_, grads) = Tape::new().grad(|t| {
        let images = t.constant(batch.images.clone());
        cross_entropy(&model.forward(&images, &mut Pass::train()), &batch.labels)
    });
    model.rng.replace(own);
    grads
}

impl Row {
    fn size(&self) -> f64 {
        self.of.method.noise
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
fn levels(rows: &[Row], caption: &str, of: fn(&Row) -> &Sample) -> Chart {
    let (quiet, noisy) = rows.split_at(3);
    let line = |name: &str, ink, rows: &[Row]| {
        let points = rows.iter().map(|row| (row.size(), of(row).finite()));
        Line::new(name, ink, points.collect())
    };
    let (batch, he) = noisy.split_at(noisy.len() / 2);
    let noisy = [
        line("Batch Norm with noise", Ink::Noise, batch),
        line("no norm, He weights, with noise", Ink::Group, he),
    ];
    let about = format!(
        "{caption}, for Batch Norm followed by noise of growing size and for noise in a network \
         without norm that starts from He's weights, with the levels without noise: median and \
         quartiles over the seeds."
    );
    let mut chart = Chart::of("Batch Norm with noise after it", about, noisy).x(|first, last| {
        match first < last {
            true => Axis::log("size of the noise, a", first, last),
            false => Axis::log("size of the noise, a", first / 2.0, first * 2.0),
        }
    });
    for row in quiet {
        chart = chart.level(row.of.name(), row.of.ink(), **of(row));
    }
    // The noise is painted last, over the levels.
    chart.lines.rotate_left(2);
    chart.y(|low, high| match low < high {
        true => Axis::log(caption, 0.8 * low, 1.25 * high),
        false => Axis::log(caption, 0.8, 12.5),
    })
}
