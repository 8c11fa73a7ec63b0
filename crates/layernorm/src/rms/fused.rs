//! RMS Norm in closed form, each row read while it is in cache.
//!
//! With `g = dy · gamma`, the gradient that arrives at `x_hat`, the two paths from `x` to
//! `y`, directly and through the mean square, add up to
//!
//! ```text
//! dx     = rstd · (g − x_hat · mean(g · x_hat))
//! dgamma = Σ dy · x_hat      over the rows
//! ```
//!
//! Here `rstd = 1/√(mean(x²) + eps)` is one over the root mean square; it keeps the name
//! it has in Layer Norm.

use tape::lanes::sum_map;
use tape::{Real, Tensor, parallel};

use crate::rows::{ROWS_PER_BLOCK, add_blocks, blocks_per_thread, check_lengths, rows_of, take};
use crate::sums::sums;

// ANCHOR: rms_forward
/// Normalizes every row of `x`: `y = gamma · x · rstd`, with `rstd = 1/√(mean(x²) + eps)`.
///
/// With D = `gamma.len()` features and R = `rstd.len()` rows, `x` and `y` have R·D
/// elements, `gamma` D, `rstd` R. `y` and `rstd` are written.
///
/// # Panics
/// If a slice has another length.
#[track_caller]
pub fn forward<T: Real>(x: &[T], gamma: &[T], eps: T, mut y: &mut [T], mut rstd: &mut [T]) {
    let (rows, d) = (rstd.len(), gamma.len());
    check_lengths(
        "rms_norm forward",
        &[("x", x.len(), rows * d), ("y", y.len(), rows * d)],
    );
    let parts: Vec<_> = (parallel::ranges(rows, x.len()).into_iter())
        .map(|rows| {
            let x = x[rows.start * d..].chunks_exact(d);
            let y = take(&mut y, rows.len() * d).chunks_exact_mut(d);
            let rstd = take(&mut rstd, rows.len()).iter_mut();
            x.zip(y).zip(rstd)
        })
        .collect();
    parallel::for_each(parts, |rows| {
        for ((x, y), rstd) in rows {
            *rstd = forward_row(x, gamma, eps, y);
        }
    });
}

/// Normalizes one row and returns its `rstd`.
fn forward_row<T: Real>(x: &[T], gamma: &[T], eps: T, y: &mut [T]) -> T {
    let mean_square = sum_map(x, |x| x * x) / T::from_usize(x.len());
    let rstd = T::ONE / (mean_square + eps).sqrt();
    for ((y, &x), &gamma) in y.iter_mut().zip(x).zip(gamma) {
        *y = gamma * (x * rstd);
    }
    rstd
}
// ANCHOR_END: rms_forward

// ANCHOR: rms_backward
/// The gradients of [`forward`]: turns `dy` into `dx` in place and writes `dgamma`.
///
/// `x`, `gamma` and `rstd` are those of the forward pass. `dy` holds the upstream
/// gradient, R·D elements, on entry and `dx` on return; `dgamma` has D elements.
///
/// # Panics
/// If a slice has another length.
#[track_caller]
pub fn backward<T: Real>(x: &[T], gamma: &[T], rstd: &[T], mut dy: &mut [T], dgamma: &mut [T]) {
    let (rows, d) = (rstd.len(), gamma.len());
    check_lengths(
        "rms_norm backward",
        &[
            ("x", x.len(), rows * d),
            ("dy", dy.len(), rows * d),
            ("dgamma", dgamma.len(), d),
        ],
    );
    let mut dgammas = Tensor::zeros([rows.div_ceil(ROWS_PER_BLOCK), d]);
    let mut dgamma_rest = dgammas.data_mut();
    let parts: Vec<_> = (blocks_per_thread(rows, d).into_iter())
        .map(|blocks| {
            let rows = rows_of(&blocks, rows);
            let x = x[rows.start * d..].chunks(ROWS_PER_BLOCK * d);
            let dy = take(&mut dy, rows.len() * d).chunks_mut(ROWS_PER_BLOCK * d);
            let rstd = rstd[rows.start..].chunks(ROWS_PER_BLOCK);
            let dgamma = take(&mut dgamma_rest, blocks.len() * d).chunks_exact_mut(d);
            x.zip(dy).zip(rstd.zip(dgamma))
        })
        .collect();
    parallel::for_each(parts, |blocks| {
        for ((x, dy), (rstd, dgamma)) in blocks {
            let rows = x.chunks_exact(d).zip(dy.chunks_exact_mut(d));
            for ((x, dy), &rstd) in rows.zip(rstd) {
                backward_row(x, gamma, rstd, dy, dgamma);
            }
        }
    });
    add_blocks(dgammas.data(), dgamma);
}

/// Turns one row of `dy` into `dx` and adds its share to `dgamma`.
fn backward_row<T: Real>(x: &[T], gamma: &[T], rstd: T, dy: &mut [T], dgamma: &mut [T]) {
    let n = T::from_usize(x.len());
    let x_hat = |x: T| x * rstd;
    let [sum_g_x_hat] = sums(x, dy, gamma, |x, dy, gamma| [dy * gamma * x_hat(x)]);
    let mean_g_x_hat = sum_g_x_hat / n;
    for (dy, ((&x, &gamma), dgamma)) in dy.iter_mut().zip(x.iter().zip(gamma).zip(dgamma)) {
        let (x_hat, g) = (x_hat(x), *dy * gamma);
        *dgamma += *dy * x_hat;
        *dy = rstd * (g - x_hat * mean_g_x_hat);
    }
}
// ANCHOR_END: rms_backward
