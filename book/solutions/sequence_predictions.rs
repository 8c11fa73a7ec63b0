//! Exercise: predict, then run (chapter 14). Four sequences, M = 8 positions that count, padded
//! to B T = 16. You change one thing. What becomes of the value named last?

use exercises::sequence_predictions::Change::*;
use exercises::sequence_predictions::{Predictions, check};

/// Write Same (to a thousandth), Zero, Half, OneTenth, NotANumber or Different.
fn predictions() -> Predictions {
    Predictions {
        // ANCHOR: solution
        // SHIPPED: longer_layer_norm: Undecided,      // more padding, Layer Norm; outputs that count
        // SHIPPED: longer_batch_norm: Undecided,      // the same, Batch Norm of the rectangle
        // SHIPPED: longer_packed: Undecided,          // the same, Batch Norm of packed rows
        // SHIPPED: padding_gradient: Undecided,       // no norm, loss masked; gradient at the padding
        // SHIPPED: divided_by_all: Undecided,         // masked loss over B T, not M; gradient
        // SHIPPED: nan_multiplied: Undecided,         // NaN in the padding, times the mask; loss
        // SHIPPED: nan_packed: Undecided,             // NaN in the padding, packed; loss
        // SHIPPED: state_matrix: Undecided,           // U times 10 in LN(U h); output
        // SHIPPED: state_matrix_gradient: Undecided,  // the same; gradient of U
        // SHIPPED: constant_step: Undecided,          // one input for all, replaced; Batch Norm's output
        // SHIPPED: constant_step_gradient: Undecided, // that step trained, not frozen; its gradient
        // SHIPPED: two_sequences: Undecided,          // two sequences, trained, not frozen; the same
        longer_layer_norm: Same,
        longer_batch_norm: Different,
        longer_packed: Same,
        padding_gradient: Zero,
        divided_by_all: Half,
        nan_multiplied: NotANumber,
        nan_packed: Same,
        state_matrix: Same,
        state_matrix_gradient: OneTenth,
        constant_step: Same,
        constant_step_gradient: Zero,
        two_sequences: Zero,
        // ANCHOR_END: solution
    }
}

fn main() -> std::process::ExitCode {
    check(predictions)
}
