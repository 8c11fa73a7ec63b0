//! How far a right result may be from the right one: what rounding can do to it, from the data.
//!
//! # The argument
//!
//! A kernel rounds in three places, each with its own unit roundoff:
//!
//! - what it *stores*, the array that is judged, with that of its type, once for each element;
//! - what passes *between* its steps: x_hat, gamma * dy, and the mean and rstd that a forward
//!   pass keeps for the backward. In sixteen bits these may be stored as x is;
//! - its *sums*, in `f32` where sixteen bits are stored, in the type itself otherwise. dgamma and
//!   dbeta may have been added up in sixteen bits, row by row into the array itself, as
//!   PyTorch's Layer Norm does on a CPU. That is no mistake in the formula, and is told apart:
//!   [`Types::ladder`] has both.
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
//! From there the errors go through the formula, to the first order. With `rho` the relative
//! error of rstd and `dmu` that of mu, both shared by a group,
//!
//! ```text
//! x_hat = (x - mu) * rstd      off by  |x_hat| rho + rstd dmu  and by roundings of its own,
//!                              two of x_hat and two of x * rstd, for who multiplies first
//! y     = gamma * x_hat + beta
//! dx    = rstd * (g - a - x_hat * b),  g = gamma * dy,  a = mean(g),  b = mean(g * x_hat)
//! ```
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
    /// That in which dgamma and dbeta were added up.
    pub sums: Dtype,
}

impl Types {
    /// From the finest sums that there may have been to the coarsest.
    pub fn ladder(input: Dtype, stored: Dtype, target: Target) -> Vec<Self> {
        let coarser = input.coarser(stored);
        let mut sums = vec![coarser.accumulator()];
        if matches!(target, Target::Dgamma | Target::Dbeta) {
            sums.push(coarser);
            sums.dedup();
        }
        let types = |sums| Self {
            input,
            stored,
            sums,
        };
        sums.into_iter().map(types).collect()
    }
}

/// What rounding may do to a result.
#[derive(Clone, Debug)]
pub struct Tolerance {
    /// For each element a bound on errors that are its own.
    own: Vec<f64>,
    /// And one on errors that it shares with the elements of the same cell.
    shared: Vec<f64>,
    /// The cell of each element.
    cells: Groups,
    /// The length of the right result.
    size: f64,
    /// The factor that makes a bound of a root of squares.
    lambda: f64,
}

/// The length of a vector.
pub fn length(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// Element by element.
fn zip(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect()
}

impl Tolerance {
    /// For a result that is to be `right`.
    pub fn new(probe: &Probe, target: Target, right: &[f64], types: Types) -> Self {
        let model = Model::new(probe, types);
        let stored = |v: f64| types.stored.roundoff() * v.abs() + types.stored.underflow();
        let (own, shared) = match target {
            Target::Y => model.y(right),
            Target::Dx => model.dx(right),
            Target::Dgamma => model.dgamma(types.sums.roundoff()),
            // Nothing is multiplied before it is added up.
            Target::Dbeta => (
                model.sums(types.sums.roundoff(), &probe.params, &probe.dy),
                vec![0.0; right.len()],
            ),
        };
        let cells = match target {
            Target::Y | Target::Dx => probe.groups.clone(),
            // What went wrong in one row is in every feature.
            Target::Dgamma | Target::Dbeta => Groups {
                of: vec![0; right.len()],
                count: 1,
            },
        };
        Self {
            own: zip(&own, right, |own, v| own + stored(v)),
            shared,
            cells,
            size: length(right),
            lambda: model.lambda,
        }
    }

    /// For values that one mean or variance for each group, and one step of a running
    /// statistic, are made of: `terms` are the absolute values of what is added up.
    pub fn of_running(probe: &Probe, right: &[f64], terms: &[f64], types: Types) -> Self {
        let model = Model::new(probe, types);
        let stored = types.stored;
        // The statistic, its product and the old value's may be stored between the steps.
        let many = model.lambda * (probe.groups.size() as f64).sqrt() + 8.0;
        let own = zip(right, terms, |v, terms| {
            (model.sum * many + 3.0 * model.between) * terms
                + stored.roundoff() * v.abs()
                + stored.underflow()
        });
        Self {
            own,
            shared: vec![0.0; right.len()],
            cells: Groups {
                of: (0..right.len()).collect(),
                count: right.len(),
            },
            size: length(right),
            lambda: model.lambda,
        }
    }

    /// The bound on the error of element `k`.
    pub fn at(&self, k: usize) -> f64 {
        self.own[k] + self.shared[k]
    }

    /// The bound on the length of the error, as a share of the length of the right result.
    pub fn relative(&self) -> f64 {
        length(&zip(&self.own, &self.shared, |a, b| a + b)) / self.size
    }

    /// How far an error may reach in a direction: a bound on `<error, direction>`.
    ///
    /// What is each element's own mostly cancels. What a group shares does not within it, but
    /// does between groups.
    pub fn along(&self, direction: &[f64]) -> f64 {
        let own = length(&zip(&self.own, direction, |e, d| e * d));
        let shared = zip(&self.shared, direction, |e, d| e * d.abs());
        self.lambda * own + self.among(&self.cells.sums(&shared))
    }

    /// A bound on a sum of independent errors with these bounds.
    fn among(&self, bounds: &[f64]) -> f64 {
        among(self.lambda, bounds)
    }
}

fn among(lambda: f64, bounds: &[f64]) -> f64 {
    bounds.iter().sum::<f64>().min(lambda * length(bounds))
}

/// The errors of the parts of a formula.
struct Model<'a> {
    probe: &'a Probe,
    /// The roundoff of sums.
    sum: f64,
    /// The roundoff of what passes between two steps.
    between: f64,
    lambda: f64,
    /// For each element those of its group: 1/sqrt(var + eps), and its relative error.
    rstd: Vec<f64>,
    rho: Vec<f64>,
    /// The error of the mean in standard deviations.
    shift: Vec<f64>,
    x_hat: Vec<f64>,
    /// `x * rstd`.
    scaled: Vec<f64>,
    /// The error of x_hat that is each element's own.
    hat: Vec<f64>,
}

