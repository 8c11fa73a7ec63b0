//! The kernels Batch Norm is made of, and what depends on the layout in them.

use std::ops::Range;

use tape::Real;

use crate::Layout;
use crate::lines::{Lines, Slopes};
use crate::moments::Seen;

/// A way to walk through a batch: along [planes](crate::planes) or along
/// [rows](crate::rows).
///
/// Every kernel works on a group of neighbouring channels. `seen` and `sums` hold one
/// entry for each channel of the group, `Lines`, `Slopes` and `shift` one for each of
/// its [columns](Walk::columns).
// ANCHOR: walk
pub(crate) trait Walk {
    /// How many channels are walked together.
    fn group(layout: &Layout) -> usize;

    /// How many entries in `Lines`, `Slopes` and `shift` each channel has.
    fn columns(layout: &Layout) -> usize;

    /// Mean and squared deviations of each channel. `x` is the whole batch.
    fn moments<T: Real>(layout: &Layout, x: &[T], channels: Range<usize>, seen: &mut [Seen]);

    /// Adds `Σ dy` and `Σ dy · (x − shift)` of each channel to `sums`. `x` is the whole
    /// batch, `dy(n)` the group's part of example n.
    fn gradient_sums<'a, T: Real>(
        layout: &Layout,
        x: &[T],
        dy: impl Fn(usize) -> &'a [T],
        channels: Range<usize>,
        shift: &[T],
        sums: &mut [[f64; 2]],
    );

    /// `y = (x − shift) · scale + offset`, for the group's part of one example.
    fn line<T: Real>(lines: &Lines<T>, x: &[T], y: &mut [T]);

    /// Replaces `dy` by `dx = ((dy − level) − (x − shift) · slope) · scale`, for the
    /// group's part of one example.
    fn slope<T: Real>(slopes: &Slopes<T>, x: &[T], dy: &mut [T]);

    /// Replaces `dy` by `dy · scale`, for the group's part of one example.
    fn scale<T: Real>(scale: &[T], dy: &mut [T]);
}
// ANCHOR_END: walk
