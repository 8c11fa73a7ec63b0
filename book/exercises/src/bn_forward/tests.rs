use super::*;

const SEEDS: std::ops::Range<u64> = 0..6;

/// The forward pass, with the places at which a reader can go wrong taken as arguments.
struct Slips {
    divisor: fn(f64) -> f64,
    rstd: fn(f64, f64) -> f64,
    var: fn(f64, f64) -> f64,
    one_pass: bool,
    transposed: bool,
    gamma: bool,
    beta: f64,
}

const RIGHT: Slips = Slips {
    divisor: |n| n,
    rstd: |var, eps| 1.0 / (var + eps).sqrt(),
    var: |var, _| var,
    one_pass: false,
    transposed: false,
    gamma: true,
    beta: 1.0,
};

fn forward(
    s: &Slips,
    x: &[f64],
    n: usize,
    c: usize,
    gamma: &[f64],
    beta: &[f64],
    eps: f64,
) -> Forward {
    let mut out = Forward {
        mean: vec![0.0; c],
        var: vec![0.0; c],
        x_hat: vec![0.0; n * c],
        y: vec![0.0; n * c],
    };
    for ch in 0..c {
        let at = |i: usize| if s.transposed { ch * n + i } else { i * c + ch };
        let mean = (0..n).map(|i| x[at(i)]).sum::<f64>() / n as f64;
        let var = if s.one_pass {
            (0..n).map(|i| x[at(i)] * x[at(i)]).sum::<f64>() / n as f64 - mean * mean
        } else {
            (0..n).map(|i| (x[at(i)] - mean).powi(2)).sum::<f64>() / (s.divisor)(n as f64)
        };
        (out.mean[ch], out.var[ch]) = (mean, (s.var)(var, eps));
        for i in 0..n {
            let x_hat = (x[at(i)] - mean) * (s.rstd)(var, eps);
            out.x_hat[at(i)] = x_hat;
            out.y[at(i)] = if s.gamma { gamma[ch] } else { 1.0 } * x_hat + s.beta * beta[ch];
        }
    }
    out
}

fn update(running: &mut Running, batch: &Forward, n: usize, momentum: f64) {
    step(running, batch, momentum, n as f64 / (n as f64 - 1.0));
}

fn step(running: &mut Running, batch: &Forward, momentum: f64, factor: f64) {
    for ch in 0..batch.mean.len() {
        running.mean[ch] = (1.0 - momentum) * running.mean[ch] + momentum * batch.mean[ch];
        running.var[ch] = (1.0 - momentum) * running.var[ch] + momentum * batch.var[ch] * factor;
    }
}

fn checked(slips: &Slips, seed: u64) -> Report {
    let candidate = |x: &[f64], n, c, gamma: &[f64], beta: &[f64], eps| {
        forward(slips, x, n, c, gamma, beta, eps)
    };
    report(&candidate, &update, seed)
}

#[test]
fn what_is_right_passes() {
    for seed in SEEDS {
        let report = checked(&RIGHT, seed);
        assert!(report.passed(), "{report}");
        assert_eq!(report.lines.len(), 7);
    }
}

#[test]
fn every_wrong_forward_is_named() {
    for (slips, id) in [
        (
            Slips {
                divisor: |n| n - 1.0,
                ..RIGHT
            },
            "bessel-statistics",
        ),
        (
            Slips {
                divisor: |_| 1.0,
                ..RIGHT
            },
            "summed",
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
                rstd: |_, _| 1.0,
                ..RIGHT
            },
            "rstd-missing",
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
            "axes-channels-first",
        ),
        (
            Slips {
                gamma: false,
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
    ] {
        for seed in SEEDS {
            let report = checked(&slips, seed);
            assert_eq!(report.outcome, Outcome::Wrong);
            assert_eq!(report.mistake.as_deref(), Some(id), "seed {seed}: {report}");
            assert!(report.section.is_some());
        }
    }
}

/// A one-pass variance is right on every ordinary batch: only the far one shows it.
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
    let wrong: Vec<&str> = report
        .lines
        .iter()
        .filter(|l| !l.right)
        .map(|l| l.name.as_str())
        .collect();
    assert_eq!(wrong, ["var, far from zero"]);
}

#[test]
fn every_wrong_running_statistic_is_named() {
    type Step = fn(&mut Running, &Forward, usize, f64);
    let right = |x: &[f64], n, c, gamma: &[f64], beta: &[f64], eps| {
        forward(&RIGHT, x, n, c, gamma, beta, eps)
    };
    let cases: [(Step, &str); 5] = [
        (|r, b, _, m| step(r, b, m, 1.0), "biased"),
        (
            |r, b, n, m| step(r, b, 1.0 - m, n as f64 / (n as f64 - 1.0)),
            "momentum-swapped",
        ),
        (|_, _, _, _| {}, "unchanged"),
        (
            |r, b, n, m| {
                let old = r.mean.clone();
                update(r, b, n, m);
                r.mean
                    .iter_mut()
                    .zip(old)
                    .for_each(|(new, old)| *new -= (1.0 - m) * old);
            },
            "old-missing",
        ),
        (
            |r, b, n, m| {
                update(r, b, n, m);
                r.var
                    .iter_mut()
                    .zip(&b.var)
                    .for_each(|(new, var)| *new += (1.0 - m) * var * n as f64 / (n as f64 - 1.0));
            },
            "batch-unweighted",
        ),
    ];
    for (step, id) in cases {
        for seed in SEEDS {
            let report = report(&right, &step, seed);
            assert_eq!(report.mistake.as_deref(), Some(id), "seed {seed}: {report}");
        }
    }
}

#[test]
fn a_second_function_that_is_not_written_is_said_to_be() {
    let right = |x: &[f64], n, c, gamma: &[f64], beta: &[f64], eps| {
        forward(&RIGHT, x, n, c, gamma, beta, eps)
    };
    let report = report(&right, &|_, _, _, _| todo!(), 0);
    assert_eq!(report.outcome, Outcome::Unwritten);
    assert!(
        report
            .headline
            .starts_with("bn_forward is right; update_running: not written yet"),
        "{}",
        report.headline
    );
    assert!(report.lines.iter().all(|line| line.right));
}

#[test]
fn a_wrong_length_is_told() {
    let short = |x: &[f64], n, c, gamma: &[f64], beta: &[f64], eps| {
        let mut out = forward(&RIGHT, x, n, c, gamma, beta, eps);
        out.mean.truncate(1);
        out
    };
    assert_eq!(report(&short, &update, 0).mistake.as_deref(), Some("shape"));
}
