//! Checks the exercise `gradient_checker`: a check of gradients, which is judged by what it lets
//! through and by whom it accuses.

mod causes;
mod layer;
mod tried;

pub use layer::{Inputs, Layer};
pub use tried::Candidate;

use crate::{Line, Outcome, Report};
use causes::{ACCUSED, SURVIVED};
use judge::Checker;
use judge::harness;
use judge::known::Known;
use layer::Suite;
use std::collections::BTreeSet;
use std::process::ExitCode;
use tried::{Tried, try_all};

const NAME: &str = "gradient_checker";

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(&Layer<'_>) -> bool) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    let all = ACCUSED.iter().map(|cause| (cause.text, cause.section));
    let all = all.chain(SURVIVED.iter().map(|cause| (cause.text, cause.section)));
    Checker::Listed(all.map(|(text, at)| Known::of(NAME, text, at)).collect())
}

/// The report on `candidate`, with what is drawn from this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let suites = Suite::all(seed);
    let mut tried = Vec::new();
    for suite in &suites {
        match try_all(candidate, suite) {
            Ok(of_suite) => tried.extend(of_suite),
            Err(thrown) => {
                let mut report = thrown.report(NAME);
                if !thrown.is_todo() {
                    let [n, c] = suite.shape;
                    let told = thrown.told();
                    report.headline =
                        format!("for {n} examples of {c} channels, it panicked {told}");
                    report.section = Some("sec:vjp".to_owned());
                }
                return report;
            }
        }
    }
    judged(&tried)
}

fn judged(tried: &[Tried<'_>]) -> Report {
    let accused: Vec<&Tried<'_>> = tried
        .iter()
        .filter(|t| t.is_right() && !t.believed)
        .collect();
    let survived: Vec<&Tried<'_>> = tried
        .iter()
        .filter(|t| !t.is_right() && t.believed)
        .collect();
    let right = tried.iter().filter(|t| t.is_right()).count();
    let wrong = tried.len() - right;
    let mut report = if let Some(cause) = ACCUSED.iter().find(|cause| cause.explains(&accused)) {
        let known = Known::of(NAME, cause.text, cause.section);
        known.report(&[&accused.len(), &right, &(cause.value)(&accused)])
    } else if let Some(cause) = SURVIVED.iter().find(|cause| cause.explains(&survived)) {
        let known = Known::of(NAME, cause.text, cause.section);
        known.report(&[&survived.len(), &wrong, &(cause.value)(&survived)])
    } else {
        let told = format!(
            "all {wrong} wrong gradients are caught, and none of the {right} right ones is accused"
        );
        Report::new(NAME, Outcome::Passed, told)
    };
    report.lines = lines(tried);
    report.notes = notes(&survived, tried);
    report
}

/// A line for each gradient, and one for the right ones.
fn lines(tried: &[Tried<'_>]) -> Vec<Line> {
    let mut lines = Vec::new();
    for target in ["dx", "dgamma", "dbeta"] {
        let of_target = tried.iter().filter(|t| t.target() == target);
        let (all, caught) = (of_target.clone().count(), of_target.filter(|t| !t.believed));
        let caught = caught.count();
        lines.push(Line {
            name: format!("{target}, wrong"),
            right: caught == all,
            detail: format!("{caught} of {all} caught"),
        });
    }
    let right = tried.iter().filter(|t| t.is_right());
    let (all, accused) = (right.clone().count(), right.filter(|t| !t.believed).count());
    lines.push(Line {
        name: "all three, right".to_owned(),
        right: accused == 0,
        detail: format!("{accused} of {all} accused"),
    });
    lines
}

/// The mistakes in a path of dx begin with its name.
const PATHS: [(&str, &str); 3] = [
    ("direct-path", "the direct path"),
    ("mean-path", "the path of the mean"),
    ("variance-path", "the path of the variance"),
];

/// Which mistakes survived, by name; and those in the paths of dx, counted.
fn notes(survived: &[&Tried<'_>], tried: &[Tried<'_>]) -> Vec<String> {
    let mut notes = Vec::new();
    let of = |tried: &[&Tried<'_>], path: &str| {
        let wrong = tried.iter().filter_map(|t| t.wrong());
        wrong
            .filter(|(target, id)| *target == "dx" && id.starts_with(path))
            .count()
    };
    let all: Vec<&Tried<'_>> = tried.iter().collect();
    for (path, name) in PATHS {
        let (left, made) = (of(survived, path), of(&all, path));
        if left == made {
            notes.push(format!("Every mistake in {name} survives, all {made}."));
        } else if left > 0 {
            notes.push(format!("Of {made} mistakes in {name}, {left} survive."));
        }
    }
    let names = survived.iter().filter_map(|t| t.wrong());
    let names: BTreeSet<String> = names
        .map(|(target, id)| format!("{target}: {id}"))
        .collect();
    if !names.is_empty() {
        let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
        let more = match names.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        notes.push(format!(
            "What survives, as appendix B has it: {}{more}.",
            shown.join(", ")
        ));
    }
    notes
}

/// So many names are listed.
const SHOWN: usize = 12;

#[cfg(test)]
mod tests;
