//! Checks the exercise `matmul_backward`.

use crate::arrays::{Array, Draws};
use judge::{Axis, Differences, Found, Mistake, Order, Part, case, exercise, found, slips};

exercise! {
    /// `(dy, a, b, [m, k, n])` to `(da, db)`.
    check(backward: Fn(&[f64], &[f64], &[f64], [usize; 3]) -> (Vec<f64>, Vec<f64>)),
    right: "both gradients are right, and finite differences confirm them",
    parts: [part() => |p, answer| {
        let [dy, a, b] = [&p.dy, &p.a, &p.b].map(Array::values);
        let (da, db) = backward(&dy, &a, &b, p.sizes);
        answer.set("da", da);
        answer.set("db", db);
    }],
}

#[derive(Clone)]
struct Probe {
    sizes: [usize; 3],
    a: Array,
    b: Array,
    dy: Array,
}

case!(
    Probe,
    |p| format!("A {:?} and B {:?}", p.a.shape(), p.b.shape()),
    sizes: ["m": p.sizes[0], "k": p.sizes[1], "n": p.sizes[2]],
);

/// The last one is square: there every wrong transpose has the right length.
fn probes(seed: u64) -> Vec<Probe> {
    let draws = &mut Draws::new(seed);
    let probe = |[m, k, n]: [usize; 3]| Probe {
        sizes: [m, k, n],
        a: draws.array([m, k], -1.0..1.0),
        b: draws.array([k, n], -1.0..1.0),
        dy: draws.array([m, n], -1.0..1.0),
    };
    [[2, 3, 4], [4, 2, 3], [1, 5, 2], [3, 3, 3]]
        .map(probe)
        .into()
}

impl Probe {
    fn of(&self, target: &str, dy: &Array) -> Vec<f64> {
        match target {
            "da" => dy.dot(&self.b.t()).into(),
            _ => self.a.t().dot(dy).into(),
        }
    }

    /// dY at `[i, 0, j]`, as the three loops meet it.
    fn dy_at_each_p(&self) -> Array {
        let [m, _, n] = self.sizes;
        self.dy.reshaped([m, 1, n])
    }
}

const SECTION: &str = "sec:product-backward";
const OF_A: &[Axis] = &[Axis("m", "row"), Axis("k", "column")];
const OF_B: &[Axis] = &[Axis("k", "row"), Axis("n", "column")];

fn part() -> Part<Probe, Found> {
    Part::new("backward", Order::Together, probes)
        .asks(found!("da"), SECTION, OF_A, |p| p.of("da", &p.dy))
        .sums("A[i, p] enters every element of row i of Y", |p| {
            (p.dy_at_each_p() * &p.b).terms(2)
        })
        .mistakes(&["da"], DA)
        .asks(found!("db"), SECTION, OF_B, |p| p.of("db", &p.dy))
        .sums("B[p, j] enters every element of column j of Y", |p| {
            let [m, k, _] = p.sizes;
            (p.a.reshaped([m, k, 1]) * p.dy_at_each_p()).terms(0)
        })
        .mistakes(&["db"], DB)
        .mistakes(&["da", "db"], BOTH)
        .differentiates(Differences {
            name: "A B",
            case: |seed| probes(seed + 1).swap_remove(0),
            inputs: vec![("A", |p| p.a.values_mut()), ("B", |p| p.b.values_mut())],
            dy: |p| p.dy.values_mut(),
            y: |p| p.a.dot(&p.b).into(),
        })
}

const DA: &[Mistake<Probe>] = slips![
    "b-not-transposed: B is read as if its rows were its columns: at [j, p] where [p, j] is meant" =>
        |p, _| {
            let [_, k, n] = p.sizes;
            p.dy.dot(&p.b.reshaped([n, k])).into()
        },
];

const DB: &[Mistake<Probe>] = slips![
    "a-not-transposed: A is read as if its rows were its columns: at [p, i] where [i, p] is meant" =>
        |p, _| {
            let [m, k, _] = p.sizes;
            p.a.reshaped([k, m]).dot(&p.dy).into()
        },
];

const BOTH: &[Mistake<Probe>] = slips![
    "dy-ignored: dY is not used: this is the gradient for a dY of ones" =>
        |p, target| p.of(target, &p.dy.filled(1.0)),
    "swapped: this is the gradient of the other matrix: the pair is (dA, dB), in this order" =>
        |p, target| p.of(if target == "da" { "db" } else { "da" }, &p.dy),
];

#[cfg(test)]
mod tests;
