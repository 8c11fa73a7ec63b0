//! Checks the exercise `bn_forward`.

use crate::Report;
use crate::batch::Batch;
use crate::compare::largest;
use crate::engine::{Axis, Case, Checker, Order, Part, conclude, field};
use crate::harness;
use crate::norm_forward::{Candidate, far_from_zero, part, run};
use gradcheck::attribution::norm::{Kind, explain_running_mean, explain_running_var};
use std::process::ExitCode;

pub use crate::norm_forward::Forward;

const NAME: &str = "bn_forward";

/// What Batch Norm keeps for inference, one value per channel.
#[derive(Clone, Debug)]
pub struct Running {
    /// `running_mean`, `[C]`.
    pub mean: Vec<f64>,
    /// `running_var`, `[C]`.
    pub var: Vec<f64>,
}

/// `(running, batch, n, momentum)`, with `running` moved towards `batch`.
pub type Update<'a> = &'a dyn Fn(&mut Running, &Forward, usize, f64);

/// Checks both functions and prints the report.
pub fn check(
    forward: impl Fn(&[f64], usize, usize, &[f64], &[f64], f64) -> Forward,
    update: impl Fn(&mut Running, &Forward, usize, f64),
) -> ExitCode {
    harness::run(NAME, || report(&forward, &update, 0))
}

/// The report on both functions, from random batches of this seed.
#[must_use]
pub fn report(forward: Candidate<'_>, update: Update<'_>, seed: u64) -> Report {
    let run = run(forward);
    let step = |s: &Step, running: &mut Running| {
        update(running, &s.forward, s.batch.rows(), s.momentum);
    };
    let parts = vec![
        part(Kind::Batch).judge(&run, seed),
        far_from_zero(Kind::Batch).judge(&run, seed),
        running().judge(&step, seed),
    ];
    conclude(NAME, "forward and running statistics are right", parts)
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Parts(vec![
        Box::new(part(Kind::Batch)),
        Box::new(far_from_zero(Kind::Batch)),
        Box::new(running()),
    ])
}

/// One step of the running statistics.
struct Step {
    batch: Batch,
    forward: Forward,
    before: Running,
    momentum: f64,
}

fn steps(seed: u64) -> Vec<Step> {
    let numbered = Batch::all(Kind::Batch, seed).into_iter().enumerate();
    let step = |(number, batch): (usize, Batch)| {
        let forward = Forward {
            mean: batch.means(),
            var: batch.variances(),
            x_hat: batch.x_hat.clone(),
            y: batch.probe.y(),
        };
        // Values of the size of the batch's own, so that neither hides the other.
        let widest = largest(&forward.var);
        let vars = forward.var.iter().rev();
        Step {
            before: Running {
                mean: forward.mean.iter().map(|m| 0.7 - 1.3 * m).collect(),
                var: vars.map(|v| 0.4 * v + 0.3 * widest).collect(),
            },
            momentum: [0.1, 0.3][number % 2],
            forward,
            batch,
        }
    };
    numbered.map(step).collect()
}

impl Step {
    /// The right step, with the variance times what `correct` makes of N.
    fn after(&self, target: &str, correct: fn(f64) -> f64) -> Vec<f64> {
        match target {
            "running_mean" => self.towards(&self.before.mean, &self.forward.mean, |_| 1.0),
            _ => self.towards(&self.before.var, &self.forward.var, correct),
        }
    }

    /// A step from `old` towards `new` times what `correct` makes of N.
    fn towards(&self, old: &[f64], new: &[f64], correct: fn(f64) -> f64) -> Vec<f64> {
        let factor = correct(self.batch.rows() as f64);
        let step = |(old, new)| (1.0 - self.momentum) * old + self.momentum * new * factor;
        old.iter().zip(new).map(step).collect()
    }
}

impl Case for Step {
    fn title(&self) -> String {
        format!("{} with momentum {}", self.batch.title(), self.momentum)
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        self.batch.sizes()
    }
}

fn running() -> Part<Step, Running> {
    const CHANNELS: &[Axis] = &[Axis("C", "channel")];
    const MEAN_FOR_VAR: &str = "the mean of the batch stands where its variance belongs";
    let blank = |s: &Step| s.before.clone();
    Part::new("update_running", Order::Together, steps, blank)
        .target("running_mean", "sec:momentum", CHANNELS, |s| s.after("running_mean", |_| 1.0), field!(mean))
        .target("running_var", "sec:momentum", CHANNELS, |s| s.after("running_var", |n| n / (n - 1.0)), field!(var))
        .mistake(&["running_mean"], "unchanged", "it is as before: update_running assigns to running.mean and running.var", |s, _| s.before.mean.clone())
        .mistake(&["running_var"], "unchanged", "it is as before: update_running assigns to running.mean and running.var", |s, _| s.before.var.clone())
        .mistake(&["running_mean"], "from-the-variance", "the variance of the batch stands where its mean belongs", |s, _| s.towards(&s.before.mean, &s.forward.var, |_| 1.0))
        .mistake(&["running_var"], "from-the-mean", MEAN_FOR_VAR, |s, _| s.towards(&s.before.var, &s.forward.mean, |_| 1.0))
        .mistake(&["running_var"], "from-the-mean", MEAN_FOR_VAR, |s, _| s.towards(&s.before.var, &s.forward.mean, |n| n / (n - 1.0)))
        .mistake_in("sec:unbiased", &["running_var"], "bessel-inverted", "the variance of the batch is multiplied by (n - 1)/n, and must be multiplied by n/(n - 1): it is divided by n, and the running one by n - 1", |s, target| s.after(target, |n| (n - 1.0) / n))
        .attributed_by(|s, found, target| {
            let probe = &s.batch.probe;
            Some(match target {
                "running_mean" => explain_running_mean(probe, &s.before.mean, s.momentum, found),
                _ => explain_running_var(probe, &s.before.var, s.momentum, found),
            })
        })
        .noted_by(|s, _, _| {
            Some(format!(
                "PyTorch's convention: running = (1 - momentum) * running + momentum * batch; here momentum is {}, n is {}.",
                s.momentum,
                s.batch.rows()
            ))
        })
}

#[cfg(test)]
pub(crate) mod tests;
