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
//! # Large means, and outliers
//! A mean of 10⁶ cannot be written in `f32` closer than 0.03, and every `x − mean` would
//! carry that error. But Layer Norm does not see a shift, and the difference of two
//! numbers that lie close together is exact. So a row is normalized by
//!
//! ```text
//! x_hat = (x − shift) · rstd + offset
//! ```
//!
//! where `shift` is close to the mean, and `offset` makes up for the rest of it. The shift
//! comes from the differences to the row's first element. Should that be an outlier, these
//! are all large, and rounded accordingly; so a second reading measures everything from
//! the shift, and finds what was lost. It sums the squares as well: `mean(x²) − mean(x)²`
//! would cancel. Where one value dwarfs all others, to add to it is to round by its own
//! digits; the lanes tell ([`tape::lanes::lopsided`]), and the sums are done in `f64`.
//!
//! # Huge rows
//! Squares of numbers beyond 10¹⁹ are infinite in `f32`. A row whose `rstd` says that it
//! may have had such squares is multiplied by a power of two first, forward and backward
//! ([`tape::magnitude`]).
//!
//! # Order of additions
//! Within a row it is fixed by the lanes and by blocks of 4096 elements; across rows
//! by blocks of [`ROWS_PER_BLOCK`]. Neither depends on the batch around the row, the
//! number of threads or the machine.

use tape::Real;
use tape::lanes::{LANES, fold, lopsided, sum_map};
use vectorized::vectorized;

use crate::driver::{Ahead, Rows};
use crate::rows::check_lengths;
use crate::sums::{BLOCK, lane_sums, sums};

pub use crate::driver::ROWS_PER_BLOCK;

/// Elements of a row that lanes sum with so few roundings that an outlier does no harm.
const SHORT: usize = 8 * LANES;

/// Normalizes every row of `x`: `y = gamma · (x − mean) · rstd + beta`, with
/// `rstd = 1/√(var + eps)`.
///
/// With D = `gamma.len()` features and R = `stats.len()` rows, `x` and `y` have R·D
/// elements, `gamma` and `beta` D. `y` and `stats` are written; of each row, `stats` holds
/// `[shift, offset, rstd]`, with `x_hat = (x − shift) · rstd + offset`. Hand it to
/// [`backward`].
///
/// A row whose values are all equal has `x_hat = 0`, exactly, and so `y = beta`. A row of
/// one feature is such a row: its `dx` is 0, as in PyTorch. A row of finite numbers has a
/// finite `y`, unless `gamma` and `beta` make it infinite; a row that holds an infinity or
/// NaN becomes NaN.
///
/// # Panics
/// If a slice has another length.
#[track_caller]
pub fn forward<T: Real>(
    x: &[T],
    gamma: &[T],
    beta: &[T],
    eps: T,
    y: &mut [T],
    stats: &mut [[T; 3]],
) {
    let (kernel, d) = ("layer_norm forward", gamma.len());
    check_lengths(kernel, &[("beta", beta.len(), d)]);
    Rows { kernel, x, d }.forward(eps, y, stats, |x, ahead, eps, y, stats| {
        normalize(x, ahead, gamma, beta, eps, y, stats);
    });
}

/// Normalizes rows. One whose squares do not fit `T` comes again, times a power of two.
///
/// Each step is done for all rows before the next one begins: a division or a root takes as long as
/// the sums of a short row, and while one row waits for its own, the next can be summed.
#[vectorized]
fn normalize<T: Real>(
    x: &[T],
    mut ahead: Ahead<'_, T>,
    gamma: &[T],
    beta: &[T],
    eps: T,
    y: &mut [T],
    stats: &mut [[T; 3]],
) {
    let d = gamma.len();
    for (x, stats) in x.chunks_exact(d).zip(&mut *stats) {
        stats[0] = near(x);
    }
    for (x, stats) in x.chunks_exact(d).zip(&mut *stats) {
        // To ask costs short rows more than it gains.
        if d > SHORT {
            ahead.fetch();
        }
        *stats = stats_of(x, stats[0], eps);
    }
    let rows = x.chunks_exact(d).zip(y.chunks_exact_mut(d));
    for ((x, y), &mut stats) in rows.zip(stats) {
        ahead.fetch();
        normalize_row(x, stats, gamma, beta, y);
    }
}

/// A number close to the mean of a row.
#[inline(always)]
fn near<T: Real>(x: &[T]) -> T {
    let first = x[0];
    first + sum_map(x, |x| x - first) / T::from_usize(x.len())
}

