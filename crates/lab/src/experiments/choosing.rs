//! Claim C12: so, Batch Norm for CNNs with large batches, and Layer Norm for sequences and
//! small batches.
//!
//! Nothing is trained. This reads the results of others, and makes the decision table: in each
//! situation, how Batch Norm and Layer Norm do, each in its better form where there are
//! several, and the *front*, all methods that are not clearly worse than the one with the best
//! median. Where the claim names a norm that is clearly worse, the verdict says so.

use super::{batch, cnn, convergence, recurrent, transformer};
use crate::kit::*;

pub(crate) struct Asked;

#[derive(Serialize)]
pub(crate) struct Situations {
    built_from: [&'static str; 5],
    named: Vec<Value>,
    decision_rule: &'static str,
}

/// Where the claim names a norm.
struct Situation {
    what: &'static str,
    from: &'static str,
    named: &'static str,
    /// Whether more of what is compared is better.
    more: bool,
    /// What is compared: of each method, by its name.
    entries: fn(&Others) -> Vec<Entry>,
}

const BATCH: &str = "Batch Norm";
const LAYER: &str = "Layer Norm";

const SITUATIONS: [Situation; 9] = [
    Situation {
        what: "CNN, batches of 64, accuracy",
        from: "cnn",
        named: BATCH,
        more: true,
        entries: |others| others.cnn(64),
    },
    Situation {
        what: "CNN, batches of 64, steps to the target",
        from: "convergence",
        named: BATCH,
        more: false,
        entries: |others| {
            let cells = others.convergence.settings.iter();
            let cnn = cells.filter(|cell| cell.of.network == convergence::Which::Cnn);
            cnn.map(|cell| Entry::of(cell, cell.to_target().clone()))
                .collect()
        },
    },
    Situation {
        what: "MLP, batches of 1, accuracy",
        from: "batch",
        named: LAYER,
        more: true,
        entries: |others| others.mlp(1),
    },
    Situation {
        what: "MLP, batches of 2, accuracy",
        from: "batch",
        named: LAYER,
        more: true,
        entries: |others| others.mlp(2),
    },
    Situation {
        what: "CNN, batches of 2, accuracy",
        from: "cnn",
        named: LAYER,
        more: true,
        entries: |others| others.cnn(2),
    },
    Situation {
        what: "LSTM, trained lengths, loss",
        from: "recurrent",
        named: LAYER,
        more: false,
        entries: |others| others.lstm(|of| &of.test_loss),
    },
    Situation {
        what: "LSTM, beyond trained lengths, loss",
        from: "recurrent",
        named: LAYER,
        more: false,
        entries: |others| others.lstm(|of| &of.test_loss_beyond),
    },
    Situation {
        what: "Transformer, 3 blocks, loss",
        from: "transformer",
        named: LAYER,
        more: false,
        entries: |others| others.transformer(3),
    },
    Situation {
        what: "Transformer, 16 blocks, loss",
        from: "transformer",
        named: LAYER,
        more: false,
        entries: |others| others.transformer(16),
    },
];

/// What the others have found.
struct Others {
    cnn: cnn::Results,
    convergence: convergence::Results,
    batch: batch::Results,
    recurrent: recurrent::Results,
    transformer: transformer::Results,
}

/// The test accuracies of the settings that are meant.
fn accuracies<S: Setting>(cells: &[Cell<S>], meant: impl Fn(&S) -> bool) -> Vec<Entry> {
    let cells = cells.iter().filter(|cell| meant(&cell.of));
    cells
        .map(|cell| Entry::of(cell, cell.test_accuracy.clone()))
        .collect()
}

impl Others {
    fn cnn(&self, batch: usize) -> Vec<Entry> {
        accuracies(&self.cnn.settings, |of| of.batch == batch)
    }

    fn mlp(&self, batch: usize) -> Vec<Entry> {
        accuracies(&self.batch.settings, |of| of.batch == batch)
    }

