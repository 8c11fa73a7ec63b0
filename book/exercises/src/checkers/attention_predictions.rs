//! Checks the exercise `attention_predictions`: runs what was predicted.

use crate::Report;
use crate::engine::Checker;
use crate::harness;
use crate::quiz::{self, Asked};
use layernorm::LayerNorm;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::process::ExitCode;
use tape::{Param, Tape, Tensor, Var};

const NAME: &str = "attention_predictions";

/// What becomes of a value or a gradient when something is changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// Not predicted yet.
    Undecided,
    /// It stays, to a thousandth.
    Same,
    /// It becomes zero, to a thousandth.
    Zero,
    /// It is a tenth as large, to a thousandth.
    OneTenth,
    /// Something else.
    Different,
}

use Change::{Different, OneTenth, Same, Undecided, Zero};

/// The predictions.
#[derive(Clone, Copy, Debug)]
pub struct Predictions {
    /// One vector added to all keys. The output?
    pub key_shift: Change,
    /// That vector as a parameter, instead of each key. Its gradient?
    pub key_shift_gradient: Change,
    /// One vector added to all queries. The output?
    pub query_shift: Change,
    /// Queries times 10, keys divided by 10. The output?
    pub traded: Change,
    /// The last position replaced, causal. The outputs before it?
    pub later_causal: Change,
    /// The last position replaced, no mask. The outputs before it?
    pub later_unmasked: Change,
    /// The first query replaced, causal. The first output?
    pub first_query: Change,
    /// All values made equal. The gradient of the queries?
    pub equal_values: Change,
    /// Queries times 10,000. The gradient of the keys?
    pub sure: Change,
    /// `x` times 10 in a block that normalizes in front. What the branch adds?
    pub pre_branch: Change,
    /// The same. The gradient that comes back through the branch?
    pub pre_branch_gradient: Change,
    /// A branch that adds nothing, normalized after the sum instead of in front. The gradient of `x`?
    pub post_road: Change,
}

/// Runs what was predicted and prints the report.
pub fn check(predictions: impl Fn() -> Predictions) -> ExitCode {
    harness::run(NAME, || report(&predictions(), 0))
}

/// T and d.
const T: usize = 5;
const D: usize = 4;

type Matrix = Tensor<f64>;

#[derive(Clone)]
struct Head {
    q: Matrix,
    k: Matrix,
    v: Matrix,
    causal: bool,
}

fn draw(rows: usize, rng: &mut StdRng) -> Matrix {
    Tensor::from_fn([rows, D], |_| rng.random_range(-2.0..2.0))
}

fn attend<'t>(q: &Var<'t, f64>, k: &Var<'t, f64>, v: &Var<'t, f64>, causal: bool) -> Var<'t, f64> {
    let mut s = q.matmul(&k.transpose(0, 1)) * (1.0 / (D as f64).sqrt());
    if causal {
        let later = Tensor::from_fn([T, T], |at| f64::from(u8::from(at % T > at / T)));
        s = s.masked_fill(&later, f64::NEG_INFINITY);
    }
    s.softmax(1).matmul(v)
}

impl Head {
    fn output(&self) -> Vec<f64> {
        Tape::eval(|t| {
            let [q, k, v] = [&self.q, &self.k, &self.v].map(|x| t.constant(x.clone()));
            attend(&q, &k, &v, self.causal).value().to_vec()
        })
    }

    /// The gradients of queries and keys.
    fn gradients(&self, dout: &Matrix) -> [Vec<f64>; 2] {
        let [q, k] = [("q", &self.q), ("k", &self.k)].map(|(name, x)| Param::new(name, x.clone()));
        let (_, (), grads) = Tape::new().vjp(dout, |t| {
            let v = t.constant(self.v.clone());
            (attend(&t.param(&q), &t.param(&k), &v, self.causal), ())
        });
        [&q, &k].map(|x| grads.of(x).to_vec())
    }

