//! Error of difference quotients against the step, in f64 and in f32.
//!
//! The function is `rstd(v) = 1/√v`, a piece of every normalization, whose derivative is
//! `-v^(-3/2) / 2`. It needs a square root and a division, both correctly rounded, so
//! nothing in these numbers depends on a library of mathematical functions.

use std::ops::{Add, Div, Mul, Sub};

use serde::Serialize;

use super::Output;
use super::plot::{Axis, Ink, Mark, Series, draw};
use super::random::{Draws, largest, median};

const SEED: u64 = 1;
const POINTS: usize = 201;
const RANGE: (f64, f64) = (0.5, 2.0);
const OFFSET: f64 = 1000.0;

#[derive(Serialize)]
struct Results {
    about: &'static str,
    seed: u64,
    points: usize,
    /// The points are drawn from `low..high`.
    low: f64,
    high: f64,
    /// Unit roundoff, 2⁻⁵³ and 2⁻²⁴.
    unit_f64: f64,
    unit_f32: f64,
    rows: Vec<Row>,
    /// The whole decades of `rows`.
    table: Vec<Row>,
    best: Best,
    predicted_best_f64: Least,
    predicted_best_f32: Least,
    travelled: Travelled,
}

/// Relative errors at one step: the median over the points.
#[derive(Clone, Serialize)]
struct Row {
    h: f64,
    forward_f64: f64,
    central_f64: f64,
    richardson_f64: f64,
    forward_f32: f64,
    central_f32: f64,
    richardson_f32: f64,
    /// Truncation plus rounding of the central difference as section 1.3 predicts them.
    predicted_f64: f64,
    predicted_f32: f64,
    /// The largest error over the points.
    central_f64_largest: f64,
    central_f32_largest: f64,
}

/// The step with the least median error.
#[derive(Serialize)]
struct Best {
    forward_f64: Least,
    central_f64: Least,
    richardson_f64: Least,
    forward_f32: Least,
    central_f32: Least,
    richardson_f32: Least,
}

#[derive(Serialize)]
struct Least {
    h: f64,
    error: f64,
}

/// Dividing by `2h` against dividing by the distance travelled, far from the origin.
#[derive(Serialize)]
struct Travelled {
    /// The function is `1/√(v - offset)`.
    offset: f64,
    h: f64,
    by_2h: f64,
    by_distance: f64,
    ratio: f64,
}

/// The arithmetic under test.
trait Float:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    fn of(x: f64) -> Self;
    fn wide(self) -> f64;
    fn sqrt(self) -> Self;
}

impl Float for f64 {
    fn of(x: f64) -> Self {
        x
    }
    fn wide(self) -> f64 {
        self
    }
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
}

impl Float for f32 {
    fn of(x: f64) -> Self {
        x as f32
    }
    fn wide(self) -> f64 {
        f64::from(self)
    }
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }
}

fn rstd<T: Float>(v: T) -> T {
    T::of(1.0) / v.sqrt()
}

fn forward<T: Float>(v: T, h: T) -> T {
    (rstd(v + h) - rstd(v)) / h
}

fn central<T: Float>(v: T, h: T) -> T {
    (rstd(v + h) - rstd(v - h)) / (T::of(2.0) * h)
}

fn richardson<T: Float>(v: T, h: T) -> T {
    let half = central(v, h / T::of(2.0));
    half + (half - central(v, h)) / T::of(3.0)
}

/// The derivative of `rstd`, to the last bit or two of an `f64`.
fn exact(v: f64) -> f64 {
    -0.5 / (v * v.sqrt())
}

fn errors<T: Float>(quotient: impl Fn(T, T) -> T, points: &[f64], h: f64) -> Vec<f64> {
    points
        .iter()
        .map(|&v| {
            let slope = quotient(T::of(v), T::of(h)).wide();
            (slope / exact(v) - 1.0).abs()
        })
        .collect()
}

/// The relative error predicted at `v = 1`: `h²/6 · |f‴/f′| + |f/f′| · u / h`.
fn predicted(h: f64, unit: f64) -> f64 {
    0.625 * h * h + 2.0 * unit / h
}

/// The step that makes [`predicted`] least: `h³ = 3 u |f| / |f‴|`, at `v = 1`.
fn predicted_best(unit: f64) -> Least {
    let h = libm::cbrt(3.0 * unit / 1.875);
    Least {
        h,
        error: predicted(h, unit),
    }
}

