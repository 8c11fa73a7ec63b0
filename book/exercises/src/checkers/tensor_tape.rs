//! Checks the exercise `tensor_tape`, and what its ops share with `tensor_products`.

use crate::arrays::Draws;
use crate::scalar_tape::{COUNT, PLACE, appends};
use judge::{Axis, Differences, Found, Numbers, Order, Part, Slip, case, exercise, found};
use tape::{Param, Var, broadcast};

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
    pub fn zip(a: &Tensor, b: &Tensor, f: impl Fn(f64, f64) -> f64 + Sync) -> Tensor {
        broadcast::zip_operands("zip", a, b, f)
    }

    /// `dy` summed over the axes along which `like` was repeated to its shape.
    #[must_use]
    pub fn sum_to(dy: &Tensor, like: &Tensor) -> Tensor {
        broadcast::sum_to(dy, like.shape())
    }
}

exercise! {
    check(
        add: Fn(&mut Tape, usize, usize) -> usize,
        mul: Fn(&mut Tape, usize, usize) -> usize,
        relu: Fn(&mut Tape, usize) -> usize,
        exp: Fn(&mut Tape, usize) -> usize,
        backward: Fn(&Tape, usize, Tensor) -> Vec<Option<Tensor>>,
    ),
    right: "your tape passes the tests of the book's own: four ops, in every way they broadcast, and the sweep",
    parts: [
        op::<0>() => |p, answer| *answer = p.record(|tape, at| add(tape, at[0], at[1])),
        op::<1>() => |p, answer| *answer = p.record(|tape, at| mul(tape, at[0], at[1])),
        op::<2>() => |p, answer| *answer = p.record(|tape, at| relu(tape, at[0])),
        op::<3>() => |p, answer| *answer = p.record(|tape, at| exp(tape, at[0])),
        sweeps() => |p, answer| *answer = p.read(backward(&p.tape, p.y, p.dy.clone())),
    ],
}

/// The right sweep.
pub(crate) fn sweep(tape: &Tape, y: usize, dy: Tensor) -> Vec<Option<Tensor>> {
    visit(tape, y, dy, (0..=y).rev(), |sum, dx| {
        sum.zip_in_place(dx, |a, b| a + b)
    })
}

/// A sweep that visits the records in this order, and adds to a gradient in this way.
fn visit(
    tape: &Tape,
    y: usize,
    dy: Tensor,
    order: impl Iterator<Item = usize>,
    add: fn(Tensor, &Tensor) -> Tensor,
) -> Vec<Option<Tensor>> {
    let mut grads: Vec<Option<Tensor>> = vec![None; tape.records.len()];
    grads[y] = Some(dy);
    for at in order {
        let Some(dy) = grads[at].clone() else {
            continue;
        };
        let record = &tape.records[at];
        for (&input, dx) in record.inputs.iter().zip((record.vjp)(&dy)) {
            grads[input] = Some(match grads[input].take() {
                Some(sum) => add(sum, &dx),
                None => dx,
            });
        }
    }
    grads
}

/// What a wrong backward half makes: the gradients of all inputs, from the inputs, the value and
/// `dy`.
type Wrong = fn(&[Tensor], &Tensor, &Tensor) -> Vec<Tensor>;

/// The shapes of both operands, and the axes that the op is given. Without a second shape, the
/// first operand is given twice if the op has two.
pub(crate) type Shapes = (&'static [usize], Option<&'static [usize]>, &'static [usize]);

/// An op of the book's own tape, of some operands and axes.
type Book = for<'t> fn(&[Var<'t, f64>], &[usize]) -> Var<'t, f64>;

/// An op on the tape, with what it must do and what may go wrong.
pub(crate) struct Op {
    pub(crate) name: &'static str,
    /// Where the book derives it.
    pub(crate) section: &'static str,
    pub(crate) operands: usize,
    pub(crate) cases: &'static [Shapes],
    pub(crate) book: Book,
    pub(crate) mistakes: &'static [Slip<Wrong>],
}

