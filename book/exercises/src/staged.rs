//! What the exercises on a norm's backward pass in stages share.
//!
//! A row of Layer Norm and a channel of Batch Norm are treated alike from `x_hat` on: both are
//! a *group*, whose values share mean and deviation. A channel is a batch of one group, all of
//! whose values have the same gamma: in [`Stages`], a single row.

use crate::batch::{Batch, Norm};
use gradcheck::attribution::norm::{Target, explain};
use judge::added;
use judge::harness::attempt;
use judge::{Axis, Case, Mistake, Order, Part, Terms, field, slips};
use verdict::{Outcome, Report};

/// The gradient of the loss with respect to each intermediate, in the order in which they are
/// computed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stages {
    /// With respect to `beta`, `[D]`.
    pub dbeta: Vec<f64>,
    /// With respect to `gamma`, `[D]`.
    pub dgamma: Vec<f64>,
    /// With respect to `x_hat`, `[N, D]`.
    pub dx_hat: Vec<f64>,
    /// With respect to `rstd`, `[N]`.
    pub drstd: Vec<f64>,
    /// With respect to `var`, `[N]`.
    pub dvar: Vec<f64>,
    /// With respect to `x - mean`, both uses together, `[N, D]`.
    pub dcentered: Vec<f64>,
    /// With respect to `mean`, `[N]`.
    pub dmean: Vec<f64>,
    /// With respect to `x`, `[N, D]`.
    pub dx: Vec<f64>,
}

/// What the reader has written.
pub(crate) struct Written {
    pub(crate) stages: Stages,
    /// With respect to each square, in Batch Norm only.
    pub(crate) dsquare: f64,
}

impl Written {
    fn over(given: &Given) -> Self {
        Self {
            stages: Stages::over(given),
            dsquare: 0.0,
        }
    }
}

/// Asks for a stage of this name.
macro_rules! stage {
    ($part:expr, $section:expr, $axes:expr, $name:ident) => {
        $part.target(
            stringify!($name),
            $section,
            $axes,
            |given| given.right.$name.clone(),
            (
                |written| written.stages.$name.clone(),
                |written, values| written.stages.$name = values,
            ),
        )
    };
}

