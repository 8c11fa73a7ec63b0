//! The measurements, a file for each.

mod attention;
mod by_chance;
mod cancellation;
mod check_kernel;
mod convolution;
mod cost_counted;
mod diagnosed;
mod family;
mod kernels;
mod ln_backward;
mod ln_batch;
mod ln_scale;
mod ln_worked;
mod matmul_loss;
pub mod mistakes;
mod museum;
mod on_tape;
mod one_reading;
mod projection;
mod pytorch;
mod ridders;
mod running_stats;
mod scalar_tape;
mod scale;
mod sequences;
mod signatures;
mod speed;
mod tensors;
mod u_curve;
mod usual_checks;
mod vacuous;
mod witnesses;
mod worked;

use crate::kit::Measurement;

/// Every measurement, in the order of the chapters.
pub const MEASUREMENTS: &[Measurement] = &[
    u_curve::MEASUREMENT,
    ridders::MEASUREMENT,
    vacuous::MEASUREMENT,
    witnesses::MEASUREMENT,
    scalar_tape::MEASUREMENT,
    tensors::MEASUREMENT,
    on_tape::MEASUREMENT,
    matmul_loss::MEASUREMENT,
    worked::MEASUREMENT,
    cancellation::MEASUREMENT,
    running_stats::MEASUREMENT,
    projection::MEASUREMENT,
    signatures::MEASUREMENT,
    kernels::MEASUREMENT,
    one_reading::MEASUREMENT,
    speed::MEASUREMENT,
    convolution::MEASUREMENT,
    ln_worked::MEASUREMENT,
    ln_scale::MEASUREMENT,
    ln_batch::MEASUREMENT,
    ln_backward::MEASUREMENT,
    sequences::MEASUREMENT,
    attention::MEASUREMENT,
    by_chance::MEASUREMENT,
    cost_counted::MEASUREMENT,
    scale::MEASUREMENT,
    family::MEASUREMENT,
    mistakes::MEASUREMENT,
    usual_checks::MEASUREMENT,
    pytorch::MEASUREMENT,
    check_kernel::MEASUREMENT,
    diagnosed::MEASUREMENT,
    museum::MEASUREMENT,
];
