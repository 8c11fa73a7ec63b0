use super::*;

const SEEDS: std::ops::Range<u64> = 0..6;

/// The forward pass, with the places at which a reader can go wrong taken as arguments.
struct Slips {
    divisor: fn(f64, f64) -> f64,
    mean: fn(f64) -> f64,
    rstd: fn(f64, f64) -> f64,
    var: fn(f64, f64) -> f64,
    one_pass: bool,
    uncentred: bool,
    transposed: bool,
    gamma: fn(usize, usize, usize) -> usize,
    use_gamma: bool,
    beta: f64,
}

const RIGHT: Slips = Slips {
    divisor: |d, _| d,
    mean: |mean| mean,
    rstd: |var, eps| 1.0 / (var + eps).sqrt(),
    var: |var, _| var,
    one_pass: false,
    uncentred: false,
    transposed: false,
    gamma: |_, i, _| i,
    use_gamma: true,
    beta: 1.0,
};

fn forward(
    s: &Slips,
    x: &[f64],
    n: usize,
    d: usize,
    gamma: &[f64],
    beta: &[f64],
    eps: f64,
) -> Forward {
    let mut out = Forward {
        mean: vec![0.0; n],
        var: vec![0.0; n],
        x_hat: vec![0.0; n * d],
        y: vec![0.0; n * d],
    };
    for r in 0..n {
        let at = |i: usize| if s.transposed { i * n + r } else { r * d + i };
        let mean = (s.mean)((0..d).map(|i| x[at(i)]).sum::<f64>() / d as f64);
        let squares = (0..d).map(|i| x[at(i)] * x[at(i)]).sum::<f64>() / d as f64;
        let var = match s {
            Slips { one_pass: true, .. } => squares - mean * mean,
            Slips {
                uncentred: true, ..
            } => squares,
            _ => {
                let deviations = (0..d).map(|i| (x[at(i)] - mean).powi(2));
                deviations.sum::<f64>() / (s.divisor)(d as f64, n as f64)
            }
        };
        (out.mean[r], out.var[r]) = (mean, (s.var)(var, eps));
        for i in 0..d {
            let x_hat = (x[at(i)] - mean) * (s.rstd)(var, eps);
            let p = (s.gamma)(r, i, d);
            out.x_hat[at(i)] = x_hat;
            let scale = if s.use_gamma { gamma[p] } else { 1.0 };
            out.y[at(i)] = scale * x_hat + s.beta * beta[p];
        }
    }
    out
}

fn checked(slips: &Slips, seed: u64) -> Report {
    let candidate = |x: &[f64], n, d, gamma: &[f64], beta: &[f64], eps| {
        forward(slips, x, n, d, gamma, beta, eps)
    };
    report(&candidate, seed)
}

#[test]
fn what_is_right_passes() {
    for seed in SEEDS {
        let report = checked(&RIGHT, seed);
        assert!(report.passed(), "{report}");
        assert_eq!(report.lines.len(), 5);
    }
}

