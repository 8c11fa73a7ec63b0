//! Matrix products, in plain Rust: blocks that stay in the cache, laid out in the order in
//! which they are read, and a tile of the result in registers (Goto & van de Geijn,
//! "Anatomy of high-performance matrix multiplication", 2008).
//!
//! Everything a product needs beside its operands comes from the pool of the thread.

use std::ops::Range;

use crate::{Real, Tensor, parallel};

// ANCHOR: serial_below
/// Multiplications below which a product stays on the calling thread: fewer are done
/// in well under a millisecond.
const SERIAL_BELOW: usize = 1 << 23;
// ANCHOR_END: serial_below

// ANCHOR: blocks
/// Rows of the tile of the output that a kernel holds in registers.
const TILE_ROWS: usize = 4;

/// Bytes in a row of that tile: two vector registers. With four rows this makes eight sums
/// side by side: two multipliers that need four cycles for each addition are never idle.
const TILE_BYTES: usize = if cfg!(target_feature = "avx512f") {
    128
} else if cfg!(target_feature = "avx") {
    64
} else {
    32
};

/// Products summed up in registers before a tile goes to the output: a strip of `b` of
/// this length and of the width of a tile stays in the first-level cache.
const DEPTH: usize = 256;

/// Rows of `a` that meet all of `b` at a time: a block that stays in the second-level cache.
const ROWS: usize = 96;

/// Columns of `b` laid out at a time: with [`DEPTH`] rows, 1 MiB of `f32`.
const COLUMNS: usize = 1024;
// ANCHOR_END: blocks

// ANCHOR: matrix
/// A read-only matrix over a slice: element `(i, j)` is at `i * row_stride + j * col_stride`.
///
/// A transpose is the same slice with its strides exchanged: no element moves.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}
// ANCHOR_END: matrix

impl<'a, T> Matrix<'a, T> {
    // ANCHOR: new
    /// A row-major `rows × cols` matrix.
    ///
    /// # Panics
    /// If `data.len() != rows * cols`.
    #[track_caller]
    pub fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        assert_eq!(
            data.len(),
            rows * cols,
            "a {rows} x {cols} matrix needs {} elements, but the slice has {}",
            rows * cols,
            data.len()
        );
        Matrix {
            data,
            rows,
            cols,
            row_stride: cols,
            col_stride: 1,
        }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The rows and columns in the ranges, as a matrix of their own.
    ///
    /// # Panics
    /// If they are not inside.
    #[track_caller]
    pub fn part(self, rows: Range<usize>, cols: Range<usize>) -> Self {
        assert!(
            rows.end <= self.rows && cols.end <= self.cols,
            "rows {rows:?} and columns {cols:?} are not inside a {} x {} matrix",
            self.rows,
            self.cols
        );
        let start = rows.start * self.row_stride + cols.start * self.col_stride;
        Matrix {
            data: &self.data[start.min(self.data.len())..],
            rows: rows.len(),
            cols: cols.len(),
            ..self
        }
    }
    // ANCHOR_END: new

    // ANCHOR: transpose
    /// The transpose, `cols × rows`, over the same elements.
    pub fn t(self) -> Self {
        Matrix {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }
    // ANCHOR_END: transpose
}

// ANCHOR: gemm
/// `out = a · b + beta · out`, with `out` row-major, `a.rows × b.cols`.
///
/// With `beta` 0, `out` may hold anything, NaN included. Large products are cut into
/// bands of rows, one per thread; each output element is summed in the same order
/// however many there are.
///
/// # Panics
/// If the inner dimensions differ, or `out` has the wrong length.
#[track_caller]
pub fn gemm<T: Real>(a: Matrix<'_, T>, b: Matrix<'_, T>, beta: T, out: &mut [T]) {
    check([a.rows, a.cols], [b.rows, b.cols], out.len());
    in_bands(a, b.cols, out, |a, out| {
        for cols in steps(b.cols, COLUMNS) {
            let (width, depth) = (padded::<T>(cols.len()), b.rows.min(DEPTH));
            let mut strips = Tensor::scratch([width * depth]);
            for depth in steps(b.rows, DEPTH) {
                let strips = &mut strips.data_mut()[..width * depth.len()];
                T::lay_out(b.part(depth.clone(), cols.clone()), strips);
                let beta = if depth.start == 0 { beta } else { T::ONE };
                let a = a.part(0..a.rows, depth);
                T::multiply(a, strips, beta, cols.clone(), out, b.cols);
            }
        }
        if b.rows == 0 {
            scale(out, beta);
        }
    });
}
// ANCHOR_END: gemm

// ANCHOR: packed
/// The right-hand matrix of many products, laid out once for all of them.
#[derive(Debug)]
pub struct Packed<T: Real> {
    strips: Tensor<T>,
    rows: usize,
    cols: usize,
}

impl<T: Real> Packed<T> {
    /// Lays `b` out. Costs about as much as a product by a matrix of ten rows.
    pub fn new(b: Matrix<'_, T>) -> Self {
        let width = padded::<T>(b.cols);
        let mut strips = Tensor::scratch([b.rows * width]);
        for depth in steps(b.rows, DEPTH) {
            let to = &mut strips.data_mut()[depth.start * width..depth.end * width];
            T::lay_out(b.part(depth, 0..b.cols), to);
        }
        Packed {
            strips,
            rows: b.rows,
            cols: b.cols,
        }
    }

