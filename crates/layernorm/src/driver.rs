//! What Layer Norm and RMS Norm share: how rows are shared out among threads, rows whose
//! squares overflow, and the order in which the rows' shares of the parameters' gradients
//! are added.
//!
//! What a norm does to a few rows is its own: a function forward and a function backward.

use std::array;

use tape::magnitude::{largest_to_one, squares_fit, to_one};
use tape::parallel::{self, Split, rows, starting};
use tape::streaming::{Stores, fetch, pays};
use tape::{Real, Tensor, vector};

use crate::rows::{check_lengths, whole};

/// What the forward pass keeps of a row.
pub(crate) trait Stats<T>: Copy + Send + Sync {
    /// One over the deviation that the row was divided by.
    fn rstd(self) -> T;

    /// The same of the row times `factor`, a power of two.
    fn of_times(self, factor: T) -> Self;
}

/// `[shift, offset, rstd]`.
impl<T: Real> Stats<T> for [T; 3] {
    #[inline]
    fn rstd(self) -> T {
        self[2]
    }

    fn of_times(self, factor: T) -> Self {
        let [shift, offset, rstd] = self;
        [shift * factor, offset, rstd / factor]
    }
}

/// `rstd` alone.
impl<T: Real> Stats<T> for T {
    #[inline]
    fn rstd(self) -> T {
        self
    }

    fn of_times(self, factor: T) -> Self {
        self / factor
    }
}

/// Every element of a row times a power of two, for a row whose squares do not fit `T`.
fn times<T: Real>(x: &[T], factor: T) -> Vec<T> {
    x.iter().map(|&x| x * factor).collect()
}

// ANCHOR: forward
/// What a kernel will be given next, to be asked for half a row at a time.
pub(crate) struct Ahead<'a, T> {
    next: &'a [T],
    half: usize,
}

impl<'a, T: Real> Ahead<'a, T> {
    fn of(next: &'a [T], d: usize) -> Self {
        let half = d.div_ceil(2);
        Ahead { next, half }
    }

    /// Asks for the next half of a row, if there is more.
    #[inline(always)]
    pub(crate) fn fetch(&mut self) {
        if !self.next.is_empty() {
            let (half, rest) = self.next.split_at(self.half.min(self.next.len()));
            fetch(half);
            self.next = rest;
        }
    }
}

/// The rows of an input: `x` holds rows of `d` features, as many as there are statistics.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a, T> {
    /// Who is asking, for messages.
    pub(crate) kernel: &'static str,
    pub(crate) x: &'a [T],
    pub(crate) d: usize,
}

impl<T: Real> Rows<'_, T> {
    /// Calls `normalize(x, ahead, eps, y, stats)` on a few rows at a time, which normalizes them
    /// and writes their statistics. Meanwhile it may ask for the rows [`Ahead`].
    #[track_caller]
    pub(crate) fn forward<S: Stats<T>>(
        self,
        eps: T,
        y: &mut [T],
        stats: &mut [S],
        normalize: impl Fn(&[T], Ahead<'_, T>, T, &mut [T], &mut [S]) + Sync,
    ) {
        let Rows { kernel, x, d } = self;
        let (count, whole) = (stats.len(), whole(kernel, stats.len(), d));
        check_lengths(kernel, &[("x", x.len(), whole), ("y", y.len(), whole)]);
        let buffers = (rows(y, d), rows(stats, 1));
        parallel::for_each_part(count, whole, buffers, |range, buffers| {
            let (y, stats) = buffers.slices();
            let x = &x[range.start * d..range.end * d];
            let far = size_of_val(x) > NEAR;
            let next = x.get(piece(d)..).filter(|_| far).unwrap_or_default();
            // From a last level of cache, lines that are asked for between the steps of the work
            // come in time. From memory they come too late, and are asked for while results are
            // stored.
            let nowhere: &[T] = &[];
            let [between, meanwhile] = match pays::<T>(whole / 2) {
                false => [next, nowhere],
                true => [nowhere, next],
            };
            Stores::of::<T>(whole).run(piece(d), |stream| {
                stream.write(y, [meanwhile], |place, y| {
                    let next = between.get(place.clone()).unwrap_or_default();
                    let rows = place.start / d..place.end / d;
                    let (x, stats) = (&x[place], &mut stats[rows]);
                    normalize(x, Ahead::of(next, d), eps, y, stats);
                    let rows = x.chunks_exact(d).zip(y.chunks_exact_mut(d));
                    for ((x, y), stats) in rows.zip(stats) {
                        if !squares_fit(stats.rstd()) {
                            let unit = largest_to_one(x);
                            let (x, stats_of_x) = (times(x, unit), array::from_mut(stats));
                            normalize(&x, Ahead::of(&[], d), eps * unit * unit, y, stats_of_x);
                            *stats = stats.of_times(T::ONE / unit);
                        }
                    }
                });
            });
        });
    }
}
// ANCHOR_END: forward

/// Rows whose parameter gradients are summed together before they are added to the
/// total. The number is fixed, so that the order of every addition is, too.
pub const ROWS_PER_BLOCK: usize = 64;

/// Most elements of the rows that a norm is called with at a time, if they are several: few
/// enough to be found in the innermost cache by whoever reads them next.
const PIECE: usize = 2048;

/// Bytes of an input that is found in a core's second cache, so that to ask for it costs more than
/// it gains.
const NEAR: usize = 1 << 19;

/// The elements of as many rows of `d`.
fn piece(d: usize) -> usize {
    (PIECE / d).max(1) * d
}

