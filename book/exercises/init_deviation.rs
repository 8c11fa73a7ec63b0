//! Exercise: how large initial weights must be (chapter 6).
//! `widths` are the features of the input, of each hidden layer and of the output.

use exercises::init_deviation::check;

/// The deviation of the weights of each layer, so that the mean square of what each linear
/// layer computes is that of the input. ReLU follows each layer but the last.
fn deviations(widths: &[usize]) -> Vec<f64> {
    todo!()
}

fn main() -> std::process::ExitCode {
    check(deviations)
}
