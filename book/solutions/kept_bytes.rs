//! Exercise: what a network leaves on the tape (chapter 17). The network is linear layers
//! from `sizes[0]` to `sizes[1]` and so on, with a norm and a ReLU after each but the last.
//! `rows` examples pass it in f32, and all parameters are to be trained.

use exercises::kept_bytes::{Kept, Norm, check};

/// Bytes that the forward pass keeps for the backward pass, each array once.
fn kept(rows: usize, sizes: &[usize], norm: Norm) -> Kept {
    // ANCHOR: solution
    let hidden = &sizes[1..sizes.len() - 1];
    let units: usize = hidden.iter().sum();
    let behind: usize = sizes[1..].windows(2).map(|pair| pair[0] * pair[1]).sum();
    let norms = match norm {
        Norm::None => 0,
        Norm::Batch => rows * units + units,
        Norm::Layer => rows * units + units + 3 * rows * hidden.len(),
    };
    Kept {
        activations: 4 * rows * (sizes[0] + units),
        weights: 4 * behind,
        norms: 4 * norms,
    }
    // ANCHOR_END: solution
}

fn main() -> std::process::ExitCode {
    check(kept)
}
