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
use gradcheck::Groups;
use gradcheck::attribution::norm::{Probe, Target};

/// The probability at which a right array may be called wrong.
const ALARM: f64 = 1e-9;

/// Where rounding alone may change so much, hardly a mistake can be told from it.
pub const HOPELESS: f64 = 0.3;
/// So many values of a group are looked at to see whether they repeat.
const LOOKED: usize = 64;
/// So many roundings are in rstd where every step rounds: those of the squares and their mean, which
/// the root halves, of the sum with eps, of the root and of its reciprocal.
const RSTD_STEPS: f64 = 5.0;
/// And so many in a mean of the backward and what it is multiplied by before it is subtracted.
const MEAN_STEPS: f64 = 6.0;
/// A share of a variance that may be lost at most; where more may be, nothing is known of rstd.
const LOST: f64 = 0.99;

/// How many times the root of the sum of squares the errors of `sums` sums may reach, each and
/// all, but for the probability that is accepted for a whole array: `λ`.
pub fn deviations(sums: usize) -> f64 {
    (2.0 * (2.0 * sums as f64 / ALARM).ln()).sqrt()
}

/// The types in which a result came about.
#[derive(Clone, Copy, Debug)]
pub struct Types {
    /// That of x.
    pub input: Dtype,
    /// That of the array that is judged.
    pub stored: Dtype,
    /// That of what passes between two steps.
    pub between: Dtype,
    /// That in which dgamma and dbeta were added up.
    pub sums: Dtype,
    /// That of every operation between two numbers.
    pub steps: Dtype,
}

impl Types {
    /// From the finest arithmetic that there may have been to the coarsest.
    pub fn ladder(input: Dtype, stored: Dtype, target: Target) -> Vec<Self> {
        let coarser = input.coarser(stored);
        let fine = coarser.accumulator();
        let mut all = match target {
            Target::Y | Target::Dx => vec![(fine, fine), (coarser, fine)],
            Target::Dgamma => vec![(fine, fine), (coarser, fine), (coarser, coarser)],
            // Nothing lies between dy and its sum.
            Target::Dbeta => vec![(fine, fine), (fine, coarser)],
        };
        all.dedup();
        let types = |(between, sums)| Self {
            input,
            stored,
            between,
            sums,
            steps: fine,
        };
        all.into_iter().map(types).collect()
    }

    /// Every operation stores its result as the arrays are stored, where that is coarser than its
    /// sums: what is composed of ops in sixteen bits, each of which adds up in `f32`.
    pub fn step_by_step(input: Dtype, stored: Dtype) -> Option<Self> {
        let coarser = input.coarser(stored);
        let sums = coarser.accumulator();
        let types = Self {
            input,
            stored,
            between: coarser,
            sums,
            steps: coarser,
        };
        (coarser != sums).then_some(types)
    }
}

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

/// Element by element.
fn zip(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect()
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

/// What the bounds on all targets ask of the data, one of each for every group.
pub struct Measured<'a> {
    probe: &'a Probe,
    mean: Vec<f64>,
    /// `1 / sqrt(var + eps)`.
    rstd: Vec<f64>,
    /// The root of the sum of the squares of the partial sums of `x * rstd`.
    partial: Vec<f64>,
    /// The mean of the squares of `x * rstd`.
    squares: Vec<f64>,
    /// Whether `x` has a few values only, over and over: then roundings repeat themselves, and are
    /// not independent.
    repeats: Vec<bool>,
}

