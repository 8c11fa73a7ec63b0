use super::*;
use crate::{Outcome, Weight, bn_backward_closed_form, ln_backward_closed_form, rms_backward};

const KINDS: [Kind; 3] = [Kind::Batch, Kind::Layer, Kind::Rms];

const SEEDS: std::ops::Range<u64> = 0..6;

/// The closed form, with the places at which a reader can go wrong taken as arguments.
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
    spoil: |_, _, _| (),
};

/// From dy, x_hat, rstd and gamma, of n rows.
fn gradients(
    kind: Kind,
    s: &Slips,
    [dy, x_hat, rstd, gamma]: [&[f64]; 4],
    n: usize,
    columns: usize,
) -> Gradients {
    let of_columns = kind == Kind::Batch;
    let norm = |k: usize| if of_columns { k % columns } else { k / columns };
    let over = |k: usize| {
        if of_columns == s.across {
            k / columns
        } else {
            k % columns
        }
    };
    let inside = |k: usize| if s.gamma[0] { gamma[k % columns] } else { 1.0 };
    let after = |k: usize| if s.gamma[1] { gamma[k % columns] } else { 1.0 };
    let (mut sum, mut product) = (vec![0.0; n.max(columns)], vec![0.0; n.max(columns)]);
    let mut out = Gradients {
        dx: Vec::new(),
        dgamma: vec![0.0; columns],
        dbeta: vec![0.0; columns],
    };
    for k in 0..dy.len() {
        out.dbeta[k % columns] += dy[k];
        out.dgamma[k % columns] += dy[k] * x_hat[k];
        sum[over(k)] += inside(k) * dy[k];
        product[over(k)] += inside(k) * dy[k] * x_hat[k] * rstd[norm(k)].powi(s.inner - 1);
    }
    let own = if kind == Kind::Rms { 0.0 } else { 1.0 };
    let mean = s.mean.unwrap_or(own);
    let (size, other) = if of_columns != s.across {
        (n, columns)
    } else {
        (columns, n)
    };
    let m = (s.divisor)(size as f64, other as f64);
    let dx = |k: usize| {
        let through = mean * sum[over(k)] + s.variance * x_hat[k] * product[over(k)];
        after(k) * rstd[norm(k)].powi(s.rstd) * (inside(k) * dy[k] - through / m)
    };
    out.dx = (0..dy.len()).map(dx).collect();
    (s.spoil)(&mut out, gamma, n);
    out
}

fn report(kind: Kind, s: &Slips, seed: u64) -> verdict::Report {
    asked(
        kind,
        &|all, n, columns| gradients(kind, s, all, n, columns),
        seed,
    )
}

type Asked<'a> = &'a dyn Fn([&[f64]; 4], usize, usize) -> Gradients;

/// The report on what is made of dy, x_hat, rstd and gamma.
fn asked(kind: Kind, made: Asked<'_>, seed: u64) -> verdict::Report {
    let closed = |dy: &[f64], x_hat: &[f64], rstd: &[f64], gamma: &[f64], n, columns| {
        made([dy, x_hat, rstd, gamma], n, columns)
    };
    let of_x = |dy: &[f64], x: &[f64], rstd: &[f64], gamma: &[f64], n, columns| {
        let x_hat: Vec<f64> = (0..x.len()).map(|k| x[k] * rstd[k / columns]).collect();
        let Gradients { dx, dgamma, .. } = made([dy, &x_hat, rstd, gamma], n, columns);
        rms_backward::Gradients { dx, dgamma }
    };
    match kind {
        Kind::Batch => bn_backward_closed_form::report(&closed, seed),
        Kind::Layer => ln_backward_closed_form::report(&closed, seed),
        Kind::Rms => rms_backward::report(&of_x, seed),
    }
}

#[test]
fn what_is_right_passes() {
    for (kind, seed) in KINDS
        .into_iter()
        .flat_map(|kind| SEEDS.map(move |s| (kind, s)))
    {
        let report = report(kind, &RIGHT, seed);
        assert!(report.passed(), "{report}");
        let numeric = report.lines.last().unwrap();
        assert!(numeric.name == "finite differences" && numeric.right);
    }
}

const ALL: &[Kind] = &KINDS;
const CENTRED: &[Kind] = &[Kind::Batch, Kind::Layer];
const ROWS: &[Kind] = &[Kind::Layer, Kind::Rms];
const BATCH: &[Kind] = &[Kind::Batch];
const LAYER: &[Kind] = &[Kind::Layer];
const RMS: &[Kind] = &[Kind::Rms];

