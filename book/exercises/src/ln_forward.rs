//! Checks the exercise `ln_forward`.

use crate::compare::{ROUNDING, distance, heatmap, largest, line, same, unusable, wrong_at};
use crate::harness;
use crate::report::{Line, Outcome, Report};
use crate::sections::layer_section;
use gradcheck::attribution::norm::{Probe, Target, explain};
use std::process::ExitCode;

const NAME: &str = "ln_forward";

/// What Layer Norm computes for `x` of shape `[N, D]`.
#[derive(Clone, Debug)]
pub struct Forward {
    /// The mean of each row, `[N]`.
    pub mean: Vec<f64>,
    /// The variance of each row, `[N]`.
    pub var: Vec<f64>,
    /// The normalized values, `[N, D]`.
    pub x_hat: Vec<f64>,
    /// The output, `[N, D]`.
    pub y: Vec<f64>,
}

/// `(x, n, d, gamma, beta, eps)` to the forward pass.
pub type Candidate<'a> = &'a dyn Fn(&[f64], usize, usize, &[f64], &[f64], f64) -> Forward;

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(&[f64], usize, usize, &[f64], &[f64], f64) -> Forward) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

/// Shapes `[N, D]`, never square, and `eps` of the probes.
const PROBES: [(usize, usize, f64); 4] = [(4, 6, 1e-3), (6, 5, 1e-5), (5, 8, 1e-3), (7, 4, 1e-5)];
/// A mean this many deviations away from zero: `E[x²] - E[x]²` then loses 13 digits.
const OFFSET: f64 = 3e6;
/// What the variance may be off by there, when it is computed from `x - mean`.
const OFFSET_BOUND: f64 = 1e-6;

/// The report on `candidate`, from random batches of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let mut lines = Vec::new();
    for (number, (n, d, eps)) in PROBES.into_iter().enumerate() {
        let probe = Probe::layer_norm(&[n, d], 1, eps, seed * 100 + number as u64);
        let found = candidate(&probe.x, n, d, &probe.gamma, &probe.beta, eps);
        let right = reference(&probe, n, d);
        if let Some(report) = judge(&probe, n, d, &right, &found) {
            return report;
        }
        lines = compared(&right, &found);
    }
    if let Some(report) = far_from_zero(candidate, seed, &mut lines) {
        return report;
    }
    let mut report = Report::new(NAME, Outcome::Passed, "all four stages are right");
    report.lines = lines;
    report
}

