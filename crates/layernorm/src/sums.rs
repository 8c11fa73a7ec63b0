//! Several sums in one pass over a row.

use tape::Real;
use tape::lanes::{LANES, fold};

// ANCHOR: sums
/// `Σ f(aᵢ, bᵢ, cᵢ)` for an `f` that returns K numbers: K sums in one pass over three
/// slices of equal length. In lanes, like [`tape::lanes::sum_map`].
#[inline(always)]
pub(crate) fn sums<T: Real, const K: usize>(
    a: &[T],
    b: &[T],
    c: &[T],
    f: impl Fn(T, T, T) -> [T; K],
) -> [T; K] {
    let mut acc = [[T::ZERO; LANES]; K];
    let mut add = |lane: usize, terms: [T; K]| {
        for k in 0..K {
            acc[k][lane] += terms[k];
        }
    };
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let (c, c_rest) = c.as_chunks::<LANES>();
    for ((a, b), c) in a.iter().zip(b).zip(c) {
        for lane in 0..LANES {
            add(lane, f(a[lane], b[lane], c[lane]));
        }
    }
    for (lane, ((&a, &b), &c)) in a_rest.iter().zip(b_rest).zip(c_rest).enumerate() {
        add(lane, f(a, b, c));
    }
    acc.map(fold)
}
// ANCHOR_END: sums

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sum_is_exact_on_integers() {
        for n in 0..100 {
            let a: Vec<f64> = (0..n).map(f64::from).collect();
            let (b, c) = (vec![2.0; a.len()], vec![3.0; a.len()]);
            let (n, sum) = (f64::from(n), f64::from(n * (n - 1) / 2));
            let got = sums(&a, &b, &c, |a, b, c| [a * b + 1.0, a - c, c]);
            assert_eq!(got, [2.0 * sum + n, sum - 3.0 * n, 3.0 * n], "{n} elements");
        }
    }
}
