//! The catalogue of mistakes in normalization: Batch Norm, Layer Norm, RMS Norm, Group Norm.
//!
//! [`Probe`] makes an input on which every mistake shows; [`explain`] names the mistake
//! in an output or a gradient computed from it.

mod affine;
mod catalogue;
mod change;
mod dx;
mod execution;
mod factors;
mod layout;
mod output;
mod probe;
mod recipe;
mod running;
mod screen;
mod sections;

pub use execution::numbers;
pub use layout::{Kind, Norm};
pub use probe::{Given, Probe, Target};
pub use running::{
    explain_running_mean, explain_running_mean_to, explain_running_var, explain_running_var_to,
};
pub use sections::is_missing_path;

use super::{F64_PRECISION, Finding, Verdict};
use catalogue::Catalogue;
use execution::Asked;

/// Names the mistake in a candidate computed from `probe`.
///
/// The candidate has its elements in row-major order; its shape is that of `x` for
/// [`Target::Y`] and [`Target::Dx`], that of gamma for the other two.
///
/// ```
/// use gradcheck::attribution::norm::{Probe, Target, explain};
/// let probe = Probe::batch_norm(&[6, 4], 1e-5, 0);
/// let mut dx = probe.dx();
/// for v in &mut dx {
///     *v *= -1.0;
/// }
/// assert_eq!(explain(&probe, Target::Dx, &dx).id, "whole-sign");
/// ```
// ANCHOR: explain
pub fn explain(probe: &Probe, target: Target, candidate: &[f64]) -> Verdict {
    explain_to(probe, target, candidate, F64_PRECISION)
}

/// Like [`explain`], for a candidate with a relative rounding error up to `precision`.
pub fn explain_to(probe: &Probe, target: Target, candidate: &[f64], precision: f64) -> Verdict {
    let catalogue = catalogue(probe, target, precision);
    let mut verdict = with_sections(probe, target, catalogue.explain(candidate));
    if verdict.id == "unknown" {
        verdict.sentence += &except(probe, target, candidate, precision);
    }
    verdict
}

fn with_sections(probe: &Probe, target: Target, mut verdict: Verdict) -> Verdict {
    for finding in verdict
        .explanations
        .iter_mut()
        .flat_map(|e| &mut e.findings)
    {
        finding.section = Some(sections::of(probe.kind, target, &finding.id));
    }
    verdict
}

/// Like [`explain_to`], and what no mistake in the formula explains is looked for in how it was
/// carried out: elements that were not written, sums over some of the values only, arrays in
/// another order, statistics of another group, old content, lost digits.
///
/// ```
/// use gradcheck::attribution::norm::{Norm, Probe, Target, diagnose};
/// let probe = Probe::new(Norm::Layer { normalized: 1 }, &[6, 8], 1e-5, 0);
/// let mut y = probe.y();
/// y[40..].fill(0.0);
/// let verdict = diagnose(&probe, Target::Y, &y, 1e-10);
/// assert!(verdict.sentence.starts_with("y: row 5 is zero"), "{verdict}");
/// ```
pub fn diagnose(probe: &Probe, target: Target, candidate: &[f64], precision: f64) -> Verdict {
    let mut verdict = diagnose_part(probe, target, candidate, precision, 0);
    if verdict.id == "unknown" {
        verdict.sentence += &except(probe, target, candidate, precision);
    }
    verdict
}

/// Like [`diagnose`], for a part of a larger array: whole groups, of which the first has this
/// number in the whole. In which places an array is wrong that nothing explains is left to
/// [`except_in`].
pub fn diagnose_part(
    probe: &Probe,
    target: Target,
    candidate: &[f64],
    precision: f64,
    first: usize,
) -> Verdict {
    let catalogue = catalogue(probe, target, precision);
    let verdict = with_sections(probe, target, catalogue.explain_single(candidate));
    let zero = candidate.iter().all(|v| *v == 0.0);
    if zero || verdict.id == "shape" {
        return verdict;
    }
    let asked = Asked {
        probe,
        target,
        candidate,
        precision,
        first,
    };
    let pairs = || with_sections(probe, target, catalogue.explain_pair(candidate));
    execution::explain(asked, verdict, catalogue.count(), pairs)
}

/// In words, after a semicolon, where a candidate is wrong that is right elsewhere, when these of
/// its elements are wrong; nothing for one that is wrong, or right, nearly everywhere.
pub fn except_in(probe: &Probe, target: Target, wrong: &[usize]) -> String {
    execution::except_in(probe, target, wrong)
}

fn except(probe: &Probe, target: Target, candidate: &[f64], precision: f64) -> String {
    execution::except(Asked {
        probe,
        target,
        candidate,
        precision,
        first: 0,
    })
}

/// Every single mistake that [`explain`] knows for this target, each with the candidate
/// that it makes on this probe.
///
/// A few candidates are zero, or right, on some probes: all ones for `dy` go to zero in
/// Batch Norm, and without eps nothing can be wrong with it.
pub fn mistakes(probe: &Probe, target: Target) -> Vec<(Finding, Vec<f64>)> {
    let mut all = catalogue(probe, target, F64_PRECISION).mistakes();
    for (finding, _) in &mut all {
        finding.section = Some(sections::of(probe.kind, target, &finding.id));
    }
    all
}

/// dx with the statistics taken for constants, so that both paths through them are missing; nothing
/// for RMS Norm, which has one path, and for other targets.
///
/// [`explain`] takes this for one mistake. [`mistakes`] has one for each path.
pub fn constant_statistics(probe: &Probe, target: Target) -> Option<(Finding, Vec<f64>)> {
    if target != Target::Dx {
        return None;
    }
    let (mut finding, values) = catalogue(probe, target, F64_PRECISION).both_missing()?;
    finding.section = Some(sections::of(probe.kind, target, &finding.id));
    Some((finding, values))
}

/// Of [`mistakes`] those that make values within this distance of the candidate: the length of the
/// difference. A few that are further off may be among them. Beside them, how many mistakes
/// there are in all, near and far.
///
/// # Panics
/// When the candidate has another length than the target.
#[track_caller]
pub fn mistakes_near(
    probe: &Probe,
    target: Target,
    candidate: &[f64],
    distance: f64,
) -> (Vec<(Finding, Vec<f64>)>, usize) {
    let catalogue = catalogue(probe, target, F64_PRECISION);
    let (got, wanted) = (candidate.len(), catalogue.length.0);
    assert!(
        got == wanted,
        "gradcheck: a candidate of {got} elements for a target of {wanted}; compare lengths first"
    );
    let mut all = catalogue.mistakes_near(candidate, distance);
    for (finding, _) in &mut all {
        finding.section = Some(sections::of(probe.kind, target, &finding.id));
    }
    (all, catalogue.count())
}

fn catalogue(probe: &Probe, target: Target, precision: f64) -> Catalogue<'_> {
    match target {
        Target::Y => output::catalogue(probe, precision),
        Target::Dx => dx::catalogue(probe, precision),
        Target::Dgamma => affine::dgamma(probe, precision),
        Target::Dbeta => affine::dbeta(probe, precision),
    }
}
// ANCHOR_END: explain
