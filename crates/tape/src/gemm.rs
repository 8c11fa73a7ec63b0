//! Matrix products: one of the two modules with `unsafe` in it.
//!
//! `matrixmultiply` takes raw pointers and strides. The calls check, right before, that
//! every element the strides can reach lies inside the slice and that the output has
//! the size of the product, in arithmetic that cannot wrap; they rely on nothing else.
#![allow(unsafe_code)]

use std::iter::Sum;
use std::ops::{Add, Mul, Range};

use crate::elements;
use crate::parallel::{self, Split};

/// Multiplications below which a product stays on the calling thread: fewer are done
/// in well under a millisecond.
const SERIAL_BELOW: usize = 1 << 23;

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

impl<'a, T> Matrix<'a, T> {
    /// A row-major `rows × cols` matrix.
    ///
    /// # Panics
    /// If `data.len()` is not `rows * cols`, or that is more than
    /// [`MAX_ELEMENTS`](crate::MAX_ELEMENTS).
    #[track_caller]
    pub fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        let needed = elements(&[rows, cols]);
        assert_eq!(
            data.len(),
            needed,
            "a {rows} x {cols} matrix needs {needed} elements, but the slice has {}",
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

    /// The rows in `range`, as a matrix of their own.
    ///
    /// # Panics
    /// If they are not inside.
    #[track_caller]
    pub fn rows(self, range: Range<usize>) -> Self {
        assert!(
            range.start <= range.end && range.end <= self.rows,
            "rows {range:?} are not inside a {} x {} matrix",
            self.rows,
            self.cols
        );
        let data = &self.data[(range.start * self.row_stride).min(self.data.len())..];
        Matrix {
            data,
            rows: range.len(),
            ..self
        }
    }

    /// The columns in `range`, as a matrix of their own.
    ///
    /// # Panics
    /// If they are not inside.
    #[track_caller]
    pub fn columns(self, range: Range<usize>) -> Self {
        assert!(
            range.start <= range.end && range.end <= self.cols,
            "columns {range:?} are not inside a {} x {} matrix",
            self.rows,
            self.cols
        );
        self.t().rows(range).t()
    }

    /// Whether every element that the strides can reach lies in the slice.
    fn is_inside(&self) -> bool {
        let (Some(i), Some(j)) = (self.rows.checked_sub(1), self.cols.checked_sub(1)) else {
            return true;
        };
        let (down, right) = (
            i.checked_mul(self.row_stride),
            j.checked_mul(self.col_stride),
        );
        let farthest = down
            .zip(right)
            .and_then(|(down, right)| down.checked_add(right));
        farthest.is_some_and(|farthest| farthest < self.data.len())
    }

    /// The distances in memory between rows and between columns, as the kernel takes them.
    fn strides(&self) -> [isize; 2] {
        [self.row_stride, self.col_stride]
            .map(|stride| isize::try_from(stride).expect("no more than the largest slice"))
    }

    /// Element `(i, j)`.
    fn at(&self, i: usize, j: usize) -> T
    where
        T: Copy,
    {
        self.data[i * self.row_stride + j * self.col_stride]
    }

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
pub fn gemm<T: Gemm>(a: Matrix<'_, T>, b: Matrix<'_, T>, beta: T, out: &mut [T]) {
    gemm_columns(a, b, beta, out, b.cols, 0);
}

/// [`gemm`] into some columns of a wider array: those from column `at` of rows of `width`
/// elements.
///
/// # Panics
/// If the inner dimensions differ, or `out` has the wrong length or width.
#[track_caller]
pub fn gemm_columns<T: Gemm>(
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    beta: T,
    out: &mut [T],
    width: usize,
    at: usize,
) {
    assert_eq!(
        a.cols, b.rows,
        "cannot multiply [{}, {}] by [{}, {}]: the inner dimensions must agree",
        a.rows, a.cols, b.rows, b.cols
    );
    assert!(
        at.checked_add(b.cols).is_some_and(|end| end <= width),
        "the product has {} columns; there are not as many from column {at} of {width}",
        b.cols
    );
    assert_eq!(
        out.len(),
        elements(&[a.rows, width]),
        "the product is [{}, {}], but the output has {} elements",
        a.rows,
        b.cols,
        out.len()
    );
    if out.is_empty() || b.cols == 0 {
        return;
    }
    let elements = if is_small(a, b) { 0 } else { usize::MAX };
    let out = parallel::rows(out, width);
    parallel::for_each_part(a.rows, elements, out, |rows, out| {
        T::call(a.rows(rows), b, beta, &mut out.slices()[at..], width);
    });
}
// ANCHOR_END: gemm

/// Whether `a · b` is too little work to wake a thread for.
fn is_small<T>(a: Matrix<'_, T>, b: Matrix<'_, T>) -> bool {
    let work = a.rows.saturating_mul(a.cols).saturating_mul(b.cols);
    work < SERIAL_BELOW
}

// ANCHOR: kernel
/// Types that may have a kernel of `matrixmultiply`; the others multiply by the definition.
pub trait Gemm:
    Copy + Send + Sync + Default + PartialEq + Sum + Add<Output = Self> + Mul<Output = Self>
{
    /// The product into rows that lie `width` elements apart, shapes already checked.
    #[doc(hidden)]
    fn call(a: Matrix<'_, Self>, b: Matrix<'_, Self>, beta: Self, out: &mut [Self], width: usize) {
        assert!(a.cols == b.rows && b.cols <= width);
        assert!(out.chunks(width).len() == a.rows);
        for (i, row) in out.chunks_mut(width).enumerate() {
            for (j, out) in row[..b.cols].iter_mut().enumerate() {
                let sum: Self = (0..a.cols).map(|k| a.at(i, k) * b.at(k, j)).sum();
                // Where beta is 0, `out` may be NaN.
                *out = if beta == Self::default() {
                    sum
                } else {
                    sum + beta * *out
                };
            }
        }
    }
}

macro_rules! gemm {
    ($t:ident, $kernel:path) => {
        impl Gemm for $t {
            fn call(a: Matrix<'_, $t>, b: Matrix<'_, $t>, beta: $t, out: &mut [$t], width: usize) {
                // These hold by construction; checking them here keeps the argument local.
                assert!(a.is_inside() && b.is_inside() && a.cols == b.rows);
                let written = Matrix {
                    data: &*out,
                    rows: a.rows,
                    cols: b.cols,
                    row_stride: width,
                    col_stride: 1,
                };
                assert!(written.is_inside() && b.cols <= width);
                // The kernel copies its right-hand matrix as a whole before it starts, and
                // the left-hand one a few rows at a time, which are still in the nearest
                // cache when they are used. So the larger one stands on the left: outᵀ =
                // bᵀ aᵀ is the same product, and every element the same sum.
                let (a, b, [out_down, out_right]) = if a.rows < b.cols {
                    (b.t(), a.t(), written.t().strides())
                } else {
                    (a, b, written.strides())
                };
                let ([a_down, a_right], [b_down, b_right]) = (a.strides(), b.strides());
                // SAFETY: the farthest element that the strides of `a`, `b` and `out` can
                // reach lies inside their slices (`is_inside`, of a matrix and of its
                // transpose alike), so every read and write is in bounds; if there is none
                // to reach, nothing is read or written. No row of `out` reaches into the
                // next one (`width`), so no element is written twice. `out` is a unique
                // borrow, so it overlaps neither input. No product here has wrapped, and no
                // stride has changed its value as an `isize`.
                unsafe {
                    $kernel(
                        a.rows,
                        a.cols,
                        b.cols,
                        1.0,
                        a.data.as_ptr(),
                        a_down,
                        a_right,
                        b.data.as_ptr(),
                        b_down,
                        b_right,
                        beta,
                        out.as_mut_ptr(),
                        out_down,
                        out_right,
                    );
                }
            }
        }
    };
}

gemm!(f32, matrixmultiply::sgemm);
gemm!(f64, matrixmultiply::dgemm);
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
    #[should_panic(expected = "rows 1..4 are not inside a 3 x 2 matrix")]
    fn rows_must_be_inside() {
        let _ = Matrix::new(&[0.0; 6], 3, 2).rows(1..4);
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

    #[test]
    fn a_product_goes_into_columns_of_a_wider_array() {
        fn check<T: crate::Real>(m: usize) {
            let (k, n, width, at) = (4, 3, 9, 2);
            let number = |i: usize| T::from_usize(i % 7);
            let a: Vec<T> = (0..m * 2 * k).map(number).collect();
            let b: Vec<T> = (0..k * n).map(number).collect();
            // The inputs too may be columns of something wider.
            let left = Matrix::new(&a, m, 2 * k).columns(3..3 + k);
            let right = Matrix::new(&b, k, n);
            let mut plain = vec![T::ZERO; m * n];
            gemm(left, right, T::ZERO, &mut plain);
            let mut inside = vec![T::ONE; m * width];
            gemm_columns(left, right, T::ONE, &mut inside, width, at);
            for (i, x) in inside.into_iter().enumerate() {
                let (row, col) = (i / width, (i % width).wrapping_sub(at));
                let product = if col < n {
                    plain[row * n + col]
                } else {
                    T::ZERO
                };
                assert_eq!(x, T::ONE + product, "element {i}");
            }
            let by_hand: T = (0..k).map(|p| a[3 + p] * b[p * n]).sum();
            assert_eq!(plain[0], by_hand);
        }
        // More rows than columns, and fewer: the kernel is called the other way round.
        for m in [2, 5] {
            check::<f32>(m);
            check::<f64>(m);
        }
    }

    #[test]
    #[should_panic(
        expected = "the product has 2 columns; there are not as many from column 2 of 3"
    )]
    fn the_columns_of_the_product_must_fit() {
        let m = Matrix::new(&[1.0_f32; 4], 2, 2);
        gemm_columns(m, m, 0.0, &mut [0.0; 6], 3, 2);
    }

