//! Claim C4: Batch Norm allows higher learning rates.
//!
//! A method is said to train at a rate if three of four seeds get there, for a rate at which
//! half of the runs fail is of no use. Whether higher rates are of use is another question;
//! the test accuracy at the rate that validation picks is reported too.

use crate::kit::*;

pub(crate) struct Asked;

#[derive(Serialize)]
pub(crate) struct Own {
    /// How often the hidden layer of the network is there.
    hidden_layers: Vec<usize>,
    momentum: Vec<f64>,
    trains_at: f64,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Of {
    #[serde(with = "as_text")]
    method: NormKind,
    hidden_layers: usize,
    momentum: f64,
}

impl Of {
    fn plan(&self, protocol: &Protocol<Own>) -> Plan {
        let [inputs, hidden, outputs] = protocol.plan.spec().sizes[..] else {
            unreachable!("the network of the protocol has one hidden layer")
        };
        let mut sizes = vec![hidden; self.hidden_layers + 2];
        sizes[0] = inputs;
        sizes[self.hidden_layers + 1] = outputs;
        let momentum = self.momentum;
        let plan = Plan {
            network: Some(Network::mlp(&sizes)),
            optimizer: Some(Sgd { momentum }),
            ..protocol.plan.clone()
        };
        plan.norm(self.method)
    }

    /// Where the methods are compared.
    fn place(&self) -> String {
        let momentum = match self.momentum {
            0.0 => "plain SGD".to_owned(),
            momentum => format!("momentum {momentum}"),
        };
        format!("{} hidden layers with {momentum}", self.hidden_layers)
    }
}

impl Setting for Of {
    fn method(&self) -> NormKind {
        self.method
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    settings: Vec<Cell<Of>>,
}

impl Study for Asked {
    const CARD: Card = Card::new("rates", 6)
        .asks("the highest learning rate that still trains")
        .claim("C4", "Batch Norm allows higher learning rates.");

    type Protocol = Protocol<Own>;
    type Results = Results;

    fn protocol(quick: bool) -> Self::Protocol {
        Protocol {
            plan: Plan {
                optimizer: None,
                ..Plan::mlp(&[64, 64, 10], pick(quick, 2, 15))
            },
            rates: pick(
                quick,
                vec![0.03, 0.3],
                vec![0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0],
            ),
            rate_rule: Rule::Accuracy,
            own: Own {
                hidden_layers: vec![2, 8],
                momentum: vec![0.0, 0.9],
                trains_at: 0.9,
            },
            decision_rule: "highest rate: the highest of the grid at which the first quartile \
                            of the validation accuracy is at least trains_at. The claim holds in \
                            a setting if the highest rate of Batch Norm is above that of no \
                            norm. supported: in all settings; not supported: in none; else \
                            depends",
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let mut settings = Vec::new();
        for &hidden_layers in &protocol.own.hidden_layers {
            for &momentum in &protocol.own.momentum {
                settings.extend(METHODS.map(|method| Of {
                    method,
                    hidden_layers,
                    momentum,
                }));
            }
        }
        let settings = swept(session, protocol, &settings, |of| of.plan(protocol))?;
        Ok(Results { settings })
    }

    fn read(protocol: &Self::Protocol, Results { settings }: &Results) -> Finding {
        let trains_at = protocol.own.trains_at;
        let highest = |cell: &Cell<Of>| {
            let trains = |at: &&AtRate| at.validation_accuracy.low >= trains_at;
            cell.rates
                .iter()
                .filter(trains)
                .map(|at| at.rate)
                .next_back()
        };
        let told =
            |cell: &Cell<Of>| highest(cell).map_or("none".to_owned(), |rate: f64| rate.to_string());
        let groups: Vec<_> = settings.chunks(METHODS.len()).collect();
        let each = groups.iter().map(|group| {
            let [none, batch, layer] = [0, 1, 2].map(|i| told(&group[i]));
            let place = group[0].of.place();
            format!(
                "{none} without norm, {batch} with Batch Norm, {layer} with Layer Norm at {place}"
            )
        });
        let by_place = groups.iter().map(|group| {
            let [none, batch, layer] = [0, 1, 2].map(|i| told(&group[i]));
            json!({ "setting": group[0].of.place(), "none": none, "batch_norm": batch,
                "layer_norm": layer })
        });
        let entries = settings
            .iter()
            .map(|cell| json!({ "highest_rate": highest(cell) }));
        let table = table(
            settings,
            &[
                ("", -36, &|cell| cell.of.place()),
                ("", -12, &|cell| cell.of.name()),
                ("highest rate", 13, &|cell| told(cell)),
                ("picked rate", 13, &|cell| cell.chosen_rate.to_string()),
                ("test accuracy there", 26, &|cell| {
                    percent_range(cell.test_accuracy)
                }),
            ],
        );
        let ends = [
            "shallow-plain",
            "shallow-momentum",
            "deep-plain",
            "deep-momentum",
        ];
        let chart = |(end, group): (&&str, &&[Cell<Of>])| {
            let about = format!(
                "The accuracy on the validation part after the last epoch at each learning \
                 rate, for {}, without norm, with Batch Norm and with Layer Norm: median and \
                 quartiles over the seeds; a run that diverged counts as 0.",
                group[0].of.place()
            );
            let title = "Validation accuracy over the learning rate";
            ((*end).to_owned(), over_rates(title, about, group))
        };
        let holds = |group: &&[_]| highest(&group[1]) > highest(&group[0]);
        Finding {
            derived: json!({ "highest": by_place.collect::<Vec<Value>>(),
                "settings": entries.collect::<Vec<Value>>() }),
            charts: ends.iter().zip(&groups).map(chart).collect(),
            answer: Some(Answer::of(groups.iter().map(holds))),
            verdict: format!(
                "the highest rate that trains to {} % is {}.",
                percent(trains_at),
                list(&each.collect::<Vec<_>>())
            ),
            table,
        }
    }
}
