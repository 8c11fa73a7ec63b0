//! Exercise: predict, then run (chapter 12). What happens to the output of the first row
//! of a batch? A row has 16 features, mean about 1, deviation 2. The norm is Layer Norm
//! with eps 1e-5, in f64, unless it says otherwise.

use exercises::ln_predictions::Output::*;
use exercises::ln_predictions::{Predictions, check};

/// Write SameBits, NearlySame (to a thousandth), SignsFlip or Different.
fn predictions() -> Predictions {
    Predictions {
        // ANCHOR: solution
        // SHIPPED: others_replaced: Undecided,            // all other rows replaced
        // SHIPPED: others_replaced_batch_norm: Undecided, // the same, Batch Norm in training
        // SHIPPED: alone: Undecided,                      // the row alone in its batch
        // SHIPPED: times_1000: Undecided,                 // the row times 1000
        // SHIPPED: times_minus_3: Undecided,              // the row times -3
        // SHIPPED: times_0_001: Undecided,                // the row times 0.001
        // SHIPPED: plus_10: Undecided,                    // 10 added to every feature
        // SHIPPED: plus_10_rms_norm: Undecided,           // the same, RMS Norm: x / sqrt(mean(x²) + eps)
        // SHIPPED: one_feature_plus_10: Undecided,        // 10 added to one; what of the others?
        others_replaced: SameBits,
        others_replaced_batch_norm: Different,
        alone: SameBits,
        times_1000: NearlySame,
        times_minus_3: SignsFlip,
        times_0_001: Different,
        plus_10: NearlySame,
        plus_10_rms_norm: Different,
        one_feature_plus_10: Different,
        // ANCHOR_END: solution
    }
}

fn main() -> std::process::ExitCode {
    check(predictions)
}
