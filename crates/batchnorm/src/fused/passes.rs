//! The passes, generic over the walk, for channels whose squares `T` holds.

use std::ops::Range;

use tape::Real;
use tape::parallel::{self, Split};
use tape::streaming::Stores;

use super::columns::{self, Columns, round};
use super::planes::Planes;
use super::rows::Rows;
use super::slab::{Slab, pieces};
use super::walk::Walk;
use crate::Layout;
use crate::moments::{Moments, Seen, rstd};

/// A batch whose forward pass is done: what the backward pass needs of it.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a, T: Real> {
    /// How the batch is laid out.
    pub layout: &'a Layout,
    /// The input, the whole batch.
    pub x: &'a [T],
    /// The scale, one value for each channel.
    pub gamma: &'a [T],
    /// The statistics that the forward pass returned.
    pub moments: &'a Moments<T::Wide>,
}

/// Gradients of the scale and the shift, `[C]` each.
#[derive(Clone, PartialEq, Debug)]
pub struct ParameterGradients<T> {
    /// `dγ = Σ dy · x̂`, over the M values of each channel.
    pub dgamma: Vec<T>,
    /// `dβ = Σ dy`, over the M values of each channel.
    pub dbeta: Vec<T>,
}

impl<T: Real> ParameterGradients<T> {
    pub(super) fn from_sums(sums: &[[T::Wide; 2]]) -> Self {
        ParameterGradients {
            dgamma: sums.iter().map(|sum| T::narrow(sum[1])).collect(),
            dbeta: sums.iter().map(|sum| T::narrow(sum[0])).collect(),
        }
    }
}

/// Planes shorter than this are walked as rows of several channels.
const SHORT: usize = 128;

/// Calls a function that is generic over the walk with the walk that fits the layout,
/// unless there is nothing to walk through.
macro_rules! walk {
    ($layout:expr, $function:ident($($argument:expr),*)) => {
        match $layout.positions {
            _ if $layout.count() == 0 => {}
            1..SHORT => $function::<Rows, _>($($argument),*),
            _ => $function::<Planes, _>($($argument),*),
        }
    };
}

/// Writes `y`, and returns the statistics.
pub(super) fn forward<T: Real>(
    layout: &Layout,
    x: &[T],
    gamma: &[T],
    beta: &[T],
    eps: f64,
    y: &mut [T],
) -> Moments<T::Wide> {
    let mut seen = vec![Seen::<T::Wide>::default(); layout.channels];
    walk!(layout, normalize(layout, x, gamma, beta, eps, y, &mut seen));
    let values = T::Wide::from_usize(layout.values_per_channel());
    Moments::new(
        seen.iter().map(|seen| seen.mean).collect(),
        seen.iter().map(|seen| seen.squares / values).collect(),
        eps,
    )
}

/// Turns `dy` into `dx`, or writes `dx` beside it.
pub(super) fn backward<T: Real>(
    batch: Batch<'_, T>,
    dy: Option<&[T]>,
    dx: &mut [T],
) -> ParameterGradients<T> {
    let mut sums = vec![[T::Wide::ZERO; 2]; batch.layout.channels];
    walk!(batch.layout, project(batch, dy, dx, &mut sums));
    ParameterGradients::from_sums(&sums)
}

/// Calls `work` for every group of channels, on as many threads as the work is worth:
/// with the channels, the slab of `batch` to write them in, by these `stores`, and their entries
/// in `results`, which has one for each channel.
// ANCHOR: split
fn for_each_group<W: Walk, T: Send, R: Send>(
    layout: &Layout,
    (batch, stores): (&mut [T], Stores),
    results: &mut [R],
    work: impl Fn(Range<usize>, &mut Slab<T>, &mut [R]) + Sync,
) {
    let units = Units::of::<W>(layout);
    let start = |_, unit| units.first(unit) * layout.positions;
    let buffers = (
        parallel::interleaved(batch, layout.examples, units.count(), start),
        parallel::starting(results, |unit| units.first(unit)),
    );
    parallel::for_each_part(units.count(), layout.count(), buffers, |range, buffers| {
        let channels = units.first(range.start)..units.first(range.end);
        let (examples, results) = buffers.slices();
        let mut slab = Slab::new(layout, channels.clone(), examples, stores);
        let groups = pieces(channels, W::group(layout));
        for (channels, results) in groups.zip(results.chunks_mut(W::group(layout))) {
            work(channels, &mut slab, results);
        }
    });
}

