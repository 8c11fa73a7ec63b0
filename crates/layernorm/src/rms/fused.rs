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

use tape::Real;
use tape::lanes::sum_map;
use vectorized::vectorized;

use crate::driver::{Ahead, Rows};
use crate::sums::{BLOCK, sums};

/// Normalizes every row of `x`: `y = gamma · x · rstd`, with `rstd = 1/√(mean(x²) + eps)`.
///
/// With D = `gamma.len()` features and R = `rstd.len()` rows, `x` and `y` have R·D
/// elements, `gamma` D, `rstd` R. `y` and `rstd` are written.
///
/// A row whose squares `T` does not hold is multiplied by a power of two first
/// ([`tape::magnitude`]), so that a row of finite numbers has a finite `y`, unless `gamma`
/// makes it infinite. A row that holds an infinity or NaN becomes NaN.
///
/// # Panics
/// If a slice has another length.
#[track_caller]
pub fn forward<T: Real>(x: &[T], gamma: &[T], eps: T, y: &mut [T], rstd: &mut [T]) {
    let (kernel, d) = ("rms_norm forward", gamma.len());
    Rows { kernel, x, d }.forward(eps, y, rstd, |x, ahead, eps, y, rstd| {
        normalize(x, ahead, gamma, eps, y, rstd);
    });
}

/// Normalizes rows, step by step like Layer Norm. One whose squares do not fit `T` comes again,
/// times a power of two.
#[vectorized]
fn normalize<T: Real>(
    x: &[T],
    mut ahead: Ahead<'_, T>,
    gamma: &[T],
    eps: T,
    y: &mut [T],
    rstd: &mut [T],
) {
    let d = gamma.len();
    for (x, rstd) in x.chunks_exact(d).zip(&mut *rstd) {
        ahead.fetch();
        *rstd = rstd_of(x, eps);
    }
    let rows = x.chunks_exact(d).zip(y.chunks_exact_mut(d));
    for ((x, y), &mut rstd) in rows.zip(rstd) {
        ahead.fetch();
        normalize_row(x, rstd, gamma, y);
    }
}

#[inline(always)]
fn rstd_of<T: Real>(x: &[T], eps: T) -> T {
    let mut squares = T::Wide::ZERO;
    for block in x.chunks(BLOCK) {
        squares += sum_map(block, |x| x * x).widen();
    }
    let mean_square = T::narrow(squares / T::Wide::from_usize(x.len()));
    T::ONE / (mean_square + eps).sqrt()
}

#[inline(always)]
fn normalize_row<T: Real>(x: &[T], rstd: T, gamma: &[T], y: &mut [T]) {
    for ((y, &x), &gamma) in y.iter_mut().zip(x).zip(gamma) {
        *y = gamma * (x * rstd);
    }
}

/// What [`backward`] needs of the forward pass.
#[derive(Clone, Copy, Debug)]
pub struct Saved<'a, T> {
    /// The input, R·D elements.
    pub x: &'a [T],
    /// The scale, D elements.
    pub gamma: &'a [T],
    /// `1/√(mean(x²) + eps)` of each row, as [`forward`] wrote it.
    pub rstd: &'a [T],
}

/// The gradients of [`forward`] for an upstream gradient `dy`: writes `dx` and `dgamma`.
///
/// `dy` and `dx` have R·D elements, `dgamma` D. Without a `dy`, `dx` holds the upstream
/// gradient on entry and is overwritten: the pass then touches less memory.
///
/// # Panics
/// If a slice has another length.
#[track_caller]
pub fn backward<T: Real>(saved: Saved<'_, T>, dy: Option<&[T]>, dx: &mut [T], dgamma: &mut [T]) {
    let Saved { x, gamma, rstd } = saved;
    let (kernel, d) = ("rms_norm backward", gamma.len());
    let parameters = [("dgamma", dgamma)];
    Rows { kernel, x, d }.backward(rstd, dy, dx, parameters, |x, rstd, dy, [dgamma]| {
        project(x, rstd, gamma, dy, dgamma);
    });
}

/// The same for rows whose squares fit `T`: turns `dy` into `dx`, in place, and adds the rows'
/// share to `dgamma`.
#[vectorized]
fn project<T: Real>(x: &[T], rstd: &[T], gamma: &[T], dy: &mut [T], dgamma: &mut [T]) {
    let d = gamma.len();
    let rows = x.chunks_exact(d).zip(dy.chunks_exact_mut(d));
    for ((x, dy), &rstd) in rows.zip(rstd) {
        project_row(x, rstd, gamma, dy, dgamma);
    }
}

