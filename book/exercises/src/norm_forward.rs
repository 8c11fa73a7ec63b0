//! What the exercises `bn_forward` and `ln_forward` share.
//!
//! Both norms compute the same four stages over groups of values: Batch Norm groups the
//! columns of `x`, Layer Norm its rows. The first wrong stage is where the reader went wrong.

use crate::batch::{Batch, Norm};
use gradcheck::attribution::norm::{Target, explain};
use judge::compare::{ROUNDING, largest};
use judge::{Mistake, Named, Order, Part, field, slips};

/// What a norm computes for `x` of `N` rows; a group is a channel in Batch Norm, a row in
/// Layer Norm.
#[derive(Clone, Debug)]
pub struct Forward {
    /// The mean of each group.
    pub mean: Vec<f64>,
    /// The variance of each group, divided by the number of its values.
    pub var: Vec<f64>,
    /// The normalized values, one for each element of `x`.
    pub x_hat: Vec<f64>,
    /// The output, one for each element of `x`.
    pub y: Vec<f64>,
}

/// `(x, rows, columns, gamma, beta, eps)` to the forward pass.
pub type Candidate<'a> = &'a dyn Fn(&[f64], usize, usize, &[f64], &[f64], f64) -> Forward;

/// Tries a forward pass on a batch.
pub(crate) fn run(candidate: Candidate<'_>) -> impl Fn(&Batch, &mut Forward) {
    move |b, out| {
        let p = &b.probe;
        *out = candidate(&p.x, b.rows(), b.columns(), &p.gamma, &p.beta, p.eps);
    }
}

fn blank(b: &Batch) -> Forward {
    let (groups, all) = (b.rstd.len(), b.probe.x.len());
    Forward {
        mean: vec![0.0; groups],
        var: vec![0.0; groups],
        x_hat: vec![0.0; all],
        y: vec![0.0; all],
    }
}

/// A number that describes some values.
type Statistic = fn(&[f64]) -> f64;

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

fn mean_square(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64
}

fn variance(x: &[f64]) -> f64 {
    let mu = mean(x);
    x.iter().map(|x| (x - mu).powi(2)).sum::<f64>() / x.len() as f64
}

fn scaled(values: &[f64], by: f64) -> Vec<f64> {
    values.iter().map(|v| v * by).collect()
}

/// An index, from row and column.
type At = fn(usize, usize) -> usize;

const ROW: At = |row, _| row;
const COLUMN: At = |_, column| column;

impl Batch {
    /// `f` of what `x` has in each of so many groups, of which `of` tells that of an element.
    fn over(&self, groups: usize, of: impl Fn(usize) -> usize, f: Statistic) -> Vec<f64> {
        let mut values = vec![Vec::new(); groups];
        for (k, x) in self.probe.x.iter().enumerate() {
            values[of(k)].push(*x);
        }
        values.iter().map(|values| f(values)).collect()
    }

    fn each(&self, f: Statistic) -> Vec<f64> {
        self.over(self.rstd.len(), |k| self.group(k), f)
    }

    /// The same along the other axis.
    fn across(&self, f: Statistic) -> Vec<f64> {
        let columns = self.columns();
        if self.norm().of_rows() {
            self.over(columns, |k| k % columns, f)
        } else {
            self.over(self.rows(), |k| k / columns, f)
        }
    }

    /// The same with the index transposed.
    fn transposed(&self, f: Statistic) -> Vec<f64> {
        let (groups, size) = (self.rstd.len(), self.size());
        if self.norm().of_rows() {
            self.over(groups, |k| k % groups, f)
        } else {
            self.over(groups, |k| k / size, f)
        }
    }

    /// The same divided by another number than that of the values.
    fn divided(&self, f: Statistic, divisor: f64) -> Vec<f64> {
        scaled(&self.each(f), self.size() as f64 / divisor)
    }

    pub(crate) fn means(&self) -> Vec<f64> {
        self.each(mean)
    }

    pub(crate) fn variances(&self) -> Vec<f64> {
        self.each(variance)
    }