    /// `out = a · b + beta · out`: bit by bit what [`gemm`] gives.
    ///
    /// # Panics
    /// If the inner dimensions differ, or `out` has the wrong length.
    #[track_caller]
    pub fn gemm(&self, a: Matrix<'_, T>, beta: T, out: &mut [T]) {
        check([a.rows, a.cols], [self.rows, self.cols], out.len());
        let width = padded::<T>(self.cols);
        in_bands(a, self.cols, out, |a, out| {
            for depth in steps(self.rows, DEPTH) {
                let strips = &self.strips.data()[depth.start * width..depth.end * width];
                let beta = if depth.start == 0 { beta } else { T::ONE };
                let a = a.part(0..a.rows, depth);
                T::multiply(a, strips, beta, 0..self.cols, out, self.cols);
            }
            if self.rows == 0 {
                scale(out, beta);
            }
        });
    }
}
// ANCHOR_END: packed

// ANCHOR: bands
#[track_caller]
fn check([m, k]: [usize; 2], [rows, n]: [usize; 2], out: usize) {
    assert_eq!(
        k, rows,
        "cannot multiply [{m}, {k}] by [{rows}, {n}]: the inner dimensions must agree"
    );
    assert_eq!(
        out,
        m * n,
        "the product is [{m}, {n}], but the output has {out} elements"
    );
}

/// Runs `f` on bands of rows of `a` and of the output, which has `n` columns: one for each
/// thread if the work is worth it.
fn in_bands<T: Real>(
    a: Matrix<'_, T>,
    n: usize,
    out: &mut [T],
    f: impl Fn(Matrix<'_, T>, &mut [T]) + Sync,
) {
    if out.is_empty() {
        return;
    }
    let elements = if is_small(a, n) { 0 } else { usize::MAX };
    let bands = parallel::ranges(a.rows, elements);
    let outs = parallel::split_mut(out, bands.iter().map(|rows| rows.len() * n));
    parallel::for_each(bands.into_iter().zip(outs).collect(), |(rows, out)| {
        f(a.part(rows, 0..a.cols), out);
    });
}

/// Whether the product of `a` and a matrix of `n` columns is too little work to wake a
/// thread for.
fn is_small<T>(a: Matrix<'_, T>, n: usize) -> bool {
    a.rows * a.cols * n < SERIAL_BELOW
}

/// `0..n` in ranges of `size`; the last may be shorter.
fn steps(n: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n)
        .step_by(size)
        .map(move |start| start..n.min(start + size))
}

/// `out = beta · out`, where 0 overwrites NaN.
fn scale<T: Real>(out: &mut [T], beta: T) {
    for x in out {
        *x = if beta == T::ZERO { beta } else { beta * *x };
    }
}
// ANCHOR_END: bands

// ANCHOR: lay_out
/// The number of columns of whole tiles that hold `cols` columns.
fn padded<T: Gemm>(cols: usize) -> usize {
    cols.next_multiple_of(T::TILE_COLS)
}

/// Lays the rows of `m` out in strips of `W` rows: first the `W` numbers of its first
/// column, then those of the second, and so on. Rows that are not there are zeros.
fn lay_out<T: Real, const W: usize>(m: Matrix<'_, T>, strips: &mut [T]) {
    let (strips, _) = strips.as_chunks_mut::<W>();
    if m.row_stride == 1 {
        // Four strips side by side: all of a cache line is used while it is there.
        for (rows, strips) in steps(m.rows, 4 * W).zip(strips.chunks_mut(4 * m.cols)) {
            for j in 0..m.cols {
                let column = &m.data[rows.start + j * m.col_stride..][..rows.len()];
                let (whole, rest) = column.as_chunks::<W>();
                let to = &mut strips[j..];
                for (i, whole) in whole.iter().enumerate() {
                    to[i * m.cols] = *whole;
                }
                if !rest.is_empty() {
                    let to = &mut to[whole.len() * m.cols];
                    to[..rest.len()].copy_from_slice(rest);
                    to[rest.len()..].fill(T::ZERO);
                }
            }
        }
        return;
    }
    for (rows, strip) in steps(m.rows, W).zip(strips.chunks_exact_mut(m.cols)) {
        let row = |i: usize| &m.data[(rows.start + i) * m.row_stride..][..m.cols];
        if rows.len() == W {
            interleave(row, strip);
        } else {
            strip.fill([T::ZERO; W]);
            for i in 0..rows.len() {
                for (to, &x) in strip.iter_mut().zip(row(i)) {
                    to[i] = x;
                }
            }
        }
    }
}

/// Interleaves `W` rows, four at a time by way of a small block: a transpose, of which a
/// compiler makes vectors in this form.
fn interleave<'a, T: Real, const W: usize>(row: impl Fn(usize) -> &'a [T], strip: &mut [[T; W]]) {
    const LENGTH: usize = 64;
    let mut block = [[T::ZERO; 4]; LENGTH];
    for first in (0..W).step_by(4) {
        let rows = [0, 1, 2, 3].map(|i| row(first + i));
        for (cols, strip) in steps(strip.len(), LENGTH).zip(strip.chunks_mut(LENGTH)) {
            let rows = rows.map(|row| &row[cols.clone()]);
            let block = &mut block[..cols.len()];
            for (j, to) in block.iter_mut().enumerate() {
                for i in 0..4 {
                    to[i] = rows[i][j];
                }
            }
            for (to, from) in strip.iter_mut().zip(block) {
                to[first..first + 4].copy_from_slice(from);
            }
        }
    }
}
// ANCHOR_END: lay_out

