//! Exercise: review a patch (appendix G). Two things are wrong with it.
//! "backward: use what the forward pass saved, and one buffer for dy and dx. All tests pass."
//! The forward pass: `save_var = 1.0 / (var + 1e-5).sqrt(); x_hat = (x - mean) * save_var;`

use exercises::review_saved::check;

/// Batch Norm of one channel: from `dy`, `x`, `gamma`, `mean` and `save_var` to `dx` and `dgamma`.
fn backward(dy: &[f64], x: &[f64], gamma: f64, mean: f64, save_var: f64) -> (Vec<f64>, f64) {
    let n = dy.len() as f64;
    // ANCHOR: solution-rstd
    // SHIPPED: let rstd = 1.0 / (save_var + 1e-5).sqrt();
    // Whatever its name says: the root has been taken, and eps is in it.
    let rstd = save_var;
    // ANCHOR_END: solution-rstd
    let x_hat: Vec<f64> = x.iter().map(|x| (x - mean) * rstd).collect();
    let mut buffer = dy.to_vec();
    let plain = buffer.iter().sum::<f64>() / n;
    let product = |buffer: &[f64]| buffer.iter().zip(&x_hat).map(|(b, h)| b * h).sum::<f64>();
    let along = product(&buffer) / n;
    // ANCHOR: solution-dgamma
    // SHIPPED: for (dx, x_hat) in buffer.iter_mut().zip(&x_hat) {
    // SHIPPED:     *dx = gamma * rstd * (*dx - plain - x_hat * along);
    // SHIPPED: }
    // SHIPPED: let dgamma = product(&buffer);
    // The sum needs dy, so it comes before dy is overwritten.
    let dgamma = product(&buffer);
    for (dx, x_hat) in buffer.iter_mut().zip(&x_hat) {
        *dx = gamma * rstd * (*dx - plain - x_hat * along);
    }
    // ANCHOR_END: solution-dgamma
    (buffer, dgamma)
}

fn main() -> std::process::ExitCode {
    check(backward)
}
