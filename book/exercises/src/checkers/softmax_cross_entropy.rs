//! Checks the exercise `softmax_cross_entropy`.

use crate::arrays::{Array, Draws};
use judge::compare::largest;
use judge::{Axis, Formulas, Found, Named, Order, Part, case, exercise, found, slips};
use rand::RngExt;

exercise! {
    /// `(x, classes, targets)` to `(loss, dx)`.
    check(loss_and_gradient: Fn(&[f64], usize, &[usize]) -> (f64, Vec<f64>)),
    right: "loss and gradient are right, and stay so at any size of the logits",
    parts: [
        small_part() => |p, answer| p.answer(loss_and_gradient, answer),
        large_part() => |p, answer| p.answer(loss_and_gradient, answer),
    ],
}

struct Probe {
    /// What is special about the logits; nothing, of small ones.
    what: &'static str,
    /// `[N, classes]`.
    x: Array,
    targets: Vec<usize>,
}

case!(
    Probe,
    |p| format!("{} of shape {:?}", p.what, p.x.shape()),
    sizes: ["N": p.x.length(0), "classes": p.x.length(1)],
);

fn probe(what: &'static str, [n, classes]: [usize; 2], scale: f64, draws: &mut Draws) -> Probe {
    let x = draws.array([n, classes], -1.0..1.0) * scale;
    let targets = (0..n).map(|_| draws.0.random_range(0..classes)).collect();
    Probe { what, x, targets }
}

fn probes(seed: u64) -> Vec<Probe> {
    let draws = &mut Draws::new(seed);
    [[4, 3], [3, 5], [6, 2]]
        .map(|shape| probe("logits", shape, 2.0, draws))
        .into()
}

/// Logits at which the plain formula overflows or underflows.
fn large(seed: u64) -> Vec<Probe> {
    let draws = &mut Draws::new(seed + 1);
    let mut moved = |what, by: fn(&Probe) -> Array| {
        let mut probe = probe(what, [3, 4], 1.0, draws);
        probe.x = &probe.x + by(&probe);
        probe
    };
    vec![
        moved("logits near 1000,", |_| Array::from(1000.0)),
        moved("logits near -1000,", |_| Array::from(-1000.0)),
        moved("logits with the right class 2000 behind,", |p| {
            p.hot() * -2000.0
        }),
        moved("logits with one row 2000 above the others,", |_| {
            Array::mask([3, 1], |row, _| row == 1) * 2000.0
        }),
    ]
}

/// What is subtracted from each row of logits.
type Shift = fn(&Probe) -> Array;
const LARGEST: Shift = |p| p.x.row_maxima();

impl Probe {
    fn answer(&self, candidate: Candidate<'_>, answer: &mut Found) {
        let (loss, dx) = candidate(&self.x.values(), self.x.length(1), &self.targets);
        answer.set("loss", [loss]);
        answer.set("dx", dx);
    }

    /// 1 at each target.
    fn hot(&self) -> Array {
        let shape = [0, 1].map(|axis| self.x.length(axis));
        Array::mask(shape, |n, class| self.targets[n] == class)
    }

    fn shifted(&self, shift: Shift) -> Array {
        &self.x - shift(self)
    }

    /// The softmax of each row.
    fn p(&self, shift: Shift) -> Array {
        let exp = self.shifted(shift).exp();
        let sums = exp.sum(1);
        exp / sums
    }

    /// The mean over the examples of what each target has.
    fn of_targets(&self, v: &Array) -> f64 {
        v.only(&self.hot()).sum(1).mean(0).total()
    }

    /// The loss, with the logarithm of the quotient resolved.
    fn loss(&self, shift: Shift) -> f64 {
        let sums = self.shifted(shift).exp().sum(1).map(f64::ln);
        self.of_targets(&(Array::from(&sums) - self.shifted(shift)))
    }

    fn right_loss(&self) -> f64 {
        self.loss(LARGEST)
    }

    /// The gradient, from what stands for the softmax.
    fn dx_of(&self, p: &Array) -> Array {
        (p - self.hot()) / self.x.length(0) as f64
    }

    fn right_dx(&self) -> Array {
        self.dx_of(&self.p(LARGEST))
    }

    /// Minus the mean of the targets' logits.
    fn minus_logit(&self) -> f64 {
        -self.of_targets(&self.x)
    }

    /// The mean of the largest logits of the rows.
    fn mean_of_maxima(&self) -> f64 {
        self.x.row_maxima().mean(0).total()
    }
}

/// What a wrong loss may be.
const LOSSES: Formulas<Probe, f64> = slips![
    "summed: the losses are summed; the loss is their mean over the N examples" =>
        |p| p.right_loss() * p.x.length(0) as f64,
    "sign: it has the wrong sign: the loss is minus the logarithm" => |p| -p.right_loss(),
    "maximum-in-the-sum-alone: the largest logit is subtracted in the sum, and must be subtracted from the target's logit too" =>
        |p| p.right_loss() - p.mean_of_maxima(),
    "not-normalized: the exponentials are not divided by their sum" =>
        |p| p.mean_of_maxima() + p.minus_logit(),
    "mean-over-elements: it is divided by the number of elements, and must be divided by the number of examples" =>
        |p| p.right_loss() / p.x.length(1) as f64,
    "logarithm-missing: the probabilities of the targets are averaged, and not their logarithms" =>
        |p| p.of_targets(&p.p(LARGEST)),
    "logit-alone: this is minus the mean of the targets' logits: the logarithm of the sum is missing" =>
        Probe::minus_logit,
    "log-sum-alone: this is the mean logarithm of the sums: the targets' logits are not subtracted" =>
        |p| p.right_loss() - p.minus_logit(),
    "base-two: the logarithm is that of base 2; the natural one is meant" =>
        |p| p.right_loss() / std::f64::consts::LN_2,
];

