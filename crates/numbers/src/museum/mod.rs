//! A museum of faults that shipped: each file makes one again, in the conventions of the book,
//! with the test that let it pass.

pub mod assigned;
pub mod biased_running;
mod case;
pub mod coarse_sum;
pub mod eps_outside;
pub mod gamma_forgotten;
pub mod mean_detached;
pub mod mean_twice;
pub mod no_gradient;
pub mod root_twice;
pub mod rows_left_out;
pub mod rows_of_a_table;
pub mod workers;

pub use case::{Close, Trial, given};
use gradcheck::attribution::norm::{Norm, Probe, Target};

/// The test that let a fault pass, and the same test with one thing changed.
pub type Trials = [fn() -> Trial; 2];

/// A fault in an array that a normalization computes.
pub struct Exhibit {
    pub name: &'static str,
    pub norm: Norm,
    pub target: Target,
    /// The wrong array.
    pub kernel: fn(&Probe) -> Vec<f64>,
    pub trials: Trials,
}

const ROWS: Norm = Norm::Layer { normalized: 1 };

macro_rules! exhibit {
    ($name:ident, $norm:expr, $target:ident) => {
        Exhibit {
            name: stringify!($name),
            norm: $norm,
            target: Target::$target,
            kernel: $name::kernel,
            trials: [$name::shipped, $name::changed],
        }
    };
}

/// Those in the order of the page.
pub const EXHIBITS: [Exhibit; 9] = [
    exhibit!(mean_detached, ROWS, Dx),
    exhibit!(mean_twice, ROWS, Dx),
    exhibit!(gamma_forgotten, Norm::Batch, Dx),
    exhibit!(root_twice, Norm::Batch, Dx),
    exhibit!(eps_outside, ROWS, Y),
    exhibit!(rows_left_out, ROWS, Dgamma),
    exhibit!(rows_of_a_table, ROWS, Dx),
    exhibit!(workers, Norm::Batch, Dx),
    exhibit!(no_gradient, ROWS, Dx),
];

/// Those that cannot be put to the same tests: a kernel in sixteen bits, a statistic, and a layer
/// that is no norm.
pub const OTHERS: [(&str, Trials); 3] = [
    ("coarse_sum", [coarse_sum::shipped, coarse_sum::changed]),
    (
        "biased_running",
        [biased_running::shipped, biased_running::changed],
    ),
    ("assigned", [assigned::shipped, assigned::changed]),
];
