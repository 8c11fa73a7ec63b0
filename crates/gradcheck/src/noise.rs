//! How much of a function's output is rounding noise: measured, not guessed.
//!
//! A rule such as "2⁻⁵³ times the output" is wrong by 10⁴ for a normalization fed with
//! inputs near 10⁴, because the subtraction of the mean loses four digits. So the noise
//! is measured, after Moré and Wild ("Estimating computational noise", 2011): evaluate
//! the function at equally spaced points so close together that a smooth function is a
//! low polynomial to within rounding. High differences of the values then hold noise
//! alone. If the noise has variance `s²`, a fifth difference has variance
//! `(1 + 25 + 100 + 100 + 25 + 1) · s² = 252 s²`, a third difference `20 s²`.
//!
//! How close is close? Of noise, third and fifth differences give the same deviation; of
//! what is left of a smooth function, the third give a much larger one. Then the points
//! are moved closer. They start wide, because a value that passed through a coarser one
//! changes in jumps, and no noise shows between two jumps.
//!
//! Equal spacing has a price. Where a value inside moves at each step by nearly a whole
//! number of units in its last place, its rounding errors lie on a line but for a jump now
//! and then, and most differences show none of them. One stride in five is of that kind. So
//! there are three walks with strides of their own, of which the mean is taken. Where all
//! noise is one rounding, all three miss it in one case of a hundred.

use crate::scale::power_of_two;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::array;

/// The widest distance of two points, as a share of the input's scale.
const SPACING: f64 = 1.0 / (1u64 << 16) as f64;
/// How much closer the points move at each of the attempts that follow.
const CLOSER: f64 = 64.0;
const ATTEMPTS: usize = 4;
/// Deviations from third and fifth differences that differ by less are those of noise.
const AGREE: f64 = 8.0;
/// How many rows of points.
const WALKS: usize = 4;
/// Rows of Pascal's triangle, with alternating signs.
const THIRD: [f64; 4] = [-1.0, 3.0, -3.0, 1.0];
const FIFTH: [f64; 6] = [-1.0, 5.0, -10.0, 10.0, -5.0, 1.0];

/// How exactly the points lie where they should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Positions {
    /// Each is a number of the machine.
    Exact,
    /// Each is rounded to one.
    Rounded,
}

/// The standard deviation of the rounding noise of each output of `f` near `inputs`.
///
/// `scales[i]` holds the scale of each element of `inputs[i]`, `eps` the machine epsilon of the
/// arithmetic inside `f` (2⁻⁵² for `f64`, 2⁻²³ for `f32`). Never less than half a unit in the last
/// place of the output. Costs four times `points` evaluations, whatever the number of
/// inputs, and as many again where the points must move closer. The more points, the surer:
/// with 16 a walk may be off by half, with 32 by a quarter.
pub fn measure(
    f: &dyn Fn(&[Vec<f64>]) -> Vec<f64>,
    inputs: &[Vec<f64>],
    scales: &[Vec<f64>],
    eps: f64,
    points: usize,
    positions: Positions,
    seed: u64,
) -> Vec<f64> {
    let rng = &mut StdRng::seed_from_u64(seed ^ 0x6e6f_6973);
    let walks: [Vec<f64>; WALKS] =
        array::from_fn(|_| one_walk(f, inputs, scales, eps, points, positions, rng));
    let mean = |i: usize| {
        // Divided by the largest first: squares leave the range of numbers.
        let largest = walks
            .iter()
            .map(|noise| noise[i])
            .fold(f64::MIN_POSITIVE, f64::max);
        let squares = walks.iter().map(|noise| (noise[i] / largest).powi(2));
        largest * (squares.sum::<f64>() / WALKS as f64).sqrt()
    };
    (0..walks[0].len()).map(mean).collect()
}

