//! Checks the exercise `scalar_sweep`.

use crate::arrays::Draws;
use judge::compare::{largest, same};
use judge::{Axis, Order, Part, case, exercise, field, slips};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// Where the book has the sweep.
pub(crate) const SECTION: &str = "sec:sweep";

/// One line of the tape.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The place of each input on the tape, always before this record, and the slope of
    /// this record's value with respect to it. The same place may stand here twice. A leaf has none.
    pub inputs: Vec<(usize, f64)>,
}

exercise! {
    /// `(tape, y)` to the gradient of record `y` with respect to every record.
    check(backward: Fn(&[Record], usize) -> Vec<f64>),
    right: "the sweep is right: one visit for each record, whatever is shared",
    parts: [part() => |p, grads| *grads = backward(&p.tape, p.y)],
}

/// A tape to be swept: what is special about it, its records, and the last one that counts.
pub(crate) struct Probe {
    name: &'static str,
    pub(crate) tape: Vec<Record>,
    pub(crate) y: usize,
}

case!(
    Probe,
    |p| format!("{} ({} records, y being record {})", p.name, p.tape.len(), p.y),
    counts: ["records": p.tape.len()],
);

fn slope(rng: &mut StdRng) -> f64 {
    let size = rng.random_range(0.5..1.5);
    if rng.random() { size } else { -size }
}

/// A record of these inputs with random slopes.
fn record(inputs: &[usize], rng: &mut StdRng) -> Record {
    let inputs = inputs.iter().map(|&at| (at, slope(rng))).collect();
    Record { inputs }
}

/// Records of these inputs each.
fn tape(inputs: &[&[usize]], rng: &mut StdRng) -> Vec<Record> {
    inputs.iter().map(|inputs| record(inputs, rng)).collect()
}