// ANCHOR: tile
/// A tile of the output: `a(k)` is column k of its rows of `a`, and `b` a strip of `b`.
/// Every number that is loaded takes part in four multiplications or in a whole row of them.
#[inline(always)]
fn tile<T: Real, const W: usize>(
    a: impl Fn(usize) -> [T; TILE_ROWS],
    b: &[[T; W]],
) -> [[T; W]; TILE_ROWS] {
    let mut sums = [[T::ZERO; W]; TILE_ROWS];
    for (k, b) in b.iter().enumerate() {
        let a = a(k);
        for i in 0..TILE_ROWS {
            for j in 0..W {
                sums[i][j] = T::multiply_add(a[i], b[j], sums[i][j]);
            }
        }
    }
    sums
}
// ANCHOR_END: tile

// ANCHOR: multiply
/// `out = a · strips + beta · out` in the columns `cols` of `out`, which has `n`. `strips`
/// holds the rows of `b` that go with the columns of `a`.
#[inline(never)] // One copy, with the kernel inside.
fn multiply<T: Real, const W: usize>(
    a: Matrix<'_, T>,
    strips: &[T],
    beta: T,
    cols: Range<usize>,
    out: &mut [T],
    n: usize,
) {
    let (strips, depth) = (strips.as_chunks::<W>().0, a.cols);
    // Rows are read where they are. A matrix of columns is laid out first.
    let by_rows = a.col_stride == 1;
    let most = if by_rows {
        0
    } else {
        a.rows.min(ROWS).next_multiple_of(TILE_ROWS)
    };
    let mut laid_out = Tensor::scratch([most * depth]);
    for rows in steps(a.rows, ROWS) {
        let a = a.part(rows.clone(), 0..depth);
        if !by_rows {
            lay_out::<T, TILE_ROWS>(a, laid_out.data_mut());
        }
        let laid_out = laid_out.data().as_chunks::<TILE_ROWS>().0;
        for (to, b) in steps(cols.len(), W).zip(strips.chunks_exact(depth)) {
            for (i, tile_rows) in steps(a.rows, TILE_ROWS).enumerate() {
                let sums = if by_rows {
                    // The last row stands in for those that are not there.
                    let row = |i: usize| (tile_rows.start + i).min(a.rows - 1) * a.row_stride;
                    let rows = [0, 1, 2, 3].map(|i| &a.data[row(i)..][..b.len()]);
                    tile(|k| rows.map(|row| row[k]), b)
                } else {
                    let strip = &laid_out[i * depth..][..b.len()];
                    tile(|k| strip[k], b)
                };
                for (row, sums) in tile_rows.zip(&sums) {
                    let start = (rows.start + row) * n + cols.start;
                    store(sums, beta, &mut out[start + to.start..start + to.end]);
                }
            }
        }
    }
}

