//! The slab of whole channels that one thread writes.

use std::ops::Range;

use tape::streaming::Stores;

use crate::Layout;

/// Neighbouring channels of a batch, for one thread to write.
///
/// A channel is computed by one thread from its first value to its last, in an order
/// that the layout alone decides. So the number of threads changes no bit of a result.
// ANCHOR: slab
pub(super) struct Slab<'a, T> {
    pub(super) channels: Range<usize>,
    /// In one example, neighbouring channels are one slice.
    examples: Vec<&'a mut [T]>,
    positions: usize,
    pub(super) stores: Stores,
}

impl<'a, T> Slab<'a, T> {
    /// The slab of these channels, from its part of each example.
    pub(super) fn new(
        layout: &Layout,
        channels: Range<usize>,
        examples: Vec<&'a mut [T]>,
        stores: Stores,
    ) -> Self {
        Slab {
            channels,
            examples,
            positions: layout.positions,
            stores,
        }
    }

    /// Some of the slab's channels in one example.
    pub(super) fn read(&self, example: usize, channels: Range<usize>) -> &[T] {
        &self.examples[example][self.within(channels)]
    }

    /// Some of the slab's channels in each example, for writing.
    pub(super) fn write(&mut self, channels: Range<usize>) -> Vec<&mut [T]> {
        let within = self.within(channels);
        let examples = self.examples.iter_mut();
        examples
            .map(|example| &mut example[within.clone()])
            .collect()
    }

    fn within(&self, channels: Range<usize>) -> Range<usize> {
        let first = self.channels.start;
        (channels.start - first) * self.positions..(channels.end - first) * self.positions
    }
}
// ANCHOR_END: slab

/// Cuts a range into pieces of at most `size`.
pub(super) fn pieces(
    range: Range<usize>,
    size: usize,
) -> impl DoubleEndedIterator<Item = Range<usize>> {
    let end = range.end;
    range
        .step_by(size)
        .map(move |start| start..end.min(start.saturating_add(size)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slab_reads_and_writes_its_own_channels() {
        let layout = Layout::of(&[2, 3, 2]);
        let mut batch: Vec<usize> = (0..12).collect();
        let examples = batch.chunks_mut(6).map(|example| &mut example[2..]);
        let mut slab = Slab::new(&layout, 1..3, examples.collect(), Stores::Ordinary);
        assert_eq!(slab.read(0, 1..3), [2, 3, 4, 5]);
        assert_eq!(slab.read(1, 2..3), [10, 11]);
        for (n, example) in slab.write(2..3).into_iter().enumerate() {
            example.fill(88 + 11 * n);
        }
        assert_eq!(batch, [0, 1, 2, 3, 88, 88, 6, 7, 8, 9, 99, 99]);
    }

    #[test]
    fn pieces_follow_each_other() {
        let cut = |range, size| pieces(range, size).collect::<Vec<_>>();
        assert_eq!(cut(3..10, 3), [3..6, 6..9, 9..10]);
        assert_eq!(cut(3..9, 3), [3..6, 6..9]);
        assert_eq!(cut(0..2, 5), vec![0..2]);
        assert!(cut(4..4, 5).is_empty());
    }
}
