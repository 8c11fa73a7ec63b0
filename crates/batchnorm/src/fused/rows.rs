//! Kernels for channels whose values lie far apart: `[N, C]`, and `[N, C, L]` with a
//! small L.
//!
//! One example is a row of C · L columns, and neighbours in memory soon belong to
//! different channels. These kernels walk along rows and keep one sum for each column;
//! the L columns of a channel are added up at the end of a block. A walk down a column
//! would use one number of every cache line it fetches.

use std::array;
use std::ops::Range;

use tape::Real;
use tape::streaming::Stores;
use vectorized::vectorized;

use super::columns::Columns;
use super::slab::{Slab, pieces};
use super::walk::Walk;
use crate::Layout;
use crate::moments::{Seen, Weights};

/// Rows in a block. Within a block sums are kept in `T`, but for the one that decides over the
/// mean; from block to block they are kept in `f64`.
const BLOCK: usize = 32;
/// Rows added at once: a column's sums are loaded and stored once for all of them.
const TOGETHER: usize = 4;
/// Fewest columns of a row for one thread: some lines, for memory is slow to start.
const STRETCH: usize = 256;
/// Columns walked together, so that their sums stay in the innermost cache.
const COLUMNS: usize = 2048;

pub(super) struct Rows;

/// `K` sums for each column over the rows of a block: `Σ f(a, b, shift)`.
#[vectorized]
fn sum_rows<T: Real, F: Fn(T, T, T) -> [T; K], const K: usize>(
    a: &[&[T]],
    b: &[&[T]],
    shift: &[T],
    f: F,
) -> [Vec<T>; K] {
    let mut sums = array::from_fn(|_| vec![T::ZERO; shift.len()]);
    let (a, a_rest) = a.as_chunks::<TOGETHER>();
    let (b, b_rest) = b.as_chunks::<TOGETHER>();
    for (a, b) in a.iter().zip(b) {
        add_rows(&mut sums, a, b, shift, &f);
    }
    for (&a, &b) in a_rest.iter().zip(b_rest) {
        add_rows(&mut sums, &[a], &[b], shift, &f);
    }
    sums
}

/// Adds the terms of `R` rows to each column's sums.
#[inline(always)]
fn add_rows<T: Real, const K: usize, const R: usize>(
    sums: &mut [Vec<T>; K],
    a: &[&[T]; R],
    b: &[&[T]; R],
    shift: &[T],
    f: impl Fn(T, T, T) -> [T; K],
) {
    // Slices of one known length, so that the loop needs no bounds checks.
    let width = shift.len();
    let sums = sums.each_mut().map(|sums| &mut sums[..width]);
    let (a, b) = (a.map(|a| &a[..width]), b.map(|b| &b[..width]));
    for i in 0..width {
        let mut terms = [T::ZERO; K];
        for r in 0..R {
            let row = f(a[r][i], b[r][i], shift[i]);
            for k in 0..K {
                terms[k] += row[k];
            }
        }
        for k in 0..K {
            sums[k][i] += terms[k];
        }
    }
}

/// Repeats each channel's value over its columns.
fn spread<T: Real>(values: impl Iterator<Item = T>, positions: usize, columns: &mut [T]) {
    if positions == 1 {
        for (column, value) in columns.iter_mut().zip(values) {
            *column = value;
        }
    } else {
        for (columns, value) in columns.chunks_exact_mut(positions).zip(values) {
            columns.fill(value);
        }
    }
}

/// Adds up the columns of each channel.
fn per_channel<T: Real>(columns: &[T], positions: usize) -> Vec<T::Wide> {
    if positions == 1 {
        return columns.iter().map(|sum| sum.widen()).collect();
    }
    let channels = columns.chunks_exact(positions);
    channels
        .map(|columns| columns.iter().map(|sum| sum.widen()).sum())
        .collect()
}

/// `Σ (x − shift)` and `Σ (x − shift)²` of each column over the rows of a block. The first
/// decides over the mean, and is kept in `f64`, [`TOGETHER`] rows at a time: otherwise an
/// outlier would round all that is added to it to digits of its own.
#[vectorized]
fn moment_rows<T: Real>(rows: &[&[T]], shift: &[T]) -> (Vec<T::Wide>, Vec<T>) {
    let mut sums = vec![T::Wide::ZERO; shift.len()];
    let mut squares = vec![T::ZERO; shift.len()];
    let (rows, rest) = rows.as_chunks::<TOGETHER>();
    for rows in rows {
        add_moments(&mut sums, &mut squares, rows, shift);
    }
    for &row in rest {
        add_moments(&mut sums, &mut squares, &[row], shift);
    }
    (sums, squares)
}

