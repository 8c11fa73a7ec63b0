//! `y = −(1/N) Σₙ ln softmax(xₙ)[cₙ]`: the mean cross-entropy of N rows of logits against
//! the classes cₙ.
//!
//! With p = softmax(xₙ), the loss of one example is `ℓₙ = −ln p[c] = ln Σⱼ e^(xⱼ) − x[c]`,
//! and ∂ℓₙ/∂xⱼ = pⱼ − [j = c] (book, chapter 5). So `dx = (p − onehot(c)) · dy / N`:
//! the softmax, which the forward pass needs anyway, is all that must be saved, and it is
//! turned into dx in place. A network that is nearly sure of the right class has a `p[c]`
//! that rounds to 1: so neither ℓ nor `p[c]` − 1 is computed from it, but both from the other
//! classes.
//!
//! With weights, the mean is `Σ wₙ ℓₙ / Σ wₙ`, and `dxₙ = (p − onehot(cₙ)) · dy wₙ / Σ w`.

use vectorized::vectorized;

use super::log_softmax::exponentials;
use crate::{Backward, InputGrads, Real, Tensor, Var, lanes};

impl<'t, T: Real> Var<'t, T> {
    /// The mean cross-entropy of these logits `[N, C]` against one class for each row, a
    /// scalar, in nats. PyTorch's `cross_entropy` with class indices.
    ///
    /// # Panics
    /// If this has not two axes, there are not N targets or none at all, or a target is
    /// C or more.
    #[track_caller]
    pub fn cross_entropy(&self, targets: &[usize]) -> Self {
        cross_entropy(self, targets, vec![T::ONE; targets.len()])
    }

    /// Like [`Var::cross_entropy`], with a weight for each example: the mean is
    /// `Σ wₙ ℓₙ / Σ wₙ`. An example of weight 0 is left out whatever its logits hold,
    /// which is how the padding of shorter sequences is kept out of the loss (PyTorch's
    /// `ignore_index`); its target must still be a class, for example 0.
    ///
    /// # Panics
    /// As [`Var::cross_entropy`], and if there are not N weights, one is negative or not
    /// finite, or all are 0.
    #[track_caller]
    pub fn cross_entropy_weighted(&self, targets: &[usize], weights: &[T]) -> Self {
        assert!(
            weights.len() == targets.len(),
            "cross_entropy: {} weights were given for {} targets",
            weights.len(),
            targets.len()
        );
        for (n, &weight) in weights.iter().enumerate() {
            assert!(
                weight.is_finite() && weight >= T::ZERO,
                "cross_entropy: weight {weight} of example {n} must be finite and not negative"
            );
        }
        // Only their ratios count: by the largest, no sum of them leaves the range of numbers.
        let largest = weights.iter().copied().fold(T::ZERO, T::max);
        let share = |&weight: &T| {
            if largest > T::ZERO {
                weight / largest
            } else {
                weight
            }
        };
        cross_entropy(self, targets, weights.iter().map(share).collect())
    }
}

#[track_caller]
fn cross_entropy<'t, T: Real>(
    logits: &Var<'t, T>,
    targets: &[usize],
    weights: Vec<T>,
) -> Var<'t, T> {
    let &[examples, classes] = &logits.shape()[..] else {
        panic!(
            "cross_entropy: the logits must be [N, C], but their shape is {}",
            logits.shape()
        );
    };
    assert!(
        targets.len() == examples,
        "cross_entropy: {} targets were given for logits of shape {}",
        targets.len(),
        logits.shape()
    );
    for (n, &class) in targets.iter().enumerate() {
        assert!(
            class < classes,
            "cross_entropy: target {class} of example {n} is not one of the {classes} classes \
             of logits of shape {}",
            logits.shape()
        );
    }
    let total = lanes::sum(&weights);
    assert!(
        total > T::ZERO,
        "cross_entropy: the weights of the {examples} examples add up to 0, so there is no mean"
    );
    let mut p = Tensor::scratch(logits.shape());
    let mut losses = vec![T::ZERO; examples];
    for n in 0..examples {
        let row = n * classes..(n + 1) * classes;
        let (x, p) = (&logits.value().data()[row.clone()], &mut p.data_mut()[row]);
        if weights[n] == T::ZERO {
            p.fill(T::ZERO);
        } else {
            losses[n] = softmax_and_loss(p, x, targets[n]);
        }
    }
    let loss = lanes::dot(&losses, &weights) / total;
    logits
        .tape()
        .record(&[logits], Tensor::scalar(loss), || CrossEntropy {
            p,
            targets: targets.to_vec(),
            weights,
            total,
        })
}

