//! A part whose types do not matter: what the list of all mistakes knows of it, and what the
//! tests of all exercises make of it, that is, each known mistake, right values but for
//! something, and a function that throws.

use crate::judged::{Judged, told};
use crate::known::Known;
use crate::part::{Case, Part};

/// From the right values of a target and its extents to others.
pub type Spoil = dyn Fn(Vec<f64>, &[usize]) -> Vec<f64>;

/// A part whose types do not matter: for the catalogue of mistakes, and for the tests.
pub trait Checked {
    /// Its name, which stands first in the verdicts of an exercise of several parts.
    fn name(&self) -> &'static str;

    /// The mistakes that are known by name.
    fn known(&self, exercise: &'static str) -> Vec<Known>;

    /// The labels of the sections that a verdict may refer to.
    fn sections(&self) -> Vec<&'static str>;

    /// Makes each mistake, with the right values elsewhere: its target and name, and the
    /// verdict.
    fn mistaken(&self, seed: u64) -> Vec<(String, Judged)>;

    /// The names of the targets.
    fn targets(&self) -> Vec<&'static str>;

    /// The verdict on right values, but for what `spoil` does to those of a target, from its
    /// extents and the number of the case; and what must be said of it.
    fn spoiled(&self, seed: u64, target: &str, spoil: &Spoil) -> (Judged, Vec<String>);

    /// The verdict on a function that throws, after it has written the first `written`
    /// targets; and the title of the first case.
    fn thrown(&self, seed: u64, written: usize, throw: &dyn Fn()) -> (Judged, String);
}

impl<C: Case, A: 'static> Checked for Part<C, A> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn known(&self, exercise: &'static str) -> Vec<Known> {
        let mut known: Vec<Known> = Vec::new();
        // Target by target, as they are judged.
        for target in &self.targets {
            let of_target = self.mistakes.iter().filter(|m| m.target == target.name);
            known.extend(of_target.map(|mistake| {
                let headline = self.headline(target.name, &mistake.sentence);
                Known::new(exercise, &mistake.id, headline, mistake.section)
            }));
            let of_target = self
                .edges
                .iter()
                .filter(|e| e.targets.contains(&target.name));
            known.extend(of_target.map(|edge| {
                let headline = self.headline(target.name, edge.sentence);
                Known::new(exercise, edge.id, headline, edge.section)
            }));
        }
        known
    }

    fn sections(&self) -> Vec<&'static str> {
        self.targets.iter().map(|target| target.section).collect()
    }

    fn targets(&self) -> Vec<&'static str> {
        self.targets.iter().map(|target| target.name).collect()
    }

    fn mistaken(&self, seed: u64) -> Vec<(String, Judged)> {
        let make = |target: &str, id: &str, sentence: &str, wrong: &dyn Fn(&C) -> Vec<f64>| {
            let run = |case: &C, answer: &mut A| {
                self.answer(case, answer);
                (self.by_name(target).set)(answer, wrong(case));
            };
            let headline = self.headline(target, sentence);
            (format!("{id}\n{headline}"), self.judge(&run, seed))
        };
        let mistakes = self.mistakes.iter();
        let mut made: Vec<_> = mistakes
            .map(|m| make(m.target, &m.id, &m.sentence, &*m.wrong))
            .collect();
        for edge in &self.edges {
            for target in edge.targets {
                made.push(make(target, edge.id, edge.sentence, &|case| {
                    let off = if (edge.which)(case) { 0.7 } else { 0.0 };
                    let right = (self.by_name(target).right)(case);
                    right.iter().map(|right| right + off).collect()
                }));
            }
        }
        made
    }

    fn spoiled(&self, seed: u64, target: &str, spoil: &Spoil) -> (Judged, Vec<String>) {
        let target = self.by_name(target);
        let spoilt = |case: &C| spoil((target.right)(case), &target.extents(case));
        let run = |case: &C, answer: &mut A| {
            self.answer(case, answer);
            (target.set)(answer, spoilt(case));
        };
        // What must be said: of the first case that differs.
        let mut wanted = vec![target.name.to_owned()];
        for case in (self.cases)(seed) {
            let (right, found) = ((target.right)(&case), spoilt(&case));
            if right.len() != found.len() {
                wanted.push(
                    format!("{}, and must have {}", found.len(), right.len()).replace(
                        ", and",
                        if found.len() == 1 {
                            " value, and"
                        } else {
                            " values, and"
                        },
                    ),
                );
            } else if let Some(at) = (0..right.len()).find(|&at| right[at] != found[at]) {
                wanted.push(told(target, &case, at, [found[at], right[at]]));
            } else {
                continue;
            }
            wanted.push(case.title());
            break;
        }
        (self.judge(&run, seed), wanted)
    }

    fn thrown(&self, seed: u64, written: usize, throw: &dyn Fn()) -> (Judged, String) {
        let run = |case: &C, answer: &mut A| {
            for target in &self.targets[..written] {
                (target.set)(answer, (target.right)(case));
            }
            throw();
        };
        let title = (self.cases)(seed)[0].title();
        (self.judge(&run, seed), title)
    }
}

impl<C: Case, A> Part<C, A> {
    /// Writes the right values.
    fn answer(&self, case: &C, answer: &mut A) {
        for target in &self.targets {
            (target.set)(answer, (target.right)(case));
        }
    }
}
