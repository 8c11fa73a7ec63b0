//! Kernels for channels that lie in planes: `[N, C, L]` with a large L.
//!
//! One channel of one example is a plane: L neighbours in memory. These kernels run along
//! the planes of a few neighbouring channels, one plane after the other.

use std::ops::Range;

use tape::lanes::{self, LANES};
use tape::{Real, vector};
use vectorized::vectorized;

use super::columns::Columns;
use super::slab::{Slab, pieces};
use super::walk::Walk;
use crate::Layout;
use crate::moments::{Seen, Weights};

/// Most values in a block. Within a block sums are kept in `T`, where rounding errors
/// grow with every addition; from block to block they are kept in `f64`.
const BLOCK: usize = 4096;

/// Fewest values of one example to read in one piece. Neighbouring channels are walked
/// together until their planes are that long: memory is slow to start and fast to go on.
const STRETCH: usize = 2048;

/// Most bytes of two groups that are in a core's second cache together.
const FETCHED: usize = 2 << 20;

/// Most values that are written in one piece, a fraction of the innermost cache.
const PIECE: usize = 1024;

pub(super) struct Planes;

/// Cuts a channel into blocks, each of some examples and some positions: several whole
/// planes, or a piece of one.
fn blocks(layout: &Layout) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    let (examples, positions) = (layout.examples, layout.positions);
    let planes = (BLOCK / positions).max(1);
    pieces(0..examples, planes).flat_map(move |examples| {
        pieces(0..positions, BLOCK).map(move |positions| (examples.clone(), positions))
    })
}

/// `K` sums at once over the values of a block, each in [`LANES`] parts, kept in `S`.
// ANCHOR: sums
#[derive(Clone)]
struct Sums<S, const K: usize>([[S; LANES]; K]);

impl<S: Real, const K: usize> Sums<S, K> {
    fn new() -> Self {
        Sums([[S::ZERO; LANES]; K])
    }

    /// Adds `f(aᵢ, bᵢ)` over one piece of the block.
    #[inline(always)]
    fn add<T: Real>(&mut self, a: &[T], b: &[T], f: impl Fn(T, T) -> [S; K]) {
        // A copy, which the compiler can keep in registers.
        let mut sums = self.0;
        let (a_chunks, a_rest) = a.as_chunks::<LANES>();
        let (b_chunks, b_rest) = b.as_chunks::<LANES>();
        for (a, b) in a_chunks.iter().zip(b_chunks) {
            step(&mut sums, a, b, |_, a, b| f(a, b));
        }
        if !a_rest.is_empty() {
            let (a, b) = (lanes::padded(a_rest), lanes::padded(b_rest));
            let there = |lane| lane < a_rest.len();
            step(&mut sums, &a, &b, |lane, a, b| {
                f(a, b).map(|term| lanes::if_there(there(lane), term))
            });
        }
        self.0 = sums;
    }

    fn total(self) -> [S::Wide; K] {
        self.0.map(|sums| lanes::fold(sums).widen())
    }
}

/// Adds `f(lane, aᵢ, bᵢ)` to each lane.
#[inline(always)]
fn step<T: Real, S: Real, const K: usize>(
    sums: &mut [[S; LANES]; K],
    a: &[T; LANES],
    b: &[T; LANES],
    f: impl Fn(usize, T, T) -> [S; K],
) {
    for lane in 0..LANES {
        let terms = f(lane, a[lane], b[lane]);
        for k in 0..K {
            sums[k][lane] += terms[k];
        }
    }
}

/// [`Sums::add`], compiled for the machine it runs on.
#[vectorized]
fn add<T: Real, S: Real, F: Fn(T, T) -> [S; K], const K: usize>(
    sums: &mut Sums<S, K>,
    a: &[T],
    b: &[T],
    f: F,
) {
    sums.add(a, b, f);
}

/// `Σ (x − shift)` and `Σ (x − shift)²` of a channel's block, in `f64`.
fn wide_sums<'a, T: Real>(pieces: impl Iterator<Item = &'a [T]>, shift: T) -> [T::Wide; 2] {
    let (mut sums, shift) = (Sums::new(), shift.widen());
    for piece in pieces {
        let terms = |x: T, _| {
            let off = x.widen() - shift;
            [off, off * off]
        };
        add(&mut sums, piece, piece, terms);
    }
    sums.total()
}
// ANCHOR_END: sums

impl Walk for Planes {
    fn unit(_: &Layout) -> usize {
        1
    }

    fn group(layout: &Layout) -> usize {
        STRETCH.div_ceil(layout.positions)
    }

    fn columns(_: &Layout) -> usize {
        1
    }

