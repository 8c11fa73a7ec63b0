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
use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

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

/// By which statistics a recipe normalizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Taken {
    grouping: usize,
    eps: Eps,
    bessel: bool,
    no_root: bool,
    flip_centre: bool,
}

/// What a mean of the backward is of: `gamma^power * dy`, and what it is multiplied by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Averaged {
    grouping: usize,
    gamma_by: usize,
    power: i32,
    dy_ones: bool,
    times: Option<(XHat, Taken)>,
}

/// The statistics of a recipe, one of each for every group.
pub struct Statistics<'a> {
    probe: &'a Probe,
    groups: &'a Groups,
    /// The mean that is subtracted: 0 for RMS Norm.
    pub mean: Vec<f64>,
    /// `1 / sqrt(var + eps)`.
    pub rstd: Vec<f64>,
}

impl Statistics<'_> {
    /// Element `k` of `x_hat`, or of what stands in its place.
    fn x_hat(&self, what: XHat, k: usize) -> f64 {
        let (probe, group) = (self.probe, self.groups.of[k]);
        let right = || (probe.x[k] - self.mean[group]) * self.rstd[group];
        match what {
            XHat::Right | XHat::Normalized => right(),
            XHat::Uncentred => probe.x[k] * self.rstd[group],
            XHat::MeanAdded => (probe.x[k] + self.mean[group]) * self.rstd[group],
            XHat::X => probe.x[k],
            XHat::Y => probe.gamma_at(k) * right() + probe.beta_at(k),
            XHat::One => 1.0,
        }
    }

    /// The rstd of element `k`.
    fn rstd(&self, k: usize) -> f64 {
        self.rstd[self.groups.of[k]]
    }
}

/// Mean and mean square about it of each group.
type Moments = Rc<(Vec<f64>, Vec<f64>)>;

/// The sums that recipes for one probe have in common: hundreds of recipes differ in a few of
/// them, and each is taken once.
pub struct Shared<'a> {
    pub probe: &'a Probe,
    moments: Known<(usize, bool), Moments>,
    statistics: Known<Taken, Rc<Statistics<'a>>>,
    means: Known<Averaged, Rc<Vec<f64>>>,
    members: OnceCell<Rc<Vec<Vec<usize>>>>,
}

impl<'a> Shared<'a> {
    pub fn new(probe: &'a Probe) -> Self {
        Self {
            probe,
            moments: RefCell::default(),
            statistics: RefCell::default(),
            means: RefCell::default(),
            members: OnceCell::new(),
        }
    }

    fn moments(&self, grouping: usize, centred: bool) -> Moments {
        let take = || {
            let (probe, groups) = (self.probe, self.probe.grouping(grouping));
            let mean = match centred {
                true => groups.means_of(|k| probe.x[k]),
                false => vec![0.0; groups.count],
            };
            let var = groups.means_of(|k| {
                let off = probe.x[k] - mean[groups.of[k]];
                off * off
            });
            Rc::new((mean, var))
        };
        known(&self.moments, (grouping, centred), take)
    }

    fn statistics(&self, taken: Taken) -> Rc<Statistics<'a>> {
        let take = || {
            let groups = self.probe.grouping(taken.grouping);
            let centred = self.probe.kind.is_centred() != taken.flip_centre;
            let (mean, var) = &*self.moments(taken.grouping, centred);
            let m = groups.size() as f64;
            let bessel = if taken.bessel { m / (m - 1.0) } else { 1.0 };
            let eps = self.probe.eps;
            let rstd = |var: &f64| {
                let var = var * bessel;
                match taken.eps {
                    _ if taken.no_root => 1.0 / (var + eps),
                    Eps::Inside => 1.0 / (var + eps).sqrt(),
                    Eps::LeftOut => 1.0 / var.sqrt(),
                    Eps::OutsideRoot => 1.0 / (var.sqrt() + eps),
                }
            };
            Rc::new(Statistics {
                probe: self.probe,
                groups,
                mean: mean.clone(),
                rstd: var.iter().map(rstd).collect(),
            })
        };
        known(&self.statistics, taken, take)
    }

    /// One mean for each group of a grouping.
    fn means(&self, of: Averaged) -> Rc<Vec<f64>> {
        let take = || {
            let probe = self.probe;
            let index = gamma_index(probe, of.gamma_by);
            let dy = |k: usize| if of.dy_ones { 1.0 } else { probe.dy[k] };
            let g = |k: usize| power(probe.gamma[index.of[k]], of.power) * dy(k);
            let groups = probe.grouping(of.grouping);
            Rc::new(match of.times {
                None => groups.means_of(g),
                Some((what, taken)) => {
                    let s = self.statistics(taken);
                    groups.means_of(|k| g(k) * s.x_hat(what, k))
                }
            })
        };
        known(&self.means, of, take)
    }

    /// The elements of each parameter.
    fn members(&self) -> Rc<Vec<Vec<usize>>> {
        let members = || Rc::new(self.probe.params.members());
        self.members.get_or_init(members).clone()
    }
}

