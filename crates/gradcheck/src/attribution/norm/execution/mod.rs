//! Faults of execution: the formula is right, and the program that runs it does something else.
//!
//! A kernel leaves the last block out of a sum, writes a buffer in another order, takes the
//! statistics of the row before, adds to what it should overwrite. Each of these is a
//! hypothesis about the values that a right formula would then give, and the one that gives
//! the candidate is the finding. Where the numbers allow it, no list of hypotheses is needed:
//! what a sum counts, and the statistics of a group, follow from the values by regression.
//!
//! A thousand hypotheses fit something by chance if the numbers are few and have few digits.
//! What is found must therefore account for more bits of the candidate than the search among
//! them took.

mod columns;
mod fitted;
mod groups;
mod kernel;
mod low;
mod moved;
mod orders;
mod place;
mod regrouped;
mod run;
mod scene;
mod statistics;
mod sums;

use crate::attribution::least_squares::norm;
use crate::attribution::norm::probe::{Probe, Target};
use crate::attribution::{Explanation, Finding, Verdict};
pub use place::numbers;
pub(super) use scene::Asked;
use scene::{ALIKE, Found, ROUNDING, Scene, WORSE};

/// A mistake in the formula that leaves over no more than this share of the precision is not held
/// against faults of execution.
const CLEAR: f64 = 0.125;

/// The verdict on a candidate, of which `formula` is what one mistake in the formula makes, of so
/// many, and `pairs` what two of them do.
pub(super) fn explain(
    asked: Asked<'_>,
    formula: Verdict,
    singles: usize,
    pairs: impl FnOnce() -> Verdict,
) -> Verdict {
    let (scene, precision) = (Scene::new(asked), asked.precision);
    // Right as a whole, and wrong in places, or not at all.
    let right = formula.is_correct();
    if right && scene.wrong.is_empty() {
        return formula;
    }
    let formula = match right {
        true => formula.explained(Vec::new()),
        false => formula,
    };
    // One mistake in the formula stands, unless something fits clearly better; two do not.
    let one = |e: &&Explanation| e.cost == 1 || e.id() == "whole-weight";
    let single = formula.explanations.iter().filter(one);
    let fits = single.map(|e| e.residual).fold(f64::INFINITY, f64::min);
    if scene.wrong.is_empty() {
        // A cause of what is hardly off would be made up.
        let off = scene.off;
        if fits <= WORSE * off {
            return formula;
        }
        let digits = -off.log10();
        let sentence = format!(
            "it is right to {digits:.1} digits in every place, and less precise than \
             {precision:.0e} as a whole"
        );
        return Verdict::plain(&formula.target, "unknown", sentence);
    }
    let likely = |e: &Explanation| {
        let meaningless = e.findings.iter().filter(|f| f.id.ends_with("-weight"));
        let tried = singles.saturating_pow(e.cost.min(3) as u32);
        scene.is_formula(e.residual, tried, meaningless.count())
    };
    let clear = fits <= ROUNDING.max(CLEAR * precision) && formula.explanations.iter().all(likely);
    if clear && formula.explanations.len() == 1 {
        return formula;
    }
    let found = search(&scene, formula.explanations.is_empty());
    let left = found
        .iter()
        .map(|f| f.fit.left)
        .fold(f64::INFINITY, f64::min);
    let stands = fits <= (ALIKE * left).max(ROUNDING) && fits.is_finite();
    if stands && formula.explanations.iter().any(likely) {
        return formula;
    }
    let coefficients = formula.coefficients.clone();
    let explain = |finding: Finding, residual: f64| Explanation {
        findings: vec![Finding {
            section: Some("sec:mistakes-execution"),
            ..finding
        }],
        coefficients: coefficients.clone(),
        residual,
        cost: 1,
    };
    let mut found: Vec<Explanation> = found
        .into_iter()
        .map(|f| explain(f.finding, f.fit.left))
        .collect();
    // What is as good as zero is like many things.
    let faint = norm(scene.candidate) <= precision * norm(&scene.right);
    let unexplained = found.is_empty() && formula.explanations.is_empty() && !faint;
    let formula = match unexplained && !right {
        true => pairs(),
        false => formula,
    };
    if unexplained && formula.explanations.is_empty() {
        // What is less than a cause: digits, or the place and what is off there.
        scene.by_a_factor();
        let digits = || scene.stored_low().or_else(|| scene.summed_low());
        found = match scene.best() {
            none if none.is_empty() => digits()
                .into_iter()
                .map(|f| explain(f, precision))
                .collect(),
            some => some
                .into_iter()
                .map(|f| explain(f.finding, f.fit.left))
                .collect(),
        };
        if found.is_empty() {
            scene.of_other_statistics();
            let fitted = scene.best().into_iter();
            found.extend(fitted.map(|f| explain(f.finding, f.fit.left)));
        }
    }
    if !found.is_empty() {
        return formula.explained(found);
    }
    if faint || formula.explanations.iter().any(likely) {
        return formula;
    }
    match formula.explanations.is_empty() {
        true => formula,
        // Something fits, as something always does.
        false => formula.explained(Vec::new()),
    }
}

/// Where an unexplained candidate is right, if only in places.
pub(super) fn except(asked: Asked<'_>) -> String {
    Scene::new(asked).except()
}

/// The same of elements that are known to be wrong.
pub(super) fn except_in(probe: &Probe, target: Target, wrong: &[usize]) -> String {
    let asked = Asked {
        probe,
        target,
        candidate: &[],
        precision: 0.0,
        first: 0,
    };
    let mut scene = Scene::new(asked);
    scene.wrong = wrong.to_vec();
    scene.except()
}

/// Everything that is looked for; what shows by itself ends the search.
fn search<'a>(scene: &Scene<'a>, unexplained: bool) -> Vec<Found> {
    let everything: [&dyn Fn(&Scene<'a>); 19] = [
        &Scene::unwritten,
        &Scene::cut_off,
        &Scene::rounded_on_the_way,
        // Before what takes long among many elements.
        &Scene::partial_parameters,
        // Where it is nearly zero, and that is known, its value does not show.
        &|scene| {
            if unexplained {
                scene.another_eps();
            }
        },
        &Scene::saved_another,
        &Scene::exchanged,
        &Scene::mixed,
        &Scene::of_another_group,
        &Scene::not_reset,
        &Scene::one_too_many,
        &Scene::padded,
        &Scene::merged,
        &Scene::parts_apart,
        &Scene::regrouped,
        &Scene::on_top,
        &Scene::is_another,
        &Scene::overwritten,
        &|scene| {
            scene.partial_groups();
            scene.misplaced();
            scene.misread();
        },
    ];
    for look in everything {
        look(scene);
        if scene.is_plain() || scene.is_settled() {
            break;
        }
    }
    scene.best()
}
