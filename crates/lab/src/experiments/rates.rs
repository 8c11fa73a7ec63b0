//! Claim C4: Batch Norm allows higher learning rates.
//!
//! Nothing is tuned, for the grid of rates is what is measured: every method is trained at every
//! rate from every seed, and what counts is the highest rate at which a seed still trains. Whether
//! high rates are of use is another question, and C2's.

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
    #[serde(flatten)]
    method: Method,
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
        self.method.plan(plan)
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
        self.method.method
    }

    fn start(&self) -> Start {
        self.method.start
    }
}

/// For each place, the methods of [`Method::ALL`].
#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    settings: Vec<Row>,
}

/// One method at one place. No rate is picked: the grid is what is measured, from every seed.
#[derive(Serialize, Deserialize)]
struct Row {
    /// By this name a chapter finds it.
    cell: String,
    #[serde(flatten)]
    of: Of,
    rates: Vec<AtRate>,
    /// The highest rate at which a seed trains; 0 if there is none.
    highest_rate: Sample,
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
            rate_rule: Rule::None,
            own: Own {
                hidden_layers: vec![2, 8],
                momentum: vec![0.0, 0.9],
                trains_at: 0.9,
            },
            decision_rule: "highest rate of a seed: the highest of the grid at which its \
                            validation accuracy is at least trains_at. The claim holds in a \
                            setting if that of Batch Norm is above that of no norm, from either \
                            start, clearly by pairs of seeds. supported: in all settings; not \
                            supported: in none; else depends",
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let mut settings = Vec::new();
        for &hidden_layers in &protocol.own.hidden_layers {
            for &momentum in &protocol.own.momentum {
                settings.extend(Method::ALL.map(|method| Of {
                    method,
                    hidden_layers,
                    momentum,
                }));
            }
        }
        let data = protocol.plan.data.load()?;
        let with_rate = |of: &Of| -> Vec<(Of, f64)> {
            let rates = protocol.rates.iter();
            rates.map(|&rate| (of.clone(), rate)).collect()
        };
        let trained: Vec<(Of, f64)> = settings.iter().flat_map(with_rate).collect();
        session.begin(trained.len() * session.seeds().len())?;
        let key = |(of, rate): &(Of, f64)| format!("{} {rate}", of.key());
        let runs = session.by_seed(&trained, key, |(of, rate), seed| {
            attempted(|| of.plan(protocol).run(&data, *rate, seed))
        })?;
        let by_setting = runs.chunks(protocol.rates.len());
        let row = |(of, by_rate): (Of, &[Vec<Run>])| Row::new(protocol, of, by_rate);
        Ok(Results {
            settings: settings.into_iter().zip(by_setting).map(row).collect(),
        })
    }

    fn read(protocol: &Self::Protocol, Results { settings }: &Results) -> Finding {
        let trains_at = protocol.own.trains_at;
        let told = |row: &Row| match row.highest_rate.median {
            0.0 => "none".to_owned(),
            rate => rate.to_string(),
        };
        let groups: Vec<_> = settings.chunks(Method::ALL.len()).collect();
        let against = |group: &[Row], i: usize, other: usize| {
            group[i]
                .highest_rate
                .over_that_of(&group[other].highest_rate)
        };
        let each = groups.iter().map(|group| {
            let [none, batch, layer, he] = [0, 1, 2, 3].map(|i| told(&group[i]));
            let place = group[0].of.place();
            format!(
                "{none} without norm and {he} from He's weights, {batch} with Batch Norm, {layer} \
                 with Layer Norm at {place}"
            )
        });
        let by_place = groups.iter().map(|group| {
            let [none, batch, layer, he] = [0, 1, 2, 3].map(|i| told(&group[i]));
            json!({ "setting": group[0].of.place(), "none": none, "he": he, "batch_norm": batch,
                "layer_norm": layer, "batch_over_none": against(group, 1, 0),
                "batch_over_he": against(group, 1, 3), "layer_over_batch": against(group, 2, 1),
                "layer_over_he": against(group, 2, 3) })
        });
        let table = table(
            settings,
            &[
                ("", -36, &|row| row.of.place()),
                ("", -24, &|row| row.of.name()),
                ("highest rate", 24, &|row| count_range(*row.highest_rate)),
            ],
        );
        let ends = [
            "shallow-plain",
            "shallow-momentum",
            "deep-plain",
            "deep-momentum",
        ];
        let chart = |(end, group): (&&str, &&[Row])| {
            let about = format!(
                "The accuracy on the validation part after the last epoch at each learning \
                 rate, for {}, without norm from PyTorch's weights and from He's, with Batch Norm \
                 and with Layer Norm: median and quartiles over the seeds; a run that diverged \
                 counts as 0.",
                group[0].of.place()
            );
            let title = "Validation accuracy over the learning rate";
            let lines = group.iter().map(|row| {
                let points = row
                    .rates
                    .iter()
                    .map(|at| (at.rate, Some(at.validation_accuracy)));
                Line::new(row.of.name(), row.of.ink(), points.collect())
            });
            (
                (*end).to_owned(),
                guessing(rates_chart(title, about, lines)),
            )
        };
        let holds =
            |group: &&[Row]| [0, 3].map(|other| against(group, 1, other).apart() == Apart::Above);
        Finding {
            derived: json!({ "highest": by_place.collect::<Vec<Value>>(),
                "settings": settings.iter().map(Row::best).collect::<Vec<Value>>() }),
            charts: ends.iter().zip(&groups).map(chart).collect(),
            answer: Some(Answer::of(groups.iter().flat_map(holds))),
            verdict: format!(
                "the highest rate that trains to {} % is {}.",
                percent(trains_at),
                list(&each.collect::<Vec<_>>())
            ),
            table,
        }
    }
}

impl Row {
    fn new(protocol: &Protocol<Own>, of: Of, by_rate: &[Vec<Run>]) -> Self {
        let rates = || protocol.rates.iter().zip(by_rate);
        let highest = |seed: &usize| {
            let trains = |runs: &[Run]| {
                let end = runs[*seed].curve().last();
                end.is_some_and(|end| end.validation.accuracy >= protocol.own.trains_at)
            };
            let at = rates().filter(|(_, runs)| trains(runs));
            at.map(|(&rate, _)| rate).fold(0.0, f64::max)
        };
        let seeds: Vec<usize> = (0..by_rate[0].len()).collect();
        Row {
            cell: of.key(),
            rates: rates()
                .map(|(&rate, runs)| AtRate::new(rate, runs))
                .collect(),
            highest_rate: Sample::over(&seeds, highest),
            of,
        }
    }

    /// The highest median over the rates, and where it is.
    fn best(&self) -> Value {
        let better = |a: &&AtRate, b: &&AtRate| {
            let [a, b] = [a, b].map(|at| at.validation_accuracy.median);
            a.total_cmp(&b)
        };
        let best = self
            .rates
            .iter()
            .rev()
            .max_by(better)
            .expect("the grid has a rate");
        json!({ "best": { "rate": best.rate, "validation_accuracy": best.validation_accuracy } })
    }
}