impl<T: Real> Rows<'_, T> {
    /// Calls `project(x, stats, dy, sums)` on a few rows at a time, which turns their `dy` into
    /// `dx`, in place, and adds their share to the gradient of each parameter. The `parameters`
    /// come with their names. Without a `dy`, `dx` holds it on entry.
    #[track_caller]
    pub(crate) fn backward<S: Stats<T>, const P: usize>(
        self,
        stats: &[S],
        dy: Option<&[T]>,
        dx: &mut [T],
        parameters: [(&str, &mut [T]); P],
        project: impl Fn(&[T], &[S], &mut [T], [&mut [T]; P]) + Sync,
    ) {
        let Rows { kernel, x, d } = self;
        let (count, whole) = (stats.len(), whole(kernel, stats.len(), d));
        let dy_length = dy.map_or(whole, <[T]>::len);
        let slices = [("x", x.len()), ("dy", dy_length), ("dx", dx.len())];
        check_lengths(kernel, &slices.map(|(name, length)| (name, length, whole)));
        for (name, total) in &parameters {
            check_lengths(kernel, &[(name, total.len(), d)]);
        }
        let blocks = count.div_ceil(ROWS_PER_BLOCK);
        let first_row = |block| count.min(block * ROWS_PER_BLOCK);
        let mut sums = Tensor::zeros([blocks, P, d]);
        let buffers = (
            starting(dx, |block| first_row(block) * d),
            rows(sums.data_mut(), P * d),
        );
        // What lies in `dx` is needed if it is the upstream gradient.
        let stores = dy.map_or(Stores::Ordinary, |_| Stores::of::<T>(whole));
        parallel::for_each_item(blocks, whole, buffers, |block, (dx, mut sums)| {
            let mut sums: [&mut [T]; P] =
                array::from_fn(|_| sums.split_off_mut(..d).expect("one for each parameter"));
            let rows = first_row(block)..first_row(block + 1);
            let next = [Some(x), dy].map(|from| from?.get(rows.start * d + piece(d)..));
            let (x, stats) = (&x[rows.start * d..rows.end * d], &stats[rows.clone()]);
            let dy = dy.map(|dy| &dy[rows.start * d..rows.end * d]);
            stores.run(piece(d), |stream| {
                stream.write(dx, next.map(Option::unwrap_or_default), |place, dx| {
                    if let Some(dy) = dy {
                        dx.copy_from_slice(&dy[place.clone()]);
                    }
                    let rows = place.start / d..place.end / d;
                    let (x, stats) = (&x[place], &stats[rows]);
                    if stats.iter().all(|stats| squares_fit(stats.rstd())) {
                        project(x, stats, dx, lend(&mut sums));
                    } else {
                        for ((x, dx), stats) in x.chunks(d).zip(dx.chunks_mut(d)).zip(stats) {
                            any_row(x, *stats, dx, lend(&mut sums), &project);
                        }
                    }
                });
            });
        });
        for (p, (_, total)) in parameters.into_iter().enumerate() {
            add_blocks(sums.data().chunks_exact(P * d), p * d, total);
        }
    }
}

fn lend<'a, T, const P: usize>(sums: &'a mut [&mut [T]; P]) -> [&'a mut [T]; P] {
    sums.each_mut().map(|sum| &mut **sum)
}

/// `project` of a row that may be too large for it.
fn any_row<T: Real, S: Stats<T>, const P: usize>(
    x: &[T],
    stats: S,
    dy: &mut [T],
    sums: [&mut [T]; P],
    project: impl Fn(&[T], &[S], &mut [T], [&mut [T]; P]),
) {
    if squares_fit(stats.rstd()) {
        return project(x, &[stats], dy, sums);
    }
    let unit = T::ONE / to_one(stats.rstd());
    project(&times(x, unit), &[stats.of_times(unit)], dy, sums);
    for dx in dy {
        *dx *= unit;
    }
}

/// Adds up the sums that start at `first` in each block, first block first.
fn add_blocks<'a, T: Real>(blocks: impl Iterator<Item = &'a [T]>, first: usize, total: &mut [T]) {
    total.fill(T::ZERO);
    for block in blocks {
        vector::add(total, &block[first..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_every_row_once() {
        let b = ROWS_PER_BLOCK;
        for count in [0, 1, b, b + 1, 5 * b - 1] {
            let x: Vec<f64> = (0..count).map(|r| r as f64).collect();
            let (mut dx, mut total) = (vec![0.0; count], [f64::NAN]);
            let rows = Rows {
                kernel: "test",
                x: &x,
                d: 1,
            };
            let parameters = [("total", &mut total[..])];
            rows.backward(
                &vec![1.0; count],
                None,
                &mut dx,
                parameters,
                |x, _, dx, [sum]| {
                    for (dx, x) in dx.iter_mut().zip(x) {
                        *dx += x;
                        sum[0] += 1.0;
                    }
                },
            );
            assert_eq!((&dx, total), (&x, [count as f64]));
        }
    }

    #[test]
    fn blocks_are_added_in_order() {
        // 1 is lost against 10²⁰, unless it comes after −10²⁰.
        let sums = [1e20, 5.0, -1e20, 6.0, 1.0, 7.0];
        let mut total = [f64::NAN; 2];
        add_blocks(sums.chunks_exact(2), 0, &mut total);
        assert_eq!(total, [1.0, 18.0]);
        let mut second = [f64::NAN];
        add_blocks(sums.chunks_exact(2), 1, &mut second);
        assert_eq!(second, [18.0]);
    }

    #[test]
    fn statistics_of_a_multiple_are_multiples() {
        assert_eq!([3.0, 5.0, 4.0].of_times(2.0), [6.0, 5.0, 2.0]);
        assert_eq!(4.0.of_times(2.0), 2.0);
    }
}
