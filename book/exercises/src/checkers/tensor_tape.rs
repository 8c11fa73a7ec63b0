//! Checks the exercise `tensor_tape`, and what its ops share with `tensor_products`.

use crate::compare::same;
use crate::engine::Checker;
use crate::harness;
use crate::known::{Known, fill};
use crate::{Line, Outcome, Report};
use gradcheck::{Check, Input};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::fmt::Display;
use std::process::ExitCode;
use tape::broadcast;

const NAME: &str = "tensor_tape";

/// A tensor of the book's own tape, in `f64`.
pub type Tensor = tape::Tensor<f64>;

/// The backward half of a record: from `dy` to one gradient for each input.
pub type Vjp = Box<dyn Fn(&Tensor) -> Vec<Tensor>>;

/// One line of the tape.
pub struct Record {
    /// What the op made.
    pub value: Tensor,
    /// The place of each input on the tape.
    pub inputs: Vec<usize>,
    /// Gradients of the inputs, in their order, each of the shape of its input.
    pub vjp: Vjp,
}

/// The records of one computation, in the order in which they were made.
#[derive(Default)]
pub struct Tape {
    /// A value's place in this list is its handle.
    pub records: Vec<Record>,
}

impl Tape {
    /// Appends a record, and returns its place.
    pub fn push(
        &mut self,
        value: Tensor,
        inputs: &[usize],
        vjp: impl Fn(&Tensor) -> Vec<Tensor> + 'static,
    ) -> usize {
        self.records.push(Record {
            value,
            inputs: inputs.to_vec(),
            vjp: Box::new(vjp),
        });
        self.records.len() - 1
    }

    /// The value at a place; a clone of the handle, not of the numbers.
    #[must_use]
    pub fn value(&self, at: usize) -> Tensor {
        self.records[at].value.clone()
    }

    /// `f(a, b)` element by element, with broadcasting.
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[must_use]
    #[track_caller]
    pub fn zip(a: &Tensor, b: &Tensor, f: impl Fn(f64, f64) -> f64) -> Tensor {
        broadcast::zip_operands("zip", a, b, f)
    }

    /// `dy` summed over the axes along which `like` was repeated to its shape.
    #[must_use]
    pub fn sum_to(dy: &Tensor, like: &Tensor) -> Tensor {
        broadcast::sum_to(dy, like.shape())
    }

    fn leaf(&mut self, value: Tensor) -> usize {
        self.push(value, &[], |_| vec![])
    }
}

type Binary<'a> = &'a dyn Fn(&mut Tape, usize, usize) -> usize;
type Unary<'a> = &'a dyn Fn(&mut Tape, usize) -> usize;
type Backward<'a> = &'a dyn Fn(&Tape, usize, Tensor) -> Vec<Option<Tensor>>;

#[derive(Clone, Copy)]
struct Own<'a> {
    add: Binary<'a>,
    mul: Binary<'a>,
    relu: Unary<'a>,
    exp: Unary<'a>,
    backward: Backward<'a>,
}

/// Checks the five functions and prints the report.
pub fn check(
    add: impl Fn(&mut Tape, usize, usize) -> usize,
    mul: impl Fn(&mut Tape, usize, usize) -> usize,
    relu: impl Fn(&mut Tape, usize) -> usize,
    exp: impl Fn(&mut Tape, usize) -> usize,
    backward: impl Fn(&Tape, usize, Tensor) -> Vec<Option<Tensor>>,
) -> ExitCode {
    let own = Own {
        add: &add,
        mul: &mul,
        relu: &relu,
        exp: &exp,
        backward: &backward,
    };
    harness::run(NAME, || report(&own, 0))
}

/// The right sweep.
pub(crate) fn sweep(tape: &Tape, y: usize, dy: Tensor) -> Vec<Option<Tensor>> {
    let mut grads: Vec<Option<Tensor>> = vec![None; tape.records.len()];
    grads[y] = Some(dy);
    for at in (0..=y).rev() {
        let Some(dy) = grads[at].clone() else {
            continue;
        };
        let record = &tape.records[at];
        for (&input, dx) in record.inputs.iter().zip((record.vjp)(&dy)) {
            grads[input] = Some(match grads[input].take() {
                Some(sum) => sum.zip_with(&dx, |a, b| a + b),
                None => dx,
            });
        }
    }
    grads
}

