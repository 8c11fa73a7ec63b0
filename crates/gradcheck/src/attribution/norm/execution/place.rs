//! Sets of elements in words.

use super::scene::Scene;

/// Numbers in words: `3`, `3 and 7`, `3 to 7`, `0, 4 to 8 (every 4th)`.
pub(super) fn numbers(list: &[usize]) -> String {
    match list {
        [] => "none".to_owned(),
        [one] => one.to_string(),
        [a, b] => format!("{a} and {b}"),
        [first, second, .., last] => {
            let step = second.saturating_sub(*first);
            let even = step > 0 && list.windows(2).all(|pair| pair[1] == pair[0] + step);
            match (even, step, list.len()) {
                (true, 1, _) => format!("{first} to {last}"),
                (true, ..) => format!("{first}, {second} to {last} (every {})", nth(step)),
                (false, _, few @ ..=6) => {
                    let most: Vec<String> = list[..few - 1].iter().map(usize::to_string).collect();
                    format!("{} and {last}", most.join(", "))
                }
                (false, _, many) => {
                    let some: Vec<String> = list[..4].iter().map(usize::to_string).collect();
                    format!("{} and {} others", some.join(", "), many - 4)
                }
            }
        }
    }
}

fn nth(step: usize) -> String {
    match step {
        2 => "2nd".to_owned(),
        3 => "3rd".to_owned(),
        _ => format!("{step}th"),
    }
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
        let (unit, list) = self.units(set);
        let verb = if list.len() == 1 { "is" } else { "are" };
        format!("{} {verb}", counted(&unit, &list))
    }

    fn units(&self, set: &[usize]) -> (String, Vec<usize>) {
        let probe = self.probe;
        if !self.is_spread() {
            return (probe.kind.parameter().to_owned(), set.to_vec());
        }
        let of_groups = |of: &[usize], count: usize| {
            let mut hit = vec![false; count];
            set.iter().for_each(|&k| hit[of[k]] = true);
            let whole: usize = of.iter().filter(|&&group| hit[group]).count();
            let list: Vec<usize> = (0..count).filter(|&group| hit[group]).collect();
            (whole == set.len() && list.len() < count).then_some(list)
        };
        if let Some(list) = of_groups(&probe.groups.of, probe.groups.count) {
            return (probe.kind.group().to_owned(), list);
        }
        if let Some(list) = of_groups(&probe.params.of, probe.params.count) {
            return (probe.kind.parameter().to_owned(), list);
        }
        for axis in 0..probe.shape.len() {
            let below: usize = probe.shape[axis + 1..].iter().product();
            let at = |k: usize| k / below % probe.shape[axis];
            let of: Vec<usize> = (0..probe.x.len()).map(at).collect();
            if let Some(list) = of_groups(&of, probe.shape[axis]) {
                return (format!("place on axis {axis}"), list);
            }
        }
        ("element".to_owned(), set.to_vec())
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
            (&[0, 4, 8], "0, 4 to 8 (every 4th)"),
            (&[0, 1, 5, 6], "0, 1, 5 and 6"),
            (&[0, 1, 5, 6, 9, 11, 15, 20], "0, 1, 5, 6 and 4 others"),
        ] {
            assert_eq!(numbers(list), words);
        }
        assert_eq!(counted("row", &[1]), "row 1");
        assert_eq!(counted("row", &[1, 2]), "rows 1 and 2");
        assert_eq!(
            counted("place on axis 0", &[1, 2]),
            "places 1 and 2 on axis 0"
        );
    }
}
