//! Checks the exercise `bn_backward_staged`.

use crate::compare::{ROUNDING, distance, heatmap, line, unusable, wrong};
use crate::engine::Checker;
use crate::harness;
use crate::known::{BLANK, Known};
use crate::{Line, Outcome, Report};
use gradcheck::attribution::norm::{Probe, Target, explain};
use std::process::ExitCode;

const NAME: &str = "bn_backward_staged";

/// What the forward pass over one channel of `N` values has kept.
#[derive(Clone, Debug)]
pub struct Saved {
    /// `x - mean`, `[N]`.
    pub centered: Vec<f64>,
    /// `1 / sqrt(var + eps)`.
    pub rstd: f64,
    /// `centered * rstd`, `[N]`.
    pub x_hat: Vec<f64>,
}

/// The gradient of the loss by each intermediate of one channel, in the order in which
/// they are computed.
#[derive(Clone, Debug)]
pub struct Stages {
    /// By `beta`.
    pub dbeta: f64,
    /// By `gamma`.
    pub dgamma: f64,
    /// By `x_hat`, `[N]`.
    pub dx_hat: Vec<f64>,
    /// By `rstd`.
    pub drstd: f64,
    /// By `var`.
    pub dvar: f64,
    /// By each square `(x - mean)²`; it is the same for all.
    pub dsquare: f64,
    /// By `x - mean`, both uses together, `[N]`.
    pub dcentered: Vec<f64>,
    /// By `mean`.
    pub dmean: f64,
    /// By `x`, `[N]`.
    pub dx: Vec<f64>,
}

/// `(dy, saved, gamma)` of one channel to the stages.
pub type Candidate<'a> = &'a dyn Fn(&[f64], &Saved, f64) -> Stages;

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(&[f64], &Saved, f64) -> Stages) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

const PROBES: [(usize, usize, f64); 4] = [(6, 4, 1e-3), (5, 3, 1e-5), (7, 5, 1e-3), (4, 6, 1e-5)];

struct Channel {
    dy: Vec<f64>,
    saved: Saved,
    gamma: f64,
    right: Stages,
}

fn channel(probe: &Probe, n: usize, c: usize, ch: usize) -> Channel {
    let pick = |values: &[f64]| -> Vec<f64> { (0..n).map(|i| values[i * c + ch]).collect() };
    let (dy, x, x_hat) = (pick(&probe.dy), pick(&probe.x), pick(&probe.x_hat()));
    let mean = x.iter().sum::<f64>() / n as f64;
    let centered = x.iter().map(|x| x - mean).collect();
    let saved = Saved {
        centered,
        rstd: probe.rstd()[ch],
        x_hat,
    };
    let gamma = probe.gamma[ch];
    let right = stages(&dy, &saved, gamma);
    Channel {
        dy,
        saved,
        gamma,
        right,
    }
}

fn stages(dy: &[f64], saved: &Saved, gamma: f64) -> Stages {
    let n = dy.len() as f64;
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    let dx_hat: Vec<f64> = dy.iter().map(|dy| dy * gamma).collect();
    let drstd = dot(&dx_hat, &saved.centered);
    let dvar = -0.5 * saved.rstd.powi(3) * drstd;
    let dsquare = dvar / n;
    let second = |c: &f64| 2.0 * c * dsquare;
    let dcentered: Vec<f64> = dx_hat
        .iter()
        .zip(&saved.centered)
        .map(|(d, c)| d * saved.rstd + second(c))
        .collect();
    let dmean = -dcentered.iter().sum::<f64>();
    let dx = dcentered.iter().map(|d| d + dmean / n).collect();
    Stages {
        dbeta: dy.iter().sum(),
        dgamma: dot(dy, &saved.x_hat),
        dx_hat,
        drstd,
        dvar,
        dsquare,
        dcentered,
        dmean,
        dx,
    }
}

