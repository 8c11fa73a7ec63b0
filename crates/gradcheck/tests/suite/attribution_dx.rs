//! Every mistake in dx that the catalogue knows is named, and only it, for Batch Norm,
//! Layer Norm and Group Norm, at several shapes and seeds.

use crate::learner::{Rows, Slips, channels, columns, dx, gamma_of, groups, rows};
use gradcheck::attribution::norm::{Probe, Target, explain};

const SEEDS: std::ops::Range<u64> = 0..3;
const BATCH: [&[usize]; 5] = [&[6, 4], &[7, 5], &[5, 3, 4], &[3, 5, 7], &[3, 4, 3, 5]];
const LAYER: [(&[usize], usize); 4] =
    [(&[6, 5], 1), (&[4, 9], 1), (&[3, 4, 7], 1), (&[5, 3, 4], 2)];
const GROUP: [(&[usize], usize); 3] = [(&[4, 6], 2), (&[3, 4, 3], 2), (&[3, 6, 2, 2], 3)];

/// Cases whose search over pairs of mistakes is quick.
fn small_cases() -> Vec<Case> {
    let small = |case: &Case| case.probe.x.len() <= 30;
    cases_of(0..2).into_iter().filter(small).collect()
}

/// One normalization: its probe, its right groups, and the transposed ones.
struct Case {
    probe: Probe,
    right: Rows,
    transposed: (Rows, &'static str),
}

fn cases() -> Vec<Case> {
    cases_of(SEEDS)
}

fn cases_of(seeds: std::ops::Range<u64>) -> Vec<Case> {
    let mut cases = Vec::new();
    for seed in seeds {
        let eps = if seed % 2 == 0 { 1e-5 } else { 1e-3 };
        for shape in BATCH {
            let (n, c) = (shape[0], shape[1]);
            let l: usize = shape[2..].iter().product();
            cases.push(Case {
                probe: Probe::batch_norm(shape, eps, seed),
                right: channels(n, c, l),
                transposed: (rows(n, c * l), "per-example"),
            });
        }
        for (shape, normalized) in LAYER {
            let lead: usize = shape[..shape.len() - normalized].iter().product();
            let d = shape.iter().product::<usize>() / lead;
            cases.push(Case {
                probe: Probe::layer_norm(shape, normalized, eps, seed),
                right: rows(lead, d),
                transposed: (columns(lead, d), "per-feature"),
            });
        }
        for (shape, count) in GROUP {
            let (probe, right, channels) = groups(shape, count, eps, seed);
            cases.push(Case {
                probe,
                right,
                transposed: (channels, "batch-norm"),
            });
        }
    }
    cases
}

#[track_caller]
fn named(case: &Case, what: &str, candidate: &[f64], expected: &str) {
    let verdict = explain(&case.probe, Target::Dx, candidate);
    assert!(
        verdict.id == expected,
        "{:?} {:?}: {what}: expected {expected}, got {}\n{verdict:#?}",
        case.probe.kind,
        case.probe.shape,
        verdict.id
    );
}

fn wrong(case: &Case, slips: Slips) -> Vec<f64> {
    let over = [&case.right, &case.right];
    dx(
        &case.probe,
        &case.right,
        over,
        &gamma_of(&case.probe),
        &slips,
    )
}

fn right() -> Slips {
    Slips::default()
}

#[test]
fn what_is_right_is_called_right() {
    for case in cases() {
        named(&case, "right", &wrong(&case, right()), "correct");
    }
}

#[test]
fn paths_that_are_missing_flipped_or_weighed_wrong() {
    let names = ["direct-path", "mean-path", "variance-path"];
    for case in cases() {
        let m = case.right[0].len() as f64;
        for (path, name) in names.iter().enumerate() {
            for (weight, id) in [
                (0.0, "missing"),
                (-1.0, "sign"),
                (2.0, "doubled"),
                (0.5, "halved"),
            ] {
                let mut slips = right();
                slips.weight[path] = weight;
                let expected = format!("{name}-{id}");
                named(&case, &expected, &wrong(&case, slips), &expected);
            }
        }
        for (path, name) in names.iter().enumerate().skip(1) {
            for (divisor, id) in [
                (1.0, "summed"),
                (m - 1.0, "bessel"),
                (m * m, "averaged-twice"),
            ] {
                let mut slips = right();
                slips.divisor[path - 1] = divisor;
                let expected = format!("{name}-{id}");
                named(&case, &expected, &wrong(&case, slips), &expected);
            }
        }
        let both = [
            (
                Slips {
                    weight: [1.0, 0.0, 0.0],
                    ..right()
                },
                "missing",
            ),
            (
                Slips {
                    weight: [1.0, -1.0, -1.0],
                    ..right()
                },
                "sign",
            ),
            (
                Slips {
                    divisor: [1.0, 1.0],
                    ..right()
                },
                "summed",
            ),
            (
                Slips {
                    divisor: [m - 1.0, m - 1.0],
                    ..right()
                },
                "bessel",
            ),
        ];
        for (slips, id) in both {
            let expected = format!("mean-path-and-variance-path-{id}");
            named(&case, id, &wrong(&case, slips), &expected);
        }
        for (whole, id) in [
            (-1.0, "whole-sign"),
            (2.0, "whole-doubled"),
            (m, "whole-summed"),
            (1.0 / m, "whole-averaged-twice"),
        ] {
            named(&case, id, &wrong(&case, Slips { whole, ..right() }), id);
        }
    }
}

#[test]
fn a_divisor_taken_from_the_wrong_axis() {
    for case in cases() {
        let m = case.right[0].len();
        for &d in &case.probe.shape {
            // What a smaller probe cannot tell from another mistake is not asked.
            let other = [m, m - 1, 1, 2 * m, m * m].contains(&d) || m == 2 * d || m == d;
            if other || d <= 2 {
                continue;
            }
            let slips = Slips {
                divisor: [d as f64, d as f64],
                ..right()
            };
            let expected = format!("mean-path-and-variance-path-divided-by-{d}");
            named(&case, "divisor", &wrong(&case, slips), &expected);
        }
    }
}

#[test]
fn gamma_forgotten_squared_or_in_the_wrong_place() {
    let paths = [
        ([0, 0, 0], "gamma-forgotten"),
        ([0, 1, 1], "direct-path-gamma-forgotten"),
        ([1, 0, 1], "mean-path-gamma-forgotten"),
        ([1, 1, 0], "variance-path-gamma-forgotten"),
        ([1, 0, 0], "mean-path-and-variance-path-gamma-forgotten"),
        ([2, 2, 2], "gamma-squared"),
        ([-1, -1, -1], "gamma-divided"),
    ];
    for case in cases() {
        for (gamma, expected) in paths {
            named(
                &case,
                "gamma",
                &wrong(&case, Slips { gamma, ..right() }),
                expected,
            );
        }
        if case.transposed.1 == "per-feature" {
            let slips = Slips {
                gamma_outside: [true; 2],
                ..right()
            };
            named(&case, "outside", &wrong(&case, slips), "gamma-outside-mean");
            let gamma = gamma_of(&case.probe);
            let twice = wrong(&case, right());
            let twice: Vec<f64> = twice.iter().zip(&gamma).map(|(v, g)| v * g).collect();
            named(&case, "in front too", &twice, "gamma-again-in-front");
            for (gamma_outside, path) in [([true, false], "mean"), ([false, true], "variance")] {
                let slips = Slips {
                    gamma_outside,
                    ..right()
                };
                let expected = format!("{path}-path-gamma-outside-mean");
                named(&case, &expected, &wrong(&case, slips), &expected);
            }
        }
    }
}

#[test]
fn powers_of_rstd() {
    let powers = [
        ([0, 0, 2], "rstd-missing"),
        ([2, 2, 4], "rstd-extra"),
        ([-1, -1, 1], "rstd-inverted"),
        ([0, 1, 3], "direct-path-rstd-missing"),
        ([1, 0, 3], "mean-path-rstd-missing"),
        ([1, 1, 2], "variance-path-rstd-missing"),
        ([1, 1, 1], "variance-path-rstd-inverted"),
        ([1, 1, 0], "variance-path-rstd-missing-thrice"),
        ([2, 1, 3], "direct-path-rstd-extra"),
        ([1, 2, 3], "mean-path-rstd-extra"),
        ([1, 1, 4], "variance-path-rstd-extra"),
    ];
    for case in cases() {
        for (rstd, expected) in powers {
            named(
                &case,
                "rstd",
                &wrong(&case, Slips { rstd, ..right() }),
                expected,
            );
        }
    }
}

#[test]
fn mistakes_in_the_statistics() {
    for case in cases() {
        for (slips, expected) in [
            (Slips { eps: 1, ..right() }, "eps-left-out"),
            (Slips { eps: 2, ..right() }, "eps-outside-root"),
            (
                Slips {
                    bessel: 1.0,
                    ..right()
                },
                "bessel-statistics",
            ),
            (
                Slips {
                    no_root: true,
                    ..right()
                },
                "root-missing",
            ),
            (
                Slips {
                    centred: false,
                    ..right()
                },
                "mean-not-subtracted",
            ),
            (
                Slips {
                    dy_ones: true,
                    ..right()
                },
                "dy-ignored",
            ),
        ] {
            // Batch Norm sends all ones to zero: there is nothing left to see.
            let batch = case.transposed.1 == "per-example";
            let expected = if batch && slips.dy_ones {
                "zero"
            } else {
                expected
            };
            // With M-1 in the forward, the backward through the variance has M-1 too:
            // consistent, it comes out as the variance path over M-1.
            if slips.bessel == 1.0 {
                let m = case.right[0].len() as f64;
                let slips = Slips {
                    divisor: [0.0, m - 1.0],
                    ..slips
                };
                let also = format!("{expected}+variance-path-bessel");
                named(&case, expected, &wrong(&case, slips), &also);
            }
            named(&case, expected, &wrong(&case, slips), expected);
        }
    }
}

#[test]
fn sums_over_the_wrong_axis() {
    for case in cases() {
        let gamma = gamma_of(&case.probe);
        let (other, id) = &case.transposed;
        let run = |stat, over| dx(&case.probe, stat, over, &gamma, &right());
        let right = &case.right;
        named(
            &case,
            "all",
            &run(other, [other, other]),
            &format!("axes-{id}"),
        );
        named(
            &case,
            "stat",
            &run(other, [right, right]),
            &format!("statistics-axes-{id}"),
        );
        named(
            &case,
            "mean",
            &run(right, [other, right]),
            &format!("mean-path-axes-{id}"),
        );
        named(
            &case,
            "var",
            &run(right, [right, other]),
            &format!("variance-path-axes-{id}"),
        );
        let both = format!("mean-path-and-variance-path-axes-{id}");
        named(&case, "both", &run(right, [other, other]), &both);
    }
}

/// As a learner writes the closed form of Batch Norm: gamma and rstd before the bracket,
/// its means over the features of an example. Gamma is then that of the element, and not
/// inside the mean.
#[test]
fn means_of_the_closed_form_over_the_wrong_axis() {
    for case in cases() {
        let gamma = gamma_of(&case.probe);
        let (other, id) = &case.transposed;
        let slips = Slips {
            gamma_outside: [true; 2],
            ..right()
        };
        for (over, path) in [
            ([other, other], "mean-path-and-variance-path"),
            ([other, &case.right], "mean-path"),
            ([&case.right, other], "variance-path"),
        ] {
            // Over a column of Layer Norm, and a channel of Group Norm, gamma is one number;
            // but not over the row or group that the other mean is taken over.
            let mut slips = slips;
            if *id != "per-example" {
                slips.gamma_outside = over.map(|groups| std::ptr::eq(groups, other));
            }
            let candidate = dx(&case.probe, &case.right, over, &gamma, &slips);
            let expected = format!("{path}-axes-{id}");
            named(&case, &expected, &candidate, &expected);
        }
    }
}

/// dbeta and dgamma stand in the bracket of Batch Norm's closed form. In that of Layer
/// Norm they are sums over the wrong axis, and divided by the wrong number.
#[test]
fn parameter_gradients_where_the_means_over_the_row_belong() {
    for case in cases().iter().filter(|c| c.transposed.1 == "per-feature") {
        let (columns, features) = (&case.transposed.0, case.right[0].len() as f64);
        let slips = Slips {
            divisor: [features; 2],
            ..right()
        };
        let gamma = gamma_of(&case.probe);
        let candidate = dx(&case.probe, &case.right, [columns; 2], &gamma, &slips);
        let square = features == columns[0].len() as f64;
        let expected = if square {
            "mean-path-and-variance-path-axes-per-feature"
        } else {
            "parameter-sums-for-means"
        };
        named(case, "parameter sums", &candidate, expected);
    }
}

#[test]
fn the_other_axes_of_images() {
    for seed in SEEDS {
        for shape in [&[5, 3, 4][..], &[4, 3, 5], &[3, 4, 3, 5]] {
            let probe = Probe::batch_norm(shape, 1e-5, seed);
            let (n, c) = (shape[0], shape[1]);
            let l: usize = shape[2..].iter().product();
            let total = n * c * l;
            let spatial_only = rows(n * c, l);
            let batch_only = columns(n, c * l);
            let by = |f: &dyn Fn(usize) -> usize, count: usize| -> Rows {
                let of = |g| (0..total).filter(|&k| f(k) == g).collect();
                (0..count).map(of).collect()
            };
            let channels_only = by(&|k| k / (c * l) * l + k % l, n * l);
            let everything = vec![(0..total).collect()];
            for (groups, id) in [
                (spatial_only, "axes-spatial-only"),
                (batch_only, "axes-batch-only"),
                (channels_only, "axes-channels-only"),
                (everything, "axes-everything"),
            ] {
                let candidate = dx(
                    &probe,
                    &groups,
                    [&groups, &groups],
                    &gamma_of(&probe),
                    &right(),
                );
                let verdict = explain(&probe, Target::Dx, &candidate);
                assert_eq!(verdict.id, id, "{shape:?}\n{verdict:#?}");
                // The same groups in the bracket of the closed form alone.
                let slips = Slips {
                    gamma_outside: [true; 2],
                    ..right()
                };
                let rows = channels(n, c, l);
                let over = [&groups, &groups];
                let candidate = dx(&probe, &rows, over, &gamma_of(&probe), &slips);
                let verdict = explain(&probe, Target::Dx, &candidate);
                let expected = format!("mean-path-and-variance-path-{id}");
                assert_eq!(verdict.id, expected, "{shape:?}\n{verdict:#?}");
            }
            for (f, id) in [
                (
                    &(|k| k % c) as &dyn Fn(usize) -> usize,
                    "layout-channels-last",
                ),
                (&|k| k / (n * l), "layout-channels-first"),
            ] {
                let groups = by(f, c);
                let gamma: Vec<f64> = (0..total).map(|k| probe.gamma[f(k)]).collect();
                let candidate = dx(&probe, &groups, [&groups, &groups], &gamma, &right());
                let verdict = explain(&probe, Target::Dx, &candidate);
                assert_eq!(verdict.id, id, "{shape:?}\n{verdict:#?}");
            }
        }
    }
}

#[test]
fn something_else_where_x_hat_belongs() {
    let swaps = [
        (['u', 'u'], "uncentred-for-x-hat"),
        (['u', 'c'], "uncentred-for-x-hat-outside"),
        (['c', 'u'], "uncentred-for-x-hat-inside"),
        (['x', 'x'], "x-for-x-hat"),
        (['x', 'c'], "x-for-x-hat-outside"),
        (['c', 'x'], "x-for-x-hat-inside"),
        (['y', 'y'], "y-for-x-hat"),
        (['y', 'c'], "y-for-x-hat-outside"),
        (['c', 'y'], "y-for-x-hat-inside"),
        (['1', 'c'], "x-hat-missing-outside"),
        (['c', '1'], "x-hat-missing-inside"),
    ];
    for case in cases() {
        for (off, id) in swaps {
            let expected = format!("variance-path-{id}");
            named(
                &case,
                id,
                &wrong(&case, Slips { off, ..right() }),
                &expected,
            );
        }
        let weighted = Slips {
            weighted: true,
            ..right()
        };
        named(
            &case,
            "weighted",
            &wrong(&case, weighted),
            "mean-path-weighted",
        );
    }
}

#[test]
fn two_mistakes_at_once_are_both_named() {
    for case in small_cases() {
        for (slips, expected) in [
            (
                Slips {
                    gamma: [0; 3],
                    weight: [1.0, 1.0, 0.0],
                    ..right()
                },
                "gamma-forgotten+variance-path-missing",
            ),
            (
                Slips {
                    gamma: [0; 3],
                    rstd: [0, 0, 2],
                    ..right()
                },
                "gamma-forgotten+rstd-missing",
            ),
            (
                Slips {
                    eps: 1,
                    weight: [1.0, -1.0, 1.0],
                    ..right()
                },
                "eps-left-out+mean-path-sign",
            ),
            (
                Slips {
                    weight: [1.0, 0.0, -1.0],
                    ..right()
                },
                "mean-path-missing+variance-path-sign",
            ),
            (
                Slips {
                    rstd: [2, 2, 4],
                    divisor: [1.0, 0.0],
                    ..right()
                },
                "rstd-extra+mean-path-summed",
            ),
            (
                Slips {
                    eps: 1,
                    gamma: [0; 3],
                    ..right()
                },
                "eps-left-out+gamma-forgotten",
            ),
        ] {
            named(&case, expected, &wrong(&case, slips), expected);
        }
    }
}

#[test]
fn nothing_is_named_that_is_not_there() {
    for case in small_cases() {
        let mut dx = wrong(&case, right());
        // A slip that no catalogue knows: tanh somewhere.
        let odd: Vec<f64> = dx.iter().map(|v| v.tanh() + 0.1).collect();
        named(&case, "tanh", &odd, "unknown");
        // One element wrong, far above rounding: unknown, and the place is told.
        let largest = dx.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        dx[1] += 1e-4 * largest;
        let verdict = explain(&case.probe, Target::Dx, &dx);
        assert_eq!(verdict.id, "unknown", "{verdict:#?}");
        assert!(verdict.sentence.contains("right except in"), "{verdict}");
        // Weights without a meaning are given as numbers.
        let slips = Slips {
            weight: [1.0, 0.731, 1.0],
            ..right()
        };
        named(&case, "weight", &wrong(&case, slips), "mean-path-weight");
    }
}

#[test]
fn shapes_nan_and_zeros_come_first() {
    for case in cases() {
        let dx = wrong(&case, right());
        named(&case, "short", &dx[1..], "shape");
        named(&case, "zero", &vec![0.0; dx.len()], "zero");
        let mut nan = dx.clone();
        nan[2] = f64::NAN;
        named(&case, "nan", &nan, "not-finite");
    }
}
