//! Checks the exercise `fold_batch_norm`.

use crate::arrays::{Array, Draws};
use judge::shared::rstd;
use judge::{Axis, Deviation, Formulas, Order, Part, Slip, case, exercise, of, slips};

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
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Folded {
    /// `[outputs, inputs]`, row by row.
    pub weight: Vec<f64>,
    /// `[outputs]`.
    pub bias: Vec<f64>,
}

exercise! {
    /// What the two layers are to the one.
    check(fold: Fn(&Layers) -> Folded),
    right: "one layer does what the two did",
    parts: [part() => |l, answer| *answer = fold(l)],
}

fn layers([outputs, inputs]: [usize; 2], draws: &mut Draws) -> Layers {
    Layers {
        weight: draws.numbers(outputs * inputs, -1.0..1.0),
        bias: draws.numbers(outputs, 0.5..1.5),
        gamma: draws.numbers(outputs, 1.2..2.0),
        beta: draws.numbers(outputs, 0.3..0.9),
        running_mean: draws.numbers(outputs, -2.0..-0.5),
        running_var: draws.numbers(outputs, 0.2..0.8),
        // Large, so that forgetting it shows.
        eps: 0.1,
    }
}

fn cases(seed: u64) -> Vec<Layers> {
    let draws = &mut Draws::new(seed);
    [[3, 2], [4, 7], [1, 5]]
        .map(|shape| layers(shape, draws))
        .into()
}

case!(
    Layers,
    |l| match l.shape() {
        [1, inputs] => format!("one output of {inputs} inputs"),
        [outputs, inputs] => format!("{outputs} outputs of {inputs} inputs"),
    },
    sizes: ["outputs": l.bias.len(), "inputs": l.inputs()],
);

const WEIGHTS: &[Axis] = &[Axis("outputs", "output"), Axis("inputs", "input")];
const BIASES: &[Axis] = &[Axis("outputs", "output")];

impl Layers {
    fn inputs(&self) -> usize {
        self.weight.len() / self.bias.len()
    }

    fn shape(&self) -> [usize; 2] {
        [self.bias.len(), self.inputs()]
    }

    fn weight(&self) -> Array {
        Array::new(self.shape(), &*self.weight)
    }

    fn bias(&self) -> Array {
        Array::from(&self.bias)
    }

    fn mean(&self) -> Array {
        Array::from(&self.running_mean)
    }

    /// The factor of each channel, with what stands for the reciprocal of its deviation.
    fn factor(&self, rstd: Deviation) -> Array {
        Array::from(&self.running_var).map(|var| rstd(var, self.eps)) * &self.gamma
    }

    /// Each weight times a factor, that of its row if it is right.
    fn weights(&self, rstd: Deviation, channel: impl Fn(usize, usize) -> usize) -> Vec<f64> {
        let factor = self.factor(rstd).values();
        (self.weight() * Array::by(self.shape(), |row, input| factor[channel(row, input)])).into()
    }
}

/// A bias, from the factor.
type Bias = fn(&Layers, Array) -> Array;
const BIAS: Bias = |l, a| (l.bias() - l.mean()) * a + &l.beta;

/// A wrong bias, from the right factor.
const WRONG_BIASES: &[Slip<Bias>] = slips![
    "bias-not-scaled: the old bias is not multiplied by the factor; Batch Norm sees it as part of its input" =>
        |l, a| l.bias() - a * l.mean() + &l.beta,
    "bias-dropped: the old bias is left out. In training the mean of the batch takes it away; the running mean does so only where it has followed" =>
        |l, a| -(a * l.mean()) + &l.beta,
    "mean-not-scaled: the running mean is subtracted after the factor; it must be multiplied by it too" =>
        |l, a| a * l.bias() - l.mean() + &l.beta,
    "mean-missing: the running mean is not subtracted" => |l, a| a * l.bias() + &l.beta,
    "mean-added: the running mean is added; it must be subtracted" =>
        |l, a| (l.bias() + l.mean()) * a + &l.beta,
    "beta-missing: beta is left out" => |l, a| (l.bias() - l.mean()) * a,
    "beta-scaled: beta is multiplied by the factor; it comes after the scaling" =>
        |l, a| (l.bias() - l.mean() + &l.beta) * a,
    "gamma-forgotten: gamma is forgotten: the factor is gamma / sqrt(running_var + eps), as for the weight" =>
        |l, a| BIAS(l, a / &l.gamma),
    "bias-unchanged: the bias is as it was" => |l, _| l.bias(),
];

const BY_INPUT: &str = "factor-by-input: the factor is chosen by the input, and belongs to the output: a row of the weight has one factor";

const WRONG_WEIGHTS: Formulas<Layers, Vec<f64>> = slips![
    "weight-unchanged: the weight is as it was" => |l| l.weight.clone(),
    BY_INPUT => |l| l.weights(rstd, |_, input| input % l.bias.len()),
    BY_INPUT => |l| l.weights(rstd, |row, input| (row * l.inputs() + input) % l.bias.len()),
];

fn part() -> Part<Layers, Folded> {
    Part::<_, Folded>::new("fold", Order::Together, cases)
        .asks(of!(weight), SECTION, WEIGHTS, |l| {
            l.weights(rstd, |row, _| row)
        })
        .variants(&["weight"], WRONG_WEIGHTS, |l, _, wrong| wrong(l))
        .contains(
            "gamma",
            "the factor is gamma / sqrt(running_var + eps)",
            |l| Array::by(l.shape(), |row, _| l.gamma[row]).into(),
        )
        .deviation(|l, wrong| l.weights(wrong, |row, _| row))
        .asks(of!(bias), SECTION, BIASES, |l| BIAS(l, l.factor(rstd)))
        .deviation(|l, wrong| BIAS(l, l.factor(wrong)).into())
        .variants(&["bias"], WRONG_BIASES, |l, _, wrong| {
            wrong(l, l.factor(rstd)).into()
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use judge::testing::{named, passes};

    fn fold(l: &Layers) -> Folded {
        Folded {
            weight: l.weights(rstd, |row, _| row),
            bias: BIAS(l, l.factor(rstd)).into(),
        }
    }

    #[test]
    fn the_folded_layer_is_both_layers() {
        let l = layers([3, 2], &mut Draws::new(1));
        let folded = fold(&l);
        let x = [0.7, -1.3];
        for c in 0..3 {
            let linear = |w: &[f64], b: &[f64]| w[2 * c] * x[0] + w[2 * c + 1] * x[1] + b[c];
            let z = linear(&l.weight, &l.bias);
            let deviation = (l.running_var[c] + l.eps).sqrt();
            let y = l.gamma[c] * (z - l.running_mean[c]) / deviation + l.beta[c];
            assert!((linear(&folded.weight, &folded.bias) - y).abs() < 1e-14);
        }
        passes(2, |seed| report(&fold, seed));
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
            let right = fold(l);
            Folded {
                weight: Array::new(l.shape(), right.weight).t().into(),
                bias: right.bias,
            }
        };
        let typed: [(&str, Candidate<'_>); 2] = [
            ("weight: factor-by-input", &by_input),
            ("weight: transposed", &transposed),
        ];
        named(&typed, report);
    }
}
