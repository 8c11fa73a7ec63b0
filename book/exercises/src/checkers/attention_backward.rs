//! Checks the exercise `attention_backward`.

use crate::arrays::{Array, Draws};
use judge::{Axis, Differences, Formulas, Order, Part, Slip, Terms, case, exercise, of, slips};

/// What one causal head was given: T positions, d features each, row by row.
#[derive(Clone, Debug)]
pub struct Head {
    /// T.
    pub steps: usize,
    /// d.
    pub width: usize,
    /// The queries, `[T, d]`.
    pub q: Vec<f64>,
    /// The keys, `[T, d]`.
    pub k: Vec<f64>,
    /// The values, `[T, d]`.
    pub v: Vec<f64>,
}

/// The gradients, `[T, d]` each.
#[derive(Clone, Debug, Default)]
pub struct Gradients {
    /// Of the queries.
    pub dq: Vec<f64>,
    /// Of the keys.
    pub dk: Vec<f64>,
    /// Of the values.
    pub dv: Vec<f64>,
}

impl Gradients {
    /// Zeros of the right lengths.
    #[must_use]
    pub fn zeros(head: &Head) -> Self {
        let zeros = vec![0.0; head.steps * head.width];
        Gradients {
            dq: zeros.clone(),
            dk: zeros.clone(),
            dv: zeros,
        }
    }
}

exercise! {
    /// `(head, dO)` to the gradients.
    check(backward: Fn(&Head, &[f64]) -> Gradients),
    right: "dq, dk and dv are right, and finite differences confirm them",
    parts: [part() => |p, answer| *answer = backward(&p.head, &p.dout)],
}

/// A head, and what is given backward.
#[derive(Clone)]
struct Probe {
    head: Head,
    dout: Vec<f64>,
}

case!(
    Probe,
    |p| format!("{} positions of {} features", p.head.steps, p.head.width),
    sizes: ["T": p.head.steps, "d": p.head.width],
);

const AXES: &[Axis] = &[Axis("T", "position"), Axis("d", "feature")];

/// More positions than features, fewer, and neither a square.
fn probes(seed: u64) -> Vec<Probe> {
    let draws = &mut Draws::new(seed);
    let probe = |[steps, width]: [usize; 2]| {
        let mut draw = || draws.numbers(steps * width, -1.5..1.5);
        let (q, k, v, dout) = (draw(), draw(), draw(), draw());
        let head = Head {
            steps,
            width,
            q,
            k,
            v,
        };
        Probe { head, dout }
    };
    [[4, 3], [3, 5], [6, 2]].map(probe).into()
}

/// Whether position i sees position j.
type Sees = fn(usize, usize) -> bool;
const CAUSAL: Sees = |i, j| j <= i;

impl Head {
    /// Rows of d features.
    fn rows(&self, values: &[f64]) -> Array {
        Array::new([self.steps, self.width], values)
    }

    /// `1/sqrt(d)`.
    fn scale(&self) -> f64 {
        1.0 / (self.width as f64).sqrt()
    }

    fn scores(&self) -> Array {
        self.rows(&self.q).dot(&self.rows(&self.k).t())
    }

    fn mask(&self, sees: Sees) -> Array {
        Array::mask([self.steps; 2], sees)
    }

    /// `exp(scale * s)` where position i sees position j, and 0 elsewhere.
    fn exponentials(&self, scale: f64, sees: Sees) -> Array {
        (self.scores() * scale).exp() * self.mask(sees)
    }

    /// P, made with this scale and this mask. A row that sees nothing has no weights.
    fn weights(&self, scale: f64, sees: Sees) -> Array {
        let e = self.exponentials(scale, sees);
        let totals = e.sum(1);
        e / totals.map(|total| if total > 0.0 { total } else { 1.0 })
    }

    fn p(&self) -> Array {
        self.weights(self.scale(), CAUSAL)
    }

    fn output(&self) -> Vec<f64> {
        self.p().dot(&self.rows(&self.v)).into()
    }
}

impl Probe {
    fn dout(&self) -> Array {
        self.head.rows(&self.dout)
    }

    fn q(&self) -> Array {
        self.head.rows(&self.head.q)
    }

    fn k(&self) -> Array {
        self.head.rows(&self.head.k)
    }

    fn w(&self) -> Array {
        self.head.p()
    }

    fn dp(&self) -> Array {
        self.dout().dot(&self.head.rows(&self.head.v).t())
    }

    /// dP as far as position i sees.
    fn seen_dp(&self) -> Array {
        self.dp() * self.head.mask(CAUSAL)
    }

    fn dv_of(&self, w: &Array) -> Array {
        w.t().dot(&self.dout())
    }

