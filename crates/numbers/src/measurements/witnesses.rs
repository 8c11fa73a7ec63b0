//! Layer Norm with one mistake at a time, before every witness.
//!
//! Some mistakes are in the backward pass alone, some in both passes, so that the gradient is that
//! of the wrong function, and some are no mistake on paper. No witness sees all of them.

use std::array;

use gradcheck::Check;
use layernorm::composed::layer_norm;
use serde_json::{Value, json};
use tape::{Real, Tensor};
use witness::{Argument, Dual, Equality, Exact, Subject};

use crate::kit::{APPENDIX, Measurement, Output, each};
use crate::random::{Draws, largest};

pub const MEASUREMENT: Measurement = Measurement {
    name: "witnesses",
    chapter: APPENDIX,
    about: "which mistakes in Layer Norm each witness sees",
    run,
};

const EPS: f64 = 1e-5;
const SEED: u64 = 11;
/// Rows and features of the input that the witnesses draw.
const SHAPE: [usize; 2] = [6, 5];
/// PyTorch's values for a Layer Norm of four rows of five features.
const GOLDEN: &str = include_str!("../../../../tests/golden/layernorm.json");

/// What is wrong.
#[derive(Clone, Copy, PartialEq)]
enum Mistake {
    None,
    MeanPath,
    VariancePath,
    Detached,
    GammaForgotten,
    GammaOutside,
    Power,
    EpsBackward,
    Count,
    DgammaUnscaled,
    Digits,
    LastDigit,
    RowsBeyond,
    Unbiased,
    EpsOutside,
    EpsOther,
    Uncentered,
    Cancels,
}

use Mistake::*;

/// Where it is, and what is told of it.
const MISTAKES: [(Mistake, &str, &str); 18] = [
    (None, "", "no mistake"),
    (MeanPath, "backward", "the path through the mean is missing"),
    (
        VariancePath,
        "backward",
        "the path through the variance is missing",
    ),
    (
        Detached,
        "backward",
        "mean and variance are taken for constants",
    ),
    (GammaForgotten, "backward", "gamma is forgotten in dx"),
    (
        GammaOutside,
        "backward",
        "gamma is multiplied in after the two averages",
    ),
    (
        Power,
        "backward",
        "the square of rstd, where the cube belongs",
    ),
    (
        EpsBackward,
        "backward",
        "rstd is computed again without eps",
    ),
    (Count, "backward", "averages over D − 1"),
    (
        DgammaUnscaled,
        "backward",
        "dgamma with x − μ in place of x̂",
    ),
    (Digits, "backward", "1/D as a constant of seven digits"),
    (LastDigit, "backward", "dx times 1 + 2⁻⁵²"),
    (
        RowsBeyond,
        "backward",
        "dgamma leaves out the rows from number 64 on",
    ),
    (Unbiased, "both", "the unbiased variance"),
    (EpsOutside, "both", "eps is added to the root"),
    (EpsOther, "both", "eps is 1e-6 in place of 1e-5"),
    (Uncentered, "both", "the mean is not subtracted"),
    (Cancels, "both", "the variance as E[x²] − μ²"),
];

/// A row, normalized: what the backward pass needs of it.
struct Row<T> {
    x_hat: Vec<T>,
    rstd: T,
    /// Σ (x − μ)² / D, however it was computed.
    var: T,
}

fn mean<T: Real>(values: impl Iterator<Item = T>, count: T) -> T {
    values.sum::<T>() / count
}

fn normalize<T: Real>(mistake: Mistake, x: &[T]) -> Row<T> {
    let d = T::from_usize(x.len());
    let average = mean(x.iter().copied(), d);
    let shift = if mistake == Uncentered {
        T::ZERO
    } else {
        average
    };
    let centered: Vec<T> = x.iter().map(|&x| x - shift).collect();
    let squares = |values: &[T]| values.iter().map(|&v| v * v).sum::<T>();
    let var = match mistake {
        Unbiased => squares(&centered) / (d - T::ONE),
        Cancels => squares(x) / d - average * average,
        _ => squares(&centered) / d,
    };
    let eps = T::from_f64(if mistake == EpsOther { 1e-6 } else { EPS });
    let rstd = match mistake {
        EpsOutside => T::ONE / (var.sqrt() + eps),
        _ => T::ONE / (var + eps).sqrt(),
    };
    Row {
        x_hat: centered.iter().map(|&c| c * rstd).collect(),
        rstd,
        var,
    }
}

