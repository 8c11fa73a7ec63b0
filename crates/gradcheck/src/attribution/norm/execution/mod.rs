//! Faults of execution: the formula is right, and the program that runs it does something else.
//!
//! A kernel leaves the last block out of a sum, writes a buffer in another order, takes the
//! statistics of the row before, adds to what it should overwrite. Each of these is a
//! hypothesis about the values that a right formula would then give, and the one that gives
//! the candidate is the finding. Where the numbers allow it, no list of hypotheses is needed:
//! what a sum counts follows from its values by regression.

mod low;
mod moved;
mod orders;
mod place;
mod scene;
mod sums;
mod values;

use super::probe::{Probe, Target};
use crate::attribution::{Explanation, Finding, Verdict};
use scene::{ALIKE, ROUNDING, Scene, WORSE};

/// The verdict on a candidate, of which `formula` is what mistakes in the formula make.
pub(super) fn explain(
    probe: &Probe,
    target: Target,
    candidate: &[f64],
    precision: f64,
    formula: Verdict,
) -> Verdict {
    let scene = Scene::new(probe, target, candidate, precision);
    // One mistake in the formula stands, unless something fits clearly better; two do not.
    let single = formula.explanations.iter().filter(|e| e.cost == 1);
    let fits = single.map(|e| e.residual).fold(f64::INFINITY, f64::min);
    if scene.wrong().is_empty() {
        // A cause of what is hardly off would be made up.
        let off = scene.off;
        if fits <= WORSE * off {
            return formula;
        }
        let digits = -off.log10();
        let sentence = format!(
            "it is right to {digits:.1} digits in every place, and less precise than {precision:.0e} \
             as a whole"
        );
        return Verdict::plain(&formula.target, "unknown", sentence);
    }
    scene.unwritten();
    if scene.is_spread() {
        scene.exchanged();
        scene.of_another_group();
    } else {
        scene.partial_parameters();
    }
    scene.misplaced();
    scene.saved_another();
    scene.on_top();
    scene.partial_groups();
    scene.overwritten();
    scene.misread();
    let digits = scene.stored_low().or_else(|| scene.summed_low());
    let found = scene.best();
    let left = found.iter().map(|f| f.left).fold(f64::INFINITY, f64::min);
    if fits <= (ALIKE * left).max(ROUNDING) && fits.is_finite() {
        return formula;
    }
    let explain = |finding: Finding, residual: f64| Explanation {
        findings: vec![Finding {
            section: Some("sec:mistakes-execution"),
            ..finding
        }],
        coefficients: formula.coefficients.clone(),
        residual,
        cost: 1,
    };
    let explanations: Vec<Explanation> = match (found.is_empty(), digits) {
        (false, _) => found
            .into_iter()
            .map(|f| explain(f.finding, f.left))
            .collect(),
        (true, Some(finding)) => vec![explain(finding, precision)],
        (true, None) => return formula,
    };
    formula.explained(explanations)
}