    #[test]
    #[should_panic(expected = "columns 1..3 are not inside a 3 x 2 matrix")]
    fn columns_must_be_inside() {
        let _ = Matrix::new(&[0.0; 6], 3, 2).columns(1..3);
    }

    #[test]
    fn threads_change_no_bit() {
        let (m, k, n) = (201, 300, 190);
        assert!(m * k * n > SERIAL_BELOW);
        let a: Vec<f32> = (0..m * k).map(|i| (i as f32).sin()).collect();
        let b: Vec<f32> = (0..k * n).map(|i| (i as f32).cos()).collect();
        for transposed in [false, true] {
            let view = |a| {
                if transposed {
                    Matrix::new(a, k, m).t()
                } else {
                    Matrix::new(a, m, k)
                }
            };
            let mut whole = vec![1.0; m * n];
            f32::call(view(&a), Matrix::new(&b, k, n), 1.0, &mut whole, n);
            for cut in [1, 7, 100, 200] {
                let mut bands = vec![1.0; m * n];
                let (top, bottom) = bands.split_at_mut(cut * n);
                f32::call(view(&a).rows(0..cut), Matrix::new(&b, k, n), 1.0, top, n);
                f32::call(view(&a).rows(cut..m), Matrix::new(&b, k, n), 1.0, bottom, n);
                assert!(whole == bands, "transposed {transposed}, cut at {cut}");
            }
            let mut threaded = vec![1.0; m * n];
            gemm(view(&a), Matrix::new(&b, k, n), 1.0, &mut threaded);
            assert!(whole == threaded);
        }
    }

