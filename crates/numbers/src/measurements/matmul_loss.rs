//! Matrix products and the loss, for chapter 5: what the products cost, and how wrong a
//! cross-entropy becomes that is written as its formula.

use gradcheck::Check;
use serde_json::{Value, json};
use tape::{Param, Tape, Tensor};

use crate::kit::{Measurement, Output, curve, each};
use crate::random::{Draws, dot, largest, mean};
use chart::{Axis, Chart, Hue};

pub const MEASUREMENT: Measurement = Measurement {
    name: "matmul_loss",
    chapter: 5,
    about: "multiplications of matrix products, and cross-entropy by its formula and stable",
    run,
};

const SEED: u64 = 5;
const CLASSES: usize = 10;
const EXAMPLES: usize = 1000;

/// The formula as it stands: a softmax, then a logarithm.
fn formula(x: &[f32], class: usize) -> f32 {
    let sum: f32 = x.iter().map(|&x| libm::expf(x)).sum();
    -libm::logf(libm::expf(x[class]) / sum)
}

/// The largest logit subtracted first, and the quotient resolved.
fn stable(x: &[f32], class: usize) -> f32 {
    let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = x.iter().map(|&x| libm::expf(x - max)).sum();
    libm::logf(sum) - (x[class] - max)
}

/// The same with the term of the largest logit, which is 1, kept apart from the others.
fn apart(x: &[f32], class: usize) -> f32 {
    let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let top = x.iter().position(|&x| x == max).unwrap_or(0);
    let others = x.iter().enumerate().filter(|(i, _)| *i != top);
    let sum: f32 = others.map(|(_, x)| libm::expf(x - max)).sum();
    libm::log1pf(sum) - (x[class] - max)
}

/// `apart` in `f64`.
fn truth(x: &[f32], class: usize) -> f64 {
    let wide: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
    let max = wide.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let top = wide.iter().position(|&x| x == max).unwrap_or(0);
    let others = wide.iter().enumerate().filter(|(i, _)| *i != top);
    let sum: f64 = others.map(|(_, x)| libm::exp(x - max)).sum();
    libm::log1p(sum) - (wide[class] - max)
}

/// Losses of logits with this standard deviation, in `f32`: the largest relative error among
/// the losses that are finite, and large enough for `f32` to hold them with all digits; and
/// the share of the losses that are infinite or NaN.
fn scale(scale: f64) -> Value {
    let mut draws = Draws::new(SEED);
    let mut errors = [const { Vec::new() }; 3];
    let mut lost = [0.0; 3];
    for n in 0..EXAMPLES {
        let logits = draws.normals_f32(CLASSES, 0.0, scale);
        let class = n % CLASSES;
        let truth = truth(&logits, class);
        for (k, form) in [formula, stable, apart].into_iter().enumerate() {
            let loss = form(&logits, class);
            if !loss.is_finite() {
                lost[k] += 1.0;
            } else if truth >= f64::from(f32::MIN_POSITIVE) {
                errors[k].push(f64::from(loss) / truth - 1.0);
            }
        }
    }
    let worst = errors.map(|errors| largest(&errors));
    let lost = lost.map(|lost| lost / EXAMPLES as f64);
    json!({
        "scale": scale,
        "formula": worst[0], "stable": worst[1], "apart": worst[2],
        "formula_lost": lost[0], "stable_lost": lost[1], "apart_lost": lost[2],
    })
}

/// Multiplications of layers from so many values to so many, and of all together: forward,
/// and for the gradients of weights and of inputs.
fn layers() -> Vec<(String, [usize; 3])> {
    let batch = 128;
    let layer = |(k, n): (usize, usize)| {
        let products = batch * k * n;
        // The images are no parameters: nobody asks for their gradient.
        let by_input = if k == 784 { 0 } else { products };
        (format!("{k} to {n}"), [products, products, by_input])
    };
    let mut layers: Vec<_> = [(784, 512), (512, 256), (256, 10)].map(layer).into();
    let total = [0, 1, 2].map(|which| layers.iter().map(|(_, products)| products[which]).sum());
    layers.push(("together".to_owned(), total));
    layers
}

