//! Why Batch Norm helps: two of the explanations, each put to a test of what it predicts.
//!
//! *Higher rates* (Bjorck et al., 2018): Batch Norm helps because it allows higher learning rates,
//! and at a low rate it does no better than a network without a norm. So Batch Norm is trained at
//! the rate that suits the network without a norm.
//!
//! *Length and direction apart* (Kohler et al., 2019; Salimans and Kingma, 2016): behind a norm
//! only the direction of a weight vector counts, and its length is learned apart, as gamma. If that
//! is what helps, it helps without statistics of a batch too. So the same network is trained with
//! each weight vector written as w = g v/|v|, with a scalar g for each unit: Weight Norm. It starts
//! as the network without a norm from He's weights, as the same function.
//!
//! *The brake*, which follows from the second (chapter 10): behind a norm a gradient is at a right
//! angle to the weight vector, so plain gradient descent makes weights longer by what Pythagoras
//! says, and longer weights turn less. Batch Norm is trained by plain SGD at rates from low to far
//! too high, and the growth of the squared length of its weights is put beside the sum of the
//! squared steps; so is that without a norm.

use nn::init::Init;
use nn::{Layer, Linear, Module, Norm, Pass, Visitor, each_param, linear, name_params};
use rand::rngs::StdRng;
use tape::{Param, Tensor, Var};

use crate::baseline::nearest_mean;
use crate::kit::*;

pub(crate) struct Asked;

#[derive(Serialize)]
pub(crate) struct Own {
    weight_norm: &'static str,
    at_the_rate_of: &'static str,
    brake: &'static str,
    brake_rates: Vec<f64>,
    brake_epochs: usize,
}

/// What stands behind the hidden linear layers, or in their place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// He's weights and no norm.
    None,
    /// He's weights, each as a length times a direction.
    WeightNorm,
    /// Batch Norm.
    Batch,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Of {
    method: Kind,
}

impl Setting for Of {
    fn method(&self) -> NormKind {
        match self.method {
            Kind::None | Kind::WeightNorm => NormKind::None,
            Kind::Batch => NormKind::Batch,
        }
    }

    fn name(&self) -> String {
        match self.method {
            Kind::None => "no norm, He weights",
            Kind::WeightNorm => "Weight Norm, He weights",
            Kind::Batch => "Batch Norm, He weights",
        }
        .to_owned()
    }

    fn ink(&self) -> Ink {
        match self.method {
            Kind::None => Ink::None,
            Kind::WeightNorm => Ink::Group,
            Kind::Batch => Ink::Batch,
        }
    }
}

/// A hidden layer.
struct Hidden {
    linear: Linear<f32>,
    /// The lengths of the weight vectors, where they are learned apart: `[out, 1]`.
    length: Option<Param<f32>>,
    norm: Norm<f32>,
}

/// An MLP with ReLU whose hidden layers are of one [`Kind`].
struct Hiddens {
    hidden: Vec<Hidden>,
    last: Linear<f32>,
}

impl Hiddens {
    fn new(sizes: &[usize], method: Kind, rng: &mut StdRng) -> Self {
        let mut linear =
            |pair: &[usize]| Linear::with_init(pair[0], pair[1], Init::KAIMING_NORMAL, rng);
        let mut layers: Vec<Linear<f32>> = sizes.windows(2).map(&mut linear).collect();
        let last = layers.pop().expect("there is an output");
        let hidden = layers.into_iter().map(|linear| Hidden {
            length: (method == Kind::WeightNorm).then(|| {
                let lengths = lengths(linear.weight.value());
                Param::new("length", Tensor::new([lengths.len(), 1], lengths))
            }),
            norm: Norm::new(Of { method }.method(), [linear.outputs()]),
            linear,
        });
        let mut network = Hiddens {
            hidden: hidden.collect(),
            last,
        };
        name_params(&mut network);
        network
    }
}

