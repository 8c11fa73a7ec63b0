//! The gradient report: every op and every layer against finite differences.
//!
//! Each case is checked in `f64`, at random inputs, with a random upstream gradient and
//! with scales and shifts that are not 1 and 0. The finite differences estimate their own
//! error (book, chapter 1); a case passes when it disagrees with them by no more than a
//! small multiple of that estimate and of the measured rounding of the backward pass.
//! A case that could not fail is refused and does not pass.

mod large;
mod layers;
mod norms;
mod ops;
mod report;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tape::{Param, Tape, Tensor, Var};

pub use report::{Report, Row};

/// One gradient to check.
pub struct Case {
    /// The part of the report: `ops`, `batch norm`, ….
    pub group: &'static str,
    /// What is checked, and how it is called.
    pub name: String,
    /// The source file with the backward pass, from the folder `crates`.
    pub source: &'static str,
    check: Box<dyn Fn() -> gradcheck::Report + Send + Sync>,
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
        let name = name.into();
        let title = name.clone();
        let (recorded, recorder) = (inputs.clone(), op.clone());
        Case {
            group,
            name,
            source,
            check: Box::new(move || nn::check::check_op(&title, &inputs, &op)),
            records: Box::new(move || records(&recorded, &recorder)),
        }
    }

    /// A case with a check of its own.
    pub fn own(
        group: &'static str,
        source: &'static str,
        name: impl Into<String>,
        check: impl Fn() -> gradcheck::Report + Send + Sync + 'static,
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
            check: (self.check)(),
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

/// Every case: the ops of the tape, the norms in each of their forms, the layers.
pub fn cases() -> Vec<Case> {
    let mut cases = ops::cases();
    cases.extend(norms::cases());
    cases.extend(layers::cases());
    cases.extend(large::cases());
    cases
}

/// Runs every case.
pub fn run() -> Report {
    run_cases(&cases())
}

/// Runs the given cases, several at a time; the report keeps their order.
pub fn run_cases(cases: &[Case]) -> Report {
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..tape::parallel::threads().min(cases.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(at) else { break };
                    let row = case.run();
                    let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
                    rows.push((at, row));
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.sort_by_key(|(at, _)| *at);
    Report {
        rows: rows.into_iter().map(|(_, row)| row).collect(),
    }
}
