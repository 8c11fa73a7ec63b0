//! All known mistakes in one target, and the search among them.

use super::change::{Change, Changes};
use super::recipe::{Recipe, Shared};
use super::screen::Screen;
use crate::attribution::{Basis, Finding, Mistake, Question, Verdict};

/// The terms of an element of a target, one for each path, and zeros behind them.
pub(super) type Element<'a> = Box<dyn Fn(usize) -> [f64; 3] + 'a>;

/// From a recipe to the terms of a target.
type Terms<'a> = Box<dyn Fn(&Recipe, &Shared<'a>) -> Element<'a> + 'a>;

/// What is known about one target on one probe.
pub(super) struct Catalogue<'a> {
    pub question: Question,
    pub changes: Changes,
    pub shared: Shared<'a>,
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
        let screen = self.screen(candidate);
        self.question.explain(candidate, self.singles(&screen))
    }

    /// Names the two mistakes that make the candidate, or the one.
    pub fn explain_pair(&self, candidate: &[f64]) -> Verdict {
        let screen = self.screen(candidate);
        let common: Vec<&Change> = self.changes.0.iter().filter(|c| c.pairs).collect();
        let pairs = common.iter().enumerate().flat_map(|(i, a)| {
            let others = common[i + 1..].iter().filter(|b| a.part != b.part);
            others.filter_map(|b| self.fitting(&[a, b], &screen))
        });
        let all = self.singles(&screen).chain(pairs);
        self.question.explain(candidate, all)
    }

    /// What tells quickly that a basis does not explain a candidate.
    fn screen<'c>(&self, candidate: &'c [f64]) -> Screen<'c> {
        let right = self.values(&Recipe::default(), &self.ones());
        Screen::new(candidate, &right, self.question.precision)
    }

    /// The right basis, and each with one mistake that may explain the candidate.
    fn singles<'s>(&'s self, screen: &'s Screen<'_>) -> impl Iterator<Item = Basis> + 's {
        let right = std::iter::once_with(|| self.basis(&[]));
        let changed = self.changes.0.iter();
        right.chain(changed.filter_map(|c| self.fitting(&[c], screen)))
    }

    /// The basis with these mistakes, unless a few elements show that it does not explain the
    /// candidate.
    fn fitting(&self, changes: &[&Change], screen: &Screen<'_>) -> Option<Basis> {
        let terms = self.element(&changed(changes));
        screen
            .may_fit(self.question.paths.len(), &*terms)
            .then(|| self.basis(changes))
    }

    /// Every single mistake, each with what it makes of the target.
    pub fn mistakes(&self) -> Vec<(Finding, Vec<f64>)> {
        self.listed()
            .into_iter()
            .map(|(finding, recipe, weights)| (finding, self.values(&recipe, &weights)))
            .collect()
    }

    /// The single mistakes that make values within this distance of the candidate.
    pub fn mistakes_near(&self, candidate: &[f64], distance: f64) -> Vec<(Finding, Vec<f64>)> {
        let screen = Screen::within(candidate, distance);
        let near = |(finding, recipe, weights): (Finding, Recipe, Vec<f64>)| {
            let element = self.element(&recipe);
            screen
                .may_be(|k| weighed(&element(k), &weights))
                .then(|| (finding, self.values(&recipe, &weights)))
        };
        self.listed().into_iter().filter_map(near).collect()
    }

    /// Every single mistake, as a recipe and the weights of its terms.
    fn listed(&self) -> Vec<(Finding, Recipe, Vec<f64>)> {
        let weights = self.question.single_weights().into_iter();
        let weighed = weights.map(|(finding, weights)| (finding, Recipe::default(), weights));
        let changes = self.changes.0.iter().map(|change| {
            let finding = change.mistake.finding.clone();
            (finding, changed(&[change]), self.ones())
        });
        weighed.chain(changes).collect()
    }

    /// The one that is made in two paths together, both of which are missing; none where there are
    /// not two beside the direct one.
    pub fn both_missing(&self) -> Option<(Finding, Vec<f64>)> {
        let both = [1, 2];
        let missing = self.question.factors.iter().find(|f| f.value == 0.0)?;
        if self.question.paths.len() != 3 {
            return None;
        }
        let values = self.values(&Recipe::default(), &[1.0, 0.0, 0.0]);
        Some((self.question.several(&both, missing), values))
    }

    /// How many single mistakes there are.
    pub fn count(&self) -> usize {
        self.changes.0.len() + self.question.factors.len() * (self.question.paths.len() + 1)
    }

    fn basis(&self, changes: &[&Change]) -> Basis {
        let mistakes: Vec<Mistake> = changes.iter().map(|c| c.mistake.clone()).collect();
        let element = self.element(&changed(changes));
        let mut terms = vec![Vec::with_capacity(self.length.0); self.question.paths.len()];
        for k in 0..self.length.0 {
            let at = element(k);
            terms.iter_mut().zip(at).for_each(|(term, v)| term.push(v));
        }
        Basis { mistakes, terms }
    }

    fn element(&self, recipe: &Recipe) -> Element<'_> {
        (self.terms)(recipe, &self.shared)
    }

    fn values(&self, recipe: &Recipe, weights: &[f64]) -> Vec<f64> {
        let element = self.element(recipe);
        (0..self.length.0)
            .map(|k| weighed(&element(k), weights))
            .collect()
    }

    fn ones(&self) -> Vec<f64> {
        vec![1.0; self.question.paths.len()]
    }
}

fn changed(changes: &[&Change]) -> Recipe {
    let mut recipe = Recipe::default();
    changes.iter().for_each(|c| (c.apply)(&mut recipe));
    recipe
}

/// The sum of the terms, as many as there are weights.
fn weighed(terms: &[f64; 3], weights: &[f64]) -> f64 {
    terms.iter().zip(weights).map(|(t, w)| w * t).sum()
}
