//! Batch Norm in closed form, in kernels that read memory as seldom as they can.
//!
//! Forward, each channel is read for its statistics and once more for `y`; backward, for
//! the two sums and once more for `dx`. The second reading comes right after the first
//! and finds the channel in a cache, as long as it fits one. Only `x` is kept for the
//! backward pass, and it is shared with whoever made it; `x̂` is computed again from the
//! C means and variances. `dx` is written over `dy`. (Book, chapters 8 and 9.)
//!
//! These functions work on slices and know nothing of the tape; [`op`](crate::op)
//! records them. All take a batch laid out as `layout` says, and one value of `gamma`
//! and `beta` per channel.

use std::iter;
use std::ops::Range;

use tape::{Real, parallel};

use crate::Layout;
use crate::lines::{Lines, Slopes, round};
use crate::moments::{Moments, Seen};
use crate::planes::Planes;
use crate::rows::Rows;
use crate::slab::{Slab, pieces};
use crate::walk::Walk;

/// Gradients of the scale and the shift, `[C]` each.
#[derive(Clone, PartialEq, Debug)]
pub struct ParameterGradients<T> {
    /// `dγ = Σ dy · x̂`, over the M values of each channel.
    pub dgamma: Vec<T>,
    /// `dβ = Σ dy`, over the M values of each channel.
    pub dbeta: Vec<T>,
}

/// Planes shorter than this are walked as rows of several channels.
const SHORT: usize = 256;

/// Calls a function that is generic over the walk with the walk that fits the layout.
// ANCHOR: dispatch
macro_rules! walk {
    ($layout:expr, $function:ident($($argument:expr),*)) => {
        if $layout.positions < SHORT {
            $function::<Rows, _>($($argument),*)
        } else {
            $function::<Planes, _>($($argument),*)
        }
    };
}
// ANCHOR_END: dispatch

/// Normalizes a batch by its own statistics: writes `y` and returns the statistics.
///
/// # Panics
/// If a slice's length does not fit the layout.
#[track_caller]
pub fn forward<T: Real>(
    layout: &Layout,
    x: &[T],
    gamma: &[T],
    beta: &[T],
    eps: f64,
    y: &mut [T],
) -> Moments {
    layout.check("x", x.len());
    layout.check("y", y.len());
    layout.check_channels("gamma", gamma.len());
    layout.check_channels("beta", beta.len());
    let mut seen = vec![Seen::default(); layout.channels];
    walk!(layout, normalize(layout, x, gamma, beta, eps, y, &mut seen));
    let values = layout.values_per_channel() as f64;
    Moments::new(
        seen.iter().map(|seen| seen.mean).collect(),
        seen.iter().map(|seen| seen.squares / values).collect(),
        eps,
    )
}

/// The gradients of [`forward`], from the statistics it returned: turns `dy` into `dx`.
///
/// # Panics
/// If a slice's length does not fit the layout.
#[track_caller]
pub fn backward<T: Real>(
    layout: &Layout,
    x: &[T],
    gamma: &[T],
    moments: &Moments,
    dy: &mut [T],
) -> ParameterGradients<T> {
    layout.check("x", x.len());
    layout.check("dy", dy.len());
    layout.check_channels("gamma", gamma.len());
    moments.check(layout);
    let mut sums = vec![[0.0; 2]; layout.channels];
    walk!(layout, project(layout, x, gamma, moments, dy, &mut sums));
    ParameterGradients::from_sums(&sums)
}

/// Normalizes a batch by given statistics, such as running ones: a straight line for
/// each channel.
///
/// # Panics
/// If a slice's length does not fit the layout.
#[track_caller]
pub fn forward_frozen<T: Real>(
    layout: &Layout,
    x: &[T],
    gamma: &[T],
    beta: &[T],
    moments: &Moments,
    y: &mut [T],
) {
    layout.check("x", x.len());
    layout.check("y", y.len());
    layout.check_channels("gamma", gamma.len());
    layout.check_channels("beta", beta.len());
    moments.check(layout);
    walk!(layout, draw_lines(layout, x, gamma, beta, moments, y));
}

