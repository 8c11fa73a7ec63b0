//! Layer Norm one line at a time: for each line of the forward pass, the line of the
//! backward pass that undoes it.
//!
//! Every intermediate value is kept and every one has its gradient, named after it, so
//! that a derivation made by hand can be compared line by line (book, chapter 13).
//! Textbook formulas on plain slices: the form to read, not the form to run. Nothing guards
//! against squares that overflow: from 1.8·10¹⁹ on, `f32` rows become `beta`.

use tape::Real;
use tape::lanes::sum;

use crate::rows::{check_lengths, whole};

/// Every value of the forward pass, in the order in which it is computed.
///
/// With R rows of D features, `mean`, `var` and `rstd` have R elements, the others R·D,
/// row by row.
#[derive(Clone, Debug)]
pub struct Forward<T> {
    /// The mean of each row.
    pub mean: Vec<T>,
    /// `x − mean`.
    pub centered: Vec<T>,
    /// The variance of each row: its mean squared deviation.
    pub var: Vec<T>,
    /// `1/√(var + eps)` of each row.
    pub rstd: Vec<T>,
    /// The normalized input.
    pub x_hat: Vec<T>,
    /// The output.
    pub y: Vec<T>,
}

/// The forward pass over rows of D = `gamma.len()` features; `x` has R·D elements.
///
/// # Panics
/// If `gamma` is empty, `beta` has another length, or `x` is not a whole number of rows.
#[track_caller]
pub fn forward<T: Real>(x: &[T], gamma: &[T], beta: &[T], eps: T) -> Forward<T> {
    let d = gamma.len();
    check_rows("staged::forward", x, d);
    check_lengths("staged::forward", &[("beta", beta.len(), d)]);
    let n = T::from_usize(d);

    let mean = each_row(x, d, |x| sum(x) / n);
    let centered = with_row(x, &mean, |x, mean| x - mean);
    let square = zip(&centered, &centered, |a, b| a * b);
    let var = each_row(&square, d, |square| sum(square) / n);
    let rstd = each(&var, |var| T::ONE / (var + eps).sqrt());
    let x_hat = with_row(&centered, &rstd, |centered, rstd| centered * rstd);
    let scaled = with_feature(&x_hat, gamma, |x_hat, gamma| x_hat * gamma);
    let y = with_feature(&scaled, beta, |scaled, beta| scaled + beta);

    Forward {
        mean,
        centered,
        var,
        rstd,
        x_hat,
        y,
    }
}

/// The gradient of every value of the forward pass, in the order in which they are found.
///
/// `dgamma` and `dbeta` have D elements; the others have the size of the value they belong
/// to.
#[derive(Clone, Debug)]
pub struct Backward<T> {
    /// With respect to beta.
    pub dbeta: Vec<T>,
    /// With respect to gamma.
    pub dgamma: Vec<T>,
    /// With respect to `x_hat`.
    pub dx_hat: Vec<T>,
    /// With respect to `rstd`.
    pub drstd: Vec<T>,
    /// With respect to `var`.
    pub dvar: Vec<T>,
    /// With respect to `centered`, which reaches the output directly and through `var`.
    pub dcentered: Vec<T>,
    /// With respect to `mean`.
    pub dmean: Vec<T>,
    /// With respect to `x`, which reaches the output directly and through `mean`.
    pub dx: Vec<T>,
}

/// The backward pass: the lines of [`forward`] in reverse, each undone in turn. `dy` is
/// the upstream gradient, of the size of `y`.
///
/// # Panics
/// If `gamma` or `dy` do not have the sizes of the forward pass.
#[track_caller]
pub fn backward<T: Real>(forward: &Forward<T>, gamma: &[T], dy: &[T]) -> Backward<T> {
    let (rows, d) = (forward.rstd.len(), gamma.len());
    let whole = whole("staged::backward", rows, d);
    check_lengths(
        "staged::backward",
        &[("dy", dy.len(), whole), ("y", forward.y.len(), whole)],
    );
    let Forward {
        centered,
        rstd,
        x_hat,
        ..
    } = forward;
    let n = T::from_usize(d);
    let times = |a, b| a * b;

    // y = scaled + beta
    let dbeta = sum_rows(dy, d);
    // scaled = x_hat · gamma
    let dgamma = sum_rows(&zip(dy, x_hat, times), d);
    let dx_hat = with_feature(dy, gamma, times);
    // x_hat = centered · rstd
    let drstd = each_row(&zip(&dx_hat, centered, times), d, sum);
    let direct = with_row(&dx_hat, rstd, times);
    // rstd = (var + eps)^(−1/2), so its derivative is −rstd³/2
    let half = T::from_f64(0.5);
    let dvar = zip(&drstd, rstd, |drstd, rstd| -half * drstd * rstd.powi(3));
    // var = Σ centered² / n
    let two = T::from_f64(2.0);
    let through_var = with_row(centered, &dvar, |centered, dvar| two * centered * dvar / n);
    let dcentered = zip(&direct, &through_var, |a, b| a + b);
    // centered = x − mean
    let dmean = each_row(&dcentered, d, |dcentered| -sum(dcentered));
    // mean = Σ x / n
    let dx = with_row(&dcentered, &dmean, |direct, dmean| direct + dmean / n);

    Backward {
        dbeta,
        dgamma,
        dx_hat,
        drstd,
        dvar,
        dcentered,
        dmean,
        dx,
    }
}

