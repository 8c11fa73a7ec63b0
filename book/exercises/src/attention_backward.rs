//! Checks the exercise `attention_backward`.

use crate::Report;
use crate::compare::{compare_all, heatmap, unusable};
use crate::gradients;
use crate::harness;
use crate::known::Known;
use crate::mistake::{self, Mistake, find, listed};
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

    fn get(&self, name: &str) -> &[f64] {
        match name {
            "dq" => &self.dq,
            "dk" => &self.dk,
            _ => &self.dv,
        }
    }
}

/// `(head, dO)` to the gradients.
pub type Candidate<'a> = &'a dyn Fn(&Head, &[f64]) -> Gradients;

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(&Head, &[f64]) -> Gradients) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

/// A head, and what is given backward.
struct Probe {
    head: Head,
    dout: Vec<f64>,
}

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

    fn map2(&self, other: &Rows, f: impl Fn(f64, f64) -> f64) -> Self {
        Rows::made(self.rows(), self.columns, |i, j| {
            f(self.at(i, j), other.at(i, j))
        })
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

    /// P with the scores multiplied by `scale`.
    fn weights(&self, scale: f64, causal: bool) -> Rows {
        let s = self.rows(&self.q).times(&self.rows(&self.k).t());
        let seen = |i: usize| if causal { i + 1 } else { self.steps };
        let e = |i: usize, j: usize| {
            if j < seen(i) {
                (scale * s.at(i, j)).exp()
            } else {
                0.0
            }
        };
        Rows::made(self.steps, self.steps, |i, j| {
            e(i, j) / (0..self.steps).map(|k| e(i, k)).sum::<f64>()
        })
    }

    fn p(&self) -> Rows {
        self.weights(self.scale(), true)
    }

    fn output(&self) -> Vec<f64> {
        self.p().times(&self.rows(&self.v)).data
    }
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

    /// The gradient of the scores, from these weights.
    fn ds_of(&self, p: &Rows) -> Rows {
        let dp = self.dp();
        let along = |i: usize| -> f64 { (0..p.columns).map(|k| dp.at(i, k) * p.at(i, k)).sum() };
        Rows::made(p.rows(), p.columns, |i, j| {
            p.at(i, j) * (dp.at(i, j) - along(i))
        })
    }

    fn ds(&self) -> Rows {
        self.ds_of(&self.head.p())
    }

    /// `dq` or `dk` from a gradient of the scores.
    fn side(&self, name: &str, ds: &Rows, scale: f64) -> Vec<f64> {
        match name {
            "dq" => ds.times(&self.k()).scaled(scale),
            _ => ds.t().times(&self.q()).scaled(scale),
        }
    }

    /// The same with the sides of the scores confused.
    fn swapped(&self, name: &str) -> Vec<f64> {
        let other = if name == "dq" { "dk" } else { "dq" };
        self.side(other, &self.ds(), self.head.scale())
    }
}

