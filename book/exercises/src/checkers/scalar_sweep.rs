//! Checks the exercise `scalar_sweep`.

use crate::compare::{heatmap, line, same, unusable};
use crate::engine::Checker;
use crate::harness;
use crate::known::Known;
use crate::{Line, Outcome, Report};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use std::process::ExitCode;

const NAME: &str = "scalar_sweep";
/// Where the book has the sweep.
pub(crate) const SECTION: &str = "sec:sweep";

/// One line of the tape.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The place of each input on the tape, always before this record, and the slope of
    /// this record's value by it. The same place may stand here twice. A leaf has none.
    pub inputs: Vec<(usize, f64)>,
}

/// `(tape, y)` to the gradient of record `y` by every record.
pub type Candidate<'a> = &'a dyn Fn(&[Record], usize) -> Vec<f64>;

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(&[Record], usize) -> Vec<f64>) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

/// A tape to be swept: what is special about it, its records, and the last one that counts.
struct Probe {
    name: &'static str,
    tape: Vec<Record>,
    y: usize,
}

fn slope(rng: &mut StdRng) -> f64 {
    let size = rng.random_range(0.5..1.5);
    if rng.random() { size } else { -size }
}

/// A record of these inputs with random slopes.
fn record(inputs: &[usize], rng: &mut StdRng) -> Record {
    let inputs = inputs.iter().map(|&at| (at, slope(rng))).collect();
    Record { inputs }
}

fn probes(seed: u64) -> Vec<Probe> {
    let rng = &mut StdRng::seed_from_u64(seed);
    let chain = |length: usize, rng: &mut StdRng| -> Vec<Record> {
        let inputs = |at: usize| at.checked_sub(1).into_iter().collect::<Vec<_>>();
        (0..length).map(|at| record(&inputs(at), rng)).collect()
    };
    let length = rng.random_range(4..9);
    let mut probes = vec![Probe {
        name: "a chain",
        tape: chain(length, rng),
        y: length - 1,
    }];
    let square: [&[usize]; 4] = [&[], &[0, 0], &[1], &[2, 2]];
    let diamond: [&[usize]; 6] = [&[], &[], &[0, 1], &[2], &[2, 0], &[3, 4]];
    for (name, inputs) in [
        ("an operand used twice by one op", &square[..]),
        ("an operand used by two ops", &diamond[..]),
    ] {
        let tape: Vec<Record> = inputs.iter().map(|inputs| record(inputs, rng)).collect();
        let y = tape.len() - 1;
        probes.push(Probe { name, tape, y });
    }
    let mut tape = chain(3, rng);
    tape.extend([record(&[2], rng), record(&[1, 3], rng), record(&[4], rng)]);
    probes.push(Probe {
        name: "records made after y",
        tape,
        y: 2,
    });
    for _ in 0..3 {
        let (leaves, length) = (rng.random_range(2..5), rng.random_range(12..30));
        let mut tape = vec![Record::default(); leaves];
        for at in leaves..length {
            let mut before: Vec<usize> = (0..at).collect();
            before.shuffle(rng);
            let recent = at - 1;
            let count = rng.random_range(0..2);
            let inputs: Vec<usize> = [recent]
                .into_iter()
                .chain(before.into_iter().take(count))
                .collect();
            tape.push(record(&inputs, rng));
        }
        let y = length - 2;
        probes.push(Probe {
            name: "a random tape",
            tape,
            y,
        });
    }
    probes
}

/// The right sweep.
#[must_use]
pub fn sweep(tape: &[Record], y: usize) -> Vec<f64> {
    let mut grads = vec![0.0; tape.len()];
    grads[y] = 1.0;
    for at in (0..=y).rev() {
        for &(input, slope) in &tape[at].inputs {
            grads[input] += grads[at] * slope;
        }
    }
    grads
}