#[inline(always)]
fn project_row<T: Real>(x: &[T], rstd: T, gamma: &[T], dy: &mut [T], dgamma: &mut [T]) {
    let x_hat = |x: T| x * rstd;
    let [sum_g_x_hat] = sums([x, dy, gamma], |[x, dy, gamma]| [dy * gamma * x_hat(x)]);
    let mean_g_x_hat = sum_g_x_hat / T::from_usize(x.len());
    for (dy, ((&x, &gamma), dgamma)) in dy.iter_mut().zip(x.iter().zip(gamma).zip(dgamma)) {
        let (x_hat, g) = (x_hat(x), *dy * gamma);
        *dgamma += *dy * x_hat;
        *dy = rstd * (g - x_hat * mean_g_x_hat);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::ROWS_PER_BLOCK;
    use crate::testing::{assert_close, check_of, draws};

    /// What the forward pass writes: `y`, `rstd`.
    fn run(x: &[f64], gamma: &[f64], eps: f64) -> [Vec<f64>; 2] {
        let [mut y, mut rstd] = [x.len(), x.len() / gamma.len()].map(|n| vec![f64::NAN; n]);
        forward(x, gamma, eps, &mut y, &mut rstd);
        [y, rstd]
    }

    /// What the backward pass writes: `dx`, `dgamma`.
    fn run_backward(x: &[f64], gamma: &[f64], eps: f64, dy: &[f64]) -> [Vec<f64>; 2] {
        let [_, rstd] = run(x, gamma, eps);
        let saved = Saved {
            x,
            gamma,
            rstd: &rstd,
        };
        let run = |dy: Option<&[f64]>, mut dx: Vec<f64>| {
            let mut dgamma = vec![f64::NAN; gamma.len()];
            backward(saved, dy, &mut dx, &mut dgamma);
            [dx, dgamma]
        };
        let grads = run(None, dy.to_vec());
        assert_eq!(grads, run(Some(dy), vec![f64::NAN; x.len()]));
        grads
    }

    #[test]
    fn a_row_by_hand() {
        // Mean square 5; with eps 4 the scale is 1/3.
        let [y, rstd] = run(&[-3.0, 1.0, 3.0, -1.0], &[1.0, 1.0, 2.0, 3.0], 4.0);
        assert_close("y", &y, &[-1.0, 1.0 / 3.0, 2.0, -1.0], 1e-15);
        assert_eq!(rstd, [1.0 / 3.0]);
    }

    #[test]
    fn gradient() {
        // Around the width of the lanes, and with more than one block of rows.
        let many = ROWS_PER_BLOCK + 3;
        for (rows, d) in [(1, 3), (4, 5), (2, 32), (3, 33), (2, 67), (many, 3)] {
            check_of(&["x", "gamma"], &[draws(rows * d, 1), draws(d, 2)])
                .run(
                    |v| run(&v[0], &v[1], 1e-3)[0].clone(),
                    |v, dy| run_backward(&v[0], &v[1], 1e-3, dy).to_vec(),
                )
                .assert_passes();
        }
    }

    #[test]
    fn a_row_of_zeros_stays_zero() {
        let [y, rstd] = run(&[0.0; 3], &[2.0; 3], 0.25);
        assert_eq!((y, rstd), (vec![0.0; 3], vec![2.0]));
        let [dx, dgamma] = run_backward(&[0.0; 3], &[2.0; 3], 0.25, &[1.0, 2.0, 3.0]);
        assert_eq!((dx, dgamma), (vec![4.0, 8.0, 12.0], vec![0.0; 3]));
    }

    #[test]
    fn the_digits_of_a_row_do_not_depend_on_its_length() {
        let (x, gamma) = (vec![0.1_f32; 1 << 20], vec![1.0; 1 << 20]);
        let (mut y, mut rstd) = (vec![f32::NAN; x.len()], [f32::NAN]);
        forward(&x, &gamma, 1e-30, &mut y, &mut rstd);
        assert!((y[0] - 1.0).abs() <= 8.0 * f32::EPSILON, "{}", y[0]);
    }

    #[test]
    fn no_rows_have_no_output_and_zero_gradients() {
        assert_eq!(run(&[], &[1.0; 3], 1e-5), [vec![], vec![]]);
        let [dx, dgamma] = run_backward(&[], &[1.0; 3], 1e-5, &[]);
        assert_eq!((dx, dgamma), (vec![], vec![0.0; 3]));
    }

    #[test]
    #[should_panic(expected = "rms_norm forward: x has 5 elements, but 6 are needed")]
    fn forward_wants_whole_rows() {
        forward(&[0.0; 5], &[1.0; 3], 1e-5, &mut [0.0; 6], &mut [0.0; 2]);
    }

    #[test]
    #[should_panic(expected = "rms_norm forward: y has 7 elements, but 6 are needed")]
    fn forward_wants_room_for_y_and_no_more() {
        forward(&[0.0; 6], &[1.0; 3], 1e-5, &mut [0.0; 7], &mut [0.0; 2]);
    }

    /// Hands the backward pass slices of two rows of three features, but for `dy` and `dx`.
    fn backward_with(dy: Option<&[f64]>, dx: &mut [f64]) {
        let saved = Saved {
            x: &[0.0; 6],
            gamma: &[1.0; 3],
            rstd: &[1.0; 2],
        };
        backward(saved, dy, dx, &mut [0.0; 3]);
    }

    #[test]
    #[should_panic(expected = "rms_norm backward: dy has 5 elements, but 6 are needed")]
    fn backward_wants_whole_rows() {
        backward_with(Some(&[0.0; 5]), &mut [0.0; 6]);
    }

    #[test]
    #[should_panic(expected = "rms_norm backward: dx has 7 elements, but 6 are needed")]
    fn backward_wants_room_for_dx_and_no_more() {
        backward_with(None, &mut [0.0; 7]);
    }
}
