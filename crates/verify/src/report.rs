//! The gradient report as a table.

use std::collections::BTreeMap;
use std::fmt;

use tape::Real;
use witness::{Apart, Equality, Products, Verdict};

use crate::pytorch::Pytorch;

/// What the witnesses beside finite differences found; or why one was not asked.
#[derive(Clone, Debug)]
pub struct Witnesses {
    /// Dual numbers, for each argument.
    pub dual: Result<Vec<Verdict<Products>>, &'static str>,
    /// The finite field, for each argument.
    pub exact: Result<Vec<Verdict<Equality>>, &'static str>,
    /// The same function made of other ops, where there is one.
    pub composed: Option<Apart>,
    /// The same, exactly.
    pub exactly_composed: Option<Equality>,
    /// PyTorch.
    pub pytorch: Pytorch,
}

impl Witnesses {
    /// What each of them says against the gradient, in words.
    fn objections(&self) -> Vec<String> {
        let mut objections = Vec::new();
        for Verdict { argument, found } in self.dual.iter().flatten() {
            if !found.proves {
                objections.push(format!(
                    "dual numbers prove nothing of {argument}: rounding takes {:.0e} of a product \
                     that is {:.0e}",
                    found.rounding, found.forward
                ));
            } else if !found.agree() {
                objections.push(format!(
                    "dual numbers find {:e} for a product with the derivative with respect to \
                     {argument}, the backward pass {:e}; rounding explains no more than {:.0e}",
                    found.forward, found.backward, found.rounding
                ));
            }
        }
        for verdict in self.exact.iter().flatten() {
            if verdict.found == Equality::Different {
                objections.push(format!(
                    "in a finite field, the gradient of {} is not the derivative",
                    verdict.argument
                ));
            }
        }
        if let Some(composed) = self.composed.filter(|composed| !composed.agrees()) {
            objections.push(format!(
                "the same made of other ops is {:.1e} off, {:.0} times what rounding explains",
                composed.apart, composed.of_rounding
            ));
        }
        if self.exactly_composed == Some(Equality::Different) {
            objections.push("in a finite field, the same made of other ops is not the same".into());
        }
        match &self.pytorch {
            Pytorch::Beside { found, function } if !found.agrees() => objections.push(format!(
                "PyTorch's `{function}` is {:.1e} off, {:.0} times what rounding explains",
                found.apart, found.of_rounding
            )),
            Pytorch::OtherShapes(shapes) => objections.push(shapes.clone()),
            _ => {}
        }
        objections
    }

    /// Why the finite field has nothing to say on some argument.
    fn silence(&self) -> Option<&'static str> {
        let verdicts = match &self.exact {
            Ok(verdicts) => verdicts,
            Err(reason) => return Some(reason),
        };
        let found = verdicts.iter().map(|verdict| verdict.found);
        found
            .chain(self.exactly_composed)
            .find_map(|found| match found {
                Equality::Silent(reason) => Some(reason),
                _ => None,
            })
    }

    /// The largest chance with which the finite field would have let a wrong gradient pass.
    pub fn chance(&self) -> Option<f64> {
        let found = self.exact.iter().flatten().map(|verdict| verdict.found);
        let chances = found
            .chain(self.exactly_composed)
            .filter_map(|found| match found {
                Equality::Equal { chance } => Some(chance),
                _ => None,
            });
        chances.reduce(f64::max)
    }

    /// The largest distance of both products, by dual numbers.
    fn dual_apart(&self) -> Option<f64> {
        let found = self.dual.as_ref().ok()?.iter();
        found.map(|verdict| verdict.found.apart()).reduce(Real::max)
    }
}

/// The result of one case.
#[derive(Clone, Debug)]
pub struct Row {
    /// The part of the report.
    pub group: &'static str,
    /// What was checked.
    pub name: String,
    /// The source file with the backward pass, from the folder `crates`.
    pub source: &'static str,
    /// The check against finite differences, in full.
    pub check: gradcheck::Report,
    /// What other witnesses say.
    pub witnesses: Witnesses,
}

impl Row {
    /// Whether nothing is wrong and the check could have failed.
    pub fn passed(&self) -> bool {
        self.check.passed() && self.witnesses.objections().is_empty()
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
    /// Which PyTorch is compared with: `PyTorch 2.15.0`, say.
    pub torch: String,
}

impl Report {
    /// Whether every case passed, and there was one.
    pub fn passed(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(Row::passed)
    }

