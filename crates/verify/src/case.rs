//! One gradient to check.

use tape::{Param, Tape, Tensor, Var};

use crate::report::Row;

/// An op on the tape.
pub(crate) type Op = for<'t> fn(&[Var<'t, f64>]) -> Var<'t, f64>;

/// One gradient to check.
pub struct Case {
    /// The part of the report: `ops`, `batch norm`, ….
    pub group: &'static str,
    /// What is checked, and how it is called.
    pub name: String,
    /// The source file with the backward pass, from the folder `crates`.
    pub source: &'static str,
    pub(crate) check: Box<dyn Fn(&str) -> gradcheck::Report + Send + Sync>,
    /// The names of the ops it records.
    records: Box<dyn Fn() -> Vec<String> + Send + Sync>,
}

impl Case {
    /// A case that checks `op` on the tape at `inputs`.
    pub fn on_tape(
        group: &'static str,
        source: &'static str,
        name: impl Into<String>,
        inputs: Vec<Tensor<f64>>,
        op: impl for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64> + Send + Sync + Clone + 'static,
    ) -> Self {
        let (recorded, recorder) = (inputs.clone(), op.clone());
        Case {
            group,
            name: name.into(),
            source,
            check: Box::new(move |name| nn::check::check_op(name, &inputs, &op)),
            records: Box::new(move || records(&recorded, &recorder)),
        }
    }

    /// A case with a check of its own, which is told the name.
    pub fn own(
        group: &'static str,
        source: &'static str,
        name: impl Into<String>,
        check: impl Fn(&str) -> gradcheck::Report + Send + Sync + 'static,
    ) -> Self {
        Case {
            group,
            name: name.into(),
            source,
            check: Box::new(check),
            records: Box::new(Vec::new),
        }
    }

    /// The names of the ops that the case records on its tape.
    pub fn records(&self) -> Vec<String> {
        (self.records)()
    }

    /// Runs the check.
    pub fn run(&self) -> Row {
        Row {
            group: self.group,
            name: self.name.clone(),
            source: self.source,
            check: (self.check)(&self.name),
        }
    }
}

/// The ops on the tape after `op`, from its printed table.
fn records(
    inputs: &[Tensor<f64>],
    op: &dyn for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64>,
) -> Vec<String> {
    let params: Vec<_> = inputs.iter().map(|x| Param::new("x", x.clone())).collect();
    let (_, table, _) = Tape::new().grad_with(|t| {
        let vars: Vec<_> = params.iter().map(|p| t.param(p)).collect();
        op(&vars);
        (t.constant(Tensor::scalar(0.0)), t.to_string())
    });
    let rows = table
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1));
    rows.map(str::to_owned).collect()
}
