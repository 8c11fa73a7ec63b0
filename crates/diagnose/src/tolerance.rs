//! How far a right result may be from the right one: what rounding can do to it, from the data.
//!
//! # The argument
//!
//! A kernel rounds in three places, each with its own unit roundoff:
//!
//! - what it *stores*, the array that is judged, with that of its type, once for each element;
//! - what passes *between* its steps: x_hat, gamma * dy, and the mean and rstd that a forward
//!   pass keeps for the backward. In sixteen bits these may be stored as x is, or stay in `f32`;
//! - its *sums*, in `f32` where sixteen bits are stored, in the type itself otherwise. dgamma and
//!   dbeta may have been added up in sixteen bits, row by row into the array itself, as
//!   PyTorch's Layer Norm does on a CPU. That is no mistake in the formula, and is told apart:
//!   [`Types::ladder`] has all of these. And a program may be run one operation at a time, as
//!   eager PyTorch runs what is composed of its ops, each of which stores what it makes: then
//!   every step rounds to sixteen bits, and only sums are taken in `f32`. What is right under
//!   [`Types::step_by_step`] alone, and has no mistake that is known, is right under that
//!   condition.
//!
//! Of the first two kinds each rounding is bounded by the roundoff times the number rounded, and
//! the bound is taken as it is. A sum of n terms makes n of the third, each bounded by the
//! roundoff times the partial sum that is rounded. The worst case, all with the same sign, does
//! not happen; by Hoeffding's inequality, roundings that are independent and have no preferred
//! sign add up to more than `λ` times the root of the sum of their squares with a probability of
//! less than `2 exp(-λ²/2)`. `ALARM` is the probability that is accepted for a whole array,
//! and `λ` follows from it and from the number of sums (Higham and Mary, "A new approach to
//! probabilistic rounding error analysis", 2019).
//!
//! Partial sums depend on the order, which nobody knows. Their squares, averaged over all
//! orders of terms `t` with the sum `S`, add up to about `n (S² / 3 + Σt² / 6)`; the order in
//! which the array lies in memory is looked at too, and the larger of both counts. Pairwise and
//! blocked sums have smaller ones.
//!
//! Near zero a type has no roundoff but a smallest step, and in `f16` data come near it: what is
//! added to each bound there is half of that step, for a mean, an x_hat, a deviation from the mean
//! or a product that is kept in the type.
//!
//! The right result is computed in `f64`, with roundings of its own. Beside those of the other
//! types they are nothing; an array in `f64` is allowed twice its own.
//!
//! From there the errors go through the formula, and so do the products of two of them: a mean of
//! a hundred deviations that is kept in bf16 is off by more than a third of a deviation. With
//! `rho` the relative error of rstd and `dmu` that of mu, both shared by a group,
//!
//! ```text
//! x_hat = (x - mu) * rstd      off by  |x_hat| rho + rstd dmu  and by roundings of its own,
//!                              two of x_hat and two of x * rstd, for who multiplies first
//! y     = gamma * x_hat + beta
//! dx    = rstd * (g - a - x_hat * b),  g = gamma * dy,  a = mean(g),  b = mean(g * x_hat)
//! ```
//!
//! A group of which rounding may take the mean by three tenths of a deviation, or rstd by as much of
//! itself, is left out of y and dx ([`Tolerance::leaves_out`]).
//!
//! where the sums for `b` may also be those of `g * x` and `g`, of which the mean is taken off
//! afterwards: that is how PyTorch does it, and its terms are larger by `|x| / sigma`. In the
//! variance that ratio stands once, not squared: it may be computed in two passes or by
//! Welford's recursion. As the mean of x² less the squared mean it loses twice the digits, and
//! such a result is told to be wrong where it matters.

use crate::dtype::Dtype;
pub use crate::model::{HOPELESS, Measured, Types, deviations};
use crate::model::{Model, Units, zip};
use gradcheck::Groups;
use gradcheck::attribution::norm::{Probe, Target};

