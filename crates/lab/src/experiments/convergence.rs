//! Claim C2: Batch Norm speeds up convergence.
//!
//! Every method is given, in each network, the rate at which it is fastest, and no norm a second
//! chance, from the weights of He et al. (2015). Steps are not seconds: what a step costs with
//! each norm is the experiment `cost`.

use std::collections::BTreeMap;

use crate::kit::*;

pub(crate) struct Asked;

#[derive(Serialize)]
pub(crate) struct Own {
    networks: BTreeMap<Which, Learned>,
}

/// A network, and how long it learns.
#[derive(Clone, Serialize)]
struct Learned {
    #[serde(flatten)]
    network: Network,
    epochs: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Which {
    Shallow,
    Deep,
    Cnn,
}

impl Which {
    fn name(self) -> &'static str {
        match self {
            Which::Shallow => "the MLP with 2 hidden layers",
            Which::Deep => "the MLP with 6 hidden layers",
            Which::Cnn => "the CNN",
        }
    }
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Of {
    pub(crate) network: Which,
    #[serde(flatten)]
    pub(crate) method: Method,
}

impl Setting for Of {
    fn method(&self) -> NormKind {
        self.method.method
    }

    fn start(&self) -> Start {
        self.method.start
    }
}

/// For each network, the methods of [`Method::ALL`].
#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) settings: Vec<Cell<Of>>,
}

impl Study for Asked {
    const CARD: Card = Card::new("convergence", 10)
        .asks("steps to a target accuracy, in MLPs and a CNN")
        .claim("C2", "Batch Norm speeds up convergence.");

    type Protocol = Protocol<Own>;
    type Results = Results;

    fn protocol(quick: bool) -> Self::Protocol {
        let epochs = pick(quick, 2, 30);
        let mlp = |sizes: &[usize]| Learned {
            network: Network::mlp(sizes),
            epochs,
        };
        let cnn = Learned {
            network: Network::cnn(&[1, 16, 32], Set::Small),
            epochs: pick(quick, 1, 10),
        };
        Protocol {
            plan: Plan {
                network: None,
                score_each: Some(pick(quick, 9, 3)),
                target: Some(0.95),
                curves: vec![Curve::ValidationAccuracy],
                ..Plan::mlp(&[], epochs)
            },
            rates: pick(quick, vec![0.1], vec![0.003, 0.01, 0.03, 0.1, 0.3, 1.0]),
            rate_rule: Rule::Speed,
            own: Own {
                networks: BTreeMap::from([
                    (Which::Shallow, mlp(&[64, 64, 64, 10])),
                    (Which::Deep, mlp(&[64, 64, 64, 64, 64, 64, 64, 10])),
                    (Which::Cnn, cnn),
                ]),
            },
            decision_rule: "faster: fewer steps until the validation accuracy first reaches the \
                            target, clearly by pairs of seeds. supported: Batch Norm is faster \
                            than no norm, from either start, in all networks; not supported: in \
                            none; else depends",
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let networks = &protocol.own.networks;
        let of = |&network| Method::ALL.map(|method| Of { network, method });
        let settings: Vec<Of> = networks.keys().flat_map(of).collect();
        let settings = swept(session, protocol, &settings, |of| {
            let Learned { network, epochs } = networks[&of.network].clone();
            let plan = Plan {
                network: Some(network),
                epochs,
                ..protocol.plan.clone()
            };
            of.method.plan(plan)
        })?;
        Ok(Results { settings })
    }

    fn read(protocol: &Self::Protocol, Results { settings }: &Results) -> Finding {
        let each = protocol
            .plan
            .score_each
            .expect("scores are some steps apart");
        let target = percent(protocol.plan.target.expect("there is a target"));
        let groups: Vec<_> = settings.chunks(Method::ALL.len()).collect();
        let against = |group: &[Cell<Of>], i: usize, other: usize| {
            group[i].to_target().over_that_of(group[other].to_target())
        };
        let told = groups.iter().map(|group| {
            let after = |cell: &Cell<Of>| match cell.to_target().median {
                steps if steps.is_finite() => format!("after {steps} steps"),
                _ => "never".to_owned(),
            };
            let [none, batch, layer, he] = [0, 1, 2, 3].map(|i| after(&group[i]));
            // Of a network that never gets there, there is no share.
            let shares = [("PyTorch's", 0), ("He's", 3)].map(|(start, other)| {
                let share = against(group, 1, other);
                (share.median > 0.0).then(|| format!("{} those from {start}", times(share)))
            });
            let shares: Vec<String> = shares.into_iter().flatten().collect();
            format!(
                "in {} no norm gets there {none} from PyTorch's weights and {he} from He's, Batch \
                 Norm {batch} ({}) and Layer Norm {layer}",
                group[0].of.network.name(),
                list(&shares)
            )
        });
        let table = table(
            settings,
            &[
                ("", -32, &|cell| cell.of.network.name().to_owned()),
                ("", -24, &|cell| cell.of.name()),
                ("rate", 8, &|cell| cell.chosen_rate.to_string()),
                (&format!("steps to {target} %"), 24, &|cell| {
                    count_range(**cell.to_target())
                }),
                ("test accuracy at the end", 26, &|cell| {
                    percent_range(*cell.test_accuracy)
                }),
            ],
        );
        let entries = settings.iter().map(|_| json!({ "scored_each": each }));
        let compared = groups.iter().map(|group| {
            json!({ "network": group[0].of.network,
                "batch_over_none": against(group, 1, 0), "batch_over_he": against(group, 1, 3),
                "layer_over_none": against(group, 2, 0), "layer_over_he": against(group, 2, 3),
                "layer_over_batch": against(group, 2, 1), "he_over_none": against(group, 3, 0) })
        });
        let faster = |group: &&[Cell<Of>]| {
            [0, 3].map(|other| against(group, 1, other).apart() == Apart::Below)
        };
        Finding {
            derived: json!({ "settings": entries.collect::<Vec<Value>>(),
                "compared": compared.collect::<Vec<Value>>() }),
            charts: groups
                .iter()
                .map(|group| chart(group, each as f64, &target))
                .collect(),
            answer: Some(Answer::of(groups.iter().flat_map(faster))),
            verdict: format!(
                "to {target} % on the validation part, {}.",
                list(&told.collect::<Vec<_>>())
            ),
            table,
        }
    }
}

fn chart(group: &[Cell<Of>], each: f64, target: &str) -> (String, Chart) {
    let lines = group.iter().map(|cell| Line {
        name: cell.name_and_rate(),
        ..cell.line(cell.curve(Curve::ValidationAccuracy, each))
    });
    let network = group[0].of.network;
    let about = format!(
        "The accuracy on the validation part while {} learns, without norm from PyTorch's weights \
         and from He's, with Batch Norm and with Layer Norm, each at the rate at which it first \
         reaches {target} %: median and quartiles over the seeds.",
        network.name()
    );
    let chart = Chart::of("Validation accuracy over steps", about, lines)
        .x(|_, last| Axis::log("steps", each, last.max(2.0 * each)))
        .y(|_, _| Axis::linear("validation accuracy", 0.0, 1.0));
    (format!("{network:?}").to_lowercase(), guessing(chart))
}