fn probes(seed: u64) -> Vec<Probe> {
    let rng = &mut Draws::new(seed).0;
    let length = rng.random_range(4..9);
    let chain: [&[usize]; 8] = [&[], &[0], &[1], &[2], &[3], &[4], &[5], &[6]];
    let square: [&[usize]; 4] = [&[], &[0, 0], &[1], &[2, 2]];
    let diamond: [&[usize]; 6] = [&[], &[], &[0, 1], &[2], &[2, 0], &[3, 4]];
    let after: [&[usize]; 6] = [&[], &[0], &[1], &[2], &[1, 3], &[4]];
    let mut probes: Vec<Probe> = [
        ("a chain", &chain[..length], length - 1),
        ("an operand used twice by one op", &square, 3),
        ("an operand used by two ops", &diamond, 5),
        ("records made after y", &after, 2),
    ]
    .into_iter()
    .map(|(name, inputs, y)| Probe {
        name,
        tape: tape(inputs, rng),
        y,
    })
    .collect();
    for _ in 0..3 {
        let (leaves, length) = (rng.random_range(2..5), rng.random_range(12..30));
        let mut tape = vec![Record::default(); leaves];
        for at in leaves..length {
            let mut before: Vec<usize> = (0..at).collect();
            before.shuffle(rng);
            before.truncate(rng.random_range(0..2));
            before.insert(0, at - 1);
            tape.push(record(&before, rng));
        }
        probes.push(Probe {
            name: "a random tape",
            tape,
            y: length - 2,
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

impl Probe {
    /// The loop with its order and its step exchanged for others.
    fn loops(
        &self,
        order: impl Iterator<Item = usize>,
        step: impl Fn(&mut f64, f64, f64),
    ) -> Vec<f64> {
        let mut grads = vec![0.0; self.tape.len()];
        grads[self.y] = 1.0;
        for at in order {
            for &(input, slope) in &self.tape[at].inputs {
                let dy = grads[at];
                step(&mut grads[input], dy, slope);
            }
        }
        grads
    }
}

/// The derivative of every record with respect to record 0: the other direction.
fn forward(tape: &[Record]) -> Vec<f64> {
    let mut slopes = vec![0.0; tape.len()];
    slopes[0] = 1.0;
    for at in 1..tape.len() {
        let inputs = tape[at].inputs.iter();
        slopes[at] = inputs.map(|&(input, s)| s * slopes[input]).sum();
    }
    slopes
}

/// The sweep as a part, of this exercise and of others.
#[rustfmt::skip]
pub(crate) fn part() -> Part<Probe, Vec<f64>> {
    const AXES: &[Axis] = &[Axis("records", "record")];
    Part::<_, Vec<f64>>::new("backward", Order::Together, probes)
        .target("grads", SECTION, AXES, |p| sweep(&p.tape, p.y), field!())
        .mistakes(&["grads"], slips![
            "assigned: an input used twice keeps one gradient of two: `=` stands where `+=` belongs" => |p, _| p.loops((0..=p.y).rev(), |g, dy, slope| *g = dy * slope),
            "oldest-first: the records are visited oldest first, so each passes its gradient on before it has it; go from `y` down to 0" => |p, _| p.loops(0..=p.y, |g, dy, slope| *g += dy * slope),
            "start-missing: everything is zero: the gradient of `y` with respect to itself is 1, and the sweep starts with it" => |p, _| vec![0.0; p.tape.len()],
            "start-at-the-end: it starts at the last record of the tape, and must start at `y`" => |p, _| sweep(&p.tape, p.tape.len() - 1),
            "slopes-ignored: it adds up gradients without their slopes: it counts routes" => |p, _| p.loops((0..=p.y).rev(), |g, dy, _| *g += dy),
            "slopes-added: gradient and slope are added; along a route they are multiplied" => |p, _| p.loops((0..=p.y).rev(), |g, dy, slope| *g += dy + slope),
            "slopes-alone: it adds up slopes without the gradient that arrives at the record" => |p, _| p.loops((0..=p.y).rev(), |g, _, slope| *g += slope),
            "first-input-only: only the first input of each record gets its gradient" => |p, _| {
            let first = |r: &Record| Record { inputs: r.inputs.iter().take(1).copied().collect() };
            sweep(&p.tape.iter().map(first).collect::<Vec<_>>(), p.y)
            },
            "nothing-leaves-y: only `y` has a gradient, and hands nothing on. Either the sweep begins below `y`, and must begin at `y` itself; or it multiplies the slope by the gradient of the input, which is still 0, and must multiply by that of the record it stands at" => |p, _| p.loops((0..p.y).rev(), |g, dy, slope| *g += dy * slope),
            "first-record-left-out: record 0 gets no gradient: the sweep goes down to 0 itself" => |p, _| {
            let mut grads = sweep(&p.tape, p.y);
            grads[0] = 0.0;
            grads
            },
            "intermediates-lost: only leaves have a gradient in it; every record should, `y` included" => |p, _| {
            let kept = |(g, r): (f64, &Record)| if r.inputs.is_empty() { g } else { 0.0 };
            sweep(&p.tape, p.y).into_iter().zip(&p.tape).map(kept).collect()
            },
            "forward: this is the derivative of every record with respect to record 0: the other direction" => |p, _| forward(&p.tape),
        ])
        .noted_by(|p, found, _| first_wrong(p, found))
}

/// The first wrong record, counted in the order of the sweep.
fn first_wrong(probe: &Probe, found: &[f64]) -> Option<String> {
    let right = sweep(&probe.tape, probe.y);
    let scale = largest(&right);
    let differs = |&at: &usize| !same(&[right[at], scale], &[found[at], scale]);
    let at = (0..right.len().min(found.len())).rev().find(differs)?;
    let uses = |(user, r): (usize, &Record)| {
        let uses = user <= probe.y && r.inputs.iter().any(|(input, _)| *input == at);
        uses.then(|| user.to_string())
    };
    let uses: Vec<String> = probe.tape.iter().enumerate().filter_map(uses).collect();
    let used = match uses.as_slice() {
        [] if at == probe.y => "y itself".to_owned(),
        [] => "used by no record on the way to y".to_owned(),
        [one] => format!("used by record {one}"),
        many => format!("used by records {}", many.join(", ")),
    };
    Some(format!(
        "In the order of the sweep, from y down, record {at} ({used}) is the first that is wrong."
    ))
}

#[cfg(test)]
mod tests;