/// A gradient that a reader may get wrong: its name, the sentence on it, and itself.
pub(crate) type Mistake = (&'static str, &'static str, Wrong);

/// A gradient as a reader may get it wrong: from the inputs, the value and `dy`.
pub(crate) type Wrong = fn(&[Tensor], &Tensor, &Tensor) -> Vec<Tensor>;

/// An op on the tape, with what it must do and what may go wrong.
pub(crate) struct Op<'a> {
    pub(crate) name: &'static str,
    /// Where the book derives it.
    pub(crate) section: &'static str,
    /// Runs the reader's op; the second place is that of the first for unary ops.
    pub(crate) own: Binary<'a>,
    /// The value, by the book's own tape.
    pub(crate) value: fn(&[Tensor]) -> Tensor,
    /// The shapes of the book's own tests. `None` for the second: the first operand twice.
    pub(crate) cases: &'static [(&'static [usize], Option<&'static [usize]>)],
    pub(crate) operands: usize,
    pub(crate) mistakes: &'static [Mistake],
}

/// What may be wrong in the record of any op.
const COUNT: (&str, &str) = ("record-count", "it must append one record, and appended …");
const PLACE: (&str, &str) = (
    "wrong-place",
    "it must return the place of its record, …, and returned …",
);
const INPUTS: (&str, &str) = (
    "wrong-inputs",
    "its record names the inputs …, and must name …, in this order",
);
const VALUE: (&str, &str) = ("value", "its value is wrong for …: …, and must be …");
const GRADIENTS: (&str, &str) = (
    "gradient-count",
    "its backward half returns … gradients for … inputs",
);

/// The mistakes in an op as mistakes of an exercise.
pub(crate) fn known_in(
    exercise: &'static str,
    op: &str,
    section: &'static str,
    mistakes: &[Mistake],
) -> Vec<Known> {
    let known =
        |(id, what, _): &Mistake| Known::new(exercise, id, format!("{op}: {what}"), section);
    mistakes.iter().map(known).collect()
}

/// The mistakes that this checker knows.
fn known() -> Vec<Known> {
    let records = [COUNT, PLACE, INPUTS, VALUE, GRADIENTS]
        .map(|(id, what)| Known::new(NAME, id, format!("…: {what}"), ELEMENTWISE));
    let sweeps = SWEEPS
        .iter()
        .map(|(id, what, _)| Known::new(NAME, id, format!("backward: {what}"), SWEEP));
    let mut known = Vec::from(records);
    for (op, section, mistakes) in [
        ("add", ELEMENTWISE, ADD),
        ("mul", ELEMENTWISE, MUL),
        ("relu", SAVED, RELU),
        ("exp", SAVED, EXP),
    ] {
        known.extend(known_in(NAME, op, section, mistakes));
    }
    known.extend(sweeps);
    known
}

const ELEMENTWISE: &str = "sec:elementwise";
const SAVED: &str = "sec:saved";
const SWEEP: &str = "sec:tape-sweep";

/// One case of an op, run.
struct Case {
    inputs: Vec<Tensor>,
    shared: bool,
    seed: u64,
}

impl Case {
    fn new(op: &Op<'_>, number: usize, seed: u64) -> Self {
        let seed = seed * 100 + number as u64;
        let rng = &mut StdRng::seed_from_u64(seed);
        let (first, second) = op.cases[number];
        let mut inputs = vec![Tensor::randn(first, rng)];
        if let Some(second) = second {
            inputs.push(Tensor::randn(second, rng));
        }
        Case {
            shared: op.operands == 2 && second.is_none(),
            inputs,
            seed,
        }
    }

    fn name(&self, op: &Op<'_>) -> String {
        let shapes: Vec<String> = self
            .inputs
            .iter()
            .map(|x| format!("{}", x.shape()))
            .collect();
        let twice = if self.shared { ", twice the same" } else { "" };
        format!("{} {}{twice}", op.name, shapes.join(" with "))
    }

