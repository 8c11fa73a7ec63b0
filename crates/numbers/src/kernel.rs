//! A normalization as a kernel computes it, in few bits and in some order, which can be broken.
//!
//! It shares no code with what judges it.

use diagnose::Dtype;
use gradcheck::attribution::norm::Probe;

/// y, dx, dgamma and dbeta.
pub type Results = [Vec<f64>; 4];

/// In which order a sum is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    Forward,
    Backward,
    Pairwise,
    Lanes,
}

/// Which types a kernel computes in, and how it goes about its sums.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// The type of the arithmetic.
    pub sums: Dtype,
    /// That of the sums over rows for dgamma and dbeta.
    pub columns: Dtype,
    /// That of what passes between two steps.
    pub between: Dtype,
    /// That of the arrays.
    pub stored: Dtype,
    pub order: Order,
    /// Mean and variance by Welford's recursion.
    pub welford: bool,
}

impl Way {
    /// The usual one for arrays of a type.
    pub fn usual(stored: Dtype) -> Self {
        let sums = stored.accumulator();
        Self {
            sums,
            columns: sums,
            between: sums,
            stored,
            order: Order::Lanes,
            welford: false,
        }
    }

    fn sum(&self, dtype: Dtype, terms: &[f64]) -> f64 {
        let add = |a: f64, b: &f64| dtype.round(a + b);
        match self.order {
            Order::Forward => terms.iter().fold(0.0, add),
            Order::Backward => terms.iter().rev().fold(0.0, add),
            Order::Lanes => {
                let mut lanes = [0.0; 8];
                for (k, term) in terms.iter().enumerate() {
                    lanes[k % 8] = add(lanes[k % 8], term);
                }
                lanes.iter().fold(0.0, add)
            }
            Order::Pairwise if terms.len() < 2 => terms.iter().sum(),
            Order::Pairwise => {
                let (a, b) = terms.split_at(terms.len() / 2);
                dtype.round(self.sum(dtype, a) + self.sum(dtype, b))
            }
        }
    }
}

/// How often value `j` of `n` is in a sum.
pub type Count = fn(usize, usize) -> f64;
/// Which of `n` is read for number `i`.
pub type Read = fn(usize, usize) -> usize;

/// What stands where x_hat belongs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Hat {
    Right,
    X,
    Centred,
}

/// Where gamma stands in dx.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gamma {
    Right,
    Forgotten,
    InFront,
}

/// A kernel, of which every part can be another than the right one.
#[derive(Clone, Copy)]
pub struct Kernel {
    /// What the sums for the mean and for the variance count, and by what both are divided.
    pub in_mean: Count,
    pub in_variance: Count,
    pub divisor: fn(usize) -> f64,
    /// Whether sums of the statistics, and of the backward, go on from one group to the next.
    pub goes_on: [bool; 2],
    pub eps: fn(f64) -> f64,
    pub rstd: fn(f64, f64) -> f64,
    /// What is kept of it for the backward.
    pub kept: fn(f64, f64) -> f64,
    /// Of which group the backward has mean and rstd, and the means of g and g * x_hat.
    pub mean_of: Read,
    pub rstd_of: Read,
    pub means_of: Read,
    /// What the two sums of the backward count, and by what they are divided.
    pub in_g: Count,
    pub in_gx: Count,
    pub divisor_back: fn(usize) -> f64,
    /// The direct path, that through the mean and that through the variance.
    pub paths: [f64; 3],
    pub gamma: Gamma,
    pub gamma_at: Read,
    pub dy_at: Read,
    /// What dgamma multiplies dy with, and the path through the variance ends with.
    pub hat: Hat,
    pub hat_back: Hat,
    /// What dx is multiplied with, for each group.
    pub front: fn(f64) -> f64,
    pub beta: f64,
    /// What the sums over rows count, and what is made of each of n terms.
    pub in_column: Count,
    pub column: fn(f64, usize) -> f64,
    pub dbeta_by_gamma: bool,
    /// What happens to the results; the number of elements in a row of the array is told.
    pub finish: fn(&mut Results, usize, &Probe),
}

fn all(_: usize, _: usize) -> f64 {
    1.0
}

fn same(i: usize, _: usize) -> usize {
    i
}

impl Kernel {
    /// Nothing is wrong with it.
    pub const RIGHT: Self = Self {
        in_mean: all,
        in_variance: all,
        divisor: |n| n as f64,
        goes_on: [false; 2],
        eps: |eps| eps,
        rstd: |var, eps| 1.0 / (var + eps).sqrt(),
        kept: |_, rstd| rstd,
        mean_of: same,
        rstd_of: same,
        means_of: same,
        in_g: all,
        in_gx: all,
        divisor_back: |n| n as f64,
        paths: [1.0; 3],
        gamma: Gamma::Right,
        gamma_at: same,
        dy_at: same,
        hat: Hat::Right,
        hat_back: Hat::Right,
        front: |rstd| rstd,
        beta: 1.0,
        in_column: all,
        column: |sum, _| sum,
        dbeta_by_gamma: false,
        finish: |_, _, _| {},
    };

