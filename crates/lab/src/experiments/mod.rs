//! The experiments, one file each: the protocol in its documentation, then the code that
//! follows it.

mod digits;

use crate::experiment::Experiment;

/// Every experiment, in the order of the chapters.
pub fn experiments() -> &'static [Experiment] {
    &[digits::EXPERIMENT]
}