/// A gradient, and how the right one is computed.
type Target = (&'static str, fn(&Probe) -> Vec<f64>);

const TARGETS: [Target; 3] = [
    ("dv", |p| p.head.p().t().times(&p.dout()).data),
    ("dq", |p| p.side("dq", &p.ds(), p.head.scale())),
    ("dk", |p| p.side("dk", &p.ds(), p.head.scale())),
];

const FORWARD: &str = "sec:attention";
const BACKWARD: &str = "sec:attention-backward";

/// The two sides of the scores.
const SIDES: &[&str] = &["dq", "dk"];

const MISTAKES: &[Mistake<Probe>] = &[
    Mistake {
        targets: &["dv"],
        id: "transposed",
        sentence: "it is P dO, and must be Pᵀ dO: value j is used by the positions i that look at it, so the sum runs down a column of P",
        section: BACKWARD,
        wrong: |p, _| p.head.p().times(&p.dout()).data,
    },
    Mistake {
        targets: &["dv"],
        id: "weights-forgotten",
        sentence: "the weights are missing: it is dO as it came",
        section: BACKWARD,
        wrong: |p, _| p.dout.clone(),
    },
    Mistake {
        targets: &["dv"],
        id: "mask-ignored",
        sentence: "the mask is ignored: row i of the softmax runs over the positions j ≤ i only",
        section: FORWARD,
        wrong: |p, _| {
            let weights = p.head.weights(p.head.scale(), false);
            weights.t().times(&p.dout()).data
        },
    },
    Mistake {
        targets: &["dv"],
        id: "scale-forgotten",
        sentence: "the scores are not divided by the root of d before the softmax",
        section: FORWARD,
        wrong: |p, _| p.head.weights(1.0, true).t().times(&p.dout()).data,
    },
    Mistake {
        targets: &["dv"],
        id: "scale-by-d",
        sentence: "the scores are divided by d before the softmax, and must be by its root",
        section: FORWARD,
        wrong: |p, _| {
            let scale = 1.0 / p.head.width as f64;
            p.head.weights(scale, true).t().times(&p.dout()).data
        },
    },
    Mistake {
        targets: &["dv"],
        id: "scores-for-weights",
        sentence: "it is made of the scores, and must be of the weights P",
        section: BACKWARD,
        wrong: |p, _| {
            let s = p.q().times(&p.k().t());
            let s = Rows::made(p.head.steps, p.head.steps, |i, j| {
                if j <= i {
                    s.at(i, j) * p.head.scale()
                } else {
                    0.0
                }
            });
            s.t().times(&p.dout()).data
        },
    },
    Mistake {
        targets: SIDES,
        id: "scale-forgotten",
        sentence: "the factor 1/√d is missing: the scores are QKᵀ/√d, so it stands on the way back too",
        section: BACKWARD,
        wrong: |p, target| p.side(target, &p.ds(), 1.0),
    },
    Mistake {
        targets: SIDES,
        id: "scale-twice",
        sentence: "the factor 1/√d is there twice: once in dS and once more",
        section: BACKWARD,
        wrong: |p, target| p.side(target, &p.ds(), p.head.scale() * p.head.scale()),
    },
    Mistake {
        targets: SIDES,
        id: "row-sum-missing",
        sentence: "the sum over the row is missing in the softmax: all weights of a row share one denominator",
        section: BACKWARD,
        wrong: |p, target| {
            p.side(
                target,
                &p.head.p().map2(&p.dp(), |p, dp| p * dp),
                p.head.scale(),
            )
        },
    },
    Mistake {
        targets: SIDES,
        id: "column-sum",
        sentence: "the sum in the softmax runs down a column, and must run along the row",
        section: BACKWARD,
        wrong: |p, target| {
            let (w, dp) = (p.head.p(), p.dp());
            let down = |j: usize| -> f64 { (0..w.rows()).map(|i| dp.at(i, j) * w.at(i, j)).sum() };
            let ds = Rows::made(w.rows(), w.columns, |i, j| {
                w.at(i, j) * (dp.at(i, j) - down(j))
            });
            p.side(target, &ds, p.head.scale())
        },
    },
    Mistake {
        targets: SIDES,
        id: "plain-mean",
        sentence: "the softmax subtracts the plain mean of dP over the row, and must weigh it with P",
        section: BACKWARD,
        wrong: |p, target| {
            let (w, dp) = (p.head.p(), p.dp());
            let ds = Rows::made(w.rows(), w.columns, |i, j| {
                let mean = (0..=i).map(|k| dp.at(i, k)).sum::<f64>() / (i + 1) as f64;
                w.at(i, j) * (dp.at(i, j) - mean)
            });
            p.side(target, &ds, p.head.scale())
        },
    },
    Mistake {
        targets: SIDES,
        id: "weight-forgotten",
        sentence: "the factor P is missing in front of the softmax's bracket",
        section: BACKWARD,
        wrong: |p, target| {
            let (w, dp) = (p.head.p(), p.dp());
            let ds = Rows::made(w.rows(), w.columns, |i, j| {
                let along: f64 = (0..=i).map(|k| dp.at(i, k) * w.at(i, k)).sum();
                if j <= i { dp.at(i, j) - along } else { 0.0 }
            });
            p.side(target, &ds, p.head.scale())
        },
    },
    Mistake {
        targets: SIDES,
        id: "softmax-skipped",
        sentence: "it is made of dP: the softmax stands between the weights and the scores",
        section: BACKWARD,
        wrong: |p, target| p.side(target, &p.dp(), p.head.scale()),
    },
    Mistake {
        targets: SIDES,
        id: "sides-swapped",
        sentence: "dQ and dK are swapped: dQ is made of the keys, dK of the queries",
        section: BACKWARD,
        wrong: |p, target| p.swapped(target),
    },
    Mistake {
        targets: SIDES,
        id: "transposed",
        sentence: "dS is transposed: a query owns a row of the scores, a key owns a column",
        section: BACKWARD,
        wrong: |p, target| p.side(target, &p.ds().t(), p.head.scale()),
    },
    Mistake {
        targets: SIDES,
        id: "own-side",
        sentence: "it is made of its own side: the partner in the product is the other one",
        section: BACKWARD,
        wrong: |p, target| match target {
            "dq" => p.ds().times(&p.q()).scaled(p.head.scale()),
            _ => p.ds().t().times(&p.k()).scaled(p.head.scale()),
        },
    },
    Mistake {
        targets: SIDES,
        id: "mask-ignored",
        sentence: "the mask is ignored: row i of the softmax runs over the positions j ≤ i only",
        section: FORWARD,
        wrong: |p, target| {
            let weights = p.head.weights(p.head.scale(), false);
            p.side(target, &p.ds_of(&weights), p.head.scale())
        },
    },
    Mistake {
        targets: SIDES,
        id: "zero",
        sentence: "it is zero everywhere",
        section: BACKWARD,
        wrong: |p, _| vec![0.0; p.dout.len()],
    },
];

/// The mistakes that this checker knows.
pub(crate) fn known() -> Vec<Known> {
    listed(NAME, MISTAKES)
}

/// The report on `candidate`, from random heads of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let probes = probes(seed);
    let found: Vec<Gradients> = probes.iter().map(|p| candidate(&p.head, &p.dout)).collect();
    let (lines, first) = compare_all(&TARGETS, probes.len(), |(name, right), at| {
        let Head { steps, width, .. } = probes[at].head;
        let title = format!("{name}, {steps} positions of {width} features");
        (title, right(&probes[at]), found[at].get(name))
    });
    let Some(((name, _), at, expected)) = first else {
        return confirmed(candidate, seed, lines);
    };
    let known = find(
        MISTAKES,
        name,
        probes.iter().zip(found.iter().map(|g| g.get(name))),
    );
    let values = found[at].get(name);
    let unusable = unusable(name, expected.len(), values, "[T, d]");
    let otherwise = format!("{name} is wrong");
    let mut report = mistake::report(NAME, name, known, unusable, otherwise);
    report.lines = lines;
    let Head { steps, width, .. } = probes[at].head;
    report.heatmap = heatmap(name, steps, width, &expected, values);
    report
}

/// All is right: so say finite differences too.
fn confirmed(candidate: Candidate<'_>, seed: u64, lines: Vec<crate::Line>) -> Report {
    let head = &probes(seed + 1)[0].head;
    let with = |v: &[Vec<f64>]| Head {
        q: v[0].clone(),
        k: v[1].clone(),
        v: v[2].clone(),
        ..*head
    };
    let shape = [head.steps, head.width];
    let checked = Check::new("causal attention")
        .input("q", &shape, head.q.clone())
        .input("k", &shape, head.k.clone())
        .input("v", &shape, head.v.clone())
        .seed(seed)
        .run(
            |v| with(v).output(),
            |v, dout| {
                let Gradients { dq, dk, dv } = candidate(&with(v), dout);
                vec![dq, dk, dv]
            },
        );
    gradients::settled(
        NAME,
        lines,
        checked.passed(),
        "dq, dk and dv are right, and finite differences confirm them",
        gradients::APART,
    )
}

#[cfg(test)]
mod tests;
