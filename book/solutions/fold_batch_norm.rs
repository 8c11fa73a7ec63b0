//! Exercise: fold a frozen Batch Norm into the layer before it (chapter 11).
//! `weight` is `[outputs, inputs]`, row by row; everything else has one number per output.

use exercises::fold_batch_norm::{Folded, Layers, check};

/// Weight and bias of the one linear layer that does what both layers do at inference.
fn fold(layers: &Layers) -> Folded {
    // ANCHOR: solution
    let inputs = layers.weight.len() / layers.bias.len();
    let mut weight = layers.weight.clone();
    let mut bias = layers.bias.clone();
    for (c, row) in weight.chunks_mut(inputs).enumerate() {
        let a = layers.gamma[c] / (layers.running_var[c] + layers.eps).sqrt();
        for w in row {
            *w *= a;
        }
        bias[c] = a * (bias[c] - layers.running_mean[c]) + layers.beta[c];
    }
    Folded { weight, bias }
    // ANCHOR_END: solution
}

fn main() -> std::process::ExitCode {
    check(fold)
}
