//! Checks the exercise `review_saved`: a backward pass that reads what was saved, and writes over
//! what it still needs.

use crate::arrays::Array;
use crate::batch::{BATCH, Batch};
use gradcheck::attribution::norm::{Target, explain};
use judge::{Formulas, Found, Order, Part, exercise, found, slips};

exercise! {
    /// `(dy, x, gamma, mean, save_var)` of one channel to `dx` and `dgamma`.
    check(backward: Fn(&[f64], &[f64], f64, f64, f64) -> (Vec<f64>, f64)),
    right: "both gradients are right: rstd is read as it was saved, and dy as it came",
    parts: [part() => |b, answer| channels(backward, b, answer)],
}

/// What the patch adds to what was saved.
const EPS: f64 = 1e-5;

/// Every channel by itself.
fn channels(backward: Candidate<'_>, b: &Batch, answer: &mut Found) {
    let (rows, columns) = (b.rows(), b.columns());
    let (x, dy, rstd) = (b.x(), b.dy(), b.rstd().values());
    let mut dx = vec![0.0; rows * columns];
    let mut dgamma = Vec::new();
    for c in 0..columns {
        let column = |table: &Array| (0..rows).map(|n| table.at(n, c)).collect::<Vec<f64>>();
        let x = column(&x);
        let mean = x.iter().sum::<f64>() / rows as f64;
        let (of_x, of_gamma) = backward(&column(&dy), &x, b.probe.gamma[c], mean, rstd[c]);
        dgamma.push(of_gamma);
        if of_x.len() != rows {
            // A channel of another length must not be made up for by the next.
            dx = of_x;
            break;
        }
        for (n, value) in of_x.into_iter().enumerate() {
            dx[n * columns + c] = value;
        }
    }
    answer.set("dx", dx);
    answer.set("dgamma", dgamma);
}

/// `rstd` and `x_hat`, when what was saved is taken for a variance.
fn read_twice(b: &Batch) -> (Array, Array) {
    let rstd = b.rstd().map(|saved| 1.0 / (saved + EPS).sqrt());
    let x_hat = (b.x() - b.x().mean(0)) * &rstd;
    (rstd, x_hat)
}

fn closed(b: &Batch, (rstd, x_hat): (Array, Array)) -> Array {
    let along = (b.dy() * &x_hat).mean(0);
    (b.dy() - b.dy().mean(0) - x_hat * along) * rstd * &b.probe.gamma
}

const OF_DX: Formulas<Batch, Array> = slips![
    "shipped: dx is as the patch had it. With an upstream gradient of ones it is zero, as it should be, and with others it is wrong" =>
        |b| closed(b, read_twice(b)),
];

const OF_DGAMMA: Formulas<Batch, Array> = slips![
    "shipped-too: dgamma is as the patch had it. With an upstream gradient of ones it is zero, as it should be, and with others it is wrong" =>
        |b| (closed(b, read_twice(b)) * read_twice(b).1).sum(0),
    "still-overwritten: dgamma is summed over a buffer that holds dx by then" =>
        |b| (b.table(&b.probe.dx()) * b.x_hat()).sum(0),
    "still-read-twice: dgamma is summed with an x_hat that is not the one of the forward pass" =>
        |b| (b.dy() * read_twice(b).1).sum(0),
];

fn part() -> Part<Batch, Found> {
    let closed_form = BATCH.sections.closed;
    Part::<_, Found>::new("backward", Order::Together, |seed| BATCH.batches(seed))
        .asks(found!("dx"), closed_form, BATCH.axes, |b| b.probe.dx())
        .formulas(&["dx"], OF_DX)
        .asks(
            found!("dgamma"),
            BATCH.sections.parameters,
            BATCH.parameters(),
            |b| b.probe.dgamma(),
        )
        .formulas(&["dgamma"], OF_DGAMMA)
        .sums("all examples use it", |b| (b.dy() * b.x_hat()).terms(0))
        .attributed_by(|b, found, target| {
            let target = if target == "dx" {
                Target::Dx
            } else {
                Target::Dgamma
            };
            Some(explain(&b.probe, target, found))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use judge::testing::{named, passes};

    /// The patch, with each of its two faults or without, on one channel.
    fn patched([twice, late]: [bool; 2], dy: &[f64], x: &[f64], of: [f64; 3]) -> (Vec<f64>, f64) {
        let [gamma, mean, saved] = of;
        let n = dy.len() as f64;
        let rstd = if twice {
            1.0 / (saved + EPS).sqrt()
        } else {
            saved
        };
        let x_hat: Vec<f64> = x.iter().map(|x| (x - mean) * rstd).collect();
        let product = |a: &[f64]| a.iter().zip(&x_hat).map(|(a, h)| a * h).sum::<f64>();
        let (plain, along) = (dy.iter().sum::<f64>() / n, product(dy) / n);
        let element = |(dy, h): (&f64, &f64)| gamma * rstd * (dy - plain - h * along);
        let dx: Vec<f64> = dy.iter().zip(&x_hat).map(element).collect();
        let dgamma = product(if late { &dx } else { dy });
        (dx, dgamma)
    }

    fn reviewed(faults: [bool; 2], seed: u64) -> crate::Report {
        report(
            &|dy, x, gamma, mean, saved| patched(faults, dy, x, [gamma, mean, saved]),
            seed,
        )
    }

    #[test]
    fn each_fault_is_known_and_both_mended_pass() {
        passes(2, |seed| reviewed([false, false], seed));
        let typed: &[(&str, [bool; 2])] = &[
            ("dx: shipped", [true, true]),
            ("dx: shipped", [true, false]),
            ("dgamma: still-overwritten", [false, true]),
        ];
        named(typed, reviewed);
    }
}
