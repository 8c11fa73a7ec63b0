//! Sums that leave values out, or count them twice.

use super::columns::Columns;
use super::kernel::{Kernel, Pair};
use super::place::counted;
use super::scene::{Evidence, Scene};
use crate::attribution::least_squares;
use crate::attribution::norm::layout::Kind;
use crate::attribution::norm::probe::Target;
use crate::groups::Groups;
use std::cell::Cell;
use std::rc::Rc;

/// Sets of single values and of pairs are tried up to this length.
const SINGLES: usize = 1024;
const PAIRS: usize = 40;
/// Every so manieth value is left out up to this step.
const MOST_STEPS: usize = 16;
/// A weight from a regression is a count when it is this near to one.
const NEAR: f64 = 0.02;

/// A number for each element, by which a loop may run over a group.
struct Index {
    unit: String,
    of: Vec<usize>,
    length: usize,
}

/// How often each value of an index is counted.
struct Counts {
    counts: Vec<f64>,
}

impl Index {
    /// The indices that run within these groups.
    fn within(scene: &Scene<'_>, groups: &Groups) -> Vec<Self> {
        let (probe, rows) = (
            scene.probe,
            matches!(scene.probe.kind, Kind::Layer | Kind::Rms),
        );
        let mut seen = vec![0; groups.count];
        let place = |&group: &usize| {
            seen[group] += 1;
            seen[group] - 1
        };
        let parameters = std::ptr::eq(groups, &probe.params);
        let unit = match (rows, parameters) {
            (true, true) => "row",
            (true, false) => "feature",
            _ => "value",
        };
        let mut all = vec![Self {
            unit: unit.to_owned(),
            of: groups.of.iter().map(place).collect(),
            length: groups.size(),
        }];
        for axis in 0..probe.shape.len() {
            let below: usize = probe.shape[axis + 1..].iter().product();
            // The channels of a group are counted within it.
            let length = match (axis, probe.kind) {
                (1, Kind::Group) => groups.size() / below,
                _ => probe.shape[axis],
            };
            let at = |k: usize| k / below % probe.shape[axis] % length;
            let of: Vec<usize> = (0..probe.x.len()).map(at).collect();
            let as_numbers: Vec<f64> = of.iter().map(|&i| i as f64).collect();
            if groups.constant(&as_numbers).is_some() || all.iter().any(|index| index.of == of) {
                continue;
            }
            let unit = match (axis, probe.kind) {
                (0, _) => "example".to_owned(),
                (1, Kind::Group) => "channel".to_owned(),
                _ => format!("place on axis {axis}"),
            };
            all.push(Self { unit, of, length });
        }
        all
    }

