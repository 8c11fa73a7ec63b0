//! What is judged of each function: before the training the gradients, after it the rest.

use super::network::{EPS, Evaluate, Forward, INERTIA, Loss, MOMENTUM, Network, Norm, RATE, Step};
use crate::arrays::Draws;
use crate::batch::{BATCH, Batch};
use crate::bn_forward;
use crate::bn_forward::Running;
use crate::gradients::{Gradients, part_of};
use crate::tensor_products::Tape;
use crate::tensor_tape::Tensor;
use crate::tensor_tape::{on_the_book, sweep, vjp_on_the_book};
use batchnorm::composed::batch_norm;
use judge::{Axis, Differences, Found, Mistake, Order, Part, Slip, case, found, slips};
use tape::Var;

const NETWORK: &str = "sec:own-tape-parts";

/// What came back to a place, as numbers; none if nothing did.
fn came_back(grads: &[Option<Tensor>], at: usize) -> Vec<f64> {
    let grad = grads.get(at).and_then(Option::as_ref);
    grad.map_or(Vec::new(), Tensor::to_vec)
}

/// Running statistics before the first batch.
fn fresh(channels: usize) -> Running {
    Running {
        mean: vec![0.0; channels],
        var: vec![1.0; channels],
    }
}

// ---- Batch Norm, backward ----

/// The gradients of Batch Norm, as chapter 8 judges them.
pub(super) fn backward() -> Part<Batch, Gradients> {
    let shapes = [[6, 4], [5, 3], [7, 5], [4, 6]];
    let cases = move |seed: u64| -> Vec<Batch> {
        let numbered = shapes.into_iter().zip(seed * 100..);
        let batches = numbered.map(|(shape, seed)| BATCH.batch(shape, EPS, seed));
        batches.collect()
    };
    part_of("batch_norm", BATCH, cases, EPS)
}

/// A batch on a tape: the places of x, gamma and beta, which are not the first.
fn normed(b: &Batch, tape: &mut Tape) -> [usize; 3] {
    tape.leaf(Tensor::scalar(7.0));
    let p = &b.probe;
    let [n, c] = [b.rows(), b.columns()];
    let x = tape.leaf(Tensor::new([n, c], p.x.clone()));
    let gamma = tape.leaf(Tensor::new([c], p.gamma.clone()));
    let beta = tape.leaf(Tensor::new([c], p.beta.clone()));
    [x, gamma, beta]
}

pub(super) fn run_backward(batch_norm: Norm<'_>) -> impl Fn(&Batch, &mut Gradients) {
    move |b, out| {
        let mut tape = Tape::default();
        let at = normed(b, &mut tape);
        let y = batch_norm(&mut tape, at, &mut fresh(b.columns()));
        let dy = Tensor::new([b.rows(), b.columns()], b.probe.dy.clone());
        let grads = sweep(&tape, y, dy);
        let [dx, dgamma, dbeta] = at.map(|at| came_back(&grads, at));
        *out = Gradients { dx, dgamma, dbeta };
    }
}

// ---- The loss ----

/// Scores of some images, and what comes back to their loss.
#[derive(Clone)]
pub(super) struct Scored {
    scores: Tensor,
    labels: Vec<usize>,
    dy: Tensor,
}

case!(
    Scored,
    |p| format!("{} images and {} classes", p.scores.shape()[0], p.scores.shape()[1]),
    sizes: ["N": p.scores.shape()[0], "K": p.scores.shape()[1]],
);

fn scored(seed: u64) -> Vec<Scored> {
    let rng = &mut Draws::new(seed + 900).0;
    let case = |[n, k]: [usize; 2]| Scored {
        scores: Tensor::randn([n, k], rng),
        labels: (0..n).map(|i| (2 * i + 1) % k).collect(),
        dy: Tensor::scalar(1.7),
    };
    [[4, 3], [3, 5]].map(case).into()
}

impl Scored {
    fn loss(&self) -> Vec<f64> {
        on_the_book(std::slice::from_ref(&self.scores), |x| {
            x[0].cross_entropy(&self.labels)
        })
        .to_vec()
    }

    fn dscores(&self, dy: &Tensor) -> Vec<f64> {
        let scores = std::slice::from_ref(&self.scores);
        vjp_on_the_book(scores, dy, |x| x[0].cross_entropy(&self.labels))[0].to_vec()
    }

    fn times(values: Vec<f64>, factor: f64) -> Vec<f64> {
        values.into_iter().map(|v| factor * v).collect()
    }
}

