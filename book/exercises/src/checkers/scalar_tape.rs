//! Checks the exercise `scalar_tape`.

use crate::arrays::Draws;
use crate::scalar_sweep;
use gradcheck::Check;
use judge::{Axis, Case, Found, Order, Part, Slip, case, exercise, found};
use rand::RngExt;

/// One line of the tape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// The number that this record made.
    pub value: f64,
    /// The place of each input on the tape, and the slope of `value` with respect to it.
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

exercise! {
    check(
        leaf: Fn(&mut Tape, f64) -> usize,
        add: Fn(&mut Tape, usize, usize) -> usize,
        mul: Fn(&mut Tape, usize, usize) -> usize,
        exp: Fn(&mut Tape, usize) -> usize,
        backward: Fn(&Tape, usize) -> Vec<f64>,
    ),
    right: "your tape differentiates: every op, the sweep, and whole programs agree with finite differences",
    parts: [
        op::<0>() => |p, answer| *answer = p.record(|tape, _| leaf(tape, p.values[0])),
        op::<1>() => |p, answer| *answer = p.record(|tape, at| add(tape, at[0], at[1])),
        op::<2>() => |p, answer| *answer = p.record(|tape, at| mul(tape, at[0], at[1])),
        op::<3>() => |p, answer| *answer = p.record(|tape, at| exp(tape, at[0])),
        scalar_sweep::part() => |p, grads| {
            let record = |r: &scalar_sweep::Record| Record { value: 0.0, inputs: r.inputs.clone() };
            *grads = backward(&Tape { records: p.tape.iter().map(record).collect() }, p.y);
        },
        programs() => |p, answer| *answer = p.run(&Own { leaf, add, mul, exp, backward }),
    ],
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

/// Where the book has the ops.
const SECTION: &str = "sec:scalar-ops";

/// What an op must record: its value, and the slope with respect to each operand.
type Rule = fn(f64, f64) -> (f64, f64, f64);

/// An op: its name, how many operands, its rule, and what may be wrong in it: the target, and
/// the wrong rule.
struct Op {
    name: &'static str,
    operands: usize,
    rule: Rule,
    mistakes: &'static [Slip<(&'static [&'static str], Rule)>],
}

const VALUE: &[&str] = &["value"];
const SLOPES: &[&str] = &["slopes"];

#[rustfmt::skip]
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
            ("add-multiplies: it is the product", (VALUE, |a, b| (a * b, 1.0, 1.0))),
            ("add-slopes-of-mul: they are those of a product; a sum grows by 1 with each operand", (SLOPES, |a, b| (a + b, b, a))),
            ("add-slopes-values: they are the operands' values; a sum grows by 1 with each operand", (SLOPES, |a, b| (a + b, a, b))),
        ],
    },
    Op {
        name: "mul",
        operands: 2,
        rule: |a, b| (a * b, b, a),
        mistakes: &[
            ("mul-adds: it is the sum", (VALUE, |a, b| (a + b, b, a))),
            ("mul-slopes-swapped: they are exchanged: the slope of a * b with respect to a is b", (SLOPES, |a, b| (a * b, a, b))),
            ("mul-slopes-of-add: they are 1, those of a sum: the slope of a * b with respect to a is b", (SLOPES, |a, b| (a * b, 1.0, 1.0))),
            ("mul-slopes-products: they are a * b: the slope of a * b with respect to a is b alone", (SLOPES, |a, b| (a * b, a * b, a * b))),
        ],
    },
    Op {
        name: "exp",
        operands: 1,
        rule: |x, _| (x.exp(), x.exp(), 0.0),
        mistakes: &[
            ("exp-value-x: it is x", (VALUE, |x, _| (x, x.exp(), 0.0))),
            ("exp-slope-x: it is x; the derivative of the exponential is the exponential itself", (SLOPES, |x, _| (x.exp(), x, 0.0))),
            ("exp-slope-product: it is x * exp(x); the derivative of the exponential is the exponential alone", (SLOPES, |x, _| (x.exp(), x * x.exp(), 0.0))),
            ("exp-slope-one: it is 1; the derivative of the exponential is the exponential itself", (SLOPES, |x, _| (x.exp(), 1.0, 0.0))),
            ("exp-power-rule: it is x * exp(x - 1), the rule for powers of x; here x is the exponent", (SLOPES, |x, _| (x.exp(), x * (x - 1.0).exp(), 0.0))),
            ("exp-twice: it is the exponential of the value: exp was applied twice", (SLOPES, |x, _| (x.exp(), x.exp().exp(), 0.0))),
        ],
    },
];

