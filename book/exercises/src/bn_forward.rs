//! Checks the exercise `bn_forward`.

use crate::compare::{ROUNDING, distance, heatmap, largest, line, same, unusable, wrong};
use crate::harness::{self, attempt};
use crate::report::{Line, Outcome, Report};
use gradcheck::attribution::norm::{
    Probe, Target, explain, explain_running_mean, explain_running_var,
};
use std::process::ExitCode;

const NAME: &str = "bn_forward";

/// What Batch Norm computes in training, for `x` of shape `[N, C]`.
#[derive(Clone, Debug)]
pub struct Forward {
    /// The mean of each channel, `[C]`.
    pub mean: Vec<f64>,
    /// The variance of each channel, `[C]`.
    pub var: Vec<f64>,
    /// The normalized values, `[N, C]`.
    pub x_hat: Vec<f64>,
    /// The output, `[N, C]`.
    pub y: Vec<f64>,
}

/// What Batch Norm keeps for inference, one value per channel.
#[derive(Clone, Debug)]
pub struct Running {
    /// `running_mean`, `[C]`.
    pub mean: Vec<f64>,
    /// `running_var`, `[C]`.
    pub var: Vec<f64>,
}

/// `(x, n, c, gamma, beta, eps)` to the forward pass.
pub type Candidate<'a> = &'a dyn Fn(&[f64], usize, usize, &[f64], &[f64], f64) -> Forward;
/// `(running, batch, n, momentum)`, with `running` moved towards `batch`.
pub type Update<'a> = &'a dyn Fn(&mut Running, &Forward, usize, f64);

/// Checks both functions and prints the report.
pub fn check(
    forward: impl Fn(&[f64], usize, usize, &[f64], &[f64], f64) -> Forward,
    update: impl Fn(&mut Running, &Forward, usize, f64),
) -> ExitCode {
    harness::run(NAME, || report(&forward, &update, 0))
}

/// Shapes `[N, C]` and `eps` of the probes.
const PROBES: [(usize, usize, f64); 4] = [(6, 4, 1e-3), (5, 3, 1e-5), (7, 5, 1e-3), (4, 6, 1e-5)];
/// A mean this many deviations away from zero: `E[x²] - E[x]²` then loses 13 digits.
const OFFSET: f64 = 3e6;
/// What the variance may be off by there, when it is computed from `x - mean`.
const OFFSET_BOUND: f64 = 1e-6;

/// The report on both functions, from random batches of this seed.
#[must_use]
pub fn report(forward: Candidate<'_>, update: Update<'_>, seed: u64) -> Report {
    let mut lines = Vec::new();
    for (number, (n, c, eps)) in PROBES.into_iter().enumerate() {
        let probe = Probe::batch_norm(&[n, c], eps, seed * 100 + number as u64);
        let found = forward(&probe.x, n, c, &probe.gamma, &probe.beta, eps);
        if let Some(report) = judge(&probe, n, c, &found) {
            return report;
        }
        let right = reference(&probe, n, c);
        lines = compared(&right, &found);
    }
    if let Some(report) = offset(forward, seed, &mut lines) {
        return report;
    }
    running(update, seed, lines)
}

fn reference(probe: &Probe, n: usize, c: usize) -> Forward {
    let mut right = Forward {
        mean: vec![0.0; c],
        var: vec![0.0; c],
        x_hat: probe.x_hat(),
        y: probe.y(),
    };
    for ch in 0..c {
        let channel = || (0..n).map(|i| probe.x[i * c + ch]);
        let mean = channel().sum::<f64>() / n as f64;
        right.mean[ch] = mean;
        right.var[ch] = channel().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
    }
    right
}

fn compared(right: &Forward, found: &Forward) -> Vec<Line> {
    vec![
        line("mean", &right.mean, &found.mean),
        line("var", &right.var, &found.var),
        line("x_hat", &right.x_hat, &found.x_hat),
        line("y", &right.y, &found.y),
    ]
}

