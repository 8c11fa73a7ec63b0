//! An exercise as a whole: its parts, or what else is known of it.

use crate::checked::Checked;
use crate::known::{ANY, Known};
use crate::quiz::Quiz;
use crate::shared;

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
#[macro_export]
macro_rules! exercise {
    (
        $(#[doc = $doc:literal])*
        check($function:ident: Fn($($input:ty),* $(,)?) $(-> $output:ty)?),
        $($rest:tt)*
    ) => {
        $(#[doc = $doc])*
        pub type Candidate<'a> = &'a dyn Fn($($input),*) $(-> $output)?;

        $crate::exercise! {
            @check($function: Fn($($input),*) $(-> $output)?),
            $($rest)*
        }
    };
    (
        $(#[doc = $doc:literal])*
        check($($functions:tt)*),
        $($rest:tt)*
    ) => {
        $crate::exercise! { @check($($functions)*), $($rest)* }
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
            let name = $crate::name_of(module_path!());
            $crate::harness::run(name, || report($(&$function),+, 0))
        }

        /// The report on what the reader wrote, on what is drawn from this seed.
        #[must_use]
        pub fn report(
            $($function: &dyn Fn($($input),*) $(-> $output)?),+,
            seed: u64,
        ) -> $crate::Report {
            let name = $crate::name_of(module_path!());
            let parts = vec![$($part.judge(&$run, seed)),+];
            let report = $crate::conclude(name, $right, parts);
            $(
                let then: &dyn Fn($crate::Report, u64) -> $crate::Report = &$then;
                let report = then(report, seed);
            )?
            report
        }

        /// What is known of this exercise without running it.
        pub(crate) fn checker() -> $crate::Checker {
            $crate::Checker::Parts(vec![$(Box::new($part)),+])
        }
    };
}

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

/// Every mistake that one of these exercises knows by name, in their order, each once, and those
/// that are looked for in [`ANY`] exercise.
#[must_use]
pub fn all_known(exercises: &[Entry]) -> Vec<Known> {
    let of_one = |(name, checker): &Entry| checker().known(name);
    let mut all: Vec<Known> = Vec::new();
    for known in exercises.iter().flat_map(of_one).chain(shared::known(ANY)) {
        if !all.contains(&known) {
            all.push(known);
        }
    }
    all
}

/// Those of these exercises that know no mistake by name, and why.
#[must_use]
pub fn nameless(exercises: &[Entry]) -> Vec<(&'static str, &'static str)> {
    let nameless = |(name, checker): &Entry| match checker() {
        Checker::Quiz(_) => Some((*name, "it asks for predictions")),
        Checker::Parts(_) | Checker::And(..) | Checker::Listed(_) => None,
    };
    exercises.iter().filter_map(nameless).collect()
}

/// The labels of the sections that their verdicts refer to.
pub fn sections(exercises: &[Entry]) -> impl Iterator<Item = &'static str> {
    let of_one = |(name, checker): &Entry| checker().sections(name);
    let of_any = shared::known(ANY).into_iter().map(|known| known.section);
    exercises.iter().flat_map(of_one).chain(of_any)
}
