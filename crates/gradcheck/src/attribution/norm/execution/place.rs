//! Sets of elements in words.

use super::scene::{Evidence, Scene};
use crate::attribution::norm::layout::Kind;

/// The share of the squares in a place that no multiple of what is right leaves over.
const NO_MULTIPLE: f64 = 0.1;

/// Numbers in words: `3`, `3 and 7`, `3 to 7`, `0, 4 and 8`, `0, 4, 8, ..., 16`.
pub fn numbers(list: &[usize]) -> String {
    match list {
        [] => "none".to_owned(),
        [one] => one.to_string(),
        [a, b] => format!("{a} and {b}"),
        [first, second, .., last] => {
            let step = second.saturating_sub(*first);
            let even = step > 0 && list.windows(2).all(|pair| pair[1] == pair[0] + step);
            match (even, step, list.len()) {
                (true, 1, _) => format!("{first} to {last}"),
                (true, _, 4..) => format!("{first}, {second}, {}, ..., {last}", second + step),
                (_, _, few @ ..=6) => {
                    let most: Vec<String> = list[..few - 1].iter().map(usize::to_string).collect();
                    format!("{} and {last}", most.join(", "))
                }
                (_, _, many) => {
                    let some: Vec<String> = list[..4].iter().map(usize::to_string).collect();
                    format!("{} and {} others", some.join(", "), many - 4)
                }
            }
        }
    }
}

/// Whether the words for a list tell all of it.
pub(super) fn is_told(list: &[usize]) -> bool {
    !numbers(list).ends_with("others")
}

/// `row 3`, `rows 4 and 5`, `places 4 and 5 on axis 0`.
pub(super) fn counted(unit: &str, list: &[usize]) -> String {
    let plural = if list.len() == 1 { "" } else { "s" };
    let (unit, on) = unit
        .split_once(" on ")
        .map_or((unit, String::new()), |(unit, on)| {
            (unit, format!(" on {on}"))
        });
    format!("{unit}{plural} {}{on}", numbers(list))
}

