//! Two formulas for the variance, when the mean is large.
//!
//! Values `offset + z` with `z` of deviation 1, rounded to the type under test. All are
//! multiples of 2⁻²⁰, so the true variance of the rounded values is a quotient of
//! integers, and is computed as one.

use serde::Serialize;

use super::Output;
use super::plot::{Axis, Ink, Mark, Series, draw};
use super::random::{Draws, largest, mean, median};

/// Not a power of two, or dividing by it would not round.
const COUNT: usize = 250;
/// Grid points per unit: 2²⁰.
pub(super) const GRID: f64 = 1_048_576.0;
const SEEDS: u64 = 21;
const EPS: f32 = 1e-5;

#[derive(Serialize)]
struct Results {
    about: &'static str,
    seeds: u64,
    values: usize,
    rows: Vec<Row>,
    example: Example,
}

/// Relative errors of the variance at one offset, over the seeds.
#[derive(Serialize)]
struct Row {
    offset: f64,
    one_pass_f32: f64,
    one_pass_f32_largest: f64,
    two_pass_f32: f64,
    two_pass_f32_largest: f64,
    one_pass_f64: f64,
    two_pass_f64: f64,
    /// The count of seeds at which the one-pass variance is negative or zero.
    not_positive_f32: usize,
    /// The prediction `u · (1 + offset²)` for the one-pass formula.
    predicted_f32: f64,
}

/// Eight values, 10,000 to 10,007, in f32.
#[derive(Serialize)]
struct Example {
    first: f64,
    last: f64,
    eps: f64,
    mean_of_squares: f64,
    square_of_mean: f64,
    /// The distance between neighbouring f32 numbers of that size.
    spacing: f64,
    one_pass: f64,
    two_pass: f64,
    /// The largest normalized value, with the variance cut off at 0 from below.
    one_pass_x_hat: f64,
    two_pass_x_hat: f64,
}

fn one_pass_f32(x: &[f32]) -> f32 {
    let (mut sum, mut squares) = (0.0, 0.0);
    for &x in x {
        sum += x;
        squares += x * x;
    }
    let count = x.len() as f32;
    squares / count - (sum / count) * (sum / count)
}

fn two_pass_f32(x: &[f32]) -> f32 {
    let count = x.len() as f32;
    let mean = x.iter().sum::<f32>() / count;
    x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / count
}

fn one_pass_f64(x: &[f64]) -> f64 {
    let squares: Vec<f64> = x.iter().map(|x| x * x).collect();
    mean(&squares) - mean(x) * mean(x)
}

fn two_pass_f64(x: &[f64]) -> f64 {
    let mu = mean(x);
    let squares: Vec<f64> = x.iter().map(|x| (x - mu) * (x - mu)).collect();
    mean(&squares)
}

/// The variance of multiples of [`GRID`], in integers: `(M·Σk² − (Σk)²) / M²`.
pub(super) fn exact(x: &[f64]) -> f64 {
    let whole: Vec<i128> = x.iter().map(|x| (x * GRID) as i128).collect();
    let count = whole.len() as i128;
    let sum: i128 = whole.iter().sum();
    let squares: i128 = whole.iter().map(|k| k * k).sum();
    let numerator = count * squares - sum * sum;
    numerator as f64 / (count * count) as f64 / (GRID * GRID)
}

fn row(offset: f64) -> Row {
    let mut errors: [Vec<f64>; 4] = Default::default();
    let mut not_positive = 0;
    for seed in 0..SEEDS {
        let wide: Vec<f64> = Draws::new(seed)
            .normals(COUNT)
            .iter()
            .map(|z| offset + (z * GRID).round() / GRID)
            .collect();
        let narrow: Vec<f32> = wide.iter().map(|&x| x as f32).collect();
        let narrow_wide: Vec<f64> = narrow.iter().map(|&x| f64::from(x)).collect();
        let (truth, truth_narrow) = (exact(&wide), exact(&narrow_wide));
        let relative = |value: f64, truth: f64| (value / truth - 1.0).abs();
        errors[0].push(relative(f64::from(one_pass_f32(&narrow)), truth_narrow));
        errors[1].push(relative(f64::from(two_pass_f32(&narrow)), truth_narrow));
        errors[2].push(relative(one_pass_f64(&wide), truth));
        errors[3].push(relative(two_pass_f64(&wide), truth));
        not_positive += usize::from(one_pass_f32(&narrow) <= 0.0);
    }
    Row {
        offset,
        one_pass_f32: median(&errors[0]),
        one_pass_f32_largest: largest(&errors[0]),
        two_pass_f32: median(&errors[1]),
        two_pass_f32_largest: largest(&errors[1]),
        one_pass_f64: median(&errors[2]),
        two_pass_f64: median(&errors[3]),
        not_positive_f32: not_positive,
        predicted_f32: 0.5 * f64::from(f32::EPSILON) * (1.0 + offset * offset),
    }
}

