//! Arrays written or read in another order, from another buffer, or on top of old content.

use super::orders::orders;
use super::place::{counted, numbers};
use super::scene::{Scene, usual};
use super::values::Values;
use crate::attribution::norm::probe::Target;

impl Scene<'_> {
    /// Elements that nobody wrote, while all others are right.
    pub fn unwritten(&self) {
        let wrong = self.wrong();
        let Some(&first) = wrong.first() else { return };
        let value = self.candidate[first];
        let propose = |id: &str, is: &dyn Fn(usize) -> bool, what: &str| {
            // What is right by chance, or for want of digits, was not written either.
            let set: Vec<usize> = (0..self.candidate.len()).filter(|&k| is(k)).collect();
            if set.len() == self.candidate.len() || !wrong.iter().all(|&k| is(k)) {
                return;
            }
            let mut made = self.right.clone();
            set.iter().for_each(|&k| made[k] = f64::NAN);
            let sentence = format!("{} {what}", self.place(&set));
            self.propose_in_part(made, || (id.to_owned(), sentence));
        };
        let what = "not a finite number, and all else is right: nothing was written there, or \
                    something divided by zero";
        propose(
            "not-finite-in-places",
            &|k| !self.candidate[k].is_finite(),
            what,
        );
        if wrong.len() > 1 || value == 0.0 {
            let name = if value == 0.0 {
                "zero".to_owned()
            } else {
                value.to_string()
            };
            let what = format!(
                "{name}, and all else is right: nothing was written there, or a factor is zero there"
            );
            propose("unwritten", &|k| self.candidate[k] == value, &what);
        }
        for (name, values) in self.arrays() {
            let usual = usual(&values);
            let what =
                format!("as in {name}, and all else is right: the result was not written there");
            let is = |k: usize| !self.is_right(k) && self.near(k, values[k], usual);
            propose("unwritten", &is, &what);
        }
    }

    /// The right values in the wrong places.
    pub fn misplaced(&self) {
        let shape = match self.is_spread() {
            true => self.probe.shape.clone(),
            false => vec![self.right.len()],
        };
        for order in orders(&shape) {
            self.propose_in_part(order.of(&self.right, f64::NAN), || {
                let sentence = format!("the values are right, and are written {}", order.written);
                (format!("written-{}", order.id), sentence)
            });
        }
    }

    /// The right values, added to what the buffer held.
    pub fn on_top(&self) {
        let old = self.candidate.iter().zip(&self.right).map(|(c, r)| c - r);
        let constant = old.sum::<f64>() / self.right.len() as f64;
        let name = format!("{} everywhere", in_three_digits(constant));
        let mut held = self.arrays();
        if constant.is_finite() {
            held.push((name, vec![constant; self.right.len()]));
        }
        for (name, values) in held {
            let made = self.right.iter().zip(&values).map(|(r, v)| r + v).collect();
            self.propose(made, || {
                let sentence = format!(
                    "it is right, plus {name}: it is added to what its buffer held, which must be \
                     zeroed first or overwritten"
                );
                ("added-to-old".to_owned(), sentence)
            });
        }
    }

    /// Other arrays that a buffer of this length may hold.
    fn arrays(&self) -> Vec<(String, Vec<f64>)> {
        let (probe, v) = (self.probe, &self.values);
        if !self.is_spread() {
            return vec![
                ("gamma".to_owned(), probe.gamma.clone()),
                ("beta".to_owned(), probe.beta.clone()),
                ("dgamma".to_owned(), v.target(probe, Target::Dgamma)),
                ("dbeta".to_owned(), v.target(probe, Target::Dbeta)),
            ];
        }
        vec![
            ("dy".to_owned(), v.dy.clone()),
            ("x".to_owned(), v.x.clone()),
            ("y".to_owned(), v.target(probe, Target::Y)),
            ("dx".to_owned(), v.target(probe, Target::Dx)),
            ("gamma * dy".to_owned(), v.spread(|k| v.g(k))),
            ("x_hat".to_owned(), v.spread(|k| v.x_hat(k))),
        ]
    }

    /// The right formula, with an array that it reads in another order.
    pub fn misread(&self) {
        let (probe, v) = (self.probe, &self.values);
        let all = vec![1.0; v.x.len()];
        for order in orders(&probe.shape) {
            let moved = |values: &[f64]| order.of(values, 0.0);
            let kept = Values {
                x: moved(&v.x),
                ..v.clone()
            };
            let anew = kept.with_statistics(probe, &all, false);
            let dy = Values {
                dy: moved(&v.dy),
                ..v.clone()
            };
            for (name, values) in [("dy", dy), ("x", kept), ("x", anew)] {
                let reads = match self.target {
                    Target::Y => name == "x",
                    Target::Dbeta => name == "dy",
                    _ => true,
                };
                if reads {
                    self.propose(values.target(probe, self.target), || {
                        (
                            format!("{name}-{}", order.id),
                            format!("{name} is read {}", order.read),
                        )
                    });
                }
            }
        }
        if !self.is_spread() {
            return;
        }
        for order in orders(&[probe.gamma.len()]) {
            let spread = |of: &[f64]| -> Vec<f64> {
                let of = order.of(of, 0.0);
                probe.params.of.iter().map(|&p| of[p]).collect()
            };
            let (gamma, beta) = (spread(&probe.gamma), spread(&probe.beta));
            let one = Values {
                gamma: gamma.clone(),
                ..v.clone()
            };
            let other = Values {
                beta: beta.clone(),
                ..v.clone()
            };
            let both = Values {
                gamma,
                beta,
                ..v.clone()
            };
            for (name, id, values) in [
                ("gamma is", "gamma", one),
                ("beta is", "beta", other),
                ("gamma and beta are", "gamma-and-beta", both),
            ] {
                self.propose(values.target(probe, self.target), || {
                    (
                        format!("{id}-{}", order.id),
                        format!("{name} read {}", order.read),
                    )
                });
            }
        }
    }

    /// The right formula, with an array that was overwritten before its last use.
    pub fn overwritten(&self) {
        if self.target == Target::Y {
            return;
        }
        let (probe, v) = (self.probe, &self.values);
        for (name, array) in self.overwriting() {
            let dy = Values {
                dy: array.clone(),
                ..v.clone()
            };
            let x = Values {
                x: array,
                ..v.clone()
            };
            for (of, values) in [("dy", dy), ("x", x)] {
                self.propose(values.target(probe, self.target), || {
                    let sentence = format!(
                        "{name} stands where {of} is read: {of} was overwritten before its last use"
                    );
                    (format!("{of}-overwritten"), sentence)
                });
            }
        }
    }

    fn overwriting(&self) -> Vec<(&'static str, Vec<f64>)> {
        let (probe, v) = (self.probe, &self.values);
        vec![
            ("dx", v.target(probe, Target::Dx)),
            ("y", v.target(probe, Target::Y)),
            ("x_hat", v.spread(|k| v.x_hat(k))),
            ("gamma * dy", v.spread(|k| v.g(k))),
            ("x - mean", v.spread(|k| v.x[k] - v.mean[k])),
            ("x", v.x.clone()),
            ("dy", v.dy.clone()),
        ]
    }

    /// Whole rows, channels or groups in each other's place.
    pub fn exchanged(&self) {
        let groups = &self.probe.groups;
        let members = groups.members();
        let mut made = self.right.clone();
        let mut pairs = Vec::new();
        for group in self.wrong_groups(&members) {
            let own = &members[group];
            let same = |other: &Vec<usize>| {
                own.iter()
                    .zip(other)
                    .all(|(&k, &from)| self.is(k, self.right[from]))
            };
            let Some(other) = members.iter().position(same) else {
                return;
            };
            pairs.push((group, other));
            own.iter()
                .zip(&members[other])
                .for_each(|(&k, &from)| made[k] = self.right[from]);
        }
        let verb = if pairs.len() == 1 { "holds" } else { "hold" };
        let sentence = told(self.probe.kind.group(), &pairs, |of, there| {
            format!("{of} {verb} what belongs to {there}")
        });
        self.propose(made, || ("exchanged".to_owned(), sentence));
    }

    /// The right formula, with the mean or rstd of other groups.
    pub fn of_another_group(&self) {
        let (probe, v) = (self.probe, &self.values);
        let (groups, unit) = (&probe.groups, probe.kind.group());
        let members = groups.members();
        let wrong = self.wrong_groups(&members);
        let both = match probe.kind.is_centred() {
            true => "mean and rstd are",
            false => "rstd is",
        };
        for (what, id, mean, rstd) in [
            (both, "statistics-of-another", true, true),
            ("the mean is", "mean-of-another", true, false),
            ("rstd is", "rstd-of-another", false, true),
        ] {
            // For each wrong group, the other whose statistics come closest.
            let mut nearest = vec![(f64::INFINITY, 0); groups.count];
            let mut best = self.right.clone();
            for (other, theirs) in members.iter().enumerate() {
                let of = |own: &Vec<f64>, taken: bool| match taken {
                    true => vec![own[theirs[0]]; own.len()],
                    false => own.clone(),
                };
                let values = Values {
                    mean: of(&v.mean, mean),
                    rstd: of(&v.rstd, rstd),
                    ..v.clone()
                };
                let made = values.target(probe, self.target);
                for &group in wrong.iter().filter(|&&group| group != other) {
                    let own = &members[group];
                    let off = own
                        .iter()
                        .map(|&k| (self.candidate[k] - made[k]).powi(2))
                        .sum();
                    if off < nearest[group].0 {
                        nearest[group] = (off, other);
                        own.iter().for_each(|&k| best[k] = made[k]);
                    }
                }
            }
            let pairs: Vec<(usize, usize)> = wrong.iter().map(|&g| (g, nearest[g].1)).collect();
            self.propose(best, || {
                let sentence = told(unit, &pairs, |of, there| {
                    format!("in {of}, {what} of {there}")
                });
                (id.to_owned(), sentence)
            });
        }
    }

    fn wrong_groups(&self, members: &[Vec<usize>]) -> Vec<usize> {
        let wrong = |group: &usize| members[*group].iter().any(|&k| !self.is_right(k));
        (0..members.len()).filter(wrong).collect()
    }
}

