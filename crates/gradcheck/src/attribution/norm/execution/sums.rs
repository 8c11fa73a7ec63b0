//! Sums that leave values out, or count them twice.

use super::place::counted;
use super::scene::Scene;
use super::values::Values;
use crate::attribution::least_squares;
use crate::attribution::norm::layout::Kind;
use crate::attribution::norm::probe::Target;
use crate::groups::Groups;

/// Sets of single values and of pairs are tried up to this length.
const SINGLES: usize = 1024;
const PAIRS: usize = 40;
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

    /// Sets that loops leave out: the ends, single ones, every so manieth; and what is counted
    /// twice.
    fn sets(&self) -> Vec<Counts> {
        let n = self.length;
        let mut all = Vec::new();
        let mut add = |counts: Vec<f64>| {
            if counts.iter().any(|c| *c != 1.0) && counts.iter().any(|c| *c > 0.0) {
                all.push(Counts { counts });
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
        }
        for step in 2..=n.min(8) {
            for at in 0..step {
                add(of(&|i| out(i % step == at)));
                add(of(&|i| out(i % step != at)));
            }
        }
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
        all
    }

    fn spread(&self, counts: &Counts) -> Vec<f64> {
        self.of.iter().map(|&i| counts.counts[i]).collect()
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

impl Counts {
    /// From the weights of a regression, when each is a count.
    fn of(weights: &[f64]) -> Option<Self> {
        let counts: Vec<f64> = weights.iter().map(|w| w.round() + 0.0).collect();
        let near = weights
            .iter()
            .zip(&counts)
            .all(|(w, c)| (w - c).abs() <= NEAR && *c >= 0.0);
        (near && counts.iter().any(|c| *c != 1.0)).then_some(Self { counts })
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
        let params = &self.probe.params;
        let terms = self.values.terms(self.target);
        for index in Index::within(self, params) {
            let columns = columns(params, &index, &terms);
            let exact = regression(&columns, self.candidate);
            for counts in exact.into_iter().chain(index.sets()) {
                let counted = columns.iter().zip(&counts.counts);
                let sum = |p: usize| counted.clone().map(|(column, n)| column[p] * n).sum();
                self.propose((0..params.count).map(sum).collect(), || {
                    (
                        "partial-sum".to_owned(),
                        format!("the sum {}", index.told(&counts)),
                    )
                });
            }
        }
    }

    /// Statistics, or the means of the backward, over some of a group's values only.
    pub fn partial_groups(&self) {
        if self.target == Target::Dbeta {
            return;
        }
        let (probe, groups) = (self.probe, &self.probe.groups);
        let summed = self.values.summed(probe);
        let whole = summed.each_ref().map(|of| groups.means(of));
        for index in Index::within(self, groups) {
            for counts in self.exact(&index, &summed).into_iter().chain(index.sets()) {
                let each = index.spread(&counts);
                for by_counted in [false, true] {
                    let propose = |id: &str, what: &str, made: Vec<f64>| {
                        self.propose(made, || {
                            (id.to_owned(), format!("{what} {}", index.told(&counts)))
                        });
                    };
                    let values = self.values.with_statistics(probe, &each, by_counted);
                    let made = values.target(probe, self.target);
                    propose("partial-statistics", "the sum of the statistics", made);
                    if self.target != Target::Dx {
                        continue;
                    }
                    let part = |of: &Vec<f64>| -> Vec<f64> {
                        let counted: Vec<f64> = of.iter().zip(&each).map(|(v, c)| v * c).collect();
                        let mut means = groups.means(&counted);
                        if by_counted {
                            let shares = groups.means(&each);
                            means
                                .iter_mut()
                                .zip(&shares)
                                .for_each(|(mean, s)| *mean /= s);
                        }
                        means
                    };
                    let [g, weighted] = summed.each_ref().map(part);
                    for (what, means) in [
                        ("each sum of the backward", [&g, &weighted]),
                        ("the sum of g in the backward", [&g, &whole[1]]),
                        (
                            "the sum of g * x_hat in the backward",
                            [&whole[0], &weighted],
                        ),
                    ] {
                        propose(
                            "partial-means",
                            what,
                            self.values.dx(means.map(Vec::as_slice)),
                        );
                    }
                    let again = values.summed(probe).each_ref().map(part);
                    let made = values.dx([&again[0], &again[1]]);
                    propose(
                        "partial-everywhere",
                        "each sum, forward and backward,",
                        made,
                    );
                }
            }
        }
    }

    /// From the form of dx, `rstd * (g - a - x_hat * b)` with `a` and `b` of each group, the sums
    /// that made `a` and `b`, and from those what they count.
    fn exact(&self, index: &Index, summed: &[Vec<f64>; 2]) -> Option<Counts> {
        if self.target != Target::Dx {
            return None;
        }
        let groups = &self.probe.groups;
        let [a, b] = self.means_of_the_backward()?;
        let columns = summed.each_ref().map(|terms| columns(groups, index, terms));
        let both: Vec<Vec<f64>> = columns[0]
            .iter()
            .zip(&columns[1])
            .map(|(a, b)| [a.as_slice(), b].concat())
            .collect();
        let size = groups.size() as f64;
        let sums: Vec<f64> = a.iter().chain(&b).map(|mean| mean * size).collect();
        regression(&both, &sums)
    }

    /// The two means of the backward in each group, when dx has the right form.
    pub fn means_of_the_backward(&self) -> Option<[Vec<f64>; 2]> {
        let (v, probe) = (&self.values, self.probe);
        let centred = probe.kind.is_centred();
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for group in probe.groups.members() {
            let rest: Vec<f64> = group
                .iter()
                .map(|&k| v.g(k) - self.candidate[k] / v.rstd[k])
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
            let made = |k: usize| v.rstd[k] * (v.g(k) - mean - v.x_hat(k) * weighted);
            if !group.iter().all(|&k| self.is(k, made(k))) {
                return None;
            }
            a.push(mean);
            b.push(weighted);
        }
        Some([a, b])
    }

    /// The right formula, with another number where rstd or gamma belongs.
    pub fn saved_another(&self) {
        let v = &self.values;
        type Read = fn(f64, f64) -> f64;
        let read: [(&str, &str, Read); 4] = [
            (
                "variance-for-rstd",
                "the variance, with eps in it,",
                |r, _| r.powi(-2),
            ),
            ("deviation-for-rstd", "the standard deviation", |r, _| {
                r.recip()
            }),
            ("square-for-rstd", "the square of rstd", |r, _| r.powi(2)),
            (
                "root-of-rstd",
                "1/sqrt(rstd + eps), a root that was taken before,",
                |r, eps| (r + eps).sqrt().recip(),
            ),
        ];
        for (id, name, read) in read {
            let rstd = v.rstd.iter().map(|r| read(*r, self.probe.eps)).collect();
            let values = Values { rstd, ..v.clone() };
            self.propose(values.target(self.probe, self.target), || {
                let sentence = format!("{name} stands wherever rstd belongs, in x_hat too");
                (id.to_owned(), sentence)
            });
        }
        let gamma = v.gamma.iter().map(|gamma| 1.0 + gamma).collect();
        let values = Values { gamma, ..v.clone() };
        self.propose(values.target(self.probe, self.target), || {
            let sentence = "1 + gamma stands where gamma belongs: what is stored may be gamma - 1";
            ("gamma-plus-one".to_owned(), sentence.to_owned())
        });
        let values = Values {
            gamma: v.beta.clone(),
            beta: v.gamma.clone(),
            ..v.clone()
        };
        self.propose(values.target(self.probe, self.target), || {
            let sentence = "beta is read where gamma belongs";
            ("beta-for-gamma".to_owned(), sentence.to_owned())
        });
    }
}
