//! Exercise: predict, then run (chapter 10). A convolution, 3 x 3, with a bias; then a norm.
//! A random upstream gradient. You change one thing. What becomes of the value named last?

use exercises::cnn_predictions::Change::*;
use exercises::cnn_predictions::{Predictions, check};

/// Write Same (to a thousandth), Zero, TimesTen, OneTenth or Different.
fn predictions() -> Predictions {
    Predictions {
        // ANCHOR: solution
        // SHIPPED: bias_batch_norm: Undecided,          // Batch Norm put behind; gradient of the bias
        // SHIPPED: bias_layer_norm: Undecided,          // Layer Norm put behind; gradient of the bias
        // SHIPPED: filters_output: Undecided,           // filters times 10, Batch Norm; output
        // SHIPPED: filters_gradient: Undecided,         // the same; gradient of the filters
        // SHIPPED: filters_gradient_no_norm: Undecided, // filters times 10, no norm; their gradient
        // SHIPPED: one_filter_layer_norm: Undecided,    // one filter times 10, Layer Norm; output
        // SHIPPED: ones_upstream: Undecided,            // upstream all ones, Batch Norm; gradient of the filters
        // SHIPPED: relu_and_pool: Undecided,            // ReLU and max-pool exchanged; output
        // SHIPPED: norm_and_pool: Undecided,            // Batch Norm and max-pool exchanged; output
        // SHIPPED: others_training: Undecided,          // other images replaced, training; output of the first
        // SHIPPED: others_inference: Undecided,         // the same at inference
        bias_batch_norm: Zero,
        bias_layer_norm: Different,
        filters_output: Same,
        filters_gradient: OneTenth,
        filters_gradient_no_norm: Same,
        one_filter_layer_norm: Different,
        ones_upstream: Zero,
        relu_and_pool: Same,
        norm_and_pool: Different,
        others_training: Different,
        others_inference: Same,
        // ANCHOR_END: solution
    }
}

fn main() -> std::process::ExitCode {
    check(predictions)
}
