//! Kernels for channels that lie in columns: `[N, C]`.
//!
//! One example is a row, and neighbours in memory belong to different channels. These
//! kernels walk along rows and keep one sum for each column. A walk down a column
//! would use one number of every cache line it fetches.

use std::ops::Range;

use tape::Real;
use tape::lanes::LANES;

use crate::Layout;
use crate::lines::{Lines, Slopes};
use crate::moments::{Seen, Weights};
use crate::slab::pieces;
use crate::walk::Walk;

/// Rows in a block.
const BLOCK: usize = 32;
/// Rows walked side by side: a column's sum is loaded and stored once for all of them.
const TOGETHER: usize = 8;

pub(crate) struct Rows;

/// `K` sums for each column over the rows of a block: `Σ f(a, b, shift)`.
// ANCHOR: sums
#[inline(always)]
fn sum_rows<T: Real, const K: usize>(
    a: &[&[T]],
    b: &[&[T]],
    shift: &[T],
    f: impl Fn(T, T, T) -> [T; K],
) -> [Vec<T>; K] {
    let width = shift.len();
    let mut sums = [const { Vec::new() }; K];
    for sum in &mut sums {
        sum.resize(width, T::ZERO);
    }
    for (a, b) in a.chunks(TOGETHER).zip(b.chunks(TOGETHER)) {
        for columns in pieces(0..width, LANES) {
            let shift = &shift[columns.clone()];
            let mut partial = [[T::ZERO; LANES]; K];
            for (a, b) in a.iter().zip(b) {
                let (a, b) = (&a[columns.clone()], &b[columns.clone()]);
                add_lanes(&mut partial, a, b, shift, &f);
            }
            for (sum, partial) in sums.iter_mut().zip(&partial) {
                for (sum, &partial) in sum[columns.clone()].iter_mut().zip(partial) {
                    *sum += partial;
                }
            }
        }
    }
    sums
}

/// Adds one row's terms for at most [`LANES`] columns.
#[inline(always)]
fn add_lanes<T: Real, const K: usize>(
    sums: &mut [[T; LANES]; K],
    a: &[T],
    b: &[T],
    shift: &[T],
    f: impl Fn(T, T, T) -> [T; K],
) {
    for (lane, ((&a, &b), &shift)) in a.iter().zip(b).zip(shift).enumerate() {
        let terms = f(a, b, shift);
        for k in 0..K {
            sums[k][lane] += terms[k];
        }
    }
}
// ANCHOR_END: sums

impl Walk for Rows {
    const GROUP: usize = usize::MAX;

    /// Each block is read twice, once from memory and once from the cache: for its
    /// means, then for the distances from them.
    // ANCHOR: moments
    fn moments<T: Real>(layout: &Layout, x: &[T], channels: Range<usize>, seen: &mut [Seen]) {
        let mut shift = vec![T::ZERO; channels.len()];
        for examples in pieces(0..layout.examples, BLOCK) {
            let weights = Weights::new(examples.start, examples.len());
            let size = examples.len() as f64;
            let rows: Vec<&[T]> = examples
                .map(|n| &x[layout.range(n, channels.clone())])
                .collect();

            let [sum] = sum_rows(&rows, &rows, &shift, |x, _, _| [x]);
            for (shift, sum) in shift.iter_mut().zip(sum) {
                *shift = T::from_f64(sum.to_f64() / size);
            }

            let [sum, squares] = sum_rows(&rows, &rows, &shift, |x, _, shift| {
                [x - shift, (x - shift) * (x - shift)]
            });
            for (c, seen) in seen.iter_mut().enumerate() {
                let (sum, squares) = (sum[c].to_f64(), squares[c].to_f64());
                seen.add(weights, shift[c].to_f64(), sum, squares);
            }
        }
    }
    // ANCHOR_END: moments

    // ANCHOR: gradient_sums
    fn gradient_sums<'a, T: Real>(
        layout: &Layout,
        x: &[T],
        dy: impl Fn(usize) -> &'a [T],
        channels: Range<usize>,
        shift: &[T],
        totals: &mut [[f64; 2]],
    ) {
        for examples in pieces(0..layout.examples, BLOCK) {
            let x: Vec<&[T]> = (examples.clone())
                .map(|n| &x[layout.range(n, channels.clone())])
                .collect();
            let dy: Vec<&[T]> = examples.map(&dy).collect();
            let [sum, products] = sum_rows(&dy, &x, shift, |dy, x, shift| [dy, dy * (x - shift)]);
            for (c, total) in totals.iter_mut().enumerate() {
                total[0] += sum[c].to_f64();
                total[1] += products[c].to_f64();
            }
        }
    }
    // ANCHOR_END: gradient_sums

    // ANCHOR: elementwise
    fn line<T: Real>(lines: &Lines<T>, x: &[T], y: &mut [T]) {
        let channels = lines.shift.iter().zip(&lines.scale).zip(&lines.offset);
        for ((y, &x), ((&shift, &scale), &offset)) in y.iter_mut().zip(x).zip(channels) {
            *y = (x - shift) * scale + offset;
        }
    }

    fn slope<T: Real>(slopes: &Slopes<T>, x: &[T], dy: &mut [T]) {
        let line = slopes.shift.iter().zip(&slopes.level);
        let channels = line.zip(&slopes.slope).zip(&slopes.scale);
        for ((dy, &x), (((&shift, &level), &slope), &scale)) in dy.iter_mut().zip(x).zip(channels) {
            *dy = ((*dy - level) - (x - shift) * slope) * scale;
        }
    }

    fn scale<T: Real>(scale: &[T], dy: &mut [T]) {
        for (dy, &scale) in dy.iter_mut().zip(scale) {
            *dy *= scale;
        }
    }
    // ANCHOR_END: elementwise
}