/// `[shift, offset, rstd]` of a row, of which a number `near` the mean is known: the second
/// reading.
#[inline(always)]
fn stats_of<T: Real>(x: &[T], near: T, eps: T) -> [T; 3] {
    let share = T::Wide::ONE / T::Wide::from_usize(x.len());
    let [sum, squares] = deviations(x, near);
    let rest = sum * share;
    // This `max` keeps a NaN.
    let var = Real::max(squares * share - rest * rest, T::Wide::ZERO);
    let rstd = T::ONE / (T::narrow(var) + eps).sqrt();
    let mean = near.widen() + rest;
    // To subtract a mean that is smaller than the deviation would only be one rounding
    // more.
    let (shift, rest) = if mean * mean < var {
        (T::ZERO, mean)
    } else {
        (near, rest)
    };
    [shift, T::narrow(-rest * rstd.widen()), rstd]
}

/// `Σ (x − near)` and `Σ (x − near)²`.
#[inline(always)]
fn deviations<T: Real>(x: &[T], near: T) -> [T::Wide; 2] {
    let terms = |[x]: [T; 1]| [x - near, (x - near) * (x - near)];
    if x.len() <= SHORT {
        return sums([x], terms).map(T::widen);
    }
    let mut totals = [T::Wide::ZERO; 2];
    for block in x.chunks(BLOCK) {
        let [sum, squares] = lane_sums([block], terms);
        let found = if lopsided(&squares) {
            sums([block], |[x]| {
                let off = x.widen() - near.widen();
                [off, off * off]
            })
        } else {
            [fold(sum).widen(), fold(squares).widen()]
        };
        for (total, found) in totals.iter_mut().zip(found) {
            *total += found;
        }
    }
    totals
}

#[inline(always)]
fn normalize_row<T: Real>(x: &[T], stats: [T; 3], gamma: &[T], beta: &[T], y: &mut [T]) {
    let [shift, offset, rstd] = stats;
    for ((y, &x), (&gamma, &beta)) in y.iter_mut().zip(x).zip(gamma.iter().zip(beta)) {
        *y = gamma * ((x - shift) * rstd + offset) + beta;
    }
}

/// What [`backward`] needs of the forward pass: its input, its scale, and what it found
/// out about every row.
#[derive(Clone, Copy, Debug)]
pub struct Saved<'a, T> {
    /// The input, R·D elements.
    pub x: &'a [T],
    /// The scale, D elements.
    pub gamma: &'a [T],
    /// `[shift, offset, rstd]` of each row, as [`forward`] wrote them.
    pub stats: &'a [[T; 3]],
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
    dx: &mut [T],
    dgamma: &mut [T],
    dbeta: &mut [T],
) {
    let Saved { x, gamma, stats } = saved;
    let (kernel, d) = ("layer_norm backward", gamma.len());
    let parameters = [("dgamma", dgamma), ("dbeta", dbeta)];
    Rows { kernel, x, d }.backward(
        stats,
        dy,
        dx,
        parameters,
        |x, stats, dy, [dgamma, dbeta]| {
            project(x, stats, gamma, dy, dgamma, dbeta);
        },
    );
}

/// The same for rows whose squares fit `T`: turns `dy` into `dx`, in place, and adds the rows'
/// share to `dgamma` and `dbeta`.
#[vectorized]
fn project<T: Real>(
    x: &[T],
    stats: &[[T; 3]],
    gamma: &[T],
    dy: &mut [T],
    dgamma: &mut [T],
    dbeta: &mut [T],
) {
    let d = gamma.len();
    let rows = x.chunks_exact(d).zip(dy.chunks_exact_mut(d));
    for ((x, dy), &stats) in rows.zip(stats) {
        project_row(x, stats, gamma, dy, dgamma, dbeta);
    }
}

