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

    /// The comparison that came closest to its bound, or went furthest beyond it.
    pub fn worst(&self) -> Option<&gradcheck::Worst> {
        self.check.worst().map(|(_, worst)| worst)
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
    pub fn failures(&self) -> impl Iterator<Item = &Row> {
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
             Each line shows the comparison closest to its bound: how far the two are apart,\n\
             how well the finite difference knows itself, and apart/bound, which passes up to 1.\n"
        )?;
        writeln!(
            out,
            "  {:width$}  {:>8}  {:>8}  {:>8}  {:>8}  margin",
            "", "compared", "apart", "known to", "bound"
        )?;
        let mut group = "";
        for row in &self.rows {
            if row.group != group {
                group = row.group;
                writeln!(out, "{group}")?;
            }
            write!(out, "  {:width$}  {:>8}", row.name, row.compared())?;
            if let Some(worst) = row.worst() {
                write!(
                    out,
                    "  {:>8.1e}  {:>8.1e}  {:>8.1e}  {:>6.2}",
                    worst.disagreement, worst.error, worst.bound, worst.margin
                )?;
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