/// `dx` of a row, from the gradient that arrives at `y`.
fn backward_row<T: Real>(mistake: Mistake, row: &Row<T>, gamma: &[T], dy: &[T]) -> Vec<T> {
    let Row { x_hat, rstd, var } = row;
    let d = T::from_usize(dy.len());
    let late = matches!(mistake, GammaForgotten | GammaOutside);
    let g: Vec<T> = dy
        .iter()
        .zip(gamma)
        .map(|(&dy, &gamma)| if late { dy } else { dy * gamma })
        .collect();
    let average = |values: &mut dyn Iterator<Item = T>| match mistake {
        Count => mean(values, d - T::ONE),
        Digits => values.sum::<T>() * T::from_f64(f64::from(1.0_f32 / dy.len() as f32)),
        _ => mean(values, d),
    };
    let mut mean_g = average(&mut g.iter().copied());
    let mut mean_g_x_hat = average(&mut g.iter().zip(x_hat).map(|(&g, &x_hat)| g * x_hat));
    let mut rstd = *rstd;
    // The averages over what the forward pass really divided by.
    let mut slope = T::ONE;
    match mistake {
        MeanPath => mean_g = T::ZERO,
        VariancePath => mean_g_x_hat = T::ZERO,
        Detached => (mean_g, mean_g_x_hat) = (T::ZERO, T::ZERO),
        Uncentered => mean_g = T::ZERO,
        Power => mean_g_x_hat /= rstd,
        EpsBackward => rstd = T::ONE / var.sqrt(),
        Unbiased => slope = d / (d - T::ONE),
        // r = 1/(σ + eps), so dr/dσ² = −r²/(2σ).
        EpsOutside => slope = T::ONE / (rstd * var.sqrt()),
        _ => {}
    }
    let last = match mistake {
        LastDigit => T::from_f64(1.0 + f64::EPSILON),
        _ => T::ONE,
    };
    let dx = g.iter().zip(x_hat).enumerate().map(|(j, (&g, &x_hat))| {
        let dx = rstd * (g - mean_g - x_hat * mean_g_x_hat * slope) * last;
        if mistake == GammaOutside {
            dx * gamma[j]
        } else {
            dx
        }
    });
    dx.collect()
}

/// The function with one mistake, at these inputs.
fn subject<T: Real>(mistake: Mistake, inputs: [Tensor<T>; 3]) -> Subject<'static, T> {
    let names = ["x", "gamma", "beta"];
    let arguments = names
        .iter()
        .zip(inputs)
        .map(|(name, value)| Argument::new(*name, value));
    let rows = move |x: &Tensor<T>, d: usize| -> Vec<Row<T>> {
        x.data()
            .chunks(d)
            .map(|row| normalize(mistake, row))
            .collect()
    };
    Subject::new(
        arguments.collect(),
        move |at| {
            let (gamma, beta) = (at[1].data(), at[2].data());
            let rows = rows(&at[0], gamma.len());
            let of = |row: &Row<T>, j: usize| gamma[j] * row.x_hat[j] + beta[j];
            let y = rows
                .iter()
                .flat_map(|row| (0..gamma.len()).map(move |j| (row, j)));
            Tensor::new(*at[0].shape(), y.map(|(row, j)| of(row, j)).collect())
        },
        move |at, dy| {
            let gamma = at[1].data();
            let d = gamma.len();
            let (mut dx, mut sums) = (Vec::new(), [vec![T::ZERO; d], vec![T::ZERO; d]]);
            for (r, (row, dy)) in rows(&at[0], d).iter().zip(dy.data().chunks(d)).enumerate() {
                dx.extend(backward_row(mistake, row, gamma, dy));
                for j in 0..d {
                    let x_hat = match mistake {
                        DgammaUnscaled => row.x_hat[j] / row.rstd,
                        RowsBeyond if r >= 64 => T::ZERO,
                        _ => row.x_hat[j],
                    };
                    sums[0][j] += dy[j] * x_hat;
                    sums[1][j] += dy[j];
                }
            }
            let [dgamma, dbeta] = sums.map(|sum| Tensor::new([d], sum));
            vec![Tensor::new(*dy.shape(), dx), dgamma, dbeta]
        },
    )
}

