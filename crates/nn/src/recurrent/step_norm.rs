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

use crate::module::{Mode, Module, Visitor};

const EPS: f64 = 1e-5;
const MOMENTUM: Option<f64> = Some(0.1);

/// Running statistics for each step, and the scale that the steps share.
#[derive(Debug)]
pub(super) struct StepBatchNorm<T: Real> {
    /// `[C]`.
    gamma: Param<T>,
    steps: Vec<StepStats<T>>,
}

#[derive(Debug)]
struct StepStats<T: Real>(RunningStats<T>);

impl<T: Real> StepBatchNorm<T> {
    pub(super) fn new(channels: usize, steps: usize) -> Self {
        StepBatchNorm {
            gamma: Param::new("gamma", Tensor::full([channels], T::from_f64(0.1))),
            steps: (0..steps)
                .map(|_| StepStats(RunningStats::new(channels)))
                .collect(),
        }
    }

    // ANCHOR: step_norm
    /// Normalizes `x`, `[n, C]`, the rows of the sequences that are not over at `step`.
    ///
    /// While training, a step that only one sequence of several has reached has no
    /// statistics: it is normalized by the running ones, as in evaluation. A batch of one
    /// sequence, `alone`, is refused, as Batch Norm refuses it.
    #[track_caller]
    pub(super) fn forward<'t>(
        &mut self,
        x: &Var<'t, T>,
        beta: &Var<'t, T>,
        step: usize,
        mode: Mode,
        alone: bool,
    ) -> Var<'t, T> {
        let gamma = x.tape().param(&self.gamma);
        let rows = x.shape()[0];
        let last = self.steps.len() - 1;
        if mode == Mode::Train && (rows > 1 || alone) {
            let (y, moments) = batch_norm(x, &gamma, beta, EPS);
            self.steps[step.min(last)]
                .0
                .update(&moments, rows, MOMENTUM);
            return y;
        }
        // Training may not have reached this step yet: the nearest before it must do.
        let known = self.steps[..=step.min(last)].iter();
        let known = known.rev().find(|stats| stats.0.num_batches_tracked > 0);
        let stats = known.unwrap_or(&self.steps[0]);
        frozen_batch_norm(x, &gamma, beta, stats.0.moments(EPS))
    }
    // ANCHOR_END: step_norm
}

impl<T: Real> Module<T> for StepBatchNorm<T> {
    fn visit(&mut self, v: &mut Visitor<'_, T>) {
        v.param("gamma", &mut self.gamma);
        for (t, stats) in self.steps.iter_mut().enumerate() {
            v.child(format_args!("steps.{t}"), stats);
        }
    }
}

impl<T: Real> Module<T> for StepStats<T> {
    fn visit(&mut self, v: &mut Visitor<'_, T>) {
        v.buffer("running_mean", &mut self.0.mean);
        v.buffer("running_var", &mut self.0.var);
        v.count("num_batches_tracked", &mut self.0.num_batches_tracked);
    }
}
