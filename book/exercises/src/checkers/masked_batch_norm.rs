//! Checks the exercise `masked_batch_norm`.

use crate::arrays::{Array, Draws};
use judge::shared::rstd;
use judge::{Axis, Deviation, Differences, Formulas, Order, Part, Slip, case, exercise, of, slips};

const EPS: f64 = 1e-5;

/// A padded batch `[R, C]`: R positions, row by row, of which the mask counts some.
#[derive(Clone, Debug)]
pub struct Batch {
    /// C.
    pub channels: usize,
    /// `[R, C]`.
    pub x: Vec<f64>,
    /// `[R]`: whether a position counts.
    pub mask: Vec<bool>,
    /// `[C]`.
    pub gamma: Vec<f64>,
    /// `[C]`.
    pub beta: Vec<f64>,
    /// Under the root.
    pub eps: f64,
}

/// What is to be computed.
#[derive(Clone, Debug, Default)]
pub struct Stages {
    /// `[C]`.
    pub mean: Vec<f64>,
    /// `[C]`, divided by the count.
    pub var: Vec<f64>,
    /// `[R, C]`, 0 at the padding.
    pub y: Vec<f64>,
    /// `[C]`.
    pub dgamma: Vec<f64>,
    /// `[C]`.
    pub dbeta: Vec<f64>,
    /// `[R, C]`.
    pub dx: Vec<f64>,
}

impl Stages {
    /// Zeros of the right lengths.
    #[must_use]
    pub fn zeros(batch: &Batch) -> Self {
        let (channel, value) = (vec![0.0; batch.channels], vec![0.0; batch.x.len()]);
        Stages {
            mean: channel.clone(),
            var: channel.clone(),
            y: value.clone(),
            dgamma: channel.clone(),
            dbeta: channel,
            dx: value,
        }
    }
}

exercise! {
    /// `(batch, dy)` to all stages.
    check(forward_and_backward: Fn(&Batch, &[f64]) -> Stages),
    right: "every stage is right whatever stands in the padding, and finite differences confirm it",
    parts: [part() => |p, answer| *answer = forward_and_backward(&p.batch, &p.dy)],
}

/// A batch, and what is given backward.
#[derive(Clone)]
struct Probe {
    batch: Batch,
    dy: Vec<f64>,
    /// What stands in the padding of x.
    padding: f64,
}

case!(
    Probe,
    |p| {
        let (all, count) = (p.all(), p.count());
        format!("{all} positions, of which {count} count, and {} in the padding", p.padding)
    },
    sizes: ["R": p.batch.mask.len(), "M": p.count() as usize, "C": p.batch.channels],
);

const POSITIONS: &[Axis] = &[Axis("R", "position"), Axis("C", "channel")];
const CHANNELS: &[Axis] = &[Axis("C", "channel")];

/// Values far from zero, so that padding of zeros would be seen; the padding itself is
/// something else in each. Last it is NaN, in dy too, which only what leaves it out survives.
fn probes(seed: u64) -> Vec<Probe> {
    let draws = &mut Draws::new(seed);
    // The mask of three sequences of 4, 2 and 3 steps, and of four others.
    let masks: [&[usize]; 2] = [&[4, 2, 3], &[1, 5, 3, 2]];
    let cases = [
        (masks[0], 0.0),
        (masks[1], 7.0),
        (masks[0], -3.0),
        (masks[1], f64::NAN),
    ];
    let case = |(lengths, padding): (&[usize], f64)| {
        let steps = lengths.iter().max().copied().unwrap_or(0);
        let mask = lengths.iter().flat_map(|&n| (0..steps).map(move |t| t < n));
        let mask: Vec<bool> = mask.collect();
        let channels = 3;
        let mut x = draws.numbers(mask.len() * channels, 1.0..4.0);
        let mut dy = draws.numbers(mask.len() * channels, -1.0..1.0);
        let padded = (0..x.len()).filter(|at| !mask[at / channels]);
        for at in padded {
            x[at] = padding;
            if padding.is_nan() {
                dy[at] = padding;
            }
        }
        let batch = Batch {
            channels,
            x,
            mask,
            gamma: draws.numbers(channels, 0.5..2.0),
            beta: draws.numbers(channels, 0.5..1.0),
            eps: EPS,
        };
        Probe { batch, dy, padding }
    };
    cases.map(case).into()
}

