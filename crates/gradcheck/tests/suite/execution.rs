//! Kernels whose formula is right and whose execution is not: each is written as it would run,
//! with a fault in it, and must be named with its place.

use crate::learner::{Rows, channels, groups, param, rows};
use gradcheck::attribution::norm::{self, Kind, Norm, Probe, Target, diagnose, diagnose_part};

/// A kernel that can be broken. It shares no code with what it tests.
struct Kernel<'a> {
    p: &'a Probe,
    rows: &'a Rows,
    /// Whether value `j` of a row is in the sums of the forward, and of the backward.
    forward: &'a dyn Fn(usize) -> bool,
    backward: &'a dyn Fn(usize) -> bool,
    /// Sums divided by the number of values that are in them.
    by_counted: bool,
    /// The row whose mean and rstd a row takes.
    mean_of: &'a dyn Fn(usize) -> usize,
    rstd_of: &'a dyn Fn(usize) -> usize,
    /// Where `dy`, `x` (after the statistics), gamma and beta are read.
    dy_at: &'a dyn Fn(usize) -> usize,
    x_at: &'a dyn Fn(usize) -> usize,
    gamma_at: &'a dyn Fn(usize) -> usize,
    beta_at: &'a dyn Fn(usize) -> usize,
    /// What the saved rstd becomes.
    saved: &'a dyn Fn(f64) -> f64,
    /// Rounds a running sum.
    sum_in: &'a dyn Fn(f64) -> f64,
}

impl<'a> Kernel<'a> {
    fn right(p: &'a Probe, rows: &'a Rows) -> Self {
        Self {
            p,
            rows,
            forward: &|_| true,
            backward: &|_| true,
            by_counted: false,
            mean_of: &|row| row,
            rstd_of: &|row| row,
            dy_at: &|k| k,
            x_at: &|k| k,
            gamma_at: &|p| p,
            beta_at: &|p| p,
            saved: &|rstd| rstd,
            sum_in: &|sum| sum,
        }
    }

    fn over(&self, row: &[usize], used: &dyn Fn(usize) -> bool, f: &dyn Fn(usize) -> f64) -> f64 {
        let (mut sum, mut count) = (0.0, 0);
        for (j, &k) in row.iter().enumerate() {
            if used(j) {
                sum = (self.sum_in)(sum + f(k));
                count += 1;
            }
        }
        sum / if self.by_counted { count } else { row.len() } as f64
    }

    fn statistics(&self) -> Vec<(f64, f64)> {
        let of = |row: &Vec<usize>| {
            let exact = Kernel {
                sum_in: &|sum| sum,
                ..Kernel::right(self.p, self.rows)
            };
            let exact = Kernel {
                by_counted: self.by_counted,
                ..exact
            };
            let mean = match self.p.kind {
                Kind::Rms => 0.0,
                _ => exact.over(row, self.forward, &|k| self.p.x[k]),
            };
            let var = exact.over(row, self.forward, &|k| (self.p.x[k] - mean).powi(2));
            (mean, (self.saved)(1.0 / (var + self.p.eps).sqrt()))
        };
        let own: Vec<(f64, f64)> = self.rows.iter().map(of).collect();
        (0..own.len())
            .map(|r| (own[(self.mean_of)(r)].0, own[(self.rstd_of)(r)].1))
            .collect()
    }

    fn run(&self, target: Target) -> Vec<f64> {
        let (p, statistics) = (self.p, self.statistics());
        let mut out = vec![0.0; p.x.len()];
        let mut sums = vec![0.0; p.gamma.len()];
        for (r, row) in self.rows.iter().enumerate() {
            let (mean, rstd) = statistics[r];
            let x_hat = |k: usize| (p.x[(self.x_at)(k)] - mean) * rstd;
            let gamma = |k: usize| p.gamma[(self.gamma_at)(param(p, k))];
            let dy = |k: usize| p.dy[(self.dy_at)(k)];
            let g = |k: usize| gamma(k) * dy(k);
            let mut a = self.over(row, self.backward, &g);
            let b = self.over(row, self.backward, &|k| g(k) * x_hat(k));
            if p.kind == Kind::Rms {
                a = 0.0;
            }
            for &k in row {
                out[k] = match target {
                    Target::Y => gamma(k) * x_hat(k) + p.beta[(self.beta_at)(param(p, k))],
                    _ => rstd * (g(k) - a - x_hat(k) * b),
                };
            }
        }
        if !matches!(target, Target::Dgamma | Target::Dbeta) {
            return out;
        }
        let mut place = vec![0; sums.len()];
        let row_of = row_of(self.rows, p.x.len());
        for k in 0..p.x.len() {
            let (mean, rstd) = statistics[row_of[k]];
            let to = param(p, k);
            if (self.backward)(place[to]) {
                let x_hat = (p.x[(self.x_at)(k)] - mean) * rstd;
                let dy = p.dy[(self.dy_at)(k)];
                let term = if target == Target::Dgamma {
                    dy * x_hat
                } else {
                    dy
                };
                sums[to] = (self.sum_in)(sums[to] + term);
            }
            place[to] += 1;
        }
        sums
    }
}

fn row_of(rows: &Rows, total: usize) -> Vec<usize> {
    let mut of = vec![0; total];
    for (r, row) in rows.iter().enumerate() {
        row.iter().for_each(|&k| of[k] = r);
    }
    of
}