/// `out = sums + beta · out`, as far as `out` goes.
#[inline(always)]
fn store<T: Real, const W: usize>(sums: &[T; W], beta: T, out: &mut [T]) {
    // A row of known length is a few wide instructions.
    if let Ok(out) = <&mut [T; W]>::try_from(&mut *out) {
        if beta == T::ZERO {
            *out = *sums;
        } else {
            for j in 0..W {
                out[j] = beta * out[j] + sums[j];
            }
        }
        return;
    }
    for (out, &sum) in out.iter_mut().zip(sums) {
        *out = if beta == T::ZERO {
            sum
        } else {
            beta * *out + sum
        };
    }
}
// ANCHOR_END: multiply

// ANCHOR: kernel
/// Whether the machine multiplies and adds in one instruction, with one rounding.
const FUSED: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));

/// What of a product depends on the size of a number. Sealed by [`Real`].
pub trait Gemm: Sized {
    /// Columns of a tile.
    #[doc(hidden)]
    const TILE_COLS: usize;
    /// `a · b + c`.
    #[doc(hidden)]
    fn multiply_add(a: Self, b: Self, c: Self) -> Self;
    /// Lays out strips of the columns of `b`.
    #[doc(hidden)]
    fn lay_out(b: Matrix<'_, Self>, strips: &mut [Self]);
    /// The product with strips.
    #[doc(hidden)]
    fn multiply(
        a: Matrix<'_, Self>,
        strips: &[Self],
        beta: Self,
        cols: Range<usize>,
        out: &mut [Self],
        n: usize,
    );
}

macro_rules! gemm {
    ($t:ident) => {
        impl Gemm for $t {
            const TILE_COLS: usize = TILE_BYTES / size_of::<$t>();
            #[inline(always)]
            fn multiply_add(a: $t, b: $t, c: $t) -> $t {
                // Where there is no such instruction, `mul_add` is a call of a function.
                if FUSED { a.mul_add(b, c) } else { a * b + c }
            }
            fn lay_out(b: Matrix<'_, $t>, strips: &mut [$t]) {
                lay_out::<$t, { $t::TILE_COLS }>(b.t(), strips);
            }
            fn multiply(
                a: Matrix<'_, $t>,
                strips: &[$t],
                beta: $t,
                cols: Range<usize>,
                out: &mut [$t],
                n: usize,
            ) {
                multiply::<$t, { $t::TILE_COLS }>(a, strips, beta, cols, out, n);
            }
        }
    };
}

gemm!(f32);
gemm!(f64);
// ANCHOR_END: kernel

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(a: &[f64], b: &[f64], m: usize, k: usize, n: usize) -> Vec<f64> {
        let mut c = vec![0.0; m * n];
        for i in 0..m {
            for j in 0..n {
                c[i * n + j] = (0..k).map(|p| a[i * k + p] * b[p * n + j]).sum();
            }
        }
        c
    }

    #[test]
    fn every_pairing_of_transposes_gives_the_plain_product() {
        let (m, k, n) = (3, 4, 5);
        let a: Vec<f64> = (0..m * k).map(|i| (i as f64).sin()).collect();
        let b: Vec<f64> = (0..k * n).map(|i| (i as f64).cos()).collect();
        let at: Vec<f64> = (0..k * m).map(|i| a[(i % m) * k + i / m]).collect();
        let bt: Vec<f64> = (0..n * k).map(|i| b[(i % k) * n + i / k]).collect();
        let expected = naive(&a, &b, m, k, n);
        let views = [
            (Matrix::new(&a, m, k), Matrix::new(&b, k, n)),
            (Matrix::new(&at, k, m).t(), Matrix::new(&b, k, n)),
            (Matrix::new(&a, m, k), Matrix::new(&bt, n, k).t()),
            (Matrix::new(&at, k, m).t(), Matrix::new(&bt, n, k).t()),
        ];
        for (x, y) in views {
            let mut out = vec![f64::NAN; m * n];
            gemm(x, y, 0.0, &mut out);
            for (got, want) in out.iter().zip(&expected) {
                assert!((got - want).abs() < 1e-14, "{got} is not {want}");
            }
        }
    }

