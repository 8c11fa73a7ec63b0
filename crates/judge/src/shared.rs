//! Mistakes that any exercise can hold.
//!
//! Those of a sum, a product or a deviation are made from what a checker tells of a target.
//! Those of any array are looked for in every target, after all others.

use crate::compare::{largest, same};
use crate::known::{Known, fill};
use crate::part::{Case, Compared, Named, Part, Target, Values};
use std::rc::Rc;

/// The places of a sum's terms and the terms, in the order of the loops that add them.
pub type Terms = Vec<(usize, f64)>;

/// The sums of terms at so many places.
pub fn added(count: usize, terms: impl IntoIterator<Item = (usize, f64)>) -> Vec<f64> {
    let mut sums = vec![0.0; count];
    for (place, term) in terms {
        sums[place] += term;
    }
    sums
}

/// A deviation's reciprocal, from variance and eps.
pub type Deviation = fn(f64, f64) -> f64;

/// `rstd`, rightly, and what may be taken for it.
pub fn rstd(var: f64, eps: f64) -> f64 {
    1.0 / (var + eps).sqrt()
}

const DEVIATIONS: [(&str, Deviation); 4] = [
    (
        "eps-missing: eps is left out: it stands under the root, beside the variance",
        |var, _| 1.0 / var.sqrt(),
    ),
    (
        "eps-outside: eps is added to the deviation; it belongs under the root, beside the variance",
        |var, eps| 1.0 / (var.sqrt() + eps),
    ),
    (
        "root-missing: it is divided by the variance; it is the deviation, its root, that divides",
        |var, eps| 1.0 / (var + eps),
    ),
    (
        "deviation-multiplied: it is multiplied by the deviation, and must be divided by it",
        |var, eps| (var + eps).sqrt(),
    ),
];

impl<C: Case, A: 'static> Part<C, A> {
    /// The last target is the sum of these terms, because of what `why` says: knows that only
    /// one term was kept, or one was left out. A target whose places are added to in another
    /// order of the loops may be told of twice.
    #[must_use]
    #[track_caller]
    pub fn sums(self, why: &str, terms: impl Fn(&C) -> Terms + 'static) -> Self {
        /// Which terms of a place stay, from the number of the term and of all.
        type Stays = fn(usize, usize) -> bool;
        const KINDS: [(&str, &str, Stays); 4] = [
            (
                "overwritten",
                "only the last term of its sum is kept, as when `=` stands where `+=` belongs",
                |at, count| at + 1 == count,
            ),
            (
                "first-only",
                "only the first term of its sum is there",
                |at, _| at == 0,
            ),
            (
                "last-missing",
                "the last term of its sum is missing",
                |at, count| at + 1 < count,
            ),
            (
                "first-missing",
                "the first term of its sum is missing",
                |at, _| at > 0,
            ),
        ];
        let ((name, section, right), terms) = (self.told_of(), Rc::new(terms));
        KINDS.into_iter().fold(self, |part, (id, what, stays)| {
            let text = format!("{id}: {what}: {why}");
            let (right, terms) = (right.clone(), terms.clone());
            part.wrong(name, section, &text, move |case| {
                let (terms, length) = (terms(case), right(case).len());
                let mut count = vec![0; length];
                terms.iter().for_each(|(place, _)| count[*place] += 1);
                let mut at = vec![0; length];
                let kept = terms.into_iter().filter(|(place, _)| {
                    at[*place] += 1;
                    stays(at[*place] - 1, count[*place])
                });
                added(length, kept)
            })
        })
    }

    /// The last target is the sum of so many terms, because of what `why` says: knows that their
    /// mean stands for it.
    #[must_use]
    #[track_caller]
    pub fn no_mean(self, why: &str, count: fn(&C) -> f64) -> Self {
        let (name, section, right) = self.told_of();
        let text = format!("averaged: its terms are averaged, and must be added up: {why}");
        self.wrong(name, section, &text, move |case| {
            let count = count(case);
            right(case).iter().map(|sum| sum / count).collect()
        })
    }

    /// The last target has a factor, `factor` being its value at each place, because of what
    /// `why` says: knows that it is missing, that it is there twice, and that it divides.
    #[must_use]
    #[track_caller]
    pub fn contains(self, factor: &str, why: &str, values: fn(&C) -> Vec<f64>) -> Self {
        let kinds = [
            (format!("forgotten: {factor} is forgotten"), -1.0),
            (
                format!("twice: {factor} is there twice, and must be there once"),
                1.0,
            ),
            (
                format!("divided: it is divided by {factor}, and must be multiplied"),
                -2.0,
            ),
        ];
        kinds.into_iter().fold(self, |part, (what, power)| {
            part.with_factor(&format!("{factor}-{what}: {why}"), values, power)
        })
    }

    /// The last target has no such factor, because of what `why` says: knows that it is there.
    #[must_use]
    #[track_caller]
    pub fn excludes(self, factor: &str, why: &str, values: fn(&C) -> Vec<f64>) -> Self {
        let what = format!("it has a factor {factor} that does not belong there: {why}");
        self.with_factor(&format!("{factor}-too-many: {what}"), values, 1.0)
    }

    /// Name, section and right values of the last target.
    #[track_caller]
    fn told_of(&self) -> (&'static str, &'static str, Values<C>) {
        let last = self.last();
        (last.name, last.section, last.right.clone())
    }

    #[track_caller]
    fn with_factor(self, text: &str, values: fn(&C) -> Vec<f64>, power: f64) -> Self {
        let (name, section, right) = self.told_of();
        self.wrong(name, section, text, move |case| {
            let pairs = right(case).into_iter().zip(values(case));
            pairs
                .map(|(right, factor)| right * factor.powf(power))
                .collect()
        })
    }

    /// The last target is made with the reciprocal of a deviation: knows what is taken for
    /// it. `with` makes the target from whatever stands in its place.
    #[must_use]
    #[track_caller]
    pub fn deviation(self, with: fn(&C, Deviation) -> Vec<f64>) -> Self {
        let name = self.last().name;
        DEVIATIONS.into_iter().fold(self, |part, (text, wrong)| {
            let section = part.last().section;
            part.wrong(name, section, text, move |case| with(case, wrong))
        })
    }
}

