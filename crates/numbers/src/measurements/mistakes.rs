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
use serde_json::{Value, json};

use crate::kit::{Measurement, Output};
use crate::random::mean;

pub const MEASUREMENT: Measurement = Measurement {
    name: "mistakes",
    chapter: crate::kit::APPENDIX,
    about: "every mistake that a checker knows, and the sentence it prints",
    run,
};

const SEED: u64 = 3;
const EPS: f64 = 1e-3;
const MOMENTUM: f64 = 0.2;

/// A mistake as the checker reports it, with the label of the section that it refers to.
fn row(verdict: &Verdict) -> Value {
    let findings = verdict.explanations.iter().flat_map(|e| &e.findings);
    let section = findings.clone().find_map(|finding| finding.section);
    json!({
        "id": verdict.id,
        "sentence": verdict.sentence,
        "section": section.expect("a named mistake has a section"),
    })
}

/// The mistakes of one norm, less those in `known`, by target and name; adds them to it.
fn norm(probe: &Probe, known: &mut BTreeSet<(u8, String)>) -> Value {
    let (mut made, mut named, mut zero) = (0, 0, 0);
    let [y, dx, dgamma, dbeta] =
        [Target::Y, Target::Dx, Target::Dgamma, Target::Dbeta].map(|target| {
            let mut rows: Vec<Value> = Vec::new();
            for (finding, candidate) in mistakes(probe, target) {
                let verdict = explain(probe, target, &candidate);
                made += 1;
                if verdict.id != finding.id {
                    zero += usize::from(verdict.id == "zero");
                    continue;
                }
                named += 1;
                if known.insert((target as u8, verdict.id.clone())) {
                    rows.push(row(&verdict));
                }
            }
            rows
        });
    json!({
        // How many mistakes were made, in all four results; to how many the checker gave the
        // right name; and how many of the others it called zero everywhere.
        "made": made, "named": named, "zero": zero,
        "y": y, "dx": dx, "dgamma": dgamma, "dbeta": dbeta,
    })
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

fn running(probe: &Probe, channels: usize) -> Vec<Value> {
    let old: Vec<f64> = (0..channels).map(|c| 0.7 + 0.3 * c as f64).collect();
    let m = probe.x.len() / channels;
    let channel = |c: usize| probe.x.iter().skip(c).step_by(channels).copied();
    let channel = |c: usize| channel(c).collect::<Vec<f64>>();
    let means: Vec<f64> = (0..channels).map(|c| mean(&channel(c))).collect();
    let squares = |c: usize| {
        channel(c)
            .iter()
            .map(|x| (x - means[c]) * (x - means[c]))
            .sum()
    };
    let squares: Vec<f64> = (0..channels).map(squares).collect();
    let unbiased = |f: fn(f64) -> f64| -> Vec<f64> {
        let variances = squares.iter().map(|s| s / (m - 1) as f64);
        variances.map(f).collect()
    };
    let step = |batch: &[f64], f: Step| -> Vec<f64> {
        old.iter().zip(batch).map(|(o, b)| f(*o, *b)).collect()
    };
    let mut rows: Vec<Value> = STEPS
        .iter()
        .map(|f| {
            row(&explain_running_mean(
                probe,
                &old,
                MOMENTUM,
                &step(&means, *f),
            ))
        })
        .collect();
    let others = [
        squares.iter().map(|s| s / m as f64).collect(),
        unbiased(|v| v + EPS),
        unbiased(f64::sqrt),
        unbiased(|v| 1.0 / (v + EPS).sqrt()),
    ];
    for wrong in others {
        let candidate = step(&wrong, |old, batch| {
            (1.0 - MOMENTUM) * old + MOMENTUM * batch
        });
        let verdict = explain_running_var(probe, &old, MOMENTUM, &candidate);
        if !["unknown", "ambiguous", "correct"].contains(&verdict.id.as_str()) {
            rows.push(row(&verdict));
        }
    }
    rows
}

/// By exercise, those that are no mistakes in a norm as a whole.
fn in_exercises() -> BTreeMap<&'static str, Vec<Value>> {
    let mut rows: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for known in exercises::known::all() {
        let row = json!({ "id": known.id, "sentence": known.sentence, "section": known.section });
        rows.entry(known.exercise).or_default().push(row);
    }
    rows
}

pub fn run() -> Output {
    let batch = Probe::batch_norm(&[6, 4], EPS, SEED);
    let layer = Probe::layer_norm(&[4, 6], 1, EPS, SEED);
    let rms = Probe::rms_norm(&[4, 6], 1, EPS, SEED);
    let mut known = BTreeSet::new();
    Output::new(json!({
        "about": "Every mistake that a checker knows, and the sentence it prints",
        // All of Batch Norm, those of Layer Norm that Batch Norm has not, and those of RMS
        // Norm that neither has.
        "batch": norm(&batch, &mut known),
        "layer": norm(&layer, &mut known),
        "rms": norm(&rms, &mut known),
        "running": running(&batch, 4),
        "exercises": in_exercises(),
    }))
}
