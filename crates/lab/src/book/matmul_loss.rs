//! Matrix products and the loss, for chapter 5: what the products cost, and how wrong a
//! cross-entropy becomes that is written as its formula.

use gradcheck::Check;
use serde::Serialize;
use tape::{Param, Tape, Tensor};

use super::Output;
use super::plot::{Axis, Ink, Mark, Series, draw};
use super::random::{Draws, mean, quantile};

const SEED: u64 = 5;
const CLASSES: usize = 10;
const EXAMPLES: usize = 1000;

#[derive(Serialize)]
struct Results {
    about: &'static str,
    layers: Vec<Layer>,
    total: Layer,
    ratio: f64,
    worked: Vec<Logit>,
    worked_loss: f64,
    untrained: Vec<Untrained>,
    stability: Stability,
    too_bright: TooBright,
}

/// The loss of a classifier whose logits are normal and know nothing.
#[derive(Serialize)]
struct Untrained {
    /// The deviation of the logits.
    deviation: f64,
    /// By how much the mean loss exceeds the logarithm of the number of classes.
    more: f64,
    /// Four standard errors of the mean.
    error: f64,
}

/// A step of a network of two layers, by the formula, when one example of its batch is a
/// thousand times as large as the others: how many gradients are NaN, and how many outputs
/// once the last layer is.
#[derive(Serialize)]
struct TooBright {
    loss: String,
    first_weights: usize,
    first_lost: usize,
    last_weights: usize,
    last_lost: usize,
    outputs: usize,
    outputs_lost: usize,
}

/// Multiplications in one layer.
#[derive(Clone, Serialize)]
struct Layer {
    name: String,
    forward: usize,
    by_weights: usize,
    by_input: usize,
}

/// One class of the worked example; the right class is the first.
#[derive(Serialize)]
struct Logit {
    class: usize,
    x: f64,
    exp: f64,
    p: f64,
    one_hot: f64,
    dx: f64,
}

#[derive(Serialize)]
struct Stability {
    classes: usize,
    examples: usize,
    rows: Vec<Scale>,
    large: Large,
    sure: Sure,
    /// Half the distance from 1 to the next number of `f32`.
    half_digit: f64,
}

/// Losses of logits with this standard deviation, in `f32`.
#[derive(Serialize)]
struct Scale {
    scale: f64,
    /// The largest relative error among the losses that are finite, and large enough for
    /// `f32` to hold them with all digits.
    formula: f64,
    stable: f64,
    apart: f64,
    /// Share of the losses that are infinite or NaN.
    formula_lost: f64,
    stable_lost: f64,
    apart_lost: f64,
}

/// The logits 20 and 0, the first class being right.
#[derive(Serialize)]
struct Sure {
    truth: f64,
    stable: f32,
    apart: f32,
}

/// The logits 1000 and 0, and either class being right.
#[derive(Serialize)]
struct Large {
    first_formula: String,
    first_stable: String,
    second_formula: String,
    second_stable: String,
}

// ANCHOR: losses
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
// ANCHOR_END: losses

/// `apart` in `f64`.
fn truth(x: &[f32], class: usize) -> f64 {
    let wide: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
    let max = wide.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let top = wide.iter().position(|&x| x == max).unwrap_or(0);
    let others = wide.iter().enumerate().filter(|(i, _)| *i != top);
    let sum: f64 = others.map(|(_, x)| libm::exp(x - max)).sum();
    libm::log1p(sum) - (wide[class] - max)
}

