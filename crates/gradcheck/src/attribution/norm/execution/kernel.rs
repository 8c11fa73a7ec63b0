//! What a program reads, and by which statistics it normalizes.

use crate::attribution::norm::probe::Probe;
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
    rstd: Vec<f64>,
}

impl Statistics {
    pub fn of(probe: &Probe, groups: &[Vec<usize>]) -> Self {
        let size = probe.groups.size() as f64;
        let centred = probe.kind.is_centred();
        let share = |group: &Vec<usize>, f: &dyn Fn(usize) -> f64| -> f64 {
            group.iter().map(|&k| f(k)).sum::<f64>() / size
        };
        let (mut mean, mut var, mut means) = (Vec::new(), Vec::new(), Vec::new());
        let mut all_rstd = Vec::new();
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
            all_rstd.push(rstd);
        }
        Self {
            mean,
            var,
            means,
            rstd: all_rstd,
        }
    }

    pub fn rstd(&self, group: usize) -> f64 {
        self.rstd[group]
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
