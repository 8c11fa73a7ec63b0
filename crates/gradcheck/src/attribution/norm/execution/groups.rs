//! What belongs to one group, taken for another: its statistics, its sums, its place.

use super::kernel::Pair;
use super::scene::{Evidence, Scene};
use crate::attribution::norm::probe::Target;
use std::rc::Rc;

/// Which group a group has something of, and how that is told.
struct Mix {
    told: String,
    of: Box<dyn Fn(usize) -> usize>,
}

impl Scene<'_> {
    /// Groups mixed up by a rule.
    fn mixes(&self) -> Vec<Mix> {
        let (count, unit) = (self.groups.len(), self.probe.kind.group());
        let mut all: Vec<Mix> = Vec::new();
        let mut add = |told: String, of: Box<dyn Fn(usize) -> usize>| all.push(Mix { told, of });
        add(
            format!("of the {unit} before, as if the last came before the first"),
            Box::new(move |g| (g + count - 1) % count),
        );
        add(
            format!("of the {unit} before"),
            Box::new(|g: usize| g.saturating_sub(1)),
        );
        add(
            format!("of the {unit} after, as if the first came after the last"),
            Box::new(move |g| (g + 1) % count),
        );
        add(
            format!("of the {unit} after"),
            Box::new(move |g| (g + 1).min(count - 1)),
        );
        if self.first > 0 {
            // A part of an array knows neighbours only.
            return all;
        }
        for one in [0, count - 1] {
            let told = format!("of {unit} {one} in every {unit}");
            add(told, Box::new(move |_| one));
        }
        for block in [2, 4, 8, 16].into_iter().filter(|&b| b < count) {
            let told = format!("of the first of every {block} {unit}s in each of these");
            add(told, Box::new(move |g| g / block * block));
        }
        for other in (2..count).filter(|other| count.is_multiple_of(*other)) {
            let rows = count / other;
            add(
                format!("of the {unit}s as if {other} rows of {rows} lay the other way round"),
                Box::new(move |g| g % rows * other + g / rows),
            );
            add(
                format!("of the first {other} {unit}s again and again"),
                Box::new(move |g| g % other),
            );
            add(
                format!("of {unit} 0 in the first {rows}, of {unit} 1 in the next, and so on"),
                Box::new(move |g| g / rows),
            );
        }
        all
    }

    /// The right formula, with the mean, the rstd or the means of the backward of other groups,
    /// by a rule.
    pub fn mixed(&self) {
        if self.target == Target::Dbeta {
            return;
        }
        let right = self.kernel();
        let centred = self.probe.kind.is_centred();
        let of = &self.probe.groups.of;
        for mix in self.mixes() {
            for (id, what, mean, rstd) in choices(centred) {
                let statistics = self.each_group(|group| {
                    let other = (mix.of)(group);
                    self.mixed_pair(group, other, mean, rstd)
                });
                let kernel = right.clone().with_statistics(statistics);
                self.propose(Evidence::GROUPS, self.run(&kernel), || {
                    (id.to_owned(), format!("{what} {}", mix.told))
                });
            }
            if self.target != Target::Dx {
                continue;
            }
            for (what, parts) in sums(centred) {
                let means: Pair<'_> = Rc::new(|k| {
                    let own = self.own.means[of[k]];
                    let other = self.own.means[(mix.of)(of[k])];
                    [0, 1].map(|i| if parts[i] { other[i] } else { own[i] })
                });
                let kernel = right.clone().with_means(means);
                self.propose(Evidence::GROUPS, self.run(&kernel), || {
                    let sentence = format!("{what} of the backward are those {}", mix.told);
                    ("means-of-another".to_owned(), sentence)
                });
            }
        }
    }

    fn mixed_pair(&self, group: usize, other: usize, mean: bool, rstd: bool) -> [f64; 2] {
        let (own, other) = (self.own.pair(group), self.own.pair(other));
        [
            if mean { other[0] } else { own[0] },
            if rstd { other[1] } else { own[1] },
        ]
    }

    /// Sums that go on from one group to the next, as when nothing sets them to zero.
    pub fn not_reset(&self) {
        if !self.is_spread() {
            self.parameters_not_reset();
        }
        if self.target == Target::Dbeta {
            return;
        }
        let (count, unit) = (self.groups.len(), self.probe.kind.group());
        let right = self.kernel();
        let centred = self.probe.kind.is_centred();
        let blocks = [2, 4, 8].into_iter().filter(|&b| b < count).chain([count]);
        for block in blocks {
            let since = match block == count {
                true => format!("from one {unit} to the next"),
                false => format!("through every {block} {unit}s"),
            };
            let so_far = |of: &[f64]| -> Vec<f64> {
                let mut sum = 0.0;
                let add = |(group, v): (usize, &f64)| {
                    sum = if group.is_multiple_of(block) {
                        *v
                    } else {
                        sum + v
                    };
                    sum
                };
                of.iter().enumerate().map(add).collect()
            };
            for (what, on_mean, on_var) in [
                ("mean and variance", true, true),
                ("the mean", true, false),
                ("the variance", false, true),
            ] {
                let mean = match on_mean {
                    true => so_far(&self.own.mean),
                    false => self.own.mean.clone(),
                };
                // The squares are those of what is off the mean that there is.
                let off = |group: usize| mean[group] - self.own.mean[group];
                let var: Vec<f64> = (0..count)
                    .map(|group| self.own.var[group] + off(group).powi(2))
                    .collect();
                let var = if on_var { so_far(&var) } else { var };
                let rstd = |group: usize| 1.0 / (var[group] + self.probe.eps).sqrt();
                let statistics = self.each_group(|group| [mean[group], rstd(group)]);
                let kernel = right.clone().with_statistics(statistics);
                self.propose(Evidence::GROUPS, self.run(&kernel), || {
                    let sentence = format!("the sums of {what} go on {since}: they are not reset");
                    ("not-reset".to_owned(), sentence)
                });
            }
            if self.target == Target::Dx {
                for (what, parts) in sums(centred) {
                    let means = [0, 1].map(|i| {
                        let own: Vec<f64> = self.own.means.iter().map(|m| m[i]).collect();
                        if parts[i] { so_far(&own) } else { own }
                    });
                    let means = self.each_group(|group| [means[0][group], means[1][group]]);
                    let kernel = right.clone().with_means(means);
                    self.propose(Evidence::GROUPS, self.run(&kernel), || {
                        let sentence =
                            format!("{what} of the backward go on {since}: they are not reset");
                        ("not-reset".to_owned(), sentence)
                    });
                }
            }
        }
    }

    /// The same for the sums of dgamma and dbeta.
    fn parameters_not_reset(&self) {
        let (count, unit) = (self.right.len(), self.probe.kind.parameter());
        for block in [2, 4, 8].into_iter().filter(|&b| b < count).chain([count]) {
            let made = |p: usize| self.right[p / block * block..=p].iter().sum();
            self.propose(Evidence::ELEMENTS, made, || {
                let since = match block == count {
                    true => format!("from one {unit} to the next"),
                    false => format!("through every {block} {unit}s"),
                };
                let sentence = format!("the sum goes on {since}: it is not reset");
                ("not-reset".to_owned(), sentence)
            });
        }
    }

    /// Whole rows, channels or groups in each other's place.
    pub fn exchanged(&self) {
        if !self.is_spread() {
            return;
        }
        let mut from = vec![None; self.groups.len()];
        let mut pairs = Vec::new();
        for group in self.wrong_groups() {
            let own = &self.groups[group];
            let same = |other: &Vec<usize>| {
                own.iter()
                    .zip(other)
                    .all(|(&k, &from)| self.is(k, self.right[from]))
            };
            let Some(other) = self.groups.iter().position(same) else {
                return;
            };
            pairs.push((group, other));
            from[group] = Some(other);
        }
        let mut made = self.right.clone();
        for &(group, other) in &pairs {
            let places = self.groups[group].iter().zip(&self.groups[other]);
            places.for_each(|(&k, &from)| made[k] = self.right[from]);
        }
        let verb = if pairs.len() == 1 { "holds" } else { "hold" };
        let sentence = self.told_pairs(&pairs, |of, there| {
            format!("{of} {verb} what belongs to {there}")
        });
        let evidence = Evidence::ELEMENTS.chosen(self.groups.len(), pairs.len());
        self.propose(evidence, |k| made[k], || ("exchanged".to_owned(), sentence));
    }

    /// The right formula, with the mean or rstd of whichever other groups come closest.
    pub fn of_another_group(&self) {
        if !self.is_spread() {
            return;
        }
        let count = self.groups.len();
        let wrong = self.wrong_groups();
        // Every pair is tried on one element first, and only the nearest in full.
        if wrong.len() * count > MOST_PAIRS {
            return;
        }
        let right = self.kernel();
        for (id, what, mean, rstd) in choices(self.probe.kind.is_centred()) {
            let nearest = |group: usize| -> usize {
                let off = |other: usize| -> f64 {
                    let pair = self.mixed_pair(group, other, mean, rstd);
                    let statistics = self.each_group(move |_| pair);
                    let made = self.run(&right.clone().with_statistics(statistics));
                    let off = |&k: &usize| (self.candidate[k] - made(k)).powi(2);
                    self.groups[group].iter().map(off).sum()
                };
                let others = (0..count).filter(|&other| other != group);
                let others = others.map(|other| (off(other), other));
                others
                    .min_by(|a, b| a.0.total_cmp(&b.0))
                    .map_or(group, |(_, other)| other)
            };
            let pairs: Vec<(usize, usize)> = wrong.iter().map(|&g| (g, nearest(g))).collect();
            let mut of: Vec<usize> = (0..count).collect();
            pairs.iter().for_each(|&(group, other)| of[group] = other);
            let statistics = self.each_group(|group| self.mixed_pair(group, of[group], mean, rstd));
            let evidence = Evidence::GROUPS.chosen(count, pairs.len());
            let kernel = right.clone().with_statistics(statistics);
            let fault = || self.told_of_others(id, what, &pairs);
            self.propose(evidence, self.run(&kernel), fault);
        }
    }

    /// Some groups that have the statistics of others.
    pub fn told_of_others(
        &self,
        id: &str,
        what: &str,
        pairs: &[(usize, usize)],
    ) -> (String, String) {
        let sentence = self.told_pairs(pairs, |of, there| format!("in {of}, {what} of {there}"));
        (id.to_owned(), sentence)
    }

    /// One element too many in the sums of a group: the first of the next, or the last of the one
    /// before, as a mask lets it in whose bound is off by one.
    pub fn one_too_many(&self) {
        if self.target == Target::Dbeta {
            return;
        }
        let (count, unit) = (self.groups.len(), self.probe.kind.group());
        let first = |group: usize| self.groups[group].first().copied();
        let last = |group: usize| self.groups[group].last().copied();
        type Beyond<'a> = Box<dyn Fn(usize) -> Option<usize> + 'a>;
        let ways: [(&str, Beyond<'_>); 3] = [
            (
                "the first value of the next",
                Box::new(move |g| first((g + 1) % count)),
            ),
            (
                "the first value of the next, where there is one",
                Box::new(move |g| (g + 1 < count).then(|| first(g + 1)).flatten()),
            ),
            (
                "the last value of the one before, where there is one",
                Box::new(move |g| g.checked_sub(1).and_then(last)),
            ),
        ];
        let right = self.kernel();
        for (what, beyond) in &ways {
            for more in [0.0, 1.0] {
                let over = |group: usize, term: &dyn Fn(usize) -> f64| -> f64 {
                    let own = &self.groups[group];
                    let sum: f64 = own.iter().map(|&k| term(k)).sum();
                    match beyond(group) {
                        Some(k) => (sum + term(k)) / (own.len() as f64 + more),
                        None => sum / own.len() as f64,
                    }
                };
                let forward = right
                    .clone()
                    .with_statistics(self.statistics_by(right.x.clone(), over));
                let backward = right.clone().with_means(self.means_by(&right, over));
                let both = forward.clone().with_means(self.means_by(&forward, over));
                for (sums, kernel) in [
                    ("the sums of the statistics", forward),
                    ("the sums of the backward", backward),
                    ("all sums, forward and backward,", both),
                ] {
                    let by = if more > 0.0 { ", and count it" } else { "" };
                    self.propose(Evidence::GROUPS, self.run(&kernel), || {
                        let sentence = format!(
                            "{sums} of each {unit} take in {what} {unit}{by}: a bound is off by one"
                        );
                        ("one-too-many".to_owned(), sentence)
                    });
                }
            }
        }
    }

    /// Groups that have something of others, in words.
    fn told_pairs(&self, pairs: &[(usize, usize)], say: impl Fn(&str, &str) -> String) -> String {
        let unit = self.probe.kind.group();
        let own: Vec<usize> = pairs.iter().map(|(own, _)| *own).collect();
        let other: Vec<usize> = pairs.iter().map(|(_, other)| *other).collect();
        let of = self.numbered(&own);
        let apart = |(own, other): &(usize, usize)| *own as i64 - *other as i64;
        let alike = pairs
            .windows(2)
            .all(|pair| apart(&pair[0]) == apart(&pair[1]));
        let places = pairs.first().map_or(0, apart);
        if other.windows(2).all(|pair| pair[0] == pair[1]) {
            say(&of, &self.numbered(&other[..1.min(other.len())]))
        } else if alike {
            let side = if places > 0 { "before" } else { "after" };
            match places.abs() {
                1 => say(&of, &format!("the {unit} {side}")),
                far => say(&of, &format!("the {unit} {far} places {side}")),
            }
        } else {
            say(&of, &self.numbered(&other))
        }
    }

    pub fn wrong_groups(&self) -> Vec<usize> {
        let wrong = |group: &usize| self.groups[*group].iter().any(|&k| !self.is_right(k));
        (0..self.groups.len()).filter(wrong).collect()
    }
}

/// More pairs of groups are not tried one by one.
const MOST_PAIRS: usize = 1 << 14;

/// Which of the statistics are those of another group.
fn choices(centred: bool) -> Vec<(&'static str, &'static str, bool, bool)> {
    let all = [
        (
            "statistics-of-another",
            "mean and rstd are those",
            true,
            true,
        ),
        ("mean-of-another", "the mean is that", true, false),
        ("rstd-of-another", "rstd is that", false, true),
    ];
    all.into_iter()
        .filter(|(.., mean, rstd)| centred || (!mean && *rstd))
        .collect()
}

/// Which of the sums of the backward a fault is in.
fn sums(centred: bool) -> Vec<(&'static str, [bool; 2])> {
    let all = [
        ("the means of g and of g * x_hat", [true, true]),
        ("the means of g", [true, false]),
        ("the means of g * x_hat", [false, true]),
    ];
    all.into_iter()
        .filter(|(_, parts)| centred || !parts[0])
        .collect()
}
