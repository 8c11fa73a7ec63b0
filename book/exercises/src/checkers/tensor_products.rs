//! Checks the exercise `tensor_products`.

use crate::arrays::Draws;
use crate::tensor_tape::{Applied, Op, Shapes, applied, on_the_book, part, sweep, vjp_on_the_book};
use judge::{Axis, Differences, Found, Order, Part, case, exercise, found};
use tape::Var;

pub use crate::tensor_tape::{Tape, Tensor};

impl Tape {
    /// The sum over `axes`, which stay with length 1.
    ///
    /// # Panics
    /// If an axis is out of range or listed twice.
    #[must_use]
    #[track_caller]
    pub fn sum_over(x: &Tensor, axes: &[usize]) -> Tensor {
        on_the_book(std::slice::from_ref(x), |x| x[0].sum_keep(axes))
    }

    /// The matrix product, `[m, k]` times `[k, n]`.
    ///
    /// # Panics
    /// If the shapes do not multiply.
    #[must_use]
    #[track_caller]
    pub fn product(a: &Tensor, b: &Tensor) -> Tensor {
        on_the_book(&[a.clone(), b.clone()], |x| x[0].matmul(&x[1]))
    }

    /// A matrix with rows and columns exchanged.
    ///
    /// # Panics
    /// If `a` is no matrix.
    #[must_use]
    #[track_caller]
    pub fn transpose(a: &Tensor) -> Tensor {
        on_the_book(std::slice::from_ref(a), |x| x[0].transpose(0, 1))
    }
}

exercise! {
    check(
        sum: Fn(&mut Tape, usize, &[usize]) -> usize,
        matmul: Fn(&mut Tape, usize, usize) -> usize,
    ),
    right: "your tape differentiates a network: every op passes the book's tests, and so does the whole",
    parts: [
        sums() => |p, answer| *answer = p.record(|tape, at| sum(tape, at[0], p.axes)),
        products() => |p, answer| *answer = p.record(|tape, at| matmul(tape, at[0], at[1])),
        networks() => |p, answer| *answer = p.run(sum, matmul),
    ],
}

type Sum<'a> = &'a dyn Fn(&mut Tape, usize, &[usize]) -> usize;
type Matmul<'a> = &'a dyn Fn(&mut Tape, usize, usize) -> usize;

const BLOCK: &[Shapes] = &[
    (&[2, 3, 4], None, &[1]),
    (&[4, 3, 2], None, &[1]),
    (&[2, 3, 4], None, &[0, 2]),
    (&[4, 3, 2], None, &[0, 2]),
    (&[2, 3, 4], None, &[0, 1, 2]),
    (&[4, 3, 2], None, &[0, 1, 2]),
];
const PRODUCTS: &[Shapes] = &[
    (&[2, 3], Some(&[3, 4]), &[]),
    (&[1, 3], Some(&[3, 1]), &[]),
    (&[4, 2], Some(&[2, 5]), &[]),
    (&[3, 3], Some(&[3, 3]), &[]),
    (&[3, 3], None, &[]),
];

/// `dy` repeated to the shape of `x`.
fn repeated(x: &Tensor, dy: &Tensor) -> Tensor {
    Tape::zip(x, dy, |_, dy| dy)
}

/// The gradients of a product.
fn halves(x: &[Tensor], dy: &Tensor) -> [Tensor; 2] {
    [
        Tape::product(dy, &Tape::transpose(&x[1])),
        Tape::product(&Tape::transpose(&x[0]), dy),
    ]
}

#[rustfmt::skip]
static SUM: Op = Op {
    name: "sum",
    section: "sec:reductions",
    operands: 1,
    cases: BLOCK,
    book: |x, axes| x[0].sum_keep(axes),
    mistakes: &[
        ("not-repeated: dy is handed on as it is; every element receives the gradient of its sum", |_, _, dy| vec![dy.clone()]),
        ("averaged: dy is divided by the number of elements: that is the gradient of a mean", |x, _, dy| {
            let count = (x[0].len() / dy.len()) as f64;
            vec![repeated(&x[0], dy).map_in_place(|v| v / count)]
        }),
        ("times-x: dy is multiplied by x; each element enters its sum with the weight 1", |x, _, dy| vec![Tape::zip(&x[0], dy, |x, dy| x * dy)]),
        ("dy-ignored: dy is not used: this is the gradient for a dy of ones", |x, _, _| vec![Tensor::ones(x[0].shape())]),
    ],
};

