//! Several sums in one pass over a row.

use tape::Real;
use tape::lanes::{LANES, fold};

/// Elements of a row whose sum is kept in the type of its terms. A chain of more additions would
/// lose digits: in `f32` the sum of a million equal numbers would be wrong in its fifth.
pub(crate) const BLOCK: usize = 4096;

/// K sums in one pass over S slices of equal length: `Σ f([aᵢ, bᵢ, …])`, for an `f` that
/// returns K numbers. In lanes, like [`tape::lanes::sum_map`], as far as a block goes; the sums of
/// blocks are added up in `f64`.
#[inline(always)]
pub(crate) fn sums<T: Real, A: Real, const S: usize, const K: usize>(
    slices: [&[T]; S],
    f: impl Fn([T; S]) -> [A; K],
) -> [A; K] {
    let length = slices[0].len();
    let mut sums = [A::ZERO; K];
    // Loops, since `map` of an array may not be inlined.
    if length <= BLOCK {
        let lanes = lane_sums(slices, f);
        for k in 0..K {
            sums[k] = fold(lanes[k]);
        }
        return sums;
    }
    let mut totals = [A::Wide::ZERO; K];
    for start in (0..length).step_by(BLOCK) {
        let end = length.min(start + BLOCK);
        let lanes = lane_sums(slices.map(|slice| &slice[start..end]), &f);
        for k in 0..K {
            totals[k] += fold(lanes[k]).widen();
        }
    }
    for k in 0..K {
        sums[k] = A::narrow(totals[k]);
    }
    sums
}

/// Those of a block, before the lanes are added up.
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
    fn the_digits_of_a_sum_do_not_depend_on_its_length() {
        for n in [100, BLOCK, 1 << 20] {
            let [sum] = sums([&vec![0.1_f32; n]], |[a]| [a]);
            let exact = f64::from(0.1_f32) * n as f64;
            let off = f64::from(sum) / exact - 1.0;
            assert!(off.abs() < 1e-6, "{n} terms: {off}");
        }
    }

    #[test]
    fn every_sum_is_exact_on_integers() {
        for n in (0..100).chain([4095, 4096, 4097, 12_289]) {
            let a: Vec<f64> = (0..n).map(f64::from).collect();
            let (b, c) = (vec![2.0; a.len()], vec![3.0; a.len()]);
            let (n, sum) = (f64::from(n), f64::from(n * (n - 1) / 2));
            let got = sums([&a, &b, &c], |[a, b, c]| [a * b + 1.0, a - c, c]);
            assert_eq!(got, [2.0 * sum + n, sum - 3.0 * n, 3.0 * n], "{n} elements");
        }
    }
}
