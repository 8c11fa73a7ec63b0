//! Checks the exercise `scalar_tape`.

use crate::engine::Checker;
use crate::harness;
use crate::known::{Known, fill};
use crate::scalar_sweep;
use crate::{Line, Outcome, Report};
use gradcheck::{Check, Fault};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::fmt::Display;
use std::process::ExitCode;

const NAME: &str = "scalar_tape";

/// One line of the tape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// The number that this record made.
    pub value: f64,
    /// The place of each input on the tape, and the slope of `value` by it.
    pub inputs: Vec<(usize, f64)>,
}

/// The records of one computation, in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    /// A number's place in this list is its handle.
    pub records: Vec<Record>,
}

impl Tape {
    /// Appends a record, and returns its place.
    pub fn push(&mut self, value: f64, inputs: Vec<(usize, f64)>) -> usize {
        self.records.push(Record { value, inputs });
        self.records.len() - 1
    }
}

/// The reader's functions.
struct Own<'a> {
    leaf: &'a dyn Fn(&mut Tape, f64) -> usize,
    add: Binary<'a>,
    mul: Binary<'a>,
    exp: &'a dyn Fn(&mut Tape, usize) -> usize,
    backward: &'a dyn Fn(&Tape, usize) -> Vec<f64>,
}

type Binary<'a> = &'a dyn Fn(&mut Tape, usize, usize) -> usize;

/// Checks the five functions and prints the report.
pub fn check(
    leaf: impl Fn(&mut Tape, f64) -> usize,
    add: impl Fn(&mut Tape, usize, usize) -> usize,
    mul: impl Fn(&mut Tape, usize, usize) -> usize,
    exp: impl Fn(&mut Tape, usize) -> usize,
    backward: impl Fn(&Tape, usize) -> Vec<f64>,
) -> ExitCode {
    let own = Own {
        leaf: &leaf,
        add: &add,
        mul: &mul,
        exp: &exp,
        backward: &backward,
    };
    harness::run(NAME, || report(&own, 0))
}

/// What an op must record: its value, and the slope by each operand.
type Rule = fn(f64, f64) -> (f64, f64, f64);

/// What may be wrong in an op's record: the name, the sentence, and the wrong rule.
type Mistake = (&'static str, &'static str, Rule);

/// An op: its name, how many operands, its rule, and the mistakes.
struct Op {
    name: &'static str,
    operands: usize,
    rule: Rule,
    mistakes: &'static [Mistake],
}

const OPS: [Op; 4] = [
    Op {
        name: "leaf",
        operands: 0,
        rule: |a, _| (a, 0.0, 0.0),
        mistakes: &[],
    },
    Op {
        name: "add",
        operands: 2,
        rule: |a, b| (a + b, 1.0, 1.0),
        mistakes: &[
            ("add-multiplies", "its value is the product", |a, b| {
                (a * b, 1.0, 1.0)
            }),
            (
                "add-slopes-of-mul",
                "its slopes are those of a product; a sum grows by 1 with each operand",
                |a, b| (a + b, b, a),
            ),
            (
                "add-slopes-values",
                "its slopes are the operands' values; a sum grows by 1 with each operand",
                |a, b| (a + b, a, b),
            ),
            ("slopes-zero", "its slopes are zero", |a, b| {
                (a + b, 0.0, 0.0)
            }),
        ],
    },
    Op {
        name: "mul",
        operands: 2,
        rule: |a, b| (a * b, b, a),
        mistakes: &[
            ("mul-adds", "its value is the sum", |a, b| (a + b, b, a)),
            (
                "mul-slopes-swapped",
                "its slopes are exchanged: the slope of a * b by a is b",
                |a, b| (a * b, a, b),
            ),
            (
                "mul-slopes-of-add",
                "its slopes are 1, those of a sum: the slope of a * b by a is b",
                |a, b| (a * b, 1.0, 1.0),
            ),
            (
                "mul-slopes-products",
                "its slopes are a * b: the slope of a * b by a is b alone",
                |a, b| (a * b, a * b, a * b),
            ),
            ("slopes-zero", "its slopes are zero", |a, b| {
                (a * b, 0.0, 0.0)
            }),
        ],
    },
    Op {
        name: "exp",
        operands: 1,
        rule: |x, _| (x.exp(), x.exp(), 0.0),
        mistakes: &[
            (
                "exp-slope-x",
                "its slope is x; the derivative of the exponential is the exponential itself",
                |x, _| (x.exp(), x, 0.0),
            ),
            (
                "exp-slope-one",
                "its slope is 1; the derivative of the exponential is the exponential itself",
                |x, _| (x.exp(), 1.0, 0.0),
            ),
            (
                "exp-power-rule",
                "its slope is x * exp(x - 1), the rule for powers of x; here x is the exponent",
                |x, _| (x.exp(), x * (x - 1.0).exp(), 0.0),
            ),
            ("exp-value-x", "its value is x", |x, _| (x, x.exp(), 0.0)),
            (
                "exp-twice",
                "its slope is the exponential of the value: exp was applied twice",
                |x, _| (x.exp(), x.exp().exp(), 0.0),
            ),
            ("slopes-zero", "its slope is zero", |x, _| {
                (x.exp(), 0.0, 0.0)
            }),
        ],
    },
];

