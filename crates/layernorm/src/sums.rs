//! Several sums in one pass over a row.

use tape::Real;
use tape::lanes::{LANES, fold};

/// K sums in one pass over S slices of equal length: `Σ f([aᵢ, bᵢ, …])`, for an `f` that
/// returns K numbers, and kept in the type of these. In lanes, like
/// [`tape::lanes::sum_map`].
#[inline(always)]
pub(crate) fn sums<T: Real, A: Real, const S: usize, const K: usize>(
    slices: [&[T]; S],
    f: impl Fn([T; S]) -> [A; K],
) -> [A; K] {
    let lanes = lane_sums(slices, f);
    let mut sums = [A::ZERO; K];
    // A loop, since `map` of an array may not be inlined.
    for k in 0..K {
        sums[k] = fold(lanes[k]);
    }
    sums
}

/// The same before the lanes are added up.
#[inline(always)]
pub(crate) fn lane_sums<T: Real, A: Real, const S: usize, const K: usize>(
    slices: [&[T]; S],
    f: impl Fn([T; S]) -> [A; K],
) -> [[A; LANES]; K] {
    let mut acc = [[A::ZERO; LANES]; K];
    let mut add = |lane: usize, terms: [A; K]| {
        for k in 0..K {
            acc[k][lane] += terms[k];
        }
    };
    let whole = slices[0].len() / LANES;
    let chunks = slices.map(|slice| &slice.as_chunks::<LANES>().0[..whole]);
    for i in 0..whole {
        for lane in 0..LANES {
            add(lane, f(chunks.map(|chunks| chunks[i][lane])));
        }
    }
    let rests = slices.map(|slice| &slice[whole * LANES..]);
    for lane in 0..rests[0].len() {
        add(lane, f(rests.map(|rest| rest[lane])));
    }
    acc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sum_is_exact_on_integers() {
        for n in 0..100 {
            let a: Vec<f64> = (0..n).map(f64::from).collect();
            let (b, c) = (vec![2.0; a.len()], vec![3.0; a.len()]);
            let (n, sum) = (f64::from(n), f64::from(n * (n - 1) / 2));
            let got = sums([&a, &b, &c], |[a, b, c]| [a * b + 1.0, a - c, c]);
            assert_eq!(got, [2.0 * sum + n, sum - 3.0 * n, 3.0 * n], "{n} elements");
        }
    }
}
