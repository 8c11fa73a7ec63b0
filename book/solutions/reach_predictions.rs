//! Exercise: predict, then run (chapter 18). Images `[3, 4, 3, 3]`, and a norm of the family.
//! Something is changed in one image. Which outputs, or gradients, differ from before? `eps`
//! is 1e-14, too small to be seen.

use exercises::reach_predictions::Reach::*;
use exercises::reach_predictions::{Predictions, check};

/// Write Nothing, Itself, Plane (a channel of one image), Group, Image, Channel or Everything.
fn predictions() -> Predictions {
    Predictions {
        // ANCHOR: solution
        // SHIPPED: batch_norm: Undecided, // one element of x changed; Batch Norm in training
        // SHIPPED: batch_norm_inference: Undecided, // Batch Norm at inference
        // SHIPPED: layer_norm: Undecided, // Layer Norm over [C, H, W]
        // SHIPPED: layer_norm_last_two: Undecided, // Layer Norm over [H, W]
        // SHIPPED: rms_norm: Undecided,   // RMS Norm over [C, H, W]
        // SHIPPED: group_norm: Undecided, // Group Norm with two groups
        // SHIPPED: instance_norm: Undecided, // Group Norm, a group for each channel
        // SHIPPED: two_batch_norms: Undecided, // Batch Norm, 1 x 1 convolution, Batch Norm
        // SHIPPED: brighter_instance_norm: Undecided, // all of a plane + 3; Instance Norm
        // SHIPPED: brighter_layer_norm: Undecided, // the same; Layer Norm over [C, H, W]
        // SHIPPED: louder_layer_norm: Undecided, // one image times 10; Layer Norm over [C, H, W]
        // SHIPPED: upstream_batch_norm: Undecided, // one element of dy changed; dx of Batch Norm in training
        // SHIPPED: upstream_inference: Undecided, // the same; dx of Batch Norm at inference
        batch_norm: Channel,
        batch_norm_inference: Itself,
        layer_norm: Image,
        layer_norm_last_two: Plane,
        rms_norm: Image,
        group_norm: Group,
        instance_norm: Plane,
        two_batch_norms: Everything,
        brighter_instance_norm: Nothing,
        brighter_layer_norm: Image,
        louder_layer_norm: Nothing,
        upstream_batch_norm: Channel,
        upstream_inference: Itself,
        // ANCHOR_END: solution
    }
}

fn main() -> std::process::ExitCode {
    check(predictions)
}
