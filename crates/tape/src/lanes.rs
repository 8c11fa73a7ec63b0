//! Loops that vectorize: element by element, and sums kept in [`LANES`] independent
//! accumulators. They are inlined into kernels, which are compiled for several instruction sets
//! ([`vectorized`](vectorized::vectorized)).
//!
//! Floating-point addition is not associative, so a compiler may not reorder
//! `iter().sum()`: it stays one long chain of dependent additions. With an array of
//! accumulators the order is ours, fixed in the source, and the compiler turns the
//! array into vector registers. The result does not depend on the machine: the order
//! of additions is the same whatever the width of a register, and no step fuses a
//! multiplication with an addition.

use std::array;

use crate::Real;

/// How many partial sums run side by side.
pub const LANES: usize = 32;

/// A chunk that is not whole, filled up. A loop of as many turns as there are elements would have
/// the compiler keep the lanes in registers of one number each, here and before.
#[inline(always)]
pub fn padded<T: Real>(rest: &[T]) -> [T; LANES] {
    let mut chunk = [T::ZERO; LANES];
    chunk[..rest.len()].copy_from_slice(rest);
    chunk
}

/// The term of an element that is there, or else 0, which changes no bit of a sum: these begin
/// with 0, and so are never −0.
#[inline(always)]
pub fn if_there<T: Real>(is_there: bool, term: T) -> T {
    if is_there { term } else { T::ZERO }
}

/// `Σ f(i)` over the elements of `x`, which lie side by side in memory.
#[inline(always)]
pub fn sum_map<T: Real>(x: &[T], f: impl Fn(T) -> T) -> T {
    let mut acc = [T::ZERO; LANES];
    let mut chunks = x.chunks_exact(LANES);
    for chunk in &mut chunks {
        for lane in 0..LANES {
            acc[lane] += f(chunk[lane]);
        }
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let padded = padded(rest);
        for lane in 0..LANES {
            acc[lane] += if_there(lane < rest.len(), f(padded[lane]));
        }
    }
    fold(acc)
}

/// `Σ f(aᵢ, bᵢ)` over two slices of equal length.
///
/// # Panics
/// If the lengths differ.
#[inline(always)]
#[track_caller]
pub fn sum_map2<T: Real>(a: &[T], b: &[T], f: impl Fn(T, T) -> T) -> T {
    assert_eq!(
        a.len(),
        b.len(),
        "a sum over pairs needs two slices of one length"
    );
    let mut acc = [T::ZERO; LANES];
    let mut a_chunks = a.chunks_exact(LANES);
    let mut b_chunks = b.chunks_exact(LANES);
    for (x, y) in (&mut a_chunks).zip(&mut b_chunks) {
        for lane in 0..LANES {
            acc[lane] += f(x[lane], y[lane]);
        }
    }
    let (a_rest, b_rest) = (a_chunks.remainder(), b_chunks.remainder());
    if !a_rest.is_empty() {
        let (x, y) = (padded(a_rest), padded(b_rest));
        for lane in 0..LANES {
            acc[lane] += if_there(lane < a_rest.len(), f(x[lane], y[lane]));
        }
    }
    fold(acc)
}

/// `Σ xᵢ`.
#[inline(always)]
pub fn sum<T: Real>(x: &[T]) -> T {
    sum_map(x, |v| v)
}

/// `Σ aᵢ bᵢ`.
///
/// # Panics
/// If the lengths differ.
#[inline(always)]
#[track_caller]
pub fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    sum_map2(a, b, |x, y| x * y)
}

/// Adds the lanes pairwise: log₂(LANES) rounds, so rounding errors stay small. Each round is an
/// array of its own, which a compiler makes a vector of half the width; in a loop over one array
/// it takes the lanes apart.
#[inline(always)]
pub fn fold<T: Real>(lanes: [T; LANES]) -> T {
    let lanes: [T; LANES / 2] = array::from_fn(|lane| lanes[lane] + lanes[lane + LANES / 2]);
    let lanes: [T; LANES / 4] = array::from_fn(|lane| lanes[lane] + lanes[lane + LANES / 4]);
    let lanes: [T; LANES / 8] = array::from_fn(|lane| lanes[lane] + lanes[lane + LANES / 8]);
    let [a, b, c, d] = lanes;
    (a + c) + (b + d)
}