    /// Sets that loops leave out, one after the other: the ends, single ones, every so manieth;
    /// and what is counted twice.
    fn each_set(&self, look: &mut dyn FnMut(&Counts)) {
        let n = self.length;
        let mut add = |counts: Vec<f64>| {
            if counts.iter().any(|c| *c != 1.0) && counts.iter().any(|c| *c > 0.0) {
                look(&Counts { counts });
            }
        };
        let of = |count: &dyn Fn(usize) -> f64| (0..n).map(count).collect::<Vec<f64>>();
        let out = |left: bool| f64::from(u8::from(!left));
        let ends: Vec<usize> = match n <= SINGLES {
            true => (1..n).collect(),
            false => (0..20).map(|p| 1 << p).filter(|&b| b < n).collect(),
        };
        for &b in &ends {
            add(of(&|i| out(i >= n - b)));
            add(of(&|i| out(i < b)));
            add(of(&|i| if i >= n - b { 2.0 } else { 1.0 }));
            if b.is_power_of_two() {
                add(of(&|i| if i < b { 2.0 } else { 1.0 }));
            }
        }
        for step in 2..=n.min(MOST_STEPS) {
            for at in 0..step {
                add(of(&|i| out(i % step == at)));
                add(of(&|i| out(i % step != at)));
            }
        }
        for width in (1..12).map(|p| 1 << p).take_while(|width| *width < n) {
            // Blocks of which every other, or every fourth, is left out.
            for blocks in [2, 4] {
                for at in 0..blocks {
                    add(of(&|i| out(i / width % blocks == at)));
                    add(of(&|i| out(i / width % blocks != at)));
                }
            }
        }
        for width in (2..=8)
            .chain((4..12).map(|p| 1 << p))
            .filter(|&width| width < n)
        {
            // The same block again and again, and a last block that begins before the end of the
            // one before it.
            add((0..n)
                .map(|i| {
                    if i < width {
                        (n - i).div_ceil(width) as f64
                    } else {
                        0.0
                    }
                })
                .collect());
            let whole = n / width * width;
            add(of(&|i| {
                if i >= n - width && i < whole {
                    2.0
                } else {
                    1.0
                }
            }));
        }
        // One block between others, lost or added twice.
        for width in (3..12).map(|p| 1 << p).take_while(|width| 2 * width < n) {
            for at in 1..n.div_ceil(width) - 1 {
                for count in [0.0, 2.0] {
                    add(of(&|i| if i / width == at { count } else { 1.0 }));
                }
            }
        }
        add(halved(n));
        if n <= SINGLES {
            for one in 0..n {
                add(of(&|i| out(i == one)));
                add(of(&|i| if i == one { 2.0 } else { 1.0 }));
                add(of(&|i| out(i != one)));
            }
        }
        if n <= PAIRS {
            for a in 0..n {
                for b in a + 1..n {
                    add(of(&|i| out(i == a || i == b)));
                }
            }
        }
    }

    /// `leaves out rows 4 and 5`, `counts row 2 twice`.
    fn told(&self, counts: &Counts) -> String {
        let with = |is: &dyn Fn(f64) -> bool| -> Vec<usize> {
            (0..self.length).filter(|&i| is(counts.counts[i])).collect()
        };
        let (zero, once, more) = (with(&|c| c == 0.0), with(&|c| c == 1.0), with(&|c| c > 1.0));
        let (n, unit) = (self.length, &self.unit);
        let of = format!("of {n}, counted from 0");
        let mut parts = Vec::new();
        if more.is_empty() && zero.len() > once.len() {
            return format!("takes in only {} {of}", counted(unit, &once));
        }
        if !zero.is_empty() {
            parts.push(format!("leaves out {}", counted(unit, &zero)));
        }
        if !more.is_empty() {
            parts.push(format!("counts {} more than once", counted(unit, &more)));
        }
        format!("{} {of}", parts.join(" and "))
    }
}

/// What a tree of sums counts that halves an odd length and forgets the last.
fn halved(n: usize) -> Vec<f64> {
    let mut counts = vec![0.0; n];
    let mut reached = vec![0];
    let mut length = n;
    let mut halves = Vec::new();
    while length > 1 {
        length /= 2;
        halves.push(length);
    }
    for half in halves.iter().rev() {
        let further: Vec<usize> = reached.iter().map(|i| i + half).collect();
        reached.extend(further);
    }
    reached.iter().for_each(|&i| counts[i] = 1.0);
    counts
}

impl Counts {
    /// From the weights of a regression, when each is a count.
    fn of(weights: &[f64]) -> Option<Self> {
        let counts: Vec<f64> = weights.iter().map(|w| w.round() + 0.0).collect();
        let near = weights
            .iter()
            .zip(&counts)
            .all(|(w, c)| (w - c).abs() <= NEAR && *c >= 0.0);
        // What is the same for all is a factor, and no question of what is counted.
        let differ = counts.iter().any(|c| *c != counts[0]);
        (near && differ).then_some(Self { counts })
    }
}

/// Each group's sum of what has each value of the index: a column for each value.
fn columns(groups: &Groups, index: &Index, terms: &[f64]) -> Vec<Vec<f64>> {
    let mut columns = vec![vec![0.0; groups.count]; index.length];
    for (k, term) in terms.iter().enumerate() {
        columns[index.of[k]][groups.of[k]] += term;
    }
    columns
}

