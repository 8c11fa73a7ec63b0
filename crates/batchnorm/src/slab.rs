//! Cutting a batch into slabs of whole channels, one for each thread.

use std::ops::Range;

use crate::Layout;

/// Neighbouring channels of a batch, for one thread to write.
///
/// A channel is computed by one thread from its first value to its last, in an order
/// that the layout alone decides. So the number of threads changes no bit of a result.
// ANCHOR: slab
pub(crate) struct Slab<'a, T> {
    pub(crate) channels: Range<usize>,
    /// In one example, neighbouring channels are one slice.
    examples: Vec<&'a mut [T]>,
    positions: usize,
}

impl<'a, T> Slab<'a, T> {
    /// Cuts `batch` into slabs of the given channels, which must cover all in order.
    pub(crate) fn cut(layout: &Layout, batch: &'a mut [T], channels: &[Range<usize>]) -> Vec<Self> {
        let mut slabs: Vec<Self> = channels
            .iter()
            .map(|channels| Slab {
                channels: channels.clone(),
                examples: Vec::with_capacity(layout.examples),
                positions: layout.positions,
            })
            .collect();
        let mut rest = batch;
        for _ in 0..layout.examples {
            for slab in &mut slabs {
                let piece;
                (piece, rest) = rest.split_at_mut(slab.channels.len() * layout.positions);
                slab.examples.push(piece);
            }
        }
        slabs
    }

    /// Some of the slab's channels in one example.
    pub(crate) fn read(&self, example: usize, channels: Range<usize>) -> &[T] {
        &self.examples[example][self.within(channels)]
    }

    /// Some of the slab's channels in one example, for writing.
    pub(crate) fn write(&mut self, example: usize, channels: Range<usize>) -> &mut [T] {
        let within = self.within(channels);
        &mut self.examples[example][within]
    }

    fn within(&self, channels: Range<usize>) -> Range<usize> {
        let first = self.channels.start;
        (channels.start - first) * self.positions..(channels.end - first) * self.positions
    }
}
// ANCHOR_END: slab

/// Cuts a range into pieces of at most `size`.
pub(crate) fn pieces(
    range: Range<usize>,
    size: usize,
) -> impl DoubleEndedIterator<Item = Range<usize>> {
    let end = range.end;
    range
        .step_by(size)
        .map(move |start| start..end.min(start.saturating_add(size)))
}