/// An op and its operands, on a tape on which other records come first.
struct Applied {
    op: &'static Op,
    before: usize,
    values: [f64; 2],
    /// Whether one operand stands on both sides.
    shared: bool,
}

case!(
    Applied,
    |p| {
        let ([a, b], places) = (p.values, p.places());
        match p.op.operands {
            0 => format!("the value {a:.4}"),
            1 => format!("x = {a:.4} at place {}", places[0]),
            _ if p.shared => format!("a and b both {a:.4} at place {}", places[0]),
            _ => format!("a = {a:.4} at place {} and b = {b:.4} at place {}", places[0], places[1]),
        }
    },
    counts: ["operands": p.places().len(), "records": p.at() + 1],
);

fn applied(op: &'static Op, seed: u64) -> Vec<Applied> {
    let rng = &mut Draws::new(seed).0;
    let applied = |round| Applied {
        op,
        before: rng.random_range(1..4),
        values: std::array::from_fn(|_| rng.random_range(0.3..2.0)),
        shared: op.operands == 2 && round == 3,
    };
    (0..4).map(applied).collect()
}

impl Applied {
    /// The places of the operands, each once.
    fn places(&self) -> Vec<usize> {
        let count = if self.shared { 1 } else { self.op.operands };
        (self.before..self.before + count).collect()
    }

    /// Where the op's record belongs.
    fn at(&self) -> usize {
        self.before + self.places().len()
    }

    /// The value of a rule, and its slope with respect to each place.
    fn by(&self, rule: Rule) -> (f64, Vec<f64>) {
        let [a, b] = self.values;
        let (value, by_a, by_b) = rule(a, if self.shared { a } else { b });
        let slopes = match self.places().len() {
            1 if self.shared => vec![by_a + by_b],
            count => [by_a, by_b][..count].to_vec(),
        };
        (value, slopes)
    }

    /// 1 for each of these records, and 0 for the others.
    fn named(&self, inputs: &[usize]) -> Vec<f64> {
        let named = |at| if inputs.contains(&at) { 1.0 } else { 0.0 };
        (0..=self.at()).map(named).collect()
    }

    /// Runs `op` on the operands, given twice if they are one, and reads what it recorded.
    fn record(&self, op: impl FnOnce(&mut Tape, &[usize]) -> usize) -> Found {
        let mut tape = Tape {
            records: vec![Record::default(); self.before],
        };
        let places = self.places();
        for value in &self.values[..places.len()] {
            tape.push(*value, vec![]);
        }
        let before = tape.records.clone();
        let place = op(&mut tape, &places.repeat(2));
        let kept = before.iter().zip(&tape.records).filter(|(b, a)| b == a);
        let mut recorded = Found::default();
        recorded.set(KEPT, [kept.count() as f64]);
        recorded.set(COUNT, [tape.records.len() as f64 - before.len() as f64]);
        recorded.set(PLACE, [place as f64]);
        let own = place.max(before.len());
        if let Some(record) = tape.records.get(own).or(tape.records.get(before.len())) {
            let slope = |of: usize| {
                let inputs = record.inputs.iter().filter(|(input, _)| *input == of);
                inputs.map(|(_, slope)| slope).sum()
            };
            // What has no slope is no input; and an input that is not there yet is told at
            // the place of the record itself.
            let counts = |(input, slope): &&(usize, f64)| *slope != 0.0 || places.contains(input);
            let inputs = record.inputs.iter().filter(counts);
            let inputs: Vec<usize> = inputs.map(|(input, _)| *input.min(&self.at())).collect();
            recorded.set("inputs", self.named(&inputs));
            recorded.set("value", [record.value]);
            recorded.set("slopes", places.iter().map(|at| slope(*at)));
        }
        recorded
    }
}