#[inline(always)]
fn project_row<T: Real>(
    x: &[T],
    [shift, offset, rstd]: [T; 3],
    gamma: &[T],
    dy: &mut [T],
    dgamma: &mut [T],
    dbeta: &mut [T],
) {
    let n = T::from_usize(x.len());
    let x_hat = |x: T| (x - shift) * rstd + offset;
    let [sum_g, sum_g_x_hat] = sums([x, dy, gamma], |[x, dy, gamma]| {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, check_of, draws};

    /// What the forward pass writes: `y`, and `[shift, offset, rstd]` of each row.
    fn run<T: Real>(x: &[T], gamma: &[T], beta: &[T], eps: T) -> (Vec<T>, Vec<[T; 3]>) {
        let mut y = vec![T::NAN; x.len()];
        let mut stats = vec![[T::NAN; 3]; x.len() / gamma.len()];
        forward(x, gamma, beta, eps, &mut y, &mut stats);
        (y, stats)
    }

    /// What the backward pass writes: `dx`, `dgamma`, `dbeta`.
    fn run_backward<T: Real>(x: &[T], gamma: &[T], eps: T, dy: &[T]) -> [Vec<T>; 3] {
        let (_, stats) = run(x, gamma, gamma, eps);
        let saved = Saved {
            x,
            gamma,
            stats: &stats,
        };
        let run = |dy: Option<&[T]>, mut dx: Vec<T>| {
            let [mut dgamma, mut dbeta] = [(); 2].map(|()| vec![T::NAN; gamma.len()]);
            backward(saved, dy, &mut dx, &mut dgamma, &mut dbeta);
            [dx, dgamma, dbeta]
        };
        let grads = run(None, dy.to_vec());
        assert_eq!(grads, run(Some(dy), vec![T::NAN; x.len()]));
        grads
    }

    #[test]
    fn a_row_by_hand() {
        // Mean 4, variance 5; with eps 4 the deviation is 3.
        let (gamma, beta) = ([1.0, 1.0, 2.0, 3.0], [0.0, 10.0, 0.0, 0.0]);
        let (y, stats) = run(&[1.0, 3.0, 5.0, 7.0], &gamma, &beta, 4.0);
        assert_close("y", &y, &[-1.0, 10.0 - 1.0 / 3.0, 2.0 / 3.0, 3.0], 1e-15);
        assert_eq!(stats, [[4.0, 0.0, 1.0 / 3.0]]);
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
                    |v| run(&v[0], &v[1], &v[2], 1e-3).0,
                    |v, dy| run_backward(&v[0], &v[1], 1e-3, dy).to_vec(),
                )
                .assert_passes();
        }
    }

    #[test]
    fn a_constant_row_is_beta_exactly() {
        // 0.1 is not a binary fraction: a mean found by summing and dividing misses it.
        let (gamma, beta) = (draws(7, 1), draws(7, 2));
        let (y, stats) = run(&[0.1; 7], &gamma, &beta, 1e-5);
        assert_eq!(y, beta);
        assert_eq!(stats, [[0.1, 0.0, 1.0 / 1e-5_f64.sqrt()]]);
        let [dx, dgamma, _] = run_backward(&[0.1; 7], &gamma, 1e-5, &draws(7, 3));
        assert!(dx.iter().all(|dx| dx.is_finite()));
        assert_eq!(dgamma, [0.0; 7]);
    }

    #[test]
    fn one_feature_is_beta_and_has_no_gradient() {
        // A number minus its own mean is 0, whatever the number. PyTorch agrees.
        let (y, _) = run(&[3.0, -1e30, 0.0], &[2.0], &[0.5], 1e-5);
        assert_eq!(y, [0.5; 3]);
        let [dx, dgamma, dbeta] = run_backward(&[3.0, -4.0, 0.0], &[2.0], 1e-5, &[1.0, 2.0, 4.0]);
        assert_eq!((dx, dgamma, dbeta), (vec![0.0; 3], vec![0.0], vec![7.0]));
    }

    #[test]
    fn no_rows_have_no_output_and_zero_gradients() {
        assert_eq!(run(&[], &[1.0; 3], &[0.0; 3], 1e-5), (vec![], vec![]));
        let [dx, dgamma, dbeta] = run_backward::<f64>(&[], &[1.0; 3], 1e-5, &[]);
        assert_eq!((dx, dgamma, dbeta), (vec![], vec![0.0; 3], vec![0.0; 3]));
    }

    #[test]
    #[should_panic(expected = "layer_norm forward: x has 5 elements, but 6 are needed")]
    fn forward_wants_whole_rows() {
        let (y, stats) = (&mut [0.0; 6], &mut [[0.0; 3]; 2]);
        forward(&[0.0; 5], &[1.0; 3], &[0.0; 3], 1e-5, y, stats);
    }

    #[test]
    #[should_panic(expected = "layer_norm forward: y has 7 elements, but 6 are needed")]
    fn forward_wants_room_for_y_and_no_more() {
        let (y, stats) = (&mut [0.0; 7], &mut [[0.0; 3]; 2]);
        forward(&[0.0; 6], &[1.0; 3], &[0.0; 3], 1e-5, y, stats);
    }

    /// Hands the backward pass slices of two rows of three features, but for `dy` and `dx`.
    fn backward_with(dy: Option<&[f64]>, dx: &mut [f64]) {
        let saved = Saved {
            x: &[0.0; 6],
            gamma: &[1.0; 3],
            stats: &[[0.0, 0.0, 1.0]; 2],
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
