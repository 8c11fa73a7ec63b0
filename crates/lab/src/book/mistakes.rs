//! Every mistake that a checker knows by name, and the sentence it prints.
//!
//! For each kind of norm and each result, the catalogue of the attribution makes all its
//! mistakes on one probe; each is handed to the checker, which is not told what was done.
//! The other exercises say what they know in [`exercises::known`]; their tests make each
//! mistake, and hold what is printed to that list.

use std::collections::{BTreeMap, BTreeSet};

use gradcheck::attribution::Verdict;
use gradcheck::attribution::norm::{
    Probe, Target, explain, explain_running_mean, explain_running_var, mistakes,
};
use serde::Serialize;

use super::Output;

const SEED: u64 = 3;
const EPS: f64 = 1e-3;
const MOMENTUM: f64 = 0.2;

#[derive(Serialize)]
struct Results {
    about: &'static str,
    /// All of Batch Norm.
    batch: Norm,
    /// Those of Layer Norm that Batch Norm has not.
    layer: Norm,
    /// Those of RMS Norm that neither has.
    rms: Norm,
    running: Vec<Row>,
    /// By exercise, those that are no mistakes in a norm as a whole.
    exercises: BTreeMap<&'static str, Vec<Row>>,
}

#[derive(Serialize)]
struct Norm {
    /// How many mistakes were made, in all four results.
    made: usize,
    /// To how many the checker gave the right name.
    named: usize,
    /// How many of the others it called zero everywhere.
    zero: usize,
    y: Vec<Row>,
    dx: Vec<Row>,
    dgamma: Vec<Row>,
    dbeta: Vec<Row>,
}

/// A mistake as the checker reports it.
#[derive(Clone, PartialEq, Serialize)]
struct Row {
    id: String,
    sentence: String,
    /// The label of the section that it refers to.
    section: String,
}

impl Row {
    fn of(verdict: &Verdict) -> Self {
        let findings = verdict.explanations.iter().flat_map(|e| &e.findings);
        let section = findings.clone().find_map(|finding| finding.section);
        Row {
            id: verdict.id.clone(),
            sentence: verdict.sentence.clone(),
            section: section.expect("a named mistake has a section").to_owned(),
        }
    }
}

/// The mistakes of one norm, less those in `known`, by target and name; adds them to it.
fn norm(probe: &Probe, known: &mut BTreeSet<(u8, String)>) -> Norm {
    let (mut made, mut named, mut zero) = (0, 0, 0);
    let mut rows = |target: Target| {
        let mut rows: Vec<Row> = Vec::new();
        for (finding, candidate) in mistakes(probe, target) {
            let verdict = explain(probe, target, &candidate);
            made += 1;
            if verdict.id != finding.id {
                zero += usize::from(verdict.id == "zero");
                continue;
            }
            named += 1;
            if known.insert((target as u8, verdict.id.clone())) {
                rows.push(Row::of(&verdict));
            }
        }
        rows
    };
    let (y, dx) = (rows(Target::Y), rows(Target::Dx));
    let (dgamma, dbeta) = (rows(Target::Dgamma), rows(Target::Dbeta));
    Norm {
        made,
        named,
        zero,
        y,
        dx,
        dgamma,
        dbeta,
    }
}

/// Wrong steps of the running statistics, for each channel: from the old value and that of
/// the batch to the new one.
type Step = fn(f64, f64) -> f64;

const STEPS: [Step; 5] = [
    |old, batch| MOMENTUM * old + (1.0 - MOMENTUM) * batch,
    |_, batch| MOMENTUM * batch,
    |old, _| (1.0 - MOMENTUM) * old,
    |old, batch| old + MOMENTUM * batch,
    |old, batch| (1.0 - MOMENTUM) * old + batch,
];

fn running(probe: &Probe, channels: usize) -> Vec<Row> {
    let old: Vec<f64> = (0..channels).map(|c| 0.7 + 0.3 * c as f64).collect();
    let m = probe.x.len() / channels;
    let of = |c: usize| probe.x.iter().skip(c).step_by(channels);
    let mean: Vec<f64> = (0..channels)
        .map(|c| of(c).sum::<f64>() / m as f64)
        .collect();
    let squares: Vec<f64> = (0..channels)
        .map(|c| of(c).map(|x| (x - mean[c]) * (x - mean[c])).sum())
        .collect();
    let unbiased: Vec<f64> = squares.iter().map(|s| s / (m - 1) as f64).collect();
    let step = |batch: &[f64], f: &dyn Fn(f64, f64) -> f64| -> Vec<f64> {
        old.iter().zip(batch).map(|(o, b)| f(*o, *b)).collect()
    };
    let right = |old, batch| (1.0 - MOMENTUM) * old + MOMENTUM * batch;
    let mut rows: Vec<Row> = STEPS
        .iter()
        .map(|f| {
            Row::of(&explain_running_mean(
                probe,
                &old,
                MOMENTUM,
                &step(&mean, f),
            ))
        })
        .collect();
    let others: [Vec<f64>; 4] = [
        squares.iter().map(|s| s / m as f64).collect(),
        unbiased.iter().map(|v| v + EPS).collect(),
        unbiased.iter().map(|v| v.sqrt()).collect(),
        unbiased.iter().map(|v| 1.0 / (v + EPS).sqrt()).collect(),
    ];
    for wrong in others {
        let candidate = step(&wrong, &right);
        let verdict = explain_running_var(probe, &old, MOMENTUM, &candidate);
        if !["unknown", "ambiguous", "correct"].contains(&verdict.id.as_str()) {
            rows.push(Row::of(&verdict));
        }
    }
    rows
}

fn in_exercises() -> BTreeMap<&'static str, Vec<Row>> {
    let mut rows: BTreeMap<&str, Vec<Row>> = BTreeMap::new();
    for known in exercises::known::all() {
        rows.entry(known.exercise).or_default().push(Row {
            id: known.id,
            sentence: known.sentence,
            section: known.section.to_owned(),
        });
    }
    rows
}

pub fn run() -> Output {
    let batch = Probe::batch_norm(&[6, 4], EPS, SEED);
    let layer = Probe::layer_norm(&[4, 6], 1, EPS, SEED);
    let rms = Probe::rms_norm(&[4, 6], 1, EPS, SEED);
    let mut known = BTreeSet::new();
    Output::new(&Results {
        about: "Every mistake that a checker knows, and the sentence it prints",
        running: running(&batch, 4),
        batch: norm(&batch, &mut known),
        layer: norm(&layer, &mut known),
        rms: norm(&rms, &mut known),
        exercises: in_exercises(),
    })
}