/// Adds the terms of `R` rows to each column's sums.
#[inline(always)]
fn add_moments<T: Real, const R: usize>(
    sums: &mut [T::Wide],
    squares: &mut [T],
    rows: &[&[T]; R],
    shift: &[T],
) {
    let width = shift.len();
    let (sums, squares) = (&mut sums[..width], &mut squares[..width]);
    let rows = rows.map(|row| &row[..width]);
    for i in 0..width {
        let (mut sum, mut square) = (T::ZERO, T::ZERO);
        for row in rows {
            let off = row[i] - shift[i];
            sum += off;
            square += off * off;
        }
        sums[i] += sum.widen();
        squares[i] += square;
    }
}

/// The group's part of some examples.
fn rows<'a, T: Real>(
    layout: &Layout,
    x: &'a [T],
    examples: Range<usize>,
    channels: &Range<usize>,
) -> Vec<&'a [T]> {
    examples
        .map(|n| &x[layout.range(n, channels.clone())])
        .collect()
}

impl Walk for Rows {
    /// Threads that share a row each have a stretch of it that is worth starting on.
    fn unit(layout: &Layout) -> usize {
        (STRETCH / layout.positions).max(1)
    }

    fn group(layout: &Layout) -> usize {
        (COLUMNS / layout.positions).max(1)
    }

    fn columns(layout: &Layout) -> usize {
        layout.positions
    }

    /// Only the first block is read twice: for its means, which later blocks have from
    /// those before them, and for the distances from them.
    // ANCHOR: moments
    fn moments<T: Real>(
        layout: &Layout,
        x: &[T],
        channels: Range<usize>,
        seen: &mut [Seen<T::Wide>],
    ) {
        let positions = layout.positions;
        let mut shift = vec![T::ZERO; channels.len() * positions];
        for examples in pieces(0..layout.examples, BLOCK) {
            let size = examples.len() * positions;
            let weights = Weights::new(examples.start * positions, size);
            let first = examples.start == 0;
            let rows = rows(layout, x, examples, &channels);

            if first {
                let [sum] = sum_rows(&rows, &rows, &shift, |x, _, _| [x]);
                for (seen, sum) in seen.iter_mut().zip(per_channel(&sum, positions)) {
                    seen.mean = sum / T::Wide::from_usize(size);
                }
            }
            spread(seen.iter().map(Seen::shift), positions, &mut shift);

            let (sums, squares) = moment_rows(&rows, &shift);
            let moments = per_channel(&sums, positions).into_iter();
            let moments = moments.zip(per_channel(&squares, positions));
            for (seen, (sum, squares)) in seen.iter_mut().zip(moments) {
                seen.add::<T>(weights, sum, squares);
            }
        }
    }
    // ANCHOR_END: moments

