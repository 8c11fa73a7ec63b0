//! The roundings of a formula, step by step: the errors that [`crate::tolerance`] bounds a result with.

use crate::dtype::Dtype;
use gradcheck::Groups;
use gradcheck::attribution::norm::{Probe, Target};

/// Where rounding alone may change so much, hardly a mistake can be told from it.
pub const HOPELESS: f64 = 0.3;

/// The probability at which a right array may be called wrong.
const ALARM: f64 = 1e-9;

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

/// Element by element.
pub(crate) fn zip(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect()
}

/// What the bounds on all targets ask of the data, one of each for every group.
pub struct Measured<'a> {
    pub(crate) probe: &'a Probe,
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
}

/// The roundoffs of a computation, and what many of them come to.
pub(crate) struct Units {
    /// The roundoff of sums.
    pub(crate) sum: f64,
    /// The roundoff of what passes between two steps.
    pub(crate) between: f64,
    /// The same for what is kept for the backward, where that is done in another type than f32.
    kept: f64,
    /// The roundoff of an operation between two numbers, where it is not that of sums.
    each: f64,
    /// How far a number near zero is moved that passes between two steps.
    step: f64,
    pub(crate) lambda: f64,
}

impl Units {
    pub(crate) fn new(probe: &Probe, types: Types) -> Self {
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
pub(crate) struct Model<'a> {
    probe: &'a Probe,
    data: &'a Measured<'a>,
    pub(crate) units: Units,
    /// For each group the relative error of rstd.
    rho: Vec<f64>,
    /// And the error of the mean in standard deviations.
    shift: Vec<f64>,
    centred: f64,
}

impl<'a> Model<'a> {
    pub(crate) fn new(data: &'a Measured<'a>, types: Types) -> Self {
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
    pub(crate) fn lost(&self) -> Vec<usize> {
        let all = 0..self.rho.len();
        all.filter(|&g| self.rho[g] > HOPELESS || self.shift[g] > HOPELESS)
            .collect()
    }

    /// The factor that makes a bound on a sum of `n` errors of the root of their squares.
    fn factor(&self, n: usize) -> f64 {
        self.units.lambda.min((n as f64).sqrt())
    }

    /// The errors of sums over groups, of terms that are as they should be.
    pub(crate) fn sums(
        &self,
        roundoff: f64,
        groups: &Groups,
        term: impl Fn(usize) -> f64,
    ) -> Vec<f64> {
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

    pub(crate) fn y(&self, y: &[f64]) -> (Vec<f64>, Vec<f64>) {
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

    pub(crate) fn dx(&self, dx: &[f64]) -> (Vec<f64>, Vec<f64>) {
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

    pub(crate) fn dgamma(&self, roundoff: f64) -> (Vec<f64>, Vec<f64>) {
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