    /// Why the finite field and PyTorch do not judge all cases, and how sure the field is of the
    /// others.
    fn silence(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let witnesses = || self.rows.iter().map(|row| &row.witnesses);
        reasons(out, "in the field", witnesses().filter_map(|w| w.silence()))?;
        let pytorch = witnesses().filter_map(|w| match &w.pytorch {
            Pytorch::Without(reason) => Some(*reason),
            Pytorch::Missing(reason) => Some(&reason[..]),
            Pytorch::Beside { .. } | Pytorch::OtherShapes(_) => None,
        });
        reasons(out, "by PyTorch", pytorch)?;
        let chances = self.rows.iter().filter_map(|row| row.witnesses.chance());
        if let Some(chance) = chances.reduce(f64::max) {
            writeln!(
                out,
                "\nIn the field, a wrong gradient would pass with a probability of at most {chance:.0e}."
            )?;
        }
        Ok(())
    }

    /// The rows that did not pass.
    fn failures(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| !row.passed())
    }
}

/// The reasons for which so many cases are not judged.
fn reasons<'a>(
    out: &mut fmt::Formatter<'_>,
    judge: &str,
    all: impl Iterator<Item = &'a str>,
) -> fmt::Result {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in all {
        *counts.entry(reason).or_default() += 1;
    }
    if !counts.is_empty() {
        writeln!(out, "\nNot judged {judge}:")?;
    }
    for (reason, count) in counts {
        writeln!(out, "  {count:>3}  {reason}")?;
    }
    Ok(())
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
            "Gradients before several witnesses, with random upstream gradients.\n\
             Finite differences in f64. apart: the largest disagreement. known to: the largest\n\
             estimated error of a finite difference. margin: the largest disagreement as a share of\n\
             what it may be at its place, which is a small multiple of both sides' errors there; up\n\
             to 1 passes.\n\
             dual: how far a product with the derivative by dual numbers is from the same by the\n\
             backward pass. exact: whether both are equal in a field where nothing is rounded.\n\
             ops: how far the same function made of other ops is; = if it is equal in the field.\n\
             pytorch: how far PyTorch's value and gradients are, as a share of the largest; they are\n\
             those that {torch} computed, committed with the script.\n",
            torch = self.torch
        )?;
        let title = "";
        writeln!(
            out,
            "  {title:width$}  compared     apart  known to  margin     dual  exact      ops    pytorch"
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
            } else {
                write!(out, "{:28}", "")?;
            }
            write!(out, "{}", row.witnesses)?;
            let verdict = if row.passed() { "" } else { "  FAILS" };
            writeln!(out, "{verdict}")?;
        }
        for row in self.failures() {
            write!(
                out,
                "\n{}: {} ({})\n{}",
                row.group, row.name, row.source, row.check
            )?;
            for objection in row.witnesses.objections() {
                writeln!(out, "  {objection}.")?;
            }
        }
        self.silence(out)?;
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

impl fmt::Display for Witnesses {
    /// Four columns of the table.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.dual_apart() {
            Some(apart) => write!(out, "  {apart:>7.0e}")?,
            None => write!(out, "  {:>7}", "–")?,
        }
        let differs = |found| found == Equality::Different;
        let exact = match &self.exact {
            Ok(verdicts) if verdicts.iter().any(|v| differs(v.found)) => "differs",
            Ok(verdicts) if !verdicts.is_empty() && self.silence().is_none() => "equal",
            _ => "–",
        };
        write!(out, "  {exact:>5}")?;
        match self.composed {
            Some(Apart { apart, .. }) => write!(out, "  {apart:>6.0e}")?,
            None => write!(out, "  {:>6}", "")?,
        }
        match self.exactly_composed {
            Some(Equality::Equal { .. }) => write!(out, " =")?,
            _ => write!(out, "  ")?,
        }
        match &self.pytorch {
            Pytorch::Beside { found, .. } => write!(out, "  {:>7.0e}", found.apart),
            Pytorch::OtherShapes(_) => write!(out, "  {:>7}", "differs"),
            Pytorch::Without(_) | Pytorch::Missing(_) => write!(out, "  {:>7}", "–"),
        }
    }
}
