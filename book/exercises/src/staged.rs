//! What the exercises on a norm's backward pass in stages share.
//!
//! A row of Layer Norm and a channel of Batch Norm are treated alike from `x_hat` on: both are
//! a *group*, whose values share mean and deviation. A channel is a batch of one group, all of
//! whose values have the same gamma: in [`Stages`], a single row.

use crate::engine::shared::Terms;
use crate::engine::{Axis, Case, Order, Part};
use crate::harness::attempt;
use crate::{Outcome, Report};
use gradcheck::attribution::norm::{Probe, Target, explain};

/// The gradient of the loss with respect to each intermediate, in the order in which they are
/// computed.
#[derive(Clone, Debug, PartialEq)]
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

/// How a stage is read from what is written, and put into it.
macro_rules! stage {
    ($name:ident) => {
        (
            |written| written.stages.$name.clone(),
            |written, values| written.stages.$name = values,
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
    /// Groups of values `x` whose deviations are `rstd`; `letters` count the groups, and the
    /// values in each.
    pub(crate) fn new(
        title: String,
        letters: [&'static str; 2],
        [x, x_hat, dy]: [Vec<f64>; 3],
        rstd: Vec<f64>,
        gamma: Vec<f64>,
    ) -> Self {
        let size = x.len() / rstd.len();
        let centered = x.chunks_exact(size).flat_map(|x| {
            let mean = x.iter().sum::<f64>() / size as f64;
            x.iter().map(move |x| x - mean)
        });
        let centered = centered.collect();
        let mut given = Self {
            title,
            letters,
            dy,
            centered,
            rstd,
            x_hat,
            right: Stages::zeros(0, 0, 0),
            gamma,
        };
        given.right = given.stages();
        given
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
    /// Zeros, for so many groups of so many values, and so many gammas.
    pub(crate) fn zeros(groups: usize, size: usize, gammas: usize) -> Self {
        let zeros = |count| vec![0.0; count];
        Self {
            dbeta: zeros(gammas),
            dgamma: zeros(gammas),
            dx_hat: zeros(groups * size),
            drstd: zeros(groups),
            dvar: zeros(groups),
            dcentered: zeros(groups * size),
            dmean: zeros(groups),
            dx: zeros(groups * size),
        }
    }
}

fn added(count: usize, terms: Terms) -> Vec<f64> {
    let mut sums = vec![0.0; count];
    terms
        .into_iter()
        .for_each(|(place, term)| sums[place] += term);
    sums
}

pub(crate) fn scaled(values: &[f64], by: f64) -> Vec<f64> {
    values.iter().map(|v| v * by).collect()
}

/// How to speak of a norm.
pub(crate) struct Words {
    /// The sections on the gradients of the parameters, and on the stages.
    pub(crate) sections: [&'static str; 2],
    /// The axes of the values, of the groups, and of the parameters.
    pub(crate) axes: [&'static [Axis]; 3],
    /// What beta and gamma are used by.
    pub(crate) users: &'static str,
    /// What counts the values of a group.
    pub(crate) size: &'static str,
    /// Those values, which use mean and deviation.
    pub(crate) values: &'static str,
}

/// The mistakes of one stage after the other. `between` adds what stands between `dvar` and
/// `dcentered`.
pub(crate) fn part(
    name: &'static str,
    words: &Words,
    cases: fn(u64) -> Vec<Given>,
    between: impl FnOnce(Part<Given, Written>) -> Part<Given, Written>,
) -> Part<Given, Written> {
    let blank = |g: &Given| Written {
        stages: Stages::zeros(g.rstd.len(), g.size(), g.gamma.len()),
        dsquare: 0.0,
    };
    let part = Part::new(name, Order::FirstWrong, cases, blank);
    let part = to_the_deviation(to_the_parameters(part, words), words);
    to_the_input(between(part), words)
}

/// The two parameters, and what they stand beside.
fn to_the_parameters(part: Part<Given, Written>, w: &Words) -> Part<Given, Written> {
    let [parameters, staged] = w.sections;
    let (users, of_gamma) = (
        w.users,
        "the derivative of gamma * x_hat with respect to gamma is x_hat",
    );
    part.target(
        "dbeta",
        parameters,
        w.axes[2],
        |g| g.right.dbeta.clone(),
        stage!(dbeta),
    )
    .no_mean(&format!("beta is used by all {users}"), Given::uses)
    .mistake(
        &["dbeta"],
        "dbeta-is-dgamma",
        "dy is multiplied by x_hat: this is dgamma",
        |g, _| g.right.dgamma.clone(),
    )
    .excludes("gamma", "beta is added behind gamma", |g| g.gamma.clone())
    .sums(&format!("beta is used by all {users}"), |g| {
        g.to_gammas(|k| g.dy[k])
    })
    .target(
        "dgamma",
        parameters,
        w.axes[2],
        |g| g.right.dgamma.clone(),
        stage!(dgamma),
    )
    .no_mean(&format!("gamma is used by all {users}"), Given::uses)
    .mistake(
        &["dgamma"],
        "dgamma-is-dbeta",
        "x_hat is left out: this is dbeta",
        |g, _| g.right.dbeta.clone(),
    )
    .mistake(
        &["dgamma"],
        "centered-for-x-hat",
        "dy is multiplied by x - mean, and must be multiplied by x_hat",
        |g, _| g.gammas(|k| g.dy[k] * g.centered[k]),
    )
    .excludes("gamma", of_gamma, |g| g.gamma.clone())
    .sums(&format!("gamma is used by all {users}"), |g| {
        g.to_gammas(|k| g.dy[k] * g.x_hat[k])
    })
    .target(
        "dx_hat",
        staged,
        w.axes[0],
        |g| g.right.dx_hat.clone(),
        stage!(dx_hat),
    )
    .contains("gamma", "y = gamma * x_hat + beta", Given::spread_gamma)
    .excludes(
        "rstd",
        "that is the next line's. If dx_hat is changed in place, what it was is lost",
        |g| g.each(|_, group| g.rstd[group]),
    )
}

/// The deviation.
fn to_the_deviation(part: Part<Given, Written>, w: &Words) -> Part<Given, Written> {
    let (staged, of_rstd) = (w.sections[1], format!("rstd is used by {}", w.values));
    part.target("drstd", staged, w.axes[1], |g| g.right.drstd.clone(), stage!(drstd))
        .mistake(&["drstd"], "x-hat-for-centered", "dx_hat is multiplied by x_hat: a factor rstd too many. x_hat = centered * rstd, so each factor receives the other one", |g, _| g.groups(|k| g.right.dx_hat[k] * g.x_hat[k]))
        .mistake(&["drstd"], "gamma-forgotten", "dy stands where dx_hat belongs, which is dy times gamma", |g, _| g.groups(|k| g.dy[k] * g.centered[k]))
        .no_mean(&of_rstd, |g| g.size() as f64)
        .sums(&of_rstd, |g| g.to_groups(|k| g.right.dx_hat[k] * g.centered[k]))
        .target("dvar", staged, w.axes[1], |g| g.right.dvar.clone(), stage!(dvar))
        .mistake(&["dvar"], "half-missing", "the factor ½ is missing: the derivative of (var + eps)^(-1/2) is -½ (var + eps)^(-3/2)", |g, _| scaled(&g.right.dvar, 2.0))
        .mistake(&["dvar"], "rstd-power", "rstd is squared, and must be cubed: (var + eps)^(-3/2) = rstd³", |g, _| with_power(g, -0.5, 2))
        .mistake(&["dvar"], "rstd-power", "rstd has the power 1, and must have 3: (var + eps)^(-3/2) = rstd³", |g, _| with_power(g, -0.5, 1))
        .mistake(&["dvar"], "rstd-missing", "rstd³ is missing: the derivative of (var + eps)^(-1/2) is -½ rstd³", |g, _| with_power(g, -0.5, 0))
        .mistake(&["dvar"], "root-derivative", "this is the derivative of the root, 1/(2 sqrt(var + eps)); rstd is one over the root", |g, _| with_power(g, 0.5, 1))
}

/// drstd times a factor and a power of rstd.
fn with_power(g: &Given, factor: f64, power: i32) -> Vec<f64> {
    let pairs = g.rstd.iter().zip(&g.right.drstd);
    pairs.map(|(r, d)| factor * r.powi(power) * d).collect()
}

/// The deviations from the mean, the mean, and the input.
fn to_the_input(part: Part<Given, Written>, w: &Words) -> Part<Given, Written> {
    let (staged, size) = (w.sections[1], w.size);
    let of_mean = format!("the mean is used by {}", w.values);
    part.target("dcentered", staged, w.axes[0], |g| g.right.dcentered.clone(), stage!(dcentered))
        .mistake(&["dcentered"], "variance-path-missing", "the second use is missing: x - mean enters x_hat, and the variance too. This drops the path x -> sigma² -> x_hat", |g, _| g.centered_with(1, 0.0, &g.centered))
        .mistake(&["dcentered"], "direct-path-missing", "only the part through the variance is there: x - mean also enters x_hat directly, x_hat = centered * rstd", |g, _| {
            let whole = g.centered_with(1, 2.0, &g.centered).into_iter();
            whole.zip(g.centered_with(1, 0.0, &g.centered)).map(|(all, direct)| all - direct).collect()
        })
        .mistake(&["dcentered"], "square-not-doubled", "the factor 2 is missing: the derivative of centered² is 2 * centered", |g, _| g.centered_with(1, 1.0, &g.centered))
        .mistake(&["dcentered"], "x-hat-for-centered", "x_hat stands where centered belongs: the square is that of centered", |g, _| g.centered_with(1, 2.0, &g.x_hat))
        .mistake(&["dcentered"], "rstd-missing", "in the first part the factor rstd is missing: x_hat = centered * rstd", |g, _| g.centered_with(0, 2.0, &g.centered))
        .mistake(&["dcentered"], "variance-path-summed", &format!("the 1/{size} of the variance is missing: var = sum(centered²) / {size}"), |g, _| g.centered_with(1, 2.0 * g.size() as f64, &g.centered))
        .target("dmean", staged, w.axes[1], |g| g.right.dmean.clone(), stage!(dmean))
        .cancels(|g| g.right.dcentered.iter().map(|d| d.abs()).sum())
        .mistake(&["dmean"], "sign", "it has the wrong sign: centered = x - mean", |g, _| scaled(&g.right.dmean, -1.0))
        .mistake(&["dmean"], "rstd-missing", "dx_hat is summed, and a factor rstd is missing: x_hat = (x - mean) * rstd", |g, _| g.groups(|k| -g.right.dx_hat[k]))
        .no_mean(&of_mean, |g| g.size() as f64)
        .sums(&of_mean, |g| g.to_groups(|k| -g.right.dcentered[k]))
        .target("dx", staged, w.axes[0], |g| g.right.dx.clone(), stage!(dx))
        .mistake(&["dx"], "mean-path-missing", "the second use is missing: x enters x - mean, and the mean as well. This drops the path x -> mu -> x_hat", |g, _| g.through_mean(0.0))
        .mistake(&["dx"], "direct-path-missing", "only the part through the mean is there: x also enters x - mean directly", |g, _| g.each(|_, group| g.right.dmean[group] / g.size() as f64))
        .mistake(&["dx"], "mean-path-summed", &format!("the 1/{size} of the mean is missing: mean = sum(x) / {size}"), |g, _| g.through_mean(g.size() as f64))
        .mistake(&["dx"], "mean-path-sign", "the part through the mean has the wrong sign; the minus is in dmean already", |g, _| g.through_mean(-1.0))
}

/// Adds to the report on a wrong stage what it does to the gradient as a whole, when that can
/// be said; `dx` is what the reader's function makes of a batch.
pub(crate) fn tell_the_end(
    report: &mut Report,
    probes: Vec<Probe>,
    dx: impl Fn(&Probe) -> Vec<f64>,
) {
    if report.outcome != Outcome::Wrong {
        return;
    }
    let verdicts = probes.iter().filter_map(|probe| {
        let dx = attempt(|| dx(probe)).ok()?;
        Some(explain(probe, Target::Dx, &dx))
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
}
