use super::*;
use judge::testing::{named, passes};

/// With loops over indices; `add` is what stands for `+=`.
fn looped(
    (dy, a, b): (&[f64], &[f64], &[f64]),
    [m, k, n]: [usize; 3],
    add: fn(&mut f64, f64),
) -> (Vec<f64>, Vec<f64>) {
    let (mut da, mut db) = (vec![0.0; m * k], vec![0.0; k * n]);
    for i in 0..m {
        for p in 0..k {
            for j in 0..n {
                add(&mut da[i * k + p], dy[i * n + j] * b[p * n + j]);
                add(&mut db[p * n + j], a[i * k + p] * dy[i * n + j]);
            }
        }
    }
    (da, db)
}

fn right(dy: &[f64], a: &[f64], b: &[f64], sizes: [usize; 3]) -> (Vec<f64>, Vec<f64>) {
    looped((dy, a, b), sizes, |sum, term| *sum += term)
}

#[test]
fn the_right_products_pass() {
    passes(3, |seed| report(&right, seed));
}

#[test]
fn what_is_typed_wrongly_is_named() {
    let typed: [(&str, Candidate<'_>); 4] = [
        ("da: overwritten", &|dy, a, b, s| {
            looped((dy, a, b), s, |sum, term| *sum = term)
        }),
        ("da: swapped", &|dy, a, b, s| {
            let (da, db) = right(dy, a, b, s);
            (db, da)
        }),
        ("db: zero", &|dy, a, b, s| {
            (right(dy, a, b, s).0, vec![0.0; b.len()])
        }),
        ("da: transposed", &|dy, a, b, s| {
            let (da, db) = right(dy, a, b, s);
            (Array::new(&s[..2], da).t().into(), db)
        }),
    ];
    named(&typed, report);
}
