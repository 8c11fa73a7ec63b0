//! Checks the exercise `softmax_cross_entropy`.

use crate::Report;
use crate::compare::largest;
use crate::engine::{Axis, Case, Checker, Named, Order, Part, conclude, field};
use crate::harness;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::process::ExitCode;

const NAME: &str = "softmax_cross_entropy";

/// `(x, classes, targets)` to `(loss, dx)`.
pub type Candidate<'a> = &'a dyn Fn(&[f64], usize, &[usize]) -> (f64, Vec<f64>);

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(&[f64], usize, &[usize]) -> (f64, Vec<f64>)) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

/// What the reader returns.
#[derive(Default)]
struct Answer {
    loss: f64,
    dx: Vec<f64>,
}

struct Probe {
    /// What is special about the logits; nothing, of small ones.
    what: &'static str,
    classes: usize,
    x: Vec<f64>,
    targets: Vec<usize>,
}

impl Case for Probe {
    fn title(&self) -> String {
        let (n, c) = (self.targets.len(), self.classes);
        format!("{} of shape [{n}, {c}]", self.what)
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        vec![("N", self.targets.len()), ("classes", self.classes)]
    }
}

fn probe(what: &'static str, n: usize, classes: usize, scale: f64, rng: &mut StdRng) -> Probe {
    let x = (0..n * classes).map(|_| scale * rng.random_range(-1.0..1.0));
    let x = x.collect();
    let targets = (0..n).map(|_| rng.random_range(0..classes)).collect();
    Probe {
        what,
        classes,
        x,
        targets,
    }
}

fn probes(seed: u64) -> Vec<Probe> {
    let rng = &mut StdRng::seed_from_u64(seed);
    [(4, 3), (3, 5), (6, 2)]
        .map(|(n, c)| probe("logits", n, c, 2.0, rng))
        .into()
}

/// Logits at which the plain formula overflows or underflows.
fn large(seed: u64) -> Vec<Probe> {
    let rng = &mut StdRng::seed_from_u64(seed + 1);
    let mut high = probe("logits near 1000,", 3, 4, 1.0, rng);
    high.x.iter_mut().for_each(|x| *x += 1000.0);
    let mut low = probe("logits near -1000,", 3, 4, 1.0, rng);
    low.x.iter_mut().for_each(|x| *x -= 1000.0);
    let mut far = probe("logits with the right class 2000 behind,", 3, 4, 1.0, rng);
    for (n, &target) in far.targets.iter().enumerate() {
        far.x[n * 4 + target] -= 2000.0;
    }
    let mut apart = probe("logits with one row 2000 above the others,", 3, 4, 1.0, rng);
    apart.x[4..8].iter_mut().for_each(|x| *x += 2000.0);
    vec![high, low, far, apart]
}

/// The parts that the formulas below are made of.
struct Parts {
    /// The softmax of each row.
    p: Vec<f64>,
    /// 1 at each target.
    hot: Vec<f64>,
    /// The loss of each example.
    losses: Vec<f64>,
}

fn parts(probe: &Probe) -> Parts {
    let c = probe.classes;
    let mut parts = Parts {
        p: vec![],
        hot: vec![],
        losses: vec![],
    };
    for (row, &target) in probe.x.chunks_exact(c).zip(&probe.targets) {
        let max = largest_of(row);
        let sum: f64 = row.iter().map(|x| (x - max).exp()).sum();
        parts.p.extend(row.iter().map(|x| (x - max).exp() / sum));
        parts
            .hot
            .extend((0..c).map(|class| f64::from(u8::from(class == target))));
        parts.losses.push(sum.ln() - (row[target] - max));
    }
    parts
}

fn right(probe: &Probe) -> (f64, Vec<f64>) {
    let n = probe.targets.len() as f64;
    let parts = parts(probe);
    let dx = parts
        .p
        .iter()
        .zip(&parts.hot)
        .map(|(p, h)| (p - h) / n)
        .collect();
    (parts.losses.iter().sum::<f64>() / n, dx)
}

/// A mistake: its name, the sentence on it, and what it computes.
type Mistake<T> = (&'static str, &'static str, fn(&Probe) -> T);

