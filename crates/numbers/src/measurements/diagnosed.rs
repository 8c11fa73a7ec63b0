//! How often `diagnose` names a mistake, and how often it accuses a kernel that is right.
//!
//! The faults are those of a kernel that is written here, in which one part is another than the
//! right one; an array counts when the fault changes it by more than rounding could.

use diagnose::{Array, Candidate, Dtype, Judged, Outcome, Subject};
use gradcheck::attribution::norm::{Given, Kind, Norm, Probe};
use serde_json::{Value, json};

use crate::kernel::{Gamma, Hat, Kernel, Order, Results, Way};
use crate::kit::{APPENDIX, Measurement, Output, each, number, rows};
use crate::random::Draws;

pub const MEASUREMENT: Measurement = Measurement {
    name: "diagnosed",
    chapter: APPENDIX,
    about: "how often `diagnose` names a mistake, and accuses what is right",
    run,
};

const SEED: u64 = 0;
const EPS: f64 = 1e-5;
const NAMES: [&str; 4] = ["y", "dx", "dgamma", "dbeta"];
/// What is broken: a row of dgamma's length, several groups, and no size that a block divides.
const CASES: [(Norm, &[usize]); 7] = [
    (Norm::Layer { normalized: 1 }, &[13, 33]),
    (Norm::Layer { normalized: 1 }, &[16, 48]),
    (Norm::Layer { normalized: 2 }, &[5, 6, 14]),
    (Norm::Rms { normalized: 1 }, &[12, 40]),
    (Norm::Group { groups: 4 }, &[4, 8, 15]),
    (Norm::Batch, &[37, 20]),
    (Norm::Batch, &[4, 6, 5, 5]),
];
/// Right results, to see how many are accused.
const RIGHT: u64 = 3000;

/// A kernel with a fault in it, and the verdicts that name it.
struct Fault {
    /// Whether the formula is another, and not what runs it.
    formula: bool,
    kernel: Kernel,
    names: &'static [&'static str],
}

/// The largest power of two that is below `n`: where a loop over blocks ends too early.
fn whole(n: usize) -> usize {
    n.next_power_of_two() / 2
}

fn head(j: usize, n: usize) -> f64 {
    f64::from(u8::from(j < whole(n)))
}

fn not_last(j: usize, n: usize) -> f64 {
    f64::from(u8::from(j + 1 < n))
}

fn first_twice(j: usize, n: usize) -> f64 {
    if j < whole(n) / 4 { 2.0 } else { 1.0 }
}

fn no_lane(j: usize, _: usize) -> f64 {
    f64::from(u8::from(j % 8 != 3))
}

fn padded(n: usize) -> f64 {
    n.next_power_of_two() as f64
}

fn before(i: usize, n: usize) -> usize {
    (i + n - 1) % n
}

