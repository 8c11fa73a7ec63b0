//! What is said of all arrays, in words and as JSON.

use crate::book::Sections;
use crate::judge::Judged;
use crate::search::Outcome;
use crate::shown;
use crate::subject::{Subject, facts_of};
use serde::Serialize;
use serde_json::Value;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;

/// The judgement of a file.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The norm and what it takes.
    pub norm: BTreeMap<&'static str, Value>,
    /// The shape of x.
    pub shape: Vec<usize>,
    /// What was added to the variance.
    pub eps: f64,
    /// The seriousest outcome.
    pub outcome: Outcome,
    /// What is in the files, or should be, and cannot be judged.
    pub refused: Vec<String>,
    /// Each array.
    pub judged: Vec<Judged>,
    /// What a person should know beside it.
    pub notes: Vec<String>,
}

impl Report {
    /// Judges every array that the data can prove something of.
    pub fn new(subject: &Subject) -> Self {
        let judged = subject.judge();
        let refused = &subject.unclear;
        let names: Vec<&str> = judged.iter().map(|j| j.target).collect();
        let any = |outcome| judged.iter().any(|j| j.outcome == outcome);
        let outcome = if any(Outcome::Wrong) {
            Outcome::Wrong
        } else if any(Outcome::Refused) || !refused.is_empty() {
            Outcome::Refused
        } else {
            Outcome::Right
        };
        Self {
            norm: facts_of(subject.norm)
                .into_iter()
                .map(|(name, fact)| (name, fact.parse().map_or(Value::from(fact), Value::Number)))
                .collect(),
            shape: subject.probe.shape.clone(),
            eps: subject.probe.eps,
            outcome,
            refused: refused.clone(),
            notes: [
                &*subject.notes,
                &shown::notes(&subject.probe, subject.has_beta, &names),
            ]
            .concat(),
            judged,
        }
    }

    /// For scripts: 0 when all is right, 1 when something is wrong, 2 when nothing is known to
    /// be wrong and something could not be judged.
    pub fn code(&self) -> u8 {
        match self.outcome {
            Outcome::Right => 0,
            Outcome::Wrong => 1,
            Outcome::Refused => 2,
        }
    }

    /// The same as JSON.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and texts")
    }

    fn of_one(
        judged: &Judged,
        book: &OnceCell<Sections>,
        out: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        writeln!(out, "{}", judged.sentence)?;
        // Where a mistake was found; not where to read of what could not be seen.
        let mut sections: Vec<&str> = Vec::new();
        for section in judged.findings.iter().filter_map(|f| f.section) {
            if !sections.contains(&section) {
                sections.push(section);
            }
        }
        if judged.outcome == Outcome::Wrong {
            for section in sections {
                writeln!(
                    out,
                    "    read {}",
                    book.get_or_init(Sections::of_the_book).told(section)
                )?;
            }
        }
        let (Some(error), Some(allowed)) = (judged.error, judged.allowed) else {
            return Ok(());
        };
        let Judged { target, dtype, .. } = judged;
        match (judged.outcome, &judged.worst) {
            (Outcome::Right, _) => writeln!(
                out,
                "    {target}, {dtype}: right to {error:.1e} of its size, {allowed:.1e} allowed"
            ),
            (Outcome::Wrong, Some(worst)) => {
                // As a whole it may be within what is allowed, and some elements are not.
                let (off, elements) = (judged.off, judged.elements);
                let [found, right] = worst.told();
                let but = match error <= allowed {
                    true => format!(
                        " in all, but {off} of {elements} elements by more than each may be"
                    ),
                    false => String::new(),
                };
                writeln!(
                    out,
                    "    {target}, {dtype}: off by {error:.1e} of its size, {allowed:.1e} allowed{but}; \
                     at {:?} it is {found} where {right} belongs",
                    worst.at
                )
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for reason in &self.refused {
            writeln!(out, "not judged: {reason}")?;
        }
        // The chapters are read only when something is wrong.
        let book = OnceCell::new();
        for judged in &self.judged {
            Self::of_one(judged, &book, out)?;
        }
        for note in &self.notes {
            writeln!(out, "note: {note}")?;
        }
        Ok(())
    }
}