/// The same from one row of points, moved closer until differences show nothing but noise.
fn one_walk(
    f: &dyn Fn(&[Vec<f64>]) -> Vec<f64>,
    inputs: &[Vec<f64>],
    scales: &[Vec<f64>],
    eps: f64,
    points: usize,
    positions: Positions,
    rng: &mut StdRng,
) -> Vec<f64> {
    let mut spacing = SPACING * (eps / f64::EPSILON).powf(0.2);
    let mut noise: Vec<Option<f64>> = Vec::new();
    for attempt in 1..=ATTEMPTS {
        let strides = strides(inputs, scales, spacing, eps, positions, rng);
        let samples = walk(f, inputs, &strides, points);
        noise.resize(samples[0].len(), None);
        for (i, noise) in noise.iter_mut().enumerate().filter(|(_, n)| n.is_none()) {
            let third = deviation(&samples, i, &THIRD);
            let fifth = deviation(&samples, i, &FIFTH);
            // What is not finite lies beyond the edge of the domain: closer points may not.
            let within = samples.iter().all(|y| y[i].is_finite());
            if (within && third <= AGREE * fifth) || attempt == ATTEMPTS {
                let least = 0.5 * eps * samples[0][i].abs();
                *noise = Some(fifth.max(least));
            }
        }
        if noise.iter().all(Option::is_some) {
            break;
        }
        spacing /= CLOSER;
    }
    noise.into_iter().flatten().collect()
}

/// A random step for each element.
fn strides(
    inputs: &[Vec<f64>],
    scales: &[Vec<f64>],
    spacing: f64,
    eps: f64,
    positions: Positions,
    rng: &mut StdRng,
) -> Vec<Vec<f64>> {
    let mut stride = |(x, scale): (&f64, &f64)| {
        // At least some units in the last place, or the points would coincide.
        let length = spacing * scale + 16.0 * eps * x.abs();
        let sign = if rng.random::<bool>() { 1.0 } else { -1.0 };
        let stride = sign * length * rng.random_range(0.5..1.5);
        match positions {
            Positions::Rounded => stride,
            Positions::Exact => {
                // A multiple of the spacing of numbers as far as the walk may come.
                let grid = f64::EPSILON * power_of_two(x.abs() + 64.0 * length);
                (stride / grid).round() * grid
            }
        }
    };
    let both = inputs.iter().zip(scales);
    both.map(|(input, scales)| input.iter().zip(scales).map(&mut stride).collect())
        .collect()
}

/// The outputs at equally spaced points.
fn walk(
    f: &dyn Fn(&[Vec<f64>]) -> Vec<f64>,
    inputs: &[Vec<f64>],
    strides: &[Vec<f64>],
    points: usize,
) -> Vec<Vec<f64>> {
    let at = |k: usize| {
        let step = |(x, s): (&f64, &f64)| x + k as f64 * s;
        let both = inputs.iter().zip(strides);
        f(&both
            .map(|(x, s)| x.iter().zip(s).map(step).collect())
            .collect::<Vec<_>>())
    };
    // From 1, not 0: a kink at the point itself is left behind and never crossed.
    (1..=points).map(at).collect()
}