#[rustfmt::skip]
fn faults() -> Vec<Fault> {
    const RIGHT: Kernel = Kernel::RIGHT;
    let formula = |names, kernel| Fault { formula: true, kernel, names };
    let execution = |names, kernel| Fault { formula: false, kernel, names };
    const BOTH: &[&str] = &["mean-path-and-variance-path", "variance-path", "mean-path"];
    vec![
        formula(&["mean-path-missing"], Kernel { paths: [1.0, 0.0, 1.0], ..RIGHT }),
        formula(&["variance-path-missing"], Kernel { paths: [1.0, 1.0, 0.0], ..RIGHT }),
        formula(&["mean-path-and-variance-path-missing", "variance-path-missing"], Kernel { paths: [1.0, 0.0, 0.0], ..RIGHT }),
        formula(&["mean-path-sign"], Kernel { paths: [1.0, -1.0, 1.0], ..RIGHT }),
        formula(&["variance-path-sign"], Kernel { paths: [1.0, 1.0, -1.0], ..RIGHT }),
        formula(&["variance-path-doubled"], Kernel { paths: [1.0, 1.0, 2.0], ..RIGHT }),
        formula(&["whole-sign"], Kernel { front: |r| -r, ..RIGHT }),
        formula(&["rstd-extra"], Kernel { front: |r| r * r, ..RIGHT }),
        formula(&["rstd-missing"], Kernel { front: |_| 1.0, ..RIGHT }),
        formula(&["gamma-forgotten"], Kernel { gamma: Gamma::Forgotten, ..RIGHT }),
        formula(&["gamma-outside-mean"], Kernel { gamma: Gamma::InFront, ..RIGHT }),
        formula(&["variance-path-rstd-missing"], Kernel { hat_back: Hat::Centred, ..RIGHT }),
        formula(&["eps-left-out"], Kernel { rstd: |var, _| 1.0 / var.sqrt(), ..RIGHT }),
        formula(&["eps-outside-root"], Kernel { rstd: |var, eps| 1.0 / (var.sqrt() + eps), ..RIGHT }),
        formula(&["bessel-statistics"], Kernel { rstd: |var, eps| 1.0 / (var + eps).sqrt(), divisor: |n| n as f64, in_variance: |_, n| n as f64 / (n as f64 - 1.0), ..RIGHT }),
        formula(&["x-for-x-hat"], Kernel { hat: Hat::X, ..RIGHT }),
        formula(&["rstd-missing", "x-for-x-hat"], Kernel { hat: Hat::Centred, ..RIGHT }),
        formula(&["dgamma-averaged", "dbeta-averaged", "dgamma-divided", "dbeta-divided"], Kernel { column: |sum, n| sum / n as f64, ..RIGHT }),
        formula(&["dgamma-sign", "dbeta-sign"], Kernel { column: |sum, _| -sum, ..RIGHT }),
        formula(&["gamma-multiplied"], Kernel { dbeta_by_gamma: true, ..RIGHT }),
        formula(&["shift-missing"], Kernel { beta: 0.0, ..RIGHT }),
        execution(&["partial-statistics"], Kernel { in_mean: head, in_variance: head, ..RIGHT }),
        execution(&["partial-statistics"], Kernel { in_mean: not_last, in_variance: not_last, ..RIGHT }),
        execution(&["partial-statistics"], Kernel { in_mean: first_twice, in_variance: first_twice, ..RIGHT }),
        execution(&["partial-variance", "partial-statistics"], Kernel { in_variance: head, ..RIGHT }),
        execution(&["partial-mean"], Kernel { in_mean: not_last, ..RIGHT }),
        execution(&["padding-divided"], Kernel { divisor: padded, ..RIGHT }),
        execution(&["another-eps"], Kernel { eps: |_| 1e-3, ..RIGHT }),
        execution(&["not-reset"], Kernel { goes_on: [true, false], ..RIGHT }),
        execution(&["variance-for-rstd"], Kernel { kept: |var, _| var, ..RIGHT }),
        execution(&["deviation-for-rstd"], Kernel { kept: |var, _| var.sqrt(), ..RIGHT }),
        execution(&["statistics-of-another", "rstd-of-another"], Kernel { mean_of: before, rstd_of: before, ..RIGHT }),
        execution(&["rstd-of-another", "statistics-of-another"], Kernel { rstd_of: |_, _| 0, ..RIGHT }),
        execution(&["mean-of-another"], Kernel { mean_of: before, ..RIGHT }),
        execution(&["partial-means"], Kernel { in_g: head, in_gx: head, ..RIGHT }),
        execution(&["partial-means"], Kernel { in_g: not_last, ..RIGHT }),
        execution(&["means-of-another"], Kernel { means_of: before, ..RIGHT }),
        execution(&["not-reset"], Kernel { goes_on: [false, true], ..RIGHT }),
        execution(&["padding-divided", "mean-path-and-variance-path-weight", "variance-path-weight", "variance-path-divided", "mean-path-and-variance-path-divided"], Kernel { divisor_back: padded, ..RIGHT }),
        execution(BOTH, Kernel { divisor_back: |n| n as f64 / 2.0, ..RIGHT }),
        execution(&["gamma-shifted"], Kernel { gamma_at: before, ..RIGHT }),
        execution(&["gamma-repeated"], Kernel { gamma_at: |_, _| 0, ..RIGHT }),
        execution(&["dy-shifted", "written-shifted", "partial-sum"], Kernel { dy_at: before, ..RIGHT }),
        execution(&["dy-stride-zero", "dy-repeated", "partial-sum", "zero"], Kernel { dy_at: |_, _| 0, ..RIGHT }),
        execution(&["dy-reversed", "written-reversed"], Kernel { dy_at: |i, n| n - 1 - i, ..RIGHT }),
        execution(&["partial-sum"], Kernel { in_column: head, ..RIGHT }),
        execution(&["partial-sum"], Kernel { in_column: first_twice, ..RIGHT }),
        execution(&["partial-sum"], Kernel { in_column: |j, _| f64::from(u8::from(j % 2 == 0)), ..RIGHT }),
        execution(&["partial-sum"], Kernel { in_column: |j, n| f64::from(u8::from(j + 1 == n)), ..RIGHT }),
        execution(&["dgamma-doubled", "dbeta-doubled", "partial-sum"], Kernel { column: |sum, _| 2.0 * sum, ..RIGHT }),
        execution(&["dgamma-is-dbeta", "dbeta-is-dgamma", "exchanged"], Kernel { finish: |all, _, _| all.swap(2, 3), ..RIGHT }),
        execution(&["written-reversed"], Kernel { finish: |all, _, _| all[2].reverse(), ..RIGHT }),
        execution(&["written-shifted"], Kernel { finish: |all, _, _| all[1].rotate_right(1), ..RIGHT }),
        execution(&["written-reversed"], Kernel { finish: |all, _, _| all[1].reverse(), ..RIGHT }),
        execution(&["unwritten"], Kernel { finish: |all, row, _| tail(all, row).fill(0.0), ..RIGHT }),
        execution(&["not-finite-in-places"], Kernel { finish: |all, row, _| tail(all, row).fill(f64::NAN), ..RIGHT }),
        execution(&["unwritten"], Kernel { finish: |all, _, _| all[2][1] = 0.0, ..RIGHT }),
        execution(&["added-to-old"], Kernel { finish: |all, _, p| all[1].iter_mut().zip(&p.dy).for_each(|(v, dy)| *v += dy), ..RIGHT }),
        execution(&["cut-off"], Kernel { finish: cut, ..RIGHT }),
        execution(&["partial-statistics"], Kernel { in_mean: no_lane, in_variance: no_lane, ..RIGHT }),
        execution(&["partial-means"], Kernel { in_g: |j, n| 1.0 - head(j, n), in_gx: |j, n| 1.0 - head(j, n), ..RIGHT }),
        execution(&["another-eps"], Kernel { eps: |eps| 2.0 * eps, ..RIGHT }),
        // Two at once, of which one at least should be told.
        execution(&["mean-path-missing", "unwritten", "not-finite"], Kernel { paths: [1.0, 0.0, 1.0], finish: |all, row, _| tail(all, row).fill(0.0), ..RIGHT }),
        execution(&["gamma-shifted", "partial-means"], Kernel { gamma_at: before, in_g: head, in_gx: head, ..RIGHT }),
        execution(&["rstd-missing", "partial-sum"], Kernel { hat: Hat::Centred, in_column: head, ..RIGHT }),
        // What has no name: the variance of another batch, noise, garbage, and terms that got lost.
        execution(&[], Kernel { kept: |var, _| 1.0 / (1.3 * var + 1e-4).sqrt(), ..RIGHT }),
        execution(&[], Kernel { finish: noise, ..RIGHT }),
        execution(&[], Kernel { finish: |all, row, _| tail(all, row).iter_mut().enumerate().for_each(|(k, v)| *v = libm::sin(1.0 + k as f64)), ..RIGHT }),
        execution(&[], Kernel { finish: |all, _, _| { all[2][0] *= 1.7; all[2][2] *= -0.4; }, ..RIGHT }),
    ]
}

