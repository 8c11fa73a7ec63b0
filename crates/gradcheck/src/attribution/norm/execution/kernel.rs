//! The right formulas, run on what a program may have confused.
//!
//! A run is evaluated element by element, and a group's statistics are computed when an element
//! asks for them: most hypotheses are refuted by their first.

use super::scene::Scene;
use crate::attribution::norm::probe::{Probe, Target};
use std::cell::Cell;
use std::rc::Rc;

/// What is read for each element of `x`.
pub(super) type Read<'a> = Rc<dyn Fn(usize) -> f64 + 'a>;
/// Two numbers that are read for each.
pub(super) type Pair<'a> = Rc<dyn Fn(usize) -> [f64; 2] + 'a>;

/// The right statistics of each group.
pub(super) struct Statistics {
    /// The mean that is subtracted: 0 for RMS Norm.
    pub mean: Vec<f64>,
    /// The variance about it.
    pub var: Vec<f64>,
    /// The means of the backward, of `g` and of `g * x_hat`. RMS Norm, which subtracts no mean,
    /// has zeros for the first.
    pub means: Vec<[f64; 2]>,
    eps: f64,
}

impl Statistics {
    pub fn of(probe: &Probe, groups: &[Vec<usize>]) -> Self {
        let size = probe.groups.size() as f64;
        let centred = probe.kind.is_centred();
        let share = |group: &Vec<usize>, f: &dyn Fn(usize) -> f64| -> f64 {
            group.iter().map(|&k| f(k)).sum::<f64>() / size
        };
        let (mut mean, mut var, mut means) = (Vec::new(), Vec::new(), Vec::new());
        for group in groups {
            let mu = if centred {
                share(group, &|k| probe.x[k])
            } else {
                0.0
            };
            let variance = share(group, &|k| (probe.x[k] - mu).powi(2));
            let rstd = 1.0 / (variance + probe.eps).sqrt();
            let g = |k: usize| probe.gamma_at(k) * probe.dy[k];
            let a = if centred { share(group, &g) } else { 0.0 };
            let b = share(group, &|k| g(k) * (probe.x[k] - mu) * rstd);
            mean.push(mu);
            var.push(variance);
            means.push([a, b]);
        }
        let eps = probe.eps;
        Self {
            mean,
            var,
            means,
            eps,
        }
    }

    pub fn rstd(&self, group: usize) -> f64 {
        1.0 / (self.var[group] + self.eps).sqrt()
    }

    /// Mean and rstd.
    pub fn pair(&self, group: usize) -> [f64; 2] {
        [self.mean[group], self.rstd(group)]
    }
}

/// What a run reads, and by what it normalizes.
#[derive(Clone)]
pub(super) struct Kernel<'a> {
    pub x: Read<'a>,
    pub dy: Read<'a>,
    pub gamma: Read<'a>,
    pub beta: Read<'a>,
    /// Mean and rstd.
    pub statistics: Pair<'a>,
    /// The means of the backward, if they are not those of what is read.
    pub means: Option<Pair<'a>>,
}

impl<'a> Kernel<'a> {
    /// Without any fault.
    pub fn right(scene: &'a Scene<'_>) -> Self {
        let Probe {
            x, dy, gamma, beta, ..
        } = scene.probe;
        let (groups, params) = (&scene.probe.groups.of, &scene.probe.params.of);
        Self {
            x: Rc::new(|k| x[k]),
            dy: Rc::new(|k| dy[k]),
            gamma: Rc::new(|k| gamma[params[k]]),
            beta: Rc::new(|k| beta[params[k]]),
            statistics: Rc::new(|k| scene.own.pair(groups[k])),
            means: Some(Rc::new(|k| scene.own.means[groups[k]])),
        }
    }

    /// The gradient with respect to `x_hat`.
    pub fn g(&self, k: usize) -> f64 {
        (self.gamma)(k) * (self.dy)(k)
    }

    pub fn x_hat(&self, k: usize) -> f64 {
        let [mean, rstd] = (self.statistics)(k);
        ((self.x)(k) - mean) * rstd
    }

    /// With other statistics, to which the means of the backward belong.
    pub fn with_statistics(self, statistics: Pair<'a>) -> Self {
        Self {
            statistics,
            means: None,
            ..self
        }
    }