    /// Only the first block is read twice: for its mean, which later blocks have from
    /// those before them, and for the distances from it. And a block with an outlier: its
    /// lane rounds everything to the digits of the outlier, so the block is summed again
    /// in `f64`.
    // ANCHOR: moments
    fn moments<T: Real>(
        layout: &Layout,
        x: &[T],
        channels: Range<usize>,
        seen: &mut [Seen<T::Wide>],
    ) {
        let planes = |n| x[layout.range(n, channels.clone())].chunks_exact(layout.positions);
        let mut count = 0;
        for (examples, positions) in blocks(layout) {
            let size = examples.len() * positions.len();
            if count == 0 {
                for n in examples.clone() {
                    for (seen, plane) in seen.iter_mut().zip(planes(n)) {
                        let sum = vector::sum(&plane[positions.clone()]);
                        seen.mean += sum.widen() / T::Wide::from_usize(size);
                    }
                }
            }
            let mut sums = vec![Sums::new(); seen.len()];
            for n in examples.clone() {
                for ((sums, seen), plane) in sums.iter_mut().zip(&*seen).zip(planes(n)) {
                    let (shift, piece): (T, _) = (seen.shift(), &plane[positions.clone()]);
                    let terms = |x, _| [x - shift, (x - shift) * (x - shift)];
                    add(sums, piece, piece, terms);
                }
            }
            let weights = Weights::new(count, size);
            for ((seen, sums), channel) in seen.iter_mut().zip(sums).zip(channels.clone()) {
                let [sum, squares] = if lanes::lopsided(&sums.0[1]) {
                    let pieces = examples.clone().map(|n| &x[layout.plane(n, channel)]);
                    wide_sums(pieces.map(|plane| &plane[positions.clone()]), seen.shift())
                } else {
                    sums.total()
                };
                seen.add::<T>(weights, sum, squares);
            }
            count += size;
        }
    }
    // ANCHOR_END: moments

    fn gradient_sums<'a, T: Real>(
        layout: &Layout,
        x: &[T],
        dy: impl Fn(usize) -> &'a [T],
        channels: Range<usize>,
        shift: &Columns<T, 1>,
        totals: &mut [[T::Wide; 2]],
    ) {
        let [shift] = shift.lists();
        for (examples, positions) in blocks(layout) {
            let mut sums = vec![Sums::new(); totals.len()];
            for n in examples {
                let x = x[layout.range(n, channels.clone())].chunks_exact(layout.positions);
                let dy = dy(n).chunks_exact(layout.positions);
                for ((sums, &shift), (x, dy)) in sums.iter_mut().zip(shift).zip(x.zip(dy)) {
                    let (x, dy) = (&x[positions.clone()], &dy[positions.clone()]);
                    add(sums, dy, x, |dy, x| [dy, dy * (x - shift)]);
                }
            }
            for (totals, sums) in totals.iter_mut().zip(sums) {
                for (total, sum) in totals.iter_mut().zip(sums.total()) {
                    *total += sum;
                }
            }
        }
    }

    fn update<T: Real, const K: usize>(
        layout: &Layout,
        columns: &Columns<T, K>,
        x: &[T],
        from: Option<&[T]>,
        channels: Range<usize>,
        out: &mut Slab<T>,
        f: impl Fn([T; K], T, T) -> T,
    ) {
        let lists = columns.lists();
        let last = out.channels.end;
        // The group that is written, and the one that is fetched meanwhile.
        let arrays = 2 * (1 + usize::from(from.is_some()));
        let values = arrays * channels.len() * layout.values_per_channel();
        let fits = values.saturating_mul(size_of::<T>()) <= FETCHED;
        out.stores.run(PIECE, |stream| {
            for (n, example) in out.write(channels.clone()).into_iter().enumerate().rev() {
                let planes = example.chunks_exact_mut(layout.positions);
                for (i, (c, out)) in channels.clone().zip(planes).enumerate().rev() {
                    let numbers = lists.map(|list| list[i]);
                    let plane = layout.plane(n, c);
                    // Read next: the same plane of the group that follows.
                    let next = Some(c + channels.len()).filter(|next| fits && *next < last);
                    let next = next.map_or(0..0, |next| layout.plane(n, next));
                    let next = [x, from.unwrap_or_default()].map(|a| a.get(next.clone()));
                    let next = next.map(Option::unwrap_or_default);
                    let x = &x[plane.clone()];
                    let from = from.map(|from| &from[plane]);
                    let f = |x, out| f(numbers, x, out);
                    stream.write(out, next, |place, out| match from {
                        Some(from) => vector::zip(out, &x[place.clone()], &from[place], f),
                        None => vector::zip_assign(out, &x[place], |out, x| f(x, out)),
                    });
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_whole_planes_or_pieces_of_one() {
        let of = |shape: &[usize]| blocks(&Layout::of(shape)).collect::<Vec<_>>();
        // 4 planes of 1000 values are a block of 4000.
        assert_eq!(of(&[6, 2, 1000]), [(0..4, 0..1000), (4..6, 0..1000)]);
        let long = [
            (0..1, 0..4096),
            (0..1, 4096..5000),
            (1..2, 0..4096),
            (1..2, 4096..5000),
        ];
        assert_eq!(of(&[2, 2, 5000]), long);
    }

    #[test]
    fn groups_have_as_many_channels_as_make_a_stretch() {
        let group = |positions| Planes::group(&Layout::of(&[3, 5, positions]));
        assert_eq!([128, 784, 2047, 2048, 9999].map(group), [16, 3, 2, 1, 1]);
    }

    #[test]
    fn sums_take_in_every_value_once() {
        for len in 0..100_u8 {
            let values: Vec<f64> = (0..len).map(f64::from).collect();
            let mut sums = Sums::<f64, 2>::new();
            sums.add(&values, &values, |a, b| [a, a * b]);
            sums.add(&[1000.0], &[0.0], |a, b| [a, a * b]);
            let squares = values.iter().map(|v| v * v).sum::<f64>();
            assert_eq!(sums.total(), [values.iter().sum::<f64>() + 1000.0, squares]);
        }
    }
}