/// Probes of every norm, in five shapes each.
fn probes(seed: u64) -> Vec<(Probe, Rows)> {
    let mut all = Vec::new();
    for shape in [&[6, 4][..], &[9, 5], &[5, 3, 4], &[3, 4, 7], &[3, 4, 3, 5]] {
        let l: usize = shape[2..].iter().product();
        let right = channels(shape[0], shape[1], l);
        all.push((Probe::batch_norm(shape, 1e-5, seed), right));
    }
    for shape in [&[6, 5][..], &[4, 9], &[8, 16], &[3, 4, 7], &[2, 3, 12]] {
        let d = shape[shape.len() - 1];
        let lead = shape.iter().product::<usize>() / d;
        for norm in [Norm::Layer { normalized: 1 }, Norm::Rms { normalized: 1 }] {
            all.push((Probe::new(norm, shape, 1e-5, seed), rows(lead, d)));
        }
    }
    for (shape, count) in [
        (&[4, 6][..], 2),
        (&[3, 4, 3], 2),
        (&[3, 6, 2, 2], 3),
        (&[2, 8, 5], 2),
        (&[5, 9, 2], 3),
    ] {
        let (probe, right, _) = groups(shape, count, 1e-5, seed);
        all.push((probe, right));
    }
    all
}

const ALL: [Target; 4] = [Target::Y, Target::Dx, Target::Dgamma, Target::Dbeta];

/// Formats: their significant bits, and what a right result in one may be off.
const FORMATS: [(&str, u32, f64); 4] = [
    ("f64", 53, 1e-10),
    ("f32", 24, 1e-6),
    ("f16", 11, 5e-4),
    ("bf16", 8, 4e-3),
];

fn stored(values: &[f64], bits: u32) -> Vec<f64> {
    let round = |v: &f64| {
        if bits == 53 || *v == 0.0 {
            return *v;
        }
        let unit = 2.0_f64.powi(v.abs().log2().floor() as i32 + 1 - bits as i32);
        (v / unit).round_ties_even() * unit
    };
    values.iter().map(round).collect()
}

/// How the faults of one sort were named.
#[derive(Default)]
struct Tally {
    named: usize,
    unknown: Vec<String>,
    wrong: Vec<String>,
}

impl Tally {
    fn count(
        &mut self,
        probe: &Probe,
        target: Target,
        candidate: &[f64],
        precision: f64,
        ids: &[&str],
        words: &str,
    ) {
        let verdict = diagnose(probe, target, candidate, precision);
        let what = format!(
            "{:?} {:?} {target:?}, wanted {ids:?} {words:?}: {}: {verdict}",
            probe.kind, probe.shape, verdict.id
        );
        if ids.contains(&verdict.id.as_str()) && verdict.sentence.contains(words) {
            self.named += 1;
        } else if ["unknown", "ambiguous", "not-finite"].contains(&verdict.id.as_str()) {
            self.unknown.push(what);
        } else {
            self.wrong.push(what);
        }
    }
}

/// The probe, the target, the candidate, the names that are right for it, and words that its
/// sentence must have.
type Judge<'a> = dyn FnMut(&Probe, Target, &[f64], &[&str], &str) + 'a;

