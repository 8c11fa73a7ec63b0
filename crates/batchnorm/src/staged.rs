//! Batch Norm in stages: one line of backward for each line of forward.
//!
//! This is the version the book derives first (sections 7.2 and 8.2). It works on one
//! channel, given as the list of its M values, and keeps every intermediate, so that
//! each line can be compared with what the reader derived on paper. It is not made to
//! be fast; [`fused`](crate::fused) is, and must agree with it to rounding.

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

/// Every intermediate of the backward pass over one channel, in the order computed.
/// Each field is the gradient of the loss by the forward field of that name.
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
// ANCHOR_END: stages

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
fn gather<T: Real>(layout: &Layout, batch: &[T], channel: usize) -> Vec<T> {
    (0..layout.examples)
        .flat_map(|n| &batch[layout.plane(n, channel)])
        .copied()
        .collect()
}

/// Puts the M values of one channel back where they belong.
fn scatter<T: Real>(layout: &Layout, values: &[T], channel: usize, batch: &mut [T]) {
    for n in 0..layout.examples {
        let from = n * layout.positions..(n + 1) * layout.positions;
        batch[layout.plane(n, channel)].copy_from_slice(&values[from]);
    }
}
// ANCHOR_END: batch
