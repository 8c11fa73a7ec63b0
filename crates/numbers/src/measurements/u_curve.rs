//! Error of difference quotients against the step, in f64 and in f32.
//!
//! The function is `rstd(v) = 1/√v`, a piece of every normalization, whose derivative is
//! `-v^(-3/2) / 2`. It needs a square root and a division, both correctly rounded, so
//! nothing in these numbers depends on a library of mathematical functions.

use serde_json::{Value, json};
use tape::Real;

use crate::kit::{Measurement, Output, curve, number};
use crate::random::{Draws, largest, median};
use chart::{Axis, Chart, Hue, Ink};

pub const MEASUREMENT: Measurement = Measurement {
    name: "u_curve",
    chapter: 1,
    about: "error of difference quotients against the step, in f64 and f32",
    run,
};

const SEED: u64 = 1;
const POINTS: usize = 201;
const RANGE: (f64, f64) = (0.5, 2.0);
const OFFSET: f64 = 1000.0;

fn rstd<T: Real>(v: T) -> T {
    T::ONE / v.sqrt()
}

fn forward<T: Real>(v: T, h: T) -> T {
    (rstd(v + h) - rstd(v)) / h
}

fn central<T: Real>(v: T, h: T) -> T {
    (rstd(v + h) - rstd(v - h)) / (T::from_f64(2.0) * h)
}

fn richardson<T: Real>(v: T, h: T) -> T {
    let half = central(v, h / T::from_f64(2.0));
    half + (half - central(v, h)) / T::from_f64(3.0)
}

/// The derivative of `rstd`, to the last bit or two of an `f64`.
fn exact(v: f64) -> f64 {
    -0.5 / (v * v.sqrt())
}

fn errors<T: Real>(quotient: impl Fn(T, T) -> T, points: &[f64], h: f64) -> Vec<f64> {
    let error = |&v: &f64| {
        let slope = quotient(T::from_f64(v), T::from_f64(h)).to_f64();
        (slope / exact(v) - 1.0).abs()
    };
    points.iter().map(error).collect()
}

/// The relative error predicted at `v = 1`: `h²/6 · |f‴/f′| + |f/f′| · u / h`.
fn predicted(h: f64, unit: f64) -> f64 {
    0.625 * h * h + 2.0 * unit / h
}

/// The step that makes [`predicted`] least: `h³ = 3 u |f| / |f‴|`, at `v = 1`.
fn predicted_best(unit: f64) -> Value {
    let h = libm::cbrt(3.0 * unit / 1.875);
    json!({ "h": h, "error": predicted(h, unit) })
}

/// Relative errors at one step: medians over the points, and the largest.
fn row(h: f64, points: &[f64], [unit_f64, unit_f32]: [f64; 2]) -> Value {
    let in_f64 = |quotient: fn(f64, f64) -> f64| median(&errors(quotient, points, h));
    let in_f32 = |quotient: fn(f32, f32) -> f32| median(&errors(quotient, points, h));
    json!({
        "h": h,
        "forward_f64": in_f64(forward),
        "central_f64": in_f64(central),
        "richardson_f64": in_f64(richardson),
        "forward_f32": in_f32(forward),
        "central_f32": in_f32(central),
        "richardson_f32": in_f32(richardson),
        // Truncation plus rounding of the central difference as section 1.3 predicts them.
        "predicted_f64": predicted(h, unit_f64),
        "predicted_f32": predicted(h, unit_f32),
        "central_f64_largest": largest(&errors(central::<f64>, points, h)),
        "central_f32_largest": largest(&errors(central::<f32>, points, h)),
    })
}