/// What rounding may do to a result.
#[derive(Clone, Debug)]
pub struct Tolerance<'a> {
    /// For each element a bound on errors that are its own.
    own: Vec<f64>,
    /// And one on errors that it shares with the elements of the same cell.
    shared: Vec<f64>,
    /// What has errors in common.
    cells: Cells<'a>,
    /// The length of the right result.
    size: f64,
    /// The groups of whose statistics too little is known.
    lost: Vec<usize>,
    /// What no statistics take an element beyond, by group; it is asked of the lost ones alone.
    limits: Vec<f64>,
    /// The factor that makes a bound of a root of squares.
    lambda: f64,
}

/// Elements that have errors in common.
#[derive(Clone, Copy, Debug)]
enum Cells<'a> {
    Groups(&'a Groups),
    All,
    None,
}

/// The length of a vector.
pub fn length(values: &[f64]) -> f64 {
    length_of(values.iter().copied())
}

/// The same of what an iterator gives.
pub(crate) fn length_of(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt()
}

impl<'a> Tolerance<'a> {
    /// For a result that is to be `right`.
    pub fn new(probe: &'a Probe, target: Target, right: &[f64], types: Types) -> Self {
        Measured::of(probe).tolerance(target, right, types)
    }

    /// For values that one mean or variance for each group, and one step of a running
    /// statistic, are made of: `terms` are the absolute values of what is added up.
    pub fn of_running(probe: &Probe, right: &[f64], terms: &[f64], types: Types) -> Self {
        let units = Units::new(probe, types);
        let stored = types.stored;
        // The statistic, its product and the old value's may be stored between the steps.
        let many = units.lambda * (probe.groups.size() as f64).sqrt() + 8.0;
        let own = zip(right, terms, |v, terms| {
            (units.sum * many + 3.0 * units.between) * terms
                + stored.roundoff() * v.abs()
                + stored.underflow()
        });
        Self {
            own,
            shared: vec![0.0; right.len()],
            cells: Cells::None,
            size: length(right),
            lost: Vec::new(),
            limits: Vec::new(),
            lambda: units.lambda,
        }
    }

    /// The bound on the error of element `k`; for one that is left out there is none.
    pub fn at(&self, k: usize) -> f64 {
        self.own[k] + self.shared[k]
    }

    /// How far element `k` is off, as a share of what it may be; of one that is left out, how
    /// large it is beside what any statistics could make of it.
    pub fn share(&self, k: usize, found: f64, right: f64) -> f64 {
        match self.leaves_out(k) {
            true => found / self.limit(k).max(f64::MIN_POSITIVE),
            false => (found - right) / self.at(k).max(f64::MIN_POSITIVE),
        }
    }

    fn limit(&self, k: usize) -> f64 {
        match self.cells {
            Cells::Groups(groups) if !self.limits.is_empty() => self.limits[groups.of[k]],
            _ => f64::INFINITY,
        }
    }

    /// Whether nothing is known of element `k`.
    pub fn leaves_out(&self, k: usize) -> bool {
        self.own[k] == f64::INFINITY
    }

    /// The groups that are left out.
    pub fn left_out(&self) -> &[usize] {
        &self.lost
    }

    /// The bound on the length of the error, as a share of the length of the right result, both
    /// without what is left out.
    pub fn relative(&self) -> f64 {
        let known = (0..self.own.len()).filter(|k| !self.leaves_out(*k));
        match self.size {
            0.0 if !self.lost.is_empty() => f64::INFINITY,
            size => length_of(known.map(|k| self.at(k))) / size,
        }
    }