/// An op and its operands.
#[derive(Clone)]
pub(crate) struct Applied {
    op: &'static Op,
    /// One for each operand.
    x: Vec<Tensor>,
    shared: bool,
    pub(crate) axes: &'static [usize],
    dy: Tensor,
}

case!(
    Applied,
    |p| {
        let shapes: Vec<String> = p.x.iter().map(|x| x.shape().to_string()).collect();
        match p.op.operands {
            2 if p.shared => format!("twice the same {}", shapes[0]),
            _ if !p.axes.is_empty() => format!("axes {:?} of {}", p.axes, shapes[0]),
            _ => shapes.join(" with "),
        }
    },
    counts: [
        "inputs": p.x.len(),
        "elements of y": p.dy.len(), "axes of y": p.dy.shape().len(),
        "elements of a": p.x[0].len(), "axes of a": p.x[0].shape().len(),
        "elements of b": p.x[p.x.len() - 1].len(), "axes of b": p.x[p.x.len() - 1].shape().len(),
    ],
);

/// The cases of an op, with random operands.
pub(crate) fn applied(op: &'static Op, seed: u64) -> Vec<Applied> {
    let rng = &mut Draws::new(seed).0;
    let case = |&(first, second, axes): &Shapes| {
        let a = Tensor::randn(first, rng);
        let shared = second.is_none();
        let b = second.map_or(a.clone(), |second| Tensor::randn(second, rng));
        let x = [a, b][..op.operands].to_vec();
        let y = on_the_book(&x, |x| (op.book)(x, axes));
        let dy = Tensor::randn(y.shape(), rng);
        Applied {
            op,
            x,
            shared,
            axes,
            dy,
        }
    };
    op.cases.iter().map(case).collect()
}

impl Applied {
    /// The places of the operands: not the first, so that none is right by chance.
    fn places(&self) -> Vec<usize> {
        (0..self.x.len())
            .map(|k| if self.shared { 1 } else { 1 + k })
            .collect()
    }

    /// Where the op's record belongs.
    fn at(&self) -> usize {
        1 + self.places()[self.x.len() - 1]
    }

    fn y(&self) -> Tensor {
        on_the_book(&self.x, |x| (self.op.book)(x, self.axes))
    }

    /// The gradients of the operands, by the book's own tape.
    fn right(&self) -> Vec<Tensor> {
        vjp_on_the_book(&self.x, &self.dy, |x| (self.op.book)(x, self.axes))
    }

    /// The gradients as numbers, those of `da` or of `db`.
    fn of(&self, target: &str, gradients: &[Tensor]) -> Vec<f64> {
        gradients[usize::from(target == "db")].to_vec()
    }

    /// Runs `op` on the operands, and reads what it recorded.
    pub(crate) fn record(&self, op: impl FnOnce(&mut Tape, &[usize]) -> usize) -> Found {
        let mut tape = Tape::default();
        let places = self.places();
        let distinct = if self.shared { 1 } else { places.len() };
        for value in [&Tensor::scalar(7.0)]
            .into_iter()
            .chain(&self.x[..distinct])
        {
            tape.push(value.clone(), &[], |_| vec![]);
        }
        let before = tape.records.len();
        let place = op(&mut tape, &places);
        let mut found = Found::default();
        found.set(COUNT, [tape.records.len() as f64 - before as f64]);
        found.set(PLACE, [place as f64]);
        let own = tape.records.get(place.max(before));
        if let Some(record) = own.or(tape.records.get(before)) {
            found.set("inputs", numbers(&record.inputs));
            found.set("y", record.value.to_vec());
            found.set("the shape of y", shape(&record.value));
            let gradients = (record.vjp)(&self.dy);
            found.set(GRADIENTS, [gradients.len() as f64]);
            let names = [("da", "the shape of da"), ("db", "the shape of db")];
            for ((name, of), gradient) in names.into_iter().zip(&gradients) {
                found.set(name, gradient.to_vec());
                found.set(of, shape(gradient));
            }
        }
        found
    }
}

const GRADIENTS: &str = "the count of gradients";

fn numbers(places: &[usize]) -> Vec<f64> {
    places.iter().map(|&at| at as f64).collect()
}

fn shape(x: &Tensor) -> Vec<f64> {
    numbers(x.shape())
}