    fn lstm(&self, of: fn(&recurrent::Tested) -> &Sample) -> Vec<Entry> {
        let entry = |cell: &LossCell<recurrent::Tested>| Entry {
            method: cell.of.method.to_string(),
            found: of(&cell.of).clone(),
        };
        self.recurrent.methods.iter().map(entry).collect()
    }

    fn transformer(&self, blocks: usize) -> Vec<Entry> {
        let depths = self.transformer.depths.iter();
        let forms = depths
            .filter(|depth| depth.blocks == blocks)
            .flat_map(|depth| &depth.forms);
        let entry = |cell: &LossCell<transformer::Tested>| Entry {
            method: cell.of.form.clone(),
            found: cell.of.test_loss.clone(),
        };
        forms.map(entry).collect()
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    situations: Vec<Row>,
    /// How far Batch Norm is ahead of Layer Norm in an MLP and in a CNN.
    leads: Vec<Leads>,
}

/// A row of the decision table.
#[derive(Serialize, Deserialize)]
struct Row {
    situation: String,
    from: String,
    named: String,
    methods: Vec<Entry>,
}

/// One method in one situation.
#[derive(Serialize, Deserialize)]
struct Entry {
    method: String,
    #[serde(flatten)]
    found: Sample,
}

/// Test accuracy of Batch Norm less that of Layer Norm, seed by seed, at each batch size.
#[derive(Serialize, Deserialize)]
struct Leads {
    network: String,
    by_batch: Vec<(usize, Option<Spread>)>,
}

impl Study for Asked {
    const CARD: Card = Card::new("choosing", 18)
        .asks("which norm in which situation, from the results of the others")
        .claim(
            "C12",
            "So: Batch Norm for CNNs with large batches; Layer Norm for sequences and small \
               batches.",
        );

    type Protocol = Situations;
    type Results = Results;

    fn protocol(_: bool) -> Situations {
        let named = SITUATIONS.iter().map(|situation| {
            json!({ "situation": situation.what, "norm": situation.named, "from": situation.from })
        });
        Situations {
            built_from: ["cnn", "convergence", "batch", "recurrent", "transformer"],
            named: named.collect(),
            decision_rule: "front: all methods not clearly worse than the best median; holds in a \
                            situation: the named norm is clearly better than the other of Batch \
                            Norm and Layer Norm, by pairs of seeds. supported: in all; not \
                            supported: in none; else depends",
        }
    }

    fn run(_: &Situations, session: &mut Session) -> Result<Results, Error> {
        session.begin(0)?;
        let others = Others {
            cnn: recorded::<cnn::Asked>()?,
            convergence: recorded::<convergence::Asked>()?,
            batch: recorded::<batch::Asked>()?,
            recurrent: recorded::<recurrent::Asked>()?,
            transformer: recorded::<transformer::Asked>()?,
        };
        let row = |situation: &Situation| {
            let row = Row {
                situation: situation.what.to_owned(),
                from: situation.from.to_owned(),
                named: situation.named.to_owned(),
                methods: (situation.entries)(&others),
            };
            match [BATCH, LAYER]
                .into_iter()
                .find(|norm| row.forms(norm).next().is_none())
            {
                None => Ok(row),
                Some(norm) => Err(Error::Results {
                    name: row.from,
                    reason: format!("{:?} has no {norm}", row.situation),
                }),
            }
        };
        let mlp = leads(&others.batch.settings, |of| of.batch);
        let cnn = leads(&others.cnn.settings, |of| of.batch);
        let leads = [("MLP", mlp), ("CNN", cnn)].map(|(network, by_batch)| Leads {
            network: network.to_owned(),
            by_batch,
        });
        Ok(Results {
            situations: SITUATIONS.iter().map(row).collect::<Result<_, _>>()?,
            leads: leads.into(),
        })
    }

