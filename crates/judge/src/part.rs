//! One function of the reader: what it is tried on, what it must make, what may be wrong.

use crate::compare::{ROUNDING, same};
use crate::known::named;

use gradcheck::attribution::Verdict;
use std::rc::Rc;

/// What the reader's function is tried on.
pub trait Case: 'static {
    /// What is special about it, in words that stand after "for": "4 positions of 3
    /// features".
    fn title(&self) -> String;

    /// The number that each letter of a shape stands for. Axes whose letters have none are not
    /// there in this case.
    fn sizes(&self) -> Vec<(&'static str, usize)>;

    /// Whether sums and means run over what the sizes count, so that one may stand as a factor
    /// where it does not belong. Not where they count records, or inputs.
    fn factors(&self) -> bool {
        true
    }

    /// The number that `letter` stands for.
    ///
    /// # Panics
    /// If the case has no size of this letter.
    #[track_caller]
    fn size(&self, letter: &str) -> usize {
        let mut sizes = self.sizes().into_iter();
        let of_letter = sizes.find(|(name, _)| *name == letter);
        of_letter.map_or_else(
            || panic!("the case {} has no size {letter}", self.title()),
            |(_, size)| size,
        )
    }
}

/// An axis of a target: its letter in shapes, and what an index along it counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis(pub &'static str, pub &'static str);

/// What is told first when several targets are wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    /// The first whose mistake has a name, or else the first.
    Together,
    /// The first: each is computed from those before it.
    FirstWrong,
}

/// How a target is read from an answer, and put into one.
pub type Field<A> = (fn(&A) -> Vec<f64>, fn(&mut A, Vec<f64>));

/// The reader's function: it writes its answer to a case.
pub type Run<'a, C, A> = &'a dyn Fn(&C, &mut A);

/// The values of a target in one case.
pub type Values<C> = Rc<dyn Fn(&C) -> Vec<f64>>;

