//! Layer Norm in closed form, each row read while it is in cache.
//!
//! With `g = dy · gamma` (the gradient that arrives at `x_hat`), the three paths from
//! `x` to `y`, directly, through the mean and through the variance, add up to
//!
//! ```text
//! dx     = rstd · (g − mean(g) − x_hat · mean(g · x_hat))
//! dgamma = Σ dy · x_hat      over the rows
//! dbeta  = Σ dy              over the rows
//! ```
//!
//! (book, chapter 13). The two means are all that a row must know before its `dx` can be
//! written, so a row is read once to find them and once more, from the cache, to use them.
//!
//! # Large means
//! A mean of 10⁶ cannot be written in `f32` closer than 0.03, and every `x − mean` would
//! carry that error. But Layer Norm does not see a shift, and the difference of two
//! numbers that lie close together is exact. So each row is first measured from its own
//! first element, and the mean that is kept is the mean of `x − x[0]`. The variance is the
//! mean of the squared deviations, in a second pass: `mean(x²) − mean(x)²` would cancel.
//!
//! # Order of additions
//! Within a row it is fixed by the lanes; across rows by blocks of [`ROWS_PER_BLOCK`].
//! Neither depends on the batch around the row, the number of threads or the machine.

use tape::lanes::sum_map;
use tape::{Real, Tensor, parallel};

use crate::rows::{add_blocks, blocks_per_thread, check_lengths, rows_of, take, whole};
use crate::sums::sums;

pub use crate::rows::ROWS_PER_BLOCK;

// ANCHOR: forward
/// Normalizes every row of `x`: `y = gamma · (x − mean) · rstd + beta`, with
/// `rstd = 1/√(var + eps)`.
///
/// With D = `gamma.len()` features and R = `rstd.len()` rows, `x` and `y` have R·D
/// elements, `gamma` and `beta` D, `mean` and `rstd` R. `y`, `mean` and `rstd` are
/// written; `mean[r]` is the mean of row r **minus the row's first element**. Hand both
/// to [`backward`].
///
/// A row whose values are all equal has `x_hat = 0`, exactly, and so `y = beta`; with
/// `eps = 0` it has no normalized form and becomes NaN. A row of one feature is such a
/// row: its `dx` is 0, as in PyTorch.
///
/// # Panics
/// If a slice has another length.
#[track_caller]
pub fn forward<T: Real>(
    x: &[T],
    gamma: &[T],
    beta: &[T],
    eps: T,
    mut y: &mut [T],
    mut mean: &mut [T],
    mut rstd: &mut [T],
) {
    let (rows, d) = (rstd.len(), gamma.len());
    let whole = whole("layer_norm forward", rows, d);
    check_lengths(
        "layer_norm forward",
        &[
            ("x", x.len(), whole),
            ("beta", beta.len(), d),
            ("y", y.len(), whole),
            ("mean", mean.len(), rows),
        ],
    );
    let parts: Vec<_> = (parallel::ranges(rows, x.len()).into_iter())
        .map(|rows| {
            let y = take(&mut y, rows.len() * d).chunks_exact_mut(d);
            let mean = take(&mut mean, rows.len()).iter_mut();
            let rstd = take(&mut rstd, rows.len()).iter_mut();
            rows.zip(y).zip(mean.zip(rstd))
        })
        .collect();
    parallel::for_each(parts, |rows| {
        for ((r, y), (mean, rstd)) in rows {
            (*mean, *rstd) = forward_row(&x[r * d..][..d], gamma, beta, eps, y);
        }
    });
}