/// What is asked of a record: how many of those that were there are as they were, how many are
/// new, and the place that was returned. Its inputs are 1 for each record that is one, its slopes
/// those with respect to each operand, over all places where it stands.
const KEPT: &str = "the count of earlier records that are as they were";
pub(crate) const COUNT: &str = "the count of new records";
pub(crate) const PLACE: &str = "the place returned";

/// Asks of an op that it appends one record, where it belongs, and returns its place.
#[rustfmt::skip]
pub(crate) fn appends<C: Case>(part: Part<C, Found>, section: &'static str, at: fn(&C) -> Vec<f64>) -> Part<C, Found> {
    part.asks(found!(COUNT), section, &[], |_| vec![1.0])
        .mistakes(&[COUNT], &[("record-count: no record is appended: `tape.push` appends one, and returns its place", |_, _| vec![0.0])])
        .mistakes(&[COUNT], &[("record-count: two records are appended: one op makes one record", |_, _| vec![2.0])])
        .asks(found!(PLACE), section, &[], at)
        .mistakes(&[PLACE], &[("wrong-place: it is 0 whatever is on the tape, and must be that of the new record", |_, _| vec![0.0])])
        .wrong(PLACE, section, "wrong-place: it is one too large: that of the new record is one less than the length of the tape", move |p| vec![at(p)[0] + 1.0])
}

/// The op at this place in the list, as a part.
#[rustfmt::skip]
fn op<const AT: usize>() -> Part<Applied, Found> {
    const RECORDS: &[Axis] = &[Axis("records", "record")];
    const OPERANDS: &[Axis] = &[Axis("operands", "operand")];
    let op = &OPS[AT];
    let part = Part::new(op.name, Order::Together, |seed| applied(&OPS[AT], seed))
        .asks(found!(KEPT), SECTION, &[], |p| vec![p.at() as f64])
        .mistakes(&[KEPT], &[("records-changed: none is: an op appends one record, and leaves the others alone", |_, _| vec![0.0])]);
    let mut part = appends(part, SECTION, |p| vec![p.at() as f64])
        .asks(found!("inputs"), SECTION, RECORDS, |p| p.named(&p.places()))
        .answers(["is an input of the new record, and must be none", "is no input of the new record, and must be one"])
        .asks(found!("value"), SECTION, &[], |p| vec![p.by(p.op.rule).0]);
    if op.operands == 0 {
        return part;
    }
    part = part
        .mistakes(&[PLACE], &[("wrong-place: it is that of an operand, and must be that of the new record", |p, _| vec![p.before as f64])])
        .mistakes(&["inputs"], &[("inputs-missing: the record names no input, so no gradient can leave it", |p, _| p.named(&[]))])
        .mistakes(&["inputs"], &[("wrong-inputs: the record names the places 0 and 1, whatever the operands are: their places are what the op is given", |p, _| p.named(&[0, 1][..p.op.operands]))])
        .asks(found!("slopes"), SECTION, OPERANDS, |p| p.by(p.op.rule).1);
    if op.operands == 2 {
        let without = |p: &Applied, kept: usize| {
            let places = p.places();
            places[kept.min(places.len() - 1)]
        };
        for (left, text) in [
            (0, "first-forgotten: the record does not name the first operand, so no gradient reaches it"),
            (1, "second-forgotten: the record does not name the second operand, so no gradient reaches it"),
        ] {
            part = part
                .wrong("inputs", SECTION, text, move |p| p.named(&[without(p, 1 - left)]))
                .wrong("inputs", SECTION, "wrong-inputs: the record names its own place in place of an operand's: an input is a record before it", move |p| p.named(&[without(p, 1 - left), p.at()]));
        }
    }
    part.variants_of(op.mistakes, |p, target, rule| match target {
        "value" => vec![p.by(*rule).0],
        _ => p.by(*rule).1,
    })
}