/// The length of each row.
fn lengths(weight: &Tensor<f32>) -> Vec<f32> {
    let rows = weight.data().chunks_exact(weight.shape()[1]);
    rows.map(|row| row.iter().map(|w| w * w).sum::<f32>().sqrt())
        .collect()
}

impl Module<f32> for Hidden {
    fn visit(&mut self, v: &mut Visitor<'_, f32>) {
        self.linear.visit(v);
        if let Some(length) = &mut self.length {
            v.param("length", length);
        }
        v.child("norm", &mut self.norm);
    }
}

impl Module<f32> for Hiddens {
    fn visit(&mut self, v: &mut Visitor<'_, f32>) {
        for (i, hidden) in self.hidden.iter_mut().enumerate() {
            v.child(format_args!("layers.{i}"), hidden);
        }
        v.child("last", &mut self.last);
    }
}

impl Layer<f32> for Hidden {
    fn forward<'t>(&self, x: &Var<'t, f32>, pass: &mut Pass<'_, f32>) -> Var<'t, f32> {
        let t = x.tape();
        let z = match &self.length {
            None => self.linear.forward(x, pass),
            Some(length) => {
                let v = t.param(&self.linear.weight);
                let direction = &v / &(&v * &v).sum_keep(&[1]).sqrt();
                let bias = self.linear.bias.as_ref().map(|bias| t.param(bias));
                linear(x, &(&direction * &t.param(length)), bias.as_ref())
            }
        };
        self.norm.forward(&z, pass).relu()
    }
}

impl Layer<f32> for Hiddens {
    fn forward<'t>(&self, x: &Var<'t, f32>, pass: &mut Pass<'_, f32>) -> Var<'t, f32> {
        let mut x = x.clone();
        for (i, hidden) in self.hidden.iter().enumerate() {
            x = hidden.forward_as(&format_args!("layers.{i}"), &x, pass);
        }
        self.last.forward_as(&"last", &x, pass)
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    settings: Vec<Cell<Of>>,
    /// Batch Norm at the rate that was picked for no norm.
    at_the_rate_of_none: AtTheRate,
    brake: Vec<Braked>,
    nearest_mean: f64,
}

#[derive(Serialize, Deserialize)]
struct AtTheRate {
    rate: f64,
    steps_to_target: Sample,
    test_accuracy: Sample,
}

/// Plain SGD at one rate.
#[derive(Serialize, Deserialize)]
struct Braked {
    #[serde(flatten)]
    of: Of,
    rate: f64,
    test_accuracy: Sample,
    /// The length of all hidden weights at the end, over that at the start.
    length: Sample,
    /// The growth of its square, over the sum of the squared steps.
    growth_over_steps: Sample,
    /// The rate over the squared length at the end, over that at the start.
    effective_rate: Sample,
}

/// What is seen of one run of plain SGD.
#[derive(Serialize, Deserialize)]
struct Seen {
    run: Run,
    length: f64,
    growth_over_steps: f64,
}

impl Study for Asked {
    const CARD: Card = Card::new("why", 16)
        .asks("what two explanations of Batch Norm predict: higher rates, and length apart from direction");

    type Protocol = Protocol<Own>;
    type Results = Results;