    /// How far an error may reach in a direction: a bound on `<error, direction>`.
    ///
    /// What is each element's own mostly cancels. What a group shares does not within it, but
    /// does between groups.
    pub fn along(&self, direction: &[f64]) -> f64 {
        let known = |e: f64, d: f64| if e == f64::INFINITY { 0.0 } else { e * d };
        let own = length(&zip(&self.own, direction, known));
        let shared = zip(&self.shared, direction, |e, d| e * d.abs());
        let cells = match self.cells {
            Cells::Groups(groups) => groups.sums(&shared),
            Cells::All => vec![shared.iter().sum()],
            Cells::None => shared,
        };
        self.lambda * own + among(self.lambda, &cells)
    }
}

/// A bound on a sum of independent errors with these bounds.
fn among(lambda: f64, bounds: &[f64]) -> f64 {
    bounds.iter().sum::<f64>().min(lambda * length(bounds))
}

impl<'a> Measured<'a> {
    /// For a result that is to be `right`.
    pub fn tolerance(&self, target: Target, right: &[f64], types: Types) -> Tolerance<'a> {
        let model = Model::new(self, types);
        let stored = |v: f64| types.stored.roundoff() * v.abs() + types.stored.underflow();
        let (mut own, mut shared) = match target {
            Target::Y => model.y(right),
            Target::Dx => model.dx(right),
            Target::Dgamma => model.dgamma(types.sums.roundoff()),
            // Nothing is multiplied before it is added up.
            Target::Dbeta => {
                let dy = |k: usize| self.probe.dy[k];
                let sums = model.sums(types.sums.roundoff(), &self.probe.params, dy);
                (sums, vec![0.0; right.len()])
            }
        };
        let cells = match target {
            Target::Y | Target::Dx => Cells::Groups(&self.probe.groups),
            // What went wrong in one row is in every feature.
            Target::Dgamma | Target::Dbeta => Cells::All,
        };
        own.iter_mut()
            .zip(right)
            .for_each(|(own, v)| *own += stored(*v));
        // What it is compared with was computed in `f64`: to an array of that type it adds errors
        // as large as those of the array.
        if types.stored == Dtype::F64 {
            for bound in own.iter_mut().chain(&mut shared) {
                *bound *= 2.0;
            }
        }
        let mut size = length(right);
        let (mut lost, mut limits) = (Vec::new(), Vec::new());
        if matches!(target, Target::Y | Target::Dx) {
            let groups = &self.probe.groups;
            lost = model.lost();
            if !lost.is_empty() {
                let mut is_lost = vec![false; groups.count];
                lost.iter().for_each(|&group| is_lost[group] = true);
                limits = self.limits(target);
                let known = |k: &usize| !is_lost[groups.of[*k]];
                size = length_of((0..right.len()).filter(known).map(|k| right[k]));
                for (own, &group) in own.iter_mut().zip(&groups.of) {
                    if is_lost[group] {
                        *own = f64::INFINITY;
                    }
                }
            }
        }
        Tolerance {
            own,
            shared,
            cells,
            size,
            lost,
            limits,
            lambda: model.units.lambda,
        }
    }

    /// Twice what an element of each group can be, whatever its mean and variance are taken for:
    /// x_hat is at most the root of the number of its elements, and rstd `1 / sqrt(eps)`.
    fn limits(&self, target: Target) -> Vec<f64> {
        let Probe { groups, params, .. } = self.probe;
        let mut most = vec![[0.0_f64; 3]; groups.count];
        for (k, &group) in groups.of.iter().enumerate() {
            let param = params.of[k];
            let gamma = self.probe.gamma[param].abs();
            let sizes = [
                gamma,
                self.probe.beta[param].abs(),
                gamma * self.probe.dy[k].abs(),
            ];
            for (most, size) in most[group].iter_mut().zip(sizes) {
                *most = most.max(size);
            }
        }
        let hat = (groups.size() as f64).sqrt() + 1.0;
        let limit = |[gamma, beta, g]: &[f64; 3]| match target {
            Target::Y => 2.0 * (gamma * hat + beta),
            _ => 2.0 * g * (2.0 + hat * hat) / self.probe.eps.sqrt(),
        };
        most.iter().map(limit).collect()
    }
}