/// `op` as a part, with its cases from a seed.
#[rustfmt::skip]
pub(crate) fn part(op: &'static Op, cases: fn(u64) -> Vec<Applied>) -> Part<Applied, Found> {
    let part = Part::new(op.name, Order::Together, cases);
    let mut part = appends(part, op.section, |p| vec![p.at() as f64])
        .mistakes(&[PLACE], &[("wrong-place: it is that of an operand, and must be that of the new record", |p, _| vec![p.places()[0] as f64])])
        .asks(found!("inputs"), op.section, &[Axis("inputs", "input")], |p| numbers(&p.places()))
        .mistakes(&["inputs"], &[("inputs-missing: the record names no input, so no gradient can leave it", |_, _| Vec::new())])
        .asks(found!("y"), op.section, &[Axis("elements of y", "element")], |p| p.y().to_vec())
        .asks(found!("the shape of y"), op.section, &[Axis("axes of y", "axis")], |p| shape(&p.dy))
        .asks(found!(GRADIENTS), op.section, &[], |p| vec![p.x.len() as f64])
        .mistakes(&[GRADIENTS], &[("gradient-count: the backward half returns none: it gives one to each input", |_, _| vec![0.0])])
        .asks(found!("da"), op.section, &[Axis("elements of a", "element")], |p| p.of("da", &p.right()))
        .asks(found!("the shape of da"), op.section, &[Axis("axes of a", "axis")], |p| shape(&p.x[0]));
    if op.operands == 2 {
        part = part
            .mistakes(&["inputs"], &[("wrong-inputs: the two inputs are exchanged: the gradients are given to them in this order", |p, _| p.places().iter().rev().map(|&at| at as f64).collect())])
            .mistakes(&["inputs"], &[("second-forgotten: the record does not name the second operand, so no gradient reaches it", |p, _| vec![p.places()[0] as f64])])
            .mistakes(&["inputs"], &[("first-forgotten: the record does not name the first operand, so no gradient reaches it", |p, _| vec![p.places()[1] as f64])])
            .mistakes(&[GRADIENTS], &[("gradient-count: the backward half returns one, and must give one to each of two inputs", |_, _| vec![1.0])])
            .asks(found!("db"), op.section, &[Axis("elements of b", "element")], |p| p.of("db", &p.right()))
            .asks(found!("the shape of db"), op.section, &[Axis("axes of b", "axis")], |p| shape(&p.x[1]));
    }
    let middle = move |seed| {
        let mut cases = cases(seed + 77);
        let middle = cases.len() / 2;
        cases.swap_remove(middle)
    };
    let inputs: [(&str, Numbers<Applied>); 2] = [("a", |p| p.x[0].data_mut()), ("b", |p| p.x[1].data_mut())];
    part.variants(&["da", "db"][..op.operands], op.mistakes, |p, target, wrong| p.of(target, &wrong(&p.x, &p.y(), &p.dy)))
        .differentiates(Differences {
        name: op.name,
        case: middle,
        inputs: inputs[..op.operands].into(),
        dy: |p| p.dy.data_mut(),
        y: |p| p.y().to_vec(),
    })
}

/// A value computed by the book's own tape.
pub(crate) fn on_the_book(
    inputs: &[Tensor],
    f: impl for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64>,
) -> Tensor {
    tape::Tape::eval(|t| {
        let vars: Vec<_> = inputs.iter().map(|x| t.constant(x.clone())).collect();
        f(&vars).value().clone()
    })
}

/// The gradients of the inputs, by the book's own tape.
pub(crate) fn vjp_on_the_book(
    inputs: &[Tensor],
    dy: &Tensor,
    f: impl for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64>,
) -> Vec<Tensor> {
    let params: Vec<Param<f64>> = inputs.iter().map(|x| Param::new("x", x.clone())).collect();
    let (_, grads) = tape::Tape::new().vjp(dy, |t| {
        let vars: Vec<_> = params.iter().map(|p| t.param(p)).collect();
        f(&vars)
    });
    params.iter().map(|p| grads.of(p)).collect()
}

