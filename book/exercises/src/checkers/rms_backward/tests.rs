use super::*;
use crate::Outcome;

/// The backward pass, with the places at which a reader can go wrong taken as arguments.
#[derive(Clone, Copy)]
struct Slips {
    mean: bool,
    variance: f64,
    /// Gamma inside the mean, and after it.
    gamma: [bool; 2],
    rstd: i32,
    /// The power of rstd in the product under the mean, where `x_hat` has 1.
    inner: i32,
    divisor: fn(f64) -> f64,
}

const RIGHT: Slips = Slips {
    mean: false,
    variance: 1.0,
    gamma: [true, false],
    rstd: 1,
    inner: 1,
    divisor: |d| d,
};

fn gradients(
    s: &Slips,
    dy: &[f64],
    x: &[f64],
    rstd: &[f64],
    gamma: &[f64],
    n: usize,
    d: usize,
) -> Gradients {
    let x_hat = |k: usize| x[k] * rstd[k / d];
    let g = |k: usize| {
        if s.gamma[0] {
            gamma[k % d] * dy[k]
        } else {
            dy[k]
        }
    };
    let m = (s.divisor)(d as f64);
    let over = |r: usize, f: &dyn Fn(usize) -> f64| (r * d..(r + 1) * d).map(f).sum::<f64>() / m;
    let dx = (0..n * d)
        .map(|k| {
            let r = k / d;
            let product = over(r, &|j| g(j) * x[j] * rstd[r].powi(s.inner));
            let mean = if s.mean { over(r, &g) } else { 0.0 };
            let after = if s.gamma[1] { gamma[k % d] } else { 1.0 };
            after * rstd[r].powi(s.rstd) * (g(k) - mean - s.variance * x_hat(k) * product)
        })
        .collect();
    let column = |i: usize| (0..n).map(|r| dy[r * d + i] * x_hat(r * d + i)).sum();
    Gradients {
        dx,
        dgamma: (0..d).map(column).collect(),
    }
}

const SEEDS: std::ops::Range<u64> = 0..6;

/// Something done to the gradients of a batch of that many rows.
type Spoil = fn(&mut Gradients, usize);

fn checked(slips: &Slips, spoil: Spoil, seed: u64) -> Report {
    let candidate = |dy: &[f64], x: &[f64], rstd: &[f64], gamma: &[f64], n, d| {
        let mut gradients = gradients(slips, dy, x, rstd, gamma, n, d);
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
    for (slips, id) in [
        (
            Slips {
                variance: 0.0,
                ..RIGHT
            },
            "variance-path-missing",
        ),
        (
            Slips {
                variance: -1.0,
                ..RIGHT
            },
            "variance-path-sign",
        ),
        (
            Slips {
                variance: 0.5,
                ..RIGHT
            },
            "variance-path-halved",
        ),
        (
            Slips {
                gamma: [false, false],
                ..RIGHT
            },
            "gamma-forgotten",
        ),
        (
            Slips {
                gamma: [false, true],
                ..RIGHT
            },
            "gamma-outside-mean",
        ),
        (Slips { rstd: 0, ..RIGHT }, "rstd-missing"),
        (Slips { rstd: 2, ..RIGHT }, "rstd-extra"),
        (Slips { inner: 0, ..RIGHT }, "variance-path-rstd-missing"),
        (
            Slips {
                divisor: |_| 1.0,
                ..RIGHT
            },
            "variance-path-summed",
        ),
        (
            Slips {
                divisor: |d| d - 1.0,
                ..RIGHT
            },
            "variance-path-bessel",
        ),
    ] {
        for seed in SEEDS {
            let report = checked(&slips, |_, _| (), seed);
            assert_eq!(report.outcome, Outcome::Wrong);
            assert_eq!(report.mistake.as_deref(), Some(id), "seed {seed}: {report}");
            assert!(report.section.is_some() && report.heatmap.is_some());
        }
    }
}

/// Layer Norm's gradient where RMS Norm's is asked for.
#[test]
fn a_mean_term_too_many_is_rejected() {
    for seed in SEEDS {
        let report = checked(
            &Slips {
                mean: true,
                ..RIGHT
            },
            |_, _| (),
            seed,
        );
        assert_eq!(report.outcome, Outcome::Wrong);
        assert_eq!(
            report.mistake.as_deref(),
            Some("mean-path-added"),
            "{report}"
        );
    }
}

#[test]
fn wrong_sums_lengths_and_values_are_told() {
    let cases: [(Spoil, &str); 4] = [
        (
            |g, n| g.dgamma.iter_mut().for_each(|d| *d /= n as f64),
            "dgamma-averaged",
        ),
        (|g, n| g.dgamma = vec![1.0; n], "shape"),
        (|g, _| g.dx[3] = f64::NAN, "not-finite"),
        (|g, _| g.dx.fill(0.0), "zero"),
    ];
    for (spoil, id) in cases {
        for seed in SEEDS {
            let report = checked(&RIGHT, spoil, seed);
            assert_eq!(report.mistake.as_deref(), Some(id), "{report}");
        }
    }
}