/// `f` of each number.
pub(crate) fn each<T: Real>(a: &[T], f: impl Fn(T) -> T) -> Vec<T> {
    a.iter().map(|&a| f(a)).collect()
}

/// `f` of two numbers in the same place.
pub(crate) fn zip<T: Real>(a: &[T], b: &[T], f: impl Fn(T, T) -> T) -> Vec<T> {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect()
}

/// One number for each row of `d`.
pub(crate) fn each_row<T: Real>(a: &[T], d: usize, f: impl Fn(&[T]) -> T) -> Vec<T> {
    a.chunks_exact(d).map(f).collect()
}

/// `f` of each number and the number that belongs to its row.
pub(crate) fn with_row<T: Real>(a: &[T], of_row: &[T], f: impl Fn(T, T) -> T) -> Vec<T> {
    let d = a.len() / of_row.len().max(1);
    let mut out = Vec::with_capacity(a.len());
    for (row, &r) in a.chunks_exact(d.max(1)).zip(of_row) {
        out.extend(row.iter().map(|&a| f(a, r)));
    }
    out
}

/// `f` of each number and the number that belongs to its feature.
pub(crate) fn with_feature<T: Real>(a: &[T], of_feature: &[T], f: impl Fn(T, T) -> T) -> Vec<T> {
    let mut out = Vec::with_capacity(a.len());
    for row in a.chunks_exact(of_feature.len()) {
        out.extend(row.iter().zip(of_feature).map(|(&a, &b)| f(a, b)));
    }
    out
}

/// For each feature, the sum over the rows.
pub(crate) fn sum_rows<T: Real>(a: &[T], d: usize) -> Vec<T> {
    let mut total = vec![T::ZERO; d];
    for row in a.chunks_exact(d) {
        for (sum, &a) in total.iter_mut().zip(row) {
            *sum += a;
        }
    }
    total
}

/// Panics unless `x` is a whole number of rows of `d` features.
#[track_caller]
pub(crate) fn check_rows<T>(form: &str, x: &[T], d: usize) {
    assert!(
        d > 0 && x.len().is_multiple_of(d),
        "{form}: x has {} elements, which is not a whole number of rows of {d} features; \
         gamma has one element for each feature",
        x.len()
    );
}

#[cfg(test)]
mod tests {
    use tape::{Param, Tape, Tensor, Watch};

    use super::*;
    use crate::testing::{assert_close, check_of, draws};

    #[test]
    fn every_line_by_hand() {
        // Mean 4, deviations −3, −1, 1, 3, variance 5; with eps 4 their scale is 1/3.
        let (gamma, beta) = ([1.0, 1.0, 2.0, 3.0], [0.0, 10.0, 0.0, 0.0]);
        let f = forward(&[1.0, 3.0, 5.0, 7.0], &gamma, &beta, 4.0);
        assert_eq!(f.mean, [4.0]);
        assert_eq!(f.centered, [-3.0, -1.0, 1.0, 3.0]);
        assert_eq!(f.var, [5.0]);
        assert_eq!(f.rstd, [1.0 / 3.0]);
        assert_eq!(f.x_hat, [-1.0, -1.0 / 3.0, 1.0 / 3.0, 1.0]);
        assert_eq!(f.y, [-1.0, 10.0 - 1.0 / 3.0, 2.0 / 3.0, 3.0]);
    }