/// The last row of dx.
fn tail(all: &mut Results, row: usize) -> &mut [f64] {
    let n = all[1].len();
    &mut all[1][n - row..]
}

/// Errors without a rule, of a hundredth of what is usual.
fn noise(all: &mut Results, _: usize, _: &Probe) {
    for values in &mut all[1..] {
        let squares: f64 = values.iter().map(|v| v * v).sum();
        let usual = (squares / values.len() as f64).sqrt();
        for (k, v) in values.iter_mut().enumerate() {
            *v += 0.01 * usual * libm::sin((3 * k * k + 1) as f64);
        }
    }
}

/// Gradients that are clipped.
fn cut(all: &mut Results, _: usize, _: &Probe) {
    let squares: f64 = all[1].iter().map(|v| v * v).sum();
    let most = (squares / all[1].len() as f64).sqrt();
    all[1].iter_mut().for_each(|v| *v = v.clamp(-most, most));
}

fn rounded(norm: Norm, shape: &[usize], probe: &Probe, dtype: Dtype) -> Probe {
    let round = |values: &[f64]| values.iter().map(|v| dtype.round(*v)).collect();
    let given = Given {
        x: round(&probe.x),
        gamma: round(&probe.gamma),
        beta: round(&probe.beta),
        dy: round(&probe.dy),
    };
    Probe::given(norm, shape, probe.eps, given).expect("the same shape")
}