/// Makes every fault, and hands each to `judge`: the probe, the target, the candidate, the names
/// that are right for it, and words that its sentence must have.
fn each_fault(seed: u64, judge: &mut Judge<'_>) {
    for (p, right) in probes(seed) {
        let kernel = || Kernel::right(&p, &right);
        let (count, size) = (right.len(), right[0].len());
        let (unit, total) = (p.kind.group(), p.x.len());
        for target in ALL {
            let spread = matches!(target, Target::Y | Target::Dx);
            let correct = kernel().run(target);
            let all = correct.len();
            if p.kind == Kind::Rms && target == Target::Dbeta {
                continue;
            }
            // Never written, or not a number.
            for (value, ids) in [
                (0.0, ["unwritten"]),
                (-7.5, ["unwritten"]),
                (f64::NAN, ["not-finite-in-places"]),
            ] {
                let mut c = correct.clone();
                if spread {
                    right[count - 1].iter().for_each(|&k| c[k] = value);
                    judge(&p, target, &c, &ids, &format!("{unit} {}", count - 1));
                } else {
                    c[all - 2..].fill(value);
                    judge(
                        &p,
                        target,
                        &c,
                        &ids,
                        &format!("{} and {}", all - 2, all - 1),
                    );
                }
            }
            // In the wrong places.
            let mut c = correct.clone();
            c.rotate_right(1);
            judge(&p, target, &c, &["written-shifted"], "1 place");
            let c: Vec<f64> = correct.iter().rev().copied().collect();
            judge(
                &p,
                target,
                &c,
                &["written-reversed"],
                "from its end to its start",
            );
            if spread && p.shape.len() == 2 {
                let (n, d) = (p.shape[0], p.shape[1]);
                let c: Vec<f64> = (0..total).map(|k| correct[k % n * d + k / n]).collect();
                judge(&p, target, &c, &["written-transposed"], "");
            }
            // On top of old content.
            let c: Vec<f64> = correct.iter().map(|v| v + 3.25).collect();
            judge(&p, target, &c, &["added-to-old"], "everywhere");
            if spread {
                let c: Vec<f64> = correct.iter().zip(&p.dy).map(|(v, dy)| v + dy).collect();
                judge(&p, target, &c, &["added-to-old"], "plus dy");
                // The result of another group.
                let mut c = correct.clone();
                for (&k, &from) in right[1].iter().zip(&right[0]) {
                    c[k] = correct[from];
                }
                judge(
                    &p,
                    target,
                    &c,
                    &["exchanged"],
                    &format!("{unit} 1 holds what belongs to {unit} 0"),
                );
            }
            // Statistics of another group.
            if target != Target::Dbeta && spread {
                let first: &dyn Fn(usize) -> usize = &|_| 0;
                let before: &dyn Fn(usize) -> usize = &|r| if r == 0 { 0 } else { r - 1 };
                let both = Kernel {
                    mean_of: first,
                    rstd_of: first,
                    ..kernel()
                };
                let same = if p.kind == Kind::Rms {
                    ["statistics-of-another", "rstd-of-another"]
                } else {
                    ["statistics-of-another"; 2]
                };
                judge(&p, target, &both.run(target), &same, &format!("{unit} 0"));
                let late = Kernel {
                    mean_of: before,
                    rstd_of: before,
                    ..kernel()
                };
                judge(&p, target, &late.run(target), &same, "before");
                let rstd = Kernel {
                    rstd_of: first,
                    ..kernel()
                };
                let ids = if p.kind == Kind::Rms {
                    &same[..]
                } else {
                    &["rstd-of-another"]
                };
                judge(&p, target, &rstd.run(target), ids, &format!("{unit} 0"));
            }
            // The variance where rstd belongs.
            if matches!(target, Target::Dx | Target::Dgamma) {
                let kernel = Kernel {
                    saved: &|r| 1.0 / (r * r),
                    ..kernel()
                };
                judge(
                    &p,
                    target,
                    &kernel.run(target),
                    &["variance-for-rstd"],
                    "variance",
                );
            }
            // Sums over a part.
            for out in [1, 2] {
                let most_are_in = size >= 2 * out;
                let words = if most_are_in {
                    "leaves out"
                } else {
                    "takes in only"
                };
                let most: &dyn Fn(usize) -> bool = &|j| j < size - out;
                let but_one: &dyn Fn(usize) -> bool = &|j| j != 1;
                if target != Target::Dbeta && spread {
                    for by_counted in [false, true] {
                        let k = Kernel {
                            forward: most,
                            by_counted,
                            ..kernel()
                        };
                        judge(&p, target, &k.run(target), &["partial-statistics"], words);
                    }
                }
                if target == Target::Dx {
                    for part in [most, but_one] {
                        let k = Kernel {
                            backward: part,
                            ..kernel()
                        };
                        judge(&p, target, &k.run(target), &["partial-means"], "");
                    }
                }
                if !spread {
                    let per_parameter = total / p.gamma.len();
                    let k = Kernel {
                        backward: &|j| j < per_parameter - out,
                        ..kernel()
                    };
                    judge(&p, target, &k.run(target), &["partial-sum"], "");
                    let k = Kernel {
                        backward: &|j| j != 1,
                        ..kernel()
                    };
                    judge(&p, target, &k.run(target), &["partial-sum"], "1 of");
                }
            }
            // Arrays read in another order.
            if target != Target::Y {
                let k = Kernel {
                    dy_at: &|k| (k + total - 1) % total,
                    ..kernel()
                };
                let mut c = k.run(target);
                if target == Target::Dbeta && p.kind != Kind::Batch {
                    // A column further on: the sums are right, and stand a place further on.
                    c = correct.clone();
                    c.rotate_right(1);
                }
                judge(
                    &p,
                    target,
                    &c,
                    &["dy-shifted", "written-shifted"],
                    "1 place",
                );
            }
            if spread {
                let n = p.gamma.len();
                let k = Kernel {
                    gamma_at: &|q| n - 1 - q,
                    ..kernel()
                };
                judge(
                    &p,
                    target,
                    &k.run(target),
                    &["gamma-reversed"],
                    "gamma is read",
                );
            }
        }
    }
}

/// In this format, every fault is named (one in 24 may be refused where digits are few), none
/// by a wrong name, and what is right is not called wrong.
#[track_caller]
fn all_are_named(format: usize) {
    let (name, bits, precision) = FORMATS[format];
    let mut tally = Tally::default();
    each_fault(1, &mut |probe, target, candidate, ids, words| {
        let candidate = stored(candidate, bits);
        tally.count(probe, target, &candidate, precision, ids, words);
    });
    assert!(tally.named > 1000, "{}", tally.named);
    let (unknown, wrong) = (tally.unknown, tally.wrong);
    assert!(wrong.is_empty(), "{name}: {wrong:#?}");
    // With few digits a fault may change hardly more than rounding does; then it has no name.
    let most = if bits < 24 { tally.named / 24 } else { 0 };
    assert!(
        unknown.len() <= most,
        "{name}: {} of {most} {unknown:#?}",
        unknown.len()
    );
    for (probe, right) in (0..20).flat_map(probes) {
        for target in ALL {
            let candidate = stored(&Kernel::right(&probe, &right).run(target), bits);
            let verdict = diagnose(&probe, target, &candidate, precision);
            assert!(verdict.is_correct(), "{name} {:?}: {verdict}", probe.kind);
        }
    }
}

#[test]
fn faults_are_named_with_their_place_in_f64() {
    all_are_named(0);
}

#[test]
fn faults_are_named_with_their_place_in_f32() {
    all_are_named(1);
}

#[test]
fn faults_are_named_with_their_place_in_f16() {
    all_are_named(2);
}

#[test]
fn faults_are_named_with_their_place_in_bf16() {
    all_are_named(3);
}

