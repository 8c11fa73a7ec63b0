//! The right formulas, on values that a program may have confused.

use crate::attribution::norm::probe::{Probe, Target};
use crate::attribution::norm::recipe::Recipe;

/// What a normalization and its backward read, each spread over the elements of `x`.
#[derive(Clone)]
pub(super) struct Values {
    pub x: Vec<f64>,
    pub dy: Vec<f64>,
    pub gamma: Vec<f64>,
    pub beta: Vec<f64>,
    /// The mean that is subtracted: 0 for RMS Norm.
    pub mean: Vec<f64>,
    pub rstd: Vec<f64>,
}

impl Values {
    pub fn of(probe: &Probe) -> Self {
        let statistics = Recipe::default().statistics(probe);
        let spread = |f: &dyn Fn(usize) -> f64| (0..probe.x.len()).map(f).collect();
        Self {
            x: probe.x.clone(),
            dy: probe.dy.clone(),
            gamma: spread(&|k| probe.gamma_at(k)),
            beta: spread(&|k| probe.beta_at(k)),
            mean: statistics.mean,
            rstd: statistics.rstd,
        }
    }

    /// The mean and rstd of these `x`, as far as `counts` lets a value of a group into them:
    /// 1 for a value that is counted once, 0 for one that is left out. The sums are divided by
    /// the number of all values, or by that of those counted.
    pub fn with_statistics(&self, probe: &Probe, counts: &[f64], by_counted: bool) -> Self {
        let groups = &probe.groups;
        let share = |of: Vec<f64>| -> Vec<f64> {
            let sums = groups.sums(&of);
            let divisors = match by_counted {
                true => groups.sums(counts),
                false => vec![groups.size() as f64; groups.count],
            };
            let at = |&group: &usize| sums[group] / divisors[group];
            groups.of.iter().map(at).collect()
        };
        let counted = |values: &[f64]| values.iter().zip(counts).map(|(v, c)| v * c).collect();
        let mean: Vec<f64> = match probe.kind.is_centred() {
            true => share(counted(&self.x)),
            false => vec![0.0; self.x.len()],
        };
        let off = self.x.iter().zip(&mean).map(|(x, mean)| x - mean);
        let squares: Vec<f64> = off.map(|off| off * off).collect();
        let var = share(counted(&squares));
        let rstd = var.iter().map(|var| 1.0 / (var + probe.eps).sqrt());
        Self {
            rstd: rstd.collect(),
            mean,
            ..self.clone()
        }
    }

    pub fn x_hat(&self, k: usize) -> f64 {
        (self.x[k] - self.mean[k]) * self.rstd[k]
    }

    /// The gradient with respect to `x_hat`.
    pub fn g(&self, k: usize) -> f64 {
        self.gamma[k] * self.dy[k]
    }

    pub fn spread(&self, f: impl Fn(usize) -> f64) -> Vec<f64> {
        (0..self.x.len()).map(f).collect()
    }

    /// What is summed over each group in the backward: `g`, and `g * x_hat`. RMS Norm, which
    /// subtracts no mean, has zeros for the first.
    pub fn summed(&self, probe: &Probe) -> [Vec<f64>; 2] {
        let centred = f64::from(u8::from(probe.kind.is_centred()));
        [
            self.spread(|k| centred * self.g(k)),
            self.spread(|k| self.g(k) * self.x_hat(k)),
        ]
    }

    /// dx, from the means over the groups.
    pub fn dx(&self, means: [&[f64]; 2]) -> Vec<f64> {
        let [mean, weighted] = means;
        self.spread(|k| self.rstd[k] * (self.g(k) - mean[k] - self.x_hat(k) * weighted[k]))
    }

    /// What is summed into a parameter's gradient.
    pub fn terms(&self, target: Target) -> Vec<f64> {
        match target {
            Target::Dgamma => self.spread(|k| self.dy[k] * self.x_hat(k)),
            _ => self.dy.clone(),
        }
    }

    /// What the right formula makes of these.
    pub fn target(&self, probe: &Probe, target: Target) -> Vec<f64> {
        match target {
            Target::Y => self.spread(|k| self.gamma[k] * self.x_hat(k) + self.beta[k]),
            Target::Dx => {
                let [mean, weighted] = self.summed(probe).map(|of| probe.groups.means(&of));
                self.dx([&mean, &weighted])
            }
            Target::Dgamma | Target::Dbeta => probe.params.sums(&self.terms(target)),
        }
    }
}
