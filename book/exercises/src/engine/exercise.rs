//! An exercise as a whole: its parts, or what else is known of it.

#[cfg(test)]
use super::judge::Judged;
use super::known::Known;
use super::part::{Case, Part};
use crate::quiz::Quiz;

/// Makes an exercise of its parts, in the module that has its name:
///
/// ```ignore
/// exercise! {
///     /// `(dy, a, b, [m, k, n])` to `(da, db)`.
///     check(backward: Fn(&[f64], &[f64], &[f64], [usize; 3]) -> (Vec<f64>, Vec<f64>)),
///     right: "both gradients are right, and finite differences confirm them",
///     parts: [part() => |p, answer| (answer.da, answer.db) = backward(&p.dy, &p.a, &p.b, p.sizes)],
/// }
/// ```
///
/// The reader's file calls `check`, with the functions that are asked for. `right` is said when
/// every part is right, and each part writes into its answer what the functions make of a case.
/// With `then`, the finished report is looked at again. Besides `check` this makes `report`, which
/// tests call with a seed, `checker`, by which the list of all exercises finds it, and of a
/// single function its type, `Candidate`.
macro_rules! exercise {
    (
        $(#[doc = $doc:literal])*
        check($function:ident: Fn($($input:ty),* $(,)?) $(-> $output:ty)?),
        $($rest:tt)*
    ) => {
        $(#[doc = $doc])*
        pub type Candidate<'a> = &'a dyn Fn($($input),*) $(-> $output)?;

        $crate::engine::exercise! {
            @check($function: Fn($($input),*) $(-> $output)?),
            $($rest)*
        }
    };
    (
        $(#[doc = $doc:literal])*
        check($($functions:tt)*),
        $($rest:tt)*
    ) => {
        $crate::engine::exercise! { @check($($functions)*), $($rest)* }
    };
    (
        @check($($function:ident: Fn($($input:ty),* $(,)?) $(-> $output:ty)?),+ $(,)?),
        right: $right:expr,
        parts: [$($part:expr => $run:expr),+ $(,)?]
        $(, then: $then:expr)? $(,)?
    ) => {
        /// Checks what the reader wrote, and prints the report.
        pub fn check(
            $($function: impl Fn($($input),*) $(-> $output)?),+
        ) -> std::process::ExitCode {
            let name = $crate::engine::name_of(module_path!());
            $crate::harness::run(name, || report($(&$function),+, 0))
        }

        /// The report on what the reader wrote, on what is drawn from this seed.
        #[must_use]
        pub fn report(
            $($function: &dyn Fn($($input),*) $(-> $output)?),+,
            seed: u64,
        ) -> verdict::Report {
            let name = $crate::engine::name_of(module_path!());
            let parts = vec![$($part.judge(&$run, seed)),+];
            let report = $crate::engine::conclude(name, $right, parts);
            $(
                let then: &dyn Fn(verdict::Report, u64) -> verdict::Report = &$then;
                let report = then(report, seed);
            )?
            report
        }

        /// What is known of this exercise without running it.
        pub(crate) fn checker() -> $crate::engine::Checker {
            $crate::engine::Checker::Parts(vec![$(Box::new($part)),+])
        }
    };
}
pub(crate) use exercise;

/// The exercise whose module this is.
pub fn name_of(module: &'static str) -> &'static str {
    module.rsplit("::").next().unwrap_or(module)
}

/// An exercise in the list of all: its name, and its checker.
pub type Entry = (&'static str, fn() -> Checker);

/// What is known of an exercise without running it.
pub enum Checker {
    /// It is judged by this engine.
    Parts(Vec<Box<dyn Checked>>),
    /// It is judged by this engine, and knows these besides.
    And(Vec<Box<dyn Checked>>, Vec<Known>),
    /// It keeps a list of what it knows.
    Listed(Vec<Known>),
    /// It asks for predictions, and knows no mistake by name.
    Quiz(&'static Quiz),
}

impl Checker {
    /// The mistakes that it knows by name.
    pub fn known(&self, exercise: &'static str) -> Vec<Known> {
        match self {
            Self::Parts(parts) => of_parts(exercise, parts),
            Self::And(parts, besides) => [of_parts(exercise, parts), besides.clone()].concat(),
            Self::Listed(known) => known.clone(),
            Self::Quiz(_) => Vec::new(),
        }
    }

    /// The labels of the sections that its verdicts refer to.
    pub fn sections(&self, exercise: &'static str) -> Vec<&'static str> {
        let of_parts: Vec<&str> = match self {
            Self::Parts(parts) | Self::And(parts, _) => {
                parts.iter().flat_map(|part| part.sections()).collect()
            }
            Self::Listed(_) => Vec::new(),
            Self::Quiz(quiz) => quiz.questions.iter().map(|q| q.section).collect(),
        };
        let of_known = self.known(exercise).into_iter().map(|known| known.section);
        of_known.chain(of_parts).collect()
    }
}

fn of_parts(exercise: &'static str, parts: &[Box<dyn Checked>]) -> Vec<Known> {
    let of_part = parts.iter().flat_map(|part| {
        let mut known = part.known(exercise);
        if parts.len() > 1 {
            for known in &mut known {
                known.sentence = format!("{}: {}", part.name(), known.sentence);
            }
        }
        known
    });
    of_part.collect()
}

/// From the right values of a target and its extents to others.
#[cfg(test)]
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
    #[cfg(test)]
    fn mistaken(&self, seed: u64) -> Vec<(String, Judged)>;

    /// The names of the targets.
    #[cfg(test)]
    fn targets(&self) -> Vec<&'static str>;

    /// The verdict on right values, but for what `spoil` does to those of a target, from its
    /// extents and the number of the case; and what must be said of it.
    #[cfg(test)]
    fn spoiled(&self, seed: u64, target: &str, spoil: &Spoil) -> (Judged, Vec<String>);

    /// The verdict on a function that throws, after it has written the first `written`
    /// targets; and the title of the first case.
    #[cfg(test)]
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

    #[cfg(test)]
    fn mistaken(&self, seed: u64) -> Vec<(String, Judged)> {
        self.make_mistakes(seed)
    }

    #[cfg(test)]
    fn targets(&self) -> Vec<&'static str> {
        self.targets.iter().map(|target| target.name).collect()
    }

    #[cfg(test)]
    fn spoiled(&self, seed: u64, target: &str, spoil: &Spoil) -> (Judged, Vec<String>) {
        self.spoil(seed, target, spoil)
    }

    #[cfg(test)]
    fn thrown(&self, seed: u64, written: usize, throw: &dyn Fn()) -> (Judged, String) {
        self.throw(seed, written, throw)
    }
}
