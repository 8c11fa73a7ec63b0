//! The catalogue for running statistics.
//!
//! PyTorch's convention: `running = (1 - momentum) * running + momentum * batch`, with
//! the variance of the batch divided by `M - 1`.

use super::layout::Kind;
use super::probe::Probe;
use super::recipe::times;
use super::sections;
use crate::attribution::{Basis, F64_PRECISION, Factor, Finding, Mistake, Path, Question, Verdict};

/// Names the mistake in a running mean after one step from `old`, one per channel.
///
/// # Panics
/// When the probe is not for Batch Norm, or `old` has not one element per channel.
#[track_caller]
pub fn explain_running_mean(
    probe: &Probe,
    old: &[f64],
    momentum: f64,
    candidate: &[f64],
) -> Verdict {
    explain_running_mean_to(probe, old, momentum, candidate, F64_PRECISION)
}

/// Like [`explain_running_mean`], for a candidate with a relative rounding error up to
/// `precision`.
///
/// # Panics
/// As [`explain_running_mean`].
#[track_caller]
pub fn explain_running_mean_to(
    probe: &Probe,
    old: &[f64],
    momentum: f64,
    candidate: &[f64],
    precision: f64,
) -> Verdict {
    let mean = per_group(probe, &probe.groups.means(&probe.x));
    let batch = [("", "", mean)];
    explain(
        "running_mean",
        probe,
        old,
        momentum,
        candidate,
        precision,
        &batch,
    )
}

/// Names the mistake in a running variance after one step from `old`, one per channel.
///
/// # Panics
/// When the probe is not for Batch Norm, or `old` has not one element per channel.
#[track_caller]
pub fn explain_running_var(
    probe: &Probe,
    old: &[f64],
    momentum: f64,
    candidate: &[f64],
) -> Verdict {
    explain_running_var_to(probe, old, momentum, candidate, F64_PRECISION)
}

/// Like [`explain_running_var`], for a candidate with a relative rounding error up to
/// `precision`.
///
/// # Panics
/// As [`explain_running_var`].
#[track_caller]
pub fn explain_running_var_to(
    probe: &Probe,
    old: &[f64],
    momentum: f64,
    candidate: &[f64],
    precision: f64,
) -> Verdict {
    let mean = probe.groups.means(&probe.x);
    let off: Vec<f64> = probe
        .x
        .iter()
        .zip(&mean)
        .map(|(x, mean)| x - mean)
        .collect();
    let biased = per_group(probe, &probe.groups.means(&times(&off, &off)));
    let m = probe.groups.size() as f64;
    let map = |f: &dyn Fn(f64) -> f64| -> Vec<f64> { biased.iter().map(|&v| f(v)).collect() };
    let values = [
        ("", "", map(&|v| v * m / (m - 1.0))),
        (
            "biased",
            "the variance of the batch is divided by M, the number of its values, and must be \
             divided by M - 1, since the running variance is unbiased; where M / (M - 1) is \
             written, it may be a division of integers",
            biased.clone(),
        ),
        (
            "eps-added",
            "eps is added to the variance",
            map(&|v| v * m / (m - 1.0) + probe.eps),
        ),
        (
            "deviation",
            "the standard deviation is stored where the variance belongs",
            map(&|v| (v * m / (m - 1.0)).sqrt()),
        ),
        (
            "rstd-stored",
            "1/sqrt(var + eps) is stored where the variance belongs",
            map(&|v| 1.0 / (v + probe.eps).sqrt()),
        ),
    ];
    explain(
        "running_var",
        probe,
        old,
        momentum,
        candidate,
        precision,
        &values,
    )
}

/// One value of each group, from values spread over the elements.
fn per_group(probe: &Probe, spread: &[f64]) -> Vec<f64> {
    let mut each = vec![0.0; probe.groups.count];
    for (&group, v) in probe.groups.of.iter().zip(spread) {
        each[group] = *v;
    }
    each
}

/// One step from `old` to what somebody made of it, in which the value of this batch is one of
/// these: the right one, and wrong ones with what is wrong with them.
#[track_caller]
fn explain(
    target: &str,
    probe: &Probe,
    old: &[f64],
    momentum: f64,
    candidate: &[f64],
    precision: f64,
    batch: &[(&str, &str, Vec<f64>)],
) -> Verdict {
    let channels = probe.groups.count;
    assert!(
        probe.kind == Kind::Batch && old.len() == channels,
        "gradcheck: running statistics need a Batch Norm probe and one old value for each of \
         its {channels} channels, got {}",
        old.len()
    );
    if candidate.len() != channels {
        let got = candidate.len();
        let sentence = format!("it has {got} elements and must have {channels}, one per channel");
        return Verdict::plain(target, "shape", sentence);
    }
    let path = |id: &str, name: &str| Path {
        id: id.into(),
        name: name.into(),
    };
    let question = Question {
        target: target.into(),
        paths: vec![
            path("old", "the old value"),
            path("batch", "the value of this batch"),
        ],
        factors: vec![
            Factor::anywhere("missing", 0.0, "is missing"),
            Factor::anywhere("sign", -1.0, "has the wrong sign"),
            Factor::anywhere(
                "unweighted-old",
                1.0 / (1.0 - momentum),
                "is not multiplied by 1 - momentum",
            ),
            Factor::anywhere(
                "unweighted",
                1.0 / momentum,
                "is not multiplied by momentum",
            ),
        ],
        precision,
    };
    let scaled = |values: &[f64], by: f64| values.iter().map(|v| v * by).collect::<Vec<f64>>();
    let bases = batch.iter().flat_map(|(id, sentence, batch)| {
        [false, true].map(|swapped| {
            let mut mistakes = Vec::new();
            if !id.is_empty() {
                let finding = Finding::new(*id, *sentence);
                mistakes.push(Mistake {
                    finding,
                    paths: vec![1],
                });
            }
            let mut weights = (1.0 - momentum, momentum);
            if swapped {
                let sentence = "momentum weighs the old value: it is the weight of the new one";
                let finding = Finding::new("momentum-swapped", sentence);
                mistakes.push(Mistake {
                    finding,
                    paths: vec![0, 1],
                });
                weights = (weights.1, weights.0);
            }
            Basis {
                mistakes,
                terms: vec![scaled(old, weights.0), scaled(batch, weights.1)],
            }
        })
    });
    let mut verdict = question.explain(candidate, bases);
    for finding in verdict
        .explanations
        .iter_mut()
        .flat_map(|e| &mut e.findings)
    {
        finding.section = Some(sections::of_running(&finding.id));
    }
    verdict
}
