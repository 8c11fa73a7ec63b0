//! Checks the exercise `init_deviation`.

use crate::compare::{line, same, unusable, wrong_at};
use crate::engine::Checker;
use crate::harness;
use crate::known::Known;
use crate::{Outcome, Report};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::process::ExitCode;

const NAME: &str = "init_deviation";

/// What the reader writes: widths to deviations.
pub type Candidate<'a> = &'a dyn Fn(&[usize]) -> Vec<f64>;

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(&[usize]) -> Vec<f64>) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

/// The deviation of one layer: its number, its inputs and its outputs.
type Rule = fn(usize, f64, f64) -> f64;

fn right(layer: usize, inputs: f64, _: f64) -> f64 {
    let square_of_gain = if layer == 0 { 1.0 } else { 2.0 };
    (square_of_gain / inputs).sqrt()
}

const MISTAKES: &[(&str, &str, Rule)] = &[
    (
        "relu-before-the-first",
        "the first layer has a gain of √2 too, but no ReLU has halved its input",
        |_, inputs, _| (2.0 / inputs).sqrt(),
    ),
    (
        "relu-forgotten",
        "the gain is 1 everywhere; behind a ReLU only half of the mean square is left to make up from",
        |_, inputs, _| (1.0 / inputs).sqrt(),
    ),
    (
        "variance",
        "these are the variances of the weights; the deviation is their root",
        |layer, inputs, outputs| right(layer, inputs, outputs).powi(2),
    ),
    (
        "gain-outside-the-root",
        "the gain is √2, not 2: it is the variance that is doubled",
        |layer, inputs, _| if layer == 0 { 1.0 } else { 2.0 } / inputs.sqrt(),
    ),
    (
        "fan-out",
        "the variance is divided by the outputs of the layer; an output sums over the inputs",
        |layer, _, outputs| right(layer, outputs, outputs),
    ),
    (
        "fan-average",
        "the variance is divided by the average of inputs and outputs, a compromise with the gradients; here only the forward pass is asked for",
        |layer, inputs, outputs| right(layer, 0.5 * (inputs + outputs), outputs),
    ),
    (
        "halved",
        "the gain makes the loss in ReLU larger: the variance must be doubled, not halved",
        |layer, inputs, _| (if layer == 0 { 1.0 } else { 0.5 } / inputs).sqrt(),
    ),
    (
        "pytorch",
        "this is the default of PyTorch, a third of 1/inputs: signals shrink from layer to layer",
        |_, inputs, _| (1.0 / (3.0 * inputs)).sqrt(),
    ),
];

const SECTION: &str = "sec:signal-size";

/// The mistakes that this checker knows.
fn known() -> Vec<Known> {
    let known =
        |(id, what, _): &(&'static str, &'static str, Rule)| Known::new(NAME, id, *what, SECTION);
    MISTAKES.iter().map(known).collect()
}

fn all(widths: &[usize], rule: Rule) -> Vec<f64> {
    let of = |(layer, pair): (usize, &[usize])| rule(layer, pair[0] as f64, pair[1] as f64);
    widths.windows(2).enumerate().map(of).collect()
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Listed(known())
}

/// The report on `candidate`, from networks of random widths of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let rng = &mut StdRng::seed_from_u64(seed);
    let mut report = Report::new(NAME, Outcome::Passed, "every layer keeps the size");
    for layers in [3, 5, 1] {
        // Rising, so that no two of a layer are equal.
        let mut widths = vec![rng.random_range(3..9)];
        for layer in 0..layers {
            widths.push(widths[layer] + rng.random_range(1..40));
        }
        let (expected, found) = (all(&widths, right), candidate(&widths));
        let name = format!("widths {widths:?}");
        report.lines.push(line(&name, &expected, &found));
        let shape = "one per layer";
        let wrong = if let Some(wrong) = unusable("the result", expected.len(), &found, shape) {
            wrong
        } else if same(&expected, &found) {
            continue;
        } else {
            let known = MISTAKES
                .iter()
                .find(|(_, _, rule)| same(&all(&widths, *rule), &found));
            match known {
                Some((id, sentence, _)) => ((*id).to_owned(), (*sentence).to_owned()),
                None => {
                    let layer = (0..found.len()).find(|&i| !same(&expected[i..=i], &found[i..=i]));
                    let layer = layer.unwrap_or(0);
                    let sentence = format!(
                        "for the widths {widths:?}, layer {layer} has the deviation {:.4} and \
                         must have {:.4}",
                        found[layer], expected[layer]
                    );
                    ("unknown".to_owned(), sentence)
                }
            }
        };
        let mut rejected = wrong_at(NAME, &wrong.0, wrong.1, SECTION);
        rejected.lines = report.lines;
        return rejected;
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known::assert_listed;

    #[test]
    fn what_is_right_passes_and_keeps_the_size() {
        for seed in 0..20 {
            assert!(report(&|widths| all(widths, right), seed).passed());
        }
        // The mean square behind each layer, by the two equations.
        let widths = [7, 20, 5, 31];
        let mut square = 1.0;
        for (layer, deviation) in all(&widths, right).into_iter().enumerate() {
            let halved = if layer == 0 { square } else { square / 2.0 };
            square = widths[layer] as f64 * deviation.powi(2) * halved;
            assert!((square - 1.0_f64).abs() < 1e-14);
        }
    }

    #[test]
    fn every_mistake_is_named() {
        for seed in 0..20 {
            for (id, _, rule) in MISTAKES {
                let report = report(&|widths| all(widths, *rule), seed);
                assert_eq!(report.outcome, Outcome::Wrong);
                assert_eq!(report.mistake.as_deref(), Some(*id), "seed {seed}");
                assert_listed(&report);
            }
        }
    }

    #[test]
    fn other_mistakes_are_shown() {
        let id = |candidate: Candidate<'_>| report(candidate, 0).mistake;
        assert_eq!(id(&|_| vec![]).as_deref(), Some("shape"));
        let nan = |widths: &[usize]| vec![f64::NAN; widths.len() - 1];
        assert_eq!(id(&nan).as_deref(), Some("not-finite"));
        let odd = |widths: &[usize]| vec![0.123; widths.len() - 1];
        assert_eq!(id(&odd).as_deref(), Some("unknown"));
        assert!(
            report(&odd, 0)
                .headline
                .contains("layer 0 has the deviation 0.1230")
        );
    }
}