/// What a wrong loss may be.
const LOSSES: &[Mistake<f64>] = &[
    (
        "summed",
        "the losses are summed; the loss is their mean over the N examples",
        |p| parts(p).losses.iter().sum(),
    ),
    (
        "sign",
        "it has the wrong sign: the loss is minus the logarithm",
        |p| -right(p).0,
    ),
    (
        "maximum-in-the-sum-alone",
        "the largest logit is subtracted in the sum, and must be subtracted from the target's logit too",
        |p| right(p).0 - mean_of_maxima(p),
    ),
    (
        "not-normalized",
        "the exponentials are not divided by their sum",
        |p| mean_of_maxima(p) + minus_logit(p),
    ),
    (
        "mean-over-elements",
        "it is divided by the number of elements, and must be divided by the number of examples",
        |p| right(p).0 / p.classes as f64,
    ),
    (
        "logarithm-missing",
        "the probabilities of the targets are averaged, and not their logarithms",
        |p| {
            let parts = parts(p);
            let own: f64 = parts.p.iter().zip(&parts.hot).map(|(p, h)| p * h).sum();
            own / p.targets.len() as f64
        },
    ),
    (
        "logit-alone",
        "this is minus the mean of the targets' logits: the logarithm of the sum is missing",
        minus_logit,
    ),
    (
        "log-sum-alone",
        "this is the mean logarithm of the sums: the targets' logits are not subtracted",
        |p| right(p).0 - minus_logit(p),
    ),
    (
        "base-two",
        "the logarithm is that of base 2; the natural one is meant",
        |p| right(p).0 / std::f64::consts::LN_2,
    ),
];

/// Minus the mean of the targets' logits.
fn minus_logit(p: &Probe) -> f64 {
    let own = |(n, &target): (usize, &usize)| p.x[n * p.classes + target];
    -p.targets.iter().enumerate().map(own).sum::<f64>() / p.targets.len() as f64
}

/// The mean of the largest logits of the rows.
fn mean_of_maxima(p: &Probe) -> f64 {
    let rows = p.x.chunks_exact(p.classes);
    rows.map(largest_of).sum::<f64>() / p.targets.len() as f64
}

