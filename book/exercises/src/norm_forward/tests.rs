use super::*;
use crate::batch::{BATCH, LAYER};
use crate::checkers::{bn_forward, ln_forward};
use judge::testing::{named, passes};
use verdict::Report;

const NORMS: [&Norm; 2] = [BATCH, LAYER];

/// The forward pass, with the places at which a reader can go wrong taken as arguments.
struct Slips {
    divisor: fn(f64, f64) -> f64,
    mean: fn(f64) -> f64,
    rstd: fn(f64, f64) -> f64,
    var: fn(f64, f64) -> f64,
    add: fn(&mut f64, f64),
    /// Whether the sum goes on from group to group.
    not_reset: bool,
    one_pass: bool,
    uncentred: bool,
    transposed: bool,
    gamma: At,
    beta: At,
    scale: fn(f64) -> f64,
    shift: f64,
    /// What y is made of, from x, mean and x_hat.
    of: fn(f64, f64, f64) -> f64,
}

const RIGHT: Slips = Slips {
    divisor: |d, _| d,
    mean: |mean| mean,
    rstd: |var, eps| 1.0 / (var + eps).sqrt(),
    var: |var, _| var,
    add: |sum, term| *sum += term,
    not_reset: false,
    one_pass: false,
    uncentred: false,
    transposed: false,
    gamma: COLUMN,
    beta: COLUMN,
    scale: |gamma| gamma,
    shift: 1.0,
    of: |_, _, x_hat| x_hat,
};

/// What a norm computes, with these slips.
fn forward(
    norm: &Norm,
    s: &Slips,
) -> impl Fn(&[f64], usize, usize, &[f64], &[f64], f64) -> Forward {
    let of_rows = norm.of_rows();
    move |x, rows, columns, gamma, beta, eps| {
        let (size, groups) = if of_rows {
            (columns, rows)
        } else {
            (rows, columns)
        };
        let mut out = Forward {
            mean: vec![0.0; groups],
            var: vec![0.0; groups],
            x_hat: vec![0.0; x.len()],
            y: vec![0.0; x.len()],
        };
        let mut sum = 0.0;
        for group in 0..groups {
            let at = |k: usize| {
                if of_rows == s.transposed {
                    k * groups + group
                } else {
                    group * size + k
                }
            };
            sum = if s.not_reset { sum } else { 0.0 };
            (0..size).for_each(|k| (s.add)(&mut sum, x[at(k)]));
            let mean = (s.mean)(sum / size as f64);
            let squares = (0..size).map(|k| x[at(k)] * x[at(k)]).sum::<f64>() / size as f64;
            let deviations = (0..size).map(|k| (x[at(k)] - mean).powi(2)).sum::<f64>();
            let var = if s.one_pass {
                squares - mean * mean
            } else if s.uncentred {
                squares
            } else {
                deviations / (s.divisor)(size as f64, groups as f64)
            };
            (out.mean[group], out.var[group]) = (mean, (s.var)(var, eps));
            for k in (0..size).map(at) {
                let x_hat = (x[k] - mean) * (s.rstd)(var, eps);
                let (row, column) = (k / columns, k % columns);
                out.x_hat[k] = x_hat;
                let scale = (s.scale)(gamma[(s.gamma)(row, column)]);
                let shift = s.shift * beta[(s.beta)(row, column)];
                out.y[k] = scale * (s.of)(x[k], mean, x_hat) + shift;
            }
        }
        out
    }
}

/// What a norm computes.
pub(crate) fn right(norm: &Norm) -> impl Fn(&[f64], usize, usize, &[f64], &[f64], f64) -> Forward {
    forward(norm, &RIGHT)
}

fn report(norm: &Norm, candidate: Candidate<'_>, seed: u64) -> Report {
    if norm.of_rows() {
        ln_forward::report(candidate, seed)
    } else {
        bn_forward::report(candidate, &bn_forward::tests::update, seed)
    }
}

#[test]
fn what_is_right_passes() {
    for (norm, lines) in NORMS.into_iter().zip([4, 2]) {
        passes(lines, |seed| report(norm, &right(norm), seed));
    }
}