/// Groups of values, what the forward pass has kept of them, and what is right.
pub(crate) struct Given {
    title: String,
    pub(crate) letters: [&'static str; 2],
    pub(crate) dy: Vec<f64>,
    pub(crate) centered: Vec<f64>,
    /// One for each group.
    pub(crate) rstd: Vec<f64>,
    pub(crate) x_hat: Vec<f64>,
    /// One for each place in a group, or one for all.
    pub(crate) gamma: Vec<f64>,
    pub(crate) right: Stages,
}

impl Case for Given {
    fn title(&self) -> String {
        self.title.clone()
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        let [groups, size] = self.letters;
        vec![(groups, self.rstd.len()), (size, self.size())]
    }
}

impl Given {
    /// Groups of values `x`; `letters` count the groups, and the values in each.
    fn new(
        title: String,
        letters: [&'static str; 2],
        [x, x_hat, dy]: [Vec<f64>; 3],
        [rstd, gamma]: [Vec<f64>; 2],
    ) -> Self {
        let size = x.len() / rstd.len();
        let centered = x.chunks_exact(size).flat_map(|x| {
            let mean = x.iter().sum::<f64>() / size as f64;
            x.iter().map(move |x| x - mean)
        });
        let mut given = Self {
            title,
            letters,
            centered: centered.collect(),
            dy,
            rstd,
            x_hat,
            gamma,
            right: Stages::default(),
        };
        given.right = given.stages();
        given
    }

    /// The groups of a batch: all rows together, or one channel after the other.
    pub(crate) fn of(b: &Batch) -> Vec<Self> {
        let (probe, n, columns) = (&b.probe, b.rows(), b.columns());
        if b.norm().of_rows() {
            let values = [&probe.x, &b.x_hat, &probe.dy].map(Clone::clone);
            let both = [&b.rstd, &probe.gamma].map(Clone::clone);
            return vec![Self::new(b.title(), ["N", "D"], values, both)];
        }
        let channel = |ch: usize| {
            let pick = |all: &Vec<f64>| all.iter().skip(ch).step_by(columns).copied().collect();
            let values = [&probe.x, &b.x_hat, &probe.dy].map(pick);
            let both = [&b.rstd, &probe.gamma].map(|all| vec![all[ch]]);
            let title = format!("channel {ch} of {n} examples");
            Self::new(title, ["1", "N"], values, both)
        };
        (0..columns).map(channel).collect()
    }

    pub(crate) fn size(&self) -> usize {
        self.dy.len() / self.rstd.len()
    }

    /// How many values each gamma is used by.
    fn uses(&self) -> f64 {
        self.dy.len() as f64 / self.gamma.len() as f64
    }

    /// `f(k, group)` of each value.
    pub(crate) fn each(&self, f: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        (0..self.dy.len()).map(|k| f(k, k / self.size())).collect()
    }

    /// The terms `f(k)` of sums over the groups, one for each gamma.
    pub(crate) fn to_gammas(&self, f: impl Fn(usize) -> f64) -> Terms {
        let terms = 0..self.dy.len();
        terms.map(|k| (k % self.gamma.len(), f(k))).collect()
    }

    /// For each gamma the sum of `f(k)` over the groups.
    pub(crate) fn gammas(&self, f: impl Fn(usize) -> f64) -> Vec<f64> {
        added(self.gamma.len(), self.to_gammas(f))
    }

    /// The terms `f(k)` of sums over the values, one for each group.
    pub(crate) fn to_groups(&self, f: impl Fn(usize) -> f64) -> Terms {
        (0..self.dy.len())
            .map(|k| (k / self.size(), f(k)))
            .collect()
    }

    /// For each group the sum of `f(k)` over its values.
    pub(crate) fn groups(&self, f: impl Fn(usize) -> f64) -> Vec<f64> {
        added(self.rstd.len(), self.to_groups(f))
    }

    /// The gamma of each value.
    pub(crate) fn spread_gamma(&self) -> Vec<f64> {
        self.each(|k, _| self.gamma[k % self.gamma.len()])
    }

    /// dcentered with other weights: of the deviation in its first use, and of the second.
    fn centered_with(&self, first: i32, second: f64, what: &[f64]) -> Vec<f64> {
        self.each(|k, group| {
            let direct = self.right.dx_hat[k] * self.rstd[group].powi(first);
            direct + second * what[k] * self.right.dvar[group] / self.size() as f64
        })
    }

    /// dx with another weight of the part through the mean.
    pub(crate) fn through_mean(&self, weight: f64) -> Vec<f64> {
        self.each(|k, group| {
            self.right.dcentered[k] + weight * self.right.dmean[group] / self.size() as f64
        })
    }

    fn stages(&self) -> Stages {
        let gamma = self.spread_gamma();
        let dx_hat = self.each(|k, _| self.dy[k] * gamma[k]);
        let drstd = self.groups(|k| dx_hat[k] * self.centered[k]);
        let pairs = self.rstd.iter().zip(&drstd);
        let mut stages = Stages {
            dbeta: self.gammas(|k| self.dy[k]),
            dgamma: self.gammas(|k| self.dy[k] * self.x_hat[k]),
            dvar: pairs.map(|(r, d)| -0.5 * r.powi(3) * d).collect(),
            dx_hat,
            drstd,
            dcentered: Vec::new(),
            dmean: Vec::new(),
            dx: Vec::new(),
        };
        let size = self.size() as f64;
        stages.dcentered = self.each(|k, group| {
            let second = 2.0 * self.centered[k] * stages.dvar[group] / size;
            stages.dx_hat[k] * self.rstd[group] + second
        });
        stages.dmean = self.groups(|k| -stages.dcentered[k]);
        stages.dx = self.each(|k, group| stages.dcentered[k] + stages.dmean[group] / size);
        stages
    }
}

impl Stages {
    /// Zeros, for what is given.
    pub(crate) fn over(given: &Given) -> Self {
        let zeros = |like: &[f64]| vec![0.0; like.len()];
        let [of_gammas, of_groups, of_all] = [&given.gamma, &given.rstd, &given.dy];
        Self {
            dbeta: zeros(of_gammas),
            dgamma: zeros(of_gammas),
            dx_hat: zeros(of_all),
            drstd: zeros(of_groups),
            dvar: zeros(of_groups),
            dcentered: zeros(of_all),
            dmean: zeros(of_groups),
            dx: zeros(of_all),
        }
    }
}

fn scaled(values: &[f64], by: f64) -> Vec<f64> {
    values.iter().map(|v| v * by).collect()
}

/// How to speak of the groups that are given.
struct Words {
    /// The axes of the values, of the groups, and of the parameters.
    axes: [&'static [Axis]; 3],
    /// What beta and gamma are used by.
    users: &'static str,
    /// What counts the values of a group.
    size: &'static str,
    /// Those values, which use mean and deviation.
    values: &'static str,
}

/// The mistakes of one stage after the other.
pub(crate) fn part(norm: &'static Norm) -> Part<Given, Written> {
    let words = if norm.of_rows() {
        let [rows, _] = norm.groups();
        Words {
            axes: [norm.axes, rows, norm.parameters()],
            users: "N rows",
            size: "D",
            values: "the D features of its row",
        }
    } else {
        let [_, examples] = norm.groups();
        Words {
            axes: [examples, &[], &[]],
            users: "N outputs",
            size: "N",
            values: "the N values of the channel",
        }
    };
    let cases = |seed| norm.batches(seed).iter().flat_map(Given::of).collect();
    let part = Part::new("backward", Order::FirstWrong, cases, Written::over);
    let part = to_the_parameters(part, norm, &words);
    let part = to_the_deviation(part, norm, &words);
    if norm.of_rows() {
        along_the_other_axis(to_the_input(part, norm, &words), norm)
    } else {
        to_the_input(to_the_squares(part, norm), norm, &words)
    }
}

/// The two parameters, and what they stand beside.
fn to_the_parameters(part: Part<Given, Written>, norm: &Norm, w: &Words) -> Part<Given, Written> {
    let (s, used) = (&norm.sections, |what| {
        format!("{what} is used by all {}", w.users)
    });
    let part = stage!(part, s.parameters, w.axes[2], dbeta)
        .no_mean(&used("beta"), Given::uses)
        .mistakes(&["dbeta"], DBETA)
        .excludes("gamma", "beta is added behind gamma", |g| g.gamma.clone())
        .sums(&used("beta"), |g| g.to_gammas(|k| g.dy[k]));
    let part = stage!(part, s.parameters, w.axes[2], dgamma)
        .no_mean(&used("gamma"), Given::uses)
        .mistakes(&["dgamma"], DGAMMA)
        .excludes(
            "gamma",
            "the derivative of gamma * x_hat with respect to gamma is x_hat",
            |g| g.gamma.clone(),
        )
        .sums(&used("gamma"), |g| g.to_gammas(|k| g.dy[k] * g.x_hat[k]));
    stage!(part, s.staged, w.axes[0], dx_hat)
        .contains("gamma", "y = gamma * x_hat + beta", Given::spread_gamma)
        .excludes(
            "rstd",
            "that is the next line's. If dx_hat is changed in place, what it was is lost",
            |g| g.each(|_, group| g.rstd[group]),
        )
}

/// The deviation.
fn to_the_deviation(part: Part<Given, Written>, norm: &Norm, w: &Words) -> Part<Given, Written> {
    let (staged, of_rstd) = (
        norm.sections.staged,
        format!("rstd is used by {}", w.values),
    );
    let part = stage!(part, staged, w.axes[1], drstd)
        .mistakes(&["drstd"], DRSTD)
        .no_mean(&of_rstd, |g| g.size() as f64)
        .sums(&of_rstd, |g| {
            g.to_groups(|k| g.right.dx_hat[k] * g.centered[k])
        });
    stage!(part, staged, w.axes[1], dvar).mistakes(&["dvar"], DVAR)
}

/// drstd times a factor and a power of rstd.
fn with_power(g: &Given, factor: f64, power: i32) -> Vec<f64> {
    let pairs = g.rstd.iter().zip(&g.right.drstd);
    pairs.map(|(r, d)| factor * r.powi(power) * d).collect()
}

/// The deviations from the mean, the mean, and the input.
fn to_the_input(part: Part<Given, Written>, norm: &Norm, w: &Words) -> Part<Given, Written> {
    let (staged, size) = (norm.sections.staged, w.size);
    let of_mean = format!("the mean is used by {}", w.values);
    let summed = format!(
        "variance-path-summed: the 1/{size} of the variance is missing: var = sum(centered²) / {size}"
    );
    let mean_summed =
        format!("mean-path-summed: the 1/{size} of the mean is missing: mean = sum(x) / {size}");
    let part = stage!(part, staged, w.axes[0], dcentered)
        .mistakes(&["dcentered"], DCENTERED)
        .wrong("dcentered", staged, &summed, |g| {
            g.centered_with(1, 2.0 * g.size() as f64, &g.centered)
        });
    let part = stage!(part, staged, w.axes[1], dmean)
        .cancels(|g| g.right.dcentered.iter().map(|d| d.abs()).sum())
        .mistakes(&["dmean"], DMEAN)
        .no_mean(&of_mean, |g| g.size() as f64)
        .sums(&of_mean, |g| g.to_groups(|k| -g.right.dcentered[k]));
    stage!(part, staged, w.axes[0], dx)
        .mistakes(&["dx"], DX)
        .wrong("dx", staged, &mean_summed, |g| {
            g.through_mean(g.size() as f64)
        })
        .mistakes(&["dx"], DX_SIGN)
}

/// The gradient of the squares, on the way from the variance to the deviations.
fn to_the_squares(part: Part<Given, Written>, norm: &Norm) -> Part<Given, Written> {
    let right = |g: &Given| scaled(&g.right.dvar, 1.0 / g.size() as f64);
    part.target(
        "dsquare",
        norm.sections.staged,
        &[],
        right,
        field!(number dsquare),
    )
    .mistakes(&["dsquare"], DSQUARE)
}

/// What is taken over rows where it belongs to features, or the other way round.
fn along_the_other_axis(part: Part<Given, Written>, norm: &Norm) -> Part<Given, Written> {
    type Rows = fn(&Given) -> Vec<f64>;
    let sums: [(&str, &str, &str, Rows); 2] = [
        ("dbeta", "beta", "dy", |g| g.groups(|k| g.dy[k])),
        ("dgamma", "gamma", "the product", |g| {
            g.groups(|k| g.dy[k] * g.x_hat[k])
        }),
    ];
    let part = sums.into_iter().fold(part, |part, (target, whose, what, rows)| {
        let (section, id) = (norm.sections.parameters, "summed-over-the-row");
        let why = format!(
            "{whose} belongs to a feature and is used by all N rows, so its gradient is a sum down the column"
        );
        let over = format!("{id}: {what} is summed over each row: {why}");
        let placed =
            format!("{id}: the sum of {what} over each row stands in the place of a feature: {why}");
        part.wrong(target, section, &over, rows)
            // As far as there is a place for each row.
            .wrong(target, section, &placed, move |g| {
                let mut sums = rows(g);
                sums.resize(g.gamma.len().max(sums.len()), 0.0);
                sums
            })
    });
    part.mistakes(&["dx_hat"], DX_HAT)
        .mistakes(&["drstd"], DRSTD_ACROSS)
        .mistakes(&["dcentered"], DCENTERED_ACROSS)
        .mistakes(&["dmean"], DMEAN_ACROSS)
        .mistakes(&["dx"], DX_ACROSS)
}

/// Adds to the report on a wrong stage what it does to the gradient as a whole, when that can
/// be said; `dx` is what the reader's function makes of what is given.
pub(crate) fn with_the_end(
    mut report: Report,
    batches: &[Batch],
    dx: impl Fn(&Given) -> Vec<f64>,
) -> Report {
    if report.outcome != Outcome::Wrong {
        return report;
    }
    let verdicts = batches.iter().filter_map(|b| {
        let of_groups = || Given::of(b).iter().map(&dx).collect();
        let dx: Vec<Vec<f64>> = attempt(of_groups).ok()?;
        let dx = if b.norm().of_rows() {
            dx.concat()
        } else {
            let columns = b.columns();
            (0..b.probe.x.len())
                .map(|k| dx[k % columns][k / columns])
                .collect()
        };
        Some(explain(&b.probe, Target::Dx, &dx))
    });
    let told = ["correct", "unknown", "ambiguous", "not-finite", "shape"];
    let mut wrong = verdicts.filter(|verdict| !verdict.is_correct());
    if let Some(verdict) = wrong.next()
        && !told.contains(&verdict.id.as_str())
        && report.mistake.as_ref() != Some(&verdict.id)
    {
        report
            .notes
            .push(format!("In the end, {}.", verdict.sentence));
    }
    report
}

const DSQUARE: &[Mistake<Given>] = slips![
    "summed: the 1/N of the mean is missing: var is the mean of the squares" =>
        |g, _| g.right.dvar.clone(),
    "bessel: it is divided by N - 1, and the variance by N" =>
        |g, _| scaled(&g.right.dvar, 1.0 / (g.size() as f64 - 1.0)),
];

const DBETA: &[Mistake<Given>] = slips![
    "dbeta-is-dgamma: dy is multiplied by x_hat: this is dgamma" => |g, _| g.right.dgamma.clone(),
];

const DGAMMA: &[Mistake<Given>] = slips![
    "dgamma-is-dbeta: x_hat is left out: this is dbeta" => |g, _| g.right.dbeta.clone(),
    "centered-for-x-hat: dy is multiplied by x - mean, and must be multiplied by x_hat" =>
        |g, _| g.gammas(|k| g.dy[k] * g.centered[k]),
];

const DRSTD: &[Mistake<Given>] = slips![
    "x-hat-for-centered: dx_hat is multiplied by x_hat: a factor rstd too many. x_hat = centered * rstd, so each factor receives the other one" =>
        |g, _| g.groups(|k| g.right.dx_hat[k] * g.x_hat[k]),
    "gamma-forgotten: dy stands where dx_hat belongs, which is dy times gamma" =>
        |g, _| g.groups(|k| g.dy[k] * g.centered[k]),
];

const DVAR: &[Mistake<Given>] = slips![
    "half-missing: the factor ½ is missing: the derivative of (var + eps)^(-1/2) is -½ (var + eps)^(-3/2)" =>
        |g, _| scaled(&g.right.dvar, 2.0),
    "rstd-power: rstd is squared, and must be cubed: (var + eps)^(-3/2) = rstd³" =>
        |g, _| with_power(g, -0.5, 2),
    "rstd-power: rstd has the power 1, and must have 3: (var + eps)^(-3/2) = rstd³" =>
        |g, _| with_power(g, -0.5, 1),
    "rstd-missing: rstd³ is missing: the derivative of (var + eps)^(-1/2) is -½ rstd³" =>
        |g, _| with_power(g, -0.5, 0),
    "root-derivative: this is the derivative of the root, 1/(2 sqrt(var + eps)); rstd is one over the root" =>
        |g, _| with_power(g, 0.5, 1),
];

const DCENTERED: &[Mistake<Given>] = slips![
    "variance-path-missing: the second use is missing: x - mean enters x_hat, and the variance too. This drops the path x -> sigma² -> x_hat" =>
        |g, _| g.centered_with(1, 0.0, &g.centered),
    "direct-path-missing: only the part through the variance is there: x - mean also enters x_hat directly, x_hat = centered * rstd" =>
        |g, _| {
            let whole = g.centered_with(1, 2.0, &g.centered).into_iter();
            whole
                .zip(g.centered_with(1, 0.0, &g.centered))
                .map(|(all, direct)| all - direct)
                .collect()
        },
    "square-not-doubled: the factor 2 is missing: the derivative of centered² is 2 * centered" =>
        |g, _| g.centered_with(1, 1.0, &g.centered),
    "x-hat-for-centered: x_hat stands where centered belongs: the square is that of centered" =>
        |g, _| g.centered_with(1, 2.0, &g.x_hat),
    "rstd-missing: in the first part the factor rstd is missing: x_hat = centered * rstd" =>
        |g, _| g.centered_with(0, 2.0, &g.centered),
];

const DMEAN: &[Mistake<Given>] = slips![
    "sign: it has the wrong sign: centered = x - mean" => |g, _| scaled(&g.right.dmean, -1.0),
    "rstd-missing: dx_hat is summed, and a factor rstd is missing: x_hat = (x - mean) * rstd" =>
        |g, _| g.groups(|k| -g.right.dx_hat[k]),
];

const DX: &[Mistake<Given>] = slips![
    "mean-path-missing: the second use is missing: x enters x - mean, and the mean as well. This drops the path x -> mu -> x_hat" =>
        |g, _| g.through_mean(0.0),
    "direct-path-missing: only the part through the mean is there: x also enters x - mean directly" =>
        |g, _| g.each(|_, group| g.right.dmean[group] / g.size() as f64),
];

const DX_SIGN: &[Mistake<Given>] = slips![
    "mean-path-sign: the part through the mean has the wrong sign; the minus is in dmean already" =>
        |g, _| g.through_mean(-1.0),
];

const DX_HAT: &[Mistake<Given>] = slips![
    "gamma-by-row: gamma is indexed by the row; it has one number for each feature" =>
        |g, _| g.each(|k, row| g.dy[k] * g.gamma[row % g.gamma.len()]),
];

const DRSTD_ACROSS: &[Mistake<Given>] = slips![
    "summed-over-the-column: the products are summed down each column: rstd belongs to a row and is used by its D features" =>
        |g, _| g.gammas(|k| g.right.dx_hat[k] * g.centered[k]),
];

const DCENTERED_ACROSS: &[Mistake<Given>] = slips![
    "divided-by-n: the variance of a row is a mean over D features, and is divided by N here" =>
        |g, _| {
            let (n, size) = (g.rstd.len() as f64, g.size() as f64);
            g.each(|k, row| {
                g.right.dcentered[k] + 2.0 * g.centered[k] * g.right.dvar[row] * (1.0 / n - 1.0 / size)
            })
        },
];

const DMEAN_ACROSS: &[Mistake<Given>] = slips![
    "summed-over-the-column: dcentered is summed down each column: the mean belongs to a row and is used by its D features" =>
        |g, _| g.gammas(|k| -g.right.dcentered[k]),
];

const DX_ACROSS: &[Mistake<Given>] = slips![
    "divided-by-n: the mean of a row is a mean over D features, and is divided by N here" =>
        |g, _| g.through_mean(g.size() as f64 / g.rstd.len() as f64),
];

#[cfg(test)]
mod tests;