impl<'a> Measured<'a> {
    /// Of these inputs.
    pub fn of(probe: &'a Probe) -> Self {
        let groups = &probe.groups;
        let (mean, rstd) = probe.statistics();
        let scaled = |k: usize| probe.x[k] * rstd[groups.of[k]];
        let m = groups.size() as f64;
        let mut squares = groups.sums_of(|k| scaled(k) * scaled(k));
        squares.iter_mut().for_each(|sum| *sum /= m);
        let mut seen = vec![(0, Vec::new()); groups.count];
        for (&x, &group) in probe.x.iter().zip(&groups.of) {
            let (looked, values) = &mut seen[group];
            if *looked < LOOKED {
                *looked += 1;
                if !values.contains(&x) {
                    values.push(x);
                }
            }
        }
        Self {
            repeats: seen.iter().map(|(n, v)| 8 * v.len() <= *n).collect(),
            partial: partial(groups, scaled),
            squares,
            probe,
            mean,
            rstd,
        }
    }

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

/// The roundoffs of a computation, and what many of them come to.
struct Units {
    /// The roundoff of sums.
    sum: f64,
    /// The roundoff of what passes between two steps.
    between: f64,
    /// The same for what is kept for the backward, where that is done in another type than f32.
    kept: f64,
    /// The roundoff of an operation between two numbers, where it is not that of sums.
    each: f64,
    /// How far a number near zero is moved that passes between two steps.
    step: f64,
    lambda: f64,
}

impl Units {
    fn new(probe: &Probe, types: Types) -> Self {
        let coarser = types.input.coarser(types.stored);
        let (sum, between) = (coarser.accumulator().roundoff(), types.between.roundoff());
        Self {
            sum,
            between,
            kept: if between > sum { between } else { 0.0 },
            each: if types.steps.roundoff() > sum {
                types.steps.roundoff()
            } else {
                0.0
            },
            step: types.between.underflow(),
            lambda: deviations(probe.groups.count + probe.params.count),
        }
    }
}

/// For each group, the root of the sum of the squares of the partial sums.
fn partial(groups: &Groups, term: impl Fn(usize) -> f64) -> Vec<f64> {
    let n = groups.size() as f64;
    // The sum so far, the sum of the squares, and that of the squares of the sums so far.
    let mut all = vec![[0.0; 3]; groups.count];
    for (k, &group) in groups.of.iter().enumerate() {
        let (term, [so_far, squares, in_memory]) = (term(k), &mut all[group]);
        *so_far += term;
        *squares += term * term;
        *in_memory += *so_far * *so_far;
    }
    let root = |[total, squares, in_memory]: &[f64; 3]| {
        let any_order = n * (total * total / 3.0 + squares / 6.0);
        any_order.max(*in_memory).sqrt()
    };
    all.iter().map(root).collect()
}

/// The errors of the parts of a formula.
struct Model<'a> {
    probe: &'a Probe,
    data: &'a Measured<'a>,
    units: Units,
    /// For each group the relative error of rstd.
    rho: Vec<f64>,
    /// And the error of the mean in standard deviations.
    shift: Vec<f64>,
    centred: f64,
}

impl<'a> Model<'a> {
    fn new(data: &'a Measured<'a>, types: Types) -> Self {
        let probe = data.probe;
        let units = Units::new(probe, types);
        let (sum, kept, each) = (units.sum, units.kept, units.each);
        let m = probe.groups.size() as f64;
        // No sum of n errors is larger than sqrt(n) times the root of their squares.
        let few = |g: usize| match data.repeats[g] {
            true => m.sqrt(),
            false => units.lambda.min(m.sqrt()),
        };
        let centred = if probe.kind.is_centred() { 1.0 } else { 0.0 };
        let groups = 0..probe.groups.count;
        let shift: Vec<f64> = groups
            .clone()
            .map(|g| {
                let rounded = (sum + kept + each) * (data.mean[g] * data.rstd[g]).abs();
                let stepped = units.step * data.rstd[g];
                centred * (few(g) * sum * data.partial[g] / m + rounded + stepped)
            })
            .collect();
        let rho = groups
            .map(|g| {
                let few = few(g);
                let welford = few * sum * centred * data.squares[g].sqrt();
                let variance = sum * (few * (m / 3.0).sqrt() + 3.0) + 2.0 * welford;
                let variance = variance + shift[g] * shift[g];
                // What a variance too small by this share makes of rstd, which is off by more
                // than half of it where that share is not small.
                let lost = variance.min(LOST);
                let left = (1.0 - lost).sqrt();
                // The squares, their mean and its sum with eps come near the smallest step, too.
                let near_zero = if each > 0.0 {
                    2.0 * units.step * data.rstd[g].powi(2)
                } else {
                    0.0
                };
                let steps = RSTD_STEPS * each + near_zero + units.step / data.rstd[g];
                lost / (left + left * left) + 2.0 * sum + kept + steps
            })
            .collect();
        Self {
            probe,
            data,
            units,
            rho,
            shift,
            centred,
        }
    }

