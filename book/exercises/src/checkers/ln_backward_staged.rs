//! Checks the exercise `ln_backward_staged`.

use crate::Report;
use crate::engine::shared::Terms;
use crate::engine::{Axis, Case, Checker, Order, Part, field};
use crate::harness;
use gradcheck::attribution::norm::{Probe, Target, explain};
use std::process::ExitCode;

const NAME: &str = "ln_backward_staged";

/// What the forward pass over `[N, D]` has kept.
#[derive(Clone, Debug)]
pub struct Saved {
    /// `x - mean`, `[N, D]`.
    pub centered: Vec<f64>,
    /// `1 / sqrt(var + eps)` of each row, `[N]`.
    pub rstd: Vec<f64>,
    /// `centered * rstd`, `[N, D]`.
    pub x_hat: Vec<f64>,
}

/// The gradient of the loss by each intermediate, in the order in which they are
/// computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Stages {
    /// By `beta`, `[D]`.
    pub dbeta: Vec<f64>,
    /// By `gamma`, `[D]`.
    pub dgamma: Vec<f64>,
    /// By `x_hat`, `[N, D]`.
    pub dx_hat: Vec<f64>,
    /// By `rstd`, `[N]`.
    pub drstd: Vec<f64>,
    /// By `var`, `[N]`.
    pub dvar: Vec<f64>,
    /// By `x - mean`, both uses together, `[N, D]`.
    pub dcentered: Vec<f64>,
    /// By `mean`, `[N]`.
    pub dmean: Vec<f64>,
    /// By `x`, `[N, D]`.
    pub dx: Vec<f64>,
}

impl Stages {
    /// Zeros, for a batch of shape `[n, d]`.
    fn zeros(n: usize, d: usize) -> Self {
        let zeros = |count| vec![0.0; count];
        Stages {
            dbeta: zeros(d),
            dgamma: zeros(d),
            dx_hat: zeros(n * d),
            drstd: zeros(n),
            dvar: zeros(n),
            dcentered: zeros(n * d),
            dmean: zeros(n),
            dx: zeros(n * d),
        }
    }
}

/// `(dy, saved, gamma)` to the stages, written over zeros; N is `saved.rstd.len()`, D is
/// `gamma.len()`.
pub type Candidate<'a> = &'a dyn Fn(&[f64], &Saved, &[f64], &mut Stages);

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(&[f64], &Saved, &[f64], &mut Stages)) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

/// The report on `candidate`, from random batches of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let run = |g: &Given, out: &mut Stages| candidate(&g.dy, &g.saved, &g.gamma, out);
    part().report(NAME, "all eight lines are right", &run, seed)
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::of(part())
}

/// Shapes `[N, D]`, never square, and `eps` of the probes.
const PROBES: [(usize, usize, f64); 4] = [(4, 6, 1e-3), (6, 5, 1e-5), (5, 8, 1e-3), (7, 4, 1e-5)];

fn cases(seed: u64) -> Vec<Given> {
    let numbered = PROBES.into_iter().zip(seed * 100..);
    let probe = |((n, d, eps), seed): ((usize, usize, f64), u64)| {
        Given::of(Probe::layer_norm(&[n, d], 1, eps, seed))
    };
    numbered.map(probe).collect()
}

impl Case for Given {
    fn title(&self) -> String {
        format!(
            "{} rows of {} features",
            self.saved.rstd.len(),
            self.gamma.len()
        )
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        vec![("N", self.saved.rstd.len()), ("D", self.gamma.len())]
    }
}

const ELEMENTS: &[Axis] = &[Axis("N", "row"), Axis("D", "feature")];
const ROWS: &[Axis] = &[Axis("N", "row")];
const FEATURES: &[Axis] = &[Axis("D", "feature")];

/// Everything that a stage is computed from, and what is right.
struct Given {
    probe: Probe,
    dy: Vec<f64>,
    saved: Saved,
    gamma: Vec<f64>,
    right: Stages,
}

impl Given {
    fn of(probe: Probe) -> Self {
        let d = probe.gamma.len();
        let rows = probe.x.chunks_exact(d);
        let centered = rows.flat_map(|x| {
            let mean = x.iter().sum::<f64>() / d as f64;
            x.iter().map(move |x| x - mean)
        });
        let saved = Saved {
            centered: centered.collect(),
            rstd: probe.rstd().iter().step_by(d).copied().collect(),
            x_hat: probe.x_hat(),
        };
        let right = stages(&probe.dy, &saved, &probe.gamma);
        Self {
            dy: probe.dy.clone(),
            saved,
            gamma: probe.gamma.clone(),
            right,
            probe,
        }
    }

