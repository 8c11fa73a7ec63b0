//! The experiments, one file each: the protocol in its documentation, then the code that
//! follows it.

mod affine;
mod batch;
mod choosing;
mod cnn;
mod convergence;
mod cost;
mod digits;
mod init;
mod noise;
mod rates;
mod recurrent;
mod shift;
mod transformer;
mod varying;

use crate::experiment::Experiment;

/// Every experiment, in the order of the chapters.
pub fn experiments() -> &'static [Experiment] {
    &[
        digits::EXPERIMENT,
        shift::EXPERIMENT,
        convergence::EXPERIMENT,
        cnn::EXPERIMENT,
        init::EXPERIMENT,
        rates::EXPERIMENT,
        batch::EXPERIMENT,
        varying::EXPERIMENT,
        affine::EXPERIMENT,
        recurrent::EXPERIMENT,
        transformer::EXPERIMENT,
        noise::EXPERIMENT,
        cost::EXPERIMENT,
        choosing::EXPERIMENT,
    ]
}
