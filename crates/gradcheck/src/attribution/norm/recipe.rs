//! Normalization with every choice open: right, or wrong in a known way.
//!
//! With `g = gamma * dy`, `x_hat = (x - mu) * rstd` and means over a normalized group,
//!
//! ```text
//! dx = rstd * g  -  rstd * mean(g)  -  rstd * x_hat * mean(g * x_hat)
//!      direct       through mu         through sigma²
//! ```
//!
//! A [`Recipe`] says how each part of this is computed. The default is right.

use super::probe::Probe;
use crate::groups::Groups;

/// The direct path `x -> x_hat`.
pub const DIRECT: usize = 0;
/// The path through the mean, `x -> mu -> x_hat`.
pub const MEAN: usize = 1;
/// The path through the variance, `x -> sigma² -> x_hat`.
pub const VARIANCE: usize = 2;

/// Where eps enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eps {
    /// `1 / sqrt(var + eps)`.
    Inside,
    /// `1 / sqrt(var)`.
    LeftOut,
    /// `1 / (sqrt(var) + eps)`.
    OutsideRoot,
}

/// What stands in a place where `x_hat` belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XHat {
    /// What belongs there.
    Right,
    /// `(x - mu) * rstd`, where something else belongs.
    Normalized,
    /// `x * rstd`: the mean is not subtracted.
    Uncentred,
    /// `(x + mu) * rstd`.
    MeanAdded,
    /// `x`.
    X,
    /// `y = gamma * x_hat + beta`.
    Y,
    /// 1: the factor is left out.
    One,
}

/// The choices.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The grouping of the statistics: 0 is right, `k` is `probe.others[k - 1]`.
    pub statistics: usize,
    /// The grouping of the two means in the backward, for [`MEAN`] and [`VARIANCE`].
    pub backward: [usize; 2],
    /// A wrong grouping of the sums of dgamma and dbeta.
    pub summed: Option<usize>,
    /// Where eps enters.
    pub eps: Eps,
    /// The variance divided by `M - 1`.
    pub bessel: bool,
    /// The variance taken for the standard deviation: `rstd = 1 / (var + eps)`.
    pub no_root: bool,
    /// The mean subtracted where it is not to be, or not where it is.
    pub flip_centre: bool,
    /// The grouping whose numbers index gamma: 0 is right.
    pub gamma_by: usize,
    /// The power of gamma in each path.
    pub gamma: [i32; 3],
    /// Gamma multiplied in after the mean, not before, in [`MEAN`] and in [`VARIANCE`].
    pub gamma_outside: [bool; 2],
    /// Gamma multiplied in once more, in front of all paths.
    pub gamma_again: bool,
    /// Both means of the backward times this, as when a sum is divided by the number of
    /// values in another.
    pub rescaled: f64,
    /// Powers of rstd too many (or too few) in each path.
    pub rstd: [i32; 3],
    /// `x_hat` before the mean of the variance path, and in that mean.
    pub x_hat: [XHat; 2],
    /// `mean(g * x_hat)` in the mean path, in place of `mean(g)`.
    pub weighted_mean: bool,
    /// In RMS Norm, whose mean is not subtracted, its path all the same.
    pub mean_path_added: bool,
    /// The upstream gradient taken to be all ones.
    pub dy_ones: bool,
    /// Gamma and beta in each other's place.
    pub swapped: bool,
    /// `gamma * (x_hat + beta)`.
    pub beta_scaled: bool,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            statistics: 0,
            backward: [0, 0],
            summed: None,
            eps: Eps::Inside,
            bessel: false,
            no_root: false,
            flip_centre: false,
            gamma_by: 0,
            gamma: [1; 3],
            gamma_outside: [false; 2],
            gamma_again: false,
            rescaled: 1.0,
            rstd: [0; 3],
            x_hat: [XHat::Right; 2],
            weighted_mean: false,
            mean_path_added: false,
            dy_ones: false,
            swapped: false,
            beta_scaled: false,
        }
    }
}