impl Probe {
    /// Values of all positions, `[R, C]`.
    fn rows(&self, values: &[f64]) -> Array {
        Array::new([self.batch.mask.len(), self.batch.channels], values)
    }

    fn x(&self) -> Array {
        self.rows(&self.batch.x)
    }

    /// 1 at the positions that count, `[R, 1]`.
    fn mask(&self) -> Array {
        Array::mask([self.batch.mask.len(), 1], |r, _| self.batch.mask[r])
    }

    /// M.
    fn count(&self) -> f64 {
        self.mask().total()
    }

    /// R.
    fn all(&self) -> f64 {
        self.batch.mask.len() as f64
    }

    /// The positions that count.
    fn counting(&self, v: &Array) -> Array {
        let rows = (0..self.batch.mask.len()).filter(|r| self.batch.mask[*r]);
        v.rows(&rows.collect::<Vec<_>>())
    }

    fn sum(&self, v: &Array) -> Array {
        self.counting(v).sum(0)
    }

    /// The sum over all positions, those of the padding times 0.
    fn sum_multiplied(&self, v: &Array) -> Array {
        (v * self.mask()).sum(0)
    }

    fn mean(&self) -> Array {
        self.sum(&self.x()) / self.count()
    }

    fn squares(&self) -> Array {
        (self.x() - self.mean()).squared()
    }

    fn var(&self) -> Array {
        self.sum(&self.squares()) / self.count()
    }

    /// `1/deviation`, or what stands in its place.
    fn rstd(&self, rstd: Deviation) -> Array {
        self.var().map(|var| rstd(var, self.batch.eps))
    }

    fn x_hat(&self, deviation: Deviation) -> Array {
        (self.x() - self.mean()) * self.rstd(deviation)
    }

    /// At the padding too.
    fn y(&self, deviation: Deviation) -> Array {
        self.x_hat(deviation) * &self.batch.gamma + &self.batch.beta
    }

    fn right_y(&self) -> Array {
        self.y(rstd).only(&self.mask())
    }

    /// What each position adds to the gradient of a parameter.
    fn adds(&self, target: &str) -> Array {
        let dy = self.rows(&self.dy);
        match target {
            "dgamma" => dy * self.x_hat(rstd),
            _ => dy,
        }
    }

    /// `gamma rstd (dy - a - x_hat b)`, from what is taken for the means of dy and of dy x_hat,
    /// each with its weight; at the padding too.
    fn dx(&self, mean: Mean, weights: [f64; 2], deviation: Deviation) -> Array {
        let [a, b] = [("dbeta", weights[0]), ("dgamma", weights[1])]
            .map(|(target, weight)| mean(self, &self.adds(target)) * weight);
        let inner = self.rows(&self.dy) - a - self.x_hat(rstd) * b;
        inner * self.rstd(deviation) * &self.batch.gamma
    }

    fn right_dx(&self) -> Array {
        self.dx(MEAN, [1.0; 2], rstd).only(&self.mask())
    }
}

/// What is taken for the mean of what each position adds.
type Mean = fn(&Probe, &Array) -> Array;
const MEAN: Mean = |p, v| p.sum(v) / p.count();

const MASKED: &str = "sec:masked";
const THREE_TERMS: &str = "sec:three-terms";

const MULTIPLIED: &str = "padding-multiplied: NaN in the padding gets in; NaN times 0 is NaN, so leave the padding out and do not multiply it by 0";
const STAYS: &str = "padding-multiplied: NaN in the padding stays: NaN times 0 is NaN, so write 0 there and do not multiply by 0";
const DIVIDED_BY_ALL: &str =
    "padding-counted: it is divided by the number of all positions: only those that count are M";