/// How often each value of the index is counted, when the sums say so.
fn regression(columns: &[Vec<f64>], sums: &[f64]) -> Option<Counts> {
    if columns.len() > sums.len() || columns.len() > 256 {
        return None;
    }
    let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
    Counts::of(&least_squares(&columns, sums)?.coefficients)
}

impl Scene<'_> {
    /// The sums of dgamma and dbeta over some rows only.
    pub fn partial_parameters(&self) {
        if self.is_spread() {
            return;
        }
        let params = &self.probe.params;
        let right = self.kernel();
        let term = |k: usize| match self.target {
            Target::Dgamma => (right.dy)(k) * right.x_hat(k),
            _ => (right.dy)(k),
        };
        let terms: Vec<f64> = (0..self.probe.x.len()).map(term).collect();
        for index in Index::within(self, params) {
            let columns = columns(params, &index, &terms);
            let look = |counts: &Counts, fitted: usize| {
                let counted = columns.iter().zip(&counts.counts);
                let sum = |p: usize| counted.clone().map(|(column, n)| column[p] * n).sum();
                let evidence = Evidence::ELEMENTS
                    .fitted(fitted)
                    .whole_numbers(fitted, NEAR);
                self.propose(evidence, sum, || {
                    (
                        "partial-sum".to_owned(),
                        format!("the sum {}", index.told(counts)),
                    )
                });
            };
            if let Some(exact) = regression(&columns, self.candidate) {
                look(&exact, index.length);
            }
            index.each_set(&mut |counts| look(counts, 0));
        }
    }

    /// Statistics, or the means of the backward, over some of a group's values only.
    pub fn partial_groups(&self) {
        if self.target == Target::Dbeta {
            return;
        }
        for index in Index::within(self, &self.probe.groups) {
            let columns = Columns::of(self, &index.of, index.length);
            let mut look = |counts: &Counts| self.partial_group(&index, &columns, counts);
            if let Some(exact) = self.exact(&index) {
                look(&exact);
            }
            index.each_set(&mut look);
        }
    }

    /// The same for one set of values.
    fn partial_group(&self, index: &Index, columns: &Columns<'_>, counts: &Counts) {
        let (right, of) = (self.kernel(), &self.probe.groups.of);
        let count = |&k: &usize| counts.counts[index.of[k]];
        let counted: f64 = self.groups[0].iter().map(count).sum();
        let known = vec![Cell::new(None); self.groups.len()];
        let sums = |group: usize| {
            known[group].get().unwrap_or_else(|| {
                let sums = columns.counted(group, &counts.counts);
                known[group].set(Some(sums));
                sums
            })
        };
        for divisor in [self.probe.groups.size() as f64, counted] {
            let by = match divisor == counted {
                true => format!(", and is divided by {counted}"),
                false => String::new(),
            };
            let propose = |id: &str, what: &str, kernel: &Kernel<'_>| {
                self.propose(Evidence::GROUPS, self.run(kernel), || {
                    (id.to_owned(), format!("{what} {}{by}", index.told(counts)))
                });
            };
            let pair = self.each_group(|g| columns.statistics(g, &sums(g), counted, divisor));
            let forward = right.clone().with_statistics(pair.clone());
            let own = pair.clone();
            let whole = Rc::new(move |k: usize| columns.whole_means(of[k], own(k)));
            let forward = forward.with_means(whole);
            propose("partial-statistics", "the sum of the statistics", &forward);
            // In two passes one of them may count all.
            let eps = self.probe.eps;
            for (id, what, in_mean) in [
                ("partial-variance", "the sum of the variance", false),
                ("partial-mean", "the sum of the mean", true),
            ] {
                let whole = divisor != counted;
                if in_mean && !self.probe.kind.is_centred() || !in_mean && !whole {
                    continue;
                }
                let pair = self.each_group(|g| {
                    let own = self.own.mean[g];
                    match in_mean {
                        false => [own, 1.0 / (sums(g)[1] / divisor + eps).sqrt()],
                        true => {
                            let [mean, _] = columns.statistics(g, &sums(g), counted, divisor);
                            let var = self.own.var[g] + (mean - own).powi(2);
                            [mean, 1.0 / (var + eps).sqrt()]
                        }
                    }
                });
                let own = pair.clone();
                let whole = Rc::new(move |k: usize| columns.whole_means(of[k], own(k)));
                propose(
                    id,
                    what,
                    &right.clone().with_statistics(pair).with_means(whole),
                );
            }
            if self.target != Target::Dx {
                continue;
            }
            let part = |group| columns.means(group, &sums(group), divisor, self.own.pair(group));
            let only = |which: [bool; 2]| -> Pair<'_> {
                Rc::new(move |k| {
                    let (part, own) = (part(of[k]), self.own.means[of[k]]);
                    [0, 1].map(|i| if which[i] { part[i] } else { own[i] })
                })
            };
            for (what, means) in [
                ("each sum of the backward", only([true, true])),
                ("the sum of g in the backward", only([true, false])),
                ("the sum of g * x_hat in the backward", only([false, true])),
            ] {
                propose("partial-means", what, &right.clone().with_means(means));
            }
            let again: Pair<'_> = Rc::new(|k| columns.means(of[k], &sums(of[k]), divisor, pair(k)));
            propose(
                "partial-everywhere",
                "each sum, forward and backward,",
                &forward.with_means(again),
            );
        }
    }

    /// From the form of dx, `rstd * (g - a - x_hat * b)` with `a` and `b` of each group, the sums
    /// that made `a` and `b`, and from those what they count.
    fn exact(&self, index: &Index) -> Option<Counts> {
        if self.target != Target::Dx {
            return None;
        }
        let groups = &self.probe.groups;
        let (a, b): (Vec<f64>, Vec<f64>) = self
            .means_of_the_backward()?
            .iter()
            .map(|[a, b]| (*a, *b))
            .unzip();
        let columns = self
            .summed()
            .each_ref()
            .map(|terms| columns(groups, index, terms));
        let both: Vec<Vec<f64>> = columns[0]
            .iter()
            .zip(&columns[1])
            .map(|(a, b)| [a.as_slice(), b].concat())
            .collect();
        let size = groups.size() as f64;
        let sums: Vec<f64> = a.iter().chain(&b).map(|mean| mean * size).collect();
        regression(&both, &sums)
    }

    /// What is summed over each group in the backward: `g`, and `g * x_hat`. RMS Norm, which
    /// subtracts no mean, has zeros for the first.
    pub fn summed(&self) -> [Vec<f64>; 2] {
        let right = self.kernel();
        let centred = f64::from(u8::from(self.probe.kind.is_centred()));
        let all = 0..self.probe.x.len();
        [
            all.clone().map(|k| centred * right.g(k)).collect(),
            all.map(|k| right.g(k) * right.x_hat(k)).collect(),
        ]
    }

    /// The two means of the backward in each group, when dx has the right form.
    pub fn means_of_the_backward(&self) -> Option<Vec<[f64; 2]>> {
        let (v, centred) = (self.kernel(), self.probe.kind.is_centred());
        let mut all = Vec::new();
        for (number, group) in self.groups.iter().enumerate() {
            let rstd = self.own.rstd(number);
            let rest: Vec<f64> = group
                .iter()
                .map(|&k| v.g(k) - self.candidate[k] / rstd)
                .collect();
            let x_hat: Vec<f64> = group.iter().map(|&k| v.x_hat(k)).collect();
            let ones = vec![1.0; group.len()];
            let columns: Vec<&[f64]> = if centred {
                vec![&ones, &x_hat]
            } else {
                vec![&x_hat]
            };
            let fit = least_squares(&columns, &rest)?;
            let [mean, weighted] = match *fit.coefficients.as_slice() {
                [mean, weighted] => [mean, weighted],
                [weighted] => [0.0, weighted],
                _ => return None,
            };
            let made = |k: usize| rstd * (v.g(k) - mean - v.x_hat(k) * weighted);
            if !group.iter().all(|&k| self.is(k, made(k))) {
                return None;
            }
            all.push([mean, weighted]);
        }
        Some(all)
    }
}