pub fn run() -> Output {
    let mut draws = Draws::new(SEED);
    // Points that f32 holds too, so that both types are asked the same question.
    let points: Vec<f64> = (0..POINTS)
        .map(|_| f64::from(draws.uniform(RANGE.0, RANGE.1) as f32))
        .collect();
    let (unit_f64, unit_f32) = (f64::EPSILON / 2.0, f64::from(f32::EPSILON) / 2.0);

    let rows: Vec<Row> = steps()
        .map(|h| Row {
            h,
            forward_f64: median(&errors(forward::<f64>, &points, h)),
            central_f64: median(&errors(central::<f64>, &points, h)),
            richardson_f64: median(&errors(richardson::<f64>, &points, h)),
            forward_f32: median(&errors(forward::<f32>, &points, h)),
            central_f32: median(&errors(central::<f32>, &points, h)),
            richardson_f32: median(&errors(richardson::<f32>, &points, h)),
            predicted_f64: predicted(h, unit_f64),
            predicted_f32: predicted(h, unit_f32),
            central_f64_largest: largest(&errors(central::<f64>, &points, h)),
            central_f32_largest: largest(&errors(central::<f32>, &points, h)),
        })
        .collect();
    let least = |error: fn(&Row) -> f64| {
        let row = rows.iter().min_by(|a, b| error(a).total_cmp(&error(b)));
        let row = row.expect("there are rows");
        Least {
            h: row.h,
            error: error(row),
        }
    };
    let best = Best {
        forward_f64: least(|r| r.forward_f64),
        central_f64: least(|r| r.central_f64),
        richardson_f64: least(|r| r.richardson_f64),
        forward_f32: least(|r| r.forward_f32),
        central_f32: least(|r| r.central_f32),
        richardson_f32: least(|r| r.richardson_f32),
    };
    // Whole decades, the first of each pair of steps.
    let table = rows.iter().step_by(2).cloned().collect();
    let svg = plot(&rows);
    Output::new(&Results {
        about: "Median relative error of difference quotients of 1/sqrt(v) over random v",
        seed: SEED,
        points: POINTS,
        low: RANGE.0,
        high: RANGE.1,
        unit_f64,
        unit_f32,
        table,
        best,
        predicted_best_f64: predicted_best(unit_f64),
        predicted_best_f32: predicted_best(unit_f32),
        travelled: travelled(&points),
        rows,
    })
    .plot("u_curve", svg)
}

/// Two steps a decade from 10⁻¹ down to 10⁻¹⁵, as decimal numbers round.
fn steps() -> impl Iterator<Item = f64> {
    let parse = |text: String| text.parse::<f64>().expect("a decimal number");
    (1..=15)
        .flat_map(move |k| [parse(format!("1e-{k}")), parse(format!("3.2e-{}", k + 1))])
        .take(29)
}

/// Far from the origin `v + h` is rounded coarsely: is the step still `h`?
fn travelled(points: &[f64]) -> Travelled {
    let h = 1e-5;
    let f = |v: f64| 1.0 / (v - OFFSET).sqrt();
    let error = |distance: fn(f64, f64, f64) -> f64| {
        let errors: Vec<f64> = points
            .iter()
            .map(|&p| {
                let v = OFFSET + p;
                let (right, left) = (v + h, v - h);
                let slope = (f(right) - f(left)) / distance(right, left, h);
                (slope / exact(v - OFFSET) - 1.0).abs()
            })
            .collect();
        median(&errors)
    };
    let by_2h = error(|_, _, h| 2.0 * h);
    let by_distance = error(|right, left, _| right - left);
    Travelled {
        offset: OFFSET,
        h,
        by_2h,
        by_distance,
        ratio: by_2h / by_distance,
    }
}

fn plot(rows: &[Row]) -> String {
    let curve = |error: fn(&Row) -> f64| -> Vec<(f64, f64)> {
        rows.iter()
            .map(|r| (libm::log10(r.h), libm::log10(error(r))))
            .filter(|&(_, y)| (-14.0..=0.0).contains(&y))
            .collect()
    };
    draw(
        "Error of difference quotients against the step",
        "Both axes are logarithmic. Each curve has the shape of a V: read from the right, \
         the error falls as the step shrinks, reaches a least value, and rises again. In \
         64-bit arithmetic the central difference is best near a step of ten to the minus \
         five, the forward difference near ten to the minus eight with a larger error, and \
         the extrapolated difference near ten to the minus three with a smaller one. In \
         32-bit arithmetic the curve of the central difference turns upward already at a \
         step of one hundredth.",
        &Axis::decades("step h", -15, -1, 2),
        &Axis::decades("relative error, median", -14, 0, 2),
        &[
            Series::new(Ink::Muted, Mark::Dashed, curve(|r| r.predicted_f64)),
            Series::new(Ink::Muted, Mark::Dashed, curve(|r| r.predicted_f32)),
            Series::new(Ink::Mean, Mark::Line, curve(|r| r.forward_f64)).label(
                "forward, f64",
                -8.6,
                -6.3,
            ),
            Series::new(Ink::Var, Mark::Line, curve(|r| r.richardson_f64)).label(
                "Richardson, f64",
                -4.6,
                -13.2,
            ),
            Series::new(Ink::Wrong, Mark::Line, curve(|r| r.central_f32)).label(
                "central, f32",
                -5.6,
                -0.6,
            ),
            Series::new(Ink::Direct, Mark::Line, curve(|r| r.central_f64)).label(
                "central, f64",
                -9.2,
                -10.6,
            ),
        ],
    )
}