    /// With another last position.
    fn replaced(&self, rng: &mut StdRng) -> Self {
        let other = [draw(1, rng), draw(1, rng), draw(1, rng)];
        let mut head = self.clone();
        for (x, row) in [&mut head.q, &mut head.k, &mut head.v]
            .into_iter()
            .zip(&other)
        {
            x.data_mut()[(T - 1) * D..].copy_from_slice(row.data());
        }
        head
    }
}

fn shifted(x: &Matrix, by: &Matrix) -> Matrix {
    Tensor::from_fn([T, D], |at| x.data()[at] + by.data()[at % D])
}

/// Where a block normalizes.
#[derive(Clone, Copy)]
enum Place {
    Front,
    After,
}

/// What a branch adds, or a block returns.
struct Block<'a> {
    weight: &'a Matrix,
    norm: &'a LayerNorm<f64>,
    dy: &'a Matrix,
}

impl Block<'_> {
    /// `f(norm(x))`, with a matrix and a tanh for `f`: value, and gradient of `x`.
    fn branch(&self, x: &Matrix) -> [Vec<f64>; 2] {
        let x = Param::new("x", x.clone());
        let (y, (), grads) = Tape::new().vjp(self.dy, |t| {
            let normed = self.norm.forward(&t.param(&x));
            (normed.matmul(&t.constant(self.weight.clone())).tanh(), ())
        });
        [y.to_vec(), grads.of(&x).to_vec()]
    }

    /// The gradient of `x` in a block whose branch ends in zeros.
    fn idle(&self, x: &Matrix, place: Place) -> Vec<f64> {
        let x = Param::new("x", x.clone());
        let (_, (), grads) = Tape::new().vjp(self.dy, |t| {
            let x = t.param(&x);
            let into = match place {
                Place::Front => self.norm.forward(&x),
                Place::After => x.clone(),
            };
            let branch = into.matmul(&t.constant(self.weight.clone())).tanh() * 0.0;
            let sum = &x + &branch;
            let y = match place {
                Place::Front => sum,
                Place::After => self.norm.forward(&sum),
            };
            (y, ())
        });
        grads.of(&x).to_vec()
    }
}

/// What happened, from the values before and after. The size is that of the largest.
fn observed(before: &[f64], after: &[f64]) -> Change {
    let size = before.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    let near = |factor: f64| {
        let close = |(b, a): (&f64, &f64)| (factor * b - a).abs() <= 1e-3 * factor * size;
        before.iter().zip(after).all(close)
    };
    match () {
        () if near(1.0) => Same,
        () if after.iter().all(|a| a.abs() <= 1e-3 * size) => Zero,
        () if near(0.1) => OneTenth,
        () => Different,
    }
}

/// The sum over the positions.
fn row_sum(x: &[f64]) -> Vec<f64> {
    (0..D)
        .map(|c| x.iter().skip(c).step_by(D).sum::<f64>())
        .collect()
}