fn largest_of(row: &[f64]) -> f64 {
    row.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// What a wrong gradient may be.
const GRADIENTS: &[Mistake<Vec<f64>>] = &[
    ("not-divided", "the 1/N of the mean is missing", |p| {
        let parts = parts(p);
        parts.p.iter().zip(&parts.hot).map(|(p, h)| p - h).collect()
    }),
    (
        "one-hot-missing",
        "the 1 of the right class is not subtracted: this is the softmax alone",
        |p| {
            let n = p.targets.len() as f64;
            parts(p).p.iter().map(|p| p / n).collect()
        },
    ),
    (
        "softmax-alone",
        "the 1 of the right class is not subtracted, and the 1/N is missing: this is the softmax",
        |p| parts(p).p,
    ),
    (
        "not-normalized",
        "the exponentials are not divided by their sum",
        |p| {
            let hot = parts(p).hot;
            let (c, n) = (p.classes, p.targets.len() as f64);
            let maxima = p.x.chunks_exact(c).map(largest_of);
            let maxima: Vec<f64> = maxima.collect();
            (0..hot.len())
                .map(|k| ((p.x[k] - maxima[k / c]).exp() - hot[k]) / n)
                .collect()
        },
    ),
    (
        "sign",
        "it has the wrong sign: softmax minus one-hot",
        |p| right(p).1.iter().map(|v| -v).collect(),
    ),
    (
        "target-only",
        "only the right class has a gradient; the others push the sum up too",
        |p| {
            let parts = parts(p);
            right(p)
                .1
                .iter()
                .zip(&parts.hot)
                .map(|(d, h)| d * h)
                .collect()
        },
    ),
    ("target-missing", "the right class has no gradient", |p| {
        let parts = parts(p);
        right(p)
            .1
            .iter()
            .zip(&parts.hot)
            .map(|(d, h)| d * (1.0 - h))
            .collect()
    }),
    (
        "mean-over-elements",
        "it is divided by the number of elements, and must be divided by the number of examples",
        |p| right(p).1.iter().map(|d| d / p.classes as f64).collect(),
    ),
    (
        "through-softmax-twice",
        "softmax minus one-hot went through the derivative of the softmax once more; it has it inside already",
        |p| {
            let parts = parts(p);
            let (c, d) = (p.classes, right(p).1);
            let mut out = vec![];
            for (p, d) in parts.p.chunks_exact(c).zip(d.chunks_exact(c)) {
                let dot: f64 = p.iter().zip(d).map(|(p, d)| p * d).sum();
                out.extend(p.iter().zip(d).map(|(p, d)| p * (d - dot)));
            }
            out
        },
    ),
];

/// What is subtracted from a row, if not its largest logit.
type Shift = fn(&Probe, &[f64]) -> f64;

/// Formulas that break at large logits: the name, what to say, what is subtracted, and whether
/// the logarithm is that of a quotient.
const UNSTABLE: [(&str, &str, Shift, bool); 7] = [
    ("overflow", OVERFLOW, |_, _| 0.0, false),
    ("overflow", OVERFLOW, |_, _| 0.0, true),
    ("one-maximum", ONE_MAXIMUM, |p, _| largest_of(&p.x), false),
    ("one-maximum", ONE_MAXIMUM, |p, _| largest_of(&p.x), true),
    ("one-maximum", ONE_MAXIMUM, of_first_row, false),
    ("one-maximum", ONE_MAXIMUM, of_first_row, true),
    ("underflow", UNDERFLOW, |_, row| largest_of(row), true),
];
const OVERFLOW: &str =
    "the exponentials overflow or vanish; subtract the largest logit of the row first";
const ONE_MAXIMUM: &str = "the exponentials of a row overflow or vanish; subtract from each row its own largest logit, and not one number from the whole batch";
const UNDERFLOW: &str = "the softmax of the right class underflows to 0, and its logarithm is infinite; resolve the logarithm of the quotient first";
const INEXACT: &str = "it is finite, and not right, as when logits are clamped or a small number is added in the logarithm; subtract the largest logit of the row, and nothing overflows";

fn of_first_row(p: &Probe, _: &[f64]) -> f64 {
    largest_of(&p.x[..p.classes])
}

/// The loss, and dx, by such a formula.
fn unstable(p: &Probe, shift: Shift, quotient: bool) -> (f64, Vec<f64>) {
    let n = p.targets.len() as f64;
    let (mut loss, mut dx) = (0.0, vec![]);
    for (row, &target) in p.x.chunks_exact(p.classes).zip(&p.targets) {
        let max = shift(p, row);
        let exp: Vec<f64> = row.iter().map(|x| (x - max).exp()).collect();
        let sum: f64 = exp.iter().sum();
        loss += if quotient {
            -(exp[target] / sum).ln()
        } else {
            sum.ln() - (row[target] - max)
        };
        let hot = |class| f64::from(u8::from(class == target));
        dx.extend((0..p.classes).map(|class| (exp[class] / sum - hot(class)) / n));
    }
    (loss / n, dx)
}

const LOSS: &str = "sec:cross-entropy";
const GRADIENT: &str = "sec:cross-entropy-backward";
const STABLE: &str = "sec:stable";
const AXES: &[Axis] = &[Axis("N", "example"), Axis("classes", "class")];

/// Both functions at small logits.
fn small_part() -> Part<Probe, Answer> {
    let part = Part::new("small logits", Order::Together, probes, |_| {
        Answer::default()
    })
    .target("loss", LOSS, &[], |p| vec![right(p).0], field!(number loss))
    .target("dx", GRADIENT, AXES, |p| right(p).1, field!(dx));
    let part = LOSSES.iter().fold(part, |part, (id, what, wrong)| {
        part.knows("loss", id, what, LOSS, |p| vec![wrong(p)])
    });
    GRADIENTS.iter().fold(part, |part, (id, what, wrong)| {
        part.knows("dx", id, what, GRADIENT, wrong)
    })
}

/// Both at logits where formulas that are equal on paper are not. The right values lose digits
/// of the logits themselves, at their size.
fn large_part() -> Part<Probe, Answer> {
    const LOST: f64 = 100.0;
    let part = Part::new("large logits", Order::Together, large, |_| {
        Answer::default()
    })
    .target(
        "loss",
        STABLE,
        &[],
        |p| vec![right(p).0],
        field!(number loss),
    )
    .cancels(|p| LOST * right(p).0.abs().max(1.0))
    .target("dx", STABLE, AXES, |p| right(p).1, field!(dx))
    .cancels(|p| LOST * largest(&right(p).1));
    let knows = |part: Part<Probe, Answer>, (id, what, shift, quotient)| {
        let part = part.knows("loss", id, what, STABLE, move |p| {
            vec![unstable(p, shift, quotient).0]
        });
        // The gradient has no logarithm.
        if quotient {
            return part;
        }
        part.knows("dx", id, what, STABLE, move |p| {
            unstable(p, shift, quotient).1
        })
    };
    UNSTABLE
        .into_iter()
        .fold(part, knows)
        .explained_by(|_, _, _| {
            Some(Named {
                id: "inexact".to_owned(),
                sentence: INEXACT.to_owned(),
                section: None,
            })
        })
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Parts(vec![Box::new(small_part()), Box::new(large_part())])
}

/// The report on `candidate`, from random logits of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let all = "loss and gradient are right, and stay so at any size of the logits";
    let run = |p: &Probe, answer: &mut Answer| {
        let (loss, dx) = candidate(&p.x, p.classes, &p.targets);
        *answer = Answer { loss, dx };
    };
    let parts = vec![
        small_part().judge(&run, seed),
        large_part().judge(&run, seed),
    ];
    conclude(NAME, all, parts)
}

#[cfg(test)]
mod tests;