    /// `x * rstd`, and `x_hat`.
    fn scaled(&self, k: usize) -> (f64, f64) {
        let (x, group) = (self.probe.x[k], self.probe.groups.of[k]);
        let (mean, rstd) = (self.data.mean[group], self.data.rstd[group]);
        (x * rstd, (x - mean) * rstd)
    }

    /// The error of x_hat that is each element's own.
    fn hat(&self, (scaled, x_hat): (f64, f64)) -> f64 {
        let Units {
            sum,
            kept,
            each,
            step,
            ..
        } = self.units;
        2.0 * sum * (x_hat.abs() + scaled.abs()) + (kept + 2.0 * each) * x_hat.abs() + step
    }

    /// The error of x_hat that its group shares.
    fn shared_hat(&self, group: usize, x_hat: f64) -> f64 {
        x_hat.abs() * self.rho[group] + self.shift[group] * (1.0 + self.rho[group])
    }

    /// The groups of which hardly anything is known.
    fn lost(&self) -> Vec<usize> {
        let all = 0..self.rho.len();
        all.filter(|&g| self.rho[g] > HOPELESS || self.shift[g] > HOPELESS)
            .collect()
    }

    /// The factor that makes a bound on a sum of `n` errors of the root of their squares.
    fn factor(&self, n: usize) -> f64 {
        self.units.lambda.min((n as f64).sqrt())
    }

    /// The errors of sums over groups, of terms that are as they should be.
    fn sums(&self, roundoff: f64, groups: &Groups, term: impl Fn(usize) -> f64) -> Vec<f64> {
        let factor = self.factor(groups.size()) * roundoff;
        let mut partial = partial(groups, term);
        partial.iter_mut().for_each(|sum| *sum *= factor);
        partial
    }

    /// The same when each term was rounded before, being a product.
    fn sums_of_products(
        &self,
        roundoff: f64,
        groups: &Groups,
        term: impl Fn(usize) -> f64,
    ) -> Vec<f64> {
        let squares = groups.sums_of(|k| term(k) * term(k));
        let factor = self.factor(groups.size());
        let (between, steps) = (self.units.between, groups.size() as f64 * self.units.step);
        zip(
            &self.sums(roundoff, groups, term),
            &squares,
            |sum, squares| sum + factor * between * squares.sqrt() + steps,
        )
    }

    fn y(&self, y: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let Units {
            sum, between, step, ..
        } = self.units;
        let of = |k: usize| {
            let gamma = self.probe.gamma[self.probe.params.of[k]].abs();
            let both = self.scaled(k);
            let rounded = sum * y[k].abs() + between * (gamma * both.1).abs() + step;
            let group = self.probe.groups.of[k];
            (
                gamma * self.hat(both) + rounded,
                gamma * self.shared_hat(group, both.1),
            )
        };
        (0..y.len()).map(of).unzip()
    }