    /// What it computes.
    pub fn run(&self, probe: &Probe, way: Way) -> Results {
        let r = |v: f64| way.sums.round(v);
        let between = |v: f64| way.between.round(v);
        let total = probe.x.len();
        let members = |of: &[usize], count: usize| {
            let mut members = vec![Vec::new(); count];
            of.iter().enumerate().for_each(|(k, &g)| members[g].push(k));
            members
        };
        let groups: Vec<Vec<usize>> = members(&probe.groups.of, probe.groups.count);
        let params: Vec<Vec<usize>> = members(&probe.params.of, probe.params.count);
        let (m, count, features) = (probe.groups.size(), groups.len(), params.len());
        let param = |k: usize| probe.params.of[k];
        let gamma = |k: usize| probe.gamma[(self.gamma_at)(param(k), features)];
        let dy = |k: usize| probe.dy[(self.dy_at)(k, total)];
        let counted = |group: &[usize], count: Count, term: &dyn Fn(usize) -> f64| -> f64 {
            let each = group.iter().enumerate();
            let terms: Vec<f64> = each.map(|(j, &k)| r(count(j, m) * term(k))).collect();
            way.sum(way.sums, &terms)
        };
        let (eps, centred) = ((self.eps)(probe.eps), probe.kind.is_centred());
        // The forward.
        let (mut means, mut variances) = (Vec::new(), Vec::new());
        let mut so_far = [0.0; 2];
        for group in &groups {
            let so = |add: bool, sum: f64, far: &mut f64| {
                *far = if add { r(*far + sum) } else { sum };
                *far
            };
            let divisor = (self.divisor)(m);
            let (mut mean, mut squares) = (0.0, 0.0);
            if way.welford && centred {
                for (j, &k) in group.iter().enumerate() {
                    let off = r(probe.x[k] - mean);
                    mean = r(mean + r(off / (j + 1) as f64));
                    squares = r(squares + r(off * r(probe.x[k] - mean)));
                }
            } else {
                if centred {
                    let sum = counted(group, self.in_mean, &|k| probe.x[k]);
                    mean = r(so(self.goes_on[0], sum, &mut so_far[0]) / divisor);
                }
                let off = |k: usize| r(r(probe.x[k] - mean).powi(2));
                squares = counted(group, self.in_variance, &off);
                squares = so(self.goes_on[0], squares, &mut so_far[1]);
            }
            means.push(mean);
            variances.push(r(squares / divisor));
        }
        let rstd: Vec<f64> = variances.iter().map(|v| r((self.rstd)(*v, eps))).collect();
        let group_of = &probe.groups.of;
        let y = (0..total).map(|k| {
            let g = group_of[k];
            let x_hat = between(r(r(probe.x[k] - means[g]) * rstd[g]));
            let shift = self.beta * probe.beta[param(k)];
            r(r(gamma(k) * x_hat) + shift)
        });
        let y: Vec<f64> = y.collect();
        // The backward, by what was kept.
        let kept: Vec<f64> = (0..count)
            .map(|g| between(r((self.kept)(variances[g] + eps, rstd[g]))))
            .collect();
        let pair = |k: usize| {
            let g = group_of[k];
            let mean = between(means[(self.mean_of)(g, count)]);
            (mean, kept[(self.rstd_of)(g, count)])
        };
        let hat = |k: usize, which: Hat| {
            let (mean, rstd) = pair(k);
            match which {
                Hat::Right => between(r(r(probe.x[k] - mean) * rstd)),
                Hat::Centred => r(probe.x[k] - mean),
                Hat::X => probe.x[k],
            }
        };
        let g = |k: usize| match self.gamma {
            Gamma::Right => between(r(gamma(k) * dy(k))),
            _ => dy(k),
        };
        let mut sums: Vec<[f64; 2]> = groups
            .iter()
            .map(|group| {
                let of_g = counted(group, self.in_g, &g);
                let of_gx = counted(group, self.in_gx, &|k| r(g(k) * hat(k, Hat::Right)));
                [if centred { of_g } else { 0.0 }, of_gx]
            })
            .collect();
        if self.goes_on[1] {
            for at in 1..sums.len() {
                sums[at] = [0, 1].map(|i| r(sums[at - 1][i] + sums[at][i]));
            }
        }
        let dx = (0..total).map(|k| {
            let [a, b] = sums[(self.means_of)(group_of[k], count)];
            let [a, b] = [a, b].map(|sum| r(sum / (self.divisor_back)(m)));
            let [direct, mean, variance] = self.paths;
            let inner = r(r(direct * g(k) - mean * a) - r(variance * hat(k, self.hat_back) * b));
            let dx = r((self.front)(pair(k).1) * inner);
            match self.gamma {
                Gamma::InFront => r(gamma(k) * dx),
                _ => dx,
            }
        });
        let dx: Vec<f64> = dx.collect();
        let column = |term: &dyn Fn(usize) -> f64| -> Vec<f64> {
            let sum = |all: &Vec<usize>| {
                let n = all.len();
                let terms = all.iter().enumerate();
                let terms = terms.map(|(j, &k)| r((self.in_column)(j, n) * r(term(k))));
                let terms: Vec<f64> = terms.collect();
                (self.column)(way.sum(way.columns, &terms), n)
            };
            params.iter().map(sum).collect()
        };
        let dgamma = column(&|k| dy(k) * hat(k, self.hat));
        let mut dbeta = column(&dy);
        if self.dbeta_by_gamma {
            dbeta
                .iter_mut()
                .zip(&probe.gamma)
                .for_each(|(d, g)| *d *= g);
        }
        let mut results = [y, dx, dgamma, dbeta];
        let row = probe.shape.last().copied().unwrap_or(1);
        (self.finish)(&mut results, row, probe);
        for values in &mut results {
            values.iter_mut().for_each(|v| *v = way.stored.round(*v));
        }
        results
    }
}