/// The worked example, class by class, and its loss; the right class is the first.
fn worked() -> (Vec<Value>, f64) {
    let x = [2.0, 1.0, -1.0];
    let exp = x.map(libm::exp);
    let sum: f64 = exp.iter().sum();
    let row = |class: usize| {
        let one_hot = if class == 0 { 1.0 } else { 0.0 };
        let p = exp[class] / sum;
        json!({
            "class": class, "x": x[class], "exp": exp[class],
            "p": p, "one_hot": one_hot, "dx": p - one_hot,
        })
    };
    ((0..3).map(row).collect(), -libm::log(exp[0] / sum))
}

/// `Y = A B` by its definition: `[m, k]` times `[k, n]` is `[m, n]`.
fn product(a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> Vec<f64> {
    let mut y = vec![0.0; m * n];
    for i in 0..m {
        for p in 0..k {
            for j in 0..n {
                y[i * n + j] += a[i * k + p] * b[p * n + j];
            }
        }
    }
    y
}

/// A matrix with rows and columns exchanged: `[m, n]` to `[n, m]`.
fn transposed(a: &[f64], m: usize, n: usize) -> Vec<f64> {
    (0..n * m).map(|at| a[at % m * n + at / m]).collect()
}

/// `dA = dY Bᵀ` and `dB = Aᵀ dY`.
fn product_backward(dy: &[f64], a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> Vec<Vec<f64>> {
    let da = product(dy, &transposed(b, k, n), [m, n, k]);
    let db = product(&transposed(a, m, k), dy, [k, m, n]);
    vec![da, db]
}

/// The loss of a classifier whose logits are normal and know nothing.
fn untrained(deviation: f64, draws: &mut Draws) -> Value {
    const COUNT: usize = 20_000;
    let mut loss = || {
        let logits = draws.normals(CLASSES);
        let logits: Vec<f64> = logits.iter().map(|z| deviation * z).collect();
        let sum: f64 = logits.iter().map(|&x| libm::exp(x)).sum();
        libm::log(sum) - logits[0]
    };
    let losses: Vec<f64> = (0..COUNT).map(|_| loss()).collect();
    let mean = mean(&losses);
    let off: Vec<f64> = losses.iter().map(|loss| loss - mean).collect();
    json!({
        "deviation": deviation,
        // By how much the mean loss exceeds the logarithm of the number of classes.
        "more": mean - libm::log(CLASSES as f64),
        // Four standard errors of the mean.
        "error": 4.0 * dot(&off, &off).sqrt() / COUNT as f64,
    })
}

/// A step of a network of two layers, by the formula, when one example of its batch is a
/// thousand times as large as the others: how many gradients are NaN, and how many outputs
/// once the last layer is.
fn too_bright() -> Value {
    let mut draws = Draws::new(SEED + 1);
    let mut table = |[m, n]: [usize; 2]| Tensor::new([m, n], draws.normals_f32(m * n, 0.0, 1.0));
    let mut x = table([8, 4]);
    let [w1, w2] = [("w1", [4, 6]), ("w2", [6, 3])].map(|(name, s)| Param::new(name, table(s)));
    x.data_mut()[..4].iter_mut().for_each(|x| *x *= 1e3);
    let (loss, grads) = Tape::new().grad(|t| {
        let hidden = t.constant(x.clone()).matmul(&t.param(&w1)).relu();
        let exp = hidden.matmul(&t.param(&w2)).exp();
        let p = (&exp / exp.sum_keep(&[1])).reshape([24]);
        let right: Vec<usize> = (0..8).map(|n| 3 * n + n % 3).collect();
        -p.index_select(0, &right).ln().mean_all()
    });
    let outputs = Tape::eval(|t| {
        let hidden = t.constant(x.clone()).matmul(&t.param(&w1)).relu();
        let w2 = t.constant(Tensor::full([6, 3], f32::NAN));
        hidden.matmul(&w2).value().clone()
    });
    let lost = |values: &Tensor<f32>| values.data().iter().filter(|v| v.is_nan()).count();
    json!({
        "loss": loss.to_string(),
        "first_weights": w1.value().len(), "first_lost": lost(&grads.of(&w1)),
        "last_weights": w2.value().len(), "last_lost": lost(&grads.of(&w2)),
        "outputs": outputs.len(), "outputs_lost": lost(&outputs),
    })
}

fn checked() -> String {
    let sizes = [2, 3, 4];
    let mut draws = Draws::new(SEED);
    let report = Check::new("A B")
        .input("A", &[2, 3], draws.normals(6))
        .input("B", &[3, 4], draws.normals(12))
        .run(
            |x| product(&x[0], &x[1], sizes),
            |x, dy| product_backward(dy, &x[0], &x[1], sizes),
        );
    report.to_string()
}

fn run() -> Output {
    let layers = layers();
    let layer = |(name, [forward, by_weights, by_input]): &(String, [usize; 3])| {
        json!({
            "name": name, "forward": forward, "by_weights": by_weights, "by_input": by_input,
        })
    };
    let total = &layers[layers.len() - 1];
    let (worked, worked_loss) = worked();
    let mut draws = Draws::new(SEED);
    let rows = [1.0, 3.0, 10.0, 20.0, 30.0, 50.0, 100.0, 300.0].map(scale);
    // A loss may be infinite, or NaN.
    let told = |loss: f32| loss.to_string();
    // No more digits than the type has.
    let short = |loss: f32| {
        loss.to_string()
            .parse::<f64>()
            .expect("a number as printed")
    };
    let (large, sure) = ([1000.0, 0.0], [20.0, 0.0]);
    Output::new(json!({
        "about": "Multiplications of matrix products; cross-entropy by its formula and stable",
        "layers": each(&layers, layer),
        "total": layer(total),
        "ratio": (total.1[1] + total.1[2]) as f64 / total.1[0] as f64,
        "worked": worked,
        "worked_loss": worked_loss,
        "untrained": each([0.01, 0.3, 1.0, 2.0], |deviation| untrained(deviation, &mut draws)),
        "stability": {
            "classes": CLASSES,
            "examples": EXAMPLES,
            "rows": rows,
            // The logits 1000 and 0, and either class being right.
            "large": {
                "first_formula": told(formula(&large, 0)),
                "first_stable": told(stable(&large, 0)),
                "second_formula": told(formula(&large, 1)),
                "second_stable": told(stable(&large, 1)),
            },
            // The logits 20 and 0, the first class being right.
            "sure": {
                "truth": truth(&sure, 0),
                "stable": short(stable(&sure, 0)),
                "apart": short(apart(&sure, 0)),
            },
            // Half the distance from 1 to the next number of `f32`.
            "half_digit": f64::from(f32::EPSILON) / 2.0,
        },
        "too_bright": too_bright(),
    }))
    .plot("cross_entropy", plot(&rows))
    .text("product_checked", checked())
}

fn plot(rows: &[Value]) -> Chart {
    let curve = |lost| curve(rows, "scale", lost);
    Chart::new(
        "Share of losses that are lost, against the size of the logits",
        "The horizontal axis is logarithmic. The formula, in 32-bit arithmetic, loses more and \
         more examples to infinity and NaN once logits have a deviation of about twenty; at \
         three hundred all of them. The stable form loses none at any size.",
        Axis::log("standard deviation of the logits", 1.0, 320.0),
        Axis::linear("share of losses infinite or NaN", 0.0, 1.0),
    )
    .line("the formula", Hue::Wrong, curve("formula_lost"))
    .line("stable", Hue::Direct, curve("stable_lost"))
}