const OF_MEAN: Formulas<Probe, Array> = slips![
    DIVIDED_BY_ALL => |p| p.sum(&p.x()) / p.all(),
    "padding-included: the padding is added up too: what stands there means nothing" =>
        |p| p.x().mean(0),
    "padding-added: it is divided by M, but the padding is added up too: add up what counts only" =>
        |p| p.x().sum(0) / p.count(),
    MULTIPLIED => |p| p.sum_multiplied(&p.x()) / p.count(),
];

const OF_VAR: Formulas<Probe, Array> = slips![
    DIVIDED_BY_ALL => |p| p.sum(&p.squares()) / p.all(),
    "padding-included: the squares of the padding are added up too: what stands there means nothing" =>
        |p| p.squares().sum(0) / p.count(),
    "padding-is-zero: padding counts as a value of 0, which is far from the mean: it is no value at all" =>
        |p| (p.x().only(&p.mask()) - p.mean()).squared().sum(0) / p.count(),
];

const BESSEL: Formulas<Probe, Array> = slips![
    "bessel: it is divided by M - 1: the variance of a batch is divided by M" =>
        |p| p.var() * p.count() / (p.count() - 1.0),
];

const OF_Y: Formulas<Probe, Array> = slips![
    "padding-written: the padding is normalized too: the output there must be 0" => |p| p.y(rstd),
    "padding-is-beta: at the padding stands beta: the mask comes last, and the output there must be 0" =>
        |p| p.x_hat(rstd).only(&p.mask()) * &p.batch.gamma + &p.batch.beta,
    STAYS => |p| p.y(rstd) * p.mask(),
    "gamma-forgotten: gamma is missing" =>
        |p| (p.x_hat(rstd) + &p.batch.beta).only(&p.mask()),
    "beta-forgotten: beta is missing" =>
        |p| (p.x_hat(rstd) * &p.batch.gamma).only(&p.mask()),
];

/// What is taken for the sum of what each position adds to the gradient of a parameter.
const SUMS: &[Slip<Mean>] = slips![
    "padding-included: the padding is added up too: y is 0 there, whatever the parameter is" =>
        |_, v| v.sum(0),
    "averaged: it is divided by M: every position that counts uses it, so its gradient is a sum" =>
        MEAN,
    "padding-multiplied: NaN in the padding of dy gets in: NaN times 0 is NaN, so leave the padding out and do not multiply it by 0" =>
        Probe::sum_multiplied,
];

const OF_DX: Formulas<Probe, Array> = slips![
    "padding-gets-a-gradient: the padding receives a gradient: nothing depends on it, so it must be 0 there" =>
        |p| p.dx(MEAN, [1.0; 2], rstd),
    STAYS => |p| p.dx(MEAN, [1.0; 2], rstd) * p.mask(),
];

const CENTERED: Formulas<Probe, Array> = slips![
    "centered-for-x-hat: dy is multiplied by x - mean, and must be multiplied by x_hat" =>
        |p| p.sum(&p.adds("dgamma")) / p.rstd(rstd),
];

const WITHOUT_RSTD: Formulas<Probe, Array> = slips![
    "rstd-forgotten: rstd is missing: x_hat = (x - mean) * rstd" =>
        |p| p.dx(MEAN, [1.0; 2], |_, _| 1.0).only(&p.mask()),
];

/// What is taken for the means in dx.
const MEANS: &[Slip<Mean>] = slips![
    "padding-counted: the two sums are divided by the number of all positions: only those that count are M" =>
        |p, v| p.sum(v) / p.all(),
    "padding-in-the-means: dy of the padding is in the two sums: y is 0 there, so nothing comes back from it" =>
        |p, v| v.sum(0) / p.count(),
    "padding-multiplied: NaN in the padding of dy gets into the two sums: NaN times 0 is NaN, so leave the padding out and do not multiply it by 0" =>
        |p, v| p.sum_multiplied(v) / p.count(),
];

