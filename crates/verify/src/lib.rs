//! The gradient report: every op and every layer before several witnesses.
//!
//! Each case is checked at random inputs, with a random upstream gradient and with scales and
//! shifts that are not 1 and 0, by
//!
//! - finite differences in `f64`, which estimate their own error (book, chapter 1): a case passes
//!   when it disagrees with them by no more than a small multiple of that estimate and of the
//!   measured rounding of the backward pass;
//! - dual numbers, which derive the forward pass without a step;
//! - a finite field, in which the same code is derived without rounding;
//! - the same function made of primitive ops, where there is one, in `f64` and in the field;
//! - PyTorch, whose values and gradients are committed with the script that computed them.
//!
//! A case that could not fail is refused and does not pass. [`witness`] says what each is.

#![forbid(unsafe_code)]

mod case;
mod large;
mod layers;
mod norms;
mod ops;
mod pytorch;
mod report;
mod run;

use rayon::prelude::*;
use tape::Real;

use run::{SEED, Twice};

pub use case::Case;
pub use pytorch::{COMMAND, Pytorch, Values};
pub use report::{Report, Row, Witnesses};

/// A list of cases that can be made in any arithmetic.
pub trait Cases {
    /// The cases, the same ones in the same order whatever the arithmetic.
    fn each<T: Real>(&self) -> Vec<Case<T>>;
}

/// Every case: the ops of the tape, the norms in each of their forms, the layers.
pub struct All;

impl Cases for All {
    fn each<T: Real>(&self) -> Vec<Case<T>> {
        let mut cases = ops::cases();
        cases.extend(norms::cases());
        cases.extend(layers::cases());
        cases.extend(large::cases());
        cases
    }
}

/// What PyTorch is told of every case, as JSON: the script beside its values reads it.
pub fn pytorch_inputs() -> String {
    pytorch::inputs(&All.each(), SEED)
}

/// What PyTorch says of each of these cases, by group and name, without the other witnesses.
pub fn beside_pytorch(cases: &impl Cases) -> Vec<(String, Pytorch)> {
    let values = Values::committed();
    let each = cases.each::<f64>();
    let found = each
        .par_iter()
        .map(|case| (case.key(), pytorch::judge(case, &values, SEED)));
    found.collect()
}

/// Runs every case.
pub fn run() -> Report {
    run_cases(&All)
}

/// Runs the given cases, several at a time; the report keeps their order.
///
/// # Panics
/// If the cases are others in another arithmetic.
#[track_caller]
pub fn run_cases(cases: &impl Cases) -> Report {
    let (plain, dual) = (cases.each::<f64>(), cases.each());
    let names: Vec<&str> = plain.iter().map(|case| &case.name[..]).collect();
    let others: Vec<&str> = dual.iter().map(|case| &case.name[..]).collect();
    assert_eq!(
        names, others,
        "the cases differ with the arithmetic; make the same list in each"
    );
    let each = plain.into_iter().zip(dual);
    let each: Vec<Twice> = each.map(|(plain, dual)| Twice { plain, dual }).collect();
    let pytorch = Values::committed();
    let run = |case: &Twice| case.run(&pytorch);
    let rows = each.par_iter().with_max_len(1).map(run);
    let version = pytorch.as_ref().map(Values::torch);
    Report {
        rows: rows.collect(),
        torch: format!("PyTorch {}", version.unwrap_or("of an unknown version")),
    }
}