impl<'a> Model<'a> {
    fn new(probe: &'a Probe, types: Types) -> Self {
        let coarser = types.input.coarser(types.stored);
        let sum = coarser.accumulator().roundoff();
        let between = coarser.roundoff();
        let sums = probe.groups.count + probe.params.count;
        let lambda = deviations(sums);
        // No sum of n errors is larger than sqrt(n) times the root of their squares.
        let few = lambda.min((probe.groups.size() as f64).sqrt());
        let (rstd, x_hat) = (probe.rstd(), probe.x_hat());
        let scaled = zip(&probe.x, &rstd, |x, r| x * r);
        let mean = zip(&scaled, &x_hat, |s, h| s - h);
        let m = probe.groups.size() as f64;
        // Kept for the backward, where that is done in another type than f32.
        let kept = if between > sum { between } else { 0.0 };
        let off = Self::partial(&probe.groups, &scaled);
        let centred = if probe.kind.is_centred() { 1.0 } else { 0.0 };
        let of = |k: usize| probe.groups.of[k];
        let all = 0..x_hat.len();
        let shift: Vec<f64> = all
            .clone()
            .map(|k| {
                let rounded = (sum + kept) * mean[k].abs();
                centred * (few * sum * off[of(k)] / m + rounded)
            })
            .collect();
        let squares = probe.groups.means(&zip(&scaled, &scaled, |a, b| a * b));
        let rho = all
            .map(|k| {
                let welford = few * sum * centred * squares[k].sqrt();
                let variance = sum * (few * (m / 3.0).sqrt() + 3.0) + 2.0 * welford;
                0.5 * (variance + shift[k] * shift[k]) + 2.0 * sum + kept
            })
            .collect();
        let hat = zip(&x_hat, &scaled, |h, s| {
            2.0 * sum * (h.abs() + s.abs()) + kept * h.abs()
        });
        Self {
            probe,
            sum,
            between,
            lambda,
            rstd,
            rho,
            shift,
            x_hat,
            scaled,
            hat,
        }
    }

    /// For each group, the root of the sum of the squares of the partial sums.
    fn partial(groups: &Groups, terms: &[f64]) -> Vec<f64> {
        let n = groups.size() as f64;
        let totals = groups.sums(terms);
        let squares = groups.sums(&zip(terms, terms, |a, b| a * b));
        let mut so_far = vec![0.0; groups.count];
        let mut in_memory = vec![0.0; groups.count];
        for (&group, term) in groups.of.iter().zip(terms) {
            so_far[group] += term;
            in_memory[group] += so_far[group] * so_far[group];
        }
        (0..groups.count)
            .map(|g| {
                let any_order = n * (totals[g] * totals[g] / 3.0 + squares[g] / 6.0);
                any_order.max(in_memory[g]).sqrt()
            })
            .collect()
    }

    /// The factor that makes a bound on a sum of `n` errors of the root of their squares.
    fn factor(&self, n: usize) -> f64 {
        self.lambda.min((n as f64).sqrt())
    }

    /// The errors of sums over groups, of terms that are as they should be.
    fn sums(&self, roundoff: f64, groups: &Groups, terms: &[f64]) -> Vec<f64> {
        let factor = self.factor(groups.size()) * roundoff;
        let partial = Self::partial(groups, terms);
        partial.iter().map(|partial| factor * partial).collect()
    }

    /// The same when each term was rounded before, being a product.
    fn sums_of_products(&self, roundoff: f64, groups: &Groups, terms: &[f64]) -> Vec<f64> {
        let squares = groups.sums(&zip(terms, terms, |a, b| a * b));
        let factor = self.factor(groups.size()) * self.between;
        zip(
            &self.sums(roundoff, groups, terms),
            &squares,
            |sum, squares| sum + factor * squares.sqrt(),
        )
    }