/// The report on the first wrong stage, if there is one.
fn judge(probe: &Probe, n: usize, c: usize, found: &Forward) -> Option<Report> {
    let right = reference(probe, n, c);
    let stages = [
        ("mean", &right.mean, &found.mean, "one for each channel"),
        ("var", &right.var, &found.var, "one for each channel"),
        (
            "x_hat",
            &right.x_hat,
            &found.x_hat,
            "one for each element of x",
        ),
        ("y", &right.y, &found.y, "one for each element of x"),
    ];
    for (name, right_values, found_values, shape) in stages {
        if same(right_values, found_values) {
            continue;
        }
        let (id, headline) = unusable(name, right_values.len(), found_values, shape)
            .unwrap_or_else(|| named(probe, n, c, name, &right, found_values));
        let mut report = wrong(NAME, name, &id, headline, false);
        report.lines = compared(&right, found);
        let rows = if right_values.len() == c { 1 } else { n };
        report.heatmap = heatmap(name, rows, c, right_values, found_values);
        return Some(report);
    }
    None
}

/// The mistake in a stage whose predecessors are right.
fn named(
    probe: &Probe,
    n: usize,
    c: usize,
    name: &str,
    right: &Forward,
    found: &[f64],
) -> (String, String) {
    let m = n as f64;
    let scaled = |values: &[f64], by: f64| values.iter().map(|v| v * by).collect::<Vec<f64>>();
    // The array read as [C, N] where it is [N, C].
    let transposed = |f: &dyn Fn(&[f64]) -> f64| -> Vec<f64> { probe.x.chunks(n).map(f).collect() };
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let per_channel = |f: &dyn Fn(f64) -> f64| -> Vec<f64> {
        (0..c)
            .map(|ch| (0..n).map(|i| f(probe.x[i * c + ch])).sum::<f64>() / m)
            .collect()
    };
    let layout = format!(
        "{name} is taken over the wrong elements: x is row-major [N, C], so channel c of example n is x[n * c_count + c]"
    );
    let known: Vec<(&str, String, Vec<f64>)> = match name {
        "mean" => vec![
            ("summed", "the mean is summed and not divided by N".into(), scaled(&right.mean, m)),
            ("bessel-mean", format!("the mean is divided by {} in place of {n}", n - 1), scaled(&right.mean, m / (m - 1.0))),
            ("axes-channels-first", layout, transposed(&mean)),
            ("sign", "the mean has the wrong sign".into(), scaled(&right.mean, -1.0)),
        ],
        "var" => vec![
            (
                "bessel-statistics",
                format!("the variance is divided by N - 1 = {}; it describes this batch, so it is divided by N = {n}", n - 1),
                scaled(&right.var, m / (m - 1.0)),
            ),
            ("summed", "the squares are summed and not divided by N".into(), scaled(&right.var, m)),
            ("root", "this is the standard deviation; var is its square".into(), right.var.iter().map(|v| v.sqrt()).collect()),
            ("eps-in-var", "eps is already in var; it belongs under the root only".into(), right.var.iter().map(|v| v + probe.eps).collect()),
            ("mean-not-subtracted", "this is the mean of x²; the mean of x is not subtracted first".into(), per_channel(&|x| x * x)),
            ("axes-channels-first", layout, transposed(&|x| { let mu = mean(x); x.iter().map(|v| (v - mu).powi(2)).sum::<f64>() / x.len() as f64 })),
            ("cancellation", "var is right in theory and loses digits: E[x²] - E[x]² subtracts two large numbers. Subtract the mean first, then square".into(), {
                let squares = per_channel(&|x| x * x);
                squares.iter().zip(&right.mean).map(|(s, mu)| s - mu * mu).collect()
            }),
        ],
        _ => Vec::new(),
    };
    if let Some((id, headline, _)) = known.into_iter().find(|(_, _, values)| same(values, found)) {
        return (id.to_owned(), headline);
    }
    // x_hat is judged through the output it would lead to.
    let verdict = match name {
        "x_hat" => {
            let output = |k: usize| probe.gamma[k % c] * found[k] + probe.beta[k % c];
            let y: Vec<f64> = (0..found.len()).map(output).collect();
            explain(probe, Target::Y, &y)
        }
        "y" => explain(probe, Target::Y, found),
        _ => return ("unknown".to_owned(), unknown(name, right, found, c)),
    };
    if verdict.id == "unknown" {
        return ("unknown".to_owned(), unknown(name, right, found, c));
    }
    let clause = verdict
        .sentence
        .split_once(": ")
        .map_or(verdict.sentence.as_str(), |(_, s)| s);
    (verdict.id.clone(), format!("{name}: {clause}"))
}

