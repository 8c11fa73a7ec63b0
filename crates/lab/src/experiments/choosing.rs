//! Claim C12: so, Batch Norm for CNNs with large batches, and Layer Norm for sequences and
//! small batches.
//!
//! # Protocol
//! Nothing is trained. This reads the results of `cnn`, `convergence`, `batch`, `recurrent`
//! and `transformer`, and makes the decision table: in each situation, how Batch Norm and
//! Layer Norm do, each in its better form where there are several, and the *front*, all
//! methods that are not clearly worse than the one with the best median (the ranges from
//! first to third quartile overlap).
//!
//! The claim names a norm in nine situations. Batch Norm: a CNN with batches of 64, by
//! accuracy and by steps to a target. Layer Norm: an MLP with batches of 1 and of 2, a CNN
//! with batches of 2, an LSTM on the lengths it was trained on and beyond them, and a
//! Transformer with few blocks and with many. It holds in a situation if the norm it names is
//! clearly better than the other of the two. It is supported if it holds in all, not supported
//! if in none, and depends otherwise. Where it names a norm that is clearly worse, the verdict
//! says so.

use serde::Serialize;
use serde_json::{Value, json};

use crate::chart::{Axis, Chart, Ink, Line};
use crate::claims::{Answer, Claim};
use crate::experiment::{Error, Experiment, Finding};
use crate::recorded::Recorded;
use crate::session::Session;
use crate::stats::{Apart, Spread};
use crate::text::list;

pub(crate) const EXPERIMENT: Experiment = Experiment {
    name: "choosing",
    about: "which norm in which situation, from the results of the others",
    chapter: 18,
    claim: Some(Claim {
        id: "C12",
        text: "So: Batch Norm for CNNs with large batches; Layer Norm for sequences and small \
               batches.",
    }),
    timed: false,
    protocol: |_| serde_json::to_value(Protocol::new()).expect("plain data serializes"),
    run,
};

#[derive(Serialize)]
struct Protocol {
    built_from: [&'static str; 5],
    named: Vec<Value>,
    decision_rule: &'static str,
}

impl Protocol {
    fn new() -> Self {
        let named = SITUATIONS.iter().map(|situation| {
            json!({ "situation": situation.what, "norm": situation.named, "from": situation.from })
        });
        Protocol {
            built_from: ["cnn", "convergence", "batch", "recurrent", "transformer"],
            named: named.collect(),
            decision_rule: "front: all methods not clearly worse than the best median; holds in a \
                            situation: the named norm is clearly better than the other of Batch \
                            Norm and Layer Norm (quartile ranges apart). supported: in all; not \
                            supported: in none; else depends",
        }
    }
}

/// Where the claim names a norm.
struct Situation {
    what: &'static str,
    from: &'static str,
    named: &'static str,
    /// Which entries of the results belong to it.
    pick: fn(&Recorded) -> Result<bool, Error>,
    list: &'static str,
    /// What is compared, and whether more of it is better.
    measure: &'static str,
    more: bool,
    /// What the entries are called by.
    by: &'static str,
}

const BATCH: &str = "Batch Norm";
const LAYER: &str = "Layer Norm";

const SITUATIONS: [Situation; 9] = [
    Situation {
        what: "CNN, batches of 64, accuracy",
        from: "cnn",
        named: BATCH,
        pick: |entry| Ok(entry.number("/batch")? == 64.0),
        list: "/data/settings",
        measure: "/test_accuracy",
        more: true,
        by: "/method",
    },
    Situation {
        what: "CNN, batches of 64, steps to the target",
        from: "convergence",
        named: BATCH,
        pick: |entry| Ok(entry.text("/network")? == "cnn"),
        list: "/data/settings",
        measure: "/steps_to_target",
        more: false,
        by: "/method",
    },
    Situation {
        what: "MLP, batches of 1, accuracy",
        from: "batch",
        named: LAYER,
        pick: |entry| Ok(entry.number("/batch")? == 1.0),
        list: "/data/settings",
        measure: "/test_accuracy",
        more: true,
        by: "/method",
    },
    Situation {
        what: "MLP, batches of 2, accuracy",
        from: "batch",
        named: LAYER,
        pick: |entry| Ok(entry.number("/batch")? == 2.0),
        list: "/data/settings",
        measure: "/test_accuracy",
        more: true,
        by: "/method",
    },
    Situation {
        what: "CNN, batches of 2, accuracy",
        from: "cnn",
        named: LAYER,
        pick: |entry| Ok(entry.number("/batch")? == 2.0),
        list: "/data/settings",
        measure: "/test_accuracy",
        more: true,
        by: "/method",
    },
    Situation {
        what: "LSTM, trained lengths, loss",
        from: "recurrent",
        named: LAYER,
        pick: |_| Ok(true),
        list: "/data/methods",
        measure: "/test_loss",
        more: false,
        by: "/method",
    },
    Situation {
        what: "LSTM, beyond trained lengths, loss",
        from: "recurrent",
        named: LAYER,
        pick: |_| Ok(true),
        list: "/data/methods",
        measure: "/test_loss_beyond",
        more: false,
        by: "/method",
    },
    Situation {
        what: "Transformer, 3 blocks, loss",
        from: "transformer",
        named: LAYER,
        pick: |entry| Ok(entry.number("/blocks")? == 3.0),
        list: "/data/depths/0/forms",
        measure: "/test_loss",
        more: false,
        by: "/form",
    },
    Situation {
        what: "Transformer, 16 blocks, loss",
        from: "transformer",
        named: LAYER,
        pick: |entry| Ok(entry.number("/blocks")? == 16.0),
        list: "/data/depths/1/forms",
        measure: "/test_loss",
        more: false,
        by: "/form",
    },
];

/// One method in one situation.
struct Entry {
    name: String,
    spread: Spread,
}

/// A row of the decision table.
struct Row {
    situation: &'static Situation,
    entries: Vec<Entry>,
}

/// What a result file's name for a method is called here.
fn called(name: &str) -> &str {
    match name {
        "none" => "no norm",
        "batch" => BATCH,
        "layer" => LAYER,
        "group4" => "Group Norm",
        other => other,
    }
}

/// Whether a method is a form of Batch Norm or of Layer Norm.
fn is_form_of(norm: &str, name: &str) -> bool {
    match norm {
        BATCH => name.starts_with(BATCH) || name.ends_with("BN"),
        _ => name.starts_with(LAYER) || name.ends_with("LN"),
    }
}

impl Row {
    fn of(situation: &'static Situation) -> Result<Self, Error> {
        let results = Recorded::load(situation.from)?;
        let mut entries = Vec::new();
        for entry in results.list(situation.list)? {
            if (situation.pick)(&entry)? {
                entries.push(Entry {
                    name: called(&entry.text(situation.by)?).to_owned(),
                    spread: entry.spread(situation.measure)?,
                });
            }
        }
        let row = Row { situation, entries };
        for norm in [BATCH, LAYER] {
            if !row
                .entries
                .iter()
                .any(|entry| is_form_of(norm, &entry.name))
            {
                return Err(results.wrong(&format!("{:?} has no {norm}", situation.what)));
            }
        }
        Ok(row)
    }