/// Fills `p` with the softmax of `x` and returns `ln Σ eˣ − x[class]`.
#[vectorized]
fn softmax_and_loss<T: Real>(p: &mut [T], x: &[T], class: usize) -> T {
    let (max, others) = exponentials(p, x);
    let sum = T::ONE + others;
    for p in p {
        *p /= sum;
    }
    others.ln_1p() - (x[class] - max)
}

/// `(p − onehot(class)) · scale`, in place of p.
#[vectorized]
fn difference<T: Real>(p: &mut [T], class: usize, scale: T) {
    // p − 1 of the right class, without its cancellation where p is close to 1.
    p[class] = T::ZERO;
    p[class] = -lanes::sum(p);
    lanes::map_assign(p, |p| p * scale);
}

struct CrossEntropy<T: Real> {
    /// softmax(logits).
    p: Tensor<T>,
    targets: Vec<usize>,
    weights: Vec<T>,
    /// Σ wₙ.
    total: T,
}

impl<T: Real> Backward<T> for CrossEntropy<T> {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let mut p = self.p;
        let classes = p.shape()[1];
        let dy = dy.item() / self.total;
        let rows = p.data_mut().chunks_exact_mut(classes);
        for ((row, &class), &weight) in rows.zip(&self.targets).zip(&self.weights) {
            difference(row, class, dy * weight);
        }
        dx.add(0, p);
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.p]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::normal;
    use crate::{Param, Tape};

    fn loss_and_gradient(logits: Tensor<f64>, targets: &[usize]) -> (f64, Vec<f64>) {
        let x = Param::new("logits", logits);
        let (loss, grads) = Tape::new().grad(|t| t.param(&x).cross_entropy(targets));
        (loss, grads.of(&x).to_vec())
    }

    #[test]
    fn is_the_mean_negative_log_likelihood() {
        Tape::eval(|t| {
            let x = t.constant(normal([4, 5], 1));
            let targets = [3, 0, 4, 3];
            let log_p = x.log_softmax(1);
            let at = |n: usize| -log_p.value().at(&[n, targets[n]]);
            let mean = (at(0) + at(1) + at(2) + at(3)) / 4.0;
            let loss = x.cross_entropy(&targets).value().item();
            assert!((loss - mean).abs() < 1e-14);
            let weights = [2.0, 0.0, 0.5, 1.0];
            let loss = x.cross_entropy_weighted(&targets, &weights).value().item();
            let mean = (2.0 * at(0) + 0.5 * at(2) + at(3)) / 3.5;
            assert!((loss - mean).abs() < 1e-14);
        });
    }

    #[test]
    fn only_the_ratios_of_weights_count() {
        let x = Param::new("x", Tensor::new([2, 2], vec![0.0, 3.0, 1.0, 0.0]));
        let of = |weights: [f32; 2]| {
            let targets = [0, 1];
            let (loss, grads) =
                Tape::new().grad(|t| t.param(&x).cross_entropy_weighted(&targets, &weights));
            (loss, grads.of(&x).to_vec())
        };
        let expected = of([0.5, 1.0]);
        assert!(expected.0 > 1.0 && expected.1.iter().all(|dx| dx.abs() > 0.1));
        for unit in [f32::MAX, 1e37, 1e-37, 2.0 * f32::from_bits(1)] {
            assert_eq!(of([0.5 * unit, unit]), expected, "{unit:e}");
        }
    }

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_number_of_classes() {
        let (loss, gradient) = loss_and_gradient(Tensor::full([1, 4], 1e300), &[2]);
        assert_eq!(loss, 4.0_f64.ln());
        assert_eq!(gradient, [0.25, 0.25, -0.75, 0.25]);
    }

    #[test]
    fn huge_logits_keep_loss_and_gradient_finite() {
        let logits = Tensor::new([1, 3], vec![1e300, 0.0, -1e300]);
        assert_eq!(loss_and_gradient(logits.clone(), &[0]).0, 0.0);
        assert_eq!(
            loss_and_gradient(logits.clone(), &[1]),
            (1e300, vec![1.0, -1.0, 0.0])
        );
        assert_eq!(loss_and_gradient(logits, &[2]).0, 2e300);
    }

    /// PyTorch's loss is 0 from a distance of 17 on, and the gradient by the right class
    /// as well, in `f32`; while the true ones are like those of the other class.
    #[test]
    fn regression_pytorch_a_right_class_far_ahead_keeps_the_digits_of_its_loss() {
        for far in [1.0_f32, 10.0, 17.0, 20.0, 80.0] {
            let x = Param::new("logits", Tensor::new([1, 2], vec![far, 0.0]));
            let (loss, grads) = Tape::new().grad(|t| t.param(&x).cross_entropy(&[0]));
            let wrong = (-f64::from(far)).exp();
            let off = |x: f32, exact: f64| (f64::from(x) / exact - 1.0).abs();
            assert!(
                off(loss, wrong.ln_1p()) < 5e-6,
                "{far}: the loss is {loss:e}"
            );
            let [right, other] = grads.of(&x).to_vec()[..] else {
                panic!("there are two classes");
            };
            assert!(off(other, wrong / (1.0 + wrong)) < 5e-6, "{far}: {other:e}");
            assert_eq!(right, -other);
        }
    }

    #[test]
    fn a_masked_class_has_no_gradient() {
        let logits = Tensor::new([1, 3], vec![0.0, f64::NEG_INFINITY, 0.0]);
        let (loss, gradient) = loss_and_gradient(logits, &[0]);
        assert_eq!(loss, std::f64::consts::LN_2);
        assert_eq!(gradient, [-0.5, 0.0, 0.5]);
    }

    #[test]
    fn an_example_without_weight_is_left_out_whatever_it_holds() {
        let x = Param::new("x", Tensor::new([2, 2], vec![0.0, 0.0, f64::NAN, 1.0]));
        let (loss, grads) =
            Tape::new().grad(|t| t.param(&x).cross_entropy_weighted(&[0, 0], &[3.0, 0.0]));
        assert_eq!(loss, std::f64::consts::LN_2);
        assert_eq!(grads.of(&x).data(), [-0.5, 0.5, 0.0, 0.0]);
    }

    #[track_caller]
    fn refused(shape: &[usize], targets: &[usize]) {
        Tape::eval(|t| {
            t.constant(Tensor::<f32>::zeros(shape))
                .cross_entropy(targets);
        });
    }

    #[test]
    #[should_panic(
        expected = "cross_entropy: target 3 of example 1 is not one of the 3 classes of logits \
                    of shape [2, 3]"
    )]
    fn a_target_must_be_a_class() {
        refused(&[2, 3], &[2, 3]);
    }

    #[test]
    #[should_panic(expected = "cross_entropy: 1 targets were given for logits of shape [2, 3]")]
    fn every_row_needs_a_target() {
        refused(&[2, 3], &[0]);
    }

    #[test]
    #[should_panic(expected = "cross_entropy: the logits must be [N, C], but their shape is [3]")]
    fn logits_have_two_axes() {
        refused(&[3], &[0, 0, 0]);
    }

    #[test]
    #[should_panic(expected = "the weights of the 0 examples add up to 0, so there is no mean")]
    fn no_example_has_no_mean() {
        refused(&[0, 3], &[]);
    }

    #[track_caller]
    fn refused_weights(weights: &[f32]) {
        Tape::eval(|t| {
            let x = t.constant(Tensor::zeros([2, 3]));
            x.cross_entropy_weighted(&[0, 1], weights);
        });
    }

    #[test]
    #[should_panic(expected = "the weights of the 2 examples add up to 0, so there is no mean")]
    fn some_weight_must_be_positive() {
        refused_weights(&[0.0, 0.0]);
    }

    #[test]
    #[should_panic(expected = "cross_entropy: 3 weights were given for 2 targets")]
    fn every_example_needs_a_weight() {
        refused_weights(&[1.0; 3]);
    }

    #[test]
    #[should_panic(expected = "weight -1 of example 1 must be finite and not negative")]
    fn a_weight_is_not_negative() {
        refused_weights(&[2.0, -1.0]);
    }

    #[test]
    #[should_panic(expected = "weight inf of example 0 must be finite and not negative")]
    fn a_weight_is_finite() {
        refused_weights(&[f32::INFINITY, 1.0]);
    }
}
