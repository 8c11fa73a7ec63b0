//! Arrays written or read in another order, from another buffer, or on top of old content.

use super::kernel::{Kernel, Read};
use super::orders::{Order, orders};
use super::place::is_told;
use super::scene::{Evidence, Scene, right_of, usual};
use crate::attribution::F64_PRECISION;
use crate::attribution::norm::layout::Kind;
use crate::attribution::norm::probe::Target;
use crate::attribution::verdict::number;
use std::rc::Rc;

/// Values that may be the same by chance, in so few bits, are no sign of anything.
const SAME_BITS: f64 = 7.0;
/// The largest finite f16.
const LARGEST_F16: f64 = 65504.0;

impl Scene<'_> {
    /// Elements that nobody wrote, while all others are right.
    pub fn unwritten(&self) {
        let total = self.candidate.len();
        let set = |is: &dyn Fn(usize) -> bool| -> Option<Vec<usize>> {
            // What is right by chance, or for want of digits, was not written either.
            let set: Vec<usize> = (0..total).filter(|&k| is(k)).collect();
            (set.len() < total && self.wrong.iter().all(|&k| is(k))).then_some(set)
        };
        if let Some(set) = set(&|k| !self.candidate[k].is_finite()) {
            let sentence = format!(
                "{} not a finite number, and all else is right: nothing was written there, or \
                 something divided by zero or was too large for its format",
                self.place(&set)
            );
            return self.plainly("not-finite-in-places", sentence);
        }
        let Some(&first) = self.wrong.first() else {
            return;
        };
        let beta = |k: usize| self.probe.beta_at(k);
        let shifted = self.target == Target::Y && self.wrong.iter().any(|&k| beta(k) != 0.0);
        if let Some(set) = set(&|k| self.is(k, beta(k))).filter(|set| shifted && set.len() > 2) {
            let sentence = format!(
                "{} beta alone, and all else is right: rstd or gamma is zero there{}",
                self.place(&set),
                self.overflow()
            );
            return self.plainly("x-hat-zero", sentence);
        }
        let value = self.candidate[first];
        // What is larger there, and was cut off, is something else.
        let beyond = |k: &usize| self.right[*k] * value.signum() > value.abs();
        let cut = value != 0.0 && self.wrong.iter().all(beyond);
        if let Some(mut set) = set(&|k| self.candidate[k] == value).filter(|_| !cut) {
            if value == 0.0 {
                self.take_out_what_is_zero_rightly(&mut set);
            }
            let name = if value == 0.0 {
                "zero".to_owned()
            } else {
                number(value, 6)
            };
            // One number may be anything; the same in several places was not computed there.
            let bits = -self.precision.log2() * (self.wrong.len() - 1) as f64;
            if value == 0.0 || bits >= SAME_BITS {
                let why = "nothing was written there, or a factor is zero there";
                let sentence = format!("{} {name}, and all else is right: {why}", self.place(&set));
                return self.plainly("unwritten", sentence);
            }
        }
        for (name, values) in self.arrays() {
            let size = usual(&values);
            let is = |k: usize| !self.is_right(k) && self.near(k, values[k], size);
            let Some(set) = set(&is) else { continue };
            if !self.is_spread() && !is_told(&set) {
                continue;
            }
            let made = |k: usize| if is(k) { values[k] } else { self.right[k] };
            self.propose(Evidence::ELEMENTS, made, || {
                let sentence = format!(
                    "{} as in {name}, and all else is right: the result was not written there",
                    self.place(&set)
                );
                ("unwritten".to_owned(), sentence)
            });
        }
    }

    /// Of elements that are zero those in groups, and those parameters, of which nothing else is
    /// right: a masked token has no gradient.
    fn take_out_what_is_zero_rightly(&self, set: &mut Vec<usize>) {
        let largest = self.right.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
        let zero = |k: usize| self.right[k].abs() <= F64_PRECISION * largest;
        if !self.is_spread() {
            return set.retain(|&k| !zero(k));
        }
        let all = |group: &Vec<usize>| group.iter().all(|&k| zero(k));
        let rightly: Vec<bool> = self.groups.iter().map(all).collect();
        set.retain(|&k| !rightly[self.probe.groups.of[k]]);
    }

    /// What to add where the groups that are wrong are those whose squares f16 cannot add up.
    fn overflow(&self) -> String {
        let size = self.probe.groups.size() as f64;
        let over = |group: usize| self.own.var[group] * size > LARGEST_F16;
        let wrong = |group: usize| self.groups[group].iter().any(|&k| !self.is_right(k));
        match (0..self.groups.len()).all(|group| over(group) == wrong(group)) {
            true => format!(", where the sum of squares is above {LARGEST_F16}, the largest f16"),
            false => String::new(),
        }
    }

    /// The right values in the wrong places.
    pub fn misplaced(&self) {
        let shape = match self.is_spread() {
            true => self.probe.shape.clone(),
            false => vec![self.right.len()],
        };
        for order in orders(&shape).iter().filter(|o| !o.written.is_empty()) {
            let from = |k: usize| (order.from)(k).map_or(f64::NAN, |k| self.right[k]);
            self.propose_in_part(Evidence::ELEMENTS, from, || {
                let sentence = format!("the values are right, and are written {}", order.written);
                (format!("written-{}", order.id), sentence)
            });
        }
    }

    /// The right values, added to what the buffer held.
    pub fn on_top(&self) {
        let old = self.errors();
        let constant = old.sum::<f64>() / self.right.len() as f64;
        let name = format!("{} everywhere", number(constant, 4));
        let mut held = self.arrays();
        let arrays = held.len();
        held.push((&name, vec![constant; self.right.len()]));
        // Where what is right does not show, nothing was added to it.
        if (0..self.right.len()).all(|k| self.near(k, constant, constant.abs())) {
            held.pop();
        }
        for (number, (name, values)) in held.iter().enumerate() {
            let fitted = usize::from(number >= arrays);
            let made = |k: usize| self.right[k] + values[k];
            // Around a residual block y is x plus what the block makes, and dx has dy in it.
            let around = matches!((self.target, *name), (Target::Y, "x") | (Target::Dx, "dy"));
            self.propose(Evidence::ELEMENTS.fitted(fitted), made, || {
                let meant = match around {
                    true => {
                        ": if the residual connection around it is computed with it, that is what \
                         belongs there; if not,"
                    }
                    false => ":",
                };
                let sentence = format!(
                    "it is right, plus {name}{meant} it is added to what its buffer held, which \
                     must be zeroed first or overwritten"
                );
                ("added-to-old".to_owned(), sentence)
            });
        }
    }

    /// Another array in the place of the result, as it is.
    pub fn is_another(&self) {
        // What is computed on the way is what it is when the rest of the formula is missing.
        let kept = ["x", "dy", "y", "dx", "gamma", "beta", "dgamma", "dbeta"];
        let whole = self
            .arrays()
            .into_iter()
            .filter(|(name, _)| kept.contains(name));
        for (name, values) in whole {
            self.propose(
                Evidence::ELEMENTS,
                |k| values[k],
                || {
                    let sentence = format!("this is {name}, and not {}", self.target.name());
                    ("another-array".to_owned(), sentence)
                },
            );
        }
    }

    /// The right values, cut off at a bound.
    pub fn cut_off(&self) {
        let size = |v: &f64| v.abs();
        let bound = self.candidate.iter().map(size).fold(0.0_f64, f64::max);
        let at = |k: &&usize| self.candidate[**k].abs() == bound;
        // Fewer have the same size by chance.
        if self.wrong.iter().filter(at).count() > 2 {
            let made = |k: usize| self.right[k].clamp(-bound, bound);
            self.propose(Evidence::ELEMENTS.fitted(1), made, || {
                let sentence = format!(
                    "it is right, but cut off at {}, above which no value is",
                    number(bound, 4)
                );
                ("cut-off".to_owned(), sentence)
            });
        }
    }

    /// Other arrays that a buffer of this length may hold.
    fn arrays(&self) -> Vec<(&'static str, Vec<f64>)> {
        let of = |target| right_of(self.probe, target);
        let probe = self.probe;
        if !self.is_spread() {
            return vec![
                ("gamma", probe.gamma.clone()),
                ("beta", probe.beta.clone()),
                ("dgamma", of(Target::Dgamma)),
                ("dbeta", of(Target::Dbeta)),
            ];
        }
        let mut all = vec![("y", of(Target::Y)), ("dx", of(Target::Dx))];
        all.extend(self.read());
        all
    }

    /// What is read, or computed from it on the way.
    fn read(&self) -> Vec<(&'static str, Vec<f64>)> {
        let v = self.kernel();
        let spread = |f: &dyn Fn(usize) -> f64| (0..self.probe.x.len()).map(f).collect();
        vec![
            ("dy", self.probe.dy.clone()),
            ("x", self.probe.x.clone()),
            ("x_hat", spread(&|k| v.x_hat(k))),
            ("gamma * dy", spread(&|k| v.g(k))),
            ("x - mean", spread(&|k| (v.x)(k) - (v.statistics)(k)[0])),
        ]
    }

    /// The right formula, with an array that it reads in another order.
    pub fn misread(&self) {
        let right = self.kernel();
        let mut orders = orders(&self.probe.shape);
        orders.extend(self.within_groups());
        orders.push(Order {
            id: "stride-zero",
            written: String::new(),
            read: "at the first element alone, as with strides of zero".to_owned(),
            from: Box::new(|_| Some(0)),
        });
        for order in orders.iter().filter(|o| !o.read.is_empty()) {
            let kept = right.clone().with_x(in_order(order, &right.x));
            let anew = self.statistics_of(&kept.x);
            let normalized = {
                let right = right.clone();
                let x_hat: Read<'_> = Rc::new(move |k| right.x_hat(k));
                right_x_hat(&kept, in_order(order, &x_hat))
            };
            for (name, kernel) in [
                ("dy", right.clone().with_dy(in_order(order, &right.dy))),
                ("x", kept.clone()),
                ("x", kept.with_statistics(anew)),
                ("x_hat", normalized),
            ] {
                let reads = match self.target {
                    Target::Y => name == "x",
                    Target::Dbeta => name == "dy",
                    _ => true,
                };
                if reads {
                    self.propose(Evidence::ELEMENTS, self.run(&kernel), || {
                        (
                            format!("{name}-{}", order.id),
                            format!("{name} is read {}", order.read),
                        )
                    });
                }
            }
        }
        if self.is_spread() {
            self.misread_parameters();
        }
    }

    /// The first values of each group again and again.
    fn within_groups(&self) -> Vec<Order> {
        let (groups, of) = (
            Rc::new(self.groups.clone()),
            Rc::new(self.probe.groups.of.clone()),
        );
        let position = Rc::new(self.positions());
        let unit = self.probe.kind.group();
        let order = |part: usize| {
            let (groups, of, position) = (groups.clone(), of.clone(), position.clone());
            Order {
                id: "repeated",
                written: String::new(),
                read: format!("at the first {part} values of each {unit} again and again"),
                from: Box::new(move |k| Some(groups[of[k]][position[k] % part])),
            }
        };
        self.splits().into_iter().map(order).collect()
    }

    /// The same for gamma and beta, in another order or by another index.
    fn misread_parameters(&self) {
        let (probe, n) = (self.probe, self.probe.gamma.len());
        let right = self.kernel();
        let of = |order: Order| -> Pick<'_> {
            let from = order.from;
            let params = &probe.params.of;
            (order.id, order.read, Rc::new(move |k| from(params[k])))
        };
        let orders = orders(&[n]).into_iter().filter(|o| !o.read.is_empty());
        let picks: Vec<Pick<'_>> = orders.map(of).chain(self.indices()).collect();
        for (id, read, from) in &picks {
            let moved = |of: &'_ [f64]| -> Read<'_> {
                let (of, from) = (of.to_vec(), from.clone());
                Rc::new(move |k| from(k).map_or(0.0, |p| of[p]))
            };
            let (gamma, beta) = (moved(&probe.gamma), moved(&probe.beta));
            for (name, what, gamma, beta) in [
                ("gamma is", "gamma", &gamma, &right.beta),
                ("beta is", "beta", &right.gamma, &beta),
                ("gamma and beta are", "gamma-and-beta", &gamma, &beta),
            ] {
                let kernel = right.clone().with_parameters(gamma.clone(), beta.clone());
                self.propose(Evidence::PARAMETERS, self.run(&kernel), || {
                    (format!("{what}-{id}"), format!("{name} read {read}"))
                });
            }
        }
    }

    /// Numbers by which a gamma may be looked up in place of its own.
    fn indices<'b>(&'b self) -> Vec<Pick<'b>> {
        let (probe, n) = (self.probe, self.probe.gamma.len());
        let (unit, own) = (probe.kind.parameter(), &probe.params.of);
        let groups = &probe.groups.of;
        let last = probe.shape[probe.shape.len() - 1];
        let mut all: Vec<Pick<'b>> = Vec::new();
        let mut add = |read: String, from: Rc<dyn Fn(usize) -> Option<usize> + 'b>| {
            all.push(("wrong-index", read, from));
        };
        add(
            format!("by the place in memory modulo {n}, not by the {unit}"),
            Rc::new(move |k| Some(k % n)),
        );
        let size = groups.len() / n;
        add(
            format!("by the place in memory divided by {size}, not by the {unit}"),
            Rc::new(move |k| Some(k / size)),
        );
        add(
            format!(
                "by the number of the {}, not of the {unit}",
                probe.kind.group()
            ),
            Rc::new(move |k| Some(groups[k] % n)),
        );
        let mut parts = vec![(last, "the last axis alone".to_owned())];
        if probe.kind == Kind::Group {
            let count = probe.groups.count / probe.shape[0];
            let within = n / count;
            parts.push((
                within,
                "the number of the channel within its group".to_owned(),
            ));
            add(
                "by the number of the group of channels, not of the channel".to_owned(),
                Rc::new(move |k| Some(own[k] / within)),
            );
            add(
                "by the first channel of the group, not by the channel".to_owned(),
                Rc::new(move |k| Some(own[k] / within * within)),
            );
        }
        for (part, what) in parts.into_iter().filter(|(part, _)| *part < n) {
            add(format!("by {what}"), Rc::new(move |k| Some(own[k] % part)));
        }
        // Past a mask nothing is read, and what is not read is zero.
        for end in 1..n {
            add(
                format!("as zero from {unit} {end} on: a mask ends too early"),
                Rc::new(move |k| Some(own[k]).filter(|&p| p < end)),
            );
        }
        all
    }

    /// The right formula, with an array that was overwritten before its last use.
    pub fn overwritten(&self) {
        if self.target == Target::Y {
            return;
        }
        let right = self.kernel();
        let mut arrays = self.read();
        arrays.extend([
            ("dx", right_of(self.probe, Target::Dx)),
            ("y", right_of(self.probe, Target::Y)),
        ]);
        for (name, array) in &arrays {
            let read: Read<'_> = Rc::new(|k| array[k]);
            for (of, kernel) in [
                ("dy", right.clone().with_dy(read.clone())),
                ("x", right.clone().with_x(read.clone())),
            ] {
                self.propose(Evidence::ELEMENTS, self.run(&kernel), || {
                    let sentence = format!(
                        "{name} stands where {of} is read: {of} was overwritten before its last use"
                    );
                    (format!("{of}-overwritten"), sentence)
                });
            }
        }
    }
}

/// A kind of mistake, how it is told, and the parameter that an element then takes.
type Pick<'a> = (
    &'static str,
    String,
    Rc<dyn Fn(usize) -> Option<usize> + 'a>,
);

/// What is read in an order: zero where it comes from nowhere.
fn in_order<'a>(order: &'a Order, of: &Read<'a>) -> Read<'a> {
    let of = of.clone();
    Rc::new(move |k| (order.from)(k).map_or(0.0, |k| of(k)))
}

/// With another `x_hat`, and rstd as it is.
pub(super) fn right_x_hat<'a>(kernel: &Kernel<'a>, x_hat: Read<'a>) -> Kernel<'a> {
    let statistics = kernel.statistics.clone();
    let x: Read<'a> = Rc::new(move |k| {
        let [mean, rstd] = statistics(k);
        mean + x_hat(k) / rstd
    });
    kernel.clone().with_x(x)
}