    /// What each value adds to the mean of its group, and to its variance.
    fn terms(&self, power: i32) -> Vec<(usize, f64)> {
        let means = if power == 1 {
            vec![0.0; self.rstd.len()]
        } else {
            self.means()
        };
        let term = |(k, x): (usize, &f64)| {
            let group = self.group(k);
            (group, (x - means[group]).powi(power) / self.size() as f64)
        };
        self.probe.x.iter().enumerate().map(term).collect()
    }

    /// gamma times `what`, plus beta, each with its own index.
    fn output(&self, what: &[f64], gamma: At, beta: At) -> Vec<f64> {
        let (p, columns) = (&self.probe, self.columns());
        let at = |index: At, k: usize| index(k / columns, k % columns) % columns;
        let y = |k: usize| p.gamma[at(gamma, k)] * what[k] + p.beta[at(beta, k)];
        (0..what.len()).map(y).collect()
    }
}

/// The four stages.
pub(crate) fn part(norm: &'static Norm) -> Part<Batch, Forward> {
    let (s, [groups, _], all) = (&norm.sections, norm.groups(), norm.axes);
    let takes = |what: &str| format!("the {what} of a {} takes all its values", groups[0].1);
    let x_hat = |b: &Batch| b.x_hat.clone();
    let part = Part::new(
        "forward",
        Order::FirstWrong,
        |seed| norm.batches(seed),
        blank,
    )
    .target("mean", s.stages, groups, Batch::means, field!(mean));
    let part = statistic(part, norm, "mean", mean)
        .wrong("mean", s.stages, "sign: it has the wrong sign", |b| {
            scaled(&b.means(), -1.0)
        })
        .sums(&takes("mean"), |b| b.terms(1))
        .target("var", s.stages, groups, Batch::variances, field!(var));
    statistic(part, norm, "var", variance)
        .wrong("var", s.stages, ROOT, |b| {
            b.variances().iter().map(|v| v.sqrt()).collect()
        })
        .wrong("var", "sec:eps", EPS_IN_VAR, |b| {
            b.variances().iter().map(|v| v + b.probe.eps).collect()
        })
        .wrong("var", s.stages, NOT_CENTERED, |b| b.each(mean_square))
        .sums(&takes("variance"), |b| b.terms(2))
        .target("x_hat", s.stages, all, x_hat, field!(x_hat))
        .target("y", s.stages, all, |b| b.probe.y(), field!(y))
        .mistakes_in(s.gamma, &["y"], BY_ROW)
        .wrong("y", s.stages, X_FOR_X_HAT, |b| {
            b.output(&b.probe.x, COLUMN, COLUMN)
        })
        .attributed_by(|b, found, target| match target {
            "y" => Some(explain(&b.probe, Target::Y, found)),
            // It is judged through the output it would lead to, whose paths are not its own.
            "x_hat" => {
                let mut verdict = explain(&b.probe, Target::Y, &b.output(found, COLUMN, COLUMN));
                verdict.paths.clear();
                Some(verdict)
            }
            _ => None,
        })
}

const ROOT: &str = "root: this is the standard deviation; var is its square";
const EPS_IN_VAR: &str = "eps-in-var: eps is already in var; it belongs under the root only";
const NOT_CENTERED: &str =
    "mean-not-subtracted: this is the mean of x²; the mean of x is not subtracted first";
const X_FOR_X_HAT: &str = "x-for-x-hat: x stands where x_hat belongs: y = gamma * x_hat + beta";

const BY_ROW: &[Mistake<Batch>] = slips![
    "gamma-by-row: gamma and beta are indexed by the row; there is one number for each column" =>
        |b, _| b.output(&b.x_hat, ROW, ROW),
    "gamma-by-row: gamma is indexed by the row; there is one number for each column" =>
        |b, _| b.output(&b.x_hat, ROW, COLUMN),
    "beta-by-row: beta is indexed by the row; there is one number for each column" =>
        |b, _| b.output(&b.x_hat, COLUMN, ROW),
];