/// What is said of the arrays of these numbers.
fn judged(norm: Norm, probe: &Probe, dtype: Dtype, of: &Results, which: &[usize]) -> Vec<Judged> {
    let candidates = which.iter().map(|&i| Candidate {
        name: NAMES[i],
        array: Array {
            shape: match i {
                0 | 1 => probe.shape.clone(),
                _ => vec![of[i].len()],
            },
            dtype,
            values: of[i].clone(),
        },
        running: None,
    });
    let subject = Subject {
        norm,
        candidates: candidates.collect(),
        probe: probe.clone(),
        input: dtype,
        notes: Vec::new(),
        has_beta: true,
        unclear: Vec::new(),
    };
    subject.judge()
}

/// The arrays that a norm has.
fn arrays(probe: &Probe) -> Vec<usize> {
    let count = if probe.kind == Kind::Rms { 3 } else { 4 };
    (0..count).collect()
}

/// What became of the wrong arrays.
#[derive(Clone, Copy, Default)]
struct Counts {
    arrays: usize,
    named: usize,
    several: usize,
    place: usize,
    unknown: usize,
    refused: usize,
    wrongly: usize,
    passed: usize,
}

/// A verdict without a name that says where the trouble is.
fn is_place(judged: &Judged) -> bool {
    judged.id.ends_with("-off")
        || judged.sentence.contains("right except in")
        || judged.sentence.contains("all else is right")
}

impl Counts {
    fn add(&mut self, judged: &Judged, names: &[&str]) {
        let is = |id: &str| names.iter().any(|name| id.starts_with(name));
        let among = judged.findings.iter().any(|f| is(&f.id));
        self.arrays += 1;
        let count = match (judged.outcome, judged.id.as_str()) {
            (Outcome::Refused, _) => &mut self.refused,
            (Outcome::Right, _) => &mut self.passed,
            (_, id) if is(id) => &mut self.named,
            _ if among => &mut self.several,
            _ if is_place(judged) => &mut self.place,
            (_, "unknown") => &mut self.unknown,
            _ => &mut self.wrongly,
        };
        *count += 1;
    }

    fn told(&self, dtype: Dtype) -> Value {
        let share = |count: usize| (1e4 * count as f64 / self.arrays as f64).round() / 1e4;
        json!({
            "dtype": dtype.name(),
            "arrays": self.arrays,
            "named": share(self.named + self.several),
            "place": share(self.place),
            "unknown": share(self.unknown),
            "refused": share(self.refused),
            "wrongly": share(self.wrongly),
            "passed": share(self.passed),
            "wrong_names": self.wrongly,
        })
    }
}

/// Whether a fault makes an array that the right kernel could not have made: one that is off by
/// more than a few roundings in some element.
fn changes(found: &[f64], right: &[f64], dtype: Dtype) -> bool {
    let size = (right.iter().map(|v| v * v).sum::<f64>() / right.len() as f64).sqrt();
    let pairs = found.iter().zip(right);
    let mut off = pairs.map(|(f, r)| (f - r).abs() / r.abs().max(size));
    off.any(|off| off.is_nan() || off > ROUNDINGS * dtype.roundoff())
}

/// More of them, in an element, are what a fault has done.
const ROUNDINGS: f64 = 16.0;

