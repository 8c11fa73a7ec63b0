//! Checks the exercise `train_digits`: a tape and a Batch Norm of the reader's own train a network.
//!
//! The gradients are judged before anything is trained. What goes on between the steps, that is
//! the running statistics, the step itself and the evaluation, shows in the training: so these are
//! judged when it is over, and the verdict says what was seen.

mod course;
mod drawing;
mod network;
mod parts;
mod training;

use crate::{Line, Outcome, Report};
use course::{Course, Plan, Seen};
use judge::known::Known;
use judge::{Checker, conclude, harness};
use network::Own;
use std::process::ExitCode;

pub use crate::bn_forward::Running;
pub use crate::tensor_products::Tape;
pub use crate::tensor_tape::Tensor;
pub use network::{EPS, INERTIA, MOMENTUM, Network, RATE};

const NAME: &str = "train_digits";

/// Checks what the reader wrote, trains with it, and prints the report.
pub fn check(
    batch_norm: impl Fn(&mut Tape, [usize; 3], &mut Running) -> usize,
    loss: impl Fn(&mut Tape, usize, &[usize]) -> usize,
    network: impl Fn(&mut Tape, usize, [usize; 5], &mut Running) -> usize,
    step: impl Fn(&mut Network, &Tensor, &[usize]) -> f64,
    evaluate: impl Fn(&Network, &Tensor) -> Tensor,
) -> ExitCode {
    let own = Own {
        batch_norm: &batch_norm,
        loss: &loss,
        network: &network,
        step: &step,
        evaluate: &evaluate,
    };
    harness::run(NAME, || report(own, &Plan::FULL, 0))
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    let known = [training::DIVERGED, training::MISSED];
    let known = known.map(|(text, section)| Known::of(NAME, text, section));
    Checker::And(
        vec![
            Box::new(parts::backward()),
            Box::new(parts::losses()),
            Box::new(parts::networks()),
            Box::new(parts::running()),
            Box::new(parts::steps()),
            Box::new(parts::evaluations()),
        ],
        known.into(),
    )
}

/// The report on these functions, trained by this plan, with what is drawn from this seed.
fn report(own: Own<'_>, plan: &Plan, seed: u64) -> Report {
    let before = vec![
        parts::backward().judge(&parts::run_backward(own.batch_norm), seed),
        parts::losses().judge(&parts::run_loss(own.loss), seed),
        parts::networks().judge(&parts::run_network(own.network), seed),
    ];
    let gradients = conclude(NAME, "its gradients are right", before);
    if !gradients.passed() {
        return gradients;
    }
    let course = match harness::attempt(|| training::train(own, plan)) {
        Ok(course) => course,
        Err(thrown) => {
            let mut report = thrown.report(NAME);
            report.lines = gradients.lines;
            let told = "The gradients are right: nothing else was tried.";
            report.notes.push(told.to_owned());
            return report;
        }
    };
    let after = vec![
        parts::running().judge(&parts::run_running(own.batch_norm), seed),
        parts::steps().judge(&parts::run_steps(own.step), seed),
        parts::evaluations().judge(&parts::run_evaluate(own.evaluate), seed),
    ];
    let mut report = conclude(NAME, "it trains", after);
    let lines = [
        gradients.lines,
        report.lines.clone(),
        course.lines(plan).into(),
    ]
    .concat();
    if report.passed() {
        report = course.judged(plan);
    } else {
        // What has a cause is told by its cause; what was seen of it stands below.
        report.notes.insert(0, course.told(plan));
    }
    report.lines = lines;
    report
}

impl Course {
    /// The report where no cause of a failure has been found.
    fn judged(&self, plan: &Plan) -> Report {
        let known = |(text, section): (&str, &'static str)| Known::of(NAME, text, section);
        match self.last() {
            Seen { loss, step, .. } if !loss.is_finite() => {
                known(training::DIVERGED).report(&[&step])
            }
            seen if seen.test < plan.wanted => {
                let [found, wanted] = [seen.test, plan.wanted].map(|share| 100.0 * share);
                known(training::MISSED).report(&[
                    &format!("{found:.1}"),
                    &seen.step,
                    &format!("{wanted:.0}"),
                ])
            }
            seen => Report::new(
                NAME,
                Outcome::Passed,
                format!(
                    "your own tape and your own Batch Norm have trained a network, which reads {:.1} % of digits that it has never seen",
                    100.0 * seen.test
                ),
            ),
        }
    }

    /// What was seen, as lines of a report.
    fn lines(&self, plan: &Plan) -> [Line; 2] {
        let last = self.last();
        let line = |name: &str, right, detail| Line {
            name: name.to_owned(),
            right,
            detail,
        };
        [
            line(
                "loss",
                last.loss.is_finite() && last.loss < self.first(),
                format!(
                    "from {} to {} in {} steps",
                    Self::short(self.first()),
                    Self::short(last.loss),
                    last.step
                ),
            ),
            line(
                "test digits",
                last.test >= plan.wanted,
                format!(
                    "{:.1} % right, and {:.1} % of the training digits",
                    100.0 * last.test,
                    100.0 * last.train
                ),
            ),
        ]
    }
}

#[cfg(test)]
mod tests;
