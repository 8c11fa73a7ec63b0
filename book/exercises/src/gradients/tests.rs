use super::*;
use crate::batch::{BATCH, LAYER, RMS};
use crate::checkers::{bn_backward_closed_form, ln_backward_closed_form, rms_backward};
use judge::testing::{named, passes};
use verdict::Weight;

const NORMS: [&Norm; 3] = [BATCH, LAYER, RMS];

/// The closed form in loops over groups, with the places at which a reader can go wrong taken as
/// arguments.
#[derive(Clone, Copy)]
struct Slips {
    /// The weight of the mean's path, in RMS Norm too, which has none.
    mean: Option<f64>,
    variance: f64,
    /// Gamma inside the two means, and after them.
    gamma: [bool; 2],
    rstd: i32,
    /// The power of rstd in the product under the mean, where `x_hat` has 1.
    inner: i32,
    /// From the numbers of values in a group and in another.
    divisor: fn(f64, f64) -> f64,
    /// Sums over the groups of the other axis.
    across: bool,
    /// The index of gamma, and of rstd if that is not its group.
    gamma_at: At,
    rstd_at: Option<At>,
    /// What adds to the gradients of the parameters.
    add: fn(&mut f64, f64),
    /// Whether the sums over a group begin with those of the one before.
    not_reset: bool,
    /// At the end.
    spoil: fn(&mut Gradients, &[f64], usize),
}

const RIGHT: Slips = Slips {
    mean: None,
    variance: 1.0,
    gamma: [true, false],
    rstd: 1,
    inner: 1,
    divisor: |size, _| size,
    across: false,
    gamma_at: COLUMN,
    rstd_at: None,
    add: |sum, term| *sum += term,
    not_reset: false,
    spoil: |_, _, _| (),
};

/// From dy, x_hat (in RMS Norm: x), rstd and gamma, of n rows.
fn gradients(norm: &Norm, s: &Slips, all: [&[f64]; 4], n: usize, columns: usize) -> Gradients {
    let [dy, x, rstd, gamma] = all;
    let (rms, of_rows) = (norm.kind == Kind::Rms, norm.of_rows());
    let place = |k: usize| (k / columns, k % columns);
    let group = |k: usize, of_rows: bool| if of_rows { place(k).0 } else { place(k).1 };
    let over_rows = of_rows != s.across;
    let [size, groups] = if over_rows {
        [columns, n]
    } else {
        [n, columns]
    };
    let m = (s.divisor)(size as f64, groups as f64);
    let gamma = |here: bool, k: usize| {
        let (row, column) = place(k);
        if here {
            gamma[(s.gamma_at)(row, column)]
        } else {
            1.0
        }
    };
    let rstd = |k: usize| {
        let (row, column) = place(k);
        rstd[s.rstd_at.map_or(group(k, of_rows), |at| at(row, column))]
    };
    let x_hat = |k: usize| if rms { x[k] * rstd(k) } else { x[k] };
    let g = |k: usize| gamma(s.gamma[0], k) * dy[k];
    let mean = s.mean.unwrap_or(if rms { 0.0 } else { 1.0 });
    let mut out = Gradients {
        dx: vec![0.0; dy.len()],
        dgamma: vec![0.0; columns],
        dbeta: vec![0.0; columns],
    };
    for (k, dy) in dy.iter().enumerate() {
        (s.add)(&mut out.dbeta[k % columns], *dy);
        (s.add)(&mut out.dgamma[k % columns], dy * x_hat(k));
    }
    let (mut sum, mut product) = (0.0, 0.0);
    for of in 0..groups {
        (sum, product) = if s.not_reset {
            (sum, product)
        } else {
            (0.0, 0.0)
        };
        let elements = || (0..dy.len()).filter(|k| group(*k, over_rows) == of);
        for k in elements() {
            sum += g(k) / m;
            product += g(k) * x_hat(k) * rstd(k).powi(s.inner - 1) / m;
        }
        for k in elements() {
            let through = mean * sum + s.variance * x_hat(k) * product;
            out.dx[k] = gamma(s.gamma[1], k) * rstd(k).powi(s.rstd) * (g(k) - through);
        }
    }
    (s.spoil)(&mut out, all[3], n);
    out
}

fn report(norm: &Norm, s: &Slips, seed: u64) -> verdict::Report {
    asked(
        norm,
        &|all, n, columns| gradients(norm, s, all, n, columns),
        seed,
    )
}

type Asked<'a> = &'a dyn Fn([&[f64]; 4], usize, usize) -> Gradients;