    /// The operands of the op: the shared one twice.
    fn operands(&self, op: &Op<'_>) -> Vec<Tensor> {
        (0..op.operands)
            .map(|k| self.inputs[k.min(self.inputs.len() - 1)].clone())
            .collect()
    }

    /// A tape with this op on it, and where; `Err` when the record is not one.
    fn record(&self, op: &Op<'_>, inputs: &[Tensor]) -> Result<(Tape, usize), (String, String)> {
        let mut tape = Tape::default();
        // A stranger in front, so that places do not agree by chance.
        tape.leaf(Tensor::scalar(7.0));
        let places: Vec<usize> = inputs.iter().map(|x| tape.leaf(x.clone())).collect();
        let (a, b) = (places[0], places[places.len() - 1]);
        let before = tape.records.len();
        let at = (op.own)(&mut tape, a, b);
        let told = |(id, what): (&str, &str), values: &[&dyn Display]| {
            let what = fill(what, values);
            Err((id.to_owned(), format!("{}: {what}", op.name)))
        };
        if tape.records.len() != before + 1 {
            let count = tape.records.len().abs_diff(before);
            return told(COUNT, &[&count]);
        }
        if at != before {
            return told(PLACE, &[&before, &at]);
        }
        let wanted = if op.operands == 2 {
            vec![a, b]
        } else {
            vec![a]
        };
        let found = &tape.records[at].inputs;
        if *found != wanted {
            let [found, wanted] = [found, &wanted].map(|places| format!("{places:?}"));
            return told(INPUTS, &[&found, &wanted]);
        }
        Ok((tape, at))
    }

    /// The gradients that the record of the op gives for `dy`.
    fn gradients(&self, tape: &Tape, at: usize, dy: &Tensor) -> Vec<Tensor> {
        (tape.records[at].vjp)(dy)
    }
}