/// The statistics of a recipe, each spread over the elements, row-major.
pub struct Statistics {
    /// The mean that is subtracted: 0 for RMS Norm.
    pub mean: Vec<f64>,
    /// `1 / sqrt(var + eps)`.
    pub rstd: Vec<f64>,
    /// `(x - mean) * rstd`.
    pub x_hat: Vec<f64>,
}

impl Statistics {
    /// Element `k` of `x_hat`, or of what stands in its place.
    fn x_hat(&self, what: XHat, probe: &Probe, k: usize) -> f64 {
        match what {
            XHat::Right | XHat::Normalized => self.x_hat[k],
            XHat::Uncentred => probe.x[k] * self.rstd[k],
            XHat::MeanAdded => (probe.x[k] + self.mean[k]) * self.rstd[k],
            XHat::X => probe.x[k],
            XHat::Y => probe.gamma_at(k) * self.x_hat[k] + probe.beta_at(k),
            XHat::One => 1.0,
        }
    }
}

/// Elementwise product.
pub fn times(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}

impl Recipe {
    /// Mean, rstd and `x_hat`.
    pub fn statistics(&self, probe: &Probe) -> Statistics {
        let groups = probe.grouping(self.statistics);
        let centred = probe.kind.is_centred() != self.flip_centre;
        let mean = if centred {
            groups.means(&probe.x)
        } else {
            vec![0.0; probe.x.len()]
        };
        let off: Vec<f64> = probe
            .x
            .iter()
            .zip(&mean)
            .map(|(x, mean)| x - mean)
            .collect();
        let m = groups.size() as f64;
        let bessel = if self.bessel { m / (m - 1.0) } else { 1.0 };
        let rstd = |var: &f64| {
            let var = var * bessel;
            match self.eps {
                _ if self.no_root => 1.0 / (var + probe.eps),
                Eps::Inside => 1.0 / (var + probe.eps).sqrt(),
                Eps::LeftOut => 1.0 / var.sqrt(),
                Eps::OutsideRoot => 1.0 / (var.sqrt() + probe.eps),
            }
        };
        let rstd: Vec<f64> = groups.means(&times(&off, &off)).iter().map(rstd).collect();
        let x_hat = times(&off, &rstd);
        Statistics { mean, rstd, x_hat }
    }

    /// The two terms of y: the scaled `x_hat`, and the shift.
    pub fn y(&self, probe: &Probe) -> [Vec<f64>; 2] {
        let s = self.statistics(probe);
        let index = self.gamma_index(probe);
        let all = |f: &dyn Fn(usize) -> f64| (0..probe.x.len()).map(f).collect();
        let (scale, shift) = match self.swapped {
            false => (&probe.gamma, &probe.beta),
            true => (&probe.beta, &probe.gamma),
        };
        let gamma = |k: usize| scale[index.of[k]].powi(self.gamma[DIRECT]);
        let beta_scale = |k: usize| if self.beta_scaled { gamma(k) } else { 1.0 };
        [
            all(&|k| {
                let x_hat = s.x_hat(self.x_hat[0], probe, k);
                gamma(k) * x_hat * s.rstd[k].powi(self.rstd[DIRECT])
            }),
            all(&|k| beta_scale(k) * shift[index.of[k]]),
        ]
    }

    /// What is summed into dgamma or dbeta, before the sum: `dy`, times `what` unless
    /// the recipe puts another thing in its place.
    pub fn affine(&self, probe: &Probe, what: XHat) -> Vec<f64> {
        let s = self.statistics(probe);
        let what = if self.x_hat[0] == XHat::Right {
            what
        } else {
            self.x_hat[0]
        };
        let dy = |k: usize| if self.dy_ones { 1.0 } else { probe.dy[k] };
        let one = |k: usize| {
            let gamma = probe.gamma_at(k).powi(self.gamma[DIRECT] - 1);
            let rstd = s.rstd[k].powi(self.rstd[DIRECT]);
            dy(k) * s.x_hat(what, probe, k) * gamma * rstd
        };
        (0..probe.x.len()).map(one).collect()
    }

