//! Checks the exercise `tensor_products`.

use crate::engine::Checker;
use crate::harness;
use crate::known::Known;
use crate::tensor_tape::{Mistake, Op, judge_op, known_in, on_the_book, sweep};
use crate::{Line, Outcome, Report};
use gradcheck::{Check, Input};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::process::ExitCode;

pub use crate::tensor_tape::{Tape, Tensor};

const NAME: &str = "tensor_products";

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

type Sum<'a> = &'a dyn Fn(&mut Tape, usize, &[usize]) -> usize;
type Matmul<'a> = &'a dyn Fn(&mut Tape, usize, usize) -> usize;

/// Checks both functions and prints the report.
pub fn check(
    sum: impl Fn(&mut Tape, usize, &[usize]) -> usize,
    matmul: impl Fn(&mut Tape, usize, usize) -> usize,
) -> ExitCode {
    harness::run(NAME, || report(&sum, &matmul, 0))
}

const BLOCK: &[(&[usize], Option<&[usize]>)] = &[(&[2, 3, 4], None), (&[4, 3, 2], None)];
const PRODUCTS: &[(&[usize], Option<&[usize]>)] = &[
    (&[2, 3], Some(&[3, 4])),
    (&[1, 3], Some(&[3, 1])),
    (&[4, 2], Some(&[2, 5])),
    (&[3, 3], Some(&[3, 3])),
    (&[3, 3], None),
];

fn zip(a: &Tensor, b: &Tensor, f: impl Fn(f64, f64) -> f64) -> Tensor {
    Tape::zip(a, b, f)
}

/// `dy` repeated to the shape of `x`.
fn repeated(x: &Tensor, dy: &Tensor) -> Tensor {
    zip(x, dy, |_, dy| dy)
}

const SUM: &[Mistake] = &[
    (
        "not-repeated",
        "dy is handed on as it is; every element receives the gradient of its sum",
        |_, _, dy| vec![dy.clone()],
    ),
    (
        "averaged",
        "dy is divided by the number of elements: that is the gradient of a mean",
        |x, _, dy| {
            let count = (x[0].len() / dy.len()) as f64;
            vec![repeated(&x[0], dy).apply(|v| v / count)]
        },
    ),
    (
        "times-x",
        "dy is multiplied by x; each element enters its sum with the weight 1",
        |x, _, dy| vec![zip(&x[0], dy, |x, dy| x * dy)],
    ),
    (
        "dy-ignored",
        "dy is not used: its gradient is that for a dy of ones",
        |x, _, _| vec![Tensor::ones(x[0].shape())],
    ),
    ("zero", "its gradient is zero", |x, _, _| {
        vec![Tensor::zeros(x[0].shape())]
    }),
];

const MATMUL: &[Mistake] = &[
    (
        "swapped",
        "the two gradients stand in the wrong order",
        |x, _, dy| {
            let (da, db) = halves(x, dy);
            vec![db, da]
        },
    ),
    (
        "dy-ignored",
        "dy is not used: its gradients are those for a dy of ones",
        |x, _, dy| {
            let (da, db) = halves(x, &Tensor::ones(dy.shape()));
            vec![da, db]
        },
    ),
    (
        "second-zero",
        "the second operand receives zeros",
        |x, _, dy| vec![halves(x, dy).0, Tensor::zeros(x[1].shape())],
    ),
    (
        "first-zero",
        "the first operand receives zeros",
        |x, _, dy| vec![Tensor::zeros(x[0].shape()), halves(x, dy).1],
    ),
    (
        "transposed-results",
        "both gradients are the transposes of the right ones",
        |x, _, dy| {
            let (da, db) = halves(x, dy);
            vec![Tape::transpose(&da), Tape::transpose(&db)]
        },
    ),
    ("sign", "both gradients have the wrong sign", |x, _, dy| {
        let (da, db) = halves(x, dy);
        vec![da.apply(|v| -v), db.apply(|v| -v)]
    }),
];

const SUMS: &str = "sec:reductions";
const PRODUCT: &str = "sec:product-backward";

/// The mistakes that this checker knows.
fn known() -> Vec<Known> {
    let mut known = known_in(NAME, "sum", SUMS, SUM);
    known.extend(known_in(NAME, "matmul", PRODUCT, MATMUL));
    known
}