/// Judges one op in every case: the lines, or the first thing that is wrong.
pub(crate) fn judge_op(
    exercise: &str,
    op: &Op<'_>,
    seed: u64,
    lines: &mut Vec<Line>,
) -> Result<(), Box<Report>> {
    let fail = |id: &str, headline: String, lines: &mut Vec<Line>, name: String| {
        lines.push(Line {
            name,
            right: false,
            detail: headline.clone(),
        });
        let mut report = Report::new(exercise, Outcome::Wrong, headline);
        report.section = (id != "unknown").then(|| op.section.to_owned());
        report.mistake = Some(id.to_owned());
        report.lines = std::mem::take(lines);
        Box::new(report)
    };
    let cases: Vec<Case> = (0..op.cases.len())
        .map(|number| Case::new(op, number, seed))
        .collect();
    let dy_of = |case: &Case, y: &Tensor| {
        Tensor::randn(y.shape(), &mut StdRng::seed_from_u64(case.seed + 77))
    };
    for case in &cases {
        let name = case.name(op);
        let (tape, at) = match case.record(op, &case.inputs) {
            Ok(recorded) => recorded,
            Err((id, headline)) => return Err(fail(&id, headline, lines, name)),
        };
        let (y, right) = (tape.value(at), (op.value)(&case.operands(op)));
        if y.shape() != right.shape() || !same(right.data(), y.data()) {
            let (id, what) = VALUE;
            let [y, right] = [y, right].map(|value| format!("{value:?}"));
            let what = fill(what, &[&name, &y, &right]);
            return Err(fail(id, format!("{}: {what}", op.name), lines, name));
        }
        let dy = dy_of(case, &y);
        let found = case.gradients(&tape, at, &dy);
        if found.len() != op.operands {
            let (id, what) = GRADIENTS;
            let what = fill(what, &[&found.len(), &op.operands]);
            return Err(fail(id, format!("{}: {what}", op.name), lines, name));
        }
        // What the whole op makes of each distinct input.
        let gradient = |data: &[Vec<f64>], dy: &[f64]| -> Vec<Vec<f64>> {
            let inputs = shaped(&case.inputs, data);
            let Ok((tape, at)) = case.record(op, &inputs) else {
                return vec![];
            };
            let dy = Tensor::new(tape.value(at).shape(), dy.to_vec());
            let parts = case.gradients(&tape, at, &dy);
            let mut sums: Vec<Vec<f64>> = vec![vec![]; inputs.len()];
            for (k, part) in parts.into_iter().enumerate() {
                let sum = &mut sums[k.min(inputs.len() - 1)];
                if sum.is_empty() {
                    *sum = part.to_vec();
                } else {
                    sum.iter_mut().zip(part.data()).for_each(|(s, p)| *s += p);
                }
            }
            sums
        };
        let value =
            |data: &[Vec<f64>]| (op.value)(&operands(op, &shaped(&case.inputs, data))).to_vec();
        let named: Vec<Input> = (case.inputs.iter().zip(["a", "b"]))
            .map(|(x, name)| Input::new(name, x.shape(), x.to_vec()))
            .collect();
        let shapes_fit = (found.iter().zip(case.operands(op))).all(|(g, x)| g.shape() == x.shape());
        let checked = shapes_fit.then(|| {
            Check::new(&name)
                .inputs(&named)
                .seed(case.seed)
                .run(value, gradient)
        });
        if checked.as_ref().is_some_and(gradcheck::Report::passed) {
            let margin = checked
                .as_ref()
                .and_then(|c| c.worst())
                .map_or(0.0, |(_, w)| w.margin);
            lines.push(Line {
                name,
                right: true,
                detail: format!("agrees with finite differences, margin {margin:.2}"),
            });
            continue;
        }
        // Which known mistake explains every case that can be run?
        let fits = |wrong: &Wrong| {
            cases.iter().all(|case| {
                let Ok((tape, at)) = case.record(op, &case.inputs) else {
                    return false;
                };
                let y = tape.value(at);
                let dy = dy_of(case, &y);
                let expected = wrong(&case.operands(op), &y, &dy);
                let found = case.gradients(&tape, at, &dy);
                expected.len() == found.len()
                    && expected
                        .iter()
                        .zip(&found)
                        .all(|(e, f)| e.shape() == f.shape() && same(e.data(), f.data()))
            })
        };
        if let Some((id, sentence, _)) = op.mistakes.iter().find(|(_, _, wrong)| fits(wrong)) {
            return Err(fail(id, format!("{}: {sentence}", op.name), lines, name));
        }
        if let Some((k, g)) = found
            .iter()
            .enumerate()
            .find(|(k, g)| g.shape() != case.operands(op)[*k].shape())
        {
            let headline = format!(
                "{}: for {name} the gradient of input {k} has shape {}, and the input has shape {}",
                op.name,
                g.shape(),
                case.operands(op)[k].shape()
            );
            return Err(fail("shape", headline, lines, name));
        }
        let headline = format!(
            "{}: for {name} its gradient disagrees with finite differences",
            op.name
        );
        let mut report = fail("unknown", headline, lines, name);
        report.notes.extend(checked.map(|c| c.to_string()));
        return Err(report);
    }
    Ok(())
}

fn operands(op: &Op<'_>, inputs: &[Tensor]) -> Vec<Tensor> {
    (0..op.operands)
        .map(|k| inputs[k.min(inputs.len() - 1)].clone())
        .collect()
}

fn shaped(like: &[Tensor], data: &[Vec<f64>]) -> Vec<Tensor> {
    like.iter()
        .zip(data)
        .map(|(x, data)| Tensor::new(x.shape(), data.clone()))
        .collect()
}

/// A value computed by the book's own tape.
pub(crate) fn on_the_book(
    inputs: &[Tensor],
    f: impl for<'t> Fn(&[tape::Var<'t, f64>]) -> tape::Var<'t, f64>,
) -> Tensor {
    tape::Tape::eval(|t| {
        let vars: Vec<_> = inputs.iter().map(|x| t.constant(x.clone())).collect();
        f(&vars).value().clone()
    })
}

fn zip(a: &Tensor, b: &Tensor, f: impl Fn(f64, f64) -> f64) -> Tensor {
    Tape::zip(a, b, f)
}

fn times(a: &Tensor, b: &Tensor) -> Tensor {
    zip(a, b, |a, b| a * b)
}

/// Both operands' shares, each divided by how often it was repeated.
fn averaged(x: &[Tensor], parts: [Tensor; 2]) -> Vec<Tensor> {
    let mean = |(part, x): (Tensor, &Tensor)| {
        let uses = part.len() as f64 / x.len() as f64;
        Tape::sum_to(&part, x).apply(|v| v / uses)
    };
    parts.into_iter().zip(x).map(mean).collect()
}

