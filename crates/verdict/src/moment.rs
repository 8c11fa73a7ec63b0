//! How far an exercise is that takes its time.

use serde::{Deserialize, Serialize};

/// What an exercise shows while it runs. Each moment is whole: whoever has missed the ones before
/// it has missed nothing.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Moment {
    /// How many steps it has taken.
    pub done: u64,
    /// How many it will take.
    pub of: u64,
    /// How it is going, in a clause that stands after the number of steps.
    pub told: String,
    /// What is to be seen, as SVG: for a page, and for a phone.
    pub drawing: [String; 2],
}
