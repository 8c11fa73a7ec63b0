//! Checks the exercise `attention_backward`.

use crate::Report;
use crate::engine::shared::Terms;
use crate::engine::{Axis, Case, Checker, Order, Part, field};
use crate::harness;
use gradcheck::Check;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::process::ExitCode;

const NAME: &str = "attention_backward";

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
#[derive(Clone, Debug)]
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

/// `(head, dO)` to the gradients.
pub type Candidate<'a> = &'a dyn Fn(&Head, &[f64]) -> Gradients;

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(&Head, &[f64]) -> Gradients) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

/// The report on `candidate`, from random heads of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let all = "dq, dk and dv are right, and finite differences confirm them";
    let run = |p: &Probe, answer: &mut Gradients| *answer = candidate(&p.head, &p.dout);
    part().report(NAME, all, &run, seed)
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::of(part())
}

/// A head, and what is given backward.
struct Probe {
    head: Head,
    dout: Vec<f64>,
}

impl Case for Probe {
    fn title(&self) -> String {
        let Head { steps, width, .. } = self.head;
        format!("{steps} positions of {width} features")
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        vec![("T", self.head.steps), ("d", self.head.width)]
    }
}

const AXES: &[Axis] = &[Axis("T", "position"), Axis("d", "feature")];

/// More positions than features, fewer, and neither a square.
fn probes(seed: u64) -> Vec<Probe> {
    let rng = &mut StdRng::seed_from_u64(seed);
    [(4, 3), (3, 5), (6, 2)]
        .map(|(steps, width)| {
            let mut draw = || -> Vec<f64> {
                (0..steps * width)
                    .map(|_| rng.random_range(-1.5..1.5))
                    .collect()
            };
            let (q, k, v, dout) = (draw(), draw(), draw(), draw());
            let head = Head {
                steps,
                width,
                q,
                k,
                v,
            };
            Probe { head, dout }
        })
        .into()
}

/// A matrix of any shape, row by row.
#[derive(Clone)]
struct Rows {
    columns: usize,
    data: Vec<f64>,
}

impl Rows {
    fn new(columns: usize, data: &[f64]) -> Self {
        Rows {
            columns,
            data: data.to_vec(),
        }
    }

    fn rows(&self) -> usize {
        self.data.len() / self.columns
    }

    fn at(&self, i: usize, j: usize) -> f64 {
        self.data[i * self.columns + j]
    }

    fn made(rows: usize, columns: usize, f: impl Fn(usize, usize) -> f64) -> Self {
        let data = (0..rows * columns).map(|at| f(at / columns, at % columns));
        Rows {
            columns,
            data: data.collect(),
        }
    }

    fn t(&self) -> Self {
        Rows::made(self.columns, self.rows(), |i, j| self.at(j, i))
    }

    fn times(&self, other: &Rows) -> Self {
        Rows::made(self.rows(), other.columns, |i, j| {
            (0..self.columns)
                .map(|k| self.at(i, k) * other.at(k, j))
                .sum()
        })
    }

    fn scaled(mut self, factor: f64) -> Vec<f64> {
        self.data.iter_mut().for_each(|v| *v *= factor);
        self.data
    }
}

impl Head {
    fn rows(&self, values: &[f64]) -> Rows {
        Rows::new(self.width, values)
    }

    /// `1/sqrt(d)`.
    fn scale(&self) -> f64 {
        1.0 / (self.width as f64).sqrt()
    }

    fn scores(&self) -> Rows {
        self.rows(&self.q).times(&self.rows(&self.k).t())
    }

    /// `exp(scale * s)` where position i sees position j, and 0 elsewhere.
    fn exponentials(&self, scale: f64, sees: fn(usize, usize) -> bool) -> Rows {
        let s = self.scores();
        Rows::made(self.steps, self.steps, |i, j| {
            if sees(i, j) {
                (scale * s.at(i, j)).exp()
            } else {
                0.0
            }
        })
    }

    /// P, made with this scale and this mask. A row that sees nothing has no weights.
    fn weights(&self, scale: f64, sees: fn(usize, usize) -> bool) -> Rows {
        let e = self.exponentials(scale, sees);
        Rows::made(self.steps, self.steps, |i, j| {
            let total: f64 = (0..self.steps).map(|k| e.at(i, k)).sum();
            if total > 0.0 { e.at(i, j) / total } else { 0.0 }
        })
    }

    fn p(&self) -> Rows {
        self.weights(self.scale(), causal)
    }

    fn output(&self) -> Vec<f64> {
        self.p().times(&self.rows(&self.v)).data
    }
}