    pub fn with_means(self, means: Pair<'a>) -> Self {
        Self {
            means: Some(means),
            ..self
        }
    }

    pub fn with_x(self, x: Read<'a>) -> Self {
        Self {
            x,
            means: None,
            ..self
        }
    }

    pub fn with_dy(self, dy: Read<'a>) -> Self {
        Self {
            dy,
            means: None,
            ..self
        }
    }

    pub fn with_parameters(self, gamma: Read<'a>, beta: Read<'a>) -> Self {
        Self {
            gamma,
            beta,
            means: None,
            ..self
        }
    }
}

impl Scene<'_> {
    /// Two numbers for each group, computed when they are asked for.
    pub fn each_group<'b>(&'b self, of: impl Fn(usize) -> [f64; 2] + 'b) -> Pair<'b> {
        let known = vec![Cell::new(None); self.groups.len()];
        Rc::new(move |k| {
            let group = self.probe.groups.of[k];
            known[group].get().unwrap_or_else(|| {
                let pair = of(group);
                known[group].set(Some(pair));
                pair
            })
        })
    }

    /// The mean and rstd that a sum over a group makes; `over` gives it the sum of its terms.
    pub fn statistics_by<'b>(
        &'b self,
        x: Read<'b>,
        over: impl Fn(usize, &dyn Fn(usize) -> f64) -> f64 + 'b,
    ) -> Pair<'b> {
        let centred = self.probe.kind.is_centred();
        self.each_group(move |group| {
            let mean = if centred { over(group, &*x) } else { 0.0 };
            let var = over(group, &|k| (x(k) - mean).powi(2));
            [mean, 1.0 / (var + self.probe.eps).sqrt()]
        })
    }

    /// The same for the means of the backward.
    pub fn means_by<'b>(
        &'b self,
        kernel: &Kernel<'b>,
        over: impl Fn(usize, &dyn Fn(usize) -> f64) -> f64 + 'b,
    ) -> Pair<'b> {
        let (kernel, centred) = (kernel.clone(), self.probe.kind.is_centred());
        self.each_group(move |group| {
            let a = if centred {
                over(group, &|k| kernel.g(k))
            } else {
                0.0
            };
            [a, over(group, &|k| kernel.g(k) * kernel.x_hat(k))]
        })
    }

    /// The mean over a group.
    pub fn mean(&self, group: usize, term: &dyn Fn(usize) -> f64) -> f64 {
        let members = &self.groups[group];
        members.iter().map(|&k| term(k)).sum::<f64>() / members.len() as f64
    }

    /// The statistics of what is read.
    pub fn statistics_of<'b>(&'b self, x: &Read<'b>) -> Pair<'b> {
        self.statistics_by(x.clone(), |group, term| self.mean(group, term))
    }

    /// What the right formula makes of these.
    pub fn run<'b>(&'b self, kernel: &Kernel<'b>) -> Box<dyn Fn(usize) -> f64 + 'b> {
        let kernel = kernel.clone();
        match self.target {
            Target::Y => Box::new(move |k| (kernel.gamma)(k) * kernel.x_hat(k) + (kernel.beta)(k)),
            Target::Dx => {
                let means = kernel
                    .means
                    .clone()
                    .unwrap_or_else(|| self.means_by(&kernel, |g, term| self.mean(g, term)));
                Box::new(move |k| {
                    let ([_, rstd], [a, b]) = ((kernel.statistics)(k), means(k));
                    rstd * (kernel.g(k) - a - kernel.x_hat(k) * b)
                })
            }
            Target::Dgamma => Box::new(move |p| {
                let term = |&k: &usize| (kernel.dy)(k) * kernel.x_hat(k);
                self.params[p].iter().map(term).sum()
            }),
            Target::Dbeta => {
                Box::new(move |p| self.params[p].iter().map(|&k| (kernel.dy)(k)).sum())
            }
        }
    }

    /// The same, all of it.
    pub fn all(&self, kernel: &Kernel<'_>) -> Vec<f64> {
        (0..self.candidate.len()).map(&*self.run(kernel)).collect()
    }
}