/// Where it is named, its name, the sections (of Batch, Layer and RMS Norm), and what is typed.
type Slip = (
    &'static [Kind],
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
    (RMS, "mean-path-added", PATH, |s| s.mean = Some(1.0)),
    (ALL, "gamma-forgotten", GAMMA, |s| s.gamma = [false, false]),
    (ROWS, "gamma-outside-mean", GAMMA, |s| s.gamma = [false, true]),
    (LAYER, "gamma-again-in-front", GAMMA, |s| s.gamma = [true, true]),
    (ALL, "rstd-missing", WHOLE, |s| s.rstd = 0),
    (ALL, "rstd-extra", WHOLE, |s| s.rstd = 2),
    (RMS, "variance-path-rstd-missing", PATH, |s| s.inner = 0),
    (CENTRED, BOTH_SUMMED, PATH, |s| s.divisor = |_, _| 1.0),
    (CENTRED, BOTH_BESSEL, PATH, |s| s.divisor = |size, _| size - 1.0),
    (RMS, "variance-path-summed", PATH, |s| s.divisor = |_, _| 1.0),
    (RMS, "variance-path-bessel", PATH, |s| s.divisor = |size, _| size - 1.0),
    // A mean over N where a row has D values.
    (LAYER, "mean-path-and-variance-path-divided-by-4", PATH, |s| s.divisor = |_, n| n),
    (BATCH, "mean-path-and-variance-path-axes-per-example", LAYOUT, |s| s.across = true),
    // The closed form of Batch Norm carried over to rows.
    (LAYER, ACROSS, LAYOUT, |s| (s.gamma, s.across) = ([false, true], true)),
    (LAYER, "parameter-sums-for-means", GAMMA, |s| {
        (s.gamma, s.across, s.divisor) = ([false, true], true, |_, d| d);
    }),
    (ALL, "dgamma-averaged", SUMS, |s| s.spoil = |g, _, n| g.dgamma.iter_mut().for_each(|d| *d /= n as f64)),
    (CENTRED, "dbeta-averaged", SUMS, |s| s.spoil = |g, _, n| g.dbeta.iter_mut().for_each(|d| *d /= n as f64)),
    (CENTRED, "dgamma-is-dbeta", SUMS, |s| s.spoil = |g, _, _| g.dgamma = g.dbeta.clone()),
    (CENTRED, "dbeta-is-dgamma", SUMS, |s| s.spoil = |g, _, _| g.dbeta = g.dgamma.clone()),
    (ALL, "gamma-multiplied", SUMS, |s| s.spoil = |g, gamma, _| g.dgamma.iter_mut().zip(gamma).for_each(|(d, gamma)| *d *= gamma)),
];