/// Normalizes one row and returns its `mean` and `rstd`.
fn forward_row<T: Real>(x: &[T], gamma: &[T], beta: &[T], eps: T, y: &mut [T]) -> (T, T) {
    let n = T::from_usize(x.len());
    let first = x[0];
    let mean = sum_map(x, |x| x - first) / n;
    let var = sum_map(x, |x| {
        let deviation = (x - first) - mean;
        deviation * deviation
    }) / n;
    let rstd = T::ONE / (var + eps).sqrt();
    for ((y, &x), (&gamma, &beta)) in y.iter_mut().zip(x).zip(gamma.iter().zip(beta)) {
        *y = gamma * (((x - first) - mean) * rstd) + beta;
    }
    (mean, rstd)
}
// ANCHOR_END: forward

// ANCHOR: backward
/// What [`backward`] needs of the forward pass: its input, its scale, and what it found
/// out about every row.
#[derive(Clone, Copy, Debug)]
pub struct Saved<'a, T> {
    /// The input, R·D elements.
    pub x: &'a [T],
    /// The scale, D elements.
    pub gamma: &'a [T],
    /// The mean of each row minus the row's first element, as [`forward`] wrote it.
    pub mean: &'a [T],
    /// `1/√(var + eps)` of each row, as [`forward`] wrote it.
    pub rstd: &'a [T],
}

/// The gradients of [`forward`] for an upstream gradient `dy`: writes `dx`, `dgamma` and
/// `dbeta`.
///
/// `dy` and `dx` have R·D elements, `dgamma` and `dbeta` D. Without a `dy`, `dx` holds the
/// upstream gradient on entry and is overwritten: the pass then touches less memory.
///
/// # Panics
/// If a slice has another length.
#[track_caller]
pub fn backward<T: Real>(
    saved: Saved<'_, T>,
    dy: Option<&[T]>,
    mut dx: &mut [T],
    dgamma: &mut [T],
    dbeta: &mut [T],
) {
    let (rows, d) = (saved.rstd.len(), saved.gamma.len());
    let whole = whole("layer_norm backward", rows, d);
    check_lengths(
        "layer_norm backward",
        &[
            ("x", saved.x.len(), whole),
            ("mean", saved.mean.len(), rows),
            ("dy", dy.map_or(whole, <[T]>::len), whole),
            ("dx", dx.len(), whole),
            ("dgamma", dgamma.len(), d),
            ("dbeta", dbeta.len(), d),
        ],
    );
    // One row for each block of rows: its share of dgamma and of dbeta.
    let blocks = rows.div_ceil(ROWS_PER_BLOCK);
    let (mut dgammas, mut dbetas) = (Tensor::zeros([blocks, d]), Tensor::zeros([blocks, d]));
    let (mut dgamma_rest, mut dbeta_rest) = (dgammas.data_mut(), dbetas.data_mut());
    let parts: Vec<_> = (blocks_per_thread(rows, d).into_iter())
        .map(|blocks| {
            let rows = rows_of(&blocks, rows);
            let dx = take(&mut dx, rows.len() * d).chunks_mut(ROWS_PER_BLOCK.saturating_mul(d));
            let dgamma = take(&mut dgamma_rest, blocks.len() * d).chunks_exact_mut(d);
            let dbeta = take(&mut dbeta_rest, blocks.len() * d).chunks_exact_mut(d);
            blocks.zip(dx).zip(dgamma.zip(dbeta))
        })
        .collect();
    parallel::for_each(parts, |blocks| {
        for ((block, dx), (dgamma, dbeta)) in blocks {
            let rows = block * ROWS_PER_BLOCK..;
            for (r, dx) in rows.zip(dx.chunks_exact_mut(d)) {
                if let Some(dy) = dy {
                    dx.copy_from_slice(&dy[r * d..][..d]);
                }
                backward_row(saved, r, dx, dgamma, dbeta);
            }
        }
    });
    add_blocks(dgammas.data(), dgamma);
    add_blocks(dbetas.data(), dbeta);
}