fn reference(probe: &Probe, n: usize, d: usize) -> Forward {
    let mut right = Forward {
        mean: vec![0.0; n],
        var: vec![0.0; n],
        x_hat: probe.x_hat(),
        y: probe.y(),
    };
    for (row, x) in probe.x.chunks_exact(d).enumerate() {
        let mean = x.iter().sum::<f64>() / d as f64;
        right.mean[row] = mean;
        right.var[row] = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / d as f64;
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
fn judge(probe: &Probe, n: usize, d: usize, right: &Forward, found: &Forward) -> Option<Report> {
    let (each_row, each_element) = ("one for each row", "one for each element of x");
    let stages = [
        ("mean", &right.mean, &found.mean, each_row),
        ("var", &right.var, &found.var, each_row),
        ("x_hat", &right.x_hat, &found.x_hat, each_element),
        ("y", &right.y, &found.y, each_element),
    ];
    for (name, expected, values, shape) in stages {
        if same(expected, values) {
            continue;
        }
        let (id, headline) = of_columns(name, n, d, values)
            .or_else(|| unusable(name, expected.len(), values, shape))
            .unwrap_or_else(|| named(probe, n, d, name, right, values));
        let section = layer_section(name, &id);
        let mut report = wrong_at(NAME, &id, headline, section);
        report.lines = compared(right, found);
        // One number for each row stands in a column, beside its row.
        let columns = if expected.len() == n { 1 } else { d };
        report.heatmap = heatmap(name, n, columns, expected, values);
        return Some(report);
    }
    None
}

/// One statistic for each column where one for each row belongs.
fn of_columns(name: &str, n: usize, d: usize, found: &[f64]) -> Option<(String, String)> {
    (matches!(name, "mean" | "var") && found.len() == d).then(|| {
        let headline = format!(
            "{name} has {d} values, one for each feature, as in Batch Norm; Layer Norm takes it over the features of each row, which makes {n}"
        );
        ("axes-per-feature".to_owned(), headline)
    })
}

/// A known mistake: its name, what to say, and the values it leads to.
type Known = (&'static str, String, Vec<f64>);

/// The mistake in a stage whose predecessors are right.
fn named(
    probe: &Probe,
    n: usize,
    d: usize,
    name: &str,
    right: &Forward,
    found: &[f64],
) -> (String, String) {
    let known = match name {
        "mean" => wrong_means(probe, n, d, right),
        "var" => wrong_variances(probe, n, d, right),
        "y" => wrong_outputs(probe, d, right),
        _ => Vec::new(),
    };
    if let Some((id, headline, _)) = known.into_iter().find(|(_, _, values)| same(values, found)) {
        return (id.to_owned(), headline);
    }
    // x_hat is judged through the output it would lead to.
    let verdict = match name {
        "x_hat" => {
            let output = |k: usize| probe.gamma[k % d] * found[k] + probe.beta[k % d];
            let y: Vec<f64> = (0..found.len()).map(output).collect();
            explain(probe, Target::Y, &y)
        }
        "y" => explain(probe, Target::Y, found),
        _ => return ("unknown".to_owned(), unknown(name, right, found, d)),
    };
    if verdict.id == "unknown" {
        return ("unknown".to_owned(), unknown(name, right, found, d));
    }
    let clause = verdict
        .sentence
        .split_once(": ")
        .map_or(verdict.sentence.as_str(), |(_, s)| s);
    (verdict.id.clone(), format!("{name}: {clause}"))
}

fn scaled(values: &[f64], by: f64) -> Vec<f64> {
    values.iter().map(|v| v * by).collect()
}

fn mean_of(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

/// `f` of each row of the array read as `[D, N]`, transposed.
fn transposed(probe: &Probe, n: usize, f: &dyn Fn(&[f64]) -> f64) -> Vec<f64> {
    let row = |i: usize| -> Vec<f64> { probe.x.iter().skip(i).step_by(n).copied().collect() };
    (0..n).map(|i| f(&row(i))).collect()
}

fn layout(name: &str) -> String {
    format!(
        "{name} is taken over the wrong elements: x is row-major [N, D], so feature i of row r is x[r * d + i]"
    )
}

fn wrong_means(probe: &Probe, n: usize, d: usize, right: &Forward) -> Vec<Known> {
    let (count, mean) = (d as f64, &right.mean);
    let over = |what: &str, by: f64| {
        let headline = format!("the mean of a row is divided by {what}; a row has {d} values");
        (headline, scaled(mean, count / by))
    };
    let (bessel, by_rows) = (
        over(&format!("D - 1 = {}", d - 1), count - 1.0),
        over(&format!("N = {n}"), n as f64),
    );
    vec![
        (
            "summed",
            "the mean is summed and not divided by D".into(),
            scaled(mean, count),
        ),
        ("bessel-mean", bessel.0, bessel.1),
        ("divided-by-n", by_rows.0, by_rows.1),
        (
            "layout-transposed",
            layout("mean"),
            transposed(probe, n, &mean_of),
        ),
        (
            "sign",
            "the mean has the wrong sign".into(),
            scaled(mean, -1.0),
        ),
    ]
}

fn wrong_variances(probe: &Probe, n: usize, d: usize, right: &Forward) -> Vec<Known> {
    let (count, var) = (d as f64, &right.var);
    let squares: Vec<f64> = probe
        .x
        .chunks_exact(d)
        .map(|x| x.iter().map(|x| x * x).sum::<f64>() / count)
        .collect();
    let one_pass = squares.iter().zip(&right.mean).map(|(s, mu)| s - mu * mu);
    let spread = |x: &[f64]| {
        let mu = mean_of(x);
        x.iter().map(|v| (v - mu).powi(2)).sum::<f64>() / x.len() as f64
    };
    vec![
        (
            "bessel-statistics",
            format!(
                "the variance is divided by D - 1 = {}; it describes this row, so it is divided by D = {d}",
                d - 1
            ),
            scaled(var, count / (count - 1.0)),
        ),
        (
            "summed",
            "the squares are summed and not divided by D".into(),
            scaled(var, count),
        ),
        (
            "divided-by-n",
            format!("the variance of a row is divided by N = {n}; a row has {d} values"),
            scaled(var, count / n as f64),
        ),
        (
            "root",
            "this is the standard deviation; var is its square".into(),
            var.iter().map(|v| v.sqrt()).collect(),
        ),
        (
            "eps-in-var",
            "eps is already in var; it belongs under the root only".into(),
            var.iter().map(|v| v + probe.eps).collect(),
        ),
        (
            "mean-not-subtracted",
            "this is the mean of x², as RMS Norm takes it; the mean of x is not subtracted first"
                .into(),
            squares.clone(),
        ),
        (
            "layout-transposed",
            layout("var"),
            transposed(probe, n, &spread),
        ),
        (
            "cancellation",
            "var is right in theory and loses digits: E[x²] - E[x]² subtracts two large numbers. Subtract the mean first, then square".into(),
            one_pass.collect(),
        ),
    ]
}

fn wrong_outputs(probe: &Probe, d: usize, right: &Forward) -> Vec<Known> {
    let by_row = |k: usize| {
        let p = k / d % d;
        probe.gamma[p] * right.x_hat[k] + probe.beta[p]
    };
    vec![(
        "gamma-by-row",
        "gamma and beta are indexed by the row; they have one number for each feature".into(),
        (0..right.y.len()).map(by_row).collect(),
    )]
}

fn unknown(name: &str, right: &Forward, found: &[f64], d: usize) -> String {
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
    let place = if matches!(name, "mean" | "var") {
        format!("row {at}")
    } else {
        format!("row {}, feature {}", at / d, at % d)
    };
    format!(
        "{name} is the first wrong stage: at {place} it is {:.6} and must be {:.6}",
        found[at], expected[at]
    )
}

/// Rows far from zero, where a one-pass variance loses its digits.
fn far_from_zero(candidate: Candidate<'_>, seed: u64, lines: &mut Vec<Line>) -> Option<Report> {
    let (n, d, eps) = (3, 8, 1e-5);
    let mut probe = Probe::layer_norm(&[n, d], 1, eps, seed * 100 + 99);
    let deviation = largest(&probe.x);
    for x in &mut probe.x {
        *x += OFFSET * deviation;
    }
    let right = reference(&probe, n, d);
    let found = candidate(&probe.x, n, d, &probe.gamma, &probe.beta, eps);
    let off = distance(&right.var, &found.var);
    let fine = off <= OFFSET_BOUND;
    let detail = if off == 0.0 {
        "equal to the last bit".to_owned()
    } else if off.is_finite() {
        format!("off by {off:.0e}")
    } else {
        "not finite".to_owned()
    };
    lines.push(Line {
        name: "var, far from zero".to_owned(),
        right: fine,
        detail,
    });
    if fine {
        return None;
    }
    let headline = format!(
        "far from zero the variance is lost: with a mean of {OFFSET:.0e} deviations, E[x²] - E[x]² subtracts two numbers that agree in 13 digits. Subtract the mean first, then square"
    );
    let mut report = wrong_at(NAME, "cancellation", headline, "sec:two-pass");
    report.lines.clone_from(lines);
    Some(report)
}

#[cfg(test)]
mod tests;