/// What may be wrong in any op's record, whatever its numbers are.
const RECORDS: [(&str, &str); 6] = [CHANGED, COUNT, PLACE, LATER, STRANGER, MISSING];
const CHANGED: (&str, &str) = (
    "records-changed",
    "it changed records that were there before",
);
const COUNT: (&str, &str) = ("record-count", "it must append one record, and appended …");
const PLACE: (&str, &str) = (
    "wrong-place",
    "it must return the place of the new record, …, and returned …",
);
const LATER: (&str, &str) = (
    "wrong-inputs",
    "its record names … as an input, and is itself at …",
);
const STRANGER: (&str, &str) = (
    "wrong-inputs",
    "its record names … as an input, which is no operand",
);
const MISSING: (&str, &str) = (
    "inputs-missing",
    "its record names no input, so no gradient can leave it",
);

/// Where the book has the ops.
const SECTION: &str = "sec:scalar-ops";

/// The mistakes that this checker knows.
fn known() -> Vec<Known> {
    let in_records = RECORDS.map(|(id, what)| Known::new(NAME, id, format!("…: {what}"), SECTION));
    let in_ops = OPS.iter().flat_map(|op| {
        let known =
            |(id, what, _): &Mistake| Known::new(NAME, id, format!("{}: {what}", op.name), SECTION);
        op.mistakes.iter().map(known)
    });
    let in_sweep = scalar_sweep::known_as(NAME, "backward: ", scalar_sweep::SECTION);
    in_records
        .into_iter()
        .chain(in_ops)
        .chain(in_sweep)
        .collect()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * a.abs().max(b.abs()).max(1.0)
}

/// The slope of a record by one input, over all places where it stands.
fn slope_by(record: &Record, input: usize) -> f64 {
    let own = record.inputs.iter().filter(|(at, _)| *at == input);
    own.map(|(_, slope)| slope).sum()
}

