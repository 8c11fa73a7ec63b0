//! How the values of a batch lie in memory, seen from Batch Norm.

use std::ops::Range;

use tape::elements;

/// A batch seen as `N × C × L`: examples, channels, positions.
///
/// | shape | layout | L |
/// |---|---|---|
/// | `[N, C]` | features | 1 |
/// | `[N, C, L]` | sequences | L |
/// | `[N, C, H, W]` | images | H · W |
/// | `[N, C, D, H, W]` | volumes | D · H · W |
///
/// Batch Norm asks nothing more of a shape: each channel is normalized over its
/// `M = N · L` values, wherever they lie (book, section 7.1).
// ANCHOR: layout
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Examples in the batch, N.
    pub examples: usize,
    /// Channels, C.
    pub channels: usize,
    /// Positions in each channel of one example, L.
    pub positions: usize,
}

impl Layout {
    /// The layout of a batch of shape `[N, C, …]`.
    ///
    /// # Panics
    /// If the shape has fewer than two axes or more than five, or no memory could hold it.
    #[track_caller]
    pub fn of(shape: &[usize]) -> Self {
        assert!(
            (2..=5).contains(&shape.len()),
            "batch norm: a batch has shape [N, C], [N, C, L], [N, C, H, W] or \
             [N, C, D, H, W], but the input has shape {shape:?}; reshape it so that \
             axis 0 counts examples and axis 1 channels"
        );
        // No product of some of the lengths is larger than that of all.
        elements(shape);
        Layout {
            examples: shape[0],
            channels: shape[1],
            positions: elements(&shape[2..]),
        }
    }

    /// How many values each channel has: `M = N · L`.
    ///
    /// # Panics
    /// If no memory could hold as many.
    #[track_caller]
    pub fn values_per_channel(&self) -> usize {
        elements(&[self.examples, self.positions])
    }

    /// How many values there are in all: `N · C · L`.
    ///
    /// # Panics
    /// If no memory could hold as many.
    #[track_caller]
    pub fn count(&self) -> usize {
        elements(&[self.examples, self.channels, self.positions])
    }

    /// Where the values of some channels lie in one example: neighbouring channels are
    /// neighbours in memory.
    pub fn range(&self, example: usize, channels: Range<usize>) -> Range<usize> {
        let first = example * self.channels;
        (first + channels.start) * self.positions..(first + channels.end) * self.positions
    }

    /// Where the values of one channel lie in one example.
    pub fn plane(&self, example: usize, channel: usize) -> Range<usize> {
        self.range(example, channel..channel + 1)
    }
}
// ANCHOR_END: layout

// ANCHOR: check
impl Layout {
    /// Panics unless a slice given for `name` holds the whole batch.
    #[track_caller]
    pub(crate) fn check(&self, name: &str, len: usize) {
        let Layout {
            examples: n,
            channels: c,
            positions: l,
        } = self;
        assert_eq!(
            len,
            self.count(),
            "batch norm: {name} has {len} values, but the layout N = {n}, C = {c}, L = {l} \
             holds {}; pass a slice of the whole batch",
            self.count()
        );
    }

    /// Panics unless a slice given for `name` has one value per channel.
    #[track_caller]
    pub(crate) fn check_channels(&self, name: &str, len: usize) {
        assert_eq!(
            len, self.channels,
            "batch norm: {name} has {len} values, but the layout has C = {} channels; \
             pass one value per channel",
            self.channels
        );
    }
}
// ANCHOR_END: check

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_n_by_c_by_l() {
        let layout = |n, c, l| Layout {
            examples: n,
            channels: c,
            positions: l,
        };
        assert_eq!(Layout::of(&[5, 3]), layout(5, 3, 1));
        assert_eq!(Layout::of(&[5, 3, 7]), layout(5, 3, 7));
        assert_eq!(Layout::of(&[5, 3, 7, 2]), layout(5, 3, 14));
        assert_eq!(Layout::of(&[5, 3, 7, 2, 2]), layout(5, 3, 28));
        assert_eq!(Layout::of(&[5, 3, 7, 2]).values_per_channel(), 70);
        assert_eq!(Layout::of(&[5, 3, 7, 2]).count(), 210);
    }

    #[test]
    fn planes_tile_the_batch_in_order() {
        let layout = Layout::of(&[4, 3, 5]);
        let mut next = 0;
        for n in 0..4 {
            for c in 0..3 {
                let plane = layout.plane(n, c);
                assert_eq!(plane, next..next + 5);
                next = plane.end;
            }
        }
        assert_eq!(next, layout.count());
        assert_eq!(layout.range(2, 1..3), 35..45);
    }

    #[test]
    #[should_panic(expected = "but the input has shape [5]; reshape it")]
    fn a_vector_is_no_batch() {
        Layout::of(&[5]);
    }

    #[test]
    #[should_panic(expected = "but the input has shape [1, 1, 1, 1, 1, 1]; reshape it")]
    fn six_axes_are_too_many() {
        Layout::of(&[1; 6]);
    }
}
