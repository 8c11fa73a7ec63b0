use super::*;
use crate::mistake::{assert_named, every};

fn right(dy: &[f64], a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> (Vec<f64>, Vec<f64>) {
    let (mut da, mut db) = (vec![0.0; m * k], vec![0.0; k * n]);
    for i in 0..m {
        for p in 0..k {
            for j in 0..n {
                da[i * k + p] += dy[i * n + j] * b[p * n + j];
                db[p * n + j] += a[i * k + p] * dy[i * n + j];
            }
        }
    }
    (da, db)
}

#[test]
fn the_right_products_pass() {
    for seed in 0..20 {
        let report = report(&right, seed);
        assert!(report.passed(), "{report}");
    }
}

#[test]
fn every_mistake_is_named() {
    for seed in 0..20 {
        for (target, mistake) in every(MISTAKES) {
            let candidate = |dy: &[f64], a: &[f64], b: &[f64], sizes: [usize; 3]| {
                let probe = Probe {
                    sizes,
                    a: a.to_vec(),
                    b: b.to_vec(),
                    dy: dy.to_vec(),
                };
                let (da, db) = right(dy, a, b, sizes);
                let wrong = (mistake.wrong)(&probe, target);
                if target == "da" {
                    (wrong, db)
                } else {
                    (da, wrong)
                }
            };
            let report = report(&candidate, seed);
            assert_named(&report, seed, target, mistake);
        }
    }
}

#[test]
fn what_has_no_name_is_shown() {
    let short = report(&|dy, a, b, s| (vec![1.0], right(dy, a, b, s).1), 0);
    assert_eq!(short.mistake.as_deref(), Some("shape"));
    let nan = report(&|_, a, b, _| (vec![f64::NAN; a.len()], b.to_vec()), 0);
    assert_eq!(nan.mistake.as_deref(), Some("not-finite"));
    let doubled = report(
        &|dy, a, b, s| {
            (
                right(dy, a, b, s).0,
                right(dy, a, b, s).1.iter().map(|v| 2.0 * v).collect(),
            )
        },
        0,
    );
    assert_eq!(doubled.mistake.as_deref(), Some("unknown"));
    assert!(doubled.heatmap.is_some());
}