    /// The spread with its sign turned where less is better.
    fn merit(&self, spread: Spread) -> Spread {
        if self.situation.more {
            return spread;
        }
        Spread {
            low: -spread.high,
            median: -spread.median,
            high: -spread.low,
        }
    }

    fn best<'a>(&self, entries: impl Iterator<Item = &'a Entry>) -> &'a Entry {
        let merit = |entry: &&Entry| self.merit(entry.spread).median;
        let best = entries.max_by(|a, b| merit(a).total_cmp(&merit(b)));
        best.expect("there is an entry")
    }

    /// The better form of a norm.
    fn form(&self, norm: &str) -> &Entry {
        self.best(
            self.entries
                .iter()
                .filter(|entry| is_form_of(norm, &entry.name)),
        )
    }

    /// All methods that are not clearly worse than the best.
    fn front(&self) -> Vec<&str> {
        let best = self.merit(self.best(self.entries.iter()).spread);
        let close = |entry: &&Entry| self.merit(entry.spread).seen_from(best) != Apart::Below;
        let front = self.entries.iter().filter(close);
        front.map(|entry| entry.name.as_str()).collect()
    }

    /// Where the norm that the claim names lies, seen from the other.
    fn judge(&self) -> Apart {
        let other = match self.situation.named {
            BATCH => LAYER,
            _ => BATCH,
        };
        let [named, other] = [self.situation.named, other].map(|norm| self.form(norm).spread);
        self.merit(named).seen_from(self.merit(other))
    }

    fn words(&self) -> &'static str {
        match self.judge() {
            Apart::Above => "holds",
            Apart::Unclear => "no clear difference",
            Apart::Below => "the other is clearly better",
        }
    }
}

fn run(session: &mut Session) -> Result<Finding, Error> {
    session.begin(0)?;
    let rows: Result<Vec<Row>, Error> = SITUATIONS.iter().map(Row::of).collect();
    let rows = rows?;
    let answer = Answer::of(rows.iter().map(|row| row.judge() == Apart::Above));
    let entries = rows.iter().map(|row| {
        let methods = row.entries.iter().map(|entry| {
            json!({ "method": entry.name, "low": finite(entry.spread.low),
                "median": finite(entry.spread.median), "high": finite(entry.spread.high) })
        });
        json!({
            "situation": row.situation.what,
            "from": row.situation.from,
            "named": row.situation.named,
            "judged": row.words(),
            "front": list(&row.front()),
            "methods": methods.collect::<Vec<Value>>(),
        })
    });
    Ok(Finding {
        data: json!({ "situations": entries.collect::<Vec<Value>>() }),
        charts: vec![("batches", chart()?)],
        answer: Some(answer),
        verdict: verdict(answer, &rows),
        table: table(&rows),
    })
}