    fn read(_: &Situations, Results { situations, leads }: &Results) -> Finding {
        let derived = situations
            .iter()
            .map(|row| json!({ "judged": row.words(), "front": list(&row.front()) }));
        let those = |wanted: Apart| {
            let rows = situations.iter().filter(|row| row.judge() == wanted);
            let what = rows.map(|row| format!("{} ({})", row.situation, row.named));
            what.collect::<Vec<String>>().join("; ")
        };
        let mut verdict = format!(
            "the norm that the claim names is clearly better in: {}",
            those(Apart::Above)
        );
        for (apart, what) in [
            (Apart::Unclear, "there is no clear difference in"),
            (Apart::Below, "it is clearly worse in"),
        ] {
            let those = those(apart);
            if !those.is_empty() {
                verdict += &format!(". And {what}: {those}");
            }
        }
        let table = table(
            situations,
            &[
                ("situation", -42, &|row| row.situation.clone()),
                ("named", -12, &|row| row.named.clone()),
                ("judged", -28, &|row| row.words().to_owned()),
                ("front", 0, &|row| list(&row.front())),
            ],
        );
        Finding {
            derived: json!({ "situations": derived.collect::<Vec<Value>>() }),
            charts: vec![("batches".into(), chart(leads))],
            answer: Some(Answer::of(
                situations.iter().map(|row| row.judge() == Apart::Above),
            )),
            verdict: verdict + ".",
            table,
        }
    }
}

impl Entry {
    fn of<S: Setting>(cell: &Cell<S>, found: Sample) -> Self {
        let method = cell.of.name();
        Entry { method, found }
    }
}

impl Row {
    /// Whether more of what is compared is better.
    fn more(&self) -> bool {
        let same = |situation: &&Situation| situation.what == self.situation;
        SITUATIONS
            .iter()
            .find(same)
            .is_some_and(|situation| situation.more)
    }

    /// What was found, with its sign turned where less is better.
    fn merit(&self, entry: &Entry) -> Sample {
        match self.more() {
            true => entry.found.clone(),
            false => entry.found.map(|number| -number),
        }
    }

    fn best<'a>(&self, entries: impl Iterator<Item = &'a Entry>) -> &'a Entry {
        let merit = |entry: &&Entry| self.merit(entry).median;
        let best = entries.max_by(|a, b| merit(a).total_cmp(&merit(b)));
        best.expect("there is an entry")
    }

    /// The forms of a norm.
    fn forms(&self, norm: &str) -> impl Iterator<Item = &Entry> {
        let (start, end) = match norm {
            BATCH => (BATCH, "BN"),
            _ => (LAYER, "LN"),
        };
        let form = move |entry: &&Entry| {
            let method = entry.method.split(" with ").next().unwrap_or_default();
            method.starts_with(start) || method.ends_with(end)
        };
        self.methods.iter().filter(form)
    }

    /// The better form of a norm.
    fn form(&self, norm: &str) -> &Entry {
        self.best(self.forms(norm))
    }

    /// All methods that are not clearly worse than the best.
    fn front(&self) -> Vec<&str> {
        let best = self.merit(self.best(self.methods.iter()));
        let close = |entry: &&Entry| self.merit(entry).seen_from(&best) != Apart::Below;
        let front = self.methods.iter().filter(close);
        front.map(|entry| entry.method.as_str()).collect()
    }

    /// Where the norm that the claim names lies, seen from the other.
    fn judge(&self) -> Apart {
        let other = match &self.named[..] {
            BATCH => LAYER,
            _ => BATCH,
        };
        let [named, other] = [&self.named, other].map(|norm| self.merit(self.form(norm)));
        named.seen_from(&other)
    }

    fn words(&self) -> &'static str {
        let (better, worse) = ("holds", "the other is clearly better");
        self.judge().say(worse, "no clear difference", better)
    }
}

