//! Exercise: predict, then run (chapter 18). Images `[3, 4, 3, 3]`, and a norm of the family.
//! Something is changed in one image. Which outputs, or gradients, differ from before? `eps`
//! is 1e-14, too small to be seen.

use exercises::reach_predictions::Reach::*;
use exercises::reach_predictions::{Predictions, check};

/// Write Nothing, Itself, Plane (a channel of one image), Group, Image, Channel or Everything.
fn predictions() -> Predictions {
    Predictions {
        batch_norm: Undecided, // one element of x changed; Batch Norm in training
        batch_norm_inference: Undecided, // Batch Norm at inference
        layer_norm: Undecided, // Layer Norm over [C, H, W]
        layer_norm_last_two: Undecided, // Layer Norm over [H, W]
        rms_norm: Undecided,   // RMS Norm over [C, H, W]
        group_norm: Undecided, // Group Norm with two groups
        instance_norm: Undecided, // Group Norm, a group for each channel
        two_batch_norms: Undecided, // Batch Norm, 1 x 1 convolution, Batch Norm
        brighter_instance_norm: Undecided, // all of a plane + 3; Instance Norm
        brighter_layer_norm: Undecided, // the same; Layer Norm over [C, H, W]
        louder_layer_norm: Undecided, // one image times 10; Layer Norm over [C, H, W]
        upstream_batch_norm: Undecided, // one element of dy changed; dx of Batch Norm in training
        upstream_inference: Undecided, // the same; dx of Batch Norm at inference
    }
}

fn main() -> std::process::ExitCode {
    check(predictions)
}
