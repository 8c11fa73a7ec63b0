//! Checks the exercise `ln_find_the_bug`: a derivation with one wrong step.

use crate::compare::{ROUNDING, distance, heatmap, line, unusable, wrong_at};
use crate::engine::Checker;
use crate::harness;
use crate::known::{Known, fill};
use crate::sections::layer_section;
use crate::{Line, Outcome, Report};
use gradcheck::attribution::norm::{Probe, Target, explain};
use std::process::ExitCode;

const NAME: &str = "ln_find_the_bug";

/// The step in which gamma is taken out of the mean.
const WRONG_STEP: u32 = 4;

/// `(dy, gamma, x_hat, rstd)` of one row to its `dx`.
pub type Candidate<'a> = &'a dyn Fn(&[f64], &[f64], &[f64], f64) -> Vec<f64>;

/// Checks the derivation and the reader's number of the wrong step, and prints the report.
pub fn check(
    derivation: impl Fn(&[f64], &[f64], &[f64], f64) -> Vec<f64>,
    wrong_step: u32,
) -> ExitCode {
    harness::run(NAME, || report(&derivation, wrong_step, 0))
}

/// Shapes `[N, D]` and `eps` of the probes.
const PROBES: [(usize, usize, f64); 4] = [(4, 6, 1e-3), (3, 5, 1e-5), (5, 7, 1e-3), (4, 4, 1e-5)];

/// One probe, and what the derivation makes of its rows.
struct Run {
    probe: Probe,
    right: Vec<f64>,
    found: Vec<f64>,
}

fn run(derivation: Candidate<'_>, gamma_is_one: bool, number: usize, seed: u64) -> Run {
    let (n, d, eps) = PROBES[number];
    let mut probe = Probe::layer_norm(&[n, d], 1, eps, seed * 100 + number as u64);
    if gamma_is_one {
        probe.gamma.fill(1.0);
    }
    let (x_hat, rstd) = (probe.x_hat(), probe.rstd());
    let row = |r: usize| {
        let at = r * d..(r + 1) * d;
        derivation(
            &probe.dy[at.clone()],
            &probe.gamma,
            &x_hat[at.clone()],
            rstd[r * d],
        )
    };
    // A row of another length must not be made up for by the next.
    let rows: Vec<Vec<f64>> = (0..n).map(row).collect();
    let whole = rows.iter().all(|row| row.len() == d);
    let found = if whole {
        rows.concat()
    } else {
        rows[0].clone()
    };
    Run {
        right: probe.dx(),
        probe,
        found,
    }
}

/// The bug that was shipped: to find it is the exercise.
const SHIPPED: (&str, &str) = (
    "shipped",
    "the bug is still there. With every gamma 1 this dx is right, and with gammas that differ it is wrong",
);
const NOT_SAID: (&str, &str) = (
    "step",
    "dx is right now; say which step was wrong: set WRONG_STEP",
);
const OTHER_STEP: (&str, &str) = (
    "step",
    "dx is right now, but step … was right from the beginning",
);
const SECTION: &str = "sec:ln-staged";

/// The mistakes that this checker knows, besides those of a norm.
fn known() -> Vec<Known> {
    let known = [SHIPPED, NOT_SAID, OTHER_STEP];
    known
        .map(|(id, what)| Known::new(NAME, id, what, SECTION))
        .into()
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Listed(known())
}

/// The report on `derivation`, from random rows of this seed.
#[must_use]
pub fn report(derivation: Candidate<'_>, wrong_step: u32, seed: u64) -> Report {
    let plain = run(derivation, true, 0, seed);
    let first = line("dx, every gamma 1", &plain.right, &plain.found);
    for number in 0..PROBES.len() {
        let varied = run(derivation, false, number, seed);
        let second = line("dx, gammas that differ", &varied.right, &varied.found);
        if second.right {
            continue;
        }
        return judge(&varied, vec![first, second]);
    }
    let step = Line {
        name: "WRONG_STEP".to_owned(),
        right: wrong_step == WRONG_STEP,
        detail: match wrong_step {
            0 => "not said yet".to_owned(),
            said => format!("step {said}"),
        },
    };
    let varied = run(derivation, false, 0, seed);
    let second = line("dx, gammas that differ", &varied.right, &varied.found);
    let (outcome, headline) = match wrong_step {
        WRONG_STEP => (
            Outcome::Passed,
            "dx is right, and step 4 was the wrong one".to_owned(),
        ),
        0 => (Outcome::Wrong, NOT_SAID.1.to_owned()),
        said => (Outcome::Wrong, fill(OTHER_STEP.1, &[&said])),
    };
    let mut report = Report::new(NAME, outcome, headline);
    if outcome == Outcome::Wrong {
        report.mistake = Some(NOT_SAID.0.to_owned());
        report.section = Some(SECTION.to_owned());
    }
    report.lines = vec![first, second, step];
    report
}

fn judge(run: &Run, lines: Vec<Line>) -> Report {
    let (probe, right, found) = (&run.probe, &run.right, &run.found);
    let verdict = explain(probe, Target::Dx, found);
    let unusable = unusable("dx", right.len(), found, "one for each element of dy");
    let (id, headline) = if let Some(unusable) = unusable {
        unusable
    } else if verdict.id == "mean-path-gamma-outside-mean" {
        (SHIPPED.0.to_owned(), SHIPPED.1.to_owned())
    } else {
        let clause = verdict.sentence.split_once(": ");
        let clause = clause.map_or(verdict.sentence.as_str(), |(_, s)| s);
        (verdict.id.clone(), format!("dx: {clause}"))
    };
    let section = match id.as_str() {
        "shipped" => SECTION,
        other => layer_section("dx", other),
    };
    let mut report = wrong_at(NAME, &id, headline, section);
    if id == "shipped" && distance(right, found) > ROUNDING {
        let sums = found.chunks(probe.gamma.len()).map(|row| {
            let sum = row.iter().sum::<f64>().abs();
            let size = row.iter().map(|v| v.abs()).sum::<f64>();
            sum / size
        });
        report.notes.push(format!(
            "A row of dx must add up to zero. Here the sum is {:.0} % of the sum of absolute values, in the worst row.",
            100.0 * sums.fold(0.0, f64::max)
        ));
    }
    report.lines = lines;
    report.heatmap = heatmap(
        "dx",
        right.len() / probe.gamma.len(),
        probe.gamma.len(),
        right,
        found,
    );
    report
}

#[cfg(test)]
mod tests;
