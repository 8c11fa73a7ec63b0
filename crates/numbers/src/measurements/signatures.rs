//! The coefficients that a mistake leaves on the three paths, and what the checker says.
//!
//! The gradient of Batch Norm is the sum of three known parts: direct, through the mean,
//! through the variance. `gradcheck` fits a gradient under test by least squares as
//! `a · direct + b · mean + c · variance`; a mistake on a path shows as its coefficient.

use batchnorm::staged::{Forward, forward_channel};
use batchnorm::{Layout, fused};
use gradcheck::attribution::Verdict;
use gradcheck::attribution::norm::{Probe, Target, explain};
use serde_json::{Value, json};
use tape::Real;

use crate::kit::{Measurement, Output, each};
use crate::random::{Draws, columns, dot, furthest, largest, mean, mean_of, median, wide};

pub const MEASUREMENT: Measurement = Measurement {
    name: "signatures",
    chapter: 8,
    about: "coefficients of the three paths in correct and mistaken gradients",
    run,
};

const SEED: u64 = 5;
const N: usize = 8;
const C: usize = 5;
const EPS: f64 = 1e-5;

/// The three parts of one element, and what else a mistake may use.
struct Element {
    direct: f64,
    mean: f64,
    variance: f64,
    gamma: f64,
    rstd: f64,
    /// The whole, with eps left out of `rstd` and of `x_hat`.
    without_eps: f64,
}

type Gradient = fn(&Element) -> f64;

const COUNT: f64 = N as f64;

const GRADIENTS: &[(&str, Gradient)] = &[
    ("no mistake", |e| e.direct + e.mean + e.variance),
    ("mean path left out", |e| e.direct + e.variance),
    ("variance path left out", |e| e.direct + e.mean),
    ("both left out", |e| e.direct),
    ("sum in place of mean, variance path", |e| {
        e.direct + e.mean + COUNT * e.variance
    }),
    ("sum in place of mean, mean path", |e| {
        e.direct + COUNT * e.mean + e.variance
    }),
    ("N − 1 in place of N, variance path", |e| {
        e.direct + e.mean + COUNT / (COUNT - 1.0) * e.variance
    }),
    ("factor 2 of the square forgotten", |e| {
        e.direct + e.mean + 0.5 * e.variance
    }),
    ("wrong sign, variance path", |e| {
        e.direct + e.mean - e.variance
    }),
    ("wrong sign, mean path", |e| e.direct - e.mean + e.variance),
    ("gamma forgotten", |e| {
        (e.direct + e.mean + e.variance) / e.gamma
    }),
    ("rstd forgotten", |e| {
        (e.direct + e.mean + e.variance) / e.rstd
    }),
    ("eps left out", |e| e.without_eps),
];

/// How the three paths explain a gradient, to nine decimals: without the rounding noise, and
/// never `-0`.
pub fn coefficients(verdict: &Verdict) -> [f64; 3] {
    let nine_decimals = |x: f64| (x * 1e9).round() / 1e9 + 0.0;
    [0, 1, 2].map(|k| nine_decimals(verdict.coefficients[k]))
}

fn run() -> Output {
    let probe = Probe::batch_norm(&[N, C], EPS, SEED);
    let elements =
        by_column(|c| channel(&column(&probe.x, c), &column(&probe.dy, c), probe.gamma[c]));
    let explained = |gradient: Gradient| {
        let dx: Vec<f64> = elements.iter().map(gradient).collect();
        explain(&probe, Target::Dx, &dx)
    };
    let rows = GRADIENTS.iter().map(|&(name, gradient)| {
        let verdict = explained(gradient);
        let [direct, mean, variance] = coefficients(&verdict);
        json!({
            "gradient": name,
            "direct": direct, "mean": mean, "variance": variance,
            // `‖gradient - fit‖ / ‖gradient‖`.
            "residual": verdict.residual,
            "id": verdict.id,
            "sentence": verdict.sentence,
        })
    });
    let zero_paths = [0.0, 1e4].map(|offset| {
        [
            (
                "f64",
                offset,
                worst(|draws| zero_path::<f64>(draws, offset)),
            ),
            (
                "f32",
                offset,
                worst(|draws| zero_path::<f32>(draws, offset)),
            ),
        ]
    });
    let zero_path = |(arithmetic, offset, relative): &(&str, f64, f64)| json!({ "arithmetic": arithmetic, "offset": offset, "relative": relative });
    Output::new(json!({
        "about": "Least-squares coefficients of the three paths in Batch Norm gradients",
        "seed": SEED,
        "n": N,
        "c": C,
        "eps": EPS,
        "rows": rows.collect::<Vec<Value>>(),
        // What the path x → mu → sigma² adds to dx in rounded arithmetic:
        // `|dL/dvar · dvar/dmu · dmu/dx| / max |dx|`, the largest over the draws.
        "zero_path": each(zero_paths.as_flattened(), zero_path),
        "detour": detour(),
    }))
    .text(
        "verdict_variance",
        format!("{}\n", explained(|e| e.direct + e.mean)),
    )
}

