//! What the exercises `bn_forward` and `ln_forward` share.
//!
//! Both norms compute the same four stages over groups of values: Batch Norm groups the
//! columns of `x`, Layer Norm its rows. The first wrong stage is where the reader went wrong.

use crate::batch::{Batch, elements};
use crate::compare::largest;
use crate::engine::{Axis, Named, Order, Part, field};
use gradcheck::attribution::norm::{Kind, Target, explain};

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

/// The values of a batch, in groups.
type Groups = Vec<Vec<f64>>;

impl Batch {
    fn of_rows(&self) -> bool {
        self.probe.kind != Kind::Batch
    }

    fn along(&self, rows: bool) -> Groups {
        let (x, columns) = (&self.probe.x, self.columns());
        if rows {
            return x.chunks_exact(columns).map(<[f64]>::to_vec).collect();
        }
        let column = |c: usize| x.iter().skip(c).step_by(columns).copied().collect();
        (0..columns).map(column).collect()
    }

    fn groups(&self) -> Groups {
        self.along(self.of_rows())
    }

    /// The groups along the other axis.
    fn others(&self) -> Groups {
        self.along(!self.of_rows())
    }

    /// The groups with the index transposed.
    fn transposed(&self) -> Groups {
        let (groups, size) = (self.rstd.len(), self.size_of_group());
        let at = |g: usize, k: usize| {
            if self.of_rows() {
                k * groups + g
            } else {
                g * size + k
            }
        };
        let group = |g: usize| (0..size).map(|k| self.probe.x[at(g, k)]).collect();
        (0..groups).map(group).collect()
    }

    fn size_of_group(&self) -> usize {
        self.probe.x.len() / self.rstd.len()
    }

    /// `f` of all values, in the place of each group.
    fn whole(&self, f: Statistic) -> Vec<f64> {
        vec![f(&self.probe.x); self.rstd.len()]
    }

    /// What each value adds to the statistic of its group.
    fn terms(&self, power: i32) -> Vec<(usize, f64)> {
        let (columns, size) = (self.columns(), self.size_of_group() as f64);
        let of = |k: usize| {
            if self.of_rows() {
                k / columns
            } else {
                k % columns
            }
        };
        let means = if power == 1 {
            vec![0.0; self.rstd.len()]
        } else {
            self.means()
        };
        let x = self.probe.x.iter().enumerate();
        x.map(|(k, x)| (of(k), (x - means[of(k)]).powi(power) / size))
            .collect()
    }

    pub(crate) fn means(&self) -> Vec<f64> {
        each(&self.groups(), mean)
    }

    pub(crate) fn variances(&self) -> Vec<f64> {
        each(&self.groups(), variance)
    }

    /// gamma times `what`, plus beta, each with its own index, from row and column.
    fn output(&self, what: &[f64], gamma: At, beta: At) -> Vec<f64> {
        let (p, columns) = (&self.probe, self.columns());
        let at = |index: At, k: usize| index(k / columns, k % columns) % columns;
        let y = |k: usize| p.gamma[at(gamma, k)] * what[k] + p.beta[at(beta, k)];
        (0..what.len()).map(y).collect()
    }
}

type Statistic = fn(&[f64]) -> f64;

type At = fn(usize, usize) -> usize;

const ROW: At = |row, _| row;
const COLUMN: At = |_, column| column;

fn each(groups: &Groups, f: Statistic) -> Vec<f64> {
    groups.iter().map(|group| f(group)).collect()
}

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