    /// The error of x_hat at element `k` that its group shares.
    fn shared_hat(&self, k: usize) -> f64 {
        self.x_hat[k].abs() * self.rho[k] + self.shift[k]
    }

    fn y(&self, y: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let of = |k: usize| {
            let gamma = self.probe.gamma[self.probe.params.of[k]].abs();
            let rounded = self.sum * y[k].abs() + self.between * (gamma * self.x_hat[k]).abs();
            (gamma * self.hat[k] + rounded, gamma * self.shared_hat(k))
        };
        (0..y.len()).map(of).unzip()
    }

    fn dx(&self, dx: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let Probe { groups, params, .. } = self.probe;
        let m = groups.size() as f64;
        let g: Vec<f64> = (0..dx.len())
            .map(|k| self.probe.gamma[params.of[k]] * self.probe.dy[k])
            .collect();
        let times = |a: &[f64], b: &[f64]| zip(a, b, |a, b| a * b);
        let (weighted, raw) = (times(&g, &self.x_hat), times(&g, &self.scaled));
        let (a, b) = (groups.means(&g), groups.means(&weighted));
        let centred = if self.probe.kind.is_centred() {
            1.0
        } else {
            0.0
        };
        let factor = self.factor(groups.size());
        let of_a = self.sums_of_products(self.sum, groups, &g);
        let of_b = self.sums_of_products(self.sum, groups, &weighted);
        let of_b = zip(&of_b, &self.sums(self.sum, groups, &raw), |w, raw| {
            w + 2.0 * raw
        });
        // The mean taken off a sum, and the roundings of x_hat inside of it.
        let inside = groups.sums(&zip(&times(&g, &g), &self.hat, |g, h| g * h * h));
        let of = |k: usize| {
            let group = groups.of[k];
            let (a, b) = (centred * a[k].abs(), b[k].abs());
            let mean = (self.scaled[k] - self.x_hat[k]).abs();
            let da = centred * of_a[group] / m;
            let db = of_b[group] / m
                + factor * inside[group].sqrt() / m
                + b * self.rho[k]
                + a * (self.shift[k] + 2.0 * self.sum * mean);
            let parts = g[k].abs() + a + (self.x_hat[k] * b).abs();
            let rounded = self.between * g[k].abs() + 3.0 * self.sum * parts;
            let own = rounded + self.hat[k] * b;
            let shared = da + self.x_hat[k].abs() * db + self.shared_hat(k) * b;
            let rstd = self.rstd[k];
            (rstd * own, rstd * shared + dx[k].abs() * self.rho[k])
        };
        (0..dx.len()).map(of).unzip()
    }

    fn dgamma(&self, roundoff: f64) -> (Vec<f64>, Vec<f64>) {
        let Probe {
            groups, params, dy, ..
        } = self.probe;
        let times = |a: &[f64], b: &[f64]| zip(a, b, |a, b| a * b);
        let terms = times(dy, &self.x_hat);
        let raw = self.sums(self.sum, params, &times(dy, &self.scaled));
        let inside = params.sums(&zip(dy, &self.hat, |dy, h| (dy * h).powi(2)));
        let factor = self.factor(params.size());
        let own = self.sums_of_products(roundoff, params, &terms);
        let own = own.iter().zip(&raw).zip(&inside);
        let own = own.map(|((own, raw), inside)| own + 2.0 * raw + factor * inside.sqrt());
        // Within a group errors of mu and rstd go one way; those of groups are independent. The
        // elements of one parameter after the other, the sums of each are kept by group.
        let (mut sums, mut squares) = (vec![0.0; params.count], vec![0.0; params.count]);
        let mut meetings = vec![[0.0; 2]; groups.count];
        let mut met = Vec::new();
        for (param, members) in by_parameter(params).iter().enumerate() {
            for &k in members {
                let meeting = &mut meetings[groups.of[k]];
                meeting[0] += terms[k] * self.rho[k];
                meeting[1] += dy[k] * self.shift[k];
                met.push(groups.of[k]);
            }
            // A group that is met twice is empty the second time.
            for group in met.drain(..) {
                let [rho, shift] = std::mem::take(&mut meetings[group]);
                let bound = rho.abs() + shift.abs();
                sums[param] += bound;
                squares[param] += bound * bound;
            }
        }
        let shared = zip(&sums, &squares, |sum: f64, squares| {
            sum.min(self.lambda * squares.sqrt())
        });
        (own.collect(), shared)
    }
}

/// The elements of each parameter.
fn by_parameter(params: &Groups) -> Vec<Vec<usize>> {
    let mut members = vec![Vec::with_capacity(params.size()); params.count];
    for (k, &param) in params.of.iter().enumerate() {
        members[param].push(k);
    }
    members
}
