//! Exercise: predict, then run (chapter 15). One causal head on five positions, then a branch
//! with Layer Norm. You change one thing. What becomes of the value named last?

use exercises::attention_predictions::Change::*;
use exercises::attention_predictions::{Predictions, check};

/// Write Same (to a thousandth), Zero, OneTenth or Different.
fn predictions() -> Predictions {
    Predictions {
        key_shift: Undecided,           // one vector added to all keys; output
        key_shift_gradient: Undecided,  // that vector as a parameter; its gradient
        query_shift: Undecided,         // one vector added to all queries; output
        traded: Undecided,              // queries times 10, keys over 10; output
        later_causal: Undecided,        // last position replaced; outputs before it
        later_unmasked: Undecided,      // the same without a mask
        first_query: Undecided,         // first query replaced; first output
        equal_values: Undecided,        // all values made equal; gradient of queries
        sure: Undecided,                // queries times 10,000; gradient of keys
        pre_branch: Undecided,          // x times 10 in f(LN(x)); output
        pre_branch_gradient: Undecided, // the same; gradient of x
        post_road: Undecided,           // f = 0, LN(x + f(x)), not x + f(LN(x)); gradient of x
    }
}

fn main() -> std::process::ExitCode {
    check(predictions)
}