/// The mask.
fn causal(i: usize, j: usize) -> bool {
    j <= i
}

impl Probe {
    fn dout(&self) -> Rows {
        self.head.rows(&self.dout)
    }

    fn q(&self) -> Rows {
        self.head.rows(&self.head.q)
    }

    fn k(&self) -> Rows {
        self.head.rows(&self.head.k)
    }

    fn dp(&self) -> Rows {
        self.dout().times(&self.head.rows(&self.head.v).t())
    }

    fn dv_of(&self, p: &Rows) -> Vec<f64> {
        p.t().times(&self.dout()).data
    }

    /// The gradient of the scores, from these weights.
    fn ds_of(&self, p: &Rows) -> Rows {
        let dp = self.dp();
        let along = |i: usize| -> f64 { (0..p.columns).map(|k| dp.at(i, k) * p.at(i, k)).sum() };
        self.each(|i, j| p.at(i, j) * (dp.at(i, j) - along(i)))
    }

    fn ds(&self) -> Rows {
        self.ds_of(&self.head.p())
    }

    /// A matrix of the shape of the scores.
    fn each(&self, f: impl Fn(usize, usize) -> f64) -> Rows {
        Rows::made(self.head.steps, self.head.steps, f)
    }

    /// The same, 0 where the mask is.
    fn masked(&self, f: impl Fn(usize, usize) -> f64) -> Rows {
        self.each(|i, j| if causal(i, j) { f(i, j) } else { 0.0 })
    }

    /// `dq` or `dk` from a gradient of the scores, with this factor.
    fn side(&self, name: &str, ds: &Rows, scale: f64) -> Vec<f64> {
        match name {
            "dq" => ds.times(&self.k()).scaled(scale),
            _ => ds.t().times(&self.q()).scaled(scale),
        }
    }

    /// The same with the right factor.
    fn of_ds(&self, name: &str, ds: &Rows) -> Vec<f64> {
        self.side(name, ds, self.head.scale())
    }

    /// What the loops over i, and j up to i, add: `term(i, j, c)` in row `row(i, j)`.
    fn terms(
        &self,
        row: fn(usize, usize) -> usize,
        term: impl Fn(usize, usize, usize) -> f64,
    ) -> Terms {
        let Head { steps, width, .. } = self.head;
        let pairs = (0..steps).flat_map(|i| (0..=i).map(move |j| (i, j)));
        let all = pairs.flat_map(|(i, j)| (0..width).map(move |c| (i, j, c)));
        all.map(|(i, j, c)| (row(i, j) * width + c, term(i, j, c)))
            .collect()
    }
}

const FORWARD: &str = "sec:attention";
const BACKWARD: &str = "sec:attention-backward";

/// The two sides of the scores.
const SIDES: &[&str] = &["dq", "dk"];
const ALL: &[&str] = &["dv", "dq", "dk"];

fn part() -> Part<Probe, Gradients> {
    let blank = |p: &Probe| Gradients::zeros(&p.head);
    let part = Part::new("backward", Order::Together, probes, blank)
        .target("dv", BACKWARD, AXES, |p| p.dv_of(&p.head.p()), field!(dv))
        .sums(
            "value j is used by every position i that looks at it",
            |p| {
                let w = p.head.p();
                p.terms(|_, j| j, |i, j, c| w.at(i, j) * p.dout().at(i, c))
            },
        )
        .target("dq", BACKWARD, AXES, |p| p.of_ds("dq", &p.ds()), field!(dq))
        .sums("query i meets every key j that it sees", |p| {
            let (ds, k, scale) = (p.ds(), p.k(), p.head.scale());
            p.terms(|i, _| i, |i, j, c| scale * ds.at(i, j) * k.at(j, c))
        })
        .target("dk", BACKWARD, AXES, |p| p.of_ds("dk", &p.ds()), field!(dk))
        .sums("key j meets every query i that sees it", |p| {
            let (ds, q, scale) = (p.ds(), p.q(), p.head.scale());
            p.terms(|_, j| j, |i, j, c| scale * ds.at(i, j) * q.at(i, c))
        });
    through_the_softmax(of_dv(of_weights(part))).numeric(against_differences)
}

/// Wrong weights: the name, what is said, the weights, and the factor of the scores.
type Weights = (
    &'static str,
    &'static str,
    fn(&Head) -> Rows,
    fn(&Head) -> f64,
);

