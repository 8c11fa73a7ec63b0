//! Checks the exercise `sequence_predictions`: runs what was predicted.

use crate::arrays::Draws;
use crate::predictions::{column_sums, is_gone, is_times, made, otherwise, passed};
use batchnorm::BatchNorm;
use judge::quiz;
use layernorm::LayerNorm;
use rand::rngs::StdRng;
use tape::{Tensor, Var};

quiz! {
    /// What becomes of a value or a gradient when something is changed.
    enum Change {
        /// It stays, to a thousandth.
        Same if is_times(1.0),
        /// It becomes zero, to a thousandth.
        Zero if is_gone(1e-3),
        /// It is half as large, to a thousandth.
        Half if is_times(0.5),
        /// It is a tenth as large, to a thousandth.
        OneTenth if is_times(0.1),
        /// It becomes NaN.
        NotANumber if is_nan,
        /// Something else.
        Different if otherwise,
    }

    longer_layer_norm in "sec:lengths":
        "more padding, Layer Norm",
        "the statistics of a position are its own";
    longer_batch_norm in "sec:masked":
        "more padding, Batch Norm of the rectangle",
        "every zero of the padding is a value of the channel, and pulls the mean";
    longer_packed in "sec:lengths":
        "more padding, Batch Norm of packed rows",
        "packing leaves the padding out, however much there is";
    padding_gradient in "sec:lengths":
        "a masked loss, the gradient at the padding",
        "nothing that is counted depends on the padding";
    divided_by_all in "sec:masked":
        "the masked loss divided by B T instead of M",
        "a loss that is divided by twice as much has gradients half as large, so batches with much padding learn less";
    nan_multiplied in "sec:masked":
        "NaN in the padding, multiplied by the mask",
        "0 times NaN is NaN";
    nan_packed in "sec:masked":
        "NaN in the padding, packed",
        "what is left out cannot get in";
    state_matrix in "sec:ln-cell":
        "U times 10, the output of LN(U h)",
        "a positive scale cancels in Layer Norm";
    state_matrix_gradient in "sec:ln-cell":
        "U times 10, the gradient of U",
        "the same change of the output now takes a change of U that is ten times as large";
    constant_step in "sec:step-norm":
        "another input at a step where all sequences have the same",
        "equal values are equal to their mean, so the output is beta, whatever they are";
    constant_step_gradient in "sec:step-norm":
        "such a step in training, the gradient of its input",
        "the input is the same for all sequences and moves all values alike, which the mean takes along";
    two_sequences in "sec:step-norm":
        "a step that two sequences reach, the gradient of its input",
        "two values leave no gradient through: there are two directions, and both are removed";
}

/// M is 8, and the rectangle has 16 positions.
const LENGTHS: [usize; 4] = [4, 2, 1, 1];
const STEPS: usize = 4;
const C: usize = 6;

/// A padded batch `[B T, C]`.
#[derive(Clone)]
struct Padded {
    steps: usize,
    x: Tensor<f64>,
}

impl Padded {
    fn new(rng: &mut StdRng) -> Self {
        let x = Tensor::uniform([LENGTHS.len() * STEPS, C], 1.0, 4.0, rng);
        Padded { steps: STEPS, x }.filled(0.0)
    }

    /// With the padding set to a value.
    fn filled(&self, value: f64) -> Self {
        let (counts, x) = (self.counts(), self.x.data());
        let x = |i: usize| if counts[i / C] { x[i] } else { value };
        Padded {
            x: Tensor::from_fn(self.x.shape(), x),
            ..*self
        }
    }

    /// With more steps of zeros behind all sequences.
    fn longer(&self) -> Self {
        let more = vec![0.0; 5 * C];
        let sequences = self.x.data().chunks_exact(self.steps * C);
        let x: Vec<f64> = sequences.flat_map(|x| [x, &more].concat()).collect();
        Padded {
            steps: self.steps + 5,
            x: Tensor::new([x.len() / C, C], x),
        }
    }

    fn counts(&self) -> Vec<bool> {
        let of = |&n: &usize| (0..self.steps).map(move |t| t < n);
        LENGTHS.iter().flat_map(of).collect()
    }

    /// The rows that count.
    fn places(&self) -> Vec<usize> {
        let counts = self.counts();
        (0..counts.len()).filter(|r| counts[*r]).collect()
    }

    /// `[B T, 1]`.
    fn mask(&self) -> Tensor<f64> {
        let counts = self.counts();
        Tensor::from_fn([counts.len(), 1], |r| f64::from(u8::from(counts[r])))
    }

