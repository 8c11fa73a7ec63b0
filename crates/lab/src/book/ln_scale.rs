//! What Layer Norm and RMS Norm do with a row that is scaled or shifted.
//!
//! One row of mean 0 and variance 1, times `a` or plus `b`, in `f64`. The output of Layer
//! Norm for `a x` is that for `x`, with the sign of `a`, as long as `a²` is far above `eps`.

use layernorm::{rms, staged};
use serde::Serialize;

use super::Output;
use super::plot::{Axis, Ink, Mark, Series, draw};
use super::random::{Draws, largest, mean};

const SEED: u64 = 13;
const D: usize = 64;
const EPS: f64 = 1e-5;

#[derive(Serialize)]
struct Results {
    about: &'static str,
    seed: u64,
    features: usize,
    eps: f64,
    scales: Vec<Scale>,
    curve: Vec<Point>,
    shifts: Vec<Shift>,
}

/// The output for `a x`.
#[derive(Serialize)]
struct Scale {
    a: f64,
    /// The root mean square of the output.
    deviation: f64,
    /// `√(a² / (a² + eps))`.
    predicted: f64,
    /// The largest `|LN(a x) − LN(x)|`.
    change: f64,
    /// The largest `|LN(a x) + LN(x)|`.
    change_of_sign: f64,
}

/// A point of the plot.
#[derive(Serialize)]
struct Point {
    a: f64,
    deviation: f64,
}

/// The largest change of the output for `x + b`.
#[derive(Serialize)]
struct Shift {
    b: f64,
    layer: f64,
    rms: f64,
    /// The root mean square of what RMS Norm returns, with its mean taken off.
    rms_deviation: f64,
}

fn layer(x: &[f64]) -> Vec<f64> {
    staged::forward(x, &[1.0; D], &[0.0; D], EPS).y
}

fn rms_norm(x: &[f64]) -> Vec<f64> {
    rms::staged::forward(x, &[1.0; D], EPS).y
}

fn root_mean_square(x: &[f64]) -> f64 {
    mean(&x.iter().map(|x| x * x).collect::<Vec<f64>>()).sqrt()
}

fn deviation(x: &[f64]) -> f64 {
    let mu = mean(x);
    root_mean_square(&x.iter().map(|x| x - mu).collect::<Vec<f64>>())
}

fn furthest(a: &[f64], b: &[f64], sign: f64) -> f64 {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| (a - sign * b).abs()).collect();
    largest(&differences)
}

/// A row of mean 0 and variance 1, up to rounding.
fn row() -> Vec<f64> {
    let x = Draws::new(SEED).normals(D);
    let (mu, sigma) = (mean(&x), deviation(&x));
    x.iter().map(|x| (x - mu) / sigma).collect()
}

pub fn run() -> Output {
    let x = row();
    let times = |a: f64| -> Vec<f64> { x.iter().map(|x| a * x).collect() };
    let plus = |b: f64| -> Vec<f64> { x.iter().map(|x| x + b).collect() };
    let (right, right_rms) = (layer(&x), rms_norm(&x));
    let scales = [1000.0, 1.0, 0.1, 0.01, 0.001, 0.0001, -1.0, -1000.0].map(|a| {
        let y = layer(&times(a));
        Scale {
            a,
            deviation: root_mean_square(&y),
            predicted: (a * a / (a * a + EPS)).sqrt(),
            change: furthest(&y, &right, 1.0),
            change_of_sign: furthest(&y, &right, -1.0),
        }
    });
    let curve: Vec<Point> = (-20..=4)
        .map(|k| libm::exp10(f64::from(k) / 4.0))
        .map(|a| Point {
            a,
            deviation: root_mean_square(&layer(&times(a))),
        })
        .collect();
    let shifts = [0.1, 1.0, 10.0, 1000.0].map(|b| {
        let y = rms_norm(&plus(b));
        Shift {
            b,
            layer: furthest(&layer(&plus(b)), &right, 1.0),
            rms: furthest(&y, &right_rms, 1.0),
            rms_deviation: deviation(&y),
        }
    });
    let svg = plot(&curve);
    Output::new(&Results {
        about: "The output of Layer Norm for a scaled row, and of RMS Norm for a shifted one",
        seed: SEED,
        features: D,
        eps: EPS,
        scales: scales.into(),
        curve,
        shifts: shifts.into(),
    })
    .plot("ln_scale", svg)
}

fn plot(curve: &[Point]) -> String {
    let predicted = (0..=120).map(|i| {
        let x = -5.0 + f64::from(i) / 20.0;
        let a = libm::exp10(x);
        (x, (a * a / (a * a + EPS)).sqrt())
    });
    let points = curve.iter().map(|p| (libm::log10(p.a), p.deviation));
    let edge = libm::log10(EPS.sqrt());
    draw(
        "Deviation of a normalized row against the deviation of the row",
        "The horizontal axis is logarithmic, from ten to the minus five to ten. From a \
         deviation of about 0.03 on, the output has deviation 1, whatever the input's. At the \
         square root of eps, about 0.003, it is 0.7; far below, it falls in proportion to the \
         input. The measured points lie on the predicted curve.",
        &Axis::decades("deviation a of the row", -5, 1, 1),
        &Axis::linear(
            "deviation of the output",
            (0.0, 1.1),
            &[0.0, 0.25, 0.5, 0.75, 1.0],
        ),
        &[
            Series::new(Ink::Muted, Mark::Dashed, vec![(edge, 0.0), (edge, 1.1)]).label(
                "√eps",
                edge + 0.08,
                0.1,
            ),
            Series::new(Ink::Direct, Mark::Line, predicted.collect()).label(
                "a / √(a² + eps)",
                -4.6,
                0.45,
            ),
            Series::new(Ink::Mean, Mark::Points, points.collect()).label("measured", -0.6, 0.9),
        ],
    )
}