const WEIGHTS: [Weights; 9] = [
    (
        "mask-ignored",
        "the mask is ignored: row i of the softmax runs over the positions j ≤ i only",
        |h| h.weights(h.scale(), |_, _| true),
        Head::scale,
    ),
    (
        "mask-after-softmax",
        "the mask is applied after the softmax, so that the weights that are left do not add up to 1: \
         mask the scores, and the softmax shares all among the positions j ≤ i",
        |h| {
            let all = h.weights(h.scale(), |_, _| true);
            Rows::made(
                h.steps,
                h.steps,
                |i, j| if j <= i { all.at(i, j) } else { 0.0 },
            )
        },
        Head::scale,
    ),
    (
        "mask-strict",
        "a position does not see itself: the mask lets j ≤ i through, and not j < i alone",
        |h| h.weights(h.scale(), |i, j| j < i),
        Head::scale,
    ),
    (
        "mask-reversed",
        "the mask is reversed: position i sees what comes after it, and must see what came before, j ≤ i",
        |h| h.weights(h.scale(), |i, j| j >= i),
        Head::scale,
    ),
    (
        "scale-by-d",
        "the scores are divided by d before the softmax, and must be by its root",
        |h| h.weights(1.0 / h.width as f64, causal),
        |h| 1.0 / h.width as f64,
    ),
    (
        "scale-by-steps",
        "the scores are divided by the root of T, the number of positions, and must be by that of d: \
         a score is a sum of d products",
        |h| h.weights(1.0 / (h.steps as f64).sqrt(), causal),
        |h| 1.0 / (h.steps as f64).sqrt(),
    ),
    (
        "scale-missing",
        "the scores are not divided by the root of d before the softmax",
        |h| h.weights(1.0, causal),
        |_| 1.0,
    ),
    (
        "not-normalized",
        "the weights are exponentials that are not divided by their sum over the row",
        |h| h.exponentials(h.scale(), causal),
        Head::scale,
    ),
    (
        "scores-for-weights",
        "it is made of the scores, and must be of the weights P",
        |h| {
            let s = h.scores();
            Rows::made(h.steps, h.steps, |i, j| {
                if j <= i { s.at(i, j) * h.scale() } else { 0.0 }
            })
        },
        Head::scale,
    ),
];

fn of_weights(part: Part<Probe, Gradients>) -> Part<Probe, Gradients> {
    let each = |part, (target, (id, sentence, weights, scale)): (&'static str, Weights)| {
        let part: Part<Probe, Gradients> = part;
        part.knows(target, id, sentence, FORWARD, move |p| {
            let w = weights(&p.head);
            match target {
                "dv" => p.dv_of(&w),
                side => p.side(side, &p.ds_of(&w), scale(&p.head)),
            }
        })
    };
    let all = ALL
        .iter()
        .flat_map(|&target| WEIGHTS.map(|weights| (target, weights)));
    all.fold(part, each)
}

fn of_dv(part: Part<Probe, Gradients>) -> Part<Probe, Gradients> {
    part.mistake(
        &["dv"],
        "wrong-side",
        "it is P dO, and must be Pᵀ dO: value j is used by the positions i that look at it, so the sum runs down a column of P",
        |p, _| p.head.p().times(&p.dout()).data,
    )
    .mistake(
        &["dv"],
        "weights-forgotten",
        "the weights are missing: it is dO as it came",
        |p, _| p.dout.clone(),
    )
    .mistake(
        &["dv"],
        "weights-forgotten",
        "the weights are missing: it is the sum of dO over the positions that see the value",
        |p, _| p.dv_of(&p.masked(|_, _| 1.0)),
    )
}