    #[test]
    fn products_that_take_time_are_cut_into_bands() {
        let data = vec![0.0_f32; 1 << 16];
        let b = Matrix::new(&data, 1 << 8, 1 << 8);
        let rows = SERIAL_BELOW >> 16;
        let a = |rows| Matrix::new(&data[..rows << 8], rows, 1 << 8);
        assert!(!is_small(a(rows), b));
        assert!(is_small(a(rows - 1), b));
    }

    #[test]
    fn a_matrix_that_reaches_beyond_its_slice_is_noticed() {
        let data = [0.0_f32; 6];
        let fits = Matrix::new(&data, 2, 3);
        let inside = |m: Matrix<'_, f32>| [m.is_inside(), m.t().is_inside()];
        assert_eq!(inside(fits), [true; 2]);
        assert_eq!(inside(Matrix { rows: 3, ..fits }), [false; 2]);
        assert_eq!(inside(Matrix { cols: 4, ..fits }), [false; 2]);
        let one_column = Matrix {
            rows: 3,
            cols: 1,
            ..fits
        };
        assert_eq!(inside(one_column), [false; 2]);
        let empty = Matrix { cols: 0, ..fits };
        assert_eq!(inside(Matrix { rows: 9, ..empty }), [true; 2]);
        // Products and sums that wrap to a number inside.
        let half = 1 << (usize::BITS / 2);
        let wraps = Matrix {
            rows: half + 1,
            row_stride: half,
            ..fits
        };
        assert_eq!(inside(wraps), [false; 2]);
        let wraps = Matrix {
            rows: 2,
            row_stride: usize::MAX,
            ..fits
        };
        assert_eq!(inside(wraps), [false; 2]);
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
        let mut out = [f32::NAN; 4];
        gemm(
            Matrix::new(&[], 2, 0),
            Matrix::new(&[], 0, 2),
            0.0,
            &mut out,
        );
        assert_eq!(out, [0.0; 4]);
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
    #[should_panic(expected = "a 2 x 2 matrix needs 4 elements, but the slice has 3")]
    fn a_matrix_must_fit_its_slice() {
        let _ = Matrix::new(&[1.0_f32; 3], 2, 2);
    }
}
