//! The right formulas, run on what a program may have confused.
//!
//! A run is evaluated element by element, and a group's statistics are computed when an element
//! asks for them: most hypotheses are refuted by their first.

use super::kernel::{Kernel, Pair, Read};
use super::scene::Scene;
use crate::attribution::norm::probe::{Probe, Target};
use std::cell::Cell;
use std::rc::Rc;

impl Scene<'_> {
    /// Without any fault.
    pub fn kernel(&self) -> Kernel<'_> {
        let Probe {
            x, dy, gamma, beta, ..
        } = self.probe;
        let (groups, params) = (&self.probe.groups.of, &self.probe.params.of);
        Kernel {
            x: Rc::new(move |k| x[k]),
            dy: Rc::new(|k| dy[k]),
            gamma: Rc::new(|k| gamma[params[k]]),
            beta: Rc::new(|k| beta[params[k]]),
            statistics: Rc::new(|k| self.own.pair(groups[k])),
            means: Some(Rc::new(|k| self.own.means[groups[k]])),
        }
    }

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
