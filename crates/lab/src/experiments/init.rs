//! Claim C3: Batch Norm makes training less sensitive to initial weights.
//!
//! The gain √2 keeps the size of signals through ReLU. Two readings are made of one sweep. With
//! its *own rate*, each method has at each scale the rate that validation picks there, which
//! may make up for bad weights; with *one rate*, it keeps the one that was picked at √2, as
//! somebody would who does not know that the weights are bad.

use nn::Init;

use crate::kit::*;

pub(crate) struct Asked;

#[derive(Serialize)]
pub(crate) struct Own {
    scales: Vec<f64>,
    usual_scale: f64,
    trains_at: f64,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Of {
    #[serde(with = "as_text")]
    method: NormKind,
    scale: f64,
}

impl Setting for Of {
    fn method(&self) -> NormKind {
        self.method
    }
}

impl Of {
    fn plan(&self, protocol: &Protocol<Own>) -> Plan {
        let spec = protocol.plan.spec().clone();
        let network = Network::Mlp(spec.init(Init::scaled_normal(self.scale)));
        let plan = Plan {
            network: Some(network),
            ..protocol.plan.clone()
        };
        plan.norm(self.method)
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    settings: Vec<Both>,
}

/// What is found at a scale, with the rate that was picked there, and with the one that was
/// picked at the usual scale.
#[derive(Serialize, Deserialize)]
struct Both {
    #[serde(flatten)]
    cell: Cell<Of>,
    test_accuracy_at_one_rate: Sample,
}

impl Study for Asked {
    const CARD: Card = Card::new("init", 6)
        .asks("initial weights from far too small to far too large")
        .claim(
            "C3",
            "Batch Norm makes training less sensitive to initial weights.",
        );

    type Protocol = Protocol<Own>;
    type Results = Results;

    fn protocol(quick: bool) -> Self::Protocol {
        let usual_scale = std::f64::consts::SQRT_2;
        let protocol = Protocol {
            plan: Plan::mlp(&[64, 64, 64, 64, 64, 64, 10], pick(quick, 2, 15)),
            rates: pick(quick, vec![0.03, 0.1], decades(-9, 1)),
            rate_rule: Rule::Accuracy,
            own: Own {
                scales: pick(
                    quick,
                    vec![0.1, usual_scale],
                    vec![0.03, 0.1, 0.3, 0.7, usual_scale, 3.0, 10.0, 30.0],
                ),
                usual_scale,
                trains_at: 0.9,
            },
            decision_rule: "range: the scales at which the median test accuracy is at least \
                            trains_at. supported: the range of Batch Norm is larger than that \
                            of no norm, with a rate picked at each scale and with the rate \
                            picked at usual_scale; depends: with one of them; else not \
                            supported",
        };
        let usual = Of {
            method: NormKind::None,
            scale: usual_scale,
        };
        Protocol {
            plan: usual.plan(&protocol),
            ..protocol
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let scales = &protocol.own.scales;
        let of = |method| scales.iter().map(move |&scale| Of { method, scale });
        let settings: Vec<Of> = METHODS.into_iter().flat_map(of).collect();
        let data = protocol.plan.data.load()?;
        // At most: where the same rate is picked, no run is made again.
        let again = settings.len() * session.seeds().len();
        session.begin(size(session, protocol, settings.len()) + again)?;
        let run = |of: &Of, rate, seed| attempted(|| of.plan(protocol).run(&data, rate, seed));
        let cells = cells(session, protocol, &settings, run)?;
        let usual = |of: &Of| {
            let same = |cell: &&Cell<Of>| {
                cell.of.method == of.method && cell.of.scale == protocol.own.usual_scale
            };
            let cell = cells.iter().find(same);
            cell.expect("the usual scale is in the grid").chosen_rate
        };
        let differs = |cell: &&Cell<Of>| cell.chosen_rate != usual(&cell.of);
        let others: Vec<Of> = cells
            .iter()
            .filter(differs)
            .map(|cell| cell.of.clone())
            .collect();
        let key = |of: &Of| format!("one rate {}", of.key());
        let at_one = session.by_seed(&others, key, |of, seed| run(of, usual(of), seed))?;
        let mut at_one = at_one.iter().map(|runs| Sample::over(runs, test_accuracy));
        let both = cells.iter().map(|cell| match differs(&cell) {
            true => at_one.next().expect("it was run"),
            false => cell.test_accuracy.clone(),
        });
        let both = both.collect::<Vec<Sample>>();
        let both = cells.into_iter().zip(both);
        Ok(Results {
            settings: both
                .map(|(cell, test_accuracy_at_one_rate)| Both {
                    cell,
                    test_accuracy_at_one_rate,
                })
                .collect(),
        })
    }

    fn read(protocol: &Self::Protocol, Results { settings }: &Results) -> Finding {
        let Own {
            scales,
            usual_scale,
            trains_at,
        } = &protocol.own;
        let row = |cells| Row::of(cells, *usual_scale, *trains_at);
        let rows: Vec<Row<'_>> = settings.chunks(scales.len()).map(row).collect();
        let [none, batch, layer] = &rows[..] else {
            panic!("three methods are compared")
        };
        let ranges = rows.iter().map(|row| {
            let [own_rate, one_rate] = row.ranges;
            json!({ "method": row.method().method().to_string(), "own_rate": own_rate,
                "one_rate": one_rate, "one_rate_is": row.rate })
        });
        let by_scale = scales.iter().enumerate().map(|(i, scale)| {
            let [none, batch, layer] = [none, batch, layer].map(|row| row.own[i].median);
            json!({ "scale": scale, "none": none, "batch_norm": batch, "layer_norm": layer })
        });
        let range = |row: &Row<'_>| {
            let [own, one] = row.ranges;
            format!("{} at {own} and {one}", row.method().name())
        };
        Finding {
            derived: json!({
                "by_scale": by_scale.collect::<Vec<Value>>(),
                "ranges": ranges.collect::<Vec<Value>>(),
            }),
            charts: vec![
                ("own-rate".into(), chart(&rows, true)),
                ("one-rate".into(), chart(&rows, false)),
            ],
            answer: Some(Answer::of([0, 1].map(|i| batch.ranges[i] > none.ranges[i]))),
            verdict: format!(
                "of {} scales of the initial weights, {}, {} and {} train to {} %, with the rate \
                 picked at each scale and with the rate picked at the usual one.",
                scales.len(),
                range(none),
                range(batch),
                range(layer),
                percent(*trains_at),
            ),
            table: told(&rows, scales),
        }
    }
}

/// One method at all scales.
struct Row<'a> {
    cells: &'a [Both],
    /// Test accuracy at each scale, at the rate picked there.
    own: Vec<Spread>,
    /// Test accuracy at each scale, at the rate picked at the usual scale.
    one: Vec<Spread>,
    /// That rate.
    rate: f64,
    /// The number of scales at which the method trains, in both readings.
    ranges: [usize; 2],
}

impl<'a> Row<'a> {
    fn of(cells: &'a [Both], usual: f64, trains_at: f64) -> Self {
        let usual = cells.iter().find(|both| both.cell.of.scale == usual);
        let usual = usual.expect("the usual scale is in the grid");
        let rate = usual.cell.chosen_rate;
        let own: Vec<Spread> = cells.iter().map(|both| *both.cell.test_accuracy).collect();
        let one = cells.iter().map(|both| *both.test_accuracy_at_one_rate);
        let one: Vec<Spread> = one.collect();
        let trains = |spread: &&Spread| spread.median >= trains_at;
        let ranges = [&own, &one].map(|spreads| spreads.iter().filter(trains).count());
        Row {
            cells,
            own,
            one,
            rate,
            ranges,
        }
    }