    fn n(&self) -> f64 {
        self.saved.rstd.len() as f64
    }

    fn d(&self) -> f64 {
        self.gamma.len() as f64
    }

    /// `f(k, row)` of each element.
    fn each(&self, f: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        let d = self.gamma.len();
        (0..self.dy.len()).map(|k| f(k, k / d)).collect()
    }

    /// For each row the sum of `f(k)` over its elements.
    fn rows(&self, f: impl Fn(usize) -> f64) -> Vec<f64> {
        let d = self.gamma.len();
        let row = |r: usize| (r * d..(r + 1) * d).map(&f).sum();
        (0..self.saved.rstd.len()).map(row).collect()
    }

    /// The sums over the rows, written in the places of the features, as far as there is one
    /// for each row.
    fn rows_by_feature(&self, f: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut sums = self.rows(f);
        if sums.len() <= self.gamma.len() {
            sums.resize(self.gamma.len(), 0.0);
        }
        sums
    }

    /// The terms `f(k)` of sums over the rows, one for each feature.
    fn to_features(&self, f: impl Fn(usize) -> f64) -> Terms {
        let d = self.gamma.len();
        (0..self.dy.len()).map(|k| (k % d, f(k))).collect()
    }

    /// The terms `f(k)` of sums over the features, one for each row.
    fn to_rows(&self, f: impl Fn(usize) -> f64) -> Terms {
        let d = self.gamma.len();
        (0..self.dy.len()).map(|k| (k / d, f(k))).collect()
    }

    /// `gamma` at each element.
    fn gammas(&self) -> Vec<f64> {
        self.each(|k, _| self.gamma[k % self.gamma.len()])
    }

    /// For each feature the sum of `f(k)` over the rows.
    fn columns(&self, f: impl Fn(usize) -> f64) -> Vec<f64> {
        let (n, d) = (self.saved.rstd.len(), self.gamma.len());
        let column = |i: usize| (0..n).map(|r| f(r * d + i)).sum();
        (0..d).map(column).collect()
    }
}

fn stages(dy: &[f64], saved: &Saved, gamma: &[f64]) -> Stages {
    let (n, d) = (saved.rstd.len(), gamma.len());
    let (z, rstd) = (&saved.centered, &saved.rstd);
    let column = |f: &dyn Fn(usize) -> f64| -> Vec<f64> {
        (0..d).map(|i| (0..n).map(|r| f(r * d + i)).sum()).collect()
    };
    let row = |f: &dyn Fn(usize) -> f64| -> Vec<f64> {
        (0..n).map(|r| (r * d..(r + 1) * d).map(f).sum()).collect()
    };
    let dx_hat: Vec<f64> = (0..n * d).map(|k| dy[k] * gamma[k % d]).collect();
    let drstd = row(&|k| dx_hat[k] * z[k]);
    let dvar: Vec<f64> = (0..n).map(|r| -0.5 * rstd[r].powi(3) * drstd[r]).collect();
    let dcentered: Vec<f64> = (0..n * d)
        .map(|k| dx_hat[k] * rstd[k / d] + 2.0 * z[k] * dvar[k / d] / d as f64)
        .collect();
    let dmean: Vec<f64> = row(&|k| -dcentered[k]);
    let dx = (0..n * d)
        .map(|k| dcentered[k] + dmean[k / d] / d as f64)
        .collect();
    Stages {
        dbeta: column(&|k| dy[k]),
        dgamma: column(&|k| dy[k] * saved.x_hat[k]),
        dx_hat,
        drstd,
        dvar,
        dcentered,
        dmean,
        dx,
    }
}

const PARAMETERS: &str = "sec:ln-parameters";
const STAGED: &str = "sec:ln-staged";

fn part() -> Part<Given, Stages> {
    let blank = |g: &Given| Stages::zeros(g.saved.rstd.len(), g.gamma.len());
    let part = Part::new("ln_backward_staged", Order::FirstWrong, cases, blank);
    to_the_input(to_the_statistics(to_the_parameters(part))).noted_by(in_the_end)
}

