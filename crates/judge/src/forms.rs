//! The forms in which a checker is written: cases, answers by name, and tables of mistakes.

use crate::part::{Axis, Case, Field, Part, Slip};
use std::collections::BTreeMap;

/// Mistakes, each with its formula.
pub type Formulas<C, V> = &'static [Slip<fn(&C) -> V>];

/// A table of mistakes: the text of each, and what makes it.
#[macro_export]
macro_rules! slips {
    ($($text:expr => $makes:expr),* $(,)?) => {
        &[$(($text, $makes)),*]
    };
}

/// A target that has the name of its field in the answer; see [`field!`](crate::field!).
#[macro_export]
macro_rules! of {
    (number $name:ident) => {
        (stringify!($name), $crate::field!(number $name))
    };
    ($name:ident) => {
        (stringify!($name), $crate::field!($name))
    };
}

/// Makes a type a [`Case`](crate::Case): how it is told, and its sizes; `counts` stands in
/// place of `sizes` where they count records or inputs, over which no sum or mean runs.
#[macro_export]
macro_rules! case {
    (
        $case:ty,
        |$p:ident| $title:expr,
        $kind:ident: [$($letter:literal: $size:expr),* $(,)?] $(,)?
    ) => {
        impl $crate::Case for $case {
            fn title(&self) -> String {
                let $p = self;
                $title
            }

            fn sizes(&self) -> Vec<(&'static str, usize)> {
                let $p = self;
                vec![$(($letter, $size)),*]
            }

            fn factors(&self) -> bool {
                stringify!($kind) == "sizes"
            }
        }
    };
}

/// An answer that is looked up by the names of its targets; what is not there is NaN.
#[derive(Clone, Default)]
pub struct Found(BTreeMap<&'static str, Vec<f64>>);

impl Found {
    /// The values of a target, or NaN.
    #[must_use]
    pub fn get(&self, target: &str) -> Vec<f64> {
        self.0.get(target).cloned().unwrap_or(vec![f64::NAN])
    }

    /// Puts these values in their place.
    pub fn set(&mut self, target: &'static str, values: impl IntoIterator<Item = f64>) {
        self.0.insert(target, values.into_iter().collect());
    }

    /// What `run` writes of these targets.
    pub fn by<const D: usize>(run: impl FnOnce(&mut Self), targets: [&str; D]) -> Vec<Vec<f64>> {
        let mut found = Self::default();
        run(&mut found);
        targets.map(|target| found.get(target)).into()
    }
}

/// A target of an answer that is [`Found`], by its name.
#[macro_export]
macro_rules! found {
    ($name:expr) => {
        (
            $name,
            (
                |found: &$crate::Found| found.get($name),
                |found: &mut $crate::Found, values| found.set($name, values),
            ),
        )
    };
}

impl<C: Case, A: 'static> Part<C, A> {
    /// Asks for a field of the answer, which [`of!`](crate::of!) names; the rest as in
    /// [`target`](Self::target).
    #[must_use]
    pub fn asks<V: Into<Vec<f64>>>(
        self,
        (name, field): (&'static str, Field<A>),
        section: &'static str,
        axes: &'static [Axis],
        right: impl Fn(&C) -> V + 'static,
    ) -> Self {
        self.target(name, section, axes, move |case| right(case).into(), field)
    }

    /// Mistakes whose formulas make arrays of any kind.
    #[must_use]
    #[track_caller]
    pub fn formulas<V: Into<Vec<f64>> + 'static>(
        self,
        targets: &[&'static str],
        table: Formulas<C, V>,
    ) -> Self {
        self.variants(targets, table, |case, _, wrong| wrong(case).into())
    }

    /// The same, where the book explains it in another `section`.
    #[must_use]
    #[track_caller]
    pub fn formulas_in<V: Into<Vec<f64>> + 'static>(
        self,
        section: &'static str,
        targets: &[&'static str],
        table: Formulas<C, V>,
    ) -> Self {
        self.variants_in(section, targets, table, |case, _, wrong| wrong(case).into())
    }
}
