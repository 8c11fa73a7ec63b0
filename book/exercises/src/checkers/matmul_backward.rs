//! Checks the exercise `matmul_backward`.

use crate::Report;
use crate::compare::{compare_all, heatmap, unusable};
use crate::engine::Checker;
use crate::gradients;
use crate::harness;
use crate::known::Known;
use crate::mistake::{self, Mistake, find, listed};
use gradcheck::Check;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::process::ExitCode;

const NAME: &str = "matmul_backward";

/// `(dy, a, b, [m, k, n])` to `(da, db)`.
pub type Candidate<'a> = &'a dyn Fn(&[f64], &[f64], &[f64], [usize; 3]) -> (Vec<f64>, Vec<f64>);

/// Checks `candidate` and prints the report.
pub fn check(
    candidate: impl Fn(&[f64], &[f64], &[f64], [usize; 3]) -> (Vec<f64>, Vec<f64>),
) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

struct Probe {
    sizes: [usize; 3],
    a: Vec<f64>,
    b: Vec<f64>,
    dy: Vec<f64>,
}

/// The last one is square: there every wrong transpose has the right length.
fn probes(seed: u64) -> Vec<Probe> {
    let rng = &mut StdRng::seed_from_u64(seed);
    [[2, 3, 4], [4, 2, 3], [1, 5, 2], [3, 3, 3]]
        .map(|[m, k, n]| {
            let mut draw = |count| (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
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

fn right(p: &Probe, target: &str) -> Vec<f64> {
    match target {
        "da" => right_da(p),
        _ => right_db(p),
    }
}

fn ones(p: &Probe) -> Probe {
    Probe {
        sizes: p.sizes,
        a: p.a.clone(),
        b: p.b.clone(),
        dy: vec![1.0; p.dy.len()],
    }
}

const SECTION: &str = "sec:product-backward";

const MISTAKES: &[Mistake<Probe>] = &[
    Mistake {
        targets: &["da"],
        id: "transposed-result",
        sentence: "it is the transpose of the right one: the elements stand at [p, i], and must stand at [i, p]",
        section: SECTION,
        wrong: |p, _| transposed(&right_da(p), p.sizes[0], p.sizes[1]),
    },
    Mistake {
        targets: &["da"],
        id: "first-column-only",
        sentence: "only the first element of each row of dY is used: A[i, p] enters every element of row i",
        section: SECTION,
        wrong: |p, _| {
            let [m, k, n] = p.sizes;
            (0..m * k)
                .map(|at| p.dy[at / k * n] * p.b[at % k * n])
                .collect()
        },
    },
    Mistake {
        targets: &["da"],
        id: "averaged",
        sentence: "the sum over j is divided by n: A[i, p] receives a sum",
        section: SECTION,
        wrong: |p, _| right_da(p).iter().map(|v| v / p.sizes[2] as f64).collect(),
    },
    Mistake {
        targets: &["db"],
        id: "transposed-result",
        sentence: "it is the transpose of the right one: the elements stand at [j, p], and must stand at [p, j]",
        section: SECTION,
        wrong: |p, _| transposed(&right_db(p), p.sizes[1], p.sizes[2]),
    },
    Mistake {
        targets: &["db"],
        id: "first-row-only",
        sentence: "only the first row of dY is used: B[p, j] enters every element of column j",
        section: SECTION,
        wrong: |p, _| {
            let [_, k, n] = p.sizes;
            (0..k * n).map(|at| p.a[at / n] * p.dy[at % n]).collect()
        },
    },
    Mistake {
        targets: &["db"],
        id: "averaged",
        sentence: "the sum over the rows is divided by m: B[p, j] receives a sum",
        section: SECTION,
        wrong: |p, _| right_db(p).iter().map(|v| v / p.sizes[0] as f64).collect(),
    },
    Mistake {
        targets: &["da", "db"],
        id: "dy-ignored",
        sentence: "dY is not used: this is the gradient for a dY of ones",
        section: SECTION,
        wrong: |p, target| right(&ones(p), target),
    },
    Mistake {
        targets: &["da", "db"],
        id: "sign",
        sentence: "it has the wrong sign",
        section: SECTION,
        wrong: |p, target| right(p, target).iter().map(|v| -v).collect(),
    },
    Mistake {
        targets: &["da", "db"],
        id: "zero",
        sentence: "it is zero everywhere",
        section: SECTION,
        wrong: |p, target| vec![0.0; right(p, target).len()],
    },
    Mistake {
        targets: &["da"],
        id: "b-not-transposed",
        sentence: "B is read as if its rows were its columns: at [j, p] where [p, j] is meant",
        section: SECTION,
        wrong: |p, _| {
            let [m, k, n] = p.sizes;
            product(&p.dy, &p.b, [m, n, k])
        },
    },
    Mistake {
        targets: &["db"],
        id: "a-not-transposed",
        sentence: "A is read as if its rows were its columns: at [p, i] where [i, p] is meant",
        section: SECTION,
        wrong: |p, _| {
            let [m, k, n] = p.sizes;
            product(&p.a, &p.dy, [k, m, n])
        },
    },
];

/// The mistakes that this checker knows.
fn known() -> Vec<Known> {
    listed(NAME, MISTAKES)
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Listed(known())
}

/// The report on `candidate`, from random matrices of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let probes = probes(seed);
    let found: Vec<[Vec<f64>; 2]> = probes
        .iter()
        .map(|p| {
            let (da, db) = candidate(&p.dy, &p.a, &p.b, p.sizes);
            [da, db]
        })
        .collect();
    let (lines, first) = compare_all(&[(0, "da"), (1, "db")], probes.len(), |(which, name), k| {
        let title = format!("{name}, {:?}", probes[k].sizes);
        (title, right(&probes[k], name), &found[k][which])
    });
    let Some(((which, name), k, expected)) = first else {
        let p = &probes[0];
        let [m, inner, n] = p.sizes;
        let checked = Check::new("A B")
            .input("A", &[m, inner], p.a.clone())
            .input("B", &[inner, n], p.b.clone())
            .seed(seed)
            .run(
                |v| product(&v[0], &v[1], p.sizes),
                |v, dy| {
                    let (da, db) = candidate(dy, &v[0], &v[1], p.sizes);
                    vec![da, db]
                },
            );
        return gradients::settled(
            NAME,
            lines,
            checked.passed(),
            "both gradients are right, and finite differences confirm them",
            gradients::APART,
        );
    };
    let mut values = probes.iter().zip(found.iter().map(|f| &f[which][..]));
    let known = find(MISTAKES, name, values.clone());
    let broken = values.find_map(|(p, f)| {
        let (count, shape) = if which == 0 {
            (p.a.len(), "[m, k]")
        } else {
            (p.b.len(), "[k, n]")
        };
        unusable(name, count, f, shape)
    });
    let sizes @ [m, inner, n] = probes[k].sizes;
    let otherwise = format!("{name} is wrong for the sizes {sizes:?}");
    let mut report = mistake::report(NAME, name, known, broken, otherwise);
    report.lines = lines;
    let (rows, columns) = if which == 0 { (m, inner) } else { (inner, n) };
    report.heatmap = heatmap(name, rows, columns, &expected, &found[k][which]);
    report
}

#[cfg(test)]
mod tests;