    /// The gradient of the scores, from these weights.
    fn ds_of(&self, w: &Array) -> Array {
        w * (self.dp() - (w * self.dp()).sum(1))
    }

    fn ds(&self) -> Array {
        self.ds_of(&self.w())
    }

    /// `dq` or `dk` from a gradient of the scores, with this factor.
    fn side(&self, name: &str, ds: &Array, scale: f64) -> Array {
        match name {
            "dq" => ds.dot(&self.k()) * scale,
            _ => ds.t().dot(&self.q()) * scale,
        }
    }

    /// The same with the right factor.
    fn of_ds(&self, name: &str, ds: &Array) -> Array {
        self.side(name, ds, self.head.scale())
    }

    /// What the loops over i, and j up to i, add to row `row(i, j)`: `factors` at i and j times
    /// row `of(i, j)` of `rows`.
    fn terms(&self, row: Pick, factors: &Array, of: Pick, rows: &Array) -> Terms {
        let pairs = (0..self.head.steps).flat_map(|i| (0..=i).map(move |j| (i, j)));
        let features = |(i, j)| {
            let place = move |c| row(i, j) * self.head.width + c;
            let term = move |c| factors.at(i, j) * rows.at(of(i, j), c);
            (0..self.head.width).map(move |c| (place(c), term(c)))
        };
        pairs.flat_map(features).collect()
    }
}

/// One of two positions.
type Pick = fn(usize, usize) -> usize;
const QUERY: Pick = |i, _| i;
const KEY: Pick = |_, j| j;

const FORWARD: &str = "sec:attention";
const BACKWARD: &str = "sec:attention-backward";

/// The two sides of the scores.
const SIDES: &[&str] = &["dq", "dk"];
const ALL: &[&str] = &["dv", "dq", "dk"];

fn part() -> Part<Probe, Gradients> {
    Part::<_, Gradients>::new("backward", Order::Together, probes)
        .asks(of!(dv), BACKWARD, AXES, |p| p.dv_of(&p.w()))
        .sums(
            "value j is used by every position i that looks at it",
            |p| p.terms(KEY, &p.w(), QUERY, &p.dout()),
        )
        .asks(of!(dq), BACKWARD, AXES, |p| p.of_ds("dq", &p.ds()))
        .sums("query i meets every key j that it sees", |p| {
            p.terms(QUERY, &(p.ds() * p.head.scale()), KEY, &p.k())
        })
        .asks(of!(dk), BACKWARD, AXES, |p| p.of_ds("dk", &p.ds()))
        .sums("key j meets every query i that sees it", |p| {
            p.terms(KEY, &(p.ds() * p.head.scale()), QUERY, &p.q())
        })
        .variants_in(FORWARD, ALL, WEIGHTS, |p, target, (scale, weights)| {
            let (scale, head) = (scale(&p.head), &p.head);
            let w = weights(head, scale);
            match target {
                "dv" => p.dv_of(&w).into(),
                side => p.side(side, &p.ds_of(&w), scale).into(),
            }
        })
        .formulas(&["dv"], OF_DV)
        .variants(SIDES, THROUGH_THE_SOFTMAX, |p, target, wrong| {
            wrong(p, target).into()
        })
        .differentiates(Differences {
            name: "causal attention",
            case: |seed| probes(seed + 1).swap_remove(0),
            inputs: vec![
                ("q", |p| &mut p.head.q),
                ("k", |p| &mut p.head.k),
                ("v", |p| &mut p.head.v),
            ],
            dy: |p| &mut p.dout,
            y: |p| p.head.output(),
        })
}

/// Wrong weights: the factor of the scores, and what is made with it.
type Weights = (fn(&Head) -> f64, fn(&Head, f64) -> Array);

const WEIGHTS: &[Slip<Weights>] = slips![
    "mask-ignored: the mask is ignored: row i of the softmax runs over the positions j ≤ i only" =>
        (Head::scale, |h, scale| h.weights(scale, |_, _| true)),
    "mask-after-softmax: the mask is applied after the softmax, so that the weights that are left do not add up to 1: mask the scores, and the softmax shares all among the positions j ≤ i" =>
        (Head::scale, |h, scale| {
            h.weights(scale, |_, _| true) * h.mask(CAUSAL)
        }),
    "mask-strict: a position does not see itself: the mask lets j ≤ i through, and not j < i alone" =>
        (Head::scale, |h, scale| h.weights(scale, |i, j| j < i)),
    "mask-reversed: the mask is reversed: position i sees what comes after it, and must see what came before, j ≤ i" =>
        (Head::scale, |h, scale| h.weights(scale, |i, j| j >= i)),
    "scale-by-d: the scores are divided by d before the softmax, and must be by its root" =>
        (|h| 1.0 / h.width as f64, CAUSAL_WEIGHTS),
    "scale-by-steps: the scores are divided by the root of T, the number of positions, and must be by that of d: a score is a sum of d products" =>
        (|h| 1.0 / (h.steps as f64).sqrt(), CAUSAL_WEIGHTS),
    "scale-missing: the scores are not divided by the root of d before the softmax" =>
        (|_| 1.0, CAUSAL_WEIGHTS),
    "not-normalized: the weights are exponentials that are not divided by their sum over the row" =>
        (Head::scale, |h, scale| h.exponentials(scale, CAUSAL)),
    "scores-for-weights: it is made of the scores, and must be of the weights P" =>
        (Head::scale, |h, scale| h.scores() * scale * h.mask(CAUSAL)),
];
const CAUSAL_WEIGHTS: fn(&Head, f64) -> Array = |h, scale| h.weights(scale, CAUSAL);