    /// What `f` makes of the rectangle, at the positions that count.
    fn outputs(&self, f: impl for<'t> FnOnce(&Var<'t, f64>) -> Var<'t, f64>) -> Vec<f64> {
        made([&self.x], |[x]| f(x).index_select(0, &self.places()))
    }

    /// What `f` makes of the rows that count.
    fn packed(&self, f: impl for<'t> FnOnce(&Var<'t, f64>) -> Var<'t, f64>) -> Vec<f64> {
        made([&self.x], |[x]| f(&x.index_select(0, &self.places())))
    }

    /// The gradient of a loss with respect to the rectangle.
    fn gradient(&self, loss: impl for<'t> FnOnce(&Var<'t, f64>) -> Var<'t, f64>) -> Vec<f64> {
        let (_, [dx]) = passed([&self.x], &Tensor::scalar(1.0), |[x]| loss(x));
        dx
    }

    /// Of values of the rectangle, those of the padding.
    fn of_padding(&self, values: &[f64]) -> Vec<f64> {
        let rows = values.chunks_exact(C).zip(self.counts());
        let padding = rows.filter(|(_, counts)| !counts);
        padding.flat_map(|(row, _)| row.to_vec()).collect()
    }
}

/// A loss for each position: the sum of the squares of its features.
fn losses<'t>(x: &Var<'t, f64>) -> Var<'t, f64> {
    (x * x).sum(&[1]).reshape([x.shape()[0], 1])
}

/// Batch Norm of one step, in training or at inference: output, and gradient of the input.
fn step(x: &Tensor<f64>, dy: &Tensor<f64>, training: bool) -> (Vec<f64>, [Vec<f64>; 1]) {
    let mut norm = BatchNorm::new(C);
    passed([x], dy, |[x]| {
        if training {
            norm.train(x)
        } else {
            norm.eval(x)
        }
    })
}

fn is_nan(_: &[f64], after: &[f64]) -> bool {
    after.iter().any(|v| v.is_nan())
}

fn found(seed: u64) -> Predictions {
    let rng = &mut Draws::new(seed).0;
    let batch = Padded::new(rng);
    let longer = batch.longer();
    let both = |f: &dyn Fn(&Padded) -> Vec<f64>| observed(&f(&batch), &f(&longer));

    // Losses over a rectangle whose padding is not zero, as that of a hidden layer is.
    let (hidden, nan) = (batch.filled(1.5), batch.filled(f64::NAN));
    let [count, all] = [batch.places().len(), batch.counts().len()].map(|n| n as f64);
    let masked = |divisor: f64| {
        hidden.gradient(|x| {
            let mask = x.tape().constant(hidden.mask());
            (losses(x) * mask).sum_all() / divisor
        })
    };
    let unmasked = hidden.gradient(|x| losses(x).sum_all() / all);
    let multiplied = |b: &Padded| made([&b.x, &b.mask()], |[x, m]| (losses(x) * m).sum_all());
    let left_out = |b: &Padded| b.packed(|x| losses(x).sum_all());

    // Layer Norm of `U h` for a batch of states.
    let mut draw = |rows: usize| Tensor::uniform([rows, C], -1.0, 1.0, rng);
    let (u, h, dy) = (draw(C), draw(5), draw(5));
    let product = |u: &Tensor<f64>| {
        passed([u, &h], &dy, |[u, h]| {
            LayerNorm::new([C]).forward(&h.matmul(u))
        })
    };
    let (y, [du, _]) = product(&u);
    let (y_ten, [du_ten, _]) = product(&u.map(|u| 10.0 * u));

    let [constant, other] =
        [draw(1), draw(1)].map(|row| Tensor::from_fn([5, C], |i| row.data()[i % C]));
    let (constant_y, [constant_dx]) = step(&constant, &dy, true);
    let (_, [frozen_dx]) = step(&constant, &dy, false);
    // Apart by 2 or more in every channel: of two equal values eps would be all the variance.
    let (apart, two_dy) = (draw(2), draw(2));
    let two = Tensor::from_fn([2, C], |i| {
        let side = if i < C { 2.0 } else { -2.0 };
        side + apart.data()[i]
    });
    let [(_, [two_dx]), (_, [two_frozen_dx])] = [true, false].map(|t| step(&two, &two_dy, t));
    // Where beta is zero, so is the output: let it be seen beside the upstream gradient.
    let shown = |y: &[f64]| y.iter().map(|y| 1.0 + y).collect::<Vec<f64>>();
    // All sequences have one input: what comes back to it is the sum over them.
    let [frozen_dx, constant_dx] = [frozen_dx, constant_dx].map(|dx| column_sums(C, &dx));
    Predictions {
        longer_layer_norm: both(&|b| b.outputs(|x| LayerNorm::new([C]).forward(x))),
        longer_batch_norm: both(&|b| b.outputs(|x| BatchNorm::new(C).train(x))),
        longer_packed: both(&|b| b.packed(|x| BatchNorm::new(C).train(x))),
        padding_gradient: observed(
            &hidden.of_padding(&unmasked),
            &hidden.of_padding(&masked(count)),
        ),
        divided_by_all: observed(&masked(count), &masked(all)),
        nan_multiplied: observed(&multiplied(&batch), &multiplied(&nan)),
        nan_packed: observed(&left_out(&batch), &left_out(&nan)),
        state_matrix: observed(&y, &y_ten),
        state_matrix_gradient: observed(&du, &du_ten),
        constant_step: observed(&shown(&constant_y), &shown(&step(&other, &dy, true).0)),
        constant_step_gradient: observed(&frozen_dx, &constant_dx),
        two_sequences: observed(&two_frozen_dx, &two_dx),
    }
}