    #[test]
    fn gradient() {
        for (rows, d) in [(1, 3), (4, 5), (3, 33)] {
            let inputs = [draws(rows * d, 1), draws(d, 2), draws(d, 3)];
            check_of(&["x", "gamma", "beta"], &inputs)
                .run(
                    |v| forward(&v[0], &v[1], &v[2], 1e-3).y,
                    |v, dy| {
                        let b = backward(&forward(&v[0], &v[1], &v[2], 1e-3), &v[1], dy);
                        vec![b.dx, b.dgamma, b.dbeta]
                    },
                )
                .assert_passes();
        }
    }

    #[test]
    fn every_intermediate_gradient_is_the_tape_s() {
        let (rows, d, eps) = (4, 5, 1e-3);
        let (x, gamma, beta) = (draws(rows * d, 1), draws(d, 2), draws(d, 3));
        let dy = draws(rows * d, 4);
        let b = backward(&forward(&x, &gamma, &beta, eps), &gamma, &dy);

        let param = |name: &str, shape: &[usize], data: &[f64]| {
            Param::new(name, Tensor::new(shape, data.to_vec()))
        };
        let [x, gamma, beta] = [
            param("x", &[rows, d], &x),
            param("gamma", &[d], &gamma),
            param("beta", &[d], &beta),
        ];
        let dy = Tensor::new([rows, d], dy);
        let (_, watches, grads) = Tape::new().vjp_with(&dy, |t| {
            let mean = t.param(&x).mean_keep(&[1]);
            let centered = t.param(&x) - &mean;
            let var = (&centered * &centered).mean_keep(&[1]);
            let rstd = (&var + eps).powi(-1).sqrt();
            let x_hat = &centered * &rstd;
            let y = &x_hat * t.param(&gamma) + t.param(&beta);
            (y, [mean, centered, var, rstd, x_hat].map(|v| v.watch()))
        });
        let at = |watch: Watch| grads.at(watch).to_vec();
        let [mean, centered, var, rstd, x_hat] = watches;
        assert_close("dmean", &b.dmean, &at(mean), 1e-13);
        assert_close("dcentered", &b.dcentered, &at(centered), 1e-13);
        assert_close("dvar", &b.dvar, &at(var), 1e-13);
        assert_close("drstd", &b.drstd, &at(rstd), 1e-13);
        assert_close("dx_hat", &b.dx_hat, &at(x_hat), 1e-13);
        assert_close("dx", &b.dx, grads.of(&x).data(), 1e-13);
        assert_close("dgamma", &b.dgamma, grads.of(&gamma).data(), 1e-13);
        assert_close("dbeta", &b.dbeta, grads.of(&beta).data(), 1e-13);
    }

    #[test]
    fn no_rows_are_legal() {
        let f = forward(&[], &[1.0; 3], &[0.0; 3], 1e-5);
        assert!(f.y.is_empty() && f.mean.is_empty());
        let b = backward(&f, &[1.0; 3], &[]);
        assert_eq!((b.dx, b.dgamma), (vec![], vec![0.0; 3]));
    }

    #[test]
    #[should_panic(
        expected = "staged::forward: x has 5 elements, which is not a whole number of rows of 3"
    )]
    fn x_is_whole_rows() {
        forward(&[0.0; 5], &[1.0; 3], &[0.0; 3], 1e-5);
    }

    #[test]
    #[should_panic(expected = "staged::forward: x has 0 elements")]
    fn rows_have_features() {
        forward(&[], &[], &[], 1e-5);
    }

    #[test]
    #[should_panic(expected = "staged::forward: beta has 6 elements, but 3 are needed")]
    fn beta_has_one_element_a_feature() {
        forward(&[0.0; 6], &[1.0; 3], &[0.0; 6], 1e-5);
    }

    #[test]
    #[should_panic(expected = "staged::backward: dy has 3 elements, but 6 are needed")]
    fn dy_is_of_the_size_of_y() {
        let f = forward(&[0.0; 6], &[1.0; 3], &[0.0; 3], 1e-5);
        backward(&f, &[1.0; 3], &[0.0; 3]);
    }

    #[test]
    #[should_panic(expected = "staged::backward: y has 6 elements, but 4 are needed")]
    fn gamma_is_that_of_the_forward_pass() {
        let f = forward(&[0.0; 6], &[1.0; 3], &[0.0; 3], 1e-5);
        backward(&f, &[1.0; 2], &[0.0; 4]);
    }
}
