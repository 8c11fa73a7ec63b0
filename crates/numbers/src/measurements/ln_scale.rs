//! What Layer Norm and RMS Norm do with a row that is scaled or shifted.
//!
//! One row of mean 0 and variance 1, times `a` or plus `b`, in `f64`. The output of Layer
//! Norm for `a x` is that for `x`, with the sign of `a`, as long as `a²` is far above `eps`.

use layernorm::{rms, staged};
use serde_json::{Value, json};

use crate::kit::{Measurement, Output, curve};
use crate::random::{Draws, furthest, mean, mean_of};
use chart::{Axis, Chart, Hue, Ink};

pub const MEASUREMENT: Measurement = Measurement {
    name: "ln_scale",
    chapter: 12,
    about: "what Layer Norm and RMS Norm make of a row that is scaled or shifted",
    run,
};

const SEED: u64 = 13;
const D: usize = 64;
const EPS: f64 = 1e-5;

fn layer(x: &[f64]) -> Vec<f64> {
    staged::forward(x, &[1.0; D], &[0.0; D], EPS).y
}

fn rms_norm(x: &[f64]) -> Vec<f64> {
    rms::staged::forward(x, &[1.0; D], EPS).y
}

fn root_mean_square(x: &[f64]) -> f64 {
    mean_of(x, |x| x * x).sqrt()
}

fn deviation(x: &[f64]) -> f64 {
    let mu = mean(x);
    mean_of(x, |x| (x - mu) * (x - mu)).sqrt()
}

/// `√(a² / (a² + eps))`.
fn predicted(a: f64) -> f64 {
    (a * a / (a * a + EPS)).sqrt()
}

fn run() -> Output {
    // A row of mean 0 and variance 1, up to rounding.
    let x = Draws::new(SEED).normals(D);
    let (mu, sigma) = (mean(&x), deviation(&x));
    let x: Vec<f64> = x.iter().map(|x| (x - mu) / sigma).collect();
    let times = |a: f64| -> Vec<f64> { x.iter().map(|x| a * x).collect() };
    let plus = |b: f64| -> Vec<f64> { x.iter().map(|x| x + b).collect() };
    let (right, right_rms) = (layer(&x), rms_norm(&x));
    let turned: Vec<f64> = right.iter().map(|y| -y).collect();
    let scales = [1000.0, 1.0, 0.1, 0.01, 0.001, 0.0001, -1.0, -1000.0].map(|a| {
        let y = layer(&times(a));
        json!({
            "a": a,
            "deviation": root_mean_square(&y),
            "predicted": predicted(a),
            "change": furthest(&y, &right),
            "change_of_sign": furthest(&y, &turned),
        })
    });
    let points = (-20..=4).map(|k| {
        let a = libm::exp10(f64::from(k) / 4.0);
        json!({ "a": a, "deviation": root_mean_square(&layer(&times(a))) })
    });
    let points: Vec<Value> = points.collect();
    let shifts = [0.1, 1.0, 10.0, 1000.0].map(|b| {
        let y = rms_norm(&plus(b));
        json!({
            "b": b,
            "layer": furthest(&layer(&plus(b)), &right),
            "rms": furthest(&y, &right_rms),
            // The root mean square of what RMS Norm returns, with its mean taken off.
            "rms_deviation": deviation(&y),
        })
    });
    Output::new(json!({
        "about": "The output of Layer Norm for a scaled row, and of RMS Norm for a shifted one",
        "seed": SEED,
        "features": D,
        "eps": EPS,
        "scales": scales,
        "curve": points,
        "shifts": shifts,
    }))
    .plot("ln_scale", plot(&points))
}

fn plot(points: &[Value]) -> Chart {
    let line = (0..=120).map(|i| libm::exp10(-5.0 + f64::from(i) / 20.0));
    let edge = EPS.sqrt();
    Chart::new(
        "Deviation of a normalized row against the deviation of the row",
        "The horizontal axis is logarithmic, from ten to the minus five to ten. From a \
         deviation of about 0.03 on, the output has deviation 1, whatever the input's. At the \
         square root of eps, about 0.003, it is 0.7; far below, it falls in proportion to the \
         input. The measured points lie on the predicted curve.",
        Axis::log("deviation a of the row", 1e-5, 10.0),
        Axis::linear("deviation of the output", 0.0, 1.1),
    )
    .line("√eps", Ink::Theory, [(edge, 0.0), (edge, 1.1)])
    .line(
        "a / √(a² + eps)",
        Hue::Direct,
        line.map(|a| (a, predicted(a))),
    )
    .line(
        "measured",
        Ink::Dots(Hue::Mean),
        curve(points, "a", "deviation"),
    )
}