fn example() -> Example {
    let x: Vec<f32> = (0..8_u8).map(|i| 10_000.0 + f32::from(i)).collect();
    let count = x.len() as f32;
    let mu = x.iter().sum::<f32>() / count;
    let squares = x.iter().map(|x| x * x).sum::<f32>() / count;
    let x_hat = |variance: f32| {
        let rstd = 1.0 / (variance.max(0.0) + EPS).sqrt();
        let largest = x.iter().map(|x| ((x - mu) * rstd).abs());
        f64::from(largest.fold(0.0, f32::max))
    };
    let (one, two) = (one_pass_f32(&x), two_pass_f32(&x));
    let square = mu * mu;
    Example {
        first: 10_000.0,
        last: 10_007.0,
        eps: 1e-5,
        mean_of_squares: f64::from(squares),
        square_of_mean: f64::from(square),
        spacing: f64::from(square.next_up() - square),
        one_pass: f64::from(one),
        two_pass: f64::from(two),
        one_pass_x_hat: x_hat(one),
        two_pass_x_hat: x_hat(two),
    }
}

pub fn run() -> Output {
    let offsets = [0.0, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6];
    let rows: Vec<Row> = offsets.into_iter().map(row).collect();
    let svg = plot(&rows);
    Output::new(&Results {
        about: "Relative error of E[x²] − E[x]² and of two passes, against the offset",
        seeds: SEEDS,
        values: COUNT,
        example: example(),
        rows,
    })
    .plot("cancellation", svg)
}

fn plot(rows: &[Row]) -> String {
    let curve = |error: fn(&Row) -> f64| -> Vec<(f64, f64)> {
        rows.iter()
            .filter(|r| r.offset >= 1.0 && error(r) > 0.0)
            .map(|r| (libm::log10(r.offset), libm::log10(error(r))))
            .filter(|p| p.1 < 4.0)
            .collect()
    };
    draw(
        "Relative error of the variance against the size of the mean",
        "Both axes are logarithmic. The mean of the squares minus the square of the mean \
         loses two digits for each digit of the mean: in 32-bit arithmetic nothing is left \
         at a mean of about ten thousand deviations. The two-pass formula stays near the \
         rounding of the type until the mean itself can no longer be represented well.",
        &Axis::decades("mean / standard deviation", 0, 6, 1),
        &Axis::decades("relative error of the variance, median", -16, 4, 4),
        &[
            Series::new(Ink::Muted, Mark::Dashed, curve(|r| r.predicted_f32)).label(
                "u · mean²/var",
                1.75,
                -5.4,
            ),
            Series::new(Ink::Wrong, Mark::Line, curve(|r| r.one_pass_f32)).label(
                "E[x²] − E[x]², f32",
                2.1,
                2.6,
            ),
            Series::new(Ink::Direct, Mark::Line, curve(|r| r.two_pass_f32)).label(
                "two passes, f32",
                1.6,
                -7.7,
            ),
            Series::new(Ink::Mean, Mark::Line, curve(|r| r.one_pass_f64)).label(
                "E[x²] − E[x]², f64",
                2.6,
                -11.2,
            ),
            Series::new(Ink::Var, Mark::Line, curve(|r| r.two_pass_f64)).label(
                "two passes, f64",
                3.6,
                -14.4,
            ),
        ],
    )
}
