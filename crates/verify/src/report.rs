//! The gradient report as a table.

use std::fmt;

/// The result of one case.
#[derive(Clone, Debug)]
pub struct Row {
    /// The part of the report.
    pub group: &'static str,
    /// What was checked.
    pub name: String,
    /// The source file with the backward pass, from the folder `crates`.
    pub source: &'static str,
    /// The check in full.
    pub check: gradcheck::Report,
}

impl Row {
    /// Whether nothing is wrong and the check could have failed.
    pub fn passed(&self) -> bool {
        self.check.passed()
    }

    /// How many derivatives were compared.
    pub fn compared(&self) -> usize {
        self.check
            .inputs
            .iter()
            .map(|input| input.numeric.len())
            .sum()
    }

    /// The largest distance between a gradient and its finite difference; for an element
    /// at a kink, from the range of slopes there.
    pub fn disagreement(&self) -> f64 {
        self.largest(|input, k| input.disagreement[k])
    }

    /// The largest estimated error of a finite difference.
    pub fn error(&self) -> f64 {
        self.largest(|input, k| input.error[k])
    }

    /// The largest share that a disagreement takes of what it may be: up to 1 passes.
    pub fn margin(&self) -> String {
        let worst = self.check.worst();
        worst.map_or("?".to_owned(), |(_, worst)| worst.margin_text())
    }

    fn largest(&self, of: impl Fn(&gradcheck::InputReport, usize) -> f64) -> f64 {
        let inputs = self.check.inputs.iter();
        let all = inputs.flat_map(|input| (0..input.numeric.len()).map(move |k| (input, k)));
        all.map(|(input, k)| of(input, k)).fold(0.0, f64::max)
    }
}

/// The gradient report.
///
/// [`fmt::Display`] renders it as a table for a terminal, without colour.
#[derive(Clone, Debug)]
pub struct Report {
    /// One row for each case, in the order of the cases.
    pub rows: Vec<Row>,
}

impl Report {
    /// Whether every case passed, and there was one.
    pub fn passed(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(Row::passed)
    }

    /// The rows that did not pass.
    fn failures(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| !row.passed())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .rows
            .iter()
            .map(|row| row.name.chars().count())
            .max()
            .unwrap_or(0);
        writeln!(
            out,
            "Gradients against finite differences, in f64, with random upstream gradients.\n\
             apart: the largest disagreement. known to: the largest estimated error of a finite\n\
             difference. margin: the largest disagreement as a share of what it may be at its\n\
             place, which is a small multiple of both sides' errors there; up to 1 passes.\n"
        )?;
        let title = "";
        writeln!(
            out,
            "  {title:width$}  compared     apart  known to  margin"
        )?;
        let mut group = "";
        for row in &self.rows {
            if row.group != group {
                group = row.group;
                writeln!(out, "{group}")?;
            }
            write!(out, "  {:width$}  {:>8}", row.name, row.compared())?;
            if row.compared() > 0 {
                let (apart, known) = (row.disagreement(), row.error());
                let margin = row.margin();
                write!(out, "  {apart:>8.1e}  {known:>8.1e}  {margin:>6}")?;
            }
            let verdict = if row.passed() { "" } else { "  FAILS" };
            writeln!(out, "{verdict}")?;
        }
        for row in self.failures() {
            write!(
                out,
                "\n{}: {} ({})\n{}",
                row.group, row.name, row.source, row.check
            )?;
        }
        let failures = self.failures().count();
        let compared: usize = self.rows.iter().map(Row::compared).sum();
        let total = self.rows.len();
        if failures > 0 {
            writeln!(out, "\n{failures} of {total} cases fail.")
        } else {
            writeln!(
                out,
                "\nAll {total} cases pass; {compared} derivatives compared."
            )
        }
    }
}