    /// Around the sizes of tiles and blocks, with every pairing of transposes, each by each
    /// way to the product.
    #[test]
    fn products_of_every_size_are_right() {
        fn run<T: Real>(sizes: [usize; 3], transposed: [bool; 2], beta: f64) {
            let [m, k, n] = sizes;
            let a: Vec<f64> = (0..m * k).map(|i| (i % 17) as f64 - 8.0).collect();
            let b: Vec<f64> = (0..k * n).map(|i| (i % 13) as f64 - 6.0).collect();
            let old: Vec<f64> = (0..m * n).map(|i| (i % 7) as f64).collect();
            // Small integers: every sum is exact in either type.
            let product = naive(&a, &b, m, k, n);
            let expected = product.iter().zip(&old).map(|(p, o)| p + beta * o);
            let expected: Vec<T> = expected.map(T::from_f64).collect();
            let store = |x: &[f64], rows: usize, cols: usize, turned: bool| -> Vec<T> {
                let at = |i: usize| match turned {
                    false => x[i],
                    true => x[(i % rows) * cols + i / rows],
                };
                (0..x.len()).map(|i| T::from_f64(at(i))).collect()
            };
            let (a, b) = (
                store(&a, m, k, transposed[0]),
                store(&b, k, n, transposed[1]),
            );
            let view = |x, rows, cols, turned| match turned {
                false => Matrix::new(x, rows, cols),
                true => Matrix::new(x, cols, rows).t(),
            };
            let (a, b) = (
                view(&a[..], m, k, transposed[0]),
                view(&b[..], k, n, transposed[1]),
            );
            let old: Vec<T> = old.into_iter().map(T::from_f64).collect();
            let (mut once, mut packed) = (old.clone(), old);
            gemm(a, b, T::from_f64(beta), &mut once);
            Packed::new(b).gemm(a, T::from_f64(beta), &mut packed);
            assert!(once == expected, "{sizes:?} {transposed:?} {beta}");
            assert!(packed == expected, "packed {sizes:?} {transposed:?} {beta}");
        }
        let tall = [3 * ROWS + 1, 9, 5];
        let wide = [3, 2, COLUMNS + 70];
        let deep = [7, 2 * DEPTH + 3, 33];
        for sizes in [
            [1, 1, 1],
            [6, 8, 32],
            [7, 5, 33],
            [13, 70, 131],
            tall,
            wide,
            deep,
        ] {
            for transposed in [[false, false], [false, true], [true, false], [true, true]] {
                for beta in [0.0, 1.0, -2.0] {
                    run::<f32>(sizes, transposed, beta);
                    run::<f64>(sizes, transposed, beta);
                }
            }
        }
    }

    #[test]
    fn threads_change_no_bit() {
        let (m, k, n) = (201, 300, 190);
        assert!(m * k * n > SERIAL_BELOW);
        let a: Vec<f32> = (0..m * k).map(|i| (i as f32).sin()).collect();
        let b: Vec<f32> = (0..k * n).map(|i| (i as f32).cos()).collect();
        for transposed in [false, true] {
            let view = |a| match transposed {
                true => Matrix::new(a, k, m).t(),
                false => Matrix::new(a, m, k),
            };
            let b = Matrix::new(&b, k, n);
            let mut whole = vec![1.0; m * n];
            gemm(view(&a), b, 1.0, &mut whole);
            for cut in [1, 7, 100, 200] {
                let mut bands = vec![1.0; m * n];
                let (top, bottom) = bands.split_at_mut(cut * n);
                gemm(view(&a).part(0..cut, 0..k), b, 1.0, top);
                gemm(view(&a).part(cut..m, 0..k), b, 1.0, bottom);
                assert!(whole == bands, "transposed {transposed}, cut at {cut}");
            }
        }
    }

