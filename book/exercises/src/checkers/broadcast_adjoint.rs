//! Checks the exercise `broadcast_adjoint`.

use crate::compare::{heatmap, line, same, unusable};
use crate::engine::Checker;
use crate::harness;
use crate::known::Known;
use crate::{Line, Outcome, Report};
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

fn right(dy: &[f64], to: &[usize], from: &[usize]) -> Vec<f64> {
    let mut dx = vec![0.0; from.iter().product()];
    for (dy, at) in dy.iter().zip(places(to, from)) {
        dx[at] += dy;
    }
    dx
}

/// `from` with ones in front, as long as `to`.
fn padded(to: &[usize], from: &[usize]) -> Vec<usize> {
    let mut shape = vec![1; to.len() - from.len()];
    shape.extend(from);
    shape
}

/// The sum over the axes for which `over` says so; the others must fit `from` afterwards.
fn summed(dy: &[f64], to: &[usize], over: impl Fn(usize) -> bool) -> Vec<f64> {
    let kept: Vec<usize> = (0..to.len())
        .map(|k| if over(k) { 1 } else { to[k] })
        .collect();
    right(dy, to, &kept)
}

type Mistake = (
    &'static str,
    &'static str,
    fn(&[f64], &[usize], &[usize]) -> Vec<f64>,
);

const MISTAKES: &[Mistake] = &[
    (
        "averaged",
        "the uses are averaged: a value that was repeated receives the sum of the gradients of its copies",
        |dy, to, from| {
            let uses = dy.len() as f64 / from.iter().product::<usize>() as f64;
            right(dy, to, from).iter().map(|v| v / uses).collect()
        },
    ),
    (
        "last-use-only",
        "each copy overwrites the one before, and only the last counts: `=` stands where `+=` belongs",
        |dy, to, from| {
            let mut dx = vec![0.0; from.iter().product()];
            for (dy, at) in dy.iter().zip(places(to, from)) {
                dx[at] = *dy;
            }
            dx
        },
    ),
    (
        "first-use-only",
        "only the first copy counts; add up all of them",
        |dy, to, from| {
            let mut dx = vec![None; from.iter().product()];
            for (dy, at) in dy.iter().zip(places(to, from)) {
                dx[at].get_or_insert(*dy);
            }
            dx.into_iter().flatten().collect()
        },
    ),
    (
        "not-summed",
        "dy is returned as it came: an operand that was repeated has fewer elements than dy",
        |dy, _, _| dy.to_vec(),
    ),
    (
        "new-axes-only",
        "only the axes that are missing in front are summed; an axis of length 1 was repeated too",
        |dy, to, from| summed(dy, to, |k| k < to.len() - from.len()),
    ),
    (
        "ones-only",
        "only axes of length 1 are summed; an axis that is missing in front was repeated too",
        |dy, to, from| {
            let padding = to.len() - from.len();
            summed(dy, to, |k| k >= padding && from[k - padding] == 1)
        },
    ),
    (
        "everything-summed",
        "all axes are summed: axes that were not repeated keep their elements",
        |dy, _, from| vec![dy.iter().sum(); from.iter().product()],
    ),
    (
        "aligned-left",
        "the shapes are aligned at their first axis, and must be aligned at the last",
        |dy, to, from| {
            let mut left = from.to_vec();
            left.resize(to.len(), 1);
            let mut dx = vec![0.0; from.iter().product()];
            for (dy, at) in dy.iter().zip(places_clamped(to, &left)) {
                dx[at] += dy;
            }
            dx
        },
    ),
    (
        "wrapped",
        "element k of dy is added at k modulo the operand's length; that is right only where the repeated axes come first",
        |dy, _, from| {
            let count: usize = from.iter().product();
            let mut dx = vec![0.0; count];
            for (at, dy) in dy.iter().enumerate() {
                dx[at % count] += dy;
            }
            dx
        },
    ),
    ("sign", "it has the wrong sign", |dy, to, from| {
        right(dy, to, from).iter().map(|v| -v).collect()
    }),
    ("zero", "it is zero everywhere", |_, _, from| {
        vec![0.0; from.iter().product()]
    }),
];

const SECTION: &str = "sec:adjoint";

/// The mistakes that this checker knows.
fn known() -> Vec<Known> {
    let known = |(id, what, _): &Mistake| Known::new(NAME, id, *what, SECTION);
    MISTAKES.iter().map(known).collect()
}

/// [`places`] for shapes that do not broadcast: an index too large stays at the end.
fn places_clamped(to: &[usize], from: &[usize]) -> Vec<usize> {
    let count: usize = to.iter().product();
    let place = |flat: usize| {
        let (mut rest, mut at, mut stride) = (flat, 0, 1);
        for axis in (0..to.len()).rev() {
            let index = rest % to[axis];
            rest /= to[axis];
            at += index.min(from[axis] - 1) * stride;
            stride *= from[axis];
        }
        at
    };
    (0..count).map(place).collect()
}

fn named(probe: &Probe) -> String {
    format!("{:?} in {:?}", probe.from, probe.to)
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Listed(known())
}

/// The report on `candidate`, from random gradients of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let probes = probes(seed);
    let found: Vec<Vec<f64>> = probes
        .iter()
        .map(|p| candidate(&p.dy, &p.to, &p.from))
        .collect();
    let expected: Vec<Vec<f64>> = probes
        .iter()
        .map(|p| right(&p.dy, &p.to, &p.from))
        .collect();
    let lines: Vec<Line> = (0..probes.len())
        .map(|k| line(&named(&probes[k]), &expected[k], &found[k]))
        .collect();
    let Some(first) = lines.iter().position(|line| !line.right) else {
        let mut report = Report::new(
            NAME,
            Outcome::Passed,
            "it is the adjoint of broadcasting, along every axis",
        );
        report.lines = lines;
        return report;
    };
    let probe = &probes[first];
    let known = MISTAKES.iter().find(|(_, _, formula)| {
        let fits = |(p, f): (&Probe, &Vec<f64>)| same(&formula(&p.dy, &p.to, &p.from), f);
        probes.iter().zip(&found).all(fits)
    });
    let broken = probes.iter().zip(&found).find_map(|(p, f)| {
        let count = p.from.iter().product();
        unusable(
            &format!("for {}, the result", named(p)),
            count,
            f,
            "one for each element of the operand",
        )
    });
    let (id, headline) = match (known, broken) {
        (Some((id, sentence, _)), _) => ((*id).to_owned(), (*sentence).to_owned()),
        (None, Some((id, headline))) => (id, headline),
        (None, None) => {
            let right: Vec<String> = lines
                .iter()
                .filter(|l| l.right)
                .map(|l| l.name.clone())
                .collect();
            let also = match right.as_slice() {
                [] => "it is right for none of the shapes".to_owned(),
                some => format!("it is right for {}", some.join(", ")),
            };
            (
                "unknown".to_owned(),
                format!("it is wrong for {}; {also}", named(probe)),
            )
        }
    };
    let mut report = Report::new(NAME, Outcome::Wrong, headline);
    if known.is_some() {
        report.section = Some(SECTION.to_owned());
        report
            .notes
            .push(format!("It first shows for {}.", named(probe)));
    }
    report.mistake = Some(id);
    report.lines = lines;
    let padded = padded(&probe.to, &probe.from);
    let columns = padded.last().copied().unwrap_or(1);
    let rows = expected[first].len() / columns;
    report.heatmap = heatmap("dx", rows, columns, &expected[first], &found[first]);
    report
}

#[cfg(test)]
mod tests;
