//! Checks the exercise `fold_batch_norm`.

use crate::compare::{line, same, unusable, wrong_at};
use crate::engine::Checker;
use crate::harness;
use crate::known::Known;
use crate::{Outcome, Report};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::process::ExitCode;

const NAME: &str = "fold_batch_norm";

/// A linear layer and the Batch Norm after it, as they are at inference.
#[derive(Clone, Debug, PartialEq)]
pub struct Layers {
    /// `[outputs, inputs]`, row by row.
    pub weight: Vec<f64>,
    /// `[outputs]`.
    pub bias: Vec<f64>,
    /// `[outputs]`.
    pub gamma: Vec<f64>,
    /// `[outputs]`.
    pub beta: Vec<f64>,
    /// `[outputs]`.
    pub running_mean: Vec<f64>,
    /// `[outputs]`.
    pub running_var: Vec<f64>,
    /// The constant beside the variance.
    pub eps: f64,
}

/// One linear layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Folded {
    /// `[outputs, inputs]`, row by row.
    pub weight: Vec<f64>,
    /// `[outputs]`.
    pub bias: Vec<f64>,
}

/// What the reader writes.
pub type Candidate<'a> = &'a dyn Fn(&Layers) -> Folded;

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(&Layers) -> Folded) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

fn layers(outputs: usize, inputs: usize, rng: &mut StdRng) -> Layers {
    let mut numbers = |count: usize, low: f64, high: f64| -> Vec<f64> {
        (0..count).map(|_| rng.random_range(low..high)).collect()
    };
    Layers {
        weight: numbers(outputs * inputs, -1.0, 1.0),
        bias: numbers(outputs, 0.5, 1.5),
        gamma: numbers(outputs, 1.2, 2.0),
        beta: numbers(outputs, 0.3, 0.9),
        running_mean: numbers(outputs, -2.0, -0.5),
        running_var: numbers(outputs, 0.2, 0.8),
        // Large, so that forgetting it shows.
        eps: 0.1,
    }
}

/// The factor of a channel.
type Factor = fn(&Layers, usize) -> f64;
/// The bias of a channel, from its factor.
type Bias = fn(&Layers, usize, f64) -> f64;

fn factor(l: &Layers, c: usize) -> f64 {
    l.gamma[c] / (l.running_var[c] + l.eps).sqrt()
}

fn bias(l: &Layers, c: usize, a: f64) -> f64 {
    a * (l.bias[c] - l.running_mean[c]) + l.beta[c]
}

/// Wrong factors, and what to say.
const FACTORS: &[(&str, &str, Factor)] = &[
    (
        "eps-missing",
        "eps is left out: the factor is gamma / sqrt(running_var + eps)",
        |l, c| l.gamma[c] / l.running_var[c].sqrt(),
    ),
    (
        "eps-outside",
        "eps is added to the deviation; it belongs under the root, beside the variance",
        |l, c| l.gamma[c] / (l.running_var[c].sqrt() + l.eps),
    ),
    (
        "gamma-missing",
        "gamma is left out: the factor is gamma / sqrt(running_var + eps)",
        |l, c| factor(l, c) / l.gamma[c],
    ),
    (
        "root-missing",
        "gamma is divided by the variance; it is the deviation, its root, that divides",
        |l, c| l.gamma[c] / (l.running_var[c] + l.eps),
    ),
    (
        "multiplied",
        "gamma is multiplied with the deviation; it must be divided by it",
        |l, c| l.gamma[c] * (l.running_var[c] + l.eps).sqrt(),
    ),
    ("weight-unchanged", "the weight is as it was", |_, _| 1.0),
];

/// Wrong biases, and what to say.
const BIASES: &[(&str, &str, Bias)] = &[
    (
        "bias-not-scaled",
        "the old bias is not multiplied by the factor; Batch Norm sees it as part of its input",
        |l, c, a| l.bias[c] - a * l.running_mean[c] + l.beta[c],
    ),
    (
        "bias-dropped",
        "the old bias is left out. In training the mean of the batch takes it away; the running mean does so only where it has followed",
        |l, c, a| l.beta[c] - a * l.running_mean[c],
    ),
    (
        "mean-not-scaled",
        "the running mean is subtracted after the factor; it must be multiplied by it too",
        |l, c, a| a * l.bias[c] - l.running_mean[c] + l.beta[c],
    ),
    (
        "mean-missing",
        "the running mean is not subtracted",
        |l, c, a| a * l.bias[c] + l.beta[c],
    ),
    (
        "mean-added",
        "the running mean is added; it must be subtracted",
        |l, c, a| a * (l.bias[c] + l.running_mean[c]) + l.beta[c],
    ),
    ("beta-missing", "beta is left out", |l, c, a| {
        a * (l.bias[c] - l.running_mean[c])
    }),
    (
        "beta-scaled",
        "beta is multiplied by the factor; it comes after the scaling",
        |l, c, a| a * (l.bias[c] - l.running_mean[c] + l.beta[c]),
    ),
    ("bias-unchanged", "the bias is as it was", |l, c, _| {
        l.bias[c]
    }),
];

const SECTION: &str = "sec:freezing";

/// The mistakes that this checker knows.
fn known() -> Vec<Known> {
    let weights = FACTORS
        .iter()
        .map(|(id, what, _)| (*id, format!("weight: {what}")));
    let biases = BIASES
        .iter()
        .map(|(id, what, _)| (*id, format!("bias: {what}")));
    weights
        .chain(biases)
        .map(|(id, what)| Known::new(NAME, id, what, SECTION))
        .collect()
}