fn leads<S: Setting>(cells: &[Cell<S>], batch: fn(&S) -> usize) -> Vec<(usize, Option<Spread>)> {
    let of = |norm| cells.iter().filter(move |cell| cell.is(norm));
    let pairs = of(NormKind::Batch).filter_map(|a| {
        let same = |b: &&Cell<S>| batch(&b.of) == batch(&a.of);
        Some((a, of(NormKind::Layer).find(same)?))
    });
    let lead = |(a, b): (&Cell<S>, &Cell<S>)| {
        let [by_seed, other] = [a, b].map(|cell| cell.test_accuracy.by_seed());
        let pairs = by_seed.iter().zip(other);
        let differences: Vec<f64> = pairs.map(|(a, b)| a - b).collect();
        // What is refused has no accuracy to subtract.
        let trained = !a.refused() && !b.refused();
        (
            batch(&a.of),
            trained.then(|| Spread::of(&differences)).flatten(),
        )
    };
    pairs.map(lead).collect()
}

fn chart(leads: &[Leads]) -> Chart {
    let of = |(leads, (name, ink)): (&Leads, (&str, Ink))| {
        let points = leads
            .by_batch
            .iter()
            .map(|(batch, lead)| (*batch as f64, *lead));
        Line::new(name, ink, points.collect())
    };
    let drawn = [
        ("MLP, 8 x 8 digits", Ink::Batch),
        ("CNN, 28 x 28 digits", Ink::Group),
    ];
    Chart::of(
        "How far Batch Norm is ahead of Layer Norm",
        "Test accuracy of Batch Norm less that of Layer Norm, seed by seed, over the batch size, \
         for an MLP and a CNN: median and quartiles. Below zero Layer Norm is ahead.",
        leads.iter().zip(drawn).map(of),
    )
    .x(|_, last| batch_sizes(1.0, last.max(2.0)))
    .level("no lead", Ink::Theory, Spread::exactly(0.0))
    .y(|low, high| {
        let (low, high) = ((20.0 * low).floor(), (20.0 * high + 0.5).ceil());
        Axis::linear("lead in test accuracy", low / 20.0, high / 20.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(which: usize, entries: &[(&str, f64, f64)]) -> Row {
        let entry = |&(name, low, high): &(&str, f64, f64)| Entry {
            method: name.to_owned(),
            // Another order of the seeds for each method.
            found: Sample::over(&(0..13).collect::<Vec<usize>>(), |seed| {
                let step = 1 + name.bytes().map(usize::from).sum::<usize>() % 12;
                low + (high - low) * (step * seed % 13) as f64 / 12.0
            }),
        };
        let Situation {
            what, from, named, ..
        } = SITUATIONS[which];
        Row {
            situation: what.to_owned(),
            from: from.to_owned(),
            named: named.to_owned(),
            methods: entries.iter().map(entry).collect(),
        }
    }

    #[test]
    fn the_front_is_all_that_is_not_clearly_worse() {
        let entries = [
            ("no norm", 0.90, 0.92),
            (BATCH, 0.95, 0.99),
            (LAYER, 0.94, 0.98),
            ("Group Norm", 0.92, 0.94),
        ];
        let accuracy = row(0, &entries);
        assert_eq!(accuracy.front(), [BATCH, LAYER]);
        assert_eq!(accuracy.judge(), Apart::Unclear);
        // The same numbers as steps: less is better.
        let steps = row(1, &entries);
        assert_eq!(steps.front(), ["no norm"]);
        assert_eq!(steps.judge(), Apart::Unclear);
    }

    #[test]
    fn the_better_form_stands_for_its_norm() {
        let row = row(
            7,
            &[
                ("no norm", 2.0, 2.1),
                ("pre-LN", 1.2, 1.3),
                ("post-LN", 1.5, 1.6),
                ("pre-BN", 1.4, 1.5),
            ],
        );
        assert_eq!(row.form(LAYER).method, "pre-LN");
        assert_eq!(row.form(BATCH).method, "pre-BN");
        assert_eq!(row.judge(), Apart::Above);
    }
}
