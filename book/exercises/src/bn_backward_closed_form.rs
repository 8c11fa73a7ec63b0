//! Checks the exercise `bn_backward_closed_form`.

use crate::compare::{evidence, heatmap, line, same, unusable, wrong};
use crate::harness;
use crate::report::{Line, Outcome, Report};
use gradcheck::attribution::Verdict;
use gradcheck::attribution::norm::{Probe, Target, explain};
use gradcheck::{Check, Groups};
use std::process::ExitCode;

const NAME: &str = "bn_backward_closed_form";

/// What Batch Norm's backward pass returns.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// By the input, `[N, C]`.
    pub dx: Vec<f64>,
    /// By the scale, `[C]`.
    pub dgamma: Vec<f64>,
    /// By the shift, `[C]`.
    pub dbeta: Vec<f64>,
}

/// `(dy, x_hat, rstd, gamma, n, c)` to the gradients.
pub type Candidate<'a> = &'a dyn Fn(&[f64], &[f64], &[f64], &[f64], usize, usize) -> Gradients;

/// Checks `candidate` and prints the report.
pub fn check(
    candidate: impl Fn(&[f64], &[f64], &[f64], &[f64], usize, usize) -> Gradients,
) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

const PROBES: [(usize, usize, f64); 4] = [(6, 4, 1e-3), (5, 3, 1e-5), (7, 5, 1e-3), (4, 6, 1e-5)];

/// The report on `candidate`, from random batches of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let mut lines = Vec::new();
    // A mistake that one probe leaves open another may settle.
    let mut open: Option<Report> = None;
    for (number, (n, c, eps)) in PROBES.into_iter().enumerate() {
        let probe = Probe::batch_norm(&[n, c], eps, seed * 100 + number as u64);
        let found = candidate(
            &probe.dy,
            &probe.x_hat(),
            &probe.rstd()[..c],
            &probe.gamma,
            n,
            c,
        );
        lines = compared(&probe, &found);
        let Some(report) = judge(&probe, n, c, &found, &lines) else {
            continue;
        };
        if !matches!(report.mistake.as_deref(), Some("unknown" | "ambiguous")) {
            return report;
        }
        open.get_or_insert(report);
    }
    if let Some(report) = open {
        return report;
    }
    let numeric = numeric(candidate, seed);
    let right = numeric.right;
    lines.push(numeric);
    let (outcome, headline) = if right {
        (Outcome::Passed, "all three gradients are right")
    } else {
        (
            Outcome::Wrong,
            "it disagrees with the numerical derivative, on a batch of another shape",
        )
    };
    let mut report = Report::new(NAME, outcome, headline);
    report.lines = lines;
    report
}

fn compared(probe: &Probe, found: &Gradients) -> Vec<Line> {
    vec![
        line("dbeta", &probe.dbeta(), &found.dbeta),
        line("dgamma", &probe.dgamma(), &found.dgamma),
        line("dx", &probe.dx(), &found.dx),
    ]
}

/// The report on the first wrong gradient, if there is one.
fn judge(probe: &Probe, n: usize, c: usize, found: &Gradients, lines: &[Line]) -> Option<Report> {
    let each = [
        (
            Target::Dbeta,
            "dbeta",
            &found.dbeta,
            probe.dbeta(),
            1,
            "one for each channel",
        ),
        (
            Target::Dgamma,
            "dgamma",
            &found.dgamma,
            probe.dgamma(),
            1,
            "one for each channel",
        ),
        (
            Target::Dx,
            "dx",
            &found.dx,
            probe.dx(),
            n,
            "one for each element of dy",
        ),
    ];
    for (target, name, values, right, rows, shape) in each {
        let verdict: Verdict = explain(probe, target, values);
        if verdict.is_correct() {
            continue;
        }
        let unusable = unusable(name, right.len(), values, shape);
        let clause = verdict
            .sentence
            .split_once(": ")
            .map_or(verdict.sentence.as_str(), |(_, s)| s);
        let (id, headline) = if let Some(unusable) = unusable {
            unusable
        } else if target == Target::Dx && same(&along_rows(probe, n, c), values) {
            let headline = "dx: both means are taken over each example, along a row; they are taken over the batch, along a column";
            ("axes-per-example".to_owned(), headline.to_owned())
        } else {
            (verdict.id.clone(), format!("{name}: {clause}"))
        };
        let mut report = wrong(NAME, name, &id, headline, true);
        if name == "dx" && id != "unknown" {
            report.notes.extend(evidence(&verdict));
        }
        report.lines = lines.to_vec();
        report.heatmap = heatmap(name, rows, c, &right, values);
        return Some(report);
    }
    None
}

