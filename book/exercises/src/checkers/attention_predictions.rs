//! Checks the exercise `attention_predictions`: runs what was predicted.

use crate::arrays::Draws;
use crate::predictions::{column_sums, is_gone, is_times, otherwise, passed};
use judge::quiz;
use layernorm::LayerNorm;
use rand::rngs::StdRng;
use tape::Tensor;

quiz! {
    /// What becomes of a value or a gradient when something is changed.
    enum Change {
        /// It stays, to a thousandth.
        Same if is_times(1.0),
        /// It becomes zero, to a thousandth.
        Zero if is_gone(1e-3),
        /// It is a tenth as large, to a thousandth.
        OneTenth if is_times(0.1),
        /// Something else.
        Different if otherwise,
    }

    key_shift in "sec:attention":
        "one vector added to all keys, the output",
        "it adds the same number to all scores of a row, and the softmax does not see that";
    key_shift_gradient in "sec:attention-backward":
        "that vector, its gradient beside those of the keys",
        "the output does not depend on it, and each row of dS adds up to zero";
    query_shift in "sec:attention":
        "one vector added to all queries, the output",
        "each key now gets a bonus of its own, the same in all rows, and the softmax of a row sees that";
    traded in "sec:attention":
        "queries times 10 and keys over 10, the output",
        "only their product is used";
    later_causal in "sec:attention":
        "the last position replaced, causal, the outputs before it",
        "no earlier row has a score for it";
    later_unmasked in "sec:attention":
        "the last position replaced, no mask, the outputs before it",
        "every row looks at every position";
    first_query in "sec:attention":
        "the first query replaced, causal, the first output",
        "the first position sees itself only, so its one weight is 1";
    equal_values in "sec:attention-backward":
        "all values made equal, the gradient of the queries",
        "the weights add up to 1, so a mean of equal values is that value, whatever they are";
    sure in "sec:attention-scale":
        "queries times 10,000, the gradient of the keys",
        "every row has put all its weight on one position, and a softmax that is sure passes nothing back";
    pre_branch in "sec:ln-place":
        "x times 10, what a branch with the norm in front adds",
        "Layer Norm takes the scale away before the branch sees it";
    pre_branch_gradient in "sec:ln-place":
        "the same, the gradient through the branch",
        "the norm divides by a deviation that is ten times as large";
    post_road in "sec:ln-place":
        "an idle branch, the norm after the sum instead of in front, the gradient of x",
        "with the norm in front the sum hands dy on untouched; after it, the norm stands on the road and projects";
}

/// T and d.
const T: usize = 5;
const D: usize = 4;

type Matrix = Tensor<f64>;

/// A head, and the upstream gradient.
#[derive(Clone)]
struct Head {
    q: Matrix,
    k: Matrix,
    v: Matrix,
    causal: bool,
    dout: Matrix,
}

impl Head {
    /// The output, and the gradients of queries and keys.
    fn pass(&self) -> [Vec<f64>; 3] {
        let (y, [dq, dk, _]) = passed([&self.q, &self.k, &self.v], &self.dout, |[q, k, v]| {
            let mut s = q.matmul(&k.transpose(0, 1)) * (1.0 / (D as f64).sqrt());
            if self.causal {
                let later = Tensor::from_fn([T, T], |at| f64::from(u8::from(at % T > at / T)));
                s = s.masked_fill(&later, f64::NEG_INFINITY);
            }
            s.softmax(1).matmul(v)
        });
        [y, dq, dk]
    }

    /// The same after a change.
    fn with(&self, change: impl FnOnce(&mut Self)) -> [Vec<f64>; 3] {
        let mut head = self.clone();
        change(&mut head);
        head.pass()
    }

    /// What becomes of the outputs before the last position, when that is replaced.
    fn later(&self, rng: &mut StdRng) -> Change {
        let [after, ..] = self.with(|h| {
            for x in [&mut h.q, &mut h.k, &mut h.v] {
                replace(x, T - 1, rng);
            }
        });
        let before = (T - 1) * D;
        observed(&self.pass()[0][..before], &after[..before])
    }
}

fn draw(rows: usize, rng: &mut StdRng) -> Matrix {
    Tensor::uniform([rows, D], -2.0, 2.0, rng)
}

fn replace(x: &mut Matrix, row: usize, rng: &mut StdRng) {
    x.data_mut()[row * D..][..D].copy_from_slice(draw(1, rng).data());
}

/// Each row of `x` plus `by`.
fn shifted(x: &Matrix, by: &Matrix) -> Matrix {
    Tensor::from_fn([T, D], |at| x.data()[at] + by.data()[at % D])
}

fn found(seed: u64) -> Predictions {
    let rng = &mut Draws::new(seed).0;
    let [q, k, v, dout] = [(); 4].map(|()| draw(T, rng));
    let shift = draw(1, rng);
    let head = Head {
        q,
        k,
        v,
        causal: true,
        dout,
    };
    let open = Head {
        causal: false,
        ..head.clone()
    };
    let [y, dq, dk] = head.pass();
    let [traded, ..] = head.with(|h| (h.q, h.k) = (h.q.map(|q| 10.0 * q), h.k.map(|k| k / 10.0)));
    let [_, equal_dq, _] = head.with(|h| h.v = Tensor::from_fn([T, D], |at| head.v.data()[at % D]));

    // f(norm(x)), with a matrix and a tanh for f; and a block whose f ends in zeros, with the
    // norm in front or after the sum.
    let (weight, dy, x) = (draw(D, rng), draw(T, rng), draw(T, rng));
    let norm = LayerNorm::new([D]);
    let branch = |x: &Matrix| {
        passed([x, &weight], &dy, |[x, weight]| {
            norm.forward(x).matmul(weight).tanh()
        })
    };
    let idle = |after: bool| {
        let (_, [dx, _]) = passed([&x, &weight], &dy, |[x, weight]| {
            let into = if after { x } else { &norm.forward(x) };
            let sum = x + into.matmul(weight).tanh() * 0.0;
            if after { norm.forward(&sum) } else { sum }
        });
        dx
    };
    let ((added, [back, _]), (added_ten, [back_ten, _])) =
        (branch(&x), branch(&x.map(|x| 10.0 * x)));
    Predictions {
        key_shift: observed(&y, &head.with(|h| h.k = shifted(&h.k, &shift))[0]),
        key_shift_gradient: observed(&dk[..D], &column_sums(D, &dk)),
        query_shift: observed(&y, &head.with(|h| h.q = shifted(&h.q, &shift))[0]),
        traded: observed(&y, &traded),
        later_causal: head.later(rng),
        later_unmasked: open.later(rng),
        first_query: observed(&y[..D], &head.with(|h| replace(&mut h.q, 0, rng))[0][..D]),
        equal_values: observed(&dq, &equal_dq),
        sure: observed(&dk, &head.with(|h| h.q = h.q.map(|q| 1e4 * q))[2]),
        pre_branch: observed(&added, &added_ten),
        pre_branch_gradient: observed(&back, &back_ten),
        post_road: observed(&idle(false), &idle(true)),
    }
}