/// A mistake: its target and its name, and what is typed.
type Slip = (&'static str, fn(&mut Slips));

const SLIPS: &[Slip] = &[
    ("mean: sign", |s| s.mean = |m| -m),
    ("mean: overwritten", |s| s.add = |sum, x| *sum = x),
    ("mean: layout-transposed", |s| s.transposed = true),
    ("var: bessel-statistics", |s| s.divisor = |d, _| d - 1.0),
    ("var: summed", |s| s.divisor = |_, _| 1.0),
    ("var: wrong-count", |s| s.divisor = |_, n| n),
    ("var: root", |s| s.var = |var, _| var.sqrt()),
    ("var: eps-in-var", |s| s.var = |var, eps| var + eps),
    ("var: mean-not-subtracted", |s| s.uncentred = true),
    ("mean: sums-not-reset", |s| s.not_reset = true),
    ("var: cancellation", |s| s.one_pass = true),
    ("x_hat: eps-left-out", |s| {
        s.rstd = |var, _| 1.0 / var.sqrt()
    }),
    ("x_hat: eps-outside-root", |s| {
        s.rstd = |var, eps| 1.0 / (var.sqrt() + eps)
    }),
    ("x_hat: root-missing", |s| {
        s.rstd = |var, eps| 1.0 / (var + eps)
    }),
    ("x_hat: rstd-inverted", |s| {
        s.rstd = |var, eps| (var + eps).sqrt()
    }),
    // Right where the row is also a column, and out of bounds where there is none.
    ("y: gamma-by-row", |s| s.gamma = ROW),
    ("y: beta-by-row", |s| s.beta = ROW),
    ("y: gamma-by-row", |s| (s.gamma, s.beta) = (ROW, ROW)),
    ("y: gamma-forgotten", |s| s.scale = |_| 1.0),
    ("y: gamma-squared", |s| s.scale = |gamma| gamma * gamma),
    ("y: gamma-divided", |s| s.scale = |gamma| 1.0 / gamma),
    ("y: shift-missing", |s| s.shift = 0.0),
    ("y: shift-sign", |s| s.shift = -1.0),
    ("y: x-for-x-hat", |s| s.of = |x, _, _| x),
    ("y: rstd-missing", |s| s.of = |x, mean, _| x - mean),
];

#[test]
fn what_is_typed_wrong_is_named() {
    for norm in NORMS {
        named(SLIPS, |slip, seed| {
            let mut slips = RIGHT;
            slip(&mut slips);
            report(norm, &forward(norm, &slips), seed)
        });
    }
}

/// A table is read as if its statistics were those of another norm, or of one group.
#[test]
fn statistics_over_other_values_are_named() {
    for (norm, other) in NORMS.into_iter().zip([LAYER, BATCH]) {
        let [across, _] = norm.across;
        let typed = [
            (format!("mean: {across}"), false),
            ("mean: axes-everything".to_owned(), true),
        ];
        named(
            &typed.each_ref().map(|(id, whole)| (id.as_str(), *whole)),
            |whole, seed| {
                let candidate = |x: &[f64], rows, columns, gamma: &[f64], beta: &[f64], eps| {
                    let mut out = right(norm)(x, rows, columns, gamma, beta, eps);
                    // The places are those of the right groups: too few of them panic.
                    let means = right(other)(x, rows, columns, gamma, beta, eps).mean;
                    if whole {
                        out.mean.fill(x.iter().sum::<f64>() / x.len() as f64);
                    } else {
                        out.mean.fill(0.0);
                        (0..means.len()).for_each(|place| out.mean[place] = means[place]);
                    }
                    out
                };
                let report = report(norm, &candidate, seed);
                assert_eq!(report.section.as_deref(), Some(norm.sections.layouts));
                report
            },
        );
    }
}

/// A one-pass variance is right on every ordinary batch: only the far one shows it.
#[test]
fn cancellation_shows_far_from_zero_only() {
    for norm in NORMS {
        let slips = Slips {
            one_pass: true,
            ..RIGHT
        };
        let report = report(norm, &forward(norm, &slips), 0);
        assert_eq!(report.section.as_deref(), Some("sec:two-pass"));
        let wrong = report.lines.iter().filter(|l| !l.right);
        let wrong: Vec<&str> = wrong.map(|l| l.name.as_str()).collect();
        assert_eq!(wrong, ["forward far from zero: var"]);
    }
}