/// Neighbouring channels that must stay on one thread.
#[derive(Clone, Copy)]
struct Units {
    channels: usize,
    size: usize,
}

impl Units {
    fn of<W: Walk>(layout: &Layout) -> Self {
        Units {
            channels: layout.channels,
            size: W::unit(layout),
        }
    }

    fn count(self) -> usize {
        self.channels.div_ceil(self.size)
    }

    /// The first channel of a unit.
    fn first(self, unit: usize) -> usize {
        self.channels.min(unit * self.size)
    }
}
// ANCHOR_END: split

/// Statistics first, then `y`, group by group.
// ANCHOR: forward
pub(super) fn normalize<W: Walk, T: Real>(
    layout: &Layout,
    x: &[T],
    gamma: &[T],
    beta: &[T],
    eps: f64,
    y: &mut [T],
    seen: &mut [Seen<T::Wide>],
) {
    let values = T::Wide::from_usize(layout.values_per_channel());
    let y = (y, Stores::of::<T>(layout.count()));
    for_each_group::<W, _, _>(layout, y, seen, |channels, y, seen| {
        W::moments(layout, x, channels.clone(), seen);
        let mut lines = Columns::new(channels.len(), W::columns(layout));
        for (c, seen) in channels.clone().zip(seen) {
            let var = seen.squares / values;
            let rstd = rstd(var, eps);
            lines.push(columns::line(seen.mean, var, rstd, gamma[c], beta[c]));
        }
        W::update(layout, &lines, x, None, channels, y, columns::y);
    });
}
// ANCHOR_END: forward

/// The two sums first, then `dx`, group by group.
// ANCHOR: backward
pub(super) fn project<W: Walk, T: Real>(
    batch: Batch<'_, T>,
    dy: Option<&[T]>,
    dx: &mut [T],
    sums: &mut [[T::Wide; 2]],
) {
    let Batch {
        layout,
        x,
        gamma,
        moments,
    } = batch;
    let values = T::Wide::from_usize(layout.values_per_channel());
    // What lies in `dx` is needed if it is the upstream gradient.
    let stores = dy.map_or(Stores::Ordinary, |_| Stores::of::<T>(layout.count()));
    for_each_group::<W, _, _>(layout, (dx, stores), sums, |channels, dx, sums| {
        let example = |n| match dy {
            Some(dy) => &dy[layout.range(n, channels.clone())],
            None => dx.read(n, channels.clone()),
        };
        sum_group::<W, T>(layout, x, example, moments, channels.clone(), sums);
        let mut projections = Columns::new(channels.len(), W::columns(layout));
        for (c, [dbeta, dgamma]) in channels.clone().zip(sums) {
            let (mean, rstd) = (moments.mean[c], moments.rstd[c]);
            let (dy, dy_x_hat) = (*dbeta / values, *dgamma / values);
            projections.push(columns::projection(mean, rstd, gamma[c], dy, dy_x_hat));
        }
        W::update(layout, &projections, x, dy, channels, dx, columns::dx);
    });
}
// ANCHOR_END: backward

