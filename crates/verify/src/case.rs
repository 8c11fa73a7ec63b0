//! One gradient to check.

use tape::{Tensor, Var};

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
    check: Box<dyn Fn(&str) -> gradcheck::Report + Send + Sync>,
}

impl Case {
    /// A case that checks `op` on the tape at `inputs`.
    pub fn on_tape(
        group: &'static str,
        source: &'static str,
        name: impl Into<String>,
        inputs: Vec<Tensor<f64>>,
        op: impl for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64> + Send + Sync + 'static,
    ) -> Self {
        let check = move |name: &str| nn::check::check_op(name, &inputs, &op);
        Case::own(group, source, name, check)
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
        }
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
