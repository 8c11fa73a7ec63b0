//! Checks the exercise `bn_forward`.

use crate::batch::{BATCH, Batch};
use crate::norm_forward::{far_from_zero, part, run};
use gradcheck::attribution::norm::{explain_running_mean, explain_running_var};
use judge::compare::largest;
use judge::{Axis, Mistake, Order, Part, case, exercise, field, slips};

pub use crate::norm_forward::Forward;

/// What Batch Norm keeps for inference, one value per channel.
#[derive(Clone, Debug)]
pub struct Running {
    /// `running_mean`, `[C]`.
    pub mean: Vec<f64>,
    /// `running_var`, `[C]`.
    pub var: Vec<f64>,
}

exercise! {
    check(
        forward: Fn(&[f64], usize, usize, &[f64], &[f64], f64) -> Forward,
        update: Fn(&mut Running, &Forward, usize, f64),
    ),
    right: "forward and running statistics are right",
    parts: [
        part(BATCH) => run(forward),
        far_from_zero(BATCH) => run(forward),
        running("update_running", [0.1, 0.3]) => |s, running| update(running, &s.forward, s.batch.rows(), s.momentum),
    ],
}

/// One step of the running statistics.
pub(crate) struct Step {
    pub(crate) batch: Batch,
    forward: Forward,
    before: Running,
    momentum: f64,
}

fn steps(seed: u64, momenta: [f64; 2]) -> Vec<Step> {
    let numbered = BATCH.batches(seed).into_iter().enumerate();
    let step = |(number, batch): (usize, Batch)| {
        let forward = Forward {
            mean: batch.means().into(),
            var: batch.variances().into(),
            x_hat: batch.probe.x_hat(),
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
            momentum: momenta[number % 2],
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

case!(
    Step,
    |s| format!("{} with momentum {}", s.batch.title(), s.momentum),
    sizes: ["N": s.batch.rows(), "C": s.batch.columns()],
);

/// The steps of `name`, with these momenta in turn.
pub(crate) fn running(name: &'static str, momenta: [f64; 2]) -> Part<Step, Running> {
    const CHANNELS: &[Axis] = &[Axis("C", "channel")];
    let [mean, var]: [fn(&Step) -> Vec<f64>; 2] = [
        |s| s.after("running_mean", |_| 1.0),
        |s| s.after("running_var", UNBIASED),
    ];
    let blank = |s: &Step| s.before.clone();
    let steps = move |seed| steps(seed, momenta);
    Part::over(name, Order::Together, steps, blank)
        .target("running_mean", "sec:momentum", CHANNELS, mean, field!(mean))
        .target("running_var", "sec:momentum", CHANNELS, var, field!(var))
        .mistakes(&["running_mean", "running_var"], BOTH)
        .mistakes(&["running_mean"], MEAN)
        .mistakes(&["running_var"], VAR)
        .mistakes_in("sec:unbiased", &["running_var"], INVERTED)
        .attributed_by(|s, found, target| {
            let probe = &s.batch.probe;
            Some(match target {
                "running_mean" => explain_running_mean(probe, &s.before.mean, s.momentum, found),
                _ => explain_running_var(probe, &s.before.var, s.momentum, found),
            })
        })
        .noted_by(|s, _, _| {
            let convention =
                "PyTorch's convention: running = (1 - momentum) * running + momentum * batch";
            let (momentum, n) = (s.momentum, s.batch.rows());
            Some(format!(
                "{convention}; here momentum is {momentum}, n is {n}."
            ))
        })
}

/// What the running variance multiplies that of the batch by, from N.
const UNBIASED: fn(f64) -> f64 = |n| n / (n - 1.0);

const BOTH: &[Mistake<Step>] = slips![
    "unchanged: it is as before: nothing is assigned to running.mean and running.var" =>
        |s, target| match target {
            "running_mean" => s.before.mean.clone(),
            _ => s.before.var.clone(),
        },
];

const MEAN: &[Mistake<Step>] = slips![
    "from-the-variance: the variance of the batch stands where its mean belongs" =>
        |s, _| s.towards(&s.before.mean, &s.forward.var, |_| 1.0),
];

const VAR: &[Mistake<Step>] = slips![
    "from-the-mean: the mean of the batch stands where its variance belongs" =>
        |s, _| s.towards(&s.before.var, &s.forward.mean, |_| 1.0),
    "from-the-mean: the mean of the batch stands where its variance belongs" =>
        |s, _| s.towards(&s.before.var, &s.forward.mean, UNBIASED),
];

const INVERTED: &[Mistake<Step>] = slips![
    "bessel-inverted: the variance of the batch is multiplied by (n - 1)/n, and must be multiplied by n/(n - 1): it is divided by n, and the running one by n - 1" =>
        |s, target| s.after(target, |n| (n - 1.0) / n),
];

#[cfg(test)]
pub(crate) mod tests;
