//! Checks the exercise `matmul_backward`.

use crate::engine::{Axis, Case, Mistake, Order, Part, Terms, exercise, field, numbers};
use gradcheck::Check;
use rand::SeedableRng;
use rand::rngs::StdRng;

exercise! {
    /// `(dy, a, b, [m, k, n])` to `(da, db)`.
    check(backward: Fn(&[f64], &[f64], &[f64], [usize; 3]) -> (Vec<f64>, Vec<f64>)),
    right: "both gradients are right, and finite differences confirm them",
    parts: [part() => |p, answer| (answer.da, answer.db) = backward(&p.dy, &p.a, &p.b, p.sizes)],
}

/// What the reader returns.
#[derive(Default)]
struct Gradients {
    da: Vec<f64>,
    db: Vec<f64>,
}

struct Probe {
    sizes: [usize; 3],
    a: Vec<f64>,
    b: Vec<f64>,
    dy: Vec<f64>,
}

impl Case for Probe {
    fn title(&self) -> String {
        let [m, k, n] = self.sizes;
        format!("A [{m}, {k}] and B [{k}, {n}]")
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        let [m, k, n] = self.sizes;
        vec![("m", m), ("k", k), ("n", n)]
    }
}

/// The last one is square: there every wrong transpose has the right length.
fn probes(seed: u64) -> Vec<Probe> {
    let rng = &mut StdRng::seed_from_u64(seed);
    [[2, 3, 4], [4, 2, 3], [1, 5, 2], [3, 3, 3]]
        .map(|[m, k, n]| {
            let mut draw = |count| numbers(rng, count, -1.0..1.0);
            Probe {
                sizes: [m, k, n],
                a: draw(m * k),
                b: draw(k * n),
                dy: draw(m * n),
            }
        })
        .into()
}

fn product(a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> Vec<f64> {
    let mut y = vec![0.0; m * n];
    for i in 0..m {
        for j in 0..n {
            y[i * n + j] = (0..k).map(|p| a[i * k + p] * b[p * n + j]).sum();
        }
    }
    y
}

/// `[m, n]` to `[n, m]`.
fn transposed(a: &[f64], m: usize, n: usize) -> Vec<f64> {
    (0..m * n).map(|at| a[at % m * n + at / m]).collect()
}

fn right_da(p: &Probe) -> Vec<f64> {
    let [m, k, n] = p.sizes;
    product(&p.dy, &transposed(&p.b, k, n), [m, n, k])
}

fn right_db(p: &Probe) -> Vec<f64> {
    let [m, k, n] = p.sizes;
    product(&transposed(&p.a, m, k), &p.dy, [k, m, n])
}

fn ones(p: &Probe) -> Probe {
    Probe {
        sizes: p.sizes,
        a: p.a.clone(),
        b: p.b.clone(),
        dy: vec![1.0; p.dy.len()],
    }
}

/// What the three loops add to `place(i, p, j)`.
fn terms(
    [m, k, n]: [usize; 3],
    place: impl Fn(usize, usize, usize) -> usize,
    term: impl Fn(usize, usize, usize) -> f64,
) -> Terms {
    let loops = (0..m * k * n).map(|at| (at / (k * n), at / n % k, at % n));
    loops
        .map(|(i, p, j)| (place(i, p, j), term(i, p, j)))
        .collect()
}

const SECTION: &str = "sec:product-backward";
const OF_A: &[Axis] = &[Axis("m", "row"), Axis("k", "column")];
const OF_B: &[Axis] = &[Axis("k", "row"), Axis("n", "column")];

fn part() -> Part<Probe, Gradients> {
    let blank = |_: &Probe| Gradients::default();
    Part::new("backward", Order::Together, probes, blank)
        .target("da", SECTION, OF_A, right_da, field!(da))
        .sums("A[i, p] enters every element of row i of Y", |c| {
            let [_, k, n] = c.sizes;
            let term = |i: usize, p: usize, j: usize| c.dy[i * n + j] * c.b[p * n + j];
            terms(c.sizes, |i, p, _| i * k + p, term)
        })
        .mistakes(&["da"], DA)
        .target("db", SECTION, OF_B, right_db, field!(db))
        .sums("B[p, j] enters every element of column j of Y", |c| {
            let [_, k, n] = c.sizes;
            let term = |i: usize, p: usize, j: usize| c.a[i * k + p] * c.dy[i * n + j];
            terms(c.sizes, |_, p, j| p * n + j, term)
        })
        .mistakes(&["db"], DB)
        .mistakes(&["da", "db"], BOTH)
        .numeric(against_differences)
}

const DA: &[Mistake<Probe>] = &[(
    "b-not-transposed: B is read as if its rows were its columns: at [j, p] where [p, j] is meant",
    |p, _| {
        let [m, k, n] = p.sizes;
        product(&p.dy, &p.b, [m, n, k])
    },
)];

const DB: &[Mistake<Probe>] = &[(
    "a-not-transposed: A is read as if its rows were its columns: at [p, i] where [i, p] is meant",
    |p, _| {
        let [m, k, n] = p.sizes;
        product(&p.a, &p.dy, [k, m, n])
    },
)];

const BOTH: &[Mistake<Probe>] = &[
    (
        "dy-ignored: dY is not used: this is the gradient for a dY of ones",
        |p, target| match target {
            "da" => right_da(&ones(p)),
            _ => right_db(&ones(p)),
        },
    ),
    (
        "swapped: this is the gradient of the other matrix: the pair is (dA, dB), in this order",
        |p, target| match target {
            "da" => right_db(p),
            _ => right_da(p),
        },
    ),
];

fn against_differences(run: &dyn Fn(&Probe, &mut Gradients), seed: u64) -> gradcheck::Report {
    let Probe { sizes, a, b, .. } = probes(seed + 1).swap_remove(0);
    let [m, k, n] = sizes;
    Check::new("A B")
        .input("A", &[m, k], a)
        .input("B", &[k, n], b)
        .seed(seed)
        .run(
            |v| product(&v[0], &v[1], sizes),
            |v, dy| {
                let mut answer = Gradients::default();
                let probe = Probe {
                    sizes,
                    a: v[0].clone(),
                    b: v[1].clone(),
                    dy: dy.to_vec(),
                };
                run(&probe, &mut answer);
                vec![answer.da, answer.db]
            },
        )
}

#[cfg(test)]
mod tests;