fn weights(l: &Layers, factor: Factor) -> Vec<f64> {
    let inputs = l.weight.len() / l.bias.len();
    let of = |(i, w): (usize, &f64)| w * factor(l, i / inputs);
    l.weight.iter().enumerate().map(of).collect()
}

fn biases(l: &Layers, bias: Bias, factor: Factor) -> Vec<f64> {
    let of = |c| bias(l, c, factor(l, c));
    (0..l.bias.len()).map(of).collect()
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Listed(known())
}

/// The report on `candidate`, from random layers of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let rng = &mut StdRng::seed_from_u64(seed);
    let mut lines = Vec::new();
    for (outputs, inputs) in [(3, 2), (4, 7), (1, 5)] {
        let l = layers(outputs, inputs, rng);
        let found = candidate(&l);
        let right = Folded {
            weight: weights(&l, factor),
            bias: biases(&l, bias, factor),
        };
        lines = vec![
            line("weight", &right.weight, &found.weight),
            line("bias", &right.bias, &found.bias),
        ];
        if let Some((id, sentence)) = mistake(&l, &right, &found) {
            let mut report = wrong_at(NAME, &id, sentence, SECTION);
            report.lines = lines;
            return report;
        }
    }
    let headline = "one layer does what the two did";
    let mut report = Report::new(NAME, Outcome::Passed, headline);
    report.lines = lines;
    report
}

/// What is wrong, by name and in a sentence.
fn mistake(l: &Layers, right: &Folded, found: &Folded) -> Option<(String, String)> {
    let shape = "of shape [outputs, inputs]";
    let unknown = |what: &str| ("unknown".to_owned(), format!("{what} is wrong"));
    if let Some(wrong) = unusable("weight", right.weight.len(), &found.weight, shape) {
        return Some(wrong);
    }
    if let Some(wrong) = unusable("bias", right.bias.len(), &found.bias, "one per output") {
        return Some(wrong);
    }
    if !same(&right.weight, &found.weight) {
        let known = FACTORS
            .iter()
            .find(|(_, _, factor)| same(&weights(l, *factor), &found.weight));
        return Some(match known {
            Some((id, sentence, _)) => ((*id).to_owned(), format!("weight: {sentence}")),
            None => unknown("weight"),
        });
    }
    if !same(&right.bias, &found.bias) {
        let known = BIASES
            .iter()
            .find(|(_, _, bias)| same(&biases(l, *bias, factor), &found.bias));
        return Some(match known {
            Some((id, sentence, _)) => ((*id).to_owned(), format!("bias: {sentence}")),
            None => unknown("bias"),
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known::assert_listed;

    fn fold(l: &Layers) -> Folded {
        Folded {
            weight: weights(l, factor),
            bias: biases(l, bias, factor),
        }
    }

    #[test]
    fn the_folded_layer_is_both_layers() {
        let l = layers(3, 2, &mut StdRng::seed_from_u64(1));
        let folded = fold(&l);
        let x = [0.7, -1.3];
        for c in 0..3 {
            let linear = |w: &[f64], b: &[f64]| w[2 * c] * x[0] + w[2 * c + 1] * x[1] + b[c];
            let z = linear(&l.weight, &l.bias);
            let deviation = (l.running_var[c] + l.eps).sqrt();
            let y = l.gamma[c] * (z - l.running_mean[c]) / deviation + l.beta[c];
            assert!((linear(&folded.weight, &folded.bias) - y).abs() < 1e-14);
        }
    }

    #[test]
    fn what_is_right_passes() {
        for seed in 0..20 {
            assert!(report(&fold, seed).passed());
        }
    }

    #[test]
    fn every_mistake_is_named() {
        for seed in 0..20 {
            for (id, _, wrong) in FACTORS {
                let candidate = |l: &Layers| Folded {
                    weight: weights(l, *wrong),
                    bias: biases(l, bias, *wrong),
                };
                let report = report(&candidate, seed);
                assert_eq!(report.mistake.as_deref(), Some(*id), "seed {seed}");
                assert_listed(&report);
            }
            for (id, _, wrong) in BIASES {
                let candidate = |l: &Layers| Folded {
                    weight: weights(l, factor),
                    bias: biases(l, *wrong, factor),
                };
                let report = report(&candidate, seed);
                assert_eq!(report.outcome, Outcome::Wrong);
                assert_eq!(report.mistake.as_deref(), Some(*id), "seed {seed}");
                assert_listed(&report);
            }
        }
    }

    #[test]
    fn wrong_lengths_and_unknown_mistakes_are_told() {
        let short = |l: &Layers| Folded {
            weight: vec![0.0],
            ..fold(l)
        };
        assert_eq!(report(&short, 0).mistake.as_deref(), Some("shape"));
        let nan = |l: &Layers| Folded {
            bias: vec![f64::NAN; l.bias.len()],
            ..fold(l)
        };
        assert_eq!(report(&nan, 0).mistake.as_deref(), Some("not-finite"));
        let odd = |l: &Layers| Folded {
            bias: l.bias.iter().map(|b| b * 3.3).collect(),
            ..fold(l)
        };
        assert_eq!(report(&odd, 0).mistake.as_deref(), Some("unknown"));
    }
}
