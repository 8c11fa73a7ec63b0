//! Exercise: how large initial weights must be (chapter 6).
//! `widths` are the features of the input, of each hidden layer and of the output.

use exercises::init_deviation::check;

/// The deviation of the weights of each layer, so that the mean square of what each linear
/// layer computes is that of the input. ReLU follows each layer but the last.
fn deviations(widths: &[usize]) -> Vec<f64> {
    // ANCHOR: solution
    let mut deviations = Vec::new();
    for (layer, pair) in widths.windows(2).enumerate() {
        // ReLU has halved the mean square of what comes in, except in front of the first.
        let square_of_gain = if layer == 0 { 1.0 } else { 2.0 };
        deviations.push((square_of_gain / pair[0] as f64).sqrt());
    }
    deviations
    // ANCHOR_END: solution
}

fn main() -> std::process::ExitCode {
    check(deviations)
}
