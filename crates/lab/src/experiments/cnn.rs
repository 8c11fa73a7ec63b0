//! Claim C5: Batch Norm does particularly well in CNNs with large, consistent batches.
//!
//! In a CNN the statistics of Batch Norm run over the pixels too: M = N · H · W values for
//! each channel, 1,568 for a batch of 2 in the first layer. What small batches do to an MLP
//! (`batch`) need not happen here. All batch sizes see equally many examples.

use crate::kit::*;

pub(crate) struct Asked;

#[derive(Serialize)]
pub(crate) struct Own {
    norms: Vec<String>,
    batches: Vec<usize>,
}

const NORMS: [NormKind; 4] = [
    NormKind::None,
    NormKind::Batch,
    NormKind::Layer,
    NormKind::Group(4),
];

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Of {
    pub(crate) batch: usize,
    #[serde(with = "as_text")]
    pub(crate) method: NormKind,
}

impl Setting for Of {
    fn method(&self) -> NormKind {
        self.method
    }
}

/// For each batch size, the norms in their order.
#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) settings: Vec<Cell<Of>>,
}

impl Study for Asked {
    const CARD: Card = Card::new("cnn", 10)
        .asks("four norms in a CNN, over the batch size")
        .claim(
            "C5",
            "Batch Norm does particularly well in CNNs with large, consistent batches.",
        );

    type Protocol = Protocol<Own>;
    type Results = Results;

    fn protocol(quick: bool) -> Self::Protocol {
        let data = Data {
            set: Set::Large,
            first: Some(pick(quick, [64, 32, 32], [600, 500, 1670])),
        };
        Protocol {
            plan: Plan {
                data,
                network: Some(Network::cnn(&[1, 8, 16], data.set)),
                batch: None,
                curves: vec![Curve::ValidationAccuracy],
                ..Plan::mlp(&[], pick(quick, 1, 16))
            },
            rates: pick(
                quick,
                vec![0.03],
                vec![0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3],
            ),
            rate_rule: Rule::Accuracy,
            own: Own {
                norms: NORMS.iter().map(NormKind::to_string).collect(),
                batches: pick(quick, vec![2, 64], vec![2, 8, 64]),
            },
            decision_rule: "well: test accuracy of Batch Norm at the largest batch clearly above \
                            that of no norm, by pairs of seeds; particularly: and above those of \
                            Layer Norm and Group Norm; with large batches: clearly above its own \
                            at batches of 2. supported: all three; not supported: not well; else \
                            depends",
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let of = |&batch| NORMS.map(|method| Of { batch, method });
        let settings: Vec<Of> = protocol.own.batches.iter().flat_map(of).collect();
        let settings = swept(session, protocol, &settings, |of| {
            let batch = BatchSize::Fixed(of.batch);
            protocol.plan.clone().batch(batch).norm(of.method)
        })?;
        Ok(Results { settings })
    }

    fn read(_: &Self::Protocol, Results { settings }: &Results) -> Finding {
        let groups: Vec<_> = settings.chunks(NORMS.len()).collect();
        let (small, large) = (groups[0], groups[groups.len() - 1]);
        let test = |cell: &Cell<Of>| *cell.test_accuracy;
        let against = |a: &Cell<Of>, b: &Cell<Of>| a.test_accuracy.against(&b.test_accuracy);
        let above = |a, b| against(a, b).apart() == Apart::Above;
        let well = above(&large[1], &large[0]);
        let particularly = [2, 3].iter().all(|&i| above(&large[1], &large[i]));
        let with_large = above(&large[1], &small[1]);
        let leads = [0, 2, 3].map(|i| {
            let over = against(&large[1], &large[i]);
            (
                over,
                format!("over {} {}", large[i].of.name(), points(over)),
            )
        });
        let over_small = against(&large[1], &small[1]);
        let each = groups.iter().map(|group| {
            let number =
                |cell: &Cell<Of>| format!("{} {}", cell.of.name(), percent(test(cell).median));
            let numbers: Vec<String> = group.iter().map(number).collect();
            format!("batches of {}: {}", group[0].of.batch, numbers.join(", "))
        });
        let is = |yes: bool| if yes { "is" } else { "is not" };
        let table = table(
            settings,
            &[
                ("batches of", -12, &|cell| cell.of.batch.to_string()),
                ("", -12, &|cell| cell.of.name()),
                ("rate", 8, &|cell| cell.chosen_rate.to_string()),
                ("test accuracy", 26, &|cell| percent_range(test(cell))),
            ],
        );
        Finding {
            derived: json!({ "well": well, "particularly": particularly,
                "with_large_batches": with_large,
                "leads_at_the_largest": { "over_none": leads[0].0, "over_layer": leads[1].0,
                    "over_group": leads[2].0, "over_small_batches": over_small } }),
            charts: vec![("accuracy".into(), chart(&groups))],
            answer: Some(match well {
                true => Answer::of([true, particularly, with_large]),
                false => Answer::NotSupported,
            }),
            verdict: format!(
                "with the largest batches Batch Norm {} clearly better than no norm and {} \
                 clearly better than both Layer Norm and Group Norm, and {} clearly better with \
                 large batches than with small ones (its lead {}; over its own with small batches {}; \
                 test accuracy in %: {}).",
                is(well),
                is(particularly),
                is(with_large),
                list(&leads.each_ref().map(|(_, told)| told)),
                points(over_small),
                list(&each.collect::<Vec<_>>())
            ),
            table,
        }
    }
}

fn chart(groups: &[&[Cell<Of>]]) -> Chart {
    let of = |i: usize| {
        let point = |cell: &Cell<Of>| (cell.of.batch as f64, Some(*cell.test_accuracy));
        groups[0][i].line(groups.iter().map(|group| point(&group[i])).collect())
    };
    Chart::of(
        "A CNN over the batch size",
        "The accuracy of a CNN on the test part after equally many examples in batches of \
         different sizes, without norm and with Batch Norm, Layer Norm and Group Norm, each at \
         the rate that validation picks: median and quartiles over the seeds.",
        (0..NORMS.len()).map(of),
    )
    .x(batch_sizes)
    .y(|low, _| accuracy("test accuracy", low, 20.0))
}
