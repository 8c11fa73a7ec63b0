//! Two formulas for the variance, when the mean is large.
//!
//! Values `offset + z` with `z` of deviation 1, rounded to the type under test. All are
//! multiples of 2⁻²⁰, so the true variance of the rounded values is a quotient of
//! integers, and is computed as one.

use serde_json::{Value, json};
use tape::Real;

use crate::kit::{Measurement, Output, curve};
use crate::random::{Draws, largest, median, over_seeds, wide};
use chart::{Axis, Chart, Hue, Ink};

pub const MEASUREMENT: Measurement = Measurement {
    name: "cancellation",
    chapter: 7,
    about: "relative error of two variance formulas against the size of the mean",
    run,
};

/// Not a power of two, or dividing by it would not round.
const COUNT: usize = 250;
/// Grid points per unit: 2²⁰.
const GRID: f64 = 1_048_576.0;
const SEEDS: u64 = 21;
const EPS: f32 = 1e-5;

fn mean<T: Real>(x: &[T]) -> T {
    x.iter().copied().sum::<T>() / T::from_usize(x.len())
}

fn one_pass<T: Real>(x: &[T]) -> T {
    let squares: Vec<T> = x.iter().map(|&x| x * x).collect();
    mean(&squares) - mean(x) * mean(x)
}

fn two_pass<T: Real>(x: &[T]) -> T {
    let mu = mean(x);
    let squares: Vec<T> = x.iter().map(|&x| (x - mu) * (x - mu)).collect();
    mean(&squares)
}

/// So many normal values of deviation 1 around `offset`, on the grid.
pub fn around(offset: f64, count: usize, draws: &mut Draws) -> Vec<f64> {
    let z = draws.normals(count);
    z.iter()
        .map(|z| offset + (z * GRID).round() / GRID)
        .collect()
}

/// The variance of values on the grid, in integers: `(M·Σk² − (Σk)²) / M²`.
pub fn exact(x: &[f64]) -> f64 {
    let whole: Vec<i128> = x.iter().map(|x| (x * GRID) as i128).collect();
    let count = whole.len() as i128;
    let sum: i128 = whole.iter().sum();
    let squares: i128 = whole.iter().map(|k| k * k).sum();
    let numerator = count * squares - sum * sum;
    numerator as f64 / (count * count) as f64 / (GRID * GRID)
}

/// Relative errors of the variance at one offset, over the seeds.
fn row(offset: f64) -> Value {
    let [one_f32, two_f32, one_f64, two_f64, not_positive] = over_seeds(0..SEEDS, |draws| {
        let x = around(offset, COUNT, draws);
        let narrow: Vec<f32> = x.iter().map(|&x| x as f32).collect();
        let (truth, truth_narrow) = (exact(&x), exact(&wide(&narrow)));
        let relative = |value: f64, truth: f64| (value / truth - 1.0).abs();
        let (one, two) = (one_pass(&narrow), two_pass(&narrow));
        [
            relative(one.into(), truth_narrow),
            relative(two.into(), truth_narrow),
            relative(one_pass(&x), truth),
            relative(two_pass(&x), truth),
            f64::from(u8::from(one <= 0.0)),
        ]
    });
    json!({
        "offset": offset,
        "one_pass_f32": median(&one_f32),
        "one_pass_f32_largest": largest(&one_f32),
        "two_pass_f32": median(&two_f32),
        "two_pass_f32_largest": largest(&two_f32),
        "one_pass_f64": median(&one_f64),
        "two_pass_f64": median(&two_f64),
        // The count of seeds at which the one-pass variance is negative or zero.
        "not_positive_f32": not_positive.iter().sum::<f64>() as usize,
        // The prediction `u · (1 + offset²)` for the one-pass formula.
        "predicted_f32": 0.5 * f64::from(f32::EPSILON) * (1.0 + offset * offset),
    })
}

/// Eight values, 10,000 to 10,007, in f32.
fn example() -> Value {
    let x: Vec<f32> = (0..8_u8).map(|i| 10_000.0 + f32::from(i)).collect();
    let mu = mean(&x);
    let squares: Vec<f32> = x.iter().map(|x| x * x).collect();
    // The largest normalized value, with the variance cut off at 0 from below.
    let x_hat = |variance: f32| {
        let rstd = 1.0 / (variance.max(0.0) + EPS).sqrt();
        let largest = x.iter().map(|x| ((x - mu) * rstd).abs());
        f64::from(largest.fold(0.0, f32::max))
    };
    let (one, two) = (one_pass(&x), two_pass(&x));
    let square = mu * mu;
    json!({
        "first": 10_000.0,
        "last": 10_007.0,
        "eps": 1e-5,
        "mean_of_squares": f64::from(mean(&squares)),
        "square_of_mean": f64::from(square),
        // The distance between neighbouring f32 numbers of that size.
        "spacing": f64::from(square.next_up() - square),
        "one_pass": f64::from(one),
        "two_pass": f64::from(two),
        "one_pass_x_hat": x_hat(one),
        "two_pass_x_hat": x_hat(two),
    })
}

fn run() -> Output {
    let rows = [0.0, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6].map(row);
    Output::new(json!({
        "about": "Relative error of E[x²] − E[x]² and of two passes, against the offset",
        "seeds": SEEDS,
        "values": COUNT,
        "rows": rows,
        "example": example(),
    }))
    .plot("cancellation", plot(&rows[1..]))
}

fn plot(rows: &[Value]) -> Chart {
    let curve = |error| curve(rows, "offset", error);
    Chart::new(
        "Relative error of the variance against the size of the mean",
        "Both axes are logarithmic. The mean of the squares minus the square of the mean \
         loses two digits for each digit of the mean: in 32-bit arithmetic nothing is left \
         at a mean of about ten thousand deviations. The two-pass formula stays near the \
         rounding of the type until the mean itself can no longer be represented well.",
        Axis::log("mean / standard deviation", 1.0, 1e6),
        Axis::log("relative error of the variance, median", 1e-16, 1e4),
    )
    .line("u · mean²/var", Ink::Theory, curve("predicted_f32"))
    .line("E[x²] − E[x]², f32", Hue::Wrong, curve("one_pass_f32"))
    .line("two passes, f32", Hue::Direct, curve("two_pass_f32"))
    .line("E[x²] − E[x]², f64", Hue::Mean, curve("one_pass_f64"))
    .line("two passes, f64", Hue::Var, curve("two_pass_f64"))
}