/// A program over three leaves: which op each step is, and the values so far that it takes.
struct Program {
    steps: Vec<(usize, usize, usize)>,
    leaves: Vec<f64>,
}

case!(
    Program,
    |p| {
        let leaves: Vec<String> = p.leaves.iter().map(|v| format!("{v:.4}")).collect();
        let steps = p.steps.len();
        format!("a program of {steps} steps on the leaves {}", leaves.join(", "))
    },
    counts: ["leaves": p.leaves.len()],
);

fn drawn(seed: u64) -> Vec<Program> {
    let rng = &mut Draws::new(seed).0;
    let mut program = || Program {
        // The newest value is always used, so that nothing hangs loose.
        steps: (3..12)
            .map(|at| (rng.random_range(0..3), at - 1, rng.random_range(0..at)))
            .collect(),
        leaves: (0..3).map(|_| rng.random_range(0.2..1.2)).collect(),
    };
    (0..3).map(|_| program()).collect()
}

impl Program {
    /// Runs it on the tape of these functions. Products and exponentials are kept small: each
    /// is followed by a product with a leaf of 0.6.
    fn run(&self, own: &Own<'_>) -> Found {
        let mut tape = Tape::default();
        let leaves = self.leaves.iter().map(|&v| (own.leaf)(&mut tape, v));
        let leaves: Vec<usize> = leaves.collect();
        let mut values = leaves.clone();
        for &(op, a, b) in &self.steps {
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
        let grads = (own.backward)(&tape, y);
        let mut found = Found::default();
        found.set("y", [tape.records[y].value]);
        found.set("grads", leaves.iter().map(|&at| grads[at]));
        found
    }

    fn right(&self) -> Found {
        self.run(&Own {
            leaf: &|tape, value| tape.push(value, vec![]),
            add: &by(OPS[1].rule),
            mul: &by(OPS[2].rule),
            exp: &|tape, x| by(OPS[3].rule)(tape, x, x),
            backward: &|tape, y| {
                let record = |record: &Record| scalar_sweep::Record {
                    inputs: record.inputs.clone(),
                };
                let records: Vec<_> = tape.records.iter().map(record).collect();
                scalar_sweep::sweep(&records, y)
            },
        })
    }
}

/// An op by its rule.
fn by(rule: Rule) -> impl Fn(&mut Tape, usize, usize) -> usize {
    move |tape, a, b| {
        let (value, by_a, by_b) = rule(tape.records[a].value, tape.records[b].value);
        tape.push(value, vec![(a, by_a), (b, by_b)])
    }
}

/// Whole programs, as a part.
fn programs() -> Part<Program, Found> {
    const LEAVES: &[Axis] = &[Axis("leaves", "leaf")];
    Part::new("programs", Order::Together, drawn)
        .asks(found!("y"), SECTION, &[], |p| p.right().get("y"))
        .asks(found!("grads"), scalar_sweep::SECTION, LEAVES, |p| {
            p.right().get("grads")
        })
        .numeric(|run, seed| {
            let program = drawn(seed + 1).swap_remove(0);
            let at = |x: &[Vec<f64>], target: &str| {
                let (steps, leaves) = (program.steps.clone(), x[0].clone());
                Found::by(|found| run(&Program { steps, leaves }, found), [target]).swap_remove(0)
            };
            let scaled = |grads: Vec<f64>, dy: f64| grads.iter().map(|g| dy * g).collect();
            Check::new("program")
                .input("leaves", &[3], program.leaves.clone())
                .seed(seed)
                .may_be_zero("leaves")
                .run(|x| at(x, "y"), |x, dy| vec![scaled(at(x, "grads"), dy[0])])
        })
}

#[cfg(test)]
mod tests;