    #[test]
    fn products_that_take_time_are_cut_into_bands() {
        let data = vec![0.0_f32; 1 << 16];
        let rows = SERIAL_BELOW >> 16;
        let a = |rows| Matrix::new(&data[..rows << 8], rows, 1 << 8);
        assert!(!is_small(a(rows), 1 << 8));
        assert!(is_small(a(rows - 1), 1 << 8));
        let bands = |a| {
            let (seen, mut out) = (std::sync::Mutex::new(0), vec![0.0; rows << 8]);
            in_bands(a, 1 << 8, &mut out, |_, _| *seen.lock().unwrap() += 1);
            seen.into_inner().unwrap()
        };
        assert_eq!(bands(a(rows)), parallel::threads());
    }

    #[test]
    fn zeros_that_fill_up_a_tile_meet_no_infinity() {
        let mut out = [f32::NAN; 1];
        gemm(
            Matrix::new(&[1.0, 2.0], 1, 2),
            Matrix::new(&[f32::INFINITY, 1.0], 2, 1),
            0.0,
            &mut out,
        );
        assert_eq!(out, [f32::INFINITY]);
    }

    /// What a product uses beside its operands goes back to the pool of the thread.
    #[test]
    fn a_second_product_of_the_same_size_makes_no_buffer() {
        let data: Vec<f32> = (0..1 << 12).map(|i| i as f32).collect();
        let square = Matrix::new(&data, 1 << 6, 1 << 6);
        let mut out = vec![0.0; 1 << 12];
        let mut pooled = || {
            gemm(square, square.t(), 0.0, &mut out);
            crate::pooled_bytes::<f32>()
        };
        let first = pooled();
        assert!(first > 0);
        assert_eq!(pooled(), first);
    }

    #[test]
    fn beta_one_accumulates() {
        let mut out = [10.0_f32];
        gemm(
            Matrix::new(&[2.0], 1, 1),
            Matrix::new(&[3.0], 1, 1),
            1.0,
            &mut out,
        );
        assert_eq!(out, [16.0]);
    }

    #[test]
    fn an_empty_inner_dimension_gives_zeros() {
        let (a, b) = (Matrix::new(&[], 2, 0), Matrix::new(&[], 0, 2));
        let mut out = [f32::NAN; 4];
        gemm(a, b, 0.0, &mut out);
        assert_eq!(out, [0.0; 4]);
        out.fill(f32::NAN);
        Packed::new(b).gemm(a, 0.0, &mut out);
        assert_eq!(out, [0.0; 4]);
        out.fill(3.0);
        gemm(a, b, 2.0, &mut out);
        assert_eq!(out, [6.0; 4]);
        Packed::new(b).gemm(a, 2.0, &mut out);
        assert_eq!(out, [12.0; 4]);
    }

    #[test]
    #[should_panic(expected = "cannot multiply [1, 2] by [1, 2]")]
    fn inner_dimensions_must_agree_with_a_packed_matrix() {
        let m = Matrix::new(&[1.0_f32, 2.0], 1, 2);
        Packed::new(m).gemm(m, 0.0, &mut [0.0; 4]);
    }

    #[test]
    #[should_panic(expected = "cannot multiply [1, 2] by [1, 2]")]
    fn inner_dimensions_must_agree() {
        let m = Matrix::new(&[1.0_f32, 2.0], 1, 2);
        gemm(m, m, 0.0, &mut [0.0; 4]);
    }

    #[test]
    #[should_panic(expected = "the product is [2, 2], but the output has 3 elements")]
    fn the_output_must_have_the_size_of_the_product() {
        let m = Matrix::new(&[1.0_f32, 2.0], 1, 2);
        gemm(m.t(), m, 0.0, &mut [0.0; 3]);
    }

    #[test]
    #[should_panic(expected = "rows 0..1 and columns 1..3 are not inside a 1 x 2 matrix")]
    fn a_part_must_be_inside() {
        let _ = Matrix::new(&[1.0_f32, 2.0], 1, 2).part(0..1, 1..3);
    }

    #[test]
    #[should_panic(expected = "a 2 x 2 matrix needs 4 elements, but the slice has 3")]
    fn a_matrix_must_fit_its_slice() {
        let _ = Matrix::new(&[1.0_f32; 3], 2, 2);
    }
}