/// Groups that have something of others, in words.
fn told(unit: &str, pairs: &[(usize, usize)], say: impl Fn(&str, &str) -> String) -> String {
    let own: Vec<usize> = pairs.iter().map(|(own, _)| *own).collect();
    let other: Vec<usize> = pairs.iter().map(|(_, other)| *other).collect();
    let of = counted(unit, &own);
    let apart = |(own, other): &(usize, usize)| *own as i64 - *other as i64;
    let alike = pairs
        .windows(2)
        .all(|pair| apart(&pair[0]) == apart(&pair[1]));
    let places = pairs.first().map_or(0, apart);
    if other.windows(2).all(|pair| pair[0] == pair[1]) {
        say(
            &of,
            &format!("{unit} {}", numbers(&other[..1.min(other.len())])),
        )
    } else if alike {
        let side = if places > 0 { "before" } else { "after" };
        match places.abs() {
            1 => say(&of, &format!("the {unit} {side}")),
            far => say(&of, &format!("the {unit} {far} places {side}")),
        }
    } else {
        say(&of, &counted(unit, &other))
    }
}

fn in_three_digits(value: f64) -> String {
    let decimals = (2.0 - value.abs().log10().floor()).clamp(0.0, 12.0);
    format!("{value:.*}", decimals as usize)
}