#[test]
fn what_is_typed_wrong_is_named_with_the_section_of_gradcheck() {
    for (kinds, id, sections, slip) in SLIPS {
        let mut slips = RIGHT;
        slip(&mut slips);
        for (kind, seed) in kinds.iter().flat_map(|kind| SEEDS.map(move |s| (*kind, s))) {
            let report = report(kind, &slips, seed);
            assert_eq!(report.outcome, Outcome::Wrong);
            assert_eq!(
                report.mistake.as_deref(),
                Some(*id),
                "seed {seed}: {report}"
            );
            assert_eq!(
                report.section.as_deref(),
                Some(sections[kind as usize]),
                "{report}"
            );
            assert!(report.heatmap.is_some());
            // The weights of the paths are told of a dx that has something of them.
            let mut left = report.notes.iter().filter_map(|note| {
                let (_, left) = note.split_once("should have the weight 1. ")?;
                Some(
                    left.split_once(" %")
                        .map_or(0.0, |(share, _)| share.parse().unwrap()),
                )
            });
            let weights = match left.next() {
                Some(0.0..90.0) if kind == Kind::Rms => 2,
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
        }
    }
}

/// The arrays read as if their axes were exchanged, and an index that is so in the end only.
#[test]
fn a_transposed_index_is_named() {
    for (kind, seed) in CENTRED
        .iter()
        .flat_map(|kind| SEEDS.map(move |s| (*kind, s)))
    {
        // The value of row r and column i, from `i * n + r`, or to it.
        let from = |a: &[f64], n: usize, columns: usize| -> Vec<f64> {
            let at = |k: usize| a[k % columns * n + k / columns];
            (0..a.len()).map(at).collect()
        };
        let read = |[dy, x_hat, rstd, gamma]: [&[f64]; 4], n, columns| {
            let (dy, x_hat) = (from(dy, n, columns), from(x_hat, n, columns));
            let mut g = gradients(kind, &RIGHT, [&dy, &x_hat, rstd, gamma], n, columns);
            g.dx = from(&g.dx, columns, n);
            g
        };
        let report = asked(kind, &read, seed);
        assert_eq!(
            report.mistake.as_deref(),
            Some("index-transposed"),
            "{report}"
        );
        let written = |all: [&[f64]; 4], n, columns| {
            let mut g = gradients(kind, &RIGHT, all, n, columns);
            g.dx = from(&g.dx, columns, n);
            g
        };
        let report = asked(kind, &written, seed);
        assert_eq!(report.mistake.as_deref(), Some("transposed"), "{report}");
    }
}

/// What was never written is not what comes of another mistake.
#[test]
fn a_dx_that_is_never_written_is_zero_and_no_more() {
    for kind in KINDS {
        let open = Slips {
            spoil: |g, _, _| g.dx.fill(0.0),
            ..RIGHT
        };
        assert_eq!(report(kind, &open, 0).headline, "dx: it is zero everywhere");
    }
}

/// Loops over rows, as the solutions write them, with one piece of each exchanged.
#[derive(Clone, Copy)]
struct Loops {
    add: fn(&mut f64, f64),
    /// The index of rstd, and of gamma, from row and feature.
    rstd: fn(usize, usize) -> usize,
    gamma: fn(usize, usize) -> usize,
    /// What becomes of the two sums when a row begins.
    begin: fn(&mut [f64; 2]),
}

/// The name, and one piece exchanged.
type Exchanged = (&'static str, fn(&mut Loops));

const ROW_BY_ROW: Loops = Loops {
    add: |sum, term| *sum += term,
    rstd: |r, _| r,
    gamma: |_, i| i,
    begin: |sums| *sums = [0.0; 2],
};

impl Loops {
    /// `x` is the normalized value in Layer Norm, and lacks its rstd in RMS Norm.
    fn run(&self, kind: Kind, all: [&[f64]; 4], n: usize, d: usize) -> Gradients {
        let [dy, x, rstd, gamma] = all;
        let mut out = Gradients {
            dx: vec![0.0; n * d],
            dgamma: vec![0.0; d],
            dbeta: vec![0.0; d],
        };
        let is_rms = kind == Kind::Rms;
        let x_hat = |r: usize, i: usize| {
            let factor = if is_rms { rstd[(self.rstd)(r, i)] } else { 1.0 };
            x[r * d + i] * factor
        };
        let mut sums = [0.0; 2];
        for r in 0..n {
            (self.begin)(&mut sums);
            let g = |i: usize| gamma[(self.gamma)(r, i)] * dy[r * d + i];
            for i in 0..d {
                sums[0] += if is_rms { 0.0 } else { g(i) / d as f64 };
                sums[1] += g(i) * x_hat(r, i) / d as f64;
                (self.add)(&mut out.dbeta[i], dy[r * d + i]);
                (self.add)(&mut out.dgamma[i], dy[r * d + i] * x_hat(r, i));
            }
            for i in 0..d {
                let left = g(i) - sums[0] - x_hat(r, i) * sums[1];
                out.dx[r * d + i] = rstd[(self.rstd)(r, i)] * left;
            }
        }
        out
    }

    fn report(&self, kind: Kind, seed: u64) -> verdict::Report {
        let layer = |dy: &[f64], x: &[f64], rstd: &[f64], gamma: &[f64], n, d| {
            self.run(kind, [dy, x, rstd, gamma], n, d)
        };
        let rms = |dy: &[f64], x: &[f64], rstd: &[f64], gamma: &[f64], n, d| {
            let Gradients { dx, dgamma, .. } = layer(dy, x, rstd, gamma, n, d);
            rms_backward::Gradients { dx, dgamma }
        };
        match kind {
            Kind::Rms => rms_backward::report(&rms, seed),
            _ => ln_backward_closed_form::report(&layer, seed),
        }
    }
}

/// With an index along the other axis, some batches end in a panic: the others give the name.
#[test]
fn what_is_typed_wrong_in_loops_over_rows_is_named() {
    let slips: [Exchanged; 4] = [
        ("overwritten", |l| l.add = |sum, term| *sum = term),
        ("rstd-by-feature", |l| l.rstd = |_, i| i),
        ("gamma-by-row", |l| l.gamma = |r, _| r),
        ("sums-not-reset", |l| l.begin = |_| ()),
    ];
    for (kind, seed) in ROWS.iter().flat_map(|kind| SEEDS.map(move |s| (*kind, s))) {
        let right = ROW_BY_ROW.report(kind, seed);
        assert!(right.passed(), "{right}");
        for (id, slip) in slips {
            let mut loops = ROW_BY_ROW;
            slip(&mut loops);
            let report = loops.report(kind, seed);
            assert_eq!(report.mistake.as_deref(), Some(id), "{kind:?}: {report}");
        }
    }
}
