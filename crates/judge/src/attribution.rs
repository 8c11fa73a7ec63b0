//! Mistakes that gradcheck's attribution finds in a normalization as a whole.

use crate::part::{Case, Compared, Named, Part};
use gradcheck::attribution::Verdict;
use verdict::{Report, Weight};

impl<C: Case, A: 'static> Part<C, A> {
    /// What the attribution says in the cases that are broken. A mistake that one case leaves
    /// open another may settle.
    pub(crate) fn attributed(&self, target: &str, compared: &[Compared<'_, C>]) -> Option<Named> {
        let attribute = self.attribute?;
        let mut open = None;
        for c in compared.iter().filter(|c| !c.fits) {
            // Zero to the last bit is what was never written; zero but for rounding has causes.
            if c.found.iter().all(|f| *f == 0.0) {
                continue;
            }
            let Some(verdict) = attribute(c.case, &c.found, target) else {
                continue;
            };
            match verdict.id.as_str() {
                "correct" | "unknown" | "shape" | "not-finite" => {}
                "ambiguous" => {
                    open.get_or_insert_with(|| named(&verdict));
                }
                _ => return Some(named(&verdict)),
            }
        }
        open
    }

    /// Adds to the report on a wrong target what the least-squares fit found: the weight of
    /// each right path, or what is said of them where no mistake is known.
    pub(crate) fn show_fit(&self, report: &mut Report, target: &str, of: &Compared<'_, C>) {
        let verdict = (self.attribute).and_then(|attribute| attribute(of.case, &of.found, target));
        let Some(verdict) = verdict.filter(|v| v.paths.len() > 1) else {
            return;
        };
        if Some(&verdict.id) != report.mistake.as_ref() {
            return;
        }
        if verdict.id == "unknown" {
            report.notes.push(format!("{}.", verdict.sentence));
        }
        // A gradient near the largest number has no weights that could be told.
        let all_finite = verdict.coefficients.iter().all(|weight| weight.is_finite());
        // Nor has one that has next to nothing of them.
        let fits = all_finite && verdict.residual < MOST_LEFT_OVER;
        if verdict.coefficients.is_empty() || !fits || verdict.id == "unknown" {
            return;
        }
        let paths = verdict.paths.into_iter().zip(&verdict.coefficients);
        // To the digits that are shown, and without a minus before zero.
        let rounded = |weight: f64| (1e3 * weight).round() / 1e3 + 0.0;
        report.weights = paths
            .map(|(path, &weight)| Weight {
                path,
                weight: rounded(weight),
            })
            .collect();
        let are_paths = report.weights.iter().all(|of| of.path.contains("path"));
        report.notes.push(format!(
            "Fitted to the right {}, each of which should have the weight 1. {} of it is left over.",
            if are_paths { "paths" } else { "terms" },
            percent(verdict.residual),
        ));
    }
}

/// With more than this share left over, a fit says nothing of the paths.
const MOST_LEFT_OVER: f64 = 0.9;

fn named(verdict: &Verdict) -> Named {
    let sentence = verdict.sentence.split_once(": ");
    let mut findings = verdict.explanations.iter().flat_map(|e| &e.findings);
    Named {
        id: verdict.id.clone(),
        sentence: sentence
            .map_or(verdict.sentence.as_str(), |(_, s)| s)
            .to_owned(),
        section: findings.find_map(|finding| finding.section),
    }
}

fn percent(share: f64) -> String {
    if share < 1e-6 {
        "Nothing".to_owned()
    } else {
        format!("{:.1} %", 100.0 * share)
    }
}