/// A result, or the sums in it, with fewer digits than it is checked to.
#[test]
fn lost_digits_are_told_from_wrong_formulas() {
    let (mut told, mut all) = (0, 0);
    for (probe, right) in probes(2) {
        for (name, bits, _) in &FORMATS[1..] {
            let round = |v: f64| stored(&[v], *bits)[0];
            let low = Kernel {
                sum_in: &round,
                ..Kernel::right(&probe, &right)
            };
            for target in [Target::Dx, Target::Dgamma, Target::Dbeta] {
                // The noise of three sums says nothing of its cause.
                if target != Target::Dx && probe.gamma.len() < 4 {
                    continue;
                }
                let verdict = diagnose(&probe, target, &low.run(target), 1e-12);
                let sum = format!("digits-of-{name}");
                let stored = format!("stored-in-{name}");
                let is = verdict.id == sum || (target != Target::Dx && verdict.id == stored);
                told += usize::from(is);
                all += 1;
                // A few sums may have been lucky, or not, by as much as the formats differ.
                let low = verdict.id.starts_with("digits-of-");
                assert!(is || low, "{:?} {target:?} {name}: {verdict}", probe.kind);
            }
            for target in ALL {
                let right = Kernel::right(&probe, &right).run(target);
                if right.iter().any(|v| *v != 0.0) {
                    let verdict = diagnose(
                        &probe,
                        target,
                        &right.iter().map(|v| round(*v)).collect::<Vec<_>>(),
                        1e-12,
                    );
                    assert_eq!(verdict.id, format!("stored-in-{name}"), "{verdict}");
                }
            }
        }
    }
    assert!(told * 20 >= all * 19, "{told} of {all}");
}

/// A backward that works in place, and reads what it has already written.
#[test]
fn what_was_overwritten_is_named() {
    for (probe, right) in probes(3) {
        let dx = Kernel::right(&probe, &right).run(Target::Dx);
        let y = Kernel::right(&probe, &right).run(Target::Y);
        let mut dy_gone = probe.clone();
        dy_gone.dy = dx;
        let statistics = Kernel::right(&probe, &right).statistics();
        let row_of = row_of(&right, probe.x.len());
        for target in [Target::Dgamma, Target::Dbeta] {
            let candidate = Kernel::right(&dy_gone, &right).run(target);
            if candidate.iter().all(|v| v.abs() < 1e-9) {
                continue;
            }
            let verdict = diagnose(&probe, target, &candidate, 1e-10);
            assert_eq!(
                verdict.id, "dy-overwritten",
                "{:?} {:?} {target:?}: {verdict}",
                probe.kind, probe.shape
            );
            assert!(
                verdict.sentence.contains("dx stands where dy is read"),
                "{verdict}"
            );
        }
        let mut sums = vec![0.0; probe.gamma.len()];
        for k in 0..y.len() {
            let (mean, rstd) = statistics[row_of[k]];
            sums[param(&probe, k)] += probe.dy[k] * (y[k] - mean) * rstd;
        }
        let verdict = diagnose(&probe, Target::Dgamma, &sums, 1e-10);
        assert_eq!(verdict.id, "x-overwritten", "{verdict}");
        assert!(
            verdict.sentence.contains("y stands where x is read"),
            "{verdict}"
        );
    }
}

/// What is a little less precise than asked has no cause that could be named, and the direction
/// in which an array is read is that of its index.
#[test]
fn nothing_is_made_up() {
    for (probe, right) in (6..16).flat_map(probes) {
        for target in ALL {
            let mut near = Kernel::right(&probe, &right).run(target);
            let scale = near.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
            for (k, v) in near.iter_mut().enumerate() {
                *v += 2.5e-6 * scale * ((k * k + 7 * k) as f64).sin();
            }
            let verdict = diagnose(&probe, target, &near, 1e-6);
            let told = ["correct", "unknown", "zero"].contains(&verdict.id.as_str());
            assert!(
                told || verdict.id.starts_with("stored-in"),
                "{target:?} {verdict}"
            );
        }
    }
    let probe = Probe::new(Norm::Layer { normalized: 1 }, &[6, 8], 1e-5, 0);
    let right = rows(6, 8);
    let next = Kernel {
        gamma_at: &|j| (j + 1) % 8,
        ..Kernel::right(&probe, &right)
    };
    let verdict = diagnose(&probe, Target::Y, &next.run(Target::Y), 1e-10);
    assert!(
        verdict
            .sentence
            .contains("gamma is read 1 place after where it should be"),
        "{verdict}"
    );
    let back = Kernel {
        dy_at: &|k| k / 8 * 8 + (k + 7) % 8,
        ..Kernel::right(&probe, &right)
    };
    let verdict = diagnose(&probe, Target::Dx, &back.run(Target::Dx), 1e-10);
    assert!(
        verdict
            .sentence
            .contains("dy is read 1 place back along axis 1"),
        "{verdict}"
    );
    let plus: Vec<f64> = (0..48)
        .map(|k| probe.x_hat()[k] * (1.0 + probe.gamma[k % 8]) + probe.beta[k % 8])
        .collect();
    assert_eq!(
        diagnose(&probe, Target::Y, &plus, 1e-10).id,
        "gamma-plus-one"
    );
}

/// Weights of a sum that no list of faults has: they follow from the numbers.
#[test]
fn any_rows_that_a_sum_leaves_out_are_found() {
    let probe = Probe::new(Norm::Layer { normalized: 1 }, &[9, 12], 1e-5, 4);
    let x_hat = probe.x_hat();
    let dgamma = |counts: [f64; 9]| -> Vec<f64> {
        let sum = |j: usize| {
            (0..9)
                .map(|i| counts[i] * probe.dy[i * 12 + j] * x_hat[i * 12 + j])
                .sum()
        };
        (0..12).map(sum).collect()
    };
    for (counts, words) in [
        (
            [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0],
            "leaves out rows 1, 3, 4 and 7 of 9",
        ),
        (
            [1.0, 2.0, 1.0, 0.0, 1.0, 1.0, 3.0, 1.0, 1.0],
            "leaves out row 3 and counts rows 1 and 6 more than once",
        ),
    ] {
        let verdict = diagnose(&probe, Target::Dgamma, &dgamma(counts), 1e-10);
        assert_eq!(verdict.id, "partial-sum");
        assert!(verdict.sentence.contains(words), "{verdict}");
    }
}

