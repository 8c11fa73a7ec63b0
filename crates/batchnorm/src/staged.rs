//! Batch Norm in stages: one line of backward for each line of forward.
//!
//! This is the version the book derives first (sections 7.2 and 8.2). It works on one
//! channel, given as the list of its M values, and keeps every intermediate, so that
//! each line can be compared with what the reader derived on paper. It is not made to
//! be fast; [`fused`](crate::fused) is, and must agree with it to rounding. Nor does it
//! guard against squares that overflow: from 1.8·10¹⁹ on, `f32` values become `beta`.

use tape::Real;

use crate::Layout;

/// Every intermediate of the forward pass over one channel, in the order computed.
// ANCHOR: stages
#[derive(Clone, PartialEq, Debug)]
pub struct Forward<T> {
    /// `μ = Σᵢ xᵢ / M`.
    pub mean: T,
    /// `xᵢ − μ`.
    pub centered: Vec<T>,
    /// `(xᵢ − μ)²`.
    pub square: Vec<T>,
    /// `σ² = Σᵢ (xᵢ − μ)² / M`.
    pub var: T,
    /// `r = 1/√(σ² + eps)`.
    pub rstd: T,
    /// `x̂ᵢ = (xᵢ − μ) · r`.
    pub x_hat: Vec<T>,
    /// `yᵢ = γ x̂ᵢ + β`.
    pub y: Vec<T>,
}
// ANCHOR_END: stages

/// Every intermediate of the backward pass over one channel, in the order computed.
/// Each field is the gradient of the loss with respect to the forward field of that name.
#[derive(Clone, PartialEq, Debug)]
pub struct Backward<T> {
    /// From `y = γ x̂ + β`: `Σᵢ dyᵢ`.
    pub dbeta: T,
    /// From `y = γ x̂ + β`: `Σᵢ dyᵢ x̂ᵢ`.
    pub dgamma: T,
    /// From `y = γ x̂ + β`: `dyᵢ γ`.
    pub dx_hat: Vec<T>,
    /// From `x̂ = centered · r`: `Σᵢ dx̂ᵢ (xᵢ − μ)`, for `r` is used M times.
    pub drstd: T,
    /// From `r = (σ² + eps)^(−1/2)`: `−½ r³ dr`.
    pub dvar: T,
    /// From `σ² = Σ square / M`: `dσ² / M`, the same for every i.
    pub dsquare: T,
    /// `x − μ` was used twice: in `x̂ = centered · r` and in `square = centered²`.
    pub dcentered: Vec<T>,
    /// From `centered = x − μ`: `−Σᵢ dcenteredᵢ`.
    pub dmean: T,
    /// `x` was used twice: in `centered = x − μ` and in `μ = Σ x / M`.
    pub dx: Vec<T>,
}

/// The forward pass over the M values of one channel.
// ANCHOR: forward
pub fn forward_channel<T: Real>(x: &[T], gamma: T, beta: T, eps: f64) -> Forward<T> {
    let m = T::from_usize(x.len());
    let eps = T::from_f64(eps);

    let mean = sum(x) / m;
    let centered: Vec<T> = x.iter().map(|&x| x - mean).collect();
    let square: Vec<T> = centered.iter().map(|&c| c * c).collect();
    let var = sum(&square) / m;
    let rstd = T::ONE / (var + eps).sqrt();
    let x_hat: Vec<T> = centered.iter().map(|&c| c * rstd).collect();
    let y = x_hat.iter().map(|&x_hat| gamma * x_hat + beta).collect();

    Forward {
        mean,
        centered,
        square,
        var,
        rstd,
        x_hat,
        y,
    }
}
// ANCHOR_END: forward

/// The backward pass over one channel: `dy` has M values, like `x`.
// ANCHOR: backward
pub fn backward_channel<T: Real>(forward: &Forward<T>, gamma: T, dy: &[T]) -> Backward<T> {
    let Forward {
        centered,
        rstd,
        x_hat,
        ..
    } = forward;
    let m = T::from_usize(dy.len());
    let two = T::from_f64(2.0);

    // y = gamma * x_hat + beta
    let dbeta = sum(dy);
    let dgamma = dot(dy, x_hat);
    let dx_hat: Vec<T> = dy.iter().map(|&dy| dy * gamma).collect();
    // x_hat = centered * rstd
    let drstd = dot(&dx_hat, centered);
    let mut dcentered: Vec<T> = dx_hat.iter().map(|&d| d * *rstd).collect();
    // rstd = 1 / sqrt(var + eps)
    let dvar = -drstd * rstd.powi(3) / two;
    // var = sum(square) / m
    let dsquare = dvar / m;
    // square = centered * centered
    for (d, &c) in dcentered.iter_mut().zip(centered) {
        *d += dsquare * two * c;
    }
    // centered = x - mean
    let dmean = -sum(&dcentered);
    let mut dx = dcentered.clone();
    // mean = sum(x) / m
    for d in &mut dx {
        *d += dmean / m;
    }

    Backward {
        dbeta,
        dgamma,
        dx_hat,
        drstd,
        dvar,
        dsquare,
        dcentered,
        dmean,
        dx,
    }
}
// ANCHOR_END: backward

fn sum<T: Real>(a: &[T]) -> T {
    a.iter().copied().sum()
}

fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    a.iter().zip(b).map(|(&a, &b)| a * b).sum()
}