fn ones(like: &Tensor) -> Tensor {
    Tensor::ones(like.shape())
}

const PAIRS: &[(&[usize], Option<&[usize]>)] = &[
    (&[3, 4], Some(&[3, 4])),
    (&[3, 4], Some(&[4])),
    (&[3, 1], Some(&[2, 1, 4])),
    (&[], Some(&[2, 3])),
    (&[3], None),
];

const SINGLE: &[(&[usize], Option<&[usize]>)] =
    &[(&[3, 4], None), (&[5], None), (&[2, 3, 2], None)];

const ADD: &[Mistake] = &[
    (
        "not-summed",
        "dy is handed on as it is; an operand that was repeated receives the sum over its copies",
        |_, _, dy| vec![dy.clone(), dy.clone()],
    ),
    (
        "averaged",
        "the copies are averaged, and must be added up",
        |x, _, dy| averaged(x, [dy.clone(), dy.clone()]),
    ),
    (
        "dy-ignored",
        "dy is not used: its gradients are those for a dy of ones",
        |x, _, dy| x.iter().map(|x| Tape::sum_to(&ones(dy), x)).collect(),
    ),
    (
        "slopes-of-mul",
        "its slopes are those of a product",
        |x, _, dy| {
            vec![
                Tape::sum_to(&times(dy, &x[1]), &x[0]),
                Tape::sum_to(&times(dy, &x[0]), &x[1]),
            ]
        },
    ),
    (
        "second-forgotten",
        "the second operand receives zeros",
        |x, _, dy| vec![Tape::sum_to(dy, &x[0]), Tensor::zeros(x[1].shape())],
    ),
];

const MUL: &[Mistake] = &[
    (
        "slopes-swapped",
        "each operand is multiplied by itself: the slope of a * b by a is b",
        |x, _, dy| {
            vec![
                Tape::sum_to(&times(dy, &x[0]), &x[0]),
                Tape::sum_to(&times(dy, &x[1]), &x[1]),
            ]
        },
    ),
    (
        "not-summed",
        "the products are not summed; an operand that was repeated receives the sum over its copies",
        |x, _, dy| vec![times(dy, &x[1]), times(dy, &x[0])],
    ),
    (
        "averaged",
        "the copies are averaged, and must be added up",
        |x, _, dy| averaged(x, [times(dy, &x[1]), times(dy, &x[0])]),
    ),
    (
        "dy-ignored",
        "dy is not used: its gradients are those for a dy of ones",
        |x, _, dy| {
            let one = ones(dy);
            vec![
                Tape::sum_to(&times(&one, &x[1]), &x[0]),
                Tape::sum_to(&times(&one, &x[0]), &x[1]),
            ]
        },
    ),
    (
        "slopes-of-add",
        "its slopes are those of a sum",
        |x, _, dy| x.iter().map(|x| Tape::sum_to(dy, x)).collect(),
    ),
    (
        "second-forgotten",
        "the second operand receives zeros",
        |x, _, dy| {
            vec![
                Tape::sum_to(&times(dy, &x[1]), &x[0]),
                Tensor::zeros(x[1].shape()),
            ]
        },
    ),
];

const RELU: &[Mistake] = &[
    (
        "mask-missing",
        "dy passes everywhere; where x is negative the slope is 0",
        |_, _, dy| vec![dy.clone()],
    ),
    (
        "mask-inverted",
        "dy passes where x is negative, and must pass where it is positive",
        |_, y, dy| vec![zip(dy, y, |dy, y| if y > 0.0 { 0.0 } else { dy })],
    ),
    (
        "dy-ignored",
        "dy is not used: its gradient is the slope alone",
        |_, y, _| vec![y.map(|y| if y > 0.0 { 1.0 } else { 0.0 })],
    ),
    (
        "value-for-slope",
        "dy is multiplied by the value; the slope is 1 where x is positive",
        |_, y, dy| vec![times(dy, y)],
    ),
    (
        "cut-again",
        "it cuts off negative gradients; the sign of x decides, not that of dy",
        |_, _, dy| vec![dy.map(|dy| dy.max(0.0))],
    ),
];