pub(super) fn losses() -> Part<Scored, Found> {
    const SCORES: &[Axis] = &[Axis("N", "image"), Axis("K", "class")];
    Part::new("cross_entropy", Order::Together, scored)
        .asks(found!("loss"), "sec:cross-entropy", &[], Scored::loss)
        .mistakes(&["loss"], slips![
            "loss-summed: the losses of the images are summed; it is their mean that is asked for" =>
                |p, _| Scored::times(p.loss(), p.labels.len() as f64),
        ])
        .asks(found!("dscores"), "sec:cross-entropy-backward", SCORES, |p| p.dscores(&p.dy))
        .mistakes(&["dscores"], slips![
            "dy-ignored: dy is not used: the record hands back the gradient for a dy of 1" =>
                |p, _| p.dscores(&Tensor::scalar(1.0)),
            "no-gradient: no gradient reaches them: the record does not name them as its input" =>
                |_, _| Vec::new(),
        ])
        .differentiates(Differences {
            name: "cross_entropy",
            case: |seed| scored(seed + 1).swap_remove(0),
            inputs: vec![("scores", |p| p.scores.data_mut())],
            dy: |p| p.dy.data_mut(),
            y: Scored::loss,
        })
}

pub(super) fn run_loss(loss: Loss<'_>) -> impl Fn(&Scored, &mut Found) {
    move |p, found| {
        let mut tape = Tape::default();
        tape.leaf(Tensor::scalar(7.0));
        let scores = tape.leaf(p.scores.clone());
        let at = loss(&mut tape, scores, &p.labels);
        found.set("loss", tape.value(at).to_vec());
        found.set(
            "dscores",
            came_back(&sweep(&tape, at, p.dy.clone()), scores),
        );
    }
}

// ---- The network ----

/// Images and parameters of a small network, and what comes back to its scores.
#[derive(Clone)]
pub(super) struct Net {
    /// x, w1, gamma, beta, w2, b2.
    x: Vec<Tensor>,
    dy: Tensor,
}

case!(
    Net,
    |p| "a small network, with a gamma that is not 1".to_owned(),
    sizes: ["N": 6, "I": 5, "H": 4, "K": 3],
);

fn nets(seed: u64) -> Vec<Net> {
    let draws = &mut Draws::new(seed + 700);
    let gamma = draws.numbers(4, 1.2..2.0);
    let beta = draws.numbers(4, 0.3..0.9);
    let rng = &mut draws.0;
    let mut random = |shape: &[usize]| Tensor::randn(shape, rng);
    let x = vec![
        random(&[6, 5]),
        random(&[5, 4]),
        Tensor::new([4], gamma),
        Tensor::new([4], beta),
        random(&[4, 3]),
        random(&[3]),
    ];
    let dy = random(&[6, 3]);
    vec![Net { x, dy }]
}

/// A network on the book's own tape.
type Book = for<'t> fn(&[Var<'t, f64>]) -> Var<'t, f64>;

fn book<'t>(x: &[Var<'t, f64>]) -> Var<'t, f64> {
    scores(&normed_hidden(x).relu(), x)
}

/// What comes out of Batch Norm.
fn normed_hidden<'t>(x: &[Var<'t, f64>]) -> Var<'t, f64> {
    batch_norm(&x[0].matmul(&x[1]), &x[2], &x[3], EPS)
}

