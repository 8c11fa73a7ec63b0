use super::*;
use crate::Outcome;

/// The closed form, with the places at which a reader can go wrong taken as arguments.
#[derive(Clone, Copy)]
struct Slips {
    mean: f64,
    variance: f64,
    /// Gamma inside the two means, and after them.
    gamma: [bool; 2],
    rstd: i32,
    divisor: fn(f64, f64) -> f64,
    by_feature: bool,
}

const RIGHT: Slips = Slips {
    mean: 1.0,
    variance: 1.0,
    gamma: [true, false],
    rstd: 1,
    divisor: |d, _| d,
    by_feature: false,
};

fn gradients(
    s: &Slips,
    dy: &[f64],
    x_hat: &[f64],
    rstd: &[f64],
    gamma: &[f64],
    n: usize,
    d: usize,
) -> Gradients {
    let column = |f: &dyn Fn(usize) -> f64| -> Vec<f64> {
        (0..d).map(|i| (0..n).map(|r| f(r * d + i)).sum()).collect()
    };
    let row = |f: &dyn Fn(usize) -> f64| -> Vec<f64> {
        (0..n).map(|r| (r * d..(r + 1) * d).map(f).sum()).collect()
    };
    let inside = |k: usize| if s.gamma[0] { gamma[k % d] } else { 1.0 };
    let after = |k: usize| if s.gamma[1] { gamma[k % d] } else { 1.0 };
    let g = |k: usize| inside(k) * dy[k];
    let sums = |f: &dyn Fn(usize) -> f64| if s.by_feature { column(f) } else { row(f) };
    let (sum, product) = (sums(&g), sums(&|k| g(k) * x_hat[k]));
    let m = (s.divisor)(d as f64, n as f64);
    let dx = (0..n * d)
        .map(|k| {
            let at = if s.by_feature { k % d } else { k / d };
            let bracket = g(k) - s.mean * sum[at] / m - s.variance * x_hat[k] * product[at] / m;
            after(k) * rstd[k / d].powi(s.rstd) * bracket
        })
        .collect();
    Gradients {
        dx,
        dgamma: column(&|k| dy[k] * x_hat[k]),
        dbeta: column(&|k| dy[k]),
    }
}

const SEEDS: std::ops::Range<u64> = 0..6;

type Function = fn(&[f64], &[f64], &[f64], &[f64], usize, usize) -> Gradients;

/// Something done to the gradients of a batch of that many rows.
type Spoil = fn(&mut Gradients, usize);

/// The report on the closed form written with `slips`, spoilt by `spoil` in the end.
fn checked(slips: &Slips, spoil: Spoil, seed: u64) -> Report {
    let candidate = |dy: &[f64], x_hat: &[f64], rstd: &[f64], gamma: &[f64], n, d| {
        let mut gradients = gradients(slips, dy, x_hat, rstd, gamma, n, d);
        spoil(&mut gradients, n);
        gradients
    };
    report(&candidate, seed)
}

#[test]
fn what_is_right_passes() {
    for seed in SEEDS {
        let report = checked(&RIGHT, |_, _| (), seed);
        assert!(report.passed(), "{report}");
        let numeric = report.lines.last().unwrap();
        assert!(numeric.name == "finite differences" && numeric.right);
    }
}

#[test]
fn every_wrong_dx_is_named() {
    let both = "mean-path-and-variance-path";
    let transplanted = Slips {
        gamma: [false, true],
        by_feature: true,
        ..RIGHT
    };
    for (slips, id) in [
        (
            Slips {
                variance: 0.0,
                ..RIGHT
            },
            "variance-path-missing".to_owned(),
        ),
        (Slips { mean: 0.0, ..RIGHT }, "mean-path-missing".to_owned()),
        (
            Slips {
                variance: -1.0,
                ..RIGHT
            },
            "variance-path-sign".to_owned(),
        ),
        (
            Slips {
                mean: -1.0,
                ..RIGHT
            },
            "mean-path-sign".to_owned(),
        ),
        (
            Slips {
                mean: 0.0,
                variance: 0.0,
                ..RIGHT
            },
            format!("{both}-missing"),
        ),
        (
            Slips {
                gamma: [false, false],
                ..RIGHT
            },
            "gamma-forgotten".to_owned(),
        ),
        (
            Slips {
                gamma: [false, true],
                ..RIGHT
            },
            "gamma-outside-mean".to_owned(),
        ),
        (
            Slips {
                gamma: [true, true],
                ..RIGHT
            },
            "gamma-again-in-front".to_owned(),
        ),
        (Slips { rstd: 0, ..RIGHT }, "rstd-missing".to_owned()),
        (Slips { rstd: 2, ..RIGHT }, "rstd-extra".to_owned()),
        (
            Slips {
                divisor: |_, _| 1.0,
                ..RIGHT
            },
            format!("{both}-summed"),
        ),
        (
            Slips {
                divisor: |d, _| d - 1.0,
                ..RIGHT
            },
            format!("{both}-bessel"),
        ),
        (
            Slips {
                divisor: |_, n| n,
                ..transplanted
            },
            format!("{both}-axes-per-feature"),
        ),
        (
            Slips {
                divisor: |d, _| d,
                ..transplanted
            },
            "parameter-sums-for-means".to_owned(),
        ),
    ] {
        for seed in SEEDS {
            let report = checked(&slips, |_, _| (), seed);
            assert_eq!(report.outcome, Outcome::Wrong);
            assert_eq!(
                report.mistake.as_deref(),
                Some(&*id),
                "seed {seed}: {report}"
            );
            assert!(report.section.is_some() && report.heatmap.is_some());
        }
    }
}