/// What a wrong gradient may be.
const GRADIENTS: Formulas<Probe, Array> = slips![
    "not-divided: the 1/N of the mean is missing" => |p| p.p(LARGEST) - p.hot(),
    "one-hot-missing: the 1 of the right class is not subtracted: this is the softmax alone" =>
        |p| p.p(LARGEST) / p.x.length(0) as f64,
    "softmax-alone: the 1 of the right class is not subtracted, and the 1/N is missing: this is the softmax" =>
        |p| p.p(LARGEST),
    "not-normalized: the exponentials are not divided by their sum" =>
        |p| p.dx_of(&p.shifted(LARGEST).exp()),
    "sign: it has the wrong sign: softmax minus one-hot" => |p| -p.right_dx(),
    "target-only: only the right class has a gradient; the others push the sum up too" =>
        |p| p.right_dx() * p.hot(),
    "target-missing: the right class has no gradient" =>
        |p| p.right_dx() * p.hot().map(|hot| 1.0 - hot),
    "mean-over-elements: it is divided by the number of elements, and must be divided by the number of examples" =>
        |p| p.right_dx() / p.x.length(1) as f64,
    "through-softmax-twice: softmax minus one-hot went through the derivative of the softmax once more; it has it inside already" =>
        |p| {
            let (p, d) = (p.p(LARGEST), p.right_dx());
            &p * (&d - (&p * &d).sum(1))
        },
];

const OVERFLOW: &str =
    "overflow: the exponentials overflow or vanish; subtract the largest logit of the row first";
const ONE_MAXIMUM: &str = "one-maximum: the exponentials of a row overflow or vanish; subtract from each row its own largest logit, and not one number from the whole batch";
const UNDERFLOW: &str = "underflow: the softmax of the right class underflows to 0, and its logarithm is infinite; resolve the logarithm of the quotient first";
const INEXACT: &str = "inexact: it is finite, and not right, as when logits are clamped or a small number is added in the logarithm; subtract the largest logit of the row, and nothing overflows";

/// The largest logit of the batch, and of its first row.
const OF_BATCH: Shift = |p| p.x.row_maxima().t().row_maxima();
const OF_FIRST_ROW: Shift = |p| p.x.rows(&[0]).row_maxima();

/// What breaks at large logits: what is subtracted, and whether the logarithm is that of a
/// quotient.
const UNSTABLE: [(&str, (Shift, bool)); 7] = [
    (OVERFLOW, (|_| Array::from(0.0), false)),
    (OVERFLOW, (|_| Array::from(0.0), true)),
    (ONE_MAXIMUM, (OF_BATCH, false)),
    (ONE_MAXIMUM, (OF_BATCH, true)),
    (ONE_MAXIMUM, (OF_FIRST_ROW, false)),
    (ONE_MAXIMUM, (OF_FIRST_ROW, true)),
    (UNDERFLOW, (LARGEST, true)),
];

const LOSS: &str = "sec:cross-entropy";
const GRADIENT: &str = "sec:cross-entropy-backward";
const STABLE: &str = "sec:stable";
const AXES: &[Axis] = &[Axis("N", "example"), Axis("classes", "class")];

/// Both functions at small logits.
fn small_part() -> Part<Probe, Found> {
    Part::new("small logits", Order::Together, probes)
        .asks(found!("loss"), LOSS, &[], |p| vec![p.right_loss()])
        .variants(&["loss"], LOSSES, |p, _, wrong| vec![wrong(p)])
        .asks(found!("dx"), GRADIENT, AXES, Probe::right_dx)
        .formulas(&["dx"], GRADIENTS)
}

/// Both at logits where formulas that are equal on paper are not. The right values lose digits
/// of the logits themselves, at their size.
fn large_part() -> Part<Probe, Found> {
    const LOST: f64 = 100.0;
    // The gradient has no logarithm.
    let of_dx = UNSTABLE.iter().filter(|(_, (_, quotient))| !quotient);
    let of_dx: Vec<(&str, Shift)> = of_dx.map(|(text, (shift, _))| (*text, *shift)).collect();
    Part::new("large logits", Order::Together, large)
        .asks(found!("loss"), STABLE, &[], |p| vec![p.right_loss()])
        .cancels(|p| LOST * p.right_loss().abs().max(1.0))
        .variants(&["loss"], &UNSTABLE, |p, _, (shift, quotient)| {
            vec![if *quotient {
                -p.of_targets(&p.p(*shift).map(f64::ln))
            } else {
                p.loss(*shift)
            }]
        })
        .asks(found!("dx"), STABLE, AXES, Probe::right_dx)
        .cancels(|p| LOST * largest(&p.right_dx().values()))
        .variants(&["dx"], &of_dx, |p, _, shift| p.dx_of(&p.p(*shift)).into())
        .explained_by(|_, _, _| Some(Named::of(INEXACT)))
}

#[cfg(test)]
mod tests;
