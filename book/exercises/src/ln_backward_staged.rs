//! Checks the exercise `ln_backward_staged`.

use crate::compare::{ROUNDING, distance, heatmap, line, unusable, wrong_at};
use crate::harness;
use crate::known::{BLANK, Known};
use crate::{Line, Outcome, Report};
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
#[derive(Clone, Debug)]
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

/// `(dy, saved, gamma)` to the stages; N is `saved.rstd.len()`, D is `gamma.len()`.
pub type Candidate<'a> = &'a dyn Fn(&[f64], &Saved, &[f64]) -> Stages;

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(&[f64], &Saved, &[f64]) -> Stages) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

/// Shapes `[N, D]`, never square, and `eps` of the probes.
const PROBES: [(usize, usize, f64); 4] = [(4, 6, 1e-3), (6, 5, 1e-5), (5, 8, 1e-3), (7, 4, 1e-5)];

/// Everything that a stage is computed from, and what is right.
struct Given {
    dy: Vec<f64>,
    saved: Saved,
    gamma: Vec<f64>,
    right: Stages,
}

impl Given {
    fn of(probe: &Probe) -> Self {
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

/// A stage: its name, how to read it, and how many values it has, in words.
type Stage = (&'static str, fn(&Stages) -> &Vec<f64>, &'static str);

const STAGES: [Stage; 8] = [
    ("dbeta", |s| &s.dbeta, "one for each feature"),
    ("dgamma", |s| &s.dgamma, "one for each feature"),
    ("dx_hat", |s| &s.dx_hat, "one for each element"),
    ("drstd", |s| &s.drstd, "one for each row"),
    ("dvar", |s| &s.dvar, "one for each row"),
    ("dcentered", |s| &s.dcentered, "one for each element"),
    ("dmean", |s| &s.dmean, "one for each row"),
    ("dx", |s| &s.dx, "one for each element"),
];

/// What a wrong stage may be, when all stages before it are right.
type Mistake = (
    &'static str,
    &'static str,
    &'static str,
    fn(&Given) -> Vec<f64>,
);

const MISTAKES: &[Mistake] = &[
    (
        "dbeta",
        "summed-over-the-row",
        "dy is summed over each row: beta belongs to a feature and is used by all N rows, so its gradient is a sum down the column",
        |g| g.rows(|k| g.dy[k]),
    ),
    (
        "dbeta",
        "averaged",
        "dy is averaged: beta is used by all N rows, so its gradient is their sum",
        |g| scaled(&g.right.dbeta, 1.0 / g.n()),
    ),
    (
        "dbeta",
        "dbeta-is-dgamma",
        "dy is multiplied by x_hat: this is dgamma",
        |g| g.right.dgamma.clone(),
    ),
    (
        "dgamma",
        "summed-over-the-row",
        "the products are summed over each row: gamma belongs to a feature and is used by all N rows, so its gradient is a sum down the column",
        |g| g.rows(|k| g.dy[k] * g.saved.x_hat[k]),
    ),
    (
        "dgamma",
        "averaged",
        "the products are averaged: gamma is used by all N rows, so its gradient is a sum",
        |g| scaled(&g.right.dgamma, 1.0 / g.n()),
    ),
    (
        "dgamma",
        "dgamma-is-dbeta",
        "x_hat is left out: this is dbeta",
        |g| g.right.dbeta.clone(),
    ),
    (
        "dgamma",
        "centered-for-x-hat",
        "dy is multiplied by x - mean, and must be multiplied by x_hat",
        |g| g.columns(|k| g.dy[k] * g.saved.centered[k]),
    ),
    (
        "dx_hat",
        "gamma-forgotten",
        "gamma is forgotten: y = gamma * x_hat + beta",
        |g| g.dy.clone(),
    ),
    (
        "dx_hat",
        "gamma-by-row",
        "gamma is indexed by the row; it has one number for each feature",
        |g| g.each(|k, row| g.dy[k] * g.gamma[row % g.gamma.len()]),
    ),
    (
        "dx_hat",
        "gamma-divided",
        "it is divided by gamma, and must be multiplied",
        |g| g.each(|k, _| g.dy[k] / g.gamma[k % g.gamma.len()]),
    ),
    (
        "drstd",
        "x-hat-for-centered",
        "dx_hat is multiplied by x_hat: a factor rstd too many. x_hat = centered * rstd, so each factor receives the other one",
        |g| g.rows(|k| g.right.dx_hat[k] * g.saved.x_hat[k]),
    ),
    (
        "drstd",
        "gamma-forgotten",
        "dy stands where dx_hat belongs: gamma differs from feature to feature, so it must be inside the sum",
        |g| g.rows(|k| g.dy[k] * g.saved.centered[k]),
    ),
    (
        "drstd",
        "summed-over-the-column",
        "the products are summed down each column: rstd belongs to a row and is used by its D features",
        |g| g.columns(|k| g.right.dx_hat[k] * g.saved.centered[k]),
    ),
    (
        "drstd",
        "averaged",
        "the products are averaged: rstd is used D times, so its gradient is a sum",
        |g| scaled(&g.right.drstd, 1.0 / g.d()),
    ),
    (
        "dvar",
        "half-missing",
        "the factor ½ is missing: the derivative of (var + eps)^(-1/2) is -½ (var + eps)^(-3/2)",
        |g| scaled(&g.right.dvar, 2.0),
    ),
    (
        "dvar",
        "sign",
        "it has the wrong sign: rstd falls when var rises",
        |g| scaled(&g.right.dvar, -1.0),
    ),
    (
        "dvar",
        "power",
        "rstd must be cubed: (var + eps)^(-3/2) is rstd³",
        |g| {
            let of = |(v, r): (&f64, &f64)| v / r;
            g.right.dvar.iter().zip(&g.saved.rstd).map(of).collect()
        },
    ),
    (
        "dcentered",
        "variance-path-missing",
        "the second use is missing: x - mean enters the variance too. This drops the path x -> sigma² -> x_hat",
        |g| g.each(|k, row| g.right.dx_hat[k] * g.saved.rstd[row]),
    ),
    (
        "dcentered",
        "direct-path-missing",
        "only the part through the variance is there: x - mean also enters x_hat directly",
        |g| g.each(|k, row| 2.0 * g.saved.centered[k] * g.right.dvar[row] / g.d()),
    ),
    (
        "dcentered",
        "variance-path-halved",
        "the factor 2 of the square is missing",
        |g| {
            g.each(|k, row| {
                g.right.dx_hat[k] * g.saved.rstd[row]
                    + g.saved.centered[k] * g.right.dvar[row] / g.d()
            })
        },
    ),
    (
        "dcentered",
        "variance-path-summed",
        "the 1/D of the variance is missing: var = sum(centered²) / D",
        |g| {
            g.each(|k, row| {
                g.right.dx_hat[k] * g.saved.rstd[row]
                    + 2.0 * g.saved.centered[k] * g.right.dvar[row]
            })
        },
    ),
    (
        "dcentered",
        "divided-by-n",
        "the variance of a row is a mean over D features, and is divided by N here",
        |g| {
            g.each(|k, row| {
                g.right.dx_hat[k] * g.saved.rstd[row]
                    + 2.0 * g.saved.centered[k] * g.right.dvar[row] / g.n()
            })
        },
    ),
    (
        "dmean",
        "sign",
        "it has the wrong sign: centered = x - mean",
        |g| scaled(&g.right.dmean, -1.0),
    ),
    (
        "dmean",
        "averaged",
        "it is averaged: the mean is used D times, so its gradient is a sum",
        |g| scaled(&g.right.dmean, 1.0 / g.d()),
    ),
    (
        "dmean",
        "summed-over-the-column",
        "dcentered is summed down each column: the mean belongs to a row and is used by its D features",
        |g| g.columns(|k| -g.right.dcentered[k]),
    ),
    (
        "dx",
        "mean-path-missing",
        "the second use is missing: x enters x - mean, and the mean as well. This drops the path x -> mu -> x_hat",
        |g| g.right.dcentered.clone(),
    ),
    (
        "dx",
        "direct-path-missing",
        "only the part through the mean is there: x also enters x - mean directly",
        |g| g.each(|_, row| g.right.dmean[row] / g.d()),
    ),
    (
        "dx",
        "mean-path-summed",
        "the 1/D of the mean is missing: mean = sum(x) / D",
        |g| g.each(|k, row| g.right.dcentered[k] + g.right.dmean[row]),
    ),
    (
        "dx",
        "divided-by-n",
        "the mean of a row is a mean over D features, and is divided by N here",
        |g| g.each(|k, row| g.right.dcentered[k] + g.right.dmean[row] / g.n()),
    ),
    (
        "dx",
        "mean-path-sign",
        "the part through the mean has the wrong sign; the minus is in dmean already",
        |g| g.each(|k, row| g.right.dcentered[k] - g.right.dmean[row] / g.d()),
    ),
];

/// A stage that is off by a factor, and what to say.
const FACTORS: [(f64, &str, &str); 4] = [
    (-1.0, "sign", "it has the wrong sign"),
    (0.0, "missing", "it is zero"),
    (2.0, "doubled", "it is twice too large"),
    (0.5, "halved", "it is half of what it must be"),
];

fn section(stage: &str) -> &'static str {
    if matches!(stage, "dbeta" | "dgamma") {
        "sec:ln-parameters"
    } else {
        "sec:ln-staged"
    }
}

fn headline(stage: &str, what: &str) -> String {
    format!("the first wrong line is {stage}: {what}")
}

/// The mistakes that this checker knows.
pub(crate) fn known() -> Vec<Known> {
    let known = |stage, id, what| Known::new(NAME, id, headline(stage, what), section(stage));
    let listed = MISTAKES
        .iter()
        .map(|(stage, id, what, _)| known(stage, id, what));
    let factors = FACTORS.map(|(_, id, what)| known(BLANK, id, what));
    listed.chain(factors).collect()
}

fn scaled(values: &[f64], by: f64) -> Vec<f64> {
    values.iter().map(|v| v * by).collect()
}

/// The report on `candidate`, from random batches of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let mut lines = Vec::new();
    for (number, (n, d, eps)) in PROBES.into_iter().enumerate() {
        let probe = Probe::layer_norm(&[n, d], 1, eps, seed * 100 + number as u64);
        let given = Given::of(&probe);
        let found = candidate(&given.dy, &given.saved, &given.gamma);
        lines = STAGES
            .iter()
            .map(|(name, read, _)| line(name, read(&given.right), read(&found)))
            .collect();
        if let Some(first) = lines.iter().position(|line| !line.right) {
            return judge(&probe, &given, &found, first, lines);
        }
    }
    let mut report = Report::new(NAME, Outcome::Passed, "all eight lines are right");
    report.lines = lines;
    report
}