/// A thousand hypotheses find nothing in a few random numbers of few digits.
#[test]
fn few_numbers_of_few_digits_are_not_explained() {
    for seed in 0..60 {
        for shape in [[6, 2], [5, 3], [32, 3], [6, 4]] {
            let probe = Probe::batch_norm(&shape, 1e-5, seed);
            for target in [Target::Dgamma, Target::Dbeta] {
                let other = Probe::batch_norm(&shape, 1e-5, seed + 1000);
                let candidate = match target {
                    Target::Dgamma => other.dgamma(),
                    _ => other.dbeta(),
                };
                let verdict = diagnose(&probe, target, &stored(&candidate, 8), 4e-3);
                assert_eq!(
                    verdict.id, "unknown",
                    "{shape:?} {seed} {target:?} {verdict}"
                );
            }
        }
    }
}

/// What fits nothing stays unknown.
#[test]
fn noise_is_not_explained() {
    for (probe, right) in probes(5) {
        for target in ALL {
            let mut wrong = Kernel::right(&probe, &right).run(target);
            for (k, v) in wrong.iter_mut().enumerate() {
                *v *= 1.0 + 0.3 * ((k * k) as f64 + 1.0).sin();
            }
            let verdict = diagnose(&probe, target, &wrong, 1e-6);
            let zero = wrong.iter().all(|v| *v == 0.0);
            assert!(verdict.id == "unknown" || zero, "{target:?} {verdict}");
        }
    }
}

/// Normalization by statistics and sums that a test gives it, element by element, and what it
/// reads. It shares no code with what it tests.
struct Given<'a> {
    p: &'a Probe,
    rows: &'a Rows,
    x: Vec<f64>,
    dy: Vec<f64>,
    gamma: Vec<f64>,
    beta: Vec<f64>,
    mean: Vec<f64>,
    rstd: Vec<f64>,
    sums: Option<[Vec<f64>; 2]>,
}

impl<'a> Given<'a> {
    fn right(p: &'a Probe, rows: &'a Rows) -> Self {
        let total = p.x.len();
        let mut given = Self {
            p,
            rows,
            x: p.x.clone(),
            dy: p.dy.clone(),
            gamma: (0..total).map(|k| p.gamma[param(p, k)]).collect(),
            beta: (0..total).map(|k| p.beta[param(p, k)]).collect(),
            mean: vec![0.0; total],
            rstd: vec![0.0; total],
            sums: None,
        };
        given.each_row(|_, own| own);
        given
    }

    /// Mean and variance of every row.
    fn moments(&self) -> Vec<(f64, f64)> {
        let of = |row: &Vec<usize>| {
            let m = row.len() as f64;
            let mean = match self.p.kind {
                Kind::Rms => 0.0,
                _ => row.iter().map(|&k| self.x[k]).sum::<f64>() / m,
            };
            let squares: f64 = row.iter().map(|&k| (self.x[k] - mean).powi(2)).sum();
            (mean, squares / m)
        };
        self.rows.iter().map(of).collect()
    }

    /// Other moments for each row, by its number and its own.
    fn each_row(&mut self, other: impl Fn(usize, (f64, f64)) -> (f64, f64)) {
        for (r, own) in self.moments().into_iter().enumerate() {
            let (mean, var) = other(r, own);
            for &k in &self.rows[r] {
                self.mean[k] = mean;
                self.rstd[k] = 1.0 / (var + self.p.eps).sqrt();
            }
        }
    }

    fn x_hat(&self, k: usize) -> f64 {
        (self.x[k] - self.mean[k]) * self.rstd[k]
    }

    /// The two means of the backward, of every row.
    fn means(&self) -> [Vec<f64>; 2] {
        let over = |f: &dyn Fn(usize) -> f64| -> Vec<f64> {
            let mean = |row: &Vec<usize>| row.iter().map(|&k| f(k)).sum::<f64>() / row.len() as f64;
            self.rows.iter().map(mean).collect()
        };
        let centred = if self.p.kind == Kind::Rms { 0.0 } else { 1.0 };
        let g = |k: usize| self.gamma[k] * self.dy[k];
        [over(&|k| centred * g(k)), over(&|k| g(k) * self.x_hat(k))]
    }

    fn run(&self, target: Target) -> Vec<f64> {
        let total = self.x.len();
        let own = self.means();
        let [a, b] = self.sums.as_ref().unwrap_or(&own);
        let mut out = vec![0.0; total];
        for (r, row) in self.rows.iter().enumerate() {
            for &k in row {
                let (g, x_hat) = (self.gamma[k] * self.dy[k], self.x_hat(k));
                out[k] = match target {
                    Target::Y => self.gamma[k] * x_hat + self.beta[k],
                    Target::Dx => self.rstd[k] * (g - a[r] - x_hat * b[r]),
                    Target::Dgamma => self.dy[k] * x_hat,
                    Target::Dbeta => self.dy[k],
                };
            }
        }
        if matches!(target, Target::Y | Target::Dx) {
            return out;
        }
        let mut sums = vec![0.0; self.p.gamma.len()];
        (0..total).for_each(|k| sums[param(self.p, k)] += out[k]);
        sums
    }
}

/// Faults in the statistics and in what is read: names that are right, and what makes the fault.
type Slip = (
    &'static [&'static str],
    &'static str,
    Box<dyn Fn(&mut Given<'_>)>,
);