/// The closed form with its two means taken over the channels of each example.
fn along_rows(probe: &Probe, n: usize, c: usize) -> Vec<f64> {
    let (x_hat, rstd) = (probe.x_hat(), probe.rstd());
    let mut dx = vec![0.0; n * c];
    for i in 0..n {
        let row = i * c..(i + 1) * c;
        let mean = probe.dy[row.clone()].iter().sum::<f64>() / c as f64;
        let product = row.clone().map(|k| probe.dy[k] * x_hat[k]).sum::<f64>() / c as f64;
        for k in row {
            dx[k] = probe.gamma[k % c] * rstd[k] * (probe.dy[k] - mean - x_hat[k] * product);
        }
    }
    dx
}

/// The gradients against finite differences of the forward pass, which know their own
/// error: nothing here was derived by hand.
fn numeric(candidate: Candidate<'_>, seed: u64) -> Line {
    let (n, c, eps) = (6, 3, 1e-3);
    let probe = Probe::batch_norm(&[n, c], eps, seed * 100 + 77);
    let forward = |inputs: &[Vec<f64>]| -> Vec<f64> {
        let (x, gamma, beta) = (&inputs[0], &inputs[1], &inputs[2]);
        let (_, _, y) = normalize(x, gamma, beta, n, c, eps);
        y
    };
    let backward = |inputs: &[Vec<f64>], dy: &[f64]| -> Vec<Vec<f64>> {
        let (x_hat, rstd, _) = normalize(&inputs[0], &inputs[1], &inputs[2], n, c, eps);
        let gradients = candidate(dy, &x_hat, &rstd, &inputs[1], n, c);
        vec![gradients.dx, gradients.dgamma, gradients.dbeta]
    };
    let report = Check::new(NAME)
        .input("x", &[n, c], probe.x.clone())
        .input("gamma", &[c], probe.gamma.clone())
        .input("beta", &[c], probe.beta.clone())
        .normalizes("x", Groups::over(&[n, c], &[0]))
        .scales_by("gamma")
        .seed(seed)
        .run(forward, backward);
    let detail = match report.worst() {
        Some((name, worst)) => format!(
            "worst in d{name}: apart {:.0e}, may be {:.0e}, margin {:.2}",
            worst.disagreement, worst.bound, worst.margin
        ),
        None => "nothing could be compared".to_owned(),
    };
    Line {
        name: "finite differences".to_owned(),
        right: report.passed(),
        detail,
    }
}

/// `(x_hat, rstd, y)` of Batch Norm in training.
fn normalize(
    x: &[f64],
    gamma: &[f64],
    beta: &[f64],
    n: usize,
    c: usize,
    eps: f64,
) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let (mut x_hat, mut rstd, mut y) = (vec![0.0; n * c], vec![0.0; c], vec![0.0; n * c]);
    for ch in 0..c {
        let channel = || (0..n).map(|i| x[i * c + ch]);
        let mean = channel().sum::<f64>() / n as f64;
        let var = channel().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
        rstd[ch] = 1.0 / (var + eps).sqrt();
        for i in 0..n {
            x_hat[i * c + ch] = (x[i * c + ch] - mean) * rstd[ch];
            y[i * c + ch] = gamma[ch] * x_hat[i * c + ch] + beta[ch];
        }
    }
    (x_hat, rstd, y)
}

#[cfg(test)]
mod tests;