const EXP: &[Mistake] = &[
    (
        "slope-x",
        "its slope is x; the derivative of the exponential is the exponential itself",
        |x, _, dy| vec![times(dy, &x[0])],
    ),
    (
        "slope-one",
        "dy is handed on as it is; it must be multiplied by the exponential",
        |_, _, dy| vec![dy.clone()],
    ),
    (
        "dy-ignored",
        "dy is not used: its gradient is the slope alone",
        |_, y, _| vec![y.clone()],
    ),
    (
        "exp-twice",
        "its slope is the exponential of the value: exp was applied twice",
        |_, y, dy| vec![zip(dy, y, |dy, y| dy * y.exp())],
    ),
];

fn ops<'a>(own: &Own<'a>, relu: Binary<'a>, exp: Binary<'a>) -> [Op<'a>; 4] {
    let op = |name, section, own, value, cases, operands, mistakes| Op {
        name,
        section,
        own,
        value,
        cases,
        operands,
        mistakes,
    };
    [
        op(
            "add",
            ELEMENTWISE,
            own.add,
            |x| on_the_book(x, |x| &x[0] + &x[1]),
            PAIRS,
            2,
            ADD,
        ),
        op(
            "mul",
            ELEMENTWISE,
            own.mul,
            |x| on_the_book(x, |x| &x[0] * &x[1]),
            PAIRS,
            2,
            MUL,
        ),
        op(
            "relu",
            SAVED,
            relu,
            |x| on_the_book(x, |x| x[0].relu()),
            SINGLE,
            1,
            RELU,
        ),
        op(
            "exp",
            SAVED,
            exp,
            |x| on_the_book(x, |x| x[0].exp()),
            SINGLE,
            1,
            EXP,
        ),
    ]
}

/// A tape of tensors to be swept: linear records with random slopes, element by element.
fn linear(inputs: &[&[usize]], rng: &mut StdRng) -> Tape {
    let mut tape = Tape::default();
    for inputs in inputs {
        let slopes: Vec<Tensor> = inputs.iter().map(|_| Tensor::randn([2, 3], rng)).collect();
        let value = Tensor::randn([2, 3], rng);
        tape.push(value, inputs, move |dy| {
            slopes.iter().map(|s| times(dy, s)).collect()
        });
    }
    tape
}

type Sweep = fn(&Tape, usize, Tensor) -> Vec<Option<Tensor>>;

/// A sweep with its order and its way of adding exchanged.
fn variant(
    tape: &Tape,
    dy: (usize, Tensor),
    order: &mut dyn Iterator<Item = usize>,
    assign: bool,
) -> Vec<Option<Tensor>> {
    let mut grads: Vec<Option<Tensor>> = vec![None; tape.records.len()];
    grads[dy.0] = Some(dy.1);
    for at in order {
        let Some(dy) = grads[at].clone() else {
            continue;
        };
        let record = &tape.records[at];
        for (&input, dx) in record.inputs.iter().zip((record.vjp)(&dy)) {
            grads[input] = Some(match grads[input].take() {
                Some(sum) if !assign => sum.zip_with(&dx, |a, b| a + b),
                _ => dx,
            });
        }
    }
    grads
}

const SWEEPS: &[(&str, &str, Sweep)] = &[
    (
        "assigned",
        "an input used twice keeps one gradient of two: the second replaces the first, and must be added",
        |t, y, dy| variant(t, (y, dy), &mut (0..=y).rev(), true),
    ),
    (
        "oldest-first",
        "the records are visited oldest first; go from `y` down to 0",
        |t, y, dy| variant(t, (y, dy), &mut (0..=y), false),
    ),
    (
        "dy-ignored",
        "the sweep starts with ones, and must start with dy",
        |t, y, dy| sweep(t, y, ones(&dy)),
    ),
    (
        "start-at-the-end",
        "it starts at the last record of the tape, and must start at `y`",
        |t, _, dy| sweep(t, t.records.len() - 1, dy),
    ),
    (
        "y-left-out",
        "it begins with the record below `y`, so nothing ever leaves `y`",
        |t, y, dy| variant(t, (y, dy), &mut (0..y).rev(), false),
    ),
    (
        "intermediates-lost",
        "only leaves have a gradient in it; every record that one arrived at should, `y` included",
        |t, y, dy| {
            let grads = sweep(t, y, dy);
            let kept =
                |(g, r): (Option<Tensor>, &Record)| if r.inputs.is_empty() { g } else { None };
            grads.into_iter().zip(&t.records).map(kept).collect()
        },
    ),
    (
        "zeros-for-none",
        "a record that no gradient arrived at has zeros; it should have None",
        |t, y, dy| {
            sweep(t, y, dy)
                .into_iter()
                .map(|g| Some(g.unwrap_or(Tensor::zeros([2, 3]))))
                .collect()
        },
    ),
];