/// What any target may be, with a blank for what depends on it; in the order of the search.
const ANY: [(&str, &str); 13] = [
    ZERO,
    SIGN,
    OTHER,
    TRANSPOSED,
    SUMMED,
    AVERAGED,
    ROOT_MISSING,
    ROOT_TWICE,
    DOUBLED,
    HALVED,
    SCALED,
    SHIFTED,
    UNWRITTEN,
];
const ZERO: (&str, &str) = ("zero", "it is zero everywhere");
const SIGN: (&str, &str) = ("sign", "it has the wrong sign");
const OTHER: (&str, &str) = ("other", "this is …");
const TRANSPOSED: (&str, &str) = (
    "transposed",
    "rows and columns are exchanged: the value of … i and … j belongs at i * … + j",
);
const SUMMED: (&str, &str) = (
    "summed",
    "it is … times too large: a division by … is missing, or a sum runs along one axis too many",
);
const AVERAGED: (&str, &str) = (
    "averaged",
    "it is … times too small: it is averaged where a sum is asked for, or divided twice",
);
const ROOT_MISSING: (&str, &str) = (
    "root-of-size-missing",
    "it is √… times too large: a division by √… is missing",
);
const ROOT_TWICE: (&str, &str) = (
    "root-of-size-twice",
    "it is √… times too small: it is divided by √… once too often",
);
const DOUBLED: (&str, &str) = ("doubled", "it is twice too large");
const HALVED: (&str, &str) = ("halved", "it is half of what it must be");
const SCALED: (&str, &str) = ("scaled", "it is … times what it must be, everywhere");
const SHIFTED: (&str, &str) = ("shifted", "a constant is added everywhere: …");
const UNWRITTEN: (&str, &str) = (
    "unwritten",
    "it is right in part, and zero at the other places: not all of it is written",
);

/// The mistakes that are looked for in every target.
pub fn known(exercise: &'static str) -> Vec<Known> {
    let known = |(id, what)| Known::new(exercise, id, format!("…: {what}"), "sec:signatures");
    ANY.map(known).into()
}

fn named((id, what): (&str, &str), values: &[&dyn std::fmt::Display]) -> Named {
    Named {
        id: id.to_owned(),
        sentence: fill(what, values),
        section: None,
    }
}

