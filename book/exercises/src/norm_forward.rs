//! What the exercises `bn_forward` and `ln_forward` share.
//!
//! Both norms compute the same four stages over groups of values: Batch Norm groups the
//! columns of `x`, Layer Norm its rows. The first wrong stage is where the reader went wrong.

use crate::arrays::Array;
use crate::batch::{At, Batch, COLUMN, Norm, ROW, carried};
use gradcheck::attribution::norm::{Target, explain};
use judge::compare::{ROUNDING, largest};
use judge::{Formulas, Named, Order, Part, Slip, Terms, of, slips};

/// What a norm computes for `x` of `N` rows; a group is a channel in Batch Norm, a row in
/// Layer Norm.
#[derive(Clone, Debug, Default)]
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

/// A number that describes the values along an axis.
type Statistic = fn(&Array, usize) -> Array;

const MEAN: Statistic = Array::mean;
const MEAN_SQUARE: Statistic = |x, axis| x.squared().mean(axis);
const VARIANCE: Statistic = |x, axis| (x - x.mean(axis)).squared().mean(axis);

impl Batch {
    /// The statistic of each group.
    fn each(&self, of: Statistic) -> Array {
        of(&self.x(), self.along())
    }

    /// The same divided by another number than that of the values.
    fn divided(&self, of: Statistic, divisor: usize) -> Array {
        self.each(of) * (self.size() as f64 / divisor as f64)
    }

    pub(crate) fn means(&self) -> Array {
        self.each(MEAN)
    }

    pub(crate) fn variances(&self) -> Array {
        self.each(VARIANCE)
    }

    /// What each value adds to a mean over its group.
    fn terms(&self, values: &Array) -> Terms {
        (values / self.size() as f64).terms(self.along())
    }

    /// gamma times `what`, plus beta, each with its own index.
    fn output(&self, what: &Array, gamma: At, beta: At) -> Array {
        let [gamma, beta] = [(&self.probe.gamma, gamma), (&self.probe.beta, beta)]
            .map(|(values, at)| self.picked(values, at));
        what * gamma + beta
    }
}

/// The four stages.
pub(crate) fn part(norm: &'static Norm) -> Part<Batch, Forward> {
    let (s, [groups, _], all) = (&norm.sections, norm.groups(), norm.axes);
    let takes = |what: &str| format!("the {what} of a {} takes all its values", groups[0].1);
    let part = Part::<_, Forward>::new("forward", Order::FirstWrong, |seed| norm.batches(seed))
        .asks(of!(mean), s.stages, groups, Batch::means);
    let part = statistic(part, norm, "mean", MEAN)
        .formulas(&["mean"], SIGN)
        .sums(&takes("mean"), |b| b.terms(&b.x()))
        .asks(of!(var), s.stages, groups, Batch::variances);
    statistic(part, norm, "var", VARIANCE)
        .formulas(&["var"], ROOT)
        .formulas_in("sec:eps", &["var"], EPS_IN_VAR)
        .formulas(&["var"], NOT_CENTERED)
        .sums(&takes("variance"), |b| {
            b.terms(&(b.x() - b.means()).squared())
        })
        .asks(of!(x_hat), s.stages, all, Batch::x_hat)
        .asks(of!(y), s.stages, all, |b| b.probe.y())
        .formulas_in(s.gamma, &["y"], BY_ROW)
        .formulas(&["y"], X_FOR_X_HAT)
        .attributed_by(|b, found, target| match target {
            "y" => Some(explain(&b.probe, Target::Y, found)),
            // It is judged through the output it would lead to, whose paths are not its own.
            "x_hat" if found.len() == b.probe.x.len() => {
                let y = b.output(&b.table(found), COLUMN, COLUMN).values();
                let mut verdict = explain(&b.probe, Target::Y, &y);
                verdict.paths.clear();
                Some(verdict)
            }
            _ => None,
        })
}

type Table = Formulas<Batch, Array>;

