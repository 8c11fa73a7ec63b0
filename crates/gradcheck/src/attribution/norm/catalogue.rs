//! All known mistakes in one target, and the search among them.

use super::change::{Change, Changes};
use super::recipe::Recipe;
use crate::attribution::{Basis, Finding, Mistake, Question, Verdict};

/// From a recipe to the terms of a target, one for each path.
type Terms<'a> = Box<dyn Fn(&Recipe) -> Vec<Vec<f64>> + 'a>;

/// What is known about one target on one probe.
pub(super) struct Catalogue<'a> {
    pub question: Question,
    pub changes: Changes,
    pub terms: Terms<'a>,
    /// How many elements the target has, and why.
    pub length: (usize, String),
}

impl Catalogue<'_> {
    /// Names the mistake, alone or with a second one, that makes the candidate.
    pub fn explain(&self, candidate: &[f64]) -> Verdict {
        let verdict = self.explain_single(candidate);
        let known = !["unknown", "shape"].contains(&verdict.id.as_str());
        // A pair costs two: it cannot be simpler than what was found.
        if verdict.id == "shape" || known && verdict.explanations.iter().all(|e| e.cost <= 2) {
            return verdict;
        }
        self.explain_pair(candidate)
    }

    /// Names the mistake that makes the candidate alone.
    pub fn explain_single(&self, candidate: &[f64]) -> Verdict {
        let (length, why) = &self.length;
        let got = candidate.len();
        if got != *length {
            let sentence = format!("it has {got} elements and must have {length}, {why}");
            return Verdict::plain(&self.question.target, "shape", sentence);
        }
        self.question.explain(candidate, self.singles())
    }

    fn singles(&self) -> impl Iterator<Item = Basis> {
        let right = std::iter::once_with(|| self.basis(&[]));
        right.chain(self.changes.0.iter().map(|c| self.basis(&[c])))
    }

    /// Names the two mistakes that make the candidate, or the one.
    pub fn explain_pair(&self, candidate: &[f64]) -> Verdict {
        let common: Vec<&Change> = self.changes.0.iter().filter(|c| c.pairs).collect();
        let pairs = common.iter().enumerate().flat_map(|(i, a)| {
            let others = common[i + 1..].iter().filter(|b| a.part != b.part);
            others.map(|b| self.basis(&[a, b]))
        });
        self.question
            .explain(candidate, self.singles().chain(pairs))
    }

    /// Every single mistake, each with what it makes of the target.
    pub fn mistakes(&self) -> Vec<(Finding, Vec<f64>)> {
        let changed = self.changes.0.iter().map(|change| {
            let terms = self.basis(&[change]).terms;
            (
                change.mistake.finding.clone(),
                self.sum(&terms, &vec![1.0; terms.len()]),
            )
        });
        let right = self.basis(&[]).terms;
        let weighed = self
            .question
            .single_weights()
            .into_iter()
            .map(|(finding, weights)| {
                let candidate = self.sum(&right, &weights);
                (finding, candidate)
            });
        weighed.chain(changed).collect()
    }

    /// The one that is made in two paths together, both of which are missing; none where there are
    /// not two beside the direct one.
    pub fn both_missing(&self) -> Option<(Finding, Vec<f64>)> {
        let both = [1, 2];
        let missing = self.question.factors.iter().find(|f| f.value == 0.0)?;
        if self.question.paths.len() != 3 {
            return None;
        }
        let values = self.sum(&self.basis(&[]).terms, &[1.0, 0.0, 0.0]);
        Some((self.question.several(&both, missing), values))
    }

    /// How many single mistakes there are.
    pub fn count(&self) -> usize {
        self.changes.0.len() + self.question.factors.len() * (self.question.paths.len() + 1)
    }

    fn basis(&self, changes: &[&Change]) -> Basis {
        let mut recipe = Recipe::default();
        changes.iter().for_each(|c| (c.apply)(&mut recipe));
        let mistakes: Vec<Mistake> = changes.iter().map(|c| c.mistake.clone()).collect();
        Basis {
            mistakes,
            terms: (self.terms)(&recipe),
        }
    }

    fn sum(&self, terms: &[Vec<f64>], weights: &[f64]) -> Vec<f64> {
        let one = |k: usize| terms.iter().zip(weights).map(|(t, w)| w * t[k]).sum();
        (0..self.length.0).map(one).collect()
    }
}