#[rustfmt::skip]
static MATMUL: Op = Op {
    name: "matmul",
    section: "sec:product-backward",
    operands: 2,
    cases: PRODUCTS,
    book: |x, _| x[0].matmul(&x[1]),
    mistakes: &[
        ("swapped: the two gradients stand in the wrong order", |x, _, dy| halves(x, dy).into_iter().rev().collect()),
        ("dy-ignored: dy is not used: this is the gradient for a dy of ones", |x, _, dy| halves(x, &Tensor::ones(dy.shape())).into()),
        ("transposed-results: it is the transpose of the right one", |x, _, dy| halves(x, dy).iter().map(Tape::transpose).collect()),
    ],
};

fn sums() -> Part<Applied, Found> {
    part(&SUM, |seed| applied(&SUM, seed))
}

fn products() -> Part<Applied, Found> {
    part(&MATMUL, |seed| applied(&MATMUL, seed))
}

/// `Σ relu(X W₁) W₂` over the examples, of these X, W₁ and W₂.
#[derive(Clone)]
struct Network {
    x: Vec<Tensor>,
    dy: Tensor,
}

const INPUTS: [(&str, [usize; 2]); 3] = [("x", [4, 3]), ("w1", [3, 5]), ("w2", [5, 2])];

case!(
    Network,
    |p| "a network of two layers".to_owned(),
    sizes: ["N": 4, "I": 3, "H": 5, "O": 2],
);

fn drawn(seed: u64) -> Vec<Network> {
    let rng = &mut Draws::new(seed + 40).0;
    let x = INPUTS.map(|(_, shape)| Tensor::randn(shape, rng)).into();
    let dy = Tensor::randn([1, 2], rng);
    vec![Network { x, dy }]
}

impl Network {
    fn run(&self, sum: Sum<'_>, matmul: Matmul<'_>) -> Found {
        let mut tape = Tape::default();
        let leaves = self.x.iter().map(|x| tape.push(x.clone(), &[], |_| vec![]));
        let leaves: Vec<usize> = leaves.collect();
        let hidden = matmul(&mut tape, leaves[0], leaves[1]);
        let y = tape.value(hidden).map(|v| v.max(0.0));
        let kept = y.clone();
        let active = tape.push(y, &[hidden], move |dy| {
            vec![Tape::zip(dy, &kept, |dy, y| if y > 0.0 { dy } else { 0.0 })]
        });
        let output = matmul(&mut tape, active, leaves[2]);
        let y = sum(&mut tape, output, &[0]);
        let grads = sweep(&tape, y, self.dy.clone());
        let mut found = Found::default();
        found.set("y", tape.value(y).to_vec());
        for (name, at) in ["dx", "dw1", "dw2"].into_iter().zip(leaves) {
            found.set(name, grads[at].as_ref().map_or(Vec::new(), Tensor::to_vec));
        }
        found
    }

    /// The same on the book's own tape.
    fn right(&self, target: &str) -> Vec<f64> {
        fn network<'t>(x: &[Var<'t, f64>]) -> Var<'t, f64> {
            x[0].matmul(&x[1]).relu().matmul(&x[2]).sum_keep(&[0])
        }
        let gradients = || vjp_on_the_book(&self.x, &self.dy, network);
        match target {
            "y" => on_the_book(&self.x, network).to_vec(),
            "dx" => gradients()[0].to_vec(),
            "dw1" => gradients()[1].to_vec(),
            _ => gradients()[2].to_vec(),
        }
    }
}

/// The whole network, as a part.
fn networks() -> Part<Network, Found> {
    const SECTION: &str = "sec:product-backward";
    const Y: &[Axis] = &[Axis("O", "output")];
    const X: &[Axis] = &[Axis("N", "example"), Axis("I", "input")];
    const W1: &[Axis] = &[Axis("I", "input"), Axis("H", "hidden unit")];
    const W2: &[Axis] = &[Axis("H", "hidden unit"), Axis("O", "output")];
    Part::new("network", Order::Together, drawn)
        .asks(found!("y"), SECTION, Y, |p| p.right("y"))
        .asks(found!("dx"), SECTION, X, |p| p.right("dx"))
        .asks(found!("dw1"), SECTION, W1, |p| p.right("dw1"))
        .asks(found!("dw2"), SECTION, W2, |p| p.right("dw2"))
        .differentiates(Differences {
            name: "network",
            case: |seed| drawn(seed + 1).swap_remove(0),
            inputs: vec![
                ("x", |p| p.x[0].data_mut()),
                ("w1", |p| p.x[1].data_mut()),
                ("w2", |p| p.x[2].data_mut()),
            ],
            dy: |p| p.dy.data_mut(),
            y: |p| p.right("y"),
        })
}

#[cfg(test)]
mod tests;