/// How to speak of a norm.
struct Words {
    kind: Kind,
    groups: &'static [Axis],
    /// A group, and what the statistics describe.
    group: &'static str,
    whose: &'static str,
    /// What counts the values of a group, and the groups.
    letters: [&'static str; 2],
    /// What the groups along the other axis are, the norm that has them, and their mistake.
    other: [&'static str; 3],
    at: &'static str,
    /// The sections on the stages, on layouts, on gamma and beta, and on dividing by N - 1.
    stages: &'static str,
    layouts: &'static str,
    identity: &'static str,
    bessel: &'static str,
}

const BATCH: Words = Words {
    kind: Kind::Batch,
    groups: &[Axis("C", "channel")],
    group: "channel",
    whose: "this batch",
    letters: ["n", "c"],
    other: ["example", "Layer Norm", "axes-per-example"],
    at: "example i of channel ch is x[i * c + ch]",
    stages: "sec:bn-stages",
    layouts: "sec:bn-layouts",
    identity: "sec:identity",
    bessel: "sec:unbiased",
};

const LAYER: Words = Words {
    kind: Kind::Layer,
    groups: &[Axis("N", "row")],
    group: "row",
    whose: "this row",
    letters: ["d", "n"],
    other: ["feature", "Batch Norm", "axes-per-feature"],
    at: "feature i of row r is x[r * d + i]",
    stages: "sec:ln-stages",
    layouts: "sec:ln-layouts",
    identity: "sec:ln-identity",
    bessel: "sec:ln-stages",
};

/// The four stages.
pub(crate) fn part(kind: Kind) -> Part<Batch, Forward> {
    let (w, cases): (Words, fn(u64) -> Vec<Batch>) = match kind {
        Kind::Batch => (BATCH, |seed| Batch::all(Kind::Batch, seed)),
        Kind::Layer | Kind::Rms => (LAYER, |seed| Batch::all(Kind::Layer, seed)),
    };
    let part = Part::new("forward", Order::FirstWrong, cases, blank).target(
        "mean",
        w.stages,
        w.groups,
        Batch::means,
        field!(mean),
    );
    let part = statistic(part, &w, "mean", mean)
        .mistake(&["mean"], "sign", "it has the wrong sign", |b, _| {
            scaled(&b.means(), -1.0)
        })
        .sums(
            &format!("the mean of a {} takes all its values", w.group),
            |b| b.terms(1),
        )
        .target("var", w.stages, w.groups, Batch::variances, field!(var));
    let part = statistic(part, &w, "var", variance)
        .mistake(
            &["var"],
            "root",
            "this is the standard deviation; var is its square",
            |b, _| b.variances().iter().map(|v| v.sqrt()).collect(),
        )
        .mistake_in(
            "sec:eps",
            &["var"],
            "eps-in-var",
            "eps is already in var; it belongs under the root only",
            |b, _| b.variances().iter().map(|v| v + b.probe.eps).collect(),
        )
        .mistake(
            &["var"],
            "mean-not-subtracted",
            "this is the mean of x²; the mean of x is not subtracted first",
            |b, _| each(&b.groups(), mean_square),
        )
        .sums(
            &format!("the variance of a {} takes all its values", w.group),
            |b| b.terms(2),
        )
        .target(
            "x_hat",
            w.stages,
            elements(w.kind),
            |b| b.x_hat.clone(),
            field!(x_hat),
        )
        .target("y", w.stages, elements(w.kind), |b| b.probe.y(), field!(y));
    let section = if kind == Kind::Batch {
        w.identity
    } else {
        w.layouts
    };
    let by_row =
        |which: &str| format!("{which} indexed by the row; there is one number for each column");
    part.mistake_in(
        section,
        &["y"],
        "gamma-by-row",
        &by_row("gamma and beta are"),
        |b, _| b.output(&b.x_hat, ROW, ROW),
    )
    .mistake_in(
        section,
        &["y"],
        "gamma-by-row",
        &by_row("gamma is"),
        |b, _| b.output(&b.x_hat, ROW, COLUMN),
    )
    .mistake_in(
        section,
        &["y"],
        "beta-by-row",
        &by_row("beta is"),
        |b, _| b.output(&b.x_hat, COLUMN, ROW),
    )
    .mistake(
        &["y"],
        "x-for-x-hat",
        "x stands where x_hat belongs: y = gamma * x_hat + beta",
        |b, _| b.output(&b.probe.x, COLUMN, COLUMN),
    )
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

/// What may be wrong with the last target, which is `of` the values of each group.
fn statistic(
    part: Part<Batch, Forward>,
    w: &Words,
    target: &'static str,
    of: Statistic,
) -> Part<Batch, Forward> {
    let [letter, other] = w.letters;
    let what = if target == "mean" {
        "the values are"
    } else {
        "the squares are"
    };
    let bessel = if target == "mean" {
        "bessel-mean"
    } else {
        "bessel-statistics"
    };
    let whose = w.whose;
    let [across, norm, id] = w.other;
    let over = format!(
        "it is taken over the values of each {across}, as in {norm}; there is one for each {}",
        w.group
    );
    part.knows(target, id, &over, w.layouts, move |b| each(&b.others(), of))
        .knows(target, id, &over, w.layouts, move |b| {
            // As far as there is a place for each.
            let mut values = each(&b.others(), of);
            values.resize(b.rstd.len(), 0.0);
            values
        })
        .knows(target, "axes-everything", &format!("it is taken over the whole batch; there is one for each {}", w.group), w.layouts, move |b| b.whole(of))
        .knows(target, "layout-transposed", &format!("it is taken over the wrong elements: {}", w.at), w.layouts, move |b| each(&b.transposed(), of))
        .knows(target, "sums-not-reset", &format!("the sum over one {group} goes on in the next; it begins with 0 in each", group = w.group), w.stages, move |b| {
            each(&b.groups(), of).iter().scan(0.0, |sum, own| Some({ *sum += own; *sum })).collect()
        })
        .knows(target, "summed", &format!("{what} summed and not divided by {letter}"), w.stages, move |b| divided(b, of, 1.0))
        .knows(target, bessel, &format!("{what} summed and divided by {letter} - 1; it describes {whose}, so it is divided by {letter}"), w.bessel, move |b| {
            divided(b, of, b.size_of_group() as f64 - 1.0)
        })
        .knows(target, "wrong-count", &format!("{what} summed and divided by {other}; {whose} has {letter} values"), w.stages, move |b| {
            divided(b, of, b.rstd.len() as f64)
        })
}

/// A statistic divided by another number than that of its values.
fn divided(b: &Batch, of: Statistic, divisor: f64) -> Vec<f64> {
    scaled(&each(&b.groups(), of), b.size_of_group() as f64 / divisor)
}

fn scaled(values: &[f64], by: f64) -> Vec<f64> {
    values.iter().map(|v| v * by).collect()
}

/// A mean this many deviations away from zero: `E[x²] - E[x]²` then loses 13 digits.
const OFFSET: f64 = 3e6;
/// The variance may be off by this share there, when it is computed from `x - mean`.
const OFFSET_BOUND: f64 = 1e-6;
const CANCELLATION: (&str, &str) = (
    "cancellation",
    "with a mean of 3e6 deviations, E[x²] - E[x]² subtracts two numbers that agree in 13 digits, and the variance is lost. Subtract the mean first, then square",
);

/// Where a one-pass variance loses its digits.
pub(crate) fn far_from_zero(kind: Kind) -> Part<Batch, Forward> {
    let (cases, groups): (fn(u64) -> Vec<Batch>, _) = match kind {
        Kind::Batch => (|seed| vec![far(Kind::Batch, (8, 3), seed)], BATCH.groups),
        Kind::Layer | Kind::Rms => (|seed| vec![far(Kind::Layer, (3, 8), seed)], LAYER.groups),
    };
    let ((id, what), section) = (CANCELLATION, "sec:two-pass");
    Part::new("forward far from zero", Order::Together, cases, blank)
        .target("var", section, groups, Batch::variances, field!(var))
        .cancels(|b| OFFSET_BOUND / crate::compare::ROUNDING * largest(&b.variances()))
        .mistake(&["var"], id, what, |b, _| {
            let groups = b.groups();
            groups
                .iter()
                .map(|x| mean_square(x) - mean(x).powi(2))
                .collect()
        })
        // Which digits are lost depends on the order of the additions.
        .explained_by(|b, found, _| {
            let right = b.variances();
            let lost = |(r, f): (&f64, &f64)| (r - f).abs() <= 0.05 * largest(&right);
            let (id, what) = CANCELLATION;
            right.iter().zip(&found.var).all(lost).then(|| Named {
                id: id.to_owned(),
                sentence: what.to_owned(),
                section: None,
            })
        })
}

fn far(kind: Kind, shape: (usize, usize), seed: u64) -> Batch {
    let mut probe = Batch::random(kind, shape, 1e-5, seed * 100 + 99).probe;
    let deviation = largest(&probe.x);
    for x in &mut probe.x {
        *x += OFFSET * deviation;
    }
    Batch::of(probe)
}

#[cfg(test)]
pub(crate) mod tests;