/// The gradient of [`forward_frozen`] by `x`: turns `dy` into `dx = dy · γ·rstd`. The
/// statistics do not depend on `x`, so there is no other path.
///
/// # Panics
/// If a slice's length does not fit the layout.
#[track_caller]
pub fn backward_frozen<T: Real>(layout: &Layout, gamma: &[T], moments: &Moments, dy: &mut [T]) {
    layout.check("dy", dy.len());
    layout.check_channels("gamma", gamma.len());
    moments.check(layout);
    walk!(layout, rescale(layout, gamma, moments, dy));
}

/// The gradients of [`forward`] and of [`forward_frozen`] by `gamma` and `beta` alone.
///
/// # Panics
/// If a slice's length does not fit the layout.
#[track_caller]
pub fn parameter_gradients<T: Real>(
    layout: &Layout,
    x: &[T],
    moments: &Moments,
    dy: &[T],
) -> ParameterGradients<T> {
    layout.check("x", x.len());
    layout.check("dy", dy.len());
    moments.check(layout);
    let mut sums = vec![[0.0; 2]; layout.channels];
    walk!(layout, sum_all(layout, x, moments, dy, &mut sums));
    ParameterGradients::from_sums(&sums)
}

impl<T: Real> ParameterGradients<T> {
    fn from_sums(sums: &[[f64; 2]]) -> Self {
        ParameterGradients {
            dgamma: sums.iter().map(|sum| T::from_f64(sum[1])).collect(),
            dbeta: sums.iter().map(|sum| T::from_f64(sum[0])).collect(),
        }
    }
}

/// Cuts the channels into one part for each thread, and with them a batch to write and
/// a list of results, one for each channel.
// ANCHOR: split
fn split<'a, T, R>(
    layout: &Layout,
    batch: &'a mut [T],
    results: &'a mut [R],
) -> Vec<(Slab<'a, T>, &'a mut [R])> {
    let parts = parallel::ranges(layout.channels, layout.count());
    let results = parallel::split_mut(results, parts.iter().map(Range::len));
    Slab::cut(layout, batch, &parts)
        .into_iter()
        .zip(results)
        .collect()
}
// ANCHOR_END: split

// ANCHOR: forward
fn normalize<W: Walk, T: Real>(
    layout: &Layout,
    x: &[T],
    gamma: &[T],
    beta: &[T],
    eps: f64,
    y: &mut [T],
    seen: &mut [Seen],
) {
    let values = layout.values_per_channel() as f64;
    parallel::for_each(split(layout, y, seen), |(mut y, seen)| {
        let groups = pieces(y.channels.clone(), W::group(layout));
        for (channels, seen) in groups.zip(seen.chunks_mut(W::group(layout))) {
            W::moments(layout, x, channels.clone(), seen);
            let mut lines = Lines::new();
            for (c, seen) in channels.clone().zip(seen) {
                let rstd = 1.0 / (seen.squares / values + eps).sqrt();
                lines.push(W::columns(layout), seen.mean, rstd, gamma[c], beta[c]);
            }
            // The last example first: it was read last and is still in the cache.
            for n in (0..layout.examples).rev() {
                let x = &x[layout.range(n, channels.clone())];
                W::line(&lines, x, y.write(n, channels.clone()));
            }
        }
    });
}
// ANCHOR_END: forward

// ANCHOR: backward
fn project<W: Walk, T: Real>(
    layout: &Layout,
    x: &[T],
    gamma: &[T],
    moments: &Moments,
    dy: &mut [T],
    sums: &mut [[f64; 2]],
) {
    let values = layout.values_per_channel() as f64;
    parallel::for_each(split(layout, dy, sums), |(mut dy, sums)| {
        let groups = pieces(dy.channels.clone(), W::group(layout));
        for (channels, sums) in groups.zip(sums.chunks_mut(W::group(layout))) {
            let example = |n| dy.read(n, channels.clone());
            sum_group::<W, T>(layout, x, example, moments, channels.clone(), sums);
            let mut slopes = Slopes::new();
            for (c, [dbeta, dgamma]) in channels.clone().zip(sums) {
                let (mean, rstd) = (moments.mean[c], moments.rstd[c]);
                slopes.push(
                    W::columns(layout),
                    mean,
                    rstd,
                    gamma[c],
                    *dbeta / values,
                    *dgamma / values,
                );
            }
            for n in (0..layout.examples).rev() {
                let x = &x[layout.range(n, channels.clone())];
                W::slope(&slopes, x, dy.write(n, channels.clone()));
            }
        }
    });
}
// ANCHOR_END: backward

