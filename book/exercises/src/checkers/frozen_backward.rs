//! Checks the exercise `frozen_backward`.

use crate::arrays::{Array, Draws};
use judge::shared::rstd;
use judge::{Axis, Deviation, Formulas, Order, Part, case, exercise, of, slips};

pub use crate::gradients::Gradients;

const SECTION: &str = "sec:cost-frozen";

/// A Batch Norm whose statistics are fixed, with one number per channel of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Frozen {
    /// `[C]`.
    pub gamma: Vec<f64>,
    /// `[C]`.
    pub beta: Vec<f64>,
    /// `[C]`.
    pub running_mean: Vec<f64>,
    /// `[C]`.
    pub running_var: Vec<f64>,
    /// The constant beside the variance.
    pub eps: f64,
}

exercise! {
    /// `(bn, x, dy)` to the gradients.
    check(backward: Fn(&Frozen, &[f64], &[f64]) -> Gradients),
    right: "all three gradients of a frozen layer are right, for a batch of one too",
    parts: [part() => |p, answer| *answer = backward(&p.bn, &p.x.values(), &p.dy.values())],
}

/// A layer, its input and its upstream gradient.
struct Probe {
    bn: Frozen,
    x: Array,
    dy: Array,
}

case!(
    Probe,
    |p| match [p.x.length(0), p.x.length(1)] {
        [1, channels] => format!("one row of {channels} channels"),
        [rows, channels] => format!("{rows} rows of {channels} channels"),
    },
    sizes: ["N": p.x.length(0), "C": p.x.length(1)],
);

const ROWS: &[Axis] = &[Axis("N", "row"), Axis("C", "channel")];
const CHANNELS: &[Axis] = &[Axis("C", "channel")];

/// A frozen layer takes a batch of one, too.
fn probes(seed: u64) -> Vec<Probe> {
    let draws = &mut Draws::new(seed);
    [[4, 3], [6, 2], [1, 5]]
        .map(|shape| Probe::new(shape, draws))
        .into()
}

impl Probe {
    fn new(shape: [usize; 2], draws: &mut Draws) -> Self {
        let channels = shape[1];
        Probe {
            bn: Frozen {
                gamma: draws.numbers(channels, 1.2..2.0),
                beta: draws.numbers(channels, 0.3..0.9),
                running_mean: draws.numbers(channels, -2.0..-0.5),
                running_var: draws.numbers(channels, 0.2..0.8),
                // Large, so that forgetting it shows.
                eps: 0.1,
            },
            x: draws.array(shape, -1.0..3.0),
            dy: draws.array(shape, -1.0..1.5),
        }
    }

    /// `1/deviation`, or what stands in its place.
    fn rstd(&self, rstd: Deviation) -> Array {
        Array::from(&self.bn.running_var).map(|var| rstd(var, self.bn.eps))
    }

    fn centered(&self) -> Array {
        &self.x - &self.bn.running_mean
    }

    fn x_hat(&self) -> Array {
        self.centered() * self.rstd(rstd)
    }

    /// What the batch would be normalized to, and by: a frozen layer does not look at it.
    fn batch(&self) -> (Array, Array) {
        let centered = &self.x - self.x.mean(0);
        let rstd = centered.squared().mean(0).map(|var| rstd(var, self.bn.eps));
        (centered * &rstd, rstd)
    }

    /// The gradient of gamma, with what dy is multiplied by.
    fn dgamma(&self, x_hat: Array) -> Array {
        (x_hat * &self.dy).sum(0)
    }

    /// `gamma rstd dy`, with what stands for dy, and for rstd.
    fn dx(&self, dy: &Array, rstd: Array) -> Array {
        dy * &self.bn.gamma * rstd
    }

    /// The gradient of training, with what it takes for `x_hat` and `rstd`.
    fn trained(&self, (x_hat, rstd): (Array, Array)) -> Array {
        let products = (&x_hat * &self.dy).mean(0);
        self.dx(&(&self.dy - self.dy.mean(0) - x_hat * products), rstd)
    }

    fn right_dx(&self) -> Array {
        self.dx(&self.dy, self.rstd(rstd))
    }
}

