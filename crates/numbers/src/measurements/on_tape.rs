//! The tape as it prints itself, what it keeps for the backward pass, and an op that this
//! crate adds to it: chapter 4.

use gradcheck::Check;
use serde_json::{Value, json};
use tape::{Backward, InputGrads, Param, Real, Tape, Tensor, Var};

use crate::kit::{Measurement, Output};

pub const MEASUREMENT: Measurement = Measurement {
    name: "on_tape",
    chapter: 4,
    about: "a printed tape, what it saves for the backward pass, and an op from outside",
    run,
};

/// `1 / x`, element by element.
fn reciprocal<'t, T: Real>(x: &Var<'t, T>) -> Var<'t, T> {
    let y = x.value().map(|x| T::ONE / x);
    x.tape().record(&[x], y.clone(), || Reciprocal { y })
}

/// `d(1/x)/dx = -1/x² = -y²`: the output is all that must be kept.
struct Reciprocal<T: Real> {
    y: Tensor<T>,
}

impl<T: Real> Backward<T> for Reciprocal<T> {
    fn name(&self) -> &'static str {
        "reciprocal"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        dx.add(0, dy.zip_in_place(&self.y, |dy, y| -dy * y * y));
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.y]
    }
}

struct Weights {
    w1: Param<f32>,
    b1: Param<f32>,
    w2: Param<f32>,
    b2: Param<f32>,
}

impl Weights {
    fn new() -> Self {
        let param = |name: &str, shape: &[usize]| Param::new(name, Tensor::full(shape, 0.01));
        Weights {
            w1: param("w1", &[64, 32]),
            b1: param("b1", &[32]),
            w2: param("w2", &[32, 10]),
            b2: param("b2", &[10]),
        }
    }

    fn bytes(&self) -> usize {
        let all = [&self.w1, &self.b1, &self.w2, &self.b2];
        all.iter().map(|p| p.value().bytes()).sum()
    }

    fn loss<'t>(&self, t: &'t Tape<f32>, images: &Tensor<f32>, classes: &[usize]) -> Var<'t, f32> {
        let x = t.constant(images.clone());
        let hidden = (x.matmul(&t.param(&self.w1)) + t.param(&self.b1)).relu();
        let logits = hidden.matmul(&t.param(&self.w2)) + t.param(&self.b2);
        logits.cross_entropy(classes)
    }
}

/// Two layers on images of 8 × 8 points: the tape as printed, and what it keeps.
fn network() -> (String, Value) {
    let weights = Weights::new();
    let images = |batch: usize| Tensor::full([batch, 64], 0.5);
    let classes = |batch: usize| (0..batch).map(|n| n % 10).collect::<Vec<usize>>();
    let training = |batch: usize| {
        let (_, looked, _) = Tape::new().grad_with(|t| {
            let loss = weights.loss(t, &images(batch), &classes(batch));
            (loss, (t.to_string(), t.len(), t.saved_bytes()))
        });
        looked
    };
    let evaluation = |batch: usize| {
        Tape::eval(|t| {
            let _ = weights.loss(t, &images(batch), &classes(batch));
            t.saved_bytes()
        })
    };
    let (printed, records, saved_bytes) = training(16);
    let batches = [1, 16, 256].map(|batch| {
        json!({ "batch": batch, "training": training(batch).2, "evaluation": evaluation(batch) })
    });
    let network = json!({
        "batch": 16,
        "records": records,
        "parameter_bytes": weights.bytes(),
        "saved_bytes": saved_bytes,
        "batches": batches,
    });
    (printed, network)
}

/// How many records one recording makes, and the bytes it saves.
fn look(f: impl for<'t> FnOnce(&'t Tape<f32>) -> Var<'t, f32>) -> (usize, usize) {
    let (_, looked, _) = Tape::new().grad_with(|t| {
        let y = f(t).sum_all();
        // The sum that makes a scalar is not part of what is looked at.
        (y, (t.len() - 1, t.saved_bytes()))
    });
    looked
}