/// One channel of a batch `[N, C]`.
fn column(values: &[f64], c: usize) -> Vec<f64> {
    values.iter().skip(c).step_by(C).copied().collect()
}

/// A batch `[N, C]` of what each channel has.
fn by_column<T>(channel: impl Fn(usize) -> Vec<T>) -> Vec<T> {
    let mut columns: Vec<_> = (0..C).map(|c| channel(c).into_iter()).collect();
    let next = |k: usize| columns[k % C].next().expect("N elements in each column");
    (0..N * C).map(next).collect()
}

/// The elements of `dx`, taken apart.
fn channel(x: &[f64], dy: &[f64], gamma: f64) -> Vec<Element> {
    let Forward {
        var, rstd, x_hat, ..
    } = forward_channel(x, gamma, 0.0, EPS);
    let (mean_dy, mean_dy_x_hat) = (mean(dy), dot(dy, &x_hat) / dy.len() as f64);
    // Without eps, rstd and x_hat are larger by this factor.
    let exact = 1.0 / var.sqrt();
    let grow = exact / rstd;
    let element = |(dy, x_hat): (&f64, &f64)| Element {
        direct: gamma * rstd * dy,
        mean: -gamma * rstd * mean_dy,
        variance: -gamma * rstd * x_hat * mean_dy_x_hat,
        gamma,
        rstd,
        without_eps: gamma * exact * (dy - mean_dy - x_hat * grow * mean_dy_x_hat * grow),
    };
    dy.iter().zip(&x_hat).map(element).collect()
}

fn worst(mut one: impl FnMut(&mut Draws) -> f64) -> f64 {
    let mut draws = Draws::new(SEED);
    (0..100).map(|_| one(&mut draws)).fold(0.0, f64::max)
}

/// `dvar/dmu = -2/N · Σ (x - mu)` is zero; what is it when `mu` is rounded?
fn zero_path<T: Real>(draws: &mut Draws, offset: f64) -> f64 {
    let [x, dy] = [offset, 0.0].map(|offset| -> Vec<T> {
        let z = draws.normals(N);
        z.iter()
            .map(|&z| T::from_f64(offset) + T::from_f64(z))
            .collect()
    });
    let count = T::from_usize(N);
    let f = forward_channel(&x, T::ONE, T::ZERO, EPS);
    let rstd = f.rstd;
    let sum = |values: &[T]| values.iter().copied().sum::<T>();
    let products: Vec<T> = dy.iter().zip(&f.x_hat).map(|(&a, &b)| a * b).collect();
    let (mean_dy, along) = (sum(&dy) / count, sum(&products) / count);
    // dL/dvar = Σ dy · (x - mu) · (-1/2) · rstd³; dvar/dmu = -2/N Σ (x - mu).
    let dvar = T::from_f64(-0.5) * count * along * rstd * rstd;
    let dvar_dmu = T::from_f64(-2.0) * sum(&f.centered) / count;
    let extra = dvar * dvar_dmu / count;
    let dx = dy.iter().zip(&f.x_hat);
    let dx = dx.map(|(&dy, &x_hat)| (rstd * (dy - mean_dy - x_hat * along)).abs());
    (extra / dx.fold(T::ZERO, T::max)).to_f64().abs()
}