const OF_DBETA: Formulas<Probe, Array> = slips![
    "dbeta-averaged: it is divided by N; every row uses beta, so their gradients are added" =>
        |p| p.dy.mean(0),
    "dbeta-slope: it has the slope gamma / sqrt(running_var + eps) of x; beta is added after it" =>
        |p| p.right_dx().sum(0),
    "dbeta-is-dgamma: this is the gradient by gamma" => |p| p.dgamma(p.x_hat()),
];

const OF_DGAMMA: Formulas<Probe, Array> = slips![
    "dgamma-mean-missing: gamma multiplies x_hat, from which running_mean has been subtracted; here it is not" =>
        |p| p.dgamma(&p.x * p.rstd(rstd)),
    "dgamma-rstd-missing: gamma multiplies x_hat, which is divided by the deviation; here x - running_mean is not" =>
        |p| p.dgamma(p.centered()),
    "dgamma-is-of-x: dy is multiplied with x; gamma multiplies x_hat" => |p| p.dgamma(p.x.clone()),
    "dgamma-is-of-y: dy is multiplied with y; gamma multiplies x_hat, before beta is added and gamma itself is there" =>
        |p| p.dgamma(p.x_hat() * &p.bn.gamma + &p.bn.beta),
    "dgamma-of-the-batch: x_hat is normalized by the batch; a frozen layer uses running_mean and running_var" =>
        |p| p.dgamma(p.batch().0),
    "dgamma-averaged: it is divided by N; every row uses gamma, so their gradients are added" =>
        |p| (p.x_hat() * &p.dy).mean(0),
    "dgamma-is-dbeta: this is the gradient by beta" => |p| p.dy.sum(0),
];

const OF_DX: Formulas<Probe, Array> = slips![
    "training-formula: this is the gradient of training, with a mean path and a variance path; the statistics of a frozen layer are constants, and nothing flows through them" =>
        |p| p.trained((p.x_hat(), p.rstd(rstd))),
    "batch-statistics: this is the gradient of training, by the mean and variance of the batch; a frozen layer has normalized by running_mean and running_var, and they are constants" =>
        |p| p.trained(p.batch()),
    "mean-subtracted: the mean of dy is subtracted; that is the path through the mean of the batch, and a frozen layer has none" =>
        |p| p.dx(&(&p.dy - p.dy.mean(0)), p.rstd(rstd)),
    "batch-rstd: the deviation is that of the batch; a frozen layer has divided by that of running_var" =>
        |p| p.dx(&p.dy, p.batch().1),
    "slope-missing: this is dy as it came: each y grows with its x by gamma / sqrt(running_var + eps)" =>
        |p| p.dy.clone(),
    "rstd-missing: the deviation is left out: the slope is gamma / sqrt(running_var + eps)" =>
        |p| &p.dy * &p.bn.gamma,
    "summed: dy is summed over the rows; each x is used by one y only" =>
        |p| p.dx(&(p.dy.filled(1.0) * p.dy.sum(0)), p.rstd(rstd)),
];

fn part() -> Part<Probe, Gradients> {
    Part::<_, Gradients>::new("backward", Order::Together, probes)
        .asks(of!(dbeta), SECTION, CHANNELS, |p| p.dy.sum(0))
        .formulas(&["dbeta"], OF_DBETA)
        .excludes("gamma", "beta is added after the scaling", |p| {
            p.bn.gamma.clone()
        })
        .sums("every row uses beta, so their gradients are added", |p| {
            p.dy.terms(0)
        })
        .asks(of!(dgamma), SECTION, CHANNELS, |p| p.dgamma(p.x_hat()))
        .formulas(&["dgamma"], OF_DGAMMA)
        .deviation(|p, wrong| p.dgamma(p.centered() * p.rstd(wrong)).into())
        .excludes(
            "gamma",
            "the derivative of gamma * x_hat with respect to gamma is x_hat",
            |p| p.bn.gamma.clone(),
        )
        .sums("every row uses gamma, so their gradients are added", |p| {
            (p.x_hat() * &p.dy).terms(0)
        })
        .asks(of!(dx), SECTION, ROWS, Probe::right_dx)
        .formulas(&["dx"], OF_DX)
        .deviation(|p, wrong| p.dx(&p.dy, p.rstd(wrong)).into())
        .contains(
            "gamma",
            "the slope is gamma / sqrt(running_var + eps)",
            |p| (p.dy.filled(1.0) * &p.bn.gamma).into(),
        )
}

#[cfg(test)]
mod tests;