/// What the second layer makes of what the first one has made.
fn scores<'t>(hidden: &Var<'t, f64>, x: &[Var<'t, f64>]) -> Var<'t, f64> {
    &hidden.matmul(&x[4]) + &x[5]
}

#[rustfmt::skip]
const OTHERS: [Slip<Book>; 5] = [
    ("norm-missing: Batch Norm is left out", |x| scores(&x[0].matmul(&x[1]).relu(), x)),
    ("relu-missing: ReLU is left out", |x| scores(&normed_hidden(x), x)),
    ("relu-first: ReLU comes before Batch Norm, and must come after it", |x| {
        scores(&batch_norm(&x[0].matmul(&x[1]).relu(), &x[2], &x[3], EPS), x)
    }),
    ("bias-missing: b2 is not added", |x| normed_hidden(x).relu().matmul(&x[4])),
    ("gamma-and-beta-exchanged: gamma stands where beta belongs, and beta where gamma does", |x| {
        scores(&batch_norm(&x[0].matmul(&x[1]), &x[3], &x[2], EPS).relu(), x)
    }),
];

const GRADIENTS: [&str; 6] = ["dx", "dw1", "dgamma", "dbeta", "dw2", "db2"];

impl Net {
    fn scores(&self, book: Book) -> Vec<f64> {
        on_the_book(&self.x, book).to_vec()
    }

    fn gradient(&self, target: &str) -> Vec<f64> {
        let at = GRADIENTS.iter().position(|name| *name == target);
        vjp_on_the_book(&self.x, &self.dy, book)[at.unwrap_or(0)].to_vec()
    }
}

pub(super) fn networks() -> Part<Net, Found> {
    const HIDDEN: Axis = Axis("H", "hidden unit");
    const CLASS: Axis = Axis("K", "class");
    const IMAGE: Axis = Axis("N", "image");
    const PIXEL: Axis = Axis("I", "pixel");
    Part::new("network", Order::Together, nets)
        .asks(found!("scores"), NETWORK, &[IMAGE, CLASS], |p| p.scores(book))
        .variants(&["scores"], &OTHERS, |p, _, other| p.scores(*other))
        .asks(found!("dx"), NETWORK, &[IMAGE, PIXEL], |p| p.gradient("dx"))
        .asks(found!("dw1"), NETWORK, &[PIXEL, HIDDEN], |p| p.gradient("dw1"))
        .asks(found!("dgamma"), NETWORK, &[HIDDEN], |p| p.gradient("dgamma"))
        .asks(found!("dbeta"), NETWORK, &[HIDDEN], |p| p.gradient("dbeta"))
        .asks(found!("dw2"), NETWORK, &[HIDDEN, CLASS], |p| p.gradient("dw2"))
        .asks(found!("db2"), NETWORK, &[CLASS], |p| p.gradient("db2"))
        .mistakes(&GRADIENTS, slips![
            "no-gradient: no gradient reaches it: a record on the way does not name its input" =>
                |_, _| Vec::new(),
        ])
        .differentiates(Differences {
            name: "network",
            case: |seed| nets(seed + 1).swap_remove(0),
            inputs: vec![
                ("x", |p| p.x[0].data_mut()),
                ("w1", |p| p.x[1].data_mut()),
                ("gamma", |p| p.x[2].data_mut()),
                ("beta", |p| p.x[3].data_mut()),
                ("w2", |p| p.x[4].data_mut()),
                ("b2", |p| p.x[5].data_mut()),
            ],
            dy: |p| p.dy.data_mut(),
            y: |p| p.scores(book),
        })
}

pub(super) fn run_network(network: Forward<'_>) -> impl Fn(&Net, &mut Found) {
    move |p, found| {
        let mut tape = Tape::default();
        let at: Vec<usize> = p.x.iter().map(|x| tape.leaf(x.clone())).collect();
        let params = [at[1], at[2], at[3], at[4], at[5]];
        let scores = network(&mut tape, at[0], params, &mut fresh(4));
        found.set("scores", tape.value(scores).to_vec());
        let grads = sweep(&tape, scores, p.dy.clone());
        for (name, at) in GRADIENTS.into_iter().zip(at) {
            found.set(name, came_back(&grads, at));
        }
    }
}

// ---- The running statistics ----

/// The running statistics, as chapter 7 judges them.
pub(super) fn running() -> Part<bn_forward::Step, Running> {
    bn_forward::running("running statistics", [MOMENTUM; 2])
}

pub(super) fn run_running(batch_norm: Norm<'_>) -> impl Fn(&bn_forward::Step, &mut Running) {
    move |s, running| {
        let mut tape = Tape::default();
        let at = normed(&s.batch, &mut tape);
        batch_norm(&mut tape, at, running);
    }
}

// ---- The steps ----

/// A small network and two batches.
pub(super) struct Steps {
    net: Network,
    batches: Vec<(Tensor, Vec<usize>)>,
}

case!(
    Steps,
    |p| "two steps of a small network".to_owned(),
    sizes: ["S": p.batches.len(), "P": p.numbers()],
);

fn small(seed: u64) -> (Network, Draws) {
    let mut draws = Draws::new(seed + 500);
    let mut net = Network::new(5, 4, 3, &mut draws.0);
    // Far from what a network begins with, so that nothing is right by chance.
    net.params = net.params.map(|p| {
        let noise = Tensor::randn(p.shape(), &mut draws.0);
        Tape::zip(&p, &noise, |p, noise| p + 0.5 * noise)
    });
    net.running.mean = draws.numbers(4, -1.0..1.0);
    net.running.var = draws.numbers(4, 0.4..1.6);
    (net, draws)
}

fn two_steps(seed: u64) -> Vec<Steps> {
    let (net, mut draws) = small(seed);
    let mut batch = |shift: usize| {
        let labels = (0..6).map(|i| (i + shift) % 3).collect();
        (Tensor::randn([6, 5], &mut draws.0), labels)
    };
    let batches = vec![batch(0), batch(1)];
    vec![Steps { net, batches }]
}

/// What a step makes: of a velocity and a gradient the new velocity, and what is taken off the
/// parameter from this.
type Rule = (fn(f64, f64) -> f64, fn(f64) -> f64);

const RULE: Rule = (|v, g| INERTIA * v + g, |v| RATE * v);

#[rustfmt::skip]
const RULES: [Slip<Rule>; 7] = [
    ("accumulated: the gradients of earlier steps are still in it as a whole, as when `+=` adds to a buffer that nobody empties; of the old velocity INERTIA is left", (|v, g| v + g, |v| RATE * v)),
    ("inertia-missing: nothing is left of the velocity before it, and INERTIA of it must be", (|_, g| g, |v| RATE * v)),
    ("ascent: the step is added to the parameters, so that the loss rises, and must be taken off", (|v, g| INERTIA * v + g, |v| -RATE * v)),
    ("rate-missing: the whole velocity is taken off the parameters, and must be multiplied by RATE first", (|v, g| INERTIA * v + g, |v| v)),
    ("rate-in-velocity: RATE is in the velocity already, and belongs to the step that is taken off", (|v, g| INERTIA * v + RATE * g, |v| RATE * v)),
    ("averaged: the gradient is weighted with 1 - INERTIA, and must enter whole", (|v, g| INERTIA * v + (1.0 - INERTIA) * g, |v| RATE * v)),
    ("params-unchanged: the parameters stay as they were, and must move by the velocity", (|v, g| INERTIA * v + g, |_| 0.0)),
];

const UNCHANGED: Slip<Rule> = (
    "unchanged: it is as it was before: nothing is assigned to it, and it must move",
    (|v, _| v, |_| 0.0),
);

impl Steps {
    /// How many numbers the parameters are.
    fn numbers(&self) -> usize {
        self.net.params.iter().map(Tensor::len).sum()
    }

    /// What these steps make, by this rule.
    fn made(&self, (velocity, step): Rule, target: &str) -> Vec<f64> {
        let mut net = self.net.clone();
        let mut losses = Vec::new();
        for (images, labels) in &self.batches {
            let mut x = vec![images.clone()];
            x.extend(net.params.iter().cloned());
            losses.push(on_the_book(&x, |x| book(x).cross_entropy(labels)).item());
            let one = Tensor::scalar(1.0);
            let grads = vjp_on_the_book(&x, &one, |x| book(x).cross_entropy(labels));
            for ((p, v), g) in net
                .params
                .iter_mut()
                .zip(&mut net.velocity)
                .zip(&grads[1..])
            {
                *v = Tape::zip(v, g, velocity);
                *p = Tape::zip(p, v, |p, v| p - step(v));
            }
        }
        match target {
            "loss" => losses,
            "velocity" => flat(&net.velocity),
            _ => flat(&net.params),
        }
    }
}

fn flat(params: &[Tensor; 5]) -> Vec<f64> {
    params.iter().flat_map(Tensor::to_vec).collect()
}

pub(super) fn steps() -> Part<Steps, Found> {
    const PARAMS: &[Axis] = &[Axis("P", "number of w1, gamma, beta, w2 and b2 in turn,")];
    Part::new("step", Order::Together, two_steps)
        .asks(found!("velocity"), NETWORK, PARAMS, |p| {
            p.made(RULE, "velocity")
        })
        .asks(found!("params"), NETWORK, PARAMS, |p| {
            p.made(RULE, "params")
        })
        .variants(&["velocity", "params"], &RULES, |p, target, rule| {
            p.made(*rule, target)
        })
        .variants(&["velocity"], &[UNCHANGED], |p, target, rule| {
            p.made(*rule, target)
        })
        .asks(found!("loss"), NETWORK, &[Axis("S", "step")], |p| {
            p.made(RULE, "loss")
        })
}

pub(super) fn run_steps(step: Step<'_>) -> impl Fn(&Steps, &mut Found) {
    move |p, found| {
        let mut net = p.net.clone();
        let batches = p.batches.iter();
        let losses: Vec<f64> = batches
            .map(|(x, labels)| step(&mut net, x, labels))
            .collect();
        found.set("loss", losses);
        found.set("velocity", flat(&net.velocity));
        found.set("params", flat(&net.params));
    }
}

// ---- The evaluation ----

/// A small network and images that it has never seen, or one of them.
pub(super) struct Unseen {
    net: Network,
    images: Tensor,
}

case!(
    Unseen,
    |p| match p.images.shape()[0] {
        1 => "a single image".to_owned(),
        n => format!("{n} images"),
    },
    sizes: ["N": p.images.shape()[0], "K": 3],
);

fn unseen(seed: u64) -> Vec<Unseen> {
    let (net, mut draws) = small(seed);
    [6, 2, 1]
        .map(|n| Unseen {
            net: net.clone(),
            images: Tensor::randn([n, 5], &mut draws.0),
        })
        .into()
}

impl Unseen {
    /// The scores, with what stands for the mean and for the reciprocal of the deviation, and for
    /// gamma and ReLU.
    fn scores(&self, mean: &[f64], rstd: &[f64], gamma: bool, relu: bool) -> Vec<f64> {
        let [w1, g, beta, w2, b2] = &self.net.params;
        let mut h = Tape::product(&self.images, w1);
        for (at, h) in h.data_mut().iter_mut().enumerate() {
            let c = at % 4;
            let scale = if gamma { g.data()[c] } else { 1.0 };
            let y = scale * (*h - mean[c]) * rstd[c] + beta.data()[c];
            *h = if relu { y.max(0.0) } else { y };
        }
        Tape::zip(&Tape::product(&h, w2), b2, |y, b| y + b).to_vec()
    }

    /// By the running statistics, with what is made of the variance.
    fn by_running(&self, rstd: fn(f64) -> f64) -> Vec<f64> {
        let Running { mean, var } = &self.net.running;
        let rstd: Vec<f64> = var.iter().map(|var| rstd(*var)).collect();
        self.scores(mean, &rstd, true, true)
    }

    fn rstd(&self) -> Vec<f64> {
        let var = self.net.running.var.iter();
        var.map(|var| RSTD(*var)).collect()
    }

    /// Mean and reciprocal deviation of the images themselves.
    fn of_the_batch(&self) -> [Vec<f64>; 2] {
        let h = Tape::product(&self.images, &self.net.params[0]);
        let n = self.images.shape()[0] as f64;
        let mean = Tape::sum_over(&h, &[0]).map(|sum| sum / n);
        let square = Tape::zip(&h, &mean, |h, mean| (h - mean) * (h - mean));
        let var = Tape::sum_over(&square, &[0]).map(|sum| RSTD(sum / n));
        [mean.to_vec(), var.to_vec()]
    }
}

const RSTD: fn(f64) -> f64 = |var| 1.0 / (var + EPS).sqrt();

const EVALUATED: &[Mistake<Unseen>] = slips![
    "batch-statistics: it normalizes by the mean and variance of the images that it is given, so that the answer to one depends on the others; in evaluation running.mean and running.var stand in their place" =>
        |p, _| {
            let [mean, rstd] = p.of_the_batch();
            p.scores(&mean, &rstd, true, true)
        },
    "not-normalized: nothing is normalized; running.mean and running.var stand where those of the batch do in training" =>
        |p, _| p.scores(&[0.0; 4], &[1.0; 4], true, true),
    "running-mean-missing: running.mean is not subtracted" =>
        |p, _| p.scores(&[0.0; 4], &p.rstd(), true, true),
    "gamma-missing: gamma is left out" =>
        |p, _| p.scores(&p.net.running.mean, &p.rstd(), false, true),
    "relu-missing: ReLU is left out" =>
        |p, _| p.scores(&p.net.running.mean, &p.rstd(), true, false),
    "divided-by-variance: it divides by the running variance; it is the deviation, its root, that divides" =>
        |p, _| p.by_running(|var| 1.0 / (var + EPS)),
    "eps-missing: EPS is left out: it stands under the root, beside the running variance" =>
        |p, _| p.by_running(|var| 1.0 / var.sqrt()),
];

pub(super) fn evaluations() -> Part<Unseen, Found> {
    const SCORES: &[Axis] = &[Axis("N", "image"), Axis("K", "class")];
    Part::new("evaluate", Order::Together, unseen)
        .asks(found!("scores"), "sec:running-stats", SCORES, |p| {
            p.by_running(RSTD)
        })
        .mistakes(&["scores"], EVALUATED)
}

pub(super) fn run_evaluate(evaluate: Evaluate<'_>) -> impl Fn(&Unseen, &mut Found) {
    move |p, found| found.set("scores", evaluate(&p.net, &p.images).to_vec())
}