/// What is known, by its key: some dozens of each, which are found faster than hashed.
type Known<K, V> = RefCell<Vec<(K, V)>>;

/// What is known under this key, or else is taken now.
fn known<K: Eq, V: Clone>(all: &Known<K, V>, key: K, take: impl FnOnce() -> V) -> V {
    if let Some((_, found)) = all.borrow().iter().rfind(|(other, _)| *other == key) {
        return found.clone();
    }
    let taken = take();
    all.borrow_mut().push((key, taken.clone()));
    taken
}

#[inline(always)]
fn power(base: f64, exponent: i32) -> f64 {
    match exponent {
        0 => 1.0,
        1 => base,
        2 => base * base,
        -1 => 1.0 / base,
        _ => base.powi(exponent),
    }
}

fn gamma_index(probe: &Probe, by: usize) -> &Groups {
    match by {
        0 => &probe.params,
        other => probe.grouping(other),
    }
}

/// Elementwise product.
pub fn times(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}

impl Recipe {
    fn taken(&self) -> Taken {
        Taken {
            grouping: self.statistics,
            eps: self.eps,
            bessel: self.bessel,
            no_root: self.no_root,
            flip_centre: self.flip_centre,
        }
    }

    /// Mean and rstd.
    pub fn statistics<'a>(&self, shared: &Shared<'a>) -> Rc<Statistics<'a>> {
        shared.statistics(self.taken())
    }

    /// The two terms of element `k` of y: the scaled `x_hat`, and the shift.
    pub fn y<'a>(&self, shared: &Shared<'a>) -> impl Fn(usize) -> [f64; 2] + use<'a> {
        let probe = shared.probe;
        let s = self.statistics(shared);
        let index = gamma_index(probe, self.gamma_by);
        let (scale, shift) = match self.swapped {
            false => (&probe.gamma, &probe.beta),
            true => (&probe.beta, &probe.gamma),
        };
        let (gamma_power, rstd_power) = (self.gamma[DIRECT], self.rstd[DIRECT]);
        let (what, beta_scaled) = (self.x_hat[0], self.beta_scaled);
        move |k| {
            let gamma = power(scale[index.of[k]], gamma_power);
            let beta_scale = if beta_scaled { gamma } else { 1.0 };
            [
                gamma * s.x_hat(what, k) * power(s.rstd(k), rstd_power),
                beta_scale * shift[index.of[k]],
            ]
        }
    }

    /// dgamma or dbeta of parameter `p`: a sum of `dy`, times `what` unless the recipe puts
    /// another thing in its place.
    pub fn sums<'a>(&self, shared: &Shared<'a>, what: XHat) -> Box<dyn Fn(usize) -> f64 + 'a> {
        let probe = shared.probe;
        let s = self.statistics(shared);
        let what = if self.x_hat[0] == XHat::Right {
            what
        } else {
            self.x_hat[0]
        };
        let (gamma_power, rstd_power) = (self.gamma[DIRECT] - 1, self.rstd[DIRECT]);
        let dy_ones = self.dy_ones;
        let term = move |k: usize| {
            let dy = if dy_ones { 1.0 } else { probe.dy[k] };
            let gamma = power(probe.gamma_at(k), gamma_power);
            dy * s.x_hat(what, k) * gamma * power(s.rstd(k), rstd_power)
        };
        let Some(summed) = self.summed else {
            let members = shared.members();
            return Box::new(move |p| members[p].iter().map(|&k| term(k)).fold(0.0, |a, b| a + b));
        };
        let sums = probe.grouping(summed).sums_of(term);
        // One sum over everything is the same for every parameter.
        Box::new(move |p| match sums[..] {
            [one] => one,
            ref several => several[p],
        })
    }

    /// The three terms of element `k` of dx.
    pub fn dx<'a>(&self, shared: &Shared<'a>) -> impl Fn(usize) -> [f64; 3] + use<'a> {
        let probe = shared.probe;
        let recipe = self.clone();
        let s = self.statistics(shared);
        let index = gamma_index(probe, self.gamma_by);
        let [outer, inner] = self.x_hat;
        // Gamma stands before a mean or after it, never in both places.
        let outside = self.gamma_outside;
        let mean = |path: usize, times: Option<XHat>| {
            let means = shared.means(Averaged {
                grouping: self.backward[path - MEAN],
                gamma_by: self.gamma_by,
                power: if outside[path - MEAN] {
                    0
                } else {
                    self.gamma[path]
                },
                dy_ones: self.dy_ones,
                times: times.map(|what| (what, self.taken())),
            });
            let of = &probe.grouping(self.backward[path - MEAN]).of;
            move |k: usize| means[of[k]]
        };
        let through_mean = mean(MEAN, self.weighted_mean.then_some(XHat::Right));
        let through_var = mean(VARIANCE, Some(inner));
        move |k| {
            let (own, own_rstd) = (probe.gamma[index.of[k]], s.rstd(k));
            let dy = if recipe.dy_ones { 1.0 } else { probe.dy[k] };
            let gamma = |path: usize| power(own, recipe.gamma[path]);
            let after = |path: usize| {
                let gamma = if outside[path - MEAN] {
                    gamma(path)
                } else {
                    1.0
                };
                gamma * recipe.rescaled
            };
            let again = if recipe.gamma_again { own } else { 1.0 };
            let rstd = |path: usize| power(own_rstd, 1 + recipe.rstd[path]) * again;
            [
                rstd(DIRECT) * gamma(DIRECT) * dy,
                -rstd(MEAN) * after(MEAN) * through_mean(k),
                -rstd(VARIANCE) * after(VARIANCE) * s.x_hat(outer, k) * through_var(k),
            ]
        }
    }
}

