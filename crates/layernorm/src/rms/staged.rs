//! RMS Norm one line at a time: for each line of the forward pass, the line of the
//! backward pass that undoes it.

use tape::Real;
use tape::lanes::sum;

use crate::rows::{check_lengths, whole};
use crate::staged::{check_rows, each, each_row, sum_rows, with_feature, with_row, zip};

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
    let d = gamma.len();
    check_rows("rms::staged::forward", x, d);
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
    let Forward { rstd, x_hat, .. } = forward;
    let (rows, d) = (rstd.len(), gamma.len());
    let whole = whole("rms::staged::backward", rows, d);
    check_lengths(
        "rms::staged::backward",
        &[
            ("x", x.len(), whole),
            ("dy", dy.len(), whole),
            ("y", forward.y.len(), whole),
        ],
    );
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

#[cfg(test)]
mod tests {
    use tape::{Param, Tape, Tensor, Watch};

    use super::*;
    use crate::testing::{assert_close, check_of, draws};

    #[test]
    fn every_line_by_hand() {
        // Mean square 5; with eps 4 the scale is 1/3.
        let f = forward(&[-3.0, 1.0, 3.0, -1.0], &[1.0, 1.0, 2.0, 3.0], 4.0);
        assert_eq!(f.mean_square, [5.0]);
        assert_eq!(f.rstd, [1.0 / 3.0]);
        assert_eq!(f.x_hat, [-1.0, 1.0 / 3.0, 1.0, -1.0 / 3.0]);
        assert_eq!(f.y, [-1.0, 1.0 / 3.0, 2.0, -1.0]);
    }

    #[test]
    fn gradient() {
        for (rows, d) in [(1, 3), (4, 5), (3, 33)] {
            let inputs = [draws(rows * d, 1), draws(d, 2)];
            check_of(&["x", "gamma"], &inputs)
                .run(
                    |v| forward(&v[0], &v[1], 1e-3).y,
                    |v, dy| {
                        let b = backward(&forward(&v[0], &v[1], 1e-3), &v[0], &v[1], dy);
                        vec![b.dx, b.dgamma]
                    },
                )
                .assert_passes();
        }
    }

    #[test]
    fn every_intermediate_gradient_is_the_tape_s() {
        let (rows, d, eps) = (4, 5, 1e-3);
        let (x, gamma, dy) = (draws(rows * d, 1), draws(d, 2), draws(rows * d, 3));
        let b = backward(&forward(&x, &gamma, eps), &x, &gamma, &dy);

        let x = Param::new("x", Tensor::new([rows, d], x));
        let gamma = Param::new("gamma", Tensor::new([d], gamma));
        let dy = Tensor::new([rows, d], dy);
        let (_, watches, grads) = Tape::new().vjp_with(&dy, |t| {
            let mean_square = (t.param(&x) * t.param(&x)).mean_keep(&[1]);
            let rstd = (&mean_square + eps).powi(-1).sqrt();
            let x_hat = t.param(&x) * &rstd;
            let y = &x_hat * t.param(&gamma);
            (y, [mean_square, rstd, x_hat].map(|v| v.watch()))
        });
        let at = |watch: Watch| grads.at(watch).to_vec();
        let [mean_square, rstd, x_hat] = watches;
        assert_close("dmean_square", &b.dmean_square, &at(mean_square), 1e-13);
        assert_close("drstd", &b.drstd, &at(rstd), 1e-13);
        assert_close("dx_hat", &b.dx_hat, &at(x_hat), 1e-13);
        assert_close("dx", &b.dx, grads.of(&x).data(), 1e-13);
        assert_close("dgamma", &b.dgamma, grads.of(&gamma).data(), 1e-13);
    }

    #[test]
    #[should_panic(expected = "rms::staged::forward: x has 5 elements")]
    fn x_is_whole_rows() {
        forward(&[0.0; 5], &[1.0; 3], 1e-5);
    }

    #[test]
    #[should_panic(expected = "rms::staged::backward: x has 3 elements, but 6 are needed")]
    fn x_is_that_of_the_forward_pass() {
        let f = forward(&[0.0; 6], &[1.0; 3], 1e-5);
        backward(&f, &[0.0; 3], &[1.0; 3], &[0.0; 6]);
    }

    #[test]
    #[should_panic(expected = "rms::staged::backward: dy has 3 elements, but 6 are needed")]
    fn dy_is_of_the_size_of_y() {
        let f = forward(&[0.0; 6], &[1.0; 3], 1e-5);
        backward(&f, &[0.0; 6], &[1.0; 3], &[0.0; 3]);
    }

    #[test]
    #[should_panic(expected = "rms::staged::backward: y has 6 elements, but 4 are needed")]
    fn gamma_is_that_of_the_forward_pass() {
        let f = forward(&[0.0; 6], &[1.0; 3], 1e-5);
        backward(&f, &[0.0; 4], &[1.0; 2], &[0.0; 4]);
    }
}
