//! Checks the exercise `init_deviation`.

use crate::Report;
use crate::engine::{Axis, Case, Checker, Order, Part, field};
use crate::harness;
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
        "root-of-the-gain-alone",
        "the root is taken of the gain alone; the number of inputs stands under it too",
        |layer, inputs, _| right(layer, 1.0, 1.0) / inputs,
    ),
    (
        "xavier",
        "this is the rule of Xavier, 2 / (inputs + outputs): it is a compromise with the gradients, and it does not know that ReLU halves the mean square",
        |_, inputs, outputs| (2.0 / (inputs + outputs)).sqrt(),
    ),
    (
        "integer-division",
        "it is zero everywhere, as when the quotient is one of integers, which is rounded down: write `as f64` before dividing",
        |_, _, _| 0.0,
    ),
    (
        "pytorch",
        "this is the default of PyTorch, a third of 1/inputs: signals shrink from layer to layer",
        |_, inputs, _| (1.0 / (3.0 * inputs)).sqrt(),
    ),
];

const SECTION: &str = "sec:signal-size";

fn all(widths: &[usize], rule: Rule) -> Vec<f64> {
    let of = |(layer, pair): (usize, &[usize])| rule(layer, pair[0] as f64, pair[1] as f64);
    widths.windows(2).enumerate().map(of).collect()
}

/// The widths of a network.
struct Widths(Vec<usize>);

impl Case for Widths {
    fn title(&self) -> String {
        format!("the widths {:?}", self.0)
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        vec![("L", self.0.len() - 1)]
    }
}

fn networks(seed: u64) -> Vec<Widths> {
    let rng = &mut StdRng::seed_from_u64(seed);
    let network = |layers| {
        // Rising, so that no two of a layer are equal.
        let mut widths = vec![rng.random_range(3..9)];
        for layer in 0..layers {
            widths.push(widths[layer] + rng.random_range(1..40));
        }
        Widths(widths)
    };
    [3, 5, 1].map(network).into()
}

/// What the reader returns.
struct Answer {
    deviations: Vec<f64>,
}

fn part() -> Part<Widths, Answer> {
    let blank = |_: &Widths| Answer { deviations: vec![] };
    let part = Part::new("deviations", Order::Together, networks, blank).target(
        "deviations",
        SECTION,
        &[Axis("L", "layer")],
        |w| all(&w.0, right),
        field!(deviations),
    );
    MISTAKES.iter().fold(part, |part, (id, sentence, rule)| {
        part.knows("deviations", id, sentence, SECTION, |w| all(&w.0, *rule))
    })
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::of(part())
}

/// The report on `candidate`, from networks of random widths of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let run = |w: &Widths, answer: &mut Answer| answer.deviations = candidate(&w.0);
    part().report(NAME, "every layer keeps the size", &run, seed)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
