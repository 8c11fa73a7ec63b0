//! What the exercises on a norm's backward pass in stages share.
//!
//! A row of Layer Norm and a channel of Batch Norm are treated alike from `x_hat` on: both are
//! a *group*, whose values share mean and deviation. A channel is a batch of one group, all of
//! whose values have the same gamma: in [`Stages`], a single row.

use crate::arrays::Array;
use crate::batch::{Batch, Norm};
use gradcheck::attribution::norm::{Target, explain};
use judge::harness::attempt;
use judge::{Axis, Case, Formulas, Order, Part, of, slips};
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
            |given| given.$name().into(),
            (
                |written| written.stages.$name.clone(),
                |written, values| written.stages.$name = values,
            ),
        )
    };
}

/// Groups of values, a row each, and what the forward pass has kept of them.
pub(crate) struct Given {
    title: String,
    pub(crate) letters: [&'static str; 2],
    pub(crate) dy: Array,
    pub(crate) centered: Array,
    /// One for each group.
    pub(crate) rstd: Array,
    pub(crate) x_hat: Array,
    /// One for each place in a group, or one for all.
    pub(crate) gamma: Array,
}

impl Case for Given {
    fn title(&self) -> String {
        self.title.clone()
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        let [groups, size] = self.letters;
        vec![(groups, self.dy.length(0)), (size, self.dy.length(1))]
    }
}

impl Given {
    /// Groups of values `x`; `letters` count the groups, and the values in each.
    fn new(
        title: String,
        letters: [&'static str; 2],
        [x, x_hat, dy]: [Array; 3],
        rstd: Array,
        gamma: &[f64],
    ) -> Self {
        Self {
            title,
            letters,
            centered: &x - x.mean(1),
            dy,
            rstd,
            x_hat,
            gamma: Array::new([gamma.len()], gamma),
        }
    }

    /// The groups of a batch: all rows together, or one channel after the other.
    pub(crate) fn of(b: &Batch) -> Vec<Self> {
        let (values, gamma) = ([b.x(), b.x_hat(), b.dy()], &b.probe.gamma);
        if b.norm.of_rows() {
            return vec![Self::new(b.title(), ["N", "D"], values, b.rstd(), gamma)];
        }
        let channel = |ch: usize| {
            let pick = |all: &Array| all.t().rows(&[ch]);
            let title = format!("channel {ch} of {} examples", b.rows());
            let values = values.each_ref().map(pick);
            Self::new(title, ["1", "N"], values, pick(&b.rstd()), &gamma[ch..=ch])
        };
        (0..b.columns()).map(channel).collect()
    }

    pub(crate) fn size(&self) -> f64 {
        self.dy.length(1) as f64
    }

    /// The axis of the sums that belong to gammas.
    fn to_gammas(&self) -> usize {
        usize::from(self.gamma.length(0) != self.dy.length(1))
    }

    /// How many values each gamma is used by.
    fn uses(&self) -> f64 {
        self.dy.length(self.to_gammas()) as f64
    }

    fn of_beta(&self) -> Array {
        self.dy.clone()
    }

    fn of_gamma(&self) -> Array {
        &self.dy * &self.x_hat
    }

    fn dbeta(&self) -> Array {
        self.of_beta().sum(self.to_gammas())
    }

    fn dgamma(&self) -> Array {
        self.of_gamma().sum(self.to_gammas())
    }

    pub(crate) fn dx_hat(&self) -> Array {
        &self.dy * &self.gamma
    }

    fn of_rstd(&self) -> Array {
        self.dx_hat() * &self.centered
    }

    pub(crate) fn drstd(&self) -> Array {
        self.of_rstd().sum(1)
    }

    /// drstd times a factor and a power of rstd.
    fn with_power(&self, factor: f64, power: i32) -> Array {
        self.drstd() * self.rstd.map(|rstd| factor * rstd.powi(power))
    }

    fn dvar(&self) -> Array {
        self.with_power(-0.5, 3)
    }

    fn dsquare(&self) -> Array {
        self.dvar() / self.size()
    }

    /// dcentered with other weights: of the deviation in its first use, and of the second.
    fn centered_with(&self, first: i32, second: f64, what: &Array) -> Array {
        let direct = self.dx_hat() * self.rstd.map(|rstd| rstd.powi(first));
        direct + what * self.dsquare() * second
    }

    fn dcentered(&self) -> Array {
        self.centered_with(1, 2.0, &self.centered)
    }

    fn dmean(&self) -> Array {
        -self.dcentered().sum(1)
    }

    /// dx with another weight of the part through the mean.
    fn through_mean(&self, weight: f64) -> Array {
        self.dcentered() + self.dmean() * (weight / self.size())
    }

    pub(crate) fn dx(&self) -> Array {
        self.through_mean(1.0)
    }
}

impl Stages {
    /// Zeros, for what is given.
    pub(crate) fn over(given: &Given) -> Self {
        let zeros = |like: &Array| vec![0.0; like.values().len()];
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
    let part = Part::over("backward", Order::FirstWrong, cases, Written::over);
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
        .formulas(&["dbeta"], DBETA)
        .excludes("gamma", "beta is added behind gamma", |g| g.gamma.values())
        .sums(&used("beta"), |g| g.of_beta().terms(g.to_gammas()));
    let part = stage!(part, s.parameters, w.axes[2], dgamma)
        .no_mean(&used("gamma"), Given::uses)
        .formulas(&["dgamma"], DGAMMA)
        .excludes(
            "gamma",
            "the derivative of gamma * x_hat with respect to gamma is x_hat",
            |g| g.gamma.values(),
        )
        .sums(&used("gamma"), |g| g.of_gamma().terms(g.to_gammas()));
    stage!(part, s.staged, w.axes[0], dx_hat)
        .contains("gamma", "y = gamma * x_hat + beta", |g| {
            (g.dy.filled(1.0) * &g.gamma).into()
        })
        .excludes(
            "rstd",
            "that is the next line's. If dx_hat is changed in place, what it was is lost",
            |g| (g.dy.filled(1.0) * &g.rstd).into(),
        )
}

/// The deviation.
fn to_the_deviation(part: Part<Given, Written>, norm: &Norm, w: &Words) -> Part<Given, Written> {
    let (staged, of_rstd) = (
        norm.sections.staged,
        format!("rstd is used by {}", w.values),
    );
    let part = stage!(part, staged, w.axes[1], drstd)
        .formulas(&["drstd"], DRSTD)
        .no_mean(&of_rstd, Given::size)
        .sums(&of_rstd, |g| g.of_rstd().terms(1));
    stage!(part, staged, w.axes[1], dvar).formulas(&["dvar"], DVAR)
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
        .formulas(&["dcentered"], DCENTERED)
        .wrong("dcentered", staged, &summed, |g| {
            g.centered_with(1, 2.0 * g.size(), &g.centered).into()
        });
    let part = stage!(part, staged, w.axes[1], dmean)
        .cancels(|g| g.dcentered().map(f64::abs).total())
        .formulas(&["dmean"], DMEAN)
        .no_mean(&of_mean, Given::size)
        .sums(&of_mean, |g| (-g.dcentered()).terms(1));
    stage!(part, staged, w.axes[0], dx)
        .formulas(&["dx"], DX)
        .wrong("dx", staged, &mean_summed, |g| {
            g.through_mean(g.size()).into()
        })
        .formulas(&["dx"], DX_SIGN)
}

/// The gradient of the squares, on the way from the variance to the deviations.
fn to_the_squares(part: Part<Given, Written>, norm: &Norm) -> Part<Given, Written> {
    part.asks(
        of!(number dsquare),
        norm.sections.staged,
        &[],
        Given::dsquare,
    )
    .formulas(&["dsquare"], DSQUARE)
}

/// What is taken over rows where it belongs to features, or the other way round.
fn along_the_other_axis(part: Part<Given, Written>, norm: &Norm) -> Part<Given, Written> {
    type Adds = fn(&Given) -> Array;
    let sums: [(&str, &str, &str, Adds); 2] = [
        ("dbeta", "beta", "dy", Given::of_beta),
        ("dgamma", "gamma", "the product", Given::of_gamma),
    ];
    let part = sums.into_iter().fold(part, |part, (target, whose, what, adds)| {
        let (section, id) = (norm.sections.parameters, "summed-over-the-row");
        let why = format!(
            "{whose} belongs to a feature and is used by all N rows, so its gradient is a sum down the column"
        );
        let over = format!("{id}: {what} is summed over each row: {why}");
        let placed =
            format!("{id}: the sum of {what} over each row stands in the place of a feature: {why}");
        part.wrong(target, section, &over, move |g| adds(g).sum(1).into())
            // As far as there is a place for each row.
            .wrong(target, section, &placed, move |g| {
                let mut sums = adds(g).sum(1).values();
                sums.resize(g.gamma.length(0).max(sums.len()), 0.0);
                sums
            })
    });
    part.formulas(&["dx_hat"], DX_HAT)
        .formulas(&["drstd"], DRSTD_ACROSS)
        .formulas(&["dcentered"], DCENTERED_ACROSS)
        .formulas(&["dmean"], DMEAN_ACROSS)
        .formulas(&["dx"], DX_ACROSS)
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
        let dx = if b.norm.of_rows() {
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

/// What a wrong line makes of a stage.
type Table = Formulas<Given, Array>;

const DSQUARE: Table = slips![
    "summed: the 1/N of the mean is missing: var is the mean of the squares" =>
        |g| g.dvar(),
    "bessel: it is divided by N - 1, and the variance by N" =>
        |g| g.dvar() / (g.size() - 1.0),
];

const DBETA: Table = slips![
    "dbeta-is-dgamma: dy is multiplied by x_hat: this is dgamma" => |g| g.dgamma(),
];

const DGAMMA: Table = slips![
    "dgamma-is-dbeta: x_hat is left out: this is dbeta" => |g| g.dbeta(),
    "centered-for-x-hat: dy is multiplied by x - mean, and must be multiplied by x_hat" =>
        |g| (&g.dy * &g.centered).sum(g.to_gammas()),
];

const DRSTD: Table = slips![
    "x-hat-for-centered: dx_hat is multiplied by x_hat: a factor rstd too many. x_hat = centered * rstd, so each factor receives the other one" =>
        |g| (g.dx_hat() * &g.x_hat).sum(1),
    "gamma-forgotten: dy stands where dx_hat belongs, which is dy times gamma" =>
        |g| (&g.dy * &g.centered).sum(1),
];

const DVAR: Table = slips![
    "half-missing: the factor ½ is missing: the derivative of (var + eps)^(-1/2) is -½ (var + eps)^(-3/2)" =>
        |g| g.dvar() * 2.0,
    "rstd-power: rstd is squared, and must be cubed: (var + eps)^(-3/2) = rstd³" =>
        |g| g.with_power(-0.5, 2),
    "rstd-power: rstd has the power 1, and must have 3: (var + eps)^(-3/2) = rstd³" =>
        |g| g.with_power(-0.5, 1),
    "rstd-missing: rstd³ is missing: the derivative of (var + eps)^(-1/2) is -½ rstd³" =>
        |g| g.with_power(-0.5, 0),
    "root-derivative: this is the derivative of the root, 1/(2 sqrt(var + eps)); rstd is one over the root" =>
        |g| g.with_power(0.5, 1),
];

const DCENTERED: Table = slips![
    "variance-path-missing: the second use is missing: x - mean enters x_hat, and the variance too. This drops the path x -> sigma² -> x_hat" =>
        |g| g.centered_with(1, 0.0, &g.centered),
    "direct-path-missing: only the part through the variance is there: x - mean also enters x_hat directly, x_hat = centered * rstd" =>
        |g| &g.centered * g.dsquare() * 2.0,
    "square-not-doubled: the factor 2 is missing: the derivative of centered² is 2 * centered" =>
        |g| g.centered_with(1, 1.0, &g.centered),
    "x-hat-for-centered: x_hat stands where centered belongs: the square is that of centered" =>
        |g| g.centered_with(1, 2.0, &g.x_hat),
    "rstd-missing: in the first part the factor rstd is missing: x_hat = centered * rstd" =>
        |g| g.centered_with(0, 2.0, &g.centered),
];

const DMEAN: Table = slips![
    "sign: it has the wrong sign: centered = x - mean" => |g| -g.dmean(),
    "rstd-missing: dx_hat is summed, and a factor rstd is missing: x_hat = (x - mean) * rstd" =>
        |g| -g.dx_hat().sum(1),
];

const DX: Table = slips![
    "mean-path-missing: the second use is missing: x enters x - mean, and the mean as well. This drops the path x -> mu -> x_hat" =>
        |g| g.through_mean(0.0),
    "direct-path-missing: only the part through the mean is there: x also enters x - mean directly" =>
        |g| g.dy.filled(1.0) * g.dmean() / g.size(),
];

const DX_SIGN: Table = slips![
    "mean-path-sign: the part through the mean has the wrong sign; the minus is in dmean already" =>
        |g| g.through_mean(-1.0),
];

const DX_HAT: Table = slips![
    "gamma-by-row: gamma is indexed by the row; it has one number for each feature" =>
        |g| {
            let gamma = g.gamma.values();
            let by_row = |row, _| gamma[row % gamma.len()];
            &g.dy * Array::by([g.dy.length(0), g.dy.length(1)], by_row)
        },
];

const DRSTD_ACROSS: Table = slips![
    "summed-over-the-column: the products are summed down each column: rstd belongs to a row and is used by its D features" =>
        |g| g.of_rstd().sum(0),
];

const DCENTERED_ACROSS: Table = slips![
    "divided-by-n: the variance of a row is a mean over D features, and is divided by N here" =>
        |g| g.centered_with(1, 2.0 * g.size() / g.uses(), &g.centered),
];

const DMEAN_ACROSS: Table = slips![
    "summed-over-the-column: dcentered is summed down each column: the mean belongs to a row and is used by its D features" =>
        |g| -g.dcentered().sum(0),
];

const DX_ACROSS: Table = slips![
    "divided-by-n: the mean of a row is a mean over D features, and is divided by N here" =>
        |g| g.through_mean(g.size() / g.uses()),
];

#[cfg(test)]
mod tests;
