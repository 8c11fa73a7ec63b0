//! Every mistake in y, dgamma, dbeta and the running statistics that the catalogue knows
//! is named, and only it; and RMS Norm.

use crate::learner::{
    Rows, Slips, channels, columns, dx, gamma_of, groups, param, rows, statistics,
};
use gradcheck::attribution::F64_PRECISION;
use gradcheck::attribution::norm::{
    Kind, Probe, Target, explain, explain_running_mean, explain_running_var,
    explain_running_var_to, explain_to, mistakes,
};

const SEEDS: std::ops::Range<u64> = 0..4;

struct Case {
    probe: Probe,
    right: Rows,
    transposed: (Rows, &'static str),
}

fn cases() -> Vec<Case> {
    SEEDS.flat_map(cases_of).collect()
}

fn cases_of(seed: u64) -> Vec<Case> {
    let mut cases = Vec::new();
    for shape in [&[6, 4][..], &[5, 3, 4], &[3, 4, 3, 5]] {
        let (n, c) = (shape[0], shape[1]);
        let l: usize = shape[2..].iter().product();
        cases.push(Case {
            probe: Probe::batch_norm(shape, 1e-5, seed),
            right: channels(n, c, l),
            transposed: (rows(n, c * l), "per-example"),
        });
    }
    for shape in [&[6, 5][..], &[4, 9], &[3, 4, 7]] {
        let d = shape[shape.len() - 1];
        let lead = shape.iter().product::<usize>() / d;
        for probe in [
            Probe::layer_norm(shape, 1, 1e-3, seed),
            Probe::rms_norm(shape, 1, 1e-3, seed),
        ] {
            let transposed = (columns(lead, d), "per-feature");
            cases.push(Case {
                probe,
                right: rows(lead, d),
                transposed,
            });
        }
    }
    for (shape, count) in [(&[4, 6][..], 2), (&[3, 4, 3], 2), (&[3, 6, 2, 2], 3)] {
        let (probe, right, channels) = groups(shape, count, 1e-3, seed);
        cases.push(Case {
            probe,
            right,
            transposed: (channels, "batch-norm"),
        });
    }
    cases
}

/// Slips for this kind of normalization; RMS Norm does not subtract the mean.
fn slips(case: &Case) -> Slips {
    Slips {
        centred: case.probe.kind != Kind::Rms,
        ..Slips::default()
    }
}

#[track_caller]
fn named(case: &Case, target: Target, candidate: &[f64], expected: &str) {
    let verdict = explain(&case.probe, target, candidate);
    assert!(
        verdict.id == expected,
        "{:?} {:?}: {target:?}: expected {expected}, got {}\n{verdict:#?}",
        case.probe.kind,
        case.probe.shape,
        verdict.id
    );
    assert_eq!(verdict.is_correct(), expected == "correct");
}

/// What x, mean and rstd give at one element: `(k, x, mean, rstd, gamma, beta) -> y`.
type Output = fn(f64, f64, f64, f64, f64) -> f64;

fn y(case: &Case, over: &Rows, slips: &Slips, f: Output) -> Vec<f64> {
    let p = &case.probe;
    let (mean, rstd) = statistics(p, over, slips);
    let one = |k: usize| {
        let (gamma, beta) = (p.gamma[param(p, k)], p.beta[param(p, k)]);
        f(p.x[k], mean[k], rstd[k], gamma, beta)
    };
    (0..p.x.len()).map(one).collect()
}

const RIGHT: Output = |x, mean, rstd, gamma, beta| gamma * (x - mean) * rstd + beta;

#[test]
fn the_output() {
    for case in cases() {
        let s = slips(&case);
        let rms = case.probe.kind == Kind::Rms;
        let named = |candidate: &[f64], id: &str| named(&case, Target::Y, candidate, id);
        named(&y(&case, &case.right, &s, RIGHT), "correct");
        let formulas: [(Output, &str); 6] = [
            (|x, m, r, _, b| (x - m) * r + b, "gamma-forgotten"),
            (|x, m, r, g, b| g * g * (x - m) * r + b, "gamma-squared"),
            (|x, m, r, g, b| (x - m) * r / g + b, "gamma-divided"),
            (|x, m, _, g, b| g * (x - m) + b, "rstd-missing"),
            (|x, m, r, g, b| g * (x - m) * r * r + b, "root-missing"),
            (|x, m, r, g, b| g * (x - m) / r + b, "rstd-inverted"),
        ];
        for (f, id) in formulas {
            named(&y(&case, &case.right, &s, f), id);
        }
        if !rms {
            let formulas: [(Output, &str); 6] = [
                (|x, m, r, g, _| g * (x - m) * r, "shift-missing"),
                (|x, m, r, g, b| g * (x - m) * r - b, "shift-sign"),
                (|x, m, r, g, b| g * ((x - m) * r + b), "beta-scaled"),
                (|x, m, r, g, b| b * (x - m) * r + g, "gamma-beta-swapped"),
                (|x, _, r, g, b| g * x * r + b, "x-hat-uncentred"),
                (|x, m, r, g, b| g * (x + m) * r + b, "mean-added"),
            ];
            for (f, id) in formulas {
                named(&y(&case, &case.right, &s, f), id);
            }
        }
        let centre = if rms {
            "mean-subtracted"
        } else {
            "mean-not-subtracted"
        };
        for (slips, id) in [
            (Slips { eps: 1, ..s }, "eps-left-out"),
            (Slips { eps: 2, ..s }, "eps-outside-root"),
            (Slips { bessel: 1.0, ..s }, "bessel-statistics"),
            (Slips { no_root: true, ..s }, "root-missing"),
            (Slips { centred: rms, ..s }, centre),
        ] {
            named(&y(&case, &case.right, &slips, RIGHT), id);
        }
        let (other, id) = &case.transposed;
        named(&y(&case, other, &s, RIGHT), &format!("axes-{id}"));
        let both: Output = |x, m, r, _, b| (x - m) * r - b;
        if !rms {
            named(
                &y(&case, &case.right, &s, both),
                "gamma-forgotten+shift-sign",
            );
        }
    }
}

#[test]
fn dgamma_and_dbeta() {
    for case in cases() {
        let p = &case.probe;
        let s = slips(&case);
        let sum = |each: &dyn Fn(usize) -> f64| {
            let mut sums = vec![0.0; p.gamma.len()];
            (0..p.x.len()).for_each(|k| sums[param(p, k)] += each(k));
            sums
        };
        let (mean, rstd) = statistics(p, &case.right, &s);
        let x_hat = |k: usize| (p.x[k] - mean[k]) * rstd[k];
        let gamma = |k: usize| p.gamma[param(p, k)];
        let y = |k: usize| gamma(k) * x_hat(k) + p.beta[param(p, k)];
        let dgamma = |f: &dyn Fn(usize) -> f64, id: &str| {
            named(&case, Target::Dgamma, &sum(&|k| p.dy[k] * f(k)), id);
        };
        let count = (p.x.len() / p.gamma.len()) as f64;
        dgamma(&x_hat, "correct");
        dgamma(&|k| x_hat(k) / count, "dgamma-averaged");
        dgamma(&|k| -x_hat(k), "dgamma-sign");
        dgamma(&|_| 1.0, "dgamma-is-dbeta");
        dgamma(&|k| p.x[k], "x-for-x-hat");
        dgamma(
            &|k| p.x[k] - mean[k],
            if p.kind == Kind::Rms {
                "x-for-x-hat"
            } else {
                "rstd-missing"
            },
        );
        dgamma(&|k| x_hat(k) * rstd[k], "rstd-extra");
        dgamma(&|k| gamma(k) * x_hat(k), "gamma-multiplied");
        if p.shape[0] as f64 != count {
            let expected = format!("dgamma-divided-by-{}", p.shape[0]);
            dgamma(&|k| x_hat(k) / p.shape[0] as f64, &expected);
        }
        if p.kind != Kind::Rms {
            dgamma(&|k| p.x[k] * rstd[k], "uncentred-for-x-hat");
            dgamma(&y, "y-for-x-hat");
        }
        for (slips, id) in [
            (Slips { eps: 1, ..s }, "eps-left-out"),
            (Slips { eps: 2, ..s }, "eps-outside-root"),
            (Slips { bessel: 1.0, ..s }, "bessel-statistics"),
        ] {
            let (mean, rstd) = statistics(p, &case.right, &slips);
            dgamma(&|k| (p.x[k] - mean[k]) * rstd[k], id);
        }
        let (mean, rstd) = statistics(p, &case.transposed.0, &s);
        dgamma(
            &|k| (p.x[k] - mean[k]) * rstd[k],
            &format!("axes-{}", case.transposed.1),
        );

        let dbeta = |f: &dyn Fn(usize) -> f64, id: &str| {
            named(&case, Target::Dbeta, &sum(&|k| p.dy[k] * f(k)), id);
        };
        dbeta(&|_| 1.0, "correct");
        dbeta(&|_| 1.0 / count, "dbeta-averaged");
        dbeta(&|_| -1.0, "dbeta-sign");
        dbeta(&x_hat, "dbeta-is-dgamma");
        dbeta(&gamma, "gamma-multiplied");
        dbeta(&|k| p.x[k], "x-multiplied");
        named(&case, Target::Dbeta, &sum(&|_| 1.0), "dy-ignored");
        let everything = vec![p.dy.iter().sum::<f64>(); p.gamma.len()];
        named(&case, Target::Dbeta, &everything, "summed-over-everything");

        named(&case, Target::Dgamma, &vec![0.0; p.gamma.len()], "zero");
        named(&case, Target::Dgamma, &p.dy, "shape");
        let verdict = explain(p, Target::Dgamma, &p.dy);
        assert!(verdict.sentence.contains("summed over all"), "{verdict}");
    }
}

#[test]
fn a_square_probe_tells_a_sum_over_the_wrong_axis() {
    for seed in SEEDS {
        let probe = Probe::batch_norm(&[5, 5], 1e-5, seed);
        let x_hat = probe.x_hat();
        let wrong = |i: usize| (0..5).map(|j| probe.dy[i * 5 + j] * x_hat[i * 5 + j]).sum();
        let dgamma: Vec<f64> = (0..5).map(wrong).collect();
        let verdict = explain(&probe, Target::Dgamma, &dgamma);
        assert_eq!(verdict.id, "summed-over-per-example", "{verdict:#?}");
        let probe = Probe::layer_norm(&[5, 5], 1, 1e-5, seed);
        let rows: Vec<f64> = probe.dy.chunks(5).map(|row| row.iter().sum()).collect();
        assert_eq!(
            explain(&probe, Target::Dbeta, &rows).id,
            "summed-over-per-row"
        );
    }
}

#[test]
fn dx_of_rms_norm() {
    for case in cases().into_iter().filter(|c| c.probe.kind == Kind::Rms) {
        let s = Slips {
            weight: [1.0, 0.0, 1.0],
            ..slips(&case)
        };
        let layer_norm = Slips {
            centred: true,
            weight: [1.0; 3],
            ..s
        };
        let other = &case.transposed.0;
        let run = |over: &Rows, back: &Rows, s: &Slips| {
            dx(&case.probe, over, [back, back], &gamma_of(&case.probe), s)
        };
        let right = &case.right;
        let d = right[0].len() as f64;
        for (slips, id) in [
            (s, "correct"),
            (layer_norm, "mean-subtracted"),
            (
                Slips {
                    weight: [1.0, 1.0, 1.0],
                    ..s
                },
                "mean-path-added",
            ),
            (
                Slips {
                    weight: [1.0, 0.0, 0.0],
                    ..s
                },
                "variance-path-missing",
            ),
            (
                Slips {
                    weight: [1.0, 0.0, -1.0],
                    ..s
                },
                "variance-path-sign",
            ),
            (
                Slips {
                    weight: [0.0, 0.0, 1.0],
                    ..s
                },
                "direct-path-missing",
            ),
            (
                Slips {
                    divisor: [0.0, 1.0],
                    ..s
                },
                "variance-path-summed",
            ),
            (
                Slips {
                    divisor: [0.0, d - 1.0],
                    ..s
                },
                "variance-path-bessel",
            ),
            (Slips { gamma: [0; 3], ..s }, "gamma-forgotten"),
            (
                Slips {
                    gamma: [1, 1, 0],
                    ..s
                },
                "variance-path-gamma-forgotten",
            ),
            (
                Slips {
                    gamma_outside: [true; 2],
                    ..s
                },
                "gamma-outside-mean",
            ),
            (
                Slips {
                    rstd: [0, 0, 2],
                    ..s
                },
                "rstd-missing",
            ),
            (
                Slips {
                    rstd: [1, 1, 2],
                    ..s
                },
                "variance-path-rstd-missing",
            ),
            (Slips { eps: 1, ..s }, "eps-left-out"),
        ] {
            named(&case, Target::Dx, &run(right, right, &slips), id);
        }
        named(
            &case,
            Target::Dx,
            &run(other, other, &s),
            "axes-per-feature",
        );
        named(
            &case,
            Target::Dx,
            &run(right, other, &s),
            "variance-path-axes-per-feature",
        );
    }
}

#[test]
fn running_statistics() {
    for seed in SEEDS {
        let probe = Probe::batch_norm(&[5, 3, 4], 1e-5, seed);
        let (m, momentum) = (20.0, 0.1);
        let slips = Slips::default();
        let (mean, rstd) = statistics(&probe, &channels(5, 3, 4), &slips);
        let per_channel =
            |v: &dyn Fn(usize) -> f64| -> Vec<f64> { (0..3).map(|c| v(c * 4)).collect() };
        let mean = per_channel(&|k| mean[k]);
        let var = per_channel(&|k| rstd[k].powi(-2) - probe.eps);
        let unbiased: Vec<f64> = var.iter().map(|v| v * m / (m - 1.0)).collect();
        let old = [0.3e-3, -0.5e-3, 1.1e-3];
        let mix = |a: f64, b: f64, new: &[f64]| -> Vec<f64> {
            old.iter().zip(new).map(|(o, n)| a * o + b * n).collect()
        };
        for (a, b, id) in [
            (0.9, 0.1, "correct"),
            (0.1, 0.9, "momentum-swapped"),
            (0.0, 0.1, "old-missing"),
            (0.9, 0.0, "batch-missing"),
            (0.9, 1.0, "batch-unweighted"),
            (1.0, 0.1, "old-unweighted-old"),
        ] {
            let verdict = explain_running_mean(&probe, &old, momentum, &mix(a, b, &mean));
            assert_eq!(verdict.id, id, "{verdict:#?}");
            let verdict = explain_running_var(&probe, &old, momentum, &mix(a, b, &unbiased));
            assert_eq!(verdict.id, id, "{verdict:#?}");
        }
        let with =
            |new: Vec<f64>| explain_running_var(&probe, &old, momentum, &mix(0.9, 0.1, &new));
        let map = |f: &dyn Fn(f64) -> f64| unbiased.iter().map(|&v| f(v)).collect::<Vec<f64>>();
        assert_eq!(with(var.clone()).id, "biased");
        let stored: Vec<f64> = mix(0.9, 0.1, &var)
            .iter()
            .map(|v| f64::from(*v as f32))
            .collect();
        let to = |precision| explain_running_var_to(&probe, &old, momentum, &stored, precision);
        assert_eq!(to(1e-6).id, "biased");
        assert_eq!(to(F64_PRECISION).id, "unknown");
        assert_eq!(with(map(&|v| v + probe.eps)).id, "eps-added");
        assert_eq!(with(map(&f64::sqrt)).id, "deviation");
        assert_eq!(with(per_channel(&|k| rstd[k])).id, "rstd-stored");
        let swapped = explain_running_var(&probe, &old, momentum, &mix(0.1, 0.9, &var));
        assert_eq!(swapped.id, "biased+momentum-swapped");
        assert_eq!(
            explain_running_var(&probe, &old, momentum, &var[1..]).id,
            "shape"
        );
    }
}

#[test]
fn an_f32_candidate_is_explained_to_its_own_precision() {
    for case in cases() {
        let s = Slips {
            weight: [1.0, 1.0, 0.0],
            ..slips(&case)
        };
        if case.probe.kind == Kind::Rms {
            continue;
        }
        let over = [&case.right, &case.right];
        let dx = dx(&case.probe, &case.right, over, &gamma_of(&case.probe), &s);
        let rounded: Vec<f64> = dx.iter().map(|&v| f64::from(v as f32)).collect();
        assert_eq!(explain(&case.probe, Target::Dx, &rounded).id, "unknown");
        let verdict = explain_to(&case.probe, Target::Dx, &rounded, 1e-6);
        assert_eq!(verdict.id, "variance-path-missing", "{verdict:#?}");
    }
}

#[test]
fn probes_are_never_blind() {
    for case in cases() {
        assert_eq!(case.probe.vacuous(), []);
    }
}

#[test]
#[should_panic(expected = "A normalized group has 2 values, of which")]
fn a_probe_of_two_examples_is_refused() {
    Probe::batch_norm(&[2, 4], 1e-5, 0);
}

/// How many mistakes the catalogue holds at least: none may fall out of it unseen.
fn known(kind: Kind, target: Target) -> usize {
    match (kind, target) {
        (Kind::Batch, Target::Y) => 30,
        (Kind::Batch, Target::Dx) => 131,
        (Kind::Batch, Target::Dgamma) => 24,
        (Kind::Batch, Target::Dbeta) => 14,
        (Kind::Layer, Target::Y) => 28,
        (Kind::Layer, Target::Dx) => 125,
        (Kind::Layer, Target::Dgamma) => 22,
        (Kind::Rms, Target::Y) => 16,
        (Kind::Rms, Target::Dx) => 71,
        (Kind::Rms, Target::Dgamma) => 19,
        (Kind::Group, Target::Y) => 28,
        (Kind::Group, Target::Dx) => 125,
        (Kind::Group, Target::Dgamma) => 22,
        (_, Target::Dbeta) => 13,
    }
}

#[test]
fn every_mistake_of_the_catalogue_is_told_from_every_other() {
    let mut probes = vec![Probe::batch_norm(&[5, 4], 1e-5, 1)];
    for case in cases_of(0) {
        probes.push(case.probe);
    }
    for probe in &probes {
        for target in [Target::Y, Target::Dx, Target::Dgamma, Target::Dbeta] {
            let all = mistakes(probe, target);
            assert!(all.len() >= known(probe.kind, target), "{}", all.len());
            for (finding, candidate) in all {
                let verdict = explain(probe, target, &candidate);
                let zero = verdict.id == "zero"
                    && candidate.iter().all(|v| v.abs() < 1e-9)
                    && (finding.id.ends_with("missing") || finding.id == "dy-ignored");
                assert!(
                    verdict.id == finding.id || zero,
                    "{:?} {:?} {target:?}: expected {}, got {}\n{verdict:#?}",
                    probe.kind,
                    probe.shape,
                    finding.id,
                    verdict.id
                );
            }
        }
    }
}

/// What a probe says is right, and what is shown beside a candidate, is right.
#[test]
fn a_probe_s_own_answers_are_right() {
    for seed in SEEDS {
        for probe in [
            Probe::batch_norm(&[5, 3, 4], 1e-5, seed),
            Probe::layer_norm(&[5, 4], 1, 1e-3, seed),
            Probe::rms_norm(&[5, 4], 1, 1e-3, seed),
        ] {
            for (target, own) in [
                (Target::Y, probe.y()),
                (Target::Dx, probe.dx()),
                (Target::Dgamma, probe.dgamma()),
                (Target::Dbeta, probe.dbeta()),
            ] {
                let verdict = explain(&probe, target, &own);
                assert!(verdict.is_correct(), "{:?} {verdict}", probe.kind);
            }
        }
    }
}

#[test]
fn a_probe_s_rstd_is_that_of_its_groups() {
    let probes = [
        Probe::layer_norm(&[5, 4], 1, 1e-3, 0),
        Probe::rms_norm(&[5, 4], 1, 1e-3, 0),
    ];
    for probe in probes {
        let rstd = probe.rstd();
        assert_eq!(rstd.len(), 20);
        for (row, rstd) in probe.x.chunks(4).zip(rstd.chunks(4)) {
            let mean = match probe.kind {
                Kind::Rms => 0.0,
                _ => row.iter().sum::<f64>() / 4.0,
            };
            let squares = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
            let own = 1.0 / (squares / 4.0 + 1e-3).sqrt();
            assert!(rstd.iter().all(|r| (r - own).abs() < 1e-12), "{rstd:?}");
        }
    }
}

#[test]
fn a_norm_s_paths_and_sums_bear_their_own_names() {
    let said = |probe: &Probe, id: &str| {
        let all = mistakes(probe, Target::Dx);
        let found = all.into_iter().find(|(finding, _)| finding.id == id);
        found.expect(id).0.sentence
    };
    let layer = Probe::layer_norm(&[5, 4], 1, 1e-3, 0);
    let rms = Probe::rms_norm(&[5, 4], 1, 1e-3, 0);
    for (id, of_layer, of_rms) in [
        ("variance-path-missing", "sigma²", "mean square"),
        ("parameter-sums-for-means", "dbeta and dgamma", "dgamma"),
    ] {
        let (layer, rms) = (said(&layer, id), said(&rms, id));
        assert!(layer.contains(of_layer), "{layer}");
        assert!(rms.contains(of_rms) && !rms.contains(of_layer), "{rms}");
    }
}

/// A verdict sends its reader to a section; it must be there.
#[test]
fn the_book_has_every_section_that_a_verdict_names() {
    let book = concat!(env!("CARGO_MANIFEST_DIR"), "/../../book/src");
    let chapters = std::fs::read_dir(book)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let markdown = chapters.filter(|path| path.extension().is_some_and(|e| e == "md"));
    let text: String = markdown
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    for probe in [
        Probe::batch_norm(&[5, 3, 4], 1e-5, 0),
        Probe::layer_norm(&[5, 3, 4], 1, 1e-5, 0),
        Probe::rms_norm(&[5, 4], 1, 1e-5, 0),
    ] {
        for target in [Target::Y, Target::Dx, Target::Dgamma, Target::Dbeta] {
            for (finding, _) in mistakes(&probe, target) {
                let section = finding.section.expect("every mistake has a section");
                assert!(
                    text.contains(&format!("{{#{section}}}")),
                    "{section} ({})",
                    finding.id
                );
            }
        }
    }
}

#[test]
fn a_nearly_right_gradient_is_told_how_many_digits_are_right() {
    let probe = Probe::layer_norm(&[5, 8], 1, 1e-5, 3);
    let mut dx = probe.dx();
    for (i, dx) in dx.iter_mut().enumerate() {
        *dx *= 1.0 + if i % 2 == 0 { 1e-7 } else { -1e-7 };
    }
    let verdict = explain(&probe, Target::Dx, &dx);
    assert!(
        verdict.sentence.contains("it is right to 7 digits"),
        "{}",
        verdict.sentence
    );
}

#[test]
fn a_parameter_gradient_of_the_wrong_length_is_told_its_unit() {
    for (probe, unit) in [
        (Probe::batch_norm(&[5, 4], 1e-5, 0), "channel"),
        (Probe::layer_norm(&[5, 4], 1, 1e-5, 0), "feature"),
    ] {
        let verdict = explain(&probe, Target::Dgamma, &[0.0; 5]);
        assert_eq!(verdict.id, "shape");
        let expected = format!("must have 4, one for each {unit}");
        assert!(verdict.sentence.contains(&expected), "{}", verdict.sentence);
    }
}

/// What no known mistake explains is told where it is.
#[test]
fn an_unknown_mistake_is_located() {
    let spoil = |probe: &Probe, here: &dyn Fn(usize, usize) -> bool| {
        let mut dx = probe.dx();
        for row in 0..5 {
            for column in (0..4).filter(|&column| here(row, column)) {
                dx[row * 4 + column] += 0.1 * (1.0 + (row * row + 3 * column) as f64).sin();
            }
        }
        let verdict = explain(probe, Target::Dx, &dx);
        assert_eq!(verdict.id, "unknown", "{verdict:#?}");
        verdict.sentence
    };
    let batch = Probe::batch_norm(&[5, 4], 1e-5, 0);
    let text = spoil(&batch, &|_, column| column == 2);
    assert!(text.ends_with("it is right except in channel 2"), "{text}");
    let text = spoil(&batch, &|row, _| row == 1);
    assert!(text.ends_with("it is right except in example 1"), "{text}");
    let layer = Probe::layer_norm(&[5, 4], 1, 1e-5, 0);
    let text = spoil(&layer, &|row, _| row == 1);
    assert!(text.ends_with("it is right except in row 1"), "{text}");
    let text = spoil(&layer, &|_, column| column > 1);
    assert!(
        text.ends_with("it is right except in features 2 and 3"),
        "{text}"
    );
    let text = spoil(&layer, &|_, _| true);
    assert!(!text.contains("except"), "{text}");
}

#[test]
fn a_probe_without_eps_is_as_good() {
    for probe in [
        Probe::batch_norm(&[5, 4], 0.0, 0),
        Probe::layer_norm(&[5, 4], 1, 0.0, 0),
    ] {
        assert_eq!(probe.vacuous(), []);
        assert_eq!(explain(&probe, Target::Dx, &probe.dx()).id, "correct");
    }
}

/// A factor that belongs to a mean is told as a size where there is no mean.
#[test]
fn a_factor_on_the_whole_is_told_by_its_size() {
    let probe = Probe::batch_norm(&[4, 3], 1e-5, 0);
    let scaled = |factor: f64| -> String {
        let dx: Vec<f64> = probe.dx().iter().map(|v| v * factor).collect();
        explain(&probe, Target::Dx, &dx).sentence
    };
    let text = scaled(4.0 / 3.0);
    assert!(text.contains("is 1.3333 times too large"), "{text}");
    let text = scaled(1.0 / 4.0);
    assert!(text.contains("is 4.0000 times too small"), "{text}");
}
