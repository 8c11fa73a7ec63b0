//! Where a group's statistics are wrong, whatever made them so.
//!
//! y is linear in x within a group, up to gamma and beta, and dx is linear in g, x and 1. So the
//! mean and rstd that a group was normalized by follow from its values, and so do the means of
//! its backward; what is compared is these, group by group.

use super::scene::{Evidence, Scene};
use crate::attribution::least_squares;
use crate::attribution::norm::probe::Target;

/// From coarser values than these the numbers of a group are not read.
const FINE: f64 = 1e-3;
/// Two statistics are the same within so many times the precision.
const SAME: f64 = 4.0;

/// A statistic of a group: the group, what was found, and what is right.
type Off = (usize, f64, f64);

impl Scene<'_> {
    /// The right formula, by statistics that are off in some groups.
    pub fn of_other_statistics(&self) {
        match self.target {
            _ if self.precision > FINE => {}
            Target::Y => self.of_other_moments(),
            Target::Dx => self.of_other_means(),
            Target::Dgamma => self.one_group_off(),
            Target::Dbeta => {}
        }
    }

    /// From y, the mean and rstd of each group that is wrong.
    fn of_other_moments(&self) {
        let (v, centred) = (self.kernel(), self.probe.kind.is_centred());
        let mut pairs: Vec<[f64; 2]> = (0..self.groups.len()).map(|g| self.own.pair(g)).collect();
        let wrong = self.wrong_groups();
        for &group in &wrong {
            let members = &self.groups[group];
            let [mean, rstd] = pairs[group];
            let column =
                |f: &dyn Fn(usize) -> f64| -> Vec<f64> { members.iter().map(|&k| f(k)).collect() };
            let scaled = column(&|k| (v.gamma)(k) * ((v.x)(k) - mean));
            let gamma = column(&|k| (v.gamma)(k) / rstd);
            let rest = column(&|k| self.candidate[k] - (v.beta)(k));
            let columns: Vec<&[f64]> = match centred {
                true => vec![&scaled, &gamma],
                false => vec![&scaled],
            };
            let Some(fit) = least_squares(&columns, &rest) else {
                return;
            };
            let slope = fit.coefficients[0];
            let shift = fit.coefficients.get(1).map_or(0.0, |c| c / rstd);
            pairs[group] = [mean - shift / slope, slope];
        }
        self.propose_rstd_alone(&wrong, &pairs);
        if self.has_found() {
            return;
        }
        let evidence = Evidence::ELEMENTS.fitted(wrong.len() * if centred { 2 } else { 1 });
        self.propose_moments(evidence, &wrong, &pairs);
    }

    /// These rstd with the right means: a mean that is hardly off is no second fault.
    fn propose_rstd_alone(&self, wrong: &[usize], pairs: &[[f64; 2]]) {
        let mut alone = pairs.to_vec();
        for (group, pair) in alone.iter_mut().enumerate() {
            pair[0] = self.own.mean[group];
        }
        self.propose_moments(Evidence::ELEMENTS.fitted(wrong.len()), wrong, &alone);
    }

    /// The right formula by these means and rstd, which are off in the groups that are wrong.
    fn propose_moments(&self, evidence: Evidence, wrong: &[usize], pairs: &[[f64; 2]]) {
        let Some(fault) = self.what_is_off(wrong, pairs) else {
            return;
        };
        let statistics = self.each_group(|group| pairs[group]);
        let kernel = self.kernel().with_statistics(statistics);
        self.propose(evidence, self.run(&kernel), || fault);
    }

    /// Which of mean and rstd is off where, and what stands there if that is simple.
    fn what_is_off(&self, wrong: &[usize], pairs: &[[f64; 2]]) -> Option<(String, String)> {
        let near = SAME * self.precision;
        // A mean is as precise as the values that it is taken from.
        let same_mean =
            |a: f64, b: f64, rstd: f64| (a - b).abs() <= near * (a.abs().max(b.abs()) + 1.0 / rstd);
        let same_rstd = |a: f64, b: f64| (a / b - 1.0).abs() <= near;
        let (mut means, mut rstds): (Vec<Off>, Vec<Off>) = (Vec::new(), Vec::new());
        let mut others = Vec::new();
        for &group in wrong {
            let ([mean, rstd], [own, own_rstd]) = (pairs[group], self.own.pair(group));
            if !same_mean(mean, own, own_rstd) {
                means.push((group, mean, own));
            }
            if !same_rstd(rstd, own_rstd) {
                rstds.push((group, rstd, own_rstd));
            }
            let theirs = |other: &usize| {
                let [mean2, rstd2] = self.own.pair(*other);
                *other != group && same_mean(mean, mean2, rstd2) && same_rstd(rstd, rstd2)
            };
            others.extend(
                (0..self.groups.len())
                    .find(theirs)
                    .map(|other| (group, other)),
            );
        }
        if others.len() == wrong.len() {
            return Some(self.told_of_others(
                "statistics-of-another",
                "mean and rstd are those",
                &others,
            ));
        }
        let parts: Vec<String> = [("the mean", &means), ("rstd", &rstds)]
            .iter()
            .filter_map(|(name, off)| self.told_off(name, off))
            .collect();
        let id = match (means.is_empty(), rstds.is_empty()) {
            (true, true) => return None,
            (false, true) => "mean-off",
            (true, false) => "rstd-off",
            _ => "statistics-off",
        };
        Some((id.to_owned(), as_if(&parts)))
    }

    /// One statistic of some groups: what it is in place of what.
    fn told_off(&self, name: &str, off: &[Off]) -> Option<String> {
        let &(group, found, right) = off.first()?;
        let unit = self.probe.kind.group();
        let groups: Vec<usize> = off.iter().map(|(group, ..)| *group).collect();
        let place = match groups.len() == self.groups.len() {
            true => format!("every {unit}"),
            false => self.numbered(&groups),
        };
        let near = |a: f64, b: f64| (a - b).abs() <= SAME * self.precision * a.abs().max(b.abs());
        let all = |is: &dyn Fn(&Off) -> bool| off.iter().all(is);
        let what = if all(&|(_, f, r)| f.abs() <= SAME * self.precision * r.abs()) {
            "were zero".to_owned()
        } else if off.len() > 1 && all(&|(_, f, _)| near(*f, found)) {
            format!("were one number, {found:.4e}")
        } else if off.len() > 1 && all(&|(_, f, r)| near(f / r, found / right)) {
            format!("were {:.4} times what it should be", found / right)
        } else if off.len() == 1 {
            format!("were {found:.4e} where {right:.4e} belongs")
        } else {
            format!(
                "were off, {found:.4e} for {right:.4e} in {unit} {}",
                group + self.first
            )
        };
        Some(format!("in {place}, {name} {what}"))
    }

    /// From dx, the mean and rstd of each group that is wrong, or else the means of its backward.
    ///
    /// With `s` the share of the right rstd that was taken and `d` the shift of the mean in
    /// standard deviations, dx is `s rstd (g - a - d b' - x_hat b')`, where
    /// `b' = s² (b + d a)`: of the three coefficients that are fitted the two make the third.
    fn of_other_means(&self) {
        let (v, centred) = (self.kernel(), self.probe.kind.is_centred());
        let wrong = self.wrong_groups();
        let mut pairs: Vec<[f64; 2]> = (0..self.groups.len()).map(|g| self.own.pair(g)).collect();
        for &group in &wrong {
            let members = &self.groups[group];
            let column =
                |f: &dyn Fn(usize) -> f64| -> Vec<f64> { members.iter().map(|&k| f(k)).collect() };
            let (g, x_hat) = (column(&|k| v.g(k)), column(&|k| v.x_hat(k)));
            let ones = column(&|_| 1.0);
            let columns: [&[f64]; 3] = [&g, &x_hat, &ones];
            let found = column(&|k| self.candidate[k]);
            let Some(fit) = least_squares(&columns[..if centred { 3 } else { 2 }], &found) else {
                continue;
            };
            let ([mean, rstd], [a, b]) = (self.own.pair(group), self.own.means[group]);
            let (taken, weighted) = (fit.coefficients[0], fit.coefficients[1]);
            let share = taken / rstd;
            let shift = match centred {
                true => (-weighted / taken / share.powi(2) - b) / a,
                false => 0.0,
            };
            pairs[group] = [mean - shift / rstd, taken];
        }
        self.propose_rstd_alone(&wrong, &pairs);
        if self.has_found() {
            return;
        }
        let evidence = Evidence::ELEMENTS.fitted(wrong.len() * if centred { 2 } else { 1 });
        self.propose_moments(evidence, &wrong, &pairs);
        let Some(means) = self.means_of_the_backward().filter(|_| !self.has_found()) else {
            return;
        };
        // As precise as the g that they are taken from.
        let near = |group: usize| {
            let size = |&k: &usize| v.g(k).powi(2);
            let sum: f64 = self.groups[group].iter().map(size).sum();
            SAME * self.precision * (sum / self.groups[group].len() as f64).sqrt()
        };
        let off = |which: usize| -> Vec<Off> {
            let own = |group: usize| self.own.means[group][which];
            let all = wrong.iter().map(|&g| (g, means[g][which], own(g)));
            all.filter(|(g, found, own)| (found - own).abs() > near(*g))
                .collect()
        };
        let parts: Vec<String> = [
            ("the mean of g in the backward", 0),
            ("the mean of g * x_hat in the backward", 1),
        ]
        .iter()
        .filter_map(|(name, which)| self.told_off(name, &off(*which)))
        .collect();
        if !parts.is_empty() {
            let kernel = v.with_means(self.each_group(|group| means[group]));
            self.propose(evidence, self.run(&kernel), || {
                ("means-off".to_owned(), as_if(&parts))
            });
        }
    }

    /// From dgamma, the one group whose mean or rstd is off: its part of each sum is linear in the
    /// two.
    fn one_group_off(&self) {
        if self.groups.len() < 2 || self.right.len() < 4 {
            return;
        }
        let (probe, v) = (self.probe, self.kernel());
        let off: Vec<f64> = self.errors().collect();
        let centred = probe.kind.is_centred();
        let mut best: Option<(f64, usize, [f64; 2])> = None;
        for (group, members) in self.groups.iter().enumerate() {
            let [mean, rstd] = self.own.pair(group);
            let mut columns = [vec![0.0; off.len()], vec![0.0; off.len()]];
            for &k in members {
                columns[0][probe.params.of[k]] += (v.dy)(k) * ((v.x)(k) - mean) * rstd;
                columns[1][probe.params.of[k]] += (v.dy)(k);
            }
            let all: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
            let Some(fit) = least_squares(&all[..if centred { 2 } else { 1 }], &off) else {
                continue;
            };
            if best.is_none_or(|(least, ..)| fit.residual < least) {
                let rstd = rstd * (1.0 + fit.coefficients[0]);
                let shift = fit.coefficients.get(1).copied().unwrap_or(0.0);
                best = Some((fit.residual, group, [mean - shift / rstd, rstd]));
            }
        }
        let Some((_, group, pair)) = best else { return };
        let mut pairs: Vec<[f64; 2]> = (0..self.groups.len()).map(|g| self.own.pair(g)).collect();
        pairs[group] = pair;
        let evidence = Evidence::ELEMENTS.fitted(2).chosen(self.groups.len(), 1);
        self.propose_moments(evidence, &[group], &pairs);
    }
}

/// What is off, which may have come about in another way.
fn as_if(parts: &[String]) -> String {
    let parts = parts.join(", and ");
    format!("the formula is right, and it is as if {parts}; all else is as it should be")
}