/// `dx` in `f32` far from zero, with and without that path, and from the kernel, which
/// goes without it and has a mean that is not rounded: the largest error of an element and
/// `|Σ dx|`, relative to the largest element.
fn detour() -> Value {
    let (offset, count) = (1e4, 2000);
    let mut draws = Draws::new(SEED);
    let one = |_| {
        let x = draws.normals_f32(N, offset, 1.0);
        let dy = draws.normals_f32(N, 0.0, 1.0);
        let (wide_x, wide_dy) = (wide(&x), wide(&dy));
        let truth = dx_of_rounded_mean(&wide_x, &wide_dy, mean(&wide_x)).0;
        // The mean is rounded; all else is exact enough to be called so.
        let mu = f64::from(x.iter().sum::<f32>() / N as f32);
        let (without, extra) = dx_of_rounded_mean(&wide_x, &wide_dy, mu);
        let with: Vec<f64> = without.iter().map(|dx| dx + extra).collect();
        let forms = [with, without, kernel(&x, &dy)];
        let [a, b, c] = forms
            .each_ref()
            .map(|dx| furthest(dx, &truth) / largest(&truth));
        let [d, e, f] = forms.map(|dx| dx.iter().sum::<f64>().abs() / largest(&truth));
        [a, b, c, d, e, f]
    };
    let found = columns((0..count).map(one));
    let closer = found[0].iter().zip(&found[1]);
    let closer = closer.filter(|(with, without)| without < with).count();
    let form = |k: usize, form: &str| json!({ "form": form, "error": median(&found[k]), "sum": median(&found[k + 3]) });
    json!({
        "offset": offset,
        "draws": count,
        // Share of the draws in which `dx` without the path is closer to the truth.
        "without_closer": closer as f64 / f64::from(count),
        "rows": [form(0, "with the detour"), form(1, "without it"), form(2, "the kernel")],
    })
}

/// `dx` by the closed form around a given mean, and what the path x → mu → sigma² adds to
/// every element of it.
fn dx_of_rounded_mean(x: &[f64], dy: &[f64], mu: f64) -> (Vec<f64>, f64) {
    let centered: Vec<f64> = x.iter().map(|x| x - mu).collect();
    let rstd = 1.0 / (mean_of(&centered, |z| z * z) + EPS).sqrt();
    let along = mean_of(dy.iter().zip(&centered), |(dy, z)| dy * z * rstd);
    let mean_dy = mean(dy);
    let pairs = dy.iter().zip(&centered);
    let dx = pairs.map(|(dy, z)| rstd * (dy - mean_dy - z * rstd * along));
    // dL/dvar · dvar/dmu · dmu/dx
    let dvar = -0.5 * COUNT * along * rstd * rstd;
    let extra = dvar * (-2.0 * mean(&centered)) / COUNT;
    (dx.collect(), extra)
}

fn kernel(x: &[f32], dy: &[f32]) -> Vec<f64> {
    let layout = Layout::of(&[N, 1]);
    let mut y = vec![0.0; N];
    let moments = fused::forward(&layout, x, &[1.0], &[0.0], EPS, &mut y);
    let mut dx = dy.to_vec();
    let batch = fused::Batch {
        layout: &layout,
        x,
        gamma: &[1.0],
        moments: &moments,
    };
    fused::backward(batch, None, &mut dx);
    dx.into_iter().map(f64::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::chapter;

    /// "Test data with variance 1 and gamma 1 hide a third of these mistakes, the last three."
    #[test]
    fn chapter_8_what_ordinary_data_hide() {
        let mut draws = Draws::new(SEED);
        let (z, dy) = (draws.normals(N), draws.normals(N));
        let mu = mean(&z);
        let deviation = mean_of(&z, |z| (z - mu) * (z - mu)).sqrt();
        let x: Vec<f64> = z.iter().map(|z| (z - mu) / deviation).collect();
        let elements = channel(&x, &dy, 1.0);
        let right: Vec<f64> = elements.iter().map(GRADIENTS[0].1).collect();
        let allowed = 1e-4 * right.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        let mistakes = GRADIENTS[1..].iter().filter(|(_, gradient)| {
            let pairs = elements.iter().map(gradient).zip(&right);
            pairs.fold(0.0, |m: f64, (a, b)| m.max((a - b).abs())) <= allowed
        });
        let hidden: Vec<&str> = mistakes.map(|(name, _)| *name).collect();
        assert_eq!(
            hidden,
            ["gamma forgotten", "rstd forgotten", "eps left out"]
        );
        let text = chapter("bn-backward");
        let (_, table) = text
            .split_once("| Mistake | How")
            .expect("the table of mistakes");
        let rows = table
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        assert_eq!(rows.count(), 3 * hidden.len());
    }
}
