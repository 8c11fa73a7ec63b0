//! Judges a check of gradients, in whatever language it is written.
//!
//! [`Exam::write`] puts cases into a folder: the inputs of a norm, and gradients that are claimed
//! to be those of it. In some all is right; in each of the others one mistake of the catalogue was
//! made, and nothing in the file says which. The check answers for each case whether the
//! gradients are right, in a file ([`answers`]) or by its exit code ([`ask`]), and [`Score`] says
//! what it let through, by name, and whom it accused.
#![forbid(unsafe_code)]

mod answers;
mod ask;
mod exam;
mod score;

pub use answers::{Answers, answers};
pub use ask::ask;
pub use exam::{Case, Exam, Fault};
pub use score::Score;
