//! Batch Norm inside a recurrent network, with statistics for each step of time
//! (Cooijmans et al., "Recurrent Batch Normalization", 2017; book, chapter 14).
//!
//! The first steps after the start differ from later ones, so each step up to a largest
//! one has running statistics of its own; the last set serves all steps from there on.
//! With one set, statistics are shared by all steps. Scale and shift are shared in any
//! case. The scale starts at 0.1: at 1 the tanh of the cell would saturate, and gradients
//! vanish (section 4 there).

use batchnorm::RunningStats;
use batchnorm::op::{batch_norm, frozen_batch_norm};
use tape::{Param, Real, Tensor, Var};

use crate::module::{Module, StatsId, Visitor};
use crate::pass::Pass;

const EPS: f64 = 1e-5;
const MOMENTUM: Option<f64> = Some(0.1);

/// Running statistics for each step, and the scale that the steps share.
#[derive(Debug)]
pub(super) struct StepBatchNorm<T: Real> {
    /// `[C]`.
    gamma: Param<T>,
    steps: Vec<RunningStats<T>>,
}

impl<T: Real> StepBatchNorm<T> {
    pub(super) fn new(channels: usize, steps: usize) -> Self {
        StepBatchNorm {
            gamma: Param::new("gamma", Tensor::full([channels], T::from_f64(0.1))),
            steps: vec![RunningStats::new(channels); steps],
        }
    }

    /// Normalizes `x`, `[n, C]`, the rows of the sequences that are not over at `step`.
    ///
    /// While training, a step that only one sequence of several has reached has no
    /// statistics: it is normalized by the running ones, as in evaluation. A batch of one
    /// sequence, `alone`, is refused, as Batch Norm refuses it.
    #[track_caller]
    pub(super) fn forward<'t>(
        &self,
        x: &Var<'t, T>,
        beta: &Var<'t, T>,
        step: usize,
        alone: bool,
        pass: &mut Pass<'_, T>,
    ) -> Var<'t, T> {
        let gamma = x.tape().param(&self.gamma);
        let rows = x.shape()[0];
        let step = step.min(self.steps.len() - 1);
        let momentum = pass.momentum(MOMENTUM);
        if (rows > 1 || alone)
            && let Some(running) = pass.running(self.id(step), &self.steps[step])
        {
            let (y, moments) = batch_norm(x, &gamma, beta, EPS);
            running.update(&moments, rows, momentum);
            return y;
        }
        // Training may not have reached this step yet: the nearest before it must do. The
        // steps before it in this very pass count.
        let latest = |t| pass.latest(self.id(t), &self.steps[t]);
        let mut known = (0..=step).rev().map(latest);
        let known = known.find(|stats| stats.num_batches_tracked > 0);
        let stats = known.unwrap_or(&self.steps[0]);
        frozen_batch_norm(x, &gamma, beta, stats.moments(EPS))
    }

    /// What the running statistics of a step are known by.
    fn id(&self, step: usize) -> StatsId {
        (self.gamma.id(), step)
    }
}

impl<T: Real> Module<T> for StepBatchNorm<T> {
    fn visit(&mut self, v: &mut Visitor<'_, T>) {
        v.param("gamma", &mut self.gamma);
        let id = self.gamma.id();
        for (t, stats) in self.steps.iter_mut().enumerate() {
            v.within(format_args!("steps.{t}"), |v| v.running((id, t), stats));
        }
    }
}