/// `Σ dy` and `Σ dy·x̂` of each channel of a group.
// ANCHOR: sum_group
fn sum_group<'a, W: Walk, T: Real>(
    layout: &Layout,
    x: &[T],
    dy: impl Fn(usize) -> &'a [T],
    moments: &Moments<T::Wide>,
    channels: Range<usize>,
    sums: &mut [[T::Wide; 2]],
) {
    let mut shift = Columns::new(channels.len(), W::columns(layout));
    for &mean in &moments.mean[channels.clone()] {
        shift.push([round::<T>(mean).0]);
    }
    W::gradient_sums(layout, x, dy, channels.clone(), &shift, sums);
    for (c, [dy, dy_x]) in channels.zip(sums) {
        // Σ dy·(x − μ) = Σ dy·(x − shift) − rest · Σ dy, because μ = shift + rest.
        let (_, rest) = round::<T>(moments.mean[c]);
        *dy_x = (*dy_x - rest * *dy) * moments.rstd[c];
    }
}
// ANCHOR_END: sum_group

/// `y` on the lines that given statistics make.
pub(super) fn forward_frozen<T: Real>(
    layout: &Layout,
    x: &[T],
    gamma: &[T],
    beta: &[T],
    moments: &Moments<T::Wide>,
    y: &mut [T],
) {
    walk!(layout, draw_lines(layout, x, gamma, beta, moments, y));
}

fn draw_lines<W: Walk, T: Real>(
    layout: &Layout,
    x: &[T],
    gamma: &[T],
    beta: &[T],
    moments: &Moments<T::Wide>,
    y: &mut [T],
) {
    let nothing = &mut vec![(); layout.channels];
    let y = (y, Stores::of::<T>(layout.count()));
    for_each_group::<W, _, _>(layout, y, nothing, |channels, y, _| {
        let mut lines = Columns::new(channels.len(), W::columns(layout));
        for c in channels.clone() {
            let (mean, var, rstd) = (moments.mean[c], moments.var[c], moments.rstd[c]);
            lines.push(columns::line(mean, var, rstd, gamma[c], beta[c]));
        }
        W::update(layout, &lines, x, None, channels, y, columns::y);
    });
}

/// `dx` where only the straight path is open.
pub(super) fn backward_frozen<T: Real>(
    layout: &Layout,
    gamma: &[T],
    moments: &Moments<T::Wide>,
    dy: &[T],
    dx: &mut [T],
) {
    walk!(layout, rescale(layout, gamma, moments, dy, dx));
}

fn rescale<W: Walk, T: Real>(
    layout: &Layout,
    gamma: &[T],
    moments: &Moments<T::Wide>,
    dy: &[T],
    dx: &mut [T],
) {
    let nothing = &mut vec![(); layout.channels];
    let dx = (dx, Stores::of::<T>(layout.count()));
    for_each_group::<W, _, _>(layout, dx, nothing, |channels, dx, _| {
        let mut scales = Columns::new(channels.len(), W::columns(layout));
        for c in channels.clone() {
            scales.push([T::narrow(gamma[c].widen() * moments.rstd[c])]);
        }
        let dy_times = |[scale]: [T; 1], dy, _| dy * scale;
        W::update(layout, &scales, dy, None, channels, dx, dy_times);
    });
}

/// The two sums alone.
pub(super) fn parameter_gradients<T: Real>(
    layout: &Layout,
    x: &[T],
    moments: &Moments<T::Wide>,
    dy: &[T],
) -> ParameterGradients<T> {
    let mut sums = vec![[T::Wide::ZERO; 2]; layout.channels];
    walk!(layout, sum_all(layout, x, moments, dy, &mut sums));
    ParameterGradients::from_sums(&sums)
}

fn sum_all<W: Walk, T: Real>(
    layout: &Layout,
    x: &[T],
    moments: &Moments<T::Wide>,
    dy: &[T],
    sums: &mut [[T::Wide; 2]],
) {
    let units = Units::of::<W>(layout);
    let sums = parallel::starting(sums, |unit| units.first(unit));
    parallel::for_each_part(units.count(), layout.count(), sums, |range, sums| {
        let channels = units.first(range.start)..units.first(range.end);
        let groups = pieces(channels, W::group(layout));
        for (channels, sums) in groups.zip(sums.slices().chunks_mut(W::group(layout))) {
            let example = |n| &dy[layout.range(n, channels.clone())];
            sum_group::<W, T>(layout, x, example, moments, channels.clone(), sums);
        }
    });
}