/// The two parameters, and what they stand beside.
fn to_the_parameters(part: Part<Given, Stages>) -> Part<Given, Stages> {
    part.target("dbeta", PARAMETERS, FEATURES, |g| g.right.dbeta.clone(), field!(dbeta))
        .mistake(&["dbeta"], "summed-over-the-row", "dy is summed over each row: beta belongs to a feature and is used by all N rows, so its gradient is a sum down the column", |g, _| g.rows(|k| g.dy[k]))
        .mistake(&["dbeta"], "averaged", "dy is averaged: beta is used by all N rows, so its gradient is their sum", |g, _| scaled(&g.right.dbeta, 1.0 / g.n()))
        .mistake(&["dbeta"], "dbeta-is-dgamma", "dy is multiplied by x_hat: this is dgamma", |g, _| g.right.dgamma.clone())
        .mistake(
            &["dbeta"],
            "summed-over-the-row",
            "dy of each row is summed, in the place of a feature: beta belongs to a feature and is used by all N rows, so its gradient is a sum down the column",
            |g, _| g.rows_by_feature(|k| g.dy[k]),
        )
        .excludes("gamma", "beta is added behind gamma", |g| g.gamma.clone())
        .sums("beta is used by all N rows", |g| g.to_features(|k| g.dy[k]))
.target("dgamma", PARAMETERS, FEATURES, |g| g.right.dgamma.clone(), field!(dgamma))
        .mistake(&["dgamma"], "summed-over-the-row", "the products are summed over each row: gamma belongs to a feature and is used by all N rows, so its gradient is a sum down the column", |g, _| g.rows(|k| g.dy[k] * g.saved.x_hat[k]))
        .mistake(&["dgamma"], "averaged", "the products are averaged: gamma is used by all N rows, so its gradient is a sum", |g, _| scaled(&g.right.dgamma, 1.0 / g.n()))
        .mistake(&["dgamma"], "dgamma-is-dbeta", "x_hat is left out: this is dbeta", |g, _| g.right.dbeta.clone())
        .mistake(&["dgamma"], "centered-for-x-hat", "dy is multiplied by x - mean, and must be multiplied by x_hat", |g, _| g.columns(|k| g.dy[k] * g.saved.centered[k]))
        .mistake(
            &["dgamma"],
            "summed-over-the-row",
            "the products of each row are summed, in the place of a feature: gamma belongs to a feature and is used by all N rows, so its gradient is a sum down the column",
            |g, _| g.rows_by_feature(|k| g.dy[k] * g.saved.x_hat[k]),
        )
        .excludes("gamma", "the derivative of gamma * x_hat with respect to gamma is x_hat", |g| {
            g.gamma.clone()
        })
        .sums("gamma is used by all N rows", |g| {
            g.to_features(|k| g.dy[k] * g.saved.x_hat[k])
        })
.target("dx_hat", STAGED, ELEMENTS, |g| g.right.dx_hat.clone(), field!(dx_hat))
        .mistake(&["dx_hat"], "gamma-by-row", "gamma is indexed by the row; it has one number for each feature", |g, _| g.each(|k, row| g.dy[k] * g.gamma[row % g.gamma.len()]))
        .contains("gamma", "y = gamma * x_hat + beta", Given::gammas)
}