/// Turns `dy` of row `r` into `dx`, in place, and adds the row's share to `dgamma` and
/// `dbeta`.
fn backward_row<T: Real>(
    saved: Saved<'_, T>,
    r: usize,
    dy: &mut [T],
    dgamma: &mut [T],
    dbeta: &mut [T],
) {
    let (gamma, d) = (saved.gamma, saved.gamma.len());
    let (x, mean, rstd) = (&saved.x[r * d..][..d], saved.mean[r], saved.rstd[r]);
    let (first, n) = (x[0], T::from_usize(d));
    let x_hat = |x: T| ((x - first) - mean) * rstd;
    let [sum_g, sum_g_x_hat] = sums(x, dy, gamma, |x, dy, gamma| {
        let g = dy * gamma;
        [g, g * x_hat(x)]
    });
    let (mean_g, mean_g_x_hat) = (sum_g / n, sum_g_x_hat / n);
    let features = x.iter().zip(gamma).zip(dgamma.iter_mut().zip(dbeta));
    for (dy, ((&x, &gamma), (dgamma, dbeta))) in dy.iter_mut().zip(features) {
        let (x_hat, g) = (x_hat(x), *dy * gamma);
        *dgamma += *dy * x_hat;
        *dbeta += *dy;
        *dy = rstd * (g - mean_g - x_hat * mean_g_x_hat);
    }
}
// ANCHOR_END: backward

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, check_of, draws};

    /// What the forward pass writes: `y`, `mean`, `rstd`.
    fn run(x: &[f64], gamma: &[f64], beta: &[f64], eps: f64) -> [Vec<f64>; 3] {
        let rows = x.len() / gamma.len();
        let [mut y, mut mean, mut rstd] = [x.len(), rows, rows].map(|n| vec![f64::NAN; n]);
        forward(x, gamma, beta, eps, &mut y, &mut mean, &mut rstd);
        [y, mean, rstd]
    }

    /// What the backward pass writes: `dx`, `dgamma`, `dbeta`.
    fn run_backward(x: &[f64], gamma: &[f64], eps: f64, dy: &[f64]) -> [Vec<f64>; 3] {
        let [_, mean, rstd] = run(x, gamma, gamma, eps);
        let saved = Saved {
            x,
            gamma,
            mean: &mean,
            rstd: &rstd,
        };
        let run = |dy: Option<&[f64]>, mut dx: Vec<f64>| {
            let [mut dgamma, mut dbeta] = [(); 2].map(|()| vec![f64::NAN; gamma.len()]);
            backward(saved, dy, &mut dx, &mut dgamma, &mut dbeta);
            [dx, dgamma, dbeta]
        };
        let grads = run(None, dy.to_vec());
        assert_eq!(grads, run(Some(dy), vec![f64::NAN; x.len()]));
        grads
    }

    #[test]
    fn a_row_by_hand() {
        // Mean 4, variance 5; with eps 4 the deviation is 3.
        let (gamma, beta) = ([1.0, 1.0, 2.0, 3.0], [0.0, 10.0, 0.0, 0.0]);
        let [y, mean, rstd] = run(&[1.0, 3.0, 5.0, 7.0], &gamma, &beta, 4.0);
        assert_close("y", &y, &[-1.0, 10.0 - 1.0 / 3.0, 2.0 / 3.0, 3.0], 1e-15);
        // The mean is counted from the first element.
        assert_eq!((mean[0], rstd[0]), (3.0, 1.0 / 3.0));
    }

    #[test]
    fn gradient() {
        // Around the width of the lanes, and with more than one block of rows.
        for (rows, d) in [
            (1, 3),
            (4, 5),
            (2, 32),
            (3, 33),
            (2, 67),
            (ROWS_PER_BLOCK + 3, 3),
        ] {
            let inputs = [draws(rows * d, 1), draws(d, 2), draws(d, 3)];
            check_of(&["x", "gamma", "beta"], &inputs)
                .run(
                    |v| run(&v[0], &v[1], &v[2], 1e-3)[0].clone(),
                    |v, dy| run_backward(&v[0], &v[1], 1e-3, dy).to_vec(),
                )
                .assert_passes();
        }
    }

    #[test]
    fn a_constant_row_is_beta_exactly() {
        // 0.1 is not a binary fraction: a mean found by summing and dividing misses it.
        let (gamma, beta) = (draws(7, 1), draws(7, 2));
        let [y, mean, rstd] = run(&[0.1; 7], &gamma, &beta, 1e-5);
        assert_eq!(y, beta);
        assert_eq!((mean[0], rstd[0]), (0.0, 1.0 / 1e-5_f64.sqrt()));
        let [dx, dgamma, _] = run_backward(&[0.1; 7], &gamma, 1e-5, &draws(7, 3));
        assert!(dx.iter().all(|dx| dx.is_finite()));
        assert_eq!(dgamma, [0.0; 7]);
    }

    #[test]
    fn one_feature_is_beta_and_has_no_gradient() {
        // A number minus its own mean is 0, whatever the number. PyTorch agrees.
        let [y, ..] = run(&[3.0, -1e30, 0.0], &[2.0], &[0.5], 1e-5);
        assert_eq!(y, [0.5; 3]);
        let [dx, dgamma, dbeta] = run_backward(&[3.0, -4.0, 0.0], &[2.0], 1e-5, &[1.0, 2.0, 4.0]);
        assert_eq!((dx, dgamma, dbeta), (vec![0.0; 3], vec![0.0], vec![7.0]));
    }

    #[test]
    fn without_eps_a_constant_row_is_not_a_number() {
        let [y, ..] = run(&[1.0, 1.0, 2.0, 4.0], &[1.0; 2], &[0.0; 2], 0.0);
        assert!(y[..2].iter().all(|y| y.is_nan()));
        assert_eq!(y[2..], [-1.0, 1.0]);
    }

    #[test]
    fn no_rows_have_no_output_and_zero_gradients() {
        assert_eq!(
            run(&[], &[1.0; 3], &[0.0; 3], 1e-5),
            [vec![], vec![], vec![]]
        );
        let [dx, dgamma, dbeta] = run_backward(&[], &[1.0; 3], 1e-5, &[]);
        assert_eq!((dx, dgamma, dbeta), (vec![], vec![0.0; 3], vec![0.0; 3]));
    }

    #[test]
    #[should_panic(expected = "layer_norm forward: x has 5 elements, but 6 are needed")]
    fn forward_wants_whole_rows() {
        let (y, mean, rstd) = (&mut [0.0; 6], &mut [0.0; 2], &mut [0.0; 2]);
        forward(&[0.0; 5], &[1.0; 3], &[0.0; 3], 1e-5, y, mean, rstd);
    }

    #[test]
    #[should_panic(expected = "layer_norm forward: y has 7 elements, but 6 are needed")]
    fn forward_wants_room_for_y_and_no_more() {
        let (y, mean, rstd) = (&mut [0.0; 7], &mut [0.0; 2], &mut [0.0; 2]);
        forward(&[0.0; 6], &[1.0; 3], &[0.0; 3], 1e-5, y, mean, rstd);
    }

    /// Hands the backward pass slices of two rows of three features, but for `dy` and `dx`.
    fn backward_with(dy: Option<&[f64]>, dx: &mut [f64]) {
        let saved = Saved {
            x: &[0.0; 6],
            gamma: &[1.0; 3],
            mean: &[0.0; 2],
            rstd: &[1.0; 2],
        };
        backward(saved, dy, dx, &mut [0.0; 3], &mut [0.0; 3]);
    }

    #[test]
    #[should_panic(expected = "layer_norm backward: dy has 5 elements, but 6 are needed")]
    fn backward_wants_whole_rows() {
        backward_with(Some(&[0.0; 5]), &mut [0.0; 6]);
    }

    #[test]
    #[should_panic(expected = "layer_norm backward: dx has 7 elements, but 6 are needed")]
    fn backward_wants_room_for_dx_and_no_more() {
        backward_with(None, &mut [0.0; 7]);
    }
}
