//! Checks the exercise `init_deviation`.

use judge::{Axis, Order, Part, Slip, case, exercise, field, slips};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

exercise! {
    /// Widths to deviations.
    check(deviations: Fn(&[usize]) -> Vec<f64>),
    right: "every layer keeps the size",
    parts: [part() => |widths, answer| *answer = deviations(&widths.0)],
}

/// The widths of a network.
struct Widths(Vec<usize>);

case!(
    Widths,
    |w| format!("the widths {:?}", w.0),
    sizes: ["L": w.0.len() - 1],
);

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

fn part() -> Part<Widths, Vec<f64>> {
    let (name, axes): (_, &[Axis]) = ("deviations", &[Axis("L", "layer")]);
    let right = |w: &Widths| all(&w.0, right);
    Part::<_, Vec<f64>>::new(name, Order::Together, networks)
        .target(name, "sec:signal-size", axes, right, field!())
        .variants(&[name], MISTAKES, |w, _, rule| all(&w.0, *rule))
}

/// The deviation of one layer: its number, its inputs and its outputs.
type Rule = fn(usize, f64, f64) -> f64;

fn all(widths: &[usize], rule: Rule) -> Vec<f64> {
    let of = |(layer, pair): (usize, &[usize])| rule(layer, pair[0] as f64, pair[1] as f64);
    widths.windows(2).enumerate().map(of).collect()
}

fn right(layer: usize, inputs: f64, _: f64) -> f64 {
    let square_of_gain = if layer == 0 { 1.0 } else { 2.0 };
    (square_of_gain / inputs).sqrt()
}

const MISTAKES: &[Slip<Rule>] = slips![
    "relu-before-the-first: the first layer has a gain of √2 too, but no ReLU has halved its input" =>
        |_, inputs, _| (2.0 / inputs).sqrt(),
    "relu-forgotten: the gain is 1 everywhere; behind a ReLU only half of the mean square is left to make up from" =>
        |_, inputs, _| (1.0 / inputs).sqrt(),
    "variance: these are the variances of the weights; the deviation is their root" =>
        |layer, inputs, outputs| right(layer, inputs, outputs).powi(2),
    "gain-outside-the-root: the gain is √2, not 2: it is the variance that is doubled" =>
        |layer, inputs, _| if layer == 0 { 1.0 } else { 2.0 } / inputs.sqrt(),
    "fan-out: the variance is divided by the outputs of the layer; an output sums over the inputs" =>
        |layer, _, outputs| right(layer, outputs, outputs),
    "fan-average: the variance is divided by the average of inputs and outputs, a compromise with the gradients; here only the forward pass is asked for" =>
        |layer, inputs, outputs| right(layer, 0.5 * (inputs + outputs), outputs),
    "halved: the gain makes the loss in ReLU larger: the variance must be doubled, not halved" =>
        |layer, inputs, _| (if layer == 0 { 1.0 } else { 0.5 } / inputs).sqrt(),
    "root-of-the-gain-alone: the root is taken of the gain alone; the number of inputs stands under it too" =>
        |layer, inputs, _| right(layer, 1.0, 1.0) / inputs,
    "xavier: this is the rule of Xavier, 2 / (inputs + outputs): it is a compromise with the gradients, and it does not know that ReLU halves the mean square" =>
        |_, inputs, outputs| (2.0 / (inputs + outputs)).sqrt(),
    "integer-division: it is zero everywhere, as when the quotient is one of integers, which is rounded down: write `as f64` before dividing" =>
        |_, _, _| 0.0,
    "pytorch: this is the default of PyTorch, a third of 1/inputs: signals shrink from layer to layer" =>
        |_, inputs, _| (1.0 / (3.0 * inputs)).sqrt(),
];

#[cfg(test)]
mod tests {
    use super::*;
    use judge::testing::passes;

    #[test]
    fn what_is_right_passes_and_keeps_the_size() {
        passes(1, |seed| report(&|widths| all(widths, right), seed));
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