    fn protocol(quick: bool) -> Self::Protocol {
        Protocol {
            plan: Plan {
                score_each: Some(pick(quick, 9, 3)),
                target: Some(0.95),
                curves: vec![Curve::ValidationAccuracy],
                ..Plan::mlp(&[64, 64, 64, 64, 64, 64, 10], pick(quick, 2, 30)).start(Start::He)
            },
            rates: pick(quick, vec![0.1], vec![0.003, 0.01, 0.03, 0.1, 0.3, 1.0]),
            rate_rule: Rule::Speed,
            own: Own {
                weight_norm: "w = g v/|v| for the weight vector of each hidden unit, g and v \
                              learned; v starts as He's weights and g as its length",
                at_the_rate_of: "Batch Norm once more from every seed, at the rate that was picked \
                                 for no norm",
                brake: "Batch Norm and no norm by SGD without momentum, at brake_rates, for \
                        brake_epochs: the length of all hidden weights together at the end over \
                        that at the start, and the growth of its square over the sum of the \
                        squared lengths of the steps; a run that diverged is left out of both",
                brake_rates: pick(quick, vec![0.1], vec![0.03, 0.3, 3.0, 30.0]),
                brake_epochs: pick(quick, 1, 10),
            },
            decision_rule: "by pairs of seeds, in steps to the target: higher rates explain the \
                            gain if Batch Norm at the rate of no norm is not clearly faster than \
                            no norm (its interval says how much may hide); direction explains it \
                            if Weight Norm is clearly faster than no norm and not clearly slower \
                            than Batch Norm, and in part if it is clearly between. The brake is as \
                            derived if the growth over the steps is within 2 % of 1 for Batch Norm",
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let Protocol { plan, own, .. } = protocol;
        let data = plan.data.load()?;
        let settings = [Kind::None, Kind::WeightNorm, Kind::Batch].map(|method| Of { method });
        let braked: Vec<(Of, f64)> = [Kind::None, Kind::Batch]
            .into_iter()
            .flat_map(|method| {
                own.brake_rates
                    .iter()
                    .map(move |&rate| (Of { method }, rate))
            })
            .collect();
        let more = (1 + braked.len()) * session.seeds().len();
        session.begin(size(session, protocol, settings.len()) + more)?;
        let train = |of: &Of, rate, seed| -> Run {
            let build = |rng: &mut _| Hiddens::new(&plan.spec().sizes, of.method, rng);
            plan.trained(build, &data, rate, seed).1.into()
        };
        let settings = cells(session, protocol, &settings, train)?;
        let rate = settings[0].chosen_rate;
        let batch = Of {
            method: Kind::Batch,
        };
        let key = |_: &Of| "at the rate of none".to_owned();
        let again = session.by_seed(&[batch], key, |of, seed| train(of, rate, seed))?;
        let target = plan.target.expect("there is a target");
        let each = plan.score_each.expect("scores are steps apart") as f64;
        let at_the_rate_of_none = AtTheRate {
            rate,
            steps_to_target: Sample::over(&again[0], |run| each * run.scores_to(target)),
            test_accuracy: Sample::over(&again[0], test_accuracy),
        };
        let key = |(of, rate): &(Of, f64)| format!("brake {} {rate}", of.key());
        let seen = session.by_seed(&braked, key, |&(of, rate), seed| {
            brake(of, rate, protocol, &data, seed)
        })?;
        let brake = braked.into_iter().zip(seen);
        Ok(Results {
            settings,
            at_the_rate_of_none,
            brake: brake
                .map(|((of, rate), seen)| Braked::new(of, rate, &seen))
                .collect(),
            nearest_mean: nearest_mean(&data),
        })
    }

    fn read(protocol: &Self::Protocol, results: &Results) -> Finding {
        let Results {
            settings,
            at_the_rate_of_none: at_none,
            brake,
            nearest_mean,
        } = results;
        let [none, weight, batch] = &settings[..] else {
            panic!("three methods are compared")
        };
        let target = percent(protocol.plan.target.expect("there is a target"));
        let over = |one: &Sample, other: &Sample| one.over_that_of(other);
        let (at, accuracy) = (
            over(&at_none.steps_to_target, none.to_target()),
            at_none.test_accuracy.against(&none.test_accuracy),
        );
        let [weight_none, weight_batch, batch_none] = [
            over(weight.to_target(), none.to_target()),
            over(weight.to_target(), batch.to_target()),
            over(batch.to_target(), none.to_target()),
        ];
        let explains = |yes: bool| {
            if yes {
                "explains it"
            } else {
                "does not explain it"
            }
        };
        let direction = match (weight_none.apart(), weight_batch.apart()) {
            (Apart::Below, Apart::Above) => "explains it in part",
            (Apart::Below, _) => "explains it",
            _ => "does not explain it",
        };
        let as_derived = |row: &&Braked| {
            row.of.method == Kind::Batch && (row.growth_over_steps.median - 1.0).abs() < 0.02
        };
        let rows = brake.iter().filter(|row| row.of.method == Kind::Batch);
        let derived = brake.iter().map(|row| json!({ "named": row.of.name() }));
        let steps = |sample: &Sample| count(sample.median);
        let table = table(
            settings,
            &[
                ("", -26, &|cell| cell.of.name()),
                ("rate", 7, &|cell| cell.chosen_rate.to_string()),
                (&format!("steps to {target} %"), 24, &|cell| {
                    count_range(**cell.to_target())
                }),
                ("test accuracy", 26, &|cell| {
                    percent_range(*cell.test_accuracy)
                }),
            ],
        );
        let braked = table_of(brake);
        Finding {
            derived: json!({
                "brake": derived.collect::<Vec<Value>>(),
                "weight_norm_over_none": weight_none,
                "weight_norm_over_batch": weight_batch,
                "batch_over_none": batch_none,
                "at_the_rate_of_none": { "over_none": at, "accuracy_over_none": accuracy,
                    "over_its_own": over(&at_none.steps_to_target, batch.to_target()) },
                "rates": explains(at.apart() != Apart::Below),
                "direction": direction,
            }),
            charts: vec![
                ("steps".into(), curves(settings, *nearest_mean, protocol)),
                (
                    "length".into(),
                    by_rate(brake, "length of the weights, over the start", |row| {
                        row.length.finite()
                    }),
                ),
                (
                    "accuracy".into(),
                    guessing(
                        by_rate(brake, "test accuracy", |row| Some(*row.test_accuracy))
                            .y(|_, _| Axis::linear("test accuracy", 0.0, 1.0)),
                    ),
                ),
            ],
            answer: None,
            verdict: format!(
                "To {target} % no norm needs {} steps from He's weights, Weight Norm {} and Batch \
                 Norm {}. At rate {}, which suits no norm, Batch Norm needs {}, {} those of no \
                 norm, so a higher rate {}. Weight Norm needs {} the steps of no norm and {} those \
                 of Batch Norm, so length apart from direction {direction}. By plain SGD the \
                 squared length of the weights under Batch Norm grows by the sum of the squared \
                 steps, to 2 %, at {} of {} rates.",
                steps(none.to_target()),
                steps(weight.to_target()),
                steps(batch.to_target()),
                at_none.rate,
                steps(&at_none.steps_to_target),
                times(at),
                explains(at.apart() != Apart::Below),
                times(weight_none),
                times(weight_batch),
                brake.iter().filter(as_derived).count(),
                rows.count(),
            ),
            table: format!("{table}\n{braked}"),
        }
    }
}

fn table_of(brake: &[Braked]) -> String {
    table(
        brake,
        &[
            ("", -26, &|row| row.of.name()),
            ("rate", 7, &|row| row.rate.to_string()),
            ("test accuracy", 26, &|row| {
                percent_range(*row.test_accuracy)
            }),
            ("length", 10, &|row| format!("{:.3}", row.length.median)),
            ("growth over steps", 20, &|row| {
                format!("{:.4}", row.growth_over_steps.median)
            }),
            ("effective rate", 16, &|row| {
                format!("{:.2e}", row.rate * row.effective_rate.median)
            }),
        ],
    )
}

/// Plain SGD at a rate, with its steps measured.
fn brake(of: Of, rate: f64, protocol: &Protocol<Own>, data: &Digits<f32>, seed: u64) -> Seen {
    let Protocol { plan, own, .. } = protocol;
    let plan = Plan {
        optimizer: Some(Sgd { momentum: 0.0 }),
        epochs: own.brake_epochs,
        score_each: None,
        ..plan.clone()
    };
    let mut before: Option<Vec<f64>> = None;
    let (mut first, mut steps, mut last) = (0.0, 0.0, 0.0);
    let build = |rng: &mut _| Hiddens::new(&plan.spec().sizes, of.method, rng);
    // Far too high a rate ends in numbers that a norm refuses.
    let run = attempted(|| {
        let watched = plan.watched(build, data, rate, seed, |step, model| {
            let now = hidden_weights(model);
            let square = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>();
            last = square(&mut now.iter().copied());
            if step == 0 {
                first = last;
            }
            if let Some(before) = &before {
                let moved = now.iter().zip(before).map(|(now, before)| now - before);
                steps += square(&mut { moved });
            }
            before = Some(now);
        });
        watched.1.into()
    });
    // What is seen of a run that did not end is not used, and is no number that JSON lacks.
    let number = |number: f64| if number.is_finite() { number } else { 0.0 };
    Seen {
        run,
        length: number((last / first).sqrt()),
        growth_over_steps: number((last - first) / steps),
    }
}

/// The weights of the hidden layers, in a row.
fn hidden_weights(model: &mut Hiddens) -> Vec<f64> {
    let mut all = Vec::new();
    each_param(model, |param| {
        if param.name().starts_with("layers.") && param.name().ends_with(".weight") {
            all.extend(param.value().data().iter().map(|&w| f64::from(w)));
        }
    });
    all
}

impl Braked {
    fn new(of: Of, rate: f64, seen: &[Seen]) -> Self {
        let runs: Vec<&Run> = seen.iter().map(|seen| &seen.run).collect();
        let ended: Vec<&Seen> = seen
            .iter()
            .filter(|seen| !seen.run.curve().is_empty())
            .collect();
        // A rate at which no run ends has no length: it is infinite.
        let over = |of: fn(&Seen) -> f64| match ended.is_empty() {
            true => Sample::over(seen, |_| f64::INFINITY),
            false => Sample::over(&ended, |seen| of(seen)),
        };
        Braked {
            of,
            rate,
            test_accuracy: Sample::over(&runs, |run| test_accuracy(run)),
            length: over(|seen| seen.length),
            growth_over_steps: over(|seen| seen.growth_over_steps),
            effective_rate: over(|seen| seen.length.powi(-2)),
        }
    }
}

fn curves(settings: &[Cell<Of>], nearest: f64, protocol: &Protocol<Own>) -> Chart {
    let each = protocol.plan.score_each.expect("scores are steps apart") as f64;
    let line = |cell: &Cell<Of>| Line {
        name: cell.name_and_rate(),
        ..cell.line(cell.curve(Curve::ValidationAccuracy, each))
    };
    Chart::of(
        "Validation accuracy over the steps",
        "The accuracy on the validation part over the steps, of five hidden layers from He's \
         weights without norm, with Weight Norm and with Batch Norm, each at its fastest rate, and \
         the share of the test part that the nearest class mean gets right: median and quartiles \
         over the seeds.",
        settings.iter().map(line),
    )
    .x(|first, last| Axis::log("steps", first, last))
    .y(|_, _| Axis::linear("validation accuracy", 0.0, 1.0))
    .level("nearest class mean", Ink::Theory, Spread::exactly(nearest))
}

fn by_rate(brake: &[Braked], caption: &str, of: impl Fn(&Braked) -> Option<Spread>) -> Chart {
    let line = |method: Kind| {
        let rows = brake.iter().filter(|row| row.of.method == method);
        let points = rows.map(|row| (row.rate, of(row))).collect();
        let of = Of { method };
        Line::new(of.name(), of.ink(), points)
    };
    let about = format!(
        "The {caption}, after training by SGD without momentum at each of the rates, without norm \
         and with Batch Norm: median and quartiles over the seeds."
    );
    Chart::of(
        "Plain SGD at rates from low to far too high",
        about,
        [Kind::None, Kind::Batch].map(line),
    )
    .x(|first, last| match first < last {
        true => Axis::log("learning rate", first, last),
        false => Axis::log("learning rate", 0.5 * first, 2.0 * last),
    })
    .y(|low, high| Axis::log(caption, 0.9 * low, 1.1 * high))
}
