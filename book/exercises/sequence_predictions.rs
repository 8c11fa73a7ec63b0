//! Exercise: predict, then run (chapter 14). Four sequences, M = 8 positions that count, padded
//! to B T = 16. You change one thing. What becomes of the value named last?

use exercises::sequence_predictions::Change::*;
use exercises::sequence_predictions::{Predictions, check};

/// Write Same (to a thousandth), Zero, Half, OneTenth, NotANumber or Different.
fn predictions() -> Predictions {
    Predictions {
        longer_layer_norm: Undecided, // more padding, Layer Norm; outputs that count
        longer_batch_norm: Undecided, // the same, Batch Norm of the rectangle
        longer_packed: Undecided,     // the same, Batch Norm of packed rows
        padding_gradient: Undecided,  // no norm, loss masked; gradient at the padding
        divided_by_all: Undecided,    // masked loss over B T, not M; gradient
        nan_multiplied: Undecided,    // NaN in the padding, times the mask; loss
        nan_packed: Undecided,        // NaN in the padding, packed; loss
        state_matrix: Undecided,      // U times 10 in LN(U h); output
        state_matrix_gradient: Undecided, // the same; gradient of U
        constant_step: Undecided,     // one input for all, replaced; Batch Norm's output
        constant_step_gradient: Undecided, // that step trained, not frozen; its gradient
        two_sequences: Undecided,     // two sequences, trained, not frozen; the same
    }
}

fn main() -> std::process::ExitCode {
    check(predictions)
}
