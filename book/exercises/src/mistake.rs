//! The mistakes of an exercise that asks for several arrays, such as `dx` and `dw`.

use crate::compare::same;
use crate::known::Known;
use crate::{Outcome, Report};

/// A mistake that a checker knows by name. `P` is what it tries the reader's code on.
pub struct Mistake<P: 'static> {
    /// The arrays in which it may be made.
    pub targets: &'static [&'static str],
    /// Its name, as in [`crate::Report::mistake`].
    pub id: &'static str,
    /// What is said of the target.
    pub sentence: &'static str,
    /// The label of the book's section on it.
    pub section: &'static str,
    /// The values that it makes of a target.
    pub wrong: fn(&P, &str) -> Vec<f64>,
}

impl<P> Mistake<P> {
    /// What the checker prints when it is made in `target`.
    pub fn headline(&self, target: &str) -> String {
        format!("{target}: {}", self.sentence)
    }
}

/// The mistake in `target` that makes on every probe what was `found` there.
pub fn find<'a, P>(
    mistakes: &'static [Mistake<P>],
    target: &str,
    found: impl Iterator<Item = (&'a P, &'a [f64])> + Clone,
) -> Option<&'static Mistake<P>> {
    let mut of_target = mistakes.iter().filter(|m| m.targets.contains(&target));
    of_target.find(|mistake| {
        let makes = |(probe, found)| same(&(mistake.wrong)(probe, target), found);
        found.clone().all(makes)
    })
}

/// The report on a wrong `target`: its mistake if that is known, or else why it could not be
/// compared, or else the sentence `otherwise`.
pub fn report<P>(
    exercise: &str,
    target: &str,
    known: Option<&Mistake<P>>,
    unusable: Option<(String, String)>,
    otherwise: String,
) -> Report {
    let (id, headline) = match (known, unusable) {
        (Some(known), _) => (known.id.to_owned(), known.headline(target)),
        (None, Some(unusable)) => unusable,
        (None, None) => ("unknown".to_owned(), otherwise),
    };
    let mut report = Report::new(exercise, Outcome::Wrong, headline);
    report.section = known.map(|known| known.section.to_owned());
    report.mistake = Some(id);
    report
}

/// Each mistake with each target in which it may be made.
pub fn every<P>(
    mistakes: &'static [Mistake<P>],
) -> impl Iterator<Item = (&'static str, &'static Mistake<P>)> {
    let with = |mistake: &'static Mistake<P>| mistake.targets.iter().map(move |t| (*t, mistake));
    mistakes.iter().flat_map(with)
}

/// The mistakes for the book's catalogue, target by target.
pub fn listed<P>(exercise: &'static str, mistakes: &'static [Mistake<P>]) -> Vec<Known> {
    let first = |target| every(mistakes).position(|(t, _)| t == target);
    let mut all: Vec<_> = every(mistakes).collect();
    all.sort_by_key(|(target, _)| first(*target));
    all.into_iter()
        .map(|(target, m)| Known::new(exercise, m.id, m.headline(target), m.section))
        .collect()
}

/// That `report`, from `seed`, names the mistake in `target`, and that the catalogue has it.
#[cfg(test)]
#[track_caller]
pub fn assert_named<P>(report: &Report, seed: u64, target: &str, mistake: &Mistake<P>) {
    assert_eq!(
        report.mistake.as_deref(),
        Some(mistake.id),
        "{target}, seed {seed}: {report}"
    );
    assert_eq!(report.headline, mistake.headline(target));
    crate::known::assert_listed(report);
}
