//! Checks the exercise `broadcast_adjoint`.

use crate::Report;
use crate::engine::shared::Terms;
use crate::engine::{Axis, Case, Checker, Order, Part, field};
use crate::harness;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::process::ExitCode;

const NAME: &str = "broadcast_adjoint";

/// `(dy, to, from)` to the gradient of the operand of shape `from`.
pub type Candidate<'a> = &'a dyn Fn(&[f64], &[usize], &[usize]) -> Vec<f64>;

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(&[f64], &[usize], &[usize]) -> Vec<f64>) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

/// One gradient to be summed.
struct Probe {
    from: Vec<usize>,
    to: Vec<usize>,
    dy: Vec<f64>,
}

/// The operand's axes, of which there are three at most, from behind.
const AXES: &[Axis] = &[
    Axis("blocks", "block"),
    Axis("rows", "row"),
    Axis("columns", "column"),
];

impl Case for Probe {
    fn title(&self) -> String {
        format!("{:?} in {:?}", self.from, self.to)
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        let letters = AXES.iter().map(|axis| axis.0);
        let present = letters.skip(AXES.len() - self.from.len());
        present.zip(self.from.iter().copied()).collect()
    }
}

fn probes(seed: u64) -> Vec<Probe> {
    let rng = &mut StdRng::seed_from_u64(seed);
    // Three different lengths, so that a wrong axis shows.
    let [a, b, c] = [[2, 3, 4], [3, 4, 2], [4, 2, 3], [3, 2, 5]][rng.random_range(0..4)];
    [
        (vec![a, b], vec![a, b]),
        (vec![b], vec![a, b]),
        (vec![a, 1], vec![a, b]),
        (vec![], vec![a, b]),
        (vec![1, b], vec![a, b]),
        (vec![b, 1], vec![a, b, c]),
        (vec![a, 1, c], vec![a, b, c]),
        (vec![1, 1, c], vec![a, b, c]),
        (vec![b, 1, 1], vec![a, b, c, 2]),
    ]
    .map(|(from, to)| {
        let count: usize = to.iter().product();
        let dy = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
        Probe { from, to, dy }
    })
    .into()
}

/// Where in the operand each element of the result comes from.
fn places(to: &[usize], from: &[usize]) -> Vec<usize> {
    let padding = to.len() - from.len();
    let count: usize = to.iter().product();
    let place = |flat: usize| {
        let (mut rest, mut at, mut stride) = (flat, 0, 1);
        for axis in (0..to.len()).rev() {
            let index = rest % to[axis];
            rest /= to[axis];
            if axis >= padding {
                let length = from[axis - padding];
                at += if length == 1 { 0 } else { index * stride };
                stride *= length;
            }
        }
        at
    };
    (0..count).map(place).collect()
}

/// What each element of dy adds, and where.
fn terms(p: &Probe) -> Terms {
    let places = places(&p.to, &p.from);
    places.into_iter().zip(p.dy.iter().copied()).collect()
}

fn added(terms: impl IntoIterator<Item = (usize, f64)>, length: usize) -> Vec<f64> {
    let mut dx = vec![0.0; length];
    terms.into_iter().for_each(|(at, dy)| dx[at] += dy);
    dx
}

fn right(dy: &[f64], to: &[usize], from: &[usize]) -> Vec<f64> {
    let pairs = places(to, from).into_iter().zip(dy.iter().copied());
    added(pairs, from.iter().product())
}

/// The sum over the axes for which `over` says so.
fn summed(p: &Probe, over: impl Fn(usize) -> bool) -> Vec<f64> {
    let kept = |k: usize| if over(k) { 1 } else { p.to[k] };
    right(&p.dy, &p.to, &(0..p.to.len()).map(kept).collect::<Vec<_>>())
}

impl Probe {
    /// The number of elements of the operand.
    fn count(&self) -> usize {
        self.from.iter().product()
    }

    fn right(&self) -> Vec<f64> {
        right(&self.dy, &self.to, &self.from)
    }
}

/// The places where the shapes are aligned at their first axis: an index too large stays at
/// the end.
fn places_from_the_left(p: &Probe) -> Vec<usize> {
    let mut left = p.from.clone();
    left.resize(p.to.len(), 1);
    let place = |flat: usize| {
        let (mut rest, mut at, mut stride) = (flat, 0, 1);
        for (&length, &kept) in p.to.iter().zip(&left).rev() {
            at += (rest % length).min(kept - 1) * stride;
            rest /= length;
            stride *= kept;
        }
        at
    };
    (0..p.dy.len()).map(place).collect()
}

const DX: &[&str] = &["dx"];
const SECTION: &str = "sec:adjoint";
const COPIES: &str = "a value that was repeated receives the gradients of all its copies";

/// What the reader returns.
#[derive(Default)]
struct Answer {
    dx: Vec<f64>,
}

fn part() -> Part<Probe, Answer> {
    Part::new("sum_to", Order::Together, probes, |_| Answer::default())
        .target("dx", SECTION, AXES, Probe::right, field!(dx))
        .sums(COPIES, terms)
        .no_mean(COPIES, |p| (p.dy.len() / p.count()) as f64)
        .mistake(
            DX,
            "not-summed",
            "dy is returned as it came: an operand that was repeated has fewer elements than dy",
            |p, _| p.dy.clone(),
        )
        .mistake(
            DX,
            "new-axes-only",
            "only the axes that are missing in front are summed; an axis of length 1 was repeated too",
            |p, _| summed(p, |k| k < p.to.len() - p.from.len()),
        )
        .mistake(
            DX,
            "ones-only",
            "only axes of length 1 are summed; an axis that is missing in front was repeated too",
            |p, _| {
                let padding = p.to.len() - p.from.len();
                summed(p, |k| k >= padding && p.from[k - padding] == 1)
            },
        )
        .mistake(
            DX,
            "everything-summed",
            "all axes are summed: axes that were not repeated keep their elements",
            |p, _| vec![p.dy.iter().sum(); p.count()],
        )
        .mistake(
            DX,
            "aligned-left",
            "the shapes are aligned at their first axis, and must be aligned at the last",
            |p, _| added(places_from_the_left(p).into_iter().zip(p.dy.iter().copied()), p.count()),
        )
        .mistake(
            DX,
            "wrapped",
            "element k of dy is added at k modulo the operand's length; that is right only where the repeated axes come first",
            |p, _| added(p.dy.iter().enumerate().map(|(at, dy)| (at % p.count(), *dy)), p.count()),
        )
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::of(part())
}

/// The report on `candidate`, from random gradients of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let all = "it is the adjoint of broadcasting, along every axis";
    let run = |p: &Probe, answer: &mut Answer| answer.dx = candidate(&p.dy, &p.to, &p.from);
    part().report(NAME, all, &run, seed)
}

#[cfg(test)]
mod tests;