fn times(a: &Tensor, b: &Tensor) -> Tensor {
    Tape::zip(a, b, |a, b| a * b)
}

/// Both operands' shares, each divided by how often it was repeated.
fn averaged(x: &[Tensor], parts: [Tensor; 2]) -> Vec<Tensor> {
    let mean = |(part, x): (Tensor, &Tensor)| {
        let uses = part.len() as f64 / x.len() as f64;
        Tape::sum_to(&part, x).map_in_place(|v| v / uses)
    };
    parts.into_iter().zip(x).map(mean).collect()
}

fn ones(like: &Tensor) -> Tensor {
    Tensor::ones(like.shape())
}

const ELEMENTWISE: &str = "sec:elementwise";
const SAVED: &str = "sec:saved";
const SWEEP: &str = "sec:tape-sweep";

/// The shapes of the book's own tests.
const PAIRS: &[Shapes] = &[
    (&[3, 4], Some(&[3, 4]), &[]),
    (&[3, 4], Some(&[4]), &[]),
    (&[3, 1], Some(&[2, 1, 4]), &[]),
    (&[], Some(&[2, 3]), &[]),
    (&[3], None, &[]),
];
const SINGLE: &[Shapes] = &[
    (&[3, 4], None, &[]),
    (&[5], None, &[]),
    (&[2, 3, 2], None, &[]),
];

const OTHER: &str = "summed-to-the-other: it is summed to the shape of the other operand";
const SUMMED_FIRST: &str = "summed-first: dy is summed before it is multiplied; the product comes first, then the sum over the copies";
#[rustfmt::skip]
static OPS: [Op; 4] = [
    Op {
        name: "add",
        section: ELEMENTWISE,
        operands: 2,
        cases: PAIRS,
        book: |x, _| &x[0] + &x[1],
        mistakes: &[
            ("not-summed: dy is handed on as it is; an operand that was repeated receives the sum over its copies", |_, _, dy| vec![dy.clone(), dy.clone()]),
            ("averaged: the copies are averaged, and must be added up", |x, _, dy| averaged(x, [dy.clone(), dy.clone()])),
            ("dy-ignored: dy is not used: this is the gradient for a dy of ones", |x, _, dy| x.iter().map(|x| Tape::sum_to(&ones(dy), x)).collect()),
            (OTHER, |x, _, dy| vec![Tape::sum_to(dy, &x[1]), Tape::sum_to(dy, &x[0])]),
            ("slopes-of-mul: the slope is that of a product", |x, _, dy| products(x, dy)),
        ],
    },
    Op {
        name: "mul",
        section: ELEMENTWISE,
        operands: 2,
        cases: PAIRS,
        book: |x, _| &x[0] * &x[1],
        mistakes: &[
            ("slopes-swapped: the operand is multiplied by itself: the slope of a * b with respect to a is b", |x, _, dy| vec![Tape::sum_to(&times(dy, &x[0]), &x[0]), Tape::sum_to(&times(dy, &x[1]), &x[1])]),
            ("not-summed: the products are not summed; an operand that was repeated receives the sum over its copies", |x, _, dy| vec![times(dy, &x[1]), times(dy, &x[0])]),
            ("averaged: the copies are averaged, and must be added up", |x, _, dy| averaged(x, [times(dy, &x[1]), times(dy, &x[0])])),
            ("dy-ignored: dy is not used: this is the gradient for a dy of ones", |x, _, dy| products(x, &ones(dy))),
            (OTHER, |x, _, dy| vec![Tape::sum_to(&times(dy, &x[1]), &x[1]), Tape::sum_to(&times(dy, &x[0]), &x[0])]),
            (SUMMED_FIRST, |x, _, dy| vec![times(&Tape::sum_to(dy, &x[0]), &x[1]), times(&Tape::sum_to(dy, &x[1]), &x[0])]),
            (SUMMED_FIRST, |x, _, dy| [0, 1].map(|k| Tape::sum_to(&times(&Tape::sum_to(dy, &x[k]), &x[1 - k]), &x[k])).into()),
            ("slopes-of-add: the slope is that of a sum", |x, _, dy| x.iter().map(|x| Tape::sum_to(dy, x)).collect()),
        ],
    },
    Op {
        name: "relu",
        section: SAVED,
        operands: 1,
        cases: SINGLE,
        book: |x, _| x[0].relu(),
        mistakes: &[
            ("mask-missing: dy passes everywhere; where x is negative the slope is 0", |_, _, dy| vec![dy.clone()]),
            ("mask-inverted: dy passes where x is negative, and must pass where it is positive", |_, y, dy| vec![Tape::zip(dy, y, |dy, y| if y > 0.0 { 0.0 } else { dy })]),
            ("dy-ignored: dy is not used: this is the slope alone", |_, y, _| vec![y.map(|y| if y > 0.0 { 1.0 } else { 0.0 })]),
            ("value-for-slope: dy is multiplied by the value; the slope is 1 where x is positive", |_, y, dy| vec![times(dy, y)]),
            ("cut-again: negative gradients are cut off; the sign of x decides, not that of dy", |_, _, dy| vec![dy.map(|dy| dy.max(0.0))]),
        ],
    },
    Op {
        name: "exp",
        section: SAVED,
        operands: 1,
        cases: SINGLE,
        book: |x, _| x[0].exp(),
        mistakes: &[
            ("slope-x: the slope is x; the derivative of the exponential is the exponential itself", |x, _, dy| vec![times(dy, &x[0])]),
            ("slope-product: the slope is x * exp(x); the derivative of the exponential is the exponential alone", |x, y, dy| vec![times(dy, &times(&x[0], y))]),
            ("slope-one: dy is handed on as it is; it must be multiplied by the exponential", |_, _, dy| vec![dy.clone()]),
            ("dy-ignored: dy is not used: this is the slope alone", |_, y, _| vec![y.clone()]),
            ("exp-twice: the slope is the exponential of the value: exp was applied twice", |_, y, dy| vec![Tape::zip(dy, y, |dy, y| dy * y.exp())]),
        ],
    },
];