fn judge(probe: &Probe, given: &Given, found: &Stages, first: usize, lines: Vec<Line>) -> Report {
    let (name, read, shape) = STAGES[first];
    let (right, values) = (read(&given.right), read(found));
    let known = MISTAKES
        .iter()
        .filter(|(stage, ..)| *stage == name)
        .find(|(_, _, _, formula)| {
            let wrong = formula(given);
            wrong.len() == values.len() && distance(&wrong, values) <= ROUNDING
        });
    let (id, sentence) = match known {
        Some((_, id, sentence, _)) => ((*id).to_owned(), (*sentence).to_owned()),
        None => unusable(name, right.len(), values, shape).unwrap_or_else(|| factor(right, values)),
    };
    let mut report = wrong_at(NAME, &id, headline(name, &sentence), section(name));
    // What it does to the gradient as a whole, when that can be said.
    let verdict = explain(probe, Target::Dx, &found.dx);
    let told = ["correct", "unknown", "ambiguous", "not-finite", "shape"];
    if !told.contains(&verdict.id.as_str()) && verdict.id != id {
        report
            .notes
            .push(format!("In the end, {}.", verdict.sentence));
    }
    report.lines = lines;
    let columns = match right.len() {
        rows if rows == given.saved.rstd.len() => 1,
        _ => given.gamma.len(),
    };
    report.heatmap = heatmap(name, right.len() / columns, columns, right, values);
    report
}

/// A factor that is the same for all values, or the first difference.
fn factor(right: &[f64], found: &[f64]) -> (String, String) {
    for (value, id, sentence) in FACTORS {
        let fits = if value == 0.0 {
            found.iter().all(|v| *v == 0.0)
        } else {
            distance(&scaled(right, value), found) <= ROUNDING
        };
        if fits {
            return (id.to_owned(), sentence.to_owned());
        }
    }
    let sentence = format!(
        "it begins with {:.6} and must begin with {:.6}",
        found[0], right[0]
    );
    ("unknown".to_owned(), sentence)
}

#[cfg(test)]
mod tests;