/// The forward pass over a whole batch: `y`, laid out like `x`, and each channel's
/// intermediates. `gamma` and `beta` have one value per channel.
///
/// # Panics
/// If a slice's length does not fit the layout.
// ANCHOR: batch
#[track_caller]
pub fn forward<T: Real>(
    layout: &Layout,
    x: &[T],
    gamma: &[T],
    beta: &[T],
    eps: f64,
) -> (Vec<T>, Vec<Forward<T>>) {
    layout.check("x", x.len());
    layout.check_channels("gamma", gamma.len());
    layout.check_channels("beta", beta.len());
    let mut y = vec![T::ZERO; x.len()];
    let channels: Vec<_> = (0..layout.channels)
        .map(|c| forward_channel(&gather(layout, x, c), gamma[c], beta[c], eps))
        .collect();
    for (c, channel) in channels.iter().enumerate() {
        scatter(layout, &channel.y, c, &mut y);
    }
    (y, channels)
}

/// The backward pass over a whole batch: `dx`, laid out like `dy`, and each channel's
/// intermediates, among them `dgamma` and `dbeta`.
///
/// # Panics
/// If a slice's length does not fit the layout.
#[track_caller]
pub fn backward<T: Real>(
    layout: &Layout,
    forward: &[Forward<T>],
    gamma: &[T],
    dy: &[T],
) -> (Vec<T>, Vec<Backward<T>>) {
    layout.check("dy", dy.len());
    layout.check_channels("gamma", gamma.len());
    layout.check_channels("forward", forward.len());
    let mut dx = vec![T::ZERO; dy.len()];
    let channels: Vec<_> = (0..layout.channels)
        .map(|c| backward_channel(&forward[c], gamma[c], &gather(layout, dy, c)))
        .collect();
    for (c, channel) in channels.iter().enumerate() {
        scatter(layout, &channel.dx, c, &mut dx);
    }
    (dx, channels)
}

/// The M values of one channel, in memory order.
pub(crate) fn gather<T: Real>(layout: &Layout, batch: &[T], channel: usize) -> Vec<T> {
    (0..layout.examples)
        .flat_map(|n| &batch[layout.plane(n, channel)])
        .copied()
        .collect()
}

/// Puts the M values of one channel back where they belong.
pub(crate) fn scatter<T: Real>(layout: &Layout, values: &[T], channel: usize, batch: &mut [T]) {
    for n in 0..layout.examples {
        let from = n * layout.positions..(n + 1) * layout.positions;
        batch[layout.plane(n, channel)].copy_from_slice(&values[from]);
    }
}
// ANCHOR_END: batch

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Case, Results, check_gradients, distance};

    const EPS: f64 = 1e-3;

    #[test]
    fn stages_of_a_channel_worked_by_hand() {
        // Mean 3, deviations -2 0 2 0, variance 2; with eps 2 the deviation counts as 2.
        let forward = forward_channel(&[1.0, 3.0, 5.0, 3.0], 10.0, 7.0, 2.0);
        assert_eq!(
            forward,
            Forward {
                mean: 3.0,
                centered: vec![-2.0, 0.0, 2.0, 0.0],
                square: vec![4.0, 0.0, 4.0, 0.0],
                var: 2.0,
                rstd: 0.5,
                x_hat: vec![-1.0, 0.0, 1.0, 0.0],
                y: vec![-3.0, 7.0, 17.0, 7.0],
            }
        );
        assert_eq!(
            backward_channel(&forward, 10.0, &[8.0, 0.0, 0.0, 8.0]),
            Backward {
                dbeta: 16.0,
                dgamma: -8.0,
                dx_hat: vec![80.0, 0.0, 0.0, 80.0],
                drstd: -160.0,
                dvar: 10.0,
                dsquare: 2.5,
                dcentered: vec![30.0, 0.0, 10.0, 40.0],
                dmean: -80.0,
                dx: vec![10.0, -20.0, -10.0, 20.0],
            }
        );
    }

    fn run<T: Real>(case: &Case<T>) -> Results<T> {
        let (y, stages) = forward(&case.layout, &case.x, &case.gamma, &case.beta, EPS);
        let (dx, stages) = backward(&case.layout, &stages, &case.gamma, &case.dy);
        let dgamma = stages.iter().map(|stage| stage.dgamma).collect();
        let dbeta = stages.iter().map(|stage| stage.dbeta).collect();
        (y, [dx, dgamma, dbeta])
    }

    #[test]
    fn gradient() {
        check_gradients(run);
    }

    #[test]
    fn in_f32_the_error_grows_with_the_mean() {
        // The mean itself is rounded to f32: in units of the deviation, its error is
        // about 2^-24 times mean / deviation. The fused version does better.
        for offset in [0.0, 1e3, 1e4] {
            let case = Case::<f32>::around(&[64, 2, 5], offset, 4.0, 1);
            let bound = 1e-6 * (1.0 + offset / 4.0);
            assert!(distance(&run(&case).0, &run(&case.wide()).0) < bound);
        }
    }

    #[test]
    #[should_panic(expected = "dy has 5 values, but the layout N = 3, C = 2, L = 1 holds 6")]
    fn a_gradient_is_as_long_as_the_batch() {
        let layout = Layout::of(&[3, 2]);
        let (_, stages) = forward(&layout, &[1.0; 6], &[1.0; 2], &[0.0; 2], EPS);
        backward(&layout, &stages, &[1.0; 2], &[1.0; 5]);
    }
}
