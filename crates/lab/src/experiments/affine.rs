//! Claim C10: the learnable scale and shift keep the model's capacity.
//!
//! *The identity.* "Keeping capacity" is meant literally: with the right γ and β the norm can
//! undo itself, so that nothing is lost by putting it in. The inputs are what the first layer
//! of a fresh MLP makes of the training digits, all in one batch. γ and β of each unit are
//! those with the least squared distance between the output of the norm and its input: the
//! line of regression of the input on the normalized input. Reported is the *unexplained
//! share*: the squared distance over the squared deviation of the inputs from their mean by
//! unit, with these γ and β, and with γ = 1 and β = 0.
//!
//! *Accuracy.* The same is trained with norms whose γ and β are learned or kept. A norm keeps
//! the accuracy if in neither nonlinearity it is clearly below that of no norm. What learning
//! γ and β changes in accuracy is reported beside it.

use nn::{Activation, Layer, Linear, Mlp, Module, Norm, Pass, State, Visitor, each_state};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Tape, Tensor, Var};

use crate::kit::*;
use crate::moments::Moments;

pub(crate) struct Asked;

#[derive(Serialize)]
pub(crate) struct Own {
    activations: Vec<String>,
    identity: &'static str,
    recovered_below: f64,
    lost_above: f64,
}

const ACTIVATIONS: [Activation; 2] = [Activation::Relu, Activation::Sigmoid];

