//! Exercise: predict, then run (chapter 10). A convolution, 3 x 3, with a bias; then a norm.
//! A random upstream gradient. You change one thing. What becomes of the value named last?

use exercises::cnn_predictions::Change::*;
use exercises::cnn_predictions::{Predictions, check};

/// Write Same (to a thousandth), Zero, TimesTen, OneTenth or Different.
fn predictions() -> Predictions {
    Predictions {
        bias_batch_norm: Undecided,  // Batch Norm put behind; gradient of the bias
        bias_layer_norm: Undecided,  // Layer Norm put behind; gradient of the bias
        filters_output: Undecided,   // filters times 10, Batch Norm; output
        filters_gradient: Undecided, // the same; gradient of the filters
        filters_gradient_no_norm: Undecided, // filters times 10, no norm; their gradient
        one_filter_layer_norm: Undecided, // one filter times 10, Layer Norm; output
        ones_upstream: Undecided,    // upstream all ones, Batch Norm; gradient of the filters
        relu_and_pool: Undecided,    // ReLU and max-pool exchanged; output
        norm_and_pool: Undecided,    // Batch Norm and max-pool exchanged; output
        others_training: Undecided,  // other images replaced, training; output of the first
        others_inference: Undecided, // the same at inference
    }
}

fn main() -> std::process::ExitCode {
    check(predictions)
}