fn slips(p: &Probe, m: usize, count: usize) -> Vec<Slip> {
    let mut all: Vec<Slip> = Vec::new();
    let mut add = |ids: &'static [&'static str], words, slip: Box<dyn Fn(&mut Given<'_>)>| {
        all.push((ids, words, slip));
    };
    let (eps, size) = (p.eps, m as f64);
    let centred = p.kind != Kind::Rms;
    add(
        &["another-eps"],
        "1e-6",
        Box::new(move |g| g.each_row(|_, (mean, var)| (mean, var + 1e-6 - eps))),
    );
    add(
        &["another-eps"],
        "3.700e-6",
        Box::new(move |g| g.each_row(|_, (mean, var)| (mean, var + 3.7e-6 - eps))),
    );
    add(
        &["another-eps"],
        "twice",
        Box::new(move |g| g.each_row(|_, (mean, var)| (mean, var + eps))),
    );
    let all_of = size + 3.0;
    add(
        &["padding-counted", "padding-divided"],
        "",
        Box::new(move |g| {
            g.each_row(|_, (mean, var)| {
                let moved = mean * size / all_of;
                let squares = size * (var + (mean - moved).powi(2)) + 3.0 * moved * moved;
                (moved, squares / all_of)
            });
        }),
    );
    if centred {
        add(
            &["padding-in-variance"],
            "mask x - mean",
            Box::new(move |g| {
                g.each_row(|_, (mean, var)| (mean, var + 3.0 * mean * mean / size));
            }),
        );
        add(
            &["not-broadcast"],
            "mean",
            Box::new(move |g| {
                for row in g.rows {
                    row[m / 2..].iter().for_each(|&k| g.mean[k] = 0.0);
                }
            }),
        );
    }
    add(
        &["one-too-many"],
        "",
        Box::new(move |g| {
            let beyond: Vec<f64> = (0..count)
                .map(|r| g.x[g.rows[(r + 1) % count][0]])
                .collect();
            g.each_row(|r, (mean, var)| {
                let moved = if centred {
                    mean + beyond[r] / size
                } else {
                    0.0
                };
                let off = (beyond[r] - moved).powi(2) / size;
                (moved, var + (mean - moved).powi(2) + off)
            });
        }),
    );
    add(
        &["not-reset"],
        "go on",
        Box::new(move |g| {
            let own = g.moments();
            let mean = |r: usize| own[..=r].iter().map(|(mean, _)| mean).sum::<f64>();
            let off = |r: usize| own[r].1 + (own[r].0 - mean(r)).powi(2);
            let all: Vec<(f64, f64)> = (0..count)
                .map(|r| (mean(r), (0..=r).map(off).sum()))
                .collect();
            g.each_row(|r, _| all[r]);
        }),
    );
    add(
        // In a group of two positions, every other value is a position.
        &[
            "parts-apart",
            "axes-position-by-position",
            "statistics-axes-position-by-position",
        ],
        "",
        Box::new(move |g| {
            for row in g.rows {
                for part in [0, 1] {
                    let own: Vec<usize> = row.iter().copied().skip(part).step_by(2).collect();
                    let n = own.len() as f64;
                    let mean = own.iter().map(|&k| g.x[k]).sum::<f64>() / n;
                    let mean = if centred { mean } else { 0.0 };
                    let var = own.iter().map(|&k| (g.x[k] - mean).powi(2)).sum::<f64>() / n;
                    for k in own {
                        (g.mean[k], g.rstd[k]) = (mean, 1.0 / (var + eps).sqrt());
                    }
                }
            }
        }),
    );
    let low = |v: &mut f64| *v = stored(&[*v], 8)[0];
    add(
        &["statistics-in-bf16"],
        "bf16",
        Box::new(move |g| g.mean.iter_mut().chain(&mut g.rstd).for_each(low)),
    );
    add(
        &["dy-in-bf16"],
        "dy is rounded",
        Box::new(move |g| g.dy.iter_mut().for_each(low)),
    );
    add(
        &["x-in-bf16"],
        "x is",
        Box::new(move |g| {
            g.x.iter_mut().for_each(low);
            g.each_row(|_, own| own);
        }),
    );
    add(
        &["x-repeated", "written-repeated"],
        "again and again",
        Box::new(move |g| {
            let own = g.x.clone();
            for row in g.rows {
                (m / 2..2 * (m / 2)).for_each(|j| g.x[row[j]] = own[row[j - m / 2]]);
                if m % 2 == 1 {
                    g.x[row[m - 1]] = own[row[0]];
                }
            }
        }),
    );
    all
}

/// Faults in what is read for gamma and beta, and in the means of the backward.
fn slips_behind_statistics(p: &Probe, count: usize) -> Vec<(Target, Slip)> {
    let mut all: Vec<(Target, Slip)> = Vec::new();
    let n = p.gamma.len();
    let gamma = p.gamma.clone();
    for target in [Target::Y, Target::Dx] {
        let of = gamma.clone();
        all.push((
            target,
            (
                &["gamma-repeated"],
                "index 0",
                Box::new(move |g| g.gamma.fill(of[0])),
            ),
        ));
        let of = gamma.clone();
        all.push((
            target,
            (
                &["gamma-wrong-index", "x-hat-zero", "unwritten"],
                "zero",
                Box::new(move |g| {
                    let end = of[n - 2];
                    g.gamma
                        .iter_mut()
                        .filter(|v| **v == end || **v == of[n - 1])
                        .for_each(|v| *v = 0.0);
                }),
            ),
        ));
    }
    all.push((
        Target::Dx,
        (
            &["means-of-another"],
            "before",
            Box::new(move |g| {
                let own = g.means();
                g.sums =
                    Some(own.map(|of| (0..count).map(|r| of[(r + count - 1) % count]).collect()));
            }),
        ),
    ));
    all.push((
        Target::Dx,
        (
            &["not-reset"],
            "go on",
            Box::new(move |g| {
                let own = g.means();
                g.sums = Some(own.map(|of| (0..count).map(|r| of[..=r].iter().sum()).collect()));
            }),
        ),
    ));
    all
}

