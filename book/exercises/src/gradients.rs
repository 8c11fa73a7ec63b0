//! Judging the gradients of a normalization, each through the attribution of mistakes.

use crate::compare::{heatmap, line, show_weights, unusable, wrong_at};
use crate::{Line, Outcome, Report};
use gradcheck::attribution::norm::{Probe, Target, explain};

/// What the backward pass of a norm returns, over columns (Batch Norm) or rows (Layer
/// Norm) of a table of `N` rows.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// By the input, as large as the table.
    pub dx: Vec<f64>,
    /// By the scale, one for each column.
    pub dgamma: Vec<f64>,
    /// By the shift, one for each column.
    pub dbeta: Vec<f64>,
}

/// `(dy, x_hat, rstd, gamma, n, columns)` to the gradients.
pub type ClosedForm<'a> = &'a dyn Fn(&[f64], &[f64], &[f64], &[f64], usize, usize) -> Gradients;

impl Gradients {
    /// The gradients as claims, in the order in which they are judged. `per_column` says
    /// how many the parameters have, such as "one for each channel".
    pub fn claims(&self, per_column: &'static str) -> [Claim<'_>; 3] {
        [
            Claim::new(Target::Dbeta, &self.dbeta, per_column),
            Claim::new(Target::Dgamma, &self.dgamma, per_column),
            Claim::new(Target::Dx, &self.dx, PER_ELEMENT),
        ]
    }
}

/// How many `dx` must have, in words.
pub const PER_ELEMENT: &str = "one for each element of dy";

/// A gradient that the reader returned.
pub struct Claim<'a> {
    /// What it claims to be.
    pub target: Target,
    /// The values, row-major.
    pub found: &'a [f64],
    /// How many it must have, in words.
    pub shape: &'static str,
}

impl<'a> Claim<'a> {
    /// `found`, which claims to be `target`; `shape` says how many it must have.
    pub fn new(target: Target, found: &'a [f64], shape: &'static str) -> Self {
        Self {
            target,
            found,
            shape,
        }
    }

    fn name(&self) -> &'static str {
        match self.target {
            Target::Y => "y",
            Target::Dx => "dx",
            Target::Dgamma => "dgamma",
            Target::Dbeta => "dbeta",
        }
    }

    fn right(&self, probe: &Probe) -> Vec<f64> {
        match self.target {
            Target::Y => probe.y(),
            Target::Dx => probe.dx(),
            Target::Dgamma => probe.dgamma(),
            Target::Dbeta => probe.dbeta(),
        }
    }
}

/// One line of a report for each claim.
pub fn compared(probe: &Probe, claims: &[Claim<'_>]) -> Vec<Line> {
    claims
        .iter()
        .map(|claim| line(claim.name(), &claim.right(probe), claim.found))
        .collect()
}

/// The report on the first wrong claim, if there is one. `section` names the place in the
/// book for a target and a mistake.
pub fn judge(
    exercise: &str,
    probe: &Probe,
    claims: &[Claim<'_>],
    section: &dyn Fn(&str, &str) -> &'static str,
) -> Option<Report> {
    for claim in claims {
        let name = claim.name();
        let verdict = explain(probe, claim.target, claim.found);
        if verdict.is_correct() {
            continue;
        }
        let right = claim.right(probe);
        let clause = verdict
            .sentence
            .split_once(": ")
            .map_or(verdict.sentence.as_str(), |(_, s)| s);
        let (id, headline) = unusable(name, right.len(), claim.found, claim.shape)
            .unwrap_or_else(|| (verdict.id.clone(), format!("{name}: {clause}")));
        let mut report = wrong_at(exercise, &id, headline, section(name, &id));
        if claim.target == Target::Dx && id != "unknown" {
            show_weights(&mut report, &verdict);
        }
        report.lines = compared(probe, claims);
        let columns = probe.gamma.len();
        let rows = right.len() / columns;
        report.heatmap = heatmap(name, rows, columns, &right, claim.found);
        return Some(report);
    }
    None
}

/// Asks `one` for its report on each of `count` probes. A mistake that one probe leaves
/// open another may settle.
pub fn first_named(count: usize, mut one: impl FnMut(usize) -> Option<Report>) -> Option<Report> {
    let mut open: Option<Report> = None;
    for number in 0..count {
        let Some(report) = one(number) else { continue };
        if !matches!(report.mistake.as_deref(), Some("unknown" | "ambiguous")) {
            return Some(report);
        }
        open.get_or_insert(report);
    }
    open
}

/// The line for a check against finite differences.
pub fn numeric_line(report: &gradcheck::Report) -> Line {
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

/// The report once every value is right: `all` is its headline when the finite differences
/// agree, and `otherwise` when they do not.
pub fn settled(
    exercise: &str,
    lines: Vec<Line>,
    agree: bool,
    all: &str,
    otherwise: &str,
) -> Report {
    let (outcome, headline) = if agree {
        (Outcome::Passed, all)
    } else {
        (Outcome::Wrong, otherwise)
    };
    let mut report = Report::new(exercise, outcome, headline);
    report.lines = lines;
    report
}

/// The same with a line for the finite differences, taken on a batch of another shape.
pub fn confirmed(exercise: &str, mut lines: Vec<Line>, numeric: Line, all: &str) -> Report {
    let agree = numeric.right;
    lines.push(numeric);
    let otherwise = "it disagrees with the numerical derivative, on a batch of another shape";
    settled(exercise, lines, agree, all, otherwise)
}