/// Which mistake that any array may hold explains every case.
pub(crate) fn find<C: Case, A>(
    target: &Target<C, A>,
    others: &[Target<C, A>],
    pairs: &[&Compared<'_, C>],
) -> Option<Named> {
    let all = |makes: &dyn Fn(&Compared<'_, C>) -> Vec<f64>| {
        let mut pairs = pairs.iter();
        pairs.all(|pair| same(&makes(pair), &pair.found))
    };
    let each = |f: &dyn Fn(&C, f64) -> f64| {
        all(&|pair| pair.wanted.iter().map(|w| f(pair.case, *w)).collect())
    };
    let zero = |pair: &&Compared<'_, C>| pair.found.iter().all(|f| *f == 0.0);
    if pairs.iter().all(zero) {
        return Some(named(ZERO, &[]));
    }
    if each(&|_, w| -w) {
        return Some(named(SIGN, &[]));
    }
    let mut others = others.iter();
    if let Some(other) = others.find(|other| all(&|pair| (other.right)(pair.case))) {
        return Some(named(OTHER, &[&other.name]));
    }
    if let [rows, columns] = target.axes {
        let transposed = |pair: &Compared<'_, C>| {
            let (r, c) = (pair.case.size(rows.0), pair.case.size(columns.0));
            let turned = (0..r * c).map(|at| pair.wanted[at % r * c + at / r]);
            turned.collect()
        };
        if all(&transposed) {
            return Some(named(TRANSPOSED, &[&rows.1, &columns.1, &columns.0]));
        }
    }
    let first = pairs.first()?;
    let sizes = first
        .case
        .sizes()
        .into_iter()
        .filter(|_| first.case.factors());
    for (letter, _) in sizes {
        for (what, factor) in OF_SIZE {
            if each(&|case, w| w * factor(case.size(letter) as f64)) {
                return Some(named(what, &[&letter, &letter]));
            }
        }
    }
    if each(&|_, w| w * 2.0) {
        return Some(named(DOUBLED, &[]));
    }
    if each(&|_, w| w * 0.5) {
        return Some(named(HALVED, &[]));
    }
    // One factor, or one shift, that is the same everywhere. A single number would always
    // have one.
    if pairs.iter().map(|pair| pair.wanted.len()).sum::<usize>() > 1 {
        let size = largest(&first.wanted);
        let at = first.wanted.iter().position(|w| w.abs() == size)?;
        let [wanted, found] = [&first.wanted, &first.found].map(|values| values[at]);
        let (factor, shift) = (found / wanted, found - wanted);
        if each(&|_, w| w * factor) {
            return Some(named(SCALED, &[&short(factor)]));
        }
        if each(&|_, w| w + shift) {
            return Some(named(SHIFTED, &[&short(shift)]));
        }
    }
    let unwritten = |pair: &&Compared<'_, C>| {
        let size = largest(&pair.wanted);
        let right = |w: f64, f: f64| same(&[w, size], &[f, size]);
        let mut both = pair.wanted.iter().zip(&pair.found);
        both.all(|(w, f)| *f == 0.0 || right(*w, *f))
    };
    pairs.iter().all(unwritten).then(|| named(UNWRITTEN, &[]))
}

/// What a size does as a factor.
type OfSize = fn(f64) -> f64;

const OF_SIZE: [((&str, &str), OfSize); 4] = [
    (SUMMED, |size| size),
    (AVERAGED, |size| 1.0 / size),
    (ROOT_MISSING, f64::sqrt),
    (ROOT_TWICE, |size| 1.0 / size.sqrt()),
];

