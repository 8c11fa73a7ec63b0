//! Exercise: a gradient check of your own (chapter 8).
//! Say whether the gradients that a Batch Norm layer claims are right. You choose the point.

use exercises::gradient_checker::{Layer, check};

fn is_right(layer: &Layer<'_>) -> bool {
    // ANCHOR: solution
    let (n, c) = (layer.n, layer.c);
    let mut inputs = [
        layer.random(n * c, -0.5..0.5),
        layer.random(c, 0.5..2.0),
        layer.random(c, -1.0..1.0),
    ];
    let dy = layer.random(n * c, -1.0..1.0);
    let claimed = layer.backward(&inputs, &dy);
    let loss = |inputs: &[Vec<f64>; 3]| -> f64 {
        let y = layer.forward(inputs);
        y.iter().zip(&dy).map(|(y, dy)| y * dy).sum()
    };
    let h = 1e-5;
    for which in 0..3 {
        for at in 0..inputs[which].len() {
            let kept = inputs[which][at];
            inputs[which][at] = kept + h;
            let above = loss(&inputs);
            inputs[which][at] = kept - h;
            let below = loss(&inputs);
            inputs[which][at] = kept;
            let numeric = (above - below) / (2.0 * h);
            let near = (claimed[which][at] - numeric).abs() <= 1e-6 * numeric.abs().max(1.0);
            if !near {
                return false;
            }
        }
    }
    true
    // ANCHOR_END: solution
}

fn main() -> std::process::ExitCode {
    check(is_right)
}