/// A mean over N where a row has D values: the divisor is named.
#[test]
fn a_divisor_taken_from_the_other_axis_is_named() {
    for seed in SEEDS {
        let slips = Slips {
            divisor: |_, n| n,
            ..RIGHT
        };
        let report = checked(&slips, |_, _| (), seed);
        let id = report.mistake.clone().unwrap_or_default();
        assert!(id.contains("divided-by-4"), "seed {seed}: {report}");
    }
}

#[test]
fn wrong_sums_are_named() {
    let cases: [(Spoil, &str); 3] = [
        (
            |g, n| g.dbeta.iter_mut().for_each(|d| *d /= n as f64),
            "averaged",
        ),
        (|g, _| g.dgamma = g.dbeta.clone(), "dgamma-is-dbeta"),
        (|g, _| g.dbeta = g.dgamma.clone(), "dbeta-is-dgamma"),
    ];
    for (spoil, id) in cases {
        for seed in SEEDS {
            let report = checked(&RIGHT, spoil, seed);
            let found = report.mistake.clone().unwrap_or_default();
            assert!(found.contains(id), "seed {seed}: {found}\n{report}");
            assert_eq!(report.section.as_deref(), Some("sec:ln-parameters"));
        }
    }
}

#[test]
fn wrong_lengths_and_values_that_are_not_finite_are_told() {
    let cases: [(Spoil, &str); 4] = [
        (
            |g, _| {
                g.dx.pop();
            },
            "shape",
        ),
        (|g, n| g.dbeta = vec![1.0; n], "shape"),
        (|g, _| g.dx[3] = f64::NAN, "not-finite"),
        (|g, _| g.dx.fill(0.0), "zero"),
    ];
    for (spoil, id) in cases {
        let report = checked(&RIGHT, spoil, 0);
        assert_eq!(report.mistake.as_deref(), Some(id), "{report}");
    }
}

/// The arrays read as if their axes were exchanged, and an index that is so in the end only.
#[test]
fn a_transposed_index_is_named() {
    for seed in SEEDS {
        let exchanged = |a: &[f64], rows: usize| -> Vec<f64> {
            let columns = a.len() / rows;
            (0..a.len())
                .map(|k| a[k % columns * rows + k / columns])
                .collect()
        };
        let read: Function = |dy, x_hat, rstd, gamma, n, columns| {
            let turned = |a: &[f64]| -> Vec<f64> {
                (0..a.len())
                    .map(|k| a[k % columns * n + k / columns])
                    .collect()
            };
            let (dy, x_hat) = (turned(dy), turned(x_hat));
            let mut g = gradients(&RIGHT, &dy, &x_hat, rstd, gamma, n, columns);
            g.dx = (0..g.dx.len())
                .map(|k| g.dx[k % n * columns + k / n])
                .collect();
            g
        };
        let report = report(&read, seed);
        assert_eq!(
            report.mistake.as_deref(),
            Some("index-transposed"),
            "{report}"
        );
        let written = |dy: &[f64], x_hat: &[f64], rstd: &[f64], gamma: &[f64], n, columns| {
            let mut g = gradients(&RIGHT, dy, x_hat, rstd, gamma, n, columns);
            g.dx = exchanged(&g.dx, columns);
            g
        };
        let report = super::report(&written, seed);
        assert_eq!(report.mistake.as_deref(), Some("transposed"), "{report}");
    }
}

/// What was never written is not what comes of another mistake.
#[test]
fn a_dx_that_is_never_written_is_zero_and_no_more() {
    let open: Function = |dy, x_hat, rstd, gamma, n, columns| {
        let mut g = gradients(&RIGHT, dy, x_hat, rstd, gamma, n, columns);
        g.dx.fill(0.0);
        g
    };
    let report = report(&open, 0);
    assert_eq!(report.headline, "dx: it is zero everywhere");
}