/// Wrong ways from dP to dS, and from there to both sides.
fn through_the_softmax(part: Part<Probe, Gradients>) -> Part<Probe, Gradients> {
    part.mistake(
        SIDES,
        "scale-forgotten",
        "the factor 1/√d is missing: the scores are QKᵀ/√d, so it stands on the way back too",
        |p, target| p.side(target, &p.ds(), 1.0),
    )
    .mistake(
        SIDES,
        "scale-twice",
        "the factor 1/√d is there twice: once in dS and once more",
        |p, target| p.side(target, &p.ds(), p.head.scale() * p.head.scale()),
    )
    .mistake(
        SIDES,
        "row-sum-missing",
        "the sum over the row is missing in the softmax: all weights of a row share one denominator",
        |p, target| {
            let (w, dp) = (p.head.p(), p.dp());
            p.of_ds(target, &p.each(|i, j| w.at(i, j) * dp.at(i, j)))
        },
    )
    .mistake(
        SIDES,
        "diagonal-only",
        "dS is dP P (1 - P), element by element: that is what a weight gains from its own score, and \
         what it loses to the other scores of its row is missing",
        |p, target| {
            let (w, dp) = (p.head.p(), p.dp());
            p.of_ds(target, &p.each(|i, j| dp.at(i, j) * w.at(i, j) * (1.0 - w.at(i, j))))
        },
    )
    .mistake(
        SIDES,
        "column-sum",
        "the sum in the softmax runs down a column, and must run along the row",
        |p, target| {
            let (w, dp) = (p.head.p(), p.dp());
            let down = |j: usize| -> f64 { (0..w.rows()).map(|i| dp.at(i, j) * w.at(i, j)).sum() };
            p.of_ds(target, &p.each(|i, j| w.at(i, j) * (dp.at(i, j) - down(j))))
        },
    )
    .mistake(
        SIDES,
        "plain-mean",
        "the softmax subtracts the plain mean of dP over the row, and must weigh it with P",
        |p, target| {
            let mean = |i: usize| p.along(i, i + 1) / (i + 1) as f64;
            p.of_ds(target, &p.less(mean))
        },
    )
    .mistake(
        SIDES,
        "row-sum-unweighted",
        "the softmax subtracts the sum of dP over the row, and must weigh its terms with P",
        |p, target| p.of_ds(target, &p.less(|i| p.along(i, i + 1))),
    )
    .mistake(
        SIDES,
        "row-sum-unweighted",
        "the softmax subtracts the sum of dP over the whole row, and must weigh its terms with P, which is 0 behind the mask",
        |p, target| p.of_ds(target, &p.less(|i| p.along(i, p.head.steps))),
    )
    .mistake(
        SIDES,
        "weight-forgotten",
        "the factor P is missing in front of the softmax's bracket",
        |p, target| {
            let (w, dp) = (p.head.p(), p.dp());
            let along = |i: usize| (0..=i).map(|k| dp.at(i, k) * w.at(i, k)).sum::<f64>();
            p.of_ds(target, &p.masked(|i, j| dp.at(i, j) - along(i)))
        },
    )
    .mistake(
        SIDES,
        "softmax-skipped",
        "it is made of dP: the softmax stands between the weights and the scores",
        |p, target| p.of_ds(target, &p.dp()),
    )
    .mistake(
        SIDES,
        "softmax-skipped",
        "it is made of dP as far as the mask lets through: the softmax stands between the weights and the scores",
        |p, target| p.of_ds(target, &p.masked(|i, j| p.dp().at(i, j))),
    )
    .mistake(
        SIDES,
        "sides-swapped",
        "dQ and dK are swapped: dQ is made of the keys, dK of the queries",
        |p, target| p.of_ds(if target == "dq" { "dk" } else { "dq" }, &p.ds()),
    )
    .mistake(
        SIDES,
        "ds-transposed",
        "dS is transposed: a query owns a row of the scores, a key owns a column",
        |p, target| p.of_ds(target, &p.ds().t()),
    )
    .mistake(
        SIDES,
        "own-side",
        "it is made of its own side: the partner in the product is the other one",
        |p, target| match target {
            "dq" => p.ds().times(&p.q()).scaled(p.head.scale()),
            _ => p.ds().t().times(&p.k()).scaled(p.head.scale()),
        },
    )
}

impl Probe {
    /// The sum of the first `count` of row i of dP.
    fn along(&self, i: usize, count: usize) -> f64 {
        (0..count).map(|k| self.dp().at(i, k)).sum()
    }

    /// `P (dP - what is subtracted in row i)`.
    fn less(&self, subtracted: impl Fn(usize) -> f64) -> Rows {
        let (w, dp) = (self.head.p(), self.dp());
        self.each(|i, j| w.at(i, j) * (dp.at(i, j) - subtracted(i)))
    }
}

fn against_differences(run: &dyn Fn(&Probe, &mut Gradients), seed: u64) -> gradcheck::Report {
    let head = &probes(seed + 1)[0].head;
    let with = |v: &[Vec<f64>]| Head {
        q: v[0].clone(),
        k: v[1].clone(),
        v: v[2].clone(),
        ..*head
    };
    let shape = [head.steps, head.width];
    Check::new("causal attention")
        .input("q", &shape, head.q.clone())
        .input("k", &shape, head.k.clone())
        .input("v", &shape, head.v.clone())
        .seed(seed)
        .run(
            |v| with(v).output(),
            |v, dout| {
                let mut answer = Gradients::zeros(head);
                let probe = Probe {
                    head: with(v),
                    dout: dout.to_vec(),
                };
                run(&probe, &mut answer);
                vec![answer.dq, answer.dk, answer.dv]
            },
        )
}

#[cfg(test)]
mod tests;