/// A number of a few digits.
pub fn short(value: f64) -> String {
    if (1e-3..1e6).contains(&value.abs()) {
        let text = format!("{value:.4}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        format!("{value:.3e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field;
    use crate::part::{Axis, Order};
    use std::collections::BTreeSet;

    /// A matrix of R rows and C columns, and another.
    struct Table {
        rows: usize,
        columns: usize,
        factors: bool,
    }

    impl Case for Table {
        fn title(&self) -> String {
            format!("{} rows of {}", self.rows, self.columns)
        }

        fn sizes(&self) -> Vec<(&'static str, usize)> {
            vec![("R", self.rows), ("C", self.columns)]
        }

        fn factors(&self) -> bool {
            self.factors
        }
    }

    impl Table {
        fn m(&self) -> Vec<f64> {
            let count = self.rows * self.columns;
            (0..count).map(|at| (at as f64 - 2.3).sin() + 0.4).collect()
        }

        fn n(&self) -> Vec<f64> {
            self.m().iter().map(|v| v * v + 1.0).collect()
        }
    }

    #[derive(Default)]
    struct Pair {
        m: Vec<f64>,
        n: Vec<f64>,
    }

    const AXES: &[Axis] = &[Axis("R", "row"), Axis("C", "column")];

    /// The name and the sentence, if m is made wrong like this.
    fn told(wrong: &dyn Fn(&Table) -> Vec<f64>, factors: bool) -> (String, String) {
        let cases: fn(u64) -> Vec<Table> = |seed| {
            let table = |(rows, columns)| Table {
                rows,
                columns,
                factors: seed == 1,
            };
            [(3, 5), (7, 6)].map(table).into()
        };
        let report = Part::<_, Pair>::new("tables", Order::Together, cases)
            .target("m", "sec:sweep", AXES, Table::m, field!(m))
            .target("n", "sec:sweep", AXES, Table::n, field!(n))
            .report(
                "exercise",
                "all right",
                &|table, answer| {
                    *answer = Pair {
                        m: wrong(table),
                        n: table.n(),
                    };
                },
                u64::from(factors),
            );
        (report.mistake.unwrap_or_default(), report.headline)
    }

    type Wrong = Box<dyn Fn(&Table) -> Vec<f64>>;

    fn scaled(by: fn(f64, f64) -> f64) -> Wrong {
        Box::new(move |t| {
            let by = by(t.rows as f64, t.columns as f64);
            t.m().iter().map(|v| v * by).collect()
        })
    }

    fn wrongs() -> Vec<(&'static str, &'static str, Wrong)> {
        vec![
            ("zero", "it is zero everywhere", scaled(|_, _| 0.0)),
            ("sign", "it has the wrong sign", scaled(|_, _| -1.0)),
            ("other", "this is n", Box::new(Table::n)),
            (
                "transposed",
                "rows and columns are exchanged: the value of row i and column j belongs at i * C + j",
                Box::new(|t| {
                    let (m, mut turned) = (t.m(), Vec::new());
                    for column in 0..t.columns {
                        turned.extend((0..t.rows).map(|row| m[row * t.columns + column]));
                    }
                    turned
                }),
            ),
            (
                "summed",
                "it is R times too large: a division by R is missing, or a sum runs along one axis too many",
                scaled(|rows, _| rows),
            ),
            (
                "averaged",
                "it is C times too small: it is averaged where a sum is asked for, or divided twice",
                scaled(|_, columns| 1.0 / columns),
            ),
            (
                "root-of-size-missing",
                "it is √C times too large: a division by √C is missing",
                scaled(|_, columns| columns.sqrt()),
            ),
            (
                "root-of-size-twice",
                "it is √R times too small: it is divided by √R once too often",
                scaled(|rows, _| 1.0 / rows.sqrt()),
            ),
            ("doubled", "it is twice too large", scaled(|_, _| 2.0)),
            (
                "halved",
                "it is half of what it must be",
                scaled(|_, _| 0.5),
            ),
            (
                "scaled",
                "it is -3.3 times what it must be, everywhere",
                scaled(|_, _| -3.3),
            ),
            (
                "shifted",
                "a constant is added everywhere: -0.75",
                Box::new(|t| t.m().iter().map(|v| v - 0.75).collect()),
            ),
            (
                "unwritten",
                "it is right in part, and zero at the other places: not all of it is written",
                Box::new(|t| {
                    let mut m = t.m();
                    m[t.columns..].fill(0.0);
                    m
                }),
            ),
        ]
    }

    #[test]
    fn what_any_array_may_hold_is_named_with_its_sentence() {
        let mut known: BTreeSet<&str> = ANY.iter().map(|(id, _)| *id).collect();
        let mut missed = Vec::new();
        for (id, sentence, wrong) in wrongs() {
            let wanted = (id.to_owned(), format!("m: {sentence}"));
            let found = told(&*wrong, true);
            if found != wanted {
                missed.push((wanted, found));
            }
            known.remove(id);
        }
        assert_eq!(missed, []);
        assert!(known.is_empty(), "not made here: {known:?}");
    }

    /// A name holds of all cases and all places, or it is not given.
    #[test]
    fn what_holds_in_part_is_not_named() {
        let wrongs: [Wrong; 4] = [
            scaled(|rows, columns| rows * columns + 0.1),
            Box::new(|t| {
                let mut m = t.m();
                m[0] = -m[0];
                m
            }),
            Box::new(|t| {
                if t.rows == 3 {
                    t.n()
                } else {
                    vec![0.0; t.rows * t.columns]
                }
            }),
            Box::new(|t| {
                t.m()
                    .iter()
                    .enumerate()
                    .map(|(at, v)| v + at as f64)
                    .collect()
            }),
        ];
        for (at, wrong) in wrongs.iter().enumerate() {
            assert_eq!(told(&**wrong, true).0, "unknown", "{at}");
        }
        // Where sizes are no factors, one of them is none.
        assert_eq!(told(&*scaled(|rows, _| rows), false).0, "unknown");
    }
}