fn halves(x: &[Tensor], dy: &Tensor) -> (Tensor, Tensor) {
    (
        Tape::product(dy, &Tape::transpose(&x[1])),
        Tape::product(&Tape::transpose(&x[0]), dy),
    )
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Listed(known())
}

fn report(sum: Sum<'_>, matmul: Matmul<'_>, seed: u64) -> Report {
    let mut lines = Vec::new();
    let over =
        |axes: &'static [usize]| move |tape: &mut Tape, x: usize, _: usize| sum(tape, x, axes);
    let (rows, pair, all) = (over(&[1]), over(&[0, 2]), over(&[0, 1, 2]));
    let op = |name, section, own, value, cases, operands, mistakes| Op {
        name,
        section,
        own,
        value,
        cases,
        operands,
        mistakes,
    };
    let ops: [Op<'_>; 4] = [
        op(
            "sum",
            SUMS,
            &rows,
            |x| Tape::sum_over(&x[0], &[1]),
            BLOCK,
            1,
            SUM,
        ),
        op(
            "sum",
            SUMS,
            &pair,
            |x| Tape::sum_over(&x[0], &[0, 2]),
            BLOCK,
            1,
            SUM,
        ),
        op(
            "sum",
            SUMS,
            &all,
            |x| Tape::sum_over(&x[0], &[0, 1, 2]),
            BLOCK,
            1,
            SUM,
        ),
        op(
            "matmul",
            PRODUCT,
            matmul,
            |x| Tape::product(&x[0], &x[1]),
            PRODUCTS,
            2,
            MATMUL,
        ),
    ];
    for op in &ops {
        if let Err(report) = judge_op(NAME, op, seed, &mut lines) {
            return *report;
        }
    }
    let network = network(sum, matmul, seed);
    let right = network.passed();
    let margin = network.worst().map_or(0.0, |(_, w)| w.margin);
    lines.push(Line {
        name: "a network of two layers".to_owned(),
        right,
        detail: format!("disagrees with finite differences by {margin:.2} of the bound"),
    });
    let (outcome, headline) = if right {
        (
            Outcome::Passed,
            "your tape differentiates a network: every op passes the book's tests, and so does the whole",
        )
    } else {
        (
            Outcome::Wrong,
            "each op is right, but a network made of them disagrees with finite differences",
        )
    };
    let mut report = Report::new(NAME, outcome, headline);
    report.lines = lines;
    if !right {
        report.mistake = Some("unknown".to_owned());
        report.notes.push(network.to_string());
    }
    report
}

/// `Σ relu(X W₁) W₂`, with all three as inputs.
fn network(sum: Sum<'_>, matmul: Matmul<'_>, seed: u64) -> gradcheck::Report {
    let rng = &mut StdRng::seed_from_u64(seed + 40);
    let shapes: [(&str, &[usize]); 3] = [("x", &[4, 3]), ("w1", &[3, 5]), ("w2", &[5, 2])];
    let inputs: Vec<Input> = shapes
        .iter()
        .map(|(name, shape)| Input::new(*name, shape, Tensor::randn(*shape, rng).to_vec()))
        .collect();
    let run = |data: &[Vec<f64>]| {
        let mut tape = Tape::default();
        let leaves: Vec<usize> = (shapes.iter().zip(data))
            .map(|((_, shape), data)| tape.push(Tensor::new(*shape, data.clone()), &[], |_| vec![]))
            .collect();
        let hidden = matmul(&mut tape, leaves[0], leaves[1]);
        let y = tape.value(hidden).map(|v| v.max(0.0));
        let kept = y.clone();
        let active = tape.push(y, &[hidden], move |dy| {
            vec![zip(dy, &kept, |dy, y| if y > 0.0 { dy } else { 0.0 })]
        });
        let output = matmul(&mut tape, active, leaves[2]);
        let y = sum(&mut tape, output, &[0]);
        (tape, y, leaves)
    };
    Check::new("network").inputs(&inputs).seed(seed).run(
        |data| {
            let (tape, y, _) = run(data);
            tape.value(y).to_vec()
        },
        |data, dy| {
            let (tape, y, leaves) = run(data);
            let dy = Tensor::new(tape.value(y).shape(), dy.to_vec());
            let grads = sweep(&tape, y, dy);
            let grad = |&at: &usize| {
                let none = || Tensor::zeros(tape.value(at).shape());
                grads[at].clone().unwrap_or_else(none).to_vec()
            };
            leaves.iter().map(grad).collect()
        },
    )
}

#[cfg(test)]
mod tests;