/// Statistics that are taken in a wrong way, inputs that lost digits, parameters by a wrong index.
#[test]
fn faults_in_statistics_and_in_what_is_read_are_named() {
    for (name, bits, precision) in &FORMATS[..2] {
        let mut tally = Tally::default();
        for (p, rows) in (1..3).flat_map(probes) {
            let (m, count) = (rows[0].len(), rows.len());
            let everywhere = slips(&p, m, count).into_iter().flat_map(|slip| {
                let slip = std::rc::Rc::new(slip);
                ALL.map(|target| (target, slip.clone()))
            });
            let behind = slips_behind_statistics(&p, count)
                .into_iter()
                .map(|(target, slip)| (target, std::rc::Rc::new(slip)));
            for (target, slip) in everywhere.chain(behind) {
                let (ids, words, make) = &*slip;
                let right = Given::right(&p, &rows).run(target);
                let mut given = Given::right(&p, &rows);
                make(&mut given);
                let made = given.run(target);
                let scale = right.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
                let off = right.iter().zip(&made).map(|(r, m)| (r - m).abs());
                // dbeta knows no statistics.
                if off.fold(0.0, f64::max) <= 100.0 * precision * scale {
                    continue;
                }
                let made = stored(&made, *bits);
                tally.count(&p, target, &made, *precision, ids, words);
            }
        }
        let Tally {
            named,
            unknown,
            wrong,
        } = tally;
        eprintln!("{name}: {named} named, {} not", unknown.len());
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
        assert!(named > 900, "{name}: {named}");
        assert!(unknown.len() * 25 <= named, "{name}: {unknown:#?}");
    }
}

/// What is done to a finished result.
#[test]
fn faults_of_finished_results_are_named() {
    for (p, rows) in (1..4).flat_map(probes) {
        let of = |target| Given::right(&p, &rows).run(target);
        let named = |target, candidate: &[f64], ids: &[&str], words: &str| {
            let verdict = diagnose(&p, target, candidate, 1e-10);
            let what = format!(
                "{:?} {:?} {target:?} {}: {verdict}",
                p.kind, p.shape, verdict.id
            );
            assert!(ids.contains(&verdict.id.as_str()), "wanted {ids:?}: {what}");
            assert!(verdict.sentence.contains(words), "wanted {words}: {what}");
        };
        let unit = p.kind.group();
        for target in [Target::Y, Target::Dx] {
            let right = of(target);
            let mut c = right.clone();
            rows[1].iter().for_each(|&k| c[k] *= -1.0);
            let words = format!("{unit} 1 is -1.0000 times");
            named(target, &c, &["factor-in-places"], &words);
            let mut c = right.clone();
            c.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
            named(
                target,
                &c,
                &[
                    "written-swapped",
                    "written-reversed",
                    "written-shifted",
                    "exchanged",
                ],
                "",
            );
            let bound = {
                let mut sizes: Vec<f64> = right.iter().map(|v| v.abs()).collect();
                sizes.sort_by(f64::total_cmp);
                sizes[sizes.len() / 2]
            };
            let c: Vec<f64> = right.iter().map(|v| v.clamp(-bound, bound)).collect();
            named(target, &c, &["cut-off"], "cut off at");
            let length = p.shape[p.shape.len() - 1];
            let mut c = vec![0.0; right.len()];
            for (k, v) in right.iter().enumerate() {
                if let Some(to) = c.get_mut(k / length * (length + 1) + k % length) {
                    *to = *v;
                }
            }
            named(target, &c, &["written-wrong-stride"], "apart");
            // One element, of which nothing can be known but where it is.
            let mut c = right.clone();
            c[rows[1][1]] += 0.3 * bound;
            let words = format!("it is right except in value 1 of {unit} 1");
            named(target, &c, &["unknown"], &words);
        }
        // One group's rstd is another number, which follows from the values.
        let mut given = Given::right(&p, &rows);
        rows[2 % rows.len()]
            .iter()
            .for_each(|&k| given.rstd[k] *= 1.37);
        named(
            Target::Dx,
            &given.run(Target::Dx),
            &["rstd-off"],
            "as if in",
        );
        let y = given.run(Target::Y);
        let factor = p.kind == Kind::Rms;
        let id = if factor {
            "factor-in-places"
        } else {
            "rstd-off"
        };
        named(Target::Y, &y, &[id], "");
        for target in [Target::Dgamma, Target::Dbeta] {
            let mut c = of(target);
            (1..c.len()).for_each(|i| c[i] += c[i - 1]);
            if c.iter().any(|v| *v != 0.0) && c.len() > 3 {
                named(target, &c, &["not-reset"], "go");
            }
        }
    }
}

/// A part of a larger array has the numbers of the whole.
#[test]
fn a_part_is_told_by_the_numbers_of_the_whole() {
    let probe = Probe::new(Norm::Layer { normalized: 1 }, &[6, 8], 1e-5, 0);
    let right = rows(6, 8);
    let mut y = Kernel::right(&probe, &right).run(Target::Y);
    y[40..].fill(0.0);
    let verdict = diagnose_part(&probe, Target::Y, &y, 1e-10, 100);
    assert!(
        verdict.sentence.starts_with("y: row 105 is zero"),
        "{verdict}"
    );
    let late = Kernel {
        rstd_of: &|r| if r == 4 { 3 } else { r },
        ..Kernel::right(&probe, &right)
    };
    let verdict = diagnose_part(&probe, Target::Dx, &late.run(Target::Dx), 1e-10, 100);
    assert!(
        verdict
            .sentence
            .contains("in row 104, rstd is that of row 103"),
        "{verdict}"
    );
}