/// The deviation.
fn to_the_statistics(part: Part<Given, Stages>) -> Part<Given, Stages> {
    part.target("drstd", STAGED, ROWS, |g| g.right.drstd.clone(), field!(drstd))
        .mistake(&["drstd"], "x-hat-for-centered", "dx_hat is multiplied by x_hat: a factor rstd too many. x_hat = centered * rstd, so each factor receives the other one", |g, _| g.rows(|k| g.right.dx_hat[k] * g.saved.x_hat[k]))
        .mistake(&["drstd"], "gamma-forgotten", "dy stands where dx_hat belongs: gamma differs from feature to feature, so it must be inside the sum", |g, _| g.rows(|k| g.dy[k] * g.saved.centered[k]))
        .mistake(&["drstd"], "summed-over-the-column", "the products are summed down each column: rstd belongs to a row and is used by its D features", |g, _| g.columns(|k| g.right.dx_hat[k] * g.saved.centered[k]))
        .mistake(&["drstd"], "averaged", "the products are averaged: rstd is used D times, so its gradient is a sum", |g, _| scaled(&g.right.drstd, 1.0 / g.d()))
        .sums("rstd is used by the D features of its row", |g| {
            g.to_rows(|k| g.right.dx_hat[k] * g.saved.centered[k])
        })
.target("dvar", STAGED, ROWS, |g| g.right.dvar.clone(), field!(dvar))
        .mistake(&["dvar"], "half-missing", "the factor ½ is missing: the derivative of (var + eps)^(-1/2) is -½ (var + eps)^(-3/2)", |g, _| scaled(&g.right.dvar, 2.0))
        .mistake(&["dvar"], "power", "rstd must be cubed: (var + eps)^(-3/2) is rstd³", |g, _| {
            let of = |(v, r): (&f64, &f64)| v / r;
            g.right.dvar.iter().zip(&g.saved.rstd).map(of).collect()
        })
.target("dcentered", STAGED, ELEMENTS, |g| g.right.dcentered.clone(), field!(dcentered))
        .mistake(&["dcentered"], "variance-path-missing", "the second use is missing: x - mean enters the variance too. This drops the path x -> sigma² -> x_hat", |g, _| g.each(|k, row| g.right.dx_hat[k] * g.saved.rstd[row]))
        .mistake(&["dcentered"], "direct-path-missing", "only the part through the variance is there: x - mean also enters x_hat directly", |g, _| g.each(|k, row| 2.0 * g.saved.centered[k] * g.right.dvar[row] / g.d()))
        .mistake(&["dcentered"], "variance-path-halved", "the factor 2 of the square is missing", |g, _| {
            g.each(|k, row| {
                g.right.dx_hat[k] * g.saved.rstd[row]
                    + g.saved.centered[k] * g.right.dvar[row] / g.d()
            })
        })
        .mistake(&["dcentered"], "variance-path-summed", "the 1/D of the variance is missing: var = sum(centered²) / D", |g, _| {
            g.each(|k, row| {
                g.right.dx_hat[k] * g.saved.rstd[row]
                    + 2.0 * g.saved.centered[k] * g.right.dvar[row]
            })
        })
        .mistake(&["dcentered"], "divided-by-n", "the variance of a row is a mean over D features, and is divided by N here", |g, _| {
            g.each(|k, row| {
                g.right.dx_hat[k] * g.saved.rstd[row]
                    + 2.0 * g.saved.centered[k] * g.right.dvar[row] / g.n()
            })
        })
}

/// The mean, and the input.
fn to_the_input(part: Part<Given, Stages>) -> Part<Given, Stages> {
    part.target("dmean", STAGED, ROWS, |g| g.right.dmean.clone(), field!(dmean))
        .mistake(&["dmean"], "sign", "it has the wrong sign: centered = x - mean", |g, _| scaled(&g.right.dmean, -1.0))
        .mistake(&["dmean"], "averaged", "it is averaged: the mean is used D times, so its gradient is a sum", |g, _| scaled(&g.right.dmean, 1.0 / g.d()))
        .mistake(&["dmean"], "summed-over-the-column", "dcentered is summed down each column: the mean belongs to a row and is used by its D features", |g, _| g.columns(|k| -g.right.dcentered[k]))
        .sums("the mean is used by the D features of its row", |g| {
            g.to_rows(|k| -g.right.dcentered[k])
        })
.target("dx", STAGED, ELEMENTS, |g| g.right.dx.clone(), field!(dx))
        .mistake(&["dx"], "mean-path-missing", "the second use is missing: x enters x - mean, and the mean as well. This drops the path x -> mu -> x_hat", |g, _| g.right.dcentered.clone())
        .mistake(&["dx"], "direct-path-missing", "only the part through the mean is there: x also enters x - mean directly", |g, _| g.each(|_, row| g.right.dmean[row] / g.d()))
        .mistake(&["dx"], "mean-path-summed", "the 1/D of the mean is missing: mean = sum(x) / D", |g, _| g.each(|k, row| g.right.dcentered[k] + g.right.dmean[row]))
        .mistake(&["dx"], "divided-by-n", "the mean of a row is a mean over D features, and is divided by N here", |g, _| g.each(|k, row| g.right.dcentered[k] + g.right.dmean[row] / g.n()))
        .mistake(&["dx"], "mean-path-sign", "the part through the mean has the wrong sign; the minus is in dmean already", |g, _| g.each(|k, row| g.right.dcentered[k] - g.right.dmean[row] / g.d()))
}

/// What a mistake does to the gradient as a whole, when that can be said.
fn in_the_end(given: &Given, out: &Stages, id: &str) -> Option<String> {
    let verdict = explain(&given.probe, Target::Dx, &out.dx);
    let told = ["correct", "unknown", "ambiguous", "not-finite", "shape"];
    let more = !told.contains(&verdict.id.as_str()) && verdict.id != id;
    more.then(|| format!("In the end, {}.", verdict.sentence))
}

fn scaled(values: &[f64], by: f64) -> Vec<f64> {
    values.iter().map(|v| v * by).collect()
}

#[cfg(test)]
mod tests;
