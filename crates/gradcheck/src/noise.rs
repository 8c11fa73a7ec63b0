//! How much of a function's output is rounding noise: measured, not guessed.
//!
//! A rule such as "2⁻⁵³ times the output" is wrong by 10⁴ for a normalization fed with
//! inputs near 10⁴, because the subtraction of the mean loses four digits. So the noise
//! is measured, after Moré and Wild ("Estimating computational noise", 2011): evaluate
//! the function at equally spaced points so close together that a smooth function is a
//! polynomial of degree four to within rounding. Fifth differences of the values then
//! hold noise alone, and if the noise has variance `s²`, a fifth difference has variance
//! `(1 + 25 + 100 + 100 + 25 + 1) · s² = 252 s²`.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Their distance, as a share of the input's scale. Its fifth power is far below 2⁻⁵²,
/// yet it is wide enough for a value that passed through a coarser one to change.
const SPACING: f64 = 1.0 / (1u64 << 16) as f64;
/// The fifth row of Pascal's triangle, with alternating signs.
const FIFTH: [f64; 6] = [-1.0, 5.0, -10.0, 10.0, -5.0, 1.0];

/// The standard deviation of the rounding noise of each output of `f` near `inputs`.
///
/// `scales[i]` is the scale of `inputs[i]`, `eps` the machine epsilon of the arithmetic
/// inside `f` (2⁻⁵² for `f64`, 2⁻²³ for `f32`). Never less than half a unit in the last
/// place of the output. Costs `points` evaluations, whatever the number of inputs: the
/// more, the surer. With 16 the result may be off by half, with 32 by a quarter.
pub fn measure(
    f: &dyn Fn(&[Vec<f64>]) -> Vec<f64>,
    inputs: &[Vec<f64>],
    scales: &[f64],
    eps: f64,
    points: usize,
    seed: u64,
) -> Vec<f64> {
    let spacing = SPACING * (eps / f64::EPSILON).powf(0.2);
    let mut rng = StdRng::seed_from_u64(seed ^ 0x6e6f_6973);
    let strides: Vec<Vec<f64>> = inputs
        .iter()
        .zip(scales)
        .map(|(input, &scale)| {
            let stride = |x: &f64| {
                // At least some units in the last place, or the points would coincide.
                let length = spacing * scale + 16.0 * eps * x.abs();
                let sign = if rng.random::<bool>() { 1.0 } else { -1.0 };
                sign * length * rng.random_range(0.5..1.5)
            };
            input.iter().map(stride).collect()
        })
        .collect();
    // From 1, not 0: a kink at the point itself is left behind and never crossed.
    let samples: Vec<Vec<f64>> = (1..=points)
        .map(|k| {
            let step = |(x, s): (&f64, &f64)| x + k as f64 * s;
            let moved: Vec<Vec<f64>> = inputs
                .iter()
                .zip(&strides)
                .map(|(x, s)| x.iter().zip(s).map(step).collect())
                .collect();
            f(&moved)
        })
        .collect();
    (0..samples[0].len())
        .map(|i| of_series(&samples, i, eps))
        .collect()
}

/// The noise of output `i` over equally spaced samples.
fn of_series(samples: &[Vec<f64>], i: usize, eps: f64) -> f64 {
    let difference = |window: &[Vec<f64>]| {
        let terms = FIFTH.iter().zip(window).map(|(c, y)| c * y[i]);
        terms.sum::<f64>().abs()
    };
    let mut sizes: Vec<f64> = samples.windows(FIFTH.len()).map(difference).collect();
    // The median, because a kink among the points spoils the five windows that span it.
    // For a normal distribution it is 0.6745 standard deviations.
    sizes.sort_by(f64::total_cmp);
    let measured = sizes[sizes.len() / 2] / (0.6745 * 252f64.sqrt());
    let least = 0.5 * eps * samples[0][i].abs();
    // A NaN means that the edge of the domain is near; the ladder will run into it.
    if measured.is_finite() {
        measured.max(least)
    } else {
        least
    }
}
