use super::*;
use crate::Outcome;

type Function = fn(&[f64], &[f64], &[f64], &[f64], usize, usize) -> Gradients;

/// The closed form, with the places at which a reader can go wrong taken as arguments.
struct Slips {
    mean: f64,
    variance: f64,
    gamma: bool,
    rstd: i32,
    divisor: fn(f64) -> f64,
    by_example: bool,
}

const RIGHT: Slips = Slips {
    mean: 1.0,
    variance: 1.0,
    gamma: true,
    rstd: 1,
    divisor: |n| n,
    by_example: false,
};

fn gradients(
    s: &Slips,
    dy: &[f64],
    x_hat: &[f64],
    rstd: &[f64],
    gamma: &[f64],
    n: usize,
    c: usize,
) -> Gradients {
    let (mut dgamma, mut dbeta) = (vec![0.0; c], vec![0.0; c]);
    for k in 0..n * c {
        dbeta[k % c] += dy[k];
        dgamma[k % c] += dy[k] * x_hat[k];
    }
    let group = |k: usize| if s.by_example { k / c } else { k % c };
    let groups = if s.by_example { n } else { c };
    let (mut sum, mut product) = (vec![0.0; groups], vec![0.0; groups]);
    for k in 0..n * c {
        sum[group(k)] += dy[k];
        product[group(k)] += dy[k] * x_hat[k];
    }
    let m = (s.divisor)(if s.by_example { c } else { n } as f64);
    let dx = (0..n * c)
        .map(|k| {
            let bracket =
                dy[k] - s.mean * sum[group(k)] / m - s.variance * x_hat[k] * product[group(k)] / m;
            let scale = if s.gamma { gamma[k % c] } else { 1.0 };
            scale * rstd[k % c].powi(s.rstd) * bracket
        })
        .collect();
    Gradients { dx, dgamma, dbeta }
}

const SEEDS: std::ops::Range<u64> = 0..6;

#[track_caller]
fn named(slips: &Slips, id: &str) {
    for seed in SEEDS {
        let candidate = |dy: &[f64], x_hat: &[f64], rstd: &[f64], gamma: &[f64], n, c| {
            gradients(slips, dy, x_hat, rstd, gamma, n, c)
        };
        let report = report(&candidate, seed);
        assert_eq!(report.outcome, Outcome::Wrong);
        assert_eq!(report.mistake.as_deref(), Some(id), "seed {seed}: {report}");
        assert!(report.heatmap.is_some() && report.weights.len() == 3);
        // The section is that of gradcheck's finding.
        let section = match id {
            "gamma-forgotten" | "rstd-missing" | "rstd-extra" => "sec:staged",
            _ => "sec:three-terms",
        };
        assert_eq!(report.section.as_deref(), Some(section), "{report}");
    }
}

#[test]
fn what_is_right_passes() {
    for seed in SEEDS {
        let candidate = |dy: &[f64], x_hat: &[f64], rstd: &[f64], gamma: &[f64], n, c| {
            gradients(&RIGHT, dy, x_hat, rstd, gamma, n, c)
        };
        let report = report(&candidate, seed);
        assert!(report.passed(), "{report}");
        assert!(
            report
                .lines
                .iter()
                .any(|line| line.name == "finite differences" && line.right)
        );
    }
}

#[test]
fn every_wrong_dx_is_named() {
    named(
        &Slips {
            variance: 0.0,
            ..RIGHT
        },
        "variance-path-missing",
    );
    named(&Slips { mean: 0.0, ..RIGHT }, "mean-path-missing");
    named(
        &Slips {
            variance: -1.0,
            ..RIGHT
        },
        "variance-path-sign",
    );
    named(
        &Slips {
            mean: -1.0,
            ..RIGHT
        },
        "mean-path-sign",
    );
    named(
        &Slips {
            gamma: false,
            ..RIGHT
        },
        "gamma-forgotten",
    );
    named(&Slips { rstd: 0, ..RIGHT }, "rstd-missing");
    named(&Slips { rstd: 2, ..RIGHT }, "rstd-extra");
    named(
        &Slips {
            mean: 0.0,
            variance: 0.0,
            ..RIGHT
        },
        "mean-path-and-variance-path-missing",
    );
}

/// Which of several names a mistake in both means gets is up to the attribution; that it
/// speaks of the sum, of Bessel's correction or of the axes is not.
#[test]
fn mistakes_in_both_means_are_named() {
    for (slips, part) in [
        (
            Slips {
                divisor: |_| 1.0,
                ..RIGHT
            },
            "summed",
        ),
        (
            Slips {
                divisor: |n| n - 1.0,
                ..RIGHT
            },
            "bessel",
        ),
        (
            Slips {
                by_example: true,
                ..RIGHT
            },
            "axes-per-example",
        ),
    ] {
        for seed in SEEDS {
            let candidate = |dy: &[f64], x_hat: &[f64], rstd: &[f64], gamma: &[f64], n, c| {
                gradients(&slips, dy, x_hat, rstd, gamma, n, c)
            };
            let report = report(&candidate, seed);
            let id = report.mistake.clone().unwrap_or_default();
            assert!(id.contains(part), "seed {seed}: {id}\n{report}");
        }
    }
}

#[test]
fn wrong_sums_are_named() {
    let averaged: Function = |dy, x_hat, rstd, gamma, n, c| {
        let mut g = gradients(&RIGHT, dy, x_hat, rstd, gamma, n, c);
        g.dbeta.iter_mut().for_each(|d| *d /= n as f64);
        g
    };
    let swapped: Function = |dy, x_hat, rstd, gamma, n, c| {
        let mut g = gradients(&RIGHT, dy, x_hat, rstd, gamma, n, c);
        g.dgamma = g.dbeta.clone();
        g
    };
    let scaled: Function = |dy, x_hat, rstd, gamma, n, c| {
        let mut g = gradients(&RIGHT, dy, x_hat, rstd, gamma, n, c);
        g.dgamma
            .iter_mut()
            .zip(gamma)
            .for_each(|(d, gamma)| *d *= gamma);
        g
    };
    for (candidate, id) in [
        (averaged, "averaged"),
        (swapped, "dgamma-is-dbeta"),
        (scaled, "gamma-multiplied"),
    ] {
        for seed in SEEDS {
            let report = report(&candidate, seed);
            let found = report.mistake.clone().unwrap_or_default();
            assert!(found.contains(id), "seed {seed}: {found}\n{report}");
        }
    }
}

#[test]
fn wrong_lengths_and_values_that_are_not_finite_are_told() {
    let short: Function = |dy, x_hat, rstd, gamma, n, c| {
        let mut g = gradients(&RIGHT, dy, x_hat, rstd, gamma, n, c);
        g.dx.pop();
        g
    };
    let nan: Function = |dy, x_hat, rstd, gamma, n, c| {
        let mut g = gradients(&RIGHT, dy, x_hat, rstd, gamma, n, c);
        g.dx[3] = f64::NAN;
        g
    };
    let zero: Function = |dy, _, _, _, _, c| Gradients {
        dx: vec![0.0; dy.len()],
        dgamma: vec![0.0; c],
        dbeta: vec![0.0; c],
    };
    for (candidate, id) in [(short, "shape"), (nan, "not-finite"), (zero, "zero")] {
        let report = report(&candidate, 0);
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