type Recording<'a> = &'a dyn for<'t> Fn(&'t Tape<f32>, &Var<'t, f32>) -> Var<'t, f32>;
/// A norm of this many features.
type Norm = for<'t> fn(&Var<'t, f32>, &Var<'t, f32>, &Var<'t, f32>) -> Var<'t, f32>;

/// One computation written in two ways.
fn form(name: &str, primitive: Recording<'_>, fused: Recording<'_>) -> Value {
    let x = Param::new("x", Tensor::from_fn([64, 256], |i| (i % 7) as f32));
    let of = |f: Recording<'_>| {
        let (records, bytes) = look(|t| f(t, &t.param(&x)));
        // The parameter is a record too; what the op needs beside it is what counts.
        (records - 1, bytes)
    };
    let (primitive, fused) = (of(primitive), of(fused));
    json!({
        "name": name,
        "primitive_records": primitive.0,
        "primitive_bytes": primitive.1,
        "fused_records": fused.0,
        "fused_bytes": fused.1,
        "ratio": primitive.1 as f64 / fused.1 as f64,
    })
}

/// A norm of a table, with a constant scale and shift.
fn normed(norm: Norm) -> impl for<'t> Fn(&'t Tape<f32>, &Var<'t, f32>) -> Var<'t, f32> {
    move |t, x| {
        let [gamma, beta] = [2.0, 0.5].map(|value| t.constant(Tensor::full([256], value)));
        norm(x, &gamma, &beta)
    }
}

/// Rows that hold a 1 at their class.
fn one_hot(classes: &[usize], count: usize) -> Tensor<f32> {
    Tensor::from_fn([classes.len(), count], |i| {
        if classes[i / count] == i % count {
            1.0
        } else {
            0.0
        }
    })
}

fn forms() -> [Value; 4] {
    const EPS: f64 = 1e-5;
    let classes: Vec<usize> = (0..64).map(|n| n % 256).collect();
    let target = Tensor::full([64, 256], 1.5);
    [
        form(
            "mean square error",
            &|t, x| {
                let error = x - t.constant(target.clone());
                (&error * &error).mean_all()
            },
            &|t, x| x.mse(&t.constant(target.clone())),
        ),
        form(
            "softmax cross-entropy",
            &|t, x| {
                let picked = x.log_softmax(1) * t.constant(one_hot(&classes, 256));
                -(picked.sum_all() / 64.0)
            },
            &|_, x| x.cross_entropy(&classes),
        ),
        form(
            "Batch Norm",
            &normed(|x, gamma, beta| batchnorm::composed::batch_norm(x, gamma, beta, EPS)),
            &normed(|x, gamma, beta| batchnorm::op::batch_norm(x, gamma, beta, EPS).0),
        ),
        form(
            "Layer Norm",
            &normed(|x, gamma, beta| layernorm::composed::layer_norm(x, gamma, beta, EPS)),
            &normed(|x, gamma, beta| layernorm::layer_norm(x, gamma, beta, EPS)),
        ),
    ]
}

/// A result that two ops save.
fn shared() -> Value {
    let w = Param::new("w", Tensor::full([256, 8], 0.1));
    let x = Param::new("x", Tensor::full([64, 256], 0.5));
    let bytes = |f: Recording<'_>| look(|t| f(t, &t.param(&x))).1;
    let both = bytes(&|t, x| x.relu().matmul(&t.constant(w.value().clone())));
    json!({
        "relu_alone": bytes(&|_, x| x.relu()),
        "relu_then_matmul": both - w.value().bytes(),
    })
}

/// The op of this file, held to finite differences.
fn checked() -> String {
    let report = Check::new("1 / x")
        .input("x", &[2, 3], [0.5, -1.25, 2.0, -0.75, 1.5, 3.0])
        .run_tape(|x| reciprocal(&x[0]));
    report.to_string()
}

fn run() -> Output {
    let (printed, network) = network();
    Output::new(json!({
        "about": "A printed tape, what is saved for the backward pass, and an op from outside",
        "network": network,
        "forms": forms(),
        "shared": shared(),
    }))
    .text("tape_printed", printed)
    .text("outside_checked", checked())
}