/// The deviation of output `i` that its differences show.
fn deviation(samples: &[Vec<f64>], i: usize, weights: &[f64]) -> f64 {
    let difference = |window: &[Vec<f64>]| {
        let terms = weights.iter().zip(window).map(|(w, y)| w * y[i]);
        terms.sum::<f64>().abs()
    };
    let mut sizes: Vec<f64> = samples.windows(weights.len()).map(difference).collect();
    // The median, because a kink among the points spoils the few windows that span it.
    // For a normal distribution it is 0.6745 standard deviations.
    let middle = sizes.len() / 2;
    let (_, median, _) = sizes.select_nth_unstable_by(middle, f64::total_cmp);
    let amplified = weights.iter().map(|w| w * w).sum::<f64>().sqrt();
    *median / (0.6745 * amplified)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPS: f64 = f64::EPSILON;

    fn of(f: impl Fn(f64) -> f64, x: f64, scale: f64) -> f64 {
        let f = |xs: &[Vec<f64>]| vec![f(xs[0][0])];
        measure(&f, &[vec![x]], &[vec![scale]], EPS, 32, Positions::Exact, 0)[0]
    }

    #[test]
    fn a_clean_function_has_half_a_unit_in_the_last_place() {
        let noise = of(|x| 3.0 * x, 1.1, 1.0);
        assert!((0.49..2.0).contains(&(noise / (EPS * 3.3))), "{noise:e}");
        assert_eq!(of(|_| -8.0, 1.0, 1.0), 4.0 * EPS);
        assert_eq!(of(|_| 0.0, 1.0, 1.0), 0.0);
    }

    #[test]
    fn digits_lost_inside_are_seen_outside() {
        for lost in [1e3, 1e6, 1e9] {
            let noise = of(|x| (x + lost) - lost, 1.1, 1.0);
            assert!(
                noise > 0.1 * EPS * lost && noise < EPS * lost,
                "{lost:e}: {noise:e}"
            );
        }
    }

    #[test]
    fn a_scale_that_is_far_too_large_is_corrected() {
        let noise = of(|x| (x - 1e4).tanh(), 1e4 + 0.5, 1e4);
        assert!(noise > 1e-17 && noise < 1e-15, "{noise:e}");
        let noise = of(|x| (1e3 * x).sin(), 1.0, 1.0);
        assert!(noise > 1e-14 && noise < 1e-12, "{noise:e}");
    }

    #[test]
    fn points_that_are_rounded_are_noise_and_exact_ones_are_not() {
        let f = |xs: &[Vec<f64>]| vec![(xs[0][0] - 1e4).tanh()];
        let noise =
            |positions| measure(&f, &[vec![1e4 + 0.5]], &[vec![1.0]], EPS, 32, positions, 0)[0];
        // Numbers near 1e4 are 1.8e-12 apart.
        let rounded = noise(Positions::Rounded);
        assert!(rounded > 1e-13 && rounded < 1e-12, "{rounded:e}");
        let exact = noise(Positions::Exact);
        assert!(exact < 1e-15, "{exact:e}");
    }

    /// The quotient is rounded to 2⁻⁵², and near 1 the logarithm adds next to nothing. One walk
    /// sees none of that from 340 seeds of 1000.
    #[test]
    fn rounding_that_lines_up_along_a_walk_is_seen_by_another() {
        let f = |xs: &[Vec<f64>]| vec![(xs[0][0] / 3.0).ln()];
        let noise = |seed| {
            measure(
                &f,
                &[vec![3.01]],
                &[vec![3.0]],
                EPS,
                16,
                Positions::Exact,
                seed,
            )[0]
        };
        let shares: Vec<f64> = (0..1000)
            .map(|seed| noise(seed) * 12f64.sqrt() / EPS)
            .collect();
        let unseen = shares.iter().filter(|&&share| share < 0.25).count();
        assert!(unseen <= 15, "{unseen}");
    }

    #[test]
    fn a_kink_among_the_points_is_no_noise() {
        let noise = of(|x| 2.0 + (x - 1.0001).max(0.0), 1.0, 1.0);
        assert!(noise < 1e-15, "{noise:e}");
        let noise = of(|x| 2.0 + (x - 0.9999).max(0.0), 1.0, 1.0);
        assert!(noise < 1e-15, "{noise:e}");
    }

    #[test]
    fn noise_of_single_precision_is_measured_as_such() {
        let f = |xs: &[Vec<f64>]| vec![f64::from((xs[0][0] as f32).exp())];
        let eps = f64::from(f32::EPSILON);
        let noise = measure(&f, &[vec![0.5]], &[vec![1.0]], eps, 32, Positions::Exact, 0)[0];
        assert!(noise > 0.2 * eps && noise < 4.0 * eps, "{noise:e}");
    }

    #[test]
    fn each_output_has_its_own() {
        let f = |xs: &[Vec<f64>]| vec![xs[0][0], (xs[0][0] + 1e8) - 1e8, f64::NAN];
        let noise = measure(&f, &[vec![1.1]], &[vec![1.0]], EPS, 16, Positions::Exact, 0);
        assert!(noise[0] < 1e-15 && noise[1] > 1e-9, "{noise:?}");
        assert!(noise.len() == 3);
    }
}
