//! Gradient checks that estimate their own error, and name the term that is wrong.

#![forbid(unsafe_code)]

pub mod attribution;
pub mod noise;
pub mod numeric;

mod check;
mod groups;
mod input;
mod report;
mod run;
mod vacuous;

pub use check::{Check, vjp};
pub use groups::Groups;
pub use input::Input;
pub use report::{Fault, InputReport, Mode, Place, Report, Worst};
pub use vacuous::Vacuous;