/// A loop with its order, its start and its step exchanged for others.
fn variant(
    tape: &[Record],
    start: usize,
    order: impl Iterator<Item = usize>,
    step: impl Fn(&mut f64, f64, f64),
) -> Vec<f64> {
    let mut grads = vec![0.0; tape.len()];
    grads[start] = 1.0;
    for at in order {
        for &(input, slope) in &tape[at].inputs {
            let dy = grads[at];
            step(&mut grads[input], dy, slope);
        }
    }
    grads
}

/// The derivative of every record by record 0: the other direction.
fn forward(tape: &[Record]) -> Vec<f64> {
    let mut slopes = vec![0.0; tape.len()];
    slopes[0] = 1.0;
    for at in 1..tape.len() {
        slopes[at] = tape[at]
            .inputs
            .iter()
            .map(|&(input, s)| s * slopes[input])
            .sum();
    }
    slopes
}

/// A loop that a reader may write by mistake: its name, the sentence on it, and itself.
type Mistake = (&'static str, &'static str, fn(&[Record], usize) -> Vec<f64>);

const MISTAKES: &[Mistake] = &[
    (
        "assigned",
        "an input used twice keeps one gradient of two: `=` stands where `+=` belongs",
        |t, y| variant(t, y, (0..=y).rev(), |g, dy, slope| *g = dy * slope),
    ),
    (
        "oldest-first",
        "the records are visited oldest first, so each passes its gradient on before it has it; go from `y` down to 0",
        |t, y| variant(t, y, 0..=y, |g, dy, slope| *g += dy * slope),
    ),
    (
        "start-missing",
        "everything is zero: the gradient of `y` by itself is 1, and the sweep starts with it",
        |t, _| vec![0.0; t.len()],
    ),
    (
        "start-at-the-end",
        "it starts at the last record of the tape, and must start at `y`",
        |t, _| sweep(t, t.len() - 1),
    ),
    (
        "slopes-ignored",
        "it adds up gradients without their slopes: it counts routes",
        |t, y| variant(t, y, (0..=y).rev(), |g, dy, _| *g += dy),
    ),
    (
        "slopes-added",
        "gradient and slope are added; along a route they are multiplied",
        |t, y| variant(t, y, (0..=y).rev(), |g, dy, slope| *g += dy + slope),
    ),
    (
        "slopes-alone",
        "it adds up slopes without the gradient that arrives at the record",
        |t, y| variant(t, y, (0..=y).rev(), |g, _, slope| *g += slope),
    ),
    (
        "first-input-only",
        "only the first input of each record gets its gradient",
        |t, y| {
            let first = |r: &Record| Record {
                inputs: r.inputs.iter().take(1).copied().collect(),
            };
            sweep(&t.iter().map(first).collect::<Vec<_>>(), y)
        },
    ),
    (
        "y-left-out",
        "it begins with the record below `y`, so nothing ever leaves `y`",
        |t, y| variant(t, y, (0..y).rev(), |g, dy, slope| *g += dy * slope),
    ),
    (
        "first-record-left-out",
        "record 0 gets no gradient",
        |t, y| {
            let mut grads = sweep(t, y);
            grads[0] = 0.0;
            grads
        },
    ),
    (
        "intermediates-lost",
        "only leaves have a gradient in it; every record should, `y` included",
        |t, y| {
            let grads = sweep(t, y);
            let kept = |(g, r): (f64, &Record)| if r.inputs.is_empty() { g } else { 0.0 };
            grads.into_iter().zip(t).map(kept).collect()
        },
    ),
    (
        "forward",
        "this is the derivative of every record by record 0: the other direction",
        |t, _| forward(t),
    ),
    ("sign", "it has the wrong sign", |t, y| {
        sweep(t, y).iter().map(|g| -g).collect()
    }),
];

/// The mistakes that this checker knows.
fn known() -> Vec<Known> {
    known_as(NAME, "", SECTION)
}

/// The same as mistakes of another exercise.
pub(crate) fn known_as(exercise: &'static str, before: &str, section: &'static str) -> Vec<Known> {
    let known =
        |(id, what, _): &Mistake| Known::new(exercise, id, format!("{before}{what}"), section);
    MISTAKES.iter().map(known).collect()
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Listed(known())
}

