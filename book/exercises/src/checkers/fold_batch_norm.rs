//! Checks the exercise `fold_batch_norm`.

use crate::Report;
use crate::engine::shared::{Deviation, rstd};
use crate::engine::{Axis, Case, Checker, Order, Part, field};
use crate::harness;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::process::ExitCode;

const NAME: &str = "fold_batch_norm";
const SECTION: &str = "sec:freezing";

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

/// The report on `candidate`, from random layers of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let run = |l: &Layers, answer: &mut Folded| *answer = candidate(l);
    part().report(NAME, "one layer does what the two did", &run, seed)
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::of(part())
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

fn cases(seed: u64) -> Vec<Layers> {
    let rng = &mut StdRng::seed_from_u64(seed);
    [(3, 2), (4, 7), (1, 5)]
        .map(|(outputs, inputs)| layers(outputs, inputs, rng))
        .into()
}

impl Case for Layers {
    fn title(&self) -> String {
        let inputs = self.inputs();
        match self.bias.len() {
            1 => format!("one output of {inputs} inputs"),
            outputs => format!("{outputs} outputs of {inputs} inputs"),
        }
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        vec![("outputs", self.bias.len()), ("inputs", self.inputs())]
    }
}

const WEIGHTS: &[Axis] = &[Axis("outputs", "output"), Axis("inputs", "input")];
const BIASES: &[Axis] = &[Axis("outputs", "output")];

impl Layers {
    fn inputs(&self) -> usize {
        self.weight.len() / self.bias.len()
    }

    /// The factor of a channel, with what stands for the reciprocal of its deviation.
    fn factor(&self, c: usize, rstd: Deviation) -> f64 {
        self.gamma[c] * rstd(self.running_var[c], self.eps)
    }

    /// Each weight, the number `at`, times the factor of a channel.
    fn weights(&self, rstd: Deviation, channel: impl Fn(usize) -> usize) -> Vec<f64> {
        let scaled = |(at, w): (usize, &f64)| w * self.factor(channel(at), rstd);
        self.weight.iter().enumerate().map(scaled).collect()
    }

    /// A bias for each channel, made of its factor.
    fn biases(&self, rstd: Deviation, bias: fn(&Self, usize, f64) -> f64) -> Vec<f64> {
        let of = |c| bias(self, c, self.factor(c, rstd));
        (0..self.bias.len()).map(of).collect()
    }

    fn right_weight(&self) -> Vec<f64> {
        self.weights(rstd, |at| at / self.inputs())
    }

    fn right_bias(&self) -> Vec<f64> {
        self.biases(rstd, bias)
    }
}

fn bias(l: &Layers, c: usize, a: f64) -> f64 {
    a * (l.bias[c] - l.running_mean[c]) + l.beta[c]
}

/// A wrong bias: its name, what is said, and its values from the right factor.
type Bias = (&'static str, &'static str, fn(&Layers, usize, f64) -> f64);

const WRONG_BIASES: [Bias; 9] = [
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
    (
        "gamma-forgotten",
        "gamma is forgotten: the factor is gamma / sqrt(running_var + eps), as for the weight",
        |l, c, a| bias(l, c, a / l.gamma[c]),
    ),
    ("bias-unchanged", "the bias is as it was", |l, c, _| {
        l.bias[c]
    }),
];

fn part() -> Part<Layers, Folded> {
    let by_input = "the factor is chosen by the input, and belongs to the output: a row of the weight has one factor";
    let blank = |_: &Layers| Folded {
        weight: vec![],
        bias: vec![],
    };
    let part = Part::new("fold", Order::Together, cases, blank)
        .target(
            "weight",
            SECTION,
            WEIGHTS,
            Layers::right_weight,
            field!(weight),
        )
        .mistake(
            &["weight"],
            "weight-unchanged",
            "the weight is as it was",
            |l, _| l.weight.clone(),
        )
        .mistake(&["weight"], "factor-by-input", by_input, |l, _| {
            l.weights(rstd, |at| at % l.inputs() % l.bias.len())
        })
        .mistake(&["weight"], "factor-by-input", by_input, |l, _| {
            l.weights(rstd, |at| at % l.bias.len())
        })
        .contains(
            "gamma",
            "the factor is gamma / sqrt(running_var + eps)",
            |l| {
                (0..l.weight.len())
                    .map(|at| l.gamma[at / l.inputs()])
                    .collect()
            },
        )
        .deviation(|l, wrong| l.weights(wrong, |at| at / l.inputs()))
        .target("bias", SECTION, BIASES, Layers::right_bias, field!(bias))
        .deviation(|l, wrong| l.biases(wrong, bias));
    WRONG_BIASES
        .into_iter()
        .fold(part, |part, (id, what, wrong)| {
            part.knows("bias", id, what, SECTION, move |l| l.biases(rstd, wrong))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;

    fn fold(l: &Layers) -> Folded {
        Folded {
            weight: l.right_weight(),
            bias: l.right_bias(),
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
        assert!(report(&fold, 3).passed());
    }

    #[test]
    fn what_is_typed_wrong_is_named() {
        // Panics where a layer has more inputs than outputs.
        let by_input = |l: &Layers| {
            let mut folded = fold(l);
            let inputs = l.inputs();
            for (at, w) in folded.weight.iter_mut().enumerate() {
                *w = l.weight[at] * l.gamma[at % inputs] * rstd(l.running_var[at % inputs], l.eps);
            }
            folded
        };
        let transposed = |l: &Layers| {
            let (right, outputs, inputs) = (fold(l), l.bias.len(), l.inputs());
            let at = |at: usize| right.weight[at % outputs * inputs + at / outputs];
            Folded {
                weight: (0..right.weight.len()).map(at).collect(),
                bias: right.bias.clone(),
            }
        };
        let candidates: [(Candidate<'_>, &str); 2] =
            [(&by_input, "factor-by-input"), (&transposed, "transposed")];
        for (candidate, id) in candidates {
            let report = report(candidate, 1);
            assert_eq!(report.outcome, Outcome::Wrong);
            assert_eq!(report.mistake.as_deref(), Some(id), "{report}");
            assert!(report.headline.starts_with("weight: "), "{report}");
        }
    }
}
