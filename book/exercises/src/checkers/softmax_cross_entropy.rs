//! Checks the exercise `softmax_cross_entropy`.

use crate::compare::{distance, heatmap, line, same};
use crate::engine::Checker;
use crate::harness;
use crate::known::{Known, fill};
use crate::{Line, Outcome, Report};
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

struct Probe {
    classes: usize,
    x: Vec<f64>,
    targets: Vec<usize>,
}

fn probe(examples: usize, classes: usize, scale: f64, rng: &mut StdRng) -> Probe {
    Probe {
        classes,
        x: (0..examples * classes)
            .map(|_| scale * rng.random_range(-1.0..1.0))
            .collect(),
        targets: (0..examples)
            .map(|_| rng.random_range(0..classes))
            .collect(),
    }
}

fn probes(seed: u64) -> Vec<Probe> {
    let rng = &mut StdRng::seed_from_u64(seed);
    [(4, 3), (3, 5), (6, 2)]
        .map(|(n, c)| probe(n, c, 2.0, rng))
        .into()
}

/// Where the logarithm of the softmax is infinite.
const BEHIND: &str = "a class 2000 behind";
/// Where one number that is subtracted from all rows is wrong for one of them.
const APART: &str = "one row 2000 above the others";

/// Logits at which the plain formula overflows or underflows.
fn large(seed: u64) -> Vec<(&'static str, Probe)> {
    let rng = &mut StdRng::seed_from_u64(seed + 1);
    let mut high = probe(3, 4, 1.0, rng);
    high.x.iter_mut().for_each(|x| *x += 1000.0);
    let mut low = probe(3, 4, 1.0, rng);
    low.x.iter_mut().for_each(|x| *x -= 1000.0);
    let mut far = probe(3, 4, 1.0, rng);
    for (n, &target) in far.targets.iter().enumerate() {
        far.x[n * 4 + target] -= 2000.0;
    }
    let mut apart = probe(3, 4, 1.0, rng);
    apart.x[4..8].iter_mut().for_each(|x| *x += 2000.0);
    vec![
        ("logits near 1000", high),
        ("logits near -1000", low),
        (BEHIND, far),
        (APART, apart),
    ]
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
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
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
    ("zero", "it is zero everywhere", |p| vec![0.0; p.x.len()]),
];

/// What breaks at large logits, and what to say.
const OVERFLOW: (&str, &str) = (
    "overflow",
    "with …, the exponentials overflow or vanish; subtract the largest logit of the row first",
);
const UNDERFLOW: (&str, &str) = (
    "underflow",
    "with …, the softmax of the right class underflows to 0, and its logarithm is infinite; resolve the logarithm of the quotient first",
);
const ONE_MAXIMUM: (&str, &str) = (
    "one-maximum",
    "with …, the exponentials overflow or vanish; subtract from each row its own largest logit, and not one number from the whole batch",
);
const INEXACT: (&str, &str) = (
    "inexact",
    "with …, the digits are lost; subtract the largest logit of the row first",
);

const LOSS: &str = "sec:cross-entropy";
const GRADIENT: &str = "sec:cross-entropy-backward";
const STABLE: &str = "sec:stable";

/// The mistakes that this checker knows.
fn known() -> Vec<Known> {
    let losses = LOSSES
        .iter()
        .map(|(id, what, _)| (*id, format!("loss: {what}"), LOSS));
    let gradients = GRADIENTS
        .iter()
        .map(|(id, what, _)| (*id, format!("dx: {what}"), GRADIENT));
    let large = [OVERFLOW, UNDERFLOW, ONE_MAXIMUM, INEXACT];
    let large = large.map(|(id, what)| (id, what.to_owned(), STABLE));
    losses
        .chain(gradients)
        .chain(large)
        .map(|(id, what, section)| Known::new(NAME, id, what, section))
        .collect()
}

fn told(id: &str, headline: String, section: Option<&str>, lines: Vec<Line>) -> Report {
    let mut report = Report::new(NAME, Outcome::Wrong, headline);
    report.mistake = Some(id.to_owned());
    report.section = section.map(str::to_owned);
    report.lines = lines;
    report
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Listed(known())
}