    fn gamma_index<'a>(&self, probe: &'a Probe) -> &'a Groups {
        match self.gamma_by {
            0 => &probe.params,
            other => probe.grouping(other),
        }
    }

    /// The three terms of dx.
    pub fn dx(&self, probe: &Probe) -> [Vec<f64>; 3] {
        let s = self.statistics(probe);
        let all = |f: &dyn Fn(usize) -> f64| (0..probe.x.len()).map(f).collect::<Vec<f64>>();
        let index = self.gamma_index(probe);
        let gamma = |path: usize, k: usize| probe.gamma[index.of[k]].powi(self.gamma[path]);
        let dy = |k: usize| if self.dy_ones { 1.0 } else { probe.dy[k] };
        // Gamma stands before a mean or after it, never in both places.
        let outside = |path: usize| self.gamma_outside[path - MEAN];
        let before = |path: usize, k: usize| if outside(path) { 1.0 } else { gamma(path, k) };
        let after = |path: usize, k: usize| {
            let gamma = if outside(path) { gamma(path, k) } else { 1.0 };
            gamma * self.rescaled
        };
        let rstd = |path: usize, k: usize| {
            let again = if self.gamma_again {
                probe.gamma[index.of[k]]
            } else {
                1.0
            };
            s.rstd[k].powi(1 + self.rstd[path]) * again
        };
        let x_hat = |what: XHat, k: usize| s.x_hat(what, probe, k);
        let [outer, inner] = self.x_hat;
        let weight = |k: usize| if self.weighted_mean { s.x_hat[k] } else { 1.0 };
        let through_mean = all(&|k| before(MEAN, k) * dy(k) * weight(k));
        let through_mean = probe.grouping(self.backward[0]).means(&through_mean);
        let through_var = all(&|k| before(VARIANCE, k) * dy(k) * x_hat(inner, k));
        let through_var = probe.grouping(self.backward[1]).means(&through_var);
        [
            all(&|k| rstd(DIRECT, k) * gamma(DIRECT, k) * dy(k)),
            all(&|k| -rstd(MEAN, k) * after(MEAN, k) * through_mean[k]),
            all(&|k| -rstd(VARIANCE, k) * after(VARIANCE, k) * x_hat(outer, k) * through_var[k]),
        ]
    }
}

/// The right values: those of the recipe in which nothing is changed.
impl Probe {
    /// The right output, `gamma * x_hat + beta`, in the shape of `x`.
    pub fn y(&self) -> Vec<f64> {
        let x_hat = self.x_hat();
        (0..x_hat.len())
            .map(|k| self.gamma_at(k) * x_hat[k] + self.beta_at(k))
            .collect()
    }

    /// The normalized input, in the shape of `x`.
    pub fn x_hat(&self) -> Vec<f64> {
        Recipe::default().statistics(self).x_hat
    }

    /// `1 / sqrt(var + eps)` of the group of each element, in the shape of `x`.
    pub fn rstd(&self) -> Vec<f64> {
        Recipe::default().statistics(self).rstd
    }

    /// The right gradient with respect to `x`.
    pub fn dx(&self) -> Vec<f64> {
        let [direct, mean, variance] = Recipe::default().dx(self);
        // RMS Norm subtracts no mean, so nothing comes back through one.
        let through_mean = if self.kind.is_centred() { 1.0 } else { 0.0 };
        (0..direct.len())
            .map(|k| direct[k] + through_mean * mean[k] + variance[k])
            .collect()
    }

    /// The right gradient with respect to gamma.
    pub fn dgamma(&self) -> Vec<f64> {
        self.params.sums(&times(&self.dy, &self.x_hat()))
    }

    /// The right gradient with respect to beta.
    pub fn dbeta(&self) -> Vec<f64> {
        self.params.sums(&self.dy)
    }
}