/// The right values: those of the recipe in which nothing is changed.
impl Probe {
    fn each(&self, of: impl Fn(usize) -> f64) -> Vec<f64> {
        (0..self.x.len()).map(of).collect()
    }

    /// The right output, `gamma * x_hat + beta`, in the shape of `x`.
    pub fn y(&self) -> Vec<f64> {
        let s = Recipe::default().statistics(&Shared::new(self));
        self.each(|k| self.gamma_at(k) * s.x_hat(XHat::Right, k) + self.beta_at(k))
    }

    /// The normalized input, in the shape of `x`.
    pub fn x_hat(&self) -> Vec<f64> {
        let s = Recipe::default().statistics(&Shared::new(self));
        self.each(|k| s.x_hat(XHat::Right, k))
    }

    /// `1 / sqrt(var + eps)` of the group of each element, in the shape of `x`.
    pub fn rstd(&self) -> Vec<f64> {
        let s = Recipe::default().statistics(&Shared::new(self));
        self.each(|k| s.rstd(k))
    }

    /// The mean that is subtracted, 0 in RMS Norm, and `1 / sqrt(var + eps)`, of each group.
    pub fn statistics(&self) -> (Vec<f64>, Vec<f64>) {
        let s = Recipe::default().statistics(&Shared::new(self));
        (s.mean.clone(), s.rstd.clone())
    }

    /// The right gradient with respect to `x`.
    pub fn dx(&self) -> Vec<f64> {
        let terms = Recipe::default().dx(&Shared::new(self));
        // RMS Norm subtracts no mean, so nothing comes back through one.
        let through_mean = if self.kind.is_centred() { 1.0 } else { 0.0 };
        self.each(|k| {
            let [direct, mean, variance] = terms(k);
            direct + through_mean * mean + variance
        })
    }

    /// The right gradient with respect to gamma.
    pub fn dgamma(&self) -> Vec<f64> {
        let s = Recipe::default().statistics(&Shared::new(self));
        self.params
            .sums_of(|k| self.dy[k] * s.x_hat(XHat::Right, k))
    }

    /// The right gradient with respect to beta.
    pub fn dbeta(&self) -> Vec<f64> {
        self.params.sums(&self.dy)
    }
}