/// Wrong weights of the two means.
const WEIGHTS: Formulas<Probe, [f64; 2]> = slips![
    "sums-for-means: the two sums are not divided by M" =>
        |p| [p.count(); 2],
    "mean-path-missing: the path through the mean is missing" => |_| [0.0, 1.0],
    "variance-path-missing: the path through the variance is missing" => |_| [1.0, 0.0],
    "both-paths-missing: the paths through mean and variance are missing: this is the gradient of a frozen layer" =>
        |_| [0.0; 2],
];

fn part() -> Part<Probe, Stages> {
    const ALL_USE_IT: &str = "every position that counts uses it";
    Part::<_, Stages>::new("forward_and_backward", Order::FirstWrong, probes)
        .asks(of!(mean), MASKED, CHANNELS, Probe::mean)
        .sums("every position that counts adds its value", |p| {
            (p.counting(&p.x()) / p.count()).terms(0)
        })
        .formulas(&["mean"], OF_MEAN)
        .asks(of!(var), MASKED, CHANNELS, Probe::var)
        .sums(
            "every position that counts adds its squared distance from the mean",
            |p| (p.counting(&p.squares()) / p.count()).terms(0),
        )
        .formulas(&["var"], OF_VAR)
        .formulas_in("sec:unbiased", &["var"], BESSEL)
        .wrong("var", MASKED, MULTIPLIED, |p| {
            (p.sum_multiplied(&p.squares()) / p.count()).into()
        })
        .asks(of!(y), MASKED, POSITIONS, Probe::right_y)
        .deviation(|p, wrong| p.y(wrong).only(&p.mask()).into())
        .formulas(&["y"], OF_Y)
        .asks(of!(dgamma), MASKED, CHANNELS, |p| p.sum(&p.adds("dgamma")))
        .sums(ALL_USE_IT, |p| p.counting(&p.adds("dgamma")).terms(0))
        .excludes(
            "gamma",
            "the derivative of gamma * x_hat with respect to gamma is x_hat",
            |p| p.batch.gamma.clone(),
        )
        .formulas(&["dgamma"], CENTERED)
        .asks(of!(dbeta), MASKED, CHANNELS, |p| p.sum(&p.adds("dbeta")))
        .sums(ALL_USE_IT, |p| p.counting(&p.adds("dbeta")).terms(0))
        .excludes("gamma", "beta is added behind gamma", |p| {
            p.batch.gamma.clone()
        })
        .variants(&["dgamma", "dbeta"], SUMS, |p, target, sum| {
            sum(p, &p.adds(target)).into()
        })
        .asks(of!(dx), MASKED, POSITIONS, Probe::right_dx)
        .formulas(&["dx"], OF_DX)
        .contains("gamma", "y = gamma * x_hat + beta", |p| {
            (p.x().filled(1.0) * &p.batch.gamma).into()
        })
        .formulas(&["dx"], WITHOUT_RSTD)
        .deviation(|p, wrong| p.dx(MEAN, [1.0; 2], wrong).only(&p.mask()).into())
        .variants(&["dx"], MEANS, |p, _, mean| {
            p.dx(*mean, [1.0; 2], rstd).only(&p.mask()).into()
        })
        .variants_in(THREE_TERMS, &["dx"], WEIGHTS, |p, _, weights| {
            p.dx(MEAN, weights(p), rstd).only(&p.mask()).into()
        })
        .differentiates(Differences {
            name: "masked Batch Norm",
            case: |seed| probes(seed).swap_remove(0),
            inputs: vec![
                ("x", |p| &mut p.batch.x),
                ("gamma", |p| &mut p.batch.gamma),
                ("beta", |p| &mut p.batch.beta),
            ],
            dy: |p| &mut p.dy,
            y: |p| p.right_y().into(),
        })
}

#[cfg(test)]
mod tests;
