use super::*;
use crate::compare::same;
use crate::known::assert_listed;
use crate::mistake::{assert_named, every};
use crate::sections::labels;

const SEEDS: std::ops::Range<u64> = 0..10;

/// Joins worker by worker, by the formula for two parts.
fn right_merge(parts: &[Part]) -> Part {
    let mut all = parts[0].clone();
    for part in &parts[1..] {
        let count = all.count + part.count;
        if part.count == 0 || count == 0 {
            continue;
        }
        let share = part.count as f64 / count as f64;
        for c in 0..all.mean.len() {
            let apart = part.mean[c] - all.mean[c];
            all.mean[c] += apart * share;
            all.squares[c] += part.squares[c] + apart * apart * all.count as f64 * share;
        }
        all.count = count;
    }
    all
}

fn right_backward(workers: &[Worker], gamma: &[f64], rstd: &[f64]) -> Gradients {
    let channels = gamma.len();
    let mut g = Gradients {
        dx: workers.iter().map(|w| vec![0.0; w.dy.len()]).collect(),
        dgamma: vec![0.0; channels],
        dbeta: vec![0.0; channels],
    };
    let rows: usize = workers.iter().map(|w| w.dy.len() / channels).sum();
    for c in 0..channels {
        let own = |w: &Worker| -> (f64, f64) {
            let at = (c..w.dy.len()).step_by(channels);
            (
                at.clone().map(|k| w.dy[k]).sum(),
                at.map(|k| w.dy[k] * w.x_hat[k]).sum(),
            )
        };
        g.dbeta[c] = workers.iter().map(|w| own(w).0).sum();
        g.dgamma[c] = workers.iter().map(|w| own(w).1).sum();
        let m = rows as f64;
        for (w, dx) in workers.iter().zip(&mut g.dx) {
            for k in (c..w.dy.len()).step_by(channels) {
                let inner = w.dy[k] - g.dbeta[c] / m - w.x_hat[k] * g.dgamma[c] / m;
                dx[k] = gamma[c] * rstd[c] * inner;
            }
        }
    }
    g
}

/// Which probe a candidate was called with. The two functions see no more than the reader's.
fn probe_of(probes: &[Probe], workers: usize, channels: usize) -> &Probe {
    let fits = |p: &&Probe| p.x.len() == workers && p.channels == channels;
    probes.iter().find(fits).expect("one of the probes")
}

#[test]
fn what_is_right_passes() {
    for seed in SEEDS {
        let report = report(&right_merge, &right_backward, seed);
        assert!(report.passed(), "{report}");
    }
}

/// The right values are those of the crate's Batch Norm on the rows of all workers.
#[test]
fn the_right_values_are_those_of_the_crate() {
    use batchnorm::op::batch_norm;
    use tape::{Param, Tape, Tensor};
    for p in SEEDS.flat_map(probes) {
        let x = p.x.concat();
        let rows = x.len() / p.channels;
        let x = Param::new("x", Tensor::new([rows, p.channels], x));
        let [gamma, beta] = [("gamma", &p.gamma), ("beta", &p.beta)]
            .map(|(name, v)| Param::new(name, Tensor::new([p.channels], v.clone())));
        let dy = Tensor::new([rows, p.channels], p.dy.concat());
        let (y, moments, grads) = Tape::new().vjp(&dy, |t| {
            batch_norm(&t.param(&x), &t.param(&gamma), &t.param(&beta), EPS)
        });
        assert!(same(&moments.mean, &per_channel(&p, |c| c.mean)));
        assert!(same(
            &moments.var,
            &per_channel(&p, |c| c.squares / c.all())
        ));
        assert!(same(&y.to_vec(), &per_value(&p, Channel::y)));
        for (param, target) in [(&x, 5), (&gamma, 4), (&beta, 3)] {
            let (name, _, right) = TARGETS[target];
            assert!(same(&grads.of(param).to_vec(), &right(&p)), "{name}");
        }
    }
}

/// Every mistake, put into the right functions, at every shape.
#[test]
fn every_mistake_is_named() {
    for seed in SEEDS {
        let probes = probes(seed);
        for (target, mistake) in every(MISTAKES) {
            // The batch that is far from zero comes after all wrong values were found.
            let merge = |parts: &[Part]| {
                let p = probe_of(&probes, parts.len(), parts[0].mean.len());
                let mut all = right_merge(parts);
                let wrong = (mistake.wrong)(p, target);
                match target {
                    "count" => all.count = wrong[0] as usize,
                    "mean" => all.mean = wrong,
                    "squares" => all.squares = wrong,
                    _ => {}
                }
                all
            };
            let backward = |workers: &[Worker], gamma: &[f64], rstd: &[f64]| {
                let p = probe_of(&probes, workers.len(), gamma.len());
                let mut g = right_backward(workers, gamma, rstd);
                let wrong = (mistake.wrong)(p, target);
                match target {
                    "dbeta" => g.dbeta = wrong,
                    "dgamma" => g.dgamma = wrong,
                    "dx" => g.dx = p.cut(&wrong),
                    _ => {}
                }
                g
            };
            let report = report(&merge, &backward, seed);
            assert_named(&report, seed, target, mistake);
        }
    }
}