/// The check of a function against finite differences, on what a seed draws.
pub type Numeric<C, A> = Box<dyn Fn(Run<'_, C, A>, u64) -> gradcheck::Report>;

/// What a part has to say of a wrong target by itself: from the case, the answer and the
/// target's name to a mistake.
pub type Explain<C, A> = fn(&C, &A, &str) -> Option<Named>;

/// What a part has to say of a wrong answer as a whole: from the case, the answer and the name
/// of the mistake to a sentence.
pub type Note<C, A> = fn(&C, &A, &str) -> Option<String>;

/// From a case, the values found and the target's name to what the attribution concludes; none
/// where there is nothing to ask.
pub type Attribute<C> = fn(&C, &[f64], &str) -> Option<Verdict>;

/// A mistake that has a name.
pub struct Named {
    /// Its name, as in [`verdict::Report::mistake`].
    pub id: String,
    /// What is wrong, and why: it stands after the name of the target and a colon.
    pub sentence: String,
    /// The section on it, if that is another than the target's.
    pub section: Option<&'static str>,
}

impl Named {
    /// Of `its-name: what is said`.
    ///
    /// # Panics
    /// If there is no name.
    #[track_caller]
    pub fn of(text: &str) -> Self {
        let (id, sentence) = named(text);
        Self {
            id: id.to_owned(),
            sentence: sentence.to_owned(),
            section: None,
        }
    }
}

/// An array, or a number, that the reader's function must make.
pub struct Target<C, A> {
    pub(crate) name: &'static str,
    pub(crate) section: &'static str,
    pub(crate) axes: &'static [Axis],
    pub(crate) right: Values<C>,
    pub(crate) get: fn(&A) -> Vec<f64>,
    pub(crate) set: fn(&mut A, Vec<f64>),
    /// The size of what cancels in it, if it may be zero but for rounding.
    pub(crate) cancels: Option<fn(&C) -> f64>,
    /// Where a value says yes or no, what is said of one that is 1, and of one that is 0.
    pub(crate) answers: Option<[&'static str; 2]>,
}

/// Those of `axes` that are there in this case, each with its length.
fn lengths(axes: &[Axis], case: &impl Case) -> Vec<(Axis, usize)> {
    let sizes = case.sizes();
    let length = |axis: &Axis| sizes.iter().find(|(letter, _)| *letter == axis.0);
    let axis = |axis: &Axis| length(axis).map(|(_, length)| (*axis, *length));
    axes.iter().filter_map(axis).collect()
}

/// The shape that `axes` have in this case.
pub(crate) fn extents(axes: &[Axis], case: &impl Case) -> Vec<usize> {
    let axes = lengths(axes, case).into_iter();
    axes.map(|(_, length)| length).collect()
}

impl<C: Case, A> Target<C, A> {
    /// Its axes in this case, each with its length.
    pub(crate) fn axes(&self, case: &C) -> Vec<(Axis, usize)> {
        lengths(self.axes, case)
    }

    pub(crate) fn extents(&self, case: &C) -> Vec<usize> {
        extents(self.axes, case)
    }

    /// Whether `found` is `wanted` but for rounding.
    pub(crate) fn fits(&self, case: &C, wanted: &[f64], found: &[f64]) -> bool {
        let near = |size: f64| {
            let mut pairs = wanted.iter().zip(found);
            wanted.len() == found.len() && pairs.all(|(w, f)| (w - f).abs() <= ROUNDING * size)
        };
        same(wanted, found) || self.cancels.is_some_and(|size| near(size(case)))
    }

    /// Whether `found` is what a mistake makes but for rounding, also where that is NaN or
    /// infinite.
    pub(crate) fn makes(&self, case: &C, wrong: &[f64], found: &[f64]) -> bool {
        let alike = |(w, f): (&f64, &f64)| {
            (w.is_finite() && f.is_finite()) || w == f || (w.is_nan() && f.is_nan())
        };
        let finite = |values: &[f64]| -> Vec<f64> {
            let value = |v: &f64| if v.is_finite() { *v } else { 0.0 };
            values.iter().map(value).collect()
        };
        wrong.iter().zip(found).all(alike) && self.fits(case, &finite(wrong), &finite(found))
    }
}

/// From a case and the name of a target to wrong values of it.
pub type Formula<C> = fn(&C, &str) -> Vec<f64>;

/// A line of a table of mistakes: the name, a colon and what is said; and what makes it.
pub type Slip<I> = (&'static str, I);

/// A line that has a formula of its own.
pub type Mistake<C> = Slip<Formula<C>>;

/// Wrong values of a target that have a name.
pub(crate) struct Wrong<C> {
    pub(crate) target: &'static str,
    pub(crate) id: String,
    pub(crate) sentence: String,
    pub(crate) section: &'static str,
    pub(crate) wrong: Values<C>,
}

/// Cases at the edge, and the mistake that is made in them alone.
pub struct Edge<C> {
    pub(crate) which: fn(&C) -> bool,
    pub(crate) targets: &'static [&'static str],
    pub(crate) id: &'static str,
    pub(crate) sentence: &'static str,
    pub(crate) section: &'static str,
}

/// One function of the reader.
pub struct Part<C: 'static, A: 'static> {
    pub(crate) name: &'static str,
    pub(crate) cases: Box<dyn Fn(u64) -> Vec<C>>,
    pub(crate) blank: fn(&C) -> A,
    pub(crate) order: Order,
    pub(crate) targets: Vec<Target<C, A>>,
    pub(crate) mistakes: Vec<Wrong<C>>,
    pub(crate) edges: Vec<Edge<C>>,
    pub(crate) explain: Option<Explain<C, A>>,
    pub(crate) attribute: Option<Attribute<C>>,
    pub(crate) note: Option<Note<C, A>>,
    pub(crate) numeric: Option<Numeric<C, A>>,
}

impl<C: Case, A: Default + 'static> Part<C, A> {
    /// The reader's function `name`, tried on the `cases` of a seed.
    pub fn new(name: &'static str, order: Order, cases: impl Fn(u64) -> Vec<C> + 'static) -> Self {
        Self::over(name, order, cases, |_| A::default())
    }
}

impl<C: Case, A: 'static> Part<C, A> {
    /// The same, where the function writes over something: the answer is `blank` before it does.
    pub fn over(
        name: &'static str,
        order: Order,
        cases: impl Fn(u64) -> Vec<C> + 'static,
        blank: fn(&C) -> A,
    ) -> Self {
        Self {
            name,
            cases: Box::new(cases),
            blank,
            order,
            targets: Vec::new(),
            mistakes: Vec::new(),
            edges: Vec::new(),
            explain: None,
            attribute: None,
            note: None,
            numeric: None,
        }
    }

    /// Asks for `name`, derived in `section`, whose shape has the letters of `axes`; none for
    /// a number. `field` reads it from an answer and puts it into one.
    #[must_use]
    pub fn target(
        mut self,
        name: &'static str,
        section: &'static str,
        axes: &'static [Axis],
        right: impl Fn(&C) -> Vec<f64> + 'static,
        (get, set): Field<A>,
    ) -> Self {
        self.targets.push(Target {
            name,
            section,
            axes,
            right: Rc::new(right),
            get,
            set,
            cancels: None,
            answers: None,
        });
        self
    }

    /// The values of the last target say yes, as 1, or no: `told` says what is wrong with a
    /// place that says yes, and with one that says no.
    #[must_use]
    pub fn answers(mut self, told: [&'static str; 2]) -> Self {
        if let Some(last) = self.targets.last_mut() {
            last.answers = Some(told);
        }
        self
    }

    /// The last target may be zero but for rounding, where terms of this size cancel.
    #[must_use]
    pub fn cancels(mut self, size: fn(&C) -> f64) -> Self {
        if let Some(last) = self.targets.last_mut() {
            last.cancels = Some(size);
        }
        self
    }

    /// What a wrong line makes of each of `targets`, and what is said of it. The book
    /// explains it where it derives the target.
    #[must_use]
    #[track_caller]
    pub fn mistakes(self, targets: &[&'static str], table: &[Mistake<C>]) -> Self {
        self.variants(targets, table, |case, target, wrong| wrong(case, target))
    }

    /// The same, where the book explains it in another `section`.
    #[must_use]
    #[track_caller]
    pub fn mistakes_in(
        self,
        section: &'static str,
        targets: &[&'static str],
        table: &[Mistake<C>],
    ) -> Self {
        let make = |case: &C, target: &str, wrong: &Formula<C>| wrong(case, target);
        self.tabulated(|_, _| section, targets, table, make)
    }

    /// Mistakes that differ by an ingredient: one formula `makes` them all.
    #[must_use]
    #[track_caller]
    pub fn variants<I: Copy + 'static>(
        self,
        targets: &[&'static str],
        table: &[Slip<I>],
        makes: fn(&C, &str, &I) -> Vec<f64>,
    ) -> Self {
        let section = |part: &Self, target: &str| part.by_name(target).section;
        self.tabulated(section, targets, table, makes)
    }

    /// The same, where the book explains it in another `section`.
    #[must_use]
    #[track_caller]
    pub fn variants_in<I: Copy + 'static>(
        self,
        section: &'static str,
        targets: &[&'static str],
        table: &[Slip<I>],
        makes: fn(&C, &str, &I) -> Vec<f64>,
    ) -> Self {
        self.tabulated(|_, _| section, targets, table, makes)
    }

    /// Variants of which each names its targets.
    #[must_use]
    #[track_caller]
    pub fn variants_of<I: Copy + 'static>(
        self,
        table: &[Slip<(&[&'static str], I)>],
        makes: fn(&C, &str, &I) -> Vec<f64>,
    ) -> Self {
        table
            .iter()
            .fold(self, |part, (text, (targets, ingredient))| {
                part.variants(targets, &[(text, *ingredient)], makes)
            })
    }

    #[track_caller]
    fn tabulated<I: Copy + 'static>(
        self,
        section: impl Fn(&Self, &str) -> &'static str,
        targets: &[&'static str],
        table: &[Slip<I>],
        makes: fn(&C, &str, &I) -> Vec<f64>,
    ) -> Self {
        let all = table
            .iter()
            .flat_map(|slip| targets.iter().map(move |target| (*target, *slip)));
        all.fold(self, |part, (target, (text, ingredient))| {
            let section = section(&part, target);
            part.wrong(target, section, text, move |case| {
                makes(case, target, &ingredient)
            })
        })
    }

    /// One mistake of one target, whose text may be put together, and whose formula may hold
    /// something.
    #[must_use]
    #[track_caller]
    pub fn wrong(
        mut self,
        target: &'static str,
        section: &'static str,
        text: &str,
        wrong: impl Fn(&C) -> Vec<f64> + 'static,
    ) -> Self {
        let Named { id, sentence, .. } = Named::of(text);
        self.mistakes.push(Wrong {
            target,
            id,
            sentence,
            section,
            wrong: Rc::new(wrong),
        });
        self
    }

    /// The cases that `which` picks are at the edge, as an empty list is. A mistake is known by
    /// what it makes of the others: whether a line of the reader's treats the edge by itself is
    /// not asked. What is wrong at the edge alone, whatever its value, is called this.
    #[must_use]
    pub fn edge(
        mut self,
        which: fn(&C) -> bool,
        targets: &'static [&'static str],
        id: &'static str,
        sentence: &'static str,
        section: &'static str,
    ) -> Self {
        self.edges.push(Edge {
            which,
            targets,
            id,
            sentence,
            section,
        });
        self
    }

    /// Asks `explain` about a wrong target that is none of the mistakes.
    #[must_use]
    pub fn explained_by(mut self, explain: Explain<C, A>) -> Self {
        self.explain = Some(explain);
        self
    }

    /// Asks the attribution about a wrong target that is none of the mistakes.
    #[must_use]
    pub fn attributed_by(mut self, attribute: Attribute<C>) -> Self {
        self.attribute = Some(attribute);
        self
    }

    /// Adds a note on a wrong answer as a whole.
    #[must_use]
    pub fn noted_by(mut self, note: Note<C, A>) -> Self {
        self.note = Some(note);
        self
    }

    /// Asks finite differences, once everything is right.
    #[must_use]
    pub fn numeric(
        mut self,
        numeric: impl Fn(Run<'_, C, A>, u64) -> gradcheck::Report + 'static,
    ) -> Self {
        self.numeric = Some(Box::new(numeric));
        self
    }

    /// The target called `name`.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub(crate) fn by_name(&self, name: &str) -> &Target<C, A> {
        let found = self.targets.iter().find(|target| target.name == name);
        found.unwrap_or_else(|| panic!("{name} is no target yet: declare it before its mistakes"))
    }

    /// The target that was declared last.
    #[track_caller]
    pub(crate) fn last(&self) -> &Target<C, A> {
        self.targets
            .last()
            .expect("a target, before what is told of it")
    }

    pub(crate) fn headline(&self, target: &str, sentence: &str) -> String {
        match self.order {
            Order::Together => format!("{target}: {sentence}"),
            Order::FirstWrong => format!("the first wrong line is {target}: {sentence}"),
        }
    }
}

/// A target in one case: the right values, and those found.
pub struct Compared<'a, C> {
    pub(crate) case: &'a C,
    pub(crate) wanted: Vec<f64>,
    pub(crate) found: Vec<f64>,
    pub(crate) fits: bool,
}

/// The number that is there, or none.
pub fn only(values: &[f64]) -> f64 {
    values.first().copied().unwrap_or(f64::NAN)
}

/// How a target is read from an answer, and put into one: `field!(dx)` for a vector,
/// `field!(number dvar)` for a number, `field!(number 0)` for one of an array of numbers; and
/// `field!()` or `field!(number)` where the answer is nothing else.
#[macro_export]
macro_rules! field {
    () => {
        (|answer| answer.clone(), |answer, values| *answer = values)
    };
    (number) => {
        (
            |answer| vec![*answer],
            |answer, values| *answer = $crate::only(&values),
        )
    };
    (number $at:literal) => {
        (
            |answer| vec![answer[$at]],
            |answer, values| answer[$at] = $crate::only(&values),
        )
    };
    (number $name:ident) => {
        (
            |answer| vec![answer.$name],
            |answer, values| answer.$name = $crate::only(&values),
        )
    };
    ($name:ident) => {
        (
            |answer| answer.$name.clone(),
            |answer, values| answer.$name = values,
        )
    };
}