/// The report on what is made of dy, x_hat or x, rstd and gamma.
fn asked(norm: &Norm, made: Asked<'_>, seed: u64) -> verdict::Report {
    let closed = |dy: &[f64], x: &[f64], rstd: &[f64], gamma: &[f64], n, columns| {
        made([dy, x, rstd, gamma], n, columns)
    };
    let of_rms = |dy: &[f64], x: &[f64], rstd: &[f64], gamma: &[f64], n, columns| {
        let Gradients { dx, dgamma, .. } = made([dy, x, rstd, gamma], n, columns);
        rms_backward::Gradients { dx, dgamma }
    };
    match norm.kind {
        Kind::Batch => bn_backward_closed_form::report(&closed, seed),
        Kind::Layer => ln_backward_closed_form::report(&closed, seed),
        Kind::Rms => rms_backward::report(&of_rms, seed),
        Kind::Group => panic!("no exercise is about Group Norm"),
    }
}

#[test]
fn what_is_right_passes() {
    for (norm, lines) in NORMS.into_iter().zip([4, 4, 3]) {
        passes(lines, |seed| {
            let report = report(norm, &RIGHT, seed);
            let numeric = report.lines.last().unwrap();
            assert!(numeric.name == "finite differences" && numeric.right);
            report
        });
    }
}

const ALL: &[&Norm] = &NORMS;
const CENTRED: &[&Norm] = &[BATCH, LAYER];
const ROWS: &[&Norm] = &[LAYER, RMS];

/// Where it is named, its name, the sections (of Batch, Layer and RMS Norm), and what is typed.
type Slip = (
    &'static [&'static Norm],
    &'static str,
    [&'static str; 3],
    fn(&mut Slips),
);

const PATH: [&str; 3] = ["sec:three-terms", "sec:ln-closed-form", "sec:rms-norm"];
const GAMMA: [&str; 3] = ["sec:staged", "sec:ln-closed-form", "sec:rms-norm"];
const WHOLE: [&str; 3] = ["sec:staged", "sec:ln-staged", "sec:rms-norm"];
const LAYOUT: [&str; 3] = ["sec:bn-layouts", "sec:ln-layouts", "sec:rms-norm"];
const SUMS: [&str; 3] = ["sec:staged", "sec:ln-parameters", "sec:ln-parameters"];
const BOTH_SUMMED: &str = "mean-path-and-variance-path-summed";
const BOTH_BESSEL: &str = "mean-path-and-variance-path-bessel";
const BOTH_MISSING: &str = "mean-path-and-variance-path-missing";
const ACROSS: &str = "mean-path-and-variance-path-axes-per-feature";

#[rustfmt::skip]
const SLIPS: &[Slip] = &[
    (ALL, "variance-path-missing", PATH, |s| s.variance = 0.0),
    (ALL, "variance-path-sign", PATH, |s| s.variance = -1.0),
    (ALL, "variance-path-halved", PATH, |s| s.variance = 0.5),
    (CENTRED, "mean-path-missing", PATH, |s| s.mean = Some(0.0)),
    (CENTRED, "mean-path-sign", PATH, |s| s.mean = Some(-1.0)),
    (CENTRED, BOTH_MISSING, PATH, |s| (s.mean, s.variance) = (Some(0.0), 0.0)),
    // Layer Norm's gradient where RMS Norm's is asked for.
    (&[RMS], "mean-path-added", PATH, |s| s.mean = Some(1.0)),
    (ALL, "gamma-forgotten", GAMMA, |s| s.gamma = [false, false]),
    (ROWS, "gamma-outside-mean", GAMMA, |s| s.gamma = [false, true]),
    (&[LAYER], "gamma-again-in-front", GAMMA, |s| s.gamma = [true, true]),
    (ALL, "rstd-missing", WHOLE, |s| s.rstd = 0),
    (ALL, "rstd-extra", WHOLE, |s| s.rstd = 2),
    (&[RMS], "variance-path-rstd-missing", PATH, |s| s.inner = 0),
    (CENTRED, BOTH_SUMMED, PATH, |s| s.divisor = |_, _| 1.0),
    (CENTRED, BOTH_BESSEL, PATH, |s| s.divisor = |size, _| size - 1.0),
    (&[RMS], "variance-path-summed", PATH, |s| s.divisor = |_, _| 1.0),
    (&[RMS], "variance-path-bessel", PATH, |s| s.divisor = |size, _| size - 1.0),
    // A mean over N where a row has D values.
    (&[LAYER], "mean-path-and-variance-path-divided-by-4", PATH, |s| s.divisor = |_, n| n),
    (&[BATCH], "mean-path-and-variance-path-axes-per-example", LAYOUT, |s| s.across = true),
    // The closed form of Batch Norm carried over to rows.
    (&[LAYER], ACROSS, LAYOUT, |s| (s.gamma, s.across) = ([false, true], true)),
    (&[LAYER], "parameter-sums-for-means", GAMMA, |s| {
        (s.gamma, s.across, s.divisor) = ([false, true], true, |_, d| d);
    }),
    (ROWS, "rstd-by-feature", PATH, |s| s.rstd_at = Some(|_, i| i)),
    (ROWS, "gamma-by-row", PATH, |s| s.gamma_at = |r, _| r),
    (ROWS, "sums-not-reset", PATH, |s| s.not_reset = true),
    (ROWS, "overwritten", SUMS, |s| s.add = |sum, term| *sum = term),
    (ALL, "dgamma-averaged", SUMS, |s| s.spoil = |g, _, n| g.dgamma.iter_mut().for_each(|d| *d /= n as f64)),
    (CENTRED, "dbeta-averaged", SUMS, |s| s.spoil = |g, _, n| g.dbeta.iter_mut().for_each(|d| *d /= n as f64)),
    (CENTRED, "dgamma-is-dbeta", SUMS, |s| s.spoil = |g, _, _| g.dgamma = g.dbeta.clone()),
    (CENTRED, "dbeta-is-dgamma", SUMS, |s| s.spoil = |g, _, _| g.dbeta = g.dgamma.clone()),
    (ALL, "gamma-multiplied", SUMS, |s| s.spoil = |g, gamma, _| g.dgamma.iter_mut().zip(gamma).for_each(|(d, gamma)| *d *= gamma)),
];