impl Scene<'_> {
    /// Elements of the target, in order and not all of them, in the largest units that fit, with
    /// the verb: `rows 2 and 3 are`.
    pub fn place(&self, set: &[usize]) -> String {
        let (place, one) = self.told(set);
        let verb = if one { "is" } else { "are" };
        format!("{place} {verb}")
    }

    /// Where it is right, when it is wrong in a part only.
    pub fn except(&self) -> String {
        let (wrong, all) = (self.wrong.len(), self.right.len());
        // Of what does not lie together, more than half is not told.
        let together = self.is_spread() && self.whole_units(&self.wrong).is_some();
        if wrong == 0 || wrong == all || !together && 2 * wrong > all {
            return String::new();
        }
        format!("; it is right except in {}", self.told(&self.wrong).0)
    }

    /// Some places a multiple of what is right, and all else right.
    pub fn by_a_factor(&self) {
        // A part of a row has no reason to have a factor of its own, and neither have sums that
        // are many and scattered.
        let together = match self.is_spread() {
            true => self.whole_units(&self.wrong).is_some(),
            false => is_told(&self.wrong),
        };
        if self.wrong.len() == self.right.len() || !together {
            return;
        }
        let (mut along, mut square) = (0.0, 0.0);
        for &k in &self.wrong {
            along += self.candidate[k] * self.right[k];
            square += self.right[k] * self.right[k];
        }
        let factor = along / square;
        // What is no multiple of it has none, and what may be one everywhere is not told by places.
        let rest = |&k: &usize| (self.candidate[k] - factor * self.right[k]).powi(2);
        let rest: f64 = self.wrong.iter().map(rest).sum();
        let there: f64 = self.wrong.iter().map(|&k| self.candidate[k].powi(2)).sum();
        let anywhere = (0..self.right.len()).all(|k| self.is(k, factor * self.right[k]));
        if rest > NO_MULTIPLE * there || anywhere {
            return;
        }
        let mut made = self.right.clone();
        self.wrong.iter().for_each(|&k| made[k] *= factor);
        let evidence = Evidence::ELEMENTS.fitted(1);
        self.propose(
            evidence,
            |k| made[k],
            || {
                let sentence = format!(
                    "{} {factor:.4} times what should be there, and all else is right",
                    self.place(&self.wrong)
                );
                ("factor-in-places".to_owned(), sentence)
            },
        );
    }

    /// Groups by the numbers that they have in the whole array.
    pub fn numbered(&self, groups: &[usize]) -> String {
        let list: Vec<usize> = groups.iter().map(|group| group + self.first).collect();
        counted(self.probe.kind.group(), &list)
    }

    /// A set in words, and whether it is one thing.
    fn told(&self, set: &[usize]) -> (String, bool) {
        let probe = self.probe;
        if !self.is_spread() {
            let first = if probe.kind == Kind::Batch {
                self.first
            } else {
                0
            };
            let list: Vec<usize> = set.iter().map(|p| p + first).collect();
            return (counted(probe.kind.parameter(), &list), set.len() == 1);
        }
        if let Some((unit, list)) = self.whole_units(set) {
            return (counted(&unit, &list), list.len() == 1);
        }
        let unit = probe.kind.group();
        let mut groups: Vec<usize> = set.iter().map(|&k| probe.groups.of[k]).collect();
        groups.sort_unstable();
        groups.dedup();
        if let [group] = groups[..] {
            let at = |k: &usize| self.groups[group].iter().position(|j| j == k);
            let within: Vec<usize> = set.iter().filter_map(at).collect();
            let place = format!(
                "{} of {unit} {}",
                counted("value", &within),
                group + self.first
            );
            return (place, set.len() == 1);
        }
        if 2 * groups.len() <= self.groups.len() {
            let place = format!("{} values of {}", set.len(), self.numbered(&groups));
            return (place, false);
        }
        (counted("element", set), false)
    }

    /// The rows, channels or places on an axis that a set consists of, if there are such.
    fn whole_units(&self, set: &[usize]) -> Option<(String, Vec<usize>)> {
        let probe = self.probe;
        let of_groups = |unit: String, of: &[usize], count: usize, first: usize| {
            let mut hit = vec![false; count];
            set.iter().for_each(|&k| hit[of[k]] = true);
            let whole: usize = of.iter().filter(|&&group| hit[group]).count();
            let list: Vec<usize> = (0..count).filter(|&group| hit[group]).collect();
            let list: Vec<usize> = list.into_iter().map(|one| one + first).collect();
            (whole == set.len() && list.len() < count).then_some((unit, list))
        };
        let (groups, params) = (&probe.groups, &probe.params);
        let kind = probe.kind;
        of_groups(
            kind.group().to_owned(),
            &groups.of,
            groups.count,
            self.first,
        )
        .or_else(|| of_groups(kind.parameter().to_owned(), &params.of, params.count, 0))
        .or_else(|| {
            (0..probe.shape.len()).find_map(|axis| {
                let below: usize = probe.shape[axis + 1..].iter().product();
                let at = |k: usize| k / below % probe.shape[axis];
                let of: Vec<usize> = (0..probe.x.len()).map(at).collect();
                let unit = match (axis, kind) {
                    (0, Kind::Batch | Kind::Group) => "example".to_owned(),
                    _ => format!("place on axis {axis}"),
                };
                of_groups(unit, &of, probe.shape[axis], 0)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_short() {
        for (list, words) in [
            (&[3][..], "3"),
            (&[3, 7], "3 and 7"),
            (&[3, 4, 5], "3 to 5"),
            (&[0, 4, 8], "0, 4 and 8"),
            (&[0, 4, 8, 12, 16], "0, 4, 8, ..., 16"),
            (&[1, 4, 7, 10], "1, 4, 7, ..., 10"),
            (&[0, 1, 5, 6], "0, 1, 5 and 6"),
            (&[0, 1, 5, 6, 9, 11, 15, 20], "0, 1, 5, 6 and 4 others"),
        ] {
            assert_eq!(numbers(list), words);
        }
        assert!(is_told(&[0, 4, 8]) && !is_told(&[0, 1, 5, 6, 9, 11, 15, 20]));
        assert_eq!(counted("row", &[1]), "row 1");
        assert_eq!(counted("row", &[1, 2]), "rows 1 and 2");
        assert_eq!(
            counted("place on axis 0", &[1, 2]),
            "places 1 and 2 on axis 0"
        );
    }
}