/// A stage: its name, and how to read it from [`Stages`].
type Stage = (&'static str, fn(&Stages) -> Vec<f64>);

const STAGES: [Stage; 9] = [
    ("dbeta", |s| vec![s.dbeta]),
    ("dgamma", |s| vec![s.dgamma]),
    ("dx_hat", |s| s.dx_hat.clone()),
    ("drstd", |s| vec![s.drstd]),
    ("dvar", |s| vec![s.dvar]),
    ("dsquare", |s| vec![s.dsquare]),
    ("dcentered", |s| s.dcentered.clone()),
    ("dmean", |s| vec![s.dmean]),
    ("dx", |s| s.dx.clone()),
];

/// What a wrong stage may be, when all stages before it are right.
type Mistake = (
    &'static str,
    &'static str,
    &'static str,
    fn(&Channel, f64) -> Vec<f64>,
);

const MISTAKES: &[Mistake] = &[
    (
        "dbeta",
        "averaged",
        "dy is averaged: beta is used by all N outputs, so its gradient is their sum",
        |k, n| vec![k.right.dbeta / n],
    ),
    (
        "dbeta",
        "dbeta-is-dgamma",
        "dy is multiplied by x_hat: this is dgamma",
        |k, _| vec![k.right.dgamma],
    ),
    (
        "dgamma",
        "averaged",
        "the products are averaged: gamma is used by all N outputs, so its gradient is a sum",
        |k, n| vec![k.right.dgamma / n],
    ),
    (
        "dgamma",
        "dgamma-is-dbeta",
        "x_hat is left out: this is dbeta",
        |k, _| vec![k.right.dbeta],
    ),
    (
        "dgamma",
        "centered-for-x-hat",
        "dy is multiplied by x - mean, and must be multiplied by x_hat",
        |k, _| vec![k.right.dgamma / k.saved.rstd],
    ),
    (
        "dx_hat",
        "gamma-forgotten",
        "gamma is forgotten: y = gamma * x_hat + beta",
        |k, _| k.dy.clone(),
    ),
    (
        "dx_hat",
        "gamma-divided",
        "it is divided by gamma, and must be multiplied",
        |k, _| k.dy.iter().map(|d| d / k.gamma).collect(),
    ),
    (
        "drstd",
        "x-hat-for-centered",
        "dx_hat is multiplied by x_hat: a factor rstd too many. x_hat = centered * rstd, so each factor receives the other one",
        |k, _| vec![k.right.drstd * k.saved.rstd],
    ),
    (
        "drstd",
        "gamma-forgotten",
        "dy stands where dx_hat belongs",
        |k, _| vec![k.right.drstd / k.gamma],
    ),
    (
        "drstd",
        "averaged",
        "the products are averaged: rstd is used N times, so its gradient is a sum",
        |k, n| vec![k.right.drstd / n],
    ),
    (
        "dvar",
        "half-missing",
        "the factor ½ is missing: the derivative of (var + eps)^(-1/2) is -½ (var + eps)^(-3/2)",
        |k, _| vec![2.0 * k.right.dvar],
    ),
    (
        "dvar",
        "rstd-power",
        "rstd is squared, and must be cubed: (var + eps)^(-3/2) = rstd³",
        |k, _| vec![k.right.dvar / k.saved.rstd],
    ),
    (
        "dvar",
        "rstd-power",
        "rstd has the power 1, and must have 3: (var + eps)^(-3/2) = rstd³",
        |k, _| vec![k.right.dvar / k.saved.rstd.powi(2)],
    ),
    (
        "dvar",
        "rstd-missing",
        "rstd³ is missing: the derivative of (var + eps)^(-1/2) is -½ rstd³",
        |k, _| vec![-0.5 * k.right.drstd],
    ),
    (
        "dvar",
        "root-derivative",
        "this is the derivative of the root, 1/(2 sqrt(var + eps)); rstd is one over the root",
        |k, _| vec![0.5 * k.saved.rstd * k.right.drstd],
    ),
    (
        "dsquare",
        "summed",
        "the 1/N of the mean is missing: var is the mean of the squares",
        |k, _| vec![k.right.dvar],
    ),
    (
        "dsquare",
        "bessel",
        "it is divided by N - 1, and the variance by N",
        |k, n| vec![k.right.dvar / (n - 1.0)],
    ),
    (
        "dcentered",
        "variance-path-missing",
        "the second use is missing: centered enters x_hat, and the squares as well. This drops the path x -> sigma² -> x_hat",
        |k, _| k.right.dx_hat.iter().map(|d| d * k.saved.rstd).collect(),
    ),
    (
        "dcentered",
        "direct-path-missing",
        "the first use is missing: x_hat = centered * rstd",
        |k, _| {
            k.saved
                .centered
                .iter()
                .map(|c| 2.0 * c * k.right.dsquare)
                .collect()
        },
    ),
    (
        "dcentered",
        "square-not-doubled",
        "the factor 2 is missing: the derivative of centered² is 2 * centered",
        |k, _| {
            let pairs = k.right.dx_hat.iter().zip(&k.saved.centered);
            pairs
                .map(|(d, c)| d * k.saved.rstd + c * k.right.dsquare)
                .collect()
        },
    ),
    (
        "dcentered",
        "x-hat-for-centered",
        "x_hat stands where centered belongs: the square is that of centered",
        |k, _| {
            let pairs = k.right.dx_hat.iter().zip(&k.saved.x_hat);
            pairs
                .map(|(d, h)| d * k.saved.rstd + 2.0 * h * k.right.dsquare)
                .collect()
        },
    ),
    (
        "dcentered",
        "rstd-missing",
        "in the first part the factor rstd is missing: x_hat = centered * rstd",
        |k, _| {
            let pairs = k.right.dx_hat.iter().zip(&k.saved.centered);
            pairs.map(|(d, c)| d + 2.0 * c * k.right.dsquare).collect()
        },
    ),
    (
        "dmean",
        "sign",
        "it has the wrong sign: centered = x - mean",
        |k, _| vec![-k.right.dmean],
    ),
    (
        "dmean",
        "averaged",
        "it is averaged: the mean is used N times, so its gradient is a sum",
        |k, n| vec![k.right.dmean / n],
    ),
    (
        "dx",
        "mean-path-missing",
        "the second use is missing: x enters x - mean, and the mean as well. This drops the path x -> mu -> x_hat",
        |k, _| k.right.dcentered.clone(),
    ),
    (
        "dx",
        "direct-path-missing",
        "only the part through the mean is there: x also enters x - mean directly",
        |k, n| vec![k.right.dmean / n; k.dy.len()],
    ),
    (
        "dx",
        "mean-path-summed",
        "the 1/N of the mean is missing: mean = sum(x) / N",
        |k, _| {
            k.right
                .dcentered
                .iter()
                .map(|d| d + k.right.dmean)
                .collect()
        },
    ),
    (
        "dx",
        "mean-path-sign",
        "the part through the mean has the wrong sign; the minus is in dmean already",
        |k, n| {
            k.right
                .dcentered
                .iter()
                .map(|d| d - k.right.dmean / n)
                .collect()
        },
    ),
];

/// What to say of a stage that is off by a factor, of `N` values.
fn factors(n: &str) -> [(&'static str, String); 6] {
    [
        ("sign", "it has the wrong sign".to_owned()),
        ("missing", "it is zero".to_owned()),
        ("doubled", "it is twice too large".to_owned()),
        ("halved", "it is half of what it must be".to_owned()),
        (
            "summed",
            format!("it is {n} times too large: a 1/N is missing"),
        ),
        (
            "averaged",
            format!("it is {n} times too small: a sum is averaged"),
        ),
    ]
}

const SECTION: &str = "sec:staged";

fn headline(stage: &str, what: &str) -> String {
    format!("the first wrong line is {stage}: {what}")
}

/// The mistakes that this checker knows.
fn known() -> Vec<Known> {
    let listed = MISTAKES
        .iter()
        .map(|(stage, id, what, _)| Known::new(NAME, id, headline(stage, what), SECTION));
    let factors =
        factors(BLANK).map(|(id, what)| Known::new(NAME, id, headline(BLANK, &what), SECTION));
    listed.chain(factors).collect()
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Listed(known())
}

/// The report on `candidate`, from random batches of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let mut lines = Vec::new();
    for (number, (n, c, eps)) in PROBES.into_iter().enumerate() {
        let probe = Probe::batch_norm(&[n, c], eps, seed * 100 + number as u64);
        let channels: Vec<Channel> = (0..c).map(|ch| channel(&probe, n, c, ch)).collect();
        let found: Vec<Stages> = channels
            .iter()
            .map(|k| candidate(&k.dy, &k.saved, k.gamma))
            .collect();
        lines = STAGES
            .iter()
            .map(|stage| compared(*stage, &channels, &found))
            .collect();
        if let Some(first) = lines.iter().position(|line| !line.right) {
            return judge(&probe, n, c, &channels, &found, first, lines);
        }
    }
    let mut report = Report::new(NAME, Outcome::Passed, "all nine lines are right");
    report.lines = lines;
    report
}

/// One stage over all channels, as a line of the report.
fn compared((name, read): Stage, channels: &[Channel], found: &[Stages]) -> Line {
    let right: Vec<f64> = channels.iter().flat_map(|k| read(&k.right)).collect();
    let mut values: Vec<f64> = found.iter().flat_map(read).collect();
    // A length that is wrong in one channel must not be made up for by another.
    if channels
        .iter()
        .zip(found)
        .any(|(k, f)| read(&k.right).len() != read(f).len())
    {
        values.clear();
    }
    // What cancels to zero leaves rounding of the size of what cancelled: dmean does.
    let size: f64 = channels
        .iter()
        .flat_map(|k| &k.right.dcentered)
        .map(|d| d.abs())
        .sum();
    let zero = name == "dmean"
        && right
            .iter()
            .zip(&values)
            .all(|(r, v)| (r - v).abs() <= ROUNDING * size);
    let mut line = line(name, &right, &values);
    if zero && !values.is_empty() {
        line.right = true;
    }
    line
}

fn judge(
    probe: &Probe,
    n: usize,
    c: usize,
    channels: &[Channel],
    found: &[Stages],
    first: usize,
    lines: Vec<Line>,
) -> Report {
    let (name, read) = STAGES[first];
    let broken = channels.iter().zip(found).find_map(|(k, f)| {
        unusable(
            name,
            read(&k.right).len(),
            &read(f),
            "one for each value of the channel",
        )
    });
    let (id, sentence) = broken.unwrap_or_else(|| {
        let fits = |formula: &fn(&Channel, f64) -> Vec<f64>| {
            channels
                .iter()
                .zip(found)
                .all(|(k, f)| distance(&formula(k, n as f64), &read(f)) <= ROUNDING)
        };
        let mut known = MISTAKES.iter().filter(|(stage, ..)| *stage == name);
        match known.find(|(_, _, _, formula)| fits(formula)) {
            Some((_, id, sentence, _)) => ((*id).to_owned(), (*sentence).to_owned()),
            None => factor(channels, found, read, n),
        }
    });
    let mut report = wrong(NAME, name, &id, headline(name, &sentence), true);
    report.section = (id != "shape" && id != "not-finite").then(|| SECTION.to_owned());
    // What it does to the gradient as a whole, when that can be said.
    let assembled: Vec<f64> = (0..n * c)
        .map(|at| found[at % c].dx.get(at / c).copied().unwrap_or(f64::NAN))
        .collect();
    let verdict = explain(probe, Target::Dx, &assembled);
    if !["correct", "unknown", "ambiguous", "not-finite", "shape"].contains(&verdict.id.as_str())
        && verdict.id != id
    {
        report
            .notes
            .push(format!("In the end, {}.", verdict.sentence));
    }
    report.lines = lines;
    let values: Vec<f64> = read(&found[0]);
    report.heatmap = if values.len() == n {
        let by_row = |stages: &dyn Fn(usize) -> Vec<f64>| -> Vec<f64> {
            (0..n * c)
                .map(|at| stages(at % c).get(at / c).copied().unwrap_or(f64::NAN))
                .collect()
        };
        heatmap(
            name,
            n,
            c,
            &by_row(&|ch| read(&channels[ch].right)),
            &by_row(&|ch| read(&found[ch])),
        )
    } else {
        let all = |stages: Vec<Vec<f64>>| stages.concat();
        heatmap(
            name,
            1,
            c,
            &all(channels.iter().map(|k| read(&k.right)).collect()),
            &all(found.iter().map(read).collect()),
        )
    };
    report
}

/// A factor that is the same for all values and channels, or the first difference.
fn factor(
    channels: &[Channel],
    found: &[Stages],
    read: fn(&Stages) -> Vec<f64>,
    n: usize,
) -> (String, String) {
    let m = n as f64;
    let values = [-1.0, 0.0, 2.0, 0.5, m, 1.0 / m];
    for (value, (id, sentence)) in values.into_iter().zip(factors(&n.to_string())) {
        let scaled =
            |k: &Channel| -> Vec<f64> { read(&k.right).iter().map(|v| v * value).collect() };
        let fits = |(k, f): (&Channel, &Stages)| {
            let found = read(f);
            if value == 0.0 {
                found.iter().all(|v| *v == 0.0)
            } else {
                distance(&scaled(k), &found) <= ROUNDING
            }
        };
        if channels.iter().zip(found).all(fits) {
            return (id.to_owned(), sentence);
        }
    }
    let (right, values) = (read(&channels[0].right), read(&found[0]));
    let sentence = format!(
        "in the first channel it begins with {:.6} and must begin with {:.6}",
        values[0], right[0]
    );
    ("unknown".to_owned(), sentence)
}

#[cfg(test)]
mod tests;
