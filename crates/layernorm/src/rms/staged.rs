//! RMS Norm one line at a time: for each line of the forward pass, the line of the
//! backward pass that undoes it.

use tape::Real;
use tape::lanes::sum;

use crate::staged::{check, each, each_row, sum_rows, with_feature, with_row, zip};

// ANCHOR: rms_staged_forward
/// Every value of the forward pass, in the order in which it is computed.
///
/// With R rows of D features, `mean_square` and `rstd` have R elements, the others R·D,
/// row by row.
#[derive(Clone, Debug)]
pub struct Forward<T> {
    /// The mean square of each row.
    pub mean_square: Vec<T>,
    /// `1/√(mean_square + eps)` of each row.
    pub rstd: Vec<T>,
    /// The normalized input.
    pub x_hat: Vec<T>,
    /// The output.
    pub y: Vec<T>,
}

/// The forward pass over rows of D = `gamma.len()` features; `x` has R·D elements.
///
/// # Panics
/// If `gamma` is empty or `x` is not a whole number of rows.
#[track_caller]
pub fn forward<T: Real>(x: &[T], gamma: &[T], eps: T) -> Forward<T> {
    check("rms::staged::forward", x, gamma);
    let d = gamma.len();
    let n = T::from_usize(d);

    let square = zip(x, x, |a, b| a * b);
    let mean_square = each_row(&square, d, |square| sum(square) / n);
    let rstd = each(&mean_square, |ms| T::ONE / (ms + eps).sqrt());
    let x_hat = with_row(x, &rstd, |x, rstd| x * rstd);
    let y = with_feature(&x_hat, gamma, |x_hat, gamma| x_hat * gamma);

    Forward {
        mean_square,
        rstd,
        x_hat,
        y,
    }
}
// ANCHOR_END: rms_staged_forward

// ANCHOR: rms_staged_backward
/// The gradient of every value of the forward pass, in the order in which they are found.
#[derive(Clone, Debug)]
pub struct Backward<T> {
    /// With respect to gamma, D elements.
    pub dgamma: Vec<T>,
    /// With respect to `x_hat`.
    pub dx_hat: Vec<T>,
    /// With respect to `rstd`.
    pub drstd: Vec<T>,
    /// With respect to `mean_square`.
    pub dmean_square: Vec<T>,
    /// With respect to `x`, which reaches the output directly and through `mean_square`.
    pub dx: Vec<T>,
}

/// The backward pass: the lines of [`forward`] in reverse, each undone in turn. `dy` is
/// the upstream gradient, of the size of `x` and `y`.
///
/// # Panics
/// If the sizes are not those of the forward pass.
#[track_caller]
pub fn backward<T: Real>(forward: &Forward<T>, x: &[T], gamma: &[T], dy: &[T]) -> Backward<T> {
    check("rms::staged::backward", dy, gamma);
    let Forward { rstd, x_hat, .. } = forward;
    let d = gamma.len();
    let n = T::from_usize(d);
    let times = |a, b| a * b;

    // y = x_hat · gamma
    let dgamma = sum_rows(&zip(dy, x_hat, times), d);
    let dx_hat = with_feature(dy, gamma, times);
    // x_hat = x · rstd
    let drstd = each_row(&zip(&dx_hat, x, times), d, sum);
    let direct = with_row(&dx_hat, rstd, times);
    // rstd = (mean_square + eps)^(−1/2), so its derivative is −rstd³/2
    let half = T::from_f64(0.5);
    let dmean_square = zip(&drstd, rstd, |drstd, rstd| -half * drstd * rstd.powi(3));
    // mean_square = Σ x² / n
    let two = T::from_f64(2.0);
    let through_rms = with_row(x, &dmean_square, |x, dms| two * x * dms / n);
    let dx = zip(&direct, &through_rms, |a, b| a + b);

    Backward {
        dgamma,
        dx_hat,
        drstd,
        dmean_square,
        dx,
    }
}
// ANCHOR_END: rms_staged_backward