fn finite(x: f64) -> Option<f64> {
    x.is_finite().then_some(x)
}

fn verdict(answer: Answer, rows: &[Row]) -> String {
    let those = |wanted: Apart| {
        let rows = rows.iter().filter(|row| row.judge() == wanted);
        let what = rows.map(|row| format!("{} ({})", row.situation.what, row.situation.named));
        what.collect::<Vec<String>>().join("; ")
    };
    let mut verdict = format!(
        "{}: the norm that the claim names is clearly better in: {}",
        answer.words(),
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
    verdict + "."
}

/// How far Batch Norm is ahead of Layer Norm over the batch size, seed by seed.
fn chart() -> Result<Chart, Error> {
    let lead = |from: &str| -> Result<Vec<(f64, Option<Spread>)>, Error> {
        let settings = Recorded::load(from)?.list("/data/settings")?;
        let mut points = Vec::new();
        for batch in &settings {
            if batch.text("/method")? != "batch" {
                continue;
            }
            let size = batch.number("/batch")?;
            for layer in &settings {
                if layer.text("/method")? == "layer" && layer.number("/batch")? == size {
                    let [a, b] = [batch, layer].map(|s| s.numbers("/test_accuracy_by_seed"));
                    let (a, b) = (a?, b?);
                    let differences: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
                    // A refused or diverged run has no accuracy to subtract.
                    let whole = a.len() == b.len();
                    points.push((size, whole.then(|| Spread::of(&differences)).flatten()));
                }
            }
        }
        Ok(points)
    };
    let (mlp, cnn) = (lead("batch")?, lead("cnn")?);
    let seen = mlp.iter().chain(&cnn).filter_map(|(_, s)| *s);
    let (low, high) = seen.fold((0.0_f64, 0.0_f64), |(low, high), s| {
        (low.min(s.low), high.max(s.high))
    });
    let last = mlp
        .iter()
        .chain(&cnn)
        .fold(2.0, |last: f64, (x, _)| last.max(*x));
    let zero = Some(Spread {
        low: 0.0,
        median: 0.0,
        high: 0.0,
    });
    let line = |name: &str, ink, points| Line {
        name: name.into(),
        ink,
        points,
    };
    Ok(Chart {
        title: "How far Batch Norm is ahead of Layer Norm".into(),
        about: "Test accuracy of Batch Norm less that of Layer Norm, seed by seed, over the batch \
                size, for an MLP and a CNN: median and quartiles. Below zero Layer Norm is ahead."
            .into(),
        x: Axis::log("examples in a batch", 1.0, last),
        y: Axis::linear(
            "lead in test accuracy",
            (20.0 * low).floor() / 20.0,
            (20.0 * high + 0.5).ceil() / 20.0,
        ),
        lines: vec![
            line("MLP, 8 x 8 digits", Ink::Batch, mlp),
            line("CNN, 28 x 28 digits", Ink::Group, cnn),
            line("no lead", Ink::Theory, vec![(1.0, zero), (last, zero)]),
        ],
    })
}

fn table(rows: &[Row]) -> String {
    let mut table = format!(
        "{:<42}{:<12}{:<28}{}\n",
        "situation", "named", "judged", "front"
    );
    for row in rows {
        table += &format!(
            "{:<42}{:<12}{:<28}{}\n",
            row.situation.what,
            row.situation.named,
            row.words(),
            list(&row.front())
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(which: usize, entries: &[(&str, f64, f64)]) -> Row {
        let entry = |&(name, low, high): &(&str, f64, f64)| Entry {
            name: name.to_owned(),
            spread: Spread {
                low,
                median: 0.5 * (low + high),
                high,
            },
        };
        Row {
            situation: &SITUATIONS[which],
            entries: entries.iter().map(entry).collect(),
        }
    }

    #[test]
    fn the_front_is_all_that_is_not_clearly_worse() {
        let entries = [
            ("no norm", 0.90, 0.92),
            (BATCH, 0.96, 0.98),
            (LAYER, 0.95, 0.97),
            ("Group Norm", 0.93, 0.95),
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
        assert_eq!(row.form(LAYER).name, "pre-LN");
        assert_eq!(row.form(BATCH).name, "pre-BN");
        assert_eq!(row.judge(), Apart::Above);
    }
}