fn run() -> Output {
    let mut draws = Draws::new(SEED);
    // Points that f32 holds too, so that both types are asked the same question.
    let points = draws.uniforms(POINTS, RANGE.0, RANGE.1);
    let points: Vec<f64> = points.iter().map(|&p| f64::from(p as f32)).collect();
    let units = [f64::EPSILON / 2.0, f64::from(f32::EPSILON) / 2.0];
    let rows: Vec<Value> = steps().map(|h| row(h, &points, units)).collect();
    // The step with the least median error.
    let least = |error: &str| {
        let by_error = |a: &&Value, b: &&Value| number(a, error).total_cmp(&number(b, error));
        let row = rows.iter().min_by(by_error).expect("there are rows");
        json!({ "h": row["h"], "error": row[error] })
    };
    // Whole decades, the first of each pair of steps.
    let table: Vec<&Value> = rows.iter().step_by(2).collect();
    Output::new(json!({
        "about": "Median relative error of difference quotients of 1/sqrt(v) over random v",
        "seed": SEED,
        "points": POINTS,
        // The points are drawn from `low..high`.
        "low": RANGE.0,
        "high": RANGE.1,
        // Unit roundoff, 2⁻⁵³ and 2⁻²⁴.
        "unit_f64": units[0],
        "unit_f32": units[1],
        "rows": rows,
        "table": table,
        "best": {
            "forward_f64": least("forward_f64"),
            "central_f64": least("central_f64"),
            "richardson_f64": least("richardson_f64"),
            "forward_f32": least("forward_f32"),
            "central_f32": least("central_f32"),
            "richardson_f32": least("richardson_f32"),
        },
        "predicted_best_f64": predicted_best(units[0]),
        "predicted_best_f32": predicted_best(units[1]),
        "travelled": travelled(&points),
    }))
    .plot("u_curve", plot(&rows))
}

/// Two steps a decade from 10⁻¹ down to 10⁻¹⁵, as decimal numbers round.
fn steps() -> impl Iterator<Item = f64> {
    let parse = |text: String| text.parse::<f64>().expect("a decimal number");
    (1..=15)
        .flat_map(move |k| [parse(format!("1e-{k}")), parse(format!("3.2e-{}", k + 1))])
        .take(29)
}

/// Far from the origin `v + h` is rounded coarsely: is the step still `h`? Dividing by `2h`
/// against dividing by the distance travelled.
fn travelled(points: &[f64]) -> Value {
    let h = 1e-5;
    let f = |v: f64| 1.0 / (v - OFFSET).sqrt();
    let error = |distance: fn(f64, f64, f64) -> f64| {
        let error = |&p: &f64| {
            let v = OFFSET + p;
            let (right, left) = (v + h, v - h);
            let slope = (f(right) - f(left)) / distance(right, left, h);
            (slope / exact(v - OFFSET) - 1.0).abs()
        };
        median(&points.iter().map(error).collect::<Vec<f64>>())
    };
    let by_2h = error(|_, _, h| 2.0 * h);
    let by_distance = error(|right, left, _| right - left);
    json!({
        // The function is `1/√(v - offset)`.
        "offset": OFFSET,
        "h": h,
        "by_2h": by_2h,
        "by_distance": by_distance,
        "ratio": by_2h / by_distance,
    })
}

fn plot(rows: &[Value]) -> Chart {
    let curve = |error| curve(rows, "h", error);
    Chart::new(
        "Error of difference quotients against the step",
        "Both axes are logarithmic. Each curve has the shape of a V: read from the right, \
         the error falls as the step shrinks, reaches a least value, and rises again. In \
         64-bit arithmetic the central difference is best near a step of ten to the minus \
         five, the forward difference near ten to the minus eight with a larger error, and \
         the extrapolated difference near ten to the minus three with a smaller one. In \
         32-bit arithmetic the curve of the central difference turns upward already at a \
         step of one hundredth.",
        Axis::log("step h", 1e-15, 1e-1),
        Axis::log("relative error, median", 1e-14, 1.0),
    )
    .line("", Ink::Theory, curve("predicted_f64"))
    .line("", Ink::Theory, curve("predicted_f32"))
    .line("forward, f64", Hue::Mean, curve("forward_f64"))
    .line("Richardson, f64", Hue::Var, curve("richardson_f64"))
    .line("central, f32", Hue::Wrong, curve("central_f32"))
    .line("central, f64", Hue::Direct, curve("central_f64"))
}