fn scale(scale: f64) -> Scale {
    let mut draws = Draws::new(SEED);
    let mut errors: [Vec<f64>; 3] = Default::default();
    let mut lost = [0; 3];
    for n in 0..EXAMPLES {
        let logits: Vec<f32> = (0..CLASSES)
            .map(|_| (scale * draws.normal()) as f32)
            .collect();
        let class = n % CLASSES;
        let truth = truth(&logits, class);
        for (k, form) in [formula, stable, apart].into_iter().enumerate() {
            let loss = form(&logits, class);
            if !loss.is_finite() {
                lost[k] += 1;
            } else if truth >= f64::from(f32::MIN_POSITIVE) {
                errors[k].push((f64::from(loss) / truth - 1.0).abs());
            }
        }
    }
    let worst = |errors: &[f64]| {
        if errors.is_empty() {
            0.0
        } else {
            quantile(errors, 1.0)
        }
    };
    let share = |lost: usize| lost as f64 / EXAMPLES as f64;
    Scale {
        scale,
        formula: worst(&errors[0]),
        stable: worst(&errors[1]),
        apart: worst(&errors[2]),
        formula_lost: share(lost[0]),
        stable_lost: share(lost[1]),
        apart_lost: share(lost[2]),
    }
}

fn layers() -> Vec<Layer> {
    let batch = 128;
    [
        ("784 to 512", 784, 512),
        ("512 to 256", 512, 256),
        ("256 to 10", 256, 10),
    ]
    .map(|(name, k, n)| Layer {
        name: name.to_owned(),
        forward: batch * k * n,
        by_weights: k * batch * n,
        // The images are no parameters: nobody asks for their gradient.
        by_input: if k == 784 { 0 } else { batch * n * k },
    })
    .into()
}

fn worked() -> (Vec<Logit>, f64) {
    let x = [2.0, 1.0, -1.0];
    let exp = x.map(libm::exp);
    let sum: f64 = exp.iter().sum();
    let rows: Vec<Logit> = (0..x.len())
        .map(|class| {
            let one_hot = if class == 0 { 1.0 } else { 0.0 };
            let p = exp[class] / sum;
            Logit {
                class,
                x: x[class],
                exp: exp[class],
                p,
                one_hot,
                dx: p - one_hot,
            }
        })
        .collect();
    let loss = -libm::log(rows[0].p);
    (rows, loss)
}

// ANCHOR: product
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
// ANCHOR_END: product

fn untrained(deviation: f64, draws: &mut Draws) -> Untrained {
    const COUNT: usize = 20_000;
    let mut losses = || {
        let logits = draws.normals(CLASSES).into_iter().map(|z| deviation * z);
        let logits: Vec<f64> = logits.collect();
        let sum: f64 = logits.iter().map(|&x| libm::exp(x)).sum();
        libm::log(sum) - logits[0]
    };
    let losses: Vec<f64> = (0..COUNT).map(|_| losses()).collect();
    let mean = mean(&losses);
    let variance = losses
        .iter()
        .map(|loss| (loss - mean) * (loss - mean))
        .sum::<f64>();
    Untrained {
        deviation,
        more: mean - libm::log(CLASSES as f64),
        error: 4.0 * variance.sqrt() / COUNT as f64,
    }
}

