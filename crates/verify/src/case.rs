//! One gradient to check, in one arithmetic.

use tape::{Real, Tensor, Var};
use witness::Subject;

/// An op on the tape.
pub(crate) type Op<T> = for<'t> fn(&[Var<'t, T>]) -> Var<'t, T>;

/// One gradient to check.
pub struct Case<T: Real> {
    /// The part of the report: `ops`, `batch norm`, ….
    pub group: &'static str,
    /// What is checked, and how it is called.
    pub name: String,
    /// The source file with the backward pass, from the folder `crates`.
    pub source: &'static str,
    /// The function and its backward pass.
    pub subject: Subject<'static, T>,
    /// The same function made of other ops, where there is one.
    pub(crate) composed: Option<Subject<'static, T>>,
    /// Whether it is the same in the field too.
    pub(crate) composed_exactly: bool,
    /// Whether finite differences look along a random direction in place of every element.
    pub(crate) along_a_direction: bool,
    /// Why dual numbers cannot judge it, if they cannot.
    pub(crate) not_dual: Option<&'static str>,
    /// Why the finite field cannot judge it, if it cannot.
    pub(crate) not_exact: Option<&'static str>,
    /// What the function holds beside its arguments, for PyTorch to be told.
    pub(crate) constants: Vec<(&'static str, Tensor<f64>)>,
    /// Why PyTorch has nothing to compare with, if it has not.
    pub(crate) without_pytorch: Option<&'static str>,
}

impl<T: Real> Case<T> {
    /// A case of `op` on the tape at `inputs`.
    pub fn on_tape(
        group: &'static str,
        source: &'static str,
        name: impl Into<String>,
        inputs: Vec<Tensor<T>>,
        op: impl for<'t> Fn(&[Var<'t, T>]) -> Var<'t, T> + Send + Sync + 'static,
    ) -> Self {
        Case::own(group, source, name, Subject::on_tape(inputs, op))
    }

    /// A case of a function with a backward pass of its own.
    pub fn own(
        group: &'static str,
        source: &'static str,
        name: impl Into<String>,
        subject: Subject<'static, T>,
    ) -> Self {
        Case {
            group,
            name: name.into(),
            source,
            subject,
            composed: None,
            composed_exactly: true,
            along_a_direction: false,
            not_dual: None,
            not_exact: None,
            constants: Vec::new(),
            without_pytorch: None,
        }
    }

    /// What it is known by among all cases.
    pub fn key(&self) -> String {
        format!("{}: {}", self.group, self.name)
    }

    /// Compares with the same function of the same inputs, made of other ops.
    #[must_use]
    pub fn composed(
        mut self,
        op: impl for<'t> Fn(&[Var<'t, T>]) -> Var<'t, T> + Send + Sync + 'static,
    ) -> Self {
        self.composed = Some(Subject::on_tape(self.subject.point(), op));
        self
    }

    /// Lets finite differences look along a random direction, in place of every element.
    #[must_use]
    pub(crate) fn along_a_direction(mut self) -> Self {
        self.along_a_direction = true;
        self
    }

    /// Compares with the other ops in `f64` alone.
    #[must_use]
    pub(crate) fn not_exactly(mut self) -> Self {
        self.composed_exactly = false;
        self
    }

    /// Leaves the case to finite differences.
    #[must_use]
    pub(crate) fn not_dual(mut self, reason: &'static str) -> Self {
        self.not_dual = Some(reason);
        self
    }

    /// Leaves the case to others than the finite field.
    #[must_use]
    pub(crate) fn not_exact(mut self, reason: &'static str) -> Self {
        self.not_exact = Some(reason);
        self
    }

    /// Tells PyTorch of an array that the function holds beside its arguments.
    #[must_use]
    pub(crate) fn constant(mut self, name: &'static str, value: Tensor<f64>) -> Self {
        self.constants.push((name, value));
        self
    }

    /// Leaves the case to others than PyTorch.
    #[must_use]
    pub(crate) fn without_pytorch(mut self, reason: &'static str) -> Self {
        self.without_pytorch = Some(reason);
        self
    }
}