fn asked(p: &Predictions, seed: u64) -> Vec<Asked<Change>> {
    let rng = &mut StdRng::seed_from_u64(seed);
    let head = Head {
        q: draw(T, rng),
        k: draw(T, rng),
        v: draw(T, rng),
        causal: true,
    };
    let open = Head {
        causal: false,
        ..head.clone()
    };
    let dout = draw(T, rng);
    let shift = draw(1, rng);
    let before = head.output();
    let [dq, dk] = head.gradients(&dout);

    let keys_moved = Head {
        k: shifted(&head.k, &shift),
        ..head.clone()
    };
    let queries_moved = Head {
        q: shifted(&head.q, &shift),
        ..head.clone()
    };
    let traded = Head {
        q: head.q.map(|q| 10.0 * q),
        k: head.k.map(|k| k / 10.0),
        ..head.clone()
    };
    let early = |x: Vec<f64>| x[..(T - 1) * D].to_vec();
    let mut first = head.clone();
    first.q.data_mut()[..D].copy_from_slice(draw(1, rng).data());
    let equal = Head {
        v: Tensor::from_fn([T, D], |at| head.v.data()[at % D]),
        ..head.clone()
    };
    let sure = Head {
        q: head.q.map(|q| 1e4 * q),
        ..head.clone()
    };

    let norm = LayerNorm::new([D]);
    let (weight, dy, x) = (draw(D, rng), draw(T, rng), draw(T, rng));
    let block = Block {
        weight: &weight,
        norm: &norm,
        dy: &dy,
    };
    let [branch, branch_dx] = block.branch(&x);
    let [branch_ten, branch_dx_ten] = block.branch(&x.map(|x| 10.0 * x));

    let one = |name, what, predicted, found, why, section| Asked {
        name,
        what,
        predicted,
        found,
        why,
        section,
    };
    vec![
        one(
            "key_shift",
            "one vector added to all keys, the output",
            p.key_shift,
            observed(&before, &keys_moved.output()),
            "it adds the same number to all scores of a row, and the softmax does not see that",
            "sec:attention",
        ),
        one(
            "key_shift_gradient",
            "that vector, its gradient beside those of the keys",
            p.key_shift_gradient,
            observed(&dk[..D], &row_sum(&dk)),
            "the output does not depend on it, and each row of dS adds up to zero",
            "sec:attention-backward",
        ),
        one(
            "query_shift",
            "one vector added to all queries, the output",
            p.query_shift,
            observed(&before, &queries_moved.output()),
            "each key now gets a bonus of its own, the same in all rows, and the softmax of a row sees that",
            "sec:attention",
        ),
        one(
            "traded",
            "queries times 10 and keys over 10, the output",
            p.traded,
            observed(&before, &traded.output()),
            "only their product is used",
            "sec:attention",
        ),
        one(
            "later_causal",
            "the last position replaced, causal, the outputs before it",
            p.later_causal,
            observed(&early(before.clone()), &early(head.replaced(rng).output())),
            "no earlier row has a score for it",
            "sec:attention",
        ),
        one(
            "later_unmasked",
            "the last position replaced, no mask, the outputs before it",
            p.later_unmasked,
            observed(&early(open.output()), &early(open.replaced(rng).output())),
            "every row looks at every position",
            "sec:attention",
        ),
        one(
            "first_query",
            "the first query replaced, causal, the first output",
            p.first_query,
            observed(&before[..D], &first.output()[..D]),
            "the first position sees itself only, so its one weight is 1",
            "sec:attention",
        ),
        one(
            "equal_values",
            "all values made equal, the gradient of the queries",
            p.equal_values,
            observed(&dq, &equal.gradients(&dout)[0]),
            "the weights add up to 1, so a mean of equal values is that value, whatever they are",
            "sec:attention-backward",
        ),
        one(
            "sure",
            "queries times 10,000, the gradient of the keys",
            p.sure,
            observed(&dk, &sure.gradients(&dout)[1]),
            "every row has put all its weight on one position, and a softmax that is sure passes nothing back",
            "sec:attention-scale",
        ),
        one(
            "pre_branch",
            "x times 10, what a branch with the norm in front adds",
            p.pre_branch,
            observed(&branch, &branch_ten),
            "Layer Norm takes the scale away before the branch sees it",
            "sec:ln-place",
        ),
        one(
            "pre_branch_gradient",
            "the same, the gradient through the branch",
            p.pre_branch_gradient,
            observed(&branch_dx, &branch_dx_ten),
            "the norm divides by a deviation that is ten times as large",
            "sec:ln-place",
        ),
        one(
            "post_road",
            "an idle branch, the norm after the sum instead of in front, the gradient of x",
            p.post_road,
            observed(&block.idle(&x, Place::Front), &block.idle(&x, Place::After)),
            "with the norm in front the sum hands dy on untouched; after it, the norm stands on the road and projects",
            "sec:ln-place",
        ),
    ]
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Nameless("it asks for predictions")
}

/// The report on `predictions`, from random heads of this seed.
#[must_use]
pub fn report(predictions: &Predictions, seed: u64) -> Report {
    quiz::report(NAME, Undecided, &asked(predictions, seed))
}

#[cfg(test)]
mod tests;