/// Every fault in every case, in one type.
fn of_faults(dtype: Dtype, told: &mut dyn FnMut(&str)) -> [Counts; 2] {
    let mut counts = [Counts::default(); 2];
    for (norm, shape) in CASES {
        let probe = rounded(norm, shape, &Probe::new(norm, shape, EPS, SEED), dtype);
        let way = Way::usual(dtype);
        let right = Kernel::RIGHT.run(&probe, way);
        for (number, fault) in faults().iter().enumerate() {
            let found = fault.kernel.run(&probe, way);
            let overflows = |i: &usize| {
                let infinite = |values: &[f64]| values.iter().any(|v| v.is_infinite());
                infinite(&found[*i]) || infinite(&right[*i])
            };
            let which: Vec<usize> = arrays(&probe)
                .into_iter()
                .filter(|&i| changes(&found[i], &right[i], dtype) && !overflows(&i))
                .collect();
            for judged in judged(norm, &probe, dtype, &found, &which) {
                let before = counts[usize::from(!fault.formula)].wrongly;
                let count = &mut counts[usize::from(!fault.formula)];
                count.add(&judged, fault.names);
                let mark = if count.wrongly > before { "WRONG" } else { "" };
                let all = (fault.names, &judged.id, judged.error, &judged.sentence);
                told(&format!(
                    "{mark} {dtype} {norm:?} {shape:?} {number} {all:?}"
                ));
            }
        }
    }
    counts
}

/// Data of several kinds: those of the probe; ordinary ones about a mean; ones about a large mean;
/// rows that are constant, or have no gradient; gammas that are zero.
fn drawn(norm: Norm, shape: &[usize], draws: &mut Draws, seed: u64) -> Probe {
    let mut probe = Probe::new(norm, shape, EPS, seed);
    let kind = draws.uniform(0.0, 6.0) as usize;
    let mean = match kind {
        0 => return probe,
        1 | 2 => draws.uniform(-20.0, 20.0),
        3 => draws.uniform(50.0, 500.0),
        _ => 0.5,
    };
    probe.x = draws.normals(probe.x.len());
    probe.x.iter_mut().for_each(|x| *x += mean);
    probe.dy = draws.normals(probe.dy.len());
    probe.gamma = draws.normals(probe.gamma.len());
    let group = draws.uniform(0.0, probe.groups.count as f64) as usize;
    for (k, &of) in probe.groups.of.iter().enumerate() {
        match kind {
            4 if of == group => probe.x[k] = mean,
            5 if of == group => probe.dy[k] = 0.0,
            _ => {}
        }
    }
    if kind == 5 {
        probe.gamma[0] = 0.0;
    }
    probe
}

/// Right results, of many ways to compute them, and what is said of them: right, not judged,
/// wrong.
fn of_right(told: &mut dyn FnMut(&str)) -> Value {
    let mut counts = Dtype::ALL.map(|_| [0_usize; 3]);
    let mut draws = Draws::new(SEED);
    for seed in 0..RIGHT {
        let mut size = |low: f64, high: f64| draws.uniform(low, high) as usize;
        let (a, b, c) = (size(3.0, 12.0), 2 * size(2.0, 5.0), size(3.0, 70.0));
        let (norm, shape) = match seed % 5 {
            0 => (Norm::Layer { normalized: 1 }, vec![a, 2 * c]),
            1 => (Norm::Layer { normalized: 2 }, vec![a, b, c]),
            2 => (Norm::Rms { normalized: 1 }, vec![a, 2 * c]),
            3 => (Norm::Group { groups: 2 }, vec![a, b, c]),
            _ => (Norm::Batch, vec![c, b]),
        };
        let at = draws.uniform(0.0, 4.0) as usize;
        let dtype = Dtype::ALL[at];
        let sums = dtype.accumulator();
        let mut coarse = || match draws.uniform(0.0, 1.0) < 0.5 {
            true => dtype,
            false => sums,
        };
        let (columns, between) = (coarse(), coarse());
        let orders = [
            Order::Forward,
            Order::Backward,
            Order::Pairwise,
            Order::Lanes,
        ];
        let way = Way {
            sums,
            columns,
            between,
            stored: dtype,
            order: orders[draws.uniform(0.0, 4.0) as usize],
            welford: draws.uniform(0.0, 1.0) < 0.5,
        };
        let probe = rounded(norm, &shape, &drawn(norm, &shape, &mut draws, seed), dtype);
        let found = Kernel::RIGHT.run(&probe, way);
        if found.iter().flatten().any(|v| !v.is_finite()) {
            continue;
        }
        for judged in judged(norm, &probe, dtype, &found, &arrays(&probe)) {
            let outcome = match judged.outcome {
                Outcome::Right => 0,
                Outcome::Refused => 1,
                Outcome::Wrong => 2,
            };
            counts[at][outcome] += 1;
            if outcome == 2 {
                let all = (way, &judged.sentence, judged.error, judged.allowed);
                told(&format!("ALARM {norm:?} {shape:?} {seed} {all:?}"));
            }
        }
    }
    each(
        Dtype::ALL.iter().zip(counts),
        |(dtype, [right, refused, wrong])| {
            json!({ "dtype": dtype.name(), "arrays": right + refused + wrong, "right": right,
            "refused": refused, "wrong": wrong })
        },
    )
}