/// The norms, and whether their γ and β are learned.
const FORMS: [(NormKind, Affine); 5] = [
    (NormKind::None, Affine::Learned),
    (NormKind::Batch, Affine::Learned),
    (NormKind::Batch, Affine::Kept),
    (NormKind::Layer, Affine::Learned),
    (NormKind::Layer, Affine::Kept),
];

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Affine {
    Learned,
    Kept,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Of {
    #[serde(with = "ByName")]
    activation: Activation,
    #[serde(with = "as_text")]
    method: NormKind,
    gamma_and_beta: Affine,
}

/// How results name an activation.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Activation", rename_all = "lowercase")]
enum ByName {
    Relu,
    Tanh,
    Sigmoid,
    Gelu,
}

impl Setting for Of {
    fn method(&self) -> NormKind {
        self.method
    }

    fn name(&self) -> String {
        match self.gamma_and_beta {
            Affine::Learned => name(self.method).to_owned(),
            Affine::Kept => format!("{} without γ, β", name(self.method)),
        }
    }

    fn ink(&self) -> Ink {
        match self.gamma_and_beta {
            Affine::Learned => ink(self.method),
            Affine::Kept => ink(self.method).second(),
        }
    }
}

/// An MLP whose norms keep γ = 1 and β = 0: it does not show them to the optimizer.
struct Kept(Mlp<f32>);

impl Module<f32> for Kept {
    fn visit(&mut self, v: &mut Visitor<'_, f32>) {
        v.hiding(|param| param.name().contains(".norm."), &mut self.0);
    }
}

impl Layer<f32> for Kept {
    fn forward<'t>(&self, x: &Var<'t, f32>, pass: &mut Pass<'_, f32>) -> Var<'t, f32> {
        self.0.forward(x, pass)
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    identity: Vec<Identity>,
    /// For each activation, the forms in their order.
    settings: Vec<Cell<Of>>,
}

/// The unexplained shares of one norm.
#[derive(Serialize, Deserialize)]
struct Identity {
    #[serde(with = "as_text")]
    method: NormKind,
    /// With γ and β fitted.
    unexplained_fitted: Spread,
    /// With γ = 1 and β = 0.
    unexplained_kept: Spread,
}

impl Study for Asked {
    const CARD: Card = Card::new("affine", 7)
        .asks("with and without gamma and beta")
        .claim(
            "C10",
            "The learnable scale and shift keep the model's capacity.",
        );

    type Protocol = Protocol<Own>;
    type Results = Results;

    fn protocol(quick: bool) -> Self::Protocol {
        Protocol {
            plan: Plan {
                curves: vec![Curve::ValidationAccuracy],
                ..Plan::mlp(&[64, 64, 64, 64, 10], pick(quick, 1, 20))
            },
            rates: pick(
                quick,
                vec![0.1],
                vec![0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0],
            ),
            rate_rule: Rule::Accuracy,
            own: Own {
                activations: ACTIVATIONS.iter().map(Activation::to_string).collect(),
                identity: "one norm after a fresh linear layer; gamma and beta of each unit by \
                           least squares over the training part in one batch",
                recovered_below: 1e-4,
                lost_above: 1e-2,
            },
            decision_rule: "holds of a norm: the median unexplained share is below \
                            recovered_below with gamma and beta and above lost_above without, \
                            and with either nonlinearity the test accuracy with gamma and beta \
                            is not clearly below that of no norm, by pairs of seeds. \
                            supported: of both norms; not supported: of neither; else depends",
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let data = protocol.plan.data.load()?;
        let of = |activation| {
            FORMS.map(|(method, gamma_and_beta)| Of {
                activation,
                method,
                gamma_and_beta,
            })
        };
        let settings: Vec<Of> = ACTIVATIONS.into_iter().flat_map(of).collect();
        let norms = [NormKind::Batch, NormKind::Layer];
        let looks = norms.len() * session.seeds().len();
        session.begin(size(session, protocol, settings.len()) + looks)?;
        let settings = cells(session, protocol, &settings, |of, rate, seed| {
            let spec = protocol.plan.spec().clone();
            let spec = spec.norm(of.method).activation(of.activation);
            match of.gamma_and_beta {
                Affine::Learned => {
                    let build = |rng: &mut _| spec.build(rng);
                    protocol.plan.trained(build, &data, rate, seed).1
                }
                Affine::Kept => {
                    let build = |rng: &mut _| Kept(spec.build(rng));
                    protocol.plan.trained(build, &data, rate, seed).1
                }
            }
            .into()
        })?;
        let key = |norm: &NormKind| format!("identity {norm}");
        let shares = session.by_seed(&norms, key, |&norm, seed| {
            unexplained(norm, seed, &data.train.images)
        })?;
        let identity = |(shares, method): (&Vec<[f64; 2]>, NormKind)| Identity {
            method,
            unexplained_fitted: Spread::over(shares, |share| share[0]),
            unexplained_kept: Spread::over(shares, |share| share[1]),
        };
        let identity = shares.iter().zip(norms).map(identity).collect();
        Ok(Results { identity, settings })
    }

    fn read(protocol: &Self::Protocol, results: &Results) -> Finding {
        let Results { identity, settings } = results;
        let groups: Vec<_> = settings.chunks(FORMS.len()).collect();
        let recovered = |of: &Identity| {
            of.unexplained_fitted.median < protocol.own.recovered_below
                && of.unexplained_kept.median > protocol.own.lost_above
        };
        let accurate = |of: &Identity| {
            let below = |group: &&[Cell<Of>]| {
                let with = test(group, of.method, Affine::Learned);
                with.seen_from(&group[0].test_accuracy) == Apart::Below
            };
            !groups.iter().any(below)
        };
        let judged = identity
            .iter()
            .map(|of| json!({ "recovered": recovered(of), "accuracy_kept": accurate(of) }));
        let told = identity.iter().map(|of| {
            let effect = groups.iter().map(|group| {
                let [with, without] =
                    [Affine::Learned, Affine::Kept].map(|affine| test(group, of.method, affine));
                let change = with.against(without);
                let how = change.apart();
                let how = how.say("clearly worse", "not clearly different", "clearly better");
                format!("{how} with {} ({})", group[0].of.activation, points(change))
            });
            format!(
                "{} {} the identity ({:.1e} of the variance unexplained with γ and β, {:.2} \
                 without) and {} the accuracy of no norm; learning γ and β is {}",
                name(of.method),
                if recovered(of) {
                    "recovers"
                } else {
                    "does not recover"
                },
                of.unexplained_fitted.median,
                of.unexplained_kept.median,
                if accurate(of) { "keeps" } else { "loses" },
                effect.collect::<Vec<_>>().join(" and "),
            )
        });
        let epochs = protocol.plan.epochs;
        Finding {
            derived: json!({ "identity": judged.collect::<Vec<Value>>() }),
            charts: groups.iter().map(|group| chart(group, epochs)).collect(),
            answer: Some(Answer::of(
                identity.iter().map(|of| recovered(of) && accurate(of)),
            )),
            verdict: format!("{}.", told.collect::<Vec<_>>().join("; ")),
            table: in_rows(results),
        }
    }
}

/// The test accuracy of a norm in one of its forms.
fn test(group: &[Cell<Of>], norm: NormKind, affine: Affine) -> &Sample {
    let same = |cell: &&Cell<Of>| cell.is(norm) && cell.of.gamma_and_beta == affine;
    let cell = group.iter().find(same).expect("every form is trained");
    &cell.test_accuracy
}

/// The share of the inputs' variance that the norm does not give back, with the γ and β
/// that give back most, and with 1 and 0.
fn unexplained(norm: NormKind, seed: u64, images: &Tensor<f32>) -> [f64; 2] {
    let rng = &mut StdRng::seed_from_u64(2 * seed);
    let mut first = Linear::<f32>::new(64, 64, rng);
    let x = Tape::eval(|t| {
        let images = t.constant(images.clone());
        first.train(&images).value().clone()
    });
    let (rows, units) = (x.shape()[0], x.shape()[1]);
    let mut norm = Norm::<f32>::new(norm, [units]);
    let through = |norm: &mut Norm<f32>| {
        Tape::eval(|t| {
            let x = t.constant(x.clone());
            norm.train(&x).value().clone()
        })
    };
    let of_x = Moments::of(&x);
    let variance: f64 = of_x.deviation.iter().map(|d| d * d).sum();
    let share = |y: &Tensor<f32>| {
        let off = y.data().iter().zip(x.data());
        let off: f64 = off.map(|(y, x)| f64::from(y - x).powi(2)).sum();
        off / (variance * rows as f64)
    };
    let x_hat = through(&mut norm);
    let of_x_hat = Moments::of(&x_hat);
    let mut covariance = vec![0.0; units];
    for (i, (&x, &x_hat)) in x.data().iter().zip(x_hat.data()).enumerate() {
        let j = i % units;
        let product = (f64::from(x) - of_x.mean[j]) * (f64::from(x_hat) - of_x_hat.mean[j]);
        covariance[j] += product / rows as f64;
    }
    let gamma = |j: usize| covariance[j] / of_x_hat.deviation[j].powi(2);
    each_state(&mut norm, |name, state| {
        let State::Param(param) = state else { return };
        let of = |j: usize| match name {
            "gamma" => gamma(j),
            _ => of_x.mean[j] - gamma(j) * of_x_hat.mean[j],
        };
        param.set(Tensor::from_fn([units], |j| of(j) as f32));
    });
    [share(&through(&mut norm)), share(&x_hat)]
}

fn chart(group: &[Cell<Of>], last: usize) -> (String, Chart) {
    let activation = group[0].of.activation.to_string();
    let curve = |cell: &Cell<Of>| cell.line(cell.curve(Curve::ValidationAccuracy, 1.0));
    let about = format!(
        "The accuracy on the validation part after each epoch, with {activation} between the \
         layers, without norm and with Batch Norm and Layer Norm whose γ and β are learned or \
         kept at 1 and 0, each at the rate that validation picks: median and quartiles over the \
         seeds."
    );
    let title = format!("With and without γ and β, {activation}");
    let chart = Chart::of(title, about, group.iter().map(curve))
        .x(|_, _| epochs(last.max(2)))
        .y(|_, _| Axis::linear("validation accuracy", 0.0, 1.0));
    (activation, guessing(chart))
}

fn in_rows(Results { identity, settings }: &Results) -> String {
    let table = table(
        settings,
        &[
            ("", -10, &|cell| cell.of.activation.to_string()),
            ("", -26, &|cell| cell.of.name()),
            ("rate", 8, &|cell| cell.chosen_rate.to_string()),
            ("test accuracy", 26, &|cell| {
                percent_range(*cell.test_accuracy)
            }),
        ],
    );
    let shares = identity.iter().map(|of| {
        let [fitted, kept] = [of.unexplained_fitted, of.unexplained_kept].map(|s| s.median);
        format!(
            "{:<12} γ, β fitted {fitted:.1e}, kept {kept:.3}\n",
            name(of.method)
        )
    });
    let shares: String = shares.collect();
    format!("{table}\nunexplained share of the variance:\n{shares}")
}