/// The op at this place in the list, as a part.
fn op<const AT: usize>() -> Part<Applied, Found> {
    part(&OPS[AT], |seed| applied(&OPS[AT], seed))
}

/// The gradients of a product.
fn products(x: &[Tensor], dy: &Tensor) -> Vec<Tensor> {
    vec![
        Tape::sum_to(&times(dy, &x[1]), &x[0]),
        Tape::sum_to(&times(dy, &x[0]), &x[1]),
    ]
}

/// A tape of tensors to be swept: linear records with random slopes, element by element.
struct Swept {
    name: &'static str,
    tape: Tape,
    y: usize,
    dy: Tensor,
}

const SHAPE: [usize; 2] = [2, 3];
/// The target that asks which records have a gradient.
const SOME: &str = "Some or None";

case!(
    Swept,
    |p| format!("{} ({} records, y being record {})", p.name, p.tape.records.len(), p.y),
    counts: ["records": p.tape.records.len(), "2": SHAPE[0], "3": SHAPE[1]],
);

fn swept(seed: u64) -> Vec<Swept> {
    let rng = &mut Draws::new(seed + 5).0;
    type Inputs = &'static [&'static [usize]];
    let both: Inputs = &[&[], &[], &[1, 1], &[2], &[3]];
    let three: Inputs = &[&[], &[0], &[0, 1], &[], &[2, 0, 3], &[4, 1], &[5]];
    let beside: Inputs = &[&[], &[], &[0], &[1], &[2, 0], &[3, 4]];
    let shapes = [
        ("one operand on both sides", both, 3),
        ("a value used by three ops", three, 5),
        ("a part of the tape that y does not use", beside, 4),
    ];
    let case = |(name, records, y): (&'static str, Inputs, usize)| {
        let mut tape = Tape::default();
        for inputs in records {
            let slopes: Vec<Tensor> = inputs.iter().map(|_| Tensor::randn(SHAPE, rng)).collect();
            tape.push(Tensor::randn(SHAPE, rng), inputs, move |dy| {
                slopes.iter().map(|s| times(dy, s)).collect()
            });
        }
        let dy = Tensor::randn(SHAPE, rng);
        Swept { name, tape, y, dy }
    };
    shapes.map(case).into()
}