fn run() -> Output {
    // For who wants to read each verdict.
    let path = std::env::var("DIAGNOSED").ok();
    let mut lines = Vec::new();
    let mut told = |line: &str| {
        if path.is_some() {
            lines.push(line.to_owned());
        }
    };
    let counts: Vec<(Dtype, [Counts; 2])> = Dtype::ALL
        .map(|dtype| (dtype, of_faults(dtype, &mut told)))
        .into();
    let right = of_right(&mut told);
    if let Some(path) = &path {
        std::fs::write(path, lines.join("\n")).expect("the file of verdicts can be written");
    }
    let table = |which: usize| each(&counts, |(dtype, counts)| counts[which].told(*dtype));
    let faults = faults();
    let formula = faults.iter().filter(|f| f.formula).count();
    Output::new(json!({
        "about": "What `diagnose` says of broken kernels, and of right ones",
        "seed": SEED,
        "cases": CASES.len(),
        "draws": RIGHT,
        "formula_faults": formula,
        "execution_faults": faults.len() - formula,
        "formula": table(0),
        "execution": table(1),
        "right": right,
        "alarms": rows(&right).iter().map(|row| number(row, "wrong")).sum::<f64>(),
        "right_arrays": rows(&right).iter().map(|row| number(row, "arrays")).sum::<f64>(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without a fault it is right in every array, so that what is counted is the work of the fault.
    #[test]
    fn the_kernel_is_right_and_each_fault_changes_something() {
        let (norm, shape) = CASES[0];
        let probe = Probe::new(norm, shape, EPS, SEED);
        let way = Way::usual(Dtype::F64);
        let right = Kernel::RIGHT.run(&probe, way);
        let exact = [probe.y(), probe.dx(), probe.dgamma(), probe.dbeta()];
        for (found, right) in right.iter().zip(&exact) {
            assert!(!changes(found, right, Dtype::F64));
        }
        for (number, fault) in faults().iter().enumerate() {
            let found = fault.kernel.run(&probe, way);
            let mut pairs = found.iter().zip(&right);
            assert!(pairs.any(|(f, r)| changes(f, r, Dtype::F64)), "{number}");
        }
    }

    /// A name that belongs to another fault is counted as wrong.
    #[test]
    fn a_wrong_name_is_counted() {
        let (norm, shape) = CASES[0];
        let probe = Probe::new(norm, shape, EPS, SEED);
        let fault = Kernel {
            paths: [1.0, 0.0, 1.0],
            ..Kernel::RIGHT
        };
        let found = fault.run(&probe, Way::usual(Dtype::F64));
        let judged = judged(norm, &probe, Dtype::F64, &found, &[1]);
        for (names, named, wrongly) in [("mean-path-missing", 1, 0), ("variance-path", 0, 1)] {
            let mut counts = Counts::default();
            counts.add(&judged[0], &[names]);
            assert_eq!((counts.named, counts.wrongly), (named, wrongly));
        }
    }
}