/// With an index along the other axis, some batches end in a panic: the others give the name.
#[test]
fn what_is_typed_wrong_is_named_with_the_section_of_gradcheck() {
    for (norms, id, sections, slip) in SLIPS {
        let mut slips = RIGHT;
        slip(&mut slips);
        for norm in *norms {
            // The target is told by the section.
            let target = match (*sections == SUMS, norm.kind) {
                (true, Kind::Rms) => "dgamma",
                (true, _) if id.starts_with("dbeta") || *id == "overwritten" => "dbeta",
                (true, _) => "dgamma",
                (false, Kind::Rms) if *id == "rstd-by-feature" => "dgamma",
                (false, _) => "dx",
            };
            named(&[(&*format!("{target}: {id}"), ())], |(), seed| {
                let report = report(norm, &slips, seed);
                if target == "dx" || *sections == SUMS {
                    let section = Some(sections[norm.kind as usize]);
                    assert_eq!(report.section.as_deref(), section, "{report}");
                }
                weights_are_those_of_paths(norm, &report);
                report
            });
        }
    }
}

/// The weights of the paths are told of a dx that has something of them.
fn weights_are_those_of_paths(norm: &Norm, report: &verdict::Report) {
    let mut left = report.notes.iter().filter_map(|note| {
        let (_, left) = note.split_once("should have the weight 1. ")?;
        let share = left.split_once(" %");
        Some(share.map_or(0.0, |(share, _)| share.parse().unwrap()))
    });
    let weights = match left.next() {
        Some(0.0..90.0) if norm.kind == Kind::Rms => 2,
        Some(0.0..90.0) => 3,
        _ => 0,
    };
    assert!(
        weights == 0 || report.headline.starts_with("dx"),
        "{report}"
    );
    assert_eq!(report.weights.len(), weights, "{report}");
    let minus = |of: &Weight| of.weight == 0.0 && of.weight.is_sign_negative();
    assert!(!report.weights.iter().any(minus), "{report}");
    assert!(report.heatmap.is_some());
}

/// The arrays read as if their axes were exchanged, and an index that is so in the end only.
#[test]
fn a_transposed_index_is_named() {
    /// The value of row r and column i, from `i * n + r`, or to it.
    fn from(a: &[f64], n: usize, columns: usize) -> Vec<f64> {
        let at = |k: usize| a[k % columns * n + k / columns];
        (0..a.len()).map(at).collect()
    }
    for norm in CENTRED {
        let typed = [("dbeta: index-transposed", true), ("dx: transposed", false)];
        named(&typed, |read, seed| {
            let made = |[dy, x, rstd, gamma]: [&[f64]; 4], n, columns| {
                let turned = |a: &[f64]| {
                    if read {
                        from(a, n, columns)
                    } else {
                        a.to_vec()
                    }
                };
                let all = [&*turned(dy), &*turned(x), rstd, gamma];
                let mut g = gradients(norm, &RIGHT, all, n, columns);
                g.dx = from(&g.dx, columns, n);
                g
            };
            asked(norm, &made, seed)
        });
    }
}

/// What was never written is not what comes of another mistake.
#[test]
fn a_dx_that_is_never_written_is_zero_and_no_more() {
    for norm in NORMS {
        let open = Slips {
            spoil: |g, _, _| g.dx.fill(0.0),
            ..RIGHT
        };
        assert_eq!(report(norm, &open, 0).headline, "dx: it is zero everywhere");
    }
}