/// x, gamma and beta, x around this mean.
fn inputs(mean: f64) -> [Tensor<f64>; 3] {
    let mut draws = Draws::new(SEED);
    let [rows, d] = SHAPE;
    let mut normal =
        |count, shift| -> Vec<f64> { draws.normals(count).iter().map(|x| shift + x).collect() };
    [
        Tensor::new([rows, d], normal(rows * d, mean)),
        Tensor::new([d], normal(d, 2.0)),
        Tensor::new([d], normal(d, 0.0)),
    ]
}

fn cast<T: Real>(inputs: [Tensor<f64>; 3]) -> [Tensor<T>; 3] {
    inputs.map(|x| x.cast())
}

/// Layer Norm made of the tape's own ops.
fn of_ops() -> Subject<'static, f64> {
    Subject::on_tape(inputs(0.0).to_vec(), |x| {
        layer_norm(&x[0], &x[1], &x[2], EPS)
    })
}

/// Whether values and gradients are PyTorch's, to twelve digits.
fn is_pytorchs(mistake: Mistake) -> bool {
    let golden: Value = serde_json::from_str(GOLDEN).expect("golden values are JSON");
    let case = &golden["cases"][0]["arrays"];
    let array = |name: &str| -> Tensor<f64> {
        let list = |key: &str| case[name][key].as_array().expect("an array of numbers");
        let shape: Vec<usize> = list("shape")
            .iter()
            .map(|n| n.as_u64().expect("a length") as usize)
            .collect();
        let data = list("data").iter().map(|x| x.as_f64().expect("a number"));
        Tensor::new(&shape[..], data.collect())
    };
    let ours = subject(mistake, array_of(["x", "gamma", "beta"], &array));
    let mut found = ours.vjp(&ours.point(), &array("dy"));
    found.push(ours.value(&ours.point()));
    let names = ["dx", "dgamma", "dbeta", "y"];
    names.iter().zip(&found).all(|(name, found)| {
        let golden = array(name);
        let apart = golden.data().iter().zip(found.data()).map(|(a, b)| a - b);
        largest(&apart.collect::<Vec<_>>()) <= 1e-12 * largest(golden.data())
    })
}

fn array_of(names: [&str; 3], array: &impl Fn(&str) -> Tensor<f64>) -> [Tensor<f64>; 3] {
    array::from_fn(|i| array(names[i]))
}

/// Whether `f32` has the digits of `f64` that it can have, around a mean of 1000.
fn keeps_its_digits(mistake: Mistake) -> bool {
    let wide = subject::<f64>(mistake, inputs(1000.0));
    let narrow = subject::<f32>(mistake, cast(inputs(1000.0)));
    let (wide, narrow) = (wide.value(&wide.point()), narrow.value(&narrow.point()));
    let apart = wide
        .data()
        .iter()
        .zip(narrow.data())
        .map(|(a, b)| a - f64::from(*b));
    largest(&apart.collect::<Vec<_>>()) <= 0.01 * largest(wide.data())
}

/// Which witnesses see the mistake.
fn seen(mistake: Mistake) -> Value {
    let plain = subject::<f64>(mistake, inputs(0.0));
    let exact = subject::<Dual<Exact>>(mistake, cast(inputs(0.0)));
    let dual = witness::in_f64(&exact, SEED);
    let field = witness::exactly(&exact, SEED);
    let differs = field
        .iter()
        .any(|verdict| verdict.found == Equality::Different);
    let undecided = field
        .iter()
        .any(|verdict| matches!(verdict.found, Equality::Silent(_)));
    assert!(!undecided, "the field decides on every mistake");
    json!({
        "differences": !plain.differences(Check::new("layer norm")).passed(),
        "dual": !dual.iter().all(|verdict| verdict.found.agree()),
        "field": differs,
        "ops": !witness::alike(&plain, &of_ops(), SEED).agrees(),
        "pytorch": !is_pytorchs(mistake),
        "f32": !keeps_its_digits(mistake),
    })
}

fn run() -> Output {
    let rows = each(MISTAKES, |(mistake, passes, what)| {
        let mut row = json!({ "mistake": what, "passes": passes });
        let seen = seen(mistake);
        for (witness, saw) in seen.as_object().expect("an object") {
            row[witness] = json!(if saw == true { "✓" } else { "–" });
        }
        row
    });
    Output::new(json!({
        "rows": SHAPE[0],
        "features": SHAPE[1],
        // One of them is none.
        "made": MISTAKES.len() - 1,
        "mistakes": rows,
    }))
}
