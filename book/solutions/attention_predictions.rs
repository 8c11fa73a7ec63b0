//! Exercise: predict, then run (chapter 15). One causal head on five positions, then a branch
//! with Layer Norm. You change one thing. What becomes of the value named last?

use exercises::attention_predictions::Change::*;
use exercises::attention_predictions::{Predictions, check};

/// Write Same (to a thousandth), Zero, OneTenth or Different.
fn predictions() -> Predictions {
    Predictions {
        // ANCHOR: solution
        // SHIPPED: key_shift: Undecided,           // one vector added to all keys; output
        // SHIPPED: key_shift_gradient: Undecided,  // that vector as a parameter; its gradient
        // SHIPPED: query_shift: Undecided,         // one vector added to all queries; output
        // SHIPPED: traded: Undecided,              // queries times 10, keys over 10; output
        // SHIPPED: later_causal: Undecided,        // last position replaced; outputs before it
        // SHIPPED: later_unmasked: Undecided,      // the same without a mask
        // SHIPPED: first_query: Undecided,         // first query replaced; first output
        // SHIPPED: equal_values: Undecided,        // all values made equal; gradient of queries
        // SHIPPED: sure: Undecided,                // queries times 10,000; gradient of keys
        // SHIPPED: pre_branch: Undecided,          // x times 10 in f(LN(x)); output
        // SHIPPED: pre_branch_gradient: Undecided, // the same; gradient of x
        // SHIPPED: post_road: Undecided,           // f = 0, LN(x + f(x)), not x + f(LN(x)); gradient of x
        key_shift: Same,
        key_shift_gradient: Zero,
        query_shift: Different,
        traded: Same,
        later_causal: Same,
        later_unmasked: Different,
        first_query: Same,
        equal_values: Zero,
        sure: Zero,
        pre_branch: Same,
        pre_branch_gradient: OneTenth,
        post_road: Different,
        // ANCHOR_END: solution
    }
}

fn main() -> std::process::ExitCode {
    check(predictions)
}