const SIGN: Table = slips!["sign: it has the wrong sign" => |b| -b.means()];
const ROOT: Table = slips![
    "root: this is the standard deviation; var is its square" => |b| b.variances().map(f64::sqrt),
];
const EPS_IN_VAR: Table = slips![
    "eps-in-var: eps is already in var; it belongs under the root only" =>
        |b| b.variances() + b.probe.eps,
];
const NOT_CENTERED: Table = slips![
    "mean-not-subtracted: this is the mean of x²; the mean of x is not subtracted first" =>
        |b| b.each(MEAN_SQUARE),
];
const X_FOR_X_HAT: Table = slips![
    "x-for-x-hat: x stands where x_hat belongs: y = gamma * x_hat + beta" =>
        |b| b.output(&b.x(), COLUMN, COLUMN),
];
const BY_ROW: Table = slips![
    "gamma-by-row: gamma and beta are indexed by the row; there is one number for each column" =>
        |b| b.output(&b.x_hat(), ROW, ROW),
    "gamma-by-row: gamma is indexed by the row; there is one number for each column" =>
        |b| b.output(&b.x_hat(), ROW, COLUMN),
    "beta-by-row: beta is indexed by the row; there is one number for each column" =>
        |b| b.output(&b.x_hat(), COLUMN, ROW),
];

/// What may be wrong with the last target, which is `of` the values of each group.
fn statistic(
    part: Part<Batch, Forward>,
    norm: &'static Norm,
    target: &'static str,
    of: Statistic,
) -> Part<Batch, Forward> {
    type Wrong = fn(&Batch, Statistic) -> Array;
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
        (s.layouts, &across, |b, of| of(&b.x(), 1 - b.along())),
        // As far as there is a place for each.
        (s.layouts, &across, |b, of| {
            let mut values = of(&b.x(), 1 - b.along()).values();
            values.resize(b.groups(), 0.0);
            Array::from(&values)
        }),
        (s.layouts, &everything, |b, of| {
            let all = b.x().reshaped([b.probe.x.len()]);
            b.means().filled(of(&all, 0).total())
        }),
        (s.layouts, &transposed, |b, of| {
            of(&b.transposed(&b.x()), b.along())
        }),
        (s.stages, &not_reset, |b, of| carried(&b.each(of), 1.0)),
        (s.stages, &summed, |b, of| b.divided(of, 1)),
        (s.bessel, &bessel, |b, of| b.divided(of, b.size() - 1)),
        (s.stages, &count, |b, of| b.divided(of, b.groups())),
    ];
    wrong
        .into_iter()
        .fold(part, |part, (section, text, wrong)| {
            part.wrong(target, section, text, move |b| wrong(b, of).into())
        })
}

/// A mean this many deviations away from zero: `E[x²] - E[x]²` then loses 13 digits.
const OFFSET: f64 = 3e6;
/// The variance may be off by this share there, when it is computed from `x - mean`.
const OFFSET_BOUND: f64 = 1e-6;
const CANCELLATION: Slip<fn(&Batch) -> Array> = (
    "cancellation: with a mean of 3e6 deviations, E[x²] - E[x]² subtracts two numbers that agree in 13 digits, and the variance is lost. Subtract the mean first, then square",
    |b| b.each(|x, axis| MEAN_SQUARE(x, axis) - MEAN(x, axis).squared()),
);

/// Where a one-pass variance loses its digits.
pub(crate) fn far_from_zero(norm: &'static Norm) -> Part<Batch, Forward> {
    let cases = |seed| {
        let shape = if norm.of_rows() { [3, 8] } else { [8, 3] };
        let mut batch = norm.batch(shape, 1e-5, seed * 100 + 99);
        let x = &mut batch.probe.x;
        let deviation = largest(x);
        x.iter_mut().for_each(|x| *x += OFFSET * deviation);
        vec![batch]
    };
    let [groups, _] = norm.groups();
    Part::<_, Forward>::new("forward far from zero", Order::Together, cases)
        .asks(of!(var), "sec:two-pass", groups, Batch::variances)
        .cancels(|b| OFFSET_BOUND / ROUNDING * largest(&b.variances().values()))
        .formulas(&["var"], &[CANCELLATION])
        // Which digits are lost depends on the order of the additions.
        .explained_by(|b, found, _| {
            let right = b.variances().values();
            let lost = |(r, f): (&f64, &f64)| (r - f).abs() <= 0.05 * largest(&right);
            let all_lost = right.iter().zip(&found.var).all(lost);
            all_lost.then(|| Named::of(CANCELLATION.0))
        })
}

#[cfg(test)]
pub(crate) mod tests;
