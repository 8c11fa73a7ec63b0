//! Learning-rate schedules: what the base rate is multiplied with, step by step.

use std::f64::consts::PI;

/// How the learning rate changes over a run.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Schedule {
    /// It does not.
    Constant,
    /// It rises linearly over `warmup` steps, and stays there.
    Warmup {
        /// Steps of linear rise.
        warmup: usize,
    },
    /// It is multiplied with `factor` after every `every` steps.
    Step {
        /// Steps between two changes.
        every: usize,
        /// What each change multiplies with.
        factor: f64,
    },
    /// It rises linearly over `warmup` steps, then falls along half a cosine to 0 at step
    /// `total` (Loshchilov and Hutter, "SGDR", 2017).
    Cosine {
        /// Steps of linear rise.
        warmup: usize,
        /// Steps of the whole run.
        total: usize,
    },
    /// It rises linearly over `warmup` steps, then falls as `√(warmup/step)` (Vaswani et
    /// al., "Attention is all you need", 2017), and is 1 at the top.
    InverseRoot {
        /// Steps of linear rise.
        warmup: usize,
    },
}

impl Schedule {
    /// The factor for step `step`, counted from 0.
    pub fn factor(self, step: usize) -> f64 {
        let rise = |warmup: usize| ((step + 1) as f64 / warmup.max(1) as f64).min(1.0);
        match self {
            Schedule::Constant => 1.0,
            Schedule::Warmup { warmup } => rise(warmup),
            Schedule::Step { every, factor } => {
                factor.powi(i32::try_from(step / every.max(1)).unwrap_or(i32::MAX))
            }
            Schedule::Cosine { warmup, .. } if step < warmup => rise(warmup),
            Schedule::Cosine { warmup, total } => {
                let length = total.saturating_sub(warmup).max(1) as f64;
                let done = ((step - warmup) as f64 / length).min(1.0);
                0.5 * (1.0 + (PI * done).cos())
            }
            Schedule::InverseRoot { warmup } => {
                let warmup = warmup.max(1);
                rise(warmup).min((warmup as f64 / (step + 1) as f64).sqrt())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(schedule: Schedule, steps: &[usize]) -> Vec<f64> {
        steps.iter().map(|&s| schedule.factor(s)).collect()
    }

    #[test]
    fn each_schedule_at_its_corners() {
        assert_eq!(over(Schedule::Constant, &[0, 1000]), [1.0, 1.0]);
        let step = Schedule::Step {
            every: 10,
            factor: 0.5,
        };
        assert_eq!(over(step, &[0, 9, 10, 29]), [1.0, 1.0, 0.5, 0.25]);
        let warmup = Schedule::Warmup { warmup: 4 };
        assert_eq!(
            over(warmup, &[0, 1, 3, 4, 1000]),
            [0.25, 0.5, 1.0, 1.0, 1.0]
        );
        let root = Schedule::InverseRoot { warmup: 4 };
        assert_eq!(over(root, &[0, 3, 15]), [0.25, 1.0, 0.5]);
        let cosine = Schedule::Cosine {
            warmup: 4,
            total: 14,
        };
        let got = over(cosine, &[0, 3, 4, 9, 14, 100]);
        for (got, expected) in got.iter().zip([0.25, 1.0, 1.0, 0.5, 0.0, 0.0]) {
            assert!((got - expected).abs() < 1e-15, "{got} is not {expected}");
        }
    }

    #[test]
    fn no_warmup_starts_at_the_top() {
        assert_eq!(
            Schedule::Cosine {
                warmup: 0,
                total: 10
            }
            .factor(0),
            1.0
        );
        assert_eq!(Schedule::InverseRoot { warmup: 0 }.factor(0), 1.0);
    }
}