    fn method(&self) -> &Of {
        &self.cells[0].cell.of
    }
}

fn chart(rows: &[Row<'_>], own: bool) -> Chart {
    let of = |row: &Row<'_>| {
        let name = row.method().name();
        let (spreads, name) = match own {
            true => (&row.own, name),
            false => (&row.one, format!("{name}, rate {}", row.rate)),
        };
        let scales = row.cells.iter().map(|both| both.cell.of.scale);
        let points = scales.zip(spreads.iter().copied().map(Some)).collect();
        Line::new(name, row.method().ink(), points)
    };
    let rate = match own {
        true => "the rate that validation picks at each scale",
        false => "the rate that validation picked at the scale of √2",
    };
    let about = format!(
        "The accuracy on the test part, without norm, with Batch Norm and with Layer Norm, with \
         weights of deviation scale/√fan_in at the start and {rate}: median and quartiles over \
         the seeds; a run that diverged counts as 0."
    );
    let title = "Test accuracy over the scale of the initial weights";
    Chart::of(title, about, rows.iter().map(of))
        .x(|first, last| Axis::log("scale of the initial weights", first, last))
        .y(|_, _| Axis::linear("test accuracy", 0.0, 1.0))
}

fn told(rows: &[Row<'_>], scales: &[f64]) -> String {
    let scales: Vec<String> = scales.iter().map(|scale| format!("{scale:.2}")).collect();
    let readings = rows
        .iter()
        .flat_map(|row| [("own rate", row, &row.own), ("one rate", row, &row.one)]);
    let table = Table::wide("test accuracy (%)", -22, &scales, 6);
    let table = table.rows(readings, |(reading, row, spreads)| {
        let name = format!("{}, {reading}", row.method().name());
        [name]
            .into_iter()
            .chain(spreads.iter().map(|s| percent(s.median)))
    });
    table.to_string()
}
