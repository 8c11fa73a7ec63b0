//! The four kernels Batch Norm is made of, and what depends on the layout in them.

use std::ops::Range;

use tape::Real;

use crate::Layout;
use crate::lines::{Lines, Slopes};
use crate::moments::Seen;

/// A way to walk through a batch: along [planes](crate::planes) or along
/// [rows](crate::rows).
///
/// Every kernel works on a group of neighbouring channels. Slices of single values per
/// channel (`seen`, `sums`, and those in `Lines` and `Slopes`) belong to the group;
/// `x` in the reductions is the whole batch, elsewhere one example of the group.
// ANCHOR: walk
pub(crate) trait Walk {
    /// How many channels are walked together.
    const GROUP: usize;

    /// Mean and squared deviations of each channel.
    fn moments<T: Real>(layout: &Layout, x: &[T], channels: Range<usize>, seen: &mut [Seen]);

    /// `Σ dy` and `Σ dy · (x − shift)` of each channel, added to `sums`. `dy(n)` is the
    /// group's part of example n.
    fn gradient_sums<'a, T: Real>(
        layout: &Layout,
        x: &[T],
        dy: impl Fn(usize) -> &'a [T],
        channels: Range<usize>,
        shift: &[T],
        sums: &mut [[f64; 2]],
    );

    /// `y = (x − shift) · scale + offset`.
    fn line<T: Real>(lines: &Lines<T>, x: &[T], y: &mut [T]);

    /// Replaces `dy` by `dx = ((dy − level) − (x − shift) · slope) · scale`.
    fn slope<T: Real>(slopes: &Slopes<T>, x: &[T], dy: &mut [T]);

    /// Replaces `dy` by `dy · scale`.
    fn scale<T: Real>(scale: &[T], dy: &mut [T]);
}
// ANCHOR_END: walk
