//! The tape as it prints itself, what it keeps for the backward pass, and an op that this
//! crate adds to it: chapter 4.

use gradcheck::Check;
use serde::Serialize;
use tape::{Backward, InputGrads, Param, Real, Tape, Tensor, Var};

use super::Output;

// ANCHOR: forward
/// `1 / x`, element by element.
fn reciprocal<'t, T: Real>(x: &Var<'t, T>) -> Var<'t, T> {
    let y = x.value().map(|x| T::ONE / x);
    x.tape().record(&[x], y.clone(), || Reciprocal { y })
}
// ANCHOR_END: forward

// ANCHOR: backward
/// `d(1/x)/dx = -1/x² = -y²`: the output is all that must be kept.
struct Reciprocal<T: Real> {
    y: Tensor<T>,
}

impl<T: Real> Backward<T> for Reciprocal<T> {
    fn name(&self) -> &'static str {
        "reciprocal"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        dx.add(0, dy.zip_with(&self.y, |dy, y| -dy * y * y));
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.y]
    }
}
// ANCHOR_END: backward

#[derive(Serialize)]
struct Results {
    about: &'static str,
    network: Network,
    forms: Vec<Form>,
    shared: Shared,
}

/// Two layers on images of 8 × 8 points.
#[derive(Serialize)]
struct Network {
    batch: usize,
    records: usize,
    parameter_bytes: usize,
    saved_bytes: usize,
    batches: Vec<Batch>,
}

#[derive(Serialize)]
struct Batch {
    batch: usize,
    training: usize,
    evaluation: usize,
}

/// One computation written in two ways.
#[derive(Serialize)]
struct Form {
    name: &'static str,
    primitive_records: usize,
    primitive_bytes: usize,
    fused_records: usize,
    fused_bytes: usize,
    ratio: f64,
}

/// A result that two ops save.
#[derive(Serialize)]
struct Shared {
    relu_alone: usize,
    relu_then_matmul: usize,
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

    // ANCHOR: network
    fn loss<'t>(&self, t: &'t Tape<f32>, images: &Tensor<f32>, classes: &[usize]) -> Var<'t, f32> {
        let x = t.constant(images.clone());
        let hidden = (x.matmul(&t.param(&self.w1)) + t.param(&self.b1)).relu();
        let logits = hidden.matmul(&t.param(&self.w2)) + t.param(&self.b2);
        logits.cross_entropy(classes)
    }
    // ANCHOR_END: network
}

/// The printed tape of one recording, how many records, and the bytes it saved.
fn look(f: impl for<'t> FnOnce(&'t Tape<f32>) -> Var<'t, f32>) -> (String, usize, usize) {
    let (_, looked, _) = Tape::new().grad(|t| {
        let y = f(t).sum_all();
        // The sum that makes a scalar is not part of what is looked at.
        let records = t.len() - 1;
        (y, (t.to_string(), records, t.saved_bytes()))
    });
    looked
}

fn network() -> (String, Network) {
    let weights = Weights::new();
    let run = |batch: usize| {
        let images = Tensor::full([batch, 64], 0.5);
        let classes: Vec<usize> = (0..batch).map(|n| n % 10).collect();
        let (_, looked, _) = Tape::new().grad(|t| {
            let loss = weights.loss(t, &images, &classes);
            (loss, (t.to_string(), t.len(), t.saved_bytes()))
        });
        let evaluation = Tape::eval(|t| {
            let _ = weights.loss(t, &images, &classes);
            t.saved_bytes()
        });
        (looked, evaluation)
    };
    let ((printed, records, saved_bytes), _) = run(16);
    let batches = [1, 16, 256].map(|batch| {
        let ((_, _, training), evaluation) = run(batch);
        Batch {
            batch,
            training,
            evaluation,
        }
    });
    let network = Network {
        batch: 16,
        records,
        parameter_bytes: weights.bytes(),
        saved_bytes,
        batches: batches.into(),
    };
    (printed, network)
}

type Recording<'a> = &'a dyn for<'t> Fn(&'t Tape<f32>, &Var<'t, f32>) -> Var<'t, f32>;

fn form(name: &'static str, primitive: Recording<'_>, fused: Recording<'_>) -> Form {
    let x = Param::new("x", Tensor::from_fn([64, 256], |i| (i % 7) as f32));
    let of = |f: Recording<'_>| {
        let (_, records, bytes) = look(|t| f(t, &t.param(&x)));
        // The parameter is a record too; what the op needs beside it is what counts.
        (records - 1, bytes)
    };
    let ((primitive_records, primitive_bytes), (fused_records, fused_bytes)) =
        (of(primitive), of(fused));
    Form {
        name,
        primitive_records,
        primitive_bytes,
        fused_records,
        fused_bytes,
        ratio: primitive_bytes as f64 / fused_bytes as f64,
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

fn forms() -> Vec<Form> {
    let classes: Vec<usize> = (0..64).map(|n| n % 256).collect();
    let target = Tensor::full([64, 256], 1.5);
    let (scale, shift) = (Tensor::full([256], 2.0), Tensor::full([256], 0.5));
    vec![
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
            &|t, x| {
                let (gamma, beta) = (t.constant(scale.clone()), t.constant(shift.clone()));
                batchnorm::composed::batch_norm(x, &gamma, &beta, 1e-5)
            },
            &|t, x| {
                let (gamma, beta) = (t.constant(scale.clone()), t.constant(shift.clone()));
                batchnorm::op::batch_norm(x, &gamma, &beta, 1e-5).0
            },
        ),
        form(
            "Layer Norm",
            &|t, x| {
                let (gamma, beta) = (t.constant(scale.clone()), t.constant(shift.clone()));
                layernorm::composed::layer_norm(x, &gamma, &beta, 1e-5)
            },
            &|t, x| {
                let (gamma, beta) = (t.constant(scale.clone()), t.constant(shift.clone()));
                layernorm::layer_norm(x, &gamma, &beta, 1e-5)
            },
        ),
    ]
}

fn shared() -> Shared {
    let w = Param::new("w", Tensor::full([256, 8], 0.1));
    let x = Param::new("x", Tensor::full([64, 256], 0.5));
    let bytes = |f: Recording<'_>| look(|t| f(t, &t.param(&x))).2;
    Shared {
        relu_alone: bytes(&|_, x| x.relu()),
        relu_then_matmul: bytes(&|t, x| x.relu().matmul(&t.constant(w.value().clone())))
            - w.value().bytes(),
    }
}

/// The op of this file, held to finite differences.
fn checked() -> String {
    let report = Check::new("1 / x")
        .input("x", &[2, 3], [0.5, -1.25, 2.0, -0.75, 1.5, 3.0])
        .run_tape(|x| reciprocal(&x[0]));
    report.to_string()
}

pub fn run() -> Output {
    let (printed, network) = network();
    Output::new(&Results {
        about: "A printed tape, what is saved for the backward pass, and an op from outside",
        network,
        forms: forms(),
        shared: shared(),
    })
    .text("tape_printed", printed)
    .text("outside_checked", checked())
}