#[test]
fn every_wrong_forward_is_named() {
    let cases: [(Slips, &str); 17] = [
        (
            Slips {
                mean: |m| -m,
                ..RIGHT
            },
            "sign",
        ),
        (
            Slips {
                divisor: |d, _| d - 1.0,
                ..RIGHT
            },
            "bessel-statistics",
        ),
        (
            Slips {
                divisor: |_, _| 1.0,
                ..RIGHT
            },
            "summed",
        ),
        (
            Slips {
                divisor: |_, n| n,
                ..RIGHT
            },
            "divided-by-n",
        ),
        (
            Slips {
                var: |var, _| var.sqrt(),
                ..RIGHT
            },
            "root",
        ),
        (
            Slips {
                var: |var, eps| var + eps,
                ..RIGHT
            },
            "eps-in-var",
        ),
        (
            Slips {
                uncentred: true,
                ..RIGHT
            },
            "mean-not-subtracted",
        ),
        (
            Slips {
                rstd: |var, _| 1.0 / var.sqrt(),
                ..RIGHT
            },
            "eps-left-out",
        ),
        (
            Slips {
                rstd: |var, eps| 1.0 / (var.sqrt() + eps),
                ..RIGHT
            },
            "eps-outside-root",
        ),
        (
            Slips {
                rstd: |var, eps| 1.0 / (var + eps),
                ..RIGHT
            },
            "root-missing",
        ),
        (
            Slips {
                rstd: |var, eps| (var + eps).sqrt(),
                ..RIGHT
            },
            "rstd-inverted",
        ),
        (
            Slips {
                one_pass: true,
                ..RIGHT
            },
            "cancellation",
        ),
        (
            Slips {
                transposed: true,
                ..RIGHT
            },
            "layout-transposed",
        ),
        (
            Slips {
                gamma: |r, _, d| r % d,
                ..RIGHT
            },
            "gamma-by-row",
        ),
        (
            Slips {
                use_gamma: false,
                ..RIGHT
            },
            "gamma-forgotten",
        ),
        (Slips { beta: 0.0, ..RIGHT }, "shift-missing"),
        (
            Slips {
                beta: -1.0,
                ..RIGHT
            },
            "shift-sign",
        ),
    ];
    for (slips, id) in cases {
        for seed in SEEDS {
            let report = checked(&slips, seed);
            assert_eq!(report.outcome, Outcome::Wrong);
            assert_eq!(report.mistake.as_deref(), Some(id), "seed {seed}: {report}");
            assert!(report.section.is_some());
        }
    }
}

#[test]
fn wrong_means_are_named() {
    for (factor, id) in [
        ((|d, _| d) as fn(f64, f64) -> f64, "summed"),
        (|d, _| d / (d - 1.0), "bessel-mean"),
        (|d, n| d / n, "divided-by-n"),
    ] {
        for seed in SEEDS {
            let candidate = |x: &[f64], n: usize, d: usize, gamma: &[f64], beta: &[f64], eps| {
                let mut out = forward(&RIGHT, x, n, d, gamma, beta, eps);
                let by = factor(d as f64, n as f64);
                out.mean.iter_mut().for_each(|m| *m *= by);
                out
            };
            let report = report(&candidate, seed);
            assert_eq!(report.mistake.as_deref(), Some(id), "{report}");
        }
    }
}

/// Batch Norm where Layer Norm is asked for: one mean for each column.
#[test]
fn statistics_of_columns_are_named() {
    let columns = |x: &[f64], n: usize, d: usize, gamma: &[f64], beta: &[f64], eps: f64| {
        let mut out = forward(&RIGHT, x, n, d, gamma, beta, eps);
        out.mean = (0..d)
            .map(|i| x.iter().skip(i).step_by(d).sum::<f64>() / n as f64)
            .collect();
        out
    };
    for seed in SEEDS {
        let report = report(&columns, seed);
        assert_eq!(report.mistake.as_deref(), Some("axes-per-feature"));
        assert_eq!(report.section.as_deref(), Some("sec:ln-layouts"));
    }
}

/// A one-pass variance is right on every ordinary row: only those far from zero show it.
#[test]
fn cancellation_shows_far_from_zero_only() {
    let report = checked(
        &Slips {
            one_pass: true,
            ..RIGHT
        },
        0,
    );
    assert_eq!(report.section.as_deref(), Some("sec:two-pass"));
    let wrong = report.lines.iter().filter(|l| !l.right);
    assert_eq!(
        wrong.map(|l| l.name.as_str()).collect::<Vec<_>>(),
        ["var, far from zero"]
    );
}

#[test]
fn wrong_lengths_and_values_that_are_not_finite_are_told() {
    for (id, spoil) in [
        (
            "shape",
            (|out: &mut Forward| out.mean.truncate(1)) as fn(&mut Forward),
        ),
        ("shape", |out| out.y.clear()),
        ("not-finite", |out| out.x_hat[2] = f64::NAN),
        ("unknown", |out| out.var[1] *= 1.7),
    ] {
        let candidate = |x: &[f64], n, d, gamma: &[f64], beta: &[f64], eps| {
            let mut out = forward(&RIGHT, x, n, d, gamma, beta, eps);
            spoil(&mut out);
            out
        };
        let report = report(&candidate, 0);
        assert_eq!(report.mistake.as_deref(), Some(id), "{report}");
    }
}