const OF_DV: Formulas<Probe, Array> = slips![
    "wrong-side: it is P dO, and must be Pᵀ dO: value j is used by the positions i that look at it, so the sum runs down a column of P" =>
        |p| p.w().dot(&p.dout()),
    "weights-forgotten: the weights are missing: it is dO as it came" => Probe::dout,
    "weights-forgotten: the weights are missing: it is the sum of dO over the positions that see the value" =>
        |p| p.dv_of(&p.head.mask(CAUSAL)),
];

/// `dq` or `dk`, by its name.
type Side = fn(&Probe, &str) -> Array;

/// Wrong ways from dP to dS, and from there to both sides.
const THROUGH_THE_SOFTMAX: &[Slip<Side>] = slips![
    "scale-forgotten: the factor 1/√d is missing: the scores are QKᵀ/√d, so it stands on the way back too" =>
        |p, t| p.side(t, &p.ds(), 1.0),
    "scale-twice: the factor 1/√d is there twice: once in dS and once more" =>
        |p, t| p.side(t, &p.ds(), p.head.scale().powi(2)),
    "row-sum-missing: the sum over the row is missing in the softmax: all weights of a row share one denominator" =>
        |p, t| p.of_ds(t, &(p.w() * p.dp())),
    "diagonal-only: dS is dP P (1 - P), element by element: that is what a weight gains from its own score, and what it loses to the other scores of its row is missing" =>
        |p, t| p.of_ds(t, &(p.dp() * p.w() * p.w().map(|w| 1.0 - w))),
    "column-sum: the sum in the softmax runs down a column, and must run along the row" =>
        |p, t| p.of_ds(t, &(p.w() * (p.dp() - (p.dp() * p.w()).sum(0)))),
    "plain-mean: the softmax subtracts the plain mean of dP over the row, and must weigh it with P" =>
        |p, t| {
            let mean = p.seen_dp().sum(1) / p.head.mask(CAUSAL).sum(1);
            p.of_ds(t, &(p.w() * (p.dp() - mean)))
        },
    "row-sum-unweighted: the softmax subtracts the sum of dP over the row, and must weigh its terms with P" =>
        |p, t| p.of_ds(t, &(p.w() * (p.dp() - p.seen_dp().sum(1)))),
    "row-sum-unweighted: the softmax subtracts the sum of dP over the whole row, and must weigh its terms with P, which is 0 behind the mask" =>
        |p, t| p.of_ds(t, &(p.w() * (p.dp() - p.dp().sum(1)))),
    "weight-forgotten: the factor P is missing in front of the softmax's bracket" =>
        |p, t| {
            let bracket = p.dp() - (p.dp() * p.w()).sum(1);
            p.of_ds(t, &(bracket * p.head.mask(CAUSAL)))
        },
    "softmax-skipped: it is made of dP: the softmax stands between the weights and the scores" =>
        |p, t| p.of_ds(t, &p.dp()),
    "softmax-skipped: it is made of dP as far as the mask lets through: the softmax stands between the weights and the scores" =>
        |p, t| p.of_ds(t, &p.seen_dp()),
    "sides-swapped: dQ and dK are swapped: dQ is made of the keys, dK of the queries" =>
        |p, t| p.of_ds(if t == "dq" { "dk" } else { "dq" }, &p.ds()),
    "ds-transposed: dS is transposed: a query owns a row of the scores, a key owns a column" =>
        |p, t| p.of_ds(t, &p.ds().t()),
    "own-side: it is made of its own side: the partner in the product is the other one" =>
        |p, t| match t {
            "dq" => p.ds().dot(&p.q()) * p.head.scale(),
            _ => p.ds().t().dot(&p.k()) * p.head.scale(),
        },
];

#[cfg(test)]
mod tests;