fn too_bright() -> TooBright {
    let mut draws = Draws::new(SEED + 1);
    let mut table = |shape: [usize; 2]| {
        let values = draws.normals(shape[0] * shape[1]);
        Tensor::new(shape, values.into_iter().map(|z| z as f32).collect())
    };
    let mut x = table([8, 4]);
    let [w1, w2] = [("w1", [4, 6]), ("w2", [6, 3])].map(|(name, s)| Param::new(name, table(s)));
    x.data_mut()[..4].iter_mut().for_each(|x| *x *= 1e3);
    let (loss, (), grads) = Tape::new().grad(|t| {
        let hidden = t.constant(x.clone()).matmul(&t.param(&w1)).relu();
        let exp = hidden.matmul(&t.param(&w2)).exp();
        let p = (&exp / exp.sum_keep(&[1])).reshape([24]);
        let right: Vec<usize> = (0..8).map(|n| 3 * n + n % 3).collect();
        (-p.index_select(0, &right).ln().mean_all(), ())
    });
    let outputs = Tape::eval(|t| {
        let hidden = t.constant(x.clone()).matmul(&t.param(&w1)).relu();
        let w2 = t.constant(Tensor::full([6, 3], f32::NAN));
        hidden.matmul(&w2).value().clone()
    });
    let lost = |values: &Tensor<f32>| values.data().iter().filter(|v| v.is_nan()).count();
    TooBright {
        loss: loss.to_string(),
        first_weights: w1.value().len(),
        first_lost: lost(&grads.of(&w1)),
        last_weights: w2.value().len(),
        last_lost: lost(&grads.of(&w2)),
        outputs: outputs.len(),
        outputs_lost: lost(&outputs),
    }
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

pub fn run() -> Output {
    let layers = layers();
    let sum = |of: fn(&Layer) -> usize| layers.iter().map(of).sum::<usize>();
    let total = Layer {
        name: "together".to_owned(),
        forward: sum(|l| l.forward),
        by_weights: sum(|l| l.by_weights),
        by_input: sum(|l| l.by_input),
    };
    let (worked, worked_loss) = worked();
    let mut draws = Draws::new(SEED);
    let scales = [1.0, 3.0, 10.0, 20.0, 30.0, 50.0, 100.0, 300.0];
    let rows: Vec<Scale> = scales.map(scale).into();
    let svg = plot(&rows);
    let told = |loss: f32| {
        if loss.is_finite() {
            format!("{loss}")
        } else {
            format!("{loss:?}")
        }
    };
    let (large, sure) = ([1000.0, 0.0], [20.0, 0.0]);
    Output::new(&Results {
        about: "Multiplications of matrix products; cross-entropy by its formula and stable",
        ratio: (total.by_weights + total.by_input) as f64 / total.forward as f64,
        layers: layers.iter().cloned().chain([total.clone()]).collect(),
        total,
        worked,
        worked_loss,
        untrained: [0.01, 0.3, 1.0, 2.0]
            .map(|deviation| untrained(deviation, &mut draws))
            .into(),
        too_bright: too_bright(),
        stability: Stability {
            classes: CLASSES,
            examples: EXAMPLES,
            rows,
            large: Large {
                first_formula: told(formula(&large, 0)),
                first_stable: told(stable(&large, 0)),
                second_formula: told(formula(&large, 1)),
                second_stable: told(stable(&large, 1)),
            },
            sure: Sure {
                truth: truth(&sure, 0),
                stable: stable(&sure, 0),
                apart: apart(&sure, 0),
            },
            half_digit: f64::from(f32::EPSILON) / 2.0,
        },
    })
    .plot("cross_entropy", svg)
    .text("product_checked", checked())
}

fn plot(rows: &[Scale]) -> String {
    let curve = |share: fn(&Scale) -> f64| -> Vec<(f64, f64)> {
        rows.iter()
            .map(|r| (libm::log10(r.scale), share(r)))
            .collect()
    };
    let marks = [(0.0, "1"), (1.0, "10"), (2.0, "100")];
    draw(
        "Share of losses that are lost, against the size of the logits",
        "The horizontal axis is logarithmic. The formula, in 32-bit arithmetic, loses more and \
         more examples to infinity and NaN once logits have a deviation of about twenty; at \
         three hundred all of them. The stable form loses none at any size.",
        &Axis {
            caption: "standard deviation of the logits".to_owned(),
            range: (0.0, 2.5),
            ticks: marks.map(|(at, name)| (at, name.to_owned())).into(),
        },
        &Axis::linear(
            "share of losses infinite or NaN",
            (0.0, 1.0),
            &[0.0, 0.25, 0.5, 0.75, 1.0],
        ),
        &[
            Series::new(Ink::Wrong, Mark::Line, curve(|r| r.formula_lost)).label(
                "the formula",
                1.05,
                0.6,
            ),
            Series::new(Ink::Direct, Mark::Line, curve(|r| r.stable_lost))
                .label("stable", 0.3, 0.06),
        ],
    )
}