fn unknown(name: &str, right: &Forward, found: &[f64], c: usize) -> String {
    let expected = match name {
        "mean" => &right.mean,
        "var" => &right.var,
        "x_hat" => &right.x_hat,
        _ => &right.y,
    };
    let scale = largest(expected);
    let at = expected
        .iter()
        .zip(found)
        .position(|(e, f)| (e - f).abs() > ROUNDING * scale)
        .unwrap_or(0);
    let place = if expected.len() == c {
        format!("channel {at}")
    } else {
        format!("example {}, channel {}", at / c, at % c)
    };
    format!(
        "{name} is the first wrong stage: at {place} it is {:.6} and must be {:.6}",
        found[at], expected[at]
    )
}

/// A batch far from zero, where a one-pass variance loses its digits.
fn offset(forward: Candidate<'_>, seed: u64, lines: &mut Vec<Line>) -> Option<Report> {
    let (n, c, eps) = (8, 3, 1e-5);
    let mut probe = Probe::batch_norm(&[n, c], eps, seed * 100 + 99);
    let deviation = largest(&probe.x);
    for x in &mut probe.x {
        *x += OFFSET * deviation;
    }
    let right = reference(&probe, n, c);
    let found = forward(&probe.x, n, c, &probe.gamma, &probe.beta, eps);
    let off = distance(&right.var, &found.var);
    let fine = off <= OFFSET_BOUND;
    let detail = if off.is_finite() {
        format!("off by {off:.0e}")
    } else {
        "not finite".to_owned()
    };
    let name = "var, far from zero";
    lines.push(Line {
        name: name.to_owned(),
        right: fine,
        detail,
    });
    if fine {
        return None;
    }
    let mut report = wrong(
        NAME,
        "var",
        "cancellation",
        format!(
            "far from zero the variance is lost: with a mean of {OFFSET:.0e} deviations, E[x²] - E[x]² subtracts two numbers that agree in 13 digits. Subtract the mean first, then square"
        ),
        false,
    );
    report.lines.clone_from(lines);
    Some(report)
}

/// The report on the running statistics, once the forward pass is right.
fn running(update: Update<'_>, seed: u64, mut lines: Vec<Line>) -> Report {
    for (number, (n, c, eps)) in PROBES.into_iter().enumerate() {
        let probe = Probe::batch_norm(&[n, c], eps, seed * 100 + 50 + number as u64);
        let batch = reference(&probe, n, c);
        let momentum = [0.1, 0.3][number % 2];
        let before = Running {
            // Values of the size of the batch's own, so that neither hides the other.
            mean: batch.mean.iter().map(|m| 0.7 - 1.3 * m).collect(),
            var: batch
                .var
                .iter()
                .rev()
                .map(|v| 0.4 * v + 0.3 * largest(&batch.var))
                .collect(),
        };
        let mut after = before.clone();
        if let Err(thrown) = attempt(|| update(&mut after, &batch, n, momentum)) {
            let mut report = thrown.report(NAME);
            report.headline = format!("bn_forward is right; update_running: {}", report.headline);
            report.lines = lines;
            return report;
        }
        let verdicts = [
            (
                "running_mean",
                explain_running_mean(&probe, &before.mean, momentum, &after.mean),
            ),
            (
                "running_var",
                explain_running_var(&probe, &before.var, momentum, &after.var),
            ),
        ];
        for (name, verdict) in &verdicts {
            if verdict.is_correct() {
                continue;
            }
            let untouched = after.mean == before.mean && after.var == before.var;
            let (id, headline) = if untouched {
                (
                    "unchanged".to_owned(),
                    "update_running changes nothing: it assigns to running.mean and running.var"
                        .to_owned(),
                )
            } else {
                (verdict.id.clone(), verdict.sentence.clone())
            };
            let mut report = wrong(NAME, name, &id, headline, false);
            report.lines = lines;
            report.lines.extend(verdicts.iter().map(|(name, verdict)| {
                Line {
                    name: (*name).to_owned(),
                    right: verdict.is_correct(),
                    detail: if verdict.is_correct() {
                        "right"
                    } else {
                        "wrong"
                    }
                    .to_owned(),
                }
            }));
            report.notes.push(format!(
                "PyTorch's convention: running = (1 - momentum) * running + momentum * batch; here momentum is {momentum}, N is {n}."
            ));
            return report;
        }
    }
    for name in ["running_mean", "running_var"] {
        let detail = "right after one step from random values".to_owned();
        lines.push(Line {
            name: name.to_owned(),
            right: true,
            detail,
        });
    }
    let mut report = Report::new(
        NAME,
        Outcome::Passed,
        "forward and running statistics are right",
    );
    report.lines = lines;
    report
}

#[cfg(test)]
mod tests;