/// Runs `op` on two fresh operands, and says what is wrong with its record.
fn judge_op(op: &Op, own: &Own<'_>, rng: &mut StdRng) -> Result<String, (String, String)> {
    for round in 0..4 {
        let values: [f64; 2] = std::array::from_fn(|_| rng.random_range(0.3..2.0));
        let mut tape = Tape::default();
        for _ in 0..rng.random_range(0..3) {
            tape.records.push(Record::default());
        }
        // The last round has one operand on both sides.
        let shared = round == 3;
        let operands: [usize; 2] = std::array::from_fn(|i| {
            if i == 1 && shared {
                return tape.records.len() - 1;
            }
            let value = values[i];
            tape.records.push(Record {
                value,
                inputs: vec![],
            });
            tape.records.len() - 1
        });
        let [a, b] = if shared { [values[0]; 2] } else { values };
        let before = tape.records.clone();
        let at = match op.name {
            "leaf" => (own.leaf)(&mut tape, a),
            "add" => (own.add)(&mut tape, operands[0], operands[1]),
            "mul" => (own.mul)(&mut tape, operands[0], operands[1]),
            _ => (own.exp)(&mut tape, operands[0]),
        };
        let told = |id: &str, what: String| Err((id.to_owned(), format!("{}: {what}", op.name)));
        let record_told =
            |(id, what): (&str, &str), values: &[&dyn Display]| told(id, fill(what, values));
        let count = tape.records.len() - before.len().min(tape.records.len());
        if tape.records.len() < before.len() || tape.records[..before.len()] != before[..] {
            return record_told(CHANGED, &[]);
        }
        if count != 1 {
            return record_told(COUNT, &[&count]);
        }
        if at != before.len() {
            return record_told(PLACE, &[&before.len(), &at]);
        }
        let record = &tape.records[at];
        if let Some((input, _)) = record.inputs.iter().find(|(input, _)| *input >= at) {
            return record_told(LATER, &[input, &at]);
        }
        let agrees = |rule: Rule| {
            let (value, by_a, by_b) = rule(a, b);
            let slopes = match (op.operands, shared) {
                (0, _) => true,
                (1, _) => near(slope_by(record, operands[0]), by_a),
                (_, true) => near(slope_by(record, operands[0]), by_a + by_b),
                _ => {
                    near(slope_by(record, operands[0]), by_a)
                        && near(slope_by(record, operands[1]), by_b)
                }
            };
            near(record.value, value) && slopes
        };
        if record.inputs.is_empty() && op.operands > 0 {
            return record_told(MISSING, &[]);
        }
        let right = agrees(op.rule);
        if !right && let Some((id, sentence, _)) = op.mistakes.iter().find(|m| agrees(m.2)) {
            return told(id, (*sentence).to_owned());
        }
        let strangers = |(input, slope): &&(usize, f64)| {
            let known = operands[..op.operands].contains(input);
            !known && *slope != 0.0
        };
        if let Some((input, _)) = record.inputs.iter().find(strangers) {
            return record_told(STRANGER, &[input]);
        }
        if !right {
            let (value, by_a, by_b) = (op.rule)(a, b);
            let must = match op.operands {
                0 => format!("{value:.4} and no inputs"),
                1 => format!("{value:.4} and slope {by_a:.4}"),
                _ => format!("{value:.4} and slopes {by_a:.4}, {by_b:.4}"),
            };
            let what = format!(
                "of {a:.4} and {b:.4} it recorded {record:?}, and must record the value {must}"
            );
            return told("unknown", what);
        }
    }
    Ok("value and slopes are right".to_owned())
}

/// One step of a random program: which op, and which of the values so far.
type Step = (usize, usize, usize);

/// A program over three leaves, and where it ends.
fn program(rng: &mut StdRng) -> Vec<Step> {
    let mut steps = Vec::new();
    for at in 3..12 {
        // The newest value is always used, so that nothing hangs loose.
        steps.push((rng.random_range(0..3), at - 1, rng.random_range(0..at)));
    }
    steps
}

/// Runs the program on the reader's tape. Products and exponentials are kept small: each
/// is followed by a product with a leaf of 0.3.
fn run(own: &Own<'_>, steps: &[Step], leaves: &[f64]) -> (Tape, usize, Vec<usize>) {
    let mut tape = Tape::default();
    let handles: Vec<usize> = leaves.iter().map(|&v| (own.leaf)(&mut tape, v)).collect();
    let mut values = handles.clone();
    for &(op, a, b) in steps {
        let (a, b) = (values[a], values[b]);
        let next = match op {
            0 => (own.add)(&mut tape, a, b),
            1 => (own.mul)(&mut tape, a, b),
            _ => {
                let small = (own.leaf)(&mut tape, 0.3);
                let scaled = (own.mul)(&mut tape, a, small);
                (own.exp)(&mut tape, scaled)
            }
        };
        let damp = (own.leaf)(&mut tape, 0.6);
        values.push((own.mul)(&mut tape, next, damp));
    }
    let y = values[values.len() - 1];
    (tape, y, handles)
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Listed(known())
}