/// `Σ dy` and `Σ dy·x̂` of each channel of a group.
// ANCHOR: sum_group
fn sum_group<'a, W: Walk, T: Real>(
    layout: &Layout,
    x: &[T],
    dy: impl Fn(usize) -> &'a [T],
    moments: &Moments,
    channels: Range<usize>,
    sums: &mut [[f64; 2]],
) {
    let mut shift: Vec<T> = Vec::new();
    for &mean in &moments.mean[channels.clone()] {
        shift.extend(iter::repeat_n(round::<T>(mean).0, W::columns(layout)));
    }
    W::gradient_sums(layout, x, dy, channels.clone(), &shift, sums);
    for (c, [dy, dy_x]) in channels.zip(sums) {
        // Σ dy·(x − μ) = Σ dy·(x − shift) − rest · Σ dy, because μ = shift + rest.
        let (_, rest) = round::<T>(moments.mean[c]);
        *dy_x = (*dy_x - rest * *dy) * moments.rstd[c];
    }
}
// ANCHOR_END: sum_group

// ANCHOR: frozen
fn draw_lines<W: Walk, T: Real>(
    layout: &Layout,
    x: &[T],
    gamma: &[T],
    beta: &[T],
    moments: &Moments,
    y: &mut [T],
) {
    let nothing = &mut vec![(); layout.channels];
    parallel::for_each(split(layout, y, nothing), |(mut y, _)| {
        for channels in pieces(y.channels.clone(), W::group(layout)) {
            let mut lines = Lines::new();
            for c in channels.clone() {
                lines.push(
                    W::columns(layout),
                    moments.mean[c],
                    moments.rstd[c],
                    gamma[c],
                    beta[c],
                );
            }
            for n in 0..layout.examples {
                let x = &x[layout.range(n, channels.clone())];
                W::line(&lines, x, y.write(n, channels.clone()));
            }
        }
    });
}

fn rescale<W: Walk, T: Real>(layout: &Layout, gamma: &[T], moments: &Moments, dy: &mut [T]) {
    let nothing = &mut vec![(); layout.channels];
    parallel::for_each(split(layout, dy, nothing), |(mut dy, _)| {
        for channels in pieces(dy.channels.clone(), W::group(layout)) {
            let mut scale = Vec::new();
            for c in channels.clone() {
                let value = T::from_f64(gamma[c].to_f64() * moments.rstd[c]);
                scale.extend(iter::repeat_n(value, W::columns(layout)));
            }
            for n in 0..layout.examples {
                W::scale(&scale, dy.write(n, channels.clone()));
            }
        }
    });
}

fn sum_all<W: Walk, T: Real>(
    layout: &Layout,
    x: &[T],
    moments: &Moments,
    dy: &[T],
    sums: &mut [[f64; 2]],
) {
    let parts = parallel::ranges(layout.channels, layout.count());
    let sums = parallel::split_mut(sums, parts.iter().map(Range::len));
    let work = parts.into_iter().zip(sums).collect();
    parallel::for_each(work, |(channels, sums): (Range<usize>, &mut [_])| {
        let groups = pieces(channels, W::group(layout));
        for (channels, sums) in groups.zip(sums.chunks_mut(W::group(layout))) {
            let example = |n| &dy[layout.range(n, channels.clone())];
            sum_group::<W, T>(layout, x, example, moments, channels.clone(), sums);
        }
    });
}
// ANCHOR_END: frozen