fn judge_sweep(own: Backward<'_>, seed: u64, lines: &mut Vec<Line>) -> Result<(), Box<Report>> {
    let rng = &mut StdRng::seed_from_u64(seed + 5);
    let shapes: [(&str, &[&[usize]], usize); 3] = [
        (
            "one operand on both sides",
            &[&[], &[], &[1, 1], &[2], &[3]],
            3,
        ),
        (
            "a value used by three ops",
            &[&[], &[0], &[0, 1], &[], &[2, 0, 3], &[4, 1], &[5]],
            5,
        ),
        (
            "a part of the tape that y does not use",
            &[&[], &[], &[0], &[1], &[2, 0], &[3, 4]],
            4,
        ),
    ];
    let probes: Vec<(Tape, usize, Tensor)> = shapes
        .iter()
        .map(|(_, inputs, y)| (linear(inputs, rng), *y, Tensor::randn([2, 3], rng)))
        .collect();
    let found: Vec<Vec<Option<Tensor>>> = probes
        .iter()
        .map(|(t, y, dy)| own(t, *y, dy.clone()))
        .collect();
    let equal = |a: &[Option<Tensor>], b: &[Option<Tensor>]| {
        a.len() == b.len()
            && a.iter().zip(b).all(|pair| match pair {
                (Some(a), Some(b)) => a.shape() == b.shape() && same(a.data(), b.data()),
                (a, b) => a.is_none() && b.is_none(),
            })
    };
    let fits = |right: Sweep| {
        probes
            .iter()
            .zip(&found)
            .all(|((t, y, dy), f)| equal(&right(t, *y, dy.clone()), f))
    };
    for (k, (t, y, dy)) in probes.iter().enumerate() {
        let right = equal(&sweep(t, *y, dy.clone()), &found[k]);
        let detail = if right { "equal to rounding" } else { "wrong" };
        lines.push(Line {
            name: format!("backward, {}", shapes[k].0),
            right,
            detail: detail.to_owned(),
        });
    }
    if lines.iter().all(|line| line.right) {
        return Ok(());
    }
    let known = SWEEPS.iter().find(|(_, _, wrong)| fits(*wrong));
    let (id, sentence) = known.map_or(
        ("unknown", "the gradients are wrong"),
        |(id, sentence, _)| (*id, *sentence),
    );
    let mut report = Report::new(NAME, Outcome::Wrong, format!("backward: {sentence}"));
    report.section = (id != "unknown").then(|| SWEEP.to_owned());
    report.mistake = Some(id.to_owned());
    report.lines = std::mem::take(lines);
    Err(Box::new(report))
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Listed(known())
}

fn report(own: &Own<'_>, seed: u64) -> Report {
    let relu = |tape: &mut Tape, x: usize, _: usize| (own.relu)(tape, x);
    let exp = |tape: &mut Tape, x: usize, _: usize| (own.exp)(tape, x);
    let mut lines = Vec::new();
    for op in &ops(own, &relu, &exp) {
        if let Err(report) = judge_op(NAME, op, seed, &mut lines) {
            return *report;
        }
    }
    if let Err(report) = judge_sweep(own.backward, seed, &mut lines) {
        return *report;
    }
    let mut report = Report::new(
        NAME,
        Outcome::Passed,
        "your tape passes the tests of the book's own: four ops, in every way they broadcast, and the sweep",
    );
    report.lines = lines;
    report
}

#[cfg(test)]
mod tests;
