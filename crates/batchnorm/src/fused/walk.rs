//! The three kernels Batch Norm is made of, and what depends on the layout in them.

use std::ops::Range;

use tape::Real;

use super::columns::Columns;
use super::slab::Slab;
use crate::Layout;
use crate::moments::Seen;

/// A way to walk through a batch: along [planes](super::planes) or along
/// [rows](super::rows).
///
/// Every kernel works on a group of neighbouring channels. `x` is the whole batch; `seen`
/// and `sums` have one entry for each channel of the group.
// ANCHOR: walk
pub(super) trait Walk {
    /// How many neighbouring channels must stay on one thread.
    fn unit(layout: &Layout) -> usize;

    /// How many channels are walked together: statistics first, results right after, so
    /// that these find the values in a cache.
    fn group(layout: &Layout) -> usize;

    /// How many columns [`Columns`] has for each channel.
    fn columns(layout: &Layout) -> usize;

    /// Mean and squared deviations of each channel.
    fn moments<T: Real>(
        layout: &Layout,
        x: &[T],
        channels: Range<usize>,
        seen: &mut [Seen<T::Wide>],
    );

    /// Adds `Σ dy` and `Σ dy · (x − shift)` of each channel to `sums`. `dy(n)` is the
    /// group's part of example n.
    fn gradient_sums<'a, T: Real>(
        layout: &Layout,
        x: &[T],
        dy: impl Fn(usize) -> &'a [T],
        channels: Range<usize>,
        shift: &Columns<T, 1>,
        sums: &mut [[T::Wide; 2]],
    );

    /// Replaces every value of `out` by `f` of its column's numbers, of the value of `x`
    /// in its place, and of itself; or of the value of `from`, where that is given.
    ///
    /// Goes from the last example to the first: the last was read last, and is still in
    /// a cache.
    fn update<T: Real, const K: usize>(
        layout: &Layout,
        columns: &Columns<T, K>,
        x: &[T],
        from: Option<&[T]>,
        channels: Range<usize>,
        out: &mut Slab<T>,
        f: impl Fn([T; K], T, T) -> T,
    );
}
// ANCHOR_END: walk
