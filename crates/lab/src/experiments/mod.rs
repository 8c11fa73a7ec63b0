//! The experiments, one file each: what is asked and why, the protocol, and what follows from
//! the results.
//!
//! A new one is a file here, which implements [`Study`](crate::study::Study), and its name in
//! the list below. Its protocol is a value, most of it a `Plan` of how a classifier is trained;
//! `run` carries it out and gives numbers; `read` makes charts, table and verdict from them.

mod affine;
mod batch;
mod choosing;
mod cnn;
mod convergence;
mod convolutions;
mod cost;
mod decay;
mod depth;
mod digits;
mod init;
mod noise;
mod parts;
mod queries;
mod rates;
mod reading;
mod recurrent;
mod repairs;
mod residual;
mod shift;
mod tanh;
mod transformer;
mod two;
mod varying;
mod why;

use crate::study::Experiment;

/// Every experiment, in the order of the chapters.
pub fn experiments() -> &'static [Experiment] {
    ALL
}

/// A static is compiled here, with all that it leads to; a constant would be again in every
/// program that lists the experiments.
static ALL: &[Experiment] = &[
    Experiment::of::<digits::Asked>(),
    Experiment::of::<shift::Asked>(),
    Experiment::of::<convergence::Asked>(),
    Experiment::of::<cnn::Asked>(),
    Experiment::of::<convolutions::Asked>(),
    Experiment::of::<decay::Asked>(),
    Experiment::of::<depth::Asked>(),
    Experiment::of::<residual::Asked>(),
    Experiment::of::<init::Asked>(),
    Experiment::of::<rates::Asked>(),
    Experiment::of::<batch::Asked>(),
    Experiment::of::<two::Asked>(),
    Experiment::of::<varying::Asked>(),
    Experiment::of::<parts::Asked>(),
    Experiment::of::<affine::Asked>(),
    Experiment::of::<recurrent::Asked>(),
    Experiment::of::<repairs::Asked>(),
    Experiment::of::<transformer::Asked>(),
    Experiment::of::<reading::Asked>(),
    Experiment::of::<tanh::Asked>(),
    Experiment::of::<queries::Asked>(),
    Experiment::of::<noise::Asked>(),
    Experiment::of::<why::Asked>(),
    Experiment::of::<cost::Asked>(),
    Experiment::of::<choosing::Asked>(),
];
