//! Gradient checks that estimate their own error, and name the term that is wrong.

#![forbid(unsafe_code)]

pub mod attribution;
pub mod noise;
pub mod numeric;

mod check;
mod claim;
mod compare;
mod groups;
mod input;
mod on_tape;
mod report;
mod run;
mod vacuous;

pub use check::{Check, vjp};
pub use compare::{Comparison, Row, Status, Table};
pub use groups::Groups;
pub use input::Input;
pub use on_tape::TapeFunction;
pub use report::{Fault, InputReport, Mode, Place, Report, Worst};
pub use vacuous::Vacuous;