/// A factor on everything is told as one, whatever it is, and nothing that comes to the same.
#[test]
fn one_factor_on_everything_is_a_factor() {
    let layer = Norm::Layer { normalized: 1 };
    for (norm, shape) in [
        (layer, &[37, 20][..]),
        (Norm::Batch, &[6, 5, 4]),
        (Norm::Rms { normalized: 1 }, &[37, 20]),
        (Norm::Group { groups: 3 }, &[5, 12, 4]),
    ] {
        let probe = Probe::new(norm, shape, 1e-5, 0);
        for (target, right) in [
            (Target::Y, probe.y()),
            (Target::Dx, probe.dx()),
            (Target::Dgamma, probe.dgamma()),
            (Target::Dbeta, probe.dbeta()),
        ] {
            if norm == (Norm::Rms { normalized: 1 }) && target == Target::Dbeta {
                continue;
            }
            for (factor, words) in [
                (7.0, "is 7.0000 times too large"),
                (1e-6, "is 1.0000e6 times too small"),
                (1.0003, "is 1.00030 times too large"),
                (-7.0, "is -7.0000 times what is right"),
                (
                    1024.0,
                    "is 1024.0000 times too large, as when a loss scale is not divided out",
                ),
            ] {
                // Rounded as in f32, with a bound that is as wide as there.
                let made = |v: &f64| f64::from((factor * v) as f32);
                let candidate: Vec<f64> = right.iter().map(made).collect();
                let verdict = diagnose(&probe, target, &candidate, 3e-6);
                assert_eq!(verdict.id, "whole-weight", "{norm:?} {factor}: {verdict}");
                assert!(verdict.sentence.ends_with(words), "{verdict}");
                let whole = format!("the whole of {} is", verdict.target);
                assert!(verdict.sentence.contains(&whole), "{verdict}");
            }
        }
    }
}

/// What is rightly zero was not lost.
#[test]
fn masked_rows_are_no_part_of_what_is_missing() {
    let norm = Norm::Layer { normalized: 1 };
    let random = Probe::new(norm, &[61, 53], 1e-5, 0);
    let mut dy = random.dy.clone();
    dy[40 * 53..].fill(0.0);
    let given = norm::Given {
        x: random.x.clone(),
        gamma: random.gamma.clone(),
        beta: random.beta.clone(),
        dy,
    };
    let probe = Probe::given(norm, &[61, 53], 1e-5, given).unwrap();
    for (lost, words) in [
        (33..34, "dx: row 33 is zero"),
        (32..40, "dx: rows 32 to 39 are zero"),
    ] {
        let mut dx = probe.dx();
        dx[lost.start * 53..lost.end * 53].fill(0.0);
        let verdict = diagnose(&probe, Target::Dx, &dx, 1e-10);
        assert!(verdict.sentence.starts_with(words), "{verdict}");
    }
}

/// A buffer that holds another array is told by the name of that.
#[test]
fn another_array_is_told_by_its_name() {
    let probe = Probe::layer_norm(&[23, 31], 1, 1e-5, 0);
    for (target, array, words) in [
        (Target::Dx, &probe.dy, "dx: this is dy, and not dx"),
        (Target::Dx, &probe.x, "dx: this is x, and not dx"),
        (Target::Dx, &probe.y(), "dx: this is y, and not dx"),
        (Target::Y, &probe.x, "y: this is x, and not y"),
        (
            Target::Dgamma,
            &probe.gamma,
            "dgamma: this is gamma, and not dgamma",
        ),
    ] {
        let stored: Vec<f64> = array.iter().map(|v| f64::from(*v as f32)).collect();
        let verdict = diagnose(&probe, target, &stored, 3e-6);
        assert_eq!(verdict.sentence, words, "{verdict:#?}");
    }
    // What is meant to be added is not called a mistake alone.
    let sum: Vec<f64> = probe
        .dx()
        .iter()
        .zip(&probe.dy)
        .map(|(a, b)| a + b)
        .collect();
    let verdict = diagnose(&probe, Target::Dx, &sum, 1e-10);
    let words =
        "dx: it is right, plus dy: if the residual connection around it is computed with it";
    assert!(verdict.sentence.starts_with(words), "{verdict}");
}

/// Channels in another number of groups, and a gamma that is looked up once for a group.
#[test]
fn another_number_of_groups_is_named() {
    let (shape, right) = ([5, 12, 3, 7], Norm::Group { groups: 4 });
    let probe = Probe::new(right, &shape, 1e-5, 0);
    for count in [2, 3, 6] {
        let given = norm::Given {
            x: probe.x.clone(),
            gamma: probe.gamma.clone(),
            beta: probe.beta.clone(),
            dy: probe.dy.clone(),
        };
        let other = Probe::given(Norm::Group { groups: count }, &shape, 1e-5, given).unwrap();
        for (target, made) in [
            (Target::Y, other.y()),
            (Target::Dx, other.dx()),
            (Target::Dgamma, other.dgamma()),
        ] {
            let verdict = diagnose(&probe, target, &made, 1e-10);
            let words = format!("the channels are in {count} groups, and must be in 4");
            assert!(verdict.sentence.ends_with(&words), "{verdict}");
        }
    }
    let first = |k: usize| k / 3 * 3;
    let (_, own_rows, _) = groups(&shape, 4, 1e-5, 0);
    let kernel = Kernel {
        gamma_at: &first,
        ..Kernel::right(&probe, &own_rows)
    };
    let verdict = diagnose(&probe, Target::Dx, &kernel.run(Target::Dx), 1e-10);
    assert!(
        verdict
            .sentence
            .contains("by the first channel of the group"),
        "{verdict}"
    );
}