/// Whether one of the lanes over which squares were added up holds more than a quarter of
/// them: a few values are far larger than all others. Every sum in such a lane is rounded
/// to the digits of these values, which is coarse for the others.
#[inline(always)]
pub fn lopsided<T: Real>(squares: &[T; LANES]) -> bool {
    let quarter = fold(*squares) * T::from_f64(0.25);
    // The largest in rounds, as a sum is: vectors of each width, where a count goes lane by lane.
    let mut largest = *squares;
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            let other = largest[lane + width];
            if other > largest[lane] {
                largest[lane] = other;
            }
        }
        width /= 2;
    }
    largest[0] > quarter
}

/// The largest element, NaN if there is one, and −∞ if there is none: in lanes as well, for a
/// chain of comparisons waits as a chain of additions does.
#[inline(always)]
pub fn max<T: Real>(x: &[T]) -> T {
    let mut acc = [T::NEG_INFINITY; LANES];
    let mut chunks = x.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (m, &v) in acc.iter_mut().zip(chunk) {
            *m = m.max(v);
        }
    }
    for (m, &v) in acc.iter_mut().zip(chunks.remainder()) {
        *m = m.max(v);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            acc[lane] = acc[lane].max(acc[lane + width]);
        }
        width /= 2;
    }
    acc[0]
}

/// `y = f(x)`, element by element; as many as the shorter slice has, as in all of these.
#[inline(always)]
pub fn map<T: Real>(y: &mut [T], x: &[T], f: impl Fn(T) -> T) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = f(x);
    }
}

/// `y = f(y)`.
#[inline(always)]
pub fn map_assign<T: Real>(y: &mut [T], f: impl Fn(T) -> T) {
    for y in y {
        *y = f(*y);
    }
}

/// `y = f(a, b)`.
#[inline(always)]
pub fn zip<T: Real>(y: &mut [T], a: &[T], b: &[T], f: impl Fn(T, T) -> T) {
    for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
        *y = f(a, b);
    }
}

/// `y = f(y, x)`.
#[inline(always)]
pub fn zip_assign<T: Real>(y: &mut [T], x: &[T], f: impl Fn(T, T) -> T) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = f(*y, x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_every_length_are_exact_on_integers() {
        for n in 0..200 {
            let x: Vec<f64> = (0..n).map(f64::from).collect();
            let expected = f64::from(n * (n - 1) / 2);
            assert_eq!(sum(&x), expected);
            assert_eq!(dot(&x, &vec![2.0; x.len()]), 2.0 * expected);
            assert_eq!(sum_map(&x, |v| v + 1.0), expected + f64::from(n));
        }
    }

    #[test]
    fn finds_the_largest_at_every_place_of_a_row() {
        for n in 1..=2 * LANES + 3 {
            for place in 0..n {
                let mut row = vec![-2.0_f32; n];
                row[place] = -1.0;
                assert_eq!(max(&row), -1.0, "{place} of {n}");
                row[place] = f32::NAN;
                assert!(max(&row).is_nan(), "{place} of {n}");
            }
        }
        assert_eq!(max::<f64>(&[]), f64::NEG_INFINITY);
    }

    #[test]
    #[should_panic(expected = "a sum over pairs needs two slices of one length")]
    fn pairs_are_complete() {
        dot(&[1.0; 3], &[1.0; 2]);
    }

    #[test]
    fn one_lane_of_many_squares_is_lopsided() {
        let mut squares = [1.0_f32; LANES];
        assert!(!lopsided(&squares) && !lopsided(&[0.0_f32; LANES]));
        squares[7] = 10.0;
        assert!(!lopsided(&squares));
        squares[7] = 11.0;
        assert!(lopsided(&squares));
    }

    #[test]
    fn lanes_lose_less_than_one_long_chain() {
        let x = vec![0.1_f32; 1 << 20];
        let exact = f64::from(0.1_f32) * f64::from(1 << 20);
        let error = |s: f32| (f64::from(s) - exact).abs() / exact;
        assert!(error(sum(&x)) < error(x.iter().sum()) / 10.0);
    }
}