/// What may be wrong with the last target, which is `of` the values of each group.
fn statistic(
    part: Part<Batch, Forward>,
    norm: &'static Norm,
    target: &'static str,
    of: Statistic,
) -> Part<Batch, Forward> {
    type Wrong = fn(&Batch, Statistic) -> Vec<f64>;
    let (s, whose, [id, other_norm]) = (&norm.sections, norm.whose, norm.across);
    let [(m, group), (n, other)] = norm
        .groups()
        .map(|axes| (axes[0].0.to_lowercase(), axes[0].1));
    let [what, bessel] = match target {
        "mean" => ["the values are", "bessel-mean"],
        _ => ["the squares are", "bessel-statistics"],
    };
    let across = format!(
        "{id}: it is taken over the values of each {other}, as in {other_norm}; there is one for each {group}"
    );
    let everything =
        format!("axes-everything: it is taken over the whole batch; there is one for each {group}");
    let transposed = format!(
        "layout-transposed: it is taken over the wrong elements: {}",
        norm.in_x
    );
    let not_reset = format!(
        "sums-not-reset: the sum over one {group} goes on in the next; it begins with 0 in each"
    );
    let summed = format!("summed: {what} summed and not divided by {n}");
    let bessel = format!(
        "{bessel}: {what} summed and divided by {n} - 1; it describes {whose}, so it is divided by {n}"
    );
    let count = format!("wrong-count: {what} summed and divided by {m}; {whose} has {n} values");
    let wrong: [(&str, &str, Wrong); 8] = [
        (s.layouts, &across, Batch::across),
        // As far as there is a place for each.
        (s.layouts, &across, |b, of| {
            let mut values = b.across(of);
            values.resize(b.rstd.len(), 0.0);
            values
        }),
        (s.layouts, &everything, |b, of| {
            vec![of(&b.probe.x); b.rstd.len()]
        }),
        (s.layouts, &transposed, Batch::transposed),
        (s.stages, &not_reset, |b, of| {
            let mut sum = 0.0;
            let goes_on = |own: &f64| {
                sum += own;
                sum
            };
            b.each(of).iter().map(goes_on).collect()
        }),
        (s.stages, &summed, |b, of| b.divided(of, 1.0)),
        (s.bessel, &bessel, |b, of| {
            b.divided(of, b.size() as f64 - 1.0)
        }),
        (s.stages, &count, |b, of| b.divided(of, b.rstd.len() as f64)),
    ];
    wrong
        .into_iter()
        .fold(part, |part, (section, text, wrong)| {
            part.wrong(target, section, text, move |b| wrong(b, of))
        })
}

/// A mean this many deviations away from zero: `E[x²] - E[x]²` then loses 13 digits.
const OFFSET: f64 = 3e6;
/// The variance may be off by this share there, when it is computed from `x - mean`.
const OFFSET_BOUND: f64 = 1e-6;
const CANCELLATION: Mistake<Batch> = (
    "cancellation: with a mean of 3e6 deviations, E[x²] - E[x]² subtracts two numbers that agree in 13 digits, and the variance is lost. Subtract the mean first, then square",
    |b, _| b.each(|x| mean_square(x) - mean(x).powi(2)),
);

/// Where a one-pass variance loses its digits.
pub(crate) fn far_from_zero(norm: &'static Norm) -> Part<Batch, Forward> {
    let cases = |seed| {
        let shape = if norm.of_rows() { [3, 8] } else { [8, 3] };
        let mut probe = norm.batch(shape, 1e-5, seed * 100 + 99).probe;
        let deviation = largest(&probe.x);
        probe.x.iter_mut().for_each(|x| *x += OFFSET * deviation);
        vec![Batch::of(probe)]
    };
    let [groups, _] = norm.groups();
    Part::new("forward far from zero", Order::Together, cases, blank)
        .target("var", "sec:two-pass", groups, Batch::variances, field!(var))
        .cancels(|b| OFFSET_BOUND / ROUNDING * largest(&b.variances()))
        .mistakes(&["var"], &[CANCELLATION])
        // Which digits are lost depends on the order of the additions.
        .explained_by(|b, found, _| {
            let right = b.variances();
            let lost = |(r, f): (&f64, &f64)| (r - f).abs() <= 0.05 * largest(&right);
            let all_lost = right.iter().zip(&found.var).all(lost);
            all_lost.then(|| Named::of(CANCELLATION.0))
        })
}

#[cfg(test)]
pub(crate) mod tests;