/// The report on `candidate`, from random tapes of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let probes = probes(seed);
    let found: Vec<Vec<f64>> = probes.iter().map(|p| candidate(&p.tape, p.y)).collect();
    judge(NAME, SECTION, &probes, &found)
}

/// What a sweep makes of the tapes of this seed, as a report of another exercise.
pub(crate) fn report_as(
    exercise: &str,
    section: &str,
    seed: u64,
    candidate: &mut dyn FnMut(&[Record], usize) -> Vec<f64>,
) -> Report {
    let probes = probes(seed);
    let found: Vec<Vec<f64>> = probes.iter().map(|p| candidate(&p.tape, p.y)).collect();
    judge(exercise, section, &probes, &found)
}

fn judge(exercise: &str, section: &str, probes: &[Probe], found: &[Vec<f64>]) -> Report {
    let expected: Vec<Vec<f64>> = probes.iter().map(|p| sweep(&p.tape, p.y)).collect();
    let lines: Vec<Line> = probes
        .iter()
        .zip(expected.iter().zip(found))
        .map(|(p, (e, f))| {
            let records = p.tape.len();
            line(&format!("{}, {records} records", p.name), e, f)
        })
        .collect();
    let Some(first) = lines.iter().position(|line| !line.right) else {
        let headline = "the sweep is right: one visit for each record, whatever is shared";
        let mut report = Report::new(exercise, Outcome::Passed, headline);
        report.lines = lines;
        return report;
    };
    let (probe, expected, wrong) = (&probes[first], &expected[first], &found[first]);
    let broken = probes
        .iter()
        .zip(found)
        .find_map(|(p, f)| unusable("the result", p.tape.len(), f, "one for each record"));
    let known = MISTAKES.iter().find(|(_, _, formula)| {
        let fits = |(p, f): (&Probe, &Vec<f64>)| same(&formula(&p.tape, p.y), f);
        probes.iter().zip(found).all(fits)
    });
    let (id, headline) = match (broken, known) {
        (Some((id, headline)), _) => (id, headline),
        (None, Some((id, sentence, _))) => ((*id).to_owned(), (*sentence).to_owned()),
        (None, None) => ("unknown".to_owned(), difference(probe, expected, wrong)),
    };
    let mut report = Report::new(exercise, Outcome::Wrong, headline);
    if id == "shape" || id == "not-finite" || id == "unknown" {
        report.mistake = Some(id);
    } else {
        report.section = Some(section.to_owned());
        report.notes.push(difference(probe, expected, wrong));
        report.mistake = Some(id);
    }
    report.lines = lines;
    report.heatmap = heatmap(
        "gradient by each record",
        1,
        probe.tape.len(),
        expected,
        wrong,
    );
    report
}

/// The first wrong record, counted in the order of the sweep.
fn difference(probe: &Probe, expected: &[f64], found: &[f64]) -> String {
    let scale = expected.iter().fold(1.0_f64, |m, e| m.max(e.abs()));
    let wrong = |&at: &usize| {
        let found = found.get(at).copied().unwrap_or(f64::NAN);
        found.is_nan() || (found - expected[at]).abs() > 1e-11 * scale
    };
    let Some(at) = (0..expected.len()).rev().find(wrong) else {
        return String::new();
    };
    let found = found
        .get(at)
        .map_or("nothing".to_owned(), |v| format!("{v:.4}"));
    let uses: Vec<String> = (probe.tape.iter().enumerate())
        .filter(|(user, r)| *user <= probe.y && r.inputs.iter().any(|(input, _)| *input == at))
        .map(|(user, _)| user.to_string())
        .collect();
    let used = match uses.as_slice() {
        [] => "used by no record on the way to y".to_owned(),
        [one] => format!("used by record {one}"),
        many => format!("used by records {}", many.join(", ")),
    };
    format!(
        "On {}, with y at {}, the sweep first goes wrong at record {at} ({used}): {found}, and must be {:.4}.",
        probe.name, probe.y, expected[at]
    )
}

#[cfg(test)]
mod tests;