/// As a reader would write it: the variances of the workers divided by their counts, with a
/// worker that has none.
#[test]
fn averaged_variances_are_named_even_where_a_worker_is_empty() {
    let merge = |parts: &[Part]| {
        let mut all = right_merge(parts);
        for c in 0..all.mean.len() {
            let var = |p: &Part| p.squares[c] / p.count as f64;
            let sum: f64 = parts.iter().map(var).sum();
            all.squares[c] = sum / parts.len() as f64 * all.count as f64;
        }
        all
    };
    for seed in SEEDS {
        let report = report(&merge, &right_backward, seed);
        assert_eq!(report.mistake.as_deref(), Some("variances-averaged"));
        assert_listed(&report);
    }
}

/// The formula for two parts, from the first on: 0 over 0 while nobody had rows.
#[test]
fn nothing_joined_with_nothing_is_named() {
    let merge = |parts: &[Part]| {
        let mut all = parts[0].clone();
        for part in &parts[1..] {
            let count = (all.count + part.count) as f64;
            for c in 0..all.mean.len() {
                let apart = part.mean[c] - all.mean[c];
                all.mean[c] += apart * part.count as f64 / count;
                all.squares[c] +=
                    part.squares[c] + apart * apart * (all.count * part.count) as f64 / count;
            }
            all.count += part.count;
        }
        all
    };
    for seed in SEEDS {
        let report = report(&merge, &right_backward, seed);
        assert_eq!(report.mistake.as_deref(), Some("empty-worker"), "{report}");
        assert!(report.headline.starts_with("mean: "), "{report}");
        assert_listed(&report);
    }
    // The same with a mean that is right.
    let squares = |parts: &[Part]| Part {
        mean: right_merge(parts).mean,
        ..merge(parts)
    };
    let report = report(&squares, &right_backward, 0);
    assert_eq!(report.mistake.as_deref(), Some("empty-worker"), "{report}");
    assert!(report.headline.starts_with("squares: "), "{report}");
    assert_listed(&report);
}

/// Right near zero: the squares of all values less that of the mean.
#[test]
fn squares_that_cancel_are_named() {
    let merge = |parts: &[Part]| {
        let mut all = right_merge(parts);
        for c in 0..all.mean.len() {
            let raw = |p: &Part| p.squares[c] + p.count as f64 * p.mean[c] * p.mean[c];
            let sum: f64 = parts.iter().map(raw).sum();
            all.squares[c] = sum - all.count as f64 * all.mean[c] * all.mean[c];
        }
        all
    };
    for seed in SEEDS {
        let report = report(&merge, &right_backward, seed);
        assert_eq!(report.mistake.as_deref(), Some("cancellation"), "{report}");
        assert_listed(&report);
    }
}

#[test]
fn what_has_no_name_is_shown() {
    let merged = |change: &dyn Fn(&mut Part)| {
        let merge = |parts: &[Part]| {
            let mut all = right_merge(parts);
            change(&mut all);
            all
        };
        report(&merge, &right_backward, 0)
    };
    let short = merged(&|all| all.mean.truncate(1));
    assert_eq!(short.mistake.as_deref(), Some("shape"), "{short}");
    let nan = merged(&|all| all.squares[0] = f64::NAN);
    assert_eq!(nan.mistake.as_deref(), Some("not-finite"), "{nan}");
    let doubled = merged(&|all| all.squares.iter_mut().for_each(|v| *v *= 2.0));
    assert_eq!(doubled.mistake.as_deref(), Some("unknown"));
    assert!(doubled.heatmap.is_some());

    let returned = |change: &dyn Fn(&mut Gradients)| {
        let backward = |workers: &[Worker], gamma: &[f64], rstd: &[f64]| {
            let mut g = right_backward(workers, gamma, rstd);
            change(&mut g);
            g
        };
        report(&right_merge, &backward, 0)
    };
    let fewer = returned(&|g| g.dx.truncate(1));
    assert_eq!(fewer.mistake.as_deref(), Some("shape"));
    assert!(fewer.headline.contains("one for each worker"), "{fewer}");
    // As many values as there must be, but not where they belong.
    let moved = returned(&|g| {
        if let Some(last) = g.dx[0].pop() {
            g.dx[1].insert(0, last);
        }
    });
    assert_eq!(moved.mistake.as_deref(), Some("shape"));
    assert!(moved.headline.starts_with("dx of worker 1"), "{moved}");
    let doubled = returned(&|g| g.dx[0].iter_mut().for_each(|v| *v *= 2.0));
    assert_eq!(doubled.mistake.as_deref(), Some("unknown"));
    assert!(doubled.heatmap.is_some());
}

#[test]
fn every_mistake_has_a_section() {
    for known in known() {
        assert!(labels().contains(known.section), "{known:?}");
    }
}
