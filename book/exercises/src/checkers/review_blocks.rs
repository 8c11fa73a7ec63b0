//! Checks the exercise `review_blocks`: sums over blocks of rows, of which the last may be short.

use crate::arrays::Array;
use crate::batch::{Batch, LAYER};
use gradcheck::attribution::norm::{Target, explain};
use judge::{Formulas, Order, Part, exercise, field, slips};

exercise! {
    /// `(dy, x_hat, d)` to `dgamma`.
    check(dgamma: Fn(&[f64], &[f64], usize) -> Vec<f64>),
    right: "every row is in the sum, whether the blocks come out even or not",
    parts: [
        uneven() => |b, answer| *answer = dgamma(&b.probe.dy, &b.probe.x_hat(), b.columns()),
        even() => |b, answer| *answer = dgamma(&b.probe.dy, &b.probe.x_hat(), b.columns()),
    ],
}

/// Rows in a block, as the patch has it.
const BLOCK: usize = 4;
const SECTION: &str = "sec:ln-parameters";

const SHIPPED: Formulas<Batch, Array> = slips![
    "shipped: the fault is still there. With rows that fill whole blocks this dgamma is right, and with others it is wrong" =>
        |b| terms(b).rows(&(0..b.rows() / BLOCK * BLOCK).collect::<Vec<usize>>()).sum(0),
];

fn uneven() -> Part<Batch, Vec<f64>> {
    part(
        "blocks that do not come out even",
        &[[5, 6], [7, 4], [10, 3]],
    )
    .formulas_in(SECTION, &["dgamma"], SHIPPED)
}

fn even() -> Part<Batch, Vec<f64>> {
    part("whole blocks", &[[8, 3], [4, 6]])
}

fn terms(b: &Batch) -> Array {
    b.dy() * b.x_hat()
}

fn part(name: &'static str, shapes: &'static [[usize; 2]]) -> Part<Batch, Vec<f64>> {
    let cases = move |seed: u64| -> Vec<Batch> {
        let numbered = shapes.iter().zip(seed * 100..);
        numbered
            .map(|(shape, seed)| LAYER.batch(*shape, 1e-3, seed))
            .collect()
    };
    Part::<_, Vec<f64>>::new(name, Order::Together, cases)
        .target(
            "dgamma",
            SECTION,
            LAYER.parameters(),
            |b| b.probe.dgamma(),
            field!(),
        )
        .sums("all rows use it", |b| terms(b).terms(0))
        .attributed_by(|b, found, _| Some(explain(&b.probe, Target::Dgamma, found)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use judge::testing::{named, passes};

    /// The patch, with a number of places.
    fn patched(places: fn(usize) -> usize) -> impl Fn(&[f64], &[f64], usize) -> Vec<f64> {
        move |dy, x_hat, d| {
            let mut parts = vec![vec![0.0; d]; places(dy.len() / d)];
            for (k, (dy, x_hat)) in dy.iter().zip(x_hat).enumerate() {
                if let Some(part) = parts.get_mut(k / d / BLOCK) {
                    part[k % d] += dy * x_hat;
                }
            }
            (0..d)
                .map(|i| parts.iter().map(|part| part[i]).sum())
                .collect()
        }
    }

    #[test]
    fn enough_places_pass_and_the_patch_as_it_came_is_known() {
        passes(2, |seed| {
            report(&patched(|rows| rows.div_ceil(BLOCK)), seed)
        });
        passes(2, |seed| report(&patched(|rows| rows / BLOCK + 1), seed));
        type Places = fn(usize) -> usize;
        let typed: &[(&str, Places)] = &[("dgamma: shipped", |rows| rows / BLOCK)];
        named(typed, |places, seed| report(&patched(places), seed));
    }
}
