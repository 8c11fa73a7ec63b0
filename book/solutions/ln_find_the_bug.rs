//! Exercise: find the bug (chapter 13). One row; one step of this derivation is wrong.
//! Find it on paper, then change its line, and say which step it was.

use exercises::ln_find_the_bug::check;

/// 1 to 6.
// ANCHOR: solution-step
// SHIPPED: const WRONG_STEP: u32 = 0;
const WRONG_STEP: u32 = 4;
// ANCHOR_END: solution-step

/// `dx` of a row. g is the gradient by x_hat, z is x - mu, r is rstd, d the number of features.
fn ln_backward(dy: &[f64], gamma: &[f64], x_hat: &[f64], r: f64) -> Vec<f64> {
    let (d, sum) = (dy.len() as f64, |a: Vec<f64>| a.iter().sum::<f64>());
    let times = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).collect::<Vec<f64>>();
    // 1. y_i = gamma_i x_hat_i + beta_i, so g_i = gamma_i dy_i.
    let g = times(dy, gamma);
    // 2. x_hat_i = z_i r, and r is used by every i: dr = sum_k g_k z_k, where z_k = x_hat_k / r.
    let dr = sum(times(&g, x_hat)) / r;
    // 3. r = (var + eps)^(-1/2), and var is the mean of z_i²: dz_i = g_i r - r³ dr z_i / d.
    let dz = |i: usize| g[i] * r - r.powi(3) * dr * (x_hat[i] / r) / d;
    // ANCHOR: solution-four
    // SHIPPED: // 4. z_i = x_i - mu: dmu = -sum_k dz_k. The z_k add up to 0, which leaves the sum of the
    // SHIPPED: //    g_k r, where gamma_i does not depend on the example: dmu_i = -gamma_i r sum_k dy_k.
    // SHIPPED: let dmu = |i: usize| -gamma[i] * r * sum(dy.to_vec());
    // 4. z_i = x_i - mu: dmu = -sum_k dz_k. The z_k add up to 0, which leaves the sum of the
    //    g_k r. gamma_k is another in each term, so it stays inside.
    let dmu = |_: usize| -r * sum(g.clone());
    // ANCHOR_END: solution-four
    // 5. mu is the mean of the x_i. 6. x_i is in z_i and in mu: dx_i = dz_i + dmu_i / d.
    (0..dy.len()).map(|i| dz(i) + dmu(i) / d).collect()
}

fn main() -> std::process::ExitCode {
    check(ln_backward, WRONG_STEP)
}