impl Swept {
    /// For each record, whether it has a gradient, and its gradient; zeros for none.
    ///
    /// # Panics
    /// If one has not the shape of its record's value.
    fn read(&self, grads: Vec<Option<Tensor>>) -> Found {
        let (mut is_some, mut all) = (Vec::new(), Vec::new());
        for (at, grad) in grads.into_iter().enumerate() {
            is_some.push(f64::from(u8::from(grad.is_some())));
            let grad = grad.unwrap_or(Tensor::zeros(SHAPE));
            let (found, wanted) = (grad.shape(), self.dy.shape());
            assert_eq!(
                found, wanted,
                "the gradient of record {at} has shape {found}, and its value has shape {wanted}",
            );
            all.extend(grad.data());
        }
        let mut found = Found::default();
        found.set(SOME, is_some);
        found.set("grads", all);
        found
    }

    fn of(&self, target: &str, grads: Vec<Option<Tensor>>) -> Vec<f64> {
        self.read(grads).get(target)
    }

    /// A sweep in another order.
    fn in_order(&self, order: impl Iterator<Item = usize>) -> Vec<Option<Tensor>> {
        let add = |sum: Tensor, dx: &Tensor| sum.zip_in_place(dx, |a, b| a + b);
        visit(&self.tape, self.y, self.dy.clone(), order, add)
    }

    fn right(&self) -> Vec<Option<Tensor>> {
        sweep(&self.tape, self.y, self.dy.clone())
    }
}

/// The sweep as a part.
#[rustfmt::skip]
fn sweeps() -> Part<Swept, Found> {
    const BOTH: &[&str] = &[SOME, "grads"];
    const RECORDS: &[Axis] = &[Axis("records", "record")];
    const AXES: &[Axis] = &[Axis("records", "record"), Axis("2", "row"), Axis("3", "column")];
    Part::new("backward", Order::Together, swept)
        .asks(found!(SOME), SWEEP, RECORDS, |p| p.of(SOME, p.right()))
        .answers(["has a gradient, and must have None", "has None, and must have a gradient"])
        .asks(found!("grads"), SWEEP, AXES, |p| p.of("grads", p.right()))
        .mistakes(&["grads"], &[("assigned: an input used twice keeps one gradient of two: the second replaces the first, and must be added", |p, t| p.of(t, visit(&p.tape, p.y, p.dy.clone(), (0..=p.y).rev(), |_, dx| dx.clone())))])
        .mistakes(BOTH, &[("oldest-first: the records are visited oldest first; go from `y` down to 0", |p, t| p.of(t, p.in_order(0..=p.y)))])
        .mistakes(&["grads"], &[("dy-ignored: the sweep starts with ones, and must start with dy", |p, t| p.of(t, sweep(&p.tape, p.y, ones(&p.dy))))])
        .mistakes(BOTH, &[("start-at-the-end: it starts at the last record of the tape, and must start at `y`", |p, t| p.of(t, sweep(&p.tape, p.tape.records.len() - 1, p.dy.clone())))])
        .mistakes(BOTH, &[("y-left-out: only `y` has a gradient: nothing is handed on to its inputs. Begin with `y` itself, not below it", |p, t| p.of(t, p.in_order((0..p.y).rev())))])
        .mistakes(BOTH, &[("all-taken: no record has a gradient in the end: where the loop takes the gradient of a record out of its slot, as `take()` does, None is left; clone it", |p, t| p.of(t, vec![None; p.tape.records.len()]))])
        .mistakes(BOTH, &[("intermediates-lost: only leaves have a gradient in it; every record that one arrived at should, `y` included", |p, t| {
            let kept = |(g, r): (Option<Tensor>, &Record)| g.filter(|_| r.inputs.is_empty());
            p.of(t, p.right().into_iter().zip(&p.tape.records).map(kept).collect())
        })])
        .mistakes(&[SOME], &[("zeros-for-none: a record that no gradient arrived at has zeros; it should have None", |p, _| vec![1.0; p.tape.records.len()])])
}

#[cfg(test)]
mod tests;