    fn gradient_sums<'a, T: Real>(
        layout: &Layout,
        x: &[T],
        dy: impl Fn(usize) -> &'a [T],
        channels: Range<usize>,
        shift: &Columns<T, 1>,
        sums: &mut [[T::Wide; 2]],
    ) {
        let [shift] = shift.lists();
        for examples in pieces(0..layout.examples, BLOCK) {
            let x = rows(layout, x, examples.clone(), &channels);
            let dy: Vec<&[T]> = examples.map(&dy).collect();
            let terms = |dy, x, shift| [dy, dy * (x - shift)];
            for (k, columns) in sum_rows(&dy, &x, shift, terms).iter().enumerate() {
                let block = per_channel(columns, layout.positions);
                for (sums, block) in sums.iter_mut().zip(block) {
                    sums[k] += block;
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
        let columns = columns.lists();
        let row = |n| layout.range(n, channels.clone());
        let from = |n| from.map(|from| &from[row(n)]);
        let stores = out.stores;
        let mut rows = out.write(channels.clone());
        if stores == Stores::Streaming {
            stores.run(columns[0].len(), |stream| {
                for (n, out) in rows.into_iter().enumerate().rev() {
                    stream.write(out, [], |_, out| {
                        update_row(columns, &x[row(n)], from(n), out, &f);
                    });
                }
            });
            return;
        }
        let (pairs, rest) = rows.as_chunks_mut();
        for out in rest {
            let n = layout.examples - 1;
            update_row(columns, &x[row(n)], from(n), out, &f);
        }
        for (pair, [first, second]) in pairs.iter_mut().enumerate().rev() {
            let n = 2 * pair;
            let x = [&x[row(n)], &x[row(n + 1)]];
            let from = from(n).zip(from(n + 1)).map(<[_; 2]>::from);
            update_two(columns, x, from, [first, second], &f);
        }
    }
}

/// Replaces every value of a row by `f` of its column's numbers, of x, and of itself; or of what
/// is in its place in `from`.
// ANCHOR: update_rows
#[vectorized]
fn update_row<T: Real, F: Fn([T; K], T, T) -> T, const K: usize>(
    columns: [&[T]; K],
    x: &[T],
    from: Option<&[T]>,
    out: &mut [T],
    f: F,
) {
    let width = out.len();
    let (columns, x) = (columns.map(|list| &list[..width]), &x[..width]);
    if let Some(from) = from.map(|from| &from[..width]) {
        for i in 0..width {
            out[i] = f(columns.map(|list| list[i]), x[i], from[i]);
        }
    } else {
        for i in 0..width {
            out[i] = f(columns.map(|list| list[i]), x[i], out[i]);
        }
    }
}

/// The same for two rows at a time: the numbers of a column are loaded once for both.
#[vectorized]
fn update_two<T: Real, F: Fn([T; K], T, T) -> T, const K: usize>(
    columns: [&[T]; K],
    x: [&[T]; 2],
    from: Option<[&[T]; 2]>,
    [first, second]: [&mut [T]; 2],
    f: F,
) {
    let width = first.len();
    let columns = columns.map(|list| &list[..width]);
    let (x, second) = (x.map(|x| &x[..width]), &mut second[..width]);
    if let Some(from) = from.map(|from| from.map(|from| &from[..width])) {
        for i in 0..width {
            let numbers = columns.map(|list| list[i]);
            first[i] = f(numbers, x[0][i], from[0][i]);
            second[i] = f(numbers, x[1][i], from[1][i]);
        }
    } else {
        for i in 0..width {
            let numbers = columns.map(|list| list[i]);
            first[i] = f(numbers, x[0][i], first[i]);
            second[i] = f(numbers, x[1][i], second[i]);
        }
    }
}
// ANCHOR_END: update_rows

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_as_many_channels_as_fit_the_columns() {
        let group = |positions| Rows::group(&Layout::of(&[3, 5, positions]));
        assert_eq!([1, 2, 49, 2000, 2049].map(group), [2048, 1024, 41, 1, 1]);
    }

    #[test]
    fn threads_have_a_stretch_of_a_row_each() {
        let unit = |positions| Rows::unit(&Layout::of(&[3, 5, positions]));
        assert_eq!([1, 2, 49, 256, 2000].map(unit), [256, 128, 5, 1, 1]);
    }

    #[test]
    fn moments_take_in_every_row_once() {
        for count in 0..10_u8 {
            let rows: Vec<Vec<f64>> = (0..count).map(|n| vec![1.0, f64::from(n)]).collect();
            let rows: Vec<&[f64]> = rows.iter().map(|row| &row[..]).collect();
            let (n, (sums, squares)) = (f64::from(count), moment_rows(&rows, &[3.0, 0.0]));
            assert_eq!(sums, [-2.0 * n, n * (n - 1.0) / 2.0], "{count} rows");
            let last = (n - 1.0) * n * (2.0 * n - 1.0) / 6.0;
            assert_eq!(squares, [4.0 * n, last], "{count} rows");
        }
    }

    #[test]
    fn every_row_is_summed_once() {
        for count in 0..10_u8 {
            let rows: Vec<Vec<f64>> = (0..count).map(|n| vec![1.0, f64::from(n)]).collect();
            let rows: Vec<&[f64]> = rows.iter().map(|row| &row[..]).collect();
            let [sum, product] = sum_rows(&rows, &rows, &[0.0, 2.0], |a, b, s| [a, a * b - s]);
            let n = f64::from(count);
            let squares: f64 = (0..count).map(|n| f64::from(n) * f64::from(n)).sum();
            assert_eq!(sum, [n, n * (n - 1.0) / 2.0], "{count} rows");
            assert_eq!(product, [n, squares - 2.0 * n], "{count} rows");
        }
    }
}
