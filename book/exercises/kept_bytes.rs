//! Exercise: what a network leaves on the tape (chapter 17). The network is linear layers
//! from `sizes[0]` to `sizes[1]` and so on, with a norm and a ReLU after each but the last.
//! `rows` examples pass it in f32, and all parameters are to be trained.

use exercises::kept_bytes::{Kept, Norm, check};

/// Bytes that the forward pass keeps for the backward pass, each array once.
fn kept(rows: usize, sizes: &[usize], norm: Norm) -> Kept {
    todo!()
}

fn main() -> std::process::ExitCode {
    check(kept)
}