    fn dx(&self, dx: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let Probe { groups, params, .. } = self.probe;
        let Units {
            sum,
            between,
            each,
            step,
            ..
        } = self.units;
        let m = groups.size() as f64;
        let g = |k: usize| self.probe.gamma[params.of[k]] * self.probe.dy[k];
        let factor = self.factor(groups.size());
        let weighted = |k: usize| g(k) * self.scaled(k).1;
        let (a, b) = (groups.sums_of(g), groups.sums_of(weighted));
        let of_a = self.sums_of_products(sum, groups, g);
        let of_b = self.sums_of_products(sum, groups, weighted);
        let raw = self.sums(sum, groups, |k| g(k) * self.scaled(k).0);
        // The mean taken off a sum, and the roundings of x_hat inside of it.
        let inside = groups.sums_of(|k| {
            let (g, hat) = (g(k), self.hat(self.scaled(k)));
            g * g * hat * hat
        });
        // What each element of a group has in common with the others.
        let of_group = |group: usize| {
            let (a, b) = (self.centred * (a[group] / m).abs(), (b[group] / m).abs());
            let mean = (self.data.mean[group] * self.data.rstd[group]).abs();
            let da = self.centred * of_a[group] / m + MEAN_STEPS * each * a;
            let (rho, shift) = (self.rho[group], self.shift[group]);
            let db = (of_b[group] + 2.0 * raw[group]) / m * (1.0 + rho)
                + factor * inside[group].sqrt() / m
                + b * (rho + MEAN_STEPS * each)
                + (a + da) * (shift * (1.0 + rho) + 2.0 * sum * mean);
            [a, b, da, db]
        };
        let common: Vec<[f64; 4]> = (0..groups.count).map(of_group).collect();
        let of = |k: usize| {
            let (group, g, both) = (groups.of[k], g(k), self.scaled(k));
            let ([a, b, da, db], x_hat) = (common[group], both.1);
            let parts = g.abs() + a + (x_hat * b).abs();
            let steps = step
                * if each > 0.0 {
                    4.0 + 2.0 * x_hat.abs()
                } else {
                    1.0
                };
            let rounded = between * g.abs() + steps + 3.0 * (sum + each) * parts;
            let rho = self.rho[group];
            let own = rounded + self.hat(both) * (b + db);
            let shared = da + x_hat.abs() * db + self.shared_hat(group, x_hat) * (b + db);
            let rstd = self.data.rstd[group] * (1.0 + rho);
            (rstd * own, rstd * shared + dx[k].abs() * rho)
        };
        (0..dx.len()).map(of).unzip()
    }

    fn dgamma(&self, roundoff: f64) -> (Vec<f64>, Vec<f64>) {
        let Probe {
            groups, params, dy, ..
        } = self.probe;
        let term = |k: usize| dy[k] * self.scaled(k).1;
        let raw = self.sums(self.units.sum, params, |k| dy[k] * self.scaled(k).0);
        let inside = params.sums_of(|k| (dy[k] * self.hat(self.scaled(k))).powi(2));
        let factor = self.factor(params.size());
        let own = self.sums_of_products(roundoff, params, term);
        let own = own.iter().zip(&raw).zip(&inside);
        let own = own.map(|((own, raw), inside)| own + 2.0 * raw + factor * inside.sqrt());
        // Within a group errors of mu and rstd go one way; those of groups are independent. The
        // elements that a parameter has of a group follow one another, of whatever norm.
        let (mut sums, mut squares) = (vec![0.0; params.count], vec![0.0; params.count]);
        let mut meetings = vec![(0, [0.0; 2]); params.count];
        let mut leave = |param: usize, [rho, shift]: [f64; 2]| {
            let bound = rho.abs() + shift.abs();
            sums[param] += bound;
            squares[param] += bound * bound;
        };
        for (k, (&param, &group)) in params.of.iter().zip(&groups.of).enumerate() {
            let (met, meeting) = &mut meetings[param];
            if *met != group {
                leave(param, std::mem::take(meeting));
                *met = group;
            }
            meeting[0] += term(k) * self.rho[group];
            meeting[1] += dy[k] * self.shift[group] * (1.0 + self.rho[group]);
        }
        for (param, (_, meeting)) in meetings.into_iter().enumerate() {
            leave(param, meeting);
        }
        let shared = zip(&sums, &squares, |sum: f64, squares| {
            sum.min(self.units.lambda * squares.sqrt())
        });
        (own.collect(), shared)
    }
}