/// The report on `candidate`, from random logits of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let probes = probes(seed);
    let found: Vec<(f64, Vec<f64>)> = probes
        .iter()
        .map(|p| candidate(&p.x, p.classes, &p.targets))
        .collect();
    let shape = |p: &Probe| format!("[{}, {}]", p.targets.len(), p.classes);
    let mut lines = Vec::new();
    for (p, (loss, _)) in probes.iter().zip(&found) {
        lines.push(line(
            &format!("loss, {}", shape(p)),
            &[right(p).0],
            &[*loss],
        ));
    }
    if lines.iter().any(|line| !line.right) {
        let fits = |f: &fn(&Probe) -> f64| {
            probes
                .iter()
                .zip(&found)
                .all(|(p, (loss, _))| same(&[f(p)], &[*loss]))
        };
        return match LOSSES.iter().find(|(_, _, formula)| fits(formula)) {
            Some((id, sentence, _)) => told(id, format!("loss: {sentence}"), Some(LOSS), lines),
            None => {
                let (p, loss) = (&probes[0], found[0].0);
                let headline = format!(
                    "loss: for logits of shape {} it is {loss:.6}, and must be {:.6}",
                    shape(p),
                    right(p).0
                );
                told("unknown", headline, None, lines)
            }
        };
    }
    for (p, (_, dx)) in probes.iter().zip(&found) {
        lines.push(line(&format!("dx, {}", shape(p)), &right(p).1, dx));
    }
    if let Some(first) = lines.iter().position(|line| !line.right) {
        let at = first - probes.len();
        let (p, dx) = (&probes[at], &found[at].1);
        let fits = |f: &fn(&Probe) -> Vec<f64>| {
            probes
                .iter()
                .zip(&found)
                .all(|(p, (_, dx))| same(&f(p), dx))
        };
        let known = GRADIENTS.iter().find(|(_, _, formula)| fits(formula));
        let (id, headline, section) = match known {
            Some((id, sentence, _)) => (*id, format!("dx: {sentence}"), Some(GRADIENT)),
            None if dx.len() != p.x.len() => (
                "shape",
                format!(
                    "dx has {} values and must have {}, one for each logit",
                    dx.len(),
                    p.x.len()
                ),
                None,
            ),
            None => (
                "unknown",
                format!("dx is wrong for logits of shape {}", shape(p)),
                None,
            ),
        };
        let mut report = told(id, headline, section, lines);
        report.heatmap = heatmap("dx", p.targets.len(), p.classes, &right(p).1, dx);
        return report;
    }
    for (name, p) in large(seed) {
        let (loss, dx) = candidate(&p.x, p.classes, &p.targets);
        let (right_loss, right_dx) = right(&p);
        // The exact values lose digits of the logits themselves, at their size.
        let loss_fits = (loss - right_loss).abs() <= 1e-9 * right_loss.abs().max(1.0);
        let dx_fits = distance(&right_dx, &dx) <= 1e-9;
        let detail = if loss_fits && dx_fits {
            "finite and right".to_owned()
        } else if loss_fits {
            format!(
                "the loss is right; dx: {}",
                line("dx", &right_dx, &dx).detail
            )
        } else {
            format!("the loss is {loss:.6}, and must be {right_loss:.6}")
        };
        lines.push(Line {
            name: name.to_owned(),
            right: loss_fits && dx_fits,
            detail,
        });
        if !loss_fits || !dx_fits {
            let lost = !loss.is_finite() || dx.iter().any(|v| !v.is_finite());
            let (id, what) = match (lost, name) {
                (true, BEHIND) => UNDERFLOW,
                (true, APART) => ONE_MAXIMUM,
                (true, _) => OVERFLOW,
                (false, _) => INEXACT,
            };
            return told(id, fill(what, &[&name]), Some(STABLE), lines);
        }
    }
    let mut report = Report::new(
        NAME,
        Outcome::Passed,
        "loss and gradient are right, and stay so at any size of the logits",
    );
    report.lines = lines;
    report
}

#[cfg(test)]
mod tests;
