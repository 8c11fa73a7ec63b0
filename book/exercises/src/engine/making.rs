//! What the tests of all exercises make of a part: each known mistake, right values but for
//! something, and a function that throws.

use super::exercise::Spoil;
use super::judge::{Judged, told};
use super::part::{Case, Part};

impl<C: Case, A: 'static> Part<C, A> {
    /// Writes the right values.
    fn answer(&self, case: &C, answer: &mut A) {
        for target in &self.targets {
            (target.set)(answer, (target.right)(case));
        }
    }

    pub(super) fn make_mistakes(&self, seed: u64) -> Vec<(String, Judged)> {
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

    pub(super) fn spoil(&self, seed: u64, target: &str, spoil: &Spoil) -> (Judged, Vec<String>) {
        let target = self.by_name(target);
        let spoiled = |case: &C| spoil((target.right)(case), &target.extents(case));
        let run = |case: &C, answer: &mut A| {
            self.answer(case, answer);
            (target.set)(answer, spoiled(case));
        };
        // What must be said: of the first case that differs.
        let mut wanted = vec![target.name.to_owned()];
        for case in (self.cases)(seed) {
            let (right, found) = ((target.right)(&case), spoiled(&case));
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

    pub(super) fn throw(&self, seed: u64, written: usize, throw: &dyn Fn()) -> (Judged, String) {
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
