//! What is left of Batch Norm once the sums over a channel are known: a few numbers for
//! each channel, and one line of arithmetic for each value.

use std::array;
use std::iter::repeat_n;

use tape::Real;

/// `K` numbers for each channel of a group, each kind in a list of its own, repeated
/// over the columns of the channel so that a kernel can read the lists along a row.
// ANCHOR: columns
pub(super) struct Columns<T, const K: usize> {
    lists: [Vec<T>; K],
    per_channel: usize,
}

impl<T: Real, const K: usize> Columns<T, K> {
    /// Room for that many channels of `per_channel` columns each.
    pub(super) fn new(channels: usize, per_channel: usize) -> Self {
        Columns {
            lists: array::from_fn(|_| Vec::with_capacity(channels * per_channel)),
            per_channel,
        }
    }

    /// Adds the next channel.
    pub(super) fn push(&mut self, numbers: [T; K]) {
        for (list, number) in self.lists.iter_mut().zip(numbers) {
            list.extend(repeat_n(number, self.per_channel));
        }
    }

    /// The lists, one number for each column.
    pub(super) fn lists(&self) -> [&[T]; K] {
        self.lists.each_ref().map(|list| &list[..])
    }
}
// ANCHOR_END: columns

/// A number as a `T` and what is lost by that: `x = rounded + rest`.
// ANCHOR: round
pub(super) fn round<T: Real>(x: T::Wide) -> (T, T::Wide) {
    let rounded = T::narrow(x);
    (rounded, x - rounded.widen())
}
// ANCHOR_END: round

/// The numbers of the line on which a channel's `y` lie.
///
/// `shift` is the mean rounded to `T`, or 0 where the mean is smaller than the deviation
/// and to subtract it first would be one rounding more. What the shift leaves of the mean
/// is made up for in `offset`, so `y` is right to the last digits even where the mean is a
/// million times the deviation.
// ANCHOR: line
pub(super) fn line<T: Real>(
    mean: T::Wide,
    var: T::Wide,
    rstd: T::Wide,
    gamma: T,
    beta: T,
) -> [T; 3] {
    let near = mean * mean < var;
    let (shift, rest) = if near { (T::ZERO, mean) } else { round(mean) };
    let scale = gamma.widen() * rstd;
    let offset = beta.widen() - rest * scale;
    [shift, T::narrow(scale), T::narrow(offset)]
}

/// `y = γ x̂ + β`, as a line in x. What `y` was before does not matter.
#[inline(always)]
pub(super) fn y<T: Real>([shift, scale, offset]: [T; 3], x: T, _: T) -> T {
    (x - shift) * scale + offset
}
// ANCHOR_END: line

/// The numbers that turn a channel's `dy` into `dx`, given the averages over it of `dy`
/// and of `dy · x̂`.
// ANCHOR: projection
pub(super) fn projection<T: Real>(
    mean: T::Wide,
    rstd: T::Wide,
    gamma: T,
    dy: T::Wide,
    dy_x_hat: T::Wide,
) -> [T; 4] {
    let (shift, rest) = round(mean);
    let slope = rstd * dy_x_hat;
    let level = dy - rest * slope;
    let scale = gamma.widen() * rstd;
    [shift, T::narrow(level), T::narrow(slope), T::narrow(scale)]
}

/// `dx = γ·rstd · (dy − mean(dy) − x̂ · mean(dy·x̂))`, with `x̂ = (x − μ)·rstd` put in, so
/// that x̂ need not be stored.
#[inline(always)]
pub(super) fn dx<T: Real>([shift, level, slope, scale]: [T; 4], x: T, dy: T) -> T {
    ((dy - level) - (x - shift) * slope) * scale
}
// ANCHOR_END: projection
