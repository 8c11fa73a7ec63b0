//! Judges a normalization that another program computed.
//!
//! [`probe`] makes an input on which mistakes show, another program computes y, dx, dgamma and
//! dbeta from it, and [`Subject::judge`] says of each whether it is right, and if not, which
//! mistake it is. What is right is computed in `f64` from the inputs as the file has them; how
//! far a result may be from it follows from its type and from the data ([`tolerance`]).
#![forbid(unsafe_code)]

mod array;
mod book;
mod dtype;
mod evidence;
mod file;
mod finite;
mod judge;
mod model;
mod names;
mod picture;
mod probe;
mod report;
mod sample;
mod search;
mod shown;
mod subject;
pub mod tolerance;

pub use array::{Array, Contents, Entry};
pub use book::Sections;
pub use dtype::Dtype;
pub use file::{read, write_text};
pub use judge::{Judged, Worst};
pub use picture::picture;
pub use probe::probe;
pub use report::Report;
pub use search::Outcome;
pub use subject::{Candidate, Facts, Running, Subject};
