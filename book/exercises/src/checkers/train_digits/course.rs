//! What a training is to be, and what was seen of it.

use nn::data::Set;

/// What is trained, on what, and for how long.
pub(super) struct Plan {
    pub(super) set: Set,
    pub(super) hidden: usize,
    pub(super) batch: usize,
    pub(super) steps: usize,
    /// The share of test digits that must be right in the end.
    pub(super) wanted: f64,
}

impl Plan {
    /// The one for readers.
    pub(super) const FULL: Self = Self {
        set: Set::Large,
        hidden: 32,
        batch: 64,
        steps: 1200,
        wanted: 0.92,
    };
}

/// How it stands after a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) step: usize,
    /// The mean over the last steps, of the batches trained on.
    pub(super) loss: f64,
    /// The shares of digits that are right in evaluation.
    pub(super) train: f64,
    pub(super) test: f64,
}

/// All that was seen of a training.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    /// Step and loss, a point for several steps.
    pub(super) losses: Vec<(usize, f64)>,
    pub(super) seen: Vec<Seen>,
}

impl Course {
    pub(super) fn first(&self) -> f64 {
        self.losses.first().map_or(f64::NAN, |first| first.1)
    }

    pub(super) fn last(&self) -> Seen {
        *self.seen.last().expect("the start is looked at")
    }

    /// A loss as it is told; one that has run away is told by its size.
    pub(super) fn short(loss: f64) -> String {
        if loss.abs() < 1e4 {
            format!("{loss:.3}")
        } else {
            format!("{loss:.0e}")
        }
    }

    /// What was seen, in a sentence.
    pub(super) fn told(&self, plan: &Plan) -> String {
        let Seen {
            step,
            loss,
            train,
            test,
        } = self.last();
        let [train, test, wanted] = [train, test, plan.wanted].map(|share| 100.0 * share);
        format!(
            "This is how it shows: after {step} steps the loss in training is {}; in evaluation {train:.1} % of the training digits are right and {test:.1} % of the test digits, of which {wanted:.0} % are asked for.",
            Self::short(loss)
        )
    }
}