fn report(own: &Own<'_>, seed: u64) -> Report {
    let rng = &mut StdRng::seed_from_u64(seed);
    let mut lines = Vec::new();
    for op in &OPS {
        match judge_op(op, own, rng) {
            Ok(detail) => lines.push(Line {
                name: op.name.to_owned(),
                right: true,
                detail,
            }),
            Err((id, headline)) => {
                let mut report = Report::new(NAME, Outcome::Wrong, headline.clone());
                let nameless = id == "unknown";
                report.section = (!nameless).then(|| SECTION.to_owned());
                report.mistake = Some(id);
                let detail = headline
                    .split_once(": ")
                    .map_or(String::new(), |(_, d)| d.to_owned());
                lines.push(Line {
                    name: op.name.to_owned(),
                    right: false,
                    detail,
                });
                report.lines = lines;
                return report;
            }
        }
    }
    let mut on_records = |records: &[scalar_sweep::Record], y: usize| {
        let records = records.iter().map(|r| Record {
            value: 0.0,
            inputs: r.inputs.clone(),
        });
        (own.backward)(
            &Tape {
                records: records.collect(),
            },
            y,
        )
    };
    let swept = scalar_sweep::report_as(NAME, scalar_sweep::SECTION, seed, &mut on_records);
    if !swept.passed() {
        let headline = format!("backward: {}", swept.headline);
        lines.extend(swept.lines);
        return Report {
            headline,
            lines,
            ..swept
        };
    }
    lines.extend(swept.lines);
    for number in 0..3 {
        let steps = program(rng);
        let leaves: [f64; 3] = std::array::from_fn(|_| rng.random_range(0.2..1.2));
        let value = |x: &[Vec<f64>]| {
            let (tape, y, _) = run(own, &steps, &[x[0][0], x[0][1], x[0][2]]);
            vec![tape.records[y].value]
        };
        let gradient = |x: &[Vec<f64>], dy: &[f64]| {
            let (tape, y, leaves) = run(own, &steps, &[x[0][0], x[0][1], x[0][2]]);
            let grads = (own.backward)(&tape, y);
            vec![leaves.iter().map(|&at| dy[0] * grads[at]).collect()]
        };
        let checked = Check::new("program")
            .input("leaves", &[3], leaves)
            .seed(seed * 10 + number)
            .may_be_zero("leaves")
            .run(value, gradient);
        let wrong = checked
            .faults
            .iter()
            .any(|f| matches!(f, Fault::Wrong { .. }));
        let margin = checked.worst().map_or(0.0, |(_, w)| w.margin);
        lines.push(Line {
            name: format!("a program of {} ops", steps.len()),
            right: checked.passed(),
            detail: format!("disagrees with finite differences by {margin:.2} of the bound"),
        });
        if !checked.passed() {
            let headline = if wrong {
                "each op is right and so is the sweep, but together they disagree with finite differences"
            } else {
                "the program could not be checked"
            };
            let mut report = Report::new(NAME, Outcome::Wrong, headline);
            report.mistake = Some("unknown".to_owned());
            report.notes.push(checked.to_string());
            report.lines = lines;
            return report;
        }
    }
    let headline = "your tape differentiates: every op, the sweep, and whole programs agree with finite differences";
    let mut report = Report::new(NAME, Outcome::Passed, headline);
    report.lines = lines;
    report
}

/// The right sweep on this exercise's tape, for the tests.
#[cfg(test)]
fn right_sweep(tape: &Tape, y: usize) -> Vec<f64> {
    let records: Vec<scalar_sweep::Record> = tape
        .records
        .iter()
        .map(|r| scalar_sweep::Record {
            inputs: r.inputs.clone(),
        })
        .collect();
    scalar_sweep::sweep(&records, y)
}

#[cfg(test)]
mod tests;
