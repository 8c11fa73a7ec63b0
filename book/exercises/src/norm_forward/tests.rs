use super::*;
use crate::Outcome;
use crate::known::assert_listed;

const NORMS: [&Norm; 2] = [&crate::bn_forward::NORM, &crate::ln_forward::NORM];

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

/// What `norm` computes, with these slips.
fn forward<'a>(
    norm: &'a Norm,
    s: &'a Slips,
) -> impl Fn(&[f64], usize, usize, &[f64], &[f64], f64) -> Forward + 'a {
    move |x, rows, columns, gamma, beta, eps| {
        let (size, groups) = if norm.of_rows {
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
        for group in 0..groups {
            let at = |k: usize| {
                if norm.of_rows == s.transposed {
                    k * groups + group
                } else {
                    group * size + k
                }
            };
            let mean = (s.mean)((0..size).map(|k| x[at(k)]).sum::<f64>() / size as f64);
            let squares = (0..size).map(|k| x[at(k)] * x[at(k)]).sum::<f64>() / size as f64;
            let var = match s {
                Slips { one_pass: true, .. } => squares - mean * mean,
                Slips {
                    uncentred: true, ..
                } => squares,
                _ => {
                    let deviations = (0..size).map(|k| (x[at(k)] - mean).powi(2));
                    deviations.sum::<f64>() / (s.divisor)(size as f64, groups as f64)
                }
            };
            (out.mean[group], out.var[group]) = (mean, (s.var)(var, eps));
            for k in (0..size).map(at) {
                let x_hat = (x[k] - mean) * (s.rstd)(var, eps);
                let p = (s.gamma)(k / columns, k % columns, columns);
                out.x_hat[k] = x_hat;
                let scale = if s.use_gamma { gamma[p] } else { 1.0 };
                out.y[k] = scale * x_hat + s.beta * beta[p];
            }
        }
        out
    }
}

/// What `norm` computes.
pub(crate) fn right(
    norm: &Norm,
) -> impl Fn(&[f64], usize, usize, &[f64], &[f64], f64) -> Forward + '_ {
    forward(norm, &RIGHT)
}

fn checked(norm: &Norm, slips: &Slips, seed: u64) -> Box<Report> {
    norm.judge(&forward(norm, slips), seed)
        .expect_err("it is wrong")
}

#[test]
fn what_is_right_passes() {
    for norm in NORMS {
        for seed in SEEDS {
            let lines = norm.judge(&right(norm), seed).expect("it is right");
            assert!(lines.iter().all(|line| line.right));
            assert_eq!(lines.len(), 5);
        }
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
            "wrong-count",
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
        for (norm, seed) in NORMS
            .into_iter()
            .flat_map(|norm| SEEDS.map(move |s| (norm, s)))
        {
            let report = checked(norm, &slips, seed);
            assert_eq!(report.outcome, Outcome::Wrong);
            assert_eq!(report.mistake.as_deref(), Some(id), "seed {seed}: {report}");
            // What has a sentence of its own here; attribution names the others.
            if norm.known().iter().any(|known| known.id == id) {
                assert_listed(&report);
            }
            assert!(report.section.is_some());
        }
    }
}

#[test]
fn wrong_means_are_named() {
    for norm in NORMS {
        for (factor, id) in [
            ((|size, _| size) as fn(f64, f64) -> f64, "summed"),
            (|size, _| size / (size - 1.0), "bessel-mean"),
            (|size, groups| size / groups, "wrong-count"),
        ] {
            for seed in SEEDS {
                let report = spoilt(norm, seed, |x, out| {
                    let groups = out.mean.len() as f64;
                    let by = factor(x.len() as f64 / groups, groups);
                    out.mean.iter_mut().for_each(|m| *m *= by);
                });
                assert_eq!(report.mistake.as_deref(), Some(id), "{report}");
                assert_listed(&report);
            }
        }
    }
}

/// The report on what `norm` computes after `spoil`, which also sees `x`.
fn spoilt(norm: &Norm, seed: u64, spoil: impl Fn(&[f64], &mut Forward)) -> Box<Report> {
    let right = right(norm);
    let candidate = |x: &[f64], rows, columns, gamma: &[f64], beta: &[f64], eps| {
        let mut out = right(x, rows, columns, gamma, beta, eps);
        spoil(x, &mut out);
        out
    };
    norm.judge(&candidate, seed).expect_err("it is wrong")
}

/// Batch Norm where Layer Norm is asked for, and the other way round.
#[test]
fn statistics_along_the_other_axis_are_named() {
    for (norm, id, section) in [
        (NORMS[0], "axes-per-example", "sec:bn-layouts"),
        (NORMS[1], "axes-per-feature", "sec:ln-layouts"),
    ] {
        for seed in SEEDS {
            let report = spoilt(norm, seed, |x, out| {
                let size = x.len() / out.mean.len();
                out.mean = vec![x[0]; size];
            });
            assert_eq!(report.mistake.as_deref(), Some(id));
            assert_eq!(report.section.as_deref(), Some(section));
            assert_listed(&report);
        }
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
        let report = checked(norm, &slips, 0);
        assert_eq!(report.section.as_deref(), Some("sec:two-pass"));
        assert_listed(&report);
        let wrong = report.lines.iter().filter(|l| !l.right);
        let wrong: Vec<&str> = wrong.map(|l| l.name.as_str()).collect();
        assert_eq!(wrong, ["var, far from zero"]);
    }
}

/// Spoils what is right.
type Spoil = fn(&mut Forward);

#[test]
fn wrong_lengths_and_values_that_are_not_finite_are_told() {
    let cases: [(&str, Spoil); 4] = [
        ("shape", |out| out.mean.truncate(1)),
        ("shape", |out| out.y.clear()),
        ("not-finite", |out| out.x_hat[2] = f64::NAN),
        ("unknown", |out| out.var[1] *= 1.7),
    ];
    for norm in NORMS {
        for (id, spoil) in cases {
            let report = spoilt(norm, 0, |_, out| spoil(out));
            assert_eq!(report.mistake.as_deref(), Some(id), "{report}");
        }
    }
}

/// A place is told in the words of the norm.
#[test]
fn an_unknown_mistake_is_told_by_its_place() {
    let cases: [(Spoil, [&str; 2]); 2] = [
        (|out| out.var[1] *= 1.7, ["channel 1", "row 1"]),
        (
            |out| out.y[9] *= 1.7,
            ["example 2, channel 1", "row 1, feature 3"],
        ),
    ];
    for (spoil, places) in cases {
        for (norm, place) in NORMS.into_iter().zip(places) {
            let headline = spoilt(norm, 0, |_, out| spoil(out)).headline;
            assert!(
                headline.contains(&format!("at {place} it is")),
                "{headline}"
            );
        }
    }
}
